/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/ranked.h"

#include "base/mem.h"
#include "numerics/gemm.h"
#include "predictors/view_impl.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const float least_relative = .02F; /* as of zero_shot.c */

/* ---- ranking ------------------------------------------------------------------------------ */

typedef struct entry {
    double accuracy;
    int place;
} entry;

static int by_accuracy(const void *a, const void *b)
{
    const entry *x = a;
    const entry *y = b;
    int order = (x->accuracy < y->accuracy) - (x->accuracy > y->accuracy);
    return order != 0 ? order : (x->place > y->place) - (x->place < y->place);
}

static tl_err sort(int n, const tl_prediction *listed, int *out_places)
{
    entry *entries = tl_mem_new((size_t)n, sizeof *entries);
    if (entries == NULL) {
        return tl_fail(TL_ENOMEM, "an order of %d designs", n);
    }
    for (int i = 0; i < n; i++) {
        entries[i] = (entry){.accuracy = listed[i].accuracy, .place = i};
    }
    qsort(entries, (size_t)n, sizeof *entries, by_accuracy);
    for (int i = 0; i < n; i++) {
        out_places[i] = entries[i].place;
    }
    tl_mem_free(entries);
    return TL_OK;
}

static tl_err gather_designs(
    tl_ranked *r, const tl_predictor *predictor, const tl_prediction *listed)
{
    size_t n = (size_t)r->n;
    size_t n_slots = (size_t)tl_space_n_slots(predictor->space);
    r->places = tl_mem_new(n, sizeof *r->places);
    r->same_end = tl_mem_new(n, sizeof *r->same_end);
    r->designs = tl_mem_new(n * n_slots, sizeof *r->designs);
    r->accuracy = tl_mem_new(n, sizeof *r->accuracy);
    r->accuracy_std = tl_mem_new(n, sizeof *r->accuracy_std);
    if (r->places == NULL || r->same_end == NULL || r->designs == NULL || r->accuracy == NULL ||
        r->accuracy_std == NULL) {
        return tl_fail(TL_ENOMEM, "an order of %zu designs", n);
    }
    TL_TRY(sort(r->n, listed, r->places));
    for (int i = r->n - 1; i >= 0; i--) {
        int place = r->places[i];
        r->accuracy[i] = listed[place].accuracy;
        r->accuracy_std[i] = listed[place].accuracy_std;
        bool is_last = i + 1 == r->n || r->accuracy[i + 1] != r->accuracy[i];
        r->same_end[i] = is_last ? i + 1 : r->same_end[i + 1];
        memcpy(
            r->designs + (size_t)i * n_slots, predictor->listing + (size_t)place * n_slots,
            n_slots * sizeof *r->designs);
    }
    return TL_OK;
}

static tl_err gather_logs(tl_ranked *r, const tl_listed *listed, tl_cost cost)
{
    TL_TRY(tl_mat_init(&r->logs[cost], listed->logs.rows, r->n));
    for (int s = 0; s < listed->logs.rows; s++) {
        const float *from = tl_mat_row(listed->logs, s);
        float *to = tl_mat_row(r->logs[cost], s);
        for (int i = 0; i < r->n; i++) {
            to[i] = from[r->places[i]];
        }
    }
    return TL_OK;
}

static tl_err gather_counts(tl_ranked *r, const tl_op_table *ops)
{
    TL_TRY(tl_mat_init(&r->counts, ops->n_ops, r->n));
    for (int i = 0; i < r->n; i++) {
        int place = r->places[i];
        for (int k = ops->begin[place]; k < ops->begin[place + 1]; k++) {
            tl_mat_row(r->counts, ops->counts[k].op)[i] = (float)ops->counts[k].n;
        }
    }
    return TL_OK;
}

static tl_err fill(tl_ranked *r, tl_predictor *predictor, const tl_prediction *listed)
{
    TL_TRY(gather_designs(r, predictor, listed));
    for (int c = 0; c < TL_N_COSTS; c++) {
        const tl_known *known = NULL;
        const tl_listed *columns = NULL;
        TL_TRY(tl_predictor_known(predictor, (tl_cost)c, &known));
        if (known == NULL) {
            continue;
        }
        TL_TRY(tl_predictor_listed(predictor, (tl_cost)c, &columns));
        TL_TRY(gather_logs(r, columns, (tl_cost)c));
        if (c == TL_COST_LATENCY) {
            TL_TRY(gather_counts(r, &columns->ops));
        }
    }
    return TL_OK;
}

static tl_err new_ranked(tl_predictor *predictor, const char *task, tl_ranked **out_ranked)
{
    int n = predictor->n_listing;
    tl_prediction *listed = tl_mem_new((size_t)n, sizeof *listed);
    tl_ranked *r = tl_mem_new(1, sizeof *r);
    tl_err err =
        listed == NULL || r == NULL ? tl_fail(TL_ENOMEM, "an order of %d designs", n) : TL_OK;
    if (err == TL_OK) {
        r->n = n;
        err = tl_predictor_accuracy(predictor, task, predictor->listing, n, listed);
    }
    if (err == TL_OK) {
        err = fill(r, predictor, listed);
    }
    tl_mem_free(listed);
    if (err != TL_OK) {
        tl_ranked_free(r);
        return err;
    }
    *out_ranked = r;
    return TL_OK;
}

