// SPDX-License-Identifier: BSD-3-Clause
/*
 * The way of a packet through the switch, on the poll loop of its receive queue.
 *
 * Packets of a burst mostly belong together: a run of the same destination is found and sent as
 * one. The decision for a pair of addresses is remembered per receive queue as long as the station
 * table does not change and its clock does not tick, so most packets cost two comparisons.
 *
 * A run that is long enough is sent at once; shorter ones wait in a buffer per destination until it
 * is full or the round ends. A receive queue always uses the same queue of a destination, so the
 * order within a flow stays.
 */
#include <rte_cycles.h>
#include <rte_ether.h>

#include "virtio/vhostd/off.h"
#include "virtio/vhostd/sw_priv.h"

#define SEND_AT_ONCE 8	/* packets of a run */
#define TICK_SHIFT   31 /* cycles to ticks of about a second */

/* What is done with a packet, beside the index of its port. */
enum { OUT_FLOOD = -1, OUT_DROP = OUT_FLOOD - FLOOD_N };

const char *const sw_drop_names[DROP_N] = {
	[DROP_BAD] = "bad",	[DROP_VLAN] = "vlan",	    [DROP_SAME_PORT] = "same-port",
	[DROP_FLOOD] = "flood", [DROP_NOBODY] = "nobody",   [DROP_NO_BUFFER] = "no-buffer",
	[DROP_DOWN] = "down",	[DROP_OFFLOAD] = "offload",
};

uint32_t sw_now(void)
{
	return (uint32_t)(rte_rdtsc() >> TICK_SHIFT);
}

double sw_tick_s(void)
{
	return (double)(1ull << TICK_SHIFT) / (double)rte_get_tsc_hz();
}

static void count_batch(struct sw_count *c, unsigned int n)
{
	c->hist[MIN(31u - (unsigned int)__builtin_clz(n), SW_HIST - 1u)]++;
}

static uint64_t bytes_of(struct rte_mbuf **m, unsigned int n)
{
	uint64_t bytes = 0;
	unsigned int i;

	for (i = 0; i < n; i++)
		bytes += m[i]->pkt_len;
	return bytes;
}

/* ---- out ---- */

static void send_now(struct sw_txb *b, unsigned int q, struct rte_mbuf **m, unsigned int n,
		     uint64_t bytes)
{
	struct sw_port *p = b->port;
	unsigned int sent, ntx = atomic_load_explicit(&p->ntx, memory_order_acquire);
	struct sw_count *c;

	if (q >= ntx)
		q = ntx ? q % ntx : 0;
	c = &b->count[q];
	if (!ntx) {
		c->drops[DROP_DOWN] += n;
		rte_pktmbuf_free_bulk(m, n);
		return;
	}
	/* Sent ones may not be looked at any more where tx owns them. */
	sent = p->ops->tx(p, q, m, (uint16_t)n);
	if (sent < n) {
		bytes -= bytes_of(m + sent, n - sent);
		c->drops[DROP_NO_BUFFER] += n - sent;
	}
	c->packets += sent;
	c->bytes += bytes;
	count_batch(c, n);
	if (!p->ops->owns)
		rte_pktmbuf_free_bulk(m, n);
	else if (sent < n)
		rte_pktmbuf_free_bulk(m + sent, n - sent);
}

static void txb_flush(struct sw_txb *b)
{
	unsigned int n = b->n;

	b->n = 0;
	if (n)
		send_now(b, b->q, b->m, n, bytes_of(b->m, n));
}

static void txb_put(struct sw_lane *l, struct sw_txb *b, struct rte_mbuf **m, unsigned int n)
{
	while (n) {
		unsigned int i, k = MIN(n, SW_BURST - b->n);

		for (i = 0; i < k; i++)
			b->m[b->n + i] = m[i];
		b->n += k;
		m += k;
		n -= k;
		if (b->n == SW_BURST)
			txb_flush(b);
	}
	if (b->n && !b->dirty) {
		b->dirty = true;
		l->dirty[l->ndirty++] = (uint16_t)b->port->index;
	}
}

static void lane_send(struct sw_lane *l, unsigned int port, unsigned int q, struct rte_mbuf **m,
		      unsigned int n, uint64_t bytes)
{
	struct sw_txb *b = l->txb[port];

	if (b->n && b->q != q)
		txb_flush(b);
	b->q = q;
	if (!b->n && n >= SEND_AT_ONCE)
		send_now(b, q, m, n, bytes);
	else
		txb_put(l, b, m, n);
}

