/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/features.h"

#include "base/mem.h"
#include "base/watch.h"
#include "predictors/features_raw.h"

#include <math.h>
#include <string.h>

enum {
    REFERENCE_SEED = 20240101, /* part of what a column means: never change it */
    MAX_PAIRS = 400,
    CHECK_ROWS = 256, /* encoded between two looks at the watch */
};

/* A raw column whose deviation is below this share of its mean is constant. */
static const double constant_share = 1e-9;
/* The weight of the products of pairs beside the other source columns. */
static const double pair_weight = .7;

/* out = (raw[raw_idx] - mean) * scale */
typedef struct kept_column {
    int raw_idx;
    double mean, scale;
} kept_column;

/* out = (h_first * h_second - mean) * scale, h the pair group's standardized columns */
typedef struct column_pair {
    int first, second;
    double mean, scale;
} column_pair;

struct tl_features {
    tl_space *space;
    tl_raw_layout layout;
    kept_column *columns;
    int n_columns, n_head;
    column_pair *pairs;
    int n_pairs;
    int pair_begin, pair_end; /* the pair group's columns */
    double *pair_scale;       /* standard deviation is 1 / sqrt(width) after it */
    tl_feature_group groups[TL_FEATURES_MAX_GROUPS];
    int n_groups;
    tl_hypothesis hypotheses[TL_FEATURES_MAX_HYPOTHESES];
    int n_hypotheses;
    tl_choice *reference;
    int n_reference;
};

/* Scratch of one encoding call. */
typedef struct row_scratch {
    tl_parts *parts; /* of spaces of blocks */
    double *raw;
    double *h; /* the pair group, standardized */
} row_scratch;

/* ---- one row ----------------------------------------------------------------- */

static tl_err scratch_init(const tl_features *features, row_scratch *out)
{
    int width = features->layout.n_columns;
    out->raw = tl_mem_new((size_t)width, sizeof *out->raw);
    out->h = tl_mem_new((size_t)width, sizeof *out->h);
    if (out->raw == NULL || out->h == NULL) {
        return tl_fail(TL_ENOMEM, "features");
    }
    return tl_space_kind_of(features->space) == TL_SPACE_CELL
               ? TL_OK
               : tl_raw_blocks_parts(&features->layout, &out->parts);
}

static void scratch_done(row_scratch *scratch)
{
    tl_parts_free(scratch->parts);
    tl_mem_free(scratch->raw);
    tl_mem_free(scratch->h);
}

static tl_err fill_raw(
    const tl_features *features, const tl_choice *design, row_scratch *scratch)
{
    const tl_raw_layout *layout = &features->layout;
    memset(scratch->raw, 0, (size_t)layout->n_columns * sizeof *scratch->raw);
    if (tl_space_kind_of(features->space) == TL_SPACE_CELL) {
        tl_raw_cell_row(layout, design, scratch->raw);
        return TL_OK;
    }
    return tl_raw_blocks_row(layout, design, scratch->parts, scratch->raw);
}

static double column_value(const kept_column *column, const double *raw)
{
    return (raw[column->raw_idx] - column->mean) * column->scale;
}

/* h: the pair group's columns with deviation 1 / sqrt(width). */
static void fill_pair_inputs(const tl_features *features, const double *raw, double *h)
{
    for (int j = features->pair_begin; j < features->pair_end; j++) {
        h[j - features->pair_begin] = column_value(&features->columns[j], raw) *
                                      features->pair_scale[j - features->pair_begin];
    }
}

tl_err tl_features_encode(
    const tl_features *features, const tl_choice *designs, int n, tl_dmat head, tl_dmat source)
{
    TL_ASSERT(head.data == NULL || (head.rows == n && head.cols == features->n_head));
    TL_ASSERT(
        source.data == NULL ||
        (source.rows == n && source.cols == tl_features_n_source(features)));
    tl_err err = TL_OK;
    int n_slots = tl_space_n_slots(features->space);
    row_scratch scratch = {0};
    if ((err = scratch_init(features, &scratch)) != TL_OK) {
        goto done;
    }
    for (int i = 0; i < n; i++) {
        if ((i % CHECK_ROWS == 0 && (err = tl_watch_check()) != TL_OK) ||
            (err = fill_raw(features, designs + (ptrdiff_t)i * n_slots, &scratch)) != TL_OK) {
            goto done;
        }
        for (int j = 0; head.data != NULL && j < features->n_head; j++) {
            tl_dmat_row(head, i)[j] = column_value(&features->columns[j], scratch.raw);
        }
        if (source.data == NULL) {
            continue;
        }
        double *row = tl_dmat_row(source, i);
        for (int j = 0; j < features->n_columns; j++) {
            row[j] = column_value(&features->columns[j], scratch.raw);
        }
        fill_pair_inputs(features, scratch.raw, scratch.h);
        for (int j = 0; j < features->n_pairs; j++) {
            const column_pair *pair = &features->pairs[j];
            row[features->n_columns + j] =
                (scratch.h[pair->first] * scratch.h[pair->second] - pair->mean) * pair->scale;
        }
    }
done:
    scratch_done(&scratch);
    return err;
}

