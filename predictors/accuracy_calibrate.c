/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "numerics/stats.h"
#include "predictors/accuracy_impl.h"

#include <math.h>
#include <string.h>

static const double default_noise = 0.5; /* half of what a score varies by, all told */
static const double min_noise = 1e-4;
static const double first_knot = -2.0;
static const double knot_apart = 0.5;
static const double kernel_width = 0.3;  /* around a knot, in scores */
static const double prior_weight = 20.0; /* residuals that a knot borrows from everywhere */

enum {
    N_RATIOS = 61,     /* of spread to noise tried: 0, then 1e-2 ... 1e4, ten a decade */
    N_SCALES = 25,     /* tried: 0.5 ... 1.5 */
    MIN_FOR_GAIN = 50, /* residuals */
};

static const double std_probability = 0.9;
static const double normal_width =
    1.6448536269514722; /* of that interval, half, in deviations */
static const double min_gain = 0.5;
static const double max_gain = 2.0;

/* 1 / degrees of freedom tried. */
static const double tails[] = {0.0, 0.02, 0.05, 0.08, 0.125, 0.167, 0.2, 0.25, 0.333};

static double ratio_at(int i)
{
    return i == 0 ? 0.0 : pow(10.0, -2.0 + 0.1 * (i - 1));
}

static double scale_at(int i)
{
    return 0.5 + 1.0 * i / (N_SCALES - 1);
}

static double knot_at(int j)
{
    return first_knot + knot_apart * j;
}

static double profile_at(const double *profile, double score)
{
    double place = (score - first_knot) / knot_apart;
    if (!(place > 0.0)) {
        return profile[0];
    }
    if (place >= TL_ACCURACY_PROFILE_LEN - 1) {
        return profile[TL_ACCURACY_PROFILE_LEN - 1];
    }
    int j = (int)place;
    double share = place - j;
    return pow(profile[j], 1.0 - share) * pow(profile[j + 1], share);
}

/* kernel [PROFILE_LEN, n]: the weight of each residual at each knot. */
static void fill_kernel(int n, const double *score, double *kernel)
{
    for (int j = 0; j < TL_ACCURACY_PROFILE_LEN; j++) {
        for (int k = 0; k < n; k++) {
            double apart = (score[k] - knot_at(j)) / kernel_width;
            kernel[(ptrdiff_t)j * n + k] = exp(-0.5 * apart * apart);
        }
    }
}

/* The noise and its profile for a ratio: local means of square / (1 + ratio spread). */
static void fit_profile(
    int n,
    const double *square,
    const double *spread,
    const double *kernel,
    double ratio,
    tl_accuracy_noise *out)
{
    double mean = 0.0;
    for (int k = 0; k < n; k++) {
        mean += square[k] / (1.0 + ratio * spread[k]) / n;
    }
    out->noise = mean > min_noise ? mean : min_noise;
    out->spread_gain = ratio * out->noise;
    for (int j = 0; j < TL_ACCURACY_PROFILE_LEN; j++) {
        double sum = prior_weight * out->noise;
        double weight = prior_weight;
        for (int k = 0; k < n; k++) {
            double w = kernel[(ptrdiff_t)j * n + k];
            sum += w * square[k] / (1.0 + ratio * spread[k]);
            weight += w;
        }
        out->profile[j] = sum / weight / out->noise;
    }
}

/* Twice the mean negative log-likelihood of a normal, up to a constant. */
static double normal_loss(
    int n,
    const double *square,
    const double *score,
    const double *spread,
    const tl_accuracy_noise *noise)
{
    double loss = 0.0;
    for (int k = 0; k < n; k++) {
        double scale = tl_accuracy_scale(noise, score[k], spread[k]);
        loss += (2.0 * log(scale) + square[k] / (scale * scale)) / n;
    }
    return loss;
}

/* The mean negative log-likelihood of residuals in scales, squared, up to a constant. */
static double tail_loss(int n, const double *square, double scale, double tail)
{
    double loss = log(scale);
    double dof = tail > 0.0 ? 1.0 / tail : 0.0;
    if (tail > 0.0) {
        loss += lgamma(0.5 * dof) - lgamma(0.5 * (dof + 1.0)) + 0.5 * log(0.5 * dof);
    }
    for (int k = 0; k < n; k++) {
        double x = square[k] / (scale * scale);
        loss += (tail > 0.0 ? 0.5 * (dof + 1.0) * log1p(x / dof) : 0.5 * x) / n;
    }
    return loss;
}

