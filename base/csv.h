/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_CSV_H
#define TL_BASE_CSV_H

/*
 * CSV as RFC 4180 has it: commas, records that end with LF or CRLF, fields in
 * quotation marks where they hold a comma, a mark (doubled) or a line break.
 *
 * The reader is fed bytes as they come, in chunks of any size, and hands on one
 * record after the other. Spaces belong to their field; blank lines and a byte
 * order mark are skipped; a NUL, a mark out of place and whatever exceeds a bound
 * is refused with TL_EINVAL and a detail that starts with "line N".
 *
 *     tl_csv_reader *reader = NULL;
 *     TL_TRY(tl_csv_reader_new(NULL, on_record, &context, &reader));
 *     while (...more...) {
 *         if ((err = tl_csv_reader_feed(reader, chunk, len)) != TL_OK) { goto done; }
 *     }
 *     err = tl_csv_reader_finish(reader);
 *
 * The writer appends to a text:
 *
 *     tl_csv_add(&text, "pixel6");
 *     tl_csv_add_double(&text, latency_ms);
 *     tl_csv_end(&text);
 */

#include "base/err.h"
#include "base/text.h"

#include <stddef.h>

typedef struct tl_csv_reader tl_csv_reader;

/* One record, borrowed during the call that shows it. */
typedef struct tl_csv_record {
    const char *const *fields; /* NUL-terminated; "" where empty */
    size_t n_fields;
    long line; /* where the record starts, from 1 */
} tl_csv_record;

/* Anything but TL_OK stops the reader and becomes the result of the call that fed it. */
typedef tl_err tl_csv_record_fn(void *context, const tl_csv_record *record);

/* Bounds; 0 means the default in brackets. */
typedef struct tl_csv_options {
    size_t max_fields;       /* of a record [4200] */
    size_t max_field_bytes;  /* [4096] */
    size_t max_record_bytes; /* all fields of a record [1 MiB] */
} tl_csv_options;

/* options may be NULL. On success the caller owns *out_reader. */
TL_MUST_USE tl_err tl_csv_reader_new(
    const tl_csv_options *options,
    tl_csv_record_fn *on_record,
    void *context,
    tl_csv_reader **out_reader);

void tl_csv_reader_free(tl_csv_reader *reader); /* NULL is fine */

/* After a failure every further call fails in the same way. */
TL_MUST_USE tl_err tl_csv_reader_feed(tl_csv_reader *reader, const void *data, size_t len);

/* The end of the input: hands on a last record that no line break ends. */
TL_MUST_USE tl_err tl_csv_reader_finish(tl_csv_reader *reader);

/* The whole of a text at once. */
TL_MUST_USE tl_err tl_csv_read(
    const void *data,
    size_t len,
    const tl_csv_options *options,
    tl_csv_record_fn *on_record,
    void *context);

/* Appends one field of the present record, in quotes where it must be. */
void tl_csv_add(tl_text *text, const char *field);

/* The shortest decimal that reads back as the same bits; NaN is an empty field. */
void tl_csv_add_double(tl_text *text, double value);

/* Ends the present record. */
void tl_csv_end(tl_text *text);

/*
 * Reads all of text as a finite decimal number ("12", "-0.5", "1e-3"), without
 * spaces, hexadecimals, "inf" or "nan". Fails with TL_EINVAL and the detail
 * `got "WHAT", want a number`.
 */
TL_MUST_USE tl_err tl_csv_number(const char *text, double *out_value);

#endif
