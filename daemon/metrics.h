/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_METRICS_H
#define TL_DAEMON_METRICS_H

/*
 * What the daemon counts of its requests: how many of each method ended how, how
 * long they took, how many wait, how many workers are busy.
 *
 * Counting is a few relaxed atomic additions and takes no lock; a reader may see
 * one request counted in one place and not yet in another.
 *
 *     tl_metrics *metrics = NULL;
 *     TL_TRY(tl_metrics_new(tl_methods, tl_methods_len, &metrics));
 *     tl_metrics_answered(metrics, method, TL_OK, duration_ns);
 *     tl_metrics_write(metrics, &text);              in Prometheus' text format
 *     tl_metrics_free(metrics);
 *
 * Every function that counts accepts NULL and then does nothing.
 */

#include "base/text.h"
#include "daemon/method.h"

#include <stdint.h>

typedef struct tl_metrics tl_metrics;

/* Borrows the table. */
TL_MUST_USE tl_err
tl_metrics_new(const tl_method *const *methods, size_t n_methods, tl_metrics **out_metrics);
void tl_metrics_free(tl_metrics *metrics); /* NULL is fine */

/* How many workers a lane has and how many requests may wait for them. */
void tl_metrics_set_limits(tl_metrics *metrics, tl_lane lane, int n_workers, size_t max_queued);

/*
 * One request has its final reply, duration_ns after it came in. method is NULL for one that
 * could not be read or names none: all of these are counted as method "unknown", so that a
 * client cannot make up labels.
 */
void tl_metrics_answered(
    tl_metrics *metrics, const tl_method *method, tl_err err, int64_t duration_ns);

void tl_metrics_queued(tl_metrics *metrics, tl_lane lane);  /* one more waits */
void tl_metrics_dropped(tl_metrics *metrics, tl_lane lane); /* one waits no more */
void tl_metrics_taken(
    tl_metrics *metrics, tl_lane lane, int64_t waited_ns);   /* by a worker, busy now */
void tl_metrics_released(tl_metrics *metrics, tl_lane lane); /* that worker is free */

typedef struct tl_metrics_lane {
    int64_t queued, busy_workers;
    int64_t n_workers, max_queued;
} tl_metrics_lane;

/* ---- connections ---- */

typedef enum tl_handshake_end {
    TL_HANDSHAKE_KEY,      /* a key that is not known */
    TL_HANDSHAKE_PROTOCOL, /* no ZeroMQ, or a wrong key of the daemon's */
    TL_HANDSHAKE_CLOSED,   /* the peer left, or took too long */
} tl_handshake_end;

/* Why a connection was shut down: of what it had sent, too much was no whole message yet. */
typedef enum tl_metrics_cut {
    TL_CUT_HANDSHAKE, /* before it had shown a key */
    TL_CUT_MESSAGE,   /* more than any message has */
    TL_CUT_SUM        /* the most of all connections, which held too much together */
} tl_metrics_cut;

void tl_metrics_set_max_connections(tl_metrics *metrics, size_t n);
void tl_metrics_set_connections(tl_metrics *metrics, size_t n);
void tl_metrics_refused_connection(tl_metrics *metrics); /* beyond the most */
void tl_metrics_handshake_failed(tl_metrics *metrics, tl_handshake_end how);
void tl_metrics_connection_cut(tl_metrics *metrics, tl_metrics_cut why);

/* What is going on now, and what was since the start. */
typedef struct tl_metrics_now {
    tl_metrics_lane all; /* lanes together */
    tl_metrics_lane lanes[TL_N_LANES];
    uint64_t answered, failed; /* failed: of the answered, those with an error */
} tl_metrics_now;

void tl_metrics_read(const tl_metrics *metrics, tl_metrics_now *out_now);

/* Appends everything above. */
void tl_metrics_write(const tl_metrics *metrics, tl_text *out);

/* ---- the text format, for those who add to the page ------------------------------------ */

/* Begins a family: its HELP and TYPE ("counter", "gauge", "histogram"). */
void tl_metrics_family(tl_text *out, const char *name, const char *type, const char *help);

/* A sample without labels. value is finite. */
void tl_metrics_sample(tl_text *out, const char *name, double value);

/* A label's value with what must be escaped. */
void tl_metrics_label(tl_text *out, const char *value);

#endif
