/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/calibrate.h"

#include "base/mem.h"
#include "base/units.h"
#include "numerics/rng.h"
#include "numerics/stats.h"
#include "predictors/head.h"
#include "predictors/suggest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MIN_DEVICES = 3,
    MAX_JUDGED = 2000, /* designs of a device that take part: keeps the time bounded */
    N_SIZES = 3,
    N_LIMITS = 15,
    N_SEEDS = 8,
    N_WAYS = 2, /* samples by chance, samples chosen */
    N_TASKS = 3,
    N_Z = 201,
};

static const int sizes[N_SIZES] = {5, 10, 20};
static const double first_limit_quantile = .15;
static const double limit_quantile_step = .05;
static const double first_z = -2;
static const double z_step = .05;
static const double mad_to_sd = 1.4826;
static const double least_imagined = .05; /* of the typical design, or of what the model says */
static const double most_wider = 3;
static const double least_share_of_level = .01; /* costs are positive, as a view sees to */

/* Shares of missed limits of one device, by sample size and z. */
typedef struct device_shares {
    double missed[N_SIZES][N_Z], asked[N_SIZES];
} device_shares;

/* One left-out device while it is judged. */
typedef struct judged {
    int n, n_sources;
    int n_measured; /* the first of them; what the others take is imagined */
    double spread;
    int *rows;            /* [n], which of its measurements, then of the reference designs */
    tl_choice *designs;   /* [n, n_slots] */
    double *y, *z;        /* [n] */
    tl_dmat x;            /* [n, P + S - 1] */
    double *accuracy;     /* [N_TASKS, n] */
    int *order[N_TASKS];  /* by accuracy, best first */
    double *mean, *sd;    /* [n] */
    tl_margin_unit unit;  /* of the head */
    int *picks, *scratch; /* [n] */
} judged;

static void judged_done(judged *j)
{
    tl_mem_free(j->rows);
    tl_mem_free(j->designs);
    tl_mem_free(j->y);
    tl_mem_free(j->z);
    tl_dmat_done(&j->x);
    tl_mem_free(j->accuracy);
    for (int t = 0; t < N_TASKS; t++) {
        tl_mem_free(j->order[t]);
    }
    tl_mem_free(j->mean);
    tl_mem_free(j->sd);
    tl_mem_free(j->picks);
    tl_mem_free(j->scratch);
}

static tl_err judged_alloc(int n, int n_all, int n_slots, judged *j)
{
    size_t size = (size_t)n;
    j->n = n;
    j->rows = tl_mem_new(size, sizeof *j->rows);
    j->designs = tl_mem_new(size * (size_t)n_slots, sizeof *j->designs);
    j->y = tl_mem_new(size, sizeof *j->y);
    j->z = tl_mem_new(size, sizeof *j->z);
    j->accuracy = tl_mem_new(size * N_TASKS, sizeof *j->accuracy);
    j->mean = tl_mem_new(size, sizeof *j->mean);
    j->sd = tl_mem_new(size, sizeof *j->sd);
    j->picks = tl_mem_new(size, sizeof *j->picks);
    j->scratch = tl_mem_new((size_t)n_all, sizeof *j->scratch);
    bool is_whole = j->rows && j->designs && j->y && j->z && j->accuracy && j->mean && j->sd &&
                    j->picks && j->scratch;
    for (int t = 0; t < N_TASKS; t++) {
        j->order[t] = tl_mem_new(size, sizeof *j->order[t]);
        is_whole = is_whole && j->order[t] != NULL;
    }
    return is_whole ? TL_OK : tl_fail(TL_ENOMEM, "calibration over %d designs", n);
}

/* ---- what selection prefers ------------------------------------------------------------- */

static void standardize(int n, double *values)
{
    double mean = tl_mean(n, values);
    double sd = tl_sd(n, values);
    for (int i = 0; i < n; i++) {
        values[i] = sd > 0 ? (values[i] - mean) / sd : 0;
    }
}

static tl_err log_macs(const tl_space *space, const judged *j, double *out)
{
    tl_network network = {0};
    tl_err err = TL_OK;
    size_t n_slots = (size_t)tl_space_n_slots(space);
    for (int i = 0; i < j->n && err == TL_OK; i++) {
        err = tl_space_lower(space, j->designs + (size_t)i * n_slots, &network);
        out[i] = log(1 + (double)tl_network_macs(&network));
    }
    tl_network_done(&network);
    return err;
}

