// SPDX-License-Identifier: BSD-3-Clause
/*
 * A station is one 64-bit word, the address above the port, so that a reader sees a whole one or
 * none without any lock. The VLAN is not in the word: it is the port's. A bucket is one cache line
 * of such words; the ticks at which they were last heard lie in a line of their own, written at
 * most once a tick. Changes take a lock: they are rare.
 */
#include "virtio/vhostd/fdb.h"

#include <pthread.h>
#include <stdlib.h>

struct fdb_bucket {
	_Atomic uint64_t word[FDB_WAYS]; /* mac << 16 | port + 1; 0: free */
} __attribute__((aligned(64)));

struct fdb_stamps {
	_Atomic uint32_t tick[FDB_WAYS];
};

struct fdb {
	struct fdb_bucket bucket[FDB_BUCKETS];
	struct fdb_stamps stamps[FDB_BUCKETS];
	uint16_t vlan[FDB_PORTS];
	bool outer[FDB_PORTS];
	uint32_t macs[FDB_PORTS], macs_max[FDB_PORTS];
	uint32_t age;
	_Atomic uint32_t gen;
	pthread_mutex_t lock; /* all changes but of stamps */
	struct fdb_count count;
};

struct fdb *fdb_new(uint32_t age)
{
	struct fdb *f = aligned_alloc(64, ALIGN_UP(sizeof(*f), (size_t)64));

	if (!f)
		return NULL;
	*f = (struct fdb){ .age = age };
	pthread_mutex_init(&f->lock, NULL);
	return f;
}

