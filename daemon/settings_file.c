/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/settings_file.h"

#include "base/file.h"
#include "base/mem.h"
#include "daemon/settings.h"

#include <cyaml/cyaml.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_FILE_BYTES = 64 * 1024,
    MAX_TEXT_BYTES = 4096,
    MESSAGE_BYTES = 256
};

typedef struct file_settings {
    char *data, *models, *workers, *log_level, *keys, *metrics;
    char **listen;
    unsigned listen_count;
} file_settings;

static const cyaml_schema_value_t endpoint_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 256),
};

static const cyaml_schema_field_t fields[] = {
    CYAML_FIELD_STRING_PTR(
        "data",
        CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
        file_settings,
        data,
        1,
        MAX_TEXT_BYTES),
    CYAML_FIELD_STRING_PTR(
        "models",
        CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
        file_settings,
        models,
        1,
        MAX_TEXT_BYTES),
    CYAML_FIELD_STRING_PTR(
        "workers",
        CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
        file_settings,
        workers,
        1,
        MAX_TEXT_BYTES),
    CYAML_FIELD_STRING_PTR(
        "log-level",
        CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
        file_settings,
        log_level,
        1,
        MAX_TEXT_BYTES),
    CYAML_FIELD_STRING_PTR(
        "keys",
        CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
        file_settings,
        keys,
        1,
        MAX_TEXT_BYTES),
    CYAML_FIELD_STRING_PTR(
        "metrics",
        CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
        file_settings,
        metrics,
        1,
        MAX_TEXT_BYTES),
    CYAML_FIELD_SEQUENCE(
        "listen",
        CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
        file_settings,
        listen,
        &endpoint_schema,
        1,
        TL_SETTINGS_MAX_ENDPOINTS),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t file_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, file_settings, fields),
};

/* Keeps the first line that libcyaml says about an error, without its "Load: ". */
static void TL_PRINTF(3, 0)
    keep_message(cyaml_log_t level, void *context, const char *format, va_list args)
{
    char *message = context;
    if (level < CYAML_LOG_ERROR || message[0] != '\0') {
        return;
    }
    (void)vsnprintf(message, MESSAGE_BYTES, format, args);
    message[strcspn(message, "\n")] = '\0';
}

/* libcyaml's memory is counted like all other. */
static void *cyaml_memory(void *context, void *block, size_t size)
{
    (void)context;
    if (size == 0) {
        tl_mem_free(block);
        return NULL;
    }
    return tl_mem_resize(block, size, 1);
}

static tl_err apply(tl_settings *settings, const file_settings *file)
{
    const struct {
        const char *name, *value;
    } values[] = {
        {"data",      file->data     },
        {"models",    file->models   },
        {"workers",   file->workers  },
        {"log-level", file->log_level},
        {"keys",      file->keys     },
        {"metrics",   file->metrics  },
    };
    for (size_t i = 0; i < TL_COUNT(values); i++) {
        if (values[i].value != NULL) {
            TL_TRY(tl_settings_set(settings, values[i].name, values[i].value));
        }
    }
    for (unsigned i = 0; i < file->listen_count; i++) {
        TL_TRY(tl_settings_set(settings, "listen", file->listen[i]));
    }
    return TL_OK;
}

tl_err tl_settings_read_file(tl_settings *settings, const char *path)
{
    char message[MESSAGE_BYTES] = "";
    const cyaml_config_t config = {
        .log_fn = keep_message,
        .log_ctx = message,
        .log_level = CYAML_LOG_ERROR,
        .mem_fn = cyaml_memory,
        .flags = CYAML_CFG_NO_ALIAS,
    };
    char *text = NULL;
    size_t len = 0;
    file_settings *file = NULL;
    TL_TRY(tl_file_read(path, MAX_FILE_BYTES, &text, &len));
    cyaml_err_t code = cyaml_load_data(
        (const uint8_t *)text, len, &config, &file_schema, (cyaml_data_t **)&file, NULL);
    tl_err err = TL_OK;
    if (code != CYAML_OK) {
        err = tl_fail(
            code == CYAML_ERR_OOM ? TL_ENOMEM : TL_EINVAL, "%s: %s", path,
            message[0] != '\0' ? message : cyaml_strerror(code));
    } else if (file != NULL && (err = apply(settings, file)) != TL_OK) {
        err = tl_fail_in(err, "%s: ", path);
    }
    if (file != NULL) {
        (void)cyaml_free(&config, &file_schema, file, 0);
    }
    tl_mem_free(text);
    return err;
}
