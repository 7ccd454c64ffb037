/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "clients/cli/commands.h"
#include "clients/cli/output.h"
#include "clients/cli/render.h"

static const struct argp_option add_options[] = {
    {"name",  TL_KEY_NAME, "NAME", 0, "register a device nothing is known of", 0},
    {0},
};

static int run_list(tl_cli *cli)
{
    tailor_table *table = NULL;
    tailor_err err = tailor_device_list(cli->client, &table);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_table_take(cli, table, TL_STYLE_ALIGNED);
}

static int run_show(tl_cli *cli)
{
    char *yaml = NULL;
    const char *name = cli->args->arguments[0];
    tailor_err err = tailor_device_show(cli->client, name, &yaml);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_document_take(cli, "device", name, "yaml", yaml);
}

static int add_bare(const tl_cli *cli, const char *name)
{
    tailor_err err = tailor_device_add_bare(cli->client, name);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_name(cli, "device", name);
}

/* Registers one profile and appends what is printed for it to out. */
static int add_profile(const tl_cli *cli, const char *path, tl_text *out)
{
    char *yaml = NULL;
    size_t yaml_len = 0;
    char *name = NULL;
    int status = TL_EXIT_DONE;
    tl_err err = tl_cli_read_file(path, &yaml, &yaml_len);
    if (err != TL_OK) {
        status = tl_cli_failed(cli, err);
        goto done;
    }
    tailor_err refused = tailor_device_add(cli->client, path, yaml, yaml_len, &name);
    if (refused != TAILOR_OK) {
        status = tl_cli_refused(cli, refused);
        goto done;
    }
    if (cli->args->is_json) {
        tl_json_begin(out);
        tl_json_text(out, "device", name);
        tl_json_end(out);
    } else {
        tl_text_addf(out, "%s\n", name);
    }
done:
    tailor_text_free(name);
    tl_mem_free(yaml);
    return status;
}

static int run_add(tl_cli *cli)
{
    const tl_args *args = cli->args;
    if ((args->name != NULL) == (args->n_arguments > 0)) {
        tl_cli_say(cli, "want either FILE.yaml... or --name NAME");
        return TL_EXIT_USAGE;
    }
    if (args->name != NULL) {
        return add_bare(cli, args->name);
    }
    tl_text out = {0};
    int status = TL_EXIT_DONE;
    for (int i = 0; i < args->n_arguments && status == TL_EXIT_DONE; i++) {
        status = add_profile(cli, args->arguments[i], &out);
    }
    int printed = tl_cli_print(cli, &out);
    tl_text_done(&out);
    return status != TL_EXIT_DONE ? status : printed;
}

static int run_remove(tl_cli *cli)
{
    const char *name = cli->args->arguments[0];
    tailor_err err = tailor_device_remove(cli->client, name);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_name(cli, "removed", name);
}

const tl_command tl_cmd_device_list = {
    .name = "device list",
    .summary = "The registered devices",
    .doc = "Lists the registered devices.",
    .run = run_list,
};

const tl_command tl_cmd_device_show = {
    .name = "device show",
    .summary = "A device's profile",
    .args_doc = "DEVICE",
    .doc = "Prints a device's profile as YAML.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_show,
};

const tl_command tl_cmd_device_add = {
    .name = "device add",
    .summary = "Registers devices from their profiles, or by name alone",
    .options = add_options,
    .args_doc = "FILE.yaml...\n--name NAME",
    .doc = "Registers a device from each profile, replacing what was known under that "
           "name, and prints the names. The first profile that is refused ends it.",
    .max_arguments = TL_ANY_NUMBER,
    .run = run_add,
};

const tl_command tl_cmd_device_remove = {
    .name = "device remove",
    .summary = "Removes a device from the registry",
    .args_doc = "DEVICE",
    .doc = "Removes a device from the registry.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_remove,
};
