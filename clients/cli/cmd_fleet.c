/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "clients/cli/commands.h"
#include "clients/cli/fleet_crew.h"
#include "clients/cli/fleet_out.h"
#include "clients/cli/fleet_rows.h"
#include "clients/cli/goal.h"
#include "clients/cli/interrupt.h"
#include "clients/cli/output.h"
#include "clients/cli/progress.h"
#include "clients/cli/render.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char devices_doc[] =
    "the fleet: a column device of registered names, or columns named like profile keys "
    "(peak_gflops.fp32); columns named like the limits replace them for their row; \"-\" reads "
    "standard input";
static const char resume_doc[] =
    "go on where an interrupted run into the same --out FILE ended; not with --table";
static const char shard_doc[] =
    "answer the I-th of N equal parts of the table alone; FILE is then there whole or not at all";
static const char threads_doc[] =
    "pieces of the table asked at once (default: the processors of this machine)";

enum {
    GIVE_UP_MS = 1000 /* for the daemon to hear of it */
};

/* clang-format off */
static const struct argp_option options[] = {
    TL_OPTION_SPACE,
    {"devices", TL_KEY_DEVICES, "FLEET.csv", 0, devices_doc, 0},
    TL_OPTION_TASK,
    TL_OPTIONS_LIMITS,
    TL_OPTIONS_GOAL,
    {"method", TL_KEY_METHOD, "METHOD", 0, "how to search, as in design", 0},
    {"resume", TL_KEY_RESUME, NULL, 0, resume_doc, 0},
    {"shard", TL_KEY_SHARD, "I/N", 0, shard_doc, 0},
    {"threads", TL_KEY_THREADS, "N", 0, threads_doc, 0},
    TL_OPTION_SEED,
    {0},
};
/* clang-format on */

/* A run: rows [first, end) of the table, of which the first n_done stand in the output. */
typedef struct run_state {
    const tl_cli *cli;
    tl_fleet_rows *rows;
    tl_fleet_crew *crew;
    tl_fleet_out *out;
    uint64_t first, end; /* end UINT64_MAX: as long as there are rows */
    tl_fleet_count done; /* rows that stand in the output */
    uint64_t n_resumed;
    uint64_t n_asked; /* rows given to the crew, and those done before */
    bool is_begun;    /* a piece was given: of a table without rows one has none, too */
    tailor_fleet_options question;
    char token[TAILOR_TOKEN_BYTES]; /* of the run, for the daemon's list of jobs */
    tl_progress progress;
    int64_t begun_ns;
    int *widths;    /* of the columns of --table; NULL before the first part */
    tl_text warned; /* warnings that were shown, a line each */
} run_state;

/* ---- arguments ----------------------------------------------------------------------------- */

/* Reads "I/N"; false when it is none. */
static bool read_shard(const char *text, uint64_t *out_i, uint64_t *out_n)
{
    unsigned long long i = 0;
    unsigned long long n = 0;
    int len = 0;
    bool is_read = sscanf(text, "%9llu/%9llu%n", &i, &n, &len) == 2 && text[len] == '\0';
    *out_i = i;
    *out_n = n;
    return is_read && i >= 1 && i <= n;
}

/* NULL, or what is wrong with the arguments. */
static const char *problem_of(const tl_args *args)
{
    uint64_t i = 0;
    uint64_t n = 0;
    const char *goal = tl_goal_problem(args);
    if (goal != NULL) {
        return goal;
    }
    if (args->is_resumed && args->out == NULL) {
        return "--resume: want --out FILE too, the file that is gone on with";
    }
    if (args->shard != NULL && !read_shard(args->shard, &i, &n)) {
        return "--shard: want I/N, as 3/16: the third of sixteen parts";
    }
    if (args->shard != NULL && (args->out == NULL || strcmp(args->devices, "-") == 0)) {
        return "--shard: want --out FILE, and a table that is no standard input";
    }
    if (args->is_table && args->is_resumed) {
        return "--resume: a table for reading cannot be gone on with; want CSV or --json";
    }
    return NULL;
}

