/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/known.h"

#include "base/mem.h"
#include "base/units.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK = 512,
    MIDDLE_OF = 64 /* reference designs of which levels are medians */
};

static const double least_relative = .02; /* of a source's prediction: it may not vanish */
static const double power_trust = 2; /* known devices that it outweighs the median factor of */

static void add_source(const tl_source *source, double share, tl_dcmat rows, double *out)
{
    for (int begin = 0; begin < rows.rows; begin += BLOCK) {
        double relative[BLOCK];
        int end = rows.rows - begin < BLOCK ? rows.rows : begin + BLOCK;
        tl_source_predict(source, tl_dcmat_rows(rows, begin, end), relative);
        for (int i = begin; i < end; i++) {
            out[i] += share * log(fmax(relative[i - begin], least_relative));
        }
    }
}

void tl_relative_add(const tl_relative *device, double share, tl_dcmat rows, double *out)
{
    add_source(device->source, share, rows, out);
    if (device->latency != NULL) {
        add_source(device->latency, -share, rows, out);
    }
}

tl_err tl_known_middle_work(const tl_known *known, const tl_profile *profile, double *out_work)
{
    double work[MIDDLE_OF];
    tl_op_prices prices;
    TL_TRY(tl_op_prices_init(&known->middle, profile, &prices));
    for (int i = 0; i < known->middle.n; i++) {
        work[i] = tl_op_prices_work(&prices, &known->middle, i);
    }
    tl_op_prices_done(&prices);
    *out_work = tl_median_inplace(known->middle.n, work);
    return TL_OK;
}

double tl_known_log_physics(const tl_known *known, const tl_profile *profile, double work)
{
    if (known->is_power) {
        return log(tl_prior_power_w(profile));
    }
    return work > 0 && tl_prior_is_known(profile) ? log(work) : TL_UNKNOWN;
}

/*
 * Reference designs, of which all levels are medians: measured designs may lie
 * elsewhere, and differently from device to device.
 */
static tl_err choose_middle(const tl_features *features, tl_choice **out_designs, int *out_n)
{
    int n_all = 0;
    const tl_choice *all = tl_features_reference(features, &n_all);
    size_t n_slots = (size_t)tl_space_n_slots(tl_features_space(features));
    int n = n_all < MIDDLE_OF ? n_all : MIDDLE_OF;
    tl_choice *designs = tl_mem_new((size_t)n * n_slots, sizeof *designs);
    if (designs == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n);
    }
    for (int i = 0; i < n; i++) {
        size_t at = (size_t)i * (size_t)(n_all / n) * n_slots;
        memcpy(designs + (size_t)i * n_slots, all + at, n_slots * sizeof *designs);
    }
    *out_designs = designs;
    *out_n = n;
    return TL_OK;
}

/* What each known device says of the middle design (medians), over its own unit. */
static tl_err find_units(tl_known *k, const tl_choice *middle, int n)
{
    double logs[MIDDLE_OF];
    tl_dmat rows = {0};
    TL_TRY(tl_dmat_init(&rows, n, tl_features_n_source(k->features)));
    tl_err err = tl_features_encode(k->features, middle, n, (tl_dmat){0}, rows);
    for (int s = 0; s < k->n && err == TL_OK; s++) {
        memset(logs, 0, sizeof logs);
        tl_relative_add(&k->devices[s], 1, tl_dro(rows), logs);
        k->units[s] = tl_median_inplace(n, logs);
    }
    tl_dmat_done(&rows);
    return err;
}

static tl_err find_levels(tl_known *k)
{
    tl_level_device *devices = tl_mem_new((size_t)k->n, sizeof *devices);
    tl_err err = devices == NULL ? tl_fail(TL_ENOMEM, "%d known devices", k->n) : TL_OK;
    for (int s = 0; s < k->n && err == TL_OK; s++) {
        const tl_relative *r = &k->devices[s];
        double work = 0;
        err = k->is_power ? TL_OK : tl_known_middle_work(k, r->profile, &work);
        devices[s].profile = r->profile;
        devices[s].log_level =
            k->units[s] + log(r->source->median / (k->is_power ? r->latency->median : 1));
        devices[s].log_physics = tl_known_log_physics(k, r->profile, work);
    }
    if (err == TL_OK) {
        err = tl_levels_init(
            &k->relatives, devices, !k->is_power, k->is_power ? power_trust : 0, &k->levels);
    }
    tl_mem_free(devices);
    return err;
}

static tl_err relate(tl_known *k)
{
    const tl_profile **profiles = tl_mem_new((size_t)k->n, sizeof *profiles);
    if (profiles == NULL) {
        return tl_fail(TL_ENOMEM, "%d known devices", k->n);
    }
    for (int s = 0; s < k->n; s++) {
        profiles[s] = k->devices[s].profile;
    }
    tl_err err = tl_relatives_init(profiles, k->n, &k->relatives);
    tl_mem_free(profiles);
    return err;
}

static tl_err fill(tl_known *k, const tl_relative *devices)
{
    int n = 0;
    tl_choice *middle = NULL;
    k->devices = tl_mem_new((size_t)k->n, sizeof *k->devices);
    k->units = tl_mem_new((size_t)k->n, sizeof *k->units);
    if (k->devices == NULL || k->units == NULL) {
        return tl_fail(TL_ENOMEM, "%d known devices", k->n);
    }
    memcpy(k->devices, devices, (size_t)k->n * sizeof *k->devices);
    TL_TRY(choose_middle(k->features, &middle, &n));
    tl_err err = find_units(k, middle, n);
    if (err == TL_OK && !k->is_power) {
        err = tl_op_table_init(tl_features_space(k->features), middle, n, &k->middle);
    }
    tl_mem_free(middle);
    TL_TRY(err);
    TL_TRY(relate(k));
    return find_levels(k);
}

tl_err tl_known_new(
    const tl_features *features, const tl_relative *devices, int n, tl_known **out_known)
{
    TL_ASSERT(n >= TL_KNOWN_LEAST);
    tl_known *k = tl_mem_new(1, sizeof *k);
    if (k == NULL) {
        return tl_fail(TL_ENOMEM, "%d known devices", n);
    }
    *k = (tl_known){.features = features, .n = n, .is_power = devices[0].latency != NULL};
    tl_err err = fill(k, devices);
    if (err != TL_OK) {
        tl_known_free(k);
        return err;
    }
    *out_known = k;
    return TL_OK;
}

void tl_known_free(tl_known *known)
{
    if (known == NULL) {
        return;
    }
    tl_levels_done(&known->levels);
    tl_relatives_done(&known->relatives);
    tl_op_table_done(&known->middle);
    tl_mem_free(known->devices);
    tl_mem_free(known->units);
    tl_mem_free(known);
}
