/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/args.h"

#include "base/attr.h"
#include "clients/cli/command.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum field_kind {
    FIELD_TEXT,
    FIELD_NUMBER,
    FIELD_COUNT,
    FIELD_SEED,
    FIELD_FLAG,
} field_kind;

/* Where the value of an option goes. */
static const struct field {
    const char *name;
    int key;
    field_kind kind;
    size_t offset;
} fields[] = {
#define FIELD(name, key, kind, member)             \
    {                                              \
        name, key, kind, offsetof(tl_args, member) \
    }
    FIELD("connect", TL_KEY_CONNECT, FIELD_TEXT, endpoint),
    FIELD("timeout-ms", TL_KEY_TIMEOUT, FIELD_COUNT, timeout_ms),
    FIELD("json", TL_KEY_JSON, FIELD_FLAG, is_json),
    FIELD("table", TL_KEY_TABLE, FIELD_FLAG, is_table),
    FIELD("out", TL_KEY_OUT, FIELD_TEXT, out),
    FIELD("space", TL_KEY_SPACE, FIELD_TEXT, space),
    FIELD("device", TL_KEY_DEVICE, FIELD_TEXT, device),
    FIELD("task", TL_KEY_TASK, FIELD_TEXT, task),
    FIELD("designs", TL_KEY_DESIGNS, FIELD_TEXT, designs),
    FIELD("candidates", TL_KEY_CANDIDATES, FIELD_TEXT, candidates),
    FIELD("name", TL_KEY_NAME, FIELD_TEXT, name),
    FIELD("prefix", TL_KEY_PREFIX, FIELD_TEXT, prefix),
    FIELD("devices", TL_KEY_DEVICES, FIELD_TEXT, devices),
    FIELD("tasks", TL_KEY_TASKS, FIELD_TEXT, tasks),
    FIELD("count", TL_KEY_COUNT, FIELD_COUNT, count),
    FIELD("seed", TL_KEY_SEED, FIELD_SEED, seed),
    FIELD("max-latency-ms", TL_KEY_MAX_LATENCY, FIELD_NUMBER, max_latency_ms),
    FIELD("max-energy-mj", TL_KEY_MAX_ENERGY, FIELD_NUMBER, max_energy_mj),
    FIELD("min-accuracy", TL_KEY_MIN_ACCURACY, FIELD_NUMBER, min_accuracy),
    FIELD("confidence", TL_KEY_CONFIDENCE, FIELD_NUMBER, confidence),
    FIELD("weight-latency", TL_KEY_WEIGHT_LATENCY, FIELD_NUMBER, weight_latency),
    FIELD("weight-energy", TL_KEY_WEIGHT_ENERGY, FIELD_NUMBER, weight_energy),
    FIELD("budget-us", TL_KEY_BUDGET, FIELD_COUNT, budget_us),
    FIELD("resume", TL_KEY_RESUME, FIELD_FLAG, is_resumed),
    FIELD("detach", TL_KEY_DETACH, FIELD_FLAG, is_detached),
    FIELD("shard", TL_KEY_SHARD, FIELD_TEXT, shard),
    FIELD("threads", TL_KEY_THREADS, FIELD_COUNT, threads),
    FIELD("points", TL_KEY_POINTS, FIELD_COUNT, points),
    FIELD("plot", TL_KEY_PLOT, FIELD_TEXT, plot),
    FIELD("key", TL_KEY_KEY_FILE, FIELD_TEXT, key_file),
    FIELD("keys", TL_KEY_KEYS, FIELD_TEXT, keys_dir),
    FIELD("role", TL_KEY_ROLE, FIELD_TEXT, role),
    FIELD("data", TL_KEY_DATA, FIELD_TEXT, data_dir),
    FIELD("force", TL_KEY_FORCE, FIELD_FLAG, is_forced),
    FIELD("effort", TL_KEY_EFFORT, FIELD_TEXT, effort),
    FIELD("maximize", TL_KEY_MAXIMIZE, FIELD_TEXT, maximize),
    FIELD("minimize", TL_KEY_MINIMIZE, FIELD_TEXT, minimize),
    FIELD("method", TL_KEY_METHOD, FIELD_TEXT, method),
    FIELD("explain", TL_KEY_EXPLAIN, FIELD_FLAG, has_explain),
    FIELD("methods", TL_KEY_METHODS, FIELD_TEXT, methods),
    FIELD("metric", TL_KEY_METRIC, FIELD_TEXT, metric),
    FIELD("propose", TL_KEY_PROPOSE, FIELD_COUNT, propose),
    FIELD("samples", TL_KEY_SAMPLES, FIELD_COUNT, samples),
    FIELD("with-infeasible", TL_KEY_WITH_INFEASIBLE, FIELD_FLAG, with_infeasible),
    FIELD("with-measurements", TL_KEY_WITH_MEASUREMENTS, FIELD_FLAG, with_measurements),
#undef FIELD
};

static const char connect_doc[] =
    "daemon to ask (default: $TAILOR_ENDPOINT, else " TAILOR_DEFAULT_ENDPOINT ")";

