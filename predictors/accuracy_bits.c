/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/accuracy_bits.h"

#include "predictors/accuracy_impl.h"

/* A code that training never showed is read as another; see score_model.h. */
static bool was_seen(const tl_accuracy_model *model, int code)
{
    return model->score.read_as[code] == code;
}

/* The codes of one operator share a block: floats first, then one per width. */
static bool has_width(const tl_accuracy_model *model, const tl_cell_code *cell, int option)
{
    const tl_cellnet_shape *shape = &cell->shape;
    int first = cell->first_code[option];
    for (int k = first + 1; k < shape->n_codes && shape->block[k] == shape->block[first]; k++) {
        if (was_seen(model, k)) {
            return true;
        }
    }
    return false;
}

bool tl_accuracy_model_has_bits(const tl_accuracy_model *model)
{
    const tl_cell_code *cell = &model->encoder.cell;
    if (!model->encoder.is_cell) {
        return false;
    }
    for (int o = 0; o < cell->cell->n_options; o++) {
        if (cell->has_bits[o] && has_width(model, cell, o)) {
            return true;
        }
    }
    return false;
}
