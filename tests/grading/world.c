/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/grading/world.h"

#include "base/mem.h"
#include "numerics/rng.h"

#include <math.h>
#include <stdio.h>

static const char *const names[N_DEVICES] = {"anna", "berta", "clara", "dora"};

static void fill_designs(world *w)
{
    enum {
        CHOICES = 5
    };
    int n_slots = tl_space_n_slots(w->space);
    for (int i = 0; i < N_DESIGNS; i++) {
        /* every design once, in order: the digits of i times a stride */
        int number = i * 26;
        for (int k = n_slots - 1; k >= 0; k--) {
            bool is_edge = k < 6;
            w->designs[(size_t)i * (size_t)n_slots + (size_t)k] =
                (tl_choice)(is_edge ? number % CHOICES : TL_CHOICE_ABSENT);
            number /= is_edge ? CHOICES : 1;
        }
    }
}

static void fill_values(world *w, tl_rng *rng)
{
    static const double price[] = {0, .05, .4, 1.8, .25};
    int n_slots = tl_space_n_slots(w->space);
    for (int d = 0; d <= N_DEVICES; d++) {
        for (int i = 0; i < N_DESIGNS; i++) {
            double sum = .3;
            for (int k = 0; k < 6; k++) {
                double one = price[w->designs[(size_t)i * (size_t)n_slots + (size_t)k]];
                sum += one * (1 + .1 * d * k) * (1 + d);
            }
            w->values[d * N_DESIGNS + i] = sum * (1 + .01 * tl_rng_normal(rng));
        }
    }
    for (int i = 0; i < N_DESIGNS; i++) {
        double *accuracy = &w->values[N_DEVICES * N_DESIGNS + i];
        *accuracy = 90 - 40 * exp(-*accuracy / 10);
    }
}

void load_space(const char *name, tl_space **out_space)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/spaces/%s.yaml", tl_test_source_dir(), name);
    assert_ok(tl_space_load(path, out_space));
}

void world_init(world *w)
{
    tl_rng rng;
    *w = (world){0};
    tl_rng_init(&rng, tl_test_seed());
    load_space("nasbench201", &w->space);
    int n_slots = tl_space_n_slots(w->space);
    w->designs = tl_mem_new((size_t)N_DESIGNS * (size_t)n_slots, sizeof *w->designs);
    w->values = tl_mem_new((N_DEVICES + 1) * N_DESIGNS, sizeof *w->values);
    assert_non_null(w->designs);
    assert_non_null(w->values);
    fill_designs(w);
    fill_values(w, &rng);
    for (int d = 0; d < N_DEVICES; d++) {
        w->columns[d] = (tl_train_column){
            .metric = TL_METRIC_LATENCY_MS,
            .subject = names[d],
            .designs = w->designs,
            .values = w->values + (ptrdiff_t)d * N_DESIGNS,
            .n = N_DESIGNS};
        w->pointers[d] = &w->columns[d];
        w->is_graded[d] = d < 2;
    }
    w->accuracy = (tl_column){
        .n = N_DESIGNS,
        .n_slots = n_slots,
        .designs = w->designs,
        .values = w->values + (ptrdiff_t)N_DEVICES * N_DESIGNS};
}

void world_done(world *w)
{
    tl_mem_free(w->designs);
    tl_mem_free(w->values);
    tl_space_unref(w->space);
}
