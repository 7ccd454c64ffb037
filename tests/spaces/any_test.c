/* SPDX-License-Identifier: Apache-2.0 */

/* What holds for every space: built in, or a user's (tests/spaces/user). */

#include "tests/spaces/support.h"

enum {
    N_SAMPLES = 300,
    MAX_NEIGHBOURS = 1024
};

static const char *const names[] = {
    "spaces/nasbench201",
    "spaces/fbnet",
    "spaces/mobilenetv3",
    "spaces/mnasnet",
    "spaces/mobilenet-zoo",
    "spaces/bitfusion-layers",
    "tests/spaces/user/tiny-cell",
    "tests/spaces/user/tiny-chain",
    "tests/spaces/user/tiny-staged",
    "tests/spaces/user/tiny-list",
};

typedef void space_fn(tl_space *space, tl_rng *rng);

static void for_each_space(space_fn *check)
{
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (size_t i = 0; i < TL_COUNT(names); i++) {
        char path[512];
        tl_space *space = NULL;
        (void)snprintf(path, sizeof path, "%s/%s.yaml", tl_test_source_dir(), names[i]);
        assert_ok(tl_space_load(path, &space));
        check(space, &rng);
        tl_space_unref(space);
    }
}

/* What moves about a space, with bits free and without. */
typedef void moving_fn(const tl_space *space, tl_freedom freedom, tl_rng *rng);

static moving_fn *moving;

static void move_freely(tl_space *space, tl_rng *rng)
{
    for (int f = 0; f < TL_N_FREEDOMS; f++) {
        moving(space, (tl_freedom)f, rng);
    }
}

static void for_each_freedom(moving_fn *check)
{
    moving = check;
    for_each_space(move_freely);
}

static size_t design_bytes(const tl_space *space)
{
    return (size_t)tl_space_n_slots(space) * sizeof(tl_choice);
}

static int n_different(const tl_space *space, const tl_choice *a, const tl_choice *b)
{
    int n = 0;
    for (int i = 0; i < tl_space_n_slots(space); i++) {
        n += a[i] != b[i];
    }
    return n;
}

static void check_samples(const tl_space *space, tl_freedom freedom, tl_rng *rng)
{
    tl_network network = {0};
    tl_text text = {0};
    for (int i = 0; i < N_SAMPLES; i++) {
        tl_choice design[TL_SPACE_MAX_SLOTS];
        tl_choice again[TL_SPACE_MAX_SLOTS];
        tl_space_sample_with(space, freedom, rng, design);
        assert_ok(tl_space_check(space, design));
        tl_text_clear(&text);
        tl_space_design_print(space, design, &text);
        assert_ok(tl_space_design_parse(space, text.data, again));
        assert_memory_equal(design, again, design_bytes(space));
        tl_space_normalize(space, again);
        assert_memory_equal(design, again, design_bytes(space));
        assert_ok(tl_space_lower(space, design, &network));
        assert_well_formed(&network);
    }
    tl_text_done(&text);
    tl_network_done(&network);
}

static void samples_are_valid_print_back_and_lower(void **state)
{
    (void)state;
    for_each_freedom(check_samples);
}

static void check_mutations(const tl_space *space, tl_freedom freedom, tl_rng *rng)
{
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_choice before[TL_SPACE_MAX_SLOTS];
    tl_space_sample_with(space, freedom, rng, design);
    for (int i = 0; i < N_SAMPLES; i++) {
        memcpy(before, design, sizeof design);
        tl_space_mutate_with(space, freedom, rng, design);
        assert_ok(tl_space_check(space, design));
        assert_true(n_different(space, before, design) > 0);
    }
}

static void mutations_are_valid_and_change_the_design(void **state)
{
    (void)state;
    for_each_freedom(check_mutations);
}

static void check_neighbours(const tl_space *space, tl_freedom freedom, tl_rng *rng)
{
    int n_slots = tl_space_n_slots(space);
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_choice *found = tl_mem_new(MAX_NEIGHBOURS * (size_t)n_slots, sizeof *found);
    assert_non_null(found);
    for (int i = 0; i < 10; i++) {
        tl_space_sample_with(space, freedom, rng, design);
        int n = tl_space_neighbours_with(space, freedom, design, MAX_NEIGHBOURS, found);
        assert_int_equal(n, tl_space_neighbours_with(space, freedom, design, 0, NULL));
        assert_true(n > 0 && n <= MAX_NEIGHBOURS);
        for (int j = 0; j < n; j++) {
            assert_ok(tl_space_check(space, found + (ptrdiff_t)j * n_slots));
            assert_true(n_different(space, design, found + (ptrdiff_t)j * n_slots) > 0);
            for (int k = 0; k < j && n < 100; k++) {
                assert_true(
                    n_different(
                        space, found + (ptrdiff_t)k * n_slots, found + (ptrdiff_t)j * n_slots) >
                    0);
            }
        }
    }
    tl_mem_free(found);
}

static void neighbours_are_valid_and_different(void **state)
{
    (void)state;
    for_each_freedom(check_neighbours);
}

static void check_enumeration(const tl_space *space, tl_freedom freedom, tl_rng *rng)
{
    tl_choice *designs = NULL;
    int n_slots = tl_space_n_slots(space);
    int n = 0;
    (void)rng;
    if (tl_space_size_with(space, freedom) > 20000) {
        assert_err(TL_ELIMIT, tl_space_enumerate_with(space, freedom, 20000, &designs, &n));
        return;
    }
    assert_ok(tl_space_enumerate_with(space, freedom, 20000, &designs, &n));
    assert_close(n, tl_space_size_with(space, freedom), 0);
    for (int i = 0; i < n; i++) {
        assert_ok(tl_space_check(space, designs + (ptrdiff_t)i * n_slots));
        if (i > 0) {
            const tl_choice *a = designs + (ptrdiff_t)(i - 1) * n_slots;
            const tl_choice *b = a + n_slots;
            int first = 0;
            while (first < n_slots && a[first] == b[first]) {
                first++;
            }
            assert_true(first < n_slots && a[first] < b[first]);
        }
    }
    tl_mem_free(designs);
}

