/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/goal.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

const double *tl_goal_given(const double *value)
{
    return isnan(*value) ? NULL : value;
}

const char *tl_goal_problem(const tl_args *args)
{
    if (args->maximize != NULL && args->minimize != NULL) {
        return "want either --maximize or --minimize";
    }
    if (args->minimize != NULL && (tl_goal_given(&args->weight_latency) != NULL ||
                                   tl_goal_given(&args->weight_energy) != NULL)) {
        return "want either --minimize or weights, which go with accuracy";
    }
    if (args->maximize != NULL && strcmp(args->maximize, "accuracy") != 0) {
        return "--maximize: want accuracy";
    }
    if (args->minimize != NULL && strcmp(args->minimize, "latency_ms") != 0 &&
        strcmp(args->minimize, "energy_mj") != 0) {
        return "--minimize: want latency_ms or energy_mj";
    }
    return NULL;
}
