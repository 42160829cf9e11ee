// SPDX-License-Identifier: BSD-3-Clause
/* Tap interfaces over a fake tun driver: what exists is used as it is, each refusal has its remedy,
 * nothing stays behind; and the n-th call fails, for every n. */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/if_tun.h>
#include <cmocka.h>
#include "tests/unit/fake/fakesys.h"
#include "vmm/backend/tap.h"

#define has(text, word)                                            \
	do {                                                       \
		if (!strstr(text, word))                           \
			fail_msg("'%s' lacks '%s'", (text), word); \
	} while (0)

/* The driver's part. One interface at most. */
struct fix {
	struct fakesys *fs;
	struct sys *s;
	struct tap t;
	struct err e;
	bool exists, is_tap, mq, capable, other_owner, uso, up, gone;
	unsigned int busy; /* queues of somebody else */
	unsigned int attached;
	bool detached[1024];
	int hdrsz;
	unsigned long offload;
	int set_queue_fails_at; /* -1: never */
};

static void put_queues(struct fix *f)
{
	char path[80];

	fakesys_del(f->fs, "/sys/class/net/tap0/queues");
	for (unsigned int i = 0; i < f->attached + f->busy; i++) {
		snprintf(path, sizeof(path), "/sys/class/net/tap0/queues/rx-%u/x", i);
		fakesys_file(f->fs, path, "");
		snprintf(path, sizeof(path), "/sys/class/net/tap0/queues/tx-%u/x", i);
		fakesys_file(f->fs, path, "");
	}
}

static int set_iff(struct fix *f, const struct ifreq *r)
{
	bool mq = r->ifr_flags & IFF_MULTI_QUEUE;

	assert_true((r->ifr_flags & IFF_TAP) && (r->ifr_flags & IFF_NO_PI) &&
		    (r->ifr_flags & IFF_VNET_HDR));
	assert_string_equal(r->ifr_name, "tap0");
	if (!f->exists && !f->capable)
		return -EPERM;
	if (f->exists && (!f->is_tap || mq != f->mq))
		return -EINVAL;
	if (f->other_owner)
		return -EPERM;
	if (f->exists && !mq && f->busy + f->attached)
		return -EBUSY;
	if (!f->exists)
		f->mq = mq;
	f->exists = f->is_tap = true;
	f->attached++;
	put_queues(f);
	return 0;
}

static int set_queue(struct fix *f, int fd, const struct ifreq *r)
{
	bool off = r->ifr_flags == IFF_DETACH_QUEUE;

	if (f->set_queue_fails_at >= 0 && !f->set_queue_fails_at--)
		return -E2BIG;
	if (f->detached[fd] == off)
		return -EINVAL;
	f->detached[fd] = off;
	return 0;
}

static int set_offload(struct fix *f, unsigned long v)
{
	unsigned long known = 0x0f | (f->uso ? 0x60 : 0);

	if (v & ~known || (v && !(v & TUN_F_CSUM)) || (v & 0x60) == 0x20)
		return -EINVAL;
	f->offload = v;
	return 0;
}

static int tun_ioctl(void *arg, int fd, const char *path, unsigned long req, void *data)
{
	struct fix *f = arg;

	if (f->gone)
		return -EBADFD;
	switch (req) {
	case TUNSETIFF:
		return set_iff(f, data);
	case TUNGETIFF:
		strcpy(((struct ifreq *)data)->ifr_name, "tap0");
		return 0;
	case TUNSETVNETHDRSZ:
		f->hdrsz = *(int *)data;
		return 0;
	case TUNGETVNETHDRSZ:
		*(int *)data = f->hdrsz;
		return 0;
	case TUNSETOFFLOAD:
		return set_offload(f, (unsigned long)data);
	case TUNSETQUEUE:
		return set_queue(f, fd, data);
	}
	return -ENOTTY;
}

