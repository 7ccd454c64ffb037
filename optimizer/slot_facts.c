/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/slot_facts.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

enum {
    N_BY_CHANCE = 32
};

/* Sums over the operators that one slot decides. */
typedef struct slot_work {
    double macs, bit_ops, params, channels, kernel;
} slot_work;

static double bit_ops_of(const tl_op *op)
{
    return (double)tl_op_macs(op) * op->w_bits * op->a_bits;
}

static tl_err bit_ops_of_design(
    tl_slot_facts *facts, const tl_choice *design, double *out_bit_ops)
{
    double sum = 0;
    TL_TRY(tl_space_lower(facts->problem->space, design, &facts->network));
    for (int i = 0; i < facts->network.n_ops; i++) {
        sum += bit_ops_of(&facts->network.ops[i]);
    }
    *out_bit_ops = sum;
    return TL_OK;
}

/* ---- the reference -------------------------------------------------------------------- */

static bool holds(const tl_choice *choices, int n, tl_choice choice)
{
    for (int i = 0; i < n; i++) {
        if (choices[i] == choice) {
            return true;
        }
    }
    return false;
}

bool tl_slot_facts_complete(const tl_slot_facts *facts, tl_choice *design, int first)
{
    tl_choice allowed[TL_SPACE_MAX_OPTIONS];
    const tl_problem *problem = facts->problem;
    for (int k = first; k < facts->n_slots; k++) {
        int n = tl_space_allowed(problem->space, problem->freedom, design, k, allowed);
        if (n == 0) {
            return false;
        }
        if (!holds(allowed, n, design[k])) {
            design[k] =
                holds(allowed, n, facts->reference[k]) ? facts->reference[k] : allowed[0];
        }
    }
    return true;
}

/* Slot by slot the option with which the whole design has the most bit operations. */
static tl_err find_reference(tl_slot_facts *facts, tl_rng *rng)
{
    const tl_problem *problem = facts->problem;
    tl_choice allowed[TL_SPACE_MAX_OPTIONS];
    tl_choice tried[TL_SPACE_MAX_SLOTS];
    size_t bytes = (size_t)facts->n_slots * sizeof *tried;
    double most = 0;
    tl_space_sample_with(problem->space, problem->freedom, rng, facts->reference);
    TL_TRY(bit_ops_of_design(facts, facts->reference, &most));
    for (int k = 0; k < facts->n_slots; k++) {
        int n =
            tl_space_allowed(problem->space, problem->freedom, facts->reference, k, allowed);
        for (int i = 0; i < n; i++) {
            double bit_ops = 0;
            memcpy(tried, facts->reference, bytes);
            tried[k] = allowed[i];
            if (!tl_slot_facts_complete(facts, tried, k + 1)) {
                continue;
            }
            TL_TRY(bit_ops_of_design(facts, tried, &bit_ops));
            if (bit_ops > most) {
                most = bit_ops;
                memcpy(facts->reference, tried, bytes);
            }
        }
    }
    facts->reference_bit_ops = most > 0 ? most : 1;
    return TL_OK;
}

/* ---- each slot changed alone ------------------------------------------------------------ */

/* Designs with one slot changed, with their scores; the reference is the first. */
typedef struct sweep {
    tl_choice *designs; /* [n, n_slots] */
    tl_scored *scores;
    int *slot; /* that was changed */
    double *bit_ops;
    int n;
} sweep;

static tl_err sweep_init(sweep *s, int n, int n_slots)
{
    s->designs = tl_mem_new((size_t)n * (size_t)n_slots, sizeof *s->designs);
    s->scores = tl_mem_new((size_t)n, sizeof *s->scores);
    s->slot = tl_mem_new((size_t)n, sizeof *s->slot);
    s->bit_ops = tl_mem_new((size_t)n, sizeof *s->bit_ops);
    return s->designs != NULL && s->scores != NULL && s->slot != NULL && s->bit_ops != NULL
               ? TL_OK
               : tl_fail(TL_ENOMEM, "%d designs", n);
}

static void sweep_done(sweep *s)
{
    tl_mem_free(s->designs);
    tl_mem_free(s->scores);
    tl_mem_free(s->slot);
    tl_mem_free(s->bit_ops);
}

static tl_choice *design_of(const sweep *s, const tl_slot_facts *facts, int i)
{
    return s->designs + (size_t)i * (size_t)facts->n_slots;
}

