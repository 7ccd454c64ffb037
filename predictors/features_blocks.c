/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "predictors/features_raw.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    GRID_POINTS = 128,
    LOOK_AT = 512,  /* reference designs that are looked at for the layout */
    N_TOTALS = 4,   /* MACs, weights, traffic, launches; and, where bits vary, bit MACs */
    N_KINDS = 7,    /* of operators, see kind_of() */
    N_PER_KIND = 3, /* MACs, traffic, launches */
    N_RIDGES = 4,
    N_WIDE_RIDGES = 10,   /* of the roofs of narrow numbers */
    N_PARTS = 4,          /* narrow MACs, weights, what is read, what is written */
    MAX_HOT_OPTIONS = 64, /* a slot with more options has no one-hot columns */
    MAX_HOT = 320,        /* nor has one beyond this total */
    MAX_KIND_STAGES = 24, /* beyond this many stages kinds are not split by stage */
};

/* MACs that the machine does while it moves one element: roofs of several machines. */
static const double ridges[N_RIDGES] = {2, 8, 32, 128};
static const double first_wide_ridge = .25; /* each is twice the one before */
static const double float_bits = 32;

/* ---- operators ---------------------------------------------------------------------- */

static bool is_counted(const tl_op *op)
{
    return op->kind == TL_OP_CONV || op->kind == TL_OP_DENSE;
}

static int kind_of(const tl_op *op)
{
    if (op->kind == TL_OP_DENSE) {
        return 6;
    }
    bool is_depthwise = op->groups > 1 && op->groups == op->in_ch && op->groups == op->out_ch;
    if (op->kernel == 1) {
        return op->groups == 1 ? 0 : 1;
    }
    if (!is_depthwise) {
        return 5;
    }
    return op->kernel <= 3 ? 2 : op->kernel <= 5 ? 3 : 4;
}

/* Elements moved, a narrow element counting for less than a float. */
static double traffic_of(const tl_op *op)
{
    double activations = (double)(tl_op_elements_in(op) + tl_op_elements_out(op));
    double weights = (double)tl_op_weights(op);
    return (activations * op->a_bits + weights * op->w_bits) / float_bits;
}

static double bit_macs_of(const tl_op *op)
{
    return (double)tl_op_macs(op) * (op->w_bits / float_bits) * (op->a_bits / float_bits);
}

/* Hardware multiplies words of 2, 4, 8, ... bits: others are computed as the next of these. */
static int word_bits(int bits)
{
    int word = 2;
    while (word < bits) {
        word *= 2;
    }
    return word;
}

/* ---- layout -------------------------------------------------------------------------- */

static bool is_same_list(const tl_slot *a, const tl_slot *b)
{
    if (a->n_options != b->n_options) {
        return false;
    }
    for (int o = 0; o < a->n_options; o++) {
        if (strcmp(a->options[o], b->options[o]) != 0) {
            return false;
        }
    }
    return true;
}

/* Slots that share their list of options are one class and counted together. */
static void find_classes(tl_raw_layout *layout)
{
    int n_slots = tl_space_n_slots(layout->space);
    int n_classes = 0;
    for (int s = 0; s < n_slots; s++) {
        layout->slot_class[s] = -1;
    }
    for (int s = 0; s < n_slots; s++) {
        const tl_slot *slot = tl_space_slot(layout->space, s);
        bool is_shared = false;
        if (slot->is_optional || slot->n_options > MAX_HOT_OPTIONS ||
            layout->slot_class[s] >= 0) {
            continue;
        }
        for (int t = s + 1; t < n_slots; t++) {
            const tl_slot *other = tl_space_slot(layout->space, t);
            if (!other->is_optional && is_same_list(slot, other)) {
                layout->slot_class[t] = n_classes;
                is_shared = true;
            }
        }
        if (is_shared) {
            layout->slot_class[s] = n_classes;
            layout->class_begin[n_classes++] = layout->n_counters;
            layout->n_counters += slot->n_options;
        }
    }
}

static int find_hot_slots(tl_raw_layout *layout)
{
    int width = 0;
    for (int s = 0; s < tl_space_n_slots(layout->space); s++) {
        const tl_slot *slot = tl_space_slot(layout->space, s);
        layout->is_hot_slot[s] = !slot->is_optional && slot->n_options <= MAX_HOT_OPTIONS &&
                                 width + slot->n_options <= MAX_HOT;
        width += layout->is_hot_slot[s] ? slot->n_options : 0;
    }
    return width;
}

