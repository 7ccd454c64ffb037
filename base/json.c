/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <jansson.h>

static int take_bytes(const char *bytes, size_t len, void *context)
{
    tl_text *out = context;
    tl_text_add_bytes(out, bytes, len);
    return 0;
}

/* The value quoted and escaped. */
static void add_string(tl_text *out, const char *value)
{
    json_t *string = json_string(value);
    if (string == NULL) {
        tl_text_add(out, "null");
        return;
    }
    if (json_dump_callback(string, take_bytes, out, JSON_ENCODE_ANY) != 0) {
        out->is_broken = true;
    }
    json_decref(string);
}

void tl_json_key(tl_text *out, const char *key)
{
    if (out->len > 0 && out->data[out->len - 1] != '{') {
        tl_text_add(out, ",");
    }
    add_string(out, key);
    tl_text_add(out, ":");
}

void tl_json_begin(tl_text *out)
{
    tl_text_add(out, "{");
}

void tl_json_text(tl_text *out, const char *key, const char *value)
{
    tl_json_key(out, key);
    add_string(out, value);
}

void tl_json_whole(tl_text *out, const char *key, uint64_t value)
{
    tl_json_key(out, key);
    tl_text_addf(out, "%llu", (unsigned long long)value);
}

void tl_json_figure(tl_text *out, const char *key, const char *digits)
{
    tl_json_key(out, key);
    tl_text_add(out, digits[0] != '\0' ? digits : "null");
}

void tl_json_cell(tl_text *out, const char *key, const char *value, bool is_number)
{
    if (is_number) {
        tl_json_figure(out, key, value);
    } else {
        tl_json_text(out, key, value);
    }
}

void tl_json_list(tl_text *out, const char *key, const char *const *values, size_t n)
{
    tl_json_key(out, key);
    tl_text_add(out, "[");
    for (size_t i = 0; i < n; i++) {
        tl_text_add(out, i == 0 ? "" : ",");
        add_string(out, values[i]);
    }
    tl_text_add(out, "]");
}

void tl_json_open(tl_text *out, const char *key)
{
    tl_json_key(out, key);
    tl_text_add(out, "{");
}

void tl_json_close(tl_text *out)
{
    tl_text_add(out, "}");
}

void tl_json_end(tl_text *out)
{
    tl_text_add(out, "}\n");
}
