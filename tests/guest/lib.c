// SPDX-License-Identifier: BSD-3-Clause
/* The serial line, strings, arguments, ACPI tables. No C library, no libgcc. */
#include "guest.h"

#define COM1 0x3f8

void *memcpy(void *to, const void *from, size_t n)
{
	void *d = to;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
	return to;
}

void *memset(void *to, int c, size_t n)
{
	void *d = to;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *p = a, *q = b;

	for (; n; n--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}

static void put_char(char c)
{
	/* transmitter holding register empty */
	while (!(inb(COM1 + 5) & 0x20))
		pause();
	outb(COM1, (uint8_t)c);
}

void put(const char *s)
{
	for (; *s; s++)
		put_char(*s);
}

void put_hex(uint64_t v)
{
	int shift = 60;

	put("0x");
	while (shift && !(v >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		put_char("0123456789abcdef"[v >> shift & 15]);
}

void put_dec(uint32_t v)
{
	if (v >= 10)
		put_dec(v / 10);
	put_char((char)('0' + v % 10));
}

void say(const char *what, uint64_t v)
{
	put(what);
	put(" ");
	put_hex(v);
	put("\n");
}

static bool is_key(const char *s, const char *key)
{
	while (*key && *s == *key)
		s++, key++;
	return !*key && *s == '=';
}

static unsigned int digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned int)(c - 'a' + 10);
	return 99;
}

static uint64_t number(const char *s)
{
	unsigned int base = 10;
	uint64_t v = 0;

	if (s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	}
	for (; digit(*s) < base; s++)
		v = v * base + digit(*s);
	return v;
}

const char *arg_text(const char *s, const char *key)
{
	while (*s) {
		if (is_key(s, key)) {
			while (*s != '=')
				s++;
			return s + 1;
		}
		while (*s && *s != ' ')
			s++;
		while (*s == ' ')
			s++;
	}
	return NULL;
}

uint64_t arg_number(const char *cmdline, const char *key, uint64_t dflt)
{
	const char *text = arg_text(cmdline, key);

	return text ? number(text) : dflt;
}

uint32_t get32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static bool sum_ok(const uint8_t *p, uint32_t n)
{
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *p++);
	return !sum;
}

/* The root of all tables: the XSDT, or the RSDT of firmware that knows no better. */
static const uint8_t *acpi_root(unsigned int *width)
{
	const uint8_t *rsdp = (const uint8_t *)0xe0000;
	bool has_xsdt;

	while (rsdp < (const uint8_t *)0x100000 && memcmp(rsdp, "RSD PTR ", 8))
		rsdp += 16;
	if (rsdp == (const uint8_t *)0x100000 || !sum_ok(rsdp, 20))
		return NULL;
	has_xsdt = rsdp[15] >= 2;
	if (has_xsdt && !sum_ok(rsdp, 36))
		return NULL;
	*width = has_xsdt ? 8 : 4;
	return (const uint8_t *)(uintptr_t)get32(rsdp + (has_xsdt ? 24 : 16));
}

const uint8_t *acpi_table(const char *sig)
{
	unsigned int width = 0;
	const uint8_t *root = acpi_root(&width), *t;
	uint32_t i, n;

	if (!root)
		return NULL;
	n = get32(root + 4);
	if (!sum_ok(root, n))
		return NULL;
	for (i = 36; i + width <= n; i += width) {
		t = (const uint8_t *)(uintptr_t)get32(root + i);
		if (!memcmp(t, sig, 4))
			return sum_ok(t, get32(t + 4)) ? t : NULL;
	}
	return NULL;
}

unsigned int acpi_cpus(void)
{
	const uint8_t *t = acpi_table("APIC"), *p;
	unsigned int n = 0;

	if (!t)
		return 0;
	for (p = t + 44; p < t + get32(t + 4) && p[1]; p += p[1])
		n += p[0] == 0 && p[4] & 1;
	return n;
}
