/* SPDX-License-Identifier: Apache-2.0 */
#include "base/name.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_allowed(char c)
{
    return is_letter_or_digit(c) || c == '.' || c == '_' || c == '+' || c == '-';
}

tl_err tl_name_check(const char *what, const char *name)
{
    size_t len = strlen(name);
    if (len == 0) {
        return tl_fail(
            TL_EINVAL, "%s name: got nothing, want 1 to %d characters", what,
            (int)TL_NAME_MAX_BYTES);
    }
    if (len > TL_NAME_MAX_BYTES) {
        return tl_fail(
            TL_EINVAL, "%s name: got %zu characters, want at most %d", what, len,
            (int)TL_NAME_MAX_BYTES);
    }
    if (!is_letter_or_digit(name[0])) {
        return tl_fail(
            TL_EINVAL, "%s name \"%.*s\": want a letter or a digit first", what,
            (int)TL_NAME_MAX_BYTES, name);
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_allowed(name[i])) {
            return tl_fail(
                TL_EINVAL,
                "%s name: got character 0x%02x at position %zu, want letters, digits and . _ + -",
                what, (unsigned)(unsigned char)name[i], i + 1);
        }
    }
    return TL_OK;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein distance, one row at a time; names beyond the limit are cut. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[TL_NAME_MAX_BYTES + 1];
    size_t n_a = least(strlen(a), TL_NAME_MAX_BYTES);
    size_t n_b = least(strlen(b), TL_NAME_MAX_BYTES);
    for (size_t j = 0; j <= n_b; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = least(replaced, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[n_b];
}

/* The first of the least distance below bound. */
static const char *nearest_below(
    size_t bound, const char *name, const char *const *names, size_t n)
{
    const char *nearest = NULL;
    size_t best = bound;
    for (size_t i = 0; i < n; i++) {
        size_t distance = edit_distance(name, names[i]);
        if (distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

const char *tl_name_nearest(const char *name, const char *const *names, size_t n)
{
    return nearest_below(
        strlen(name) / 2 + 1, name, names, n); /* at least half of it is right */
}

const char *tl_name_closest(const char *name, const char *const *names, size_t n)
{
    return nearest_below(SIZE_MAX, name, names, n);
}
