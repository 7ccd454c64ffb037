/* SPDX-License-Identifier: Apache-2.0 */

/* Stages: what chain and staged spaces are made of, and the frame of a cell space. */

#include "base/name.h"
#include "spaces/impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- building ------------------------------------------------------------------ */

static tl_err build_stage(
    tl_builder *builder, const tl_raw_stage *raw, int number, tl_stage *stage)
{
    char where[TL_NAME_MAX_BYTES + 16];
    if (raw->name != NULL) {
        (void)snprintf(where, sizeof where, "%.128s", raw->name);
    } else {
        (void)snprintf(where, sizeof where, "%d", number);
    }
    TL_TRY(tl_name_check("stage", where));
    TL_TRY(tl_build_strdup(builder, where, &stage->name));
    (void)snprintf(where, sizeof where, "stage %s", stage->name);
    stage->first_slot = stage->first_layer_slot = -1;
    TL_TRY(tl_build_expr(builder, where, "channels", raw->channels, &stage->channels));
    TL_TRY(tl_build_expr(builder, where, "blocks", raw->blocks, &stage->blocks));
    TL_TRY(tl_build_expr(builder, where, "stride", raw->stride, &stage->stride));
    TL_TRY(tl_build_expr(builder, where, "kernel", raw->kernel, &stage->params.kernel));
    TL_TRY(tl_build_expr(builder, where, "expand", raw->expand, &stage->params.expand));
    TL_TRY(tl_build_expr(builder, where, "groups", raw->groups, &stage->params.groups));
    TL_TRY(tl_build_expr(builder, where, "se", raw->se, &stage->params.se));
    TL_TRY(tl_build_act(where, "act", raw->act, TL_ACT_OF_BLOCK, &stage->params.act));
    if (raw->block != NULL && raw->ops != NULL) {
        return tl_fail(TL_EINVAL, "%s: got block and ops, want one of them", where);
    }
    if (raw->block != NULL) {
        return tl_build_block_find(builder, where, raw->block, &stage->list);
    }
    return raw->ops != NULL
               ? tl_build_list(builder, where, raw->ops, raw->ops_count, &stage->list)
               : TL_OK;
}

tl_err tl_build_stages(tl_builder *builder)
{
    const tl_raw_space *raw = builder->raw;
    tl_space *space = builder->space;
    if (raw->stages_count == 0) {
        return tl_fail(TL_EINVAL, "stages: got none, want at least one");
    }
    TL_TRY(tl_build_new(builder, raw->stages_count, sizeof *space->stages, &space->stages));
    for (uint32_t i = 0; i < raw->stages_count; i++) {
        TL_TRY(build_stage(builder, &raw->stages[i], (int)i + 1, &space->stages[i]));
    }
    space->n_stages = (int)raw->stages_count;
    return TL_OK;
}

/* Options that several slots share. */
typedef struct option_set {
    const tl_option *options;
    int n;
} option_set;

/* What a slot of a stage or layer chooses from; without a list of its own, from `options`. */
static tl_err shared_options(
    tl_builder *builder,
    const char *key,
    const tl_raw_slot *raw,
    option_set blocks,
    option_set *set)
{
    char where[TL_NAME_MAX_BYTES + 32];
    (void)snprintf(where, sizeof where, "%s %.128s", key, raw->name);
    TL_TRY(tl_build_slot_options(builder, where, raw, &set->options, &set->n));
    if (set->options == NULL) {
        *set = blocks;
    }
    if (set->options == NULL) {
        return tl_fail(TL_EINVAL, "%s: want values, range or options", where);
    }
    return TL_OK;
}

/* A stage may give its own values to the slot that expressions know by this name. */
static tl_err own_options(
    tl_builder *builder, const tl_raw_stage *raw, const char *as, option_set *set)
{
    for (uint32_t i = 0; i < raw->slots_count; i++) {
        const tl_raw_slot *slot = &raw->slots[i];
        if (slot->as != NULL && strcmp(slot->as, as) == 0) {
            return tl_build_slot_options(builder, as, slot, &set->options, &set->n);
        }
    }
    return TL_OK;
}

