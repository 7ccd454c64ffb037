/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* sched_setaffinity */
#include "clients/agent/pin.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Set in the environment of the program that runs pinned: its processors, "2,3". */
static const char PINNED[] = "TAILOR_AGENT_PINNED";

enum {
    LIST_BYTES = 5 * CPU_SETSIZE,
    NUMBER_BYTES = 16
};

static bool parse_number(const char **text, size_t *out)
{
    char *end = NULL;
    if (**text < '0' || **text > '9') {
        return false;
    }
    long number = strtol(*text, &end, 10);
    if (number >= CPU_SETSIZE) {
        return false;
    }
    *text = end;
    *out = (size_t)number;
    return true;
}

/* "0,2-3" */
static tl_err parse_list(const char *list, cpu_set_t *out_set)
{
    CPU_ZERO(out_set);
    const char *rest = list;
    for (;;) {
        size_t first = 0, last = 0;
        bool is_read = parse_number(&rest, &first);
        last = first;
        if (is_read && *rest == '-') {
            rest++;
            is_read = parse_number(&rest, &last);
        }
        if (!is_read || last < first || (*rest != ',' && *rest != '\0')) {
            return tl_fail(
                TL_EINVAL, "processors: got \"%s\", want numbers like 2 or 0,2-3", list);
        }
        for (size_t cpu = first; cpu <= last; cpu++) {
            CPU_SET(cpu, out_set);
        }
        if (*rest == '\0') {
            return TL_OK;
        }
        rest++;
    }
}

static tl_err check_allowed(const cpu_set_t *wanted, const cpu_set_t *allowed)
{
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, wanted) && !CPU_ISSET(cpu, allowed)) {
            return tl_fail(TL_EINVAL, "processors: %zu is not one this program may use", cpu);
        }
    }
    return TL_OK;
}

static tl_err choose(const char *cpus, cpu_set_t *out_set)
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        return tl_fail(TL_EIO, "processors: %s", strerror(errno));
    }
    if (cpus != NULL) {
        TL_TRY(parse_list(cpus, out_set));
        return check_allowed(out_set, &allowed);
    }
    CPU_ZERO(out_set);
    for (size_t cpu = CPU_SETSIZE; cpu-- > 0;) {
        if (CPU_ISSET(cpu, &allowed)) {
            CPU_SET(cpu, out_set);
            return TL_OK;
        }
    }
    return tl_fail(TL_EIO, "processors: this program may use none");
}

static void print_set(const cpu_set_t *set, char list[LIST_BYTES])
{
    size_t len = 0;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, set)) {
            len += (size_t)snprintf(
                list + len, LIST_BYTES - len, "%s%zu", len > 0 ? "," : "", cpu);
        }
    }
}

static bool set_environment(int n_threads, const char *list)
{
    char number[NUMBER_BYTES];
    (void)snprintf(number, sizeof number, "%d", n_threads);
    return setenv("OMP_NUM_THREADS", number, 1) == 0 &&
           setenv("OMP_DYNAMIC", "false", 1) == 0 &&
           setenv("OMP_PROC_BIND", n_threads > 1 ? "true" : "false", 1) == 0 &&
           setenv("OPENBLAS_NUM_THREADS", number, 1) == 0 && setenv(PINNED, list, 1) == 0;
}

tl_err tl_pin(const char *cpus, char **argv)
{
    cpu_set_t set;
    char list[LIST_BYTES] = "";
    TL_TRY(choose(cpus, &set));
    print_set(&set, list);
    const char *pinned = getenv(PINNED);
    if (pinned != NULL && strcmp(pinned, list) == 0) {
        return TL_OK;
    }
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        return tl_fail(TL_EIO, "processors: cannot use %s: %s", list, strerror(errno));
    }
    if (!set_environment(CPU_COUNT(&set), list)) {
        return tl_fail(TL_ENOMEM, "environment");
    }
    (void)execv("/proc/self/exe", argv);
    return tl_fail(TL_EIO, "cannot start again on processors %s: %s", list, strerror(errno));
}
