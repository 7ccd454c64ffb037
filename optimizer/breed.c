/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/breed.h"

#include <string.h>

static bool is_allowed(const tl_choice *allowed, int n, tl_choice choice)
{
    for (int i = 0; i < n; i++) {
        if (allowed[i] == choice) {
            return true;
        }
    }
    return false;
}

void tl_breed_cross(
    const tl_problem *problem,
    tl_rng *rng,
    const tl_choice *a,
    const tl_choice *b,
    tl_choice *child)
{
    tl_choice allowed[TL_SPACE_MAX_OPTIONS];
    int n_slots = tl_space_n_slots(problem->space);
    for (int k = 0; k < n_slots; k++) {
        bool is_a = tl_rng_below(rng, 2) == 0;
        tl_choice first = is_a ? a[k] : b[k];
        tl_choice second = is_a ? b[k] : a[k];
        int n = tl_space_allowed(problem->space, problem->freedom, child, k, allowed);
        if (n == 0) {
            memcpy(child, a, (size_t)n_slots * sizeof *child);
            return;
        }
        child[k] = is_allowed(allowed, n, first)    ? first
                   : is_allowed(allowed, n, second) ? second
                                                    : allowed[tl_rng_below(rng, (uint64_t)n)];
    }
}