/* The slot's options as numbers; false when one of them is none. */
static bool read_numbers(const tl_slot *slot, double *out_numbers)
{
    for (int o = 0; o < slot->n_options; o++) {
        char *end = NULL;
        out_numbers[o] = strtod(slot->options[o], &end);
        if (end == slot->options[o] || *end != '\0' || !isfinite(out_numbers[o])) {
            return false;
        }
    }
    return true;
}

/* Numeric slots of enumerated spaces: their values and logarithms are columns. */
static tl_err find_numbers(tl_raw_layout *layout, int *out_n_slots)
{
    int n_slots = tl_space_n_slots(layout->space);
    size_t n_options = 0;
    *out_n_slots = 0;
    if (tl_space_kind_of(layout->space) != TL_SPACE_ENUMERATED) {
        return TL_OK;
    }
    for (int s = 0; s < n_slots; s++) {
        n_options += (size_t)tl_space_slot(layout->space, s)->n_options;
    }
    layout->number_memory = tl_mem_new(n_options, sizeof *layout->number_memory);
    if (layout->number_memory == NULL) {
        return tl_fail(TL_ENOMEM, "features");
    }
    double *free_numbers = layout->number_memory;
    for (int s = 0; s < n_slots; s++) {
        const tl_slot *slot = tl_space_slot(layout->space, s);
        if (slot->n_options >= 2 && !slot->is_optional && read_numbers(slot, free_numbers)) {
            layout->numbers[s] = free_numbers;
            free_numbers += slot->n_options;
            (*out_n_slots)++;
        }
    }
    return TL_OK;
}

/* What the reference networks show: stages, the stage of each slot, whether bits vary. */
typedef struct block_survey {
    int n_stages;
    int min_bits, max_bits; /* product of weight and activation bits */
} block_survey;

static void survey_network(
    tl_raw_layout *layout, const tl_network *network, block_survey *survey)
{
    for (int i = 0; i < network->n_ops; i++) {
        const tl_op *op = &network->ops[i];
        if (!is_counted(op)) {
            continue;
        }
        int bits = op->w_bits * op->a_bits;
        survey->min_bits =
            survey->min_bits == 0 || bits < survey->min_bits ? bits : survey->min_bits;
        survey->max_bits = bits > survey->max_bits ? bits : survey->max_bits;
        survey->n_stages = op->stage >= survey->n_stages ? op->stage + 1 : survey->n_stages;
        if (op->slot >= 0) {
            layout->slot_stage[op->slot] = op->stage;
        }
    }
}

static tl_err survey_reference(
    tl_raw_layout *layout, const tl_choice *designs, int n, block_survey *out_survey)
{
    tl_err err = TL_OK;
    int n_slots = tl_space_n_slots(layout->space);
    tl_network network = {0};
    for (int s = 0; s < n_slots; s++) {
        layout->slot_stage[s] = -1;
    }
    for (int i = 0; i < n && i < LOOK_AT; i++) {
        const tl_choice *design = designs + (ptrdiff_t)i * n_slots;
        if ((err = tl_space_lower(layout->space, design, &network)) != TL_OK) {
            goto done;
        }
        survey_network(layout, &network, out_survey);
    }
done:
    tl_network_done(&network);
    return err;
}

static void add_groups(tl_raw_layout *layout, int n_hot, int n_number_slots)
{
    int n_stages = layout->n_stages;
    bool has_stages = n_stages > 2;
    int n_kinds = N_KINDS * N_PER_KIND;
    tl_raw_add_group(layout, "tot", layout->n_totals, true, true);
    tl_raw_add_group(layout, "stage", has_stages ? n_stages * layout->n_totals : 0, true, true);
    if (!has_stages) {
        tl_raw_add_group(layout, "kind", n_kinds, true, true);
    }
    tl_raw_add_group(layout, "cnt", layout->n_counters, true, true);
    tl_raw_add_group(layout, "hot", n_hot, false, true);
    tl_raw_add_group(layout, "num", 2 * n_number_slots, true, true);
    tl_raw_add_group(layout, "roof", N_RIDGES, true, false);
    if (layout->n_totals > N_TOTALS) {
        tl_raw_add_group(layout, "widths", N_KINDS * (N_PARTS + N_WIDE_RIDGES), true, false);
    }
    if (has_stages) {
        tl_raw_add_group(layout, "kind", n_kinds, true, false);
    }
    if (has_stages && n_stages <= MAX_KIND_STAGES) {
        tl_raw_add_group(layout, "kindstage", n_stages * n_kinds, true, false);
        tl_raw_add_group(layout, "cntstage", n_stages * layout->n_counters, false, false);
    }
}

