/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_PREDICTOR_IMPL_H
#define TL_PREDICTORS_PREDICTOR_IMPL_H

/*
 * What predictor*.c and view*.c share; nobody else includes it.
 */

#include "numerics/mat.h"
#include "predictors/listed.h"
#include "predictors/predictor.h"
#include "predictors/ranked.h"

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
    tl_confidence normal; /* the curve of what is told no minimum */

    /* The listing of a small space: its reference designs are all it has. */
    const tl_choice *listing; /* [n_listing, n_slots], sorted; NULL where not listed */
    int n_listing;

    pthread_mutex_t lock; /* of what follows: filled once, then only read */
    bool has_rows[TL_N_COSTS];
    tl_dmat rows[TL_N_COSTS];      /* [n_listing, P + S] */
    double *z[TL_N_COSTS];         /* [n_listing] */
    tl_prediction **accuracies;    /* by task; [n_listing] each, NULL until asked for */
    tl_ranked **ranked;            /* by task; NULL until asked for */
    tl_known *known[TL_N_COSTS];   /* all of them; NULL until asked for, or where too few */
    tl_listed *listed[TL_N_COSTS]; /* what those say of the listing; NULL until asked for */
    /* Curves of devices of which only the profile is known; n 0 until asked for. */
    tl_confidence profile_confidence[TL_N_COSTS];
};

/* The known devices of known profile, made once; *out_known NULL: fewer than TL_KNOWN_LEAST. */
TL_MUST_USE tl_err
tl_predictor_known(tl_predictor *predictor, tl_cost cost, const tl_known **out_known);

/* What those say of the listing, made once. There is a listing, and they are known. */
TL_MUST_USE tl_err
tl_predictor_listed(tl_predictor *predictor, tl_cost cost, const tl_listed **out_listed);

/* The design's place in the listing, or -1. */
int tl_predictor_place(const tl_predictor *predictor, const tl_choice *design);

/* Fills rows and z of the listing for the wanted costs [TL_N_COSTS], once; both at a time cost one encoding. */
TL_MUST_USE tl_err tl_predictor_list_rows(tl_predictor *predictor, const bool *is_wanted);

/* The curve of a cost that is told by no measurement, made once. */
void tl_predictor_profile_confidence(tl_predictor *predictor, tl_cost cost, tl_confidence *out);

#endif
