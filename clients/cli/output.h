/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_CLI_OUTPUT_H
#define TL_CLIENTS_CLI_OUTPUT_H

/*
 * What commands share: saying what went wrong, reading files, printing results.
 *
 * Nothing but the result goes to standard output (or --out); errors, warnings
 * and notes go to standard error behind the command's title. The functions that
 * return int return the exit status to leave with.
 */

#include "base/text.h"
#include "clients/cli/command.h"

/* A line on standard error: "tailor measure import: ...". */
void tl_cli_say(const tl_cli *cli, const char *format, ...) TL_PRINTF(2, 3);

/* Says why the last call of libtailor failed. */
int tl_cli_refused(const tl_cli *cli, tailor_err err);

/* Says why the last call of ours failed. */
int tl_cli_failed(const tl_cli *cli, tl_err err);

/*
 * The whole file, for tl_mem_free(); "-" is standard input. Fails as
 * tl_file_read() does, and with TL_EINVAL on an empty file.
 */
TL_MUST_USE tl_err tl_cli_read_file(const char *path, char **out_data, size_t *out_len);

/* Shows the warnings of the last call, then writes text to --out, where nothing else is left, or
 * to standard output. */
int tl_cli_print(const tl_cli *cli, const tl_text *text);

/* The same for a text that comes in parts: those behind the first are appended. */
int tl_cli_print_part(const tl_cli *cli, const tl_text *text, bool is_first);

typedef enum tl_style {
    TL_STYLE_CSV,
    TL_STYLE_ALIGNED,
} tl_style;

/* Prints the table: JSON with --json, aligned with --table, else in the given style. */
int tl_cli_print_table(const tl_cli *cli, const tailor_table *table, tl_style style);

/* The same, and frees it. */
int tl_cli_print_table_take(const tl_cli *cli, tailor_table *table, tl_style style);

/* Prints a name that was added or removed: alone, or as {"key": name}. */
int tl_cli_print_name(const tl_cli *cli, const char *key, const char *name);

/* Appends a text with its line ended, or {"key": name, "text_key": text} with --json. */
void tl_cli_add_document(
    const tl_cli *cli,
    const char *key,
    const char *name,
    const char *text_key,
    const char *text,
    tl_text *out);

/* Prints such a text of the daemon, and frees it. */
int tl_cli_print_document_take(
    const tl_cli *cli, const char *key, const char *name, const char *text_key, char *text);

#endif
