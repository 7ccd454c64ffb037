/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/spaces/support.h"

#include "base/clock.h"
#include "base/units.h"

#include <stdlib.h>

enum {
    N_EDGES = 6,
    N_CELLS = 15625
};

static const int FROM[N_EDGES] = {0, 0, 1, 0, 1, 2};
static const int TO[N_EDGES] = {1, 2, 2, 3, 3, 3};

static tl_space *space;

static int load(void **state)
{
    (void)state;
    space = built_in("nasbench201");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    tl_space_unref(space);
    return 0;
}

/* e01..e23 as digits, no weight bits. */
static void design_of(const char *digits, tl_choice *design)
{
    for (int i = 0; i < N_EDGES; i++) {
        design[i] = (tl_choice)(digits[i] - '0');
        design[N_EDGES + i] = TL_CHOICE_ABSENT;
    }
}

static void its_slots_are_those_of_the_tables(void **state)
{
    static const char *const names[] = {"e01", "e02", "e12", "e03", "e13", "e23",
                                        "w01", "w02", "w12", "w03", "w13", "w23"};
    (void)state;
    assert_int_equal(tl_space_n_slots(space), TL_COUNT(names));
    for (int i = 0; i < (int)TL_COUNT(names); i++) {
        assert_string_equal(tl_space_slot(space, i)->name, names[i]);
        assert_int_equal(tl_space_slot(space, i)->is_optional, i >= N_EDGES);
    }
    assert_close(tl_space_size(space), N_CELLS, 0);
    assert_int_equal(tl_space_onehot_width(space), 30);
    const tl_cell *cell = tl_space_cell(space);
    assert_int_equal(cell->n_nodes, 4);
    assert_int_equal(cell->options[3].op, TL_EDGE_CONV);
    assert_int_equal(cell->options[3].kernel, 3);
    assert_int_equal(cell->options[4].op, TL_EDGE_POOL);
    assert_int_equal(cell->bits_slot[2], 8);
}

static void totals_are_the_published_ones(void **state)
{
    /* Parameters and MACs of cells, as the NAS-Bench-201 API gives them. */
    static const struct {
        const char *digits;
        double params_m, macs_m;
    } known[] = {
        {"000000", 0.073306, 7.78305  },
        {"333333", 1.531546, 220.11969},
        {"111111", 0.073306, 7.78305  },
        {"222222", 0.241306, 31.37601 },
    };
    (void)state;
    tl_network network = {0};
    for (size_t i = 0; i < TL_COUNT(known); i++) {
        tl_choice design[TL_SPACE_MAX_SLOTS];
        design_of(known[i].digits, design);
        assert_ok(tl_space_lower(space, design, &network));
        assert_well_formed(&network);
        assert_close((double)tl_network_params(&network) / 1e6, known[i].params_m, 1e-9);
        assert_close((double)tl_network_macs(&network) / 1e6, known[i].macs_m, 1e-2);
    }
    tl_network_done(&network);
}

static void designs_come_in_lexicographic_order(void **state)
{
    (void)state;
    tl_choice *designs = NULL;
    int n = 0;
    assert_ok(tl_space_enumerate(space, N_CELLS, &designs, &n));
    assert_int_equal(n, N_CELLS);
    for (int i = 0; i < n; i++) {
        int rest = i;
        for (int j = N_EDGES - 1; j >= 0; j--, rest /= 5) {
            assert_int_equal(designs[i * 12 + j], rest % 5);
            assert_int_equal(designs[i * 12 + 6 + j], TL_CHOICE_ABSENT);
        }
    }
    tl_mem_free(designs);
    assert_err(TL_ELIMIT, tl_space_enumerate(space, N_CELLS - 1, &designs, &n));
}

/* ---- liveness against a search of all paths ---------------------------------------------- */

/* Some path of edges other than none leads from node a to node b. */
static bool has_path(const tl_choice *design, int a, int b)
{
    if (a == b) {
        return true;
    }
    for (int i = 0; i < N_EDGES; i++) {
        if (FROM[i] == a && design[i] != 0 && has_path(design, TO[i], b)) {
            return true;
        }
    }
    return false;
}

