/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_PREDICTORS_SYNTHETIC_H
#define TL_TESTS_PREDICTORS_SYNTHETIC_H

/*
 * A made-up world for the tests of latency predictors: designs by formula,
 * devices whose latency is a formula of the design, and all that lies between
 * a space and a head. golden/make_golden.py computes the same in Python.
 */

#include "tests/support/test.h"

#include "base/mem.h"
#include "base/text.h"
#include "numerics/stats.h"
#include "predictors/features.h"
#include "predictors/head.h"
#include "predictors/ridge.h"
#include "predictors/source.h"

#include <math.h>
#include <string.h>

enum {
    N_SOURCES = 3,
    N_TRAIN = 200,
    TARGET = 7, /* the device that heads are fitted to */
};

static const char *const cell_options[] = {
    "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"};
static const char *const cell_slots[] = {"e01", "e02", "e12", "e03", "e13", "e23"};
static const char *const chain_options[] = {"k3_e1",    "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1",
                                            "k5_e1_g2", "k5_e3",    "k5_e6", "skip"};

/* The world of one space: every design of it that the tests use, and features over them. */
typedef struct world {
    tl_space *space;
    tl_features *features;
    tl_choice *designs; /* [n, n_slots] */
    int *digits;        /* [n, n_digits]: the same as the formulas number them */
    int n, n_slots, n_digits;
    tl_source sources[N_SOURCES];
    int n_sources;
    double spread;
    tl_dmat x; /* [n, P + n_sources] */
    double *z; /* [n] */
} world;

static inline void load_space(const char *name, tl_space **out_space)
{
    tl_text path = {0};
    tl_text_addf(&path, "%s/spaces/%s.yaml", tl_test_source_dir(), name);
    assert_ok(tl_text_err(&path));
    assert_ok(tl_space_load(path.data, out_space));
    tl_text_done(&path);
}

static inline void new_arrays(world *w, int n, int n_digits)
{
    w->n = n;
    w->n_digits = n_digits;
    w->n_slots = tl_space_n_slots(w->space);
    w->designs = tl_mem_new((size_t)n * (size_t)w->n_slots, sizeof *w->designs);
    w->digits = tl_mem_new((size_t)n * (size_t)n_digits, sizeof *w->digits);
    assert_non_null(w->designs);
    assert_non_null(w->digits);
    for (int i = 0; i < n * w->n_slots; i++) {
        w->designs[i] = TL_CHOICE_ABSENT;
    }
}

static inline void set_choice(world *w, int i, int slot, int digit, const char *option, int k)
{
    tl_choice *choice = &w->designs[(ptrdiff_t)i * w->n_slots + slot];
    assert_ok(tl_space_choice_parse(w->space, slot, option, choice));
    w->digits[(ptrdiff_t)i * w->n_digits + k] = digit;
}

/* All 15,625 cells in lexicographic order of the digits. */
static inline void fill_cells(world *w)
{
    enum {
        N = 15625,
        EDGES = 6,
        OPTIONS = 5
    };
    load_space("nasbench201", &w->space);
    new_arrays(w, N, EDGES);
    for (int i = 0; i < N; i++) {
        int rest = i;
        for (int k = EDGES - 1; k >= 0; k--) {
            int digit = rest % OPTIONS;
            rest /= OPTIONS;
            int slot = tl_space_slot_find(w->space, cell_slots[k]);
            set_choice(w, i, slot, digit, cell_options[digit], k);
        }
    }
}

/* 400 chains from a congruential generator. */
static inline void fill_chains(world *w)
{
    enum {
        N = 400,
        BLOCKS = 22,
        OPTIONS = 9
    };
    uint32_t x = 12345;
    load_space("fbnet", &w->space);
    new_arrays(w, N, BLOCKS);
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < BLOCKS; k++) {
            x = (x * 1103515245U + 12345U) % 2147483648U;
            int digit = (int)((x >> 16) % OPTIONS);
            set_choice(w, i, k, digit, chain_options[digit], k);
        }
    }
}

static inline double latency_of(const world *w, int device, int i)
{
    const int *digits = w->digits + (ptrdiff_t)i * w->n_digits;
    double y = 2 + device * .25;
    for (int k = 0; k < w->n_digits; k++) {
        y += (1 + sin(1.7 * digits[k] + .9 * device)) * (1 + .1 * k);
    }
    y += digits[0] == digits[5] ? .3 : 0;
    return y * (1 + .03 * sin(7.1 * i + 1.3 * device));
}

static inline int row_idx(const world *w, int i, int step)
{
    return (int)((11 + (long)i * step) % w->n);
}

/* Source rows of the designs idx [n]. */
static inline void encode_some(const world *w, const int *idx, int n, tl_dmat *out_rows)
{
    tl_choice designs[TL_SPACE_MAX_SLOTS];
    assert_ok(tl_dmat_init(out_rows, n, tl_features_n_source(w->features)));
    for (int i = 0; i < n; i++) {
        tl_dmat row = tl_dmat_rows(*out_rows, i, i + 1);
        memcpy(
            designs, w->designs + (ptrdiff_t)idx[i] * w->n_slots,
            (size_t)w->n_slots * sizeof *designs);
        assert_ok(tl_features_encode(w->features, designs, 1, (tl_dmat){0}, row));
    }
}

