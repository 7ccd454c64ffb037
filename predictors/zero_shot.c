/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/zero_shot.h"

#include "base/mem.h"
#include "numerics/stats.h"
#include "predictors/prior.h"
#include "predictors/relatives.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK = 512,
    MIDDLE_OF = 200 /* reference designs whose median roofline is the unit */
};

static const double least_relative = .02; /* of a source's prediction: it may not vanish */
static const double least_roofline_share = .01; /* below it designs need not be lowered */
static const double shape_variance = .05;       /* of the logarithm, beside the level's */

/* Bound of the roofline, or the MACs where the profile tells none. */
static tl_err work_of(
    const tl_zero_shot *shot, const tl_choice *design, tl_network *network, double *out_work)
{
    tl_roofline roofline = {0};
    TL_TRY(tl_space_lower(tl_features_space(shot->features), design, network));
    if (tl_prior_is_known(&shot->profile)) {
        TL_TRY(tl_prior_roofline(&shot->profile, network, &roofline));
        *out_work = roofline.bound_ms;
        return TL_OK;
    }
    double macs = 0;
    for (int i = 0; i < network->n_ops; i++) {
        macs += network->ops[i].is_needed ? (double)tl_op_macs(&network->ops[i]) : 0;
    }
    *out_work = macs;
    return TL_OK;
}

static tl_err find_unit(tl_zero_shot *shot)
{
    int n = 0;
    int n_taken = 0;
    double work[MIDDLE_OF];
    tl_network network = {0};
    tl_err err = TL_OK;
    size_t n_slots = (size_t)tl_space_n_slots(tl_features_space(shot->features));
    const tl_choice *designs = tl_features_reference(shot->features, &n);
    int stride = n > MIDDLE_OF ? n / MIDDLE_OF : 1;
    for (int i = 0; i < n && n_taken < MIDDLE_OF && err == TL_OK; i += stride) {
        err = work_of(shot, designs + (size_t)i * n_slots, &network, &work[n_taken++]);
    }
    tl_network_done(&network);
    if (err == TL_OK) {
        shot->roofline_unit = tl_median_inplace(n_taken, work);
        shot->roofline_share *= shot->roofline_unit > 0; /* no work at all: no shape */
    }
    return err;
}

/* Shares and level of latency from the weights, which are in shares. */
static void share_latency(tl_zero_shot *shot)
{
    double mean = 0;
    double rest = 1;
    for (int s = 0; s < shot->n; s++) {
        const tl_relative *r = &shot->relatives[s];
        mean += (log(r->source->median) - tl_relatives_trend(r->profile)) / shot->n;
        rest -= shot->shares[s];
    }
    shot->constant = tl_relatives_trend(&shot->profile) + mean;
    for (int s = 0; s < shot->n; s++) {
        const tl_relative *r = &shot->relatives[s];
        double level = log(r->source->median) - tl_relatives_trend(r->profile);
        shot->constant += shot->shares[s] * (level - mean);
        shot->shares[s] += rest / 2 / shot->n;
    }
    shot->roofline_share = rest / 2 > least_roofline_share ? rest / 2 : 0;
}

/* The mean power stands for what no relative tells. */
static void share_power(tl_zero_shot *shot)
{
    double rest = 1;
    for (int s = 0; s < shot->n; s++) {
        rest -= shot->shares[s];
    }
    for (int s = 0; s < shot->n; s++) {
        const tl_relative *r = &shot->relatives[s];
        shot->shares[s] += rest / shot->n;
        shot->constant += shot->shares[s] * log(r->source->median / r->latency->median);
    }
}

static tl_err weigh(tl_zero_shot *shot, double scale)
{
    double log_sd = 0;
    const tl_profile **profiles = tl_mem_new((size_t)shot->n, sizeof *profiles);
    if (profiles == NULL) {
        return tl_fail(TL_ENOMEM, "%d known devices", shot->n);
    }
    for (int s = 0; s < shot->n; s++) {
        profiles[s] = shot->relatives[s].profile;
    }
    tl_err err = tl_relatives_weigh(&shot->profile, profiles, shot->n, shot->shares, &log_sd);
    tl_mem_free(profiles);
    shot->log_sd = sqrt((log_sd * log_sd + shape_variance) * scale);
    return err;
}

tl_err tl_zero_shot_init(
    const tl_features *features,
    const tl_profile *profile,
    const tl_relative *relatives,
    int n,
    double scale,
    tl_zero_shot *out_shot)
{
    TL_ASSERT(n >= TL_ZERO_SHOT_MIN_RELATIVES && scale > 0);
    tl_err err = TL_OK;
    tl_zero_shot shot = {.features = features, .profile = *profile, .n = n};
    shot.relatives = tl_mem_new((size_t)n, sizeof *shot.relatives);
    shot.shares = tl_mem_new((size_t)n, sizeof *shot.shares);
    if (shot.relatives == NULL || shot.shares == NULL) {
        err = tl_fail(TL_ENOMEM, "%d known devices", n);
        goto done;
    }
    memcpy(shot.relatives, relatives, (size_t)n * sizeof *relatives);
    if ((err = weigh(&shot, scale)) != TL_OK) {
        goto done;
    }
    if (relatives[0].latency != NULL) {
        share_power(&shot);
    } else {
        share_latency(&shot);
    }
    if (shot.roofline_share > 0 && (err = find_unit(&shot)) != TL_OK) {
        goto done;
    }
    *out_shot = shot;
    shot = (tl_zero_shot){0};
done:
    tl_zero_shot_done(&shot);
    return err;
}

