/* SPDX-License-Identifier: Apache-2.0 */

/* tailord: the command line, the signals, and the life of engine and server. */

#include "base/file.h"
#include "base/log.h"
#include "daemon/engine.h"
#include "daemon/server.h"
#include "daemon/settings.h"
#include "numerics/gemm.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    OPTION_LOG_LEVEL = 1000,
    OPTION_KEYS,
    OPTION_METRICS
};

const char *argp_program_version = "tailord " TL_VERSION;

/* clang-format off */
static const struct argp_option options[] = {
    {"data",      'd',              "DIR",      0, "measurements, devices and trained models", 0},
    {"models",    'm',              "DIR",      0, "shipped models, read only", 0},
    {"listen",    'l',              "ENDPOINT", 0,
     "tcp://ADDRESS:PORT or ipc://PATH; may be repeated", 0},
    {"workers",   'w',              "N",        0, "threads for long requests", 0},
    {"config",    'c',              "FILE",     0, "the same options as YAML", 0},
    {"log-level", OPTION_LOG_LEVEL, "LEVEL",    0, "error, warn, info or debug", 0},
    {"keys",      OPTION_KEYS,      "DIR",      0,
     "not in this version: listening beyond this machine is refused", 0},
    {"metrics",   OPTION_METRICS,   "HOST:PORT", 0, "not in this version", 0},
    {0},
};
/* clang-format on */

static const char *option_name(int key)
{
    for (size_t i = 0; options[i].name != NULL; i++) {
        if (options[i].key == key) {
            return options[i].name;
        }
    }
    return NULL;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    tl_settings *settings = state->input;
    const char *name = option_name(key);
    if (key == ARGP_KEY_ARG) {
        argp_error(state, "%s: want no arguments", value);
        return EINVAL;
    }
    if (name == NULL) {
        return ARGP_ERR_UNKNOWN;
    }
    if (tl_settings_set(settings, name, value) != TL_OK) {
        argp_error(state, "%s", tl_err_detail());
        return EINVAL;
    }
    return 0;
}

static const struct argp parser = {
    options,
    parse_option,
    NULL,
    "Predicts and designs neural networks for devices, for clients that ask over ZeroMQ.\v"
    "Every option may stand in the environment (TAILOR_DATA, TAILOR_LISTEN, ...) and in the "
    "configuration file. Leaves on SIGTERM or SIGINT after finishing what it has accepted; a "
    "second signal cancels that.",
    NULL,
    NULL,
    NULL};

/* A signal handler has no other way to say something to the server than a descriptor that
 * it can find. Written once, before the handler is installed. */
static volatile sig_atomic_t stop_fd = -1;

static void on_signal(int number)
{
    int saved = errno;
    uint64_t one = 1;
    (void)number;
    if (write(stop_fd, &one, sizeof one) < 0) {
        /* The counter is full: the server knows already. */
    }
    errno = saved;
}

static tl_err catch_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return tl_fail(TL_EIO, "eventfd failed");
    }
    stop_fd = fd;
    (void)sigemptyset(&stop.sa_mask);
    (void)sigemptyset(&ignore.sa_mask);
    /* A store that meets a file size limit answers with an error instead. */
    if (sigaction(SIGTERM, &stop, NULL) != 0 || sigaction(SIGINT, &stop, NULL) != 0 ||
        sigaction(SIGPIPE, &ignore, NULL) != 0 || sigaction(SIGXFSZ, &ignore, NULL) != 0) {
        return tl_fail(TL_EIO, "sigaction failed");
    }
    return TL_OK;
}

static tl_err serve(const tl_settings *settings, tl_engine *engine)
{
    tl_server *server = NULL;
    tl_server_options server_options = {
        .engine = engine,
        .endpoints = (const char *const *)settings->endpoints,
        .n_endpoints = settings->n_endpoints,
        .n_workers = settings->n_workers,
        .stop_fd = stop_fd,
    };
    TL_TRY(tl_server_open(&server_options, &server));
    for (size_t i = 0; i < settings->n_endpoints; i++) {
        tl_log(TL_LOG_INFO, "listening on %s", tl_server_endpoint(server, i));
    }
    tl_err err = tl_server_run(server);
    tl_server_close(server);
    return err;
}

static tl_err run(const tl_settings *settings)
{
    tl_engine *engine = NULL;
    tl_engine_options engine_options = {
        .data_dir = settings->data,
        .models_dir = settings->models,
        .spaces_dir = settings->spaces,
        .catalogue_dir = settings->catalogue,
    };
    tl_log_set_level(settings->level);
    tl_blas_single_thread();
    TL_TRY(catch_signals());
    TL_TRY(tl_engine_open(&engine_options, &engine));
    tl_log(TL_LOG_INFO, "tailord %s, data in %s", TL_VERSION, settings->data);
    if (!tl_file_exists(settings->models)) {
        tl_log(TL_LOG_WARN, "%s: no such folder, so no shipped models", settings->models);
    }
    tl_err err = serve(settings, engine);
    tl_engine_close(engine);
    return err;
}

int main(int argc, char **argv)
{
    tl_settings settings = {0};
    argp_err_exit_status = EXIT_USAGE;
    (void)argp_parse(&parser, argc, argv, 0, NULL, &settings);
    tl_err err = tl_settings_complete(&settings);
    if (err == TL_OK) {
        err = run(&settings);
    }
    if (err != TL_OK) {
        tl_log(
            TL_LOG_ERROR, "%s",
            tl_err_detail()[0] != '\0' ? tl_err_detail() : tl_err_message(err));
    } else {
        tl_log(TL_LOG_INFO, "stopped");
    }
    tl_settings_done(&settings);
    return err == TL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