static tl_err check_own_slots(const tl_builder *builder, const tl_raw_stage *raw)
{
    const tl_scope *scope = &builder->scope;
    for (uint32_t i = 0; i < raw->slots_count; i++) {
        const char *as = raw->slots[i].as;
        bool is_known = false;
        for (int j = 0; as != NULL && j < scope->n_stage_slots; j++) {
            is_known = is_known || strcmp(scope->stage_slots[j], as) == 0;
        }
        if (!is_known) {
            return tl_fail(
                TL_EINVAL, "stages: slots entry %u: as: got \"%.60s\", want one of stage_slots",
                i + 1, as != NULL ? as : "");
        }
    }
    return TL_OK;
}

static tl_err add_slots_of_stages(tl_builder *builder, option_set blocks)
{
    const tl_raw_space *raw = builder->raw;
    tl_space *space = builder->space;
    option_set shared[TL_MAX_STAGE_SLOTS] = {{0}};
    space->n_stage_slots = (int)raw->stage_slots_count;
    for (uint32_t k = 0; k < raw->stage_slots_count; k++) {
        TL_TRY(shared_options(builder, "stage slot", &raw->stage_slots[k], blocks, &shared[k]));
    }
    for (int i = 0; i < space->n_stages; i++) {
        TL_TRY(check_own_slots(builder, &raw->stages[i]));
        for (uint32_t k = 0; k < raw->stage_slots_count; k++) {
            option_set set = shared[k];
            const char *name = NULL;
            int slot = 0;
            TL_TRY(own_options(builder, &raw->stages[i], builder->scope.stage_slots[k], &set));
            TL_TRY(tl_build_slot_name(
                builder, raw->stage_slots[k].name, space->stages[i].name, 0, 0, 0, &name));
            TL_TRY(tl_build_slot(builder, name, set.options, set.n, &slot));
            space->stages[i].first_slot = k == 0 ? slot : space->stages[i].first_slot;
        }
    }
    return TL_OK;
}

/* How many layers a stage has at most and at least, and the slot that says it (-1: none). */
static tl_err depth_of(
    const tl_space *space, tl_stage *stage, int *out_least, int *out_depth_slot)
{
    int local = tl_expr_variable(&stage->blocks) - TL_FIRST_STAGE_VAR;
    double least = (double)INFINITY;
    double most = 0;
    *out_depth_slot = -1;
    if (tl_expr_is_constant(&stage->blocks)) {
        least = most = tl_expr_eval(&stage->blocks, NULL);
    } else if (local >= 0 && local < space->n_stage_slots) {
        *out_depth_slot = stage->first_slot + local;
        const tl_slot_impl *slot = &space->slots[*out_depth_slot];
        for (int i = 0; i < slot->pub.n_options; i++) {
            double value = slot->options[i].value;
            least = value < least ? value : least;
            most = value <= most ? most : value;
        }
    } else {
        return tl_fail(
            TL_EINVAL,
            "stage %s: blocks: want a number or one $slot of the stage, since each layer has slots",
            stage->name);
    }
    if (!(least >= 0 && most >= 1 && most <= TL_MAX_BLOCKS_IN_STAGE)) {
        return tl_fail(
            TL_EINVAL, "stage %s: blocks: got %g, want 1 to %d", stage->name, most,
            (int)TL_MAX_BLOCKS_IN_STAGE);
    }
    *out_least = (int)least;
    stage->max_blocks = (int)most;
    return TL_OK;
}

static tl_err add_slots_of_layers(
    tl_builder *builder, tl_stage *stage, const option_set *sets, int *block, int n_blocks)
{
    const tl_raw_space *raw = builder->raw;
    tl_space *space = builder->space;
    int least = 0;
    int depth_slot = -1;
    TL_TRY(depth_of(space, stage, &least, &depth_slot));
    stage->first_layer_slot = space->n_slots;
    for (int layer = 1; layer <= stage->max_blocks; layer++) {
        ++*block;
        for (int k = 0; k < space->n_layer_slots; k++) {
            const char *name = NULL;
            int slot = 0;
            TL_TRY(tl_build_slot_name(
                builder, raw->layer_slots[k].name, stage->name, layer, *block, n_blocks,
                &name));
            TL_TRY(tl_build_slot(builder, name, sets[k].options, sets[k].n, &slot));
            if (layer > least) {
                space->slots[slot].depth_slot = depth_slot;
                space->slots[slot].layer = layer;
                space->slots[slot].pub.may_be_absent = true;
            }
        }
    }
    return TL_OK;
}