/* A known device by the robust ridge, which golden/make_golden.py has too. */
static inline void fit_one_source(tl_dcmat rows, const double *y, tl_source *out)
{
    double relative[N_TRAIN];
    tl_ridge_fit fit;
    memcpy(relative, y, sizeof relative);
    double median = tl_median_inplace(N_TRAIN, relative);
    for (int i = 0; i < N_TRAIN; i++) {
        relative[i] = y[i] / median;
    }
    *out = (tl_source){.n_weights = rows.cols, .n_samples = N_TRAIN, .median = median};
    out->weights = tl_mem_new((size_t)rows.cols, sizeof *out->weights);
    assert_non_null(out->weights);
    assert_ok(
        tl_ridge(TL_RIDGE_ROBUST, rows, relative, out->weights, NULL, (tl_dmat){0}, &fit));
    out->mean = fit.mean;
    out->loo_sd = fit.scale;
}

static inline void fit_sources(world *w)
{
    int idx[N_TRAIN];
    double y[N_TRAIN];
    tl_dmat rows;
    tl_source *sources[N_SOURCES];
    for (int i = 0; i < N_TRAIN; i++) {
        idx[i] = row_idx(w, i, 61);
    }
    encode_some(w, idx, N_TRAIN, &rows);
    for (int s = 0; s < N_SOURCES; s++) {
        for (int i = 0; i < N_TRAIN; i++) {
            y[i] = latency_of(w, s, idx[i]);
        }
        fit_one_source(tl_dro(rows), y, &w->sources[s]);
        sources[s] = &w->sources[s];
    }
    assert_ok(tl_sources_standardize(w->features, sources, N_SOURCES));
    tl_dmat_done(&rows);
}

/* Head rows of all designs, sources' columns last. */
static inline void fill_rows(world *w)
{
    const tl_source *sources[N_SOURCES];
    int n_head = tl_features_n_head(w->features);
    tl_dmat rows;
    assert_ok(tl_dmat_init(&rows, w->n, tl_features_n_source(w->features)));
    assert_ok(tl_features_encode(w->features, w->designs, w->n, (tl_dmat){0}, rows));
    assert_ok(tl_dmat_init(&w->x, w->n, n_head + w->n_sources));
    w->z = tl_mem_new((size_t)w->n, sizeof *w->z);
    assert_non_null(w->z);
    for (int i = 0; i < w->n; i++) {
        memcpy(tl_dmat_row(w->x, i), tl_dmat_row(rows, i), (size_t)n_head * sizeof(double));
    }
    for (int s = 0; s < w->n_sources; s++) {
        sources[s] = &w->sources[s];
    }
    tl_dmat columns = tl_dmat_cols(w->x, n_head, n_head + w->n_sources);
    tl_sources_columns(sources, w->n_sources, tl_dro(rows), columns, w->z);
    assert_ok(tl_sources_spread(sources, w->n_sources, &w->spread));
    tl_dmat_done(&rows);
}

static inline void world_init(world *w, const char *name, int n_sources)
{
    memset(w, 0, sizeof *w);
    if (strcmp(name, "fbnet") == 0) {
        fill_chains(w);
    } else {
        fill_cells(w);
    }
    assert_ok(tl_features_new_from(w->space, w->designs, w->n, &w->features));
    w->n_sources = n_sources;
    if (n_sources > 0) {
        fit_sources(w);
    }
    fill_rows(w);
}

static inline void world_done(world *w)
{
    for (int s = 0; s < N_SOURCES; s++) {
        tl_source_done(&w->sources[s]);
    }
    tl_dmat_done(&w->x);
    tl_mem_free(w->z);
    tl_mem_free(w->designs);
    tl_mem_free(w->digits);
    tl_features_free(w->features);
    tl_space_unref(w->space);
    memset(w, 0, sizeof *w);
}

/* The rows idx [n] of the world as samples of a head with these values. */
static inline void fit_head(
    const world *w, const int *idx, int n, const double *y, tl_head *head)
{
    tl_dmat x;
    assert_ok(tl_dmat_init(&x, n, w->x.cols));
    double *z = tl_mem_new((size_t)n, sizeof *z);
    assert_non_null(z);
    for (int i = 0; i < n; i++) {
        memcpy(tl_dmat_row(x, i), tl_dmat_row(w->x, idx[i]), (size_t)x.cols * sizeof(double));
        z[i] = w->z[idx[i]];
    }
    tl_head_data data = {
        .n_sources = w->n_sources, .spread = w->spread, .x = tl_dro(x), .z = z, .y = y};
    assert_ok(tl_head_fit(w->features, &data, head));
    tl_mem_free(z);
    tl_dmat_done(&x);
}

#endif
