/* SPDX-License-Identifier: Apache-2.0 */
#include "spaces/parts.h"

#include "base/mem.h"
#include "spaces/impl.h"

#include <string.h>

enum {
    FIRST_KNOWN = 64, /* room for so many parts at first */
    MAX_KNOWN = 1 << 15,
    MAX_SHAPES = 1 << 12,
};

static const double most_keys = 0x1p62;

/* A part that was lowered before. key 0: an empty place. */
typedef struct known_part {
    uint64_t key;
    int shape;  /* what leaves it, index of shapes */
    int number; /* its sums */
} known_part;

typedef struct shape {
    int ch, size;
} shape;

struct tl_parts {
    const tl_space *space;
    int width;
    tl_part_sum *sum;
    void *context;
    tl_network network;
    bool is_parted;                      /* else a design is one part */
    bool is_kept;                        /* what is known serves the next design: keys fit */
    int n_space_slots;                   /* those before the stages' */
    uint64_t weight[TL_SPACE_MAX_SLOTS]; /* of a slot's choice in the keys of its parts */
    uint64_t shape_weight;
    int max_parts;      /* of one design */
    tl_part *found;     /* of the last design, [max_parts] */
    int *numbers;       /* theirs */
    known_part *places; /* [2 * capacity], a hash table */
    double *sums;       /* [capacity, width] */
    int n_known, capacity;
    shape shapes[MAX_SHAPES];
    int n_shapes;
};

/* ---- life --------------------------------------------------------------------------- */

/* Gives slots [first, first + n) the next digits of keys; returns the weight after them. */
static double weigh_slots(tl_parts *parts, int first, int n, double weight)
{
    for (int s = first; s >= 0 && s < first + n; s++) {
        parts->weight[s] = weight < most_keys ? (uint64_t)weight : 0;
        weight *= parts->space->slots[s].pub.n_options + 1;
    }
    return weight;
}

/*
 * The digits of keys: place, shape, choices in the space's slots, then those of the
 * part's stage and layer. False when not all keys fit in 62 bits.
 */
static bool weigh_keys(tl_parts *parts)
{
    const tl_space *space = parts->space;
    double most = 0;
    parts->shape_weight = (uint64_t)parts->max_parts + 1;
    double common = (double)parts->shape_weight * MAX_SHAPES;
    common = weigh_slots(parts, 0, parts->n_space_slots, common);
    for (int i = 0; i < space->n_stages; i++) {
        const tl_stage *stage = &space->stages[i];
        int slot = stage->first_layer_slot;
        double weight = weigh_slots(parts, stage->first_slot, space->n_stage_slots, common);
        for (int layer = 0; slot >= 0 && layer < stage->max_blocks; layer++) {
            double end = weigh_slots(parts, slot, space->n_layer_slots, weight);
            most = end > most ? end : most;
            slot += space->n_layer_slots;
        }
        most = weight > most ? weight : most;
    }
    return most < most_keys;
}

static int count_space_slots(const tl_space *space)
{
    const tl_stage *first = &space->stages[0];
    return first->first_slot >= 0         ? first->first_slot
           : first->first_layer_slot >= 0 ? first->first_layer_slot
                                          : space->n_slots;
}

static void measure_space(tl_parts *parts)
{
    const tl_space *space = parts->space;
    parts->max_parts = 1;
    if (space->kind != TL_SPACE_STAGED && space->kind != TL_SPACE_CHAIN) {
        return;
    }
    parts->n_space_slots = count_space_slots(space);
    parts->max_parts = 2;
    for (int i = 0; i < space->n_stages; i++) {
        parts->max_parts += space->n_layer_slots > 0 ? space->stages[i].max_blocks : 1;
    }
    parts->is_parted = true;
    parts->is_kept = weigh_keys(parts);
    if (!parts->is_kept) {
        memset(parts->weight, 0, sizeof parts->weight);
        parts->shape_weight = 0;
    }
}

