/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/follow.h"

#include "clients/cli/output.h"
#include "clients/cli/progress.h"
#include "clients/cli/render.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* How often Ctrl-C was pressed; a signal handler can reach nothing else. */
static volatile sig_atomic_t n_interrupts;

/* Of a call that a second Ctrl-C ends; NULL: none. */
static tailor_client *volatile cancelling;

static void on_interrupt(int number)
{
    (void)number;
    n_interrupts++;
    if (n_interrupts > 1 && cancelling != NULL) {
        tailor_stop_calls(cancelling, true);
    }
}

/* Until the n-th Ctrl-C. */
static bool goes_on(void *context)
{
    return n_interrupts < *(const int *)context;
}

bool tl_follow_has_no_jobs(tailor_err err)
{
    static const char said[] = "no such method";
    return err == TAILOR_ENOTFOUND && strncmp(tailor_err_detail(), said, sizeof said - 1) == 0;
}

int tl_follow_print_id(const tl_cli *cli, uint64_t job_id)
{
    tl_text text = {0};
    if (cli->args->is_json) {
        tl_json_begin(&text);
        tl_json_whole(&text, "job", job_id);
        tl_json_end(&text);
    } else {
        tl_text_addf(&text, "%llu\n", (unsigned long long)job_id);
    }
    int status = tl_cli_print(cli, &text);
    tl_text_done(&text);
    return status;
}

/* The first Ctrl-C: the job is to end; it is followed until it has. */
static tailor_err cancel(
    const tl_cli *cli,
    const tailor_follow_options *until,
    tl_progress *progress,
    tailor_job **out_job)
{
    int twice = 2;
    tailor_follow_options options = *until;
    options.context = &twice;
    unsigned long long id = (unsigned long long)until->job_id;
    tl_progress_end(progress);
    tl_cli_say(cli, "cancelling job %llu; once more leaves without waiting for its end", id);
    cancelling = cli->client;
    tailor_err err = tailor_job_cancel(cli->client, until->job_id);
    cancelling = NULL;
    tailor_stop_calls(cli->client, false);
    if (err != TAILOR_OK && err != TAILOR_ESTATE) {
        return err;
    }
    return tailor_job_follow(cli->client, &options, out_job);
}

int tl_follow(const tl_cli *cli, uint64_t job_id, tailor_job **out_job)
{
    int once = 1;
    tailor_job *job = NULL;
    tl_progress progress = {.title = cli->title};
    struct sigaction action = {.sa_handler = on_interrupt};
    struct sigaction before = {.sa_handler = SIG_DFL};
    tailor_follow_options options = {.job_id = job_id, .goes_on = goes_on, .context = &once};
    n_interrupts = 0;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, &before);
    tailor_on_progress(cli->client, tl_progress_show, &progress);
    tailor_err err = tailor_job_follow(cli->client, &options, &job);
    if (err == TAILOR_ECANCELLED && n_interrupts > 0) {
        err = cancel(cli, &options, &progress, &job);
    }
    tailor_on_progress(cli->client, NULL, NULL);
    tl_progress_end(&progress);
    (void)sigaction(SIGINT, &before, NULL);
    if (err != TAILOR_OK) {
        int status = tl_cli_refused(cli, err);
        if (err != TAILOR_ENOTFOUND) {
            tl_cli_say(
                cli, "tailor job follow %llu shows how it ends", (unsigned long long)job_id);
        }
        return status;
    }
    for (size_t i = 0; i < job->n_warnings; i++) {
        tl_cli_say(cli, "warning: %s", job->warnings[i]);
    }
    *out_job = job;
    return TL_EXIT_DONE;
}
