/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A batch of accuracy predictions beside the sgemm of the same shapes, in the
 * same run, on one thread, in processor time of that thread.
 *
 *     bench_batch MODELS_DIR SPACES_DIR [SPACE...]
 *
 * The shapes are those of the plain forward pass: every product that the networks ask
 * for when each design is computed by itself, timed where it is made (the linker puts
 * __wrap_tl_gemm in place of tl_gemm). The batch is what tl_accuracy_predict() takes in all, encoding included; it may
 * make fewer products where designs share them, which is printed too.
 *
 * Prints tab-separated: space, designs, milliseconds of the batch, milliseconds of the sgemm of the
 * shapes, their GFLOP, GFLOP that the batch itself multiplied and its milliseconds within sgemm, and the
 * share of the sgemm rate that the batch reaches: the second time over the first. Times are the
 * shortest of N_RUNS, plain pass and batch in turn.
 */

#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"
#include "bench/gemm_clock.h"
#include "numerics/rng.h"
#include "predictors/accuracy_impl.h"
#include "predictors/features.h"
#include "predictors/model.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    N_DESIGNS = 15625,
    N_RUNS = 31,
    N_CLOCK_READS = 1000,
    PATH_BYTES = 512
};

typedef struct subject {
    tl_space *space;
    tl_model *model;
    tl_choice *designs;
    double *mean, *sd;
} subject;

static tl_err load(const char *models, const char *spaces, const char *name, subject *s)
{
    char path[PATH_BYTES];
    char *data = NULL;
    size_t len = 0;
    tl_features *features = NULL;
    (void)snprintf(path, sizeof path, "%s/%s.yaml", spaces, name);
    TL_TRY(tl_space_load(path, &s->space));
    (void)snprintf(path, sizeof path, "%s/%s.tlm", models, name);
    TL_TRY(tl_file_read(path, TL_MODEL_MAX_BYTES, &data, &len));
    tl_err err = tl_features_new(s->space, &features);
    if (err == TL_OK) {
        err = tl_model_unpack(
            s->space, tl_features_n_source(features), data, len, path, &s->model);
    }
    tl_features_free(features);
    tl_mem_free(data);
    return err;
}

static tl_err draw(subject *s)
{
    tl_rng rng;
    size_t n_slots = (size_t)tl_space_n_slots(s->space);
    size_t n_tasks = (size_t)tl_accuracy_model_n_tasks(s->model->accuracies[0]);
    s->designs = tl_mem_new(N_DESIGNS * n_slots, sizeof *s->designs);
    s->mean = tl_mem_new(N_DESIGNS * n_tasks, sizeof *s->mean);
    s->sd = tl_mem_new(N_DESIGNS * n_tasks, sizeof *s->sd);
    if (s->designs == NULL || s->mean == NULL || s->sd == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", (int)N_DESIGNS);
    }
    tl_rng_init(&rng, 1);
    for (size_t i = 0; i < N_DESIGNS; i++) {
        tl_space_sample(s->space, &rng, s->designs + i * n_slots);
    }
    return TL_OK;
}

/* Seconds in all and within sgemm, and what was multiplied, of the quickest run so far. */
typedef struct timing {
    double all_s, gemm_s, flop;
} timing;

/* What reading the clock twice around nothing says: it is taken off every product. */
static double clock_cost_s(void)
{
    double least_s = HUGE_VAL;
    for (int i = 0; i < N_CLOCK_READS; i++) {
        double start_s = tl_gemm_thread_s();
        double cost_s = tl_gemm_thread_s() - start_s;
        least_s = cost_s < least_s ? cost_s : least_s;
    }
    return least_s;
}

static void keep_best(double start_s, timing *best)
{
    double all_s = tl_gemm_thread_s() - start_s;
    double gemm_s = tl_gemm_clock.s - (double)tl_gemm_clock.n * clock_cost_s();
    best->all_s = best->all_s == 0 || all_s < best->all_s ? all_s : best->all_s;
    best->gemm_s = best->gemm_s == 0 || gemm_s < best->gemm_s ? gemm_s : best->gemm_s;
    best->flop = tl_gemm_clock.flop;
}

