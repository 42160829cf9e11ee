/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include <stdio.h>
#include "base/err.h"

/*
 * Option tables. One const table describes a "key=value,key=value" argument (a port, a device) or
 * the long options of a subcommand; the parser, --help, the man page and the completion all read
 * it.
 */
enum opt_type {
	OPT_END = 0,
	OPT_STR,  /* char *: strdup'd, not empty */
	OPT_BOOL, /* int: on|off|yes|no|true|false|1|0; as a long option also bare */
	OPT_U32,  /* uint32_t, decimal or 0x; min..max (max 0: none) */
	OPT_SIZE, /* uint64_t bytes, K M G suffix; min..max (max 0: none) */
	OPT_ENUM, /* int: index into choices, which ends with NULL */
	OPT_MAC,  /* struct mac */
	OPT_BDF,  /* struct bdf */
	OPT_LIST, /* struct opt_set: "0-3,7" or "0-3+7"; both work inside key=value arguments too */
	OPT_SUB,  /* a nested key=value argument; handed to fn; repeatable when many is set */
	OPT_FN,	  /* handed to fn as text; repeatable */
};

#define OPT_SET_MAX 1024

/** struct opt_set - a set of small numbers (CPUs, vectors). */
struct opt_set {
	uint64_t bits[OPT_SET_MAX / 64];
};

/**
 * struct opt - one option
 * @name:    key, without dashes
 * @type:    how the value is read and stored
 * @off:     offset in the target struct
 * @given:   offset of a bool set to true when the option was given, or 0 for none
 * @min:     and @max: bounds for numbers
 * @choices: OPT_ENUM: words, NULL at the end
 * @sub:     OPT_SUB: the table of the nested argument (for help and completion)
 * @first:   this option's value may be given as the first item without "key="
 * @fn:      OPT_FN, OPT_SUB: stores the text; returns 0 or -errno with e filled
 * @arg:     name of the value in help texts: "FILE", "SIZE"
 * @help:    one line, no full stop
 * @complete: "file", "netdev", "pci", "block" or NULL: what the shell completes
 * @group:   heading in help and man page, or NULL
 * @required: the argument must be there
 * @many:    OPT_SUB: may be given more than once (OPT_FN always may)
 */
struct opt {
	const char *name;
	enum opt_type type;
	size_t off, given;
	uint64_t min, max;
	const char *const *choices;
	const struct opt *sub;
	bool first, required, many;
	int (*fn)(void *target, const char *text, struct err *e);
	const char *arg, *help, *complete, *group;
};

/**
 * opt_parse_kv() - parse "key=value,key=value" into target
 * Unknown keys name the nearest known one; a key given twice is an error. A ',' inside a value is
 * written ',,'. An item that starts with a digit and has no '=' continues an OPT_LIST before it:
 * "4,pin=0-3,7". Return: 0 or -EINVAL with e filled. Strings set so far stay in target: opt_free()
 * frees them.
 */
int opt_parse_kv(const struct opt *table, void *target, const char *text,
		 struct err *e) __must_check;

/**
 * opt_parse_argv() - parse "--name value" and "--name=value" of a subcommand into target
 * @argc: @argv: without the program's and the subcommand's name
 * @rest: index of the first operand on return ("--" is skipped); options after the first operand
 * are not parsed Return: 0, -EINVAL with e filled, or -ECANCELED when --help was given.
 */
int opt_parse_argv(const struct opt *table, void *target, int argc, char **argv, int *rest,
		   struct err *e) __must_check;

/** opt_set_one() - store one value; what opt_parse_kv() does for a pair. */
int opt_set_one(const struct opt *o, void *target, const char *value, struct err *e) __must_check;

/** opt_free() - free the strings of target and null them. */
void opt_free(const struct opt *table, void *target);

/** opt_help() - the option list of --help; long_opts: with leading dashes. Nested tables are
 * indented below. */
void opt_help(const struct opt *table, bool long_opts, FILE *f);

/** opt_help_text() - a paragraph, wrapped as the option list is; a full stop is added. */
void opt_help_text(const char *text, FILE *f);

/** opt_arg_text() - name of the value in help texts ("FILE", "on|off", "auto|vfio"); returns buf.
 */
char *opt_arg_text(const struct opt *o, char *buf, size_t size);

/** opt_nearest_word() - as opt_nearest(), over words that end with NULL. */
const char *opt_nearest_word(const char *const *words, const char *word);

/** opt_nearest() - the name in table closest to word (edit distance <= 3), or NULL. */
const char *opt_nearest(const struct opt *table, const char *word);

/** opt_size_parse() - "512M"; bytes; -EINVAL, or -ERANGE when it does not fit 64 bits. */
int opt_size_parse(uint64_t *out, const char *text) __must_check;

/** opt_list_parse() - "0-3,7" with sep in the place of the comma; -EINVAL, or -ERANGE from
 * OPT_SET_MAX up. */
int opt_list_parse(struct opt_set *out, const char *text, char sep) __must_check;
/** opt_set_has() / opt_set_count() - membership; how many there are. */
bool opt_set_has(const struct opt_set *set, unsigned int n);
unsigned int opt_set_count(const struct opt_set *set);

#endif
