/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/output.h"

#include "base/file.h"
#include "base/mem.h"
#include "clients/cli/render.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void tl_cli_say(const tl_cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "%s: ", cli->title);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
}

int tl_cli_refused(const tl_cli *cli, tailor_err err)
{
    const char *detail = tailor_err_detail();
    tl_cli_say(cli, "%s", detail[0] != '\0' ? detail : tailor_err_name(err));
    return TL_EXIT_FAILED;
}

int tl_cli_failed(const tl_cli *cli, tl_err err)
{
    const char *detail = tl_err_detail();
    tl_cli_say(cli, "%s", detail[0] != '\0' ? detail : tl_err_message(err));
    return TL_EXIT_FAILED;
}

tl_err tl_cli_read_file(const char *path, char **out_data, size_t *out_len)
{
    bool is_input = strcmp(path, "-") == 0;
    char *data = NULL;
    size_t len = 0;
    TL_TRY(tl_file_read(is_input ? "/dev/stdin" : path, TAILOR_MAX_MESSAGE_BYTES, &data, &len));
    if (len == 0) {
        tl_mem_free(data);
        return tl_fail(TL_EINVAL, "%s: the file is empty", path);
    }
    *out_data = data;
    *out_len = len;
    return TL_OK;
}

static int write_text(const tl_cli *cli, FILE *file, const char *path, const tl_text *text)
{
    errno = 0;
    bool is_written = (text->len == 0 || fwrite(text->data, 1, text->len, file) == text->len) &&
                      fflush(file) == 0;
    if (!is_written) {
        tl_cli_say(cli, "%s: %s", path, strerror(errno));
    }
    return is_written ? TL_EXIT_DONE : TL_EXIT_FAILED;
}

int tl_cli_print(const tl_cli *cli, const tl_text *text)
{
    return tl_cli_print_part(cli, text, true);
}

int tl_cli_print_part(const tl_cli *cli, const tl_text *text, bool is_first)
{
    for (size_t i = 0; cli->client != NULL && i < tailor_n_warnings(cli->client); i++) {
        tl_cli_say(cli, "warning: %s", tailor_warning(cli->client, i));
    }
    tl_err err = tl_text_err(text);
    if (err != TL_OK) {
        return tl_cli_failed(cli, err);
    }
    const char *path = cli->args->out;
    if (text->len == 0 && (path == NULL || !is_first)) {
        return TL_EXIT_DONE;
    }
    if (path == NULL) {
        return write_text(cli, stdout, "standard output", text);
    }
    FILE *file = fopen(path, is_first ? "wb" : "ab");
    if (file == NULL) {
        tl_cli_say(cli, "%s: %s", path, strerror(errno));
        return TL_EXIT_FAILED;
    }
    int status = write_text(cli, file, path, text);
    if (fclose(file) != 0 && status == TL_EXIT_DONE) {
        tl_cli_say(cli, "%s: %s", path, strerror(errno));
        status = TL_EXIT_FAILED;
    }
    return status;
}

int tl_cli_print_table(const tl_cli *cli, const tailor_table *table, tl_style style)
{
    tl_text text = {0};
    if (cli->args->is_json) {
        tl_render_json_lines(table, &text);
    } else if (cli->args->is_table || style == TL_STYLE_ALIGNED) {
        tl_render_aligned(table, &text);
    } else {
        tl_render_csv(table, &text);
    }
    int status = tl_cli_print(cli, &text);
    tl_text_done(&text);
    return status;
}

int tl_cli_print_table_take(const tl_cli *cli, tailor_table *table, tl_style style)
{
    int status = tl_cli_print_table(cli, table, style);
    tailor_table_free(table);
    return status;
}

int tl_cli_print_name(const tl_cli *cli, const char *key, const char *name)
{
    tl_text text = {0};
    if (cli->args->is_json) {
        tl_json_begin(&text);
        tl_json_text(&text, key, name);
        tl_json_end(&text);
    } else {
        tl_text_addf(&text, "%s\n", name);
    }
    int status = tl_cli_print(cli, &text);
    tl_text_done(&text);
    return status;
}

void tl_cli_add_document(
    const tl_cli *cli,
    const char *key,
    const char *name,
    const char *text_key,
    const char *text,
    tl_text *out)
{
    if (cli->args->is_json) {
        tl_json_begin(out);
        tl_json_text(out, key, name);
        tl_json_text(out, text_key, text);
        tl_json_end(out);
    } else {
        size_t len = strlen(text);
        tl_text_add(out, text);
        tl_text_add(out, len > 0 && text[len - 1] != '\n' ? "\n" : "");
    }
}

int tl_cli_print_document_take(
    const tl_cli *cli, const char *key, const char *name, const char *text_key, char *text)
{
    tl_text out = {0};
    tl_cli_add_document(cli, key, name, text_key, text, &out);
    int status = tl_cli_print(cli, &out);
    tl_text_done(&out);
    tailor_text_free(text);
    return status;
}
