/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_CELL_CODE_H
#define TL_PREDICTORS_CELL_CODE_H

/*
 * A cell as CellNet reads it: one code per edge, and numbers for what the
 * graph of live edges does not show.
 *
 * An edge off every path of live edges is cut (-1). A convolution has one
 * code per width of its weights (float, up to 2, up to 4, up to 8 bits), all
 * with the weights of one block.
 *
 * The numbers matter where a tool chain stumbles over a cell's form: for every
 * edge, whether it is a convolution that reads only zeros (its source cannot be
 * reached) and still reaches the output; and the number of convolution-free paths
 * from input to output with 0, 1, 2 pools.
 */

#include "predictors/net.h"
#include "spaces/space.h"

enum {
    TL_CELL_PATH_COUNTS = 3,
    TL_CELL_CODE_MAX_OPTIONS = 32,
};

typedef struct tl_cell_code {
    const tl_cell *cell;    /* borrowed from the space */
    tl_cellnet_shape shape; /* the graph and the codes; widths are left 0 */
    int8_t first_code[TL_CELL_CODE_MAX_OPTIONS]; /* of an option; -1 cut, 0 skip */
    bool has_bits[TL_CELL_CODE_MAX_OPTIONS];     /* one code per width follows */
} tl_cell_code;

/* False when the space is no cell space or has more than CellNet can hold. */
bool tl_cell_code_init(const tl_space *space, tl_cell_code *out_code);

/* Of a design's row of numbers: n_edges + TL_CELL_PATH_COUNTS. */
int tl_cell_code_n_numbers(const tl_cell_code *code);

/*
 * Writes a valid design's codes [n_edges] and numbers. Returns whether a path
 * of live edges joins input and output.
 */
bool tl_cell_code_encode(
    const tl_cell_code *code,
    const tl_space *space,
    const tl_choice *design,
    int8_t *out_codes,
    float *out_numbers);

/* Reads the codes of many designs, remembering which edges live where some are cut. */
typedef struct tl_cell_reader {
    const tl_cell_code *code;
    const tl_space *space;
    uint32_t *live_of; /* by which edges are not "none"; NULL: worked out for each design */
} tl_cell_reader;

/* For about n designs. code and space are borrowed. Pair with _done. */
TL_MUST_USE tl_err tl_cell_reader_init(
    const tl_cell_code *code, const tl_space *space, int n, tl_cell_reader *out_reader);
void tl_cell_reader_done(tl_cell_reader *reader);

/* tl_cell_code_encode() without the numbers. */
bool tl_cell_reader_codes(tl_cell_reader *reader, const tl_choice *design, int8_t *out_codes);

#endif
