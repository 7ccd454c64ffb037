/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_CLI_ARGS_H
#define TL_CLIENTS_CLI_ARGS_H

/*
 * The arguments of a command, parsed.
 *
 * An option means the same in every command that has it, so all commands share
 * one set of keys, one parser and one struct; a command only lists which ones
 * it takes. An option that was not given leaves NULL, NaN, 0 or false.
 */

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

struct tl_command;

enum {
    TL_KEY_SPACE = 's',
    TL_KEY_DEVICE = 'd',
    TL_KEY_TASK = 't',
    TL_KEY_DESIGNS = 'f',
    TL_KEY_COUNT = 'n',
    TL_KEY_OUT = 'o',
    TL_KEY_CONNECT = 256,
    TL_KEY_TIMEOUT,
    TL_KEY_JSON,
    TL_KEY_TABLE,
    TL_KEY_NAME,
    TL_KEY_DEVICES,
    TL_KEY_TASKS,
    TL_KEY_SEED,
    TL_KEY_MAX_LATENCY,
    TL_KEY_MAX_ENERGY,
    TL_KEY_MIN_ACCURACY,
    TL_KEY_CONFIDENCE,
    TL_KEY_MAXIMIZE,
    TL_KEY_MINIMIZE,
    TL_KEY_METHOD,
    TL_KEY_EXPLAIN,
    TL_KEY_CANDIDATES,
    TL_KEY_WITH_INFEASIBLE,
    TL_KEY_WITH_MEASUREMENTS,
    TL_KEY_METHODS,
    TL_KEY_METRIC,
    TL_KEY_SAMPLES,
    TL_KEY_PROPOSE,
    TL_KEY_BUDGET,
    TL_KEY_WEIGHT_LATENCY,
    TL_KEY_WEIGHT_ENERGY,
    TL_KEY_POINTS,
    TL_KEY_PLOT,
    TL_KEY_RESUME,
    TL_KEY_SHARD,
    TL_KEY_THREADS,
    TL_KEY_EFFORT,
    TL_KEY_KEY_FILE,
    TL_KEY_KEYS,
    TL_KEY_ROLE,
    TL_KEY_DATA,
    TL_KEY_FORCE,
    TL_KEY_DETACH,
    TL_KEY_PREFIX,
};

/* Options that several commands share. */
#define TL_OPTION_SPACE                                                     \
    {                                                                       \
        "space", TL_KEY_SPACE, "SPACE", 0, "search space of the designs", 0 \
    }
#define TL_OPTION_DEVICE                                             \
    {                                                                \
        "device", TL_KEY_DEVICE, "DEVICE", 0, "registered device", 0 \
    }
#define TL_OPTION_TASK                                                \
    {                                                                 \
        "task", TL_KEY_TASK, "TASK", 0,                               \
            "whose accuracy is meant (default: the space's first)", 0 \
    }
#define TL_OPTION_SEED                                           \
    {                                                            \
        "seed", TL_KEY_SEED, "N", 0, "seed of what is random", 0 \
    }

typedef struct tl_args {
    const struct tl_command *command;
    const char *endpoint;
    uint32_t timeout_ms;
    bool is_json, is_table;
    const char *out; /* file for the result */

    const char *space, *device, *task, *designs, *name;
    const char *devices, *tasks, *methods; /* comma-separated */
    uint32_t count, samples, propose;
    bool has_seed;
    uint64_t seed;

    double max_latency_ms, max_energy_mj, min_accuracy, confidence;
    double weight_latency, weight_energy;
    uint32_t budget_us;
    const char *maximize, *minimize, *method, *metric;
    bool has_explain;
    bool with_infeasible, with_measurements;
    const char *candidates, *prefix;
    uint32_t points;
    const char *plot;
    bool is_resumed, is_detached;
    const char *shard;
    uint32_t threads;
    const char *effort;
    const char *key_file, *keys_dir, *role;
    const char *data_dir;
    bool is_forced;

    int n_arguments;
    char **arguments; /* borrowed from argv */
} tl_args;

void tl_args_init(tl_args *args);

/* argp parser of the options that stand before the command as well as after it. */
error_t tl_args_parse_everywhere(int key, char *value, struct argp_state *state);
extern const struct argp tl_args_everywhere_argp;

/* argp parser and children of every command; the input is a tl_args with its command set. */
error_t tl_args_parse(int key, char *value, struct argp_state *state);
extern const struct argp_child tl_args_everywhere[];

#endif
