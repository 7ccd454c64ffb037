/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_CLI_PROGRESS_H
#define TL_CLIENTS_CLI_PROGRESS_H

/*
 * A progress bar on standard error: share done, rate and time remaining. Where
 * standard error is no terminal, one line for each new part of the work.
 *
 *     tl_progress progress = {.unit = "bytes", .total = file_bytes};
 *     tailor_on_progress(client, tl_progress_show, &progress);
 *     ...
 *     tl_progress_end(&progress);
 */

#include "clients/c/tailor.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    TL_PROGRESS_WHAT_BYTES = 64
};

typedef struct tl_progress {
    const char *title; /* opens the lines where there is no terminal */
    uint64_t total;    /* used where a report says 0; 0: unknown */
    bool is_bytes;     /* done and total are bytes */
    bool is_shown;     /* a bar stands on the terminal's line */
    int64_t shown_ns;  /* when it was last drawn */
    int64_t part_ns;   /* when the present part began */
    char what[TL_PROGRESS_WHAT_BYTES];
} tl_progress;

/* A tailor_progress_fn; context is the tl_progress. */
void tl_progress_show(void *context, const tailor_progress *report);

/* Clears the bar. */
void tl_progress_end(tl_progress *progress);

#endif
