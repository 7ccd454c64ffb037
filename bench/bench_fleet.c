/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A fleet of described devices through the engine, in process and on one thread, beside
 * the sgemm of the same shapes in the same run, in processor time of that thread.
 *
 *     bench_fleet MODELS_DIR SPACES_DIR CATALOGUE_DIR SPACE N
 *     bench_fleet MODELS_DIR SPACES_DIR CATALOGUE_DIR SPACE N alone
 *     bench_fleet MODELS_DIR SPACES_DIR CATALOGUE_DIR SPACE N table
 *
 * Profiles are drawn around those of the catalogue (peaks and bandwidths times exp of a
 * normal of deviation .5), each with a limit of latency of 1.2 to 12 times what the first
 * reference design is predicted to take. "table" prints them as FLEET.csv for
 * `tailor fleet`, and measures nothing. "alone" searches every design of each device, one
 * device after the other.
 *
 * What is timed for a device: its view from the profile, its problem, its design. For a listed space the
 * shapes are those of scoring every design on every device, 256 devices and 512 designs at a
 * time: [256, known devices] x [known devices, 512] and [256, distinct operators] x
 * [distinct operators, 512]; the engine may leave products out, of devices that
 * have their design. For others there is no such product: the share is empty.
 *
 * Prints tab-separated: space, devices, feasible, solved together, seconds, designs per second,
 * designs per second of the sgemm of the shapes, share (the former over the latter), and the
 * engine's own products: their GFLOP, of how many in all, the share of its time within sgemm.
 */

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"
#include "bench/gemm_clock.h"
#include "bench/public_table.h"
#include "device-profiles/profile_yaml.h"
#include "optimizer/fleet.h"
#include "optimizer/optimizer.h"
#include "optimizer/search.h"
#include "predictors/ranked.h"
#include "predictors/relatives.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_CATALOGUE = 128,
    DESIGNS_AT_A_TIME = 512,
    N_BOUND_RUNS = 5,
    PATH_BYTES = 512
};

static const uint64_t seed = 20261121;

typedef struct bench {
    const char *space_name, *task;
    tl_space *space;
    tl_predictor *predictor;
    tl_optimizer *optimizer; /* of the model; NULL: none */
    tl_profile catalogue[MAX_CATALOGUE];
    int n_catalogue;
    bool is_alone;
    tl_rng rng;
    int n_done, n_feasible, n_together;
    double engine_s;
} bench;

/* ---- what is asked ------------------------------------------------------------------------- */

static void load_model(const char *models, bench *b)
{
    char path[PATH_BYTES];
    char *data = NULL;
    size_t len = 0;
    tl_features *features = NULL;
    tl_model *model = NULL;
    tl_text note = {0};
    (void)snprintf(path, sizeof path, "%s/%s.tlm", models, b->space_name);
    tl_bench_check(tl_file_read(path, TL_MODEL_MAX_BYTES, &data, &len), path);
    tl_bench_check(tl_features_new(b->space, &features), "features");
    tl_bench_check(
        tl_model_unpack(b->space, tl_features_n_source(features), data, len, path, &model),
        path);
    if (model->optimizer.len > 0) {
        tl_bench_check(
            tl_optimizer_unpack(
                b->space, model->optimizer.data, model->optimizer.len, &b->optimizer),
            path);
    }
    tl_bench_check(tl_predictor_new(b->space, model, &b->predictor), "predictor");
    tl_bench_check(
        tl_predictor_resolve_task(b->predictor, "", "", &note, &b->task), b->space_name);
    tl_text_done(&note);
    tl_features_free(features);
    tl_mem_free(data);
}

static void load_catalogue(const char *dir, bench *b)
{
    char path[PATH_BYTES];
    tl_file_list files;
    tl_bench_check(tl_file_list_init(&files, dir, ".yaml"), dir);
    for (int i = 0; i < (int)files.n_names && b->n_catalogue < MAX_CATALOGUE; i++) {
        tl_profile *profile = &b->catalogue[b->n_catalogue];
        (void)snprintf(path, sizeof path, "%s/%s", dir, files.names[i]);
        tl_bench_check(tl_profile_load_yaml(path, profile), path);
        b->n_catalogue += tl_relatives_can_tell(profile) && profile->launch_us <= 0;
    }
    tl_file_list_done(&files);
}

static tl_profile draw_profile(bench *b)
{
    static const double spread = .5;
    tl_profile p = b->catalogue[tl_rng_below(&b->rng, (uint64_t)b->n_catalogue)];
    (void)snprintf(p.name, sizeof p.name, "x");
    for (int i = 0; i < TL_N_PRECISIONS; i++) {
        p.peak_gflops[i] *= exp(spread * tl_rng_normal(&b->rng));
    }
    for (int i = 0; i < TL_N_MEMORIES; i++) {
        p.bandwidth_gb_per_s[i] *= exp(spread * tl_rng_normal(&b->rng));
    }
    return p;
}

static tl_view *view_of(bench *b, const tl_profile *profile)
{
    tl_view *view = NULL;
    tl_view_data data = {.device = profile->name, .profile = profile};
    tl_bench_check(tl_view_new(b->predictor, &data, &view), "view");
    return view;
}

