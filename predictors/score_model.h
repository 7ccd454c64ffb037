/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_SCORE_MODEL_H
#define TL_PREDICTORS_SCORE_MODEL_H

/*
 * The regression inside an accuracy model: from designs to normal scores, with
 * a spread that says where it is out of its depth but not yet how far.
 *
 * Cells are read by an ensemble of CellNets. Other spaces are described by
 * numbers (choices one-hot; logarithms of MACs, parameters, elements moved and
 * operators, in all and per stage) and read by ridges and, where there are
 * designs enough, by MLPs that learn what the ridges leave over. Only weights
 * are kept, never designs.
 */

#include "predictors/cell_code.h"
#include "predictors/net.h"
#include "spaces/space.h"

/* How designs of one space are read. A value; the space must outlive it. */
typedef struct tl_score_encoder {
    const tl_space *space;
    bool is_cell;
    tl_cell_code cell;
    int n_stages;
    int n_codes, n_numbers; /* per design */
    bool skips_numbers;     /* of cells, for a model that does not read them */
} tl_score_encoder;

TL_MUST_USE tl_err tl_score_encoder_init(const tl_space *space, tl_score_encoder *out_encoder);

/* Encoded designs. */
typedef struct tl_score_input {
    int n;
    int8_t *codes;   /* [n, n_codes] */
    tl_mat numbers;  /* [n, n_numbers] */
    bool *is_dead;   /* [n]: no path from input to output */
    int *first_like; /* [n]: tl_score_predict() writes the first design of the same answer */
} tl_score_input;

/* designs [n, n_slots], valid. Pair with tl_score_input_done(), which accepts a zeroed one. */
TL_MUST_USE tl_err tl_score_encode(
    const tl_score_encoder *encoder,
    const tl_choice *designs,
    int n,
    tl_score_input *out_input);
void tl_score_input_done(tl_score_input *input);

/*
 * The same for many designs a part at a time: what a reader has learnt of the space's
 * networks serves the next ones. For one thread; the encoder must outlive it.
 */
typedef struct tl_score_reader tl_score_reader;
TL_MUST_USE tl_err
tl_score_reader_new(const tl_score_encoder *encoder, tl_score_reader **out_reader);
void tl_score_reader_free(tl_score_reader *reader); /* NULL is fine */
TL_MUST_USE tl_err tl_score_read(
    tl_score_reader *reader, const tl_choice *designs, int n, tl_score_input *out_input);

typedef struct tl_score_model {
    int n_out;
    int n_numbers;
    /* Columns are read as (x - mean) * scale; 0 drops a column. NULL: no numbers are read. */
    float *mean, *scale;
    /* Cells: a code never seen in training is read as its nearest relative. */
    int8_t read_as[TL_NET_MAX_CODES];
    tl_net net;
    int n_members; /* 0: no networks; of net.n_out / n_out heads each */
    float *params; /* [n_members, net.n_params] */
    int n_ridges;  /* 0: no ridges; else one on all designs, then some on four fifths each */
    float *ridges; /* [n_ridges, n_out, n_numbers + 1], the constant last */
} tl_score_model;

void tl_score_model_done(tl_score_model *model); /* accepts a zeroed one */

typedef struct tl_score_options {
    int n_heads;      /* 0: a deep ensemble; else one trunk with that many heads */
    double repulsion; /* between them */
    uint64_t seed;
    int n_threads;
    int n_designs;    /* that the final model will see: sets sizes and steps, for folds too */
    bool has_numbers; /* cells: condition on the cell's form */
    /*
     * Rows of the input, the first ones, whose codes the model tells apart later on: what
     * others alone show taught it, but is not answered for. 0: all.
     */
    int n_own;
    bool (*progress)(void *context, int64_t done, int64_t total);
    void *context;
} tl_score_options;

/* Networks and steps of a fit, for progress: calls report up to this many. */
int64_t tl_score_n_steps(const tl_score_encoder *encoder, int n_designs, int n_heads);

/*
 * Fits rows [n_rows] of input to the scores y [input->n, n_out], NaN where
 * unknown. out_model is written on success only.
 */
TL_MUST_USE tl_err tl_score_fit(
    const tl_score_encoder *encoder,
    const tl_score_input *input,
    tl_cmat y,
    const int *rows,
    int n_rows,
    const tl_score_options *options,
    tl_score_model *out_model);

/* Forgets all outputs but the first n_out of a model of one head. */
void tl_score_model_keep(tl_score_model *model, int n_out);

/* mean and spread (a variance) [input->n, n_out]. */
TL_MUST_USE tl_err tl_score_predict(
    const tl_score_model *model, const tl_score_input *input, tl_mat mean, tl_mat spread);

#endif
