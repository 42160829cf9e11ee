// SPDX-License-Identifier: BSD-3-Clause
/* Ports by their argument, as on the command line and on the control socket. */
#include "virtio/vhostd/port.h"

#include <errno.h>
#include <string.h>

static const char *const roles[] = { "server", "client", NULL };

#define OFF(m) offsetof(struct port_cfg, m)
const struct opt port_opts[] = {
	{ "name", OPT_STR, OFF(name), .required = true, .arg = "NAME",
	  .help = "name of the port, in listings and commands" },
	{ "socket", OPT_STR, OFF(socket), .arg = "PATH", .complete = "file",
	  .help = "a vhost-user port: the front end (a machine) meets us at this socket" },
	{ "role", OPT_ENUM, OFF(role), .choices = roles,
	  .help = "our role at the socket. server (the default) makes it, client connects, again and again" },
	{ "pci", OPT_STR, OFF(pci), .arg = "BDF",
	  .help = "a PCI function that a DPDK driver can poll, such as a VF bound to vfio-pci" },
	{ "vdev", OPT_STR, OFF(vdev), .arg = "DEVICE",
	  .help = "a virtual device of DPDK, such as net_tap0,,iface=t0 or net_pcap0,,iface=eth0" },
	{ "queues", OPT_U32, OFF(queues), .min = 1, .max = SW_QUEUES,
	  .help = "queue pairs at most (16; for pci and vdev as many as loops)" },
	{ "vlan", OPT_U32, OFF(vlan), .min = 1, .max = 4094,
	  .help = "VLAN whose ports this one sees; its frames are untagged (no VLAN: tags pass unseen)" },
	{ "flood", OPT_U32, OFF(flood), .max = 100000000,
	  .help = "broadcasts, multicasts and frames to unknown stations taken each second, of each kind (10000; 0: all)" },
	{ "macs", OPT_U32, OFF(macs), .min = 1, .max = 8192,
	  .help = "stations learnt on this port at most (1024)" },
	{ "offload", OPT_BOOL, OFF(offload),
	  .help = "offer checksum and segmentation offload to a vhost-user port (on); done in software where the receiver cannot" },
	{ .type = OPT_END },
};

void port_init(struct sw_port *p, const struct sw_port_ops *ops, const struct port_cfg *c)
{
	p->ops = ops;
	snprintf(p->name, sizeof(p->name), "%s", c->name);
	p->vlan = (uint16_t)c->vlan;
	p->flood = c->flood;
	p->macs = c->macs;
}

static int port_check(const struct port_cfg *c, struct err *e)
{
	if (strlen(c->name) >= VHOSTD_NAME)
		return err_set(e, -EINVAL, "a name has at most %d characters", VHOSTD_NAME - 1);
	if (!!c->socket + !!c->pci + !!c->vdev != 1)
		return err_set(e, -EINVAL, "give one of socket=, pci= and vdev=");
	return 0;
}

int port_add(struct sw *sw, const char *text, struct err *e)
{
	struct port_cfg c = { .flood = 10000, .macs = 1024, .offload = 1 };
	int ret = opt_parse_kv(port_opts, &c, text, e);

	if (!ret)
		ret = port_check(&c, e);
	if (!ret && sw_port_find(sw, c.name))
		ret = err_set(e, -EEXIST, "there is a port of this name already");
	if (!ret)
		ret = c.socket ? port_vhost_new(sw, &c, e) : port_eth_new(sw, &c, e);
	if (ret && c.name)
		err_prefix(e, "port %.31s: ", c.name);
	else if (ret)
		err_prefix(e, "port: ");
	opt_free(port_opts, &c);
	return ret;
}

int port_del(struct sw *sw, const char *name, struct err *e)
{
	struct sw_port *p = sw_port_find(sw, name);

	if (!p)
		return err_set(e, -ENOENT, "there is no port %.31s", name);
	p->ops->free(p);
	return 0;
}

bool port_fault(struct sw *sw, const void *addr)
{
	for (unsigned int i = 0; i < SW_PORTS; i++) {
		struct sw_port *p = sw_port_at(sw, i);

		if (p && p->ops->fault && p->ops->fault(p, addr))
			return true;
	}
	return false;
}

int ports_give(struct sw *sw, uid_t uid, gid_t gid)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < SW_PORTS; i++) {
		struct sw_port *p = sw_port_at(sw, i);

		if (p && p->ops->give)
			ret = p->ops->give(p, uid, gid);
	}
	return ret;
}