/* A profile and its limit; the same for the same place in the row of draws. */
static double draw(bench *b, tl_profile *out_profile)
{
    int n = 0;
    tl_prediction first = {0};
    *out_profile = draw_profile(b);
    double factor = 1.2 * pow(10, tl_rng_uniform(&b->rng));
    tl_view *view = view_of(b, out_profile);
    const tl_choice *designs = tl_features_reference(tl_predictor_features(b->predictor), &n);
    tl_bench_check(tl_view_predict(view, designs, 1, &first), "prediction");
    tl_view_unref(view);
    return factor * first.latency_ms;
}

/* ---- answers ------------------------------------------------------------------------------- */

static tl_err predict(void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    const bench *b = ((void **)context)[0];
    tl_view *view = ((void **)context)[1];
    TL_TRY(tl_view_predict(view, designs, n, out));
    return tl_predictor_accuracy(b->predictor, b->task, designs, n, out);
}

static tl_problem problem_of(bench *b, tl_view *view, double max_latency_ms)
{
    tl_problem p = {.space = b->space, .task = b->task, .predict = predict};
    p.listing = tl_predictor_listing(b->predictor, &p.n_listing);
    p.limits = (tl_limits){max_latency_ms, TL_UNKNOWN, TL_UNKNOWN, .9};
    tl_view_confidence(view, TL_COST_LATENCY, &p.latency_confidence);
    tl_view_confidence(view, TL_COST_ENERGY, &p.energy_confidence);
    tl_predictor_accuracy_confidence(b->predictor, b->task, TL_UNKNOWN, &p.accuracy_confidence);
    return p;
}

/* In the ordinary way, as `tailor design` without a method does. */
static void search(bench *b, tl_fleet_case *c)
{
    void *context[2] = {b, c->view};
    tl_problem problem = *c->problem;
    tl_shortlist list = {0};
    tl_search_options options = {.n_best = 1, .seed = 1, .optimizer = b->optimizer};
    problem.context = context;
    tl_bench_check(
        tl_search_run(tl_search_default(&problem, &options), &problem, &options, &list),
        "search");
    c->score = list.scores[0];
    tl_shortlist_done(&list);
}

static void answer_piece(bench *b, int n)
{
    static tl_profile profiles[TL_FLEET_PIECE];
    static tl_problem problems[TL_FLEET_PIECE];
    double limits[TL_FLEET_PIECE];
    tl_fleet_case cases[TL_FLEET_PIECE] = {{.view = NULL}};
    for (int i = 0; i < n; i++) {
        limits[i] = draw(b, &profiles[i]);
    }
    double start_s = tl_gemm_thread_s();
    for (int i = 0; i < n; i++) {
        cases[i].view = view_of(b, &profiles[i]);
        problems[i] = problem_of(b, cases[i].view, limits[i]);
        cases[i].problem = &problems[i];
    }
    if (!b->is_alone) {
        tl_bench_check(tl_fleet_solve(b->predictor, cases, n), "fleet");
    }
    for (int i = 0; i < n; i++) {
        b->n_together += cases[i].is_solved;
        if (!cases[i].is_solved) {
            search(b, &cases[i]);
        }
        b->n_feasible += tl_scored_is_feasible(&cases[i].score);
        tl_view_unref(cases[i].view);
    }
    b->engine_s += tl_gemm_thread_s() - start_s;
    b->n_done += n;
}

/* ---- the bound ------------------------------------------------------------------------------ */

static void multiply(int m, int k, tl_mat columns)
{
    tl_mat a = {0};
    tl_mat c = {0};
    tl_bench_check(tl_mat_init(&a, m, k), "sgemm");
    tl_bench_check(tl_mat_init(&c, m, DESIGNS_AT_A_TIME), "sgemm");
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < k; j++) {
            tl_mat_row(a, i)[j] = (float)(i + j) * 1e-3F;
        }
    }
    double start_s = tl_gemm_thread_s();
    for (int begin = 0; begin < columns.cols; begin += DESIGNS_AT_A_TIME) {
        int end =
            columns.cols - begin < DESIGNS_AT_A_TIME ? columns.cols : begin + DESIGNS_AT_A_TIME;
        __real_tl_gemm(
            1, TL_N, tl_ro(a), TL_N, tl_ro(tl_mat_cols(columns, begin, end)), 0,
            tl_mat_cols(c, 0, end - begin));
    }
    tl_gemm_clock.s += tl_gemm_thread_s() - start_s;
    tl_gemm_clock.flop += 2.0 * m * k * columns.cols;
    tl_mat_done(&a);
    tl_mat_done(&c);
}

