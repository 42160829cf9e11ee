// SPDX-License-Identifier: BSD-3-Clause
/*
 * Option parser. Text comes from users and scripts and is taken as hostile: every length is bounded
 * by the text itself, nothing is parsed by a function that skips white space, accepts a sign or
 * stops early.
 */
#include "base/opt.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/bdf.h"
#include "base/mac.h"

#define TABLE_MAX 64 /* options in one table: a bit of a word each */
#define WORD_MAX  32 /* longest word that is compared for a suggestion */

/* MIN() cannot nest. */
static unsigned int edit_min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int ab = MIN(a, b);

	return MIN(ab, c);
}

/* Optimal string alignment: insert, delete, replace, swap two neighbours. Both words <= WORD_MAX.
 */
static unsigned int edit_distance(const char *a, size_t la, const char *b, size_t lb)
{
	unsigned int d[3][WORD_MAX + 1];
	size_t i, j;

	for (j = 0; j <= lb; j++)
		d[0][j] = (unsigned int)j;
	for (i = 1; i <= la; i++) {
		unsigned int *cur = d[i % 3], *up = d[(i + 2) % 3], *up2 = d[(i + 1) % 3];

		cur[0] = (unsigned int)i;
		for (j = 1; j <= lb; j++) {
			cur[j] = edit_min3(up[j] + 1, cur[j - 1] + 1,
					   up[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				cur[j] = MIN(cur[j], up2[j - 2] + 1);
		}
	}
	return d[la % 3][lb];
}

/* Is name a likely meaning of word? Not when more than half of it would have to change. */
static bool nearer(const char *name, const char *word, unsigned int *best)
{
	size_t ln = strlen(name), lw = strlen(word);
	unsigned int d;

	if (!ln || !lw || ln > WORD_MAX || lw > WORD_MAX)
		return false;
	d = edit_distance(name, ln, word, lw);
	if (d > 3 || 2 * d > MAX(ln, lw) || d >= *best)
		return false;
	*best = d;
	return true;
}

const char *opt_nearest_word(const char *const *words, const char *word)
{
	const char *found = NULL;
	unsigned int best = UINT_MAX;

	for (; *words; words++)
		if (nearer(*words, word, &best))
			found = *words;
	return found;
}

const char *opt_nearest(const struct opt *table, const char *word)
{
	const char *found = NULL;
	unsigned int best = UINT_MAX;

	for (; table->type != OPT_END; table++)
		if (nearer(table->name, word, &best))
			found = table->name;
	return found;
}

/* Value of a digit, or -1. isxdigit() and its like depend on the locale. */
static int digit_of(char c, unsigned int base)
{
	int v = c >= '0' && c <= '9'   ? c - '0'
		: c >= 'a' && c <= 'f' ? c - 'a' + 10
		: c >= 'A' && c <= 'F' ? c - 'A' + 10
				       : 99;

	return v < (int)base ? v : -1;
}

/* Digits only; *end is left at the first other character. -EINVAL: no digit; -ERANGE: beyond 64
 * bits. */
static int num_parse(uint64_t *out, const char *text, const char **end)
{
	unsigned int base = 10;
	uint64_t v = 0;
	const char *p = text;

	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
		base = 16;
		p += 2;
	}
	if (digit_of(*p, base) < 0)
		return -EINVAL;
	for (; digit_of(*p, base) >= 0; p++)
		if (ckd_mul(&v, v, base) || ckd_add(&v, v, (uint64_t)digit_of(*p, base)))
			return -ERANGE;
	*end = p;
	*out = v;
	return 0;
}

/* 1024 based, as everything about memory is. */
int opt_size_parse(uint64_t *out, const char *text)
{
	static const char units[] = "kmgt";
	const char *end, *u;
	uint64_t v, mul = 1;
	int ret = num_parse(&v, text, &end);

	if (ret)
		return ret;
	if (*end) {
		u = strchr(units, *end | 0x20);
		if (!u || end[1])
			return -EINVAL;
		mul = 1ull << (10 * (u - units + 1));
	}
	if (ckd_mul(&v, v, mul))
		return -ERANGE;
	*out = v;
	return 0;
}

/* "N" or "N-M"; *text is moved behind it. */
static int list_item(struct opt_set *set, const char **text)
{
	const char *p = *text;
	uint64_t a, b;

	if (num_parse(&a, p, &p))
		return -EINVAL;
	b = a;
	if (*p == '-' && num_parse(&b, p + 1, &p))
		return -EINVAL;
	if (a > b || b >= OPT_SET_MAX)
		return -EINVAL;
	for (; a <= b; a++)
		set->bits[a / 64] |= 1ull << a % 64;
	*text = p;
	return 0;
}

/* *out is written only when all of the text is good. */
static int list_parse(struct opt_set *out, const char *text, const char *seps)
{
	struct opt_set set = { 0 };

	for (;;) {
		if (list_item(&set, &text))
			return -EINVAL;
		if (!*text)
			break;
		if (!strchr(seps, *text))
			return -EINVAL;
		text++;
	}
	*out = set;
	return 0;
}

int opt_list_parse(struct opt_set *out, const char *text, char sep)
{
	const char seps[2] = { sep, 0 };

	return list_parse(out, text, seps);
}

bool opt_set_has(const struct opt_set *set, unsigned int n)
{
	return n < OPT_SET_MAX && (set->bits[n / 64] >> n % 64 & 1);
}

unsigned int opt_set_count(const struct opt_set *set)
{
	unsigned int i, n = 0;

	for (i = 0; i < ARRAY_SIZE(set->bits); i++)
		n += (unsigned int)__builtin_popcountll(set->bits[i]);
	return n;
}

/* Values are echoed in messages: cut them, so that the sentence stays whole. */
#define ECHO "\"%.60s\""

/* An option may be set again through opt_set_one(): the old text goes. */
static int set_str(char **dst, const char *value, struct err *e)
{
	char *s;

	if (!*value)
		return err_set(e, -EINVAL, "the value is empty");
	s = strdup(value);
	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	free(*dst);
	*dst = s;
	return 0;
}

/* Pairs, so that the lowest bit of the index is the value. */
static int set_bool(int *dst, const char *value, struct err *e)
{
	static const char *const words[] = { "off",  "on", "no", "yes", "false",
					     "true", "0",  "1",	 NULL };
	int i;

	for (i = 0; words[i]; i++) {
		if (!strcmp(words[i], value)) {
			*dst = i & 1;
			return 0;
		}
	}
	return err_set(e, -EINVAL, ECHO " is neither on nor off", value);
}

static int set_u32(const struct opt *o, uint32_t *dst, const char *value, struct err *e)
{
	uint64_t v, max = o->max ? o->max : UINT32_MAX;
	const char *end;
	int ret = num_parse(&v, value, &end);

	if (ret == -EINVAL || (!ret && *end))
		return err_set(e, -EINVAL, ECHO " is not a number", value);
	if (ret || v < o->min || v > max)
		return err_set(e, -EINVAL, ECHO " is out of range (%llu to %llu)", value,
			       (unsigned long long)o->min, (unsigned long long)max);
	*dst = (uint32_t)v;
	return 0;
}

static int set_size(const struct opt *o, uint64_t *dst, const char *value, struct err *e)
{
	uint64_t v;
	int ret = opt_size_parse(&v, value);

	if (ret == -EINVAL)
		return err_set(e, -EINVAL, ECHO " is not a size (a number with K, M, G or T)",
			       value);
	if (ret || (o->max && v > o->max))
		return err_set(e, -EINVAL, ECHO " is too large", value);
	if (v < o->min)
		return err_set(e, -EINVAL, ECHO " is too small: at least %llu bytes are needed",
			       value, (unsigned long long)o->min);
	*dst = v;
	return 0;
}

/* The message lists the words: they are few, and the user is stuck. */
static int set_enum(const struct opt *o, int *dst, const char *value, struct err *e)
{
	const char *near = opt_nearest_word(o->choices, value);
	int i;

	for (i = 0; o->choices[i]; i++) {
		if (!strcmp(o->choices[i], value)) {
			*dst = i;
			return 0;
		}
	}
	err_set(e, -EINVAL, ECHO " is not one of %s", value, o->choices[0]);
	for (i = 1; o->choices[i]; i++)
		err_append(e, ", %s", o->choices[i]);
	if (near)
		err_append(e, " (did you mean %s?)", near);
	return -EINVAL;
}

/* Types whose parsers have a home of their own. */
static int set_parsed(const struct opt *o, void *p, const char *value, struct err *e)
{
	switch (o->type) {
	case OPT_MAC:
		if (mac_parse(p, value))
			return err_set(e, -EINVAL,
				       ECHO " is not a MAC address (like 52:54:00:aa:bb:cc)",
				       value);
		return 0;
	case OPT_BDF:
		if (bdf_parse(p, value))
			return err_set(e, -EINVAL, ECHO " is not a PCI address (like 0000:01:10.0)",
				       value);
		return 0;
	default:
		if (list_parse(p, value, ",+"))
			return err_set(e, -EINVAL,
				       ECHO " is not a list of numbers below %d (like 0-3,7)",
				       value, OPT_SET_MAX);
		return 0;
	}
}

/* As opt_set_one(), but the message does not name the option yet. */
static int set_value(const struct opt *o, void *target, const char *value, struct err *e)
{
	void *p = (char *)target + o->off;
	int ret = -EINVAL;

	switch (o->type) {
	case OPT_STR:
		ret = set_str(p, value, e);
		break;
	case OPT_BOOL:
		ret = set_bool(p, value, e);
		break;
	case OPT_U32:
		ret = set_u32(o, p, value, e);
		break;
	case OPT_SIZE:
		ret = set_size(o, p, value, e);
		break;
	case OPT_ENUM:
		ret = set_enum(o, p, value, e);
		break;
	case OPT_MAC:
	case OPT_BDF:
	case OPT_LIST:
		ret = set_parsed(o, p, value, e);
		break;
	case OPT_SUB:
	case OPT_FN:
		ret = o->fn(target, value, e);
		break;
	case OPT_END:
		BUG_ON(o->type == OPT_END);
	}
	if (!ret && o->given)
		*((bool *)target + o->given) = true;
	return ret;
}

int opt_set_one(const struct opt *o, void *target, const char *value, struct err *e)
{
	int ret = set_value(o, target, value, e);

	if (ret)
		err_prefix(e, "%s: ", o->name);
	return ret;
}

/* struct seen - which options of a table were given in one argument. */
struct seen {
	const struct opt *table;
	uint64_t bits;
	const char *dashes; /* "--" or "", for messages */
};

/* Twice is an error, not "the last one wins": the user meant two different things. */
static int seen_mark(struct seen *s, const struct opt *o, struct err *e)
{
	ptrdiff_t i = o - s->table;

	BUG_ON(i >= TABLE_MAX);
	if ((s->bits >> i & 1) && o->type != OPT_FN && !(o->type == OPT_SUB && o->many))
		return err_set(e, -EINVAL, "%s%s is given twice", s->dashes, o->name);
	s->bits |= 1ull << i;
	return 0;
}

static int seen_check_required(const struct seen *s, struct err *e)
{
	const struct opt *o;

	for (o = s->table; o->type != OPT_END; o++)
		if (o->required && !(s->bits >> (o - s->table) & 1))
			return err_set(e, -EINVAL, "%s%s is missing", s->dashes, o->name);
	return 0;
}

static const struct opt *find(const struct opt *table, const char *name, size_t len)
{
	for (; table->type != OPT_END; table++)
		if (strlen(table->name) == len && !memcmp(table->name, name, len))
			return table;
	return NULL;
}

/* what: "key" or "option". */
static int unknown(const struct seen *s, const char *what, const char *word, struct err *e)
{
	const char *near = opt_nearest(s->table, word);

	err_set(e, -EINVAL, "unknown %s %s%.60s", what, s->dashes, word);
	if (near)
		err_append(e, " (did you mean %s%s?)", s->dashes, near);
	return -EINVAL;
}

/*
 * Take one item off *text into buf: up to a ',' that is not doubled. Returns false when nothing is
 * left; buf has room for all of the text. *more: a ',' followed, so another item must.
 */
static void item_next(char *buf, const char **text, bool *more)
{
	const char *p = *text;

	*more = false;
	while (*p) {
		if (*p == ',' && p[1] != ',') {
			*more = true;
			p++;
			break;
		}
		if (*p == ',')
			p++;
		*buf++ = *p++;
	}
	*buf = 0;
	*text = p;
}

/* Does the next item belong to a list that the ',' cut: a digit first, and no '=' in it? */
static bool item_continues_list(const char *text)
{
	return digit_of(*text, 10) >= 0 && text[strcspn(text, "=,")] != '=';
}

/* The option whose value may come first without its name, or NULL. */
static const struct opt *first_of(const struct opt *table)
{
	for (; table->type != OPT_END; table++)
		if (table->first)
			return table;
	return NULL;
}

/* Which option is item about, and where in item does its value start? */
static int kv_item(struct seen *s, char *item, bool is_first, const struct opt **out, char **value,
		   struct err *e)
{
	size_t len = strcspn(item, "=");
	bool eq = item[len] == '=';
	const struct opt *o = !eq && is_first ? first_of(s->table) : NULL;

	*value = eq ? item + len + 1 : item;
	if (!o)
		o = find(s->table, item, len);
	if (o && !eq && !(is_first && o->first))
		return err_set(e, -EINVAL, "%s needs a value (%s=...)", o->name, o->name);
	item[len] = 0;
	if (!o && !len)
		return err_set(e, -EINVAL, "a key is missing before '='");
	if (!o)
		return unknown(s, "key", item, e);
	*out = o;
	return 0;
}

/* buf has room for all of text: items are unescaped into it one at a time. */
static int kv_parse(const struct opt *table, void *target, const char *text, char *buf,
		    struct err *e)
{
	struct seen s = { .table = table, .dashes = "" };
	bool more = true, is_first = true;
	const struct opt *o = NULL;
	char *value = NULL;
	int ret;

	for (; more; is_first = false) {
		item_next(buf, &text, &more);
		if (!*buf)
			return err_set(e, -EINVAL,
				       is_first && !more ? "the argument is empty"
							 : "there is an empty item");
		ret = kv_item(&s, buf, is_first, &o, &value, e);
		if (ret)
			return ret;
		while (more && o->type == OPT_LIST && item_continues_list(text)) {
			char *end = value + strlen(value);

			*end = ',';
			item_next(end + 1, &text, &more);
		}
		ret = seen_mark(&s, o, e);
		if (!ret)
			ret = opt_set_one(o, target, value, e);
		if (ret)
			return ret;
	}
	return seen_check_required(&s, e);
}

int opt_parse_kv(const struct opt *table, void *target, const char *text, struct err *e)
{
	char *buf = malloc(strlen(text) + 1);
	int ret;

	if (!buf)
		return err_set(e, -ENOMEM, "out of memory");
	ret = kv_parse(table, target, text, buf, e);
	free(buf);
	return ret;
}

/* One "--name[=value]" at argv[*i]; *i is left at the last word used. */
static int argv_one(struct seen *s, void *target, int argc, char **argv, int *i, struct err *e)
{
	const char *name = argv[*i] + 2, *value = NULL;
	size_t len = strcspn(name, "=");
	const struct opt *o = find(s->table, name, len);
	int ret;

	if (!o) {
		char word[64];

		snprintf(word, sizeof(word), "%.*s", (int)MIN(len, sizeof(word) - 1), name);
		return unknown(s, "option", word, e);
	}
	if (name[len])
		value = name + len + 1;
	else if (o->type == OPT_BOOL)
		value = "on";
	else if (*i + 1 < argc)
		value = argv[++*i];
	else
		return err_set(e, -EINVAL, "--%s needs a value", o->name);
	ret = seen_mark(s, o, e);
	if (ret)
		return ret;
	ret = set_value(o, target, value, e);
	if (ret)
		err_prefix(e, "--%s: ", o->name);
	return ret;
}

int opt_parse_argv(const struct opt *table, void *target, int argc, char **argv, int *rest,
		   struct err *e)
{
	struct seen s = { .table = table, .dashes = "--" };
	int i, ret;

	for (i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return -ECANCELED;
		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		if (argv[i][0] != '-' || !argv[i][1])
			break;
		if (argv[i][1] != '-')
			return err_set(e, -EINVAL, "unknown option %.60s (options start with --)",
				       argv[i]);
		ret = argv_one(&s, target, argc, argv, &i, e);
		if (ret)
			return ret;
	}
	*rest = i;
	return seen_check_required(&s, e);
}

void opt_free(const struct opt *table, void *target)
{
	for (; table->type != OPT_END; table++) {
		char **p = (char **)(void *)((char *)target + table->off);

		if (table->type == OPT_STR) {
			free(*p);
			*p = NULL;
		}
	}
}