void fdb_free(struct fdb *f)
{
	if (!f)
		return;
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static uint64_t word_of(uint64_t mac, unsigned int port)
{
	return mac << 16 | (port + 1);
}

static unsigned int word_port(uint64_t word)
{
	return (unsigned int)(word & 0xffff) - 1;
}

/* Addresses of one maker differ in few bits, at any end: multiply, and take the top. */
static unsigned int bucket_of(uint64_t mac, uint16_t vlan)
{
	return (unsigned int)(((mac ^ (uint64_t)vlan << 48) * 0x9e3779b97f4a7c15ull) >> 54) %
	       FDB_BUCKETS;
}

/* The way of a station in its bucket, or -1; *word is what was read there. */
static int way_of(const struct fdb *f, unsigned int b, uint64_t mac, uint16_t vlan, uint64_t *word)
{
	unsigned int i;

	for (i = 0; i < FDB_WAYS; i++) {
		*word = atomic_load_explicit(&f->bucket[b].word[i], memory_order_relaxed);
		if (*word && *word >> 16 == mac && f->vlan[word_port(*word)] == vlan)
			return (int)i;
	}
	return -1;
}

int fdb_find(const struct fdb *f, uint64_t mac, uint16_t vlan)
{
	uint64_t word;

	return way_of(f, bucket_of(mac, vlan), mac, vlan, &word) < 0 ? FDB_NONE
								     : (int)word_port(word);
}

static void changed(struct fdb *f)
{
	atomic_fetch_add_explicit(&f->gen, 1, memory_order_release);
}

/* Lock held. The word of a way changes to one of another port, or to none. */
static void word_set(struct fdb *f, unsigned int b, unsigned int way, uint64_t word)
{
	uint64_t old = atomic_load_explicit(&f->bucket[b].word[way], memory_order_relaxed);

	if (old) {
		f->macs[word_port(old)]--;
		f->count.stations--;
	}
	if (word) {
		f->macs[word_port(word)]++;
		f->count.stations++;
	}
	atomic_store_explicit(&f->bucket[b].word[way], word, memory_order_relaxed);
	changed(f);
}

/* Lock held. A free way, or the one not heard of for the longest time. */
static unsigned int way_victim(struct fdb *f, unsigned int b, uint32_t now)
{
	uint32_t age, oldest = 0;
	unsigned int i, victim = 0;

	for (i = 0; i < FDB_WAYS; i++) {
		if (!atomic_load_explicit(&f->bucket[b].word[i], memory_order_relaxed))
			return i;
		age = now - atomic_load_explicit(&f->stamps[b].tick[i], memory_order_relaxed);
		if (age >= oldest) {
			oldest = age;
			victim = i;
		}
	}
	f->count.evicted++;
	return victim;
}

/* Lock held. */
static void learn_locked(struct fdb *f, unsigned int b, uint64_t mac, unsigned int port,
			 uint32_t now)
{
	uint64_t word;
	int way = way_of(f, b, mac, f->vlan[port], &word);

	if (way >= 0 && word_port(word) == port)
		return;
	/* A VF's function may hand our own broadcasts back to us: that is no move. */
	if (way >= 0 && f->outer[port] && !f->outer[word_port(word)] &&
	    now - atomic_load_explicit(&f->stamps[b].tick[way], memory_order_relaxed) <= 1) {
		f->count.refused++;
		return;
	}
	if (f->macs[port] >= f->macs_max[port]) {
		f->count.refused++;
		return;
	}
	if (way >= 0)
		f->count.moved++;
	else
		f->count.learnt++;
	if (way < 0)
		way = (int)way_victim(f, b, now);
	atomic_store_explicit(&f->stamps[b].tick[way], now, memory_order_relaxed);
	word_set(f, b, (unsigned int)way, word_of(mac, port));
}

void fdb_learn(struct fdb *f, uint64_t mac, unsigned int port, uint32_t now)
{
	unsigned int b = bucket_of(mac, f->vlan[port]);
	uint64_t word;
	int way = way_of(f, b, mac, f->vlan[port], &word);

	if (way >= 0 && word_port(word) == port) {
		_Atomic uint32_t *tick = &f->stamps[b].tick[way];

		if (atomic_load_explicit(tick, memory_order_relaxed) != now)
			atomic_store_explicit(tick, now, memory_order_relaxed);
		return;
	}
	pthread_mutex_lock(&f->lock);
	learn_locked(f, b, mac, port, now);
	pthread_mutex_unlock(&f->lock);
}

/* Forget what gone() says; the sweep of ageing and of a port that ends. */
static unsigned int sweep(struct fdb *f, bool (*gone)(uint64_t word, uint32_t age, uint32_t arg),
			  uint32_t now, uint32_t arg)
{
	unsigned int b, i, n = 0;

	pthread_mutex_lock(&f->lock);
	for (b = 0; b < FDB_BUCKETS; b++) {
		for (i = 0; i < FDB_WAYS; i++) {
			uint64_t word =
				atomic_load_explicit(&f->bucket[b].word[i], memory_order_relaxed);
			uint32_t tick =
				atomic_load_explicit(&f->stamps[b].tick[i], memory_order_relaxed);

			if (!word || !gone(word, now - tick, arg))
				continue;
			word_set(f, b, i, 0);
			n++;
		}
	}
	pthread_mutex_unlock(&f->lock);
	return n;
}

/* A stamp may be newer than the sweeper's clock: that age is negative. */
static bool gone_old(uint64_t word, uint32_t age, uint32_t max)
{
	return age > max && age < UINT32_MAX / 2;
}

static bool gone_port(uint64_t word, uint32_t age, uint32_t port)
{
	return word_port(word) == port;
}

unsigned int fdb_age(struct fdb *f, uint32_t now)
{
	unsigned int n = sweep(f, gone_old, now, f->age);

	f->count.aged += n;
	return n;
}

void fdb_port_purge(struct fdb *f, unsigned int port)
{
	sweep(f, gone_port, 0, port);
}

void fdb_port_set(struct fdb *f, unsigned int port, uint16_t vlan, uint32_t macs)
{
	BUG_ON(port >= FDB_PORTS);
	fdb_port_purge(f, port);
	f->vlan[port] = vlan;
	f->macs_max[port] = macs;
	f->outer[port] = false;
	changed(f);
}

void fdb_port_outer(struct fdb *f, unsigned int port)
{
	f->outer[port] = true;
}

uint32_t fdb_gen(const struct fdb *f)
{
	return atomic_load_explicit(&f->gen, memory_order_acquire);
}

void fdb_count(const struct fdb *f, struct fdb_count *out)
{
	*out = f->count;
}

void fdb_each(const struct fdb *f, uint32_t now,
	      void (*fn)(void *arg, uint64_t mac, unsigned int port, uint32_t age), void *arg)
{
	unsigned int b, i;

	for (b = 0; b < FDB_BUCKETS; b++) {
		for (i = 0; i < FDB_WAYS; i++) {
			uint64_t word =
				atomic_load_explicit(&f->bucket[b].word[i], memory_order_relaxed);
			uint32_t tick =
				atomic_load_explicit(&f->stamps[b].tick[i], memory_order_relaxed);

			if (word)
				fn(arg, word >> 16, word_port(word), now - tick);
		}
	}
}
