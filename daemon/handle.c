/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/handle.h"

#include "base/mem.h"
#include "base/name.h"

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
