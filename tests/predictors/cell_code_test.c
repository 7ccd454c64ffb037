/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"
#include "tests/support/torture.h"

#include "base/mem.h"
#include "numerics/rng.h"
#include "predictors/cell_code.h"

#include <stdio.h>
#include <string.h>

enum {
    N_CELLS = 512,
    N_EDGES = 6,
    N_OPTIONS = 5,
    /* Of nasbench201: options in the order of its file, edges by from and to. */
    NONE = 0,
    SKIP = 1,
    CONV1 = 2,
    CONV3 = 3,
    E01 = 0,
    E02,
    E12,
    E03,
    E13,
    E23
};

/* tl_space_cell() and with it the code borrow from the space. */
typedef struct cells {
    tl_space *space;
    tl_cell_code code;
    tl_choice *designs; /* [N_CELLS, n_slots] */
    int n_slots;
} cells;

static void load(const char *path, tl_space **out_space)
{
    char name[512];
    (void)snprintf(name, sizeof name, "%s/%s", tl_test_source_dir(), path);
    assert_ok(tl_space_load(name, out_space));
}

static void cells_init(cells *c)
{
    tl_rng rng;
    *c = (cells){0};
    tl_rng_init(&rng, tl_test_seed());
    load("spaces/nasbench201.yaml", &c->space);
    assert_true(tl_cell_code_init(c->space, &c->code));
    c->n_slots = tl_space_n_slots(c->space);
    size_t n = (size_t)N_CELLS * (size_t)c->n_slots;
    c->designs = tl_mem_new(n, sizeof *c->designs);
    assert_non_null(c->designs);
    for (size_t i = 0; i < n; i++) {
        bool is_edge = i % (size_t)c->n_slots < N_EDGES;
        c->designs[i] = is_edge ? (tl_choice)tl_rng_below(&rng, N_OPTIONS) : TL_CHOICE_ABSENT;
    }
}

static void cells_done(cells *c)
{
    tl_mem_free(c->designs);
    tl_space_unref(c->space);
}

/* For n designs: with a table of which edges live, or without. */
static void assert_reads_as_encoded(const cells *c, int n, bool has_table)
{
    float numbers[N_EDGES + TL_CELL_PATH_COUNTS];
    tl_cell_reader reader;
    assert_ok(tl_cell_reader_init(&c->code, c->space, n, &reader));
    assert_int_equal(reader.live_of != NULL, has_table);
    for (int i = 0; i < 2 * N_CELLS; i++) { /* twice: looked up by then */
        const tl_choice *design = c->designs + (ptrdiff_t)(i % N_CELLS) * c->n_slots;
        int8_t wanted[N_EDGES];
        int8_t codes[N_EDGES];
        bool is_live = tl_cell_code_encode(&c->code, c->space, design, wanted, numbers);
        assert_int_equal(tl_cell_reader_codes(&reader, design, codes), is_live);
        assert_memory_equal(codes, wanted, sizeof codes);
    }
    tl_cell_reader_done(&reader);
}

static void codes_read_with_a_table_and_without_are_those_that_are_encoded(void **state)
{
    (void)state;
    cells c;
    cells_init(&c);
    assert_reads_as_encoded(&c, N_CELLS, true);
    assert_reads_as_encoded(&c, 1, false);
    cells_done(&c);
}

static void edges_off_every_path_are_cut(void **state)
{
    (void)state;
    cells c;
    int8_t codes[N_EDGES];
    cells_init(&c);
    tl_cell_reader reader;
    assert_ok(tl_cell_reader_init(&c.code, c.space, N_CELLS, &reader));
    tl_choice *design = c.designs;
    memset(design, NONE, N_EDGES * sizeof *design);
    assert_false(tl_cell_reader_codes(&reader, design, codes));
    design[E01] = SKIP;  /* leads to node 1, from which nothing goes on */
    design[E23] = CONV3; /* and this one comes from node 2, to which nothing leads */
    assert_false(tl_cell_reader_codes(&reader, design, codes));
    design[E12] = CONV1;
    assert_true(tl_cell_reader_codes(&reader, design, codes));
    assert_int_equal(codes[E01], 0);
    assert_int_equal(codes[E12], c.code.first_code[CONV1]);
    assert_int_equal(codes[E23], c.code.first_code[CONV3]);
    assert_int_equal(codes[E02], -1);
    assert_int_equal(codes[E03], -1);
    assert_int_equal(codes[E13], -1);
    tl_cell_reader_done(&reader);
    cells_done(&c);
}

static void other_spaces_have_no_codes(void **state)
{
    (void)state;
    tl_space *space = NULL;
    tl_cell_code code;
    load("tests/spaces/user/tiny-chain.yaml", &space);
    assert_false(tl_cell_code_init(space, &code));
    tl_space_unref(space);
}

static tl_err read_all(void *context)
{
    const cells *c = context;
    tl_cell_reader reader;
    TL_TRY(tl_cell_reader_init(&c->code, c->space, N_CELLS, &reader));
    tl_cell_reader_done(&reader);
    return TL_OK;
}

static void lack_of_memory_is_survived(void **state)
{
    (void)state;
    cells c;
    cells_init(&c);
    assert_true(tl_test_torture("cell codes", read_all, &c) > 0);
    cells_done(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(codes_read_with_a_table_and_without_are_those_that_are_encoded),
        TEST(edges_off_every_path_are_cut),
        TEST(other_spaces_have_no_codes),
        TEST(lack_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
