/* SPDX-License-Identifier: Apache-2.0 */

/* Enumerated: the product of the slots' options, cut down by rules or by a list of designs. */

#include "base/mem.h"
#include "base/text.h"
#include "spaces/impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_DESIGNS = 1 << 16,
    MAX_COUNT_WORK = 1 << 26, /* steps of rules taken to count a space */
    MAX_LIST_WORK = 1 << 25   /* names compared to read its list of designs */
};

/* ---- the list of designs --------------------------------------------------------------- */

/* Marks the options of `a|b|c` or `*`. */
static tl_err mark_options(const tl_slot *slot, char *text, unsigned char *is_in, long *work)
{
    char *rest = NULL;
    for (char *name = strtok_r(text, "|", &rest); name != NULL;
         name = strtok_r(NULL, "|", &rest)) {
        bool is_known = false;
        *work += slot->n_options;
        if (*work > MAX_LIST_WORK) {
            return tl_fail(TL_EINVAL, "the list of designs takes too long to read");
        }
        for (int i = 0; i < slot->n_options; i++) {
            if (strcmp(name, "*") == 0 || strcmp(name, slot->options[i]) == 0) {
                is_in[i] = is_known = true;
            }
        }
        if (!is_known) {
            return tl_fail(
                TL_EINVAL, "%s: got \"%.60s\", want one of its options, or *", slot->name,
                name);
        }
    }
    return TL_OK;
}

typedef struct design_list {
    tl_choice *choices; /* [n, n_slots], arena memory when final */
    int n, capacity;
    long work;
} design_list;

static tl_err list_add(const tl_space *space, design_list *list, const tl_choice *design)
{
    if (list->n == MAX_DESIGNS) {
        return tl_fail(TL_EINVAL, "want at most %d designs", (int)MAX_DESIGNS);
    }
    if (list->n == list->capacity) {
        int capacity = list->capacity > 0 ? 2 * list->capacity : 256;
        tl_choice *choices = tl_mem_resize(
            list->choices, (size_t)capacity * (size_t)space->n_slots, sizeof *choices);
        if (choices == NULL) {
            return tl_fail(TL_ENOMEM, "a list of designs");
        }
        list->choices = choices;
        list->capacity = capacity;
    }
    memcpy(
        list->choices + (size_t)list->n * (size_t)space->n_slots, design,
        (size_t)space->n_slots * sizeof *design);
    list->n++;
    return TL_OK;
}

/* Every combination of the marked options, slot by slot. */
static tl_err add_product(
    const tl_space *space,
    const unsigned char *is_in,
    design_list *list,
    tl_choice *design,
    int slot)
{
    if (slot == space->n_slots) {
        return list_add(space, list, design);
    }
    for (int i = 0; i < space->slots[slot].pub.n_options; i++) {
        if (is_in[slot * TL_SPACE_MAX_OPTIONS + i]) {
            design[slot] = (tl_choice)i;
            TL_TRY(add_product(space, is_in, list, design, slot + 1));
        }
    }
    return TL_OK;
}

/* One line: a word for each slot, in their order. */
static tl_err add_line(
    const tl_space *space, const char *line, unsigned char *is_in, design_list *list)
{
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_err err = TL_OK;
    char *words = tl_mem_strdup(line);
    char *rest = NULL;
    int slot = 0;
    if (words == NULL) {
        return tl_fail(TL_ENOMEM, "a list of designs");
    }
    memset(is_in, 0, (size_t)space->n_slots * TL_SPACE_MAX_OPTIONS);
    for (char *word = strtok_r(words, " \t", &rest); word != NULL;
         word = strtok_r(NULL, " \t", &rest)) {
        if (slot == space->n_slots) {
            err = tl_fail(TL_EINVAL, "got more than %d words", space->n_slots);
            goto done;
        }
        err = mark_options(
            &space->slots[slot].pub, word, is_in + slot * TL_SPACE_MAX_OPTIONS, &list->work);
        if (err != TL_OK) {
            goto done;
        }
        slot++;
    }
    err = slot == space->n_slots
              ? add_product(space, is_in, list, design, 0)
              : tl_fail(TL_EINVAL, "got %d words, want %d, one a slot", slot, space->n_slots);
done:
    tl_mem_free(words);
    return err;
}

static int compare_designs(const tl_choice *a, const tl_choice *b, int n)
{
    for (int i = 0; i < n; i++) {
        if (a[i] != b[i]) {
            return a[i] < b[i] ? -1 : 1;
        }
    }
    return 0;
}

