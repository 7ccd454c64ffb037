/* SPDX-License-Identifier: Apache-2.0 */
#include "device-profiles/profile_yaml.h"

#include "base/file.h"
#include "base/mem.h"

#include <cyaml/cyaml.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/*
 * libcyaml reads every scalar as text into one flat array, in the order of
 * tl_profile_keys; tl_profile_set() then gives it meaning. So there is one set
 * of rules for a YAML file and for a column of a fleet.
 */
typedef struct raw_list {
    char **items;
    uint32_t n;
} raw_list;

typedef struct raw_profile {
    char *scalars[TL_N_PROFILE_KEYS];
    raw_list lists[TL_N_PROFILE_KEYS];
} raw_profile;

enum {
    MAX_SECTIONS = 8,
    MAX_KEY_BYTES = 256,
    MAX_LOG_BYTES = 256
};

/* The shape of a file as libcyaml wants it, built from tl_profile_keys. */
typedef struct yaml_shape {
    cyaml_schema_value_t root;
    cyaml_schema_value_t item; /* of a list */
    cyaml_schema_field_t top[TL_N_PROFILE_KEYS + 1];
    cyaml_schema_field_t sections[MAX_SECTIONS][TL_N_PROFILE_KEYS + 1];
} yaml_shape;

/* What libcyaml said when it failed. */
typedef struct yaml_log {
    char message[MAX_LOG_BYTES];
    char key[MAX_KEY_BYTES];     /* unexpected, when that was it */
    char section[MAX_KEY_BYTES]; /* the field it happened in, dotted */
    int line;
    bool has_more_documents;
} yaml_log;

static cyaml_schema_value_t text_value(void)
{
    return (cyaml_schema_value_t){
        .type = CYAML_STRING,
        .flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
        .data_size = sizeof(char),
        .string = {.min = 0, .max = TL_PROFILE_YAML_MAX_BYTES},
    };
}

static cyaml_schema_field_t key_field(const yaml_shape *shape, size_t key_idx)
{
    const tl_profile_key *key = &tl_profile_keys[key_idx];
    cyaml_schema_field_t field = {
        .key = key->name,
        .data_offset = (uint32_t)(offsetof(raw_profile, scalars) + key_idx * sizeof(char *)),
        .value = text_value(),
    };
    if (key->kind == TL_KEY_WIDTHS) {
        size_t list = offsetof(raw_profile, lists) + key_idx * sizeof(raw_list);
        field.data_offset = (uint32_t)(list + offsetof(raw_list, items));
        field.count_offset = (uint32_t)(list + offsetof(raw_list, n));
        field.count_size = sizeof(uint32_t);
        field.value = (cyaml_schema_value_t){
            .type = CYAML_SEQUENCE,
            .flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
            .data_size = sizeof(char *),
            .sequence = {.entry = &shape->item, .min = 0, .max = TL_PROFILE_MAX_WIDTHS},
        };
    }
    return field;
}

/* shape must not move afterwards: it points into itself. */
static void build_shape(yaml_shape *shape)
{
    size_t n_top = 0;
    size_t n_sections = 0;
    size_t n_in_section = 0;
    *shape = (yaml_shape){0};
    shape->item = text_value();
    shape->item.flags = CYAML_FLAG_POINTER;
    for (size_t i = 0; i < TL_N_PROFILE_KEYS; i++) {
        const char *section = tl_profile_keys[i].section;
        if (section[0] == '\0') {
            shape->top[n_top++] = key_field(shape, i);
            continue;
        }
        if (i == 0 || strcmp(section, tl_profile_keys[i - 1].section) != 0) {
            TL_ASSERT(n_sections < MAX_SECTIONS);
            n_in_section = 0;
            shape->top[n_top++] = (cyaml_schema_field_t){
                .key = section,
                .value = {
                          .type = CYAML_MAPPING,
                          .flags = CYAML_FLAG_OPTIONAL,
                          .mapping = {.fields = shape->sections[n_sections]}}
            };
            n_sections++;
        }
        shape->sections[n_sections - 1][n_in_section++] = key_field(shape, i);
    }
    shape->root = (cyaml_schema_value_t){
        .type = CYAML_MAPPING,
        .flags = CYAML_FLAG_POINTER,
        .data_size = sizeof(raw_profile),
        .mapping = {.fields = shape->top},
    };
}

