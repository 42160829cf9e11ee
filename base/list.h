/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/util.h"

/* A circular doubly linked list with a head; an entry that is on no list points at itself. */
struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_before(struct list *pos, struct list *n)
{
	n->prev = pos->prev;
	n->next = pos;
	pos->prev->next = n;
	pos->prev = n;
}

static inline void list_add_tail(struct list *head, struct list *n)
{
	list_add_before(head, n);
}

static inline void list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)

/* pos is a struct list *; nxt one more, so that pos may be deleted inside the body. */
#define list_for_each(pos, nxt, head) \
	for (pos = (head)->next, nxt = pos->next; pos != (head); pos = nxt, nxt = pos->next)

#endif