static void masks_agree_with_a_search_of_all_paths(void **state)
{
    (void)state;
    tl_choice *designs = NULL;
    int n = 0;
    assert_ok(tl_space_enumerate(space, N_CELLS, &designs, &n));
    for (int i = 0; i < n; i++) {
        const tl_choice *design = designs + (ptrdiff_t)i * 12;
        uint32_t reached = 0;
        uint32_t needed = 0;
        tl_cell_masks(tl_space_cell(space), design, &reached, &needed);
        for (int e = 0; e < N_EDGES; e++) {
            bool is_there = design[e] != 0;
            assert_int_equal(reached >> e & 1U, is_there && has_path(design, 0, FROM[e]));
            assert_int_equal(needed >> e & 1U, is_there && has_path(design, TO[e], 3));
        }
    }
    tl_mem_free(designs);
}

/* ---- canonical forms against functions evaluated on numbers --------------------------------- */

/*
 * The function of a cell on one number: every operator is a strange function of
 * its own, so two cells agree on it only when they compute the same thing.
 */
static uint64_t mix(uint64_t x, uint64_t salt)
{
    x = (x ^ salt) * 0x9e3779b97f4a7c15U;
    x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9U;
    return x ^ x >> 32;
}

static uint64_t function_of(const tl_choice *design, uint64_t x)
{
    uint64_t node[4] = {x, 0, 0, 0};
    bool is_reached[4] = {true, false, false, false};
    for (int v = 1; v < 4; v++) {
        for (int i = 0; i < N_EDGES; i++) {
            if (TO[i] == v && design[i] != 0 && is_reached[FROM[i]]) {
                uint64_t from = node[FROM[i]];
                node[v] += design[i] == 1 ? from : mix(from, design[i]);
                is_reached[v] = true;
            }
        }
    }
    return is_reached[3] ? node[3] : 0;
}

typedef struct form {
    uint64_t value;
    char *text;
} form;

static int by_value(const void *a, const void *b)
{
    const form *left = a;
    const form *right = b;
    return left->value < right->value ? -1 : left->value > right->value;
}

static int by_form_text(const void *a, const void *b)
{
    const form *left = a;
    const form *right = b;
    return strcmp(left->text, right->text);
}

static void canonical_texts_agree_exactly_where_functions_do(void **state)
{
    (void)state;
    tl_choice *designs = NULL;
    int n = 0;
    assert_ok(tl_space_enumerate(space, N_CELLS, &designs, &n));
    form *forms = tl_mem_new((size_t)n, sizeof *forms);
    assert_non_null(forms);
    tl_text text = {0};
    for (int i = 0; i < n; i++) {
        tl_text_clear(&text);
        tl_space_canonical(space, designs + (ptrdiff_t)i * 12, &text);
        forms[i].value = function_of(designs + (ptrdiff_t)i * 12, 0x123456789abcdefU);
        forms[i].text = tl_mem_strdup(text.data);
    }
    qsort(forms, (size_t)n, sizeof *forms, by_value);
    int n_values = 1;
    for (int i = 1; i < n; i++) {
        bool is_same = forms[i - 1].value == forms[i].value;
        assert_int_equal(is_same, strcmp(forms[i - 1].text, forms[i].text) == 0);
        n_values += !is_same;
    }
    qsort(forms, (size_t)n, sizeof *forms, by_form_text);
    int n_texts = 1;
    for (int i = 1; i < n; i++) {
        n_texts += strcmp(forms[i - 1].text, forms[i].text) != 0;
    }
    assert_int_equal(n_texts, n_values);
    /* Fewer than the 6,466 of the paper, which tells a sum of sums from the flat sum. */
    assert_int_equal(n_texts, 4930);
    for (int i = 0; i < n; i++) {
        tl_mem_free(forms[i].text);
    }
    tl_mem_free(forms);
    tl_mem_free(designs);
    tl_text_done(&text);
}

