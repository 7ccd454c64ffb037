/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/commands.h"
#include "clients/cli/goal.h"
#include "clients/cli/output.h"
#include "clients/cli/render.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char explain_doc[] =
    "say on standard error what answered, which operators cost most on the device, and what "
    "the second choice in each slot would change";

static const char with_infeasible_doc[] =
    "print K designs in all, those that miss a limit after the feasible ones";

static const char method_doc[] =
    "how to search: exhaustive, neural, evolutionary, reinforce, galen or random (default: "
    "exhaustive where the designs can be listed, else neural where the model can, else "
    "evolutionary)";

static const char budget_doc[] =
    "search for N microseconds at most, and print the best found by then";

static const char propose_doc[] =
    "print the K designs most worth measuring before answering for good, as a table to fill "
    "in; once it is imported, ask again without --propose";

/* clang-format off */
static const struct argp_option options[] = {
    TL_OPTION_SPACE,
    TL_OPTION_DEVICE,
    TL_OPTION_TASK,
    TL_OPTIONS_LIMITS,
    TL_OPTIONS_GOAL,
    {"count", TL_KEY_COUNT, "K", 0, "how many designs (default 1)", 0},
    {"propose", TL_KEY_PROPOSE, "K", 0, propose_doc, 0},
    {"with-infeasible", TL_KEY_WITH_INFEASIBLE, NULL, 0, with_infeasible_doc, 0},
    {"method", TL_KEY_METHOD, "METHOD", 0, method_doc, 0},
    {"budget-us", TL_KEY_BUDGET, "N", 0, budget_doc, 0},
    TL_OPTION_SEED,
    {"explain", TL_KEY_EXPLAIN, NULL, 0, explain_doc, 0},
    {0},
};
/* clang-format on */

/* NULL, or what is wrong with the arguments. */
static const char *problem_of(const tl_args *args)
{
    const char *goal = tl_goal_problem(args);
    if (goal != NULL) {
        return goal;
    }
    if (args->propose > 0 && (args->count > 0 || args->with_infeasible ||
                              args->method != NULL || args->has_explain)) {
        return "--propose goes with none of --count, --with-infeasible, --method and --explain";
    }
    return NULL;
}

/* ---- explained --------------------------------------------------------------------------- */

static void show_table(const tl_cli *cli, const char *title, const tailor_table *table)
{
    tl_text text = {0};
    if (table == NULL) {
        return;
    }
    tl_render_aligned(table, &text);
    tl_cli_say(cli, "%s", title);
    if (tl_text_err(&text) == TL_OK) {
        (void)fputs(text.data, stderr);
    }
    tl_text_done(&text);
}

static void explain(const tl_cli *cli, const tailor_answer *answer)
{
    tl_cli_say(cli, "model: %s", answer->model);
    tl_cli_say(cli, "accuracy: %s", answer->task[0] != '\0' ? answer->task : "none");
    tl_cli_say(
        cli, "method: %s, %llu evaluations", answer->method,
        (unsigned long long)answer->n_evaluations);
    show_table(
        cli, "what each operator costs: what its cheapest replacement saves",
        answer->operators);
    show_table(cli, "what the second choice in each slot would change", answer->slots);
}

/* All of it as one document. */
static int print_explained_json(const tl_cli *cli, const tailor_answer *answer)
{
    tl_text text = {0};
    tl_json_begin(&text);
    tl_json_table(&text, "designs", answer->table);
    tl_json_table(&text, "operators", answer->operators);
    tl_json_table(&text, "slots", answer->slots);
    tl_json_text(&text, "model", answer->model);
    tl_json_text(&text, "task", answer->task);
    tl_json_text(&text, "method", answer->method);
    tl_json_whole(&text, "evaluations", answer->n_evaluations);
    tl_json_end(&text);
    int status = tl_cli_print(cli, &text);
    tl_text_done(&text);
    return status;
}

static int show(const tl_cli *cli, const tailor_answer *answer)
{
    const tl_args *args = cli->args;
    if (args->has_explain && args->is_json) {
        return print_explained_json(cli, answer);
    }
    int status = tl_cli_print_table(cli, answer->table, TL_STYLE_CSV);
    if (args->has_explain) {
        explain(cli, answer);
    }
    return status;
}

static int run(tl_cli *cli)
{
    const tl_args *args = cli->args;
    const char *problem = problem_of(args);
    if (problem != NULL) {
        tl_cli_say(cli, "%s", problem);
        return TL_EXIT_USAGE;
    }
    tailor_answer *answer = NULL;
    tailor_design_options question = {
        .space = args->space,
        .device = args->device,
        .task = args->task,
        .max_latency_ms = tl_goal_given(&args->max_latency_ms),
        .max_energy_mj = tl_goal_given(&args->max_energy_mj),
        .min_accuracy = tl_goal_given(&args->min_accuracy),
        .confidence = tl_goal_given(&args->confidence),
        .weight_latency = tl_goal_given(&args->weight_latency),
        .weight_energy = tl_goal_given(&args->weight_energy),
        .budget_us = args->budget_us,
        .maximize = args->maximize,
        .minimize = args->minimize,
        .count = args->count,
        .propose = args->propose,
        .with_infeasible = args->with_infeasible,
        .method = args->method,
        .explain = args->has_explain,
        .seed = args->has_seed ? &args->seed : NULL,
    };
    tailor_err err = tailor_design(cli->client, &question, &answer);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    int status = show(cli, answer);
    if (answer->is_infeasible && status == TL_EXIT_DONE) {
        tl_cli_say(cli, "no design keeps every limit; this is the nearest one");
        status = TL_EXIT_INFEASIBLE;
    }
    tailor_answer_free(answer);
    return status;
}

const tl_command tl_cmd_design = {
    .name = "design",
    .summary = "The best designs for a device under limits",
    .options = options,
    .doc = "Prints the best designs, best first: slots, predictions with their standard "
           "deviations, and p_feasible, the probability that every limit holds. Where no"
           " design is feasible it prints the nearest one and leaves with status 3. What a"
           " design was measured to cost on the device stands in place of the prediction,"
           " with deviation 0; a measured design that keeps every limit is printed first"
           " unless another is better beyond doubt. With --propose it prints slots and an"
           " empty column of each cost to measure, latency_ms@DEVICE or energy_mj@DEVICE:"
           " fill it in, or have tailor-agent measure do so, and give it to measure import.",
    .required = {TL_KEY_SPACE, TL_KEY_DEVICE},
    .run = run,
};
