/* SPDX-License-Identifier: Apache-2.0 */
#include "grading/unseen.h"

#include "base/mem.h"
#include "grading/infer_impl.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

enum {
    SIGNATURE = 12, /* reference designs of a signature */
    TOTALS = 6,     /* of a design that a signature acts upon, the constant included */
    MAX_TRIALS = TL_UNSEEN_MAX_KNOWN + 1
};

/* Mean squared norm of the products, as that of the other groups of columns. */
static const double product_centre = .3;

/* The device asked for comes first. */
typedef struct roster {
    tl_trial trials[MAX_TRIALS];
    double level[MAX_TRIALS];
    double signature[MAX_TRIALS][SIGNATURE];
    int n;
    int n_columns; /* P: of a design, without known devices */
} roster;

static void roster_done(roster *r)
{
    for (int i = 0; i < r->n; i++) {
        tl_trial_done(&r->trials[i]);
    }
    tl_mem_free(r);
}

static tl_err add_device(
    const tl_pool *pool, int device, int n_samples, uint64_t seed, roster *r)
{
    tl_trial *trial = &r->trials[r->n];
    TL_TRY(tl_trial_init(pool, device, n_samples, seed + (uint64_t)device, trial));
    r->n++;
    double *sorted = tl_mem_new((size_t)n_samples, sizeof *sorted);
    if (sorted == NULL) {
        return tl_fail(TL_ENOMEM, "%d samples", n_samples);
    }
    memcpy(sorted, trial->samples.value, (size_t)n_samples * sizeof *sorted);
    r->level[r->n - 1] = tl_median_inplace(n_samples, sorted);
    tl_mem_free(sorted);
    return TL_OK;
}

static tl_err roster_init(
    const tl_pool *pool, int device, int n_samples, uint64_t seed, roster **out_roster)
{
    roster *r = tl_mem_new(1, sizeof *r);
    if (r == NULL) {
        return tl_fail(TL_ENOMEM, "%d devices", MAX_TRIALS);
    }
    r->n_columns = tl_features_n_head(pool->features);
    tl_err err = add_device(pool, device, n_samples, seed, r);
    for (int i = 0; i < pool->n_devices && r->n < MAX_TRIALS && err == TL_OK; i++) {
        err = i == device ? TL_OK : add_device(pool, i, n_samples, seed, r);
        err = err == TL_ESTATE ? TL_OK : err; /* a device of few designs is left out */
    }
    if (err == TL_OK && r->n < TL_UNSEEN_MIN_KNOWN + 1) {
        err = tl_fail(TL_ESTATE, "%d known devices are too few", r->n - 1);
    }
    if (err == TL_OK && r->trials[0].unlabelled.n < SIGNATURE) {
        err = tl_fail(TL_ESTATE, "too few designs for a signature");
    }
    if (err != TL_OK) {
        roster_done(r);
        return err;
    }
    *out_roster = r;
    return TL_OK;
}

/* ---- signatures -------------------------------------------------------------------------------- */

/* What the device's own samples say of the reference designs, less 1. */
static tl_err sign(const roster *r, int i, double *y, double *out_signature)
{
    const tl_trial *trial = &r->trials[i];
    double sd[SIGNATURE];
    tl_infer_answer answer = {.mean = out_signature, .sd = sd};
    tl_dcmat reference = tl_dro(tl_dmat_rows(r->trials[0].unlabelled.scaled, 0, SIGNATURE));
    for (int k = 0; k < trial->samples.n; k++) {
        y[k] = trial->samples.value[k] / r->level[i] - 1;
    }
    tl_infer_problem problem = {
        .x = tl_dcmat_cols(tl_dro(trial->samples.scaled), 0, r->n_columns),
        .y = y,
        .query = tl_dcmat_cols(reference, 0, r->n_columns)};
    TL_TRY(tl_infer_scales(&problem));
    return tl_infer_gp_run(&problem, &answer);
}

/* Centred, and of mean square norm 1, over the known devices. */
static void standardize(roster *r)
{
    double squares = 0;
    int n_known = r->n - 1;
    for (int k = 0; k < SIGNATURE; k++) {
        double mean = 0;
        for (int i = 1; i < r->n; i++) {
            mean += r->signature[i][k] / n_known;
        }
        for (int i = 0; i < r->n; i++) {
            r->signature[i][k] -= mean;
            squares += i > 0 ? r->signature[i][k] * r->signature[i][k] / n_known : 0;
        }
    }
    double factor = 1 / sqrt(fmax(squares, 1e-12));
    for (int i = 0; i < r->n; i++) {
        for (int k = 0; k < SIGNATURE; k++) {
            r->signature[i][k] *= factor;
        }
    }
}

