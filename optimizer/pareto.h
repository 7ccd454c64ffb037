/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_PARETO_H
#define TL_OPTIMIZER_PARETO_H

/*
 * The Pareto front of a device: the designs of which none is beaten both in
 * accuracy and in cost (latency or energy), by predicted means.
 *
 * A space that can be listed is scored whole: the front is exact. A larger one is
 * searched by an archive: parents are drawn from the front found so far, evenly over
 * its length, so that its sparse ends are bred as often as its middle.
 *
 *     tl_front front = {0};
 *     TL_TRY(tl_pareto_run(&problem, &options, &front));
 *     tl_front_thin(&front, 20);
 *     double volume = tl_front_hypervolume(&front, corner);
 *     tl_front_done(&front);
 */

#include "optimizer/problem.h"

/* Cheapest first; accuracy rises, and cost by more than a millionth. Designs [n, n_slots]. */
typedef struct tl_front {
    int n, capacity, n_slots;
    bool by_energy; /* the cost is energy_mj, not latency_ms */
    bool is_exact;  /* every design of the space was scored, by tl_pareto_run() */
    tl_choice *designs;
    tl_scored *scores;
} tl_front;

TL_MUST_USE tl_err tl_front_init(tl_front *front, int n_slots, int capacity, bool by_energy);
void tl_front_done(tl_front *front);

double tl_front_cost(const tl_front *front, int i);

/*
 * Offers designs [n, n_slots]: those that no design of the front beats join it, those
 * that they beat leave it. Designs that miss a limit, or of which cost or accuracy is
 * not known, are passed over. A full front loses the design that adds least volume.
 */
void tl_front_offer(tl_front *front, const tl_choice *designs, const tl_scored *scores, int n);

/* The corner that volumes are measured from: as dear and as bad as counts. */
typedef struct tl_front_corner {
    double cost, accuracy;
} tl_front_corner;

/* The area between the front and the corner, in cost units times points. */
double tl_front_hypervolume(const tl_front *front, tl_front_corner corner);

/*
 * The front if every design turned out so many of its standard deviations better (worse
 * when negative) in cost and in accuracy: its volumes at -1.645 and 1.645 bound that of
 * the true front cautiously. The caller owns *out_front.
 */
TL_MUST_USE tl_err tl_front_lean(const tl_front *front, double lean, tl_front *out_front);

/* Keeps n designs: again and again the one that adds least volume leaves; the ends stay. */
void tl_front_thin(tl_front *front, int n);

typedef struct tl_pareto_options {
    bool by_energy;
    int n_evaluations; /* at most, where the space cannot be listed; 0: TL_PARETO_EVALUATIONS */
    bool is_archive;   /* search by the archive although the space can be listed */
    int64_t deadline_ns; /* by tl_clock_ns(): the archive ends with its best so far; 0: none */
    uint64_t seed;
} tl_pareto_options;

enum {
    TL_PARETO_CAPACITY = 1024,
    TL_PARETO_EVALUATIONS = 20000
};

/*
 * out_front comes zeroed and is the caller's on success. It is empty when no design
 * keeps the limits. problem->objective is not read.
 */
TL_MUST_USE tl_err
tl_pareto_run(tl_problem *problem, const tl_pareto_options *options, tl_front *out_front);

/*
 * What is left of a front where no accuracy is known: the cheapest design that keeps the limits,
 * alone. As tl_pareto_run() else; sets problem->objective to the cost. Its is_exact says that
 * every design was scored.
 */
TL_MUST_USE tl_err
tl_pareto_cheapest(tl_problem *problem, const tl_pareto_options *options, tl_front *out_front);

#endif
