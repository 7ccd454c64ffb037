/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/op_table.h"

#include "base/mem.h"
#include "spaces/parts.h"

#include <string.h>

bool tl_design_strip(const tl_space *space, const tl_choice *design, tl_choice *out_plain)
{
    bool has_any = false;
    for (int s = 0; s < tl_space_n_slots(space); s++) {
        bool is_optional = tl_space_slot(space, s)->is_optional;
        out_plain[s] = is_optional ? TL_CHOICE_ABSENT : design[s];
        has_any = has_any || out_plain[s] != design[s];
    }
    return has_any;
}

/* ---- the table --------------------------------------------------------------------------- */

static bool is_same(const tl_op_work *a, const tl_op_work *b)
{
    return a->macs == b->macs && a->elements == b->elements && a->weights == b->weights &&
           a->w_bits == b->w_bits && a->a_bits == b->a_bits;
}

/* Room for one more in *block, a tl_mem_new() block or NULL. */
static tl_err make_room(void **block, size_t size, int n, int *capacity)
{
    if (n < *capacity) {
        return TL_OK;
    }
    int wanted = *capacity > 0 ? 2 * *capacity : 64;
    void *grown = tl_mem_resize(*block, (size_t)wanted, size);
    if (grown == NULL) {
        return tl_fail(TL_ENOMEM, "%d operators", wanted);
    }
    *block = grown;
    *capacity = wanted;
    return TL_OK;
}

static tl_err find_op(tl_op_table *t, const tl_op_work *work, int *out_op)
{
    int op = 0;
    while (op < t->n_ops && !is_same(&t->ops[op], work)) {
        op++;
    }
    if (op == t->n_ops) {
        void *ops = t->ops;
        tl_err err = make_room(&ops, sizeof *t->ops, t->n_ops, &t->ops_capacity);
        t->ops = ops;
        TL_TRY(err);
        t->ops[t->n_ops++] = *work;
    }
    *out_op = op;
    return TL_OK;
}

static tl_err add_op(tl_op_table *t, int design, const tl_op *op)
{
    int found = 0;
    tl_op_work work = tl_op_work_of(op);
    TL_TRY(find_op(t, &work, &found));
    int end = t->begin[design + 1];
    TL_DEBUG_ASSERT(end == 0 || t->counts != NULL);
    for (int i = t->begin[design]; i < end; i++) {
        if (t->counts[i].op == found) {
            t->counts[i].n++;
            return TL_OK;
        }
    }
    void *counts = t->counts;
    tl_err err = make_room(&counts, sizeof *t->counts, end, &t->counts_capacity);
    t->counts = counts;
    TL_TRY(err);
    t->counts[end] = (tl_op_count){.op = found, .n = 1};
    t->begin[design + 1]++;
    return TL_OK;
}

tl_err tl_op_table_init(
    const tl_space *space, const tl_choice *designs, int n, tl_op_table *out_table)
{
    tl_choice plain[TL_SPACE_MAX_SLOTS];
    tl_network network = {0};
    tl_op_table t = {.n = n};
    tl_err err = TL_OK;
    size_t n_slots = (size_t)tl_space_n_slots(space);
    t.begin = tl_mem_new((size_t)n + 1, sizeof *t.begin);
    if (t.begin == NULL) {
        return tl_fail(TL_ENOMEM, "operators of %d designs", n);
    }
    for (int i = 0; i < n && err == TL_OK; i++) {
        (void)tl_design_strip(space, designs + (size_t)i * n_slots, plain);
        err = tl_space_lower(space, plain, &network);
        t.begin[i + 1] = t.begin[i];
        for (int k = 0; k < network.n_ops && err == TL_OK; k++) {
            err = network.ops[k].is_needed ? add_op(&t, i, &network.ops[k]) : TL_OK;
        }
    }
    tl_network_done(&network);
    if (err != TL_OK) {
        tl_op_table_done(&t);
        return err;
    }
    *out_table = t;
    return TL_OK;
}

void tl_op_table_done(tl_op_table *table)
{
    tl_mem_free(table->ops);
    tl_mem_free(table->begin);
    tl_mem_free(table->counts);
    memset(table, 0, sizeof *table);
}

/* ---- prices ------------------------------------------------------------------------------ */

static void price_at(const tl_op_table *table, tl_memory place, tl_op_prices *p)
{
    double *prices = p->by_place + (ptrdiff_t)place * p->n_ops;
    for (int op = 0; op < p->n_ops; op++) {
        prices[op] = tl_prior_op_ms(p->profile, &table->ops[op], place);
    }
}

static bool tells_caches(const tl_profile *profile)
{
    bool tells = false;
    for (int m = 0; m < TL_DRAM; m++) {
        tells = tells || (profile->cache_kib[m] > 0 && profile->bandwidth_gb_per_s[m] > 0);
    }
    return tells;
}

