/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/name.h"
#include "base/text.h"
#include "spaces/raw.h"

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The schema: every leaf is a text, because most values may be expressions and
 * because our own checks give better messages. Aliases are refused, so a file
 * cannot stand for more than its own length.
 */
enum {
    MAX_FILE_BYTES = 1 << 20,
    MAX_TEXT_BYTES = 512,
    MAX_DESCRIPTION_BYTES = 4096,
    MAX_LINES = 512,
    MAX_BLOCKS = 64,
    MAX_OPTIONS = 4096,
    MAX_SLOTS = 64,
    MAX_STAGES = 64,
    MAX_EDGES = 64,
    MAX_DESIGNS = 65536,
    MAX_RULES = 64,
    MAX_FROM = 8
};

#define OPTIONAL               (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
#define TEXT(s, m)             CYAML_FIELD_STRING_PTR(#m, OPTIONAL, s, m, 0, MAX_TEXT_BYTES)
#define NEED(s, m)             CYAML_FIELD_STRING_PTR(#m, CYAML_FLAG_POINTER, s, m, 1, MAX_TEXT_BYTES)
#define LIST(s, m, entry, max) CYAML_FIELD_SEQUENCE(#m, OPTIONAL, s, m, entry, 0, max)
#define PART(s, m, fields)     CYAML_FIELD_MAPPING_PTR(#m, OPTIONAL, s, m, fields)
#define ENTRY(type, fields)                                   \
    {                                                         \
        CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, type, fields) \
    }

static const cyaml_schema_value_t text_entry = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, MAX_TEXT_BYTES)};

static const cyaml_schema_field_t line_fields[] = {
    TEXT(tl_raw_line, op),
    TEXT(tl_raw_line, block),
    TEXT(tl_raw_line, choice),
    TEXT(tl_raw_line, as),
    LIST(tl_raw_line, from, &text_entry, MAX_FROM),
    TEXT(tl_raw_line, when),
    TEXT(tl_raw_line, repeat),
    TEXT(tl_raw_line, out),
    TEXT(tl_raw_line, kernel),
    TEXT(tl_raw_line, stride),
    TEXT(tl_raw_line, pad),
    TEXT(tl_raw_line, groups),
    TEXT(tl_raw_line, expand),
    TEXT(tl_raw_line, se),
    TEXT(tl_raw_line, squeeze),
    TEXT(tl_raw_line, act),
    TEXT(tl_raw_line, pre_act),
    TEXT(tl_raw_line, gate),
    TEXT(tl_raw_line, norm),
    TEXT(tl_raw_line, bias),
    CYAML_FIELD_END};
static const cyaml_schema_value_t line_entry = ENTRY(tl_raw_line, line_fields);

static const cyaml_schema_field_t block_fields[] = {
    NEED(tl_raw_block, name), LIST(tl_raw_block, ops, &line_entry, MAX_LINES), CYAML_FIELD_END};
static const cyaml_schema_value_t block_entry = ENTRY(tl_raw_block, block_fields);

static const cyaml_schema_field_t option_fields[] = {
    NEED(tl_raw_option, name),   TEXT(tl_raw_option, value),
    TEXT(tl_raw_option, block),  LIST(tl_raw_option, ops, &line_entry, MAX_LINES),
    TEXT(tl_raw_option, kernel), TEXT(tl_raw_option, expand),
    TEXT(tl_raw_option, groups), TEXT(tl_raw_option, se),
    TEXT(tl_raw_option, act),    CYAML_FIELD_END};
static const cyaml_schema_value_t option_entry = ENTRY(tl_raw_option, option_fields);

static const cyaml_schema_field_t range_fields[] = {
    NEED(tl_raw_range, from), NEED(tl_raw_range, to), TEXT(tl_raw_range, step),
    CYAML_FIELD_END};

static const cyaml_schema_field_t slot_fields[] = {
    TEXT(tl_raw_slot, name),
    TEXT(tl_raw_slot, as),
    LIST(tl_raw_slot, values, &text_entry, MAX_OPTIONS),
    PART(tl_raw_slot, range, range_fields),
    LIST(tl_raw_slot, options, &option_entry, MAX_OPTIONS),
    CYAML_FIELD_END};
static const cyaml_schema_value_t slot_entry = ENTRY(tl_raw_slot, slot_fields);

