/* SPDX-License-Identifier: Apache-2.0 */
#include "grading/foreign.h"

#include "base/mem.h"
#include "numerics/gemm.h"
#include "numerics/linalg.h"

#include <math.h>
#include <string.h>

enum {
    N_PHYSICAL = 5,    /* MACs, parameters, elements moved, operators, 1 */
    N_REFERENCE = 1000 /* reference designs that are looked at, at most */
};

static const double ridge = 1e-6; /* of a column's squared norm: totals may be proportional */

/* What reference designs have, and what it weighs. */
typedef struct reference {
    tl_dmat rows;     /* [n, Ps] */
    tl_dmat physical; /* [n, N_PHYSICAL], each column over its scale */
    double scale[N_PHYSICAL];
    tl_dmat factor; /* of the normal equations */
} reference;

static void reference_done(reference *r)
{
    tl_dmat_done(&r->rows);
    tl_dmat_done(&r->physical);
    tl_dmat_done(&r->factor);
}

static tl_err measure(
    const tl_space *space, const tl_choice *design, tl_network *network, double *out_physical)
{
    TL_TRY(tl_space_lower(space, design, network));
    memset(out_physical, 0, N_PHYSICAL * sizeof *out_physical);
    for (int i = 0; i < network->n_ops; i++) {
        const tl_op *op = &network->ops[i];
        double params = (double)tl_op_params(op);
        out_physical[0] += (double)tl_op_macs(op);
        out_physical[1] += params;
        out_physical[2] +=
            params + (double)tl_op_elements_in(op) + (double)tl_op_elements_out(op);
        out_physical[3] += 1;
    }
    out_physical[N_PHYSICAL - 1] = 1;
    return TL_OK;
}

static void find_scales(reference *r)
{
    for (int k = 0; k < N_PHYSICAL; k++) {
        double squares = 0;
        for (int i = 0; i < r->physical.rows; i++) {
            squares += tl_dmat_row(r->physical, i)[k] * tl_dmat_row(r->physical, i)[k];
        }
        r->scale[k] = squares > 0 ? sqrt(squares / r->physical.rows) : 1;
        for (int i = 0; i < r->physical.rows; i++) {
            tl_dmat_row(r->physical, i)[k] /= r->scale[k];
        }
    }
}

static tl_err reference_init(const tl_features *features, reference *r)
{
    int n_all = 0;
    const tl_space *space = tl_features_space(features);
    const tl_choice *designs = tl_features_reference(features, &n_all);
    int n_slots = tl_space_n_slots(space);
    int n = n_all < N_REFERENCE ? n_all : N_REFERENCE;
    tl_network network = {0};
    tl_err err = TL_OK;
    if ((err = tl_dmat_init(&r->rows, n, tl_features_n_source(features))) != TL_OK ||
        (err = tl_dmat_init(&r->physical, n, N_PHYSICAL)) != TL_OK ||
        (err = tl_dmat_init(&r->factor, N_PHYSICAL, N_PHYSICAL)) != TL_OK) {
        return err;
    }
    for (int i = 0; i < n && err == TL_OK; i++) {
        const tl_choice *design = designs + (ptrdiff_t)(i * (int64_t)n_all / n) * n_slots;
        err = tl_features_encode(
            features, design, 1, (tl_dmat){0}, tl_dmat_rows(r->rows, i, i + 1));
        if (err == TL_OK) {
            err = measure(space, design, &network, tl_dmat_row(r->physical, i));
        }
    }
    tl_network_done(&network);
    TL_TRY(err);
    find_scales(r);
    tl_dsyrk(1, TL_T, tl_dro(r->physical), 0, r->factor);
    for (int k = 0; k < N_PHYSICAL; k++) {
        tl_dmat_row(r->factor, k)[k] += ridge * n;
    }
    return tl_chol(r->factor);
}

static double least_of(const reference *r, int column)
{
    double least = HUGE_VAL;
    for (int i = 0; i < r->rows.rows; i++) {
        least = fmin(least, tl_dmat_row(r->rows, i)[column]);
    }
    return least;
}

/* Fills a column of the foreign rows, of which physical [n, N_PHYSICAL] is known. */
static void fill_total(const reference *r, int column, tl_dcmat physical, tl_dmat out_rows)
{
    double weights[N_PHYSICAL] = {0};
    for (int i = 0; i < r->rows.rows; i++) {
        for (int k = 0; k < N_PHYSICAL; k++) {
            weights[k] += tl_dmat_row(r->physical, i)[k] * tl_dmat_row(r->rows, i)[column];
        }
    }
    tl_chol_solve(tl_dro(r->factor), weights);
    for (int i = 0; i < out_rows.rows; i++) {
        double sum = 0;
        for (int k = 0; k < N_PHYSICAL; k++) {
            sum += weights[k] * tl_dcmat_row(physical, i)[k] / r->scale[k];
        }
        tl_dmat_row(out_rows, i)[column] = sum;
    }
}

static bool is_total(const tl_features *features, int column)
{
    for (int g = 0; g < tl_features_n_groups(features); g++) {
        const tl_feature_group *group = tl_features_group(features, g);
        if (group->begin <= column && column < group->end) {
            return strncmp(group->name, "tot", 3) == 0;
        }
    }
    return false;
}

static tl_err sample_foreign(
    const tl_space *const *others, int n_others, uint64_t seed, tl_dmat physical)
{
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_network network = {0};
    tl_rng rng;
    tl_err err = TL_OK;
    tl_rng_init(&rng, seed);
    for (int i = 0; i < physical.rows && err == TL_OK; i++) {
        const tl_space *space = others[i % n_others];
        tl_space_sample(space, &rng, design);
        err = measure(space, design, &network, tl_dmat_row(physical, i));
    }
    tl_network_done(&network);
    return err;
}

tl_err tl_foreign_rows(
    const tl_features *features,
    const tl_space *const *others,
    int n_others,
    uint64_t seed,
    tl_dmat out_rows)
{
    TL_ASSERT(n_others > 0 && out_rows.cols == tl_features_n_source(features));
    reference r = {0};
    tl_dmat physical = {0};
    tl_err err = reference_init(features, &r);
    if (err != TL_OK || (err = tl_dmat_init(&physical, out_rows.rows, N_PHYSICAL)) != TL_OK ||
        (err = sample_foreign(others, n_others, seed, physical)) != TL_OK) {
        goto done;
    }
    for (int j = 0; j < out_rows.cols; j++) {
        if (is_total(features, j)) {
            fill_total(&r, j, tl_dro(physical), out_rows);
            continue;
        }
        double least = least_of(&r, j);
        for (int i = 0; i < out_rows.rows; i++) {
            tl_dmat_row(out_rows, i)[j] = least;
        }
    }
done:
    reference_done(&r);
    tl_dmat_done(&physical);
    return err;
}
