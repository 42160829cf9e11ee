// SPDX-License-Identifier: BSD-3-Clause
/* The switch between ports that only write down what they get. Poll loops do not run: calls into
 * them run in place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_eal.h>
#include <rte_ether.h>

#include "base/sys.h"
#include "tests/unit/vhostd/sw.h"
#include "virtio/vhostd/lcore.h"
#include "virtio/vhostd/port.h"
#include "virtio/vhostd/sw_priv.h"

/* DPDK keeps what it allocated at its start. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

struct fake_port {
	struct sw_port p;
	unsigned int got, room, last_q;
	uint8_t last[64];
};

struct fix {
	struct vhostd d;
	struct fake_port *port[4];
	struct rte_mempool *pool;
};

static struct fix the;

struct rte_mempool *test_pool(void)
{
	return sw_pool(the.d.sw);
}

static uint16_t fake_tx(struct sw_port *p, unsigned int q, struct rte_mbuf **m, uint16_t n)
{
	struct fake_port *f = container_of(p, struct fake_port, p);
	uint16_t sent = (uint16_t)MIN((unsigned int)n, f->room);

	f->got += sent;
	f->room -= sent;
	f->last_q = q;
	if (sent)
		memcpy(f->last, rte_pktmbuf_mtod(m[sent - 1], void *), 60);
	return sent;
}

static void fake_free(struct sw_port *p)
{
	sw_port_leave(p);
	free(container_of(p, struct fake_port, p));
}

static const struct sw_port_ops fake_ops = { .kind = "fake", .tx = fake_tx, .free = fake_free };

static struct fake_port *port_new(const char *name, uint16_t vlan, uint32_t flood)
{
	struct fake_port *f = calloc(1, sizeof(*f));
	struct port_cfg c = { .name = (char *)name, .vlan = vlan, .flood = flood, .macs = 100 };

	assert_non_null(f);
	port_init(&f->p, &fake_ops, &c);
	f->room = 1000000;
	assert_int_equal(sw_port_add(the.d.sw, &f->p, NULL), 0);
	f->p.ntx = 1;
	assert_non_null(sw_rxq_new(&f->p, 0));
	assert_int_equal(sw_rxq_start(f->p.rxq[0]), 0);
	return f;
}

static unsigned int buffers;

static int setup(void **st)
{
	the.port[0] = port_new("a", 0, 0);
	the.port[1] = port_new("b", 0, 0);
	the.port[2] = port_new("c", 0, 0);
	the.port[3] = port_new("v", 5, 0);
	buffers = rte_mempool_avail_count(test_pool());
	return 0;
}

/* No test may lose a buffer. */
static int teardown(void **st)
{
	sw_ports_free(the.d.sw);
	return rte_mempool_avail_count(test_pool()) == buffers ? 0 : -1;
}

/* n frames from station src to dst come in on port from. dst 0xff: broadcast. */
static void frames(struct fake_port *from, unsigned int dst, unsigned int src, unsigned int n)
{
	struct rte_mbuf *m[SW_BURST];
	unsigned int i;

	for (i = 0; i < n; i++) {
		m[i] = rte_pktmbuf_alloc(test_pool());
		assert_non_null(m[i]);
		memset(rte_pktmbuf_append(m[i], 60), 0, 60);
		memset(rte_pktmbuf_mtod(m[i], uint8_t *), dst == 0xff ? 0xff : 2, 6);
		memset(rte_pktmbuf_mtod_offset(m[i], uint8_t *, 6), 2, 6);
		rte_pktmbuf_mtod(m[i], uint8_t *)[5] = (uint8_t)dst;
		rte_pktmbuf_mtod(m[i], uint8_t *)[11] = (uint8_t)src;
	}
	sw_input(from->p.rxq[0], m, (uint16_t)n);
	sw_lane_flush(from->p.rxq[0]->lane);
}

static uint64_t drops(struct fake_port *f, enum sw_drop why)
{
	return f->p.rxq[0]->count.drops[why];
}

static void learns_then_sends(void **st)
{
	struct fake_port *a = the.port[0], *b = the.port[1], *c = the.port[2], *v = the.port[3];

	frames(a, 2, 1, 3);
	assert_int_equal(b->got, 3);
	assert_int_equal(c->got, 3);
	frames(b, 1, 2, 20);
	assert_int_equal(a->got, 20);
	frames(a, 2, 1, 20);
	assert_int_equal(b->got, 23);
	assert_int_equal(c->got, 3);
	assert_int_equal(v->got, 0);
	/* The station moves. */
	frames(c, 1, 2, 1);
	frames(a, 2, 1, 20);
	assert_int_equal(b->got, 23);
	assert_int_equal(c->got, 23);
}

