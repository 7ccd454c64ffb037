/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/commands.h"
#include "clients/cli/output.h"

#include <stddef.h>

static const char metric_doc[] = "whose ranks agree: latency_ms (default) or energy_mj";
static const char points_doc[] =
    "print N designs instead: the front of the best proxy, as it is where it may be reused, "
    "else adapted to what was measured of the device";

/* clang-format off */
static const struct argp_option options[] = {
    TL_OPTION_SPACE,
    TL_OPTION_DEVICE,
    TL_OPTION_TASK,
    {"metric", TL_KEY_METRIC, "METRIC", 0, metric_doc, 0},
    {"points", TL_KEY_POINTS, "N", 0, points_doc, 0},
    TL_OPTION_SEED,
    {0},
};
/* clang-format on */

static int run(tl_cli *cli)
{
    const tl_args *args = cli->args;
    tailor_answer *answer = NULL;
    tailor_proxy_options question = {
        .space = args->space,
        .device = args->device,
        .task = args->task,
        .metric = args->metric,
        .points = args->points,
        .seed = args->has_seed ? &args->seed : NULL,
    };
    tailor_err err = tailor_proxy(cli->client, &question, &answer);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    int status = tl_cli_print_table(cli, answer->table, TL_STYLE_CSV);
    if (args->points > 0) {
        tl_cli_say(cli, "designs by %s", answer->method);
    }
    tailor_answer_free(answer);
    return status;
}

const tl_command tl_cmd_proxy = {
    .name = "proxy",
    .summary = "Which known devices rank designs as this one does",
    .options = options,
    .doc = "Prints, best first, how well the device ranks designs as each known one does:"
           " device, Spearman's coefficient over the space with the interval in which it lies"
           " in 90% of cases, reusable (1 from 0.9 on: the designs of that device's front"
           " serve this one), and how many measurements of this device it was told from.",
    .required = {TL_KEY_SPACE, TL_KEY_DEVICE},
    .run = run,
};
