/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "numerics/gemm.h"
#include "predictors/cellnet.h"
#include "predictors/mlp.h"

#include <math.h>
#include <string.h>

enum {
    MAX_N = 64
};

/* nasbench201's cell with a few codes: a pool, two widths each of two convolutions. */
static tl_cellnet_shape cell_shape(int d, int h, int n_conditions, int n_out)
{
    return (tl_cellnet_shape){
        .n_nodes = 4,
        .n_edges = 6,
        .from = {0,  0, 1, 0, 1, 2},
        .to = {1,  2, 2, 3, 3, 3},
        .n_codes = 6,
        .block = {-1, 2, 0, 0, 1, 1},
        .n_blocks = 3,
        .d = d,
        .h = h,
        .n_conditions = n_conditions,
        .n_out = n_out,
    };
}

/* One row for every network there is: kind, shape, and the batch it is checked on. */
typedef struct gradient_case {
    const char *name;
    bool is_cell;
    int d, h, n_conditions, n_out, n;
} gradient_case;

static const gradient_case gradient_cases[] = {
    {"cellnet, one design",  true,  3, 4, 0, 1, 1 },
    {"cellnet, three tasks", true,  8, 6, 0, 3, 17},
    {"cellnet, conditions",  true,  5, 7, 2, 2, 9 },
    {"mlp, one design",      false, 1, 2, 0, 1, 1 },
    {"mlp, two tasks",       false, 6, 5, 0, 2, 11},
};

/* The largest relative error seen is 4e-4 (float forward, central differences). */
static const double gradient_tolerance = 4e-3;

typedef struct fixture {
    tl_net net;
    tl_net_input input;
    int8_t codes[MAX_N * 6];
    tl_mat x, y, dy;
    float *params, *gradient;
    void *work;
} fixture;

static void make(const gradient_case *c, tl_rng *rng, fixture *f)
{
    memset(f, 0, sizeof *f);
    if (c->is_cell) {
        tl_cellnet_shape shape = cell_shape(c->d, c->h, c->n_conditions, c->n_out);
        tl_cellnet_init(&shape, &f->net);
    } else {
        tl_mlp_shape shape = {.d = c->d, .h = c->h, .n_out = c->n_out};
        tl_mlp_init(&shape, &f->net);
    }
    for (int i = 0; i < c->n * 6; i++) {
        f->codes[i] = (int8_t)((int)tl_rng_below(rng, 7) - 1);
    }
    assert_ok(tl_mat_init(&f->x, c->n, c->is_cell ? c->n_conditions : c->d));
    assert_ok(tl_mat_init(&f->y, c->n, c->n_out));
    assert_ok(tl_mat_init(&f->dy, c->n, c->n_out));
    for (int i = 0; i < c->n; i++) {
        for (int j = 0; j < f->x.cols; j++) {
            tl_mat_row(f->x, i)[j] = (float)tl_rng_normal(rng);
        }
        for (int j = 0; j < c->n_out; j++) {
            tl_mat_row(f->dy, i)[j] = (float)tl_rng_normal(rng);
        }
    }
    f->params = tl_mem_new((size_t)f->net.n_params, sizeof(float));
    f->gradient = tl_mem_new((size_t)f->net.n_params, sizeof(float));
    f->work = f->net.kind->work_new(&f->net, c->n);
    assert_non_null(f->params);
    assert_non_null(f->gradient);
    assert_non_null(f->work);
    f->net.kind->init_params(&f->net, rng, f->params);
    for (int i = 0; i < f->net.n_params; i++) {
        f->params[i] += (float)(0.1 * tl_rng_normal(rng)); /* no gradient hides behind a zero */
    }
    f->input = (tl_net_input){
        .n = c->n, .n_codes = c->is_cell ? 6 : 0, .codes = f->codes, .x = tl_ro(f->x)};
}

static void unmake(fixture *f)
{
    f->net.kind->work_free(f->work);
    tl_mat_done(&f->x);
    tl_mat_done(&f->y);
    tl_mat_done(&f->dy);
    tl_mem_free(f->params);
    tl_mem_free(f->gradient);
}

