/* SPDX-License-Identifier: Apache-2.0 */
#include "measurements/designs.h"

#include "base/mem.h"

int tl_design_compare(const tl_choice *a, const tl_choice *b, int n_slots)
{
    for (int s = 0; s < n_slots; s++) {
        if (a[s] != b[s]) {
            return a[s] < b[s] ? -1 : 1;
        }
    }
    return 0;
}

/* Rows [begin, middle) and [middle, end) of from, each in order, into to. */
static void merge(
    const tl_choice *designs,
    int n_slots,
    const int *from,
    long begin,
    long middle,
    long end,
    int *to)
{
    long i = begin;
    long j = middle;
    for (long k = begin; k < end; k++) {
        bool is_first = j >= end || (i < middle && tl_design_compare(
                                                       tl_design_at(designs, n_slots, from[i]),
                                                       tl_design_at(designs, n_slots, from[j]),
                                                       n_slots) <= 0);
        to[k] = from[is_first ? i++ : j++];
    }
}

static long least(long a, long b)
{
    return a < b ? a : b;
}

tl_err tl_designs_order(const tl_choice *designs, int n_slots, int n, int **out_order)
{
    int *order = tl_mem_new((size_t)n, sizeof *order);
    int *spare = tl_mem_new((size_t)n, sizeof *spare);
    if (order == NULL || spare == NULL) {
        tl_mem_free(order);
        tl_mem_free(spare);
        return tl_fail(TL_ENOMEM, "the order of %d designs", n);
    }
    for (int i = 0; i < n; i++) {
        order[i] = i;
    }
    for (long width = 1; width < n; width *= 2) {
        for (long begin = 0; begin < n; begin += 2 * width) {
            merge(
                designs, n_slots, order, begin, least(begin + width, n),
                least(begin + 2 * width, n), spare);
        }
        int *sorted = spare;
        spare = order;
        order = sorted;
    }
    tl_mem_free(spare);
    *out_order = order;
    return TL_OK;
}
