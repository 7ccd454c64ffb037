/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/settings.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/endpoint.h"
#include "daemon/metrics_http.h"
#include "daemon/settings_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_ENDPOINT "tcp://127.0.0.1:7411"
#define SERVICE_DATA_DIR "/var/lib/tailor"

static tl_err set_text(char **field, const char *value)
{
    if (*field != NULL) {
        return TL_OK;
    }
    *field = tl_mem_strdup(value);
    return *field != NULL ? TL_OK : tl_fail(TL_ENOMEM, "the settings");
}

/* A whole number from 1 to max, where none is set yet. */
static tl_err set_count(int *field, const char *name, const char *value, int max)
{
    char *end = NULL;
    long n = strtol(value, &end, 10);
    if (end == value || *end != '\0' || n < 1 || n > max) {
        return tl_fail(TL_EINVAL, "%s: got \"%s\", want 1 to %d", name, value, max);
    }
    *field = *field > 0 ? *field : (int)n;
    return TL_OK;
}

/* One endpoint, or several between commas or blanks. */
static tl_err add_endpoints(tl_settings *settings, const char *value)
{
    for (const char *at = value + strspn(value, ", "); *at != '\0'; at += strspn(at, ", ")) {
        size_t len = strcspn(at, ", ");
        if (settings->n_endpoints == TL_SETTINGS_MAX_ENDPOINTS) {
            return tl_fail(
                TL_ELIMIT, "listen: more than %d endpoints", (int)TL_SETTINGS_MAX_ENDPOINTS);
        }
        char *copy = tl_mem_strndup(at, len);
        if (copy == NULL) {
            return tl_fail(TL_ENOMEM, "the settings");
        }
        settings->endpoints[settings->n_endpoints++] = copy;
        at += len;
    }
    return TL_OK;
}

tl_err tl_settings_set(tl_settings *settings, const char *name, const char *value)
{
    if (strcmp(name, "data") == 0) {
        return set_text(&settings->data, value);
    }
    if (strcmp(name, "models") == 0) {
        return set_text(&settings->models, value);
    }
    if (strcmp(name, "config") == 0) {
        return set_text(&settings->config, value);
    }
    if (strcmp(name, "log-level") == 0) {
        tl_log_level level = TL_LOG_INFO;
        TL_TRY(tl_log_level_parse(value, &level));
        return set_text(&settings->log_level, value);
    }
    if (strcmp(name, "workers") == 0) {
        return set_count(&settings->n_workers, name, value, TL_SETTINGS_MAX_WORKERS);
    }
    if (strcmp(name, "max-connections") == 0) {
        return set_count(&settings->max_connections, name, value, TL_SETTINGS_MAX_CONNECTIONS);
    }
    if (strcmp(name, "listen") == 0) {
        return settings->has_endpoints ? TL_OK : add_endpoints(settings, value);
    }
    if (strcmp(name, "log-format") == 0) {
        tl_log_format format = TL_LOG_TEXT;
        TL_TRY(tl_log_format_parse(value, &format));
        return set_text(&settings->log_format, value);
    }
    if (strcmp(name, "metrics") == 0) {
        TL_TRY(tl_metrics_http_check(value));
        return set_text(&settings->metrics, value);
    }
    if (strcmp(name, "keys") == 0) {
        return set_text(&settings->keys, value);
    }
    return tl_fail(TL_EINVAL, "no setting \"%s\"", name);
}

/* ---- sources -------------------------------------------------------------------------- */

static tl_err read_environment(tl_settings *settings)
{
    static const struct {
        const char *variable, *name;
    } variables[] = {
        {"TAILOR_CONFIG",          "config"         },
        {"TAILOR_DATA",            "data"           },
        {"TAILOR_KEYS",            "keys"           },
        {"TAILOR_LISTEN",          "listen"         },
        {"TAILOR_LOG_FORMAT",      "log-format"     },
        {"TAILOR_LOG_LEVEL",       "log-level"      },
        {"TAILOR_MAX_CONNECTIONS", "max-connections"},
        {"TAILOR_METRICS",         "metrics"        },
        {"TAILOR_MODELS",          "models"         },
        {"TAILOR_WORKERS",         "workers"        },
    };
    settings->has_endpoints = settings->n_endpoints > 0;
    for (size_t i = 0; i < TL_COUNT(variables); i++) {
        const char *value = getenv(variables[i].variable);
        if (value != NULL && value[0] != '\0') {
            tl_err err = tl_settings_set(settings, variables[i].name, value);
            if (err != TL_OK) {
                return tl_fail_in(err, "%s: ", variables[i].variable);
            }
        }
    }
    return TL_OK;
}

