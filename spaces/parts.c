/* SPDX-License-Identifier: Apache-2.0 */
#include "spaces/parts.h"

#include "base/mem.h"
#include "spaces/impl.h"

#include <string.h>

enum {
    FIRST_KNOWN = 64,    /* room for so many parts at first */
    MAX_KNOWN = 1 << 15, /* then the book starts anew: memory stays bounded */
    MAX_SHAPES = 1 << 12,
};

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
    bool is_parted;
    int n_space_slots; /* those before the stages' */
    int max_parts;     /* of one design */
    tl_lower_mark *marks;
    int *shape_into;    /* [max_parts] */
    tl_part *found;     /* of the last design, [max_parts] */
    uint64_t *keys;     /* theirs; 0: not known */
    int *numbers;       /* theirs; -1: not known */
    known_part *places; /* [2 * capacity], a hash table */
    double *sums;       /* [capacity, width] */
    int n_known, capacity;
    shape shapes[MAX_SHAPES];
    int n_shapes;
};

/* ---- life --------------------------------------------------------------------------- */

/* Choices of these slots, each absent or one of its options, can be told apart by so many numbers. */
static double radix_of(const tl_space *space, int first, int n)
{
    double radix = 1;
    for (int s = first; s >= 0 && s < first + n; s++) {
        radix *= space->slots[s].pub.n_options + 1;
    }
    return radix;
}

/* Keys of all parts fit in 63 bits. */
static bool fits_keys(const tl_parts *parts)
{
    const double most = 0x1p62;
    const tl_space *space = parts->space;
    double common = radix_of(space, 0, parts->n_space_slots) * MAX_SHAPES;
    double widest = 1;
    for (int i = 0; i < space->n_stages; i++) {
        const tl_stage *stage = &space->stages[i];
        double radix = radix_of(space, stage->first_slot, space->n_stage_slots) *
                       radix_of(space, stage->first_layer_slot, space->n_layer_slots);
        widest = radix > widest ? radix : widest;
    }
    return common * widest * (parts->max_parts + 1) < most;
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
    parts->is_parted = fits_keys(parts);
}

