/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SRIOV_BIND_H
#define SRIOV_BIND_H

#include "sriov/pf.h"

#define SRIOV_VFIO_DRIVER "vfio-pci"

/**
 * sriov_bind() - bring a function under a driver: driver_override, unbind, drivers_probe, then look
 * @driver: its name; "" unbinds only
 *
 * The override is left naming @driver. Writes nothing when the function is there already.
 * Return: 0; -ENODEV: no function or no such driver (says "modprobe ..."); -EBUSY: another driver
 * took it.
 */
int sriov_bind(struct sriov *c, struct bdf fn, const char *driver, struct err *e) __must_check;

/**
 * sriov_bind_undo() - back to a driver and an override
 * @ours:     the driver we bound; @driver, @override: as before ("" for none)
 *
 * May be called in any state in between (a crash), and again.
 * Return: 0; 1: somebody else changed driver or override meanwhile: left alone; -errno.
 */
int sriov_bind_undo(struct sriov *c, struct bdf fn, const char *ours, const char *driver,
		    const char *override, struct err *e) __must_check;

/** sriov_reset() - reset the function through sysfs; -EOPNOTSUPP when it has no reset. */
int sriov_reset(struct sriov *c, struct bdf fn, struct err *e) __must_check;

/** enum sriov_use - how much a function is in use, from not at all to held by another process. */
enum sriov_use {
	SRIOV_IDLE, /* free: unbound, or bound with nobody behind it */
	SRIOV_UP,   /* an interface that is up, but carries no address; another device with a driver
		     */
	SRIOV_BUSY, /* the host needs it: addresses, a default route, a mounted disk */
	SRIOV_HELD, /* another process has its VFIO group open */
};

/**
 * sriov_fn_in_use() - does a process or the host itself use the function now?
 * @why: filled with a few words: "interface eth3 is up", "group 8 is open in another process",
 *	 "nvme1n1 is mounted or claimed"; "" when idle
 * Return: enum sriov_use or -errno. Takes nothing, changes nothing.
 */
int sriov_fn_in_use(struct sriov *c, const struct sriov_fn *fn, char *why,
		    size_t size) __must_check;

#endif