/* ---- what went wrong, and where ---- */

/* The trace goes from the inside out. */
static void note_field(yaml_log *log, const char *text)
{
    char field[MAX_KEY_BYTES / 2] = "";
    char path[MAX_KEY_BYTES];
    if (sscanf(text, "  in mapping field '%127[^']'", field) == 1) {
        const char *dot = log->section[0] == '\0' ? "" : ".";
        (void)snprintf(
            path, sizeof path, "%s%s%.*s", field, dot, MAX_KEY_BYTES / 2 - 2, log->section);
        memcpy(log->section, path, sizeof path);
    }
}

static void TL_PRINTF(3, 0)
    note(cyaml_log_t level, void *context, const char *format, va_list args)
{
    static const char unexpected[] = "Load: Unexpected key: ";
    yaml_log *log = context;
    char text[MAX_LOG_BYTES];
    int line = 0;
    (void)level;
    (void)vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    const char *where = strstr(text, "(line: ");
    if (strncmp(text, unexpected, sizeof unexpected - 1) == 0) {
        (void)snprintf(log->key, sizeof log->key, "%s", text + sizeof unexpected - 1);
    } else if (strstr(text, "documents after first") != NULL) {
        log->has_more_documents = true;
    } else if (where != NULL) {
        if (log->line == 0 && sscanf(where, "(line: %d", &line) == 1) {
            log->line = line;
        }
        note_field(log, text);
    } else if (
        strncmp(text, "Load: ", 6) == 0 && log->message[0] == '\0' &&
        strstr(text, "Backtrace") == NULL) {
        (void)snprintf(log->message, sizeof log->message, "%s", text + 6);
    }
}

/*
 * Where `name:` stands, from `from` on: NULL when nowhere. libcyaml does not
 * say on which line an accepted value stood; this is close enough to look.
 */
static const char *find_key(const char *from, const char *end, const char *name)
{
    size_t len = strlen(name);
    bool is_comment = false;
    for (const char *at = from; at + len < end; at++) {
        bool is_start = at == from || strchr(" \t\n{,\"'", at[-1]) != NULL;
        is_comment = *at != '\n' && (is_comment || (*at == '#' && is_start));
        if (is_comment || !is_start || strncmp(at, name, len) != 0) {
            continue;
        }
        const char *after = at + len + strspn(at + len, " \"'");
        if (after < end && *after == ':') {
            return at;
        }
    }
    return NULL;
}

static int line_of(const char *yaml, const char *end, const char *section, const char *name)
{
    const char *at = yaml;
    int line = 1;
    if (section[0] != '\0') {
        at = find_key(at, end, section);
    }
    at = at == NULL ? NULL : find_key(at, end, name);
    if (at == NULL) {
        return 0;
    }
    for (const char *c = yaml; c < at; c++) {
        line += *c == '\n';
    }
    return line;
}

static tl_err fail_at(tl_err err, const char *origin, int line)
{
    if (line <= 0) {
        return tl_fail_in(err, "%s: ", origin);
    }
    return tl_fail_in(err, "%s line %d: ", origin, line);
}

/* The sections' names; returns how many. */
static size_t list_sections(const char *out_names[MAX_SECTIONS])
{
    size_t n = 0;
    const char *last = "";
    for (size_t i = 0; i < TL_N_PROFILE_KEYS; i++) {
        const char *section = tl_profile_keys[i].section;
        if (strcmp(section, last) != 0 && section[0] != '\0') {
            out_names[n++] = last = section;
        }
    }
    return n;
}

/* Outside of sections a dotted name is no key: what is said is how to write it. */
static tl_err unknown_outside(const char *wanted)
{
    const char *sections[MAX_SECTIONS];
    char nearest[TL_PROFILE_KEY_BYTES];
    size_t n_sections = list_sections(sections);
    tl_profile_nearest_key(wanted, sections, n_sections, nearest);
    const tl_profile_key *key = tl_profile_key_find(nearest);
    if (key == NULL || key->section[0] == '\0') {
        return tl_profile_unknown_key(wanted, sections, n_sections);
    }
    return tl_fail(
        TL_EINVAL, "unknown key \"%.*s\", nearest is \"%s: {%s: ...}\"", (int)TL_NAME_MAX_BYTES,
        wanted, key->section, key->name);
}

