// SPDX-License-Identifier: BSD-3-Clause
/*
 * driver_override names the one driver that may bind; drivers_probe makes the bus match. new_id is
 * not used: it would claim every device with those ids, and for good. What counts is the driver
 * link afterwards.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "sriov/bind.h"
#include "sriov/priv.h"

static int unbind(struct sriov *c, const struct sriov_fn *f, const char *b, struct err *e)
{
	int rc;

	if (!f->driver[0])
		return 0;
	rc = sys_file_write(c->sys, b, PCI_DEV "%s/driver/unbind", b);
	/* Unbound by somebody else in between. */
	if (rc == -ENOENT || rc == -ENODEV)
		rc = 0;
	return rc ? err_sys(e, rc, "cannot unbind %s from %s", b, f->driver) : 0;
}

static int set_override(struct sriov *c, const char *b, const char *driver, struct err *e)
{
	int rc;

	/* An empty write would not arrive: a newline clears. */
	rc = sys_file_write(c->sys, driver[0] ? driver : "\n", PCI_DEV "%s/driver_override", b);
	return rc ? err_sys(e, rc, "cannot write the driver_override of %s", b) : 0;
}

static int probe(struct sriov *c, struct bdf fn, const char *b, const char *driver, struct err *e)
{
	struct sriov_fn now;
	int rc, prc;

	/* The write may fail though the driver is bound, and work though none is. */
	prc = sys_file_write(c->sys, b, "/sys/bus/pci/drivers_probe");
	rc = sriov_fn_get(c, fn, &now, e);
	if (rc || !strcmp(now.driver, driver))
		return rc;
	if (now.driver[0])
		return err_set(e, -EBUSY, "%s: %s took it instead of %s", b, now.driver, driver);
	if (!sys_exists(c->sys, "/sys/bus/pci/drivers/%s", driver))
		return err_set(e, -ENODEV, "%s: there is no driver %s (modprobe %s)", b, driver,
			       driver);
	return err_set(e, prc ? prc : -ENODEV, "%s: driver %s does not bind (dmesg may say why)", b,
		       driver);
}

int sriov_bind(struct sriov *c, struct bdf fn, const char *driver, struct err *e)
{
	char b[BDF_STRLEN];
	struct sriov_fn f;
	int rc;

	bdf_format(b, fn);
	rc = sriov_fn_get(c, fn, &f, e);
	if (rc || !strcmp(f.driver, driver))
		return rc;
	/* First the override: from the unbinding on, an event might make the kernel probe again. */
	if (driver[0]) {
		rc = set_override(c, b, driver, e);
		if (rc)
			return rc;
	}
	rc = unbind(c, &f, b, e);
	if (rc || !driver[0])
		return rc;
	return probe(c, fn, b, driver, e);
}

static bool one_of(const char *word, const char *a, const char *b, const char *d)
{
	return !strcmp(word, a) || !strcmp(word, b) || !strcmp(word, d);
}

int sriov_bind_undo(struct sriov *c, struct bdf fn, const char *ours, const char *driver,
		    const char *override, struct err *e)
{
	char b[BDF_STRLEN];
	struct sriov_fn f;
	int rc;

	bdf_format(b, fn);
	rc = sriov_fn_get(c, fn, &f, e);
	if (rc)
		return rc;
	/* All that we and an interrupted undo leave behind; anything else is somebody's wish. */
	if (!one_of(f.driver, ours, driver, "") || !one_of(f.override, ours, override, driver))
		return 1;
	if (strcmp(f.driver, driver)) {
		rc = unbind(c, &f, b, e);
		/* The override lets the old driver in even where autoprobe is off for VFs. */
		if (!rc && driver[0])
			rc = set_override(c, b, driver, e);
		if (!rc && driver[0])
			rc = probe(c, fn, b, driver, e);
		if (rc)
			return rc;
	}
	/* Even if it reads the same now: the steps above may have written it. */
	if (!strcmp(f.override, override) && !strcmp(f.driver, driver))
		return 0;
	return set_override(c, b, override, e);
}

int sriov_reset(struct sriov *c, struct bdf fn, struct err *e)
{
	char b[BDF_STRLEN];
	int rc;

	rc = sys_file_write(c->sys, "1", PCI_DEV "%s/reset", bdf_format(b, fn));
	if (rc == -ENOENT)
		return err_set(e, -EOPNOTSUPP, "%s has no reset", b);
	return rc ? err_sys(e, rc, "cannot reset %s", b) : 0;
}