static void canonical_texts_are_readable_and_tell_bits_apart(void **state)
{
    (void)state;
    static const struct {
        const char *design, *text;
    } known[] = {
        {"e01=none,e02=none,e12=none,e03=none,e13=none,e23=none",                                 "0"},
        {"e01=nor_conv_3x3,e02=none,e12=skip_connect,e03=skip_connect,e13=none,e23=avg_pool_3x3",
         "avg_pool_3x3(nor_conv_3x3(x)) + x"                                                         },
        {"e01=nor_conv_3x3,e02=none,e12=none,e03=skip_connect,e13=skip_connect,e23=none,w01=4",
         "nor_conv_3x3:4(x) + x"                                                                     },
    };
    tl_text text = {0};
    for (size_t i = 0; i < TL_COUNT(known); i++) {
        tl_choice design[TL_SPACE_MAX_SLOTS];
        assert_ok(tl_space_design_parse(space, known[i].design, design));
        tl_text_clear(&text);
        tl_space_canonical(space, design, &text);
        assert_string_equal(text.data, known[i].text);
        tl_text_clear(&text);
        tl_space_design_print(space, design, &text);
        assert_string_equal(text.data, known[i].design);
    }
    tl_text_done(&text);
}

/* ---- lowering ---------------------------------------------------------------------------------- */

static void every_cell_lowers_to_its_edges_and_sums(void **state)
{
    (void)state;
    tl_choice *designs = NULL;
    tl_network network = {0};
    int n = 0;
    assert_ok(tl_space_enumerate(space, N_CELLS, &designs, &n));
    for (int i = 0; i < n; i += 7) {
        const tl_choice *design = designs + (ptrdiff_t)i * 12;
        int n_emitted = 0;
        int n_in[4] = {0};
        int n_adds = 0;
        for (int e = 0; e < N_EDGES; e++) {
            n_emitted += design[e] >= 2;
            n_in[TO[e]] += design[e] != 0;
        }
        for (int v = 1; v < 4; v++) {
            n_adds += n_in[v] > 1;
        }
        assert_ok(tl_space_lower(space, design, &network));
        assert_well_formed(&network);
        int n_chosen = 0;
        int n_sums = 0;
        for (int j = 0; j < network.n_ops; j++) {
            n_chosen += network.ops[j].slot >= 0;
            n_sums += network.ops[j].kind == TL_OP_ADD && network.ops[j].stage >= 0;
        }
        assert_int_equal(n_chosen, 15 * n_emitted);
        assert_int_equal(n_sums, 15 * n_adds);
        assert_int_equal(network.ops[network.n_ops - 1].is_reached, has_path(design, 0, 3));
    }
    tl_mem_free(designs);
    tl_network_done(&network);
}

static void cut_edges_are_emitted_with_their_flags(void **state)
{
    (void)state;
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_network network = {0};
    /* e03 alone carries; e12 reads zeros and e01 leads nowhere. */
    assert_ok(tl_space_design_parse(
        space, "e01=none,e02=nor_conv_1x1,e12=nor_conv_3x3,e03=nor_conv_3x3,e13=none,e23=none",
        design));
    assert_ok(tl_space_lower(space, design, &network));
    int n_zeros = 0;
    for (int i = 0; i < network.n_ops; i++) {
        const tl_op *op = &network.ops[i];
        n_zeros += op->kind == TL_OP_ZERO;
        if (op->slot == 1) {
            assert_true(op->is_reached && !op->is_needed);
        } else if (op->slot == 2) {
            assert_true(!op->is_reached && !op->is_needed);
        } else if (op->slot == 3) {
            assert_true(op->is_reached && op->is_needed);
            assert_int_equal(op->pre_act, TL_ACT_RELU);
            assert_true(op->has_norm);
        }
    }
    assert_int_equal(n_zeros, 15);
    tl_network_done(&network);
}

