/* SPDX-License-Identifier: Apache-2.0 */

/* One design: parsing, printing, checking, its canonical form and its one-hot row. */

#include "base/name.h"
#include "spaces/impl.h"

#include <string.h>

enum {
    MAX_NAMES_LISTED = 12,
    SHOWN_BYTES = 60
};

/* `e12: got "conv5", want one of none, skip_connect, ...` */
static tl_err fail_option(const tl_slot *slot, const char *text, size_t len)
{
    tl_text names = {0};
    for (int i = 0; i < slot->n_options && i < MAX_NAMES_LISTED; i++) {
        tl_text_add(&names, i > 0 ? ", " : "");
        tl_text_add(&names, slot->options[i]);
    }
    if (slot->n_options > MAX_NAMES_LISTED) {
        tl_text_addf(&names, ", ... (%d options)", slot->n_options);
    }
    if (slot->may_be_absent || slot->is_optional) {
        tl_text_add(&names, " or -");
    }
    tl_err err = tl_fail(
        TL_EINVAL, "%s: got \"%.*s\", want one of %s", slot->name,
        (int)(len < SHOWN_BYTES ? len : SHOWN_BYTES), text,
        names.data != NULL ? names.data : "");
    tl_text_done(&names);
    return err;
}

static tl_err parse_choice(
    const tl_slot *slot, const char *text, size_t len, tl_choice *out_choice)
{
    if (len == 1 && text[0] == '-' && (slot->may_be_absent || slot->is_optional)) {
        *out_choice = TL_CHOICE_ABSENT;
        return TL_OK;
    }
    for (int i = 0; i < slot->n_options; i++) {
        if (strncmp(slot->options[i], text, len) == 0 && slot->options[i][len] == '\0') {
            *out_choice = (tl_choice)i;
            return TL_OK;
        }
    }
    return fail_option(slot, text, len);
}

tl_err tl_space_choice_parse(
    const tl_space *space, int slot, const char *text, tl_choice *out_choice)
{
    return parse_choice(tl_space_slot(space, slot), text, strlen(text), out_choice);
}

const char *tl_space_choice_name(const tl_space *space, int slot, tl_choice choice)
{
    const tl_slot *s = tl_space_slot(space, slot);
    if (choice == TL_CHOICE_ABSENT) {
        return "-";
    }
    TL_ASSERT(choice < s->n_options);
    return s->options[choice];
}

/* The slot whose name is text[0..len), or an error that names the nearest. */
static tl_err find_slot(const tl_space *space, const char *text, size_t len, int *out_slot)
{
    const char *names[TL_SPACE_MAX_SLOTS];
    char name[TL_NAME_MAX_BYTES + 1];
    size_t n = len < TL_NAME_MAX_BYTES ? len : TL_NAME_MAX_BYTES;
    memcpy(name, text, n);
    name[n] = '\0';
    *out_slot = tl_space_slot_find(space, name);
    if (*out_slot >= 0) {
        return TL_OK;
    }
    for (int i = 0; i < space->n_slots; i++) {
        names[i] = space->slots[i].pub.name;
    }
    const char *nearest = tl_name_nearest(name, names, (size_t)space->n_slots);
    return tl_fail(
        TL_EINVAL, "%s has no slot \"%.60s\"%s%s%s", space->name, name,
        nearest != NULL ? ", did you mean \"" : "", nearest != NULL ? nearest : "",
        nearest != NULL ? "\"?" : "");
}

/* One "slot=option" of len bytes. */
static tl_err parse_pair(
    const tl_space *space, const char *text, size_t len, tl_choice *design, bool *is_set)
{
    const char *equals = memchr(text, '=', len);
    int slot = 0;
    if (equals == NULL) {
        return tl_fail(
            TL_EINVAL, "got \"%.*s\", want slot=option",
            (int)(len < SHOWN_BYTES ? len : SHOWN_BYTES), text);
    }
    TL_TRY(find_slot(space, text, (size_t)(equals - text), &slot));
    if (is_set[slot]) {
        return tl_fail(TL_EINVAL, "%s: is there twice", space->slots[slot].pub.name);
    }
    is_set[slot] = true;
    return parse_choice(
        &space->slots[slot].pub, equals + 1, len - (size_t)(equals + 1 - text), &design[slot]);
}

