/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "clients/cli/commands.h"
#include "clients/cli/follow.h"
#include "clients/cli/output.h"
#include "clients/cli/plots.h"
#include "clients/cli/progress.h"
#include "clients/cli/render.h"
#include "clients/cli/words.h"

#include <stdio.h>
#include <string.h>

static const char devices_doc[] =
    "grade these devices (default: up to eight with enough measurements)";
static const char tasks_doc[] =
    "with --metric accuracy: grade these tasks (default: all, up to eight)";
static const char metric_doc[] =
    "what is predicted: latency_ms (default), energy_mj or accuracy";
static const char methods_doc[] = "inference methods to compare (default: all)";
static const char samples_doc[] =
    "measurements of each device or task (default 20, of a task 200)";

/* clang-format off */
static const struct argp_option options[] = {
    TL_OPTION_SPACE,
    {"devices", TL_KEY_DEVICES, "D1,D2,...", 0, devices_doc, 0},
    {"metric", TL_KEY_METRIC, "METRIC", 0, metric_doc, 0},
    {"tasks", TL_KEY_TASKS, "T1,...", 0, tasks_doc, 0},
    {"methods", TL_KEY_METHODS, "M1,...", 0, methods_doc, 0},
    {"samples", TL_KEY_SAMPLES, "N", 0, samples_doc, 0},
    TL_OPTION_SEED,
    {"out", TL_KEY_OUT, "DIR", 0, "write tables and plots to this folder", 0},
    TL_OPTION_DETACH,
    {0},
};
/* clang-format on */

/* ---- a folder of tables and plots ------------------------------------------------------ */

enum {
    PATH_BYTES = 4096
};

/* Prints the table to DIR/NAME. */
static int write_table(const tl_cli *cli, const char *name, const tailor_table *table)
{
    char path[PATH_BYTES];
    tl_args args = *cli->args;
    tl_cli to_file = {.title = cli->title, .args = &args, .client = cli->client};
    int len = snprintf(path, sizeof path, "%s/%s", cli->args->out, name);
    if (len < 0 || (size_t)len >= sizeof path) {
        return tl_cli_failed(cli, tl_fail(TL_EINVAL, "--out: the name is too long"));
    }
    args.out = path;
    args.is_json = false;
    args.is_table = false;
    return tl_cli_print_table(&to_file, table, TL_STYLE_CSV);
}

static int write_folder(const tl_cli *cli, const tailor_evaluation *evaluation)
{
    const char *folder = cli->args->out;
    tl_err made = tl_file_make_dirs(folder);
    if (made != TL_OK) {
        return tl_cli_failed(cli, made);
    }
    int status = write_table(cli, "figures.csv", evaluation->figures);
    if (status == TL_EXIT_DONE) {
        status = write_table(cli, "curves.csv", evaluation->curves);
    }
    if (status == TL_EXIT_DONE) {
        tl_err err = tl_plots_write(folder, evaluation);
        status = err == TL_OK ? TL_EXIT_DONE : tl_cli_failed(cli, err);
    }
    return status;
}

/* ---- one document ---------------------------------------------------------------------------- */

static int print_json(const tl_cli *cli, const tailor_evaluation *evaluation)
{
    tl_text text = {0};
    tl_json_begin(&text);
    tl_json_table(&text, "figures", evaluation->figures);
    tl_json_table(&text, "curves", evaluation->curves);
    tl_json_list(&text, "notes", evaluation->notes, evaluation->n_notes);
    tl_json_end(&text);
    int status = tl_cli_print(cli, &text);
    tl_text_done(&text);
    return status;
}

static int print_evaluation(const tl_cli *cli, const tailor_evaluation *evaluation)
{
    for (size_t i = 0; i < evaluation->n_notes && !cli->args->is_json; i++) {
        tl_cli_say(cli, "%s", evaluation->notes[i]);
    }
    if (cli->args->out == NULL) {
        return cli->args->is_json ? print_json(cli, evaluation)
                                  : tl_cli_print_table(cli, evaluation->figures, TL_STYLE_CSV);
    }
    int status = write_folder(cli, evaluation);
    if (status == TL_EXIT_DONE && cli->args->is_json) {
        tl_args args = *cli->args;
        tl_cli to_output = {.title = cli->title, .args = &args, .client = cli->client};
        args.out = NULL;
        status = print_json(&to_output, evaluation);
    }
    return status;
}