static void drops_by_cause(void **st)
{
	struct fake_port *a = the.port[0], *b = the.port[1], *v = the.port[3];
	struct rte_mbuf *m = rte_pktmbuf_alloc(test_pool());
	struct sw_count tx;

	rte_pktmbuf_append(m, 13);
	sw_input(a->p.rxq[0], &m, 1);
	assert_int_equal(drops(a, DROP_BAD), 1);
	frames(v, 9, 1, 2);
	assert_int_equal(drops(v, DROP_NOBODY), 2);
	frames(b, 0xff, 2, 1);
	frames(a, 1, 1, 1);
	frames(a, 1, 1, 4);
	assert_int_equal(drops(a, DROP_SAME_PORT), 5);
	b->room = 10;
	b->got = 0;
	frames(a, 2, 1, 32);
	assert_int_equal(b->got, 10);
	sw_tx_count(&b->p, 0, &tx);
	assert_int_equal(tx.drops[DROP_NO_BUFFER], 22);
	assert_int_equal(tx.bytes, 60 * tx.packets);
	b->p.ntx = 0;
	frames(a, 2, 1, 2);
	sw_tx_count(&b->p, 0, &tx);
	assert_int_equal(tx.drops[DROP_DOWN], 2);
}

static void vlans(void **st)
{
	struct fake_port *a = the.port[0], *v = the.port[3], *w = port_new("w", 5, 0);
	struct rte_mbuf *m;

	frames(v, 0xff, 1, 2);
	assert_int_equal(w->got, 2);
	assert_int_equal(a->got, 0);
	frames(w, 1, 3, 2);
	assert_int_equal(v->got, 2);
	m = rte_pktmbuf_alloc(test_pool());
	memset(rte_pktmbuf_append(m, 60), 2, 60);
	rte_pktmbuf_mtod(m, uint8_t *)[12] = 0x81;
	rte_pktmbuf_mtod(m, uint8_t *)[13] = 0;
	sw_input(v->p.rxq[0], &m, 1);
	assert_int_equal(drops(v, DROP_VLAN), 1);
}

static void floods_are_limited(void **st)
{
	struct fake_port *x = port_new("x", 0, 100), *a = the.port[0];
	unsigned int i;

	for (i = 0; i < 10; i++)
		frames(x, 0xff, 1, 32);
	/* A tenth of a second's worth, and what the time of the test adds. */
	assert_true(a->got >= 10);
	assert_true(a->got < 320);
	assert_int_equal(drops(x, DROP_FLOOD), 320 - a->got);
	/* Known stations are not touched by the limit. */
	frames(a, 0xff, 7, 1);
	a->got = 0;
	frames(x, 7, 1, 32);
	assert_int_equal(a->got, 32);
}

static void a_port_goes(void **st)
{
	struct fake_port *a = the.port[0];

	frames(the.port[1], 0xff, 2, 1);
	frames(a, 2, 1, 20);
	assert_int_equal(the.port[1]->got, 20);
	fake_free(&the.port[1]->p);
	assert_null(sw_port_find(the.d.sw, "b"));
	the.port[2]->got = 0;
	frames(a, 2, 1, 5);
	assert_int_equal(the.port[2]->got, 5);
	port_new("b", 0, 0);
}

static void queues_follow_the_sender(void **st)
{
	struct fake_port *a = the.port[0], *b = the.port[1];
	struct sw_rxq *q = sw_rxq_new(&a->p, 5);
	struct rte_mbuf *m = rte_pktmbuf_alloc(test_pool());

	assert_int_equal(sw_rxq_start(q), 0);
	b->p.ntx = 4;
	memset(rte_pktmbuf_append(m, 60), 2, 60);
	rte_pktmbuf_mtod(m, uint8_t *)[5] = 9;
	sw_input(q, &m, 1);
	sw_lane_flush(q->lane);
	assert_int_equal(b->last_q, 1);
}

static int group_setup(void **st)
{
	char *argv[] = { (char *)"t",
			 (char *)"--no-huge",
			 (char *)"--no-pci",
			 (char *)"--no-shconf",
			 (char *)"-m",
			 (char *)"64",
			 (char *)"--lcores",
			 (char *)"0@0",
			 (char *)"--no-telemetry",
			 NULL };
	struct lcore_cfg lc = { 0 };
	struct sw_cfg sc = { .d = &the.d, .mbufs = 2048, .age_s = 300 };

	the.d.sys = sys_host();
	the.d.nlcores = 1;
	return rte_eal_init(ARRAY_SIZE(argv) - 1, argv) < 0 || ev_new(the.d.sys, &the.d.ev) ||
	       lcore_new(&lc, &the.d.lcore[0], NULL) || sw_new(&sc, &the.d.sw, NULL);
}

static int group_teardown(void **st)
{
	sw_free(the.d.sw);
	lcore_free(the.d.lcore[0]);
	ev_free(the.d.ev);
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(learns_then_sends, setup, teardown),
		cmocka_unit_test_setup_teardown(drops_by_cause, setup, teardown),
		cmocka_unit_test_setup_teardown(vlans, setup, teardown),
		cmocka_unit_test_setup_teardown(floods_are_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(a_port_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(queues_follow_the_sender, setup, teardown),
		cmocka_unit_test_setup_teardown(off_checksums, setup, teardown),
		cmocka_unit_test_setup_teardown(off_cuts_tcp, setup, teardown),
		cmocka_unit_test_setup_teardown(off_refuses, setup, teardown),
	};

	return cmocka_run_group_tests_name("vhostd-sw", tests, group_setup, group_teardown);
}