/* A round ends. */
void sw_lane_flush(void *arg)
{
	struct sw_lane *l = arg;
	unsigned int i;

	for (i = 0; i < l->ndirty; i++) {
		struct sw_txb *b = l->txb[l->dirty[i]];

		b->dirty = false;
		txb_flush(b);
	}
	l->ndirty = 0;
}

/* ---- where to ---- */

/* The address in the low 48 bits, its first octet lowest. */
static uint64_t dst_of(const uint64_t head[2])
{
	return head[0] & 0xffffffffffffull;
}

static uint64_t src_of(const uint64_t head[2])
{
	return head[1] & 0xffffffffffffull;
}

static bool is_group(uint64_t mac)
{
	return mac & 1;
}

static bool is_tagged(const uint64_t head[2])
{
	uint16_t type = rte_be_to_cpu_16((uint16_t)(head[1] >> 48));

	return type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ;
}

static int decide(struct sw_rxq *q, const uint64_t head[2])
{
	struct sw_port *p = q->port;
	uint64_t dst = dst_of(head), src = src_of(head);
	int out;

	if (is_group(src) || !src)
		return OUT_DROP - DROP_BAD;
	if (p->vlan && is_tagged(head))
		return OUT_DROP - DROP_VLAN;
	fdb_learn(p->sw->fdb, src, p->index, q->tick);
	if (is_group(dst))
		return OUT_FLOOD - (dst == 0xffffffffffffull ? FLOOD_BROADCAST : FLOOD_MULTICAST);
	out = fdb_find(p->sw->fdb, dst, p->vlan);
	if (out == (int)p->index)
		return OUT_DROP - DROP_SAME_PORT;
	return out < 0 ? OUT_FLOOD - FLOOD_UNKNOWN : out;
}

/* As decide(), from memory where that is as good. */
static int decide_flow(struct sw_rxq *q, const uint64_t head[2])
{
	struct sw_flow *f = &q->flow[(head[0] * 5 ^ head[1] >> 40 ^ head[0] >> 40) % SW_FLOWS];

	if (f->head[0] == head[0] && f->head[1] == head[1])
		return f->out;
	f->out = decide(q, head);
	f->head[0] = head[0];
	f->head[1] = head[1];
	return f->out;
}

/* What is remembered holds for one state of the table and one tick of its clock. */
static void flows_check(struct sw_rxq *q)
{
	uint32_t gen = fdb_gen(q->port->sw->fdb), tick = sw_now();
	unsigned int i;

	if (q->gen == gen && q->tick == tick)
		return;
	q->gen = gen;
	q->tick = tick;
	for (i = 0; i < SW_FLOWS; i++)
		q->flow[i].head[0] = q->flow[i].head[1] = 0;
}

/* ---- floods ---- */

/* A rate with a tenth of a second's worth at once. */
static bool flood_allowed(struct sw_port *p, unsigned int kind)
{
	uint64_t now = rte_rdtsc(), due;
	bool ok;

	if (!p->flood_cycles)
		return true;
	rte_spinlock_lock(&p->flood_lock);
	due = MAX(p->flood_due[kind], now);
	ok = due - now <= rte_get_tsc_hz() / 10;
	if (ok)
		p->flood_due[kind] = due + p->flood_cycles;
	rte_spinlock_unlock(&p->flood_lock);
	return ok;
}

/* Ports that a flood of p goes to. */
static unsigned int flood_ports(const struct sw_port *p, struct sw_port **to, bool *tso, bool *csum)
{
	unsigned int i, n = 0, high = atomic_load_explicit(&p->sw->high, memory_order_acquire);

	for (i = 0; i < high; i++) {
		struct sw_port *o = atomic_load_explicit(&p->sw->port[i], memory_order_acquire);

		if (!o || o == p || o->vlan != p->vlan || !atomic_load(&o->ntx))
			continue;
		*tso &= atomic_load_explicit(&o->tso, memory_order_relaxed);
		*csum &= atomic_load_explicit(&o->csum, memory_order_relaxed);
		to[n++] = o;
	}
	return n;
}

/* A reference for each further port: each frees all segments. */
static void mbuf_share(struct rte_mbuf *m, unsigned int more)
{
	for (; m; m = m->next)
		rte_mbuf_refcnt_update(m, (int16_t)more);
}

static void flood_one(struct sw_rxq *q, struct sw_port **to, unsigned int nto, struct rte_mbuf *m)
{
	unsigned int i;

	mbuf_share(m, nto - 1);
	for (i = 0; i < nto; i++)
		lane_send(q->lane, to[i]->index, q->q, &m, 1, m->pkt_len);
}