void tl_zero_shot_done(tl_zero_shot *shot)
{
    tl_mem_free(shot->relatives);
    tl_mem_free(shot->shares);
    memset(shot, 0, sizeof *shot);
}

/* out [rows] += share log of what the source says, over its own unit. */
static void add_source(const tl_source *source, double share, tl_dcmat rows, double *out)
{
    double relative[BLOCK];
    tl_source_predict(source, rows, relative);
    for (int i = 0; i < rows.rows; i++) {
        double r = relative[i] < least_relative ? least_relative : relative[i];
        out[i] += share * log(r);
    }
}

static void add_relatives(const tl_zero_shot *shot, tl_dcmat rows, double *out)
{
    for (int s = 0; s < shot->n; s++) {
        const tl_relative *r = &shot->relatives[s];
        add_source(r->source, shot->shares[s], rows, out);
        if (r->latency != NULL) {
            add_source(r->latency, -shot->shares[s], rows, out);
        }
    }
}

/* The design without its optional slots; false when it has none. */
static bool strip(const tl_space *space, const tl_choice *design, tl_choice *out_plain)
{
    bool has_any = false;
    for (int s = 0; s < tl_space_n_slots(space); s++) {
        bool is_optional = tl_space_slot(space, s)->is_optional;
        out_plain[s] = is_optional ? TL_CHOICE_ABSENT : design[s];
        has_any = has_any || out_plain[s] != design[s];
    }
    return has_any;
}

static tl_err add_roofline(
    const tl_zero_shot *shot, const tl_choice *designs, int n, double *out)
{
    tl_choice plain[TL_SPACE_MAX_SLOTS];
    const tl_space *space = tl_features_space(shot->features);
    size_t n_slots = (size_t)tl_space_n_slots(space);
    tl_network network = {0};
    tl_err err = TL_OK;
    for (int i = 0; i < n && shot->roofline_share > 0 && err == TL_OK; i++) {
        double work = 0;
        (void)strip(space, designs + (size_t)i * n_slots, plain);
        err = work_of(shot, plain, &network, &work);
        out[i] += shot->roofline_share * log(fmax(work / shot->roofline_unit, least_relative));
    }
    tl_network_done(&network);
    return err;
}

/*
 * Known devices were measured at the widths that the space has without its optional
 * slots. Where the profile gains from narrow weights, a design that chooses its
 * own costs as much less as its roofline is lower.
 */
static tl_err add_bits(const tl_zero_shot *shot, const tl_choice *designs, int n, double *out)
{
    tl_choice plain[TL_SPACE_MAX_SLOTS];
    const tl_space *space = tl_features_space(shot->features);
    int n_slots = tl_space_n_slots(space);
    tl_network network = {0};
    tl_err err = TL_OK;
    if (shot->profile.weight_bits.n == 0 || !tl_prior_is_known(&shot->profile) ||
        shot->relatives[0].latency != NULL) {
        return TL_OK;
    }
    for (int i = 0; i < n && err == TL_OK; i++) {
        const tl_choice *design = designs + (ptrdiff_t)i * n_slots;
        double own = 0;
        double without = 0;
        if (!strip(space, design, plain)) {
            continue;
        }
        err = work_of(shot, design, &network, &own);
        if (err == TL_OK) {
            err = work_of(shot, plain, &network, &without);
        }
        out[i] += own > 0 && without > 0 ? log(own / without) : 0;
    }
    tl_network_done(&network);
    return err;
}

tl_err tl_zero_shot_predict(
    const tl_zero_shot *shot, const tl_choice *designs, int n, double *out_log)
{
    tl_dmat rows = {0};
    tl_err err = TL_OK;
    size_t n_slots = (size_t)tl_space_n_slots(tl_features_space(shot->features));
    TL_TRY(tl_dmat_init(&rows, n < BLOCK ? n : BLOCK, tl_features_n_source(shot->features)));
    for (int begin = 0; begin < n && err == TL_OK; begin += BLOCK) {
        int count = n - begin < BLOCK ? n - begin : BLOCK;
        const tl_choice *block = designs + (size_t)begin * n_slots;
        tl_dmat wide = tl_dmat_rows(rows, 0, count);
        double *out = out_log + begin;
        err = tl_features_encode(shot->features, block, count, (tl_dmat){0}, wide);
        for (int i = 0; i < count; i++) {
            out[i] = shot->constant;
        }
        if (err == TL_OK) {
            add_relatives(shot, tl_dro(wide), out);
            err = add_roofline(shot, block, count, out);
        }
        if (err == TL_OK) {
            err = add_bits(shot, block, count, out);
        }
    }
    tl_dmat_done(&rows);
    return err;
}