int tl_evaluate_print_job(const tl_cli *cli, const tailor_job *job)
{
    tailor_evaluation *evaluation = NULL;
    tailor_err err = tailor_job_evaluation(job, &evaluation);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    int status = print_evaluation(cli, evaluation);
    tailor_evaluation_free(evaluation);
    return status;
}

/* As a request, which ends with this program. */
static int evaluate_attached(const tl_cli *cli, const tailor_evaluate_options *evaluate_options)
{
    tl_progress progress = {.title = cli->title};
    tailor_evaluation *evaluation = NULL;
    tailor_on_progress(cli->client, tl_progress_show, &progress);
    tailor_err err = tailor_evaluate(cli->client, evaluate_options, &evaluation);
    tl_progress_end(&progress);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    int status = print_evaluation(cli, evaluation);
    tailor_evaluation_free(evaluation);
    return status;
}

static int evaluate(const tl_cli *cli, const tailor_evaluate_options *evaluate_options)
{
    uint64_t job_id = 0;
    tailor_job *job = NULL;
    tailor_err err = tailor_evaluate_start(cli->client, evaluate_options, &job_id);
    if (tl_follow_has_no_jobs(err) && !cli->args->is_detached) {
        return evaluate_attached(cli, evaluate_options);
    }
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    if (cli->args->is_detached) {
        tl_args args = *cli->args;
        tl_cli to_output = {.title = cli->title, .args = &args, .client = cli->client};
        args.out = NULL; /* a folder, of tables */
        return tl_follow_print_id(&to_output, job_id);
    }
    int status = tl_follow(cli, job_id, &job);
    if (status == TL_EXIT_DONE) {
        status = tl_evaluate_print_job(cli, job);
        tailor_job_free(job);
    }
    return status;
}

static int run(tl_cli *cli)
{
    const tl_args *args = cli->args;
    bool is_accuracy = args->metric != NULL && strcmp(args->metric, "accuracy") == 0;
    tl_words subjects = {0};
    tl_words methods = {0};
    int status = TL_EXIT_FAILED;
    tl_err err = TL_OK;
    if ((is_accuracy ? args->devices : args->tasks) != NULL) {
        tl_cli_say(cli, "--devices is of latencies and energies, --tasks of accuracies");
        return TL_EXIT_USAGE;
    }
    if ((err = tl_words_init(&subjects, is_accuracy ? args->tasks : args->devices)) != TL_OK ||
        (err = tl_words_init(&methods, args->methods)) != TL_OK) {
        status = tl_cli_failed(cli, err);
        goto done;
    }
    status = evaluate(
        cli, &(tailor_evaluate_options){
                 .space = args->space,
                 .metric = args->metric,
                 .n_subjects = subjects.n_words,
                 .subjects = subjects.words,
                 .n_methods = methods.n_words,
                 .methods = methods.words,
                 .seed = args->has_seed ? &args->seed : NULL,
                 .samples = args->samples,
             });
done:
    tl_words_done(&subjects);
    tl_words_done(&methods);
    return status;
}

const tl_command tl_cmd_evaluate = {
    .name = "evaluate",
    .summary = "Grades the predictors on stored measurements",
    .options = options,
    .doc =
        "Leaves each device out in turn, adapts several inference methods to a few of its"
        " measurements, and prints how they do on held-out designs: rank, error,"
        " likelihood, coverage and width of intervals, rejection, designs and devices out of"
        " distribution, cost of decisions, damaged measurements, time and memory. With --out,"
        " tables and plots are written to a folder. The daemon does this as a job: it goes on"
        " after a restart, and Ctrl-C cancels it.",
    .required = {TL_KEY_SPACE},
    .run = run,
};
