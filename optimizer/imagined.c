/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/imagined.h"

#include "base/mem.h"
#include "base/units.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"
#include "predictors/head.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK = 256,
    KNOWN_DOF = 30, /* as a view has it */
    MIN_SAMPLES = 5,
    MAX_FEW_SAMPLES = 25, /* most devices have up to that many, some up to what a head takes */
    MAX_SAMPLES = TL_HEAD_MAX_EXACT
};

/* ---- what a device truly costs ------------------------------------------------------------- */

/* One device on its way. */
typedef struct sketch {
    const tl_imagined_pool *pool;
    tl_rng rng;
    double *truth[TL_N_COSTS]; /* [n] of the pool, relative to a middle design */
} sketch;

static double log_uniform(tl_rng *rng, double from, double to)
{
    return from * exp(tl_rng_uniform(rng) * log(to / from));
}

static void standardize(int n, double *x)
{
    double mean = tl_mean(n, x);
    double sd = tl_sd(n, x);
    for (int i = 0; i < n; i++) {
        x[i] = sd > 0 ? (x[i] - mean) / sd : 0;
    }
}

/* Weights on columns: shares of the known devices (Dirichlet 1/2), and chance on feature groups. */
static void draw_weights(sketch *s, tl_cost cost, float *weights)
{
    static const double group_sd = .25;
    static const double group_log_sd = .7;
    const tl_imagined_pool *pool = s->pool;
    const tl_features *features = tl_predictor_features(pool->predictor);
    int n_head = tl_features_n_head(features);
    int n_sources = pool->n_sources[cost];
    const tl_hypothesis *kind = tl_features_hypothesis(
        features, (int)tl_rng_below(&s->rng, (uint64_t)tl_features_n_hypotheses(features)));
    for (int t = 0; t < kind->n_terms; t++) {
        const tl_feature_group *group = tl_features_group(features, kind->group[t]);
        double sd = group_sd * exp(group_log_sd * tl_rng_normal(&s->rng));
        for (int j = group->begin; j < group->end; j++) {
            weights[j] = (float)(sd * tl_rng_normal(&s->rng));
        }
    }
    double total = 1e-12;
    for (int i = 0; i < n_sources; i++) {
        double e = tl_rng_normal(&s->rng);
        weights[n_head + i] = (float)(e * e);
        total += e * e;
    }
    for (int i = 0; i < n_sources; i++) {
        /* columns are standardized over the root of their number */
        weights[n_head + i] *= (float)(sqrt(n_sources) / total);
    }
}

/* Standardized logarithm, or relative difference, of the cost of each design of the pool. */
static tl_err draw_shape(sketch *s, tl_cost cost, double *out)
{
    tl_mat x = s->pool->encoded.x[cost];
    tl_mat weights = {0};
    tl_mat y = {0};
    tl_err err = TL_OK;
    if ((err = tl_mat_init(&weights, 1, x.cols)) == TL_OK &&
        (err = tl_mat_init(&y, x.rows, 1)) == TL_OK) {
        draw_weights(s, cost, weights.data);
        tl_gemm(1.0F, TL_N, tl_ro(x), TL_T, tl_ro(weights), 0.0F, y);
        for (int i = 0; i < x.rows; i++) {
            out[i] = (double)tl_mat_row(y, i)[0];
        }
        standardize(x.rows, out);
    }
    tl_mat_done(&weights);
    tl_mat_done(&y);
    return err;
}

static void exponentiate(sketch *s, double *shape)
{
    bool is_linear = tl_rng_below(&s->rng, 2) == 0;
    double spread = log_uniform(&s->rng, .12, is_linear ? .5 : 1);
    for (int i = 0; i < s->pool->n; i++) {
        shape[i] = is_linear ? fmax(1 + spread * shape[i], .1) : exp(spread * shape[i]);
    }
}

/* Every second device gains from narrow weights, by up to their share of the width. */
static void narrow_gains(sketch *s)
{
    const double *log_share = s->pool->log_narrow;
    double gain = tl_rng_below(&s->rng, 2) == 0 ? 0 : tl_rng_uniform(&s->rng);
    for (int i = 0; log_share != NULL && i < s->pool->n; i++) {
        for (int c = 0; c < TL_N_COSTS; c++) {
            if (s->truth[c] != NULL) {
                s->truth[c][i] *= exp(gain * log_share[i]);
            }
        }
    }
}

