/* SPDX-License-Identifier: Apache-2.0 */

/* tailord: the command line, the signals, and the life of engine and server. */

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/check.h"
#include "daemon/engine.h"
#include "daemon/job_runner.h"
#include "daemon/methods.h"
#include "daemon/metrics.h"
#include "daemon/metrics_http.h"
#include "daemon/server.h"
#include "daemon/service.h"
#include "daemon/settings.h"
#include "numerics/gemm.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    OPTION_LOG_LEVEL = 1000,
    OPTION_LOG_FORMAT,
    OPTION_KEYS,
    OPTION_MAX_CONNECTIONS,
    OPTION_METRICS,
    OPTION_CHECK
};

const char *argp_program_version = "tailord " TL_VERSION;

/* clang-format off */
static const struct argp_option options[] = {
    {"data",      'd',              "DIR",      0, "measurements, devices and trained models", 0},
    {"models",    'm',              "DIR",      0, "shipped models, read only", 0},
    {"listen",    'l',              "ENDPOINT", 0,
     "tcp://ADDRESS:PORT or ipc://PATH; may be repeated", 0},
    {"workers",   'w',              "N",        0, "threads for requests that somebody waits for, and as many for bulk", 0},
    {"config",    'c',              "FILE",     0, "the same options as YAML", 0},
    {"log-level", OPTION_LOG_LEVEL, "LEVEL",    0, "error, warn, info or debug", 0},
    {"log-format", OPTION_LOG_FORMAT, "FORMAT", 0, "text, logfmt or json", 0},
    {"keys",      OPTION_KEYS,      "DIR",      0,
     "clients need a key of this folder, which tailor key new makes", 0},
    {"max-connections", OPTION_MAX_CONNECTIONS, "N", 0,
     "connections at once; 1000 unless given", 0},
    {"check",     OPTION_CHECK,     NULL,       0,
     "read all that is stored, say what is damaged, and leave", 0},
    {"metrics",   OPTION_METRICS,   "HOST:PORT", 0,
     "serve metrics for Prometheus over HTTP, as 127.0.0.1:9411; without HOST, to this machine", 0},
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
    if (key == OPTION_CHECK) {
        settings->is_check_only = true;
        return 0;
    }
    if (name == NULL) {
        return ARGP_ERR_UNKNOWN;
    }
    tl_err err = tl_settings_set(settings, name, value);
    if (err == TL_ENOMEM) {
        return ENOMEM; /* no mistake of whoever started it: main says so */
    }
    if (err != TL_OK) {
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
    "second signal cancels that. SIGHUP reads the log level and the keys anew. Started by systemd, it serves "
    "the sockets that it is given, and says when it is ready.",
    NULL,
    NULL,
    NULL};

/* ---- signals --------------------------------------------------------------------------- */

/* A signal handler has no other way to say something to the server than descriptors that
 * it can find. Written once, before the handlers are installed. */
static volatile sig_atomic_t stop_fd = -1;
static volatile sig_atomic_t reload_fd = -1;

static void on_signal(int number)
{
    int saved = errno;
    uint64_t one = 1;
    if (write(number == SIGHUP ? reload_fd : stop_fd, &one, sizeof one) < 0) {
        /* The counter is full: the server knows already. */
    }
    errno = saved;
}

static tl_err catch_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    int stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int reload_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop_event < 0 || reload_event < 0) {
        return tl_fail(TL_EIO, "eventfd failed");
    }
    stop_fd = stop_event;
    reload_fd = reload_event;
    (void)sigemptyset(&stop.sa_mask);
    (void)sigemptyset(&ignore.sa_mask);
    /* A store that meets a file size limit answers with an error instead. */
    if (sigaction(SIGTERM, &stop, NULL) != 0 || sigaction(SIGINT, &stop, NULL) != 0 ||
        sigaction(SIGHUP, &stop, NULL) != 0 || sigaction(SIGPIPE, &ignore, NULL) != 0 ||
        sigaction(SIGXFSZ, &ignore, NULL) != 0) {
        return tl_fail(TL_EIO, "sigaction failed");
    }
    return TL_OK;
}

