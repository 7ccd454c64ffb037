/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/predictors/synthetic.h"

#include "numerics/gemm.h"
#include "predictors/head_grid.h"
#include "predictors/suggest.h"
#include "tests/predictors/golden/golden.h"

/*
 * The chain from features to intervals against the reference implementation,
 * on the synthetic world of synthetic.h.
 */

enum {
    N_SHOWN = 8,
    N_CANDIDATES = 300,
    N_PICKS = 64,
    N_GOLDEN_PICKS = 20,
    N_FOUR = 10, /* entries of the lower triangle of a 4 x 4 matrix */
};

/* Observed: 2e-10 (the eigenvalues of two libraries), 3e-9 for deviations of 64 samples. */
static const double source_tolerance = 1e-7;
static const double head_tolerance = 1e-6;
static const double gram_tolerance = 1e-10;

typedef struct golden_set {
    const char *name;
    int shown_step, candidate_step, n_groups;
    const char *const *group;
    const double *gram, *source_gram, *source, *source_sd, *pm;
    const int *picks;
    const double *mean_none, *sd_none;
} golden_set;

static const golden_set cells = {
    "nasbench201", 1777,           53,        TL_COUNT(nb_group), nb_group,
    nb_gram,       nb_source_gram, nb_source, nb_source_sd,       nb_pm,
    nb_picks,      nb_mean_none,   nb_sd_none};
static const golden_set chains = {
    "fbnet",   41,           1,     TL_COUNT(fb_group), fb_group,     fb_gram,   fb_source_gram,
    fb_source, fb_source_sd, fb_pm, fb_picks,           fb_mean_none, fb_sd_none};

typedef struct golden_fit {
    const golden_set *golden;
    int n;
    const double *mean, *sd;
} golden_fit;

static const golden_fit fit_cases[] = {
    {&cells,  1,  nb_mean_1,  nb_sd_1 },
    {&cells,  3,  nb_mean_3,  nb_sd_3 },
    {&cells,  5,  nb_mean_5,  nb_sd_5 },
    {&cells,  20, nb_mean_20, nb_sd_20},
    {&cells,  64, nb_mean_64, nb_sd_64},
    {&chains, 1,  fb_mean_1,  fb_sd_1 },
    {&chains, 3,  fb_mean_3,  fb_sd_3 },
    {&chains, 5,  fb_mean_5,  fb_sd_5 },
    {&chains, 20, fb_mean_20, fb_sd_20},
    {&chains, 64, fb_mean_64, fb_sd_64},
};

static world worlds[2];

static int set_up(void **state)
{
    (void)state;
    world_init(&worlds[0], "nasbench201", N_SOURCES);
    world_init(&worlds[1], "fbnet", N_SOURCES);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_done(&worlds[0]);
    world_done(&worlds[1]);
    return 0;
}

static world *world_of(const golden_set *golden)
{
    return &worlds[golden == &chains];
}

static const tl_feature_group *find_group(const tl_features *features, const char *name)
{
    for (int g = 0; g < tl_features_n_groups(features); g++) {
        if (strcmp(tl_features_group(features, g)->name, name) == 0) {
            return tl_features_group(features, g);
        }
    }
    fail_msg("no group %s", name);
    return NULL;
}

static void check_gram(tl_dcmat x, const double *wanted)
{
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j <= i; j++) {
            double got = tl_ddot(x.cols, tl_dcmat_row(x, i), tl_dcmat_row(x, j));
            assert_close(got, *wanted++, gram_tolerance);
        }
    }
}

static void check_kernels(const golden_set *golden)
{
    const world *w = world_of(golden);
    int idx[4];
    tl_dmat rows;
    for (int i = 0; i < 4; i++) {
        idx[i] = row_idx(w, i, golden->shown_step);
    }
    encode_some(w, idx, 4, &rows);
    assert_int_equal(tl_features_n_groups(w->features), golden->n_groups);
    for (int g = 0; g < golden->n_groups; g++) {
        const tl_feature_group *group = find_group(w->features, golden->group[g]);
        tl_dmat columns = tl_dmat_cols(rows, group->begin, group->end);
        check_gram(tl_dro(columns), golden->gram + (ptrdiff_t)g * N_FOUR);
    }
    check_gram(tl_dro(rows), golden->source_gram);
    tl_dmat_done(&rows);
}

static void kernels_of_all_groups_equal_the_reference(void **state)
{
    (void)state;
    check_kernels(&cells);
    check_kernels(&chains);
}

static void check_sources(const golden_set *golden)
{
    const world *w = world_of(golden);
    int idx[N_SHOWN];
    double relative[N_SHOWN];
    tl_dmat rows;
    for (int i = 0; i < N_SHOWN; i++) {
        idx[i] = row_idx(w, i, golden->shown_step);
        assert_close(w->z[idx[i]], golden->pm[1 + i], source_tolerance);
    }
    assert_close(w->spread, golden->pm[0], source_tolerance);
    encode_some(w, idx, N_SHOWN, &rows);
    for (int s = 0; s < N_SOURCES; s++) {
        assert_close(w->sources[s].ref_sd, golden->source_sd[s], source_tolerance);
        tl_source_predict(&w->sources[s], tl_dro(rows), relative);
        for (int i = 0; i < N_SHOWN; i++) {
            assert_close(relative[i], golden->source[s * N_SHOWN + i], source_tolerance);
        }
    }
    tl_dmat_done(&rows);
}

