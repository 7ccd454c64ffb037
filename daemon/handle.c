/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/handle.h"

#include "base/mem.h"

#include "base/name.h"
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