static tl_err sketch_init(const tl_imagined_pool *pool, uint64_t seed, sketch *s)
{
    size_t n = (size_t)pool->n;
    *s = (sketch){.pool = pool};
    tl_rng_init(&s->rng, seed);
    for (int c = 0; c < (pool->encoded.has_energy ? TL_N_COSTS : 1); c++) {
        s->truth[c] = tl_mem_new(n, sizeof *s->truth[c]);
        if (s->truth[c] == NULL) {
            return tl_fail(TL_ENOMEM, "costs of %zu designs", n);
        }
        TL_TRY(draw_shape(s, (tl_cost)c, s->truth[c]));
    }
    if (pool->encoded.has_energy) {
        /* energy is time times power, which varies less */
        double share = tl_rng_uniform(&s->rng);
        for (size_t i = 0; i < n; i++) {
            double *energy = &s->truth[TL_COST_ENERGY][i];
            *energy = share * *energy + (1 - share) * s->truth[TL_COST_LATENCY][i];
        }
        standardize(pool->n, s->truth[TL_COST_ENERGY]);
        exponentiate(s, s->truth[TL_COST_ENERGY]);
    }
    exponentiate(s, s->truth[TL_COST_LATENCY]);
    narrow_gains(s);
    return TL_OK;
}

static void sketch_done(sketch *s)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_mem_free(s->truth[c]);
    }
}

/* ---- as predictors see it ---------------------------------------------------------------------- */

static tl_err cost_init(int n_columns, tl_imagined_cost *cost)
{
    cost->n_columns = n_columns;
    cost->beta = tl_mem_new((size_t)n_columns, sizeof *cost->beta);
    return cost->beta != NULL ? TL_OK : tl_fail(TL_ENOMEM, "a device");
}

static tl_err keep_head(const tl_head *head, tl_imagined_cost *cost)
{
    int d = head->n_columns;
    TL_TRY(cost_init(d, cost));
    TL_TRY(tl_mat_init(&cost->cov, d, d));
    cost->level = head->level;
    cost->scale = head->scale;
    cost->noise = head->noise;
    cost->width = head->width;
    cost->spread = head->spread;
    cost->shrink = head->shrink;
    for (int i = 0; i < d; i++) {
        cost->beta[i] = (float)head->beta[i];
        for (int j = 0; j < d; j++) {
            tl_mat_row(cost->cov, i)[j] = (float)tl_dmat_row(head->cov, i)[j];
        }
    }
    return TL_OK;
}

/* Measures the designs rows of the pool on the device, with noise, and fits a head. */
static tl_err onboard(
    sketch *s, tl_cost which, const int *rows, int n, double noise, tl_imagined *device)
{
    const tl_imagined_pool *pool = s->pool;
    const tl_features *features = tl_predictor_features(pool->predictor);
    tl_mat from = pool->encoded.x[which];
    double y[MAX_SAMPLES];
    double z[MAX_SAMPLES];
    tl_dmat x = {0};
    tl_head head = {0};
    TL_TRY(tl_dmat_init(&x, n, from.cols - 1));
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < x.cols; j++) {
            tl_dmat_row(x, i)[j] = (double)tl_mat_row(from, rows[i])[j];
        }
        y[i] = s->truth[which][rows[i]] * exp(noise * tl_rng_normal(&s->rng));
        z[i] = pool->encoded.z[which][rows[i]];
    }
    tl_head_data data = {
        .n_sources = pool->n_sources[which],
        .spread = pool->spread[which],
        .x = tl_dro(x),
        .z = z,
        .y = y};
    tl_err err = tl_head_fit(features, &data, &head);
    if (err == TL_OK) {
        err = keep_head(&head, &device->costs[which]);
    }
    tl_head_done(&head);
    tl_dmat_done(&x);
    return err;
}

/*
 * A mixture of the known devices, shares [S], uncertain by relative_sd of each
 * cost: a known device as it is, or one of which only the profile is known.
 */
static tl_err mix(
    const tl_imagined_pool *pool,
    tl_cost which,
    const double *shares,
    double relative_sd,
    tl_imagined *device)
{
    tl_imagined_cost *cost = &device->costs[which];
    int n_sources = pool->n_sources[which];
    int n_columns = pool->encoded.x[which].cols;
    float *beta = NULL;
    TL_TRY(cost_init(n_columns, cost));
    beta = cost->beta;
    cost->level = cost->scale = cost->width = 1;
    cost->noise = relative_sd * relative_sd;
    double constant = n_sources > 0 ? -1 : 0;
    for (int i = 0; i < n_sources; i++) {
        const tl_source *source = pool->sources[which][i];
        beta[n_columns - 1 - n_sources + i] =
            (float)(shares[i] * source->ref_sd * sqrt(n_sources));
        constant += shares[i] * source->ref_mean;
    }
    beta[n_columns - 1] = (float)constant;
    return TL_OK;
}

