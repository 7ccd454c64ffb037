/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/fleet_rows.h"

#include "base/csv.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

enum {
    CHUNK_BYTES = 16 * 1024,
    PATH_BYTES = 512
};

/* Rows that were read and not yet handed on stand in `waiting`, one after the other. */
struct tl_fleet_rows {
    char path[PATH_BYTES]; /* cut, for errors */
    FILE *file;
    tl_csv_reader *reader;
    tl_text header;
    tl_text waiting; /* CSV of rows */
    size_t *ends;    /* [capacity]: where each waiting row ends */
    uint64_t *lines; /* [capacity]: where it stands in the file */
    bool *is_apart;  /* [capacity]: it does not follow on the line after the row before */
    size_t n_waiting, n_taken, capacity;
    uint64_t n_rows;    /* read so far, passed over or not */
    uint64_t next_line; /* after the last row */
    uint64_t first, end;
    bool has_header, is_at_end;
    bool is_begun; /* a piece was handed on */
};

void tl_fleet_piece_done(tl_fleet_piece *piece)
{
    tl_text_done(&piece->csv);
    *piece = (tl_fleet_piece){0};
}

static tl_err grow(tl_fleet_rows *rows)
{
    if (rows->n_waiting < rows->capacity) {
        return TL_OK;
    }
    size_t capacity = rows->capacity > 0 ? 2 * rows->capacity : TL_FLEET_PIECE_ROWS;
    size_t *ends = tl_mem_resize(rows->ends, capacity, sizeof *ends);
    if (ends == NULL) {
        return tl_fail(TL_ENOMEM, "rows of %s", rows->path);
    }
    rows->ends = ends;
    uint64_t *lines = tl_mem_resize(rows->lines, capacity, sizeof *lines);
    if (lines == NULL) {
        return tl_fail(TL_ENOMEM, "rows of %s", rows->path);
    }
    rows->lines = lines;
    bool *is_apart = tl_mem_resize(rows->is_apart, capacity, sizeof *is_apart);
    if (is_apart == NULL) {
        return tl_fail(TL_ENOMEM, "rows of %s", rows->path);
    }
    rows->is_apart = is_apart;
    rows->capacity = capacity;
    return TL_OK;
}

static void add_record(tl_text *text, const tl_csv_record *record)
{
    for (size_t i = 0; i < record->n_fields; i++) {
        tl_csv_add(text, record->fields[i]);
    }
    tl_csv_end(text);
}

/* Line breaks as the reader counts them: CR, LF and CRLF. */
static uint64_t count_lines(const char *text, size_t len)
{
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++) {
        bool is_rest_of_crlf = text[i] == '\n' && i > 0 && text[i - 1] == '\r';
        n += text[i] == '\r' || (text[i] == '\n' && !is_rest_of_crlf);
    }
    return n;
}

static tl_err on_record(void *context, const tl_csv_record *record)
{
    tl_fleet_rows *rows = context;
    if (!rows->has_header) {
        rows->has_header = true;
        add_record(&rows->header, record);
        return tl_text_err(&rows->header);
    }
    uint64_t row = rows->n_rows++;
    if (row < rows->first || row >= rows->end) {
        return TL_OK;
    }
    TL_TRY(grow(rows));
    size_t begin = rows->waiting.len;
    uint64_t line = (uint64_t)record->line;
    add_record(&rows->waiting, record);
    TL_TRY(tl_text_err(&rows->waiting));
    rows->ends[rows->n_waiting] = rows->waiting.len;
    rows->is_apart[rows->n_waiting] = line != rows->next_line;
    rows->lines[rows->n_waiting++] = line;
    rows->next_line = line + count_lines(rows->waiting.data + begin, rows->waiting.len - begin);
    return TL_OK;
}

tl_err tl_fleet_rows_open(const char *path, tl_fleet_rows **out_rows)
{
    tl_err err = TL_OK;
    tl_fleet_rows *rows = tl_mem_new(1, sizeof *rows);
    if (rows == NULL) {
        return tl_fail(TL_ENOMEM, "rows of %s", path);
    }
    (void)snprintf(rows->path, sizeof rows->path, "%s", path);
    rows->end = UINT64_MAX;
    rows->file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (rows->file == NULL) {
        err = tl_fail(errno == ENOENT ? TL_ENOTFOUND : TL_EIO, "%s: %s", path, strerror(errno));
    } else {
        err = tl_csv_reader_new(NULL, on_record, rows, &rows->reader);
    }
    if (err != TL_OK) {
        tl_fleet_rows_close(rows);
        return err;
    }
    *out_rows = rows;
    return TL_OK;
}

