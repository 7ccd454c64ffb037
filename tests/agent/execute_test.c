/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "clients/agent/execute.h"
#include "numerics/rng.h"
#include "tests/agent/reference.h"

#include <math.h>
#include <string.h>

enum {
    IMAGE_CH = 3,
    IMAGE_SIZE = 9,
    IMAGE_LEN = IMAGE_CH * IMAGE_SIZE * IMAGE_SIZE,
    MAX_LEN = 4096
};

/* f32 against sums in double: 3e-7 observed on values near 1. */
#define EXECUTE_TOLERANCE 1e-5

static const int32_t from_image[] = {-1};
static const int32_t from_0[] = {0}, from_1[] = {1}, from_2[] = {2}, from_5[] = {5};
static const int32_t from_6[] = {6}, from_7[] = {7}, from_10[] = {10}, from_11[] = {11};
static const int32_t from_3_4[] = {3, 4}, from_5_8[] = {5, 8}, from_9_5_9[] = {9, 5, 9};

/* Every kind of operator, activation, grouping and padding that the agent knows. */
static const struct row {
    const char *kind;
    int in_ch, out_ch, in_size, out_size, kernel, stride, pad, groups;
    const char *pre_act, *act;
    int params; /* 'b': bias, 'n': norm */
    size_t n_inputs;
    const int32_t *inputs;
} rows[] = {
    {"conv",        3,  8,  9, 9, 3, 1, 1, 1, "none",     "relu",     'n', 1, from_image},
    {"conv",        8,  8,  9, 5, 3, 2, 1, 8, "none",     "hswish",   'b', 1, from_0    },
    {"pool_avg",    8,  8,  9, 5, 3, 2, 1, 1, "none",     "none",     0,   1, from_0    },
    {"pool_max",    8,  8,  5, 5, 3, 1, 1, 1, "none",     "none",     0,   1, from_1    },
    {"conv",        8,  8,  5, 5, 5, 1, 2, 1, "relu",     "none",     0,   1, from_2    },
    {"add",         8,  8,  5, 5, 1, 1, 0, 1, "none",     "relu6",    0,   2, from_3_4  },
    {"pool_global", 8,  8,  5, 1, 5, 1, 0, 1, "none",     "none",     0,   1, from_5    },
    {"dense",       8,  4,  1, 1, 1, 1, 0, 1, "none",     "silu",     'b', 1, from_6    },
    {"dense",       4,  8,  1, 1, 1, 1, 0, 1, "none",     "hsigmoid", 0,   1, from_7    },
    {"scale",       8,  8,  5, 5, 1, 1, 0, 1, "none",     "none",     0,   2, from_5_8  },
    {"concat",      24, 24, 5, 5, 1, 1, 0, 1, "none",     "none",     0,   3, from_9_5_9},
    {"conv",        24, 16, 5, 3, 1, 2, 0, 2, "hsigmoid", "sigmoid",  'n', 1, from_10   },
    {"dense",       16, 10, 3, 1, 1, 1, 0, 1, "none",     "none",     'b', 1, from_11   },
};

static tailor_op all_ops[TL_COUNT(rows)];

static void make_ops(void)
{
    for (size_t i = 0; i < TL_COUNT(rows); i++) {
        const struct row *r = &rows[i];
        all_ops[i] = (tailor_op){
            .kind = r->kind,
            .in_ch = r->in_ch,
            .out_ch = r->out_ch,
            .in_size = r->in_size,
            .out_size = r->out_size,
            .kernel = r->kernel,
            .stride = r->stride,
            .pad = r->pad,
            .groups = r->groups,
            .pre_act = r->pre_act,
            .act = r->act,
            .has_bias = r->params == 'b',
            .has_norm = r->params == 'n',
            .is_reached = true,
            .is_needed = true,
            .n_inputs = r->n_inputs,
            .inputs = r->inputs,
        };
    }
}

static void random_image(uint64_t seed, float image[IMAGE_LEN])
{
    tl_rng rng;
    tl_rng_init(&rng, seed);
    for (int i = 0; i < IMAGE_LEN; i++) {
        image[i] = (float)tl_rng_normal(&rng);
    }
}

