/* SPDX-License-Identifier: Apache-2.0 */
#include "base/csv.h"

#include "base/mem.h"

#include <csv.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_MAX_FIELDS = 4200,
    DEFAULT_MAX_FIELD_BYTES = 4096,
    DEFAULT_MAX_RECORD_BYTES = 1 << 20,
    PIECE_BYTES = 4096, /* a field is looked at for its bound once a piece */
    BOM_BYTES = 3,
    SHOWN_BYTES = 40 /* of a bad field in an error */
};

static const char bom[] = "\xef\xbb\xbf";

struct tl_csv_reader {
    struct csv_parser parser;
    tl_csv_options options;
    tl_csv_record_fn *on_record;
    void *context;
    tl_err err;
    size_t n_bom;     /* bytes of the byte order mark seen; BOM_BYTES: past the start */
    long line;        /* of the next byte */
    long record_line; /* where the open record started */
    bool is_open;     /* a record has begun and not ended */
    bool was_cr;      /* the last byte was a CR: an LF now belongs to it */
    tl_text bytes;    /* of the open record, each field followed by a NUL */
    size_t *starts;   /* of the fields in bytes */
    const char **fields;
    size_t n_fields, fields_capacity;
};

/* ---- what libcsv calls ------------------------------------------------------ */

static int is_never_space(unsigned char c)
{
    (void)c;
    return 0;
}

static void *resize(void *block, size_t size)
{
    return tl_mem_resize(block, size, 1);
}

static tl_err make_room(tl_csv_reader *reader)
{
    if (reader->n_fields < reader->fields_capacity) {
        return TL_OK;
    }
    size_t capacity = reader->fields_capacity > 0 ? 2 * reader->fields_capacity : 64;
    size_t *starts = tl_mem_resize(reader->starts, capacity, sizeof *starts);
    if (starts == NULL) {
        return tl_fail(TL_ENOMEM, "a record of %zu fields", capacity);
    }
    reader->starts = starts;
    const char **fields = tl_mem_resize(reader->fields, capacity, sizeof *fields);
    if (fields == NULL) {
        return tl_fail(TL_ENOMEM, "a record of %zu fields", capacity);
    }
    reader->fields = fields;
    reader->fields_capacity = capacity;
    return TL_OK;
}

static tl_err check_field(const tl_csv_reader *reader, size_t len)
{
    if (len > reader->options.max_field_bytes) {
        return tl_fail(
            TL_EINVAL, "line %ld: got a field of more than %zu bytes", reader->record_line,
            reader->options.max_field_bytes);
    }
    return TL_OK;
}

static tl_err add_field(tl_csv_reader *reader, const char *field, size_t len)
{
    if (reader->n_fields >= reader->options.max_fields) {
        return tl_fail(
            TL_EINVAL, "line %ld: got more than %zu fields", reader->record_line,
            reader->options.max_fields);
    }
    TL_TRY(check_field(reader, len));
    if (reader->bytes.len + len > reader->options.max_record_bytes) {
        return tl_fail(
            TL_EINVAL, "line %ld: got a record of more than %zu bytes", reader->record_line,
            reader->options.max_record_bytes);
    }
    TL_TRY(make_room(reader));
    reader->starts[reader->n_fields++] = reader->bytes.len;
    tl_text_add_bytes(&reader->bytes, field, len);
    tl_text_add_bytes(&reader->bytes, "", 1);
    return tl_text_err(&reader->bytes);
}

static void on_field(void *field, size_t len, void *context)
{
    tl_csv_reader *reader = context;
    if (reader->err == TL_OK) {
        reader->err = add_field(reader, field, len);
    }
}

static void on_end(int terminator, void *context)
{
    (void)terminator;
    tl_csv_reader *reader = context;
    if (reader->err == TL_OK) {
        for (size_t i = 0; i < reader->n_fields; i++) {
            reader->fields[i] = reader->bytes.data + reader->starts[i];
        }
        tl_csv_record record = {reader->fields, reader->n_fields, reader->record_line};
        reader->err = reader->on_record(reader->context, &record);
    }
    reader->is_open = false;
    reader->n_fields = 0;
    tl_text_clear(&reader->bytes);
}