static tl_err fill_sweep(tl_slot_facts *facts, sweep *s)
{
    const tl_problem *problem = facts->problem;
    tl_choice allowed[TL_SPACE_MAX_OPTIONS];
    size_t bytes = (size_t)facts->n_slots * sizeof *s->designs;
    memcpy(design_of(s, facts, 0), facts->reference, bytes);
    s->bit_ops[0] = facts->reference_bit_ops;
    s->slot[0] = -1;
    s->n = 1;
    for (int k = 0; k < facts->n_slots; k++) {
        int n =
            tl_space_allowed(problem->space, problem->freedom, facts->reference, k, allowed);
        for (int i = 0; i < n; i++) {
            tl_choice *design = design_of(s, facts, s->n);
            memcpy(design, facts->reference, bytes);
            design[k] = allowed[i];
            if (allowed[i] == facts->reference[k] ||
                !tl_slot_facts_complete(facts, design, k + 1)) {
                continue;
            }
            TL_TRY(bit_ops_of_design(facts, design, &s->bit_ops[s->n]));
            s->slot[s->n++] = k;
        }
    }
    return TL_OK;
}

/* What a design costs: the first of latency, energy and bit operations that is known. */
static double cost_of(const sweep *s, int i)
{
    const tl_prediction *p = &s->scores[i].prediction;
    const tl_prediction *reference = &s->scores[0].prediction;
    if (!isnan(p->latency_ms) && reference->latency_ms > 0) {
        return p->latency_ms / reference->latency_ms;
    }
    if (!isnan(p->energy_mj) && reference->energy_mj > 0) {
        return p->energy_mj / reference->energy_mj;
    }
    return s->bit_ops[i] / s->bit_ops[0];
}

static double value_change(const tl_problem *problem, const sweep *s, int i)
{
    double change = s->scores[i].value - s->scores[0].value;
    return isfinite(change) ? change / problem->value_scale : 0;
}

static void keep_sensitivities(tl_slot_facts *facts, const sweep *s)
{
    for (int k = 0; k < facts->n_slots; k++) {
        tl_slot_sensitivity *slot = &facts->slots[k];
        int n = 0;
        *slot = (tl_slot_sensitivity){0};
        if (facts->reference[k] != TL_CHOICE_ABSENT) {
            facts->costs[facts->first_cost[k] + facts->reference[k]] = 1;
        }
        for (int i = 1; i < s->n; i++) {
            if (s->slot[i] != k) {
                continue;
            }
            double value = value_change(facts->problem, s, i);
            double cost = cost_of(s, i);
            double bit_ops = fabs(1 - s->bit_ops[i] / s->bit_ops[0]);
            facts->costs[facts->first_cost[k] + design_of(s, facts, i)[k]] = cost;
            slot->mean_value += (value - slot->mean_value) / (n + 1);
            slot->mean_cost += (cost - 1 - slot->mean_cost) / (n + 1);
            slot->least_value = fmin(slot->least_value, value);
            slot->least_cost = fmin(slot->least_cost, cost - 1);
            slot->bit_ops = fmax(slot->bit_ops, bit_ops);
            n++;
        }
    }
}

static tl_err standardize(tl_problem *problem, tl_rng *rng, tl_shortlist *list)
{
    size_t n_slots = (size_t)list->n_slots;
    tl_scored scores[N_BY_CHANCE];
    tl_choice *designs = tl_mem_new(N_BY_CHANCE * n_slots, sizeof *designs);
    if (designs == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", (int)N_BY_CHANCE);
    }
    for (int i = 0; i < N_BY_CHANCE; i++) {
        tl_space_sample_with(
            problem->space, problem->freedom, rng, designs + (size_t)i * n_slots);
    }
    tl_err err = tl_problem_score(problem, designs, N_BY_CHANCE, scores);
    if (err == TL_OK) {
        tl_shortlist_offer(list, designs, scores, N_BY_CHANCE);
        err = tl_problem_standardize(problem, scores, N_BY_CHANCE);
    }
    tl_mem_free(designs);
    return err;
}

static tl_err look_at_slots(tl_slot_facts *facts, tl_problem *problem, tl_shortlist *list)
{
    sweep s = {0};
    int n_options = facts->first_cost[facts->n_slots];
    tl_err err = sweep_init(&s, n_options + facts->n_slots + 1, facts->n_slots);
    if (err != TL_OK || (err = fill_sweep(facts, &s)) != TL_OK ||
        (err = tl_problem_score(problem, s.designs, s.n, s.scores)) != TL_OK) {
        goto done;
    }
    tl_shortlist_offer(list, s.designs, s.scores, s.n);
    keep_sensitivities(facts, &s);
done:
    sweep_done(&s);
    return err;
}

