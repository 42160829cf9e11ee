// SPDX-License-Identifier: BSD-3-Clause
/*
 * The back end of vhost-user against front ends that do as they should not: wrong messages at every
 * level of a connection's life. After each of them nothing may be left: no mapping, no descriptor,
 * no running queue; and the next front end must be served.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "tests/unit/wire/backfix.h"

/* ---- form: size, descriptors, flags -------------------------------------------------------------
 */

struct shape {
	uint32_t req, size;
	unsigned int nfds;
};

/* A right form of each message that the codec knows. */
static const struct shape shapes[] = {
	{ VU_GET_FEATURES, 0, 0 },
	{ VU_SET_FEATURES, 8, 0 },
	{ VU_SET_OWNER, 0, 0 },
	{ VU_RESET_OWNER, 0, 0 },
	{ VU_SET_MEM_TABLE, 40, 1 },
	{ VU_SET_VRING_NUM, 8, 0 },
	{ VU_SET_VRING_ADDR, 40, 0 },
	{ VU_SET_VRING_BASE, 8, 0 },
	{ VU_GET_VRING_BASE, 8, 0 },
	{ VU_SET_VRING_KICK, 8, 1 },
	{ VU_SET_VRING_CALL, 8, 1 },
	{ VU_SET_VRING_ERR, 8, 1 },
	{ VU_GET_PROTOCOL_FEATURES, 0, 0 },
	{ VU_SET_PROTOCOL_FEATURES, 8, 0 },
	{ VU_GET_QUEUE_NUM, 0, 0 },
	{ VU_SET_VRING_ENABLE, 8, 0 },
	{ VU_GET_CONFIG, 12 + 4, 0 },
	{ VU_SET_CONFIG, 12 + 4, 0 },
	{ VU_GET_INFLIGHT_FD, 24, 0 },
	{ VU_SET_INFLIGHT_FD, 24, 1 },
	{ VU_GET_MAX_MEM_SLOTS, 0, 0 },
	{ VU_ADD_MEM_REG, 40, 1 },
	{ VU_REM_MEM_REG, 40, 0 },
	{ VU_SET_STATUS, 8, 0 },
	{ VU_GET_STATUS, 0, 0 },
};

struct bad {
	uint32_t req, flags, size;
	unsigned int nfds;
	const char *what;
};

static void one_bad_form(struct fix *f, enum fix_level level, const struct bad *b)
{
	uint8_t payload[FIX_PAYLOAD];
	unsigned int fds = openfds(), drops = fix_info(f).drops;
	int fd[VU_FDS_MAX + 8];
	char what[96];

	snprintf(what, sizeof(what), "%s, %s, level %d", vu_req_name(b->req), b->what, (int)level);
	memset(payload, 0, sizeof(payload));
	for (unsigned int i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = f->memfd;
	fix_reach(f, level);
	fix_send(f, b->req, b->flags, payload, b->size, fd, b->nfds);
	fix_turn(f);
	/* A payload that is said to come and does not: the end of file is the last word. */
	if (b->size > 400)
		shutdown(f->fd, SHUT_WR);
	fix_check_gone(f, fds, what);
	assert_true(fix_info(f).drops >= drops);
}

static void test_forms(void **state)
{
	struct fix f;

	fix_init(&f, false);
	for (int level = 0; level < FIX_LEVELS; level++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(shapes); i++) {
			const struct shape *s = &shapes[i];
			const struct bad bad[] = {
				{ s->req, 0, s->size + 1, s->nfds, "a byte more" },
				{ s->req, 0, s->size + 500, s->nfds, "much more" },
				{ s->req, 0, s->size - 1, s->nfds, "a byte less" },
				{ s->req, 0, s->size, s->nfds + 1, "a descriptor more" },
				{ s->req, 0, s->size, VU_FDS_MAX, "many descriptors" },
				{ s->req, 0, s->size, VU_FDS_MAX + 8, "too many descriptors" },
				{ s->req, 0, s->size, s->nfds - 1, "a descriptor less" },
				{ s->req, VU_REPLY, s->size, s->nfds, "a reply" },
				{ s->req, 2, s->size, s->nfds, "another version" },
			};

			for (unsigned int j = 0; j < ARRAY_SIZE(bad); j++) {
				if ((!s->size && j == 2) || (!s->nfds && j == 6))
					continue;
				/* A removal may bring a descriptor, which is closed. */
				if (s->req == VU_REM_MEM_REG && j == 3)
					continue;
				one_bad_form(&f, level, &bad[j]);
			}
		}
	}
	fix_check_next(&f);
	fix_fini(&f);
}

