/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A batch of accuracy predictions beside the sgemm of the same shapes: every
 * product that the networks ask for is timed where it is made (the linker puts
 * __wrap_tl_gemm in place of tl_gemm), so both are of one run.
 *
 *     bench_batch MODELS_DIR SPACES_DIR
 *
 * Prints tab-separated: space, designs, milliseconds in all, milliseconds within
 * sgemm, GFLOP/s of the whole and of the products, and the share of the sgemm
 * rate that the batch reaches.
 */

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"
#include "numerics/gemm.h"
#include "numerics/rng.h"
#include "predictors/features.h"
#include "predictors/model.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    N_DESIGNS = 15625,
    N_RUNS = 11,
    PATH_BYTES = 512
};

static int64_t gemm_ns;
static double gemm_flop;

void __real_tl_gemm(
    float alpha, tl_trans ta, tl_cmat a, tl_trans tb, tl_cmat b, float beta, tl_mat c);
void __wrap_tl_gemm(
    float alpha, tl_trans ta, tl_cmat a, tl_trans tb, tl_cmat b, float beta, tl_mat c);

void __wrap_tl_gemm(
    float alpha, tl_trans ta, tl_cmat a, tl_trans tb, tl_cmat b, float beta, tl_mat c)
{
    int64_t start_ns = tl_clock_ns();
    __real_tl_gemm(alpha, ta, a, tb, b, beta, c);
    gemm_ns += tl_clock_ns() - start_ns;
    gemm_flop += 2.0 * c.rows * c.cols * (ta == TL_N ? a.cols : a.rows);
}

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

static tl_err run(const subject *s, const char *name)
{
    int64_t best_ns = INT64_MAX;
    int64_t best_gemm_ns = 0;
    for (int i = 0; i < N_RUNS; i++) {
        gemm_ns = 0;
        gemm_flop = 0;
        int64_t start_ns = tl_clock_ns();
        TL_TRY(tl_accuracy_predict(
            s->model->accuracies[0], s->designs, N_DESIGNS, s->mean, s->sd));
        int64_t all_ns = tl_clock_ns() - start_ns;
        if (all_ns < best_ns) {
            best_ns = all_ns;
            best_gemm_ns = gemm_ns;
        }
    }
    (void)printf(
        "%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\n", name, (int)N_DESIGNS, (double)best_ns / 1e6,
        (double)best_gemm_ns / 1e6, gemm_flop / (double)best_ns,
        gemm_flop / (double)best_gemm_ns, (double)best_gemm_ns / (double)best_ns);
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
    static const char *const names[] = {"nasbench201", "mnasnet"};
    if (argc != 3) {
        (void)fprintf(stderr, "usage: bench_batch MODELS_DIR SPACES_DIR\n");
        return 2;
    }
    tl_blas_single_thread();
    (void)printf("space\tdesigns\tms\tsgemm_ms\tgflops\tsgemm_gflops\tshare\n");
    for (size_t i = 0; i < TL_COUNT(names); i++) {
        if (bench_space(argv[1], argv[2], names[i]) != TL_OK) {
            (void)fprintf(stderr, "bench_batch: %s\n", tl_err_detail());
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}
