/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/fleet_out.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    CHUNK_BYTES = 64 * 1024,
    NEW_FILE_MODE = 0666
};

struct tl_fleet_out {
    tl_fleet_out_options options;
    /* The file that is written to: a new one beside its place where it is to be whole. */
    char path[PATH_BYTES];
    FILE *file;
    tl_text header;   /* of the file that is continued; without data: none */
    bool is_replaced; /* what stood in the file goes when the first rows come */
    bool is_begun;    /* the header stands */
    bool is_finished;
};

static tl_err fail_io(const tl_fleet_out *out)
{
    const char *path = out->options.path != NULL ? out->options.path : "standard output";
    return tl_fail(TL_EIO, "%s: %s", path, strerror(errno));
}

static tl_err fail_other(const tl_fleet_out *out)
{
    return tl_fail(
        TL_ESTATE, "%s: its columns are not those of this run; it cannot be resumed",
        out->options.path);
}

/* ---- continuing a file ------------------------------------------------------------------- */

typedef struct survey {
    bool is_csv;
    tl_text record;    /* the one that is read */
    bool is_quoted;    /* within a field in quotes: a line break ends nothing */
    uint64_t n;        /* whole records */
    long whole_bytes;  /* up to the end of the last of them */
    tl_fleet_count of; /* the rows among them */
} survey;

/* The last two columns are p_feasible, which only designs have, and error. */
static void judge_csv(const tl_text *record, bool *out_has_error, bool *out_has_design)
{
    bool is_quoted = false;
    size_t len = 0;
    size_t len_before = 0;
    for (size_t i = 0; i < record->len; i++) {
        is_quoted = is_quoted != (record->data[i] == '"');
        if (record->data[i] == ',' && !is_quoted) {
            len_before = len;
            len = 0;
        } else if (record->data[i] != '\n' && record->data[i] != '\r') {
            len++;
        }
    }
    *out_has_error = len > 0;
    *out_has_design = len_before > 0;
}

/* In a text of JSON no mark stands as it is, so these are what they look like. */
static void judge_json(const tl_text *record, bool *out_has_error, bool *out_has_design)
{
    *out_has_error = strstr(record->data, ",\"error\":\"\"}") == NULL;
    *out_has_design = strstr(record->data, ",\"p_feasible\":null") == NULL;
}

static tl_err end_record(survey *s)
{
    bool has_error = false;
    bool has_design = false;
    TL_TRY(tl_text_err(&s->record));
    s->n++;
    if (!s->is_csv || s->n > 1) {
        (s->is_csv ? judge_csv : judge_json)(&s->record, &has_error, &has_design);
        s->of.n_rows++;
        s->of.n_infeasible += has_error && has_design;
        s->of.n_failed += has_error && !has_design;
    }
    return TL_OK;
}

/* Counts whole records; *out_first is the first one: the header, or a row of JSON. */
static tl_err survey_bytes(survey *s, const char *bytes, size_t len, tl_text *out_first)
{
    for (size_t i = 0; i < len; i++) {
        tl_text_add_bytes(&s->record, &bytes[i], 1);
        s->is_quoted = s->is_quoted != (s->is_csv && bytes[i] == '"');
        if (bytes[i] == '\n' && !s->is_quoted) {
            TL_TRY(end_record(s));
            if (s->n == 1) {
                tl_text_add_bytes(out_first, s->record.data, s->record.len);
            }
            s->whole_bytes += (long)s->record.len;
            tl_text_clear(&s->record);
        }
    }
    return TL_OK;
}

static tl_err survey_file(tl_fleet_out *out, survey *s)
{
    char *chunk = tl_mem_new(CHUNK_BYTES, 1);
    tl_err err = TL_OK;
    size_t len = 0;
    if (chunk == NULL) {
        return tl_fail(TL_ENOMEM, "%s", out->path);
    }
    s->is_csv = out->options.has_header;
    while (err == TL_OK && (len = fread(chunk, 1, CHUNK_BYTES, out->file)) > 0) {
        err = survey_bytes(s, chunk, len, &out->header);
    }
    tl_mem_free(chunk);
    tl_text_done(&s->record);
    TL_TRY(err);
    return ferror(out->file) ? fail_io(out) : tl_text_err(&out->header);
}

