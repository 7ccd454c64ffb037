/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/commands.h"
#include "clients/cli/output.h"

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
    .doc = "Prints what the daemon holds and does.",
    .run = run,
};
