/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_AGENT_AGENT_H
#define TL_CLIENTS_AGENT_AGENT_H

/*
 * The commands of tailor-agent. Each is one constant, listed in main.c; a
 * command parses its own arguments with argp.
 */

#include "base/err.h"
#include "base/text.h"

#include <stdbool.h>

enum {
    TL_EXIT_DONE = 0,
    TL_EXIT_FAILED = 1, /* well formed, but refused or failed */
    TL_EXIT_USAGE = 2   /* the command line cannot be parsed */
};

/* One run of the program. */
typedef struct tl_agent {
    const char *title; /* "tailor-agent probe": opens every message */
    char **argv;       /* as main() got it */
} tl_agent;

typedef struct tl_agent_command {
    const char *name;
    const char *summary;
    int (*run)(const tl_agent *agent, int argc, char **argv); /* argv[0] is the title */
} tl_agent_command;

extern const tl_agent_command tl_agent_probe;
extern const tl_agent_command tl_agent_measure;

/* A line on standard error. */
void tl_agent_say(const tl_agent *agent, const char *format, ...) TL_PRINTF(2, 3);

/* Says why err happened; returns TL_EXIT_FAILED. */
int tl_agent_failed(const tl_agent *agent, tl_err err);

/* Writes to the file, or to standard output where path is NULL. */
TL_MUST_USE tl_err tl_agent_print(const char *path, const tl_text *text, bool is_appended);

#endif
