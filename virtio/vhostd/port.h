/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VHOSTD_PORT_H
#define VIRTIO_VHOSTD_PORT_H

#include <sys/types.h>

#include "virtio/vhostd/bus.h"
#include "virtio/vhostd/sw.h"

/** struct port_cfg - what --port says; exactly one of socket, pci, vdev */
struct port_cfg {
	bool pad; /* offset 0 means "none" in option tables */
	char *name, *socket, *pci, *vdev;
	int role, offload;
	uint32_t queues, vlan, flood, macs;
};
enum { PORT_SERVER, PORT_CLIENT };

extern const struct opt port_opts[];

/** port_add() - a port from its argument, "name=N,socket=PATH". Control loop, as the rest. */
int port_add(struct sw *sw, const char *text, struct err *e) __must_check;
int port_del(struct sw *sw, const char *name, struct err *e) __must_check;
/** port_fault() - p was touched and is not there: drop whose memory it was; false: no port's. */
bool port_fault(struct sw *sw, const void *p);

/** ports_give() - the sockets that ports made, and folders made for them, get another owner. */
int ports_give(struct sw *sw, uid_t uid, gid_t gid) __must_check;

int port_vhost_new(struct sw *sw, const struct port_cfg *c, struct err *e) __must_check;
int port_eth_new(struct sw *sw, const struct port_cfg *c, struct err *e) __must_check;

/** port_init() - fill in the part of struct sw_port that all kinds share. */
void port_init(struct sw_port *p, const struct sw_port_ops *ops, const struct port_cfg *c);

/*
 * librte_vhost calls back without an argument of ours. glue.c, which is part of the program and not
 * of the library, remembers the switch.
 */
struct sw *glue_sw(void);
void glue_set_sw(struct sw *sw);
struct bus *glue_bus(void); /* nor has a signal handler one */
void glue_set_bus(struct bus *b);
/** glue_locked() - fn(arg) while no port goes; for readers on threads of DPDK's. */
void glue_locked(void (*fn)(void *arg), void *arg);

#endif