static void add_hypothesis(tl_raw_layout *layout)
{
    tl_hypothesis *hypothesis = &layout->hypotheses[layout->n_hypotheses++];
    *hypothesis = (tl_hypothesis){.prior = 1, .n_points = GRID_POINTS, .source_centre = .3};
    tl_raw_add_term(layout, hypothesis, "tot", .3);
    tl_raw_add_term(layout, hypothesis, "stage", .1);
    if (layout->groups[tl_raw_find_group(layout, "kind")].is_head) {
        tl_raw_add_term(layout, hypothesis, "kind", .1);
    }
    tl_raw_add_term(layout, hypothesis, "cnt", .1);
    tl_raw_add_term(layout, hypothesis, "hot", .1);
    tl_raw_add_term(layout, hypothesis, "num", .1);
}

tl_err tl_raw_blocks_layout(
    const tl_space *space, const tl_choice *designs, int n, tl_raw_layout *layout)
{
    block_survey survey = {0};
    int n_number_slots = 0;
    layout->space = space;
    layout->pair_group = -1;
    TL_TRY(survey_reference(layout, designs, n, &survey));
    TL_TRY(find_numbers(layout, &n_number_slots));
    layout->n_stages = survey.n_stages + 1;
    layout->n_totals = N_TOTALS + (survey.min_bits != survey.max_bits);
    find_classes(layout);
    add_groups(layout, find_hot_slots(layout), n_number_slots);
    add_hypothesis(layout);
    return TL_OK;
}

/* ---- one row --------------------------------------------------------------------------- */

/* Where the groups of a row stand; NULL where the layout has none. */
typedef struct block_row {
    double *tot, *stage, *kind, *cnt, *hot, *num, *roof, *widths, *kindstage, *cntstage;
} block_row;

static double *find_part(const tl_raw_layout *layout, const char *name, double *raw)
{
    int g = tl_raw_find_group(layout, name);
    if (g < 0 || layout->groups[g].begin == layout->groups[g].end) {
        return NULL;
    }
    return raw + layout->groups[g].begin;
}

static void find_parts(const tl_raw_layout *layout, double *raw, block_row *out)
{
    out->tot = find_part(layout, "tot", raw);
    out->stage = find_part(layout, "stage", raw);
    out->kind = find_part(layout, "kind", raw);
    out->cnt = find_part(layout, "cnt", raw);
    out->hot = find_part(layout, "hot", raw);
    out->num = find_part(layout, "num", raw);
    out->roof = find_part(layout, "roof", raw);
    out->widths = find_part(layout, "widths", raw);
    out->kindstage = find_part(layout, "kindstage", raw);
    out->cntstage = find_part(layout, "cntstage", raw);
}

static void add_to(int n, const double *x, double *y)
{
    for (int i = 0; y != NULL && i < n; i++) {
        y[i] += x[i];
    }
}

static double *offset(double *part, int n)
{
    return part == NULL ? NULL : part + n;
}

/* What an operator of narrow numbers may cost: its parts, and roofs between them. */
static void add_widths(const tl_op *op, double *widths)
{
    if (widths == NULL) {
        return;
    }
    double share = word_bits(op->w_bits) / float_bits * (word_bits(op->a_bits) / float_bits);
    double macs = (double)tl_op_macs(op) * share;
    double parts[N_PARTS] = {
        macs,
        (double)tl_op_weights(op) * op->w_bits / float_bits,
        (double)tl_op_elements_in(op) * op->a_bits / float_bits,
        (double)tl_op_elements_out(op) * op->a_bits / float_bits,
    };
    add_to(N_PARTS, parts, widths);
    double ridge = first_wide_ridge;
    for (int r = 0; r < N_WIDE_RIDGES; r++) {
        widths[N_PARTS + r] += fmax(macs / ridge, traffic_of(op));
        ridge *= 2;
    }
}

