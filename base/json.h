/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_JSON_H
#define TL_BASE_JSON_H

/*
 * JSON documents for programs, member by member, one on a line:
 *
 *     tl_json_begin(out);
 *     tl_json_text(out, "device", name);
 *     tl_json_open(out, "peak_gflops");
 *     tl_json_figure(out, "fp32", "48");
 *     tl_json_close(out);
 *     tl_json_end(out);
 *
 * All append to out; memory running out is found by tl_text_err(). A text that is no UTF-8
 * is written as null. Where a program needs no JSON, it does not link it: the module is json.
 */

#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

void tl_json_begin(tl_text *out);
void tl_json_text(tl_text *out, const char *key, const char *value);
void tl_json_whole(tl_text *out, const char *key, uint64_t value);

/* A number with the digits that it stands there with; null where it is "". */
void tl_json_figure(tl_text *out, const char *key, const char *digits);

/* One of a table: a number as it stands there, or text. */
void tl_json_cell(tl_text *out, const char *key, const char *value, bool is_number);

void tl_json_list(tl_text *out, const char *key, const char *const *values, size_t n);

/* An object within the object. */
void tl_json_open(tl_text *out, const char *key);
void tl_json_close(tl_text *out);

/* The key alone; what follows is the caller's. */
void tl_json_key(tl_text *out, const char *key);

void tl_json_end(tl_text *out); /* closes the object and the line */

#endif
