/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/commands.h"
#include "clients/cli/follow.h"
#include "clients/cli/output.h"
#include "clients/cli/progress.h"
#include "clients/cli/render.h"
#include "clients/cli/words.h"

static const char devices_doc[] =
    "fit on these source devices only (default: the shipped ones and all that is stored)";
static const char tasks_doc[] = "fit the accuracy of these tasks only";

static const char effort_doc[] =
    "spent on the optimizer: none, quick (seconds, default) or long (minutes)";

/* clang-format off */
static const struct argp_option options[] = {
    TL_OPTION_SPACE,
    {"devices", TL_KEY_DEVICES, "D1,D2,...", 0, devices_doc, 0},
    {"tasks", TL_KEY_TASKS, "T1,...", 0, tasks_doc, 0},
    {"effort", TL_KEY_EFFORT, "E", 0, effort_doc, 0},
    TL_OPTION_SEED,
    TL_OPTION_DETACH,
    {0},
};
/* clang-format on */

static int print_report(const tl_cli *cli, const tailor_train_report *report)
{
    tl_text text = {0};
    if (cli->args->is_json) {
        tl_json_begin(&text);
        tl_json_text(&text, "model", report->model);
        tl_json_table(&text, "report", report->table);
        tl_json_list(&text, "notes", report->notes, report->n_notes);
        tl_json_end(&text);
    } else {
        for (size_t i = 0; i < report->n_notes; i++) {
            tl_cli_say(cli, "%s", report->notes[i]);
        }
        tl_text_addf(&text, "model %s\n\n", report->model);
        tl_render_aligned(report->table, &text);
    }
    int status = tl_cli_print(cli, &text);
    tl_text_done(&text);
    return status;
}

int tl_train_print_job(const tl_cli *cli, const tailor_job *job)
{
    tailor_train_report *report = NULL;
    tailor_err err = tailor_job_train_report(job, &report);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    int status = print_report(cli, report);
    tailor_train_report_free(report);
    return status;
}

/* As a request, which ends with this program. */
static int train_attached(const tl_cli *cli, const tailor_train_options *train_options)
{
    tl_progress progress = {.title = cli->title};
    tailor_train_report *report = NULL;
    tailor_on_progress(cli->client, tl_progress_show, &progress);
    tailor_err err = tailor_train(cli->client, train_options, &report);
    tl_progress_end(&progress);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    int status = print_report(cli, report);
    tailor_train_report_free(report);
    return status;
}

static int train(const tl_cli *cli, const tailor_train_options *train_options)
{
    uint64_t job_id = 0;
    tailor_job *job = NULL;
    tailor_err err = tailor_train_start(cli->client, train_options, &job_id);
    if (tl_follow_has_no_jobs(err) && !cli->args->is_detached) {
        return train_attached(cli, train_options);
    }
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    if (cli->args->is_detached) {
        return tl_follow_print_id(cli, job_id);
    }
    int status = tl_follow(cli, job_id, &job);
    if (status == TL_EXIT_DONE) {
        status = tl_train_print_job(cli, job);
        tailor_job_free(job);
    }
    return status;
}

static int run(tl_cli *cli)
{
    const tl_args *args = cli->args;
    tl_words devices = {0};
    tl_words tasks = {0};
    int status = TL_EXIT_FAILED;
    tl_err err = TL_OK;
    if ((err = tl_words_init(&devices, args->devices)) != TL_OK ||
        (err = tl_words_init(&tasks, args->tasks)) != TL_OK) {
        status = tl_cli_failed(cli, err);
        goto done;
    }
    status = train(
        cli, &(tailor_train_options){
                 .space = args->space,
                 .has_devices = args->devices != NULL,
                 .n_devices = devices.n_words,
                 .devices = devices.words,
                 .has_tasks = args->tasks != NULL,
                 .n_tasks = tasks.n_words,
                 .tasks = tasks.words,
                 .seed = args->has_seed ? &args->seed : NULL,
                 .effort = args->effort,
             });
done:
    tl_words_done(&devices);
    tl_words_done(&tasks);
    return status;
}

const tl_command tl_cmd_train = {
    .name = "train",
    .summary = "Fits the predictors and the optimizer on stored measurements",
    .options = options,
    .doc = "Fits what the stored measurements allow, shows progress, and prints a report"
           " on held-out designs and devices. The new model replaces the old one at "
           "once. The daemon does this as a job: it goes on after a restart, and Ctrl-C"
           " cancels it.",
    .required = {TL_KEY_SPACE},
    .run = run,
};
