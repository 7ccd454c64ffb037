/* SPDX-License-Identifier: Apache-2.0 */
#include "base/keyfile.h"

#include "base/mem.h"

#include <stddef.h>
#include <string.h>

enum {
    N_LINES = 5
};

static const struct line {
    const char *name;
    size_t offset, max_chars;
} lines[N_LINES] = {
    {"name",   offsetof(tl_key_file, name),       TL_NAME_MAX_BYTES},
    {"role",   offsetof(tl_key_file, role),       TL_KEY_ROLE_CHARS},
    {"public", offsetof(tl_key_file, public_key), TL_KEY_CHARS     },
    {"secret", offsetof(tl_key_file, secret_key), TL_KEY_CHARS     },
    {"server", offsetof(tl_key_file, server_key), TL_KEY_CHARS     },
};

tl_err tl_key_check(const char *what, const char *key)
{
    static const char alphabet[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    size_t len = strlen(key);
    if (len != TL_KEY_CHARS || strspn(key, alphabet) != len) {
        return tl_fail(TL_EINVAL, "%s: want a key of %d characters (Z85)", what, TL_KEY_CHARS);
    }
    return TL_OK;
}

static const struct line *line_find(const char *at, size_t len)
{
    for (size_t i = 0; i < N_LINES; i++) {
        if (strlen(lines[i].name) == len && memcmp(lines[i].name, at, len) == 0) {
            return &lines[i];
        }
    }
    return NULL;
}

/* One line without its end, spaces around it cut off. A secret is never repeated in a detail. */
static tl_err parse_line(const char *at, size_t len, tl_key_file *key)
{
    const char *colon = memchr(at, ':', len);
    const struct line *line = colon != NULL ? line_find(at, (size_t)(colon - at)) : NULL;
    if (line == NULL) {
        return tl_fail(TL_EINVAL, "want name, role, public, secret or server and a colon");
    }
    const char *value = colon + 1;
    const char *end = at + len;
    while (value < end && *value == ' ') {
        value++;
    }
    size_t value_len = (size_t)(end - value);
    char *place = (char *)key + line->offset;
    if (place[0] != '\0') {
        return tl_fail(TL_EINVAL, "a second %s", line->name);
    }
    if (value_len == 0 || value_len > line->max_chars) {
        return tl_fail(
            TL_EINVAL, "%s: got %zu characters, want 1 to %zu", line->name, value_len,
            line->max_chars);
    }
    memcpy(place, value, value_len);
    place[value_len] = '\0';
    return line->max_chars == TL_KEY_CHARS ? tl_key_check(line->name, place) : TL_OK;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\r' || c == '\t';
}

tl_err tl_key_file_parse(const char *origin, const char *text, size_t len, tl_key_file *out_key)
{
    tl_key_file key = {0};
    int number = 1;
    if (memchr(text, '\0', len) != NULL) {
        return tl_fail(TL_EINVAL, "%s: a zero byte within the text", origin);
    }
    for (const char *at = text; at < text + len; number++) {
        const char *feed = memchr(at, '\n', (size_t)(text + len - at));
        const char *end = feed != NULL ? feed : text + len;
        const char *next = feed != NULL ? feed + 1 : end;
        while (end > at && is_blank(end[-1])) {
            end--;
        }
        tl_err err = end > at && *at != '#' ? parse_line(at, (size_t)(end - at), &key) : TL_OK;
        if (err != TL_OK) {
            return tl_fail_in(err, "%s line %d: ", origin, number);
        }
        at = next;
    }
    tl_err err = key.name[0] != '\0' ? tl_name_check("key", key.name) : TL_OK;
    if (err != TL_OK) {
        return tl_fail_in(err, "%s: ", origin);
    }
    *out_key = key;
    return TL_OK;
}

tl_err tl_key_file_read(const char *path, tl_file_guard guard, tl_key_file *out_key)
{
    char *text = NULL;
    size_t len = 0;
    TL_TRY(tl_file_read_guarded(path, guard, TL_KEY_FILE_MAX_BYTES, &text, &len));
    tl_err err = tl_key_file_parse(path, text, len, out_key);
    tl_mem_free(text);
    return err;
}

void tl_key_file_print(const tl_key_file *key, tl_text *text)
{
    for (size_t i = 0; i < N_LINES; i++) {
        const char *value = (const char *)key + lines[i].offset;
        if (value[0] != '\0') {
            tl_text_addf(text, "%s: %s\n", lines[i].name, value);
        }
    }
}
