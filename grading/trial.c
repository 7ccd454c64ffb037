/* SPDX-License-Identifier: Apache-2.0 */
#include "grading/trial.h"

#include "base/mem.h"
#include "base/units.h"
#include "grading/foreign.h"
#include "measurements/designs.h"
#include "numerics/rng.h"
#include "numerics/stats.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum {
    MAX_KNOWN_ROWS = 512, /* measurements of each known device */
    MAX_ROWS = 6000       /* of the device left out that are looked at */
};

static const double held_out_frac = .2;
static const double near_frac = .8;
static const double least_offset = .25;

/* ---- which designs are held out ----------------------------------------------------------- */

/*
 * By what the design computes, so that the same function is never on both sides, and
 * alike for all devices. form is scratch.
 */
static tl_err find_held_out(
    const tl_pool *pool, const tl_choice *design, tl_text *form, bool *out_is_held)
{
    static const uint64_t prime = 0x100000001b3U; /* of FNV */
    tl_rng rng;
    uint64_t digest = pool->seed;
    tl_text_clear(form);
    tl_space_canonical(pool->space, design, form);
    for (size_t i = 0; i < form->len; i++) {
        digest = (digest ^ (unsigned char)form->data[i]) * prime;
    }
    tl_rng_init(&rng, digest);
    *out_is_held = tl_rng_uniform(&rng) < held_out_frac;
    return tl_text_err(form);
}

static const tl_choice *design_of(const tl_pool *pool, const tl_train_column *column, int row)
{
    return tl_design_at(column->designs, tl_space_n_slots(pool->space), row);
}

/* ---- known devices --------------------------------------------------------------------------- */

static void copy_designs(
    const tl_pool *pool, const tl_train_column *column, const int *rows, int n, tl_choice *out)
{
    size_t n_slots = (size_t)tl_space_n_slots(pool->space);
    for (int i = 0; i < n; i++) {
        memcpy(
            out + (size_t)i * n_slots, design_of(pool, column, rows[i]), n_slots * sizeof *out);
    }
}

/* At most MAX_KNOWN_ROWS rows of chance that are not held out. */
static tl_err choose_known_rows(
    const tl_pool *pool, const tl_train_column *column, tl_rng *rng, int *order, int *out_n)
{
    int n = 0;
    tl_text form = {0};
    tl_err err = TL_OK;
    tl_rng_permutation(rng, column->n, order);
    for (int i = 0; i < column->n && n < MAX_KNOWN_ROWS && err == TL_OK; i++) {
        bool is_held = false;
        err = find_held_out(pool, design_of(pool, column, order[i]), &form, &is_held);
        if (!is_held) {
            order[n++] = order[i];
        }
    }
    tl_text_done(&form);
    *out_n = n;
    return err;
}

static tl_err fit_known(
    tl_pool *pool, const tl_train_column *column, tl_rng *rng, tl_source *out)
{
    tl_err err = TL_OK;
    tl_dmat rows = {0};
    size_t n_slots = (size_t)tl_space_n_slots(pool->space);
    int *order = tl_mem_new((size_t)column->n, sizeof *order);
    double *y = tl_mem_new(MAX_KNOWN_ROWS, sizeof *y);
    tl_choice *designs = tl_mem_new(MAX_KNOWN_ROWS * n_slots, sizeof *designs);
    if (order == NULL || y == NULL || designs == NULL) {
        err = tl_fail(TL_ENOMEM, "%d measurements", column->n);
        goto done;
    }
    int n = 0;
    if ((err = choose_known_rows(pool, column, rng, order, &n)) != TL_OK) {
        goto done;
    }
    copy_designs(pool, column, order, n, designs);
    for (int i = 0; i < n; i++) {
        y[i] = column->values[order[i]];
    }
    if ((err = tl_dmat_init(&rows, n, tl_features_n_source(pool->features))) != TL_OK ||
        (err = tl_features_encode(pool->features, designs, n, (tl_dmat){0}, rows)) != TL_OK) {
        goto done;
    }
    err = tl_source_fit(out, tl_dro(rows), y);
done:
    tl_dmat_done(&rows);
    tl_mem_free(designs);
    tl_mem_free(y);
    tl_mem_free(order);
    return err == TL_OK ? TL_OK : tl_fail_in(err, "%s: ", column->subject);
}

