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
    TL_SETTINGS_MAX_WORKERS = 64,
    TL_SETTINGS_MAX_CONNECTIONS = 60000
};

typedef struct tl_settings {
    char *data, *models;      /* folders */
    char *spaces, *catalogue; /* folders of built-in files */
    char *config;             /* file; NULL: none */
    char *keys;               /* folder; NULL: none */
    char *endpoints[TL_SETTINGS_MAX_ENDPOINTS];
    size_t n_endpoints;
    bool is_check_only;       /* of the command line alone: look at the data and leave */
    bool is_default_endpoint; /* nobody named one */
    bool has_endpoints;       /* from a stronger source; tl_settings_set() adds to them */
    int n_workers;            /* 0: not set */
    int max_connections;      /* 0: not set */
    char *log_level, *log_format;
    char *metrics;      /* HOST:PORT of the metrics page; NULL: none */
    tl_log_level level; /* log_level and log_format, parsed by tl_settings_complete() */
    tl_log_format format;
} tl_settings;

/* Sets one value by its name as an option: data, models, listen, workers, log-level,
 * log-format, metrics, config, keys, max-connections. */
TL_MUST_USE tl_err tl_settings_set(tl_settings *settings, const char *name, const char *value);

/* Fills what is missing from the environment, the file and the defaults. */
TL_MUST_USE tl_err tl_settings_complete(tl_settings *settings);

/*
 * What the log level of a running daemon should be by now: the command line's where it gave
 * one (log_level not NULL), else as tl_settings_complete() would find it with the file named
 * config (NULL: none). Fails as that does, leaving *out_level.
 */
TL_MUST_USE tl_err
tl_settings_reread(const char *log_level, const char *config, tl_log_level *out_level);

void tl_settings_done(tl_settings *settings);

#endif