tl_err tl_slot_facts_init(
    tl_slot_facts *facts, tl_problem *problem, tl_rng *rng, tl_shortlist *list)
{
    *facts = (tl_slot_facts){.problem = problem, .n_slots = tl_space_n_slots(problem->space)};
    for (int k = 0; k < facts->n_slots; k++) {
        facts->first_cost[k + 1] =
            facts->first_cost[k] + tl_space_slot(problem->space, k)->n_options;
    }
    facts->costs = tl_mem_new((size_t)facts->first_cost[facts->n_slots], sizeof *facts->costs);
    if (facts->costs == NULL) {
        return tl_fail(TL_ENOMEM, "%d slots", facts->n_slots);
    }
    TL_TRY(standardize(problem, rng, list));
    TL_TRY(find_reference(facts, rng));
    return look_at_slots(facts, problem, list);
}

void tl_slot_facts_done(tl_slot_facts *facts)
{
    tl_mem_free(facts->costs);
    tl_network_done(&facts->network);
    *facts = (tl_slot_facts){0};
}

int tl_slot_facts_options(
    const tl_slot_facts *facts, const tl_choice *design, int slot, tl_choice *out_allowed)
{
    const tl_problem *problem = facts->problem;
    const double *costs = facts->costs + facts->first_cost[slot];
    int n = tl_space_allowed(problem->space, problem->freedom, design, slot, out_allowed);
    for (int i = 1; i < n; i++) {
        tl_choice choice = out_allowed[i];
        int j = i;
        for (; j > 0 && costs[out_allowed[j - 1]] > costs[choice]; j--) {
            out_allowed[j] = out_allowed[j - 1];
        }
        out_allowed[j] = choice;
    }
    return n;
}

/* ---- the state ----------------------------------------------------------------------------- */

/* The slot whose operators a slot of weight bits is about; any other slot itself. */
static int slot_of_operators(const tl_space *space, int slot)
{
    const tl_cell *cell = tl_space_cell(space);
    for (int e = 0; cell != NULL && e < cell->n_edges; e++) {
        if (cell->bits_slot[e] == slot) {
            return cell->edge_slot[e];
        }
    }
    return slot;
}

static slot_work work_of(const tl_network *network, int slot)
{
    slot_work work = {0};
    for (int i = 0; i < network->n_ops; i++) {
        const tl_op *op = &network->ops[i];
        if (op->slot == slot) {
            work.macs += (double)tl_op_macs(op);
            work.bit_ops += bit_ops_of(op);
            work.params += (double)tl_op_params(op);
            work.channels = fmax(work.channels, op->out_ch);
            work.kernel = fmax(work.kernel, op->kernel);
        }
    }
    return work;
}

tl_err tl_slot_facts_state(
    tl_slot_facts *facts,
    const tl_choice *design,
    int slot,
    double last_action,
    float *out_state)
{
    static const double log_unit = 20; /* e^20: the order of a network's work */
    const tl_space *space = facts->problem->space;
    const tl_slot_sensitivity *s = &facts->slots[slot];
    double all = 0;
    double done = 0;
    double total = 1e-12;
    TL_TRY(bit_ops_of_design(facts, design, &all));
    slot_work work = work_of(&facts->network, slot_of_operators(space, slot));
    for (int k = 0; k < facts->n_slots; k++) {
        done += k < slot ? facts->slots[k].bit_ops : 0;
        total += facts->slots[k].bit_ops;
    }
    const double numbers[TL_SLOT_STATE] = {
        (double)slot / facts->n_slots,
        log1p(work.macs) / log_unit,
        log1p(work.bit_ops) / log_unit,
        log1p(work.params) / log_unit,
        log1p(work.channels) / log_unit,
        fmin(work.kernel / 7, 1), /* an average over a whole image is no wide kernel */
        all / facts->reference_bit_ops,
        done / total,
        s->bit_ops,
        tanh(s->mean_value),
        tanh(s->least_value),
        tanh(s->mean_cost),
        tanh(s->least_cost),
        tl_space_slot(space, slot)->is_optional ? 1 : 0,
        last_action,
    };
    for (int i = 0; i < TL_SLOT_STATE; i++) {
        out_state[i] = (float)numbers[i];
    }
    return TL_OK;
}