static tl_err allocate(tl_parts *parts)
{
    size_t most = (size_t)parts->max_parts;
    parts->capacity = parts->is_parted ? FIRST_KNOWN : 1;
    size_t n = (size_t)parts->capacity;
    parts->marks = tl_mem_new(most, sizeof *parts->marks);
    parts->shape_into = tl_mem_new(most, sizeof *parts->shape_into);
    parts->found = tl_mem_new(most, sizeof *parts->found);
    parts->keys = tl_mem_new(most, sizeof *parts->keys);
    parts->numbers = tl_mem_new(most, sizeof *parts->numbers);
    parts->places = tl_mem_new(2 * n, sizeof *parts->places);
    parts->sums = tl_mem_new(n * (size_t)parts->width, sizeof *parts->sums);
    if (parts->marks == NULL || parts->shape_into == NULL || parts->found == NULL ||
        parts->keys == NULL || parts->numbers == NULL || parts->places == NULL ||
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
        tl_mem_free(parts->marks);
        tl_mem_free(parts->shape_into);
        tl_mem_free(parts->found);
        tl_mem_free(parts->keys);
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

/* Makes room for n more parts. */
static tl_err make_room(tl_parts *parts, int n)
{
    if (parts->n_known + n > MAX_KNOWN || parts->n_shapes + n > MAX_SHAPES) {
        memset(parts->places, 0, 2 * (size_t)parts->capacity * sizeof *parts->places);
        parts->n_known = parts->n_shapes = 0;
    }
    while (parts->n_known + n > parts->capacity) {
        TL_TRY(grow(parts));
    }
    return TL_OK;
}

/* Appends the choices of slots [first, first + n) to a key. */
static uint64_t with_choices(
    const tl_space *space, const tl_choice *design, int first, int n, uint64_t key)
{
    for (int s = first; s >= 0 && s < first + n; s++) {
        uint64_t radix = (uint64_t)space->slots[s].pub.n_options + 1;
        uint64_t digit = design[s] == TL_CHOICE_ABSENT ? radix - 1 : design[s];
        key = key * radix + digit;
    }
    return key;
}

/* A walk over a design's parts as far as they are known. */
typedef struct walk {
    const tl_choice *design;
    uint64_t common;       /* the choices in the space's slots */
    const int *shape_into; /* each part; NULL: as the parts before tell */
    int n;                 /* parts so far */
    int shape;             /* what enters the next one; -1: not known, nor is what follows */
    bool is_known;         /* all so far are */
} walk;

/*
 * One part further: its key where what enters it is known. A stage has as many
 * layers as have choices, so keys differ by place, not by number.
 */
static void step(const tl_parts *parts, walk *w, int place, int stage, int layer_slot)
{
    const tl_space *space = parts->space;
    int k = w->n++;
    parts->found[k].stage = stage;
    parts->keys[k] = 0;
    parts->numbers[k] = -1;
    if (w->shape_into != NULL) {
        w->shape = w->shape_into[k];
    }
    if (w->shape >= 0) {
        uint64_t key = w->common * MAX_SHAPES + (uint64_t)w->shape;
        if (stage >= 0) {
            int first = space->stages[stage].first_slot;
            key = with_choices(space, w->design, first, space->n_stage_slots, key);
            key = with_choices(space, w->design, layer_slot, space->n_layer_slots, key);
        }
        key = key * (uint64_t)(parts->max_parts + 1) + (uint64_t)place + 1;
        const known_part *known = find_place(parts->places, parts->capacity, key);
        bool is_known = known->key != 0;
        parts->keys[k] = key;
        parts->numbers[k] = is_known ? known->number : -1;
        w->shape = is_known ? known->shape : -1;
    }
    w->is_known = w->is_known && parts->numbers[k] >= 0;
}

static walk walk_design(const tl_parts *parts, const tl_choice *design, const int *shape_into)
{
    const tl_space *space = parts->space;
    walk w = {.design = design, .shape_into = shape_into, .is_known = true};
    w.common = with_choices(space, design, 0, parts->n_space_slots, 0);
    int place = 0;
    step(parts, &w, place++, -1, -1);
    for (int i = 0; i < space->n_stages; i++) {
        const tl_stage *stage = &space->stages[i];
        int slot = stage->first_layer_slot;
        if (space->n_layer_slots == 0) {
            step(parts, &w, place++, i, -1);
            continue;
        }
        for (int layer = 1; layer <= stage->max_blocks; layer++, place++) {
            if (design[slot] != TL_CHOICE_ABSENT) {
                step(parts, &w, place, i, slot);
            }
            slot += space->n_layer_slots;
        }
    }
    step(parts, &w, place, -1, -1);
    return w;
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

/* Sums up the parts of the lowered design that are not known yet. */
static tl_err learn(tl_parts *parts, const tl_choice *design, int n_marks)
{
    int begin = 0;
    TL_TRY(make_room(parts, n_marks));
    for (int k = 1; k < n_marks; k++) {
        const tl_lower_mark *before = &parts->marks[k - 1];
        parts->shape_into[k] = find_shape(parts, before->ch, before->size);
    }
    walk w = walk_design(parts, design, parts->shape_into);
    TL_ASSERT(w.n == n_marks);
    for (int k = 0; k < n_marks; k++) {
        const tl_lower_mark *mark = &parts->marks[k];
        if (parts->numbers[k] < 0) {
            int number = parts->n_known++;
            double *sums = sums_of(parts, number);
            *find_place(parts->places, parts->capacity, parts->keys[k]) =
                (known_part){parts->keys[k], find_shape(parts, mark->ch, mark->size), number};
            memset(sums, 0, (size_t)parts->width * sizeof *sums);
            parts->sum(parts->context, parts->network.ops + begin, mark->n_ops - begin, sums);
            parts->numbers[k] = number;
        }
        begin = mark->n_ops;
    }
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

tl_err tl_parts_find(
    tl_parts *parts, const tl_choice *design, const tl_part **out_found, int *out_n)
{
    int n = 1;
    if (!parts->is_parted) {
        TL_TRY(find_whole(parts, design));
    } else {
        walk w = walk_design(parts, design, NULL);
        n = w.n;
        if (!w.is_known) {
            int n_marks = 0;
            TL_TRY(tl_lower_marked(
                parts->space, design, &parts->network, parts->marks, parts->max_parts,
                &n_marks));
            TL_TRY(learn(parts, design, n_marks));
            n = n_marks;
        }
    }
    for (int k = 0; k < n; k++) {
        parts->found[k].sums = sums_of(parts, parts->numbers[k]);
    }
    *out_found = parts->found;
    *out_n = n;
    return TL_OK;
}
