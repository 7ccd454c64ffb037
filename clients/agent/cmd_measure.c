/* SPDX-License-Identifier: Apache-2.0 */
#include "base/csv.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/name.h"
#include "clients/agent/agent.h"
#include "clients/agent/designs.h"
#include "clients/agent/pin.h"
#include "clients/agent/timing.h"
#include "clients/c/tailor.h"
#include "device-profiles/host.h"

#include <argp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    OPTION_CPUS = 256,
    OPTION_CONNECT,
    OPTION_TIMEOUT,
    OPTION_JSON,
    OPTION_SPACE = 's',
    OPTION_DEVICE = 'd',
    OPTION_DESIGNS = 'f',
    OPTION_RUNS = 'n',
    OPTION_OUT = 'o',
    OWN_NAME_BYTES = TL_NAME_MAX_BYTES + 16,
    GROUP_ROWS = 16 /* networks that are in memory, and timed in turn */
};

static const char runs_doc[] = "runs of each design (default: 60, fewer where they take long)";
static const char connect_doc[] =
    "daemon to ask (default: $TAILOR_ENDPOINT, else " TAILOR_DEFAULT_ENDPOINT ")";

/* clang-format off */
static const struct argp_option options[] = {
    {"space", OPTION_SPACE, "SPACE", 0, "search space of the designs", 0},
    {"designs", OPTION_DESIGNS, "FILE", 0, "designs, one a row (CSV)", 0},
    {"device", OPTION_DEVICE, "DEVICE", 0, "name of this machine (default: the host's)", 0},
    {"runs", OPTION_RUNS, "N", 0, runs_doc, 0},
    {"cpus", OPTION_CPUS, "LIST", 0, "processors, like 2 or 0,2-3 (default: one)", 0},
    {"json", OPTION_JSON, NULL, 0, "print JSON, one object a design", 0},
    {"out", OPTION_OUT, "FILE", 0, "write the table to FILE", 0},
    {"connect", OPTION_CONNECT, "ENDPOINT", 0, connect_doc, 0},
    {"timeout-ms", OPTION_TIMEOUT, "MS", 0, "longest wait (default 10000)", 0},
    {0},
};
/* clang-format on */

typedef struct given {
    const char *space, *device, *designs, *cpus, *out, *endpoint;
    int n_runs, timeout_ms;
    bool is_json;
} given;

/* What the measuring of one file works with. */
typedef struct session {
    const tl_agent *agent;
    const given *arguments;
    const char *device;
    tailor_client *client;
    bool is_rehearsal; /* networks are asked for and checked, nothing is timed */
    int n_rows;
} session;