tl_err tl_pool_init(
    const tl_space *space,
    const tl_train_column *const *columns,
    int n_columns,
    const tl_column *accuracy,
    uint64_t seed,
    tl_pool *pool)
{
    tl_source *sources[TL_POOL_MAX_DEVICES];
    tl_rng rng;
    TL_ASSERT(n_columns <= TL_POOL_MAX_DEVICES);
    *pool =
        (tl_pool){.space = space, .accuracy = accuracy, .n_devices = n_columns, .seed = seed};
    tl_rng_init(&rng, seed);
    tl_err err = tl_features_new(space, &pool->features);
    for (int i = 0; i < n_columns && err == TL_OK; i++) {
        pool->columns[i] = columns[i];
        sources[i] = &pool->sources[i];
        err = fit_known(pool, columns[i], &rng, sources[i]);
    }
    if (err == TL_OK) {
        err = tl_sources_standardize(pool->features, sources, n_columns);
    }
    if (err != TL_OK) {
        tl_pool_done(pool);
    }
    return err;
}

void tl_pool_done(tl_pool *pool)
{
    for (int i = 0; i < pool->n_devices; i++) {
        tl_source_done(&pool->sources[i]);
    }
    tl_features_free(pool->features);
    memset(pool, 0, sizeof *pool);
}

/* ---- rows of a trial --------------------------------------------------------------------------- */

void tl_trial_rows_done(tl_trial_rows *rows)
{
    tl_dmat_done(&rows->head);
    tl_dmat_done(&rows->scaled);
    tl_mem_free(rows->z);
    tl_mem_free(rows->designs);
    memset(rows, 0, sizeof *rows);
}

/* z, offset, value and gain are one block, held by z. */
static tl_err rows_init(int n, int n_slots, int n_columns, tl_trial_rows *rows)
{
    *rows = (tl_trial_rows){.n = n, .n_slots = n_slots};
    rows->z = tl_mem_new((size_t)n * 4, sizeof *rows->z);
    rows->designs = tl_mem_new((size_t)n * (size_t)n_slots, sizeof *rows->designs);
    if (rows->z == NULL || rows->designs == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n);
    }
    rows->offset = rows->z + n;
    rows->value = rows->offset + n;
    rows->gain = rows->value + n;
    TL_TRY(tl_dmat_init(&rows->head, n, n_columns));
    return tl_dmat_init(&rows->scaled, n, n_columns + 1);
}

static void copy_row(const tl_trial_rows *from, int i, tl_trial_rows *to, int k)
{
    memcpy(
        tl_dmat_row(to->head, k), tl_dmat_row(from->head, i),
        (size_t)from->head.cols * sizeof(double));
    memcpy(
        tl_dmat_row(to->scaled, k), tl_dmat_row(from->scaled, i),
        (size_t)from->scaled.cols * sizeof(double));
    memcpy(
        to->designs + (ptrdiff_t)k * to->n_slots, from->designs + (ptrdiff_t)i * from->n_slots,
        (size_t)to->n_slots * sizeof *to->designs);
    to->z[k] = from->z[i];
    to->offset[k] = from->offset[i];
    to->value[k] = from->value[i];
    to->gain[k] = from->gain[i];
}

static tl_err rows_of(
    const tl_trial_rows *from, const int *chosen, int n, tl_trial_rows *out_rows)
{
    tl_err err = rows_init(n, from->n_slots, from->head.cols, out_rows);
    for (int k = 0; k < n && err == TL_OK; k++) {
        copy_row(from, chosen[k], out_rows, k);
    }
    return err;
}

