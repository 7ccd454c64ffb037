/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "daemon/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char path[512];

/* No variable of the caller's may decide a test. */
static int clean(void **state)
{
    static const char *const variables[] = {
        "TAILOR_CONFIG",    "TAILOR_DATA",       "TAILOR_KEYS",    "TAILOR_LISTEN",
        "TAILOR_LOG_LEVEL", "TAILOR_LOG_FORMAT", "TAILOR_METRICS", "TAILOR_MODELS",
        "TAILOR_WORKERS",   "TAILOR_SHARE"};
    for (size_t i = 0; i < TL_COUNT(variables); i++) {
        (void)unsetenv(variables[i]);
    }
    return tl_test_count_blocks(state);
}

static const char *write_config(const char *yaml)
{
    (void)snprintf(path, sizeof path, "%s/tailord.yaml", tl_test_new_dir());
    assert_ok(tl_file_write(path, yaml, strlen(yaml)));
    return path;
}

static void defaults_are_those_of_the_manual(void **state)
{
    (void)state;
    tl_settings s = {0};
    (void)setenv("XDG_DATA_HOME", "/somewhere", 1);
    assert_ok(tl_settings_complete(&s));
    assert_string_equal(s.data, "/somewhere/tailor");
    assert_int_equal(s.n_endpoints, 1);
    assert_string_equal(s.endpoints[0], "tcp://127.0.0.1:7411");
    assert_int_equal(s.level, TL_LOG_INFO);
    assert_true(tl_file_exists(s.spaces));
    assert_true(tl_file_exists(s.catalogue));
    tl_settings_done(&s);
    (void)unsetenv("XDG_DATA_HOME");
    (void)setenv("HOME", "/home/someone", 1);
    assert_ok(tl_settings_complete(&s));
    assert_string_equal(s.data, "/home/someone/.local/share/tailor");
    tl_settings_done(&s);
}

static void the_stronger_source_wins(void **state)
{
    (void)state;
    tl_settings s = {0};
    const char *config = write_config("data: /file\nmodels: /file\nworkers: 3\n"
                                      "listen: [ipc:///file/a, ipc:///file/b]\n"
                                      "log-level: debug\n");
    (void)setenv("TAILOR_CONFIG", config, 1);
    (void)setenv("TAILOR_DATA", "/environment", 1);
    (void)setenv("TAILOR_MODELS", "/environment", 1);
    assert_ok(tl_settings_set(&s, "data", "/command-line"));
    assert_ok(tl_settings_complete(&s));
    assert_string_equal(s.data, "/command-line");
    assert_string_equal(s.models, "/environment");
    assert_int_equal(s.n_workers, 3);
    assert_int_equal(s.n_endpoints, 2);
    assert_string_equal(s.endpoints[1], "ipc:///file/b");
    assert_int_equal(s.level, TL_LOG_DEBUG);
    tl_settings_done(&s);

    (void)setenv("TAILOR_LISTEN", "ipc:///environment", 1);
    assert_ok(tl_settings_complete(&s));
    assert_int_equal(s.n_endpoints, 1);
    tl_settings_done(&s);
    assert_ok(tl_settings_set(&s, "listen", "ipc:///one"));
    assert_ok(tl_settings_set(&s, "listen", "ipc:///two, ipc:///three"));
    assert_ok(tl_settings_complete(&s));
    assert_int_equal(s.n_endpoints, 3);
    assert_string_equal(s.endpoints[2], "ipc:///three");
    tl_settings_done(&s);
}

static void one_endpoint_needs_no_brackets(void **state)
{
    (void)state;
    tl_settings s = {0};
    assert_ok(tl_settings_set(&s, "config", write_config("workers: 2\nlisten: ipc:///one\n")));
    assert_ok(tl_settings_complete(&s));
    assert_int_equal(s.n_endpoints, 1);
    assert_string_equal(s.endpoints[0], "ipc:///one");
    assert_int_equal(s.n_workers, 2);
    tl_settings_done(&s);
}

static void refuse(const char *name, const char *value, tl_err err, const char *detail)
{
    tl_settings s = {0};
    tl_err got = tl_settings_set(&s, name, value);
    if (got == TL_OK) {
        got = tl_settings_complete(&s);
    }
    assert_err(err, got);
    assert_detail(detail);
    tl_settings_done(&s);
}

