// SPDX-License-Identifier: BSD-3-Clause
/*
 * Packets of a hostile guest: chains of any shape with any header go through the transmit queue
 * into nowhere. Input: a byte of ring kind and features, then for each packet a byte for its number
 * of pieces, their lengths (two bytes each) and its header. Each packet is sent or counted.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "virtio/net_priv.h"
#include "virtio/ring/vqd.h"
#include "vmm/core/vm.h"

#define QSIZE 16u
#define GPA   0x10000ull
#define AREA  KIB(64)
#define BUF   KIB(128)
#define RAM   (AREA + BUF)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct in {
	const uint8_t *p;
	size_t left;
};

static void take(struct in *in, void *out, size_t n)
{
	size_t have = MIN(n, in->left);

	memset(out, 0, n);
	memcpy(out, in->p, have);
	in->p += have;
	in->left -= have;
}

/* Adds one packet; false: no more. Its pieces share memory with those of others, as a guest may. */
static bool add(struct in *in, struct vqd *d, uint8_t *buf)
{
	uint8_t pieces, hdr[NET_HDR];
	struct iovec iov[32];
	uint16_t len;
	size_t at = 0;

	if (!in->left)
		return false;
	take(in, &pieces, 1);
	pieces = pieces % 32 + 1;
	for (unsigned int i = 0; i < pieces; i++) {
		take(in, &len, 2);
		len = (uint16_t)MIN(MAX(len, 1), (int)(BUF - at));
		iov[i] = (struct iovec){ buf + at, len };
		at = (at + len) % (BUF - 65536);
	}
	take(in, hdr, sizeof(hdr));
	memcpy(buf, hdr, sizeof(hdr));
	return !vqd_add(d, iov, pieces, 0, d);
}

static void serve(struct vnet *n, struct vqd *d, const uint8_t *hdr_of, struct in *in)
{
	struct net_tx *t = &n->pair[0].tx;
	uint64_t seen = 0, added = 0, kicks = 0, calls = 0;

	while (!t->s.vq.broken && add(in, d, (uint8_t *)(uintptr_t)hdr_of)) {
		kicks += vqd_publish(d);
		net_tx_serve(&t->s);
		calls += vq_publish(&t->s.vq);
		while (vqd_get(d, &(uint32_t){ 0 }))
			;
		added++;
	}
	seen = net_get(&t->n.bufs);
	for (unsigned int i = 0; i < VIO_NET_DROPS; i++)
		seen += net_get(&t->n.drop[i]);
	BUG_ON(seen != added || kicks > added || calls > added);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vnet *n = calloc(1, sizeof(*n) + sizeof(n->pair[0]));
	struct vm *vm = calloc(1, sizeof(*vm));
	struct net_pair *p = &n->pair[0];
	struct in in = { data, size };
	static uint8_t ram[RAM] __attribute__((aligned(4096)));
	uint8_t kind;
	struct vqd_cfg c = { .size = QSIZE, .gpa0 = GPA };
	struct vq_mem mem = { 0 };
	struct vq_cfg a;
	struct vqd *d;

	BUG_ON(!n || !vm);
	take(&in, &kind, 1);
	c.packed = kind & 1;
	c.event_idx = kind & 2;
	c.indirect = kind & 4;
	c.hva = c.area = ram;
	BUG_ON(vqd_area(&c) > AREA || vqd_new(&c, &d) || vq_mem_add(&mem, GPA, RAM, ram));
	vqd_addrs(d, &a);
	vm->sys = sys_host();
	n->vio.dev.vm = vm;
	n->vio.q[1].kick = -1;
	n->npairs = 1;
	n->acked = net_depend(net_offer(true, 1, 1500) & ~(kind & 8 ? NETF(CSUM) : 0));
	n->host_up = n->admin_up = true;
	p->net = n;
	p->tx.p = p;
	p->wanted = true;
	p->fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	p->tx.iov = calloc(NET_IOV + 1, sizeof(*p->tx.iov));
	p->tx.s = (struct vio_serve){ .v = &n->vio, .q = 1, .on = true };
	BUG_ON(p->fd < 0 || !p->tx.iov || vq_start(&p->tx.s.vq, &mem, &a));
	serve(n, d, ram + AREA, &in);
	vqd_free(d);
	sys_close(vm->sys, &p->fd);
	free(p->tx.iov);
	free(vm);
	free(n);
	return 0;
}