/* ---- the reader -------------------------------------------------------------- */

static size_t or_default(size_t given, size_t otherwise)
{
    return given > 0 ? given : otherwise;
}

tl_err tl_csv_reader_new(
    const tl_csv_options *options,
    tl_csv_record_fn *on_record,
    void *context,
    tl_csv_reader **out_reader)
{
    tl_csv_options given = options != NULL ? *options : (tl_csv_options){0};
    tl_csv_reader *reader = tl_mem_new(1, sizeof *reader);
    if (reader == NULL) {
        return tl_fail(TL_ENOMEM, "a CSV reader");
    }
    reader->options.max_fields = or_default(given.max_fields, DEFAULT_MAX_FIELDS);
    reader->options.max_field_bytes =
        or_default(given.max_field_bytes, DEFAULT_MAX_FIELD_BYTES);
    reader->options.max_record_bytes =
        or_default(given.max_record_bytes, DEFAULT_MAX_RECORD_BYTES);
    reader->on_record = on_record;
    reader->context = context;
    reader->line = 1;
    if (csv_init(&reader->parser, CSV_STRICT | CSV_STRICT_FINI) != 0) {
        tl_mem_free(reader);
        return tl_fail(TL_ENOMEM, "a CSV reader");
    }
    csv_set_space_func(&reader->parser, is_never_space);
    csv_set_realloc_func(&reader->parser, resize);
    csv_set_free_func(&reader->parser, tl_mem_free);
    *out_reader = reader;
    return TL_OK;
}

void tl_csv_reader_free(tl_csv_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    csv_free(&reader->parser);
    tl_text_done(&reader->bytes);
    tl_mem_free(reader->starts);
    tl_mem_free(reader->fields);
    tl_mem_free(reader);
}

static tl_err fail_parser(tl_csv_reader *reader, bool is_end)
{
    if (csv_error(&reader->parser) != CSV_EPARSE) {
        return tl_fail(TL_ENOMEM, "line %ld: a field", reader->record_line);
    }
    if (is_end) {
        return tl_fail(
            TL_EINVAL, "line %ld: a quotation mark is opened and never closed",
            reader->record_line);
    }
    return tl_fail(
        TL_EINVAL,
        "line %ld: a quotation mark inside a field (put the whole field in marks and double "
        "those inside)",
        reader->record_line);
}

/* At most a line and at most PIECE_BYTES: the line number holds for all of it. */
static tl_err find_piece(tl_csv_reader *reader, const char *data, size_t len, size_t *out_len)
{
    size_t i = 0;
    while (i < len && i < PIECE_BYTES) {
        char c = data[i++];
        if (c == '\0') {
            return tl_fail(TL_EINVAL, "line %ld: got a NUL byte, want text", reader->line);
        }
        if (c == '\n' || c == '\r') {
            break;
        }
    }
    *out_len = i;
    return TL_OK;
}

/* CR, LF and CRLF each end a line; a piece ends after the first of their bytes. */
static void count_lines(tl_csv_reader *reader, const char *piece, size_t len)
{
    bool is_rest_of_crlf = reader->was_cr && piece[0] == '\n';
    char last = piece[len - 1];
    if (last == '\r' || (last == '\n' && !is_rest_of_crlf)) {
        reader->line++;
    }
    reader->was_cr = last == '\r';
}

static tl_err feed_piece(tl_csv_reader *reader, const char *data, size_t len)
{
    if (!reader->is_open && data[0] != '\n' && data[0] != '\r') {
        reader->is_open = true;
        reader->record_line = reader->line;
    }
    size_t n = csv_parse(&reader->parser, data, len, on_field, on_end, reader);
    TL_TRY(reader->err);
    if (n < len) {
        return fail_parser(reader, /* is_end= */ false);
    }
    count_lines(reader, data, len);
    return check_field(reader, reader->parser.entry_pos);
}

static tl_err feed_lines(tl_csv_reader *reader, const char *data, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i += n) {
        TL_TRY(find_piece(reader, data + i, len - i, &n));
        TL_TRY(feed_piece(reader, data + i, n));
    }
    return TL_OK;
}