tl_err tl_op_prices_init(
    const tl_op_table *table, const tl_profile *profile, tl_op_prices *out_prices)
{
    size_t n = (size_t)table->n_ops;
    tl_op_prices p = {.profile = profile, .n_ops = table->n_ops};
    bool is_known = tl_prior_is_known(profile);
    p.has_caches = is_known && tells_caches(profile);
    p.by_place = tl_mem_new(n * (TL_N_MEMORIES + 1), sizeof *p.by_place);
    if (p.by_place == NULL) {
        return tl_fail(TL_ENOMEM, "prices of %zu operators", n);
    }
    p.weight_bytes = p.by_place + n * TL_N_MEMORIES;
    for (size_t op = 0; op < n; op++) {
        p.weight_bytes[op] = tl_prior_weight_bytes(profile, &table->ops[op]);
        p.by_place[n * TL_DRAM + op] = (double)table->ops[op].macs;
    }
    for (int m = p.has_caches ? 0 : TL_DRAM; is_known && m < TL_N_MEMORIES; m++) {
        price_at(table, (tl_memory)m, &p);
    }
    *out_prices = p;
    return TL_OK;
}

void tl_op_prices_done(tl_op_prices *prices)
{
    tl_mem_free(prices->by_place); /* weight_bytes follow them */
    memset(prices, 0, sizeof *prices);
}

const double *tl_op_prices_at(const tl_op_prices *prices, tl_memory place)
{
    TL_ASSERT(place == TL_DRAM || prices->has_caches);
    return prices->by_place + (ptrdiff_t)place * prices->n_ops;
}

static double sum_of(const tl_op_table *table, int i, const double *prices)
{
    double sum = 0;
    for (int k = table->begin[i]; k < table->begin[i + 1]; k++) {
        sum += table->counts[k].n * prices[table->counts[k].op];
    }
    return sum;
}

double tl_op_prices_work(const tl_op_prices *prices, const tl_op_table *table, int i)
{
    tl_memory place = TL_DRAM;
    if (prices->has_caches) {
        place = tl_prior_place(prices->profile, sum_of(table, i, prices->weight_bytes));
    }
    return sum_of(table, i, tl_op_prices_at(prices, place));
}

/* ---- without a table --------------------------------------------------------------------- */

enum {
    WEIGHT_BYTES = TL_N_MEMORIES, /* behind the work by where weights lie */
    N_SUMS
};

typedef struct summing {
    const tl_profile *profile;
    bool is_known, has_caches;
    bool is_whole; /* networks are one part: operators tell whether they are needed */
} summing;

static void sum_part(void *context, const tl_op *ops, int n_ops, double *out_sums)
{
    const summing *s = context;
    for (int i = 0; i < n_ops; i++) {
        tl_op_work work = tl_op_work_of(&ops[i]);
        if (s->is_whole && !ops[i].is_needed) {
            continue;
        }
        out_sums[WEIGHT_BYTES] += tl_prior_weight_bytes(s->profile, &work);
        for (int m = s->has_caches ? 0 : TL_DRAM; m < TL_N_MEMORIES; m++) {
            out_sums[m] += s->is_known ? tl_prior_op_ms(s->profile, &work, (tl_memory)m)
                                       : (double)work.macs;
        }
    }
}

static tl_err sum_design(
    const summing *s, tl_parts *parts, const tl_choice *design, double *out_work)
{
    int n = 0;
    const tl_part *found = NULL;
    double sums[N_SUMS] = {0};
    TL_TRY(tl_parts_find(parts, design, &found, &n));
    for (int k = 0; k < n; k++) {
        for (int i = 0; i < N_SUMS; i++) {
            sums[i] += found[k].sums[i];
        }
    }
    *out_work = sums[s->has_caches ? tl_prior_place(s->profile, sums[WEIGHT_BYTES]) : TL_DRAM];
    return TL_OK;
}

tl_err tl_op_works(
    const tl_space *space,
    const tl_profile *profile,
    const tl_choice *designs,
    int n,
    double *out_work)
{
    tl_parts *parts = NULL;
    bool is_known = tl_prior_is_known(profile);
    tl_space_kind kind = tl_space_kind_of(space);
    summing s = {
        .profile = profile,
        .is_known = is_known,
        .has_caches = is_known && tells_caches(profile),
        .is_whole = kind != TL_SPACE_CHAIN && kind != TL_SPACE_STAGED};
    size_t n_slots = (size_t)tl_space_n_slots(space);
    TL_TRY(tl_parts_new(space, N_SUMS, sum_part, &s, &parts));
    tl_err err = TL_OK;
    for (int i = 0; i < n && err == TL_OK; i++) {
        err = sum_design(&s, parts, designs + (size_t)i * n_slots, &out_work[i]);
    }
    tl_parts_free(parts);
    return err;
}
