/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/commands.h"
#include "clients/cli/follow.h"
#include "clients/cli/output.h"
#include "clients/cli/render.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* clang-format off */
static const struct argp_option list_options[] = {
    {"count", TL_KEY_COUNT, "N", 0, "of those that ended, the newest N (default 50)", 0},
    {0},
};
/* clang-format on */

/* The number of a job; false, and said, when it is none. */
static bool read_id(const tl_cli *cli, uint64_t *out_id)
{
    const char *word = cli->args->arguments[0];
    char *end = NULL;
    errno = 0;
    unsigned long long job_id = strtoull(word, &end, 10);
    if (word[0] < '0' || word[0] > '9' || *end != '\0' || errno != 0) {
        tl_cli_say(cli, "got \"%s\", want the number of a job", word);
        return false;
    }
    *out_id = job_id;
    return true;
}

static int run_list(tl_cli *cli)
{
    tailor_table *table = NULL;
    tailor_err err = tailor_job_history(cli->client, cli->args->count, &table);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_table_take(cli, table, TL_STYLE_ALIGNED);
}

static int run_cancel(tl_cli *cli)
{
    uint64_t job_id = 0;
    if (!read_id(cli, &job_id)) {
        return TL_EXIT_USAGE;
    }
    tailor_err err = tailor_job_cancel(cli->client, job_id);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_name(cli, "cancelled", cli->args->arguments[0]);
}

/* ---- one job ------------------------------------------------------------------------------- */

/* A fact of the job: a line to read, or a member of an object. */
static void add_text(const tl_cli *cli, tl_text *out, const char *name, const char *value)
{
    if (cli->args->is_json) {
        tl_json_text(out, name, value);
    } else if (value[0] != '\0') {
        tl_text_addf(out, "%-10s %s\n", name, value);
    }
}

static void add_whole(const tl_cli *cli, tl_text *out, const char *name, uint64_t value)
{
    if (cli->args->is_json) {
        tl_json_whole(out, name, value);
    } else {
        tl_text_addf(out, "%-10s %llu\n", name, (unsigned long long)value);
    }
}

static void add_time(const tl_cli *cli, tl_text *out, const char *name, int64_t unix_s)
{
    char text[32] = "";
    time_t time = (time_t)unix_s;
    struct tm parts = {0};
    if (unix_s > 0) {
        (void)gmtime_r(&time, &parts);
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
    add_text(cli, out, name, text);
}

static void add_facts(const tl_cli *cli, const tailor_job *job, tl_text *out)
{
    add_whole(cli, out, "job", job->job_id);
    add_text(cli, out, "method", job->method);
    add_text(cli, out, "space", job->subject);
    add_text(cli, out, "state", job->state);
    add_text(cli, out, "step", job->what);
    add_whole(cli, out, "done", job->done);
    add_whole(cli, out, "total", job->total);
    add_time(cli, out, "queued", job->queued_unix_s);
    add_time(cli, out, "started", job->started_unix_s);
    add_time(cli, out, "ended", job->ended_unix_s);
    add_whole(cli, out, "elapsed_s", (uint64_t)job->elapsed_s);
    add_whole(cli, out, "starts", job->n_starts);
    add_whole(cli, out, "waits_for", job->n_before);
    add_text(cli, out, "client", job->client);
    add_text(cli, out, "key", job->key);
    add_text(cli, out, "error", job->error != TAILOR_OK ? tailor_err_name(job->error) : "");
    add_text(cli, out, "detail", job->error_detail);
}

static int run_show(tl_cli *cli)
{
    uint64_t job_id = 0;
    tailor_job *job = NULL;
    tl_text text = {0};
    if (!read_id(cli, &job_id)) {
        return TL_EXIT_USAGE;
    }
    tailor_err err = tailor_job_show(cli->client, job_id, &job);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    if (cli->args->is_json) {
        tl_json_begin(&text);
    }
    add_facts(cli, job, &text);
    if (cli->args->is_json) {
        tl_json_end(&text);
    }
    int status = tl_cli_print(cli, &text);
    tl_text_done(&text);
    tailor_job_free(job);
    return status;
}

/* How a job of another method ended: there is nothing to print of it. */
static int say_end(const tl_cli *cli, const tailor_job *job)
{
    if (job->error == TAILOR_OK) {
        tl_cli_say(cli, "job %llu is done", (unsigned long long)job->job_id);
        return TL_EXIT_DONE;
    }
    tl_cli_say(
        cli, "%s",
        job->error_detail[0] != '\0' ? job->error_detail : tailor_err_name(job->error));
    return TL_EXIT_FAILED;
}

static int run_follow(tl_cli *cli)
{
    uint64_t job_id = 0;
    tailor_job *job = NULL;
    if (!read_id(cli, &job_id)) {
        return TL_EXIT_USAGE;
    }
    tailor_err err = tailor_job_show(cli->client, job_id, &job); /* patience is for later */
    tailor_job_free(job);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    int status = tl_follow(cli, job_id, &job);
    if (status != TL_EXIT_DONE) {
        return status;
    }
    status = strcmp(job->method, "train.run") == 0      ? tl_train_print_job(cli, job)
             : strcmp(job->method, "evaluate.run") == 0 ? tl_evaluate_print_job(cli, job)
                                                        : say_end(cli, job);
    tailor_job_free(job);
    return status;
}

const tl_command tl_cmd_job_list = {
    .name = "job list",
    .summary = "The work that the daemon does, has to do and did",
    .options = list_options,
    .doc =
        "Lists trainings, evaluations and fleets: those under way, those that wait, and those"
        " that ended, over restarts of the daemon too.",
    .run = run_list,
};

const tl_command tl_cmd_job_show = {
    .name = "job show",
    .summary = "A job in full",
    .args_doc = "ID",
    .doc = "Prints what is known of a job: its state, who asked for it, when, how far it is.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_show,
};

const tl_command tl_cmd_job_follow = {
    .name = "job follow",
    .summary = "Waits for a job and prints what it found",
    .args_doc = "ID",
    .doc =
        "Shows the progress of a job and then what its command would have printed, also after"
        " its end. Waits for a daemon that is restarted. Ctrl-C cancels the job, once more"
        " leaves it alone.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_follow,
};

const tl_command tl_cmd_job_cancel = {
    .name = "job cancel",
    .summary = "Ends a job",
    .args_doc = "ID",
    .doc = "Ends a job, or takes it out of the queue; what it would have stored is not.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_cancel,
};