static void enumeration_is_complete_valid_and_in_order(void **state)
{
    (void)state;
    for_each_freedom(check_enumeration);
}

/*
 * Counting through the allowed options of each slot given those before counts every design:
 * the options that _allowed names are those that designs have, no more and no fewer.
 */
static double count_from(const tl_space *space, tl_freedom freedom, tl_choice *design, int slot)
{
    tl_choice allowed[TL_SPACE_MAX_OPTIONS];
    if (slot == tl_space_n_slots(space)) {
        assert_ok(tl_space_check(space, design));
        return 1;
    }
    double sum = 0;
    int n = tl_space_allowed(space, freedom, design, slot, allowed);
    for (int i = 0; i < n; i++) {
        assert_true(n == 1 || allowed[i] != TL_CHOICE_ABSENT);
        design[slot] = allowed[i];
        sum += count_from(space, freedom, design, slot + 1);
    }
    return sum;
}

static void check_allowed(const tl_space *space, tl_freedom freedom, tl_rng *rng)
{
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_choice allowed[TL_SPACE_MAX_OPTIONS];
    for (int i = 0; i < 20; i++) {
        tl_space_sample_with(space, freedom, rng, design);
        for (int slot = 0; slot < tl_space_n_slots(space); slot++) {
            int n = tl_space_allowed(space, freedom, design, slot, allowed);
            bool is_there = false;
            for (int j = 0; j < n; j++) {
                is_there = is_there || allowed[j] == design[slot];
            }
            assert_true(is_there);
        }
    }
    double size = tl_space_size_with(space, freedom);
    if (size <= 20000) {
        assert_close(count_from(space, freedom, design, 0), size, 0);
    }
}

static void allowed_options_are_those_that_designs_have(void **state)
{
    (void)state;
    for_each_freedom(check_allowed);
}

static void check_onehot(tl_space *space, tl_rng *rng)
{
    int width = tl_space_onehot_width(space);
    double *row = tl_mem_new((size_t)width, sizeof *row);
    assert_non_null(row);
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_space_sample(space, rng, design);
    tl_space_onehot(space, design, row);
    int at = 0;
    for (int i = 0; i < tl_space_n_slots(space); i++) {
        const tl_slot *slot = tl_space_slot(space, i);
        for (int j = 0; !slot->is_optional && j < slot->n_options; j++) {
            assert_close(row[at++], design[i] == j, 0);
        }
    }
    assert_int_equal(at, width);
    tl_mem_free(row);
}

static void onehot_rows_mark_the_choices(void **state)
{
    (void)state;
    for_each_space(check_onehot);
}

/* Reading a space with the k-th allocation failing, for every k, loses nothing. */
static void check_parse_torture(tl_space *space, tl_rng *rng)
{
    (void)rng;
    const char *yaml = tl_space_yaml(space);
    tl_space *again = NULL;
    tl_err err = TL_ENOMEM;
    long before = tl_mem_live();
    int step = strlen(yaml) > 4000 ? 37 : 1; /* the long files: a sample of the failures */
    for (long k = 1; err != TL_OK; k += step) {
        assert_true(k < 100000);
        tl_mem_fail_at(k);
        err = tl_space_parse(yaml, strlen(yaml), "torture", &again);
        tl_mem_fail_at(0);
        if (err != TL_OK) {
            assert_int_equal(err, TL_ENOMEM);
            assert_int_equal(tl_mem_live(), before);
        }
    }
    assert_string_equal(tl_space_digest(again), tl_space_digest(space));
    tl_space_unref(again);
}

static void parsing_survives_the_failure_of_any_allocation(void **state)
{
    (void)state;
    for_each_space(check_parse_torture);
}

static void check_lower_torture(tl_space *space, tl_rng *rng)
{
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_space_sample(space, rng, design);
    tl_err err = TL_ENOMEM;
    for (long k = 1; err != TL_OK; k++) {
        tl_network network = {0};
        tl_mem_fail_at(k);
        err = tl_space_lower(space, design, &network);
        tl_mem_fail_at(0);
        assert_true(err == TL_OK || err == TL_ENOMEM);
        assert_true(err == TL_OK || network.n_ops == 0);
        tl_network_done(&network);
    }
    tl_text text = {0};
    tl_mem_fail_at(1);
    tl_space_canonical(space, design, &text);
    tl_mem_fail_at(0);
    assert_err(TL_ENOMEM, tl_text_err(&text));
    tl_text_done(&text);
}

static void lowering_survives_the_failure_of_any_allocation(void **state)
{
    (void)state;
    for_each_space(check_lower_torture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(samples_are_valid_print_back_and_lower),
        TEST(mutations_are_valid_and_change_the_design),
        TEST(neighbours_are_valid_and_different),
        TEST(enumeration_is_complete_valid_and_in_order),
        TEST(allowed_options_are_those_that_designs_have),
        TEST(onehot_rows_mark_the_choices),
        TEST(parsing_survives_the_failure_of_any_allocation),
        TEST(lowering_survives_the_failure_of_any_allocation),
    };
    return cmocka_run_group_tests_name("spaces/any", tests, NULL, NULL);
}
