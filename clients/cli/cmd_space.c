/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "clients/cli/commands.h"
#include "clients/cli/output.h"

static int run_list(tl_cli *cli)
{
    tailor_table *table = NULL;
    tailor_err err = tailor_space_list(cli->client, &table);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_table_take(cli, table, TL_STYLE_ALIGNED);
}

static int run_show(tl_cli *cli)
{
    char *yaml = NULL;
    const char *name = cli->args->arguments[0];
    tailor_err err = tailor_space_show(cli->client, name, &yaml);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_document_take(cli, "space", name, "yaml", yaml);
}

static int run_add(tl_cli *cli)
{
    char *yaml = NULL;
    size_t yaml_len = 0;
    char *name = NULL;
    const char *path = cli->args->arguments[0];
    int status = TL_EXIT_FAILED;
    tl_err err = tl_cli_read_file(path, &yaml, &yaml_len);
    if (err != TL_OK) {
        status = tl_cli_failed(cli, err);
        goto done;
    }
    tailor_err refused = tailor_space_add(cli->client, path, yaml, yaml_len, &name);
    if (refused != TAILOR_OK) {
        status = tl_cli_refused(cli, refused);
        goto done;
    }
    status = tl_cli_print_name(cli, "space", name);
done:
    tailor_text_free(name);
    tl_mem_free(yaml);
    return status;
}

static int run_remove(tl_cli *cli)
{
    const char *name = cli->args->arguments[0];
    tailor_err err = cli->args->with_measurements
                         ? tailor_space_remove_with_measurements(cli->client, name)
                         : tailor_space_remove(cli->client, name);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_name(cli, "removed", name);
}

static const struct argp_option remove_options[] = {
    {"with-measurements", TL_KEY_WITH_MEASUREMENTS, NULL, 0,
     "also where measurements of it are stored: they are lost (asks for the role admin)", 0},
    {0              },
};

const tl_command tl_cmd_space_list = {
    .name = "space list",
    .summary = "The search spaces that the daemon knows",
    .doc = "Lists the search spaces: kind, number of slots and of designs, origin.",
    .run = run_list,
};

const tl_command tl_cmd_space_show = {
    .name = "space show",
    .summary = "The file that defines a space",
    .args_doc = "SPACE",
    .doc = "Prints the YAML that defines a space.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_show,
};

const tl_command tl_cmd_space_add = {
    .name = "space add",
    .summary = "Adds a space from its YAML file",
    .args_doc = "FILE.yaml",
    .doc = "Adds the space that FILE.yaml defines, and prints its name.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_add,
};

const tl_command tl_cmd_space_remove = {
    .name = "space remove",
    .summary = "Removes an added space",
    .args_doc = "SPACE",
    .doc = "Removes a space that was added.",
    .options = remove_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_remove,
};