static void bad_values_are_named(void **state)
{
    (void)state;
    refuse("workers", "0", TL_EINVAL, "workers: got \"0\"");
    refuse("workers", "many", TL_EINVAL, "workers: got \"many\"");
    refuse("max-connections", "0", TL_EINVAL, "max-connections: got \"0\", want 1 to 60000");
    refuse("config", write_config("max-connections: none\n"), TL_EINVAL, "got \"none\"");
    refuse("log-level", "loud", TL_EINVAL, "log level: got \"loud\"");
    refuse("listen", "tcp://0.0.0.0:7411", TL_EDENIED, "0.0.0.0");
    refuse("listen", "nonsense", TL_EINVAL, "nonsense");
    refuse("log-format", "xml", TL_EINVAL, "log format: got \"xml\"");
    refuse("metrics", "9411", TL_EINVAL, "metrics: got \"9411\", want HOST:PORT");
    refuse("config", write_config("metrics: here\n"), TL_EINVAL, "metrics: got \"here\"");
    refuse("config", "/does/not/exist.yaml", TL_ENOTFOUND, "/does/not/exist.yaml");
    refuse(
        "config", write_config("models: /m\ndota: /x\n"), TL_EINVAL,
        "unknown key \"dota\", nearest is \"data\"");
    refuse("config", write_config("log_level: info\n"), TL_EINVAL, "\"log-level\"");
    refuse("config", write_config("listen: ipc:///a\ndota: /x\n"), TL_EINVAL, "\"dota\"");
    refuse("config", write_config("listen: {a: b}\n"), TL_EINVAL, "tailord.yaml");
    refuse("config", write_config("workers: [1, 2]\n"), TL_EINVAL, "tailord.yaml");
    refuse("config", write_config("workers: 1000\n"), TL_EINVAL, "workers: got \"1000\"");
    refuse("config", write_config("{{{\n"), TL_EINVAL, "tailord.yaml");
}

static void keys_open_what_lies_beyond_this_machine(void **state)
{
    tl_settings settings = {0};
    (void)state;
    assert_ok(tl_settings_set(
        &settings, "config",
        write_config("keys: /etc/tailor/keys\nlisten: tcp://0.0.0.0:7411\n")));
    assert_ok(tl_settings_complete(&settings));
    assert_string_equal(settings.keys, "/etc/tailor/keys");
    tl_settings_done(&settings);
}

static void a_reload_finds_the_level_of_the_file(void **state)
{
    (void)state;
    tl_log_level level = TL_LOG_ERROR;
    assert_ok(tl_settings_reread(NULL, NULL, &level));
    assert_int_equal(level, TL_LOG_INFO);
    const char *config = write_config("log-level: debug\n");
    assert_ok(tl_settings_reread(NULL, config, &level));
    assert_int_equal(level, TL_LOG_DEBUG);
    assert_ok(tl_settings_reread("warn", config, &level)); /* the command line is stronger */
    assert_int_equal(level, TL_LOG_WARN);
    (void)setenv("TAILOR_LOG_LEVEL", "error", 1);
    assert_ok(tl_settings_reread(NULL, config, &level));
    assert_int_equal(level, TL_LOG_ERROR);
    assert_err(TL_EINVAL, tl_settings_reread(NULL, write_config("log-level: loud\n"), &level));
    assert_detail("log level: got \"loud\"");
    assert_int_equal(level, TL_LOG_ERROR);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    const char *config = write_config("data: /file\nlisten: [ipc:///file/a]\n");
    tl_err err = TL_ENOMEM;
    int n_failures = 0;
    for (long k = 1; err != TL_OK; k++) {
        tl_settings s = {0};
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_settings_set(&s, "config", config);
        if (err == TL_OK) {
            err = tl_settings_complete(&s);
        }
        tl_mem_fail_at(0);
        tl_settings_done(&s);
        assert_int_equal(tl_mem_live(), live_before);
        n_failures += err != TL_OK;
        assert_true(err == TL_OK || err == TL_ENOMEM);
    }
    assert_true(n_failures >= 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, clean, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_those_of_the_manual),
        TEST(the_stronger_source_wins),
        TEST(one_endpoint_needs_no_brackets),
        TEST(bad_values_are_named),
        TEST(survives_every_allocation_failure),
        TEST(a_reload_finds_the_level_of_the_file),
        TEST(keys_open_what_lies_beyond_this_machine),
    };
#undef TEST
    return cmocka_run_group_tests_name("daemon/settings", tests, NULL, NULL);
}