/* sum of dy y: its gradient is what _bwd returns. */
static double loss(fixture *f)
{
    double sum = 0.0;
    f->net.kind->fwd(&f->net, f->params, &f->input, f->work, f->y);
    for (int i = 0; i < f->y.rows; i++) {
        for (int j = 0; j < f->y.cols; j++) {
            sum += (double)tl_mat_row(f->y, i)[j] * (double)tl_mat_row(f->dy, i)[j];
        }
    }
    return sum;
}

static void gradients_match_central_differences(void **state)
{
    (void)state;
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (size_t c = 0; c < TL_COUNT(gradient_cases); c++) {
        fixture f;
        make(&gradient_cases[c], &rng, &f);
        (void)loss(&f);
        f.net.kind->bwd(&f.net, f.params, &f.input, f.work, tl_ro(f.dy), f.gradient);
        double scale = 0.0;
        for (int i = 0; i < f.net.n_params; i++) {
            scale = fmax(scale, fabs((double)f.gradient[i]));
        }
        for (int i = 0; i < f.net.n_params; i++) {
            const float step = 4e-3F;
            float kept = f.params[i];
            f.params[i] = kept + step;
            double above = loss(&f);
            f.params[i] = kept - step;
            double below = loss(&f);
            f.params[i] = kept;
            double expected = (above - below) / (2.0 * (double)step);
            double error = fabs(expected - (double)f.gradient[i]) / (scale + 1e-3);
            if (error > gradient_tolerance) {
                fail_msg(
                    "%s, parameter %d of %d: got %g, want %g", gradient_cases[c].name, i,
                    f.net.n_params, (double)f.gradient[i], expected);
            }
        }
        unmake(&f);
    }
}

static void gradients_accumulate(void **state)
{
    (void)state;
    for (size_t c = 0; c < TL_COUNT(gradient_cases); c++) {
        tl_rng rng;
        tl_rng_init(&rng, tl_test_seed());
        fixture f;
        make(&gradient_cases[c], &rng, &f);
        (void)loss(&f);
        f.net.kind->bwd(&f.net, f.params, &f.input, f.work, tl_ro(f.dy), f.gradient);
        float once = f.gradient[f.net.n_params - 1];
        (void)loss(&f);
        f.net.kind->bwd(&f.net, f.params, &f.input, f.work, tl_ro(f.dy), f.gradient);
        assert_float_equal(f.gradient[f.net.n_params - 1], 2.0F * once, 1e-4F);
        unmake(&f);
    }
}

/* One way to write down a function; every pair computes the same. */
static void isomorphic_cells_get_the_same_answer(void **state)
{
    (void)state;
    enum {
        CUT = -1,
        SKIP = 0,
        POOL = 1,
        CONV = 2
    };
    static const int8_t pairs[][2][6] = {
        {{CONV, CUT, SKIP, CUT, CUT, SKIP},   {CUT, CUT, CUT, CONV, CUT, CUT}    },
        {{SKIP, CUT, CUT, CUT, CONV, CUT},    {CONV, CUT, CUT, CUT, SKIP, CUT}   },
        {{CONV, POOL, CUT, CUT, SKIP, SKIP},  {POOL, CONV, CUT, CUT, SKIP, SKIP} },
        {{CONV, POOL, CUT, SKIP, SKIP, SKIP}, {SKIP, POOL, CUT, CONV, SKIP, SKIP}},
    };
    gradient_case c = {"cellnet", true, 8, 6, 0, 2, 2};
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (size_t p = 0; p < TL_COUNT(pairs); p++) {
        fixture f;
        make(&c, &rng, &f);
        memcpy(f.codes, pairs[p], sizeof pairs[p]);
        (void)loss(&f);
        for (int j = 0; j < c.n_out; j++) {
            assert_float_equal(tl_mat_row(f.y, 0)[j], tl_mat_row(f.y, 1)[j], 1e-5F);
        }
        unmake(&f);
    }
}