/* Heap sort of rows: qsort() cannot be told how long a row is. */
static void sift_down(tl_choice *rows, int n_slots, int i, int n)
{
    tl_choice swap[TL_SPACE_MAX_SLOTS];
    size_t bytes = (size_t)n_slots * sizeof *rows;
    for (int child = 2 * i + 1; child < n; i = child, child = 2 * i + 1) {
        tl_choice *c = rows + (ptrdiff_t)child * n_slots;
        if (child + 1 < n && compare_designs(c, c + n_slots, n_slots) < 0) {
            child++;
            c += n_slots;
        }
        tl_choice *parent = rows + (ptrdiff_t)i * n_slots;
        if (compare_designs(parent, c, n_slots) >= 0) {
            return;
        }
        memcpy(swap, parent, bytes);
        memcpy(parent, c, bytes);
        memcpy(c, swap, bytes);
    }
}

static void sort_designs(tl_choice *rows, int n_slots, int n)
{
    tl_choice swap[TL_SPACE_MAX_SLOTS];
    size_t bytes = (size_t)n_slots * sizeof *rows;
    for (int i = n / 2 - 1; i >= 0; i--) {
        sift_down(rows, n_slots, i, n);
    }
    for (int i = n - 1; i > 0; i--) {
        tl_choice *last = rows + (ptrdiff_t)i * n_slots;
        memcpy(swap, last, bytes);
        memcpy(last, rows, bytes);
        memcpy(rows, swap, bytes);
        sift_down(rows, n_slots, 0, i);
    }
}

/* Sorted, without repetitions, in memory of the space. */
static tl_err keep_designs(tl_builder *builder, design_list *list)
{
    tl_space *space = builder->space;
    int n_slots = space->n_slots;
    TL_TRY(tl_build_new(
        builder, (size_t)list->n * (size_t)n_slots, sizeof *space->designs, &space->designs));
    sort_designs(list->choices, n_slots, list->n);
    for (int i = 0; i < list->n; i++) {
        const tl_choice *row = list->choices + (ptrdiff_t)i * n_slots;
        tl_choice *kept = space->designs + (ptrdiff_t)space->n_designs * n_slots;
        if (space->n_designs == 0 || compare_designs(kept - n_slots, row, n_slots) != 0) {
            memcpy(kept, row, (size_t)n_slots * sizeof *row);
            space->n_designs++;
        }
    }
    return TL_OK;
}

static tl_err build_designs(tl_builder *builder)
{
    const tl_raw_space *raw = builder->raw;
    const tl_space *space = builder->space;
    tl_err err = TL_OK;
    design_list list = {0};
    unsigned char *is_in = tl_mem_new((size_t)space->n_slots, TL_SPACE_MAX_OPTIONS);
    if (is_in == NULL) {
        return tl_fail(TL_ENOMEM, "a list of designs");
    }
    for (uint32_t i = 0; i < raw->designs_count; i++) {
        err = add_line(space, raw->designs[i], is_in, &list);
        if (err != TL_OK) {
            (void)tl_fail_in(err, "designs entry %u: ", i + 1);
            goto done;
        }
    }
    err = keep_designs(builder, &list);
done:
    tl_mem_free(is_in);
    tl_mem_free(list.choices);
    return err;
}

/* ---- building ---------------------------------------------------------------------------- */

static tl_err build_rules(tl_builder *builder)
{
    const tl_raw_space *raw = builder->raw;
    tl_space *space = builder->space;
    TL_TRY(tl_build_new(builder, raw->rules_count, sizeof *space->rules, &space->rules));
    for (uint32_t i = 0; i < raw->rules_count; i++) {
        TL_TRY(tl_build_expr(builder, "rules", "rule", raw->rules[i], &space->rules[i]));
        if (tl_expr_last_slot(&space->rules[i]) < 0) {
            return tl_fail(
                TL_EINVAL, "rules: got \"%s\", want one about $slots", raw->rules[i]);
        }
    }
    space->n_rules = (int)raw->rules_count;
    TL_TRY(tl_build_new(
        builder, raw->rules_count, sizeof *space->rule_last_slot, &space->rule_last_slot));
    for (int i = 0; i < space->n_slots; i++) {
        space->slot_cost[i] = 1;
    }
    for (int i = 0; i < space->n_rules; i++) {
        space->rule_last_slot[i] = tl_expr_last_slot(&space->rules[i]);
        space->slot_cost[space->rule_last_slot[i]] += space->rules[i].n_steps;
    }
    return TL_OK;
}

static tl_err build(tl_builder *builder)
{
    const tl_raw_space *raw = builder->raw;
    tl_space *space = builder->space;
    if (space->n_slots == 0) {
        return tl_fail(TL_EINVAL, "slots: got none, want at least one");
    }
    if (raw->network_count == 0) {
        return tl_fail(TL_EINVAL, "network: want the operators of a design");
    }
    TL_TRY(
        tl_build_list(builder, "network", raw->network, raw->network_count, &space->network));
    TL_TRY(build_rules(builder));
    return raw->designs_count > 0 ? build_designs(builder) : TL_OK;
}

