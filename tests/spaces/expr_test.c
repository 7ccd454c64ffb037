/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "spaces/expr.h"

#include <math.h>
#include <string.h>

static const char *const slots[] = {"width", "e"};
static const char *const stage_slots[] = {"depth"};

static const tl_scope scope = {
    .slots = slots, .n_slots = 2, .stage_slots = stage_slots, .n_stage_slots = 1};

static void expressions_have_their_value(void **state)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"7",                                   7  },
        {" 1.5e1 ",                             15 },
        {"1 + 2 * 3",                           7  },
        {"(1 + 2) * 3",                         9  },
        {"2 - 3 - 4",                           -5 },
        {"12 / 4 / 3",                          1  },
        {"-2 * -3",                             6  },
        {"17 % 5",                              2  },
        {"1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3",  1  },
        {"1 == 2 || 1 != 2",                    1  },
        {"!0 + !5",                             1  },
        {"1 || 0 && 0",                         1  },
        {"floor(2.7) + ceil(2.2) + round(2.5)", 8  },
        {"min(3, 4) + max(3, 4)",               7  },
        {"div8(1)",                             8  },
        {"div8(36)",                            40 },
        {"div8(35)",                            32 },
        {"div8(11)",                            16 }, /* 8 would be more than a tenth below */
        {"in * $e",                             48 },
        {"$width + $depth",                     2.5},
        {"out % stride",                        0  },
    };
    (void)state;
    tl_env env = {{0}};
    env.vars[TL_VAR_IN] = 16;
    env.vars[TL_VAR_OUT] = 24;
    env.vars[TL_VAR_STRIDE] = 2;
    env.vars[TL_FIRST_SLOT_VAR] = 0.5;
    env.vars[TL_FIRST_SLOT_VAR + 1] = 3;
    env.vars[TL_FIRST_STAGE_VAR] = 2;
    tl_arena arena = {0};
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        tl_expr expr = {0};
        assert_ok(tl_expr_parse(cases[i].text, &scope, &arena, &expr));
        tl_test_assert_close(
            tl_expr_eval(&expr, &env), cases[i].value, 1e-12, cases[i].text, __FILE__,
            __LINE__);
    }
    tl_arena_done(&arena);
}

static void what_has_no_value_makes_the_whole_nan(void **state)
{
    static const char *const cases[] = {"in + 1",     "1 || in", "in == in", "!in",
                                        "min(1, in)", "0 / 0",   "1 % 0",    "(0 / 0) && 0"};
    (void)state;
    tl_env env = {{0}};
    env.vars[TL_VAR_IN] = (double)NAN;
    tl_arena arena = {0};
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        tl_expr expr = {0};
        assert_ok(tl_expr_parse(cases[i], &scope, &arena, &expr));
        assert_true(isnan(tl_expr_eval(&expr, &env)));
    }
    tl_arena_done(&arena);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *text, *detail;
    } cases[] = {
        {"",                                                                                "want a number, a name or \"(\" at character 1"},
        {"1 +",                                                                             "at character 4"                               },
        {"(1",                                                                              "want \")\" at character 3"                    },
        {"1 2",                                                                             "want an operator or the end at character 3"   },
        {"min(1)",                                                                          "want \",\""                                   },
        {"min 1",                                                                           "want \"(\""                                   },
        {"max(1, 2",                                                                        "want \")\""                                   },
        {"3x",                                                                              "want a number"                                },
        {"knrl",                                                                            "nothing is called knrl"                       },
        {"strid",                                                                           "did you mean stride?"                         },
        {"$nothing",                                                                        "no slot is called $nothing here"              },
        {"$",                                                                               "no slot is called $ here"                     },
        {"1 = 1",                                                                           "want an operator or the end"                  },
        {"1e999",                                                                           "want a number"                                },
        {"----------------------------------------------------------------"
         "-----------------------------------------1",                             "want"                                         },
        {"1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1",
         "terms"                                                                                                                           },
    };
    (void)state;
    tl_arena arena = {0};
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        tl_expr expr = {0};
        assert_err(TL_EINVAL, tl_expr_parse(cases[i].text, &scope, &arena, &expr));
        assert_detail(cases[i].detail);
        assert_false(tl_expr_is_given(&expr));
    }
    tl_arena_done(&arena);
}

static void an_expression_knows_what_it_reads(void **state)
{
    (void)state;
    tl_arena arena = {0};
    tl_expr expr = {0};
    assert_ok(tl_expr_parse("$e % $width + $depth", &scope, &arena, &expr));
    assert_int_equal(tl_expr_last_slot(&expr), 1);
    assert_true(tl_expr_reads_slot(&expr, 0));
    assert_int_equal(tl_expr_variable(&expr), -1);
    assert_ok(tl_expr_parse("$depth", &scope, &arena, &expr));
    assert_int_equal(tl_expr_variable(&expr), TL_FIRST_STAGE_VAR);
    assert_int_equal(tl_expr_last_slot(&expr), -1);
    assert_ok(tl_expr_parse("2 * 3", &scope, &arena, &expr));
    assert_true(tl_expr_is_constant(&expr));
    tl_arena_done(&arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(expressions_have_their_value),
        TEST(what_has_no_value_makes_the_whole_nan),
        TEST(mistakes_are_named),
        TEST(an_expression_knows_what_it_reads),
    };
    return cmocka_run_group_tests_name("spaces/expr", tests, NULL, NULL);
}
