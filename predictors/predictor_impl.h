/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_PREDICTOR_IMPL_H
#define TL_PREDICTORS_PREDICTOR_IMPL_H

/*
 * What predictor*.c and view*.c share; nobody else includes it.
 */

#include "numerics/mat.h"
#include "predictors/predictor.h"

#include <pthread.h>
#include <stdatomic.h>

/* From this many designs at once, all of a listed space are scored and then looked up. */
enum {
    TL_PREDICTOR_WORTH_LISTING = 64
};

/* A cost's known devices, and the rows that heads read. */
typedef struct tl_cost_sources {
    const tl_source **sources; /* borrowed from the model */
    int n;
    double spread;
} tl_cost_sources;

struct tl_predictor {
    atomic_int n_refs;
    tl_space *space;
    tl_features *features;
    tl_model *model;
    tl_cost_sources costs[TL_N_COSTS];
    const char **tasks; /* borrowed from the model, sorted */
    int n_tasks;

    /* The listing of a small space: its reference designs are all it has. */
    const tl_choice *listing; /* [n_listing, n_slots], sorted; NULL where not listed */
    int n_listing;

    pthread_mutex_t lock; /* of what follows: filled once, then only read */
    bool has_rows[TL_N_COSTS];
    tl_dmat rows[TL_N_COSTS];   /* [n_listing, P + S] */
    double *z[TL_N_COSTS];      /* [n_listing] */
    tl_prediction **accuracies; /* by task; [n_listing] each, NULL until asked for */
};

/* The design's place in the listing, or -1. */
int tl_predictor_place(const tl_predictor *predictor, const tl_choice *design);

/* Fills rows and z of the listing for the wanted costs [TL_N_COSTS], once; both at a time cost one encoding. */
TL_MUST_USE tl_err tl_predictor_list_rows(tl_predictor *predictor, const bool *is_wanted);

#endif