/* Every column times the root of its prior variance, so that all weights share one. */
static void scale_rows(const tl_features *features, tl_trial_rows *rows)
{
    int n_head = tl_features_n_head(features);
    double source_root = sqrt(tl_features_hypothesis(features, 0)->source_centre);
    for (int i = 0; i < rows->n; i++) {
        const double *from = tl_dmat_row(rows->head, i);
        double *to = tl_dmat_row(rows->scaled, i);
        for (int g = 0; g < tl_features_n_groups(features); g++) {
            const tl_feature_group *group = tl_features_group(features, g);
            double root = sqrt(group->centre);
            for (int j = group->begin; j < group->end; j++) {
                to[j] = from[j] * root;
            }
        }
        for (int j = n_head; j < rows->head.cols; j++) {
            to[j] = from[j] * source_root;
        }
        to[rows->head.cols] = 1;
    }
}

/* The models of all devices but one. */
static int fellows_of(const tl_pool *pool, int device, const tl_source **out)
{
    int n = 0;
    for (int i = 0; i < pool->n_devices; i++) {
        if (i != device) {
            out[n++] = &pool->sources[i];
        }
    }
    return n;
}

/* What the head reads of designs' source columns, from row `begin` on. */
static void fill_rows(
    const tl_pool *pool,
    int device,
    double spread,
    tl_dcmat source,
    int begin,
    tl_trial_rows *rows)
{
    const tl_source *fellows[TL_POOL_MAX_DEVICES];
    int n_head = tl_features_n_head(pool->features);
    int n_fellows = fellows_of(pool, device, fellows);
    tl_dmat head = tl_dmat_rows(rows->head, begin, begin + source.rows);
    for (int i = 0; i < source.rows; i++) {
        memcpy(tl_dmat_row(head, i), tl_dcmat_row(source, i), (size_t)n_head * sizeof(double));
    }
    if (n_fellows > 0) {
        tl_sources_columns(
            fellows, n_fellows, source, tl_dmat_cols(head, n_head, n_head + n_fellows),
            rows->z + begin);
    }
    for (int i = begin; i < begin + source.rows; i++) {
        rows->offset[i] = fmax(1 + spread * rows->z[i], least_offset);
    }
    scale_rows(pool->features, rows);
}

static tl_err encode(const tl_pool *pool, int device, double spread, tl_trial_rows *rows)
{
    tl_dmat source = {0};
    TL_TRY(tl_dmat_init(&source, rows->n, tl_features_n_source(pool->features)));
    tl_err err =
        tl_features_encode(pool->features, rows->designs, rows->n, (tl_dmat){0}, source);
    if (err == TL_OK) {
        fill_rows(pool, device, spread, tl_dro(source), 0, rows);
    }
    tl_dmat_done(&source);
    return err;
}

/* ---- accuracies --------------------------------------------------------------------------------- */

static double gain_of(const tl_pool *pool, const tl_choice *design)
{
    return pool->accuracy == NULL ? TL_UNKNOWN : tl_column_find(pool->accuracy, design);
}

/* ---- the trial ------------------------------------------------------------------------------------ */

/* The rows' values, gains and whether they are held out; designs and order are there. */
static tl_err describe(
    const tl_pool *pool,
    const tl_train_column *column,
    const int *order,
    bool *held,
    tl_trial_rows *rows)
{
    tl_text form = {0};
    tl_err err = TL_OK;
    for (int i = 0; i < rows->n && err == TL_OK; i++) {
        const tl_choice *design = design_of(pool, column, order[i]);
        rows->value[i] = column->values[order[i]];
        rows->gain[i] = gain_of(pool, design);
        err = find_held_out(pool, design, &form, &held[i]);
    }
    tl_text_done(&form);
    return err;
}