tl_err tl_build_stage_slots(tl_builder *builder)
{
    const tl_raw_space *raw = builder->raw;
    tl_space *space = builder->space;
    option_set sets[TL_MAX_LAYER_SLOTS] = {{0}};
    option_set blocks = {.n = (int)raw->options_count};
    int n_blocks = 0;
    int block = 0;
    if (raw->options_count > 0) {
        TL_TRY(tl_build_options(
            builder, "options", raw->options, raw->options_count, &blocks.options));
    }
    TL_TRY(add_slots_of_stages(builder, blocks));
    space->n_layer_slots = (int)raw->layer_slots_count;
    for (uint32_t k = 0; k < raw->layer_slots_count; k++) {
        TL_TRY(shared_options(builder, "layer slot", &raw->layer_slots[k], blocks, &sets[k]));
    }
    for (int i = 0; i < space->n_stages && space->n_layer_slots > 0; i++) {
        int least = 0;
        int slot = 0;
        TL_TRY(depth_of(space, &space->stages[i], &least, &slot));
        n_blocks += space->stages[i].max_blocks;
    }
    for (int i = 0; i < space->n_stages && space->n_layer_slots > 0; i++) {
        TL_TRY(add_slots_of_layers(builder, &space->stages[i], sets, &block, n_blocks));
    }
    return TL_OK;
}

/* ---- counting and repairing -------------------------------------------------------- */

/* Designs of one stage: over its depths, options of its slots times those of its layers. */
static double stage_size(const tl_space *space, const tl_stage *stage)
{
    double per_stage = 1;
    double per_layer = 1;
    int local = tl_expr_variable(&stage->blocks) - TL_FIRST_STAGE_VAR;
    int depth_slot = space->n_layer_slots > 0 && local >= 0 ? stage->first_slot + local : -1;
    for (int k = 0; k < space->n_stage_slots; k++) {
        int slot = stage->first_slot + k;
        per_stage *= slot != depth_slot ? space->slots[slot].pub.n_options : 1;
    }
    for (int k = 0; k < space->n_layer_slots; k++) {
        per_layer *= space->slots[stage->first_layer_slot + k].pub.n_options;
    }
    if (depth_slot < 0) {
        return per_stage * pow(per_layer, stage->max_blocks);
    }
    double sum = 0;
    for (int i = 0; i < space->slots[depth_slot].pub.n_options; i++) {
        sum += per_stage * pow(per_layer, space->slots[depth_slot].options[i].value);
    }
    return sum;
}

double tl_stages_size(const tl_space *space)
{
    double size = 1;
    int n_space_slots = space->stages[0].first_slot >= 0 ? space->stages[0].first_slot
                        : space->stages[0].first_layer_slot >= 0
                            ? space->stages[0].first_layer_slot
                            : space->n_slots;
    for (int i = 0; i < n_space_slots; i++) {
        size *= space->slots[i].pub.n_options;
    }
    for (int i = 0; i < space->n_stages; i++) {
        size *= stage_size(space, &space->stages[i]);
    }
    return size;
}

void tl_stages_repair(
    const tl_space *space, tl_freedom freedom, const tl_choice *before, tl_choice *design)
{
    (void)freedom;
    (void)before;
    for (int i = 0; i < space->n_slots; i++) {
        if (!tl_slot_is_present(space, design, i)) {
            design[i] = TL_CHOICE_ABSENT;
        } else if (design[i] == TL_CHOICE_ABSENT) {
            design[i] = 0;
        }
    }
}

/* ---- lowering ------------------------------------------------------------------------ */

/* Parameters, and the list where it has one, of the options chosen in n slots. */
static void apply_options(
    tl_lowering *lowering, int first_slot, int n, int first_var, const tl_list **list)
{
    const tl_space *space = lowering->space;
    for (int k = 0; k < n; k++) {
        const tl_slot_impl *slot = &space->slots[first_slot + k];
        tl_choice choice = lowering->design[first_slot + k];
        TL_ASSERT(choice < slot->pub.n_options);
        const tl_option *option = &slot->options[choice];
        lowering->env.vars[first_var + k] = option->value;
        tl_lower_set_params(lowering, &option->params);
        if (option->list != NULL) {
            *list = option->list;
            lowering->slot = first_slot + k;
        }
    }
}

