/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_RANKED_H
#define TL_PREDICTORS_RANKED_H

/*
 * A listed space by falling accuracy, and what many devices, of which only the profiles
 * are known, say of it at once.
 *
 *     log cost [r, x] = constant_r + shares_r . logs(x)
 *                       + roofline_r log(prices_r . counts(x)),
 *
 * two products of matrices for all devices and designs (listed.h). They are floats and
 * for filtering: what comes near is then asked of the view (tl_view_predict_listed()).
 *
 *     const tl_ranked *ranked = NULL;
 *     TL_TRY(tl_predictor_ranked(predictor, task, &ranked));       kept by the predictor
 *     TL_TRY(tl_ranked_devices_init(ranked, views, n, &devices));
 *     tl_ranked_logs(ranked, &devices, wanted, n_wanted, ranks, TL_COST_LATENCY, logs);
 *     ...
 *     tl_ranked_devices_done(&devices);
 */

#include "numerics/mat.h"
#include "predictors/predictor.h"

/* Immutable. Rank 0 is the most accurate design; of equals, the first of the listing. */
typedef struct tl_ranked {
    int n;
    int *places;             /* [n]: in the listing */
    int *same_end;           /* [n]: the first rank after those of equal accuracy */
    tl_choice *designs;      /* [n, n_slots] */
    double *accuracy;        /* [n], falling */
    double *accuracy_std;    /* [n] */
    tl_mat logs[TL_N_COSTS]; /* [S, n]: what known devices say; none where there are none */
    tl_mat counts;           /* [U, n]: of distinct operators */
} tl_ranked;

/* Made once and kept by the predictor, which has a listing; task as resolved, not NULL. */
TL_MUST_USE tl_err
tl_predictor_ranked(tl_predictor *predictor, const char *task, const tl_ranked **out_ranked);
void tl_ranked_free(tl_ranked *ranked); /* NULL is fine; for the predictor */

/* The view's cost over the listing is told by such products. */
bool tl_ranked_can(const tl_view *view, tl_cost cost);

/* One row of coefficients for each view. */
typedef struct tl_ranked_devices {
    int n;
    tl_mat shares[TL_N_COSTS]; /* [n, S] */
    tl_mat prices;             /* [n, U], over the roofline's unit */
    float *constants[TL_N_COSTS];
    float *rooflines; /* shares of the roofline */
    /* Where weights lie differs from design to design: logs are then no more than the truth. */
    bool *is_least;
} tl_ranked_devices;

/* Of n views that tl_ranked_can() take for latency; energy of those for energy too. */
TL_MUST_USE tl_err tl_ranked_devices_init(
    const tl_ranked *ranked, tl_view *const *views, int n, tl_ranked_devices *out_devices);
void tl_ranked_devices_done(tl_ranked_devices *devices);

/* Room of tl_ranked_logs() for so many devices and designs at a time. */
typedef struct tl_ranked_room {
    tl_mat shares, prices, works;
} tl_ranked_room;

TL_MUST_USE tl_err tl_ranked_room_init(
    const tl_ranked *ranked, int n_devices, int n_designs, tl_ranked_room *out_room);
void tl_ranked_room_done(tl_ranked_room *room);

/* Ranks [begin, end). */
typedef struct tl_ranks {
    int begin, end;
} tl_ranks;

/*
 * Logs of latency, or of energy over latency, of wanted devices [n_wanted] and
 * designs of these ranks: out [n_wanted, end - begin], right to about 2e-4.
 */
void tl_ranked_logs(
    const tl_ranked *ranked,
    const tl_ranked_devices *devices,
    const int *wanted,
    int n_wanted,
    tl_ranks ranks,
    tl_cost cost,
    const tl_ranked_room *room,
    tl_mat out);

/* The deviation of the cost over its mean, the same for every design. */
double tl_ranked_spread(const tl_view *view, tl_cost cost);

#endif