static const cyaml_schema_field_t stage_fields[] = {
    TEXT(tl_raw_stage, name),
    NEED(tl_raw_stage, channels),
    NEED(tl_raw_stage, blocks),
    TEXT(tl_raw_stage, stride),
    TEXT(tl_raw_stage, block),
    LIST(tl_raw_stage, ops, &line_entry, MAX_LINES),
    TEXT(tl_raw_stage, kernel),
    TEXT(tl_raw_stage, expand),
    TEXT(tl_raw_stage, groups),
    TEXT(tl_raw_stage, se),
    TEXT(tl_raw_stage, act),
    LIST(tl_raw_stage, slots, &slot_entry, MAX_SLOTS),
    CYAML_FIELD_END};
static const cyaml_schema_value_t stage_entry = ENTRY(tl_raw_stage, stage_fields);

static const cyaml_schema_field_t edge_fields[] = {
    NEED(tl_raw_edge, slot), NEED(tl_raw_edge, from), NEED(tl_raw_edge, to),
    TEXT(tl_raw_edge, bits), CYAML_FIELD_END};
static const cyaml_schema_value_t edge_entry = ENTRY(tl_raw_edge, edge_fields);

static const cyaml_schema_field_t cell_fields[] = {
    NEED(tl_raw_cell, nodes), LIST(tl_raw_cell, edges, &edge_entry, MAX_EDGES),
    LIST(tl_raw_cell, weight_bits, &text_entry, MAX_OPTIONS),
    TEXT(tl_raw_cell, activation_bits), CYAML_FIELD_END};

static const cyaml_schema_field_t input_fields[] = {
    NEED(tl_raw_input, channels), NEED(tl_raw_input, size), CYAML_FIELD_END};

static const cyaml_schema_field_t bits_fields[] = {
    NEED(tl_raw_bits, weights), NEED(tl_raw_bits, activations), CYAML_FIELD_END};

static const cyaml_schema_field_t space_fields[] = {
    NEED(tl_raw_space, name),
    NEED(tl_raw_space, kind),
    CYAML_FIELD_STRING_PTR(
        "description", OPTIONAL, tl_raw_space, description, 0, MAX_DESCRIPTION_BYTES),
    PART(tl_raw_space, input, input_fields),
    PART(tl_raw_space, bits, bits_fields),
    LIST(tl_raw_space, stem, &line_entry, MAX_LINES),
    LIST(tl_raw_space, head, &line_entry, MAX_LINES),
    LIST(tl_raw_space, network, &line_entry, MAX_LINES),
    LIST(tl_raw_space, reduction, &line_entry, MAX_LINES),
    LIST(tl_raw_space, blocks, &block_entry, MAX_BLOCKS),
    LIST(tl_raw_space, options, &option_entry, MAX_OPTIONS),
    TEXT(tl_raw_space, slot),
    LIST(tl_raw_space, slots, &slot_entry, MAX_SLOTS),
    LIST(tl_raw_space, stage_slots, &slot_entry, MAX_SLOTS),
    LIST(tl_raw_space, layer_slots, &slot_entry, MAX_SLOTS),
    LIST(tl_raw_space, stages, &stage_entry, MAX_STAGES),
    PART(tl_raw_space, cell, cell_fields),
    LIST(tl_raw_space, designs, &text_entry, MAX_DESIGNS),
    LIST(tl_raw_space, rules, &text_entry, MAX_RULES),
    CYAML_FIELD_END};
static const cyaml_schema_value_t space_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, tl_raw_space, space_fields)};

/* ---- reading ------------------------------------------------------------- */

enum {
    MESSAGE_BYTES = 256,
    MAX_FIELD_DEPTH = 16
};

/* What libcyaml logged: the message, and the fields it was in, innermost first. */
typedef struct report {
    char message[MESSAGE_BYTES];
    char fields[MAX_FIELD_DEPTH][64];
    int n_fields;
    int line;
} report;

static void note(cyaml_log_t level, void *context, const char *format, va_list args)
    TL_PRINTF(3, 0);