/* Numbers that are no request, and requests that were not offered. */
static void test_unknown(void **state)
{
	static const uint32_t reqs[] = { 0,  6,	 7,  19, 20, 21, 22, 23, 26, 27,  28,	     29,
					 30, 33, 34, 35, 41, 42, 43, 44, 64, 255, UINT32_MAX };
	struct fix f;

	fix_init(&f, false);
	for (int level = 0; level < FIX_LEVELS; level++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(reqs); i++) {
			struct bad b = { reqs[i], 0, 8, 0, "unknown" };

			one_bad_form(&f, level, &b);
			b.nfds = 1;
			one_bad_form(&f, level, &b);
		}
	}
	fix_check_next(&f);
	fix_fini(&f);
}

/* ---- content ------------------------------------------------------------------------------------
 */

struct content {
	const char *what;
	uint32_t req;
	enum fix_level from; /* levels below: refused for another reason, and so all the same */
	void (*send)(struct fix *f);
};

static void send_regions(struct fix *f, const struct vu_region *r, unsigned int n)
{
	struct vu_mem_table t = { .n = n };
	int fd[VU_MEM_MAX];

	for (unsigned int i = 0; i < n; i++) {
		t.r[i] = r[i];
		fd[i] = f->memfd;
	}
	fix_send(f, VU_SET_MEM_TABLE, 0, &t, 8 + n * (uint32_t)sizeof(*r), fd, n);
}

static void send_region(struct fix *f, uint64_t gpa, uint64_t size, uint64_t uva, uint64_t off)
{
	struct vu_region r = { gpa, size, uva, off };
	struct vu_one_region one = { .r = r };

	/* Alone, or behind others where there are some. */
	if (f->protocol && f->maps)
		fix_send(f, VU_ADD_MEM_REG, 0, &one, sizeof(one), &f->memfd, 1);
	else
		send_regions(f, &r, 1);
}

static void mem_empty(struct fix *f)
{
	send_region(f, 1ull << 40, 0, 1ull << 40, 0);
}

static void mem_gpa_wraps(struct fix *f)
{
	send_region(f, UINT64_MAX - 0xfff, 0x2000, 1ull << 40, 0);
}

static void mem_uva_wraps(struct fix *f)
{
	send_region(f, 1ull << 40, 0x2000, UINT64_MAX - 0xfff, 0);
}

static void mem_off_wraps(struct fix *f)
{
	send_region(f, 1ull << 40, 0x2000, 1ull << 40, UINT64_MAX - 0xfff);
}

static void mem_all(struct fix *f)
{
	send_region(f, 0, UINT64_MAX, 0, 0);
}

/* The file is shorter than what is said to be in it. */
static void mem_truncated(struct fix *f)
{
	send_region(f, 1ull << 40, FIX_MEM + 1, 1ull << 40, 0);
}

static void mem_behind(struct fix *f)
{
	send_region(f, 1ull << 40, 0x1000, 1ull << 40, FIX_MEM);
}

static void mem_overlap_gpa(struct fix *f)
{
	struct vu_region r[2] = { fix_region(), fix_region() };

	r[1].gpa += r[0].size - 1;
	r[1].uva += r[0].size;
	send_regions(f, r, 2);
}

static void mem_overlap_uva(struct fix *f)
{
	struct vu_region r[3] = { fix_region(), fix_region(), fix_region() };

	r[1].gpa += r[0].size;
	r[1].uva += r[0].size;
	r[2].gpa += 2 * r[0].size;
	r[2].uva -= r[0].size - 1;
	send_regions(f, r, 3);
}

static void mem_no_file(struct fix *f)
{
	struct vu_mem_table t = { .n = 1, .r = { fix_region() } };

	fix_send(f, VU_SET_MEM_TABLE, 0, &t, 40, &f->kick[0], 1);
}

static void mem_rem_unknown(struct fix *f)
{
	struct vu_one_region o = { .r = fix_region() };

	o.r.size--;
	fix_send(f, VU_REM_MEM_REG, 0, &o, sizeof(o), NULL, 0);
}

/* The rings are in it. */
static void mem_rem_used(struct fix *f)
{
	struct vu_region r[2] = { fix_region(), fix_region() };
	struct vu_one_region o = { .r = fix_region() };

	r[1].gpa += r[0].size;
	r[1].uva += r[0].size;
	send_regions(f, r, 2);
	fix_send(f, VU_REM_MEM_REG, 0, &o, sizeof(o), NULL, 0);
	fix_turn(f);
}

