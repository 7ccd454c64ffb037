/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_ACCURACY_BITS_H
#define TL_PREDICTORS_ACCURACY_BITS_H

/*
 * Whether an accuracy model knows designs with weight bits. Only then may a search
 * choose bits: another model reads every width alike, so that the narrowest, which is
 * the cheapest, would always win.
 */

#include "predictors/accuracy.h"

#include <stdbool.h>

/*
 * The model was fitted to designs whose convolutions have weight bits. Spaces without
 * slots for them: never.
 */
bool tl_accuracy_model_has_bits(const tl_accuracy_model *model);

#endif
