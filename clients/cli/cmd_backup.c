/* SPDX-License-Identifier: Apache-2.0 */

/* Commands backup, which asks the daemon, and restore, which works on the folder itself. */

#include "base/backup.h"
#include "base/file.h"
#include "base/restore.h"
#include "base/text.h"
#include "clients/cli/commands.h"
#include "clients/cli/output.h"
#include "clients/cli/progress.h"
#include "clients/cli/render.h"

#include <stdio.h>

enum {
    DETAIL_BYTES = 512
};

/* ---- backup ----------------------------------------------------------------------------- */

/* What arrives is written and checked at once. */
typedef struct target {
    tl_file_writer *writer;
    tl_backup_reader *reader;
    char detail[DETAIL_BYTES]; /* why it was refused here; what the daemon is told then fails
                                  or not as well */
} target;

static int take(void *context, const uint8_t *data, size_t len)
{
    target *to = context;
    tl_err err = tl_backup_reader_feed(to->reader, data, len);
    if (err == TL_OK) {
        err = tl_file_writer_add(to->writer, data, len);
    }
    if (err != TL_OK) {
        (void)snprintf(to->detail, sizeof to->detail, "%s", tl_err_detail());
    }
    return err == TL_OK ? 0 : -1;
}

/* To standard output: --out is the backup itself. */
static int print_backup(const tl_cli *cli, uint64_t bytes)
{
    tl_text text = {0};
    tl_args args = *cli->args;
    tl_cli plain = {.title = cli->title, .args = &args, .client = cli->client};
    args.out = NULL;
    if (cli->args->is_json) {
        tl_json_begin(&text);
        tl_json_text(&text, "file", cli->args->out);
        tl_json_whole(&text, "bytes", bytes);
        tl_json_end(&text);
    } else {
        tl_text_addf(&text, "%s  %llu bytes\n", cli->args->out, (unsigned long long)bytes);
    }
    int status = tl_cli_print(&plain, &text);
    tl_text_done(&text);
    return status;
}

static int fetch(const tl_cli *cli, target *to)
{
    tl_progress progress = {.is_bytes = true};
    uint64_t bytes = 0;
    tailor_on_progress(cli->client, tl_progress_show, &progress);
    tailor_err refused = tailor_backup(cli->client, take, to, &bytes);
    tl_progress_end(&progress);
    if (to->detail[0] != '\0') {
        tl_cli_say(cli, "%s", to->detail);
        return TL_EXIT_FAILED;
    }
    if (refused != TAILOR_OK) {
        return tl_cli_refused(cli, refused);
    }
    tl_err err = tl_backup_reader_finish(to->reader);
    if (err == TL_OK) {
        err = tl_file_writer_finish(to->writer);
    }
    return err == TL_OK ? print_backup(cli, bytes) : tl_cli_failed(cli, err);
}

static int run_backup(tl_cli *cli)
{
    target to = {.writer = NULL};
    tl_err err = tl_file_writer_open(cli->args->out, true, &to.writer);
    if (err == TL_OK) {
        err = tl_backup_reader_new(NULL, NULL, &to.reader);
    }
    int status = err == TL_OK ? fetch(cli, &to) : tl_cli_failed(cli, err);
    tl_backup_reader_free(to.reader);
    tl_file_writer_close(to.writer);
    return status;
}

/* ---- restore ---------------------------------------------------------------------------- */

static void show(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    tl_progress_show(
        context, &(tailor_progress){.what = "bytes", .done = done_bytes, .total = total_bytes});
}

static int print_restore(const tl_cli *cli, const tl_restore_report *report)
{
    tl_text text = {0};
    if (cli->args->is_json) {
        tl_json_begin(&text);
        tl_json_text(&text, "data", cli->args->data_dir);
        tl_json_text(&text, "created", report->created);
        tl_json_whole(&text, "entries", report->n_entries);
        tl_json_whole(&text, "models", report->n_files);
        tl_json_whole(&text, "bytes", report->n_bytes);
        tl_json_end(&text);
    } else {
        tl_text_addf(
            &text, "%s  as of %s: %llu entries, %llu models\n", cli->args->data_dir,
            report->created, (unsigned long long)report->n_entries,
            (unsigned long long)report->n_files);
    }
    int status = tl_cli_print(cli, &text);
    tl_text_done(&text);
    return status;
}

static int run_restore(tl_cli *cli)
{
    tl_progress progress = {.is_bytes = true};
    tl_restore_report report = {0};
    tl_restore_options options = {
        .path = cli->args->arguments[0],
        .data_dir = cli->args->data_dir,
        .replaces = cli->args->is_forced,
        .progress = show,
        .context = &progress};
    tl_err err = tl_restore(&options, &report);
    tl_progress_end(&progress);
    return err == TL_OK ? print_restore(cli, &report) : tl_cli_failed(cli, err);
}

/* clang-format off */
static const struct argp_option restore_options[] = {
    {"data", TL_KEY_DATA, "DIR", 0, "the data folder, of no running daemon", 0},
    {"force", TL_KEY_FORCE, NULL, 0, "replace what the folder holds", 0},
    {0},
};
/* clang-format on */

const tl_command tl_cmd_backup = {
    .name = "backup",
    .summary = "Everything that the daemon has stored, as one file",
    .doc =
        "Writes everything that the daemon has stored, as of now, to the file of --out: "
        "devices, spaces, measurements, jobs and models that were trained on the spot. The "
        "daemon goes on meanwhile. The file is checked and durable when it has its name. Keys "
        "are not in it. Asks for the role admin.",
    .required = {TL_KEY_OUT},
    .run = run_backup,
};

const tl_command tl_cmd_restore = {
    .name = "restore",
    .summary = "A data folder from the file of a backup",
    .options = restore_options,
    .args_doc = "FILE",
    .doc =
        "Makes the data folder DIR from the file of a backup, all or nothing, checked before "
        "anything is put in place. No daemon may use DIR; one that holds data is replaced "
        "with --force only.",
    .required = {TL_KEY_DATA},
    .min_arguments = 1,
    .max_arguments = 1,
    .is_local = true,
    .run = run_restore,
};
