// SPDX-License-Identifier: BSD-3-Clause
/*
 * Answers of the control socket for people. Nothing here knows a command: an object becomes "key
 * value" lines, a list of objects becomes a table whose columns are the keys of its first row.
 */
#include <string.h>

#include "base/util.h"
#include "cmd/ctl.h"

#define COLUMNS_MAX 16
#define CELL_MAX    96
#define MANY	    16 /* members of an object, from which on those that are 0 are left out */

/* A scalar as text; what is nested is not for a cell. */
static void cell_text(const json_t *v, char *buf, size_t size)
{
	if (json_is_string(v))
		snprintf(buf, size, "%s", json_string_value(v));
	else if (json_is_integer(v))
		snprintf(buf, size, "%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		snprintf(buf, size, "%s", json_is_true(v) ? "yes" : "no");
	else
		snprintf(buf, size, "%s", v && !json_is_null(v) ? "..." : "-");
}

static bool is_nested(const json_t *v)
{
	return json_is_object(v) || json_is_array(v);
}

/* struct table - its columns: a key of the rows, as wide as its longest cell, numbers to the right.
 */
struct table {
	const char *key[COLUMNS_MAX];
	int width[COLUMNS_MAX];
	bool number[COLUMNS_MAX];
	unsigned int n;
};

/* Later rows may have more keys (a port's event): those are left to --json. */
static void table_columns(struct table *t, const json_t *rows)
{
	json_t *first = json_array_get(rows, 0), *v;
	const char *key;

	json_object_foreach (first, key, v) {
		if (is_nested(v) || t->n == COLUMNS_MAX)
			continue;
		t->key[t->n] = key;
		t->width[t->n] = (int)strlen(key);
		t->number[t->n] = json_is_integer(v);
		t->n++;
	}
}

static void table_widths(struct table *t, const json_t *rows)
{
	char cell[CELL_MAX];
	const json_t *row;
	unsigned int c;
	size_t i;

	json_array_foreach (rows, i, row) {
		for (c = 0; c < t->n; c++) {
			cell_text(json_object_get(row, t->key[c]), cell, sizeof(cell));
			t->width[c] = MAX(t->width[c], (int)strlen(cell));
		}
	}
}

/* No blanks at the end of a line. */
static void table_cell(const struct table *t, unsigned int c, const char *text, int indent, FILE *f)
{
	int pad = t->width[c] - (int)strlen(text);

	fprintf(f, "%*s%*s%s", c ? 2 : indent, "", t->number[c] ? pad : 0, "", text);
	if (c + 1 == t->n)
		fputc('\n', f);
	else
		fprintf(f, "%*s", t->number[c] ? 0 : pad, "");
}

static void print_value(const json_t *v, int indent, FILE *f);

/* The lists and objects of an object, each below its name. */
static void print_nested_of(const json_t *row, int indent, FILE *f)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)row, key, v) {
		if (!is_nested(v) || (!json_array_size(v) && !json_object_size(v)))
			continue;
		fprintf(f, "%*s%s:\n", indent, "", key);
		print_value(v, indent + 2, f);
	}
}

/* Rows that hold lists or objects have them printed below the table, under the row's first cell. */
static void print_table(const json_t *rows, int indent, FILE *f)
{
	struct table t = { 0 };
	char cell[CELL_MAX];
	const json_t *row, *v;
	unsigned int c;
	size_t i;
	const char *key;

	table_columns(&t, rows);
	table_widths(&t, rows);
	for (c = 0; c < t.n; c++)
		table_cell(&t, c, t.key[c], indent, f);
	json_array_foreach (rows, i, row) {
		for (c = 0; c < t.n; c++) {
			cell_text(json_object_get(row, t.key[c]), cell, sizeof(cell));
			table_cell(&t, c, cell, indent, f);
		}
		json_object_foreach ((json_t *)row, key, v) {
			if (is_nested(v)) {
				print_nested_of(row, indent + 4, f);
				break;
			}
		}
	}
}

static void print_array(const json_t *a, int indent, FILE *f)
{
	char cell[CELL_MAX];
	const json_t *v;
	size_t i;

	if (json_is_object(json_array_get(a, 0))) {
		print_table(a, indent, f);
		return;
	}
	json_array_foreach (a, i, v) {
		cell_text(v, cell, sizeof(cell));
		fprintf(f, "%*s%s\n", indent, "", cell);
	}
}

/* Long lists of counters, as KVM's, are mostly zeros. */
static bool is_shown(const json_t *o, const json_t *v)
{
	return !is_nested(v) &&
	       !(json_object_size(o) > MANY && json_is_integer(v) && !json_integer_value(v));
}

static void print_object(const json_t *o, int indent, FILE *f)
{
	char cell[CELL_MAX];
	const char *key;
	int width = 0;
	json_t *v;

	json_object_foreach ((json_t *)o, key, v)
		if (is_shown(o, v))
			width = MAX(width, (int)strlen(key));
	json_object_foreach ((json_t *)o, key, v) {
		if (!is_shown(o, v))
			continue;
		cell_text(v, cell, sizeof(cell));
		fprintf(f, "%*s%-*s  %s\n", indent, "", width, key, cell);
	}
	print_nested_of(o, indent, f);
}

static void print_value(const json_t *v, int indent, FILE *f)
{
	char cell[CELL_MAX];

	if (json_is_array(v)) {
		print_array(v, indent, f);
	} else if (json_is_object(v)) {
		print_object(v, indent, f);
	} else {
		cell_text(v, cell, sizeof(cell));
		fprintf(f, "%*s%s\n", indent, "", cell);
	}
}

void ctl_print(const json_t *data, FILE *f)
{
	print_value(data, 0, f);
}