/* Larger is better, plus a preference of chance for each head column. */
static tl_err made_up_accuracies(const tl_features *features, tl_rng *rng, judged *j)
{
    int p = tl_features_n_head(features);
    TL_TRY(log_macs(tl_features_space(features), j, j->mean));
    standardize(j->n, j->mean);
    for (int t = 0; t < N_TASKS; t++) {
        double *accuracy = j->accuracy + (ptrdiff_t)t * j->n;
        memset(accuracy, 0, (size_t)j->n * sizeof *accuracy);
        for (int c = 0; c < p; c++) {
            double weight = tl_rng_normal(rng);
            for (int i = 0; i < j->n; i++) {
                accuracy[i] += weight * tl_dmat_row(j->x, i)[c];
            }
        }
        standardize(j->n, accuracy);
        for (int i = 0; i < j->n; i++) {
            accuracy[i] += j->mean[i];
        }
    }
    return TL_OK;
}

/* The model's tasks, repeated where it has fewer than are judged. */
static tl_err predicted_accuracies(const tl_accuracy_model *model, judged *j)
{
    int n_tasks = tl_accuracy_model_n_tasks(model);
    double *values = tl_mem_new((size_t)j->n * (size_t)n_tasks * 2, sizeof *values);
    if (values == NULL) {
        return tl_fail(TL_ENOMEM, "accuracies of %d designs", j->n);
    }
    tl_err err = tl_accuracy_predict(
        model, j->designs, j->n, values, values + (ptrdiff_t)j->n * n_tasks);
    for (int t = 0; t < N_TASKS && err == TL_OK; t++) {
        for (int i = 0; i < j->n; i++) {
            j->accuracy[(ptrdiff_t)t * j->n + i] = values[(ptrdiff_t)i * n_tasks + t % n_tasks];
        }
    }
    tl_mem_free(values);
    return err;
}

static tl_err order_by_accuracy(const tl_calibration_data *data, tl_rng *rng, judged *j)
{
    TL_TRY(
        data->accuracy != NULL ? predicted_accuracies(data->accuracy, j)
                               : made_up_accuracies(data->features, rng, j));
    for (int t = 0; t < N_TASKS; t++) {
        const double *accuracy = j->accuracy + (ptrdiff_t)t * j->n;
        for (int i = 0; i < j->n; i++) {
            j->mean[i] = -accuracy[i];
        }
        TL_TRY(tl_argsort(j->n, j->mean, j->order[t]));
    }
    return TL_OK;
}

/* ---- the left-out device -------------------------------------------------------------------- */

/*
 * What designs that were not measured would take: the device's own model, times a residual
 * of a measured one drawn by chance. Where the model bends towards a measurement by h, its
 * residual there is the noise times sqrt(1 - h), and that noise over sqrt(1 - h) where it is
 * left out: the noise itself is the geometric mean of both.
 */
static tl_err imagine(const tl_source *own, tl_dcmat wide, tl_rng *rng, judged *j)
{
    double *model = tl_mem_new((size_t)j->n * 2, sizeof *model);
    if (model == NULL) {
        return tl_fail(TL_ENOMEM, "%d predictions", j->n);
    }
    double *residual = model + j->n;
    tl_source_predict(own, wide, model);
    for (int i = 0; i < j->n; i++) {
        model[i] = fmax(model[i], least_imagined) * own->median;
        residual[i] = i < j->n_measured ? fabs(j->y[i] / model[i] - 1) : 0;
    }
    double seen = mad_to_sd * tl_median_inplace(j->n_measured, residual);
    double factor = seen > 0 ? fmin(fmax(sqrt(own->loo_sd / seen), 1), most_wider) : 1;
    for (int i = j->n_measured; i < j->n; i++) {
        uint64_t k = tl_rng_below(rng, (uint64_t)j->n_measured);
        j->y[i] = model[i] * fmax(1 + factor * (j->y[k] / model[k] - 1), least_imagined);
    }
    tl_mem_free(model);
    return TL_OK;
}

static tl_err encode(const tl_calibration_data *data, int left_out, tl_rng *rng, judged *j)
{
    const tl_source **others = tl_mem_new((size_t)data->n_devices, sizeof *others);
    tl_dmat wide = {0};
    tl_err err = TL_OK;
    int p = tl_features_n_head(data->features);
    if (others == NULL) {
        return tl_fail(TL_ENOMEM, "sources");
    }
    for (int d = 0; d < data->n_devices; d++) {
        if (d != left_out) {
            others[j->n_sources++] = data->devices[d].source;
        }
    }
    if ((err = tl_dmat_init(&j->x, j->n, p + j->n_sources)) != TL_OK ||
        (err = tl_dmat_init(&wide, j->n, tl_features_n_source(data->features))) != TL_OK ||
        (err = tl_features_encode(
             data->features, j->designs, j->n, tl_dmat_cols(j->x, 0, p), wide)) != TL_OK) {
        goto done;
    }
    tl_sources_columns(
        others, j->n_sources, tl_dro(wide), tl_dmat_cols(j->x, p, j->x.cols), j->z);
    err = tl_sources_spread(others, j->n_sources, &j->spread);
    if (err == TL_OK) {
        err = imagine(data->devices[left_out].source, tl_dro(wide), rng, j);
    }
done:
    tl_dmat_done(&wide);
    tl_mem_free(others);
    return err;
}