/* ---- output ---------------------------------------------------------------------------------- */

static bool was_shown(const run_state *run, const char *line, size_t len)
{
    const char *at = run->warned.data;
    while (at != NULL && *at != '\0') {
        const char *end = strchr(at, '\n');
        if ((size_t)(end - at) == len && memcmp(at, line, len) == 0) {
            return true;
        }
        at = end + 1;
    }
    return false;
}

/* Each warning once, however many rows it is about. */
static void show_warnings(run_state *run, const char *lines)
{
    while (*lines != '\0') {
        size_t len = strcspn(lines, "\n");
        if (!was_shown(run, lines, len)) {
            tl_progress_end(&run->progress);
            tl_cli_say(run->cli, "warning: %.*s", (int)len, lines);
            tl_text_add_bytes(&run->warned, lines, len);
            tl_text_add(&run->warned, "\n");
        }
        lines += len + 1;
    }
}

static void show_progress(run_state *run)
{
    tailor_progress report = {
        .what = "designs",
        .done = run->done.n_rows - run->n_resumed,
        .total = run->end == UINT64_MAX ? 0 : run->end - run->first - run->n_resumed,
        .elapsed_s = (double)(tl_clock_ns() - run->begun_ns) * 1e-9};
    tl_progress_show(&run->progress, &report);
}

/* Columns grow wider as longer cells come: a fleet may be longer than memory. */
static tl_err align_part(run_state *run, const tailor_table *table, tl_text *text)
{
    bool is_first = run->widths == NULL;
    size_t n_columns = tailor_table_n_columns(table);
    if (is_first && (run->widths = tl_mem_new(n_columns + 1, sizeof *run->widths)) == NULL) {
        return tl_fail(TL_ENOMEM, "%zu columns", n_columns);
    }
    tl_render_aligned_part(table, is_first, run->widths, text);
    return TL_OK;
}

static tl_err write_part(run_state *run, const tailor_fleet_part *part)
{
    tl_text text = {0};
    if (run->cli->args->is_json) {
        tl_render_json_lines(part->table, &text);
    } else if (run->cli->args->is_table) {
        TL_TRY(align_part(run, part->table, &text));
    } else {
        tl_render_csv(part->table, &text);
    }
    tl_err err = tl_fleet_out_add(run->out, &text);
    tl_text_done(&text);
    TL_TRY(err);
    run->done.n_rows += tailor_table_n_rows(part->table);
    run->done.n_infeasible += part->n_infeasible;
    run->done.n_failed += part->n_failed;
    return TL_OK;
}

/* ---- the run ----------------------------------------------------------------------------------- */

static tl_err take(run_state *run)
{
    tailor_fleet_part *part = NULL;
    const char *warnings = "";
    TL_TRY(tl_fleet_crew_take(run->crew, &part, &warnings));
    show_warnings(run, warnings);
    tl_err err = write_part(run, part);
    tailor_fleet_part_free(part);
    show_progress(run);
    return err;
}

static tl_err stream(run_state *run)
{
    bool is_at_end = false;
    show_progress(run);
    while (!is_at_end || !tl_fleet_crew_is_idle(run->crew)) {
        if (tl_interrupt_came()) {
            return tl_fail(TL_ECANCELLED, "interrupted");
        }
        if (is_at_end || !tl_fleet_crew_has_room(run->crew)) {
            TL_TRY(take(run));
            continue;
        }
        tl_fleet_piece piece = {0};
        tl_err err = tl_fleet_rows_next(run->rows, &piece);
        if (err != TL_OK || tl_interrupt_came()) { /* which ends the input, too */
            tl_fleet_piece_done(&piece);
            return tl_interrupt_came() ? tl_fail(TL_ECANCELLED, "interrupted") : err;
        }
        is_at_end = piece.csv.len == 0;
        if (!is_at_end) {
            piece.rows_before = run->n_asked;
            run->n_asked += piece.n_rows;
            run->is_begun = true;
            tl_fleet_crew_give(run->crew, &piece);
        }
    }
    return TL_OK;
}

