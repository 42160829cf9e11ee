// SPDX-License-Identifier: BSD-3-Clause
/*
 * Lines of the guest. A line is cut into words in a copy of our own; a word is KEY=VALUE or
 * NUMBER:NUMBER, and each kind of line has a function that takes its words one by one. What a later
 * guest may say besides is skipped; what is said must be well formed.
 */
#include "bench/proto.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/ctl.h"

/* Decimal digits and nothing else; a number that does not fit is as wrong as a letter. */
static int number(const char *s, int64_t *out)
{
	int64_t v = 0;

	if (!*s)
		return -EBADMSG;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || ckd_mul(&v, v, 10) || ckd_add(&v, v, *s - '0'))
			return -EBADMSG;
	}
	*out = v;
	return 0;
}

/* Names become keys of result.json: letters, digits, '-', '_', '.'. */
static int take_test(struct bench_msg *m, const char *value)
{
	size_t n = strlen(value), i;

	if (!n || n >= sizeof(m->test))
		return -EBADMSG;
	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)value[i]) && !strchr("-_.", value[i]))
			return -EBADMSG;
	memcpy(m->test, value, n + 1);
	return 0;
}

/* A word of "result": numbers that are not known are for a later version of us. */
static int take_result(struct bench_msg *m, const char *key, const char *value)
{
	const struct {
		const char *key;
		int64_t *to;
	} keys[] = {
		{ "ops", &m->ops },	  { "ns", &m->ns },	    { "bytes", &m->bytes },
		{ "p50_ns", &m->p50_ns }, { "p99_ns", &m->p99_ns }, { "p999_ns", &m->p999_ns },
		{ "max_ns", &m->max_ns }, { "errors", &m->errors },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i].key, key))
			return number(value, keys[i].to);
	return 0;
}

static int take_bucket(struct bench_msg *m, char *word)
{
	struct bench_bucket b;
	char *colon = strchr(word, ':');

	if (!colon || m->n_bucket == ARRAY_SIZE(m->bucket))
		return -EBADMSG;
	*colon = 0;
	if (number(word, &b.upper_ns) || number(colon + 1, &b.count))
		return -EBADMSG;
	if (m->n_bucket && m->bucket[m->n_bucket - 1].upper_ns > b.upper_ns)
		return -EBADMSG;
	m->bucket[m->n_bucket++] = b;
	return 0;
}

/* One word behind the first of a line. */
static int take_word(struct bench_msg *m, char *word)
{
	char *eq = strchr(word, '=');

	if (m->kind == BENCH_MSG_HELLO)
		return number(word, &m->status);
	if (!eq)
		return m->kind == BENCH_MSG_HIST ? take_bucket(m, word) : -EBADMSG;
	*eq = 0;
	if (!strcmp(word, "test"))
		return take_test(m, eq + 1);
	if (m->kind == BENCH_MSG_RESULT)
		return take_result(m, word, eq + 1);
	if (m->kind == BENCH_MSG_END && !strcmp(word, "status"))
		return number(eq + 1, &m->status);
	return 0;
}

/* All words of text, which is cut up. */
static int take_words(struct bench_msg *m, char *text)
{
	char *save = NULL, *w;
	int ret = 0;

	for (w = strtok_r(text, " \t", &save); w && !ret; w = strtok_r(NULL, " \t", &save))
		ret = take_word(m, w);
	return ret;
}

/* The text behind "reason=" may hold blanks. It goes before the words are cut. */
static void take_reason(struct bench_msg *m, char *text)
{
	char *reason = strstr(text, "reason=");

	if (!reason)
		return;
	snprintf(m->text, sizeof(m->text), "%s", reason + strlen("reason="));
	*reason = 0;
}

/* What a line of this kind must have had. */
static int check(const struct bench_msg *m)
{
	switch (m->kind) {
	case BENCH_MSG_START:
	case BENCH_MSG_STOP:
	case BENCH_MSG_HIST:
	case BENCH_MSG_SKIP:
		return m->test[0] ? 0 : -EBADMSG;
	case BENCH_MSG_RESULT:
		return m->test[0] && m->ops >= 0 && m->ns >= 0 ? 0 : -EBADMSG;
	case BENCH_MSG_END:
	case BENCH_MSG_HELLO:
		return m->status >= 0 ? 0 : -EBADMSG;
	default:
		return 0;
	}
}

/*
 * A kernel may begin a line with one of our words ("stop" something), so the beginning of the
 * second word counts too; the first word of "end of trace" is not meant for us.
 */
static enum bench_msg_kind kind_of(const char *text, size_t *skip)
{
	static const struct {
		const char *words;
		enum bench_msg_kind kind;
	} starts[] = {
		{ "SLUICE-BENCH ", BENCH_MSG_HELLO }, { "info ", BENCH_MSG_INFO },
		{ "start test=", BENCH_MSG_START },   { "stop test=", BENCH_MSG_STOP },
		{ "result test=", BENCH_MSG_RESULT }, { "hist test=", BENCH_MSG_HIST },
		{ "skip test=", BENCH_MSG_SKIP },     { "end status=", BENCH_MSG_END },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		if (strncmp(text, starts[i].words, strlen(starts[i].words)))
			continue;
		*skip = strcspn(text, " ") + 1;
		return starts[i].kind;
	}
	return BENCH_MSG_NOISE;
}

static void msg_init(struct bench_msg *m)
{
	m->kind = BENCH_MSG_NOISE;
	m->test[0] = m->text[0] = 0;
	m->status = m->ops = m->ns = m->bytes = BENCH_NONE;
	m->p50_ns = m->p99_ns = m->p999_ns = m->max_ns = m->errors = BENCH_NONE;
	m->n_bucket = 0;
}

int bench_msg_parse(struct bench_msg *m, const char *line, size_t len, struct err *e)
{
	char text[CTL_LINE_MAX + 1];
	size_t skip = 0;
	int ret = 0;

	msg_init(m);
	while (len && isspace((unsigned char)line[len - 1]))
		len--;
	/* A NUL is nothing that a serial line of text carries. */
	if (len > CTL_LINE_MAX || memchr(line, 0, len))
		return 0;
	memcpy(text, line, len);
	text[len] = 0;
	m->kind = kind_of(text, &skip);
	if (m->kind == BENCH_MSG_INFO) {
		snprintf(m->text, sizeof(m->text), "%s", text + skip);
	} else if (m->kind != BENCH_MSG_NOISE) {
		if (m->kind == BENCH_MSG_SKIP)
			take_reason(m, text + skip);
		ret = take_words(m, text + skip);
		if (!ret)
			ret = check(m);
	}
	if (ret)
		return err_set(e, ret, "the guest said \"%.*s%s\", which is not well formed",
			       (int)MIN(len, (size_t)100), line, len > 100 ? "..." : "");
	return 0;
}

bool bench_info_get(const struct bench_msg *m, const char *key, char *out, size_t size)
{
	size_t n = strlen(key);
	const char *p = m->text;

	while (*p) {
		p += strspn(p, " ");
		if (!strncmp(p, key, n) && p[n] == '=') {
			p += n + 1;
			snprintf(out, size, "%.*s", (int)strcspn(p, " "), p);
			return true;
		}
		p += strcspn(p, " ");
	}
	return false;
}
