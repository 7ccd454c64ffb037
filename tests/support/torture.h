/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_SUPPORT_TORTURE_H
#define TL_TESTS_SUPPORT_TORTURE_H

/*
 * Torture: an operation with its k-th allocation refused, for every k it makes.
 *
 *     static tl_err add_device(void *context) { ... }
 *     assert_true(tl_test_torture("device.add", add_device, &world) > 5);
 *
 * A refusal is seen even where the operation got by without the memory (refuse.h).
 */

#include "base/err.h"
#include "tests/support/refuse.h"

#include <stdbool.h>

/*
 * One call. What it takes is given back when it fails; what a success leaves is the
 * caller's. It is called many times, also after successes: with one allocation refused a
 * call may succeed.
 */
typedef tl_err tl_test_operation(void *context);

typedef struct tl_test_ordeal {
    const char *name;
    tl_test_operation *run;
    void *context;
    void (*before)(void *context); /* each call, with all the memory it wants; NULL: nothing */
    bool (*is_fine)(tl_err err);   /* failures beside TL_ENOMEM; NULL: none */
    bool is_long;    /* not every k with TL_TORTURE=all either: up to 200, then one in thirty */
    bool everywhere; /* counts in all threads, not in the calling one only */
    bool keeps;      /* a failed call may leave blocks: of a cache, or of another thread */
} tl_test_ordeal;

/*
 * Every call that was refused an allocation succeeds or fails with TL_ENOMEM and a detail,
 * and a failed one leaves no block behind; the last, which was refused none, succeeds.
 * Returns how many calls were refused one. Every k is tried up to 30, then one in ten of
 * the rest, further apart as k grows; with TL_TORTURE=all every k up to 5,000.
 */
long tl_test_torture_ordeal(const tl_test_ordeal *ordeal);
long tl_test_torture(const char *name, tl_test_operation *run, void *context);

/* TL_TORTURE=all. */
bool tl_test_tortures_all(void);

#endif
