/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_CLI_COMMAND_H
#define TL_CLIENTS_CLI_COMMAND_H

/*
 * Commands: what the program `tailor` can be asked.
 *
 * A command is one constant tl_command in clients/cli/cmd_<noun>.c, listed in
 * commands.c. Its options are argp tables, so that --help, --usage and the
 * checks come from the same lines. Adding a command is one such constant and
 * one line in the table.
 */

#include "clients/c/tailor.h"
#include "clients/cli/args.h"

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>

/* What a command leaves the program with. */
enum {
    TL_EXIT_DONE = 0,
    TL_EXIT_FAILED = 1,     /* well formed, but refused or failed */
    TL_EXIT_USAGE = 2,      /* the command line cannot be parsed */
    TL_EXIT_INFEASIBLE = 3, /* no feasible design; the nearest one was printed */
};

/* One run of the program: what a command works with. */
typedef struct tl_cli {
    const char *title; /* "tailor measure import": opens every message */
    const tl_args *args;
    tailor_client *client;
} tl_cli;

enum {
    TL_COMMAND_MAX_REQUIRED = 4,
    TL_ANY_NUMBER = -1
};

typedef struct tl_command {
    const char *name;                      /* "predict", or noun and verb: "measure import" */
    const char *summary;                   /* one line for tailor --help */
    const struct argp_option *options;     /* its own; NULL: none */
    const char *args_doc;                  /* "TABLE.csv"; NULL: it takes no arguments */
    const char *doc;                       /* what it does, for its --help */
    int required[TL_COMMAND_MAX_REQUIRED]; /* keys of options without which it cannot run */
    int min_arguments, max_arguments;      /* max: TL_ANY_NUMBER for no bound */
    bool is_local;                         /* asks no daemon: cli->client is NULL */
    int (*run)(tl_cli *cli);               /* returns the exit status */
} tl_command;

/* The table, in the order in which --help lists it. */
extern const tl_command *const tl_commands[];
extern const size_t tl_commands_len;

#endif
