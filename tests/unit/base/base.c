// SPDX-License-Identifier: BSD-3-Clause
/* Addresses, errors, small files, limited logging. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "base/bdf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mac.h"
#include "tests/unit/fake/fakesys.h"

static void test_bdf(void **state)
{
	static const char *const bad[] = { "",	      "1",	   "01:00",    "01:20.0",
					   "01:00.8", "0100:00.0", "01:00.0x", "10000:01:00.0",
					   " 1:0.0",  "0:0:0:0.0", "01:00.",   ":00.0",
					   "01::0.0", "-1:00.0" };
	char buf[BDF_STRLEN];
	struct bdf b;

	assert_int_equal(bdf_parse(&b, "0001:a2:1f.7"), 0);
	assert_string_equal(bdf_format(buf, b), "0001:a2:1f.7");
	assert_int_equal(bdf_rid(b), 0xa2ff);
	assert_int_equal(bdf_parse(&b, "01:10.2"), 0);
	assert_string_equal(bdf_format(buf, b), "0000:01:10.2");
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(bdf_parse(&b, bad[i]), -EINVAL);
	assert_string_equal(bdf_format(buf, b), "0000:01:10.2");
}

static void test_mac(void **state)
{
	static const char *const bad[] = { "",
					   "52:54:00:aa:bb",
					   "52:54:00:aa:bb:cc:",
					   "5:54:00:aa:bb:cc",
					   "52-54-00-aa-bb-cc",
					   "gg:54:00:aa:bb:cc" };
	char buf[MAC_STRLEN];
	struct mac m;

	assert_int_equal(mac_parse(&m, "52:54:00:AA:bb:cc"), 0);
	assert_string_equal(mac_format(buf, &m), "52:54:00:aa:bb:cc");
	assert_false(mac_is_zero(&m) || mac_is_multicast(&m));
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(mac_parse(&m, bad[i]), -EINVAL);
	assert_int_equal(mac_parse(&m, "01:00:00:00:00:00"), 0);
	assert_true(mac_is_multicast(&m));
	assert_int_equal(mac_parse(&m, "00:00:00:00:00:00"), 0);
	assert_true(mac_is_zero(&m));
}

static void test_err(void **state)
{
	char big[3000];
	struct err e = { 0 };

	assert_int_equal(err_sys(&e, -ENOENT, "open %s", "/x"), -ENOENT);
	err_prefix(&e, "port %s: ", "net0");
	err_append(&e, " (check it)");
	assert_string_equal(e.text, "port net0: open /x: No such file or directory (check it)");
	assert_int_equal(e.code, -ENOENT);
	memset(big, 'a', sizeof(big));
	big[sizeof(big) - 1] = 0;
	err_prefix(&e, "%s", big);
	err_append(&e, "%s", big);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	assert_int_equal(err_set(NULL, -EIO, "lost"), -EIO);
	err_clear(&e);
	assert_int_equal(e.code, 0);
}

static void test_sysfile(void **state)
{
	struct fakesys *f = fakesys_new();
	struct sys *s = fakesys_sys(f);
	char buf[16];
	uint64_t v;

	fakesys_file(f, "/sys/a/num", "0x10\n");
	fakesys_link(f, "/sys/b", "a");
	fakesys_link(f, "/sys/a/driver", "../../bus/drivers/vfio-pci");
	assert_int_equal(sys_file_read_u64(s, &v, "/sys/%s/num", "b"), 0);
	assert_int_equal(v, 16);
	assert_int_equal(sys_link_base(s, buf, sizeof(buf), "/sys/b/driver"), 0);
	assert_string_equal(buf, "vfio-pci");
	assert_int_equal(sys_link_base(s, buf, 4, "/sys/b/driver"), -ENAMETOOLONG);
	assert_int_equal(sys_file_write(s, "12 monkeys", "/sys/a/num"), 0);
	assert_int_equal(sys_file_read_u64(s, &v, "/sys/a/num"), -EINVAL);
	assert_int_equal(sys_file_read(s, buf, 5, "/sys/a/num"), -EFBIG);
	assert_int_equal(sys_file_read(s, buf, sizeof(buf), "/sys/none"), -ENOENT);
	assert_true(sys_exists(s, "/sys/b/num"));
	assert_false(sys_exists(s, "/sys/b/none"));
	for (unsigned int n = 1; n <= 2; n++) {
		fakesys_fail_nth(f, n, -EIO);
		assert_int_equal(sys_file_read(s, buf, sizeof(buf), "/sys/a/num"), -EIO);
		assert_int_equal(fakesys_open_fds(f), 0);
	}
	fakesys_free(f);
}

/* Others have guest RAM too: what one of them could take away would be a SIGBUS of ours. */
static void test_memfd_stays(void **state)
{
	struct sys *s = sys_host();
	int fd = sys_memfd(s, "test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(sys_ftruncate(s, fd, 65536), 0);
	assert_int_equal(sys_ftruncate(s, fd, 4096), -EPERM);
	assert_int_equal(sys_ftruncate(s, fd, 131072), 0);
	/* nor can anybody keep the next one from mapping it */
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	sys_close(s, &fd);
}

static void sink(void *arg, enum log_level level, const char *line)
{
	++*(int *)arg;
}

static void test_log_limited(void **state)
{
	int lines = 0;
	struct log log = { .level = LOG_WARN, .sink = sink, .arg = &lines };
	struct log_limit lim = { 0 };

	for (int i = 0; i < 1000; i++)
		log_limited(&log, &lim, LOG_WARN, "guest does it again");
	assert_int_equal(lines, 5);
	assert_int_equal(lim.dropped, 995);
	log_info(&log, "below the level");
	log_err(NULL, "nowhere");
	assert_int_equal(lines, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bdf),	    cmocka_unit_test(test_mac),
		cmocka_unit_test(test_err),	    cmocka_unit_test(test_sysfile),
		cmocka_unit_test(test_log_limited), cmocka_unit_test(test_memfd_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
