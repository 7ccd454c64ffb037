/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/suggest.h"

#include "base/mem.h"
#include "numerics/gemm.h"
#include "numerics/linalg.h"

#include <math.h>
#include <string.h>

static const double noise = .1;
static const double root_of_constant = 10;

/*
 * Q <- Q L^-T with L L^T = I + known^T known / noise: inner products of the new
 * rows are covariances given the known designs. Costs the same for ten known
 * designs as for ten thousand.
 */
static tl_err condition(tl_dmat q, tl_dcmat known)
{
    int d = q.cols;
    tl_err err = TL_OK;
    tl_dmat precision = {0};
    tl_dmat transposed = {0};
    if ((err = tl_dmat_init(&precision, d, d)) != TL_OK ||
        (err = tl_dmat_init(&transposed, d, q.rows)) != TL_OK) {
        goto done;
    }
    tl_dsyrk(1 / noise, TL_T, known, 0, precision);
    for (int j = 0; j < d; j++) {
        tl_dmat_row(precision, j)[j] += 1;
    }
    if ((err = tl_chol(precision)) != TL_OK) {
        goto done;
    }
    for (int i = 0; i < q.rows; i++) {
        for (int j = 0; j < d; j++) {
            tl_dmat_row(transposed, j)[i] = tl_dmat_row(q, i)[j];
        }
    }
    tl_chol_forward(tl_dro(precision), transposed);
    for (int i = 0; i < q.rows; i++) {
        for (int j = 0; j < d; j++) {
            tl_dmat_row(q, i)[j] = tl_dmat_row(transposed, j)[i];
        }
    }
done:
    tl_dmat_done(&precision);
    tl_dmat_done(&transposed);
    return err;
}

/* The first of the largest. */
static int argmax(int n, const double *v)
{
    int best = 0;
    for (int i = 1; i < n; i++) {
        if (v[i] > v[best]) {
            best = i;
        }
    }
    return best;
}

/* u = (Q q_pick - U^T u_pick) / sqrt(v_pick + noise); v -= u^2. Rows of U are earlier picks. */
static void eliminate(tl_dcmat q, tl_dmat u, int n_picks, int pick, double *column, double *v)
{
    double *row = tl_dmat_row(u, n_picks);
    double scale = 1 / sqrt(v[pick] + noise);
    for (int k = 0; k < n_picks; k++) {
        column[k] = tl_dmat_row(u, k)[pick];
    }
    tl_dgemv(scale, TL_N, q, tl_dcmat_row(q, pick), 0, row);
    if (n_picks > 0) {
        tl_dcmat before = tl_dcmat_rows(tl_dro(u), 0, n_picks);
        tl_dgemv(-scale, TL_T, before, column, 1, row);
    }
    for (int i = 0; i < q.rows; i++) {
        v[i] -= row[i] * row[i];
    }
}

static tl_err suggest_rows(
    tl_dmat q,
    tl_dcmat known,
    int count,
    tl_suggest_check_fn *check,
    void *context,
    int *out_picks)
{
    int n = q.rows;
    TL_ASSERT(0 <= count && count <= n);
    TL_ASSERT(known.rows == 0 || known.cols == q.cols);
    tl_err err = TL_OK;
    tl_dmat u = {0};
    double *v = tl_mem_new((size_t)n + (size_t)count, sizeof *v);
    if (v == NULL) {
        return tl_fail(TL_ENOMEM, "suggest");
    }
    double *column = v + n;
    if ((err = tl_dmat_init(&u, count, n)) != TL_OK ||
        (known.rows > 0 && (err = condition(q, known)) != TL_OK)) {
        goto done;
    }
    for (int i = 0; i < n; i++) {
        const double *row = tl_dmat_row(q, i);
        v[i] = tl_ddot(q.cols, row, row);
    }
    for (int i = 0; i < count; i++) {
        if (check != NULL && (err = check(context)) != TL_OK) {
            goto done;
        }
        int pick = argmax(n, v);
        eliminate(tl_dro(q), u, i, pick, column, v);
        v[pick] = -HUGE_VAL; /* never twice */
        out_picks[i] = pick;
    }
done:
    tl_dmat_done(&u);
    tl_mem_free(v);
    return err;
}

tl_err tl_suggest_rows(tl_dmat q, tl_dcmat known, int count, int *out_picks)
{
    return suggest_rows(q, known, count, NULL, NULL, out_picks);
}

static tl_err suggest_middle(tl_dcmat q, int *out_pick)
{
    int d = q.cols;
    double *mean = tl_mem_new((size_t)d, sizeof *mean);
    if (mean == NULL) {
        return tl_fail(TL_ENOMEM, "suggest");
    }
    double least = HUGE_VAL;
    for (int i = 0; i < q.rows; i++) {
        for (int j = 0; j < d; j++) {
            mean[j] += tl_dcmat_row(q, i)[j] / q.rows;
        }
    }
    for (int i = 0; i < q.rows; i++) {
        double distance = 0;
        for (int j = 0; j < d; j++) {
            double delta = tl_dcmat_row(q, i)[j] - mean[j];
            distance += delta * delta;
        }
        if (distance < least) {
            least = distance;
            *out_pick = i;
        }
    }
    tl_mem_free(mean);
    return TL_OK;
}

/* q = [sqrt(centre) x, 10] */
static void fill_rows(const tl_features *features, int n_sources, tl_dcmat x, tl_dmat q)
{
    int n_head = tl_features_n_head(features);
    double source_centre = 0;
    for (int h = 0; h < tl_features_n_hypotheses(features); h++) {
        source_centre += tl_features_hypothesis(features, h)->source_centre /
                         tl_features_n_hypotheses(features);
    }
    for (int i = 0; i < x.rows; i++) {
        const double *from = tl_dcmat_row(x, i);
        double *to = tl_dmat_row(q, i);
        for (int g = 0; g < tl_features_n_groups(features); g++) {
            const tl_feature_group *group = tl_features_group(features, g);
            double root = sqrt(group->centre);
            for (int j = group->begin; j < group->end; j++) {
                to[j] = root * from[j];
            }
        }
        for (int s = n_head; s < n_head + n_sources; s++) {
            to[s] = sqrt(source_centre) * from[s];
        }
        to[n_head + n_sources] = root_of_constant;
    }
}

tl_err tl_suggest(
    const tl_features *features,
    int n_sources,
    tl_dcmat candidates,
    tl_dcmat measured,
    int count,
    int *out_picks)
{
    return tl_suggest_checked(
        features, n_sources, candidates, measured, count, NULL, NULL, out_picks);
}

tl_err tl_suggest_checked(
    const tl_features *features,
    int n_sources,
    tl_dcmat candidates,
    tl_dcmat measured,
    int count,
    tl_suggest_check_fn *check,
    void *context,
    int *out_picks)
{
    int width = tl_features_n_head(features) + n_sources;
    TL_ASSERT(candidates.cols == width && (measured.rows == 0 || measured.cols == width));
    tl_err err = TL_OK;
    tl_dmat q = {0};
    tl_dmat known = {0};
    if ((err = tl_dmat_init(&q, candidates.rows, width + 1)) != TL_OK ||
        (err = tl_dmat_init(&known, measured.rows, width + 1)) != TL_OK) {
        goto done;
    }
    fill_rows(features, n_sources, candidates, q);
    fill_rows(features, n_sources, measured, known);
    err = count == 1 && known.rows == 0
              ? suggest_middle(tl_dro(q), out_picks)
              : suggest_rows(q, tl_dro(known), count, check, context, out_picks);
done:
    tl_dmat_done(&q);
    tl_dmat_done(&known);
    return err;
}