static void start(double *out_start_s)
{
    tl_gemm_clock = (tl_gemm_count){0};
    *out_start_s = tl_gemm_thread_s();
}

/* Every design by itself: the networks' forward pass as training makes it. */
static tl_err run_plain(const tl_accuracy_model *model, const subject *s, timing *best)
{
    tl_score_model plain = model->score;
    tl_net_kind kind = {0};
    tl_score_input input = {0};
    tl_mat mean = {0};
    tl_mat spread = {0};
    double start_s = 0;
    if (plain.n_members > 0) {
        kind = *plain.net.kind;
        kind.predict = NULL;
        plain.net.kind = &kind;
    }
    tl_err err = tl_score_encode(&model->encoder, s->designs, N_DESIGNS, &input);
    if (err == TL_OK && (err = tl_mat_init(&mean, N_DESIGNS, model->n_tasks)) == TL_OK &&
        (err = tl_mat_init(&spread, N_DESIGNS, model->n_tasks)) == TL_OK) {
        start(&start_s);
        err = tl_score_predict(&plain, &input, mean, spread);
        keep_best(start_s, best);
    }
    tl_mat_done(&mean);
    tl_mat_done(&spread);
    tl_score_input_done(&input);
    return err;
}

static tl_err run(const subject *s, const char *name)
{
    const tl_accuracy_model *model = s->model->accuracies[0];
    timing plain = {0};
    timing batch = {0};
    for (int i = 0; i < N_RUNS; i++) {
        double start_s = 0;
        TL_TRY(run_plain(model, s, &plain));
        start(&start_s);
        TL_TRY(tl_accuracy_predict(model, s->designs, N_DESIGNS, s->mean, s->sd));
        keep_best(start_s, &batch);
    }
    (void)printf(
        "%s\t%d\t%.1f\t%.1f\t%.2f\t%.1f\t%.2f\t%.1f\t%.2f\n", name, (int)N_DESIGNS,
        batch.all_s * 1e3, plain.gemm_s * 1e3, plain.flop * 1e-9, plain.all_s * 1e3,
        batch.flop * 1e-9, batch.gemm_s * 1e3, plain.gemm_s / batch.all_s);
    return TL_OK;
}

static tl_err bench_space(const char *models, const char *spaces, const char *name)
{
    subject s = {0};
    tl_err err = load(models, spaces, name, &s);
    if (err == TL_OK && s.model->n_accuracies == 0) {
        err = tl_fail(TL_ESTATE, "%s has no accuracy model", name);
    }
    if (err == TL_OK && (err = draw(&s)) == TL_OK) {
        err = run(&s, name);
    }
    tl_mem_free(s.designs);
    tl_mem_free(s.mean);
    tl_mem_free(s.sd);
    tl_model_free(s.model);
    tl_space_unref(s.space);
    return err;
}

int main(int argc, char **argv)
{
    static char nasbench201[] = "nasbench201";
    static char mnasnet[] = "mnasnet";
    char *usual[] = {nasbench201, mnasnet};
    if (argc < 3) {
        (void)fprintf(stderr, "usage: bench_batch MODELS_DIR SPACES_DIR [SPACE...]\n");
        return 2;
    }
    char **names = argc > 3 ? argv + 3 : usual;
    int n_names = argc > 3 ? argc - 3 : (int)TL_COUNT(usual);
    tl_blas_single_thread();
    (void)printf(
        "space\tdesigns\tms\tsgemm_ms\tgflop\tplain_ms\tmade_gflop\tmade_sgemm_ms\tshare\n");
    for (int i = 0; i < n_names; i++) {
        if (bench_space(argv[1], argv[2], names[i]) != TL_OK) {
            (void)fprintf(stderr, "bench_batch: %s\n", tl_err_detail());
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}