/* ---- beside serving ---------------------------------------------------------------------- */

typedef struct life {
    const char *log_level; /* of the command line, which a reload does not change; NULL: none */
    const char *config;
    tl_log_level level; /* in force */
    bool is_watched;
    bool has_told_stopping;
    tl_jobs *jobs; /* put aside when stopping begins */
} life;

/* What a running daemon can change. A mistake in the file changes nothing. */
static void reload(life *l)
{
    char state[64];
    (void)snprintf(
        state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld",
        (long long)(tl_clock_ns() / TL_NS_PER_US));
    tl_service_notify(state);
    tl_err err = tl_settings_reread(l->log_level, l->config, &l->level);
    if (err != TL_OK) {
        tl_log(TL_LOG_ERROR, "reload: %s; the settings stay", tl_err_detail());
    } else {
        tl_log_set_level(l->level);
        tl_log(TL_LOG_INFO, "reloaded");
    }
    tl_service_notify("READY=1");
}

/* The router's: a daemon whose router hangs says nothing to the watchdog. */
static void on_tick(void *context, bool is_stopping)
{
    life *l = context;
    uint64_t n_signals = 0;
    if (read(reload_fd, &n_signals, sizeof n_signals) == (ssize_t)sizeof n_signals) {
        reload(l);
    }
    if (is_stopping && !l->has_told_stopping) {
        l->has_told_stopping = true;
        tl_jobs_stop(l->jobs);
        tl_service_notify("STOPPING=1\nSTATUS=finishing what was accepted");
    }
    if (l->is_watched) {
        tl_service_notify("WATCHDOG=1");
    }
}

/* ---- the run ------------------------------------------------------------------------------ */

typedef struct endpoints {
    const char *names[2 * TL_SETTINGS_MAX_ENDPOINTS];
    int fds[2 * TL_SETTINGS_MAX_ENDPOINTS];
    size_t n;
} endpoints;

/* Those of the sockets that came with the start, then those named that are not among them.
 * The default is for a start without sockets. */
static void list_endpoints(
    const tl_settings *settings, const tl_service_sockets *sockets, endpoints *e)
{
    for (size_t i = 0; i < sockets->n; i++) {
        e->names[e->n] = sockets->endpoints[i];
        e->fds[e->n++] = sockets->fds[i];
    }
    for (size_t i = 0; i < settings->n_endpoints; i++) {
        bool is_known = sockets->n > 0 && settings->is_default_endpoint;
        for (size_t k = 0; k < sockets->n && !is_known; k++) {
            is_known = strcmp(settings->endpoints[i], sockets->endpoints[k]) == 0;
        }
        if (!is_known) {
            e->names[e->n] = settings->endpoints[i];
            e->fds[e->n++] = -1;
        }
    }
}

static tl_err serve(
    const tl_settings *settings,
    const tl_service_sockets *sockets,
    tl_engine *engine,
    tl_metrics *metrics,
    life *l)
{
    tl_server *server = NULL;
    endpoints e = {0};
    int watchdog_ms = tl_service_watchdog_ms();
    list_endpoints(settings, sockets, &e);
    tl_server_options server_options = {
        .engine = engine,
        .endpoints = e.names,
        .n_endpoints = e.n,
        .fds = e.fds,
        .n_workers = settings->n_workers,
        .max_connections = (size_t)settings->max_connections,
        .metrics = metrics,
        .stop_fd = stop_fd,
        .tick = on_tick,
        .tick_context = l,
        .tick_ms = watchdog_ms,
        .wake_fd = reload_fd,
        .keys_dir = settings->keys,
    };
    l->is_watched = watchdog_ms > 0;
    TL_TRY(tl_server_open(&server_options, &server));
    for (size_t i = 0; i < e.n; i++) {
        tl_log(TL_LOG_INFO, "listening on %s", tl_server_endpoint(server, i));
    }
    tl_service_notify("READY=1\nSTATUS=serving");
    tl_err err = tl_server_run(server);
    tl_server_close(server);
    return err;
}