void tl_ranked_free(tl_ranked *ranked)
{
    if (ranked == NULL) {
        return;
    }
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_mat_done(&ranked->logs[c]);
    }
    tl_mat_done(&ranked->counts);
    tl_mem_free(ranked->places);
    tl_mem_free(ranked->same_end);
    tl_mem_free(ranked->designs);
    tl_mem_free(ranked->accuracy);
    tl_mem_free(ranked->accuracy_std);
    tl_mem_free(ranked);
}

/* Made outside the lock: what it is made of takes the lock itself. The first one made stays. */
tl_err tl_predictor_ranked(
    tl_predictor *predictor, const char *task, const tl_ranked **out_ranked)
{
    TL_ASSERT(predictor->listing != NULL);
    tl_ranked *made = NULL;
    int i = 0;
    while (strcmp(predictor->tasks[i], task) != 0) {
        i++;
    }
    (void)pthread_mutex_lock(&predictor->lock);
    bool is_there = predictor->ranked[i] != NULL;
    (void)pthread_mutex_unlock(&predictor->lock);
    if (!is_there) {
        TL_TRY(new_ranked(predictor, task, &made));
    }
    (void)pthread_mutex_lock(&predictor->lock);
    if (predictor->ranked[i] == NULL) {
        predictor->ranked[i] = made;
        made = NULL;
    }
    *out_ranked = predictor->ranked[i];
    (void)pthread_mutex_unlock(&predictor->lock);
    tl_ranked_free(made);
    return TL_OK;
}

/* ---- devices ------------------------------------------------------------------------------ */

bool tl_ranked_can(const tl_view *view, tl_cost cost)
{
    return tl_view_is_shared(view, cost) &&
           (cost == TL_COST_LATENCY || tl_view_is_shared(view, TL_COST_LATENCY));
}

double tl_ranked_spread(const tl_view *view, tl_cost cost)
{
    double own = tl_view_spread(&view->costs[cost]);
    return cost == TL_COST_ENERGY ? hypot(own, tl_view_spread(&view->costs[TL_COST_LATENCY]))
                                  : own;
}

static tl_err devices_init(const tl_ranked *ranked, int n, tl_ranked_devices *d)
{
    size_t count = (size_t)n;
    *d = (tl_ranked_devices){.n = n};
    for (int c = 0; c < TL_N_COSTS; c++) {
        d->constants[c] = tl_mem_new(count, sizeof *d->constants[c]);
        TL_TRY(tl_mat_init(&d->shares[c], n, ranked->logs[c].rows));
    }
    d->rooflines = tl_mem_new(count, sizeof *d->rooflines);
    d->is_least = tl_mem_new(count, sizeof *d->is_least);
    TL_TRY(tl_mat_init(&d->prices, n, ranked->counts.rows));
    return d->constants[0] == NULL || d->constants[1] == NULL || d->rooflines == NULL ||
                   d->is_least == NULL
               ? tl_fail(TL_ENOMEM, "%d devices", n)
               : TL_OK;
}

/* The least that an operator costs wherever weights lie, over the unit. */
static tl_err price(
    const tl_listed *listed, const tl_zero_shot *shot, float *out_prices, bool *out_is_least)
{
    tl_op_prices prices;
    TL_TRY(tl_op_prices_init(&listed->ops, &shot->profile, &prices));
    for (int u = 0; u < listed->ops.n_ops; u++) {
        double least = tl_op_prices_at(&prices, TL_DRAM)[u];
        for (int m = 0; prices.has_caches && m < TL_DRAM; m++) {
            least = fmin(least, tl_op_prices_at(&prices, (tl_memory)m)[u]);
        }
        out_prices[u] = (float)(least / shot->roofline_unit);
    }
    *out_is_least = prices.has_caches;
    tl_op_prices_done(&prices);
    return TL_OK;
}

static tl_err set_device(
    tl_ranked_devices *d, int i, const tl_listed *listed, const tl_view *view)
{
    const tl_zero_shot *latency = &view->costs[TL_COST_LATENCY].shot;
    for (int c = 0; c < TL_N_COSTS; c++) {
        const tl_zero_shot *shot = &view->costs[c].shot;
        for (int s = 0; tl_ranked_can(view, (tl_cost)c) && s < shot->known->n; s++) {
            tl_mat_row(d->shares[c], i)[s] = (float)shot->shares[s];
        }
        d->constants[c][i] = (float)shot->constant;
    }
    d->rooflines[i] = (float)latency->roofline_share;
    if (latency->roofline_share <= 0) {
        return TL_OK;
    }
    return price(listed, latency, tl_mat_row(d->prices, i), &d->is_least[i]);
}