static void weight_bits_reach_the_convolutions(void **state)
{
    (void)state;
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_network network = {0};
    assert_ok(tl_space_design_parse(
        space,
        "e01=nor_conv_3x3,e02=none,e12=skip_connect,e03=nor_conv_1x1,e13=none,e23=avg_pool_3x3,"
        "w01=2,w03=8",
        design));
    assert_int_equal(tl_cell_edge_bits(space, design, 0), 2);
    assert_int_equal(tl_cell_edge_bits(space, design, 1), 0);
    assert_ok(tl_space_lower(space, design, &network));
    for (int i = 0; i < network.n_ops; i++) {
        const tl_op *op = &network.ops[i];
        bool is_quantized = op->kind == TL_OP_CONV && op->slot >= 0;
        assert_int_equal(op->w_bits, !is_quantized ? 32 : op->slot == 0 ? 2 : 8);
        assert_int_equal(op->a_bits, is_quantized ? 8 : 32);
    }
    tl_network_done(&network);
}

static void bits_stand_at_all_convolutions_or_at_none(void **state)
{
    (void)state;
    static const struct {
        const char *design, *detail;
    } wrong[] = {
        {"e01=nor_conv_3x3,e02=none,e12=none,e03=nor_conv_1x1,e13=none,e23=none,w01=2",
         "w03: got \"-\""                                                                                      },
        {"e01=nor_conv_3x3,e02=none,e12=none,e03=none,e13=none,e23=none,w01=2,w02=4",
         "w02: got \"4\", want - because e02 is no convolution"                                                },
        {"e01=nor_conv_3x3,e02=none,e12=none,e03=none,e13=none,e23=none,w01=3",
         "w01: got \"3\", want one of 2, 4, 8 or -"                                                            },
        {"e01=none,e02=none,e12=conv5,e03=none,e13=none,e23=none",
         "e12: got \"conv5\", want one of none, skip_connect, nor_conv_1x1"                                    },
        {"e01=none,e02=none,e12=none,e03=none,e13=none",                                "e23: got nothing"     },
        {"e01=none,e02=none,e12=none,e03=none,e13=-,e23=none",                          "e13: got \"-\""       },
        {"e01=none,e02=none,e12=none,e03=none,e13=none,e32=none",                       "did you mean \"e02\"?"},
        {"e01=none,e01=none",                                                           "e01: is there twice"  },
        {"e01",                                                                         "want slot=option"     },
        {"",                                                                            "e01: got nothing"     },
    };
    for (size_t i = 0; i < TL_COUNT(wrong); i++) {
        tl_choice design[TL_SPACE_MAX_SLOTS];
        assert_err(TL_EINVAL, tl_space_design_parse(space, wrong[i].design, design));
        assert_detail(wrong[i].detail);
    }
}

static int n_bits(const tl_choice *design)
{
    int n = 0;
    for (int i = 0; i < N_EDGES; i++) {
        n += design[N_EDGES + i] != TL_CHOICE_ABSENT;
    }
    return n;
}

static void bits_follow_the_convolutions_when_a_design_moves(void **state)
{
    (void)state;
    tl_rng rng;
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_choice found[64 * 12];
    tl_rng_init(&rng, tl_test_seed());
    for (int i = 0; i < 500; i++) {
        if (i % 50 == 0) {
            assert_ok(tl_space_design_parse(
                space,
                "e01=nor_conv_3x3,e02=nor_conv_1x1,e12=none,e03=skip_connect,e13=none,"
                "e23=nor_conv_3x3,w01=2,w02=8,w23=4",
                design));
        }
        int n = tl_space_neighbours(space, design, 64, found);
        int bits = n_bits(design);
        assert_int_equal(n, 6 * 4 + 2 * bits);
        for (int j = 0; j < n; j++) {
            assert_ok(tl_space_check(space, found + (ptrdiff_t)j * 12));
            assert_in_range(
                n_bits(found + (ptrdiff_t)j * 12), bits > 0 ? bits - 1 : 0,
                bits > 0 ? bits + 1 : 0);
        }
        tl_space_mutate(space, &rng, design);
        assert_ok(tl_space_check(space, design));
    }
}