/* Rows of chance of the device, encoded. */
static tl_err look_at(
    const tl_pool *pool,
    int device,
    uint64_t seed,
    tl_trial *trial,
    bool **out_held,
    tl_trial_rows *rows)
{
    const tl_train_column *column = pool->columns[device];
    const tl_source *fellows[TL_POOL_MAX_DEVICES];
    int n = column->n < MAX_ROWS ? column->n : MAX_ROWS;
    tl_rng rng;
    tl_err err = TL_OK;
    int *order = tl_mem_new((size_t)column->n, sizeof *order);
    bool *held = tl_mem_new((size_t)n, sizeof *held);
    trial->n_sources = fellows_of(pool, device, fellows);
    int n_columns = tl_features_n_head(pool->features) + trial->n_sources;
    if (order == NULL || held == NULL) {
        err = tl_fail(TL_ENOMEM, "%d designs", n);
    } else if ((err = tl_sources_spread(fellows, trial->n_sources, &trial->spread)) == TL_OK) {
        err = rows_init(n, tl_space_n_slots(pool->space), n_columns, rows);
    }
    if (err == TL_OK) {
        tl_rng_init(&rng, seed);
        tl_rng_permutation(&rng, column->n, order);
        copy_designs(pool, column, order, n, rows->designs);
        err = describe(pool, column, order, held, rows);
    }
    if (err == TL_OK && (err = encode(pool, device, trial->spread, rows)) == TL_OK) {
        *out_held = held;
        held = NULL;
    }
    tl_mem_free(held);
    tl_mem_free(order);
    return err;
}

/* How large a design is: on known devices, else by its first total. */
static double size_of(const tl_trial *trial, const tl_trial_rows *rows, int i)
{
    return trial->n_sources > 0 ? rows->z[i] : tl_dmat_row(rows->head, i)[0];
}

static tl_err range_of_samples(
    const tl_trial *trial, const tl_trial_rows *rows, double *out_end)
{
    double *sizes = tl_mem_new((size_t)rows->n, sizeof *sizes);
    if (sizes == NULL) {
        return tl_fail(TL_ENOMEM, "%d sizes", rows->n);
    }
    for (int i = 0; i < rows->n; i++) {
        sizes[i] = size_of(trial, rows, i);
    }
    *out_end = tl_quantile_inplace(rows->n, sizes, near_frac);
    tl_mem_free(sizes);
    return TL_OK;
}

enum {
    SAMPLE,
    UNLABELLED,
    NEAR,
    FAR,
    N_PARTS
};

/* Deals the rows, in their order of chance, to the parts: chosen [N_PARTS][rows->n]. */
static void deal(
    const tl_trial *trial,
    const tl_trial_rows *rows,
    const bool *held,
    double end,
    const int *most,
    int *chosen,
    int *n)
{
    for (int i = 0; i < rows->n; i++) {
        bool is_far = size_of(trial, rows, i) > end;
        int part = held[i] ? (is_far ? FAR : NEAR) : (is_far ? UNLABELLED : SAMPLE);
        if (part == SAMPLE && n[SAMPLE] == most[SAMPLE]) {
            part = UNLABELLED;
        }
        if (n[part] < most[part]) {
            chosen[part * rows->n + n[part]++] = i;
        }
    }
}

