/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/progress.h"

#include "base/clock.h"
#include "base/units.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    BAR_WIDTH = 24,
    REDRAW_MS = 100,
    S_PER_MIN = 60
};

static void print_bar(uint64_t done, uint64_t total)
{
    int n_full = (int)((double)done / (double)total * BAR_WIDTH);
    (void)fputc('[', stderr);
    for (int i = 0; i < BAR_WIDTH; i++) {
        (void)fputc(i < n_full ? '#' : '.', stderr);
    }
    (void)fprintf(stderr, "] %3.0f%%  ", (double)done / (double)total * TL_PERCENT);
}

static void print_amount(const tl_progress *progress, double done, double rate)
{
    if (progress->is_bytes) {
        double mib = (double)TL_MIB_BYTES;
        (void)fprintf(stderr, "%.1f MiB  %.1f MiB/s", done / mib, rate / mib);
    } else {
        (void)fprintf(stderr, "%.0f  %.1f/s", done, rate);
    }
}

static void draw(tl_progress *progress, uint64_t done, uint64_t total, double elapsed_s)
{
    double rate = elapsed_s > 0.0 ? (double)done / elapsed_s : 0.0;
    (void)fprintf(stderr, "\r\033[K%s  ", progress->what);
    if (total > 0) {
        print_bar(done < total ? done : total, total);
    }
    print_amount(progress, (double)done, rate);
    if (total > done && rate > 0.0) {
        int remaining_s = (int)((double)(total - done) / rate + 0.5);
        (void)fprintf(
            stderr, "  %d:%02d left", remaining_s / S_PER_MIN, remaining_s % S_PER_MIN);
    }
    (void)fflush(stderr);
    progress->is_shown = true;
}

void tl_progress_show(void *context, const tailor_progress *report)
{
    tl_progress *progress = context;
    int64_t now_ns = tl_clock_ns();
    bool is_new = strncmp(progress->what, report->what, sizeof progress->what - 1) != 0;
    if (is_new) {
        (void)snprintf(progress->what, sizeof progress->what, "%s", report->what);
        progress->part_ns = now_ns;
    }
    if (!isatty(STDERR_FILENO)) {
        if (is_new && progress->title != NULL) {
            (void)fprintf(stderr, "%s: %s\n", progress->title, progress->what);
        }
        return;
    }
    uint64_t total = report->total > 0 ? report->total : progress->total;
    bool is_due = now_ns - progress->shown_ns >= REDRAW_MS * TL_NS_PER_MS;
    if (is_new || is_due || report->done == total) {
        progress->shown_ns = now_ns;
        draw(
            progress, report->done, total,
            (double)(now_ns - progress->part_ns) / (double)TL_NS_PER_S);
    }
}

void tl_progress_end(tl_progress *progress)
{
    if (progress->is_shown) {
        (void)fputs("\r\033[K", stderr);
        progress->is_shown = false;
    }
}
