// SPDX-License-Identifier: BSD-3-Clause
/*
 * Looking at memory for a while before sleeping. A wake-up costs both sides a system call, or the
 * guest an exit, and the sleeper its CPU's way out of idleness; when the next request comes sooner
 * than that, waiting for it awake is cheaper for everybody.
 *
 * How long is learned. Work that came soon after falling asleep makes the window grow, since a
 * longer one would have caught it; work that came late makes it nothing, so that an idle machine
 * burns no CPU. A full window in vain although work came soon after means that looking does not
 * help here, as when the guest waits for the very CPU that the loop spins on: the window is closed,
 * for twice as many wake-ups each time until one pays again.
 *
 * No wake-up is lost: only what is awake goes unannounced, and before the loop sleeps each owner
 * asks to be told and then looks once more (@arm). Files of others are looked at all the while,
 * every FILES_NS, and calls of other threads at once.
 */
#include "base/ev_priv.h"

#define FILES_NS   25000
#define FILES_SOON 3000 /* for those who wait for files as well */
#define BUSY_MAX   256	/* looks that found work before files have their turn */
#define WINDOW_MIN 4000
#define HOLD_MAX   255

static uint64_t get(const atomic_ullong *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

/* One writer, any readers: no locked instruction needed. */
static void set(atomic_ullong *v, uint64_t n)
{
	atomic_store_explicit(v, n, memory_order_relaxed);
}

static void add(atomic_ullong *v, uint64_t n)
{
	set(v, get(v) + n);
}

void ev_spin_init(struct ev *ev)
{
	list_init(&ev->spin.awake);
	ev->spin.asleep = true;
}

/* ---- owners ---- */

void ev_poll_init(struct ev_poll *p, struct ev *ev, bool (*look)(void *arg), bool (*arm)(void *arg),
		  void *arg)
{
	*p = (struct ev_poll){ .look = look, .arm = arm, .arg = arg, .ev = ev };
	list_init(&p->link);
}

/* Work came block_ns after the last, and the loop slept by then. */
static void adapt(struct ev_spin *s, uint64_t block_ns)
{
	uint64_t max = get(&s->max), window = get(&s->window);

	/* twice: the wake-up's own time is in it */
	if (block_ns > 2 * max) {
		set(&s->window, 0);
	} else if (s->hold) {
		s->hold--;
	} else if (window < max) {
		set(&s->window, MIN(max, MAX(2 * window, (uint64_t)WINDOW_MIN)));
	} else {
		set(&s->window, 0);
		s->hold = s->back;
		s->back = MIN(2 * s->back + 1, (unsigned int)HOLD_MAX);
	}
}

void ev_poll_on(struct ev_poll *p)
{
	struct ev_spin *s = &p->ev->spin;

	if (list_empty(&p->link))
		list_add_tail(&s->awake, &p->link);
	if (s->asleep && get(&s->max))
		adapt(s, sys_now_ns(p->ev->sys) - s->since);
	s->asleep = s->idle = false;
	s->since = 0;
}

void ev_poll_off(struct ev_poll *p)
{
	if (!p->ev)
		return;
	if (p->ev->spin.cursor == &p->link)
		p->ev->spin.cursor = p->link.next;
	list_del(&p->link);
}

void ev_poll_window(struct ev *ev, uint64_t max_ns)
{
	atomic_store(&ev->spin.max, max_ns);
}

void ev_poll_count(const struct ev *ev, struct ev_poll_count *out)
{
	const struct ev_spin *s = &ev->spin;

	*out = (struct ev_poll_count){ .max_ns = get(&s->max),
				       .window_ns = get(&s->window),
				       .hits = get(&s->hits),
				       .misses = get(&s->misses),
				       .ns = get(&s->ns) };
}

/* ---- the loop ---- */

bool ev_look(struct ev *ev)
{
	struct ev_spin *s = &ev->spin;
	bool some = false;

	for (s->cursor = s->awake.next; s->cursor != &s->awake;) {
		struct ev_poll *p = list_entry(s->cursor, struct ev_poll, link);

		s->cursor = s->cursor->next;
		some |= p->look(p->arg);
	}
	s->cursor = NULL;
	if (some && s->idle) {
		add(&s->hits, 1);
		s->hold = s->back = 0;
	}
	if (some)
		s->since = 0;
	s->idle = !some;
	return some;
}

/* How long memory alone may be looked at: less when nothing comes of it and files may. */
static uint64_t patience(struct ev_spin *s, uint64_t now)
{
	struct list *pos, *nxt;

	if (!s->idle || now - s->since < FILES_SOON)
		return FILES_NS;
	list_for_each (pos, nxt, &s->awake)
		if (list_entry(pos, struct ev_poll, link)->files)
			return FILES_SOON;
	return FILES_NS;
}

/* Those that are told from now on are asleep; true: none is awake. */
static bool arm_all(struct ev_spin *s)
{
	for (s->cursor = s->awake.next; s->cursor != &s->awake;) {
		struct ev_poll *p = list_entry(s->cursor, struct ev_poll, link);

		s->cursor = s->cursor->next;
		if (!p->arm(p->arg))
			list_del(&p->link);
	}
	s->cursor = NULL;
	return list_empty(&s->awake);
}

static bool fall_asleep(struct ev_spin *s, uint64_t window)
{
	if (!arm_all(s)) {
		s->since = 0;
		return false;
	}
	s->asleep = true;
	if (window)
		add(&s->misses, 1);
	return true;
}

bool ev_spin(struct ev *ev)
{
	struct ev_spin *s = &ev->spin;
	uint64_t now, begin, window = MIN(get(&s->window), get(&s->max));
	unsigned int busy = 0;

	if (list_empty(&s->awake))
		return true;
	begin = now = sys_now_ns(ev->sys);
	while (now - begin < patience(s, now) && busy < BUSY_MAX) {
		uint64_t was = now;

		busy += ev_look(ev);
		now = sys_now_ns(ev->sys);
		if (!s->since)
			s->since = now;
		else
			add(&s->ns, now - was);
		if (atomic_load_explicit(&s->called, memory_order_relaxed))
			return false;
		if (s->idle && now - s->since >= window) {
			if (fall_asleep(s, window))
				return true;
			busy++;
		}
		__builtin_ia32_pause();
	}
	return false;
}