/* Executes the network and gives its answer; weights are recorded. */
static size_t execute(
    const tailor_network *network, ref_weights *weights, const float *image, float out[MAX_LEN])
{
    tl_execution *execution = NULL;
    assert_ok(tl_execution_new(network, ref_fill, weights, &execution));
    size_t n = tl_execution_answer_len(execution);
    assert_true(n <= MAX_LEN);
    assert_ok(tl_execution_write(execution, image));
    assert_ok(tl_execution_run(execution));
    assert_ok(tl_execution_run(execution)); /* running again changes nothing */
    assert_ok(tl_execution_read(execution, out));
    tl_execution_free(execution);
    return n;
}

/* What the first n_ops operators deliver is what plain loops deliver, for every n_ops. */
static void every_operator_computes_what_plain_loops_compute(void **state)
{
    (void)state;
    float image[IMAGE_LEN];
    float answer[MAX_LEN];
    random_image(tl_test_seed(), image);
    for (size_t n_ops = 1; n_ops <= TL_COUNT(all_ops); n_ops++) {
        tailor_network network = {
            .in_ch = IMAGE_CH, .in_size = IMAGE_SIZE, .n_ops = n_ops, .ops = all_ops};
        ref_weights weights = {.seed = tl_test_seed() + n_ops};
        size_t n = execute(&network, &weights, image, answer);
        float *expected = ref_run(&network, &weights, image);
        assert_int_equal(weights.n_used, weights.n_fills);
        for (size_t i = 0; i < n; i++) {
            double scale = 1.0 + fabs((double)expected[i]);
            if (!(fabs((double)answer[i] - (double)expected[i]) <= EXECUTE_TOLERANCE * scale)) {
                fail_msg(
                    "operator %zu, %s, element %zu: got %g, want %g", n_ops - 1,
                    all_ops[n_ops - 1].kind, i, (double)answer[i], (double)expected[i]);
            }
        }
        tl_mem_free(expected);
        ref_weights_done(&weights);
    }
}

static tailor_op conv_of(const int32_t *inputs)
{
    tailor_op op = all_ops[0];
    op.in_ch = 8;
    op.inputs = inputs;
    return op;
}

static tailor_op sum_of(const int32_t *inputs, size_t n_inputs)
{
    tailor_op op = all_ops[5];
    op.in_size = op.out_size = IMAGE_SIZE;
    op.inputs = inputs;
    op.n_inputs = n_inputs;
    return op;
}

static void what_the_image_does_not_reach_is_left_out_of_sums(void **state)
{
    (void)state;
    static const int32_t both[] = {0, 2};
    float image[IMAGE_LEN], whole[MAX_LEN], cut[MAX_LEN];
    random_image(tl_test_seed(), image);
    tailor_op zero = sum_of(NULL, 0);
    zero.kind = "zero";
    zero.is_reached = false;
    tailor_op unreached = conv_of(from_1);
    unreached.is_reached = false;
    tailor_op unneeded = conv_of(from_0);
    unneeded.is_needed = false;
    const tailor_op ops[] = {all_ops[0], zero, unreached, unneeded, sum_of(both, 2)};
    const tailor_op alone[] = {all_ops[0], sum_of(from_0, 1)};
    tailor_network network = {.in_ch = 3, .in_size = 9, .n_ops = TL_COUNT(ops), .ops = ops};
    tailor_network simple = {.in_ch = 3, .in_size = 9, .n_ops = TL_COUNT(alone), .ops = alone};
    ref_weights weights = {.seed = 3}, same = {.seed = 3};
    size_t n = execute(&network, &weights, image, cut);
    assert_int_equal(n, execute(&simple, &same, image, whole));
    assert_int_equal(weights.n_fills, same.n_fills);
    assert_memory_equal(cut, whole, n * sizeof *cut);
    ref_weights_done(&weights);
    ref_weights_done(&same);
}