/* What looked like a byte order mark and was none is text after all. */
static tl_err give_back_bom(tl_csv_reader *reader)
{
    size_t n = reader->n_bom;
    reader->n_bom = BOM_BYTES;
    return n < BOM_BYTES ? feed_lines(reader, bom, n) : TL_OK;
}

static tl_err feed(tl_csv_reader *reader, const char *data, size_t len)
{
    size_t n = 0;
    while (reader->n_bom < BOM_BYTES && n < len && data[n] == bom[reader->n_bom]) {
        reader->n_bom++;
        n++;
    }
    if (n < len) {
        TL_TRY(give_back_bom(reader));
    }
    return feed_lines(reader, data + n, len - n);
}

tl_err tl_csv_reader_feed(tl_csv_reader *reader, const void *data, size_t len)
{
    if (reader->err != TL_OK) {
        return tl_fail(reader->err, "nothing is read after an error");
    }
    if (len > 0) { /* data may be NULL */
        reader->err = feed(reader, data, len);
    }
    return reader->err;
}

tl_err tl_csv_reader_finish(tl_csv_reader *reader)
{
    if (reader->err != TL_OK) {
        return tl_fail(reader->err, "nothing is read after an error");
    }
    if ((reader->err = give_back_bom(reader)) != TL_OK) {
        return reader->err;
    }
    int status = csv_fini(&reader->parser, on_field, on_end, reader);
    if (reader->err == TL_OK && status != 0) {
        reader->err = fail_parser(reader, /* is_end= */ true);
    }
    return reader->err;
}

tl_err tl_csv_read(
    const void *data,
    size_t len,
    const tl_csv_options *options,
    tl_csv_record_fn *on_record,
    void *context)
{
    tl_csv_reader *reader = NULL;
    TL_TRY(tl_csv_reader_new(options, on_record, context, &reader));
    tl_err err = tl_csv_reader_feed(reader, data, len);
    if (err == TL_OK) {
        err = tl_csv_reader_finish(reader);
    }
    tl_csv_reader_free(reader);
    return err;
}

/* ---- numbers and writing ------------------------------------------------------ */

tl_err tl_csv_number(const char *text, double *out_value)
{
    char *end = NULL;
    size_t len = strlen(text);
    /* strtod also takes spaces, hexadecimals and words */
    if (len > 0 && strspn(text, "0123456789+-.eE") == len) {
        double value = strtod(text, &end);
        if (*end == '\0' && isfinite(value)) {
            *out_value = value;
            return TL_OK;
        }
    }
    return tl_fail(TL_EINVAL, "got \"%.*s\", want a number", (int)SHOWN_BYTES, text);
}

static void add_comma(tl_text *text)
{
    if (text->len > 0 && text->data[text->len - 1] != '\n') {
        tl_text_add_bytes(text, ",", 1);
    }
}

/*
 * An empty first field is written "": otherwise nothing would tell the start of a
 * record from its second field, and a record of one empty field from a blank line.
 */
void tl_csv_add(tl_text *text, const char *field)
{
    bool is_first = text->len == 0 || text->data[text->len - 1] == '\n';
    add_comma(text);
    if (field[0] == '\0' && !is_first) {
        return;
    }
    if (field[0] != '\0' && field[strcspn(field, ",\"\r\n")] == '\0') {
        tl_text_add(text, field);
        return;
    }
    tl_text_add_bytes(text, "\"", 1);
    for (const char *c = field; *c != '\0'; c++) {
        tl_text_add_bytes(text, c, 1);
        if (*c == '"') {
            tl_text_add_bytes(text, c, 1);
        }
    }
    tl_text_add_bytes(text, "\"", 1);
}

void tl_csv_add_double(tl_text *text, double value)
{
    if (isnan(value)) {
        tl_csv_add(text, "");
        return;
    }
    add_comma(text);
    tl_text_add_double(text, value);
}

void tl_csv_end(tl_text *text)
{
    tl_text_add_bytes(text, "\n", 1);
}
