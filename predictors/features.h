/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_FEATURES_H
#define TL_PREDICTORS_FEATURES_H

/*
 * Features: a design as a row of numbers that latency and energy are linear in.
 *
 * Columns come in groups: physical totals, totals of a stage, counts of
 * options, choices. In a "unit" group every column is centred and divided by
 * its standard deviation and by the root of the group's width; in the others
 * columns are centred and share one scale, so that the mean squared norm of the
 * group is 1. A kernel of the head is the inner product of one group.
 *
 * Means and scales are taken once over the reference designs: all designs of a
 * small space, else a fixed sample of it. The same space always gives the same
 * columns.
 *
 * The head uses the first P columns; the models of known devices (source.h),
 * which have seen hundreds of designs, use all Ps. For cells every group exists
 * once per edge mask, because runtimes differ in the edges that they execute:
 *
 *     A every edge      L on a path from node 0 to the last      R reachable from node 0
 *     T reaches the last node     N as T, but nothing where no path joins the ends
 *
 * and a hypothesis says which groups one kind of runtime may pay for. Weight bits of
 * cells, absent in every reference design, have one column of each mask's totals: the work
 * that they save. Spaces of blocks have one hypothesis; their columns are read
 * off the lowered network, where narrow numbers move less.
 *
 *     tl_features *features = NULL;
 *     TL_TRY(tl_features_new(space, &features));
 *     tl_dmat rows;
 *     err = tl_dmat_init(&rows, n, tl_features_n_head(features));
 *     err = tl_features_encode(features, designs, n, rows, (tl_dmat){0});
 *
 * A tl_features is immutable: any number of threads may use one.
 */

#include "numerics/mat.h"
#include "spaces/space.h"

typedef struct tl_features tl_features;

enum {
    TL_FEATURES_REFERENCE_ALL = 20000, /* spaces up to this size are their own reference */
    TL_FEATURES_REFERENCE_SAMPLE = 5000,
    TL_FEATURES_MAX_GROUPS = 32,
    TL_FEATURES_MAX_HYPOTHESES = 8,
    TL_FEATURES_MAX_TERMS = 6,
};

/* Columns [begin, end) of a head row. */
typedef struct tl_feature_group {
    const char *name; /* "tot", "hotN", ... */
    int begin, end;
    double centre; /* prior variance averaged over the hypotheses, for choosing designs */
} tl_feature_group;

/* One kind of runtime: the groups that it may pay for and their prior variances. */
typedef struct tl_hypothesis {
    double prior;
    int n_points;         /* of the hyperparameter grid; a multiple of 8 */
    double source_centre; /* prior variance of the predictions of known devices */
    int n_terms;
    int group[TL_FEATURES_MAX_TERMS];
    double centre[TL_FEATURES_MAX_TERMS];
} tl_hypothesis;

/* Keeps its own reference to space. On success the caller owns *out_features. */
TL_MUST_USE tl_err tl_features_new(const tl_space *space, tl_features **out_features);

/* The same with n > 1 reference designs [n, n_slots] of the caller's choice. */
TL_MUST_USE tl_err tl_features_new_from(
    const tl_space *space, const tl_choice *designs, int n, tl_features **out_features);

void tl_features_free(tl_features *features); /* NULL is fine */

const tl_space *tl_features_space(const tl_features *features);
int tl_features_n_head(const tl_features *features);   /* P */
int tl_features_n_source(const tl_features *features); /* Ps >= P */

int tl_features_n_groups(const tl_features *features); /* of the head */
const tl_feature_group *tl_features_group(const tl_features *features, int group);
int tl_features_n_hypotheses(const tl_features *features);
const tl_hypothesis *tl_features_hypothesis(const tl_features *features, int hypothesis);

/* The reference designs [*out_n, n_slots], borrowed. */
const tl_choice *tl_features_reference(const tl_features *features, int *out_n);

/*
 * Encodes n valid designs [n, n_slots]. head [n, P] and source [n, Ps]; either
 * may be empty (data NULL). The head's columns are the first of the source's.
 * Fails as tl_space_lower() does, or with TL_ENOMEM.
 */
TL_MUST_USE tl_err tl_features_encode(
    const tl_features *features, const tl_choice *designs, int n, tl_dmat head, tl_dmat source);

#endif
