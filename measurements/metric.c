/* SPDX-License-Identifier: Apache-2.0 */
#include "measurements/metric.h"

#include <string.h>

static const char *const names[TL_N_METRICS] = {
    [TL_METRIC_LATENCY_MS] = "latency_ms",
    [TL_METRIC_ENERGY_MJ] = "energy_mj",
    [TL_METRIC_ACCURACY] = "accuracy",
};

const char *tl_metric_name(tl_metric metric)
{
    return names[metric];
}

bool tl_metric_find(const char *name, size_t len, tl_metric *out_metric)
{
    for (int i = 0; i < TL_N_METRICS; i++) {
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0) {
            *out_metric = (tl_metric)i;
            return true;
        }
    }
    return false;
}

bool tl_metric_is_of_device(tl_metric metric)
{
    return metric != TL_METRIC_ACCURACY;
}