static void note(cyaml_log_t level, void *context, const char *format, va_list args)
{
    report *r = context;
    char text[MESSAGE_BYTES];
    (void)level;
    int len = vsnprintf(text, sizeof text, format, args);
    if (len <= 0) {
        return;
    }
    text[strcspn(text, "\n")] = '\0';
    const char *line = strstr(text, "(line: ");
    if (line != NULL && r->line == 0) {
        r->line = (int)strtol(line + strlen("(line: "), NULL, 10);
    }
    const char *field = strstr(text, "in mapping field '");
    if (field != NULL && r->n_fields < MAX_FIELD_DEPTH) {
        field += strlen("in mapping field '");
        (void)snprintf(
            r->fields[r->n_fields++], sizeof r->fields[0], "%.*s", (int)strcspn(field, "'"),
            field);
    } else if (line == NULL && r->message[0] == '\0' && strstr(text, "Backtrace") == NULL) {
        const char *start = strncmp(text, "Load: ", 6) == 0 ? text + 6 : text;
        (void)snprintf(r->message, sizeof r->message, "%s", start);
    }
}

static void *resize(void *context, void *block, size_t bytes)
{
    (void)context;
    if (bytes == 0) {
        tl_mem_free(block);
        return NULL;
    }
    return tl_mem_resize(block, bytes, 1);
}

static cyaml_config_t config(report *r)
{
    return (cyaml_config_t){
        .log_fn = note,
        .log_ctx = r,
        .log_level = CYAML_LOG_ERROR,
        .mem_fn = resize,
        .flags = CYAML_CFG_NO_ALIAS,
    };
}

/* The fields of the mapping, or of the mappings in the list, that field holds. */
static const cyaml_schema_field_t *fields_of(const cyaml_schema_value_t *value)
{
    while (value->type == CYAML_SEQUENCE) {
        value = value->sequence.entry;
    }
    return value->type == CYAML_MAPPING ? value->mapping.fields : NULL;
}

/* The keys where the report stopped: walked from the outermost field inwards. */
static const cyaml_schema_field_t *fields_at(const report *r)
{
    const cyaml_schema_field_t *fields = space_fields;
    for (int i = r->n_fields - 1; i >= 0 && fields != NULL; i--) {
        const cyaml_schema_field_t *field = fields;
        while (field->key != NULL && strcmp(field->key, r->fields[i]) != 0) {
            field++;
        }
        fields = field->key != NULL ? fields_of(&field->value) : NULL;
    }
    return fields;
}

/* libcyaml gives where the entry before the key was: the key itself is there or just after. */
static int line_of_key(const char *yaml, size_t len, int first_line, const char *key)
{
    size_t n = strlen(key);
    int line = 1;
    for (size_t at = 0; at + n < len; at++) {
        bool is_key =
            line >= first_line && memcmp(yaml + at, key, n) == 0 && yaml[at + n] == ':';
        if (is_key && (at == 0 || strchr(" {,\n\"'", yaml[at - 1]) != NULL)) {
            return line;
        }
        line += yaml[at] == '\n';
    }
    return first_line;
}

static tl_err fail_unknown_key(
    const report *r, const char *yaml, size_t len, const char *origin, const char *key)
{
    const char *known[64];
    size_t n = 0;
    const cyaml_schema_field_t *fields = fields_at(r);
    for (; fields != NULL && fields->key != NULL && n < TL_COUNT(known); fields++) {
        known[n++] = fields->key;
    }
    const char *nearest = tl_name_nearest(key, known, n);
    return tl_fail(
        TL_EINVAL, "%s line %d: unknown key \"%.80s\"%s%s%s", origin,
        line_of_key(yaml, len, r->line, key), key, nearest != NULL ? ", did you mean \"" : "",
        nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "");
}

static tl_err fail_read(
    const report *r, const char *yaml, size_t len, const char *origin, cyaml_err_t code)
{
    static const char unexpected_key[] = "Unexpected key: ";
    if (code == CYAML_ERR_OOM) {
        return tl_fail(TL_ENOMEM, "%s", origin);
    }
    if (code == CYAML_ERR_ALIAS) {
        return tl_fail(
            TL_EINVAL, "%s line %d: aliases (*name) are not accepted", origin, r->line);
    }
    if (strncmp(r->message, unexpected_key, sizeof unexpected_key - 1) == 0) {
        return fail_unknown_key(r, yaml, len, origin, r->message + sizeof unexpected_key - 1);
    }
    return tl_fail(
        TL_EINVAL, "%s line %d: %s%s%s", origin, r->line, r->n_fields > 0 ? r->fields[0] : "",
        r->n_fields > 0 ? ": " : "", r->message[0] != '\0' ? r->message : cyaml_strerror(code));
}