static void feature_unknown(struct fix *f)
{
	fix_u64(f, VU_SET_FEATURES, FIX_FEATURES | 1);
}

static void protocol_unknown(struct fix *f)
{
	fix_u64(f, VU_SET_PROTOCOL_FEATURES, 1ull << 63);
}

static void owner_twice(struct fix *f)
{
	fix_send(f, VU_SET_OWNER, 0, NULL, 0, NULL, 0);
}

static void status_wide(struct fix *f)
{
	fix_u64(f, VU_SET_STATUS, 0x100);
}

static void config_far(struct fix *f)
{
	struct vu_config c = { .off = 255, .size = 2 };

	fix_send(f, VU_GET_CONFIG, 0, &c, 12 + 2, NULL, 0);
}

static void config_wraps(struct fix *f)
{
	struct vu_config c = { .off = UINT32_MAX, .size = 2 };

	fix_send(f, VU_GET_CONFIG, 0, &c, 12 + 2, NULL, 0);
}

static void config_write_far(struct fix *f)
{
	struct vu_config c = { .off = UINT32_MAX - 1, .size = 2 };

	fix_send(f, VU_SET_CONFIG, 0, &c, 12 + 2, NULL, 0);
}

static void num_queue(struct fix *f)
{
	fix_vring(f, VU_SET_VRING_NUM, FIX_QUEUES, 16);
}

static void num_zero(struct fix *f)
{
	fix_vring(f, VU_SET_VRING_NUM, 3, 0);
}

static void num_huge(struct fix *f)
{
	fix_vring(f, VU_SET_VRING_NUM, 3, 65536);
}

static void base_queue(struct fix *f)
{
	fix_vring(f, VU_SET_VRING_BASE, UINT32_MAX, 0);
}

static void get_base_queue(struct fix *f)
{
	fix_vring(f, VU_GET_VRING_BASE, FIX_QUEUES, 0);
}

static void enable_queue(struct fix *f)
{
	fix_vring(f, VU_SET_VRING_ENABLE, FIX_QUEUES, 1);
}

static void enable_two(struct fix *f)
{
	fix_vring(f, VU_SET_VRING_ENABLE, 0, 2);
}

static void kick_queue(struct fix *f)
{
	fix_fd(f, VU_SET_VRING_KICK, 255, f->kick[0]);
}

static void call_queue(struct fix *f)
{
	fix_fd(f, VU_SET_VRING_CALL, FIX_QUEUES, f->call[0]);
}

static void err_queue(struct fix *f)
{
	fix_fd(f, VU_SET_VRING_ERR, FIX_QUEUES, -1);
}

static void addr_queue(struct fix *f)
{
	struct vu_vring_addr a = { .index = FIX_QUEUES };

	fix_send(f, VU_SET_VRING_ADDR, 0, &a, sizeof(a), NULL, 0);
}

static void addr_log(struct fix *f)
{
	struct vu_vring_addr a = { .index = 3, .flags = 1 };

	fix_send(f, VU_SET_VRING_ADDR, 0, &a, sizeof(a), NULL, 0);
}

static void running_num(struct fix *f)
{
	fix_vring(f, VU_SET_VRING_NUM, 0, 16);
}

static void running_base(struct fix *f)
{
	fix_vring(f, VU_SET_VRING_BASE, 0, 0);
}

static void running_addr(struct fix *f)
{
	struct vu_vring_addr a = { .index = 0 };

	fix_send(f, VU_SET_VRING_ADDR, 0, &a, sizeof(a), NULL, 0);
}

static void running_features(struct fix *f)
{
	fix_u64(f, VU_SET_FEATURES, 1ull << 32);
}

static void running_protocol(struct fix *f)
{
	fix_u64(f, VU_SET_PROTOCOL_FEATURES, 0);
}

/* Starts queue 2 with one thing wrong. */
static void start_with(struct fix *f, uint32_t num, uint32_t base, uint64_t desc, uint64_t avail,
		       uint64_t used)
{
	struct vu_vring_addr a = fix_addr(f, 2);

	a.desc += desc;
	a.avail += avail;
	a.used += used;
	fix_vring(f, VU_SET_VRING_NUM, 2, num);
	fix_vring(f, VU_SET_VRING_BASE, 2, base);
	fix_send(f, VU_SET_VRING_ADDR, 0, &a, sizeof(a), NULL, 0);
	fix_vring(f, VU_SET_VRING_ENABLE, 2, 1);
	fix_fd(f, VU_SET_VRING_KICK, 2, f->kick[2]);
}

