/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/torture.h"

#include "base/mem.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DENSE = 30,
    SPREAD = 10,
    DENSE_ALL = 5000,
    SPREAD_ALL = 100,
    DENSE_LONG = 200,
    SPREAD_LONG = 30,
    MOST = 10000000
};

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

static void switch_on(const tl_test_ordeal *o, long k)
{
    if (o->everywhere) {
        tl_test_refuse_at(k);
    } else {
        tl_mem_fail_at(k);
    }
}

static tl_err call_once(const tl_test_ordeal *o, long k, bool *out_is_refused)
{
    if (o->before != NULL) {
        o->before(o->context);
    }
    long live = tl_mem_live();
    long refused_before = tl_test_n_refused_anywhere();
    tl_err_clear();
    switch_on(o, k);
    tl_err err = o->run(o->context);
    switch_on(o, 0);
    *out_is_refused = tl_test_n_refused_anywhere() != refused_before;
    bool is_fine = err == TL_OK || err == TL_ENOMEM || (o->is_fine != NULL && o->is_fine(err));
    if (!is_fine) {
        fail_msg(
            "%s, allocation %ld at %lx: got %s (%s), want ENOMEM", o->name, k,
            tl_test_refused_at(), tl_err_name(err), tl_err_detail());
    }
    if (err != TL_OK && tl_err_detail()[0] == '\0') {
        fail_msg("%s, allocation %ld: no detail", o->name, k);
    }
    if (err != TL_OK && !o->keeps && tl_mem_live() != live) {
        fail_msg(
            "%s, allocation %ld at %lx: %ld blocks left", o->name, k, tl_test_refused_at(),
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