static tl_err allocate(tl_parts *parts)
{
    size_t most = (size_t)parts->max_parts;
    parts->capacity = parts->is_parted ? FIRST_KNOWN : 1;
    size_t n = (size_t)parts->capacity;
    parts->found = tl_mem_new(most, sizeof *parts->found);
    parts->numbers = tl_mem_new(most, sizeof *parts->numbers);
    parts->places = tl_mem_new(2 * n, sizeof *parts->places);
    parts->sums = tl_mem_new(n * (size_t)parts->width, sizeof *parts->sums);
    if (parts->found == NULL || parts->numbers == NULL || parts->places == NULL ||
        parts->sums == NULL) {
        return tl_fail(TL_ENOMEM, "parts of networks");
    }
    return TL_OK;
}

tl_err tl_parts_new(
    const tl_space *space, int width, tl_part_sum *sum, void *context, tl_parts **out_parts)
{
    tl_parts *parts = tl_mem_new(1, sizeof *parts);
    if (parts == NULL) {
        return tl_fail(TL_ENOMEM, "parts of networks");
    }
    parts->space = space;
    parts->width = width;
    parts->sum = sum;
    parts->context = context;
    measure_space(parts);
    tl_err err = allocate(parts);
    if (err != TL_OK) {
        tl_parts_free(parts);
        return err;
    }
    *out_parts = parts;
    return TL_OK;
}

void tl_parts_free(tl_parts *parts)
{
    if (parts != NULL) {
        tl_network_done(&parts->network);
        tl_mem_free(parts->found);
        tl_mem_free(parts->numbers);
        tl_mem_free(parts->places);
        tl_mem_free(parts->sums);
        tl_mem_free(parts);
    }
}

/* ---- what is known --------------------------------------------------------------------- */

static double *sums_of(const tl_parts *parts, int number)
{
    return parts->sums + (ptrdiff_t)number * parts->width;
}

/* The place of the key, or the empty one where it belongs. */
static known_part *find_place(known_part *places, int capacity, uint64_t key)
{
    const uint64_t spread = 0x9e3779b97f4a7c15U;
    size_t mask = 2 * (size_t)capacity - 1;
    size_t at = (size_t)((key * spread) >> 32U) & mask;
    while (places[at].key != 0 && places[at].key != key) {
        at = (at + 1) & mask;
    }
    return &places[at];
}

static tl_err grow(tl_parts *parts)
{
    int capacity = 2 * parts->capacity;
    known_part *places = tl_mem_new(2 * (size_t)capacity, sizeof *places);
    double *sums =
        places == NULL
            ? NULL
            : tl_mem_resize(parts->sums, (size_t)capacity * (size_t)parts->width, sizeof *sums);
    if (sums == NULL) {
        tl_mem_free(places);
        return tl_fail(TL_ENOMEM, "%d parts of networks", capacity);
    }
    for (int i = 0; i < 2 * parts->capacity; i++) {
        const known_part *known = &parts->places[i];
        if (known->key != 0) {
            *find_place(places, capacity, known->key) = *known;
        }
    }
    tl_mem_free(parts->places);
    parts->places = places;
    parts->sums = sums;
    parts->capacity = capacity;
    return TL_OK;
}

/* The digits that choices in slots [first, first + n) add to a key. */
static uint64_t digits_of(const tl_parts *parts, const tl_choice *design, int first, int n)
{
    uint64_t sum = 0;
    for (int s = first; s >= 0 && s < first + n; s++) {
        /* absent is 0, the first option 1 */
        sum += parts->weight[s] * ((uint64_t)(design[s] + 1U) & TL_CHOICE_ABSENT);
    }
    return sum;
}

static int find_shape(tl_parts *parts, int ch, int size)
{
    for (int i = 0; i < parts->n_shapes; i++) {
        if (parts->shapes[i].ch == ch && parts->shapes[i].size == size) {
            return i;
        }
    }
    parts->shapes[parts->n_shapes] = (shape){ch, size};
    return parts->n_shapes++;
}

/* A walk over a design's parts. */
typedef struct walk {
    const tl_choice *design;
    uint64_t common; /* the choices in the space's slots */
    int n;           /* parts so far */
    int shape;       /* what enters the next one */
} walk;