static int net_ioctl(void *arg, int fd, const char *path, unsigned long req, void *data)
{
	struct fix *f = arg;
	struct ifreq *r = data;

	if (!f->exists || strcmp(r->ifr_name, "tap0"))
		return -ENODEV;
	switch (req) {
	case SIOCGIFINDEX:
		r->ifr_ifindex = 7;
		return 0;
	case SIOCGIFMTU:
		r->ifr_mtu = 1400;
		return 0;
	case SIOCGIFFLAGS:
		r->ifr_flags = f->up ? IFF_UP | IFF_RUNNING : 0;
		return 0;
	case SIOCSIFFLAGS:
		f->up = r->ifr_flags & IFF_UP;
		return 0;
	}
	return -ENOTTY;
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	f->fs = fakesys_new();
	f->s = fakesys_sys(f->fs);
	f->capable = f->uso = true;
	f->hdrsz = 10;
	f->set_queue_fails_at = -1;
	fakesys_file(f->fs, "/dev/net/tun", "");
	fakesys_on_ioctl(f->fs, "/dev/net/tun", tun_ioctl, f);
	fakesys_on_ioctl(f->fs, "socket:", net_ioctl, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;
	int bad = (int)fakesys_open_fds(f->fs);

	fakesys_free(f->fs);
	free(f);
	return bad;
}

static void persistent(struct fix *f, bool mq)
{
	f->exists = f->is_tap = true;
	f->mq = mq;
	put_queues(f);
}

static void refuses(struct fix *f, const char *name, unsigned int n, int code, const char *word,
		    const char *remedy)
{
	err_clear(&f->e);
	assert_int_equal(tap_open(f->s, name, n, &f->t, &f->e), code);
	assert_int_equal(f->e.code, code);
	has(f->e.text, word);
	has(f->e.text, remedy);
	assert_int_equal(fakesys_open_fds(f->fs), 0);
	f->attached = 0;
	tap_close(f->s, &f->t); /* legal after a failure */
}

static void made(void **state)
{
	struct fix *f = *state;

	assert_int_equal(tap_open(f->s, "tap0", 1, &f->t, &f->e), 0);
	assert_true(f->t.made && f->up && !f->mq && f->t.uso);
	assert_int_equal(f->t.mtu, 1400);
	assert_int_equal(f->hdrsz, 12);
	assert_int_equal(f->offload, 0);
	assert_int_equal(tap_link(f->s, &f->t), 1);
	f->up = false;
	assert_int_equal(tap_link(f->s, &f->t), 0);
	f->gone = true;
	assert_int_equal(tap_link(f->s, &f->t), -EBADFD);
	tap_close(f->s, &f->t);
	tap_close(f->s, &f->t);
}

static void used_as_it_is(void **state)
{
	struct fix *f = *state;

	persistent(f, false);
	assert_int_equal(tap_open(f->s, "tap0", 1, &f->t, &f->e), 0);
	assert_false(f->t.made);
	assert_false(f->up); /* whether it is up is its owner's business */
	assert_int_equal(tap_offload(f->s, &f->t, TAP_CSUM | TAP_TSO4), 0);
	tap_close(f->s, &f->t);
	assert_int_equal(f->hdrsz, 10);
	assert_int_equal(f->offload, 0);
	/* One queue of a multiqueue interface. */
	f->attached = 0;
	persistent(f, true);
	assert_int_equal(tap_open(f->s, "tap0", 1, &f->t, &f->e), 0);
	assert_int_equal(f->attached, 1);
	assert_int_equal(f->e.code, 0);
	tap_close(f->s, &f->t);
}

static void several_queues(void **state)
{
	struct fix *f = *state;

	assert_int_equal(tap_open(f->s, "tap0", 4, &f->t, &f->e), 0);
	assert_true(f->mq);
	assert_int_equal(f->attached, 4);
	assert_int_equal(f->t.active, 4);
	assert_int_equal(tap_queues(f->s, &f->t, 1), 0);
	assert_false(f->detached[f->t.fd[0]]);
	for (int i = 1; i < 4; i++)
		assert_true(f->detached[f->t.fd[i]]);
	assert_int_equal(tap_queues(f->s, &f->t, 3), 0);
	assert_false(f->detached[f->t.fd[2]]);
	assert_true(f->detached[f->t.fd[3]]);
	assert_int_equal(tap_queues(f->s, &f->t, 3), 0);
	tap_close(f->s, &f->t);
}

static void queues_all_or_none(void **state)
{
	struct fix *f = *state;

	assert_int_equal(tap_open(f->s, "tap0", 4, &f->t, &f->e), 0);
	f->set_queue_fails_at = 1;
	assert_int_equal(tap_queues(f->s, &f->t, 1), -E2BIG);
	assert_int_equal(f->t.active, 4);
	for (int i = 0; i < 4; i++)
		assert_false(f->detached[f->t.fd[i]]);
	assert_int_equal(tap_queues(f->s, &f->t, 1), 0);
	f->set_queue_fails_at = 2;
	assert_int_equal(tap_queues(f->s, &f->t, 4), -E2BIG);
	assert_int_equal(f->t.active, 1);
	assert_true(f->detached[f->t.fd[1]] && f->detached[f->t.fd[3]]);
	tap_close(f->s, &f->t);
}

static void offloads(void **state)
{
	struct fix *f = *state;

	assert_int_equal(tap_open(f->s, "tap0", 1, &f->t, &f->e), 0);
	assert_int_equal(tap_offload(f->s, &f->t, TAP_TSO4 | TAP_USO), 0);
	assert_int_equal(f->offload, 0); /* no checksum, no segments */
	assert_int_equal(tap_offload(f->s, &f->t, TAP_CSUM | TAP_ECN), 0);
	assert_int_equal(f->offload, TUN_F_CSUM);
	assert_int_equal(tap_offload(f->s, &f->t, 31), 0);
	assert_int_equal(f->offload, 0x6f);
	tap_close(f->s, &f->t);
	/* A kernel without UDP segmentation. */
	f->exists = f->uso = false;
	assert_int_equal(tap_open(f->s, "tap0", 1, &f->t, &f->e), 0);
	assert_false(f->t.uso);
	assert_int_equal(tap_offload(f->s, &f->t, TAP_CSUM | TAP_TSO4 | TAP_TSO6 | TAP_ECN), 0);
	assert_int_equal(f->offload, 0x0f);
	tap_close(f->s, &f->t);
}

static void refusals(void **state)
{
	struct fix *f = *state;

	refuses(f, "", 1, -EINVAL, "no name", "1 to 15");
	refuses(f, "sixteen-letters-", 1, -EINVAL, "no name", "1 to 15");
	refuses(f, "tap%d", 1, -EINVAL, "'tap%d'", "'%'");
	refuses(f, "a/b", 1, -EINVAL, "no name", "'/'");
	f->capable = false;
	refuses(f, "tap0", 1, -EPERM, "CAP_NET_ADMIN", "ip tuntap add dev tap0 mode tap user");
	refuses(f, "tap0", 2, -EPERM, "CAP_NET_ADMIN", "mode tap multi_queue user");
	persistent(f, false);
	refuses(f, "tap0", 2, -EINVAL, "single queue", "queues=1");
	f->busy = 1;
	refuses(f, "tap0", 1, -EBUSY, "in use by another program", "name another");
	refuses(f, "tap0", 2, -EINVAL, "single queue", "multi_queue");
	f->other_owner = true;
	refuses(f, "tap0", 1, -EPERM, "another user", "user $USER");
	refuses(f, "tap0", 2, -EPERM, "another user", "multi_queue");
	f->is_tap = false;
	refuses(f, "tap0", 1, -EINVAL, "is no tap", "name another");
	refuses(f, "tap0", 4, -EINVAL, "is no tap", "name another");
	fakesys_del(f->fs, "/dev/net/tun");
	refuses(f, "tap0", 1, -ENOENT, "there is no /dev/net/tun", "modprobe tun");
	fakesys_file(f->fs, "/dev/net/tun", "");
	fakesys_fail_nth(f->fs, 3, -EACCES);
	refuses(f, "tap0", 1, -EACCES, "no access to /dev/net/tun", "run as root");
}

static void shared(void **state)
{
	struct fix *f = *state;

	persistent(f, true);
	f->busy = 2;
	refuses(f, "tap0", 2, -EBUSY, "2 queues in use by another program", "end it");
	assert_int_equal(f->hdrsz, 10); /* not ours to change */
}

/* Each call of set-up fails once: an error that says something, nothing open, nothing changed. */
static void sweep(struct fix *f, bool exists, unsigned int queues)
{
	struct err e = { 0 };
	unsigned int n = 0;
	int rc;

	for (;;) {
		f->attached = 0;
		f->exists = exists;
		put_queues(f);
		fakesys_fail_nth(f->fs, ++n, -EIO);
		rc = tap_open(f->s, "tap0", queues, &f->t, &e);
		if (!fakesys_failed(f->fs))
			break;
		assert_int_equal(rc, -EIO);
		assert_int_equal(e.code, -EIO);
		assert_true(strlen(e.text) > 10);
		assert_int_equal(fakesys_open_fds(f->fs), 0);
		if (exists) {
			assert_int_equal(f->offload, 0);
			assert_int_equal(f->hdrsz, 10);
		}
		err_clear(&e);
	}
	assert_int_equal(rc, 0);
	assert_true(n > 12);
	fakesys_fail_nth(f->fs, 0, 0);
	tap_close(f->s, &f->t);
}

static void sweep_made(void **state)
{
	sweep(*state, false, 3);
}

static void sweep_existing(void **state)
{
	struct fix *f = *state;

	persistent(f, true);
	sweep(f, true, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(made, setup, teardown),
		cmocka_unit_test_setup_teardown(used_as_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(several_queues, setup, teardown),
		cmocka_unit_test_setup_teardown(queues_all_or_none, setup, teardown),
		cmocka_unit_test_setup_teardown(offloads, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(shared, setup, teardown),
		cmocka_unit_test_setup_teardown(sweep_made, setup, teardown),
		cmocka_unit_test_setup_teardown(sweep_existing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
