/* SPDX-License-Identifier: Apache-2.0 */

/* Chain: a sequence of blocks in stages of fixed length; a slot is a block's operator. */

#include "spaces/impl.h"

static tl_err build(tl_builder *builder)
{
    const tl_raw_space *raw = builder->raw;
    tl_raw_slot block = {.name = raw->slot};
    if (raw->slot == NULL) {
        return tl_fail(TL_EINVAL, "slot: want the name of a block's slot, as b{block}");
    }
    if (raw->options_count == 0) {
        return tl_fail(TL_EINVAL, "options: got none, want the operators of a block");
    }
    /* The same as a staged space with one slot a layer. */
    tl_raw_space view = *raw;
    view.layer_slots = &block;
    view.layer_slots_count = 1;
    builder->raw = &view;
    tl_err err = tl_build_stages(builder);
    err = err == TL_OK ? tl_build_stage_slots(builder) : err;
    builder->raw = raw;
    return err;
}

const tl_space_ops tl_chain_ops = {
    .build = build,
    .size = tl_stages_size,
    .repair = tl_stages_repair,
    .lower = tl_lower_stages,
};
