/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/zero_shot.h"

#include "base/mem.h"
#include "base/units.h"
#include "numerics/stats.h"
#include "predictors/prior.h"
#include "predictors/relatives.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK = 512,
    MIDDLE_OF = 64 /* reference designs of which levels are medians */
};

static const double least_relative = .02; /* of a source's prediction: it may not vanish */
static const double least_roofline_share = .01; /* below it designs need not be lowered */
static const double shape_variance = .05;       /* of the logarithm, beside the level's */
static const double physics_variance = 1;       /* of the logarithm of tl_prior_power_w() */
static const double power_trust = 2; /* known devices that it outweighs the median factor of */

/* Bound of the roofline, or the MACs where the profile tells none. */
static tl_err work_on(const tl_profile *profile, const tl_network *network, double *out_work)
{
    tl_roofline roofline = {0};
    if (tl_prior_is_known(profile)) {
        TL_TRY(tl_prior_roofline(profile, network, &roofline));
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

static tl_err work_of(
    const tl_zero_shot *shot, const tl_choice *design, tl_network *network, double *out_work)
{
    TL_TRY(tl_space_lower(tl_features_space(shot->features), design, network));
    return work_on(&shot->profile, network, out_work);
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

/*
 * Reference designs, of which all levels are medians: measured designs may lie
 * elsewhere, and differently from device to device.
 */
typedef struct middle {
    tl_choice *designs; /* [n, n_slots] */
    int n;
    tl_dmat rows; /* [n, Ps] */
    tl_dmat work; /* [devices, n]: bounds of the roofline, MACs where there is none */
    tl_level_device *devices; /* the known ones, then the device */
    double *log;              /* [n], scratch */
} middle;

static void middle_done(middle *m)
{
    tl_mem_free(m->designs);
    tl_mem_free(m->devices);
    tl_mem_free(m->log);
    tl_dmat_done(&m->rows);
    tl_dmat_done(&m->work);
}

static tl_err middle_init(const tl_zero_shot *shot, middle *m)
{
    int n = 0;
    const tl_features *features = shot->features;
    const tl_choice *designs = tl_features_reference(features, &n);
    size_t n_slots = (size_t)tl_space_n_slots(tl_features_space(features));
    *m = (middle){.n = n < MIDDLE_OF ? n : MIDDLE_OF};
    m->designs = tl_mem_new((size_t)m->n * n_slots, sizeof *m->designs);
    m->devices = tl_mem_new((size_t)shot->n + 1, sizeof *m->devices);
    m->log = tl_mem_new((size_t)m->n, sizeof *m->log);
    if (m->designs == NULL || m->devices == NULL || m->log == NULL) {
        return tl_fail(TL_ENOMEM, "levels of %d known devices", shot->n);
    }
    for (int i = 0; i < m->n; i++) {
        size_t at = (size_t)i * (size_t)(n / m->n) * n_slots;
        memcpy(m->designs + (size_t)i * n_slots, designs + at, n_slots * sizeof *designs);
    }
    TL_TRY(tl_dmat_init(&m->rows, m->n, tl_features_n_source(features)));
    TL_TRY(tl_dmat_init(&m->work, shot->n + 1, m->n));
    return tl_features_encode(features, m->designs, m->n, (tl_dmat){0}, m->rows);
}

/* Log of what relative s says of the middle design, over its own median (or medians). */
static double unit_of(const tl_zero_shot *shot, int s, middle *m)
{
    memset(m->log, 0, (size_t)m->n * sizeof *m->log);
    add_source(shot->relatives[s].source, 1, tl_dro(m->rows), m->log);
    if (shot->relatives[s].latency != NULL) {
        add_source(shot->relatives[s].latency, -1, tl_dro(m->rows), m->log);
    }
    return tl_median_inplace(m->n, m->log);
}

/* log_physics of all devices and the unit of the roofline's shape: those of the middle design. */
static tl_err find_work(tl_zero_shot *shot, middle *m)
{
    tl_network network = {0};
    tl_err err = TL_OK;
    const tl_space *space = tl_features_space(shot->features);
    size_t n_slots = (size_t)tl_space_n_slots(space);
    for (int i = 0; i < m->n && err == TL_OK; i++) {
        err = tl_space_lower(space, m->designs + (size_t)i * n_slots, &network);
        for (int s = 0; s <= shot->n && err == TL_OK; s++) {
            err = work_on(m->devices[s].profile, &network, &tl_dmat_row(m->work, s)[i]);
        }
    }
    tl_network_done(&network);
    for (int s = 0; s <= shot->n && err == TL_OK; s++) {
        double work = tl_median_inplace(m->n, tl_dmat_row(m->work, s));
        bool is_bound = work > 0 && tl_prior_is_known(m->devices[s].profile);
        m->devices[s].log_physics = is_bound ? log(work) : TL_UNKNOWN;
        shot->roofline_unit = work;
    }
    shot->roofline_share *= shot->roofline_unit > 0; /* no work at all: no shape */
    return err;
}

/* The level, and with it the constant beside the relatives' logarithms. */
static tl_err find_level(tl_zero_shot *shot)
{
    middle m = {0};
    bool is_power = shot->relatives[0].latency != NULL;
    double of_shape = 0;
    tl_err err = middle_init(shot, &m);
    if (err != TL_OK) {
        goto done;
    }
    for (int s = 0; s < shot->n; s++) {
        const tl_relative *r = &shot->relatives[s];
        double unit = unit_of(shot, s, &m);
        m.devices[s].profile = r->profile;
        m.devices[s].log_level =
            unit + log(r->source->median / (is_power ? r->latency->median : 1));
        of_shape += shot->shares[s] * unit;
    }
    m.devices[shot->n].profile = &shot->profile;
    for (int s = 0; s <= shot->n && is_power; s++) {
        m.devices[s].log_physics = log(tl_prior_power_w(m.devices[s].profile));
    }
    if ((!is_power && (err = find_work(shot, &m)) != TL_OK) ||
        (err = tl_level_find(
             &m.devices[shot->n], m.devices, shot->n, !is_power, is_power ? power_trust : 0,
             &shot->level)) != TL_OK) {
        goto done;
    }
    shot->constant = shot->level.log - of_shape;
done:
    middle_done(&m);
    return err;
}

/*
 * Shares of the shape from the weights, which are in shares. What no relative tells
 * goes to the mean device and, of latency, to the roofline, half each.
 */
static void share_rest(tl_zero_shot *shot)
{
    double rest = 1;
    for (int s = 0; s < shot->n; s++) {
        rest -= shot->shares[s];
    }
    if (shot->relatives[0].latency == NULL) {
        rest /= 2;
        shot->roofline_share = rest > least_roofline_share ? rest : 0;
    }
    for (int s = 0; s < shot->n; s++) {
        shot->shares[s] += rest / shot->n;
    }
}

/* What physics says of power is no better than that, whatever the known devices say. */
static double variance_of_level(const tl_zero_shot *shot, double log_sd)
{
    bool is_power = shot->relatives[0].latency != NULL;
    double physics = is_power ? shot->level.shares[TL_EXPERT_PHYSICS] : 0;
    return (1 - physics) * log_sd * log_sd + physics * physics_variance;
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
    TL_TRY(err);
    share_rest(shot);
    TL_TRY(find_level(shot));
    shot->log_sd = sqrt((variance_of_level(shot, log_sd) + shape_variance) * scale);
    return TL_OK;
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