static tl_err split(
    const tl_pool *pool,
    int device,
    int n_samples,
    const bool *held,
    const tl_trial_rows *rows,
    tl_trial *trial)
{
    const int most[N_PARTS] = {
        n_samples, TL_TRIAL_UNLABELLED, TL_TRIAL_MAX_QUERIES, TL_TRIAL_MAX_QUERIES};
    int n[N_PARTS] = {0};
    double end = 0;
    TL_TRY(range_of_samples(trial, rows, &end));
    int *chosen = tl_mem_new((size_t)rows->n * N_PARTS, sizeof *chosen);
    if (chosen == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", rows->n);
    }
    deal(trial, rows, held, end, most, chosen, n);
    tl_err err = TL_OK;
    if (n[SAMPLE] < n_samples || n[NEAR] < TL_TRIAL_MIN_QUERIES ||
        n[FAR] < TL_TRIAL_MIN_QUERIES) {
        err = tl_fail(
            TL_ESTATE, "device %s: %d measured designs are too few for %d samples",
            pool->columns[device]->subject, pool->columns[device]->n, n_samples);
        goto done;
    }
    /* near and far after one another */
    memmove(
        chosen + (ptrdiff_t)NEAR * rows->n + n[NEAR], chosen + (ptrdiff_t)FAR * rows->n,
        (size_t)n[FAR] * sizeof *chosen);
    trial->n_near = n[NEAR];
    if ((err = rows_of(rows, chosen, n_samples, &trial->samples)) != TL_OK ||
        (err = rows_of(rows, chosen + rows->n, n[UNLABELLED], &trial->unlabelled)) != TL_OK ||
        (err = rows_of(
             rows, chosen + (ptrdiff_t)NEAR * rows->n, n[NEAR] + n[FAR], &trial->queries)) !=
            TL_OK) {
        goto done;
    }
    err = tl_trial_level(trial, trial->samples.value, &trial->level);
done:
    tl_mem_free(chosen);
    return err;
}

tl_err tl_trial_level(const tl_trial *trial, const double *values, double *out_level)
{
    int n = trial->samples.n;
    double *ratios = tl_mem_new((size_t)n, sizeof *ratios);
    if (ratios == NULL) {
        return tl_fail(TL_ENOMEM, "%d samples", n);
    }
    for (int i = 0; i < n; i++) {
        ratios[i] = values[i] / trial->samples.offset[i];
    }
    *out_level = tl_median_inplace(n, ratios);
    tl_mem_free(ratios);
    return TL_OK;
}

tl_err tl_trial_init(
    const tl_pool *pool, int device, int n_samples, uint64_t seed, tl_trial *trial)
{
    tl_trial_rows rows = {0};
    bool *held = NULL;
    *trial = (tl_trial){0};
    tl_err err = look_at(pool, device, seed, trial, &held, &rows);
    if (err == TL_OK) {
        err = split(pool, device, n_samples, held, &rows, trial);
    }
    if (err != TL_OK) {
        tl_trial_done(trial);
    }
    tl_trial_rows_done(&rows);
    tl_mem_free(held);
    return err;
}

void tl_trial_done(tl_trial *trial)
{
    tl_trial_rows_done(&trial->samples);
    tl_trial_rows_done(&trial->queries);
    tl_trial_rows_done(&trial->unlabelled);
    memset(trial, 0, sizeof *trial);
}

tl_err tl_trial_foreign(
    const tl_pool *pool,
    int device,
    const tl_trial *trial,
    const tl_space *const *others,
    int n_others,
    tl_trial_rows *out_rows)
{
    const tl_trial_rows *queries = &trial->queries;
    int n_near = trial->n_near;
    tl_trial_rows rows = {0};
    tl_dmat source = {0};
    tl_err err =
        rows_init(n_near + TL_FOREIGN_DESIGNS, queries->n_slots, queries->head.cols, &rows);
    if (err != TL_OK ||
        (err = tl_dmat_init(
             &source, TL_FOREIGN_DESIGNS, tl_features_n_source(pool->features))) != TL_OK ||
        (err = tl_foreign_rows(pool->features, others, n_others, pool->seed, source)) !=
            TL_OK) {
        goto done;
    }
    for (int i = 0; i < n_near; i++) {
        copy_row(queries, i, &rows, i);
    }
    fill_rows(pool, device, trial->spread, tl_dro(source), n_near, &rows);
    for (int i = n_near; i < rows.n; i++) {
        rows.value[i] = rows.gain[i] = TL_UNKNOWN;
    }
    *out_rows = rows;
    rows = (tl_trial_rows){0};
done:
    tl_dmat_done(&source);
    tl_trial_rows_done(&rows);
    return err;
}