/* Where the sums of a part (spaces/parts.h) stand. */
enum {
    PART_KIND = N_TOTALS + 1, /* after the totals */
    PART_ROOF = PART_KIND + N_KINDS * N_PER_KIND,
    PART_WIDTHS = PART_ROOF + N_RIDGES,
    N_WIDTHS = N_KINDS * (N_PARTS + N_WIDE_RIDGES),
    PART_LEN = PART_WIDTHS + N_WIDTHS
};

static void add_op(const tl_op *op, bool has_widths, double *sums)
{
    double macs = (double)tl_op_macs(op);
    double traffic = traffic_of(op);
    double totals[N_TOTALS + 1] = {
        macs, (double)tl_op_weights(op), traffic, 1, bit_macs_of(op)};
    double per_kind[N_PER_KIND] = {macs, traffic, 1};
    int kind = kind_of(op);
    add_to(N_TOTALS + 1, totals, sums);
    add_to(N_PER_KIND, per_kind, sums + PART_KIND + kind * N_PER_KIND);
    if (has_widths) {
        add_widths(op, sums + PART_WIDTHS + kind * (N_PARTS + N_WIDE_RIDGES));
    }
    for (int r = 0; r < N_RIDGES; r++) {
        double compute = macs / ridges[r];
        sums[PART_ROOF + r] += compute > traffic ? compute : traffic;
    }
}

static bool has_widths(const tl_raw_layout *layout)
{
    return layout->n_totals > N_TOTALS;
}

static void sum_part(void *context, const tl_op *ops, int n_ops, double *sums)
{
    for (int i = 0; i < n_ops; i++) {
        if (is_counted(&ops[i])) {
            add_op(&ops[i], has_widths(context), sums);
        }
    }
}

tl_err tl_raw_blocks_parts(const tl_raw_layout *layout, tl_parts **out_parts)
{
    int width = has_widths(layout) ? PART_LEN : PART_WIDTHS;
    void *context = (void *)(uintptr_t)layout; /* only read */
    return tl_parts_new(layout->space, width, sum_part, context, out_parts);
}

static void add_part(const tl_raw_layout *layout, const tl_part *part, block_row *row)
{
    enum {
        KINDS = N_KINDS * N_PER_KIND
    };
    int last = layout->n_stages - 1;
    int stage = part->stage < 0 || part->stage > last ? last : part->stage;
    const double *kinds = part->sums + PART_KIND;
    add_to(layout->n_totals, part->sums, row->tot);
    add_to(layout->n_totals, part->sums, offset(row->stage, stage * layout->n_totals));
    add_to(KINDS, kinds, row->kind);
    add_to(KINDS, kinds, offset(row->kindstage, stage * KINDS));
    add_to(N_RIDGES, part->sums + PART_ROOF, row->roof);
    if (has_widths(layout)) {
        add_to(N_WIDTHS, part->sums + PART_WIDTHS, row->widths);
    }
}

static void add_choices(const tl_raw_layout *layout, const tl_choice *design, block_row *row)
{
    int hot = 0;
    int num = 0;
    for (int s = 0; s < tl_space_n_slots(layout->space); s++) {
        tl_choice choice = design[s];
        bool is_present = choice != TL_CHOICE_ABSENT;
        int class = layout->slot_class[s];
        int stage = layout->slot_stage[s];
        if (is_present && class >= 0) {
            int counter = layout->class_begin[class] + choice;
            row->cnt[counter] += 1;
            if (row->cntstage != NULL && stage >= 0) {
                row->cntstage[stage * layout->n_counters + counter] += 1;
            }
        }
        if (layout->is_hot_slot[s]) {
            if (is_present) {
                row->hot[hot + choice] = 1;
            }
            hot += tl_space_slot(layout->space, s)->n_options;
        }
        if (layout->numbers[s] != NULL) {
            TL_DEBUG_ASSERT(row->num != NULL);
            double value = is_present ? layout->numbers[s][choice] : 0;
            row->num[num] = value;
            row->num[num + 1] = log1p(fabs(value));
            num += 2;
        }
    }
}

tl_err tl_raw_blocks_row(
    const tl_raw_layout *layout, const tl_choice *design, tl_parts *parts, double *raw)
{
    block_row row;
    const tl_part *found = NULL;
    int n_found = 0;
    TL_TRY(tl_parts_find(parts, design, &found, &n_found));
    find_parts(layout, raw, &row);
    for (int k = 0; k < n_found; k++) {
        add_part(layout, &found[k], &row);
    }
    add_choices(layout, design, &row);
    return TL_OK;
}
