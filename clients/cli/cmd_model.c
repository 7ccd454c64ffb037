/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/commands.h"
#include "clients/cli/output.h"

static const struct argp_option show_options[] = {
    {"space",  TL_KEY_SPACE, "SPACE", 0, "the space whose model is meant (default: all)", 0},
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

static int show_one(const tl_cli *cli, const char *space)
{
    char *text = NULL;
    tailor_err err = tailor_model_show(cli->client, space, &text);
    return err == TAILOR_OK ? tl_cli_print_document_take(cli, "space", space, "text", text)
                            : tl_cli_refused(cli, err);
}

/* A space without a model says so in the same form. */
static tailor_err add_model(const tl_cli *cli, const char *space, tl_text *out)
{
    char *text = NULL;
    tl_text none = {0};
    tailor_err err = tailor_model_show(cli->client, space, &text);
    if (err == TAILOR_OK) {
        tl_cli_add_document(cli, "space", space, "text", text, out);
    } else if (err == TAILOR_ENOTFOUND) {
        tl_text_addf(&none, "model: none\nspace: %s\n", space);
        tl_cli_add_document(cli, "space", space, "text", none.is_broken ? "" : none.data, out);
        err = none.is_broken ? TAILOR_ENOMEM : TAILOR_OK;
    }
    tl_text_done(&none);
    tailor_text_free(text);
    return err;
}

/* One document a space, parted as YAML parts documents. */
static int show_all(const tl_cli *cli)
{
    char space[TAILOR_CELL_BYTES];
    tailor_table *models = NULL;
    tl_text out = {0};
    tailor_err err = tailor_model_list(cli->client, &models);
    size_t n_spaces = err == TAILOR_OK ? tailor_table_n_rows(models) : 0;
    for (size_t i = 0; i < n_spaces && err == TAILOR_OK; i++) {
        if (i > 0 && !cli->args->is_json) {
            tl_text_add(&out, "---\n");
        }
        err = add_model(
            cli, tailor_table_cell(models, tailor_table_find(models, "space"), i, space), &out);
    }
    int status = err == TAILOR_OK ? tl_cli_print(cli, &out) : tl_cli_refused(cli, err);
    tl_text_done(&out);
    tailor_table_free(models);
    return status;
}

static int run_show(tl_cli *cli)
{
    const tl_args *args = cli->args;
    if (args->space != NULL && args->n_arguments == 1) {
        tl_cli_say(cli, "want either SPACE or --space SPACE");
        return TL_EXIT_USAGE;
    }
    const char *space = args->n_arguments == 1 ? args->arguments[0] : args->space;
    return space != NULL ? show_one(cli, space) : show_all(cli);
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
    .args_doc = "[SPACE]",
    .doc =
        "Prints the provenance and the held-out figures of a space's model: of every space's,"
        " one after the other, where none is named.",
    .max_arguments = 1,
    .run = run_show,
};