/* Cut and fill in what not all of the receivers take as it is. */
static void flood_fixed(struct sw_rxq *q, struct sw_port **to, unsigned int nto, struct rte_mbuf *m,
			bool tso, bool csum)
{
	struct rte_mbuf *seg[OFF_SEGS_MAX];
	int i, n = off_fix(sw_pool(q->port->sw), m, tso, csum, seg);

	if (n < 0)
		q->count.drops[DROP_OFFLOAD]++;
	for (i = 0; i < n; i++)
		flood_one(q, to, nto, seg[i]);
}

static void flood(struct sw_rxq *q, unsigned int kind, struct rte_mbuf **m, unsigned int n)
{
	struct sw_port *to[SW_PORTS];
	bool tso = true, csum = true;
	unsigned int i, nto = flood_ports(q->port, to, &tso, &csum);

	for (i = 0; i < n; i++) {
		enum sw_drop why = nto ? DROP_FLOOD : DROP_NOBODY;

		if (nto && flood_allowed(q->port, kind)) {
			flood_fixed(q, to, nto, m[i], tso, csum);
			continue;
		}
		q->count.drops[why]++;
		rte_pktmbuf_free(m[i]);
	}
}

/* ---- in ---- */

/* The receiver does not take what some of these need. */
static void send_fixed(struct sw_rxq *q, const struct sw_port *to, struct rte_mbuf **m,
		       unsigned int n)
{
	bool tso = atomic_load_explicit(&to->tso, memory_order_relaxed);
	bool csum = atomic_load_explicit(&to->csum, memory_order_relaxed);
	struct rte_mbuf *seg[OFF_SEGS_MAX];
	unsigned int i;
	int k;

	for (i = 0; i < n; i++) {
		k = off_fix(sw_pool(q->port->sw), m[i], tso, csum, seg);
		if (k < 0)
			q->count.drops[DROP_OFFLOAD]++;
		else
			lane_send(q->lane, to->index, q->q, seg, (unsigned int)k,
				  bytes_of(seg, (unsigned int)k));
	}
}

/* A run of packets with one fate. */
static void run_out(struct sw_rxq *q, int out, struct rte_mbuf **m, unsigned int n, uint64_t bytes,
		    uint64_t ol)
{
	struct sw_port *to;

	if (out <= OUT_DROP) {
		q->count.drops[OUT_DROP - out] += n;
		rte_pktmbuf_free_bulk(m, n);
		return;
	}
	if (out < 0) {
		flood(q, (unsigned int)(OUT_FLOOD - out), m, n);
		return;
	}
	to = atomic_load_explicit(&q->port->sw->port[out], memory_order_acquire);
	if (unlikely(!to)) {
		q->count.drops[DROP_DOWN] += n;
		rte_pktmbuf_free_bulk(m, n);
	} else if (unlikely(off_needed(ol, to->tso, to->csum))) {
		send_fixed(q, to, m, n);
	} else {
		lane_send(q->lane, (unsigned int)out, q->q, m, n, bytes);
	}
}

/* Frames that have no whole header: out of the way, so that nobody reads beyond them. */
static uint16_t drop_short(struct sw_rxq *q, struct rte_mbuf **m, uint16_t n)
{
	uint16_t i, k = 0;

	for (i = 0; i < n; i++) {
		if (likely(m[i]->data_len >= RTE_ETHER_HDR_LEN)) {
			m[k++] = m[i];
			continue;
		}
		q->count.drops[DROP_BAD]++;
		rte_pktmbuf_free(m[i]);
	}
	return k;
}

static inline void head_load(uint64_t head[2], const struct rte_mbuf *m)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);

	memcpy(&head[0], p, 8);
	memcpy(&head[1], p + 6, 8);
}

void sw_input(struct sw_rxq *q, struct rte_mbuf **m, uint16_t n)
{
	uint64_t head[2], last[2] = { 0, 0 }, bytes = 0, ol = 0, total = 0;
	int out = OUT_DROP, run = OUT_DROP;
	unsigned int i, start = 0;

	q->count.packets += n;
	count_batch(&q->count, n);
	n = drop_short(q, m, n);
	flows_check(q);
	for (i = 0; i < n; i++) {
		head_load(head, m[i]);
		if (head[0] != last[0] || head[1] != last[1]) {
			out = decide_flow(q, head);
			last[0] = head[0];
			last[1] = head[1];
		}
		if (out != run) {
			if (i > start)
				run_out(q, run, m + start, i - start, bytes, ol);
			total += bytes;
			start = i;
			run = out;
			bytes = ol = 0;
		}
		bytes += m[i]->pkt_len;
		ol |= m[i]->ol_flags;
	}
	if (n > start)
		run_out(q, run, m + start, n - start, bytes, ol);
	q->count.bytes += total + bytes;
}