/* ---- standardization ------------------------------------------------------------ */

/* Running mean and sum of squared deviations: exact zeros for constant columns. */
static void welford(int n, double count, const double *x, double *mean, double *m2)
{
    for (int j = 0; j < n; j++) {
        double delta = x[j] - mean[j];
        mean[j] += delta / count;
        m2[j] += delta * (x[j] - mean[j]);
    }
}

/* mean and variance [n_columns] of the raw columns over the reference designs. */
static tl_err raw_moments(const tl_features *features, double *mean, double *variance)
{
    tl_err err = TL_OK;
    int width = features->layout.n_columns;
    int n_slots = tl_space_n_slots(features->space);
    row_scratch scratch = {0};
    if ((err = scratch_init(features, &scratch)) != TL_OK) {
        goto done;
    }
    for (int i = 0; i < features->n_reference; i++) {
        const tl_choice *design = features->reference + (ptrdiff_t)i * n_slots;
        if ((err = fill_raw(features, design, &scratch)) != TL_OK) {
            goto done;
        }
        welford(width, i + 1, scratch.raw, mean, variance);
    }
    for (int j = 0; j < width; j++) {
        variance[j] /= features->n_reference;
    }
done:
    scratch_done(&scratch);
    return err;
}

/* Keeps the columns of one raw group that vary; returns how many. */
static int keep_columns(
    tl_features *features,
    const tl_raw_group *group,
    const double *mean,
    const double *variance)
{
    kept_column *kept = features->columns + features->n_columns;
    int n_kept = 0;
    double total = 0;
    int end = group->end - group->n_shadows;
    for (int j = group->begin; j < end; j++) {
        if (sqrt(variance[j]) > constant_share * (1 + fabs(mean[j]))) {
            kept[n_kept++] = (kept_column){.raw_idx = j, .mean = mean[j]};
            total += variance[j];
        }
    }
    for (int j = 0; j < n_kept; j++) {
        double own = variance[kept[j].raw_idx];
        kept[j].scale = group->is_unit ? 1 / sqrt(own * n_kept) : 1 / sqrt(total);
    }
    bool has_first = n_kept > 0 && kept[0].raw_idx == group->begin;
    for (int j = end; j < group->end && has_first; j++) {
        kept[n_kept++] = (kept_column){.raw_idx = j, .scale = kept[0].scale};
    }
    features->n_columns += n_kept;
    return n_kept;
}

/* Head hypotheses by head group; terms of groups that vanished are dropped. */
static void keep_hypotheses(tl_features *features, const int *head_group)
{
    const tl_raw_layout *layout = &features->layout;
    features->n_hypotheses = layout->n_hypotheses;
    for (int h = 0; h < layout->n_hypotheses; h++) {
        const tl_hypothesis *raw = &layout->hypotheses[h];
        tl_hypothesis *kept = &features->hypotheses[h];
        *kept = *raw;
        kept->n_terms = 0;
        for (int t = 0; t < raw->n_terms; t++) {
            int group = head_group[raw->group[t]];
            if (group < 0) {
                continue;
            }
            kept->group[kept->n_terms] = group;
            kept->centre[kept->n_terms] = raw->centre[t];
            kept->n_terms++;
            features->groups[group].centre += raw->centre[t] / layout->n_hypotheses;
        }
    }
}