/* The metrics page stays readable while the server finishes its work. */
static tl_err serve_with_page(
    const tl_settings *settings,
    const tl_service_sockets *sockets,
    tl_engine *engine,
    tl_metrics *metrics,
    life *l)
{
    tl_metrics_http *http = NULL;
    if (settings->metrics != NULL) {
        TL_TRY(tl_metrics_http_open(settings->metrics, engine, metrics, &http));
        tl_log(TL_LOG_INFO, "metrics at %s", tl_metrics_http_address(http));
    }
    tl_err err = serve(settings, sockets, engine, metrics, l);
    tl_metrics_http_close(http);
    return err;
}

static tl_err run(const tl_settings *settings, life *l)
{
    tl_err err = TL_OK;
    tl_engine *engine = NULL;
    tl_metrics *metrics = NULL;
    tl_job_runner *runner = NULL;
    tl_service_sockets sockets;
    tl_log_set_level(settings->level);
    tl_log_set_format(settings->format);
    tl_blas_single_thread();
    TL_TRY(catch_signals());
    TL_TRY(tl_service_sockets_take(&sockets));
    TL_TRY(tl_metrics_new(tl_methods, tl_methods_len, &metrics));
    tl_engine_options engine_options = {
        .data_dir = settings->data,
        .models_dir = settings->models,
        .spaces_dir = settings->spaces,
        .catalogue_dir = settings->catalogue,
        .metrics = metrics,
    };
    if ((err = tl_engine_open(&engine_options, &engine)) != TL_OK) {
        goto done;
    }
    tl_log(TL_LOG_INFO, "tailord %s, data in %s", TL_VERSION, settings->data);
    if (!tl_file_exists(settings->models)) {
        tl_log(TL_LOG_WARN, "%s: no such folder, so no shipped models", settings->models);
    }
    if ((err = tl_job_runner_new(engine, tl_methods, tl_methods_len, &runner)) != TL_OK) {
        goto done;
    }
    l->jobs = tl_engine_jobs(engine);
    err = serve_with_page(settings, &sockets, engine, metrics, l);
done:
    tl_job_runner_free(runner);
    tl_engine_close(engine);
    tl_metrics_free(metrics);
    return err;
}

/* The level of the command line, before the environment and the file add theirs; NULL: none. */
static tl_err copy_level(const tl_settings *settings, char **out_level)
{
    *out_level = settings->log_level != NULL ? tl_mem_strdup(settings->log_level) : NULL;
    return *out_level == NULL && settings->log_level != NULL
               ? tl_fail(TL_ENOMEM, "the settings")
               : TL_OK;
}

int main(int argc, char **argv)
{
    tl_settings settings = {0};
    argp_err_exit_status = EXIT_USAGE;
    char *given_level = NULL;
    error_t wrong = argp_parse(&parser, argc, argv, 0, NULL, &settings);
    tl_err err = wrong == 0 ? copy_level(&settings, &given_level) : TL_ENOMEM;
    if (err == TL_OK && (err = tl_settings_complete(&settings)) == TL_OK) {
        life l = {.log_level = given_level, .config = settings.config, .level = settings.level};
        err = settings.is_check_only ? tl_check_data(settings.data) : run(&settings, &l);
    }
    if (err != TL_OK) {
        tl_log(
            TL_LOG_ERROR, "%s",
            tl_err_detail()[0] != '\0' ? tl_err_detail() : tl_err_message(err));
    } else {
        tl_log(TL_LOG_INFO, "stopped");
    }
    tl_mem_free(given_level);
    tl_settings_done(&settings);
    return err == TL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
