/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_CLI_FOLLOW_H
#define TL_CLIENTS_CLI_FOLLOW_H

/*
 * Following a job: progress, Ctrl-C, and what it replied.
 *
 * Ctrl-C cancels the job and waits for its end; a second one leaves it alone. A daemon that is
 * restarted meanwhile is waited for.
 */

#include "clients/cli/command.h"

#define TL_OPTION_DETACH                                                                       \
    {                                                                                          \
        "detach", TL_KEY_DETACH, NULL, 0, "print the job's number and leave it to the daemon", \
            0                                                                                  \
    }

/* Whether a start was refused by a daemon of before jobs: the method itself is called then. */
bool tl_follow_has_no_jobs(tailor_err err);

/* Prints the job's number, for --detach. */
int tl_follow_print_id(const tl_cli *cli, uint64_t job_id);

/*
 * Follows the job to its end and shows its warnings. *out_job is the caller's, where the status is
 * TL_EXIT_DONE; otherwise what went wrong was said.
 */
int tl_follow(const tl_cli *cli, uint64_t job_id, tailor_job **out_job);

/* What a job that has ended replied, as its command prints it, or why it failed. */
int tl_train_print_job(const tl_cli *cli, const tailor_job *job);    /* cmd_train.c */
int tl_evaluate_print_job(const tl_cli *cli, const tailor_job *job); /* cmd_evaluate.c */

#endif