static void free_bits_stand_at_every_convolution(void **state)
{
    (void)state;
    tl_rng rng;
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_choice before[TL_SPACE_MAX_SLOTS];
    tl_choice found[64 * 12];
    tl_rng_init(&rng, tl_test_seed());
    assert_close(tl_space_size_with(space, TL_FREE_BITS), 531441, 0); /* (3 + 2 x 3)^6 */
    tl_space_sample_with(space, TL_FREE_BITS, &rng, design);
    for (int i = 0; i < 500; i++) {
        int n_convs = 0;
        for (int e = 0; e < N_EDGES; e++) {
            const char *name = tl_space_choice_name(space, e, design[e]);
            n_convs += strncmp(name, "nor_conv", 8) == 0;
        }
        assert_int_equal(n_bits(design), n_convs);
        /* another operator, in each width where it is a convolution; another width */
        int n = tl_space_neighbours_with(space, TL_FREE_BITS, design, 64, found);
        assert_int_equal(n, (N_EDGES - n_convs) * (2 + 2 * 3) + n_convs * (4 + 2));
        memcpy(before, design, sizeof before);
        tl_space_mutate_with(space, TL_FREE_BITS, &rng, design);
        assert_ok(tl_space_check(space, design));
        assert_memory_not_equal(before, design, 12 * sizeof *design);
    }
}

static void lowering_is_fast_and_takes_no_memory_once_warm(void **state)
{
    (void)state;
    tl_network network = {0};
    tl_choice design[TL_SPACE_MAX_SLOTS];
    design_of("333333", design);
    assert_ok(tl_space_lower(space, design, &network));
    tl_mem_fail_at(1); /* the first allocation would fail */
    int64_t start = tl_clock_ns();
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(tl_space_lower(space, design, &network), TL_OK);
    }
    double us = (double)(tl_clock_ns() - start) / 1e3 / 1000;
    tl_mem_fail_at(0);
    (void)printf("lowering a full cell: %.2f us, %d operators\n", us, network.n_ops);
    tl_network_done(&network);
}

/* ---- the tables -------------------------------------------------------------------------------- */

static void lower_row(void *context, const tl_choice *design, const double *values, long line)
{
    tl_network *network = context;
    (void)values;
    (void)line;
    assert_ok(tl_space_lower(space, design, network));
}

static void every_row_of_the_tables_parses_and_lowers(void **state)
{
    static const struct {
        const char *file;
        int n_rows;
    } tables[] = {
        {"nasbench201.csv",        N_CELLS},
        {"nasbench201-qat50.csv",  10713  },
        {"nasbench201-qat150.csv", 2725   },
        {"nasbench201-int8.csv",   11722  },
        {"nasbench201-analog.csv", 4658   },
    };
    (void)state;
    if (tl_test_data_dir() == NULL) {
        skip();
    }
    tl_network network = {0};
    for (size_t i = 0; i < TL_COUNT(tables); i++) {
        assert_int_equal(
            read_table(space, tables[i].file, NULL, 0, lower_row, &network), tables[i].n_rows);
    }
    tl_network_done(&network);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(its_slots_are_those_of_the_tables),
        TEST(totals_are_the_published_ones),
        TEST(designs_come_in_lexicographic_order),
        TEST(masks_agree_with_a_search_of_all_paths),
        TEST(canonical_texts_agree_exactly_where_functions_do),
        TEST(canonical_texts_are_readable_and_tell_bits_apart),
        TEST(every_cell_lowers_to_its_edges_and_sums),
        TEST(cut_edges_are_emitted_with_their_flags),
        TEST(weight_bits_reach_the_convolutions),
        TEST(bits_stand_at_all_convolutions_or_at_none),
        TEST(bits_follow_the_convolutions_when_a_design_moves),
        TEST(free_bits_stand_at_every_convolution),
        TEST(lowering_is_fast_and_takes_no_memory_once_warm),
        TEST(every_row_of_the_tables_parses_and_lowers),
    };
    return cmocka_run_group_tests_name("spaces/nasbench201", tests, load, unload);
}
