// SPDX-License-Identifier: BSD-3-Clause
/* Listings and statistics of the switch. Counters have one writer each; readers take what they see.
 */
#include <string.h>

#include "base/mac.h"
#include "virtio/vhostd/sw_priv.h"

const char *const sw_hist_names[SW_HIST] = { "1", "2-3", "4-7", "8-15", "16-31", "32-63", "64-" };

void sw_count_add(struct sw_count *sum, const struct sw_count *c)
{
	unsigned int i;

	sum->packets += c->packets;
	sum->bytes += c->bytes;
	for (i = 0; i < SW_HIST; i++)
		sum->hist[i] += c->hist[i];
	for (i = 0; i < DROP_N; i++)
		sum->drops[i] += c->drops[i];
}

void sw_tx_count(const struct sw_port *p, unsigned int q, struct sw_count *out)
{
	unsigned int i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < p->sw->nlanes; i++)
		sw_count_add(out, &p->sw->lane[i]->txb[p->index]->count[q]);
}

static uint64_t drops_of(const struct sw_count *c)
{
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i < DROP_N; i++)
		n += c->drops[i];
	return n;
}

static void port_sums(const struct sw_port *p, struct sw_count *rx, struct sw_count *tx)
{
	struct sw_count c;
	unsigned int q;

	memset(rx, 0, sizeof(*rx));
	memset(tx, 0, sizeof(*tx));
	for (q = 0; q < SW_QUEUES; q++) {
		if (p->rxq[q])
			sw_count_add(rx, &p->rxq[q]->count);
		sw_tx_count(p, q, &c);
		sw_count_add(tx, &c);
	}
}

void sw_ports_rows(struct sw *sw, json_t *rows)
{
	struct sw_count rx, tx;
	unsigned int i;
	json_t *o;

	for (i = 0; i < SW_PORTS; i++) {
		struct sw_port *p = sw_port_at(sw, i);

		if (!p)
			continue;
		port_sums(p, &rx, &tx);
		o = json_pack("{s:s, s:s, s:i, s:b, s:i, s:I, s:I, s:I, s:I, s:I}", "port", p->name,
			      "kind", p->ops->kind, "vlan", (int)p->vlan, "up", p->ntx != 0,
			      "queues", (int)p->ntx, "in", (json_int_t)rx.packets, "in-bytes",
			      (json_int_t)rx.bytes, "out", (json_int_t)tx.packets, "out-bytes",
			      (json_int_t)tx.bytes, "drops",
			      (json_int_t)(drops_of(&rx) + drops_of(&tx)));
		if (o && p->ops->info)
			p->ops->info(p, o);
		json_array_append_new(rows, o);
	}
}

static json_t *count_json(const struct sw_count *c)
{
	json_t *h = json_object(), *d = json_object();
	unsigned int i;

	for (i = 0; i < SW_HIST; i++)
		json_object_set_new(h, sw_hist_names[i], json_integer((json_int_t)c->hist[i]));
	for (i = 0; i < DROP_N; i++)
		if (c->drops[i])
			json_object_set_new(d, sw_drop_names[i],
					    json_integer((json_int_t)c->drops[i]));
	return json_pack("{s:I, s:I, s:o, s:o}", "packets", (json_int_t)c->packets, "bytes",
			 (json_int_t)c->bytes, "batches", h, "drops", d);
}

void sw_stat_rows(struct sw *sw, json_t *rows)
{
	struct sw_count tx;
	unsigned int i, q;
	json_t *o, *queues;

	for (i = 0; i < SW_PORTS; i++) {
		struct sw_port *p = sw_port_at(sw, i);

		if (!p)
			continue;
		queues = json_array();
		for (q = 0; q < SW_QUEUES; q++) {
			sw_tx_count(p, q, &tx);
			if (!p->rxq[q] && !tx.packets && !drops_of(&tx))
				continue;
			o = json_pack("{s:i, s:o}", "queue", (int)q, "out", count_json(&tx));
			if (p->rxq[q])
				json_object_set_new(o, "in", count_json(&p->rxq[q]->count));
			if (p->rxq[q] && p->rxq[q]->lcore)
				json_object_set_new(o, "loop",
						    json_integer(lcore_index(p->rxq[q]->lcore)));
			json_array_append_new(queues, o);
		}
		json_array_append_new(rows,
				      json_pack("{s:s, s:o}", "port", p->name, "queues", queues));
	}
}

struct macs_arg {
	struct sw *sw;
	json_t *rows;
};

static void macs_row(void *arg, uint64_t mac, unsigned int port, uint32_t age)
{
	struct macs_arg *a = arg;
	struct sw_port *p = sw_port_at(a->sw, port);
	char text[MAC_STRLEN];
	struct mac m;

	memcpy(m.b, &mac, sizeof(m.b));
	mac_format(text, &m);
	if (p)
		json_array_append_new(a->rows, json_pack("{s:s, s:i, s:s, s:i}", "mac", text,
							 "vlan", (int)p->vlan, "port", p->name,
							 "age", (int)((double)age * sw_tick_s())));
}

void sw_macs_rows(struct sw *sw, json_t *rows)
{
	struct macs_arg a = { sw, rows };

	fdb_each(sw->fdb, sw_now(), macs_row, &a);
}