/* Seconds, and FLOP, for a device of the products that score every design on it; 0: none. */
static double bound_s(bench *b, double *out_flop)
{
    int n = 0;
    double best_s = HUGE_VAL;
    const tl_ranked *ranked = NULL;
    *out_flop = 0;
    if (tl_predictor_listing(b->predictor, &n) == NULL) {
        return 0;
    }
    tl_bench_check(tl_predictor_ranked(b->predictor, b->task, &ranked), "ranked");
    tl_mat logs = ranked->logs[TL_COST_LATENCY];
    tl_mat counts = ranked->counts;
    for (int i = 0; i < N_BOUND_RUNS; i++) {
        tl_gemm_clock = (tl_gemm_count){0};
        multiply(TL_FLEET_PIECE, logs.rows, logs);
        multiply(TL_FLEET_PIECE, counts.rows, counts);
        best_s = tl_gemm_clock.s < best_s ? tl_gemm_clock.s : best_s;
        *out_flop = tl_gemm_clock.flop / TL_FLEET_PIECE;
    }
    (void)fprintf(
        stderr, "%s: products [%d, %d] x [%d, %d] and [%d, %d] x [%d, %d]\n", b->space_name,
        (int)TL_FLEET_PIECE, logs.rows, logs.rows, logs.cols, (int)TL_FLEET_PIECE, counts.rows,
        counts.rows, counts.cols);
    return best_s / TL_FLEET_PIECE;
}

static void measure(bench *b, int n)
{
    double flop = 0;
    answer_piece(b, TL_FLEET_PIECE < n ? TL_FLEET_PIECE : n); /* what is kept is made */
    double bound = bound_s(b, &flop);
    tl_rng_init(&b->rng, seed);
    b->n_done = b->n_feasible = b->n_together = 0;
    b->engine_s = 0;
    double products_s = 0;
    double products_flop = 0;
    tl_gemm_clock = (tl_gemm_count){0};
    while (b->n_done < n) {
        answer_piece(b, n - b->n_done < TL_FLEET_PIECE ? n - b->n_done : TL_FLEET_PIECE);
    }
    products_s = tl_gemm_clock.s;
    products_flop = tl_gemm_clock.flop;
    double rate = b->n_done / b->engine_s;
    (void)printf(
        "%s\t%d\t%d\t%d\t%.2f\t%.0f\t", b->space_name, b->n_done, b->n_feasible, b->n_together,
        b->engine_s, rate);
    if (bound > 0) {
        (void)printf(
            "%.0f\t%.2f\t%.1f\t%.1f\t%.2f\n", 1 / bound, rate * bound, products_flop * 1e-9,
            flop * b->n_done * 1e-9, products_s / b->engine_s);
    } else {
        (void)printf("\t\t\t\t\n");
    }
}

/* ---- the table ------------------------------------------------------------------------------ */

/* All keys but texts for people, and what only probing tells. */
static bool is_column(const tl_profile_key *key)
{
    return key->kind != TL_KEY_TEXT && strcmp(key->section, "spread_frac") != 0 &&
           strcmp(key->name, "condition") != 0;
}

static void print_table(bench *b, int n)
{
    for (int k = 0; k < TL_N_PROFILE_KEYS; k++) {
        const tl_profile_key *key = &tl_profile_keys[k];
        if (is_column(key)) {
            (void)printf("%s%s%s,", key->section, key->section[0] ? "." : "", key->name);
        }
    }
    (void)printf("max_latency_ms\n");
    for (int i = 0; i < n; i++) {
        tl_text line = {0};
        tl_profile profile;
        double limit = draw(b, &profile);
        (void)snprintf(profile.name, sizeof profile.name, "device%06d", i);
        for (int k = 0; k < TL_N_PROFILE_KEYS; k++) {
            if (is_column(&tl_profile_keys[k])) {
                tl_text_add(&line, "\""); /* widths have commas */
                (void)tl_profile_print(&profile, &tl_profile_keys[k], &line);
                tl_text_add(&line, "\",");
            }
        }
        tl_bench_check(tl_text_err(&line), "table");
        (void)printf("%s%.6g\n", line.data, limit);
        tl_text_done(&line);
    }
}

int main(int argc, char **argv)
{
    char path[PATH_BYTES];
    static bench b;
    bool is_table = argc == 7 && strcmp(argv[6], "table") == 0;
    b.is_alone = argc == 7 && strcmp(argv[6], "alone") == 0;
    if (argc < 6 || argc > 7 || (argc == 7 && !is_table && !b.is_alone)) {
        (void)fprintf(
            stderr,
            "usage: bench_fleet MODELS_DIR SPACES_DIR CATALOGUE_DIR SPACE N [alone|table]\n");
        return 2;
    }
    b.space_name = argv[4];
    int n = (int)strtol(argv[5], NULL, 10);
    tl_blas_single_thread();
    tl_rng_init(&b.rng, seed);
    (void)snprintf(path, sizeof path, "%s/%s.yaml", argv[2], b.space_name);
    tl_bench_check(tl_space_load(path, &b.space), path);
    load_model(argv[1], &b);
    load_catalogue(argv[3], &b);
    if (is_table) {
        print_table(&b, n);
    } else {
        (void)printf("space\tdevices\tfeasible\ttogether\tseconds\tdesigns_per_s\t"
                     "sgemm_per_s\tshare\tmade_gflop\tgflop\tsgemm_share\n");
        measure(&b, n);
    }
    tl_optimizer_unref(b.optimizer);
    tl_predictor_unref(b.predictor);
    tl_space_unref(b.space);
    return 0;
}
