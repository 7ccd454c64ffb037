/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_ACCURACY_CODEC_H
#define TL_PREDICTORS_ACCURACY_CODEC_H

/*
 * Accuracy models as bytes (proto/accuracy.proto): weights as 32-bit floats,
 * no design and no label.
 */

#include "predictors/accuracy.h"
#include "proto/wire.h"

/* On success the caller owns out->data (tl_mem_free). */
TL_MUST_USE tl_err tl_accuracy_pack(const tl_accuracy_model *model, tl_bytes *out);

/*
 * Reads a model that was fitted for the space; the caller owns *out_model.
 * Fails with TL_EDAMAGED when the bytes are no such model (sizes, ranges and finiteness
 * are all checked) and TL_EVERSION when a newer program wrote them.
 */
TL_MUST_USE tl_err tl_accuracy_unpack(
    const tl_space *space, const void *data, size_t len, tl_accuracy_model **out_model);

#endif
