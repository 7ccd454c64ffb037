/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "base/span.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    N = 48
};

#ifdef TL_HAS_ASAN
/* How a process ends that is about to touch array[0..n): 0, or the signal that killed it. */
static int end_of_touching(const float *array, int n)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(STDERR_FILENO); /* what it says is not of this test */
        TL_ASSERT_SPAN(array, n);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}
#endif

static void what_ends_too_late_is_seen_and_what_is_whole_passes(void **state)
{
    (void)state;
#ifdef TL_HAS_ASAN
    float *array = tl_mem_new(N, sizeof *array);
    assert_non_null(array);
    assert_int_equal(end_of_touching(array, N), 0);
    assert_int_equal(end_of_touching(array, 0), 0);
    assert_int_equal(end_of_touching(array + N, 0), 0);
    assert_int_equal(end_of_touching(array, N + 1), SIGABRT);
    assert_int_equal(end_of_touching(array - 1, N), SIGABRT);
    tl_mem_free(array);
#else
    print_message("without AddressSanitizer a span is not looked at\n");
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_ends_too_late_is_seen_and_what_is_whole_passes),
    };
    return cmocka_run_group_tests_name("base/span", tests, NULL, NULL);
}