static void robust_ridges_equal_the_reference(void **state)
{
    (void)state;
    check_sources(&cells);
    check_sources(&chains);
}

static void the_first_grid_points_equal_the_reference(void **state)
{
    (void)state;
    static const double centre[5] = {.3, .3, .1, .1, .1};
    double variance[15];
    double noise[3];
    tl_grid_points(5, centre, 3, variance, noise);
    for (int i = 0; i < 15; i++) {
        assert_close(variance[i], grid_variance[i], 1e-11);
    }
    for (int i = 0; i < 3; i++) {
        assert_close(noise[i], grid_noise[i], 1e-11);
    }
}

/* The first n_picks suggestions among the golden candidates, as indices of designs. */
static void pick(const golden_set *golden, int n_picks, int *out_picks, int *out_designs)
{
    const world *w = world_of(golden);
    tl_dmat candidates;
    assert_ok(tl_dmat_init(&candidates, N_CANDIDATES, w->x.cols));
    for (int i = 0; i < N_CANDIDATES; i++) {
        memcpy(
            tl_dmat_row(candidates, i),
            tl_dmat_row(w->x, row_idx(w, i, golden->candidate_step)),
            (size_t)w->x.cols * sizeof(double));
    }
    assert_ok(tl_suggest(
        w->features, w->n_sources, tl_dro(candidates), (tl_dcmat){0}, n_picks, out_picks));
    for (int i = 0; i < n_picks; i++) {
        out_designs[i] = row_idx(w, out_picks[i], golden->candidate_step);
    }
    tl_dmat_done(&candidates);
}

static void suggested_designs_equal_the_reference(void **state)
{
    (void)state;
    const golden_set *goldens[] = {&cells, &chains};
    int picks[N_PICKS];
    int designs[N_PICKS];
    for (int k = 0; k < 2; k++) {
        pick(goldens[k], N_PICKS, picks, designs);
        for (int i = 0; i < N_GOLDEN_PICKS; i++) {
            assert_int_equal(picks[i], goldens[k]->picks[i]);
        }
    }
}

static void check_predictions(
    const world *w,
    const golden_set *golden,
    const tl_head *head,
    const double *mean,
    const double *sd)
{
    for (int i = 0; i < N_SHOWN; i++) {
        int row = row_idx(w, i, golden->shown_step);
        double got_mean;
        double got_sd;
        tl_dmat x = tl_dmat_rows(w->x, row, row + 1);
        assert_ok(tl_head_predict(head, tl_dro(x), &w->z[row], &got_mean, &got_sd));
        assert_close(got_mean, mean[i], head_tolerance * mean[i]);
        /* the reference has the model's own width */
        assert_close(got_sd / head->width, sd[i], head_tolerance * sd[i]);
    }
}

static void check_fit(const golden_fit *fit_case)
{
    const world *w = world_of(fit_case->golden);
    int picks[N_PICKS];
    int designs[N_PICKS];
    double y[N_PICKS];
    tl_head head = {0};
    pick(fit_case->golden, N_PICKS, picks, designs);
    for (int i = 0; i < fit_case->n; i++) {
        y[i] = latency_of(w, TARGET, designs[i]);
    }
    if (fit_case->n == 20) {
        y[7] *= 10; /* a wild measurement, as in make_golden.py */
    }
    fit_head(w, designs, fit_case->n, y, &head);
    check_predictions(w, fit_case->golden, &head, fit_case->mean, fit_case->sd);
    tl_head_done(&head);
}

static void predictions_and_deviations_equal_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_COUNT(fit_cases); i++) {
        check_fit(&fit_cases[i]);
    }
}

static void without_sources_predictions_equal_the_reference(void **state)
{
    (void)state;
    const golden_set *goldens[] = {&cells, &chains};
    for (int k = 0; k < 2; k++) {
        world none;
        int picks[N_PICKS];
        int designs[N_PICKS];
        double y[N_PICKS];
        tl_head head = {0};
        pick(goldens[k], N_PICKS, picks, designs);
        world_init(&none, goldens[k]->name, 0);
        for (int i = 0; i < N_GOLDEN_PICKS; i++) {
            y[i] = latency_of(&none, TARGET, designs[i]);
        }
        fit_head(&none, designs, N_GOLDEN_PICKS, y, &head);
        check_predictions(&none, goldens[k], &head, goldens[k]->mean_none, goldens[k]->sd_none);
        tl_head_done(&head);
        world_done(&none);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_of_all_groups_equal_the_reference),
        cmocka_unit_test(robust_ridges_equal_the_reference),
        cmocka_unit_test(the_first_grid_points_equal_the_reference),
        cmocka_unit_test(suggested_designs_equal_the_reference),
        cmocka_unit_test(predictions_and_deviations_equal_the_reference),
        cmocka_unit_test(without_sources_predictions_equal_the_reference),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