/* What comes through a pipe can be read once. */
static bool is_pipe(const char *path)
{
    struct stat status;
    return strcmp(path, "-") == 0 || (stat(path, &status) == 0 && !S_ISREG(status.st_mode));
}

/* Which rows are meant, and how many there are. */
static tl_err find_range(run_state *run)
{
    const tl_args *args = run->cli->args;
    uint64_t n = 0;
    run->end = UINT64_MAX;
    if (is_pipe(args->devices)) {
        return args->shard == NULL
                   ? TL_OK
                   : tl_fail(
                         TL_EINVAL, "--shard: %s is no file to be read twice", args->devices);
    }
    TL_TRY(tl_fleet_rows_count(args->devices, &n));
    run->end = n;
    if (args->shard != NULL) {
        uint64_t i = 0;
        uint64_t n_shards = 1;
        (void)read_shard(args->shard, &i, &n_shards);
        run->first = n * (i - 1) / n_shards;
        run->end = n * i / n_shards;
    }
    return TL_OK;
}

static int n_threads_of(const tl_args *args)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return args->threads > 0 ? (int)args->threads : n > 1 ? (int)n : 2;
}

static tl_fleet_out_options out_options(const tl_args *args)
{
    return (tl_fleet_out_options){
        .path = args->out,
        .is_resumed = args->is_resumed,
        .is_whole = args->shard != NULL,
        .has_header = !args->is_json && !args->is_table};
}

static tl_err start(run_state *run)
{
    const tl_args *args = run->cli->args;
    run->question = (tailor_fleet_options){
        .space = args->space,
        .task = args->task,
        .max_latency_ms = tl_goal_given(&args->max_latency_ms),
        .max_energy_mj = tl_goal_given(&args->max_energy_mj),
        .min_accuracy = tl_goal_given(&args->min_accuracy),
        .confidence = tl_goal_given(&args->confidence),
        .weight_latency = tl_goal_given(&args->weight_latency),
        .weight_energy = tl_goal_given(&args->weight_energy),
        .maximize = args->maximize,
        .minimize = args->minimize,
        .method = args->method,
        .seed = args->has_seed ? &args->seed : NULL,
        .origin = args->devices,
        .run = run->token,
    };
    tl_fleet_out_options out = out_options(args);
    if (tailor_new_token(run->token) != TAILOR_OK) {
        return tl_fail(TL_EIO, "%s", tailor_err_detail());
    }
    TL_TRY(find_range(run));
    run->question.rows_total = run->end == UINT64_MAX ? 0 : run->end - run->first;
    TL_TRY(tl_fleet_rows_open(args->devices, &run->rows));
    TL_TRY(tl_fleet_crew_new(run->cli->client, &run->question, n_threads_of(args), &run->crew));
    TL_TRY(tl_fleet_out_open(&out, &run->out, &run->done));
    run->n_asked = run->n_resumed = run->done.n_rows;
    if (run->n_resumed > run->end - run->first) {
        return tl_fail(
            TL_ESTATE, "%s: has %llu rows, but %s only %llu; it cannot be resumed", args->out,
            (unsigned long long)run->n_resumed, args->devices,
            (unsigned long long)(run->end - run->first));
    }
    tl_fleet_rows_restrict(run->rows, run->first + run->n_resumed, run->end);
    run->begun_ns = tl_clock_ns();
    return TL_OK;
}

static void say_what_was_done(const run_state *run)
{
    double s = (double)(tl_clock_ns() - run->begun_ns) * 1e-9;
    uint64_t n = run->done.n_rows - run->n_resumed;
    tl_cli_say(
        run->cli,
        "%llu rows in %.1f s (%.1f/s); %s%llu got the nearest design to their limits, %llu an"
        " error and no design",
        (unsigned long long)n, s, s > 0 ? (double)n / s : 0.0,
        run->n_resumed > 0 ? "with those before " : "",
        (unsigned long long)run->done.n_infeasible, (unsigned long long)run->done.n_failed);
}

