/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/view_impl.h"

#include "base/mem.h"

#include <math.h>

/* The head's own draws, in the unit that it was fitted in. */
static tl_err draw_head(
    tl_view *view,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_rng *rng,
    tl_dmat out_draws)
{
    tl_head_rows rows = {0};
    const tl_head *head = &view->costs[cost].head;
    TL_TRY(tl_view_head_rows(view, cost, designs, n, &rows));
    tl_err err = tl_head_draw(head, tl_dro(rows.x), rows.z, rng, out_draws);
    for (int i = 0; i < out_draws.rows && err == TL_OK; i++) {
        double *row = tl_dmat_row(out_draws, i);
        for (int j = 0; j < n; j++) {
            row[j] =
                tl_positive_cost(row[j], head->level) * (rows.unit != NULL ? rows.unit[j] : 1);
        }
    }
    tl_head_rows_done(&rows);
    return err;
}

/*
 * Without a head: one factor for the device, one for each design. Nothing was measured,
 * so most of what is uncertain is the level, which all designs share; a known device's
 * ridge has a level, and errs on each design alone.
 */
static tl_err draw_factors(
    tl_view *view,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_rng *rng,
    tl_dmat out_draws)
{
    double shared = view->costs[cost].basis == TL_BASIS_KNOWN ? 0 : .8;
    double *mean = tl_mem_new((size_t)n * 2, sizeof *mean);
    if (mean == NULL) {
        return tl_fail(TL_ENOMEM, "draws of %d designs", n);
    }
    double *sd = mean + n;
    tl_err err = tl_view_predict_cost(view, cost, designs, n, mean, sd);
    for (int i = 0; i < out_draws.rows && err == TL_OK; i++) {
        double *row = tl_dmat_row(out_draws, i);
        double level = sqrt(shared) * tl_rng_normal(rng);
        for (int j = 0; j < n; j++) {
            double e = level + sqrt(1 - shared) * tl_rng_normal(rng);
            row[j] = mean[j] * exp(e * log1p(sd[j] / mean[j]));
        }
    }
    tl_mem_free(mean);
    return err;
}

tl_err tl_view_draw(
    tl_view *view,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_rng *rng,
    tl_dmat out_draws)
{
    TL_ASSERT(out_draws.cols == n);
    const tl_cost_view *v = &view->costs[cost];
    if (v->basis == TL_BASIS_NOTHING) {
        return tl_fail(TL_ESTATE, "nothing is known of %s", tl_cost_name(cost));
    }
    bool has_head =
        v->basis != TL_BASIS_KNOWN && v->shot.known == NULL && v->head.n_columns > 0;
    return has_head ? draw_head(view, cost, designs, n, rng, out_draws)
                    : draw_factors(view, cost, designs, n, rng, out_draws);
}
