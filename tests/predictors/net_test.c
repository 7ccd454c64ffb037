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

/* A cell of 8 nodes, each fed by all before it. */
static tl_cellnet_shape full_shape(int n_conditions)
{
    tl_cellnet_shape shape = cell_shape(5, 7, n_conditions, 4);
    shape.n_nodes = TL_NET_MAX_NODES;
    shape.n_edges = 0;
    for (int to = 1; to < shape.n_nodes; to++) {
        for (int from = 0; from < to; from++) {
            shape.from[shape.n_edges] = from;
            shape.to[shape.n_edges++] = to;
        }
    }
    return shape;
}

enum {
    N_CELLS = 700,
    N_ENSEMBLE = 3
};

/* mean and spread; designs said to be alike have the very same. */
static void compare(
    const tl_cellnet_shape *shape,
    const int *first_like,
    const tl_mat *got,
    const tl_mat *wanted)
{
    for (int i = 0; i < N_CELLS; i++) {
        assert_true(0 <= first_like[i] && first_like[i] <= i);
        for (int j = 0; j < got[0].cols; j++) {
            for (int k = 0; k < 2; k++) {
                float value = tl_mat_row(wanted[k], i)[j];
                double scale = 1 + fabs((double)value);
                assert_close((double)tl_mat_row(got[k], i)[j], (double)value, 3e-6 * scale);
                assert_true(tl_mat_row(got[k], i)[j] == tl_mat_row(got[k], first_like[i])[j]);
            }
        }
    }
    for (int i = 600; i < N_CELLS; i++) {
        assert_true(shape->n_edges > 6 || shape->n_conditions > 0 || first_like[i] < 600);
    }
}

/* Random cells, some twice, and two heads: answers with and without shared states. */
static void check_shared_states(const tl_cellnet_shape *shape, tl_rng *rng)
{
    tl_net net;
    tl_mat x = {0};
    tl_mat got[2] = {{0}};
    tl_mat wanted[2] = {{0}};
    int first_like[N_CELLS];
    tl_cellnet_init(shape, &net);
    size_t n_codes = (size_t)shape->n_edges;
    int8_t *codes = tl_mem_new(N_CELLS * n_codes, 1);
    float *params = tl_mem_new(N_ENSEMBLE * (size_t)net.n_params, sizeof *params);
    assert_non_null(codes);
    assert_non_null(params);
    assert_ok(tl_mat_init(&x, N_CELLS, shape->n_conditions));
    for (int k = 0; k < 2; k++) {
        assert_ok(tl_mat_init(&got[k], N_CELLS, shape->n_out / 2));
        assert_ok(tl_mat_init(&wanted[k], N_CELLS, shape->n_out / 2));
    }
    for (size_t i = 0; i < N_CELLS * n_codes; i++) {
        codes[i] = (int8_t)((int)tl_rng_below(rng, 7) - 1);
    }
    memcpy(codes + 600 * n_codes, codes, 100 * n_codes);
    for (int i = 0; i < N_CELLS; i++) {
        for (int j = 0; j < x.cols; j++) {
            tl_mat_row(x, i)[j] = (float)((i + j) % 3);
        }
    }
    for (int k = 0; k < N_ENSEMBLE; k++) {
        net.kind->init_params(&net, rng, params + (ptrdiff_t)k * net.n_params);
    }
    tl_net_input input = {
        .n = N_CELLS, .n_codes = shape->n_edges, .codes = codes, .x = tl_ro(x)};
    tl_net_kind one_by_one = *net.kind;
    one_by_one.predict = NULL;
    tl_net plain = net;
    plain.kind = &one_by_one;
    assert_ok(tl_net_predict(&plain, &input, params, N_ENSEMBLE, wanted[0], wanted[1]));
    input.first_like = first_like;
    assert_ok(tl_net_predict(&net, &input, params, N_ENSEMBLE, got[0], got[1]));
    compare(shape, first_like, got, wanted);
    tl_mem_free(codes);
    tl_mem_free(params);
    tl_mat_done(&x);
    for (int k = 0; k < 2; k++) {
        tl_mat_done(&got[k]);
        tl_mat_done(&wanted[k]);
    }
}