static tl_err lower_layer(
    tl_lowering *lowering, const tl_stage *stage, int layer, int channels, int stride)
{
    const tl_space *space = lowering->space;
    const tl_list *list = stage->list;
    double *vars = lowering->env.vars;
    int first = stage->first_layer_slot + (layer - 1) * space->n_layer_slots;
    vars[TL_VAR_LAYER] = layer;
    vars[TL_VAR_OUT] = channels;
    vars[TL_VAR_STRIDE] = layer == 1 ? stride : 1;
    vars[TL_VAR_IN] = lowering->x.ch;
    vars[TL_VAR_SIZE] = lowering->x.size;
    vars[TL_VAR_KERNEL] = vars[TL_VAR_EXPAND] = (double)NAN;
    vars[TL_VAR_GROUPS] = 1;
    vars[TL_VAR_SE] = 0;
    lowering->act = TL_ACT_RELU;
    lowering->slot = space->n_layer_slots > 0 ? first : stage->first_slot;
    tl_lower_set_params(lowering, &stage->params);
    apply_options(lowering, stage->first_slot, space->n_stage_slots, TL_FIRST_STAGE_VAR, &list);
    apply_options(lowering, first, space->n_layer_slots, TL_FIRST_LAYER_VAR, &list);
    if (list == NULL) {
        return tl_fail(
            TL_EINVAL, "stage %s: neither it nor the option says what a block is", stage->name);
    }
    return tl_lower_list(lowering, list);
}

/* The stage's slots, as its own expressions read them. */
static void set_stage_vars(tl_lowering *lowering, const tl_stage *stage)
{
    const tl_space *space = lowering->space;
    for (int k = 0; k < space->n_stage_slots; k++) {
        int slot = stage->first_slot + k;
        lowering->env.vars[TL_FIRST_STAGE_VAR + k] =
            space->slots[slot].options[lowering->design[slot]].value;
    }
}

/* What a stage's own expressions say; they see the image that enters it. */
typedef struct stage_plan {
    int channels, n_blocks, stride;
} stage_plan;

static tl_err read_stage(tl_lowering *lowering, const tl_stage *stage, stage_plan *plan)
{
    plan->stride = 1;
    tl_lower_forget(lowering);
    lowering->env.vars[TL_VAR_IN] = lowering->x.ch;
    lowering->env.vars[TL_VAR_SIZE] = lowering->x.size;
    set_stage_vars(lowering, stage);
    TL_TRY(tl_lower_int(
        lowering, &stage->channels, "channels", 1, TL_MAX_CHANNELS, &plan->channels));
    TL_TRY(tl_lower_int(
        lowering, &stage->blocks, "blocks", 0, TL_MAX_BLOCKS_IN_STAGE, &plan->n_blocks));
    if (tl_expr_is_given(&stage->stride)) {
        TL_TRY(
            tl_lower_int(lowering, &stage->stride, "stride", 1, TL_MAX_STRIDE, &plan->stride));
    }
    return TL_OK;
}

static tl_err lower_stage(tl_lowering *lowering, const tl_stage *stage)
{
    stage_plan plan = {0};
    TL_TRY(read_stage(lowering, stage, &plan));
    for (int layer = 1; layer <= plan.n_blocks; layer++) {
        TL_TRY(lower_layer(lowering, stage, layer, plan.channels, plan.stride));
    }
    return TL_OK;
}

static tl_err name_stage(tl_err err, const tl_stage *stage)
{
    return err == TL_OK || err == TL_ENOMEM ? err : tl_fail_in(err, "stage %s: ", stage->name);
}

tl_err tl_lower_stages(tl_lowering *lowering)
{
    const tl_space *space = lowering->space;
    for (int i = 0; i < space->n_stages; i++) {
        lowering->stage = i;
        TL_TRY(name_stage(lower_stage(lowering, &space->stages[i]), &space->stages[i]));
    }
    return TL_OK;
}

tl_err tl_lower_stage_part(tl_lowering *lowering, int stage_idx, int layer)
{
    const tl_stage *stage = &lowering->space->stages[stage_idx];
    stage_plan plan = {0};
    lowering->stage = stage_idx;
    if (layer == 0) {
        return name_stage(lower_stage(lowering, stage), stage);
    }
    tl_err err = read_stage(lowering, stage, &plan);
    if (err == TL_OK) {
        err = lower_layer(lowering, stage, layer, plan.channels, plan.stride);
    }
    return name_stage(err, stage);
}
