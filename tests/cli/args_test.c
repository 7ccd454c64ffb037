/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "clients/cli/args.h"
#include "clients/cli/command.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct argp_option options[] = {
    TL_OPTION_SPACE,
    TL_OPTION_SEED,
    {"max-latency-ms", TL_KEY_MAX_LATENCY, "X", 0, NULL, 0},
    {"count",             TL_KEY_COUNT, "K", 0, NULL, 0},
    {"explain",            TL_KEY_EXPLAIN, NULL, 0, NULL, 0},
    {0               },
};

static const tl_command command = {
    .name = "test",
    .options = options,
    .args_doc = "FILE",
    .required = {TL_KEY_SPACE},
    .max_arguments = 1,
};

enum {
    MAX_WORDS = 12
};

/* The words after the name of the program; leaves it when they are bad. */
static void parse(const char *const *words, tl_args *args)
{
    static char *argv[MAX_WORDS + 2]; /* borrowed by args */
    int n = 1;
    argv[0] = (char *)(uintptr_t) "tailor";
    for (; words[n - 1] != NULL; n++) {
        assert_true(n <= MAX_WORDS);
        argv[n] = (char *)(uintptr_t)words[n - 1];
    }
    struct argp argp = {options, tl_args_parse, "", NULL, tl_args_everywhere, NULL, NULL};
    tl_args_init(args);
    args->command = &command;
    assert_int_equal(argp_parse(&argp, n, argv, 0, NULL, args), 0);
}

/* In a process of its own, without what it says: true when it leaves with a failure. */
static bool is_refused(const char *const *words)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        tl_args args;
        (void)close(STDERR_FILENO);
        parse(words, &args);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) != 0;
}

#define PARSE(args, ...) parse((const char *const[]){__VA_ARGS__, NULL}, args)
#define REFUSED(...)     is_refused((const char *const[]){__VA_ARGS__, NULL})

static void what_is_given_is_found_in_its_field(void **state)
{
    (void)state;
    tl_args args;
    PARSE(
        &args, "--space", "s", "--seed=18446744073709551615", "--max-latency-ms", "1e-3",
        "--count=7", "--explain", "--json", "--timeout-ms", "50", "file.csv");
    assert_string_equal(args.space, "s");
    assert_true(args.has_seed && args.seed == UINT64_MAX);
    assert_close(args.max_latency_ms, 1e-3, 0);
    assert_int_equal(args.count, 7);
    assert_true(args.has_explain && args.is_json);
    assert_int_equal(args.timeout_ms, 50);
    assert_int_equal(args.n_arguments, 1);
    assert_string_equal(args.arguments[0], "file.csv");
}

static void what_is_not_given_is_none(void **state)
{
    (void)state;
    tl_args args;
    PARSE(&args, "-s", "s");
    assert_true(isnan(args.max_latency_ms) && isnan(args.weight_energy));
    assert_false(args.has_seed || args.has_explain || args.is_json || args.is_table);
    assert_null(args.task);
    assert_int_equal(args.count, 0);
    assert_int_equal(args.n_arguments, 0);
}

static void values_of_the_wrong_kind_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "--count=0",
        "--count=-1",
        "--count=1.5",
        "--count=2147483648",
        "--count= 1",
        "--count=",
        "--seed=-1",
        "--seed=18446744073709551616",
        "--seed=0x1",
        "--space=",
        "--speed=fast",
        "--max-latency-ms=",
        "--max-latency-ms=fast",
        "--max-latency-ms=5ms",
        "--max-latency-ms=nan",
        "--max-latency-ms=inf",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (!REFUSED("--space=s", bad[i])) {
            fail_msg("%s was taken", bad[i]);
        }
    }
}

static void what_is_missing_or_too_much_is_refused(void **state)
{
    (void)state;
    assert_true(REFUSED("--count=1"));
    assert_true(REFUSED("--space=s", "a.csv", "b.csv"));
    assert_false(REFUSED("--space=s", "a.csv"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_given_is_found_in_its_field),
        cmocka_unit_test(what_is_not_given_is_none),
        cmocka_unit_test(values_of_the_wrong_kind_are_refused),
        cmocka_unit_test(what_is_missing_or_too_much_is_refused),
    };
    return cmocka_run_group_tests_name("cli/args", tests, NULL, NULL);
}
