/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_TRANSFORM_H
#define TL_PREDICTORS_TRANSFORM_H

/*
 * Normal scores: a monotone map between a measured value and the score that a
 * standard normal sample would have at the same rank.
 *
 *     score_i = probit((rank_i - 1/2) / n), ties averaged
 *
 * Accuracies are bunched near the top with a tail of failed trainings; a
 * network fitted to them learns the tail, fitted to their scores it learns the
 * order. The map is piecewise linear, and linear beyond its ends, so that
 * the best designs do not tie.
 *
 * A map can be stored with a model: it has few knots, and each is the mean of
 * at least TL_RANK_MAP_MIN_BLOCK values wherever there are as many, so no training
 * table can be read back from it.
 *
 *     tl_rank_map map;
 *     TL_TRY(tl_rank_map_fit(n, accuracy, &map));
 *     double score = tl_rank_map_forward(&map, accuracy[0]);
 *     double again = tl_rank_map_inverse(&map, score);
 */

#include "base/err.h"

#include <stdbool.h>

enum {
    TL_RANK_MAP_MAX_KNOTS = 64,
    TL_RANK_MAP_MIN_BLOCK = 4,
};

/* Knots strictly ascend in value and in score; slopes are positive. */
typedef struct tl_rank_map {
    int n_knots; /* 1 or more */
    double value[TL_RANK_MAP_MAX_KNOTS];
    double score[TL_RANK_MAP_MAX_KNOTS];
    double low_slope, high_slope; /* d value / d score beyond the ends */
} tl_rank_map;

/*
 * Fits the map to y [n]; NaN is left out. Fails with TL_EINVAL when no value
 * is left and TL_ENUMERIC when one is infinite.
 */
TL_MUST_USE tl_err tl_rank_map_fit(int n, const double *y, tl_rank_map *out_map);

double tl_rank_map_forward(const tl_rank_map *map, double value);
double tl_rank_map_inverse(const tl_rank_map *map, double score);

/* The standard deviation of the value whose score has this mean and deviation. */
double tl_rank_map_sd(const tl_rank_map *map, double score, double score_sd);

/* Holds for every map that _fit made; a map that was read must be asked. */
bool tl_rank_map_is_valid(const tl_rank_map *map);

#endif
