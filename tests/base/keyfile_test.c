/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/attr.h"
#include "base/keyfile.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define KEY "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

static tl_err parse(const char *text, tl_key_file *out)
{
    return tl_key_file_parse("x.key", text, strlen(text), out);
}

static void a_printed_key_reads_back(void **state)
{
    tl_key_file key = {
        .name = "alice",
        .role = "writer",
        .public_key = KEY,
        .secret_key = KEY,
        .server_key = KEY};
    tl_key_file again;
    tl_text text = {0};
    (void)state;
    tl_text_add(&text, "# a comment\n\n");
    tl_key_file_print(&key, &text);
    assert_ok(parse(text.data, &again));
    assert_memory_equal(&key, &again, sizeof key);
    tl_text_done(&text);
}

static void line_ends_and_spaces_do_not_matter(void **state)
{
    tl_key_file key;
    (void)state;
    assert_ok(parse("name:bob \t\r\npublic:   " KEY "  \r\n\r\n", &key));
    assert_string_equal(key.name, "bob");
    assert_string_equal(key.public_key, KEY);
    assert_string_equal(key.secret_key, "");
}

static void what_is_no_key_file_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text, *detail;
    } cases[] = {
        {"nonsense",                                          "x.key line 1: want name"  },
        {"name: a\nNAME: b",                                  "x.key line 2: want name"  },
        {"name: a\nname: b",                                  "line 2: a second name"    },
        {"name:",                                             "name: got 0 characters"   },
        {"role: some king of all",                            "role: got 16 characters"  },
        {"public: short",                                     "public: want a key of 40" },
        {"secret: " KEY "x",                                  "secret: got 41 characters"},
        {"server: rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf\"", "server: want a key"       },
        {"name: ../x",                                        "want a letter"            },
    };
    (void)state;
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        tl_key_file key;
        tl_err err = parse(cases[i].text, &key);
        assert_err(TL_EINVAL, err);
        assert_detail(cases[i].detail);
    }
    tl_key_file key;
    assert_err(TL_EINVAL, tl_key_file_parse("x", "name: a\0b", 9, &key));
}

static void a_secret_is_read_from_a_closed_file_only(void **state)
{
    char path[512];
    tl_key_file key;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/x.key", tl_test_new_dir());
    static const char text[] = "secret: " KEY "\n";
    assert_ok(tl_file_write_secret(path, text, sizeof text - 1));
    assert_ok(tl_key_file_read(path, TL_FILE_SECRET, &key));
    assert_string_equal(key.secret_key, KEY);
    assert_int_equal(chmod(path, 0640), 0);
    assert_err(TL_EDENIED, tl_key_file_read(path, TL_FILE_SECRET, &key));
    assert_detail("others may read or write it");
    assert_ok(tl_key_file_read(path, TL_FILE_TRUSTED, &key));
    assert_int_equal(chmod(path, 0620), 0);
    assert_err(TL_EDENIED, tl_key_file_read(path, TL_FILE_TRUSTED, &key));
    assert_int_equal(chmod(path, 0600), 0);
}

static void a_secret_file_is_never_open_to_others(void **state)
{
    char path[512];
    struct stat status;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/secret", tl_test_new_dir());
    assert_ok(tl_file_write(path, "a", 1));
    assert_ok(tl_file_write_secret(path, "b", 1));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_printed_key_reads_back, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test(line_ends_and_spaces_do_not_matter),
        cmocka_unit_test(what_is_no_key_file_is_refused_with_its_line),
        cmocka_unit_test(a_secret_is_read_from_a_closed_file_only),
        cmocka_unit_test(a_secret_file_is_never_open_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
