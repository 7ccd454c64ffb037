/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/predictors/synthetic.h"

#include "numerics/stats.h"

enum {
    MAX_WIDTH = 512,
    MAX_PAIR_WIDTH = 400,
};

static const char *const space_names[] = {"nasbench201", "fbnet",         "mobilenetv3",
                                          "mnasnet",     "mobilenet-zoo", "bitfusion-layers"};

static const char small_cell[] =
    "name: tiny\n"
    "kind: cell\n"
    "input: {channels: 3, size: 8}\n"
    "stem:\n"
    "  - {op: conv, out: 4, kernel: 3}\n"
    "stages:\n"
    "  - {channels: 4, blocks: 1}\n"
    "head:\n"
    "  - {op: pool_global}\n"
    "  - {op: dense, out: 2}\n"
    "cell:\n"
    "  nodes: 3\n"
    "  edges:\n"
    "    - {slot: a, from: 0, to: 1}\n"
    "    - {slot: b, from: 0, to: 2}\n"
    "    - {slot: c, from: 1, to: 2}\n"
    "options:\n"
    "  - {name: cut, ops: [{op: none}]}\n"
    "  - {name: pass, ops: [{op: skip}]}\n"
    "  - {name: conv5, ops: [{op: conv, out: out, kernel: 5, pre_act: "
    "relu}]}\n";

static void encode_reference(
    const tl_features *features, tl_dmat *out_head, tl_dmat *out_source)
{
    int n;
    const tl_choice *designs = tl_features_reference(features, &n);
    assert_ok(tl_dmat_init(out_head, n, tl_features_n_head(features)));
    assert_ok(tl_dmat_init(out_source, n, tl_features_n_source(features)));
    assert_ok(tl_features_encode(features, designs, n, *out_head, *out_source));
}

/* Columns are centred and, in a unit group, of one variance; returns its sum over [begin, end). */
static double check_columns(tl_dmat rows, int begin, int end, bool is_unit)
{
    double total = 0;
    double first = 0;
    double *column = tl_mem_new((size_t)rows.rows, sizeof *column);
    assert_non_null(column);
    for (int j = begin; j < end; j++) {
        for (int i = 0; i < rows.rows; i++) {
            column[i] = tl_dmat_row(rows, i)[j];
        }
        double sd = tl_sd(rows.rows, column);
        assert_close(tl_mean(rows.rows, column), 0, 1e-9);
        first = j == begin ? sd : first;
        if (is_unit && sd > 0) { /* 0: weight bits, absent in the reference */
            assert_close(sd, first, 1e-9);
        }
        total += sd * sd;
    }
    tl_mem_free(column);
    return total;
}

static void check_space(const tl_space *space)
{
    tl_features *features = NULL;
    tl_dmat head;
    tl_dmat source;
    assert_ok(tl_features_new(space, &features));
    encode_reference(features, &head, &source);
    assert_in_range(head.cols, 1, MAX_WIDTH);
    assert_in_range(source.cols, head.cols, MAX_WIDTH + MAX_PAIR_WIDTH);
    for (int i = 0; i < head.rows; i += 97) {
        assert_memory_equal(
            tl_dmat_row(head, i), tl_dmat_row(source, i), (size_t)head.cols * sizeof(double));
    }
    int begin = 0;
    for (int g = 0; g < tl_features_n_groups(features); g++) {
        const tl_feature_group *group = tl_features_group(features, g);
        bool is_unit = strncmp(group->name, "hot", 3) != 0;
        assert_int_equal(group->begin, begin);
        assert_true(group->end > begin && group->centre > 0);
        assert_close(check_columns(head, group->begin, group->end, is_unit), 1, 1e-9);
        begin = group->end;
    }
    assert_int_equal(begin, head.cols);
    (void)check_columns(source, head.cols, source.cols, false);
    tl_dmat_done(&head);
    tl_dmat_done(&source);
    tl_features_free(features);
}

static void columns_of_every_space_are_centred_and_scaled(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_COUNT(space_names); i++) {
        tl_space *space = NULL;
        load_space(space_names[i], &space);
        check_space(space);
        tl_space_unref(space);
    }
}

static void a_cell_space_of_the_user_has_columns_too(void **state)
{
    (void)state;
    tl_space *space = NULL;
    assert_ok(tl_space_parse(small_cell, strlen(small_cell), "tiny.yaml", &space));
    check_space(space);
    tl_space_unref(space);
}

static void hypotheses_are_a_distribution_over_groups(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_COUNT(space_names); i++) {
        tl_space *space = NULL;
        tl_features *features = NULL;
        double prior = 0;
        load_space(space_names[i], &space);
        assert_ok(tl_features_new(space, &features));
        for (int h = 0; h < tl_features_n_hypotheses(features); h++) {
            const tl_hypothesis *hypothesis = tl_features_hypothesis(features, h);
            prior += hypothesis->prior;
            assert_int_equal(hypothesis->n_points % 8, 0);
            assert_true(hypothesis->n_terms > 0);
            for (int t = 0; t < hypothesis->n_terms; t++) {
                assert_in_range(hypothesis->group[t], 0, tl_features_n_groups(features) - 1);
            }
        }
        assert_close(prior, 1, 1e-12);
        tl_features_free(features);
        tl_space_unref(space);
    }
}