static tl_err judged_init(const tl_calibration_data *data, int left_out, tl_rng *rng, judged *j)
{
    const tl_calibration_device *device = &data->devices[left_out];
    size_t n_slots = (size_t)tl_space_n_slots(tl_features_space(data->features));
    int n_reference = 0;
    const tl_choice *reference = tl_features_reference(data->features, &n_reference);
    int n_measured = device->n < MAX_JUDGED ? device->n : MAX_JUDGED;
    int n_more = n_reference > device->n ? MAX_JUDGED - n_measured : 0;
    n_more = n_more < n_reference ? n_more : n_reference;
    int n = n_measured + n_more;
    TL_TRY(judged_alloc(n, device->n + n_reference, (int)n_slots, j));
    j->n_measured = n_measured;
    tl_rng_choose(rng, device->n, n_measured, j->scratch, j->rows);
    tl_rng_choose(rng, n_reference, n_more, j->scratch, j->rows + n_measured);
    for (int i = 0; i < n; i++) {
        const tl_choice *from = i < n_measured ? device->designs : reference;
        memcpy(
            j->designs + (size_t)i * n_slots, from + (size_t)j->rows[i] * n_slots,
            n_slots * sizeof *j->designs);
        j->y[i] = i < n_measured ? device->values[j->rows[i]] : TL_UNKNOWN;
    }
    TL_TRY(encode(data, left_out, rng, j));
    return order_by_accuracy(data, rng, j);
}

/* ---- one head, all limits --------------------------------------------------------------------- */

static tl_err fit_and_predict(
    const tl_calibration_data *data, const int *picks, int n_picks, judged *j)
{
    tl_dmat x = {0};
    tl_head head = {0};
    double y[TL_HEAD_MAX_EXACT];
    double z[TL_HEAD_MAX_EXACT];
    TL_TRY(tl_dmat_init(&x, n_picks, j->x.cols));
    for (int i = 0; i < n_picks; i++) {
        memcpy(tl_dmat_row(x, i), tl_dmat_row(j->x, picks[i]), (size_t)x.cols * sizeof *x.data);
        y[i] = j->y[picks[i]];
        z[i] = j->z[picks[i]];
    }
    tl_head_data samples = {
        .n_sources = j->n_sources, .spread = j->spread, .x = tl_dro(x), .z = z, .y = y};
    tl_err err = tl_head_fit(data->features, &samples, &head);
    if (err == TL_OK) {
        err = tl_head_predict(&head, tl_dro(j->x), j->z, j->mean, j->sd);
    }
    for (int i = 0; i < j->n && err == TL_OK; i++) {
        j->mean[i] = fmax(j->mean[i], least_share_of_level * head.level);
    }
    if (err == TL_OK) {
        err = tl_margin_unit_of(j->n, j->mean, j->sd, &j->unit);
    }
    tl_head_done(&head);
    tl_dmat_done(&x);
    return err;
}

/*
 * For each z, whether the pick misses its limit. In order of accuracy only
 * designs that raise the largest margin so far can be picked, each for the z
 * between the old and the new largest margin.
 */
static void count_missed(const judged *j, const int *order, double limit, double missed[N_Z])
{
    int k = 0;
    for (int i = 0; i < j->n && k < N_Z; i++) {
        int design = order[i];
        double unit = tl_margin_unit_at(&j->unit, j->mean[design], j->sd[design]);
        double margin = (limit - j->mean[design]) / fmax(unit, 1e-12);
        for (; k < N_Z && first_z + k * z_step <= margin; k++) {
            missed[k] += j->y[design] > limit;
        }
    }
}

static tl_err judge_limits(const judged *j, int size, device_shares *shares)
{
    double *sorted = tl_mem_new((size_t)j->n, sizeof *sorted);
    if (sorted == NULL) {
        return tl_fail(TL_ENOMEM, "%d costs", j->n);
    }
    memcpy(sorted, j->y, (size_t)j->n * sizeof *sorted);
    for (int l = 0; l < N_LIMITS; l++) {
        double limit =
            tl_quantile_inplace(j->n, sorted, first_limit_quantile + l * limit_quantile_step);
        for (int t = 0; t < N_TASKS; t++) {
            count_missed(j, j->order[t], limit, shares->missed[size]);
            shares->asked[size]++;
        }
    }
    tl_mem_free(sorted);
    return TL_OK;
}

