/* SPDX-License-Identifier: Apache-2.0 */

/* Files that are no space: each is refused with the detail that its first line asks for. */

#include "tests/spaces/support.h"

enum {
    MAX_BYTES = 1 << 20,
    N_DAMAGED = 300
};

static const char WANT[] = "# want: ";

static void refuse_file(const char *path)
{
    char *text = NULL;
    size_t len = 0;
    tl_space *space = NULL;
    assert_ok(tl_file_read(path, MAX_BYTES, &text, &len));
    assert_memory_equal(text, WANT, sizeof WANT - 1);
    size_t n = strcspn(text, "\n");
    tl_err err = tl_space_load(path, &space);
    if (err != TL_EINVAL) {
        (void)fprintf(stderr, "%s: got %s, want EINVAL\n", path, tl_err_name(err));
    }
    assert_int_equal(err, TL_EINVAL);
    assert_null(space);
    text[n] = '\0';
    if (strstr(tl_err_detail(), text + sizeof WANT - 1) == NULL) {
        (void)fprintf(stderr, "%s\n", path);
    }
    assert_detail(text + sizeof WANT - 1);
    assert_detail(path);
    tl_mem_free(text);
}

static void every_bad_file_is_refused_with_its_detail(void **state)
{
    (void)state;
    char dir[512];
    char path[1024];
    tl_file_list list = {0};
    (void)snprintf(dir, sizeof dir, "%s/tests/spaces/bad", tl_test_source_dir());
    assert_ok(tl_file_list_init(&list, dir, ".yaml"));
    assert_true(list.n_names >= 40);
    for (size_t i = 0; i < list.n_names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, list.names[i]);
        refuse_file(path);
    }
    tl_file_list_done(&list);
}

static void a_nul_and_an_endless_file_are_refused(void **state)
{
    (void)state;
    static const char with_nul[] = "name: a\0b\nkind: chain\n";
    tl_space *space = NULL;
    assert_err(TL_EINVAL, tl_space_parse(with_nul, sizeof with_nul - 1, "x", &space));
    assert_detail("x: got a NUL character");
    char *large = tl_mem_new(MAX_BYTES + 1, 1);
    assert_non_null(large);
    memset(large, '#', MAX_BYTES + 1);
    assert_err(TL_EINVAL, tl_space_parse(large, MAX_BYTES + 1, "x", &space));
    assert_detail("want at most 1048576");
    memset(large, '[', MAX_BYTES);
    assert_err(TL_EINVAL, tl_space_parse(large, MAX_BYTES, "x", &space));
    tl_mem_free(large);
}

static void a_file_that_is_not_there_is_said(void **state)
{
    (void)state;
    tl_space *space = NULL;
    assert_err(TL_EIO, tl_space_load("/nowhere/at-all.yaml", &space));
    assert_detail("/nowhere/at-all.yaml");
}

/* One damage: a byte changed, a piece cut out, or the end cut off. */
static void damage(tl_rng *rng, char *text, size_t *len)
{
    static const char bytes[] = " \n{}[],:#*&!|>'\"%@`-0129azAZ$()/\\\t\x80\xff";
    size_t at = (size_t)tl_rng_below(rng, *len);
    size_t n = (size_t)tl_rng_below(rng, 40);
    switch (tl_rng_below(rng, 8)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4: text[at] = bytes[tl_rng_below(rng, sizeof bytes - 1)]; break;
    case 5:
    case 6:
        n = n < *len - at ? n : *len - at;
        memmove(text + at, text + at + n, *len - at - n);
        *len -= n;
        break;
    default: *len = at + 1; break;
    }
}

/* Whatever is left of a file, reading it ends, with a space or with a detail. */
static void damaged_files_are_read_or_refused(void **state)
{
    static const char *const names[] = {
        "spaces/nasbench201",           "spaces/fbnet",
        "spaces/mobilenetv3",           "spaces/mnasnet",
        "spaces/mobilenet-zoo",         "tests/spaces/user/tiny-cell",
        "tests/spaces/user/tiny-chain", "tests/spaces/user/tiny-staged",
        "tests/spaces/user/tiny-list"};
    (void)state;
    tl_rng rng;
    int n_read = 0;
    tl_rng_init(&rng, tl_test_seed());
    for (size_t i = 0; i < TL_COUNT(names) * N_DAMAGED; i++) {
        char path[512];
        char *text = NULL;
        size_t len = 0;
        tl_space *space = NULL;
        (void)snprintf(
            path, sizeof path, "%s/%s.yaml", tl_test_source_dir(), names[i % TL_COUNT(names)]);
        assert_ok(tl_file_read(path, MAX_BYTES, &text, &len));
        for (int j = 0; j < 1 + (int)(i % 3) && len > 0; j++) {
            damage(&rng, text, &len);
        }
        tl_err err = tl_space_parse(text, len, "damaged", &space);
        assert_true(err == TL_OK || (err == TL_EINVAL && tl_err_detail()[0] != '\0'));
        n_read += err == TL_OK;
        tl_space_unref(space);
        tl_mem_free(text);
    }
    (void)printf(
        "%d of %zu damaged files were still spaces\n", n_read, TL_COUNT(names) * N_DAMAGED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_bad_file_is_refused_with_its_detail),
        TEST(a_nul_and_an_endless_file_are_refused),
        TEST(a_file_that_is_not_there_is_said),
        TEST(damaged_files_are_read_or_refused),
    };
    return cmocka_run_group_tests_name("spaces/bad", tests, NULL, NULL);
}
