/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_SEARCH_H
#define TL_OPTIMIZER_SEARCH_H

/*
 * Searches: how the best designs of a problem are found.
 *
 * Each search is one constant of the table; all share the problem and the
 * shortlist, so that they can be held against one another at equal numbers of
 * evaluations.
 *
 *     exhaustive    every design of a space that can be listed: exact
 *     evolutionary  generations of mutated and crossed tournament winners
 *     reinforce     a policy for this problem alone, by policy gradients
 *     galen         a DDPG agent that walks over the slots
 *     random        designs drawn by chance: the floor of any comparison
 *
 * Every search is anytime: it looks at the deadline between batches of predictions
 * and gives the best so far, of its first batch at least.
 */

#include "optimizer/problem.h"

struct tl_optimizer;

typedef struct tl_search_options {
    int n_best;        /* how many designs are wanted, best first */
    int n_evaluations; /* at most; 0: the method's own */
    uint64_t seed;
    int64_t deadline_ns; /* by tl_clock_ns(); 0: none */
    /* What method neural answers with, trained (optimizer.h); NULL: there is none. */
    const struct tl_optimizer *optimizer;
    int population; /* of evolutionary; 0: its own */
    bool is_ageing; /* evolutionary: the oldest dies, not the worst (regularized evolution) */
} tl_search_options;

/* What was found: n designs [n, n_slots], best first, all different. */
typedef struct tl_shortlist {
    int n, capacity, n_slots;
    tl_choice *designs;
    tl_scored *scores;
} tl_shortlist;

TL_MUST_USE tl_err tl_shortlist_init(tl_shortlist *list, int n_slots, int capacity);
void tl_shortlist_done(tl_shortlist *list);

/* Offers designs; the best `capacity` different ones ever offered stay. */
void tl_shortlist_offer(
    tl_shortlist *list, const tl_choice *designs, const tl_scored *scores, int n);

typedef struct tl_search {
    const char *name;
    const char *summary;
    tl_err (*run)(tl_problem *problem, const tl_search_options *options, tl_shortlist *list);
} tl_search;

extern const tl_search tl_search_exhaustive;
extern const tl_search tl_search_neural;
extern const tl_search tl_search_evolutionary;
extern const tl_search tl_search_reinforce;
extern const tl_search tl_search_galen;
extern const tl_search tl_search_random;

/* NULL when there is none of that name. */
const tl_search *tl_search_find(const char *name);

/* "exhaustive, evolutionary, ... or random": for messages. */
void tl_search_add_names(tl_text *text);

enum {
    TL_SEARCH_LISTABLE = 100000,    /* spaces up to this size are searched exhaustively */
    TL_SEARCH_EXHAUSTIBLE = 1000000 /* and up to this one where that is asked for */
};

/*
 * Exhaustive where the designs of the problem's freedom can be listed; else neural where
 * the options have an optimizer that answers such problems; else evolutionary.
 */
const tl_search *tl_search_default(const tl_problem *problem, const tl_search_options *options);

/* The deadline has passed. */
bool tl_search_is_late(const tl_search_options *options);

/*
 * Runs the search; out_list comes zeroed and is the caller's on success
 * (tl_shortlist_done). It is empty only when the space is.
 */
TL_MUST_USE tl_err tl_search_run(
    const tl_search *search,
    tl_problem *problem,
    const tl_search_options *options,
    tl_shortlist *out_list);

#endif