static tl_err standardize(tl_features *features)
{
    tl_err err = TL_OK;
    const tl_raw_layout *layout = &features->layout;
    int head_group[TL_FEATURES_MAX_GROUPS];
    double *moments = tl_mem_new(2 * (size_t)layout->n_columns, sizeof *moments);
    features->columns = tl_mem_new((size_t)layout->n_columns, sizeof *features->columns);
    if (moments == NULL || features->columns == NULL) {
        err = tl_fail(TL_ENOMEM, "features");
        goto done;
    }
    double *variance = moments + layout->n_columns;
    if ((err = raw_moments(features, moments, variance)) != TL_OK) {
        goto done;
    }
    for (int g = 0; g < layout->n_groups; g++) {
        const tl_raw_group *group = &layout->groups[g];
        int begin = features->n_columns;
        int n_kept = keep_columns(features, group, moments, variance);
        head_group[g] = -1;
        if (g == layout->pair_group) {
            features->pair_begin = begin;
            features->pair_end = begin + n_kept;
        }
        if (group->is_head && n_kept > 0) {
            head_group[g] = features->n_groups;
            features->groups[features->n_groups++] = (tl_feature_group){
                .name = group->name, .begin = begin, .end = features->n_columns};
        }
        if (group->is_head) {
            features->n_head = features->n_columns;
        }
    }
    keep_hypotheses(features, head_group);
done:
    tl_mem_free(moments);
    return err;
}

/* ---- products of pairs -------------------------------------------------------------- */

static tl_err pair_moments(tl_features *features, double *mean, double *variance)
{
    tl_err err = TL_OK;
    int n_slots = tl_space_n_slots(features->space);
    double *products = tl_mem_new((size_t)features->n_pairs, sizeof *products);
    row_scratch scratch = {0};
    if (products == NULL) {
        return tl_fail(TL_ENOMEM, "features");
    }
    if ((err = scratch_init(features, &scratch)) != TL_OK) {
        goto done;
    }
    for (int i = 0; i < features->n_reference; i++) {
        const tl_choice *design = features->reference + (ptrdiff_t)i * n_slots;
        if ((err = fill_raw(features, design, &scratch)) != TL_OK) {
            goto done;
        }
        fill_pair_inputs(features, scratch.raw, scratch.h);
        for (int j = 0; j < features->n_pairs; j++) {
            const column_pair *pair = &features->pairs[j];
            products[j] = scratch.h[pair->first] * scratch.h[pair->second];
        }
        welford(features->n_pairs, i + 1, products, mean, variance);
    }
done:
    scratch_done(&scratch);
    tl_mem_free(products);
    return err;
}

/* Undoes the group's common scale: columns of deviation 1 / sqrt(width). */
static tl_err init_pair_scale(tl_features *features, const double *variance)
{
    int width = features->pair_end - features->pair_begin;
    features->pair_scale = tl_mem_new((size_t)width, sizeof *features->pair_scale);
    if (features->pair_scale == NULL) {
        return tl_fail(TL_ENOMEM, "features");
    }
    for (int j = 0; j < width; j++) {
        const kept_column *column = &features->columns[features->pair_begin + j];
        double deviation = sqrt(variance[column->raw_idx]) * column->scale;
        features->pair_scale[j] = 1 / (deviation * sqrt(width));
    }
    return TL_OK;
}

static tl_err add_pairs(tl_features *features)
{
    int width = features->pair_end - features->pair_begin;
    int n_pairs = width * (width - 1) / 2;
    if (features->layout.pair_group < 0 || n_pairs < 1 || n_pairs > MAX_PAIRS) {
        features->pair_end = features->pair_begin;
        return TL_OK;
    }
    tl_err err = TL_OK;
    size_t n_moments = (size_t)features->layout.n_columns;
    n_moments = (n_moments > (size_t)n_pairs ? n_moments : (size_t)n_pairs);
    double *moments = tl_mem_new(4 * n_moments, sizeof *moments);
    features->pairs = tl_mem_new((size_t)n_pairs, sizeof *features->pairs);
    if (moments == NULL || features->pairs == NULL) {
        err = tl_fail(TL_ENOMEM, "features");
        goto done;
    }
    if ((err = raw_moments(features, moments, moments + n_moments)) != TL_OK ||
        (err = init_pair_scale(features, moments + n_moments)) != TL_OK) {
        goto done;
    }
    for (int i = 0; i < width; i++) {
        for (int j = i + 1; j < width; j++) {
            features->pairs[features->n_pairs++] = (column_pair){.first = i, .second = j};
        }
    }
    double *mean = moments + 2 * n_moments;
    double *variance = moments + 3 * n_moments;
    if ((err = pair_moments(features, mean, variance)) != TL_OK) {
        goto done;
    }
    double total = 0;
    for (int j = 0; j < n_pairs; j++) {
        total += variance[j] / features->n_reference;
    }
    for (int j = 0; j < n_pairs; j++) {
        features->pairs[j].mean = mean[j];
        features->pairs[j].scale = total > 0 ? pair_weight / sqrt(total) : 0;
    }
done:
    tl_mem_free(moments);
    return err;
}