static void start_size(struct fix *f)
{
	start_with(f, 15, 0, 0, 0, 0);
}

static void start_desc_odd(struct fix *f)
{
	start_with(f, 16, 0, 1, 0, 0);
}

static void start_used_odd(struct fix *f)
{
	start_with(f, 16, 0, 0, 0, 2);
}

static void start_desc_out(struct fix *f)
{
	start_with(f, 16, 0, FIX_MEM, 0, 0);
}

static void start_avail_out(struct fix *f)
{
	start_with(f, 16, 0, 0, UINT64_MAX - FIX_UVA, 0);
}

/* The last bytes of the ring are not memory any more. */
static void start_used_across(struct fix *f)
{
	start_with(f, 16, 0, 0, 0, FIX_MEM - 0x40000 * 3 - 8);
}

static void start_huge(struct fix *f)
{
	start_with(f, 32768, 0, 0, FIX_MEM - 0x40000 * 2 - 0x1000, 0);
}

static void inflight_bad(struct fix *f, uint64_t size, uint64_t off, uint16_t nq, uint16_t qs)
{
	struct vu_inflight_desc d = { size, off, nq, qs };

	fix_send(f, VU_SET_INFLIGHT_FD, 0, &d, sizeof(d), &f->memfd, 1);
	fix_turn(f);
}

static void inflight_small(struct fix *f)
{
	inflight_bad(f, 64, 0, 4, 256);
}

static void inflight_wraps(struct fix *f)
{
	inflight_bad(f, 0x10000, UINT64_MAX - 0xffff, 1, 16);
}

static void inflight_behind(struct fix *f)
{
	inflight_bad(f, FIX_MEM, 0x1000, 1, 16);
}

static void inflight_odd(struct fix *f)
{
	inflight_bad(f, 0x10000, 4, 1, 16);
}

static void inflight_queues(struct fix *f)
{
	inflight_bad(f, 0x10000, 0, FIX_QUEUES + 1, 16);
}

static void inflight_none(struct fix *f)
{
	inflight_bad(f, 0x10000, 0, 0, 0);
}

static void inflight_huge(struct fix *f)
{
	inflight_bad(f, UINT64_MAX, 0, FIX_QUEUES, 65535);
}

static void inflight_get_none(struct fix *f)
{
	struct vu_inflight_desc d = { 0 };

	fix_send(f, VU_GET_INFLIGHT_FD, 0, &d, sizeof(d), NULL, 0);
}

static void inflight_no_file(struct fix *f)
{
	struct vu_inflight_desc d = { 0x10000, 0, 1, 16 };

	fix_send(f, VU_SET_INFLIGHT_FD, 0, &d, sizeof(d), &f->kick[0], 1);
}

