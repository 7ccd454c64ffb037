/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_SETTINGS_H
#define TL_DAEMON_SETTINGS_H

/*
 * What a tailord is started with. The command line beats the environment
 * (TAILOR_DATA, TAILOR_LISTEN, ...), which beats the configuration file, which
 * beats the defaults:
 *
 *     tl_settings settings = {0};
 *     ...tl_settings_set(&settings, "data", "/srv/tailor") for each option...
 *     err = tl_settings_complete(&settings);
 *     ...
 *     tl_settings_done(&settings);
 *
 * A value that is set stays: tl_settings_set() belongs to the strongest source first.
 */

#include "base/err.h"
#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    TL_SETTINGS_MAX_ENDPOINTS = 16,
    TL_SETTINGS_MAX_WORKERS = 64
};

typedef struct tl_settings {
    char *data, *models;      /* folders */
    char *spaces, *catalogue; /* folders of built-in files */
    char *config;             /* file; NULL: none */
    char *endpoints[TL_SETTINGS_MAX_ENDPOINTS];
    size_t n_endpoints;
    bool has_endpoints; /* from a stronger source; tl_settings_set() adds to them */
    int n_workers;      /* 0: not set */
    char *log_level;
    tl_log_level level; /* log_level, parsed by tl_settings_complete() */
} tl_settings;

/* Sets one value by its name as an option: data, models, listen, workers, log-level, config. */
TL_MUST_USE tl_err tl_settings_set(tl_settings *settings, const char *name, const char *value);

/* Fills what is missing from the environment, the file and the defaults. */
TL_MUST_USE tl_err tl_settings_complete(tl_settings *settings);

void tl_settings_done(tl_settings *settings);

#endif
