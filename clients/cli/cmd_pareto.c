/* SPDX-License-Identifier: Apache-2.0 */
#include "base/attr.h"
#include "base/file.h"
#include "clients/cli/commands.h"
#include "clients/cli/gnuplot.h"
#include "clients/cli/goal.h"
#include "clients/cli/output.h"
#include "clients/cli/render.h"

#include <string.h>

static const char minimize_doc[] =
    "what accuracy is traded against: latency_ms (default) or energy_mj";
static const char points_doc[] =
    "how many designs at most, those that cover most of the front (default 20)";
static const char plot_doc[] =
    "draw the front to FILE.png or FILE.svg by gnuplot; its script stays beside it";
static const char budget_doc[] =
    "search no longer than N microseconds, where the space is too large to list";

/* clang-format off */
static const struct argp_option options[] = {
    TL_OPTION_SPACE,
    TL_OPTION_DEVICE,
    TL_OPTION_TASK,
    TL_OPTIONS_LIMITS,
    {"points", TL_KEY_POINTS, "N", 0, points_doc, 0},
    {"minimize", TL_KEY_MINIMIZE, "COST", 0, minimize_doc, 0},
    {"budget-us", TL_KEY_BUDGET, "N", 0, budget_doc, 0},
    {"plot", TL_KEY_PLOT, "FILE", 0, plot_doc, 0},
    TL_OPTION_SEED,
    {0},
};
/* clang-format on */

/* ---- the plot ----------------------------------------------------------------------------- */

static const char *terminal_of(const char *file)
{
    const char *dot = strrchr(file, '.');
    if (dot != NULL && strcmp(dot, ".png") == 0) {
        return "pngcairo";
    }
    return dot != NULL && strcmp(dot, ".svg") == 0 ? "svg" : NULL;
}

/* One line a design: cost, its deviation, accuracy, its deviation; "" where not known. */
static void add_points(const tailor_answer *answer, tl_text *script)
{
    bool by_energy = strcmp(answer->front->cost, "energy_mj") == 0;
    const char *names[] = {
        by_energy ? "energy_mj" : "latency_ms", by_energy ? "energy_std_mj" : "latency_std_ms",
        "accuracy", "accuracy_std"};
    for (size_t row = 0; row < tailor_table_n_rows(answer->table); row++) {
        for (size_t c = 0; c < TL_COUNT(names); c++) {
            size_t column = tailor_table_find(answer->table, names[c]);
            double value = tailor_table_number(answer->table, column, row);
            tl_text_addf(script, "%s%.9g", c == 0 ? "" : " ", value);
        }
        tl_text_add(script, "\n");
    }
}

static tl_err write_plot(const tl_cli *cli, const tailor_answer *answer)
{
    tl_text script = {0};
    tl_text path = {0};
    const char *file = cli->args->plot;
    const char *slash = strrchr(file, '/');
    const char *base = slash != NULL ? slash + 1 : file;
    tl_text_addf(&path, "%s.gp", file);
    tl_text_addf(
        &script,
        "# gnuplot %s.gp\nset terminal %s size 900,640\nset output '%s'\nset grid\n"
        "set title 'Predicted front of %s, %s' noenhanced\n"
        "set xlabel \"%s\" noenhanced\nset ylabel \"accuracy, percent\"\nset key right bottom\n"
        "$front << END\n",
        base, terminal_of(file), base, cli->args->device, answer->task, answer->front->cost);
    add_points(answer, &script);
    tl_text_add(
        &script, "END\nplot $front using 1:3:2:4 with xyerrorbars pt 7 title \"one standard"
                 " deviation\", \\\n    $front using 1:3 with steps lw 2 title \"front\"\n");
    tl_err err = tl_text_err(&script);
    if (err == TL_OK && (err = tl_text_err(&path)) == TL_OK &&
        (err = tl_file_write(path.data, script.data, script.len)) == TL_OK) {
        tl_text folder = {0};
        tl_text_addf(
            &folder, "%.*s", slash != NULL ? (int)(slash - file) + 1 : 1,
            slash != NULL ? file : ".");
        err = tl_text_err(&folder);
        if (err == TL_OK) {
            err = tl_gnuplot_run(folder.data, path.data + (base - file));
        }
        tl_text_done(&folder);
    }
    tl_text_done(&script);
    tl_text_done(&path);
    return err;
}

