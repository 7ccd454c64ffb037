/* SPDX-License-Identifier: Apache-2.0 */

/* Moving about a space: sample, mutate, neighbours, enumerate. */

#include "base/mem.h"
#include "spaces/impl.h"

#include <string.h>

enum {
    MAX_RESTARTS = 1000,
    MAX_MUTATION_TRIES = 1000,
    MAX_WORK_TO_FIRST = 1 << 24
};

/* The slot takes no choice here: it is not searched or does not apply. */
static bool is_skipped(
    const tl_space *space, tl_freedom freedom, const tl_choice *design, int slot)
{
    if (space->slots[slot].pub.is_optional) {
        return freedom != TL_FREE_BITS || !tl_cell_takes_bits(space, design, slot);
    }
    return !tl_slot_is_present(space, design, slot);
}

static bool allows(const tl_space *space, tl_choice *design, int slot, tl_choice choice)
{
    design[slot] = choice;
    return space->ops->allows == NULL || space->ops->allows(space, design, slot);
}

/*
 * Advances design[slot] to the next option that the choices before it allow,
 * from `from` on; "-" is the only one of a slot that takes no choice.
 */
static bool next_choice(
    const tl_space *space,
    tl_freedom freedom,
    tl_choice *design,
    int slot,
    int from,
    long *work)
{
    if (is_skipped(space, freedom, design, slot)) {
        design[slot] = TL_CHOICE_ABSENT;
        return from == 0;
    }
    for (int i = from; i < space->slots[slot].pub.n_options; i++) {
        *work += space->slot_cost[slot];
        if (allows(space, design, slot, (tl_choice)i)) {
            return true;
        }
    }
    return false;
}

/*
 * The next design in lexicographic order; from_start: the first one. A
 * depth-first walk that goes back one slot where no option remains.
 */
static bool next_design(
    const tl_space *space,
    tl_freedom freedom,
    tl_choice *design,
    bool from_start,
    long max_work)
{
    long work = 0;
    int slot = from_start ? 0 : space->n_slots - 1;
    bool is_new = from_start;
    while (slot >= 0 && slot < space->n_slots && work <= max_work) {
        int from = is_new ? 0 : design[slot] + 1; /* past "-" there is nothing */
        if (next_choice(space, freedom, design, slot, from, &work)) {
            slot++;
            is_new = true;
        } else {
            slot--;
            is_new = false;
        }
    }
    return slot == space->n_slots;
}

bool tl_space_first(const tl_space *space, tl_choice *out_design)
{
    return next_design(space, TL_FREE_ARCHITECTURE, out_design, true, MAX_WORK_TO_FIRST);
}

tl_choice tl_slot_deepest(const tl_space *space, int slot)
{
    const tl_slot_impl *s = &space->slots[slot];
    int best = 0;
    for (int i = 1; i < s->pub.n_options; i++) {
        best = s->options[i].value > s->options[best].value ? i : best;
    }
    return (tl_choice)best;
}

/* ---- sampling -------------------------------------------------------------------------- */

/* tl_space_allowed() on a design that may be written to. */
static int list_allowed(
    const tl_space *space, tl_freedom freedom, tl_choice *design, int slot, tl_choice *out)
{
    int n = 0;
    if (is_skipped(space, freedom, design, slot)) {
        out[0] = TL_CHOICE_ABSENT;
        return 1;
    }
    for (int i = 0; i < space->slots[slot].pub.n_options; i++) {
        if (allows(space, design, slot, (tl_choice)i)) {
            out[n++] = (tl_choice)i;
        }
    }
    return n;
}

int tl_space_allowed(
    const tl_space *space,
    tl_freedom freedom,
    const tl_choice *design,
    int slot,
    tl_choice *out_allowed)
{
    tl_choice prefix[TL_SPACE_MAX_SLOTS];
    TL_ASSERT(0 <= slot && slot < space->n_slots);
    memcpy(prefix, design, (size_t)slot * sizeof *design);
    return list_allowed(space, freedom, prefix, slot, out_allowed);
}

/* A uniform choice among the allowed options; false where there is none. */
static bool sample_slot(
    const tl_space *space, tl_freedom freedom, tl_rng *rng, tl_choice *design, int slot)
{
    tl_choice allowed[TL_SPACE_MAX_OPTIONS];
    int n = list_allowed(space, freedom, design, slot, allowed);
    if (n == 0) {
        return false;
    }
    bool is_chance = allowed[0] != TL_CHOICE_ABSENT;
    design[slot] = is_chance ? allowed[tl_rng_below(rng, (uint64_t)n)] : TL_CHOICE_ABSENT;
    return true;
}