/* Trains on random targets of random cells. */
static tl_err train(uint64_t seed, int n_threads, tl_net *net, float **out_params)
{
    enum {
        N = 50,
        N_MEMBERS = 3
    };
    static int8_t codes[N * 6];
    static float targets[N * 2];
    tl_rng rng;
    tl_rng_init(&rng, 5);
    for (int i = 0; i < N * 6; i++) {
        codes[i] = (int8_t)((int)tl_rng_below(&rng, 7) - 1);
    }
    for (int i = 0; i < N * 2; i++) {
        targets[i] = i % 3 == 0 ? NAN : (float)tl_rng_normal(&rng);
    }
    tl_cellnet_shape shape = cell_shape(8, 6, 0, 2);
    tl_cellnet_init(&shape, net);
    float *params = tl_mem_new((size_t)N_MEMBERS * (size_t)net->n_params, sizeof *params);
    if (params == NULL) {
        return TL_ENOMEM;
    }
    tl_net_input input = {.n = N, .n_codes = 6, .codes = codes};
    tl_cmat y = {.data = targets, .rows = N, .cols = 2, .ld = 2};
    tl_net_train_options options = {
        .n_members = N_MEMBERS,
        .n_steps = 40,
        .batch = 16,
        .learning_rate = 1e-2,
        .weight_decay = 0.01,
        .seed = seed,
        .n_threads = n_threads,
    };
    tl_err err = tl_net_train(net, &input, y, &options, params);
    if (err != TL_OK) {
        tl_mem_free(params);
        return err;
    }
    *out_params = params;
    return TL_OK;
}

static void training_repeats_for_a_seed_and_any_number_of_threads(void **state)
{
    (void)state;
    tl_net net;
    float *one = NULL;
    float *many = NULL;
    float *other = NULL;
    assert_ok(train(3, 1, &net, &one));
    assert_ok(train(3, 3, &net, &many));
    assert_ok(train(4, 1, &net, &other));
    size_t len = 3 * (size_t)net.n_params * sizeof *one;
    assert_memory_equal(one, many, len);
    assert_memory_not_equal(one, other, len);
    assert_memory_not_equal(one, one + net.n_params, len / 3); /* members differ */
    tl_mem_free(one);
    tl_mem_free(many);
    tl_mem_free(other);
}

static void training_survives_every_allocation_failure(void **state)
{
    (void)state;
    tl_err err = TL_ENOMEM;
    int n_failures = 0;
    for (long k = 1; err != TL_OK; k++) {
        tl_net net;
        float *params = NULL;
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = train(3, 1, &net, &params);
        tl_mem_fail_at(0);
        tl_mem_free(params);
        assert_int_equal(tl_mem_live(), live_before);
        n_failures += err != TL_OK;
    }
    assert_true(n_failures >= 20);
}

static void a_shape_that_is_no_network_is_told_apart(void **state)
{
    (void)state;
    tl_cellnet_shape good = cell_shape(8, 6, 0, 2);
    assert_true(tl_cellnet_shape_is_valid(&good));
    tl_cellnet_shape bad = good;
    bad.from[2] = 2; /* an edge to itself */
    assert_false(tl_cellnet_shape_is_valid(&bad));
    bad = good;
    bad.block[3] = 3; /* of 0, 1, 2 */
    assert_false(tl_cellnet_shape_is_valid(&bad));
    bad = good;
    bad.d = 0;
    assert_false(tl_cellnet_shape_is_valid(&bad));
    assert_false(tl_mlp_shape_is_valid(&(tl_mlp_shape){.d = 3, .h = 0, .n_out = 1}));
}

int main(void)
{
    tl_blas_single_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            gradients_match_central_differences, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            gradients_accumulate, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            isomorphic_cells_get_the_same_answer, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            training_repeats_for_a_seed_and_any_number_of_threads, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test(training_survives_every_allocation_failure),
        cmocka_unit_test(a_shape_that_is_no_network_is_told_apart),
    };
    return cmocka_run_group_tests_name("predictors/net", tests, NULL, NULL);
}