static tl_err fail_unknown_key(
    const char *origin, const char *yaml, const char *end, const yaml_log *log)
{
    char name[2 * MAX_KEY_BYTES];
    const char *dot = log->section[0] == '\0' ? "" : ".";
    (void)snprintf(name, sizeof name, "%s%s%s", log->section, dot, log->key);
    int line = line_of(yaml, end, log->section, log->key);
    tl_err err =
        log->section[0] == '\0' ? unknown_outside(name) : tl_profile_unknown_key(name, NULL, 0);
    return fail_at(err, origin, line > 0 ? line : log->line);
}

static tl_err fail_of(
    cyaml_err_t status,
    const char *origin,
    const char *yaml,
    const char *end,
    const yaml_log *log)
{
    if (status == CYAML_ERR_OOM) {
        return tl_fail(TL_ENOMEM, "%s", origin);
    }
    if (status == CYAML_ERR_INVALID_KEY && log->key[0] != '\0') {
        return fail_unknown_key(origin, yaml, end, log);
    }
    const char *message = log->message[0] != '\0' ? log->message : cyaml_strerror(status);
    const char *colon = log->section[0] == '\0' ? "" : ": ";
    return fail_at(
        tl_fail(TL_EINVAL, "%s%s%s", log->section, colon, message), origin, log->line);
}

/* ---- reading ---- */

static void *resize(void *context, void *block, size_t size)
{
    (void)context;
    if (size == 0) {
        tl_mem_free(block);
        return NULL;
    }
    return block == NULL ? tl_mem_new(1, size) : tl_mem_resize(block, 1, size);
}

static tl_err set_list(tl_profile *profile, const char *name, const raw_list *list)
{
    tl_text joined = {0};
    for (uint32_t i = 0; i < list->n; i++) {
        tl_text_addf(&joined, "%s ", list->items[i]);
    }
    tl_err err = tl_text_err(&joined);
    if (err == TL_OK && joined.data != NULL) {
        err = tl_profile_set(profile, name, joined.data);
    }
    tl_text_done(&joined);
    return err;
}

static tl_err set_all(
    const raw_profile *raw,
    const char *origin,
    const char *yaml,
    const char *end,
    tl_profile *out_profile)
{
    for (size_t i = 0; i < TL_N_PROFILE_KEYS; i++) {
        const tl_profile_key *key = &tl_profile_keys[i];
        char name[MAX_KEY_BYTES];
        tl_err err = TL_OK;
        const char *dot = key->section[0] == '\0' ? "" : ".";
        (void)snprintf(name, sizeof name, "%s%s%s", key->section, dot, key->name);
        if (raw->scalars[i] != NULL) {
            err = tl_profile_set(out_profile, name, raw->scalars[i]);
        } else if (raw->lists[i].items != NULL) {
            err = set_list(out_profile, name, &raw->lists[i]);
        }
        if (err != TL_OK) {
            return fail_at(err, origin, line_of(yaml, end, key->section, key->name));
        }
    }
    return TL_OK;
}

static tl_err parse(const char *origin, const char *yaml, size_t len, tl_profile *out_profile)
{
    yaml_shape shape;
    yaml_log log = {0};
    raw_profile *raw = NULL;
    tl_profile profile = {0};
    tl_err err = TL_OK;
    cyaml_config_t config = {
        .log_fn = note,
        .log_ctx = &log,
        .mem_fn = resize,
        .log_level = CYAML_LOG_WARNING,
        .flags = CYAML_CFG_NO_ALIAS,
    };

    build_shape(&shape);
    cyaml_err_t status = cyaml_load_data(
        (const uint8_t *)yaml, len, &config, &shape.root, (cyaml_data_t **)&raw, NULL);
    if (status != CYAML_OK) {
        err = fail_of(status, origin, yaml, yaml + len, &log);
    } else if (raw == NULL) {
        err = tl_fail(TL_EINVAL, "%s: the file is empty", origin);
    } else if (log.has_more_documents) {
        err = tl_fail(TL_EINVAL, "%s: got a second document, want one profile", origin);
    } else {
        err = set_all(raw, origin, yaml, yaml + len, &profile);
    }
    if (err == TL_OK && (err = tl_profile_check(&profile)) != TL_OK) {
        err = tl_fail_in(err, "%s: ", origin);
    }
    if (err == TL_OK) {
        *out_profile = profile;
    }
    (void)cyaml_free(&config, &shape.root, raw, 0);
    return err;
}