/* Fills shares [n], zeroed, of the devices known by a cost; how uncertain the mixture is. */
typedef double share_fn(void *context, tl_cost which, int n, double *shares);

static tl_err mix_all(
    const tl_imagined_pool *pool, share_fn *share, void *context, tl_imagined *device)
{
    int n_costs = pool->encoded.has_energy ? TL_N_COSTS : 1;
    for (int c = 0; c < n_costs; c++) {
        int n = pool->n_sources[c];
        double *shares = tl_mem_new((size_t)n, sizeof *shares);
        if (shares == NULL) {
            return tl_fail(TL_ENOMEM, "%d known devices", n);
        }
        double sd = share(context, (tl_cost)c, n, shares);
        tl_err err = mix(pool, (tl_cost)c, shares, sd, device);
        tl_mem_free(shares);
        TL_TRY(err);
    }
    return TL_OK;
}

typedef struct known_device {
    const tl_imagined_pool *pool;
    int idx;
} known_device;

static double share_known(void *context, tl_cost which, int n, double *shares)
{
    const known_device *known = context;
    if (n == 0) {
        return .1;
    }
    shares[known->idx % n] = 1;
    return known->pool->sources[which][known->idx % n]->loo_sd;
}

static double share_by_chance(void *context, tl_cost which, int n, double *shares)
{
    sketch *s = context;
    double total = 1e-12;
    (void)which;
    for (int i = 0; i < n; i++) {
        double e = tl_rng_normal(&s->rng);
        shares[i] = e * e;
        total += shares[i];
    }
    for (int i = 0; i < n; i++) {
        shares[i] /= total;
    }
    return expm1(log_uniform(&s->rng, .05, .8));
}

/* The known device idx; its energy where that is known, else an average one's. */
static tl_err recall(const tl_imagined_pool *pool, int idx, tl_imagined *device)
{
    known_device known = {.pool = pool, .idx = idx};
    TL_TRY(mix_all(pool, share_known, &known, device));
    for (int c = 0; c < (pool->encoded.has_energy ? TL_N_COSTS : 1); c++) {
        tl_confidence_nominal(KNOWN_DOF, &device->confidence[c]);
    }
    return TL_OK;
}

/* A device of which only the profile is known: a mixture, and a wide interval. */
static tl_err guess(sketch *s, tl_imagined *device)
{
    const tl_imagined_pool *pool = s->pool;
    TL_TRY(mix_all(pool, share_by_chance, s, device));
    for (int c = 0; c < (pool->encoded.has_energy ? TL_N_COSTS : 1); c++) {
        tl_model_confidence(
            tl_predictor_model(pool->predictor), (tl_cost)c, 0, &(tl_margin_unit){0},
            &device->confidence[c]);
    }
    return TL_OK;
}

/* The margins of a device with n measurements, counted in what is typical of it. */
static tl_err find_margins(const tl_imagined_pool *pool, int n, tl_imagined *device)
{
    size_t size = (size_t)pool->n;
    tl_prediction *costs = tl_mem_new(size, sizeof *costs);
    double *mean = tl_mem_new(2 * size, sizeof *mean);
    tl_err err = costs == NULL || mean == NULL
                     ? tl_fail(TL_ENOMEM, "costs of %zu designs", size)
                     : tl_imagined_predict(device, &pool->encoded, costs);
    for (int c = 0; c < (device->has_energy ? TL_N_COSTS : 1) && err == TL_OK; c++) {
        tl_margin_unit unit = {0};
        double *sd = mean + size;
        for (size_t i = 0; i < size; i++) {
            bool is_latency = c == TL_COST_LATENCY;
            mean[i] = is_latency ? costs[i].latency_ms : costs[i].energy_mj;
            sd[i] = is_latency ? costs[i].latency_std_ms : costs[i].energy_std_mj;
        }
        err = tl_margin_unit_of(pool->n, mean, sd, &unit);
        tl_model_confidence(
            tl_predictor_model(pool->predictor), (tl_cost)c, n, &unit, &device->confidence[c]);
    }
    tl_mem_free(costs);
    tl_mem_free(mean);
    return err;
}