static int parse_count(const struct argp_state *state, const char *name, const char *value)
{
    char *end = NULL;
    long count = strtol(value, &end, 10);
    if (end == value || *end != '\0' || count < 1 || count > INT_MAX) {
        argp_error(state, "--%s: got \"%s\", want a whole number from 1", name, value);
    }
    return (int)count;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    given *arguments = state->input;
    switch (key) {
    case OPTION_SPACE: arguments->space = value; return 0;
    case OPTION_DEVICE: arguments->device = value; return 0;
    case OPTION_DESIGNS: arguments->designs = value; return 0;
    case OPTION_CPUS: arguments->cpus = value; return 0;
    case OPTION_OUT: arguments->out = value; return 0;
    case OPTION_JSON: arguments->is_json = true; return 0;
    case OPTION_CONNECT: arguments->endpoint = value; return 0;
    case OPTION_RUNS: arguments->n_runs = parse_count(state, "runs", value); return 0;
    case OPTION_TIMEOUT:
        arguments->timeout_ms = parse_count(state, "timeout-ms", value);
        return 0;
    case ARGP_KEY_ARG: argp_error(state, "\"%s\" is too much", value); return 0;
    case ARGP_KEY_END:
        if (arguments->space == NULL || arguments->designs == NULL) {
            argp_error(
                state, "--%s is missing", arguments->space == NULL ? "space" : "designs");
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* The columns of this device. */
typedef struct own_names {
    char latency[OWN_NAME_BYTES], spread[OWN_NAME_BYTES];
} own_names;

static own_names name_own(const char *device)
{
    own_names names;
    (void)snprintf(names.latency, sizeof names.latency, "latency_ms@%s", device);
    (void)snprintf(names.spread, sizeof names.spread, "spread_ms@%s", device);
    return names;
}

/* What timing gives of a design, with the digits that it can give. */
typedef struct own_cells {
    char latency[TAILOR_CELL_BYTES], spread[TAILOR_CELL_BYTES];
} own_cells;

static own_cells print_timing(const tl_timing *timing)
{
    own_cells cells;
    (void)snprintf(cells.latency, sizeof cells.latency, "%.6g", timing->latency_ms);
    (void)snprintf(cells.spread, sizeof cells.spread, "%.3g", timing->spread_ms);
    return cells;
}

/* The slots' columns, then the two of this device. */
static void add_header(const tailor_table *designs, const own_names *names, tl_text *out)
{
    for (size_t j = 0; j < tailor_table_n_columns(designs); j++) {
        tl_csv_add(out, tailor_table_name(designs, j));
    }
    tl_csv_add(out, names->latency);
    tl_csv_add(out, names->spread);
    tl_csv_end(out);
}

static void add_rows(const tailor_table *designs, const tl_timing *timings, tl_text *out)
{
    char cell[TAILOR_CELL_BYTES];
    for (size_t i = 0; i < tailor_table_n_rows(designs); i++) {
        own_cells own = print_timing(&timings[i]);
        for (size_t j = 0; j < tailor_table_n_columns(designs); j++) {
            tl_csv_add(out, tailor_table_cell(designs, j, i, cell));
        }
        tl_csv_add(out, own.latency);
        tl_csv_add(out, own.spread);
        tl_csv_end(out);
    }
}

/* The same rows as objects. */
static void add_objects(
    const tailor_table *designs, const tl_timing *timings, const own_names *names, tl_text *out)
{
    char cell[TAILOR_CELL_BYTES];
    for (size_t i = 0; i < tailor_table_n_rows(designs); i++) {
        own_cells own = print_timing(&timings[i]);
        tl_json_begin(out);
        for (size_t j = 0; j < tailor_table_n_columns(designs); j++) {
            tl_json_cell(
                out, tailor_table_name(designs, j), tailor_table_cell(designs, j, i, cell),
                tailor_table_is_number(designs, j));
        }
        tl_json_figure(out, names->latency, own.latency);
        tl_json_figure(out, names->spread, own.spread);
        tl_json_end(out);
    }
}

/* The rows of one group, in front of the first the line of names where there is one. */
static void add_group(
    const session *s,
    const tl_design_group *group,
    const tailor_table *designs,
    const tl_timing *timings,
    tl_text *out)
{
    own_names names = name_own(s->device);
    if (s->arguments->is_json) {
        add_objects(designs, timings, &names, out);
        return;
    }
    if (group->first_row == 0) {
        add_header(designs, &names, out);
    }
    add_rows(designs, timings, out);
}

/* Times the networks of one group and prints their rows, so that what was measured is kept. */
static tl_err time_group(
    session *s, const tl_design_group *group, const tailor_lowered *lowered)
{
    tl_text out = {0};
    tl_timing_options timing = {.n_runs = s->arguments->n_runs, .seed = 1};
    tl_timing *timings = tl_mem_new(lowered->n_networks, sizeof *timings);
    if (timings == NULL) {
        return tl_fail(TL_ENOMEM, "%zu networks", lowered->n_networks);
    }
    tl_err err =
        tl_time_networks(lowered->networks, (int)lowered->n_networks, &timing, timings);
    if (err == TL_OK) {
        add_group(s, group, lowered->designs, timings, &out);
        err = tl_agent_print(s->arguments->out, &out, /* is_appended= */ group->first_row > 0);
    }
    tl_text_done(&out);
    tl_mem_free(timings);
    if (err == TL_OK && isatty(STDERR_FILENO)) {
        int n_done = group->first_row + group->n_rows;
        (void)fprintf(
            stderr, "\r%d of %d designs%s", n_done, s->n_rows, n_done == s->n_rows ? "\n" : "");
    }
    return err;
}

static tl_err take_group(void *context, const tl_design_group *group)
{
    session *s = context;
    tailor_lowered *lowered = NULL;
    tailor_err refused = tailor_space_lower(
        s->client, s->arguments->space, s->arguments->designs, group->csv, group->len,
        &lowered);
    if (refused != TAILOR_OK) {
        return tl_fail((tl_err)refused, "%s", tailor_err_detail());
    }
    tl_err err = TL_OK;
    if (lowered->n_networks != (size_t)group->n_rows) {
        err = tl_fail(
            TL_EINVAL, "got %zu networks of the daemon, want %d", lowered->n_networks,
            group->n_rows);
    } else if (s->is_rehearsal) {
        s->n_rows += group->n_rows;
    } else {
        err = time_group(s, group, lowered);
    }
    tailor_lowered_free(lowered);
    return err;
}

/* All designs are checked before the first is timed. */
static tl_err measure(session *s)
{
    char *csv = NULL;
    size_t len = 0;
    TL_TRY(tl_file_read(s->arguments->designs, TAILOR_MAX_MESSAGE_BYTES, &csv, &len));
    s->is_rehearsal = true;
    tl_err err = tl_designs_walk(csv, len, GROUP_ROWS, take_group, s);
    if (err == TL_OK) {
        s->is_rehearsal = false;
        err = tl_designs_walk(csv, len, GROUP_ROWS, take_group, s);
    }
    tl_mem_free(csv);
    return err;
}

static int run_session(session *s)
{
    tailor_options client_options = {
        .endpoint = s->arguments->endpoint,
        .timeout_ms = s->arguments->timeout_ms,
        .name = "tailor-agent " TL_VERSION,
    };
    tl_err err = tl_name_check("--device", s->device);
    if (err == TL_OK && tailor_open(&client_options, &s->client) != TAILOR_OK) {
        err = tl_fail(TL_EINVAL, "%s", tailor_err_detail());
    }
    if (err == TL_OK) {
        err = measure(s);
    }
    tailor_close(s->client);
    return err == TL_OK ? TL_EXIT_DONE : tl_agent_failed(s->agent, err);
}

static int run(const tl_agent *agent, int argc, char **argv)
{
    static const struct argp argp = {
        options,
        parse_option,
        NULL,
        "Asks the daemon for the networks of the designs, times each here in f32, and writes a "
        "measurement table: the median latency, and its spread in a column that import "
        "ignores.",
        NULL,
        NULL,
        NULL};
    given arguments = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return TL_EXIT_USAGE;
    }
    tl_err err = tl_pin(arguments.cpus, agent->argv);
    if (err != TL_OK) {
        return tl_agent_failed(agent, err);
    }
    tl_host host;
    tl_host_read("", &host);
    session s = {
        .agent = agent,
        .arguments = &arguments,
        .device = arguments.device != NULL ? arguments.device : host.name,
    };
    return run_session(&s);
}

const tl_agent_command tl_agent_measure = {
    .name = "measure",
    .summary = "Times designs here",
    .run = run,
};
