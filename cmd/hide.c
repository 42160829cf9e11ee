// SPDX-License-Identifier: BSD-3-Clause
/* hide=NAME:NAME - names for the feature bits of virtio devices (virtio 1.2: 5.1.3, 5.2.3, 6). */
#include "cmd/hide.h"

#include <errno.h>
#include <string.h>

#include "virtio/vio.h"

/* A name may stand for bits that make no sense without each other. In the order of the help. */
static const struct feature {
	const char *name;
	uint64_t bits;
} ring[] = {
	{ "packed", VIO_F_PACKED },
	{ "event-idx", VIO_F_EVENT_IDX },
	{ "indirect", VIO_F_INDIRECT },
	{ "in-order", VIO_F_IN_ORDER },
	{ "ring-reset", VIO_F_RING_RESET },
}, net[] = {
	{ "csum", VIO_F(0) | VIO_F(1) },
	{ "tso", VIO_F(7) | VIO_F(8) | VIO_F(9) | VIO_F(11) | VIO_F(12) | VIO_F(13) },
	{ "uso", VIO_F(54) | VIO_F(55) | VIO_F(56) },
	{ "mrg-rxbuf", VIO_F(15) },
	{ "mtu", VIO_F(3) },
	{ "status", VIO_F(16) },
	{ "mq", VIO_F(22) },
}, disk[] = {
	{ "flush", VIO_F(9) },
	{ "topology", VIO_F(10) },
	{ "mq", VIO_F(12) },
	{ "discard", VIO_F(13) },
	{ "write-zeroes", VIO_F(14) },
};

#define WORDS_MAX (ARRAY_SIZE(ring) + ARRAY_SIZE(net) + 1)

/* One word of the list; words collects the names, for the message. */
static uint64_t find(const struct feature *t, size_t n, const char *word, const char **words)
{
	uint64_t bits = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		words[i] = t[i].name;
		if (!strcmp(t[i].name, word))
			bits = t[i].bits;
	}
	return bits;
}

static int hide_one(bool is_disk, const char *word, uint64_t *mask, struct err *e)
{
	const char *words[WORDS_MAX] = { 0 }, *near;
	uint64_t bits = find(ring, ARRAY_SIZE(ring), word, words);
	unsigned int i;

	bits |= is_disk ? find(disk, ARRAY_SIZE(disk), word, words + ARRAY_SIZE(ring))
			: find(net, ARRAY_SIZE(net), word, words + ARRAY_SIZE(ring));
	*mask |= bits;
	if (bits)
		return 0;
	near = opt_nearest_word(words, word);
	err_set(e, -EINVAL, "\"%.60s\" is not one of %s", word, words[0]);
	for (i = 1; words[i]; i++)
		err_append(e, ", %s", words[i]);
	if (near)
		err_append(e, " (did you mean %s?)", near);
	return -EINVAL;
}

int hide_parse(bool is_disk, const char *text, uint64_t *mask, struct err *e)
{
	char word[64];
	size_t n;
	int ret;

	do {
		n = strcspn(text, ":");
		snprintf(word, sizeof(word), "%.*s", (int)MIN(n, sizeof(word) - 1), text);
		ret = hide_one(is_disk, word, mask, e);
		text += n;
	} while (!ret && *text++);
	return ret;
}