/* clang-format off */
static const struct argp_option everywhere_options[] = {
    {"connect", TL_KEY_CONNECT, "ENDPOINT", 0, connect_doc, 0},
    {"key", TL_KEY_KEY_FILE, "FILE", 0, "key for a daemon that asks for one (default: $TAILOR_KEY)", 0},
    {"timeout-ms", TL_KEY_TIMEOUT, "MS", 0, "longest wait (default 10000)", 0},
    {"json", TL_KEY_JSON, NULL, 0, "print JSON", 0},
    {"table", TL_KEY_TABLE, NULL, 0, "align the columns for reading", 0},
    {"out", TL_KEY_OUT, "FILE", 0, "write the result to FILE", 0},
    {0},
};
/* clang-format on */

const struct argp tl_args_everywhere_argp = {
    everywhere_options, tl_args_parse_everywhere, NULL, NULL, NULL, NULL, NULL};

const struct argp_child tl_args_everywhere[] = {
    {&tl_args_everywhere_argp, 0, "With every command:", 1},
    {0  },
};

void tl_args_init(tl_args *args)
{
    *args = (tl_args){
        .max_latency_ms = (double)NAN,
        .max_energy_mj = (double)NAN,
        .min_accuracy = (double)NAN,
        .confidence = (double)NAN,
        .weight_latency = (double)NAN,
        .weight_energy = (double)NAN,
    };
}

static const struct field *field_find(int key)
{
    for (size_t i = 0; i < TL_COUNT(fields); i++) {
        if (fields[i].key == key) {
            return &fields[i];
        }
    }
    return NULL;
}

static double parse_number(const struct argp_state *state, const char *name, const char *value)
{
    char *end = NULL;
    double number = strtod(value, &end);
    if (end == value || *end != '\0' || !isfinite(number)) {
        argp_error(state, "--%s: got \"%s\", want a number", name, value);
    }
    return number;
}

static uint64_t parse_whole(
    const struct argp_state *state,
    const char *name,
    const char *value,
    uint64_t min,
    uint64_t max)
{
    char *end = NULL;
    errno = 0;
    unsigned long long whole = strtoull(value, &end, 10);
    bool is_whole = value[0] >= '0' && value[0] <= '9' && *end == '\0' && errno == 0;
    if (!is_whole || whole < min || whole > max) {
        argp_error(
            state, "--%s: got \"%s\", want a whole number from %llu to %llu", name, value,
            (unsigned long long)min, (unsigned long long)max);
    }
    return whole;
}

static void store(
    tl_args *args, const struct field *field, char *value, struct argp_state *state)
{
    char *place = (char *)args + field->offset;
    switch (field->kind) {
    case FIELD_TEXT:
        if (value[0] == '\0') {
            argp_error(state, "--%s: got nothing, want a value", field->name);
        }
        memcpy(place, &value, sizeof value);
        break;
    case FIELD_NUMBER: {
        double number = parse_number(state, field->name, value);
        memcpy(place, &number, sizeof number);
        break;
    }
    case FIELD_COUNT: {
        uint32_t count = (uint32_t)parse_whole(state, field->name, value, 1, INT_MAX);
        memcpy(place, &count, sizeof count);
        break;
    }
    case FIELD_SEED:
        args->seed = parse_whole(state, field->name, value, 0, UINT64_MAX);
        args->has_seed = true;
        break;
    case FIELD_FLAG: {
        bool is_given = true;
        memcpy(place, &is_given, sizeof is_given);
        break;
    }
    }
}

static bool is_given(const tl_args *args, const struct field *field)
{
    const char *text = NULL;
    uint32_t count = 0;
    switch (field->kind) {
    case FIELD_TEXT:
        memcpy(&text, (const char *)args + field->offset, sizeof text);
        return text != NULL;
    case FIELD_COUNT:
        memcpy(&count, (const char *)args + field->offset, sizeof count);
        return count > 0;
    case FIELD_NUMBER:
    case FIELD_SEED:
    case FIELD_FLAG: break;
    }
    return true;
}

error_t tl_args_parse_everywhere(int key, char *value, struct argp_state *state)
{
    const struct field *field = field_find(key);
    if (field == NULL) {
        return ARGP_ERR_UNKNOWN;
    }
    store(state->input, field, value, state);
    return 0;
}

/* What no single option can say: that something is missing or too much. */
static void check_all(const tl_args *args, struct argp_state *state)
{
    const tl_command *command = args->command;
    for (size_t i = 0; i < TL_COMMAND_MAX_REQUIRED && command->required[i] != 0; i++) {
        const struct field *field = field_find(command->required[i]);
        TL_ASSERT(field != NULL);
        if (!is_given(args, field)) {
            argp_error(state, "--%s is missing", field->name);
        }
    }
    if (args->n_arguments < command->min_arguments) {
        argp_error(state, "%s is missing", command->args_doc);
    }
    if (command->max_arguments != TL_ANY_NUMBER && args->n_arguments > command->max_arguments) {
        argp_error(state, "\"%s\" is too much", args->arguments[command->max_arguments]);
    }
}

error_t tl_args_parse(int key, char *value, struct argp_state *state)
{
    tl_args *args = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = args; return 0;
    case ARGP_KEY_ARGS:
        args->arguments = state->argv + state->next;
        args->n_arguments = state->argc - state->next;
        return 0;
    case ARGP_KEY_END: check_all(args, state); return 0;
    default: return tl_args_parse_everywhere(key, value, state);
    }
}