static tl_err join(char **field, const char *dir, const char *rest)
{
    tl_text path = {0};
    if (*field != NULL) {
        return TL_OK;
    }
    tl_text_addf(&path, "%s/%s", dir, rest);
    tl_err err = tl_text_err(&path);
    if (err == TL_OK && (*field = tl_text_steal(&path)) == NULL) {
        err = tl_fail(TL_ENOMEM, "the settings");
    }
    tl_text_done(&path);
    return err;
}

static tl_err set_data_default(tl_settings *settings)
{
    const char *xdg = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    if (xdg != NULL && xdg[0] == '/') {
        return join(&settings->data, xdg, "tailor");
    }
    if (home != NULL && home[0] == '/') {
        return join(&settings->data, home, ".local/share/tailor");
    }
    return set_text(&settings->data, SERVICE_DATA_DIR);
}

/* Where the shipped files are: beside an installed program, else in the source tree. */
static tl_err set_shares(tl_settings *settings)
{
    char program[1024];
    const char *named = getenv("TAILOR_SHARE");
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    char *share = NULL;
    tl_err err = TL_OK;
    if (named != NULL && named[0] != '\0') {
        err = set_text(&share, named);
    } else if (len > 0) {
        program[len] = '\0';
        char *slash = strrchr(program, '/');
        *(slash != NULL ? slash : program) = '\0';
        err = join(&share, program, "../share/tailor");
    }
    bool is_there = err == TL_OK && share != NULL && tl_file_exists(share);
    if (err == TL_OK && is_there) {
        if ((err = join(&settings->spaces, share, "spaces")) == TL_OK &&
            (err = join(&settings->catalogue, share, "device-profiles")) == TL_OK) {
            err = join(&settings->models, share, "models");
        }
    } else if (err == TL_OK) {
        if ((err = set_text(&settings->spaces, TL_SPACES_DIR)) == TL_OK &&
            (err = set_text(&settings->catalogue, TL_CATALOGUE_DIR)) == TL_OK) {
            err = set_text(&settings->models, TL_MODELS_DIR);
        }
    }
    tl_mem_free(share);
    return err;
}

tl_err tl_settings_complete(tl_settings *settings)
{
    TL_TRY(read_environment(settings));
    settings->has_endpoints = settings->n_endpoints > 0;
    if (settings->config != NULL) {
        TL_TRY(tl_settings_read_file(settings, settings->config));
    }
    TL_TRY(set_data_default(settings));
    TL_TRY(set_shares(settings));
    TL_TRY(set_text(&settings->log_level, "info"));
    TL_TRY(tl_log_level_parse(settings->log_level, &settings->level));
    TL_TRY(set_text(&settings->log_format, "text"));
    TL_TRY(tl_log_format_parse(settings->log_format, &settings->format));
    if (settings->n_endpoints == 0) {
        TL_TRY(add_endpoints(settings, DEFAULT_ENDPOINT));
        settings->is_default_endpoint = true;
    }
    for (size_t i = 0; i < settings->n_endpoints; i++) {
        TL_TRY(tl_endpoint_check(settings->endpoints[i], settings->keys != NULL));
    }
    if (settings->metrics != NULL) {
        TL_TRY(tl_metrics_http_check_reach(settings->metrics, settings->keys != NULL));
    }
    return TL_OK;
}

tl_err tl_settings_reread(const char *log_level, const char *config, tl_log_level *out_level)
{
    tl_settings settings = {0};
    tl_err err = TL_OK;
    if ((log_level != NULL &&
         (err = tl_settings_set(&settings, "log-level", log_level)) != TL_OK) ||
        (config != NULL && (err = tl_settings_set(&settings, "config", config)) != TL_OK) ||
        (err = read_environment(&settings)) != TL_OK ||
        (settings.config != NULL &&
         (err = tl_settings_read_file(&settings, settings.config)) != TL_OK) ||
        (err = set_text(&settings.log_level, "info")) != TL_OK) {
        goto done;
    }
    err = tl_log_level_parse(settings.log_level, out_level);
done:
    tl_settings_done(&settings);
    return err;
}

void tl_settings_done(tl_settings *settings)
{
    for (size_t i = 0; i < settings->n_endpoints; i++) {
        tl_mem_free(settings->endpoints[i]);
    }
    tl_mem_free(settings->data);
    tl_mem_free(settings->models);
    tl_mem_free(settings->spaces);
    tl_mem_free(settings->catalogue);
    tl_mem_free(settings->config);
    tl_mem_free(settings->keys);
    tl_mem_free(settings->log_level);
    tl_mem_free(settings->log_format);
    tl_mem_free(settings->metrics);
    memset(settings, 0, sizeof *settings);
}
