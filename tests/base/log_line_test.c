/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/log_line.h"

#include <stdio.h>
#include <string.h>

static const char time_text[] = "2026-11-20T21:30:00.123Z";

static const tl_log_field fields[] = {
    {.key = "method", .text = "design.run"},
    {.key = "id",     .is_whole = true,     .whole = 18446744073709551615U},
    {.key = "client",               .text = "my \"client\" \\1"                    },
    {.key = "ms",               .ms = 1.25    },
    {.key = "detail",               .text = ""                },
};

static const char *line_of(tl_log_format format, const char *message, size_t n_fields)
{
    static tl_log_line line;
    tl_log_line_begin(&line, format, time_text, "info", message);
    for (size_t i = 0; i < n_fields; i++) {
        tl_log_line_add(&line, &fields[i]);
    }
    size_t len = tl_log_line_end(&line);
    assert_true(len < sizeof line.data);
    assert_int_equal(line.data[len - 1], '\n');
    assert_null(memchr(line.data, '\n', len - 1));
    line.data[len] = '\0';
    return line.data;
}

static void each_format_says_the_same(void **state)
{
    (void)state;
    assert_string_equal(
        line_of(TL_LOG_TEXT, "was served", TL_COUNT(fields)),
        "2026-11-20T21:30:00.123Z info  was served method=design.run "
        "id=18446744073709551615 client=\"my \\\"client\\\" \\\\1\" ms=1.250 detail=\"\"\n");
    assert_string_equal(
        line_of(TL_LOG_LOGFMT, "was served", TL_COUNT(fields)),
        "ts=2026-11-20T21:30:00.123Z level=info msg=\"was served\" method=design.run "
        "id=18446744073709551615 client=\"my \\\"client\\\" \\\\1\" ms=1.250 detail=\"\"\n");
    assert_string_equal(
        line_of(TL_LOG_JSON, "was served", TL_COUNT(fields)),
        "{\"ts\":\"2026-11-20T21:30:00.123Z\",\"level\":\"info\",\"msg\":\"was served\","
        "\"method\":\"design.run\",\"id\":18446744073709551615,"
        "\"client\":\"my \\\"client\\\" \\\\1\",\"ms\":1.250,\"detail\":\"\"}\n");
}

static void nothing_forges_a_line_or_breaks_it(void **state)
{
    (void)state;
    static const struct {
        const char *message, *shown;
    } cases[] = {
        {"a\nb\tc\x7f",             "a?b?c?"            },
        {"gr\xc3\xbc\xc3\x9f",      "gr\xc3\xbc\xc3\x9f"},
        {"cut \xc3",                "cut ?"             },
        {"\xff\xfe",                "??"                },
        {"overlong \xc0\xaf",       "overlong ??"       },
        {"overlong \xe0\x80\xaf",   "overlong ???"      },
        {"surrogate \xed\xa0\x80",  "surrogate ???"     },
        {"\xf0\x9f\x98\x80",        "\xf0\x9f\x98\x80"  },
        {"beyond \xf4\x90\x80\x80", "beyond ????"       },
    };
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        char wanted[256];
        (void)snprintf(
            wanted, sizeof wanted, "{\"ts\":\"%s\",\"level\":\"info\",\"msg\":\"%s\"}\n",
            time_text, cases[i].shown);
        assert_string_equal(line_of(TL_LOG_JSON, cases[i].message, 0), wanted);
    }
}

/* However long the parts are: it ends as it should, and a field is there or not. */
static void what_does_not_fit_is_cut(void **state)
{
    (void)state;
    static char text[TL_LOG_LINE_BYTES + 100];
    for (size_t len = 3900; len < sizeof text - 1; len++) {
        tl_log_line line;
        memset(text, len % 2 == 0 ? '"' : 'x', len);
        text[len] = '\0';
        tl_log_line_begin(&line, TL_LOG_JSON, time_text, "info", len % 3 == 0 ? text : "m");
        const tl_log_field field = {.key = "long", .text = text};
        const tl_log_field after = {.key = "after", .is_whole = true, .whole = 1};
        tl_log_line_add(&line, &field);
        tl_log_line_add(&line, &after);
        size_t end = tl_log_line_end(&line);
        assert_true(end <= sizeof line.data);
        assert_memory_equal(line.data + end - 2, "}\n", 2);
        bool has_after = end > 12 && memcmp(line.data + end - 12, ",\"after\":1}\n", 12) == 0;
        assert_true(has_after || line.data[end - 3] == '"');
    }
}

static void formats_are_known_by_name(void **state)
{
    (void)state;
    tl_log_format format = TL_LOG_TEXT;
    assert_ok(tl_log_format_parse("json", &format));
    assert_int_equal(format, TL_LOG_JSON);
    assert_err(TL_EINVAL, tl_log_format_parse("xml", &format));
    assert_detail("log format: got \"xml\", want text, logfmt or json");
    assert_int_equal(format, TL_LOG_JSON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_format_says_the_same),
        cmocka_unit_test(nothing_forges_a_line_or_breaks_it),
        cmocka_unit_test(what_does_not_fit_is_cut),
        cmocka_unit_test(formats_are_known_by_name),
    };
    return cmocka_run_group_tests_name("base/log_line", tests, NULL, NULL);
}