tl_err tl_space_design_parse(const tl_space *space, const char *text, tl_choice *out_design)
{
    tl_choice design[TL_SPACE_MAX_SLOTS];
    bool is_set[TL_SPACE_MAX_SLOTS] = {false};
    for (int i = 0; i < space->n_slots; i++) {
        design[i] = TL_CHOICE_ABSENT;
    }
    for (const char *at = text; *at != '\0';) {
        size_t len = strcspn(at, ",");
        TL_TRY(parse_pair(space, at, len, design, is_set));
        at += len;
        at += *at == ',' ? 1 : 0;
    }
    for (int i = 0; i < space->n_slots; i++) {
        const tl_slot *slot = &space->slots[i].pub;
        if (!is_set[i] && !slot->is_optional && !slot->may_be_absent) {
            return tl_fail(TL_EINVAL, "%s: got nothing, want an option", slot->name);
        }
    }
    TL_TRY(tl_space_check(space, design));
    memcpy(out_design, design, (size_t)space->n_slots * sizeof *design);
    return TL_OK;
}

void tl_space_design_print(const tl_space *space, const tl_choice *design, tl_text *text)
{
    const char *comma = "";
    for (int i = 0; i < space->n_slots; i++) {
        const tl_slot *slot = &space->slots[i].pub;
        if (design[i] == TL_CHOICE_ABSENT && slot->is_optional) {
            continue;
        }
        tl_text_add(text, comma);
        tl_text_add(text, slot->name);
        tl_text_add(text, "=");
        tl_text_add(text, tl_space_choice_name(space, i, design[i]));
        comma = ",";
    }
}

/* ---- checking ------------------------------------------------------------------------ */

static tl_err check_slot(const tl_space *space, const tl_choice *design, int i)
{
    const tl_slot_impl *s = &space->slots[i];
    const tl_slot *slot = &s->pub;
    if (design[i] == TL_CHOICE_ABSENT) {
        if (slot->is_optional || !tl_slot_is_present(space, design, i)) {
            return TL_OK;
        }
        return fail_option(
            &(tl_slot){
                .name = slot->name, .n_options = slot->n_options, .options = slot->options},
            "-", 1);
    }
    if (design[i] >= slot->n_options) {
        return tl_fail(
            TL_EINVAL, "%s: got option number %d, want less than %d", slot->name, design[i],
            slot->n_options);
    }
    if (!tl_slot_is_present(space, design, i)) {
        return tl_fail(
            TL_EINVAL, "%s: got \"%s\", want - because %s is %s", slot->name,
            slot->options[design[i]], space->slots[s->depth_slot].pub.name,
            tl_space_choice_name(space, s->depth_slot, design[s->depth_slot]));
    }
    return TL_OK;
}

tl_err tl_space_check(const tl_space *space, const tl_choice *design)
{
    for (int i = 0; i < space->n_slots; i++) {
        TL_TRY(check_slot(space, design, i));
    }
    return space->ops->check != NULL ? space->ops->check(space, design) : TL_OK;
}

/* ---- one spelling ----------------------------------------------------------------------- */

void tl_space_normalize(const tl_space *space, tl_choice *design)
{
    for (int i = 0; i < space->n_slots; i++) {
        if (!tl_slot_is_present(space, design, i)) {
            design[i] = TL_CHOICE_ABSENT;
        }
    }
    const tl_cell *cell = tl_space_cell(space);
    for (int i = 0; cell != NULL && i < cell->n_edges; i++) {
        tl_choice choice = design[cell->edge_slot[i]];
        if (cell->bits_slot[i] >= 0 && choice < cell->n_options &&
            cell->options[choice].op != TL_EDGE_CONV) {
            design[cell->bits_slot[i]] = TL_CHOICE_ABSENT;
        }
    }
}

void tl_space_canonical(const tl_space *space, const tl_choice *design, tl_text *text)
{
    tl_choice normal[TL_SPACE_MAX_SLOTS];
    memcpy(normal, design, (size_t)space->n_slots * sizeof *design);
    tl_space_normalize(space, normal);
    if (space->ops->canonical != NULL) {
        space->ops->canonical(space, normal, text);
    } else {
        tl_space_design_print(space, normal, text);
    }
}

/* ---- one-hot ------------------------------------------------------------------------------ */

int tl_space_onehot_width(const tl_space *space)
{
    return space->onehot_width;
}

void tl_space_onehot(const tl_space *space, const tl_choice *design, double *out_row)
{
    int at = 0;
    for (int i = 0; i < space->n_slots; i++) {
        const tl_slot *slot = &space->slots[i].pub;
        for (int j = 0; !slot->is_optional && j < slot->n_options; j++) {
            out_row[at++] = design[i] == j ? 1 : 0;
        }
    }
}
