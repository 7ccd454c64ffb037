/* SPDX-License-Identifier: Apache-2.0 */

/* Contexts of a listed space: the best designs of each, exactly. */

#include "base/mem.h"
#include "base/units.h"
#include "measurements/designs.h"
#include "optimizer/contexts.h"

#include <math.h>
#include <string.h>

/* One context over the listing. */
typedef struct scan {
    const tl_contexts *c;
    const tl_context *asked;
    const tl_context_device *device;
    double limit[TL_N_COSTS], margin[TL_N_COSTS], weight[TL_N_COSTS];
    bool has_two_limits, has_weights;
} scan;

static scan start_scan(const tl_contexts *c, int context)
{
    scan s = {.c = c, .asked = &c->contexts[context]};
    s.device = &c->devices[context / c->options.n_per_device];
    s.limit[TL_COST_LATENCY] = s.asked->limits.max_latency_ms;
    s.limit[TL_COST_ENERGY] = s.asked->limits.max_energy_mj;
    s.weight[TL_COST_LATENCY] = s.asked->weights.latency_points_per_ms;
    s.weight[TL_COST_ENERGY] = s.asked->weights.energy_points_per_mj;
    for (int k = 0; k < TL_N_COSTS; k++) {
        s.margin[k] =
            tl_confidence_margin(&s.device->imagined.confidence[k], s.asked->limits.confidence);
        s.has_weights |= s.weight[k] > 0;
    }
    s.has_two_limits = !isnan(s.limit[0]) && !isnan(s.limit[1]);
    return s;
}

static double margin_of(const scan *s, int cost, int place)
{
    const float *listed = s->device->listed[cost];
    const tl_confidence *confidence = &s->device->imagined.confidence[cost];
    double mean = (double)listed[place];
    double sd = (double)listed[s->c->n_listing + place];
    double unit = tl_margin_unit_at(&confidence->unit, mean, sd);
    return (s->limit[cost] - mean) / fmax(unit, 1e-9 * s->limit[cost]);
}

/* Each limit holds, and where there are two, both together. */
static bool holds(const scan *s, int place)
{
    double p = 1;
    for (int k = 0; k < TL_N_COSTS; k++) {
        if (isnan(s->limit[k])) {
            continue;
        }
        double margin = margin_of(s, k, place);
        if (margin < s->margin[k]) {
            return false;
        }
        if (s->has_two_limits) {
            p *= tl_confidence_of_margin(&s->device->imagined.confidence[k], margin);
        }
    }
    return !s->has_two_limits || p >= s->asked->limits.confidence;
}

static double value_at(const scan *s, int place)
{
    ptrdiff_t at = (ptrdiff_t)s->asked->task * s->c->n_listing + place;
    double value = (double)s->c->listed_accuracies.mean[at];
    for (int k = 0; k < TL_N_COSTS; k++) {
        if (s->weight[k] > 0) {
            value -= s->weight[k] * (double)s->device->listed[k][place];
        }
    }
    return value;
}

/* Keeps the n largest in order; returns how many there are. */
static int keep(int n, int n_kept, int place, double worth, int *places, double *out_worth)
{
    int at = n_kept;
    while (at > 0 && out_worth[at - 1] < worth) {
        at--;
    }
    if (at >= n) {
        return n_kept;
    }
    int n_after = (n_kept < n ? n_kept : n - 1) - at;
    memmove(&places[at + 1], &places[at], (size_t)n_after * sizeof *places);
    memmove(&out_worth[at + 1], &out_worth[at], (size_t)n_after * sizeof *out_worth);
    places[at] = place;
    out_worth[at] = worth;
    return n_kept < n ? n_kept + 1 : n;
}

static int keep_feasible(const scan *s, int n, int *places, double *out_worth)
{
    const int *order = s->c->order + (ptrdiff_t)s->asked->task * s->c->n_listing;
    int n_kept = 0;
    for (int i = 0; i < s->c->n_listing; i++) {
        if (!s->has_weights && n_kept == n) {
            break; /* in order of accuracy: none that follows is better */
        }
        if (holds(s, order[i])) {
            n_kept = keep(n, n_kept, order[i], value_at(s, order[i]), places, out_worth);
        }
    }
    return n_kept;
}

/* Nothing is feasible: the nearest designs. */
static tl_err keep_nearest(
    const tl_contexts *c, int context, int n, int *places, double *out_worth, int *out_n)
{
    tl_outlook outlook = {0};
    int n_kept = 0;
    double *worth = tl_mem_new((size_t)c->n_listing, sizeof *worth);
    tl_err err = worth == NULL ? tl_fail(TL_ENOMEM, "%d designs", c->n_listing) : TL_OK;
    if (err == TL_OK &&
        (err = tl_contexts_look(
             c, context / c->options.n_per_device, c->listing, c->n_listing, &outlook)) ==
            TL_OK &&
        (err = tl_contexts_worth(c, context, &outlook, worth)) == TL_OK) {
        for (int i = 0; i < c->n_listing; i++) {
            n_kept = keep(n, n_kept, i, worth[i], places, out_worth);
        }
        *out_n = n_kept;
    }
    tl_outlook_done(&outlook);
    tl_mem_free(worth);
    return err;
}

tl_err tl_contexts_best_listed(
    const tl_contexts *contexts,
    int context,
    int n,
    tl_choice *out_designs,
    double *out_worth,
    int *out_n)
{
    int places[TL_CONTEXTS_MAX_BEST];
    int n_slots = tl_space_n_slots(contexts->signature->space);
    TL_ASSERT(contexts->listing != NULL && n <= TL_CONTEXTS_MAX_BEST);
    scan s = start_scan(contexts, context);
    int n_kept = keep_feasible(&s, n, places, out_worth);
    if (n_kept == 0) {
        TL_TRY(keep_nearest(contexts, context, n, places, out_worth, &n_kept));
    }
    for (int i = 0; i < n_kept; i++) {
        memcpy(
            out_designs + (ptrdiff_t)i * n_slots,
            tl_design_at(contexts->listing, n_slots, places[i]),
            (size_t)n_slots * sizeof *out_designs);
    }
    *out_n = n_kept;
    return TL_OK;
}
