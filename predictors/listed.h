/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_LISTED_H
#define TL_PREDICTORS_LISTED_H

/*
 * What the known devices say of every design of a listed space, and the operators of
 * those designs: a device of which only the profile is known then costs two small
 * products, and no design is encoded or lowered again.
 *
 *     log cost(x) = constant + sum_s share_s logs_s(x)
 *                   + roofline_share log(work(x) / unit),  work(x) = counts(x) . prices
 *
 * as tl_zero_shot_predict() says, but for the rounding of logs to float. Immutable.
 */

#include "numerics/mat.h"
#include "predictors/zero_shot.h"

typedef struct tl_listed {
    const tl_known *known; /* borrowed */
    tl_mat logs;           /* [known->n, n]: each device's log, in its own unit */
    tl_op_table ops;       /* [n designs]; none where known->is_power */
} tl_listed;

/* designs [n, n_slots], without optional slots. */
TL_MUST_USE tl_err
tl_listed_new(const tl_known *known, const tl_choice *designs, int n, tl_listed **out_listed);
void tl_listed_free(tl_listed *listed); /* NULL is fine */

/* The designs at places [n]; NULL: the first n. The shot's known devices are those listed. */
TL_MUST_USE tl_err tl_listed_predict(
    const tl_listed *listed,
    const tl_zero_shot *shot,
    const int *places,
    int n,
    double *out_log);

#endif
