/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/name.h"
#include "clients/cli/commands.h"
#include "clients/cli/output.h"
#include "clients/cli/render.h"

#include <stdio.h>
#include <string.h>

static const struct argp_option add_options[] = {
    {"name",  TL_KEY_NAME, "NAME", 0, "register a device nothing is known of", 0},
    {0},
};

static const struct argp_option list_options[] = {
    {"prefix",                             TL_KEY_PREFIX, "TEXT", 0, "devices whose names start with it", 0},
    {"count",                              TL_KEY_COUNT, "N", 0, "so many at most", 0},
    {0},
};

enum {
    PAGE_ROWS = 8192,
    MAX_COLUMNS = 64
};

/* A list that is printed as it comes. */
typedef struct listing {
    char after[TL_NAME_MAX_BYTES + 1];
    uint32_t n;
    int widths[MAX_COLUMNS];
    bool is_begun;
} listing;

static int print_page(const tl_cli *cli, listing *l, const tailor_table *page)
{
    tl_text text = {0};
    if (cli->args->is_json) {
        tl_render_json_lines(page, &text);
    } else {
        tl_render_aligned_part(page, !l->is_begun, l->widths, &text);
    }
    int status = tl_cli_print_part(cli, &text, !l->is_begun);
    l->is_begun = true;
    tl_text_done(&text);
    return status;
}

/*
 * Prints the next page; *out_is_last when there is none behind it. An older daemon knows no
 * pages: whatever is asked for, it sends everything.
 */
static int list_page(const tl_cli *cli, listing *l, bool *out_is_last)
{
    uint32_t n_left = cli->args->count > 0 ? cli->args->count - l->n : UINT32_MAX;
    tailor_table *page = NULL;
    const tailor_device_page_options options = {
        .prefix = cli->args->prefix,
        .after = l->after,
        .limit = n_left < PAGE_ROWS ? n_left : PAGE_ROWS};
    tailor_err err = tailor_device_page(cli->client, &options, &page);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    size_t n = tailor_table_n_rows(page);
    l->n += (uint32_t)n;
    *out_is_last = n != options.limit || l->n == cli->args->count ||
                   strcmp(tailor_table_text(page, 0, 0), l->after) <= 0;
    if (n > options.limit || tailor_table_n_columns(page) > MAX_COLUMNS) {
        return tl_cli_print_table_take(cli, page, TL_STYLE_ALIGNED);
    }
    if (n > 0) {
        (void)snprintf(l->after, sizeof l->after, "%s", tailor_table_text(page, 0, n - 1));
    }
    int status = n > 0 || !l->is_begun ? print_page(cli, l, page) : TL_EXIT_DONE;
    tailor_table_free(page);
    return status;
}

static int run_list(tl_cli *cli)
{
    listing l = {.n = 0};
    bool is_last = false;
    int status = TL_EXIT_DONE;
    while (status == TL_EXIT_DONE && !is_last) {
        status = list_page(cli, &l, &is_last);
    }
    return status;
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
    .options = list_options,
    .doc = "Lists the registered devices by name, as they come.",
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
