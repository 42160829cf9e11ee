// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>

#include "virtio/vhostd/vhostd_priv.h"

const struct opt disk_opts[] = { { .type = OPT_END } };

int disks_new(struct vhostd *d, struct err *e)
{
	d->disks = NULL;
	return 0;
}

void disks_free(struct disks *k)
{
}

int disk_add(struct disks *k, const char *text, struct err *e)
{
	return err_set(e, -ENOSYS, "disks are not served yet");
}

int disk_del(struct disks *k, const char *name, struct err *e)
{
	return err_set(e, -ENOENT, "there is no disk %.60s", name);
}

void disks_rows(struct disks *k, json_t *rows)
{
}

void disks_stat(struct disks *k, json_t *rows)
{
}
