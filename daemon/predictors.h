/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_PREDICTORS_H
#define TL_DAEMON_PREDICTORS_H

/*
 * The predictors that the daemon has in use: one for each space, and views of
 * the devices last asked about (views.h).
 *
 * A space's model is, best first, the one trained on the spot
 * (DATA/models/SPACE.tlm) or the shipped one (MODELS/SPACE.tlm). Files are looked
 * at again at most once a second; a changed one is read completely before it
 * takes the place of the former, and one that is damaged or of another version
 * leaves the former in place and a complaint. Answers under way keep the
 * predictor that they started with, and while one thread reads a file the others go on
 * with what is in use.
 *
 * All functions may be called from any thread.
 */

#include "device-profiles/registry.h"
#include "optimizer/optimizer.h"
#include "predictors/predictor.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct tl_predictors tl_predictors;

/* Borrows store. */
TL_MUST_USE tl_err tl_predictors_new(
    tl_store *store,
    const char *models_dir,
    const char *data_dir,
    tl_predictors **out_predictors);
void tl_predictors_free(tl_predictors *predictors); /* NULL is fine */

/*
 * The space's predictor, with a reference for the caller (tl_predictor_unref).
 * What is wrong with its files, if anything, is appended to complaint (NULL is fine).
 */
TL_MUST_USE tl_err tl_predictors_get(
    tl_predictors *predictors,
    const tl_space *space,
    tl_text *complaint,
    tl_predictor **out_predictor);

/* The same where it is in use and no file has to be looked at for it, at once; else false. */
bool tl_predictors_find(
    tl_predictors *predictors,
    const tl_space *space,
    tl_text *complaint,
    tl_predictor **out_predictor);

/*
 * The optimizer that came with the predictor's model, with a reference for the caller
 * (tl_optimizer_unref); NULL where it has none, or the predictor is in use no more.
 */
tl_optimizer *tl_predictors_optimizer(tl_predictors *predictors, const tl_predictor *predictor);

/*
 * The device as the predictor sees it with what is measured now, with a
 * reference for the caller (tl_view_unref).
 */
TL_MUST_USE tl_err tl_predictors_view(
    tl_predictors *predictors,
    tl_predictor *predictor,
    const tl_profile *profile,
    tl_view **out_view);

/* The same where it is kept and fresh, at once; otherwise *out_view is NULL. */
TL_MUST_USE tl_err tl_predictors_find_view(
    tl_predictors *predictors,
    tl_predictor *predictor,
    const tl_profile *profile,
    tl_view **out_view);

/*
 * Writes the model to DATA/models durably and puts it to use; it is not taken.
 * On failure the former model stays.
 */
TL_MUST_USE tl_err
tl_predictors_store(tl_predictors *predictors, const tl_space *space, const tl_model *model);

/* Where a space's model came from, for people. */
typedef struct tl_model_origin {
    const char *kind; /* "trained", "shipped", "none" */
    char path[512];
    int64_t file_bytes;
    char complaint[512]; /* "" where all is well */
} tl_model_origin;

TL_MUST_USE tl_err tl_predictors_origin(
    tl_predictors *predictors, const tl_space *space, tl_model_origin *out_origin);

/* The model in use for a space that was asked about. */
typedef struct tl_model_use {
    char space[TL_NAME_MAX_BYTES + 1];
    char model[TL_NAME_MAX_BYTES + 1]; /* "none" where there is no model */
    const char *origin;                /* as in tl_model_origin */
    int64_t created_unix_s;            /* 0 without a model */
} tl_model_use;

/*
 * What is in memory now; reads no file. The caller owns *out_uses (tl_mem_free).
 * out_n_views: devices whose view is kept.
 */
TL_MUST_USE tl_err tl_predictors_in_use(
    tl_predictors *predictors, tl_model_use **out_uses, size_t *out_n, size_t *out_n_views);

/* Forgets a space that was removed, and its trained model. */
void tl_predictors_forget(tl_predictors *predictors, const char *space_name);

#endif
