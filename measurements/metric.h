/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_MEASUREMENTS_METRIC_H
#define TL_MEASUREMENTS_METRIC_H

/*
 * What can be measured of a design. A column of a measurement table is
 * metric@subject: latency and energy of a device, accuracy on a task.
 */

#include <stdbool.h>
#include <stddef.h>

/* The numbers are kept in the store: they never change once released. */
typedef enum tl_metric {
    TL_METRIC_LATENCY_MS = 0,
    TL_METRIC_ENERGY_MJ = 1,
    TL_METRIC_ACCURACY = 2, /* top-1, percent */
    TL_N_METRICS
} tl_metric;

/* "latency_ms", "energy_mj", "accuracy". */
const char *tl_metric_name(tl_metric metric);

/* Of the first len bytes of name; false when there is no such metric. */
bool tl_metric_find(const char *name, size_t len, tl_metric *out_metric);

/* Its subject is a device; otherwise a task. */
bool tl_metric_is_of_device(tl_metric metric);

#endif
