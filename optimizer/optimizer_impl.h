/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_OPTIMIZER_IMPL_H
#define TL_OPTIMIZER_OPTIMIZER_IMPL_H

/* Inside of an optimizer; only optimizer.c and optimizer_codec.c include this. */

#include "optimizer/optimizer.h"

#include <stdatomic.h>

struct tl_optimizer {
    atomic_int n_refs;
    tl_signature signatures[TL_N_FREEDOMS]; /* without tasks: there is no such net */
    tl_policy *policies[TL_N_FREEDOMS];     /* NULL then */
};

/* Without nets; NULL when memory is short. */
tl_optimizer *tl_optimizer_alloc(void);

/* Rounds the weights to what its bytes hold, so that packing loses nothing. */
void tl_optimizer_round(tl_policy *policy);

#endif