static tl_err continue_file(tl_fleet_out *out, tl_fleet_count *out_done)
{
    survey s = {.n = 0};
    out->file = fopen(out->path, "r+b");
    if (out->file == NULL && errno == ENOENT) {
        return TL_OK;
    }
    if (out->file == NULL) {
        return fail_io(out);
    }
    TL_TRY(survey_file(out, &s));
    if (!out->options.has_header && s.n > 0 && out->header.data[0] != '{') {
        return fail_other(out);
    }
    if (fseek(out->file, s.whole_bytes, SEEK_SET) != 0 ||
        ftruncate(fileno(out->file), s.whole_bytes) != 0) {
        return fail_io(out);
    }
    if (!out->options.has_header) {
        tl_text_done(&out->header);
    }
    out->is_begun = s.n > 0;
    *out_done = s.of;
    return TL_OK;
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Two runs of one shard, on two machines maybe, write to two files. */
static tl_err name_part(const tl_fleet_out_options *options, tl_fleet_out *out)
{
    int len = options->is_whole ? snprintf(
                                      out->path, sizeof out->path, "%s.%ld-%lld.part",
                                      options->path, (long)getpid(), (long long)tl_clock_ns())
                                : snprintf(out->path, sizeof out->path, "%s", options->path);
    return len >= 0 && (size_t)len < sizeof out->path
               ? TL_OK
               : tl_fail(TL_EINVAL, "--out: the name is too long");
}

static tl_err open_new(tl_fleet_out *out)
{
    int flags = out->options.is_whole ? O_EXCL : 0;
    int fd = open(out->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | flags, NEW_FILE_MODE);
    if (fd < 0) {
        return fail_io(out);
    }
    out->file = fdopen(fd, "ab");
    if (out->file == NULL) {
        (void)close(fd);
        return tl_fail(TL_ENOMEM, "%s", out->path);
    }
    out->is_replaced = true;
    return TL_OK;
}

static tl_err open_file(tl_fleet_out *out, tl_fleet_count *out_done)
{
    const tl_fleet_out_options *options = &out->options;
    TL_TRY(name_part(options, out));
    if (options->is_resumed && !options->is_whole) {
        TL_TRY(continue_file(out, out_done));
    }
    return out->file == NULL ? open_new(out) : TL_OK;
}

tl_err tl_fleet_out_open(
    const tl_fleet_out_options *options, tl_fleet_out **out_out, tl_fleet_count *out_done)
{
    tl_fleet_count done = {0};
    tl_err err = TL_OK;
    tl_fleet_out *out = tl_mem_new(1, sizeof *out);
    if (out == NULL) {
        return tl_fail(TL_ENOMEM, "the output");
    }
    out->options = *options;
    if (options->path == NULL) {
        out->file = stdout;
    } else {
        err = open_file(out, &done);
    }
    if (err != TL_OK) {
        tl_fleet_out_close(out);
        return err;
    }
    *out_out = out;
    *out_done = done;
    return TL_OK;
}

tl_err tl_fleet_out_count(const tl_fleet_out_options *options, tl_fleet_count *out_done)
{
    survey s = {.n = 0};
    tl_fleet_out out = {.options = *options};
    (void)snprintf(out.path, sizeof out.path, "%s", options->path);
    out.file = fopen(options->path, "rb");
    if (out.file == NULL) {
        return fail_io(&out);
    }
    tl_err err = survey_file(&out, &s);
    (void)fclose(out.file);
    tl_text_done(&out.header);
    if (err == TL_OK) {
        *out_done = s.of;
    }
    return err;
}

/* A pipe or a terminal: neither cut nor made durable. */
static bool is_no_file(const tl_fleet_out *out)
{
    struct stat status;
    return fstat(fileno(out->file), &status) == 0 && !S_ISREG(status.st_mode);
}

static tl_err replace(tl_fleet_out *out)
{
    bool is_cut = out->is_replaced && !is_no_file(out);
    out->is_replaced = false;
    return is_cut && ftruncate(fileno(out->file), 0) != 0 ? fail_io(out) : TL_OK;
}

static size_t header_bytes(const tl_fleet_out *out, const tl_text *text)
{
    const char *end = out->options.has_header ? strchr(text->data, '\n') : NULL;
    return end != NULL ? (size_t)(end - text->data) + 1 : 0;
}

tl_err tl_fleet_out_add(tl_fleet_out *out, const tl_text *text)
{
    TL_TRY(tl_text_err(text));
    if (text->len == 0) {
        return TL_OK;
    }
    size_t header = header_bytes(out, text);
    if (out->header.data != NULL &&
        (out->header.len != header || memcmp(out->header.data, text->data, header) != 0)) {
        return fail_other(out);
    }
    TL_TRY(replace(out));
    size_t skipped = out->is_begun ? header : 0;
    size_t len = text->len - skipped;
    errno = 0;
    if (fwrite(text->data + skipped, 1, len, out->file) != len || fflush(out->file) != 0) {
        return fail_io(out);
    }
    out->is_begun = true;
    return TL_OK;
}

/* The name goes to a file that is whole and durable. */
static tl_err put_in_place(tl_fleet_out *out)
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(out->options.path, '/');
    int len = slash != NULL ? (int)(slash - out->options.path) + 1 : 0;
    (void)snprintf(folder, sizeof folder, "%.*s", len, out->options.path);
    if (out->options.is_whole && rename(out->path, out->options.path) != 0) {
        return fail_io(out);
    }
    out->is_finished = true;
    return tl_file_sync_dir(len > 0 ? folder : ".");
}

tl_err tl_fleet_out_finish(tl_fleet_out *out)
{
    if (out->options.path == NULL || is_no_file(out)) {
        return fflush(out->file) == 0 ? TL_OK : fail_io(out);
    }
    TL_TRY(replace(out)); /* no row came */
    if (fflush(out->file) != 0 || fsync(fileno(out->file)) != 0) {
        return fail_io(out);
    }
    return put_in_place(out);
}

void tl_fleet_out_close(tl_fleet_out *out)
{
    if (out == NULL) {
        return;
    }
    if (out->file != NULL && out->options.path != NULL) {
        (void)fclose(out->file);
        if (out->options.is_whole && !out->is_finished) {
            (void)unlink(out->path);
        }
    }
    tl_text_done(&out->header);
    tl_mem_free(out);
}
