/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/commands.h"
#include "clients/cli/output.h"

#include <errno.h>
#include <stdlib.h>

static int run_list(tl_cli *cli)
{
    tailor_table *table = NULL;
    tailor_err err = tailor_job_list(cli->client, &table);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_table_take(cli, table, TL_STYLE_ALIGNED);
}

static int run_cancel(tl_cli *cli)
{
    const char *word = cli->args->arguments[0];
    char *end = NULL;
    errno = 0;
    unsigned long long job_id = strtoull(word, &end, 10);
    if (word[0] < '0' || word[0] > '9' || *end != '\0' || errno != 0) {
        tl_cli_say(cli, "got \"%s\", want the number of a job", word);
        return TL_EXIT_USAGE;
    }
    tailor_err err = tailor_job_cancel(cli->client, job_id);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    return tl_cli_print_name(cli, "cancelled", word);
}

const tl_command tl_cmd_job_list = {
    .name = "job list",
    .summary = "The work that the daemon is doing",
    .doc = "Lists imports and trainings under way.",
    .run = run_list,
};

const tl_command tl_cmd_job_cancel = {
    .name = "job cancel",
    .summary = "Ends a job",
    .args_doc = "ID",
    .doc = "Ends a job; what it would have stored is not.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_cancel,
};
