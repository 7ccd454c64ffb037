/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "clients/cli/commands.h"
#include "clients/cli/interrupt.h"
#include "clients/cli/output.h"
#include "clients/cli/progress.h"
#include "clients/cli/render.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct argp_option import_options[] = {TL_OPTION_SPACE, {0}};

/* clang-format off */
static const struct argp_option suggest_options[] = {
    TL_OPTION_SPACE,
    TL_OPTION_DEVICE,
    {"count", TL_KEY_COUNT, "N", 0, "how many designs", 0},
    {"candidates", TL_KEY_CANDIDATES, "FILE", 0, "choose among these designs (CSV)", 0},
    TL_OPTION_SEED,
    {0},
};
/* clang-format on */

static const struct argp_option export_options[] = {TL_OPTION_SPACE, TL_OPTION_DEVICE, {0}};

/* ---- import ------------------------------------------------------------------ */

typedef struct input {
    FILE *file;
    bool is_begun;
    int error; /* errno of the read that failed; what is said to the daemon after it sets others */
} input;

static int read_chunk(void *context, char *buffer, size_t capacity, size_t *out_len)
{
    input *from = context;
    if (!from->is_begun) { /* before, nothing is to be forgotten */
        tl_interrupt_end_input(fileno(from->file));
        tl_interrupt_catch();
        from->is_begun = true;
    }
    *out_len = fread(buffer, 1, capacity, from->file);
    if (tl_interrupt_came()) {
        return -1; /* the daemon forgets the import */
    }
    if (ferror(from->file)) {
        from->error = errno;
        return -1;
    }
    return 0;
}

static uint64_t size_of(FILE *file)
{
    struct stat status;
    bool is_known = fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode);
    return is_known ? (uint64_t)status.st_size : 0;
}

static void report_json(const tailor_import_report *report, tl_text *out)
{
    tl_json_begin(out);
    tl_json_whole(out, "rows", report->n_rows);
    tl_json_whole(out, "designs", report->n_designs);
    tl_json_whole(out, "values", report->n_values);
    tl_json_whole(out, "replaced", report->n_replaced);
    tl_json_whole(out, "duplicate_rows", report->n_duplicate_rows);
    tl_json_list(out, "new_devices", report->new_devices, report->n_new_devices);
    tl_json_list(out, "columns", report->columns, report->n_columns);
    tl_json_end(out);
}

static void report_lines(const tailor_import_report *report, tl_text *out)
{
    tl_text_addf(out, "rows            %llu\n", (unsigned long long)report->n_rows);
    tl_text_addf(out, "designs         %llu\n", (unsigned long long)report->n_designs);
    tl_text_addf(out, "values          %llu\n", (unsigned long long)report->n_values);
    tl_text_addf(out, "replaced        %llu\n", (unsigned long long)report->n_replaced);
    tl_text_addf(out, "duplicate rows  %llu\n", (unsigned long long)report->n_duplicate_rows);
    tl_text_add(out, "new devices    ");
    for (size_t i = 0; i < report->n_new_devices; i++) {
        tl_text_addf(out, " %s", report->new_devices[i]);
    }
    tl_text_add(
        out, report->n_new_devices == 0 ? " none\ncolumns        " : "\ncolumns        ");
    for (size_t i = 0; i < report->n_columns; i++) {
        tl_text_addf(out, " %s", report->columns[i]);
    }
    tl_text_add(out, "\n");
}

static int print_report(const tl_cli *cli, const tailor_import_report *report)
{
    tl_text text = {0};
    if (cli->args->is_json) {
        report_json(report, &text);
    } else {
        report_lines(report, &text);
    }
    int status = tl_cli_print(cli, &text);
    tl_text_done(&text);
    return status;
}

static int import_from(const tl_cli *cli, FILE *file, const char *origin)
{
    tl_progress progress = {.total = size_of(file), .is_bytes = true};
    input from = {.file = file};
    tailor_import_report *report = NULL;
    tailor_on_progress(cli->client, tl_progress_show, &progress);
    tailor_err err = tailor_measure_import(
        cli->client, cli->args->space, origin, read_chunk, &from, &report);
    tl_progress_end(&progress);
    if (err == TAILOR_EIO && tl_interrupt_came()) {
        tl_cli_say(cli, "interrupted; nothing was stored");
        return TL_EXIT_FAILED;
    }
    if (from.error != 0) {
        tl_cli_say(cli, "%s: %s", origin, strerror(from.error));
        return TL_EXIT_FAILED;
    }
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    int status = print_report(cli, report);
    tailor_import_report_free(report);
    return status;
}

static int run_import(tl_cli *cli)
{
    const char *path = cli->args->arguments[0];
    if (strcmp(path, "-") == 0) {
        return import_from(cli, stdin, "standard input");
    }
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        tl_cli_say(cli, "%s: %s", path, strerror(errno));
        return TL_EXIT_FAILED;
    }
    int status = import_from(cli, file, path);
    (void)fclose(file);
    return status;
}

/* ---- suggest, export ------------------------------------------------------------ */

static int suggest(tl_cli *cli, const char *candidates, size_t len)
{
    const tl_args *args = cli->args;
    tailor_table *table = NULL;
    tailor_suggest_options question = {
        .space = args->space,
        .device = args->device,
        .count = args->count,
        .seed = args->has_seed ? &args->seed : NULL,
        .origin = args->candidates,
        .candidates_csv = candidates,
        .candidates_len = len,
    };
    tailor_err err = tailor_measure_suggest(cli->client, &question, &table);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_table_take(cli, table, TL_STYLE_CSV);
}

static int run_suggest(tl_cli *cli)
{
    char *candidates = NULL;
    size_t len = 0;
    if (cli->args->candidates == NULL) {
        return suggest(cli, NULL, 0);
    }
    tl_err err = tl_cli_read_file(cli->args->candidates, &candidates, &len);
    int status = err == TL_OK ? suggest(cli, candidates, len) : tl_cli_failed(cli, err);
    tl_mem_free(candidates);
    return status;
}

static int run_export(tl_cli *cli)
{
    tailor_table *table = NULL;
    tailor_err err =
        tailor_measure_export(cli->client, cli->args->space, cli->args->device, &table);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_table_take(cli, table, TL_STYLE_CSV);
}

const tl_command tl_cmd_measure_import = {
    .name = "measure import",
    .summary = "Stores the measurements of a table",
    .options = import_options,
    .args_doc = "TABLE.csv",
    .doc = "Stores every measurement of the table, all or nothing; when it returns they "
           "are on the disk. Devices not yet known are registered bare; a design "
           "measured again replaces the old value. TABLE.csv may be - for standard "
           "input.",
    .required = {TL_KEY_SPACE},
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_import,
};

const tl_command tl_cmd_measure_suggest = {
    .name = "measure suggest",
    .summary = "The designs whose measurement would teach most",
    .options = suggest_options,
    .doc = "Prints the designs whose measurement would teach most, as a table to fill "
           "in.",
    .required = {TL_KEY_SPACE, TL_KEY_DEVICE, TL_KEY_COUNT},
    .run = run_suggest,
};

const tl_command tl_cmd_measure_export = {
    .name = "measure export",
    .summary = "The stored measurements as a table",
    .options = export_options,
    .doc = "Prints the stored measurements of a space, of one device where one is named.",
    .required = {TL_KEY_SPACE},
    .run = run_export,
};