/* ---- the command ---------------------------------------------------------------------------- */

/* NULL, or what is wrong with the arguments. */
static const char *problem_of(const tl_args *args)
{
    if (args->minimize != NULL && strcmp(args->minimize, "latency_ms") != 0 &&
        strcmp(args->minimize, "energy_mj") != 0) {
        return "--minimize: want latency_ms or energy_mj";
    }
    if (args->plot != NULL && terminal_of(args->plot) == NULL) {
        return "--plot: want a file that ends in .png or .svg";
    }
    if (args->plot != NULL && strpbrk(args->plot, "'\\\n") != NULL) {
        return "--plot: want a file name without quotes and backslashes";
    }
    return NULL;
}

static void say_front(const tl_cli *cli, const tailor_front *front)
{
    const char *unit = strcmp(front->cost, "energy_mj") == 0 ? "mJ" : "ms";
    tl_cli_say(
        cli,
        "hypervolume %.6g %s points, between %.6g and %.6g with 90%% (from the corner %.6g %s, "
        "%.4g%%)",
        front->hypervolume, unit, front->hypervolume_low, front->hypervolume_high,
        front->corner_cost, unit, front->corner_accuracy);
}

static int show(const tl_cli *cli, const tailor_answer *answer)
{
    int status = tl_cli_print_table(cli, answer->table, TL_STYLE_CSV);
    if (status == TL_EXIT_DONE && answer->is_infeasible) {
        tl_cli_say(cli, "no design keeps every limit; this is the nearest one");
        return TL_EXIT_INFEASIBLE;
    }
    if (answer->front != NULL) {
        say_front(cli, answer->front);
    } else if (cli->args->plot != NULL) {
        tl_cli_say(cli, "--plot: nothing to draw without an accuracy model");
    }
    if (status == TL_EXIT_DONE && cli->args->plot != NULL && answer->front != NULL) {
        tl_err err = write_plot(cli, answer);
        status = err == TL_OK ? TL_EXIT_DONE : tl_cli_failed(cli, err);
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
    tailor_pareto_options question = {
        .space = args->space,
        .device = args->device,
        .task = args->task,
        .max_latency_ms = tl_goal_given(&args->max_latency_ms),
        .max_energy_mj = tl_goal_given(&args->max_energy_mj),
        .min_accuracy = tl_goal_given(&args->min_accuracy),
        .confidence = tl_goal_given(&args->confidence),
        .minimize = args->minimize,
        .points = args->points,
        .budget_us = args->budget_us,
        .seed = args->has_seed ? &args->seed : NULL,
    };
    tailor_err err = tailor_pareto(cli->client, &question, &answer);
    if (err != TAILOR_OK) {
        return tl_cli_refused(cli, err);
    }
    int status = show(cli, answer);
    tailor_answer_free(answer);
    return status;
}

const tl_command tl_cmd_pareto = {
    .name = "pareto",
    .summary = "The predicted Pareto front of a device",
    .options = options,
    .doc =
        "Prints the designs that no other beats both in accuracy and in latency (or energy),"
        " cheapest first: slots, predictions with their standard deviations, and p_feasible,"
        " the probability that every limit holds. What the front covers goes to standard"
        " error. Without an accuracy model it prints the cheapest design alone, accuracy left"
        " empty. Where no design is feasible it prints the nearest one and leaves with"
        " status 3.",
    .required = {TL_KEY_SPACE, TL_KEY_DEVICE},
    .run = run,
};
