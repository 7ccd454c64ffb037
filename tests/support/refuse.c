/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tests/support/refuse.h"

#include "base/mem.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    MAX_CALLERS = 4096
};

/* As refuse.h says of the file. */
typedef struct board {
    atomic_long countdown; /* of all threads; 0 and below: nothing is refused */
    atomic_long n_asked, n_refused;
    atomic_ulong place;
    atomic_long n_left;
} board;

static board own_board;
static board *shared = &own_board;
static _Thread_local long n_refused;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const void *callers[MAX_CALLERS];
static int n_callers;

/* ---- who was refused --------------------------------------------------------------------- */

/* The call, not what follows it, as addr2line takes it; 0: not in a program. */
static unsigned long place_of(const void *caller)
{
    Dl_info place;
    return caller != NULL && dladdr(caller, &place) != 0
               ? (unsigned long)((const char *)caller - (const char *)place.dli_fbase) - 1
               : 0;
}

static void write_callers(void)
{
    char path[512];
    char program[512];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len <= 0) {
        return;
    }
    program[len] = '\0';
    /* programs are many, and numbers of processes come again */
    (void)snprintf(
        path, sizeof path, "%s/%d-%lx.sites", getenv("TL_TORTURE_LOG"), (int)getpid(),
        place_of(callers[0]));
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return;
    }
    (void)fprintf(file, "%s\n", program);
    for (int i = 0; i < n_callers; i++) {
        (void)fprintf(file, "%lx\n", place_of(callers[i]));
    }
    (void)fclose(file);
}

static void note(const void *caller)
{
    n_refused++;
    atomic_store(&shared->place, place_of(caller));
    atomic_fetch_add(&shared->n_refused, 1);
    (void)pthread_mutex_lock(&lock);
    int i = 0;
    while (i < n_callers && callers[i] != caller) {
        i++;
    }
    if (i == n_callers && i < MAX_CALLERS) {
        callers[n_callers++] = caller;
        if (i == 0 && getenv("TL_TORTURE_LOG") != NULL) {
            (void)atexit(write_callers);
        }
    }
    (void)pthread_mutex_unlock(&lock);
}

/* ---- the countdown ----------------------------------------------------------------------- */

static bool must_refuse(void)
{
    atomic_fetch_add_explicit(&shared->n_asked, 1, memory_order_relaxed);
    return atomic_load_explicit(&shared->countdown, memory_order_relaxed) > 0 &&
           atomic_fetch_sub(&shared->countdown, 1) == 1;
}

static void tell_left(void)
{
    atomic_store(&shared->n_left, tl_mem_live());
}

__attribute__((constructor)) static void open_board(void)
{
    const char *path = getenv("TL_REFUSE");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    void *mapped = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (mapped != MAP_FAILED) {
        shared = mapped;
        (void)atexit(tell_left);
    }
}

/* Names that the linker asks for; see tests/support/CMakeLists.txt. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
#define WRAP(name, parameters, arguments)                           \
    void *__real_##name parameters;                                 \
    void *__wrap_##name parameters;                                 \
    void *__wrap_##name parameters                                  \
    {                                                               \
        void *got = must_refuse() ? NULL : __real_##name arguments; \
        if (got == NULL) {                                          \
            note(__builtin_return_address(0));                      \
        }                                                           \
        return got;                                                 \
    }

WRAP(tl_mem_new, (size_t n, size_t size), (n, size))
WRAP(tl_mem_new_aligned, (size_t n, size_t size), (n, size))
WRAP(tl_mem_resize, (void *block, size_t n, size_t size), (block, n, size))
WRAP(tl_mem_strdup, (const char *text), (text))
WRAP(tl_mem_strndup, (const char *text, size_t len), (text, len))
/* NOLINTEND(bugprone-reserved-identifier) */

void tl_test_refuse_at(long k)
{
    atomic_store(&shared->countdown, k);
}

long tl_test_n_refused(void)
{
    return n_refused;
}

long tl_test_n_refused_anywhere(void)
{
    return atomic_load(&shared->n_refused);
}

unsigned long tl_test_refused_at(void)
{
    return atomic_load(&shared->place);
}
