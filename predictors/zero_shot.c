/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/zero_shot.h"

#include "base/mem.h"
#include "base/units.h"
#include "predictors/prior.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK = 512
};

static const double least_relative = .02; /* of the middle design's work: it may not vanish */
static const double least_roofline_share = .01; /* below it designs need not be lowered */
static const double shape_variance = .05;       /* of the logarithm, beside the level's */
static const double physics_variance = 1;       /* of the logarithm of tl_prior_power_w() */

/* The level, and with it the constant beside the relatives' logarithms. */
static tl_err find_level(tl_zero_shot *shot, const double *weights, double log_sd)
{
    const tl_known *known = shot->known;
    double of_shape = 0;
    tl_level_device device = {.profile = &shot->profile};
    if (!known->is_power) {
        TL_TRY(tl_known_middle_work(known, &shot->profile, &shot->roofline_unit));
        shot->roofline_share *= shot->roofline_unit > 0; /* no work at all: no shape */
    }
    device.log_physics = tl_known_log_physics(known, &shot->profile, shot->roofline_unit);
    tl_levels_find(&known->levels, &device, weights, log_sd, &shot->level);
    for (int s = 0; s < known->n; s++) {
        of_shape += shot->shares[s] * known->units[s];
    }
    shot->constant = shot->level.log - of_shape;
    return TL_OK;
}

/*
 * Shares of the shape from the weights, which are in shares. What no relative tells
 * goes to the mean device and, of latency, to the roofline, half each.
 */
static void share_rest(tl_zero_shot *shot)
{
    int n = shot->known->n;
    double rest = 1;
    for (int s = 0; s < n; s++) {
        rest -= shot->shares[s];
    }
    if (!shot->known->is_power) {
        rest /= 2;
        shot->roofline_share = rest > least_roofline_share ? rest : 0;
    }
    for (int s = 0; s < n; s++) {
        shot->shares[s] += rest / n;
    }
}

/* What physics says of power is no better than that, whatever the known devices say. */
static double variance_of_level(const tl_zero_shot *shot, double log_sd)
{
    double physics = shot->known->is_power ? shot->level.shares[TL_EXPERT_PHYSICS] : 0;
    return (1 - physics) * log_sd * log_sd + physics * physics_variance;
}

static tl_err weigh(tl_zero_shot *shot, double scale)
{
    int n = shot->known->n;
    double log_sd = 0;
    double *weights = tl_mem_new((size_t)n, sizeof *weights);
    if (weights == NULL) {
        return tl_fail(TL_ENOMEM, "%d known devices", n);
    }
    tl_relatives_weigh_one(&shot->known->relatives, &shot->profile, weights, &log_sd);
    memcpy(shot->shares, weights, (size_t)n * sizeof *weights);
    share_rest(shot);
    tl_err err = find_level(shot, weights, log_sd);
    tl_mem_free(weights);
    TL_TRY(err);
    shot->log_sd = sqrt((variance_of_level(shot, log_sd) + shape_variance) * scale);
    return TL_OK;
}

tl_err tl_zero_shot_init(
    const tl_known *known, const tl_profile *profile, double scale, tl_zero_shot *out_shot)
{
    TL_ASSERT(scale > 0);
    tl_zero_shot shot = {.known = known, .profile = *profile};
    shot.shares = tl_mem_new((size_t)known->n, sizeof *shot.shares);
    if (shot.shares == NULL) {
        return tl_fail(TL_ENOMEM, "%d known devices", known->n);
    }
    tl_err err = weigh(&shot, scale);
    if (err != TL_OK) {
        tl_zero_shot_done(&shot);
        return err;
    }
    *out_shot = shot;
    return TL_OK;
}

void tl_zero_shot_done(tl_zero_shot *shot)
{
    tl_mem_free(shot->shares);
    memset(shot, 0, sizeof *shot);
}

double tl_zero_shot_roofline(const tl_zero_shot *shot, double work)
{
    return shot->roofline_share > 0
               ? shot->roofline_share * log(fmax(work / shot->roofline_unit, least_relative))
               : 0;
}

/* Designs [n, n_slots] without their optional slots; whether any had one. */
static bool strip_all(const tl_space *space, const tl_choice *designs, int n, tl_choice *plain)
{
    bool has_any = false;
    size_t n_slots = (size_t)tl_space_n_slots(space);
    for (size_t i = 0; i < (size_t)n; i++) {
        bool has = tl_design_strip(space, designs + i * n_slots, plain + i * n_slots);
        has_any = has_any || has;
    }
    return has_any;
}

/*
 * Known devices were measured at the widths that the space has without its optional
 * slots. Where the profile gains from narrow weights, a design that chooses its
 * own costs as much less as its roofline is lower.
 */
static bool gains_from_bits(const tl_zero_shot *shot)
{
    return shot->profile.weight_bits.n > 0 && tl_prior_is_known(&shot->profile) &&
           !shot->known->is_power;
}

/* What rooflines say of at most BLOCK designs: the shape's share, and what bits gain. */
static tl_err add_works(const tl_zero_shot *shot, const tl_choice *designs, int n, double *out)
{
    double without[BLOCK];
    double own[BLOCK];
    tl_err err = TL_OK;
    const tl_space *space = tl_features_space(shot->known->features);
    bool has_roofline = shot->roofline_share > 0;
    if (!has_roofline && !gains_from_bits(shot)) {
        return TL_OK;
    }
    size_t n_slots = (size_t)tl_space_n_slots(space);
    tl_choice *plain = tl_mem_new((size_t)n * n_slots, sizeof *plain);
    if (plain == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n);
    }
    bool has_bits = strip_all(space, designs, n, plain) && gains_from_bits(shot);
    if (has_roofline || has_bits) {
        err = tl_op_works(space, &shot->profile, plain, n, without);
    }
    if (err == TL_OK && has_bits) {
        err = tl_op_works(space, &shot->profile, designs, n, own);
    }
    for (int i = 0; i < n && err == TL_OK; i++) {
        out[i] += has_roofline ? tl_zero_shot_roofline(shot, without[i]) : 0;
        out[i] += has_bits && own[i] > 0 && without[i] > 0 ? log(own[i] / without[i]) : 0;
    }
    tl_mem_free(plain);
    return err;
}

tl_err tl_zero_shot_predict(
    const tl_zero_shot *shot, const tl_choice *designs, int n, double *out_log)
{
    tl_dmat rows = {0};
    tl_err err = TL_OK;
    size_t n_slots = (size_t)tl_space_n_slots(tl_features_space(shot->known->features));
    TL_TRY(tl_dmat_init(
        &rows, n < BLOCK ? n : BLOCK, tl_features_n_source(shot->known->features)));
    for (int begin = 0; begin < n && err == TL_OK; begin += BLOCK) {
        int count = n - begin < BLOCK ? n - begin : BLOCK;
        const tl_choice *block = designs + (size_t)begin * n_slots;
        tl_dmat wide = tl_dmat_rows(rows, 0, count);
        double *out = out_log + begin;
        err = tl_features_encode(shot->known->features, block, count, (tl_dmat){0}, wide);
        for (int i = 0; i < count; i++) {
            out[i] = shot->constant;
        }
        if (err == TL_OK) {
            for (int s = 0; s < shot->known->n; s++) {
                tl_relative_add(&shot->known->devices[s], shot->shares[s], tl_dro(wide), out);
            }
            err = add_works(shot, block, count, out);
        }
    }
    tl_dmat_done(&rows);
    return err;
}
