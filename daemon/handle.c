/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/handle.h"

#include "base/mem.h"
#include "base/name.h"

#include <stdio.h>
#include <string.h>

tl_err tl_handle_check_name(const char *field, const char *name)
{
    if (name == NULL || name[0] == '\0') {
        return tl_fail(TL_EINVAL, "%s: want a name", field);
    }
    return tl_name_check(field, name);
}

tl_err tl_handle_set_text(char **field, const char *text)
{
    char *copy = tl_mem_strdup(text);
    if (copy == NULL) {
        return tl_fail(TL_ENOMEM, "a reply's text");
    }
    *field = copy;
    return TL_OK;
}

tl_err tl_handle_check_bytes(
    const char *field, const ProtobufCBinaryData *bytes, size_t max_bytes)
{
    if (bytes->len == 0) {
        return tl_fail(TL_EINVAL, "%s: empty", field);
    }
    if (bytes->len > max_bytes) {
        return tl_fail(
            TL_ELIMIT, "%s: got %zu bytes, at most %zu are accepted", field, bytes->len,
            max_bytes);
    }
    return TL_OK;
}

const char *tl_handle_origin(const char *origin, const char *fallback)
{
    return origin != NULL && origin[0] != '\0' ? origin : fallback;
}

bool tl_handle_is_named(char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

tl_err tl_handle_add_lines(const tl_text *text, char ***field, size_t *n_field)
{
    size_t n = 0;
    for (size_t i = 0; i < text->len; i++) {
        n += text->data[i] == '\n';
    }
    *field = tl_mem_new(n, sizeof **field);
    if (*field == NULL) {
        return tl_fail(TL_ENOMEM, "%zu lines", n);
    }
    const char *line = text->data;
    for (size_t i = 0; i < n; i++) {
        const char *end = strchr(line, '\n');
        (*field)[i] = tl_mem_strndup(line, (size_t)(end - line));
        if ((*field)[i] == NULL) {
            return tl_fail(TL_ENOMEM, "%zu lines", n);
        }
        (*n_field)++;
        line = end + 1;
    }
    return TL_OK;
}

tl_err tl_handle_pass_over(tl_err err, const tl_column_info *column, tl_damage *damage)
{
    char name[2 * TL_NAME_MAX_BYTES];
    if (err != TL_EDAMAGED) {
        return err;
    }
    (void)snprintf(name, sizeof name, "%s@%s", tl_metric_name(column->metric), column->subject);
    return tl_damage_add(damage, name);
}

void tl_handle_add_damage(const tl_damage *damage, const char *what, tl_text *lines)
{
    const char *name = damage->names.data != NULL ? damage->names.data : "";
    while (*name != '\0') {
        size_t len = strcspn(name, "\n");
        tl_text_addf(lines, "%.*s %s\n", (int)len, name, what);
        name += len + (name[len] == '\n' ? 1 : 0);
    }
    if (tl_damage_n_unnamed(damage) > 0) {
        tl_text_addf(lines, "%zu others: %s\n", tl_damage_n_unnamed(damage), what);
    }
}

void tl_handle_warn_of_damage(tl_call *call, const tl_damage *damage, const char *what)
{
    tl_text lines = {0};
    tl_handle_add_damage(damage, what, &lines);
    for (size_t at = 0; at < lines.len && tl_text_err(&lines) == TL_OK;) {
        size_t len = strcspn(lines.data + at, "\n");
        tl_call_warn(call, "%.*s", (int)len, lines.data + at);
        at += len + 1;
    }
    tl_text_done(&lines);
}