tl_err tl_ranked_devices_init(
    const tl_ranked *ranked, tl_view *const *views, int n, tl_ranked_devices *out_devices)
{
    tl_ranked_devices d;
    const tl_listed *listed = NULL;
    tl_err err = devices_init(ranked, n, &d);
    if (err == TL_OK && n > 0) {
        err = tl_predictor_listed(views[0]->predictor, TL_COST_LATENCY, &listed);
    }
    for (int i = 0; i < n && err == TL_OK; i++) {
        TL_ASSERT(tl_ranked_can(views[i], TL_COST_LATENCY));
        err = set_device(&d, i, listed, views[i]);
    }
    if (err != TL_OK) {
        tl_ranked_devices_done(&d);
        return err;
    }
    *out_devices = d;
    return TL_OK;
}

void tl_ranked_devices_done(tl_ranked_devices *devices)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_mat_done(&devices->shares[c]);
        tl_mem_free(devices->constants[c]);
    }
    tl_mat_done(&devices->prices);
    tl_mem_free(devices->rooflines);
    tl_mem_free(devices->is_least);
    memset(devices, 0, sizeof *devices);
}

/* ---- products ----------------------------------------------------------------------------- */

tl_err tl_ranked_room_init(
    const tl_ranked *ranked, int n_devices, int n_designs, tl_ranked_room *out_room)
{
    tl_ranked_room room = {0};
    int widest = ranked->logs[0].rows > ranked->logs[1].rows ? ranked->logs[0].rows
                                                             : ranked->logs[1].rows;
    tl_err err = TL_OK;
    if ((err = tl_mat_init(&room.shares, n_devices, widest)) != TL_OK ||
        (err = tl_mat_init(&room.prices, n_devices, ranked->counts.rows)) != TL_OK ||
        (err = tl_mat_init(&room.works, n_devices, n_designs)) != TL_OK) {
        tl_ranked_room_done(&room);
        return err;
    }
    *out_room = room;
    return TL_OK;
}

void tl_ranked_room_done(tl_ranked_room *room)
{
    tl_mat_done(&room->shares);
    tl_mat_done(&room->prices);
    tl_mat_done(&room->works);
}

/* Rows of wanted devices, one after the other. */
static tl_mat gather(tl_mat from, const int *wanted, int n_wanted, tl_mat room)
{
    tl_mat rows = tl_mat_cols(tl_mat_rows(room, 0, n_wanted), 0, from.cols);
    for (int i = 0; i < n_wanted; i++) {
        memcpy(
            tl_mat_row(rows, i), tl_mat_row(from, wanted[i]),
            (size_t)from.cols * sizeof *from.data);
    }
    return rows;
}

/*
 * logs += constant + share log max(work, least_relative), right to 1e-4: exponent and a quartic of
 * the mantissa (its error is least at Chebyshev points). Positive floats are in the order of
 * their bits; so written, without a branch, a compiler makes it one of vectors.
 */
static void add_roofline(
    int n, float constant, float share, const float *restrict works, float *restrict logs)
{
    int32_t least_bits = 0;
    memcpy(&least_bits, &least_relative, sizeof least_bits);
    for (int i = 0; i < n; i++) {
        int32_t bits = 0;
        float m = 0;
        memcpy(&bits, &works[i], sizeof bits);
        bits = bits > least_bits ? bits : least_bits;
        int32_t mantissa = (bits & 0x7fffff) | 0x3f800000;
        memcpy(&m, &mantissa, sizeof m);
        float of_mantissa =
            -1.7417939F +
            (2.8212026F + (-1.4699568F + (.44717955F - .056570851F * m) * m) * m) * m;
        logs[i] += constant + share * (.69314718F * (float)((bits >> 23) - 127) + of_mantissa);
    }
}

static void add_constants(const float *constants, const int *wanted, tl_mat out, int n)
{
    for (int i = 0; i < out.rows; i++) {
        float *row = tl_mat_row(out, i);
        for (int k = 0; k < n; k++) {
            row[k] += constants[wanted[i]];
        }
    }
}

void tl_ranked_logs(
    const tl_ranked *ranked,
    const tl_ranked_devices *devices,
    const int *wanted,
    int n_wanted,
    tl_ranks ranks,
    tl_cost cost,
    const tl_ranked_room *room,
    tl_mat out)
{
    int n = ranks.end - ranks.begin;
    tl_mat works = tl_mat_cols(tl_mat_rows(room->works, 0, n_wanted), 0, n);
    tl_mat shares = gather(devices->shares[cost], wanted, n_wanted, room->shares);
    tl_gemm(
        1, TL_N, tl_ro(shares), TL_N,
        tl_ro(tl_mat_cols(ranked->logs[cost], ranks.begin, ranks.end)), 0, out);
    if (cost != TL_COST_LATENCY) {
        add_constants(devices->constants[cost], wanted, out, n);
        return;
    }
    tl_mat prices = gather(devices->prices, wanted, n_wanted, room->prices);
    tl_gemm(
        1, TL_N, tl_ro(prices), TL_N,
        tl_ro(tl_mat_cols(ranked->counts, ranks.begin, ranks.end)), 0, works);
    for (int i = 0; i < n_wanted; i++) {
        add_roofline(
            n, devices->constants[cost][wanted[i]], devices->rooflines[wanted[i]],
            tl_mat_row(works, i), tl_mat_row(out, i));
    }
}