static void states_that_designs_share_change_no_answer(void **state)
{
    (void)state;
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (int n_conditions = 0; n_conditions <= 2; n_conditions += 2) {
        tl_cellnet_shape small = cell_shape(8, 6, n_conditions, 4);
        tl_cellnet_shape full = full_shape(n_conditions);
        check_shared_states(&small, &rng);
        check_shared_states(&full, &rng);
    }
}

static void predicting_survives_every_allocation_failure(void **state)
{
    (void)state;
    gradient_case c = {"cellnet", true, 4, 5, 2, 1, 20};
    tl_rng rng;
    fixture f;
    tl_mat spread = {0};
    tl_rng_init(&rng, tl_test_seed());
    make(&c, &rng, &f);
    assert_ok(tl_mat_init(&spread, c.n, c.n_out));
    for (long k = 1;; k++) {
        tl_mem_fail_at(k);
        tl_err err = tl_net_predict(&f.net, &f.input, f.params, 1, f.y, spread);
        tl_mem_fail_at(0);
        if (err == TL_OK) {
            assert_true(k > 10);
            break;
        }
        assert_err(TL_ENOMEM, err);
    }
    tl_mat_done(&spread);
    unmake(&f);
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

static void the_first_outputs_are_kept_as_they_were(void **state)
{
    (void)state;
    enum {
        N_MEMBERS = 3,
        N_OUT = 2
    };
    static const gradient_case kinds[] = {
        {"cellnet", true,  4, 5, 0, 3, 9},
        {"mlp",     false, 4, 5, 0, 3, 9},
    };
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (size_t i = 0; i < TL_COUNT(kinds); i++) {
        fixture f;
        make(&kinds[i], &rng, &f);
        size_t n_params = (size_t)f.net.n_params;
        float *params = tl_mem_new(N_MEMBERS * n_params, sizeof *params);
        tl_mat mean[2] = {0};
        tl_mat spread[2] = {0};
        assert_non_null(params);
        for (size_t k = 0; k < N_MEMBERS * n_params; k++) {
            params[k] = (float)(0.5 * tl_rng_normal(&rng));
        }
        for (int is_kept = 0; is_kept < 2; is_kept++) {
            int n_out = is_kept ? N_OUT : f.net.n_out;
            if (is_kept) {
                tl_net_keep_outputs(&f.net, N_OUT, N_MEMBERS, params);
            }
            assert_int_equal(f.net.n_out, n_out);
            assert_ok(tl_mat_init(&mean[is_kept], f.input.n, n_out));
            assert_ok(tl_mat_init(&spread[is_kept], f.input.n, n_out));
            assert_ok(tl_net_predict(
                &f.net, &f.input, params, N_MEMBERS, mean[is_kept], spread[is_kept]));
        }
        for (int row = 0; row < f.input.n; row++) {
            for (int k = 0; k < N_OUT; k++) {
                float before = tl_mat_row(mean[0], row)[k];
                assert_float_equal(tl_mat_row(mean[1], row)[k], before, 1e-5F);
                before = tl_mat_row(spread[0], row)[k];
                assert_float_equal(tl_mat_row(spread[1], row)[k], before, 1e-5F);
            }
        }
        for (int is_kept = 0; is_kept < 2; is_kept++) {
            tl_mat_done(&mean[is_kept]);
            tl_mat_done(&spread[is_kept]);
        }
        tl_mem_free(params);
        unmake(&f);
    }
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
            states_that_designs_share_change_no_answer, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            predicting_survives_every_allocation_failure, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            training_repeats_for_a_seed_and_any_number_of_threads, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            the_first_outputs_are_kept_as_they_were, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test(training_survives_every_allocation_failure),
        cmocka_unit_test(a_shape_that_is_no_network_is_told_apart),
    };
    return cmocka_run_group_tests_name("predictors/net", tests, NULL, NULL);
}
