/* SPDX-License-Identifier: Apache-2.0 */

/* Sums by parts are those of the whole network, however many designs were seen before. */

#include "tests/spaces/support.h"

#include "spaces/parts.h"

enum {
    N_DESIGNS = 2000,
    WIDTH = 3,
    MAX_STAGES = 64
};

static void sum_ops(void *context, const tl_op *ops, int n_ops, double *sums)
{
    int *n_calls = context;
    ++*n_calls;
    for (int i = 0; i < n_ops; i++) {
        sums[0] += (double)tl_op_macs(&ops[i]);
        sums[1] += (double)(tl_op_elements_in(&ops[i]) + tl_op_elements_out(&ops[i]));
        sums[2] += 1;
    }
}

/* Row 0: stem and head; then a row for each stage. */
static void sum_whole(const tl_network *network, bool has_stages, double sums[][WIDTH])
{
    int n_calls = 0;
    memset(sums, 0, (1 + MAX_STAGES) * sizeof *sums);
    for (int i = 0; i < network->n_ops; i++) {
        int stage = has_stages ? network->ops[i].stage : -1;
        sum_ops(&n_calls, &network->ops[i], 1, sums[stage + 1]);
    }
}

static void check_space(const tl_space *space, int max_calls)
{
    tl_choice design[TL_SPACE_MAX_SLOTS];
    double wanted[1 + MAX_STAGES][WIDTH];
    tl_network network = {0};
    tl_parts *parts = NULL;
    tl_rng rng;
    int n_calls = 0;
    tl_rng_init(&rng, tl_test_seed());
    assert_ok(tl_parts_new(space, WIDTH, sum_ops, &n_calls, &parts));
    for (int i = 0; i < N_DESIGNS; i++) {
        double got[1 + MAX_STAGES][WIDTH] = {{0}};
        const tl_part *found = NULL;
        int n = 0;
        tl_space_sample(space, &rng, design);
        assert_ok(tl_space_lower(space, design, &network));
        assert_ok(tl_parts_find(parts, design, &found, &n));
        for (int k = 0; k < n; k++) {
            for (int j = 0; j < WIDTH; j++) {
                got[1 + found[k].stage][j] += found[k].sums[j];
            }
        }
        sum_whole(&network, n > 1, wanted);
        assert_memory_equal(got, wanted, sizeof got);
    }
    assert_true(n_calls <= max_calls);
    tl_parts_free(parts);
    tl_network_done(&network);
}

static void check_built_in(const char *name, int max_calls)
{
    tl_space *space = built_in(name);
    check_space(space, max_calls);
    tl_space_unref(space);
}

static void stages_of_mnasnet_are_lowered_once(void **state)
{
    (void)state;
    check_built_in("mnasnet", 2 + 6 * 36 + 48);
}

static void layers_of_fbnet_are_lowered_once_for_each_width(void **state)
{
    (void)state;
    check_built_in("fbnet", 2 + 22 * 9 * 2);
}

static void layers_of_mobilenetv3_follow_depth_and_resolution(void **state)
{
    (void)state;
    check_built_in("mobilenetv3", N_DESIGNS * 22);
}

static void spaces_without_parts_are_lowered_whole(void **state)
{
    (void)state;
    check_built_in("nasbench201", N_DESIGNS);
    check_built_in("mobilenet-zoo", N_DESIGNS);
}

static const char shared_slot[] = "name: s\n"
                                  "kind: staged\n"
                                  "input: {channels: 3, size: $r}\n"
                                  "slots:\n"
                                  "  - {name: r, values: [32, 33, 48]}\n"
                                  "  - {name: w, values: [1, 2]}\n"
                                  "stem:\n"
                                  "  - {op: conv, out: 8 * $w, kernel: 3}\n"
                                  "stage_slots:\n"
                                  "  - {name: \"d{stage}\", as: d, values: [0, 1, 2]}\n"
                                  "stages:\n"
                                  "  - name: a\n"
                                  "    channels: in * 2\n"
                                  "    blocks: $d\n"
                                  "    ops: [{op: conv, out: out * $w, kernel: 3}]\n"
                                  "  - name: b\n"
                                  "    channels: 16\n"
                                  "    blocks: $d\n"
                                  "    stride: $d + 1\n"
                                  "    ops: [{op: conv, out: out, kernel: 3, stride: stride}]\n"
                                  "  - name: c\n"
                                  "    channels: 16\n"
                                  "    blocks: $d + 1\n"
                                  "    ops: [{op: conv, out: out, kernel: 3}]\n"
                                  "head:\n"
                                  "  - {op: pool_global}\n"
                                  "  - {op: dense, out: 10 * $w}\n";

static void slots_of_the_space_and_empty_stages_tell_parts_apart(void **state)
{
    (void)state;
    tl_space *space = parsed(shared_slot);
    check_space(space, N_DESIGNS);
    tl_space_unref(space);
}

static void a_failed_allocation_leaves_nothing(void **state)
{
    (void)state;
    tl_space *space = built_in("mnasnet");
    tl_choice designs[200][TL_SPACE_MAX_SLOTS];
    tl_rng rng;
    tl_rng_init(&rng, 1);
    for (int i = 0; i < 200; i++) {
        tl_space_sample(space, &rng, designs[i]);
    }
    for (long k = 1;; k++) {
        tl_parts *parts = NULL;
        const tl_part *found = NULL;
        int n = 0;
        int n_calls = 0;
        tl_mem_fail_at(k);
        tl_err err = tl_parts_new(space, WIDTH, sum_ops, &n_calls, &parts);
        for (int i = 0; i < 200 && err == TL_OK; i++) {
            err = tl_parts_find(parts, designs[i], &found, &n);
        }
        tl_mem_fail_at(0);
        tl_parts_free(parts);
        if (err == TL_OK) {
            assert_true(k > 8);
            break;
        }
        assert_err(TL_ENOMEM, err);
    }
    tl_space_unref(space);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stages_of_mnasnet_are_lowered_once),
        TEST(layers_of_fbnet_are_lowered_once_for_each_width),
        TEST(layers_of_mobilenetv3_follow_depth_and_resolution),
        TEST(spaces_without_parts_are_lowered_whole),
        TEST(slots_of_the_space_and_empty_stages_tell_parts_apart),
        TEST(a_failed_allocation_leaves_nothing),
    };
    return cmocka_run_group_tests_name("spaces/parts", tests, NULL, NULL);
}