static tl_err measure(sketch *s, tl_imagined *device)
{
    const tl_imagined_pool *pool = s->pool;
    int n_costs = pool->encoded.has_energy ? TL_N_COSTS : 1;
    int rows[MAX_SAMPLES];
    bool is_few = tl_rng_below(&s->rng, 8) > 0;
    int most = is_few ? MAX_FEW_SAMPLES : MAX_SAMPLES;
    most = most < pool->n ? most : pool->n;
    int n = MIN_SAMPLES + (int)tl_rng_below(&s->rng, (uint64_t)most - MIN_SAMPLES + 1);
    double noise = log_uniform(&s->rng, .002, .08);
    int *scratch = tl_mem_new((size_t)pool->n, sizeof *scratch);
    if (scratch == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", pool->n);
    }
    tl_rng_choose(&s->rng, pool->n, n, scratch, rows);
    tl_mem_free(scratch);
    for (int c = 0; c < n_costs; c++) {
        TL_TRY(onboard(s, (tl_cost)c, rows, n, noise, device));
    }
    return find_margins(pool, n, device);
}

tl_err tl_imagine(const tl_imagined_pool *pool, int idx, uint64_t seed, tl_imagined *out_device)
{
    enum {
        GUESSED_EVERY = 6
    };
    tl_imagined device = {.has_energy = pool->encoded.has_energy};
    tl_err err = TL_OK;
    if (idx < pool->n_sources[TL_COST_LATENCY]) {
        err = recall(pool, idx, &device);
    } else {
        sketch s;
        err = sketch_init(pool, seed + 0x9e3779b97f4a7c15U * (uint64_t)(idx + 1), &s);
        if (err == TL_OK) {
            err = idx % GUESSED_EVERY == 0 && pool->n_sources[TL_COST_LATENCY] > 0
                      ? guess(&s, &device)
                      : measure(&s, &device);
        }
        sketch_done(&s);
    }
    if (err != TL_OK) {
        tl_imagined_done(&device);
        return err;
    }
    *out_device = device;
    return TL_OK;
}

void tl_imagined_done(tl_imagined *device)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_mem_free(device->costs[c].beta);
        tl_mat_done(&device->costs[c].cov);
    }
    *device = (tl_imagined){0};
}

/* ---- prediction -------------------------------------------------------------------------------- */

static double clip(double low, double x, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* head.h's mean and sd of rows x [n, D]; product [n, D] is scratch. */
static void predict_rows(
    const tl_imagined_cost *cost,
    tl_cmat x,
    const double *z,
    tl_mat product,
    double *mean,
    double *sd,
    ptrdiff_t stride)
{
    bool has_cov = cost->cov.rows > 0;
    if (has_cov) {
        tl_gemm(1.0F, TL_N, x, TL_N, tl_ro(cost->cov), 0.0F, product);
    }
    for (int i = 0; i < x.rows; i++) {
        const float *row = tl_cmat_row(x, i);
        const float *xw = tl_mat_row(product, i);
        float linear = 0.0F;
        float square = 0.0F;
        for (int j = 0; j < x.cols; j++) {
            linear += row[j] * cost->beta[j];
            square += has_cov ? row[j] * xw[j] : 0.0F;
        }
        double b = 1 + cost->shrink * (fmax(1 + cost->spread * z[i], .25) - 1);
        double p = b + cost->scale * (double)linear;
        double noise = clip(.3, p, 3);
        mean[i * stride] = cost->level * fmax(p, .01);
        sd[i * stride] = cost->level * cost->scale * cost->width *
                         sqrt(fmax((double)square, 0) + cost->noise * noise * noise);
    }
}

tl_err tl_imagined_predict(
    const tl_imagined *device, const tl_encoded *encoded, tl_prediction *out_predictions)
{
    const ptrdiff_t stride = sizeof *out_predictions / sizeof(double);
    for (int c = 0; c < TL_N_COSTS; c++) {
        bool is_known = c == TL_COST_LATENCY || device->has_energy;
        tl_mat product = {0};
        if (is_known) {
            TL_TRY(tl_mat_init(&product, BLOCK, encoded->x[c].cols));
        }
        for (int begin = 0; begin < encoded->n; begin += BLOCK) {
            int end = begin + BLOCK < encoded->n ? begin + BLOCK : encoded->n;
            tl_prediction *out = out_predictions + begin;
            double *mean = c == TL_COST_LATENCY ? &out->latency_ms : &out->energy_mj;
            double *sd = c == TL_COST_LATENCY ? &out->latency_std_ms : &out->energy_std_mj;
            for (int i = 0; !is_known && i < end - begin; i++) {
                mean[i * stride] = sd[i * stride] = TL_UNKNOWN;
            }
            if (is_known) {
                predict_rows(
                    &device->costs[c], tl_ro(tl_mat_rows(encoded->x[c], begin, end)),
                    encoded->z[c] + begin, tl_mat_rows(product, 0, end - begin), mean, sd,
                    stride);
            }
        }
        tl_mat_done(&product);
    }
    return TL_OK;
}
