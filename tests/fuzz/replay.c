// SPDX-License-Identifier: BSD-3-Clause
/*
 * Runs a fuzz target without libFuzzer: every file of the corpus as it is, then a fixed number of
 * mutations of each from a fixed seed, so that a run is an ordinary, repeatable test.
 *
 *	fuzz-NAME CORPUS-DIR [MUTATIONS]
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (1 << 20)
#define GROW_MAX  64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t rnd(uint64_t *state)
{
	/* xorshift64* */
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static void run_copy(const uint8_t *p, size_t n)
{
	/* An exact-size heap copy, so that a sanitizer sees a read past the end. */
	uint8_t *copy = malloc(n ? n : 1);

	if (!copy)
		abort();
	memcpy(copy, p, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static void mutate_and_run(const uint8_t *p, size_t n, unsigned int times)
{
	static const uint64_t edge[] = { 0,	 1,	     0x7f,	 0x80,	    0xff,
					 0xffff, 0x7fffffff, 0x80000000, UINT64_MAX };
	uint8_t *m = malloc(n + GROW_MAX);
	uint64_t st = 0x9e3779b97f4a7c15ull ^ n;

	if (!m)
		abort();
	for (unsigned int i = 0; i < times; i++) {
		size_t len = n;

		memcpy(m, p, n);
		for (unsigned int k = 1 + rnd(&st) % 8; k && len; k--) {
			size_t at = rnd(&st) % len;
			uint64_t v = edge[rnd(&st) % (sizeof(edge) / sizeof(edge[0]))];

			switch (rnd(&st) % 4) {
			case 0:
				m[at] ^= (uint8_t)(1u << rnd(&st) % 8);
				break;
			case 1:
				m[at] = (uint8_t)rnd(&st);
				break;
			case 2:
				memcpy(m + at, &v, len - at < sizeof(v) ? len - at : sizeof(v));
				break;
			default:
				len = rnd(&st) % 4 ? len : at;
			}
		}
		run_copy(m, len);
	}
	free(m);
}

static int run_file(const char *path, unsigned int times)
{
	uint8_t *buf = malloc(INPUT_MAX);
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f || !buf) {
		perror(path);
		free(buf);
		return 1;
	}
	n = fread(buf, 1, INPUT_MAX, f);
	fclose(f);
	run_copy(buf, n);
	mutate_and_run(buf, n, times);
	free(buf);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int times = argc > 2 ? (unsigned int)atoi(argv[2]) : 2000, files = 0;
	struct dirent *de;
	char path[4096];
	DIR *d;
	int bad = 0;

	if (argc < 2 || !(d = opendir(argv[1]))) {
		fprintf(stderr, "usage: %s CORPUS-DIR [MUTATIONS]\n", argv[0]);
		return 2;
	}
	while ((de = readdir(d))) {
		if (de->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], de->d_name);
		bad |= run_file(path, times);
		files++;
	}
	closedir(d);
	printf("%u corpus files, %u mutations each\n", files, times);
	return bad || !files; /* an empty corpus tests nothing */
}
