/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/commands.h"
#include "clients/cli/output.h"

static const struct argp_option options[] = {{0}};

static int run(tl_cli *cli)
{
    tailor_table *table = NULL;
    tailor_err err = tailor_status(cli->client, &table);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_table_take(cli, table, TL_STYLE_ALIGNED);
}

const tl_command tl_cmd_status = {
    .name = "status",
    .summary = "What the daemon holds and does",
    .argp =
        {options, tl_args_parse, NULL, "Prints what the daemon holds and does.",
               tl_args_everywhere, NULL, NULL},
    .run = run,
};
