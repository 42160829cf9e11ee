/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SRIOV_CM_H
#define TESTS_SRIOV_CM_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/sriov/world.h"

#define assert_has(text, part)                                          \
	do {                                                            \
		if (!strstr(text, part))                                \
			fail_msg("'%s' does not say '%s'", text, part); \
	} while (0)

/* Succeeds, or says in words why not. */
#define assert_ok(call, e)                                           \
	do {                                                         \
		int rc_ = (call);                                    \
		if (rc_)                                             \
			fail_msg("%s: %d %s", #call, rc_, (e).text); \
	} while (0)

/* The state is as in the dump, which is freed; what: says where we are when it is not. */
static inline void assert_same_at(struct world *w, char *before, const char *what, unsigned int n)
{
	char *now = world_dump(w);
	size_t i = 0, bol = 0;

	for (; now[i] && now[i] == before[i]; i++)
		if (now[i] == '\n')
			bol = i + 1;
	if (now[i] != before[i])
		fail_msg("%s %u: was '%.*s', is '%.*s'", what, n, (int)strcspn(before + bol, "\n"),
			 before + bol, (int)strcspn(now + bol, "\n"), now + bol);
	free(now);
	free(before);
}

static inline void assert_same(struct world *w, char *before)
{
	assert_same_at(w, before, "state", 0);
}

static inline struct sriov_take of_pf(const char *pf)
{
	return (struct sriov_take){ .pf = pf };
}

static inline struct mac a_mac(void)
{
	return (struct mac){ { 0x52, 0x54, 0, 0xaa, 0xbb, 0xcc } };
}

/* All settings that igb knows. */
static inline struct sriov_take of_pf_set(const char *pf)
{
	return (struct sriov_take){ .pf = pf,
				    .set = { .has_mac = true,
					     .has_vlan = true,
					     .has_trust = true,
					     .has_spoofchk = true,
					     .has_rate = true,
					     .mac = a_mac(),
					     .vlan = 100,
					     .qos = 3,
					     .trust = true,
					     .spoofchk = false,
					     .rate = 500 } };
}

/* What is wanted by hand: network settings alone. */
static inline int apply_net(struct sriov *c, struct sriov_journal *j, const char *vf,
			    const struct sriov_vf_set *set, struct err *e)
{
	const struct sriov_vf_hand h = { .net = *set };

	return sriov_vf_apply(c, j, vf, &h, e);
}

/* Whoever types "vf" commands. */
struct admin {
	struct proc *p;
	struct sriov_journal *j;
	struct err e;
};

static inline void admin_open(struct admin *a)
{
	assert_ok(sriov_journal_open_admin(&a->p->c, SRIOV_ADMIN, &a->j, &a->e), a->e);
}

#endif
