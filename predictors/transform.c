/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/transform.h"

#include "base/mem.h"
#include "numerics/stats.h"

#include <math.h>

static const double MIN_SLOPE = 1e-6;

/* A run of sorted values on its way to become one knot. */
typedef struct block {
    int n;
    double value_sum, score_sum;
    double first_score;
} block;

static void block_add(block *b, int n, double value, double score)
{
    if (b->n == 0) {
        b->first_score = score;
    }
    b->n += n;
    b->value_sum += n * value;
    b->score_sum += n * score;
}

static void block_close(block *b, tl_rank_map *map)
{
    map->value[map->n_knots] = b->value_sum / b->n;
    map->score[map->n_knots] = b->score_sum / b->n;
    map->n_knots++;
    *b = (block){0};
}

/* What is left at the top is too little for a knot of its own. */
static void block_merge(const block *b, int last_n, tl_rank_map *map)
{
    int last = map->n_knots - 1;
    double n = last_n + b->n;
    map->value[last] = (map->value[last] * last_n + b->value_sum) / n;
    map->score[last] = (map->score[last] * last_n + b->score_sum) / n;
}

/*
 * Cuts the sorted values into blocks that span at least a fixed width of scores each:
 * many knots where values are rare, few where they are crowded.
 */
static void make_knots(int n, const double *y, const double *score, tl_rank_map *map)
{
    double width = (score[n - 1] - score[0]) / (TL_RANK_MAP_MAX_KNOTS - 2);
    block b = {0};
    int last_n = 0;
    map->n_knots = 0;
    for (int i = 0; i < n;) {
        int end = i;
        double sum = 0.0;
        while (end < n && y[end] == y[i]) {
            sum += score[end++];
        }
        block_add(&b, end - i, y[i], sum / (end - i));
        if (b.n >= TL_RANK_MAP_MIN_BLOCK && score[end - 1] - b.first_score >= width &&
            map->n_knots < TL_RANK_MAP_MAX_KNOTS) {
            last_n = b.n;
            block_close(&b, map);
        }
        i = end;
    }
    bool is_full = b.n >= TL_RANK_MAP_MIN_BLOCK && map->n_knots < TL_RANK_MAP_MAX_KNOTS;
    if (is_full || (b.n > 0 && map->n_knots == 0)) {
        block_close(&b, map);
    } else if (b.n > 0) {
        block_merge(&b, last_n, map);
    }
}

/* Slope of the line from order statistic i to j. */
static double slope_between(const double *y, const double *score, int i, int j)
{
    double run = score[j] - score[i];
    double slope = run > 0.0 ? (y[j] - y[i]) / run : 0.0;
    return slope > MIN_SLOPE ? slope : MIN_SLOPE;
}

tl_err tl_rank_map_fit(int n, const double *y, tl_rank_map *out_map)
{
    tl_rank_map map = {0};
    double *sorted = tl_mem_new((size_t)n, 2 * sizeof *sorted);
    if (sorted == NULL) {
        return tl_fail(TL_ENOMEM, "%d values to rank", n);
    }
    tl_err err = TL_OK;
    int len = 0;
    for (int i = 0; i < n; i++) {
        if (isinf(y[i])) {
            err = tl_fail(TL_ENUMERIC, "values to rank: number %d is infinite", i + 1);
            goto done;
        }
        if (!isnan(y[i])) {
            sorted[len++] = y[i];
        }
    }
    if (len == 0) {
        err = tl_fail(TL_EINVAL, "values to rank: got none of %d, want 1 or more", n);
        goto done;
    }
    tl_sort(len, sorted);
    double *score = sorted + n;
    for (int i = 0; i < len; i++) {
        score[i] = tl_normal_quantile((i + 0.5) / len);
    }
    make_knots(len, sorted, score, &map);
    int tenth = len / 10 > 1 ? len / 10 : 1;
    tenth = tenth < len ? tenth : len - 1;
    map.low_slope = slope_between(sorted, score, 0, tenth);
    map.high_slope = slope_between(sorted, score, len - 1 - tenth, len - 1);
    *out_map = map;
done:
    tl_mem_free(sorted);
    return err;
}

/*
 * The last knot of from [n] that is not above x; -1 when all are. Halves without a
 * branch that the processor would have to guess.
 */
static int knot_below(int n, const double *from, double x)
{
    int below = -1;
    while (n > 0) {
        int half = (n + 1) / 2;
        below += from[below + half] <= x ? half : 0;
        n -= half;
    }
    return below;
}

static double between(const double *from, const double *to, int k, double x)
{
    return to[k] + (x - from[k]) * (to[k + 1] - to[k]) / (from[k + 1] - from[k]);
}

double tl_rank_map_forward(const tl_rank_map *map, double value)
{
    int last = map->n_knots - 1;
    int k = knot_below(map->n_knots, map->value, value);
    if (k < 0) {
        return map->score[0] + (value - map->value[0]) / map->low_slope;
    }
    if (k == last) {
        return map->score[last] + (value - map->value[last]) / map->high_slope;
    }
    return between(map->value, map->score, k, value);
}

double tl_rank_map_inverse(const tl_rank_map *map, double score)
{
    int last = map->n_knots - 1;
    int k = knot_below(map->n_knots, map->score, score);
    if (k < 0) {
        return map->value[0] + (score - map->score[0]) * map->low_slope;
    }
    if (k == last) {
        return map->value[last] + (score - map->score[last]) * map->high_slope;
    }
    return between(map->score, map->value, k, score);
}

double tl_rank_map_sd(const tl_rank_map *map, double score, double score_sd)
{
    /* The mean slope over one deviation on each side: a kink between two knots counts for its share. */
    return 0.5 * (tl_rank_map_inverse(map, score + score_sd) -
                  tl_rank_map_inverse(map, score - score_sd));
}

bool tl_rank_map_is_valid(const tl_rank_map *map)
{
    if (map->n_knots < 1 || map->n_knots > TL_RANK_MAP_MAX_KNOTS) {
        return false;
    }
    for (int i = 0; i < map->n_knots; i++) {
        if (!isfinite(map->value[i]) || !isfinite(map->score[i])) {
            return false;
        }
        if (i > 0 &&
            !(map->value[i] > map->value[i - 1] && map->score[i] > map->score[i - 1])) {
            return false;
        }
    }
    return isfinite(map->low_slope) && isfinite(map->high_slope) && map->low_slope > 0.0 &&
           map->high_slope > 0.0;
}