void tl_space_sample_with(
    const tl_space *space, tl_freedom freedom, tl_rng *rng, tl_choice *out_design)
{
    for (int i = 0; i < MAX_RESTARTS; i++) {
        int slot = 0;
        while (slot < space->n_slots && sample_slot(space, freedom, rng, out_design, slot)) {
            slot++;
        }
        if (slot == space->n_slots) {
            return;
        }
    }
    /* Rules that nearly always end in a dead end: any valid design will do. */
    (void)tl_space_first(space, out_design);
}

/* ---- changing one slot -------------------------------------------------------------------- */

/* design with one choice changed and dependent slots following; false where that is invalid. */
static bool change(
    const tl_space *space,
    tl_freedom freedom,
    const tl_choice *design,
    int slot,
    tl_choice choice,
    tl_choice *out)
{
    memcpy(out, design, (size_t)space->n_slots * sizeof *design);
    out[slot] = choice;
    if (space->ops->repair != NULL) {
        space->ops->repair(space, freedom, design, out);
    }
    for (int i = 0; space->ops->allows != NULL && i < space->n_slots; i++) {
        if (!space->ops->allows(space, out, i)) {
            return false;
        }
    }
    return true;
}

/* The free optional slot that a change made appear; -1: none did. */
static int appeared(
    const tl_space *space, tl_freedom freedom, const tl_choice *before, const tl_choice *after)
{
    for (int i = 0; freedom == TL_FREE_BITS && i < space->n_slots; i++) {
        if (space->slots[i].pub.is_optional && before[i] == TL_CHOICE_ABSENT &&
            after[i] != TL_CHOICE_ABSENT) {
            return i;
        }
    }
    return -1;
}

void tl_space_mutate_with(
    const tl_space *space, tl_freedom freedom, tl_rng *rng, tl_choice *design)
{
    tl_choice changed[TL_SPACE_MAX_SLOTS];
    for (int i = 0; i < MAX_MUTATION_TRIES; i++) {
        int slot = (int)tl_rng_below(rng, (uint64_t)space->n_slots);
        int n = space->slots[slot].pub.n_options;
        if (design[slot] == TL_CHOICE_ABSENT || n < 2) {
            continue;
        }
        tl_choice other = (tl_choice)tl_rng_below(rng, (uint64_t)(n - 1));
        other = (tl_choice)(other >= design[slot] ? other + 1 : other);
        if (!change(space, freedom, design, slot, other, changed)) {
            continue;
        }
        int bits = appeared(space, freedom, design, changed);
        if (bits >= 0) {
            int n_widths = space->slots[bits].pub.n_options;
            changed[bits] = (tl_choice)tl_rng_below(rng, (uint64_t)n_widths);
        }
        memcpy(design, changed, (size_t)space->n_slots * sizeof *design);
        return;
    }
}

/* Writes changed as design number n, where there is room. */
static void put(
    const tl_space *space, const tl_choice *changed, int n, int max, tl_choice *out_designs)
{
    if (n < max) {
        memcpy(
            out_designs + (ptrdiff_t)n * space->n_slots, changed,
            (size_t)space->n_slots * sizeof *changed);
    }
}

int tl_space_neighbours_with(
    const tl_space *space,
    tl_freedom freedom,
    const tl_choice *design,
    int max,
    tl_choice *out_designs)
{
    tl_choice changed[TL_SPACE_MAX_SLOTS];
    int n = 0;
    for (int slot = 0; slot < space->n_slots; slot++) {
        for (int i = 0; i < space->slots[slot].pub.n_options; i++) {
            if (design[slot] == TL_CHOICE_ABSENT || design[slot] == i ||
                !change(space, freedom, design, slot, (tl_choice)i, changed)) {
                continue;
            }
            int bits = appeared(space, freedom, design, changed);
            int n_widths = bits >= 0 ? space->slots[bits].pub.n_options : 1;
            for (int j = 0; j < n_widths; j++, n++) {
                if (bits >= 0) {
                    changed[bits] = (tl_choice)j;
                }
                put(space, changed, n, max, out_designs);
            }
        }
    }
    return n;
}

/* ---- all of them ---------------------------------------------------------------------------- */

tl_err tl_space_enumerate_with(
    const tl_space *space, tl_freedom freedom, int limit, tl_choice **out_designs, int *out_n)
{
    double size = space->size[freedom];
    if (size > limit) {
        return tl_fail(
            TL_ELIMIT, "%s has %.6g designs, want at most %d to enumerate", space->name, size,
            limit);
    }
    int n_slots = space->n_slots;
    int n = (int)size;
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_choice *designs = tl_mem_new((size_t)n * (size_t)n_slots, sizeof *designs);
    if (designs == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n);
    }
    for (int i = 0; i < n; i++) {
        bool is_there = next_design(space, freedom, design, i == 0, INT64_MAX / 2);
        TL_ASSERT(is_there);
        memcpy(designs + (ptrdiff_t)i * n_slots, design, (size_t)n_slots * sizeof *design);
    }
    *out_designs = designs;
    *out_n = n;
    return TL_OK;
}
