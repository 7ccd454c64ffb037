/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/commands.h"
#include "clients/cli/output.h"

static const struct argp_option show_options[] = {
    {"space",  TL_KEY_SPACE, "SPACE", 0, "the space whose model is meant", 0},
    {0},
};

static int run_list(tl_cli *cli)
{
    tailor_table *table = NULL;
    tailor_err err = tailor_model_list(cli->client, &table);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_table_take(cli, table, TL_STYLE_ALIGNED);
}

static int run_show(tl_cli *cli)
{
    const tl_args *args = cli->args;
    if ((args->space != NULL) == (args->n_arguments == 1)) {
        tl_cli_say(cli, "want either SPACE or --space SPACE");
        return TL_EXIT_USAGE;
    }
    const char *space = args->space != NULL ? args->space : args->arguments[0];
    char *text = NULL;
    tailor_err err = tailor_model_show(cli->client, space, &text);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_document_take(cli, "space", space, "text", text);
}

const tl_command tl_cmd_model_list = {
    .name = "model list",
    .summary = "The models that are loaded",
    .doc = "Lists the models that are loaded.",
    .run = run_list,
};

const tl_command tl_cmd_model_show = {
    .name = "model show",
    .summary = "Where a space's model comes from, and how good it is",
    .options = show_options,
    .args_doc = "SPACE",
    .doc = "Prints the provenance and the held-out figures of a space's model.",
    .max_arguments = 1,
    .run = run_show,
};