static const struct content contents[] = {
	{ "empty region", VU_SET_MEM_TABLE, FIX_CONNECTED, mem_empty },
	{ "gpa wraps", VU_SET_MEM_TABLE, FIX_CONNECTED, mem_gpa_wraps },
	{ "uva wraps", VU_SET_MEM_TABLE, FIX_CONNECTED, mem_uva_wraps },
	{ "offset wraps", VU_SET_MEM_TABLE, FIX_CONNECTED, mem_off_wraps },
	{ "all there is", VU_SET_MEM_TABLE, FIX_CONNECTED, mem_all },
	{ "truncated file", VU_SET_MEM_TABLE, FIX_CONNECTED, mem_truncated },
	{ "behind the file", VU_SET_MEM_TABLE, FIX_CONNECTED, mem_behind },
	{ "gpas overlap", VU_SET_MEM_TABLE, FIX_CONNECTED, mem_overlap_gpa },
	{ "uvas overlap", VU_SET_MEM_TABLE, FIX_CONNECTED, mem_overlap_uva },
	{ "an eventfd as memory", VU_SET_MEM_TABLE, FIX_CONNECTED, mem_no_file },
	{ "removal of none", VU_REM_MEM_REG, FIX_CONNECTED, mem_rem_unknown },
	{ "removal under rings", VU_REM_MEM_REG, FIX_RUNNING, mem_rem_used },
	{ "feature not offered", VU_SET_FEATURES, FIX_CONNECTED, feature_unknown },
	{ "protocol feature not offered", VU_SET_PROTOCOL_FEATURES, FIX_CONNECTED,
	  protocol_unknown },
	{ "owner twice", VU_SET_OWNER, FIX_OWNED, owner_twice },
	{ "wide status", VU_SET_STATUS, FIX_CONNECTED, status_wide },
	{ "config behind its end", VU_GET_CONFIG, FIX_CONNECTED, config_far },
	{ "config wraps", VU_GET_CONFIG, FIX_CONNECTED, config_wraps },
	{ "config written far", VU_SET_CONFIG, FIX_CONNECTED, config_write_far },
	{ "queue of NUM", VU_SET_VRING_NUM, FIX_CONNECTED, num_queue },
	{ "no entries", VU_SET_VRING_NUM, FIX_CONNECTED, num_zero },
	{ "many entries", VU_SET_VRING_NUM, FIX_CONNECTED, num_huge },
	{ "queue of BASE", VU_SET_VRING_BASE, FIX_CONNECTED, base_queue },
	{ "queue of GET_BASE", VU_GET_VRING_BASE, FIX_CONNECTED, get_base_queue },
	{ "queue of ENABLE", VU_SET_VRING_ENABLE, FIX_CONNECTED, enable_queue },
	{ "enable two", VU_SET_VRING_ENABLE, FIX_CONNECTED, enable_two },
	{ "queue of KICK", VU_SET_VRING_KICK, FIX_CONNECTED, kick_queue },
	{ "queue of CALL", VU_SET_VRING_CALL, FIX_CONNECTED, call_queue },
	{ "queue of ERR", VU_SET_VRING_ERR, FIX_CONNECTED, err_queue },
	{ "queue of ADDR", VU_SET_VRING_ADDR, FIX_CONNECTED, addr_queue },
	{ "logging", VU_SET_VRING_ADDR, FIX_CONNECTED, addr_log },
	{ "NUM while it runs", VU_SET_VRING_NUM, FIX_RUNNING, running_num },
	{ "BASE while it runs", VU_SET_VRING_BASE, FIX_RUNNING, running_base },
	{ "ADDR while it runs", VU_SET_VRING_ADDR, FIX_RUNNING, running_addr },
	{ "features while it runs", VU_SET_FEATURES, FIX_RUNNING, running_features },
	{ "protocol while it runs", VU_SET_PROTOCOL_FEATURES, FIX_RUNNING, running_protocol },
	{ "a size of 15", 0, FIX_RUNNING, start_size },
	{ "odd descriptors", 0, FIX_RUNNING, start_desc_odd },
	{ "odd used ring", 0, FIX_RUNNING, start_used_odd },
	{ "descriptors outside", 0, FIX_RUNNING, start_desc_out },
	{ "avail ring outside", 0, FIX_RUNNING, start_avail_out },
	{ "used ring across the end", 0, FIX_RUNNING, start_used_across },
	{ "a ring larger than memory", 0, FIX_RUNNING, start_huge },
	{ "small inflight", VU_SET_INFLIGHT_FD, FIX_CONNECTED, inflight_small },
	{ "inflight wraps", VU_SET_INFLIGHT_FD, FIX_CONNECTED, inflight_wraps },
	{ "inflight behind the file", VU_SET_INFLIGHT_FD, FIX_CONNECTED, inflight_behind },
	{ "odd inflight", VU_SET_INFLIGHT_FD, FIX_CONNECTED, inflight_odd },
	{ "inflight for more queues", VU_SET_INFLIGHT_FD, FIX_CONNECTED, inflight_queues },
	{ "inflight for none", VU_SET_INFLIGHT_FD, FIX_CONNECTED, inflight_none },
	{ "huge inflight", VU_SET_INFLIGHT_FD, FIX_CONNECTED, inflight_huge },
	{ "inflight asked for none", VU_GET_INFLIGHT_FD, FIX_CONNECTED, inflight_get_none },
	{ "an eventfd as inflight", VU_SET_INFLIGHT_FD, FIX_CONNECTED, inflight_no_file },
};

static void test_contents(void **state)
{
	struct fix f;

	fix_init(&f, false);
	for (unsigned int i = 0; i < ARRAY_SIZE(contents); i++) {
		const struct content *c = &contents[i];
		unsigned int fds = openfds();

		for (int level = c->from; level < FIX_LEVELS; level++) {
			uint64_t drops = fix_info(&f).drops;

			fix_reach(&f, level);
			c->send(&f);
			fix_check_gone(&f, fds, c->what);
			if (fix_info(&f).drops != drops + 1 || !fix_info(&f).last[0])
				fail_msg("%s: no word about it", c->what);
		}
	}
	fix_check_next(&f);
	fix_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_contents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