/* Which tail and what scale residuals in scales, squared, have; the scale goes into the noise. */
static void fit_tail(int n, const double *square, tl_accuracy_noise *noise)
{
    double best = (double)INFINITY;
    double factor = 1.0;
    for (size_t t = 0; t < TL_COUNT(tails); t++) {
        for (int i = 0; i < N_SCALES; i++) {
            double loss = tail_loss(n, square, scale_at(i), tails[t]);
            if (loss < best) {
                best = loss;
                factor = scale_at(i);
                noise->tail = tails[t];
            }
        }
    }
    noise->noise *= factor * factor;
    noise->spread_gain *= factor * factor;
}

static tl_accuracy_noise default_of_all(void)
{
    tl_accuracy_noise noise = {.spread_gain = 1.0, .noise = default_noise};
    for (int j = 0; j < TL_ACCURACY_PROFILE_LEN; j++) {
        noise.profile[j] = 1.0;
    }
    return noise;
}

tl_err tl_accuracy_calibrate(
    int n,
    const double *square,
    const double *score,
    const double *spread,
    tl_accuracy_noise *out_noise)
{
    *out_noise = default_of_all();
    if (n == 0) {
        return TL_OK;
    }
    double *kernel = tl_mem_new((size_t)n, (TL_ACCURACY_PROFILE_LEN + 1) * sizeof *kernel);
    if (kernel == NULL) {
        return tl_fail(TL_ENOMEM, "calibration on %d residuals", n);
    }
    double *scaled = kernel + (ptrdiff_t)TL_ACCURACY_PROFILE_LEN * n;
    fill_kernel(n, score, kernel);
    double best = (double)INFINITY;
    for (int i = 0; i < N_RATIOS; i++) {
        tl_accuracy_noise noise = {0};
        fit_profile(n, square, spread, kernel, ratio_at(i), &noise);
        double loss = normal_loss(n, square, score, spread, &noise);
        if (loss < best) {
            best = loss;
            *out_noise = noise;
        }
    }
    for (int k = 0; k < n; k++) {
        double scale = tl_accuracy_scale(out_noise, score[k], spread[k]);
        scaled[k] = square[k] / (scale * scale);
    }
    fit_tail(n, scaled, out_noise);
    tl_mem_free(kernel);
    return TL_OK;
}

double tl_accuracy_scale(const tl_accuracy_noise *noise, double score, double spread)
{
    return sqrt(
        profile_at(noise->profile, score) * (noise->spread_gain * spread + noise->noise));
}

double tl_accuracy_half_width(const tl_accuracy_noise *noise, double probability)
{
    double p = 0.5 + 0.5 * probability;
    return noise->tail > 0.0 ? tl_student_quantile(p, 1.0 / noise->tail)
                             : tl_normal_quantile(p);
}

double tl_accuracy_std_width(const tl_accuracy_noise *noise)
{
    return tl_accuracy_half_width(noise, std_probability) / normal_width;
}

/* The map is not linear: half an interval is mapped, not a deviation. */
double tl_accuracy_std(
    const tl_accuracy_output *output, double width, double score, double spread)
{
    double half = width * normal_width * tl_accuracy_scale(&output->noise, score, spread);
    return output->std_gain * tl_rank_map_sd(&output->map, score, half) / normal_width;
}

double tl_accuracy_std_gain(
    const tl_accuracy_output *output,
    int n,
    const double *score,
    const double *spread,
    double *error)
{
    if (n < MIN_FOR_GAIN) {
        return 1.0;
    }
    tl_accuracy_output plain = *output;
    plain.std_gain = 1.0;
    double width = tl_accuracy_std_width(&plain.noise);
    for (int k = 0; k < n; k++) {
        error[k] /= tl_accuracy_std(&plain, width, score[k], spread[k]);
    }
    double gain = tl_quantile_inplace(n, error, std_probability) / normal_width;
    return gain < min_gain ? min_gain : gain > max_gain ? max_gain : gain;
}
