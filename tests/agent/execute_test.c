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

#define ALIVE .is_reached = true, .is_needed = true

/* Every kind of operator, activation, grouping and padding that the agent knows. */
static const tailor_op all_ops[] = {
    {ALIVE,             .kind = "conv",  .in_ch = 3,   .out_ch = 8,                         .in_size = 9,  .out_size = 9,       .kernel = 3,
     .stride = 1,                                                                                                                                                                                                         .pad = 1,                    .groups = 1,                    .act = "relu",                                                                                                                                                                                      .pre_act = "none",                                             .has_norm = true,
     .n_inputs = 1,                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                  .inputs = from_image},
    {ALIVE,                 .kind = "conv",                            .in_ch = 8,          .out_ch = 8,        .in_size = 9, .out_size = 5, .kernel = 3,
     .stride = 2,                                                               .pad = 1,                                                                                                                                                                                                                                      .groups = 8,                                                                                                                                                                                              .act = "hswish",                                                                                                                                                .pre_act = "none", .has_bias = true,
     .n_inputs = 1,                                                                                                                                                                                                                                                                                        .inputs = from_0},
    {ALIVE, .kind = "pool_avg",                .in_ch = 8,                        .out_ch = 8,                                         .in_size = 9,                             .out_size = 5,
     .kernel = 3,   .stride = 2,       .pad = 1,                                                                                                                                                                                                                                      .groups = 1,                                                                                                                                                                                                                                                       .act = "none",                                                                                                                                                                                                                                                                                                                                                                                                                                           .pre_act = "none",
     .n_inputs = 1,                                                                                                                                                     .inputs = from_0},
    {ALIVE, .kind = "pool_max",                .in_ch = 8,                        .out_ch = 8,                                         .in_size = 5,                             .out_size = 5,
     .kernel = 3,   .stride = 1,       .pad = 1,                                                                                                                                                                                                                                      .groups = 1,                                                                                                                                                                                                                                                       .act = "none",                                                                                                                                                                                                                                                                                                                                                                                                                                           .pre_act = "none",
     .n_inputs = 1,                                                                                                                                                     .inputs = from_1},
    {ALIVE, .kind = "conv",                .in_ch = 8,                        .out_ch = 8,                                             .in_size = 5,                                 .out_size = 5,                  .kernel = 5,
     .stride = 1,   .pad = 2,  .groups = 1,                                                                                                                                                                                                                                                                      .act = "none",                                                                                                                                                                                                                                                                                                                                                                                                                                                              .pre_act = "relu",                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               .n_inputs = 1,
     .inputs = from_2                                                                                                                                                                                                                     },
    {ALIVE,  .kind = "add",                 .in_ch = 8,                         .out_ch = 8,                                              .in_size = 5,                                 .out_size = 5,                 .kernel = 1,
     .stride = 1, .groups = 1, .act = "relu6",                                                                                                                                                                                                                                                                      .pre_act = "none",                                                                                                                                                                                                                                                                                                                                                                                                                                                             .n_inputs = 2,
     .inputs = from_3_4                                                                                                                                                                                                                                                                                                                                                                                     },
    {ALIVE,                 .kind = "pool_global",                            .in_ch = 8,   .out_ch = 8, .in_size = 5, .out_size = 1,
     .kernel = 5,                                    .stride = 1,                                                                                                                                                                                                         .groups = 1,                                                                                                                                                                                      .act = "none", .pre_act = "none", .n_inputs = 1,
     .inputs = from_5                                                                                                                                                                                               },
    {ALIVE,             .kind = "dense", .in_ch = 8,   .out_ch = 4,                         .in_size = 1,  .out_size = 1,       .kernel = 1,
     .stride = 1,                                                                                                                                                                                                         .groups = 1,                 .act = "silu",                  .pre_act = "none",                                                                                                                                                                                  .has_bias = true,
     .n_inputs = 1,                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         .inputs = from_6                                                                                                                                                                                                                   },
    {ALIVE,             .kind = "dense", .in_ch = 4,   .out_ch = 8,                         .in_size = 1,  .out_size = 1,       .kernel = 1,
     .stride = 1,                                                                                                                                                                                                         .groups = 1,                 .act = "hsigmoid",              .pre_act = "none",                                                                                                                                                                                  .n_inputs = 1,
     .inputs = from_7                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     },
    {ALIVE,  .kind = "scale",      .in_ch = 8,  .out_ch = 8,                        .in_size = 5, .out_size = 5,         .kernel = 1,
     .stride = 1,                                                                                                                                                                                            .groups = 1,               .act = "none",              .pre_act = "none",                                                                                                                                                                                      .n_inputs = 2,
     .inputs = from_5_8                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                 },
    {ALIVE,      .kind = "concat",         .in_ch = 24, .out_ch = 24,                       .in_size = 5,                                                                                          .out_size = 5,
     .kernel = 1,                                                                                                                                .stride = 1,                                 .groups = 1,           .act = "none",                  .pre_act = "none",                                                                                                                                                                                                                                                                                                                                                                                                                                                                 .n_inputs = 3,
     .inputs = from_9_5_9                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         },
    {ALIVE,     .kind = "conv",        .in_ch = 24,       .out_ch = 16,                         .in_size = 5,                                                                                          .out_size = 3,                                                                                                  .kernel = 1,
     .stride = 2,                                                                                                                                                   .groups = 2,            .act = "sigmoid",                                                                                                                                                                                                                                                                    .pre_act = "hsigmoid",                                                                                                                                                                                                                                                                                                                                                                                                                                                     .has_norm = true,
     .n_inputs = 1,                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              .inputs = from_10                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              },
    {ALIVE,     .kind = "dense",        .in_ch = 16,       .out_ch = 10,                                                                           .in_size = 3,                                                                             .out_size = 1,
     .kernel = 1,                                                                                                                 .stride = 1,                             .groups = 1,            .act = "none",                                                                                                                                                                                                                                                                    .pre_act = "none",                                                                                                                                                                                                                                                                                                                                                                                                                                                     .has_bias = true,
     .n_inputs = 1,                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        .inputs = from_11                                                                                                                                                                                                                                                                                       },
};

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
        tailor_op change; /* fields that differ from the first operator */
    } cases[] = {
        {"operator 0, warp: not an operator", {.kind = "warp"} },
        {"activation \"gelu\"",               {.act = "gelu"}  },
        {"groups",                            {.groups = 2}    },
        {"operator 0, conv",                  {.out_size = 100}},
        {"operator 0, conv",                  {.in_ch = -3}    },
        {"always zero",                       {.kind = "zero"} },
    };
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        tailor_op op = all_ops[0];
        const tailor_op *change = &cases[i].change;
        op.kind = change->kind != NULL ? change->kind : op.kind;
        op.act = change->act != NULL ? change->act : op.act;
        op.groups = change->groups != 0 ? change->groups : op.groups;
        op.out_size = change->out_size != 0 ? change->out_size : op.out_size;
        op.in_ch = change->in_ch != 0 ? change->in_ch : op.in_ch;
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
