/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_GRADING_WORLD_H
#define TL_TESTS_GRADING_WORLD_H

/* Four made-up devices and a task on 600 cells of nasbench201. */

#include "tests/support/test.h"

#include "measurements/columns.h"
#include "predictors/train.h"

enum {
    N_DEVICES = 4,
    N_DESIGNS = 600
};

/* Made-up devices that add up what their choices cost, each with its own prices. */
typedef struct world {
    tl_space *space;
    tl_choice *designs; /* [N_DESIGNS, n_slots] sorted, each once */
    double *values;     /* [N_DEVICES + 1, N_DESIGNS]; the last row is an accuracy */
    tl_train_column columns[N_DEVICES];
    const tl_train_column *pointers[N_DEVICES];
    bool is_graded[N_DEVICES];
    tl_column accuracy;
} world;

/* A shipped space by its name. */
void load_space(const char *name, tl_space **out_space);

/* By the seed of the run. Pair with world_done(). */
void world_init(world *w);
void world_done(world *w);

#endif
