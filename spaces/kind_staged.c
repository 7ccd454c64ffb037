/* SPDX-License-Identifier: Apache-2.0 */

/* Staged: stages and layers with any slots; one of a stage's slots may be its depth. */

#include "spaces/impl.h"

static tl_err build(tl_builder *builder)
{
    TL_TRY(tl_build_stages(builder));
    TL_TRY(tl_build_stage_slots(builder));
    return builder->space->n_slots > 0
               ? TL_OK
               : tl_fail(
                     TL_EINVAL,
                     "want slots, stage_slots or layer_slots: got nothing to choose");
}

const tl_space_ops tl_staged_ops = {
    .build = build,
    .size = tl_stages_size,
    .repair = tl_stages_repair,
    .lower = tl_lower_stages,
};
