// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the plots of report.html are drawn with. Colours are those of Okabe and Ito, which the
 * common kinds of colour blindness keep apart; patterns and labels tell the same again, for print
 * and for who sees none. Text is text, in the page's font and colour, so that it can be selected,
 * and turns light in the dark.
 */
#include <math.h>
#include <string.h>

#include "bench/page.h"

#define ORANGE	   "#e69f00"
#define SKY	   "#56b4e9"
#define GREEN	   "#009e73"
#define YELLOW	   "#f0e442"
#define BLUE	   "#0072b2"
#define VERMILLION "#d55e00"
#define PURPLE	   "#cc79a7"
#define GREY	   "#999999"

void page_text(const struct page *p, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", p->f);
			break;
		case '<':
			fputs("&lt;", p->f);
			break;
		case '>':
			fputs("&gt;", p->f);
			break;
		case '"':
			fputs("&quot;", p->f);
			break;
		case '\'':
			fputs("&#39;", p->f);
			break;
		default:
			fputc(*text, p->f);
		}
	}
}

struct page_paint page_paint_column(const struct bench_column *c)
{
	static const struct {
		const char *mode;
		struct page_paint paint;
	} known[] = {
		{ "emulated", { ORANGE, NULL, "none" } },
		{ "emulated-ioeventfd", { PURPLE, NULL, "2 2" } },
		{ "emulated-shadow", { VERMILLION, NULL, "6 2" } },
		{ "virtio", { SKY, NULL, "7 3" } },
		{ "vhost-user", { GREEN, NULL, "3 3" } },
		{ "vfio", { BLUE, NULL, "9 3 2 3" } },
		{ "none", { GREY, NULL, "none" } },
	};
	struct page_paint paint = { GREY, NULL, "1 3" };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(known[i].mode, c->mode))
			paint = known[i].paint;
	/* The same mode of another VMM is the same colour, hatched. */
	if (strcmp(c->vmm, "sluice"))
		paint.pattern = "hatch";
	return paint;
}

/* Warm and plain for exits to user space, cool and hatched for those that end in the kernel. */
struct page_paint page_paint_reason(const struct page *p, unsigned int reason)
{
	static const char *const warm[] = { VERMILLION, ORANGE, PURPLE, YELLOW };
	static const char *const cool[] = { BLUE, SKY, GREEN, GREY };
	static const char *const warm_more[] = { NULL, "dots", "cross" };
	static const char *const cool_more[] = { "hatch", "back", "cross" };
	bool user = bench_exit_user(p->reason[reason]);
	unsigned int n = 0;

	for (unsigned int i = 0; i < reason; i++)
		n += bench_exit_user(p->reason[i]) == user;
	return (struct page_paint){ (user ? warm : cool)[n % 4],
				    (user ? warm_more : cool_more)[n / 4 % 3], "none" };
}

struct page_paint page_paint_cpu(enum bench_cpu cpu)
{
	static const struct page_paint paint[BENCH_CPUS] = {
		[BENCH_CPU_VCPU] = { BLUE, NULL, "none" },
		[BENCH_CPU_IO] = { ORANGE, "hatch", "none" },
		[BENCH_CPU_BACKEND] = { GREEN, "dots", "none" },
	};

	return paint[cpu];
}

/* One pattern, drawn in ink that is seen on all the colours. */
static void pattern(const struct page *p, const char *name, const char *path)
{
	fprintf(p->f,
		"<pattern id=\"%s\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">"
		"<path d=\"%s\"/></pattern>\n",
		name, path);
}

void page_patterns(const struct page *p)
{
	fputs("<svg class=\"defs\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>\n", p->f);
	pattern(p, "hatch", "M-1 7L7 -1M-1 1L1 -1M5 7L7 5");
	pattern(p, "back", "M-1 -1L7 7M-1 5L1 7M5 -1L7 1");
	pattern(p, "dots", "M2 3h2M5 6h2M-1 6h2");
	pattern(p, "cross", "M3 0V6M0 3H6");
	fputs("</defs></svg>\n", p->f);
}

void page_plot_begin(const struct page *p, const char *title, const char *sub, double height)
{
	fprintf(p->f, "<figure><figcaption><b>%s</b> <span>", title);
	page_text(p, sub);
	fprintf(p->f,
		"</span></figcaption>\n<svg viewBox=\"0 0 %d %.0f\" role=\"group\" aria-label=\"%s\">\n",
		PAGE_WIDTH, height, title);
}

void page_plot_end(const struct page *p, bool timed)
{
	if (timed && !p->timing)
		fputs("<p class=\"unfair\">Times of this run may not be compared; see the warnings.</p>\n",
		      p->f);
	fputs("</figure>\n", p->f);
}

void page_bar(const struct page *p, double x, double y, double w, double h, struct page_paint paint)
{
	fprintf(p->f,
		"<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n",
		x, y, w, h, paint.colour);
	if (paint.pattern)
		fprintf(p->f,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"url(#%s)\"/>\n",
			x, y, w, h, paint.pattern);
}

void page_line(const struct page *p, const char *class, double x1, double y1, double x2, double y2)
{
	fprintf(p->f, "<path class=\"%s\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", class, x1, y1, x2, y2);
}

void page_label(const struct page *p, const char *class, double x, double y, const char *anchor,
		const char *text)
{
	fprintf(p->f, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", class, x, y,
		anchor);
	page_text(p, text);
	fputs("</text>\n", p->f);
}

void page_legend_begin(const struct page *p)
{
	fputs("<ul class=\"legend\">\n", p->f);
}

void page_legend(const struct page *p, struct page_paint paint, const char *text)
{
	fputs("<li><svg viewBox=\"0 0 18 12\" aria-hidden=\"true\">", p->f);
	page_bar(p, 0.5, 0.5, 17, 11, paint);
	fputs("</svg>", p->f);
	page_text(p, text);
	fputs("</li>\n", p->f);
}

void page_legend_end(const struct page *p)
{
	fputs("</ul>\n", p->f);
}

double page_scale_x(const struct page_scale *s, double ns)
{
	double share = log(fmax(ns, s->low) / s->low) / log(s->high / s->low);

	return s->x0 + fmin(share, 1) * (s->x1 - s->x0);
}

/* A line for each power of ten; named ones stay apart on a narrow plot. */
void page_scale_axis(const struct page *p, const struct page_scale *s, double top, double bottom)
{
	int decades = (int)round(log10(s->high / s->low)), step = 1 + (decades - 1) / 5;

	for (int i = 0; i <= decades; i++) {
		double ns = s->low * pow(10, i), x = page_scale_x(s, ns);
		static const char *const unit[] = { "ns", "µs", "ms", "s" };
		int k = (int)round(log10(ns));
		char text[BENCH_NUM_SIZE];

		page_line(p, "grid", x, top, x, bottom);
		if (i % step)
			continue;
		if (k < 12)
			snprintf(text, sizeof(text), "%.0f %s", pow(10, k % 3), unit[k / 3]);
		else
			snprintf(text, sizeof(text), "1e%d s", k - 9);
		page_label(p, "tick", x, bottom + 14,
			   i == 0	  ? "start"
			   : i == decades ? "end"
					  : "middle",
			   text);
	}
}
