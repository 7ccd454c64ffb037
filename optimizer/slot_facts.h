/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_SLOT_FACTS_H
#define TL_OPTIMIZER_SLOT_FACTS_H

/*
 * What an agent that walks over the slots of a space sees of each slot.
 *
 * The walk starts from a reference, the design with the most bit operations (MACs times
 * the widths of both operands); slots that the walk has not reached keep its options.
 * Every slot is first changed alone, to each of its options, and predicted: how far
 * accuracy and cost change is the slot's sensitivity, and the costs give an order to
 * its options, so that an action between 0 and 1 reads from cheap to dear.
 *
 *     tl_slot_facts facts;
 *     TL_TRY(tl_slot_facts_init(&facts, problem, rng, list));
 *     memcpy(design, facts.reference, ...);
 *     for each slot k in order:
 *         n = tl_slot_facts_options(&facts, design, k, allowed);      cheap ones first
 *         TL_TRY(tl_slot_facts_state(&facts, design, k, last_action, state));
 *         design[k] = allowed[...];   (void)tl_slot_facts_complete(&facts, design, k + 1);
 *     tl_slot_facts_done(&facts);
 */

#include "optimizer/search.h"

enum {
    TL_SLOT_STATE = 15 /* numbers that describe one slot */
};

typedef struct tl_slot_sensitivity {
    double mean_value, least_value; /* change of value, in units of reward */
    double mean_cost, least_cost;   /* change of cost, as a share of the reference's */
    double bit_ops;                 /* share of the reference's that the slot decides about */
} tl_slot_sensitivity;

typedef struct tl_slot_facts {
    const tl_problem *problem; /* borrowed */
    int n_slots;
    tl_choice reference[TL_SPACE_MAX_SLOTS];
    double reference_bit_ops;
    tl_slot_sensitivity slots[TL_SPACE_MAX_SLOTS];
    int first_cost[TL_SPACE_MAX_SLOTS + 1];
    double *costs; /* of slot k's options from first_cost[k] on */
    tl_network network;
} tl_slot_facts;

/*
 * Predicts designs by chance, which set the unit of rewards, and every slot's options;
 * offers them all to list. Pair with _done(), after a failure too.
 */
TL_MUST_USE tl_err
tl_slot_facts_init(tl_slot_facts *facts, tl_problem *problem, tl_rng *rng, tl_shortlist *list);
void tl_slot_facts_done(tl_slot_facts *facts);

/* tl_space_allowed(), the cheapest option first. */
int tl_slot_facts_options(
    const tl_slot_facts *facts, const tl_choice *design, int slot, tl_choice *out_allowed);

/*
 * Mends the slots from first on that the ones before no longer allow: the reference's
 * option where that is possible. False where the choices before lead nowhere.
 */
bool tl_slot_facts_complete(const tl_slot_facts *facts, tl_choice *design, int first);

/* The slot as it is in a complete design whose slots before it are decided. */
TL_MUST_USE tl_err tl_slot_facts_state(
    tl_slot_facts *facts,
    const tl_choice *design,
    int slot,
    double last_action,
    float *out_state);

#endif
