/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_FUZZ_FUZZ_H
#define TL_TESTS_FUZZ_FUZZ_H

/*
 * Fuzz targets: one for every decoder of bytes that nobody vouches for.
 *
 * A target is one file <name>_fuzz.c that defines LLVMFuzzerTestOneInput(). Built with
 * -DTL_FUZZ=ON it is a libFuzzer program; always it is also linked to replay.c, which runs
 * it over the kept corpus as an ordinary test. Whatever a decoder answers is right, as
 * long as it leaves no memory behind and breaks no rule of the language.
 */

#include "spaces/space.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Entry of libFuzzer, which fixes the name. Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program, saying what, unless it is true. */
void tl_fuzz_check(bool is_true, const char *what);

/* A built-in space, read once and kept. */
const tl_space *tl_fuzz_space(const char *name);

/* The blocks that are held now; checks at the end of an input that they are no more. */
size_t tl_fuzz_blocks(void);
void tl_fuzz_check_blocks(size_t before);

/*
 * Takes the next piece off the input: a byte that says what it is, its length in two bytes, little
 * end first, and so many bytes (or what is left). False at the end.
 */
typedef struct tl_fuzz_piece {
    uint8_t kind;
    const uint8_t *data;
    size_t len;
} tl_fuzz_piece;
bool tl_fuzz_next(const uint8_t **data, size_t *size, tl_fuzz_piece *out_piece);

/* SHA-256 over a packed model in its file's envelope: the caller owns *out_data. */
void tl_fuzz_wrap_model(const uint8_t *model, size_t len, uint8_t **out_data, size_t *out_len);

#endif
