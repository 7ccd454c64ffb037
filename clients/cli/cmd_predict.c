/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "clients/cli/commands.h"
#include "clients/cli/output.h"

/* clang-format off */
static const struct argp_option options[] = {
    TL_OPTION_SPACE,
    TL_OPTION_DEVICE,
    TL_OPTION_TASK,
    {"designs", TL_KEY_DESIGNS, "FILE", 0, "designs, one a row (CSV); - is standard input", 0},
    {0},
};
/* clang-format on */

static int predict(const tl_cli *cli, const char *designs, size_t len)
{
    const tl_args *args = cli->args;
    tailor_answer *answer = NULL;
    tailor_predict_options question = {
        .space = args->space,
        .device = args->device,
        .task = args->task,
        .origin = args->designs,
        .designs_csv = designs,
        .designs_len = len,
    };
    tailor_err err = tailor_predict(cli->client, &question, &answer);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    int status = tl_cli_print_table(cli, answer->table, TL_STYLE_CSV);
    tailor_answer_free(answer);
    return status;
}

static int run(tl_cli *cli)
{
    char *designs = NULL;
    size_t len = 0;
    tl_err err = tl_cli_read_file(cli->args->designs, &designs, &len);
    int status = err == TL_OK ? predict(cli, designs, len) : tl_cli_failed(cli, err);
    tl_mem_free(designs);
    return status;
}

const tl_command tl_cmd_predict = {
    .name = "predict",
    .summary = "Accuracy, latency and energy of designs on a device",
    .options = options,
    .doc = "Reads designs and prints one prediction a row, in the order they came in: "
           "the design's columns, then latency_ms, energy_mj and accuracy, each with its"
           " standard deviation, empty where nothing is known.",
    .required = {TL_KEY_SPACE, TL_KEY_DEVICE, TL_KEY_DESIGNS},
    .run = run,
};
