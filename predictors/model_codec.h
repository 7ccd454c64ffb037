/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_MODEL_CODEC_H
#define TL_PREDICTORS_MODEL_CODEC_H

/* What model_pack.c and model_unpack.c share: the messages of a model file. */

#include "predictors/model.h"
#include "proto/model.pb-c.h"
#include "proto/wire.h"

typedef Tailor__Model__V1__ModelFile file_message;
typedef Tailor__Model__V1__Model model_message;
typedef Tailor__Model__V1__Source source_message;
typedef Tailor__Model__V1__Binning binning_message;
typedef Tailor__Model__V1__Calibration calibration_message;
typedef Tailor__Model__V1__Prior prior_message;
typedef Tailor__Model__V1__Provenance provenance_message;
typedef Tailor__Model__V1__TableSum sum_message;
typedef Tailor__Model__V1__Figure figure_message;

#define TL_MODEL_MAGIC "tailor-model"

enum {
    TL_MODEL_N_BINS = TL_BINNING_GRIDS * TL_BINNING_BINS
};

/* Copies, from tl_mem_new(). */
TL_MUST_USE tl_err tl_model_set_text(char **field, const char *text);
TL_MUST_USE tl_err tl_model_copy_bytes(const uint8_t *from, size_t len, uint8_t **out);

#endif