/* What libcyaml would pass over in silence. */
static tl_err check_text(const char *yaml, size_t len, const char *origin)
{
    if (len > MAX_FILE_BYTES) {
        return tl_fail(
            TL_EINVAL, "%s: got %zu bytes, want at most %d", origin, len, (int)MAX_FILE_BYTES);
    }
    if (memchr(yaml, '\0', len) != NULL) {
        return tl_fail(TL_EINVAL, "%s: got a NUL character, want text", origin);
    }
    bool has_content = false;
    for (size_t at = 0; at < len;) {
        const char *end = memchr(yaml + at, '\n', len - at);
        size_t n = end != NULL ? (size_t)(end - (yaml + at)) : len - at;
        if (n >= 3 && memcmp(yaml + at, "---", 3) == 0 && has_content) {
            return tl_fail(TL_EINVAL, "%s: got a second document (---), want one", origin);
        }
        has_content = has_content || (n > 0 && yaml[at] != '#' && yaml[at] != '-');
        at += n + 1;
    }
    return TL_OK;
}

tl_err tl_raw_read(const char *yaml, size_t len, const char *origin, tl_raw_space **out_raw)
{
    TL_TRY(check_text(yaml, len, origin));
    report r = {0};
    cyaml_config_t how = config(&r);
    cyaml_data_t *data = NULL;
    cyaml_err_t code = cyaml_load_data(
        (const uint8_t *)yaml, len, &how, &space_value, &data, /* seq_count= */ NULL);
    if (code != CYAML_OK) {
        return fail_read(&r, yaml, len, origin, code);
    }
    if (data == NULL) {
        return tl_fail(TL_EINVAL, "%s: got an empty file, want a space", origin);
    }
    *out_raw = data;
    return TL_OK;
}

void tl_raw_free(tl_raw_space *raw)
{
    report r = {0};
    cyaml_config_t how = config(&r);
    if (raw != NULL) {
        (void)cyaml_free(&how, &space_value, raw, 0);
    }
}

/* ---- the digest: a walk over the same schema -------------------------------- */

static void add_text(tl_digest *digest, const char *text)
{
    tl_digest_add(digest, text, strlen(text) + 1);
}

/* What the pointer at place points to; every field of ours is a pointer. */
static const unsigned char *pointee(const unsigned char *place)
{
    const unsigned char *target = NULL;
    memcpy(&target, place, sizeof target);
    return target;
}

static void digest_fields(
    tl_digest *digest, const cyaml_schema_field_t *fields, const unsigned char *base);

static void digest_list(
    tl_digest *digest,
    const cyaml_schema_field_t *field,
    const unsigned char *base,
    const unsigned char *items)
{
    uint32_t n = 0;
    memcpy(&n, base + field->count_offset, sizeof n);
    const cyaml_schema_value_t *entry = field->value.sequence.entry;
    for (uint32_t i = 0; i < n; i++) {
        add_text(digest, "-");
        if (entry->type == CYAML_STRING) {
            add_text(digest, (const char *)pointee(items + i * sizeof(char *)));
        } else {
            digest_fields(digest, entry->mapping.fields, items + i * entry->data_size);
        }
    }
}

static void digest_fields(
    tl_digest *digest, const cyaml_schema_field_t *fields, const unsigned char *base)
{
    for (const cyaml_schema_field_t *field = fields; field->key != NULL; field++) {
        const unsigned char *value = pointee(base + field->data_offset);
        bool is_label = fields == space_fields && (strcmp(field->key, "name") == 0 ||
                                                   strcmp(field->key, "description") == 0);
        if (value == NULL || is_label) {
            continue;
        }
        add_text(digest, field->key);
        if (field->value.type == CYAML_STRING) {
            add_text(digest, (const char *)value);
        } else if (field->value.type == CYAML_MAPPING) {
            digest_fields(digest, field->value.mapping.fields, value);
        } else {
            digest_list(digest, field, base, value);
        }
        add_text(digest, ";");
    }
}

void tl_raw_digest(const tl_raw_space *raw, tl_digest *digest)
{
    digest_fields(digest, space_fields, (const unsigned char *)raw);
}