/* ---- life --------------------------------------------------------------------------- */

static tl_err build(tl_features *features)
{
    features->layout.pair_group = -1;
    if (tl_space_kind_of(features->space) == TL_SPACE_CELL) {
        tl_raw_cell_layout(features->space, &features->layout);
    } else {
        TL_TRY(tl_raw_blocks_layout(
            features->space, features->reference, features->n_reference, &features->layout));
    }
    TL_TRY(standardize(features));
    return add_pairs(features);
}

/* Takes reference, a block of tl_mem_new(), even on failure. */
static tl_err new_take(
    const tl_space *space, tl_choice *reference, int n, tl_features **out_features)
{
    tl_err err = TL_OK;
    tl_features *features = tl_mem_new(1, sizeof *features);
    if (features == NULL) {
        tl_mem_free(reference);
        return tl_fail(TL_ENOMEM, "features");
    }
    features->space = tl_space_ref(space);
    features->reference = reference;
    features->n_reference = n;
    if ((err = build(features)) != TL_OK) {
        goto done;
    }
    *out_features = features;
    features = NULL;
done:
    tl_features_free(features);
    return err;
}

tl_err tl_features_new_from(
    const tl_space *space, const tl_choice *designs, int n, tl_features **out_features)
{
    TL_ASSERT(n > 1);
    size_t n_choices = (size_t)n * (size_t)tl_space_n_slots(space);
    tl_choice *reference = tl_mem_new(n_choices, sizeof *reference);
    if (reference == NULL) {
        return tl_fail(TL_ENOMEM, "features");
    }
    memcpy(reference, designs, n_choices * sizeof *reference);
    return new_take(space, reference, n, out_features);
}

static tl_err sample_reference(const tl_space *space, tl_choice **out_designs, int *out_n)
{
    size_t n_slots = (size_t)tl_space_n_slots(space);
    tl_choice *designs = tl_mem_new(TL_FEATURES_REFERENCE_SAMPLE * n_slots, sizeof *designs);
    if (designs == NULL) {
        return tl_fail(TL_ENOMEM, "features");
    }
    tl_rng rng;
    tl_rng_init(&rng, REFERENCE_SEED);
    for (size_t i = 0; i < TL_FEATURES_REFERENCE_SAMPLE; i++) {
        tl_space_sample(space, &rng, designs + i * n_slots);
    }
    *out_designs = designs;
    *out_n = TL_FEATURES_REFERENCE_SAMPLE;
    return TL_OK;
}

tl_err tl_features_new(const tl_space *space, tl_features **out_features)
{
    tl_choice *designs = NULL;
    int n = 0;
    if (tl_space_size(space) <= TL_FEATURES_REFERENCE_ALL) {
        TL_TRY(tl_space_enumerate(space, TL_FEATURES_REFERENCE_ALL, &designs, &n));
    } else {
        TL_TRY(sample_reference(space, &designs, &n));
    }
    return new_take(space, designs, n, out_features);
}

void tl_features_free(tl_features *features)
{
    if (features == NULL) {
        return;
    }
    tl_raw_layout_done(&features->layout);
    tl_mem_free(features->columns);
    tl_mem_free(features->pairs);
    tl_mem_free(features->pair_scale);
    tl_mem_free(features->reference);
    tl_space_unref(features->space);
    tl_mem_free(features);
}

const tl_space *tl_features_space(const tl_features *features)
{
    return features->space;
}

int tl_features_n_head(const tl_features *features)
{
    return features->n_head;
}

int tl_features_n_source(const tl_features *features)
{
    return features->n_columns + features->n_pairs;
}

int tl_features_n_groups(const tl_features *features)
{
    return features->n_groups;
}

const tl_feature_group *tl_features_group(const tl_features *features, int group)
{
    TL_ASSERT(0 <= group && group < features->n_groups);
    return &features->groups[group];
}

int tl_features_n_hypotheses(const tl_features *features)
{
    return features->n_hypotheses;
}

const tl_hypothesis *tl_features_hypothesis(const tl_features *features, int hypothesis)
{
    TL_ASSERT(0 <= hypothesis && hypothesis < features->n_hypotheses);
    return &features->hypotheses[hypothesis];
}

const tl_choice *tl_features_reference(const tl_features *features, int *out_n)
{
    *out_n = features->n_reference;
    return features->reference;
}
