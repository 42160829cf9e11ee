// SPDX-License-Identifier: BSD-3-Clause
/* What can be measured, and under what names. */
#include <errno.h>
#include <string.h>

#include "bench/bench.h"

#define DISK(n, g, t, u, d, s)                                            \
	{                                                                 \
		n, g, t, BENCH_DISK, u, d, s, true, true, BENCH_PEER_NONE \
	}
#define NET(n, g, t, u, d, s, pay, peer)                                  \
	{                                                                 \
		n, g, t, BENCH_NET, u, d, s, true, pay, BENCH_PEER_##peer \
	}
#define CPU(n, t)                                                                      \
	{                                                                              \
		n, n, t, BENCH_CPU_TOPIC, BENCH_NS, 0, 0, false, true, BENCH_PEER_NONE \
	}
#define MEM(n, t, u)                                                         \
	{                                                                    \
		n, n, t, BENCH_MEMORY, u, 0, 0, false, true, BENCH_PEER_NONE \
	}

const struct bench_load bench_loads[] = {
	DISK("disk-read-4k-d1", "disk-read", "random read 4 KiB, depth 1", BENCH_OPS, 1, 4096),
	DISK("disk-read-4k-d32", "disk-read", "random read 4 KiB, depth 32", BENCH_OPS, 32, 4096),
	DISK("disk-read-4k-d128", "disk-read", "random read 4 KiB, depth 128", BENCH_OPS, 128,
	     4096),
	DISK("disk-write-4k-d1", "disk-write", "random write 4 KiB, depth 1", BENCH_OPS, 1, 4096),
	DISK("disk-write-4k-d32", "disk-write", "random write 4 KiB, depth 32", BENCH_OPS, 32,
	     4096),
	DISK("disk-read-128k-d8", "disk-read", "read 128 KiB, depth 8", BENCH_BYTES, 8, 131072),
	DISK("disk-flush", "disk-flush", "flush", BENCH_OPS, 1, 4096),
	NET("net-echo-64", "net-echo", "request and response, 64 bytes", BENCH_OPS, 1, 64, true,
	    ECHO),
	NET("net-tx-64", "net-tx", "send packets of 64 bytes", BENCH_PACKETS, 32, 64, true, NONE),
	NET("net-tx-1518", "net-tx", "send packets of 1518 bytes", BENCH_PACKETS, 32, 1518, true,
	    NONE),
	NET("net-rx-64", "net-rx", "receive packets of 64 bytes", BENCH_PACKETS, 32, 64, true,
	    FLOOD),
	NET("net-tcp-tx", "net-tcp-tx", "send over TCP, 64 KiB each", BENCH_BYTES, 1, 65536, false,
	    SINK),
	NET("net-tcp-rx", "net-tcp-rx", "receive over TCP, 64 KiB each", BENCH_BYTES, 1, 65536,
	    false, SOURCE),
	CPU("exit-cpuid", "exit: CPUID"),
	CPU("exit-hypercall", "exit: hypercall"),
	CPU("exit-pio-user", "exit: port I/O to user space"),
	CPU("exit-mmio-user", "exit: memory-mapped I/O to user space"),
	CPU("exit-pio-ioeventfd", "exit: port I/O to an ioeventfd"),
	CPU("exit-mmio-ioeventfd", "exit: memory-mapped I/O to an ioeventfd"),
	CPU("irq-latency", "interrupt by irqfd"),
	MEM("touch-4k", "first touch of a page of 4 KiB", BENCH_NS),
	MEM("touch-2m", "first touch of a page of 2 MiB", BENCH_NS),
	MEM("touch-stream", "writing through memory", BENCH_BYTES),
	{ 0 },
};

static const char *const topics[] = { "net", "disk", "cpu", "memory", NULL };

static const char *const modes[] = {
	"none", "emulated", "emulated-ioeventfd", "emulated-shadow", "virtio", "vhost-user",
	"vfio", NULL
};

const char *bench_topic_name(enum bench_topic t)
{
	return topics[t];
}

const char *bench_mode_name(enum bench_mode m)
{
	return modes[m];
}

const char *bench_vmm_name(enum bench_vmm v)
{
	return v == BENCH_QEMU ? "qemu" : "sluice";
}

static int word_index(const char *const *words, const char *w, size_t n)
{
	int i;

	for (i = 0; words[i]; i++)
		if (strlen(words[i]) == n && !strncmp(words[i], w, n))
			return i;
	return -1;
}

/* A list of words with commas between, as a mask of their places in a table. */
static int mask_parse(const char *const *words, unsigned int all, unsigned int *mask,
		      const char *text, struct err *e)
{
	const char *near;
	char word[32];

	if (!strcmp(text, "all")) {
		*mask = all;
		return 0;
	}
	for (*mask = 0;; text++) {
		size_t n = strcspn(text, ",");
		int i = word_index(words, text, n);

		if (i < 0) {
			snprintf(word, sizeof(word), "%.*s", (int)MIN(n, sizeof(word) - 1), text);
			near = opt_nearest_word(words, word);
			return err_set(e, -EINVAL, "\"%s\" is none that is known%s%s%s", word,
				       near ? " (did you mean " : "", near ? near : "",
				       near ? "?)" : "");
		}
		*mask |= 1u << i;
		text += n;
		if (!*text)
			return 0;
	}
}

int bench_mode_parse(unsigned int *mask, const char *text, struct err *e)
{
	/* The two improved ones are for who asks. */
	const unsigned int all = 1u << BENCH_M_EMULATED | 1u << BENCH_M_VIRTIO |
				 1u << BENCH_M_VHOST_USER | 1u << BENCH_M_VFIO;
	int ret = mask_parse(modes, all, mask, text, e);

	if (!ret && *mask & 1u << BENCH_M_NONE)
		ret = err_set(e, -EINVAL, "\"none\" is no mode to ask for");
	if (ret)
		err_append(e, ": emulated, emulated-ioeventfd, emulated-shadow, virtio, "
			      "vhost-user, vfio, or all");
	return ret;
}

int bench_topic_parse(unsigned int *mask, const char *text, struct err *e)
{
	int ret = mask_parse(topics, (1u << BENCH_TOPICS) - 1, mask, text, e);

	if (ret)
		err_append(e, ": net, disk, cpu, memory, or all");
	return ret;
}

bool bench_load_wanted(const struct bench_cfg *c, const struct bench_load *l)
{
	const char *p = c->only;
	size_t n = strlen(l->name), k;

	for (; p; p = p[k] ? p + k + 1 : NULL) {
		k = strcspn(p, ",");
		if (k == n && !strncmp(p, l->name, n))
			return true;
	}
	return !c->only;
}

int bench_only_check(const char *only, struct err *e)
{
	const struct bench_load *l;
	size_t n;

	for (;; only += n + 1) {
		n = strcspn(only, ",");
		for (l = bench_loads; l->name; l++)
			if (strlen(l->name) == n && !strncmp(l->name, only, n))
				break;
		if (!l->name) {
			err_set(e, -EINVAL, "--only: there is no test \"%.*s\"; there are",
				(int)MIN(n, (size_t)60), only);
			for (l = bench_loads; l->name; l++)
				err_append(e, " %s", l->name);
			return -EINVAL;
		}
		if (!only[n])
			return 0;
	}
}
