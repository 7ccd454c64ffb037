/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_CLI_GOAL_H
#define TL_CLIENTS_CLI_GOAL_H

/* What commands that ask for designs share: limits, weights and what is to be best. */

#include "clients/cli/args.h"

#define TL_GOAL_CONFIDENCE_DOC "probability with which every limit must hold (default 0.9)"
#define TL_GOAL_WEIGHT_LATENCY_DOC                                                           \
    "points of accuracy (percent) that a millisecond is worth: have the most accuracy less " \
    "that; limits may stand beside it"
#define TL_GOAL_WEIGHT_ENERGY_DOC \
    "points of accuracy that a millijoule is worth; both weights add up"

/* Lines of a table of argp options. */
#define TL_OPTIONS_LIMITS                                                                   \
    {"max-latency-ms", TL_KEY_MAX_LATENCY, "X", 0, "limit on the latency", 0},              \
        {"max-energy-mj", TL_KEY_MAX_ENERGY, "X", 0, "limit on the energy", 0},             \
        {"min-accuracy", TL_KEY_MIN_ACCURACY, "X", 0, "limit on the accuracy, percent", 0}, \
    {                                                                                       \
        "confidence", TL_KEY_CONFIDENCE, "P", 0, TL_GOAL_CONFIDENCE_DOC, 0                  \
    }
#define TL_OPTIONS_GOAL                                                                \
    {"weight-latency", TL_KEY_WEIGHT_LATENCY, "W", 0, TL_GOAL_WEIGHT_LATENCY_DOC, 0},  \
        {"weight-energy", TL_KEY_WEIGHT_ENERGY, "W", 0, TL_GOAL_WEIGHT_ENERGY_DOC, 0}, \
        {"maximize", TL_KEY_MAXIMIZE, "accuracy", 0, "what to have most of", 0},       \
    {                                                                                  \
        "minimize", TL_KEY_MINIMIZE, "GOAL", 0, "latency_ms or energy_mj", 0           \
    }

/* NULL where the number was not given. */
const double *tl_goal_given(const double *value);

/* NULL, or what is wrong with the goal. */
const char *tl_goal_problem(const tl_args *args);

#endif