/* Lowers the next part and sums it up. */
static tl_err learn(tl_parts *parts, const walk *w, tl_lower_part part, uint64_t key)
{
    if (w->n > 0) {
        part.ch = parts->shapes[w->shape].ch;
        part.size = parts->shapes[w->shape].size;
    }
    TL_TRY(tl_lower_one_part(parts->space, w->design, &parts->network, &part));
    if (parts->n_known == parts->capacity) {
        TL_TRY(grow(parts));
    }
    int number = parts->n_known++;
    double *sums = sums_of(parts, number);
    *find_place(parts->places, parts->capacity, key) =
        (known_part){key, find_shape(parts, part.ch, part.size), number};
    memset(sums, 0, (size_t)parts->width * sizeof *sums);
    parts->sum(parts->context, parts->network.ops, parts->network.n_ops, sums);
    return TL_OK;
}

/*
 * One part further. A stage has as many layers as have choices, so keys differ by
 * place, not by number.
 */
static tl_err step(tl_parts *parts, walk *w, int place, tl_lower_part part, int layer_slot)
{
    const tl_space *space = parts->space;
    uint64_t key = w->common + parts->shape_weight * (uint64_t)w->shape + (uint64_t)place + 1;
    if (part.stage >= 0) {
        int first = space->stages[part.stage].first_slot;
        key += digits_of(parts, w->design, first, space->n_stage_slots) +
               digits_of(parts, w->design, layer_slot, space->n_layer_slots);
    }
    const known_part *known = find_place(parts->places, parts->capacity, key);
    if (known->key == 0) {
        TL_TRY(learn(parts, w, part, key));
        known = find_place(parts->places, parts->capacity, key);
    }
    parts->found[w->n].stage = part.stage;
    parts->numbers[w->n] = known->number;
    w->shape = known->shape;
    w->n++;
    return TL_OK;
}

static tl_err walk_design(tl_parts *parts, const tl_choice *design, int *out_n)
{
    const tl_space *space = parts->space;
    walk w = {.design = design};
    w.common = digits_of(parts, design, 0, parts->n_space_slots);
    int place = 0;
    TL_TRY(step(parts, &w, place++, (tl_lower_part){.stage = -1}, -1));
    for (int i = 0; i < space->n_stages; i++) {
        const tl_stage *stage = &space->stages[i];
        int slot = stage->first_layer_slot;
        if (space->n_layer_slots == 0) {
            TL_TRY(step(parts, &w, place++, (tl_lower_part){.stage = i}, -1));
            continue;
        }
        for (int layer = 1; layer <= stage->max_blocks; layer++, place++) {
            if (design[slot] != TL_CHOICE_ABSENT) {
                tl_lower_part part = {.stage = i, .layer = layer};
                TL_TRY(step(parts, &w, place, part, slot));
            }
            slot += space->n_layer_slots;
        }
    }
    TL_TRY(step(parts, &w, place, (tl_lower_part){.stage = -1, .is_head = true}, -1));
    *out_n = w.n;
    return TL_OK;
}

/* ---- finding -------------------------------------------------------------------------- */

/* A design of a space without parts. */
static tl_err find_whole(tl_parts *parts, const tl_choice *design)
{
    TL_TRY(tl_space_lower(parts->space, design, &parts->network));
    memset(parts->sums, 0, (size_t)parts->width * sizeof *parts->sums);
    parts->sum(parts->context, parts->network.ops, parts->network.n_ops, parts->sums);
    parts->found[0].stage = -1;
    parts->numbers[0] = 0;
    return TL_OK;
}

/* A book that the next design could fill starts anew: memory stays bounded. */
static void forget_many(tl_parts *parts)
{
    int n = parts->max_parts;
    if (!parts->is_kept || parts->n_known + n > MAX_KNOWN || parts->n_shapes + n > MAX_SHAPES) {
        memset(parts->places, 0, 2 * (size_t)parts->capacity * sizeof *parts->places);
        parts->n_known = parts->n_shapes = 0;
    }
}

tl_err tl_parts_find(
    tl_parts *parts, const tl_choice *design, const tl_part **out_found, int *out_n)
{
    int n = 1;
    if (parts->is_parted) {
        forget_many(parts);
        TL_TRY(walk_design(parts, design, &n));
    } else {
        TL_TRY(find_whole(parts, design));
    }
    for (int k = 0; k < n; k++) {
        parts->found[k].sums = sums_of(parts, parts->numbers[k]);
    }
    *out_found = parts->found;
    *out_n = n;
    return TL_OK;
}
