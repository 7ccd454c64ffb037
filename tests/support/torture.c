/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tests/support/torture.h"

#include "base/attr.h"
#include "base/mem.h"
#include "tests/support/test.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_CALLERS = 4096,
    DENSE = 30,
    SPREAD = 10,
    DENSE_ALL = 5000,
    SPREAD_ALL = 100,
    DENSE_LONG = 200,
    SPREAD_LONG = 30,
    MOST = 10000000
};

static _Thread_local long n_refused;
static _Thread_local const void *last_refused;

/* ---- who was refused --------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const void *callers[MAX_CALLERS];
static int n_callers;

/* One line for each: where in the program it calls, as addr2line takes it. */
static void write_callers(void)
{
    char path[512];
    char program[512];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    Dl_info place;
    if (len <= 0 || dladdr(callers[0], &place) == 0) {
        return;
    }
    program[len] = '\0';
    (void)snprintf(path, sizeof path, "%s/%d.sites", getenv("TL_TORTURE_LOG"), (int)getpid());
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return;
    }
    (void)fprintf(file, "%s\n", program);
    for (int i = 0; i < n_callers; i++) {
        ptrdiff_t offset = (const char *)callers[i] - (const char *)place.dli_fbase;
        (void)fprintf(file, "%tx\n", offset - 1); /* the call, not what follows it */
    }
    (void)fclose(file);
}

static void note(const void *caller)
{
    n_refused++;
    last_refused = caller;
    if (getenv("TL_TORTURE_LOG") == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&lock);
    int i = 0;
    while (i < n_callers && callers[i] != caller) {
        i++;
    }
    if (i == n_callers && i < MAX_CALLERS) {
        callers[n_callers++] = caller;
        if (i == 0) {
            (void)atexit(write_callers);
        }
    }
    (void)pthread_mutex_unlock(&lock);
}

/* Names that the linker asks for; see tests/support/CMakeLists.txt. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
#define WRAP(name, parameters, arguments)      \
    void *__real_##name parameters;            \
    void *__wrap_##name parameters;            \
    void *__wrap_##name parameters             \
    {                                          \
        void *got = __real_##name arguments;   \
        if (got == NULL) {                     \
            note(__builtin_return_address(0)); \
        }                                      \
        return got;                            \
    }

WRAP(tl_mem_new, (size_t n, size_t size), (n, size))
WRAP(tl_mem_new_aligned, (size_t n, size_t size), (n, size))
WRAP(tl_mem_resize, (void *block, size_t n, size_t size), (block, n, size))
WRAP(tl_mem_strdup, (const char *text), (text))
WRAP(tl_mem_strndup, (const char *text, size_t len), (text, len))
/* NOLINTEND(bugprone-reserved-identifier) */

/* ---- the loop ---------------------------------------------------------------------------- */

bool tl_test_tortures_all(void)
{
    const char *wanted = getenv("TL_TORTURE");
    return wanted != NULL && strcmp(wanted, "all") == 0;
}

/* The next k: every one at first, then further apart. */
static long after(long k, bool is_long)
{
    long dense = !tl_test_tortures_all() ? DENSE : is_long ? DENSE_LONG : DENSE_ALL;
    long spread = !tl_test_tortures_all() ? SPREAD : is_long ? SPREAD_LONG : SPREAD_ALL;
    return k < dense ? k + 1 : k + 1 + (k - dense) / spread;
}

/* Where in the program the last refused call is, for addr2line. */
static size_t refused_at(void)
{
    Dl_info place;
    return last_refused != NULL && dladdr(last_refused, &place) != 0
               ? (size_t)((const char *)last_refused - (const char *)place.dli_fbase) - 1
               : 0;
}

static tl_err call_once(const tl_test_ordeal *o, long k, bool *out_is_refused)
{
    if (o->before != NULL) {
        o->before(o->context);
    }
    long live = tl_mem_live();
    long refused_before = n_refused;
    tl_err_clear();
    tl_mem_fail_at(k);
    tl_err err = o->run(o->context);
    tl_mem_fail_at(0);
    *out_is_refused = n_refused != refused_before;
    bool is_fine = err == TL_OK || err == TL_ENOMEM || (o->is_fine != NULL && o->is_fine(err));
    if (!is_fine) {
        fail_msg(
            "%s, allocation %ld at %zx: got %s (%s), want ENOMEM", o->name, k, refused_at(),
            tl_err_name(err), tl_err_detail());
    }
    if (err != TL_OK && tl_err_detail()[0] == '\0') {
        fail_msg("%s, allocation %ld: no detail", o->name, k);
    }
    if (err != TL_OK && !o->keeps && tl_mem_live() != live) {
        fail_msg(
            "%s, allocation %ld at %zx: %ld blocks left", o->name, k, refused_at(),
            tl_mem_live() - live);
    }
    return err;
}

long tl_test_torture_ordeal(const tl_test_ordeal *ordeal)
{
    long n = 0;
    long k = 1;
    bool is_refused = true;
    while (is_refused) {
        tl_err err = call_once(ordeal, k, &is_refused);
        n += is_refused;
        if (!is_refused && err == TL_ENOMEM) {
            fail_msg("%s: got ENOMEM with all allocations granted", ordeal->name);
        }
        assert_true(k < MOST);
        k = after(k, ordeal->is_long);
    }
    (void)printf("%s: refused one allocation %ld times\n", ordeal->name, n);
    return n;
}

long tl_test_torture(const char *name, tl_test_operation *run, void *context)
{
    return tl_test_torture_ordeal(
        &(tl_test_ordeal){.name = name, .run = run, .context = context});
}

long tl_test_n_refused(void)
{
    return n_refused;
}
