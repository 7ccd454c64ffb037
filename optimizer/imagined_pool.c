/* SPDX-License-Identifier: Apache-2.0 */

/* Designs as imagined devices read them, and those that devices are made up on. */

#include "base/mem.h"
#include "optimizer/imagined.h"

#include <math.h>

/* ---- designs --------------------------------------------------------------------------------- */

static tl_err encode_cost(
    const tl_predictor *predictor,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_encoded *encoded)
{
    tl_dmat x = {0};
    TL_TRY(tl_predictor_rows(predictor, cost, designs, n, &x, &encoded->z[cost]));
    tl_err err = tl_mat_init(&encoded->x[cost], n, x.cols + 1);
    for (int i = 0; err == TL_OK && i < n; i++) {
        const double *from = tl_dmat_row(x, i);
        float *to = tl_mat_row(encoded->x[cost], i);
        for (int j = 0; j < x.cols; j++) {
            to[j] = (float)from[j];
        }
        to[x.cols] = 1.0F;
    }
    tl_dmat_done(&x);
    return err;
}

tl_err tl_encoded_init(
    const tl_predictor *predictor,
    bool has_energy,
    const tl_choice *designs,
    int n,
    tl_encoded *out_encoded)
{
    tl_encoded encoded = {.n = n, .has_energy = has_energy};
    tl_err err = encode_cost(predictor, TL_COST_LATENCY, designs, n, &encoded);
    if (err == TL_OK && has_energy) {
        err = encode_cost(predictor, TL_COST_ENERGY, designs, n, &encoded);
    }
    if (err != TL_OK) {
        tl_encoded_done(&encoded);
        return err;
    }
    *out_encoded = encoded;
    return TL_OK;
}

void tl_encoded_done(tl_encoded *encoded)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_mat_done(&encoded->x[c]);
        tl_mem_free(encoded->z[c]);
    }
    *encoded = (tl_encoded){0};
}

/* The known devices of a cost, in the order of their columns (predictor.c). */
static tl_err collect_sources(tl_imagined_pool *pool, tl_cost cost)
{
    const tl_model *model = tl_predictor_model(pool->predictor);
    int n = model != NULL ? model->n_sources : 0;
    pool->sources[cost] = tl_mem_new((size_t)n, sizeof *pool->sources[cost]);
    if (pool->sources[cost] == NULL) {
        return tl_fail(TL_ENOMEM, "%d known devices", n);
    }
    for (int i = 0; i < n; i++) {
        if (model->sources[i].cost == cost) {
            pool->sources[cost][pool->n_sources[cost]++] = &model->sources[i].source;
        }
    }
    return tl_sources_spread(pool->sources[cost], pool->n_sources[cost], &pool->spread[cost]);
}

static tl_err log_narrow(const tl_space *space, const tl_choice *design, double *out)
{
    static const double full_bits = 32;
    tl_network network = {0};
    double all = 0;
    double narrow = 0;
    TL_TRY(tl_space_lower(space, design, &network));
    for (int i = 0; i < network.n_ops; i++) {
        const tl_op *op = &network.ops[i];
        all += (double)tl_op_macs(op);
        narrow += (double)tl_op_macs(op) * op->w_bits / full_bits;
    }
    tl_network_done(&network);
    *out = all > 0 ? log(fmax(narrow / all, 1 / full_bits)) : 0;
    return TL_OK;
}

static tl_err fill_narrow(tl_imagined_pool *pool)
{
    const tl_space *space = tl_predictor_space(pool->predictor);
    size_t n_slots = (size_t)tl_space_n_slots(space);
    pool->log_narrow = tl_mem_new((size_t)pool->n, sizeof *pool->log_narrow);
    if (pool->log_narrow == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", pool->n);
    }
    for (size_t i = 0; i < (size_t)pool->n; i++) {
        TL_TRY(log_narrow(space, pool->designs + i * n_slots, &pool->log_narrow[i]));
    }
    return TL_OK;
}

tl_err tl_imagined_pool_init(
    const tl_predictor *predictor,
    tl_freedom freedom,
    bool has_energy,
    int n,
    uint64_t seed,
    tl_imagined_pool *out_pool)
{
    tl_err err = TL_OK;
    const tl_space *space = tl_predictor_space(predictor);
    size_t n_slots = (size_t)tl_space_n_slots(space);
    tl_imagined_pool pool = {.predictor = predictor, .n = n};
    tl_rng rng;
    tl_rng_init(&rng, seed);
    pool.designs = tl_mem_new((size_t)n * n_slots, sizeof *pool.designs);
    if (pool.designs == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n);
    }
    for (size_t i = 0; i < (size_t)n; i++) {
        tl_space_sample_with(space, freedom, &rng, pool.designs + i * n_slots);
    }
    if ((err = collect_sources(&pool, TL_COST_LATENCY)) != TL_OK ||
        (err = collect_sources(&pool, TL_COST_ENERGY)) != TL_OK ||
        (err = tl_encoded_init(predictor, has_energy, pool.designs, n, &pool.encoded)) !=
            TL_OK ||
        (freedom == TL_FREE_BITS && (err = fill_narrow(&pool)) != TL_OK)) {
        tl_imagined_pool_done(&pool);
        return err;
    }
    *out_pool = pool;
    return TL_OK;
}

void tl_imagined_pool_done(tl_imagined_pool *pool)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_mem_free(pool->sources[c]);
    }
    tl_encoded_done(&pool->encoded);
    tl_mem_free(pool->designs);
    tl_mem_free(pool->log_narrow);
    *pool = (tl_imagined_pool){0};
}