/* ---- designs ------------------------------------------------------------------------------- */

/* The first listed design that is not before the prefix of n choices. */
static int lower_bound(const tl_space *space, const tl_choice *design, int n)
{
    int low = 0;
    int high = space->n_designs;
    while (low < high) {
        int middle = (low + high) / 2;
        const tl_choice *row = space->designs + (ptrdiff_t)middle * space->n_slots;
        if (compare_designs(row, design, n) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_listed(const tl_space *space, const tl_choice *design, int n)
{
    int i = lower_bound(space, design, n);
    return i < space->n_designs &&
           compare_designs(space->designs + (ptrdiff_t)i * space->n_slots, design, n) == 0;
}

/* The rule holds; one without a value does not. */
static bool holds(const tl_expr *rule, const tl_env *env)
{
    double value = tl_expr_eval(rule, env);
    return !isnan(value) && value != 0;
}

/* The rules that the choice in this slot completes. */
static bool rules_hold(const tl_space *space, const tl_env *env, int slot)
{
    for (int i = 0; i < space->n_rules; i++) {
        if (space->rule_last_slot[i] == slot && !holds(&space->rules[i], env)) {
            return false;
        }
    }
    return true;
}

static bool allows(const tl_space *space, const tl_choice *design, int slot)
{
    tl_env env;
    tl_env_set_slots(&env, space, design, slot + 1);
    return rules_hold(space, &env, slot) &&
           (space->designs == NULL || is_listed(space, design, slot + 1));
}

static tl_err check(const tl_space *space, const tl_choice *design)
{
    for (int i = 0; i < space->n_slots; i++) {
        if (!allows(space, design, i)) {
            return tl_fail(
                TL_EINVAL, "%s: got \"%s\", which no design of the space has beside %s",
                space->slots[i].pub.name, tl_space_choice_name(space, i, design[i]),
                i > 0 ? "the choices before it" : "the rest");
        }
    }
    return TL_OK;
}

/* ---- counting: slots that no rule connects are independent --------------------------------- */

/* The smallest slot of the group that rules connect slot i to. */
static void group_slots(const tl_space *space, int group[TL_SPACE_MAX_SLOTS])
{
    for (int i = 0; i < space->n_slots; i++) {
        group[i] = i;
    }
    for (int r = 0; r < space->n_rules; r++) {
        int root = group[tl_expr_last_slot(&space->rules[r])];
        for (int i = 0; i < space->n_slots; i++) {
            if (tl_expr_reads_slot(&space->rules[r], i) && group[i] != root) {
                int old = group[i];
                for (int j = 0; j < space->n_slots; j++) {
                    group[j] = group[j] == old ? root : group[j];
                }
            }
        }
    }
}

typedef struct counter {
    const tl_space *space;
    const int *group;
    int root;
    tl_env env;
    long work;
} counter;

/* Combinations of the slots of one group, from this slot on; NaN when there are too many. */
static double count_group(counter *c, int slot)
{
    while (slot < c->space->n_slots && c->group[slot] != c->root) {
        slot++;
    }
    if (slot == c->space->n_slots) {
        return 1;
    }
    const tl_slot_impl *s = &c->space->slots[slot];
    double sum = 0;
    for (int i = 0; i < s->pub.n_options; i++) {
        c->work += c->space->slot_cost[slot];
        if (c->work > MAX_COUNT_WORK) {
            return (double)NAN;
        }
        c->env.vars[TL_FIRST_SLOT_VAR + slot] = s->options[i].value;
        if (rules_hold(c->space, &c->env, slot)) {
            sum += count_group(c, slot + 1);
        }
    }
    return sum;
}

static double count_listed(const tl_space *space)
{
    double n = 0;
    for (int i = 0; i < space->n_designs; i++) {
        n += check(space, space->designs + (ptrdiff_t)i * space->n_slots) == TL_OK;
    }
    return n;
}

static double size(const tl_space *space)
{
    int group[TL_SPACE_MAX_SLOTS];
    double product = 1;
    if (space->designs != NULL) {
        return count_listed(space);
    }
    group_slots(space, group);
    counter c = {.space = space, .group = group};
    for (int i = 0; i < space->n_slots; i++) {
        bool is_first = true;
        for (int j = 0; j < i; j++) {
            is_first = is_first && group[j] != group[i];
        }
        if (is_first) {
            c.root = group[i];
            product *= count_group(&c, 0);
        }
    }
    return product;
}

static tl_err lower(tl_lowering *lowering)
{
    lowering->stage = 0; /* all of it is searched */
    lowering->network->n_stages = 1;
    return tl_lower_list(lowering, lowering->space->network);
}

const tl_space_ops tl_enumerated_ops = {
    .build = build,
    .size = size,
    .check = check,
    .allows = allows,
    .lower = lower,
};
