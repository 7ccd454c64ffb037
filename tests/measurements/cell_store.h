/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_MEASUREMENTS_CELL_STORE_H
#define TL_TESTS_MEASUREMENTS_CELL_STORE_H

/* An empty store for measurements of nasbench201, of each test its own. */

#include "tests/measurements/cell_space.h"

#include "base/store.h"

typedef struct fixture {
    tl_space *space;
    tl_store *store;
} fixture;

static inline int make(void **state)
{
    static fixture f;
    (void)tl_test_count_blocks(state);
    f.space = load_space("nasbench201");
    assert_ok(tl_store_open(tl_test_new_dir(), 256, &f.store));
    *state = &f;
    return 0;
}

static inline int unmake(void **state)
{
    fixture *f = *state;
    tl_store_close(f->store);
    tl_space_unref(f->space);
    return tl_test_no_leaks(state);
}

#endif
