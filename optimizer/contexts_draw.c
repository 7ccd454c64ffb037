/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/contexts_draw.h"

#include "base/mem.h"
#include "base/units.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

tl_err tl_quantiles_init(const tl_prediction *costs, int n, bool has_energy, tl_quantiles *q)
{
    q->n = n;
    for (int c = 0; c < (has_energy ? TL_N_COSTS : 1); c++) {
        q->sorted[c] = tl_mem_new((size_t)n, sizeof *q->sorted[c]);
        if (q->sorted[c] == NULL) {
            return tl_fail(TL_ENOMEM, "%d costs", n);
        }
        for (int i = 0; i < n; i++) {
            q->sorted[c][i] = c == TL_COST_LATENCY ? costs[i].latency_ms : costs[i].energy_mj;
        }
        q->sd[c] = tl_sd(n, q->sorted[c]);
        tl_sort(n, q->sorted[c]);
    }
    return TL_OK;
}

void tl_quantiles_done(tl_quantiles *q)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_mem_free(q->sorted[c]);
    }
}

static double draw_limit(tl_rng *rng, const tl_quantiles *q, tl_cost cost)
{
    double at = .03 + .87 * tl_rng_uniform(rng);
    return q->sorted[cost][(int)(at * (q->n - 1))];
}

/* Points per unit such that a deviation of the cost is worth .1 to 3 of the accuracy's. */
static double draw_weight(tl_rng *rng, double points, double sd)
{
    return sd > 0 ? points * .1 * exp(log(30.0) * tl_rng_uniform(rng)) / sd : 0;
}

/* Which costs are limited and weighted: mostly a limit on latency alone. */
static void draw_asked(
    tl_rng *rng, bool has_energy, bool is_limited[TL_N_COSTS], bool is_weighted[TL_N_COSTS])
{
    double u = tl_rng_uniform(rng);
    double v = tl_rng_uniform(rng);
    is_limited[TL_COST_LATENCY] = u < .85;
    is_limited[TL_COST_ENERGY] = has_energy && u > .6 && u < .97;
    bool has_weights = v < (u >= .97 || (!has_energy && u >= .85) ? .8 : .1);
    is_weighted[TL_COST_LATENCY] = has_weights && (!has_energy || v < .06 || u > .98);
    is_weighted[TL_COST_ENERGY] = has_weights && has_energy && (v > .03 || u > .98);
}

tl_context tl_context_draw(const tl_contexts *c, tl_rng *rng, const tl_quantiles *q)
{
    static const double confidences[] = {.5, .6, .7, .8, .9, .95, .99};
    bool is_limited[TL_N_COSTS];
    bool is_weighted[TL_N_COSTS];
    tl_context out = {
        .task = (int)tl_rng_below(rng, (uint64_t)c->signature->n_tasks),
        .limits =
            {.max_latency_ms = TL_UNKNOWN,
                     .max_energy_mj = TL_UNKNOWN,
                     .min_accuracy = TL_UNKNOWN,
                     .confidence = confidences[tl_rng_below(rng, TL_COUNT(confidences))]},
        .weights = {TL_UNKNOWN, TL_UNKNOWN}
    };
    double points = c->points[out.task];
    draw_asked(rng, c->signature->has_energy, is_limited, is_weighted);
    if (is_limited[TL_COST_LATENCY]) {
        out.limits.max_latency_ms = draw_limit(rng, q, TL_COST_LATENCY);
    }
    if (is_limited[TL_COST_ENERGY]) {
        out.limits.max_energy_mj = draw_limit(rng, q, TL_COST_ENERGY);
    }
    if (is_weighted[TL_COST_LATENCY]) {
        out.weights.latency_points_per_ms = draw_weight(rng, points, q->sd[TL_COST_LATENCY]);
    }
    if (is_weighted[TL_COST_ENERGY]) {
        out.weights.energy_points_per_mj = draw_weight(rng, points, q->sd[TL_COST_ENERGY]);
    }
    return out;
}
