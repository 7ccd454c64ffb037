/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/grading/world.h"
#include "tests/support/torture.h"

#include "base/mem.h"
#include "grading/kept.h"

#include <string.h>

enum {
    N_KEPT = 3
};

/* The bytes of one column, and what was made of them. */
typedef struct kept {
    tl_evaluate_options options;
    tl_evaluation found; /* what is kept */
    tl_text notes;
    void *data;
    size_t len;
} kept;

static void remember(void *context, int column, const void *data, size_t len)
{
    kept *k = context;
    assert_int_equal(column, 0);
    tl_mem_free(k->data);
    k->data = tl_mem_new(len, 1);
    k->len = k->data != NULL ? len : 0;
    if (k->data != NULL) {
        memcpy(k->data, data, len);
    }
}

static tl_err recall(void *context, int column, void **out_data, size_t *out_len)
{
    const kept *k = context;
    assert_int_equal(column, 0);
    if (k->data == NULL || (*out_data = tl_mem_new(k->len, 1)) == NULL) {
        return tl_fail(TL_ENOTFOUND, "nothing");
    }
    memcpy(*out_data, k->data, k->len);
    *out_len = k->len;
    return TL_OK;
}

/* What is recalled is what was remembered, or nothing: both get by without the memory. */
static tl_err remember_and_recall(void *context)
{
    kept *k = context;
    tl_text notes = {0};
    tl_grade grades[N_KEPT] = {0};
    tl_evaluation evaluation = {.grades = grades};
    tl_kept_remember(&k->options, 0, 0, 0, &k->notes, &k->found);
    bool is_recalled = tl_kept_recall(&k->options, 0, &notes, &evaluation);
    bool is_noted = tl_text_err(&notes) == TL_OK;
    assert_true(is_recalled || evaluation.n_grades == 0);
    if (is_recalled) {
        assert_int_equal(evaluation.n_grades, N_KEPT);
        for (int i = 0; i < N_KEPT; i++) {
            assert_ptr_equal(grades[i].method, k->found.grades[i].method);
            assert_int_equal(grades[i].n_designs, k->found.grades[i].n_designs);
        }
        assert_true(!is_noted || strcmp(notes.data, k->notes.data) == 0);
    }
    tl_text_done(&notes);
    tl_mem_free(k->data);
    k->data = NULL;
    return is_recalled && is_noted ? TL_OK : tl_fail(TL_ENOMEM, "grades");
}

static void what_is_remembered_is_recalled_or_lost_whole(void **state)
{
    (void)state;
    world w;
    world_init(&w);
    tl_grade grades[N_KEPT];
    kept k = {
        .options =
            {.space = w.space,
                      .columns = w.pointers,
                      .n_columns = N_DEVICES,
                      .is_graded = w.is_graded,
                      .remember = remember,
                      .recall = recall},
        .found = {.n_grades = N_KEPT, .grades = grades }
    };
    k.options.context = &k;
    for (int i = 0; i < N_KEPT; i++) {
        grades[i] = (tl_grade){
            .subject = w.columns[0].subject,
            .method = tl_infer_methods[i].name,
            .n_designs = i + 5};
    }
    tl_text_add(&k.notes, "a line of notes\n");
    assert_ok(tl_text_err(&k.notes));
    assert_ok(remember_and_recall(&k));
    assert_true(tl_test_torture("kept grades", remember_and_recall, &k) > 5);
    tl_text_done(&k.notes);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            what_is_remembered_is_recalled_or_lost_whole, tl_test_count_blocks,
            tl_test_no_leaks),
    };
    return cmocka_run_group_tests_name("grading/kept", tests, NULL, NULL);
}