static void a_network_that_ignores_its_image_is_executed_as_it_stands(void **state)
{
    (void)state;
    float image[IMAGE_LEN], answer[MAX_LEN];
    random_image(tl_test_seed(), image);
    tailor_op zero = sum_of(NULL, 0);
    zero.kind = "zero";
    zero.is_reached = false;
    tailor_op stem = all_ops[0];
    stem.is_needed = false;
    tailor_op conv = conv_of(from_1);
    conv.is_reached = false;
    conv.has_norm = false;
    const tailor_op ops[] = {stem, zero, conv};
    tailor_network network = {.in_ch = 3, .in_size = 9, .n_ops = TL_COUNT(ops), .ops = ops};
    ref_weights weights = {.seed = 3};
    size_t n = execute(&network, &weights, image, answer);
    assert_int_equal(weights.n_fills, 3); /* of the stem too, which nothing needs */
    for (size_t i = 0; i < n; i++) {
        assert_true(answer[i] == 0.0F);
    }
    ref_weights_done(&weights);
}

static void impossible_networks_are_refused_by_operator(void **state)
{
    (void)state;
    static const struct {
        const char *detail;
        const char *kind, *act; /* what differs from the first operator; NULL and 0: nothing */
        int groups, out_size, in_ch;
    } cases[] = {
        {"operator 0, warp: not an operator", "warp", NULL,   0, 0,   0 },
        {"activation \"gelu\"",               NULL,   "gelu", 0, 0,   0 },
        {"groups",                            NULL,   NULL,   2, 0,   0 },
        {"operator 0, conv",                  NULL,   NULL,   0, 100, 0 },
        {"operator 0, conv",                  NULL,   NULL,   0, 0,   -3},
        {"always zero",                       "zero", NULL,   0, 0,   0 },
    };
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        tailor_op op = all_ops[0];
        op.kind = cases[i].kind != NULL ? cases[i].kind : op.kind;
        op.act = cases[i].act != NULL ? cases[i].act : op.act;
        op.groups = cases[i].groups != 0 ? cases[i].groups : op.groups;
        op.out_size = cases[i].out_size != 0 ? cases[i].out_size : op.out_size;
        op.in_ch = cases[i].in_ch != 0 ? cases[i].in_ch : op.in_ch;
        tailor_network network = {.in_ch = 3, .in_size = 9, .n_ops = 1, .ops = &op};
        ref_weights weights = {.seed = 1};
        tl_execution *execution = NULL;
        assert_err(TL_EINVAL, tl_execution_new(&network, ref_fill, &weights, &execution));
        assert_detail(cases[i].detail);
        assert_null(execution);
        ref_weights_done(&weights);
    }
}

/* Torture: the k-th allocation of ours fails, for every k. */
static void survives_every_allocation_failure(void **state)
{
    (void)state;
    tailor_network network = {
        .in_ch = IMAGE_CH, .in_size = IMAGE_SIZE, .n_ops = TL_COUNT(all_ops), .ops = all_ops};
    tl_rng rng;
    tl_rng_init(&rng, 1);
    tl_err err = TL_ENOMEM;
    int n_failures = 0;
    for (long k = 1; err != TL_OK; k++) {
        tl_execution *execution = NULL;
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_execution_new(&network, tl_fill_random, &rng, &execution);
        tl_mem_fail_at(0);
        if (err != TL_OK) {
            n_failures++;
            assert_err(TL_ENOMEM, err);
            assert_null(execution);
        }
        tl_execution_free(execution);
        assert_int_equal(tl_mem_live(), live_before);
    }
    assert_true(n_failures >= 20);
}

int main(void)
{
    make_ops();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            every_operator_computes_what_plain_loops_compute, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            what_the_image_does_not_reach_is_left_out_of_sums, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            a_network_that_ignores_its_image_is_executed_as_it_stands, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            impossible_networks_are_refused_by_operator, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            survives_every_allocation_failure, tl_test_count_blocks, tl_test_no_leaks),
    };
    return cmocka_run_group_tests_name("agent/execute", tests, NULL, NULL);
}