static void the_same_space_gives_the_same_columns(void **state)
{
    (void)state;
    enum {
        N = 20
    };
    tl_space *space = NULL;
    tl_features *first = NULL;
    tl_features *second = NULL;
    tl_choice designs[N * TL_SPACE_MAX_SLOTS];
    tl_dmat a;
    tl_dmat b;
    tl_rng rng;
    load_space("mnasnet", &space);
    assert_ok(tl_features_new(space, &first));
    assert_ok(tl_features_new(space, &second));
    tl_rng_init(&rng, tl_test_seed());
    for (int i = 0; i < N; i++) {
        tl_space_sample(space, &rng, designs + (ptrdiff_t)i * tl_space_n_slots(space));
    }
    assert_ok(tl_dmat_init(&a, N, tl_features_n_source(first)));
    assert_ok(tl_dmat_init(&b, N, tl_features_n_source(second)));
    assert_ok(tl_features_encode(first, designs, N, (tl_dmat){0}, a));
    assert_ok(tl_features_encode(second, designs, N, (tl_dmat){0}, b));
    for (int i = 0; i < N; i++) {
        assert_memory_equal(
            tl_dmat_row(a, i), tl_dmat_row(b, i), (size_t)a.cols * sizeof(double));
    }
    tl_dmat_done(&a);
    tl_dmat_done(&b);
    tl_features_free(first);
    tl_features_free(second);
    tl_space_unref(space);
}

/* How many entries of the head rows of two designs differ. */
static int count_differences(
    const tl_features *features, const tl_choice *a, const tl_choice *b)
{
    int n_different = 0;
    int n_head = tl_features_n_head(features);
    tl_dmat rows;
    assert_ok(tl_dmat_init(&rows, 2, n_head));
    assert_ok(tl_features_encode(features, a, 1, tl_dmat_rows(rows, 0, 1), (tl_dmat){0}));
    assert_ok(tl_features_encode(features, b, 1, tl_dmat_rows(rows, 1, 2), (tl_dmat){0}));
    for (int j = 0; j < n_head; j++) {
        n_different += tl_dmat_row(rows, 0)[j] != tl_dmat_row(rows, 1)[j];
    }
    tl_dmat_done(&rows);
    return n_different;
}

/* The edge e23 leaves a node that nothing reaches. */
#define CELL                                       \
    "e01=nor_conv_3x3,e02=none,e12=none,e03=none," \
    "e13=skip_connect,e23=nor_conv_3x3,"

static void narrow_weights_show_in_the_totals_of_the_masks_that_hold_the_edge(void **state)
{
    (void)state;
    tl_space *space = NULL;
    tl_features *features = NULL;
    tl_choice wide[TL_SPACE_MAX_SLOTS];
    tl_choice narrow[TL_SPACE_MAX_SLOTS];
    load_space("nasbench201", &space);
    assert_ok(tl_features_new(space, &features));
    assert_ok(tl_space_design_parse(space, CELL "w01=8,w23=8", wide));
    assert_ok(tl_space_design_parse(space, CELL "w01=4,w23=8", narrow));
    assert_int_equal(count_differences(features, wide, narrow), 5); /* A N L T R */
    assert_ok(tl_space_design_parse(space, CELL "w01=8,w23=4", narrow));
    assert_int_equal(count_differences(features, wide, narrow), 3); /* A N T */
    tl_features_free(features);
    tl_space_unref(space);
}

static void lack_of_memory_is_survived(void **state)
{
    (void)state;
    tl_space *space = NULL;
    tl_features *features = NULL;
    tl_err err = TL_ENOMEM;
    assert_ok(tl_space_parse(small_cell, strlen(small_cell), "tiny.yaml", &space));
    for (long k = 1; err != TL_OK; k++) {
        long live = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_features_new(space, &features);
        tl_mem_fail_at(0);
        if (err != TL_OK) {
            assert_err(TL_ENOMEM, err);
            assert_int_equal(tl_mem_live(), live);
            assert_null(features);
        }
    }
    tl_features_free(features);
    tl_space_unref(space);
}

static void lack_of_memory_is_survived_by_spaces_of_blocks(void **state)
{
    (void)state;
    enum {
        N = 6
    };
    tl_space *space = NULL;
    tl_features *features = NULL;
    tl_choice designs[N * TL_SPACE_MAX_SLOTS];
    tl_rng rng;
    tl_err err = TL_ENOMEM;
    load_space("bitfusion-layers", &space);
    tl_rng_init(&rng, 3);
    for (int i = 0; i < N; i++) {
        tl_space_sample(space, &rng, designs + (ptrdiff_t)i * tl_space_n_slots(space));
    }
    for (long k = 1; err != TL_OK; k++) {
        long live = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_features_new_from(space, designs, N, &features);
        tl_mem_fail_at(0);
        if (err != TL_OK) {
            assert_err(TL_ENOMEM, err);
            assert_int_equal(tl_mem_live(), live);
        }
    }
    tl_features_free(features);
    tl_space_unref(space);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(columns_of_every_space_are_centred_and_scaled),
        TEST(a_cell_space_of_the_user_has_columns_too),
        TEST(hypotheses_are_a_distribution_over_groups),
        TEST(the_same_space_gives_the_same_columns),
        TEST(narrow_weights_show_in_the_totals_of_the_masks_that_hold_the_edge),
        TEST(lack_of_memory_is_survived),
        TEST(lack_of_memory_is_survived_by_spaces_of_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
