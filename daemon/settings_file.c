/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/settings_file.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/name.h"
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
    char *data, *models, *workers, *log_level, *log_format, *keys, *metrics, *max_connections;
    char *listen_one; /* one of these */
    char **listen;
    unsigned listen_count;
} file_settings;

static const cyaml_schema_value_t endpoint_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 256),
};

#define TEXT(name, member)                                                        \
    CYAML_FIELD_STRING_PTR(                                                       \
        name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, file_settings, member, 1, \
        MAX_TEXT_BYTES)
#define TEXTS                                                                             \
    TEXT("data", data), TEXT("models", models), TEXT("workers", workers),                 \
        TEXT("log-level", log_level), TEXT("log-format", log_format), TEXT("keys", keys), \
        TEXT("metrics", metrics), TEXT("max-connections", max_connections)

/* "listen" is one endpoint or several; libcyaml wants to know which. */
static const cyaml_schema_field_t fields_of_one[] = {
    TEXTS,
    TEXT("listen", listen_one),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t fields_of_several[] = {
    TEXTS,
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
#undef TEXTS
#undef TEXT

static const cyaml_schema_value_t schemas[] = {
    {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, file_settings, fields_of_several)},
    {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, file_settings, fields_of_one)},
};

/* Keeps the first line that libcyaml says about an error, without its "Load: ". The lines
 * that it names are those where a mapping starts: no help in a file of so few. */
static void TL_PRINTF(3, 0)
    keep_message(cyaml_log_t level, void *context, const char *format, va_list args)
{
    static const char head[] = "Load: ";
    char *message = context;
    char text[MESSAGE_BYTES];
    if (level < CYAML_LOG_ERROR || message[0] != '\0') {
        return;
    }
    (void)vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    const char *said = strncmp(text, head, strlen(head)) == 0 ? text + strlen(head) : text;
    memcpy(message, said, strlen(said) + 1);
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
        {"data",            file->data           },
        {"models",          file->models         },
        {"workers",         file->workers        },
        {"log-level",       file->log_level      },
        {"log-format",      file->log_format     },
        {"keys",            file->keys           },
        {"metrics",         file->metrics        },
        {"max-connections", file->max_connections},
    };
    for (size_t i = 0; i < TL_COUNT(values); i++) {
        if (values[i].value != NULL) {
            TL_TRY(tl_settings_set(settings, values[i].name, values[i].value));
        }
    }
    if (file->listen_one != NULL) {
        TL_TRY(tl_settings_set(settings, "listen", file->listen_one));
    }
    for (unsigned i = 0; i < file->listen_count; i++) {
        TL_TRY(tl_settings_set(settings, "listen", file->listen[i]));
    }
    return TL_OK;
}

static tl_err fail_with(const char *message, cyaml_err_t code)
{
    static const char unexpected[] = "Unexpected key: ";
    static const char *const names[] = {"data",    "models",    "listen",
                                        "workers", "log-level", "log-format",
                                        "keys",    "metrics",   "max-connections"};
    if (code == CYAML_ERR_OOM) {
        return tl_fail(TL_ENOMEM, "the settings");
    }
    if (strncmp(message, unexpected, strlen(unexpected)) != 0) {
        return tl_fail(TL_EINVAL, "%s", message[0] != '\0' ? message : cyaml_strerror(code));
    }
    const char *key = message + strlen(unexpected);
    const char *nearest = tl_name_nearest(key, names, TL_COUNT(names));
    return tl_fail(
        TL_EINVAL, "unknown key \"%s\"%s%s%s", key, nearest != NULL ? ", nearest is \"" : "",
        nearest != NULL ? nearest : "", nearest != NULL ? "\"" : "");
}

/* Loads text, first with several endpoints, then with one. */
static tl_err load(tl_settings *settings, const char *text, size_t len)
{
    char message[MESSAGE_BYTES] = "";
    const cyaml_config_t config = {
        .log_fn = keep_message,
        .log_ctx = message,
        .log_level = CYAML_LOG_ERROR,
        .mem_fn = cyaml_memory,
        .flags = CYAML_CFG_NO_ALIAS,
    };
    const cyaml_schema_value_t *schema = &schemas[0];
    file_settings *file = NULL;
    cyaml_err_t code = cyaml_load_data(
        (const uint8_t *)text, len, &config, schema, (cyaml_data_t **)&file, NULL);
    if (code != CYAML_OK && strstr(message, "Expecting SEQUENCE") != NULL) {
        message[0] = '\0';
        schema = &schemas[1];
        code = cyaml_load_data(
            (const uint8_t *)text, len, &config, schema, (cyaml_data_t **)&file, NULL);
    }
    if (code != CYAML_OK) {
        return fail_with(message, code);
    }
    tl_err err = file != NULL ? apply(settings, file) : TL_OK;
    if (file != NULL) {
        (void)cyaml_free(&config, schema, file, 0);
    }
    return err;
}

tl_err tl_settings_read_file(tl_settings *settings, const char *path)
{
    char *text = NULL;
    size_t len = 0;
    TL_TRY(tl_file_read(path, MAX_FILE_BYTES, &text, &len));
    tl_err err = load(settings, text, len);
    tl_mem_free(text);
    return err == TL_OK ? TL_OK : tl_fail_in(err, "%s: ", path);
}