static tl_err sign_all(roster *r)
{
    int n_samples = r->trials[0].samples.n;
    double *y = tl_mem_new((size_t)n_samples, sizeof *y);
    tl_err err = y == NULL ? tl_fail(TL_ENOMEM, "%d samples", n_samples) : TL_OK;
    for (int i = 0; i < r->n && err == TL_OK; i++) {
        err = sign(r, i, y, r->signature[i]);
    }
    tl_mem_free(y);
    if (err == TL_OK) {
        standardize(r);
    }
    return err;
}

/* ---- pairs ------------------------------------------------------------------------------------------ */

static int n_totals(const roster *r)
{
    return r->n_columns < TOTALS - 1 ? r->n_columns : TOTALS - 1;
}

/* The columns of design k of rows on device i. */
static void fill_pair(const roster *r, int i, const tl_trial_rows *rows, int k, double *out)
{
    const double *design = tl_dmat_row(rows->scaled, k);
    double root = sqrt(product_centre);
    double *products = out + r->n_columns;
    memcpy(out, design, (size_t)r->n_columns * sizeof *out);
    for (int s = 0; s < SIGNATURE; s++) {
        double own = r->signature[i][s] * root;
        for (int t = 0; t < n_totals(r); t++) {
            *products++ = own * design[t];
        }
        *products++ = own;
    }
    *products = 1;
}

static int width(const roster *r)
{
    return r->n_columns + SIGNATURE * (n_totals(r) + 1) + 1;
}

/* Appends the first n of rows on device i from query *at on. */
static void add_queries(
    const roster *r, int i, const tl_trial_rows *rows, int n, tl_unseen *unseen, int *at)
{
    for (int k = 0; k < n; k++, (*at)++) {
        fill_pair(r, i, rows, k, tl_dmat_row(unseen->query, *at));
        unseen->offset[*at] = 1;
        unseen->measured[*at] = rows->value[k] / r->level[i];
        unseen->gain[*at] = rows->gain[k];
    }
}

static int n_inside_of(const tl_trial *trial)
{
    return trial->n_near < TL_UNSEEN_INSIDE_QUERIES ? trial->n_near : TL_UNSEEN_INSIDE_QUERIES;
}

static void fill(const roster *r, tl_unseen *unseen)
{
    int row = 0;
    int at = 0;
    for (int i = 1; i < r->n; i++) {
        const tl_trial_rows *samples = &r->trials[i].samples;
        for (int k = 0; k < samples->n; k++, row++) {
            fill_pair(r, i, samples, k, tl_dmat_row(unseen->x, row));
            unseen->y[row] = samples->value[k] / r->level[i] - 1;
        }
        add_queries(r, i, &r->trials[i].queries, n_inside_of(&r->trials[i]), unseen, &at);
    }
    add_queries(r, 0, &r->trials[0].queries, r->trials[0].n_near, unseen, &at);
    /* other designs on devices in turn, the unseen one too */
    for (int k = 0; k < unseen->unlabelled.rows; k++) {
        fill_pair(r, k % r->n, &r->trials[0].unlabelled, k, tl_dmat_row(unseen->unlabelled, k));
    }
}

static tl_err alloc(const roster *r, tl_unseen *unseen)
{
    int d = width(r);
    int n = (r->n - 1) * r->trials[0].samples.n;
    for (int i = 1; i < r->n; i++) {
        unseen->n_inside += n_inside_of(&r->trials[i]);
    }
    int m = unseen->n_inside + r->trials[0].n_near;
    unseen->y = tl_mem_new((size_t)n + 3 * (size_t)m, sizeof *unseen->y);
    if (unseen->y == NULL) {
        return tl_fail(TL_ENOMEM, "%d samples", n);
    }
    unseen->offset = unseen->y + n;
    unseen->measured = unseen->offset + m;
    unseen->gain = unseen->measured + m;
    TL_TRY(tl_dmat_init(&unseen->x, n, d));
    TL_TRY(tl_dmat_init(&unseen->query, m, d));
    return tl_dmat_init(&unseen->unlabelled, r->trials[0].unlabelled.n, d);
}

tl_err tl_unseen_init(
    const tl_pool *pool, int device, int n_samples, uint64_t seed, tl_unseen *unseen)
{
    roster *r = NULL;
    int n_used = n_samples < TL_UNSEEN_MAX_SAMPLES ? n_samples : TL_UNSEEN_MAX_SAMPLES;
    *unseen = (tl_unseen){0};
    TL_TRY(roster_init(pool, device, n_used, seed, &r));
    tl_err err = sign_all(r);
    if (err == TL_OK && (err = alloc(r, unseen)) == TL_OK) {
        fill(r, unseen);
    }
    if (err != TL_OK) {
        tl_unseen_done(unseen);
    }
    roster_done(r);
    return err;
}

void tl_unseen_done(tl_unseen *unseen)
{
    tl_dmat_done(&unseen->x);
    tl_dmat_done(&unseen->query);
    tl_dmat_done(&unseen->unlabelled);
    tl_mem_free(unseen->y);
    memset(unseen, 0, sizeof *unseen);
}
