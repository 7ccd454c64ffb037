/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/explain.h"

#include "base/mem.h"
#include "base/units.h"

#include <math.h>
#include <string.h>

enum {
    MAX_NEIGHBOURS = 8192
};

/* The designs that differ in one slot, and their scores. */
typedef struct neighbours {
    int n, n_slots;
    tl_choice *designs; /* [n, n_slots] */
    tl_scored *scores;  /* [n] */
    const tl_choice *design;
} neighbours;

static void neighbours_done(neighbours *near)
{
    tl_mem_free(near->designs);
    tl_mem_free(near->scores);
}

static tl_err find_neighbours(tl_problem *problem, neighbours *near)
{
    near->designs = tl_mem_new(MAX_NEIGHBOURS * (size_t)near->n_slots, sizeof *near->designs);
    near->scores = tl_mem_new(MAX_NEIGHBOURS, sizeof *near->scores);
    if (near->designs == NULL || near->scores == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", (int)MAX_NEIGHBOURS);
    }
    near->n = tl_space_neighbours_with(
        problem->space, problem->freedom, near->design, MAX_NEIGHBOURS, near->designs);
    return near->n > 0 ? tl_problem_score(problem, near->designs, near->n, near->scores)
                       : TL_OK;
}

/* The first slot in which a neighbour differs: others follow from it. */
static int changed_slot(const neighbours *near, int i)
{
    const tl_choice *other = near->designs + (size_t)i * (size_t)near->n_slots;
    int slot = 0;
    while (slot < near->n_slots - 1 && other[slot] == near->design[slot]) {
        slot++;
    }
    return slot;
}

/* The most that an option saves; NaN where costs are not known. */
static double more_saved(double saved, double own, double with)
{
    return own - with > saved ? own - with : saved;
}

static void account_for(const neighbours *near, const tl_scored *own, tl_slot_account *account)
{
    int best = -1;
    account->latency_ms = isnan(own->prediction.latency_ms) ? TL_UNKNOWN : 0;
    account->energy_mj = isnan(own->prediction.energy_mj) ? TL_UNKNOWN : 0;
    for (int i = 0; i < near->n; i++) {
        const tl_scored *with = &near->scores[i];
        if (changed_slot(near, i) != account->slot) {
            continue;
        }
        account->latency_ms = more_saved(
            account->latency_ms, own->prediction.latency_ms, with->prediction.latency_ms);
        account->energy_mj = more_saved(
            account->energy_mj, own->prediction.energy_mj, with->prediction.energy_mj);
        if (best < 0 || tl_scored_compare(with, &near->scores[best]) < 0) {
            best = i;
        }
    }
    if (best < 0) {
        account->second = account->choice; /* there is no other */
        account->with_second = *own;
        return;
    }
    account->second =
        near->designs[(size_t)best * (size_t)near->n_slots + (size_t)account->slot];
    account->with_second = near->scores[best];
}

/* MACs and weights of the operators that each slot chose. */
static tl_err count_work(const tl_space *space, const tl_choice *design, tl_explanation *e)
{
    tl_network network = {0};
    tl_err err = tl_space_lower(space, design, &network);
    for (int i = 0; i < network.n_ops && err == TL_OK; i++) {
        const tl_op *op = &network.ops[i];
        for (int k = 0; k < e->n && op->is_needed; k++) {
            if (e->accounts[k].slot == op->slot) {
                e->accounts[k].macs += (double)tl_op_macs(op);
                e->accounts[k].weights += (double)tl_op_weights(op);
            }
        }
    }
    tl_network_done(&network);
    return err;
}

/* Slots that apply; bits of a design without any are not searched. */
static void list_slots(const tl_problem *problem, const tl_choice *design, tl_explanation *e)
{
    for (int k = 0; k < tl_space_n_slots(problem->space); k++) {
        if (design[k] != TL_CHOICE_ABSENT) {
            e->accounts[e->n++] = (tl_slot_account){.slot = k, .choice = design[k]};
        }
    }
}

tl_err tl_explain(tl_problem *problem, const tl_choice *design, tl_explanation *out_explanation)
{
    tl_explanation explanation = {0};
    neighbours near = {.design = design, .n_slots = tl_space_n_slots(problem->space)};
    explanation.accounts = tl_mem_new((size_t)near.n_slots, sizeof *explanation.accounts);
    tl_err err = TL_OK;
    if (explanation.accounts == NULL) {
        err = tl_fail(TL_ENOMEM, "%d slots", near.n_slots);
        goto done;
    }
    list_slots(problem, design, &explanation);
    if ((err = tl_problem_score(problem, design, 1, &explanation.scored)) != TL_OK ||
        (err = find_neighbours(problem, &near)) != TL_OK ||
        (err = count_work(problem->space, design, &explanation)) != TL_OK) {
        goto done;
    }
    for (int k = 0; k < explanation.n; k++) {
        account_for(&near, &explanation.scored, &explanation.accounts[k]);
    }
    *out_explanation = explanation;
    explanation = (tl_explanation){0};
done:
    neighbours_done(&near);
    tl_explanation_done(&explanation);
    return err;
}

void tl_explanation_done(tl_explanation *explanation)
{
    tl_mem_free(explanation->accounts);
    *explanation = (tl_explanation){0};
}