void tl_fleet_rows_close(tl_fleet_rows *rows)
{
    if (rows == NULL) {
        return;
    }
    if (rows->file != NULL && rows->file != stdin) {
        (void)fclose(rows->file);
    }
    tl_csv_reader_free(rows->reader);
    tl_text_done(&rows->header);
    tl_text_done(&rows->waiting);
    tl_mem_free(rows->ends);
    tl_mem_free(rows->lines);
    tl_mem_free(rows->is_apart);
    tl_mem_free(rows);
}

void tl_fleet_rows_restrict(tl_fleet_rows *rows, uint64_t first, uint64_t end)
{
    rows->first = first;
    rows->end = end;
}

/* Feeds the reader once. */
static tl_err read_more(tl_fleet_rows *rows)
{
    char chunk[CHUNK_BYTES];
    size_t len = fread(chunk, 1, sizeof chunk, rows->file);
    if (ferror(rows->file)) {
        return tl_fail(TL_EIO, "%s: %s", rows->path, strerror(errno));
    }
    tl_err err = len > 0 ? tl_csv_reader_feed(rows->reader, chunk, len) : TL_OK;
    if (err == TL_OK && len == 0) {
        rows->is_at_end = true;
        err = tl_csv_reader_finish(rows->reader);
    }
    return err == TL_OK ? TL_OK : tl_fail_in(err, "%s ", rows->path);
}

/* Forgets the rows that were handed on. */
static void compact(tl_fleet_rows *rows)
{
    size_t begin = rows->n_taken > 0 ? rows->ends[rows->n_taken - 1] : 0;
    size_t n_left = rows->n_waiting - rows->n_taken;
    if (rows->n_taken == 0) {
        return;
    }
    for (size_t i = 0; i < n_left; i++) {
        rows->ends[i] = rows->ends[rows->n_taken + i] - begin;
        rows->lines[i] = rows->lines[rows->n_taken + i];
        rows->is_apart[i] = rows->is_apart[rows->n_taken + i];
    }
    if (n_left == 0) {
        tl_text_clear(&rows->waiting);
    } else {
        memmove(rows->waiting.data, rows->waiting.data + begin, rows->waiting.len - begin + 1);
        rows->waiting.len -= begin;
    }
    rows->n_waiting = n_left;
    rows->n_taken = 0;
}

/* There is more to read that may matter. */
static bool wants_more(const tl_fleet_rows *rows)
{
    return !rows->is_at_end && rows->n_waiting < TL_FLEET_PIECE_ROWS &&
           rows->waiting.len < TL_FLEET_PIECE_BYTES &&
           (!rows->has_header || rows->n_rows < rows->end);
}

/* How many of the waiting rows make the next piece. */
static size_t piece_rows(const tl_fleet_rows *rows)
{
    size_t n = 0;
    while (n < rows->n_waiting && n < TL_FLEET_PIECE_ROWS &&
           (n == 0 || (!rows->is_apart[n] && rows->ends[n] <= TL_FLEET_PIECE_BYTES))) {
        n++;
    }
    return n;
}

tl_err tl_fleet_rows_next(tl_fleet_rows *rows, tl_fleet_piece *out_piece)
{
    compact(rows);
    while (wants_more(rows)) {
        TL_TRY(read_more(rows));
    }
    if (!rows->has_header) {
        return tl_fail(TL_EINVAL, "%s: got an empty file, want a header and rows", rows->path);
    }
    size_t n = piece_rows(rows);
    if (n == 0 && rows->is_begun) {
        return TL_OK;
    }
    rows->is_begun = true;
    tl_text_add_bytes(&out_piece->csv, rows->header.data, rows->header.len);
    if (n > 0) {
        tl_text_add_bytes(&out_piece->csv, rows->waiting.data, rows->ends[n - 1]);
        out_piece->first_line = rows->lines[0];
    }
    out_piece->n_rows = n;
    rows->n_taken = n;
    return tl_text_err(&out_piece->csv);
}

tl_err tl_fleet_rows_count(const char *path, uint64_t *out_n)
{
    tl_fleet_rows *rows = NULL;
    tl_err err = TL_OK;
    TL_TRY(tl_fleet_rows_open(path, &rows));
    tl_fleet_rows_restrict(rows, UINT64_MAX, UINT64_MAX);
    while (!rows->is_at_end && err == TL_OK) {
        err = read_more(rows);
    }
    if (err == TL_OK) {
        *out_n = rows->n_rows;
    }
    tl_fleet_rows_close(rows);
    return err;
}