static int status_of_rows(const tl_fleet_count *done)
{
    return done->n_failed > 0       ? TL_EXIT_FAILED
           : done->n_infeasible > 0 ? TL_EXIT_INFEASIBLE
                                    : TL_EXIT_DONE;
}

static int status_of(const run_state *run, tl_err err)
{
    if (err != TL_OK) {
        int status = tl_cli_failed(run->cli, err);
        const tl_args *args = run->cli->args;
        bool can_resume = args->out != NULL && args->shard == NULL && !args->is_table;
        if (can_resume && err != TL_ESTATE && run->done.n_rows > 0) {
            tl_cli_say(
                run->cli, "%llu rows stand in %s; --resume goes on there",
                (unsigned long long)run->done.n_rows, args->out);
        }
        return status;
    }
    say_what_was_done(run);
    return status_of_rows(&run->done);
}

/* Of a shard that was answered before. */
static int run_nothing(const tl_cli *cli)
{
    tl_fleet_out_options out = out_options(cli->args);
    tl_fleet_count done = {0};
    tl_err err = tl_fleet_out_count(&out, &done);
    if (err != TL_OK) {
        return tl_cli_failed(cli, err);
    }
    tl_cli_say(cli, "%s is there whole; nothing is left to do", cli->args->out);
    return status_of_rows(&done);
}

/* Of what was begun: the daemon hears that no more comes, if it can be told within a moment. */
static void end_run(run_state *run, tl_err err)
{
    tl_fleet_out_close(run->out);
    tl_fleet_crew_free(run->crew);
    if (err != TL_OK) {
        tailor_set_timeout_ms(run->cli->client, GIVE_UP_MS);
    }
    if (run->is_begun && err != TL_EUNREACHABLE) {
        (void)tailor_fleet_end(run->cli->client, &run->question, err != TL_OK);
    }
    tl_fleet_rows_close(run->rows);
    tl_mem_free(run->widths);
    tl_text_done(&run->warned);
}

static int run(tl_cli *cli)
{
    const char *problem = problem_of(cli->args);
    run_state run = {.cli = cli, .progress = {.title = cli->title}};
    if (problem != NULL) {
        tl_cli_say(cli, "%s", problem);
        return TL_EXIT_USAGE;
    }
    if (cli->args->shard != NULL && cli->args->is_resumed && tl_file_exists(cli->args->out)) {
        return run_nothing(cli);
    }
    tl_interrupt_catch(); /* what is answered by then is written, and the daemon told */
    if (strcmp(cli->args->devices, "-") == 0) {
        tl_interrupt_end_input(STDIN_FILENO);
    }
    tl_err err = start(&run);
    if (err == TL_OK) {
        err = stream(&run);
    }
    if (err == TL_OK) {
        err = tl_fleet_out_finish(run.out);
    }
    tl_progress_end(&run.progress);
    int status = status_of(&run, err);
    end_run(&run, err);
    return status;
}

const tl_command tl_cmd_fleet = {
    .name = "fleet",
    .summary = "One design for each device of a table",
    .options = options,
    .doc =
        "Prints one design a row of FLEET.csv, in its order: device, slots, predictions,"
        " p_feasible, and error, which is empty on success. Without an accuracy model designs are"
        " those of least latency, accuracy left empty, unless --minimize names another cost. What is wrong with a row does not"
        " stop the others. Leaves with 1 when a row has no design, with 3 when a row has only"
        " the nearest one, with --resume also of rows that stood in FILE before."
        " With --table columns become wider as longer cells come. Ctrl-C ends it at"
        " once, and what the daemon does for it; what was answered stands in FILE.",
    .required = {TL_KEY_SPACE, TL_KEY_DEVICES},
    .run = run,
};