/* The head's means are spent afterwards. */
static tl_err add_figures(judged *j, tl_calibration_figures *figures)
{
    double rho = 0;
    TL_TRY(tl_spearman(j->n_measured, j->mean, j->y, &rho));
    for (int i = 0; i < j->n_measured; i++) {
        j->mean[i] = fabs(j->mean[i] / j->y[i] - 1);
    }
    figures->spearman += rho;
    figures->median_error += tl_median_inplace(j->n_measured, j->mean);
    figures->n++;
    return TL_OK;
}

static tl_err judge_once(
    const tl_calibration_data *data,
    int size,
    bool is_chosen,
    tl_rng *rng,
    judged *j,
    device_shares *shares,
    tl_calibration_figures *figures)
{
    int n = sizes[size];
    if (is_chosen) {
        tl_dcmat none = {0};
        TL_TRY(tl_suggest(data->features, j->n_sources, tl_dro(j->x), none, n, j->picks));
    } else {
        tl_rng_choose(rng, j->n, n, j->scratch, j->picks);
    }
    TL_TRY(fit_and_predict(data, j->picks, n, j));
    TL_TRY(judge_limits(j, size, shares));
    return size == N_SIZES - 1 ? add_figures(j, figures) : TL_OK;
}

static tl_err judge_device(
    const tl_calibration_data *data,
    int left_out,
    device_shares *shares,
    tl_calibration_figures *figures)
{
    tl_err err = TL_OK;
    for (int s = 0; s < N_SEEDS && err == TL_OK; s++) {
        tl_rng rng;
        judged j = {0};
        tl_rng_init(&rng, data->seed + (uint64_t)left_out * N_SEEDS + (uint64_t)s);
        err = judged_init(data, left_out, &rng, &j);
        for (int run = 0; run < N_SIZES * N_WAYS && err == TL_OK; run++) {
            err = judge_once(data, run / N_WAYS, run % N_WAYS == 1, &rng, &j, shares, figures);
        }
        judged_done(&j);
    }
    return err;
}

/* ---- from shares to margins ----------------------------------------------------------------------- */

/* Mean over the devices of the missed share at z. */
static double mean_share(const device_shares *shares, int n_devices, int size, int k)
{
    double sum = 0;
    int n = 0;
    for (int d = 0; d < n_devices; d++) {
        if (shares[d].asked[size] > 0) {
            sum += shares[d].missed[size][k] / shares[d].asked[size];
            n++;
        }
    }
    return sum / n;
}

static double least_margin(
    const device_shares *shares, int n_devices, int size, double confidence)
{
    double least = TL_UNKNOWN;
    for (int k = N_Z - 1; k >= 0; k--) {
        if (mean_share(shares, n_devices, size, k) > 1 - confidence) {
            break;
        }
        least = first_z + k * z_step;
    }
    return least;
}

static void add_rows(
    const tl_calibration_data *data, const device_shares *shares, tl_model *model)
{
    for (int size = 0; size < N_SIZES && model->n_calibrations < TL_MODEL_MAX_CALIBRATIONS;
         size++) {
        tl_model_calibration row = {.cost = data->cost, .n_samples = sizes[size]};
        for (int level = 0; level < TL_CALIBRATION_LEVELS; level++) {
            row.z[level] =
                least_margin(shares, data->n_devices, size, tl_calibration_level[level]);
        }
        model->calibrations[model->n_calibrations++] = row;
    }
}

static void average_figures(tl_calibration_figures *figures)
{
    if (figures->n == 0) {
        figures->spearman = figures->median_error = TL_UNKNOWN;
        return;
    }
    figures->spearman /= (double)figures->n;
    figures->median_error /= (double)figures->n;
}

tl_err tl_calibrate(
    const tl_calibration_data *data, tl_model *model, tl_calibration_figures *out_figures)
{
    memset(out_figures, 0, (size_t)data->n_devices * sizeof *out_figures);
    device_shares *shares = tl_mem_new((size_t)data->n_devices, sizeof *shares);
    if (shares == NULL) {
        return tl_fail(TL_ENOMEM, "calibration over %d devices", data->n_devices);
    }
    tl_err err = TL_OK;
    for (int d = 0; data->n_devices >= MIN_DEVICES && d < data->n_devices && err == TL_OK;
         d++) {
        if (data->progress != NULL && !data->progress(data->context, d, data->n_devices)) {
            err = tl_fail(
                TL_ECANCELLED, "calibration after %d of %d devices", d, data->n_devices);
        } else if (data->devices[d].n > 2 * sizes[N_SIZES - 1]) {
            err = judge_device(data, d, &shares[d], &out_figures[d]);
        }
    }
    if (err == TL_OK) {
        if (data->n_devices >= MIN_DEVICES) {
            add_rows(data, shares, model);
        }
        for (int d = 0; d < data->n_devices; d++) {
            average_figures(&out_figures[d]);
        }
    }
    tl_mem_free(shares);
    return err;
}
