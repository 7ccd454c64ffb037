/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    RESERVE_BYTES = 16, /* for what closes a quote, an object and the line */
    NUMBER_BYTES = 32
};

static bool has_room(const tl_log_line *line, size_t more)
{
    return line->len + more + RESERVE_BYTES <= sizeof line->data;
}

static bool put(tl_log_line *line, const char *text, size_t len)
{
    if (!has_room(line, len)) {
        return false;
    }
    memcpy(line->data + line->len, text, len);
    line->len += len;
    return true;
}

static bool put_text(tl_log_line *line, const char *text)
{
    return put(line, text, strlen(text));
}

/* Bytes of the UTF-8 character at text; 0 where there is none. */
static size_t character_len(const unsigned char *text)
{
    static const struct {
        unsigned char mask, head, first_min, first_max;
        size_t len;
    } forms[] = {
        {0x80, 0x00, 0x00, 0x00, 1},
        {0xe0, 0xc0, 0x80, 0xbf, 2},
        {0xf0, 0xe0, 0x80, 0xbf, 3},
        {0xf8, 0xf0, 0x80, 0xbf, 4},
    };
    for (size_t i = 0; i < TL_COUNT(forms); i++) {
        if ((text[0] & forms[i].mask) != forms[i].head) {
            continue;
        }
        for (size_t k = 1; k < forms[i].len; k++) {
            if ((text[k] & 0xc0) != 0x80) {
                return 0;
            }
        }
        /* overlong forms, surrogates, and beyond the last code point */
        bool is_bad =
            text[0] == 0xc0 || text[0] == 0xc1 || (text[0] == 0xe0 && text[1] < 0xa0) ||
            (text[0] == 0xed && text[1] > 0x9f) || (text[0] == 0xf0 && text[1] < 0x90) ||
            (text[0] == 0xf4 && text[1] > 0x8f) || text[0] > 0xf4;
        return is_bad ? 0 : forms[i].len;
    }
    return 0;
}

/* Text without control characters and broken UTF-8, quotes escaped when it stands in some.
 * False when it did not fit; what did stays. */
static bool put_clean(tl_log_line *line, const char *text, bool is_quoted)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0';) {
        size_t len = character_len(at);
        bool is_clean = len > 0 && *at >= 0x20 && *at != 0x7f;
        bool is_escaped = is_quoted && (*at == '"' || *at == '\\');
        if (!has_room(line, len + 2)) {
            return false;
        }
        if (is_escaped) {
            (void)put(line, "\\", 1);
        }
        (void)put(line, is_clean ? (const char *)at : "?", is_clean ? len : 1);
        at += is_clean ? len : 1;
    }
    return true;
}

static bool put_quoted(tl_log_line *line, const char *text)
{
    if (!put(line, "\"", 1)) {
        return false;
    }
    bool is_whole = put_clean(line, text, true);
    line->data[line->len++] = '"'; /* the reserve has room for it */
    return is_whole;
}

/* A value of logfmt: quoted where a reader would split or misread it. */
static bool put_value(tl_log_line *line, const char *text)
{
    bool is_plain = text[0] != '\0';
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        is_plain = is_plain && *c > 0x20 && *c < 0x7f && strchr("\"\\=", *c) == NULL;
    }
    return is_plain ? put_text(line, text) : put_quoted(line, text);
}

static bool put_number(tl_log_line *line, const tl_log_field *field)
{
    char number[NUMBER_BYTES];
    if (field->is_whole) {
        (void)snprintf(number, sizeof number, "%" PRIu64, field->whole);
    } else {
        (void)snprintf(number, sizeof number, "%.3f", field->ms);
    }
    return put_text(line, number);
}

static bool put_pair(tl_log_line *line, const tl_log_field *field)
{
    bool is_json = line->format == TL_LOG_JSON;
    if (!put_text(line, is_json ? ",\"" : " ") || !put_text(line, field->key) ||
        !put_text(line, is_json ? "\":" : "=")) {
        return false;
    }
    if (field->text == NULL) {
        return put_number(line, field);
    }
    return is_json ? put_quoted(line, field->text) : put_value(line, field->text);
}

void tl_log_line_begin(
    tl_log_line *line,
    tl_log_format format,
    const char *time,
    const char *level,
    const char *message)
{
    char head[96];
    line->format = format;
    line->len = 0;
    if (format == TL_LOG_JSON) {
        (void)snprintf(
            head, sizeof head, "{\"ts\":\"%s\",\"level\":\"%s\",\"msg\":", time, level);
        (void)put_text(line, head);
        (void)put_quoted(line, message);
    } else if (format == TL_LOG_LOGFMT) {
        (void)snprintf(head, sizeof head, "ts=%s level=%s msg=", time, level);
        (void)put_text(line, head);
        (void)put_value(line, message);
    } else {
        (void)snprintf(head, sizeof head, "%s %-5s ", time, level);
        (void)put_text(line, head);
        (void)put_clean(line, message, false);
    }
}

void tl_log_line_add(tl_log_line *line, const tl_log_field *field)
{
    size_t len = line->len;
    if (!put_pair(line, field)) {
        line->len = len;
    }
}

size_t tl_log_line_end(tl_log_line *line)
{
    if (line->format == TL_LOG_JSON) {
        line->data[line->len++] = '}';
    }
    line->data[line->len++] = '\n';
    return line->len;
}