tl_err tl_profile_parse_yaml(
    const char *origin, const char *yaml, size_t len, tl_profile *out_profile)
{
    if (len > TL_PROFILE_YAML_MAX_BYTES) {
        return tl_fail(
            TL_ELIMIT, "%s: got %zu bytes, want at most %d", origin, len,
            (int)TL_PROFILE_YAML_MAX_BYTES);
    }
    /* A terminated copy: the search for lines reads it as a string. */
    char *copy = tl_mem_strndup(yaml, len);
    if (copy == NULL) {
        return tl_fail(TL_ENOMEM, "%s", origin);
    }
    tl_err err = TL_OK;
    if (strlen(copy) != len) {
        err = tl_fail(TL_EINVAL, "%s: got a NUL character", origin);
    } else {
        err = parse(origin, copy, len, out_profile);
    }
    tl_mem_free(copy);
    return err;
}

tl_err tl_profile_load_yaml(const char *path, tl_profile *out_profile)
{
    char *yaml = NULL;
    size_t len = 0;
    TL_TRY(tl_file_read(path, TL_PROFILE_YAML_MAX_BYTES, &yaml, &len));
    tl_err err = tl_profile_parse_yaml(path, yaml, len, out_profile);
    tl_mem_free(yaml);
    return err;
}

/* ---- writing ---- */

/* Double-quoted where a reader could take it for something else. */
static void print_text(const char *value, bool is_name, tl_text *text)
{
    bool is_plain = is_name && !(value[0] >= '0' && value[0] <= '9');
    if (is_plain) {
        tl_text_add(text, value);
        return;
    }
    tl_text_add(text, "\"");
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            tl_text_add(text, "\\");
        }
        tl_text_add_bytes(text, c, 1);
    }
    tl_text_add(text, "\"");
}

static void print_value(const tl_profile_key *key, const char *value, tl_text *text)
{
    switch (key->kind) {
    case TL_KEY_NAME: print_text(value, true, text); break;
    case TL_KEY_TEXT: print_text(value, false, text); break;
    case TL_KEY_WIDTHS: tl_text_addf(text, "[%s]", value); break;
    case TL_KEY_CLASS:
    case TL_KEY_COUNT:
    case TL_KEY_NUMBER: tl_text_add(text, value); break;
    }
}

void tl_profile_print_yaml(const tl_profile *profile, tl_text *text)
{
    const char *open_section = "";
    tl_text value = {0};
    for (size_t i = 0; i < TL_N_PROFILE_KEYS; i++) {
        const tl_profile_key *key = &tl_profile_keys[i];
        tl_text_clear(&value);
        if (!tl_profile_print(profile, key, &value)) {
            continue;
        }
        bool is_same = strcmp(open_section, key->section) == 0;
        if (!is_same && open_section[0] != '\0') {
            tl_text_add(text, "}\n");
        }
        if (!is_same && key->section[0] != '\0') {
            tl_text_addf(text, "%s: {", key->section);
        } else if (is_same && key->section[0] != '\0') {
            tl_text_add(text, ", ");
        }
        open_section = key->section;
        tl_text_addf(text, "%s: ", key->name);
        print_value(key, value.data == NULL ? "" : value.data, text);
        tl_text_add(text, key->section[0] == '\0' ? "\n" : "");
        text->is_broken = text->is_broken || value.is_broken;
    }
    tl_text_add(text, open_section[0] == '\0' ? "" : "}\n");
    tl_text_done(&value);
}
