/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One network for each device of a table, which may be longer than memory: it is read, asked
 * about and printed in pieces.
 *
 *     fleet SPACE MAX_LATENCY_MS < devices.csv > designs.csv
 *
 * The table has a column device with registered names, or columns named like the keys of a
 * profile (class, cores, peak_gflops.fp32, ...). To stay short this program reads it line by
 * line: no line may be longer than 1,022 bytes, hold part of a cell (no line break stands within
 * quotation marks) or be blank. It says which one is, and ends there; `tailor fleet` takes them
 * all. It leaves with 1 when a row has no design, with 3 when a row has the nearest one only.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tailor.h>

enum {
    ROWS = 500,        /* of a piece; 4,096 at most */
    LINE_BYTES = 1024, /* with the line break and the NUL */
    PIECE_BYTES = ROWS * LINE_BYTES,
    EXIT_INFEASIBLE = 3
};

/* Lines of the table: the header, then those of a piece. */
static char piece[PIECE_BYTES];

static int fail(const char *detail)
{
    (void)fprintf(stderr, "fleet: %s\n", detail);
    return EXIT_FAILURE;
}

/* Which line was read last, and what is wrong with it; NULL: nothing. */
static unsigned long long line_number;
static const char *wrong;

/* Whether the line opens a cell that it does not close: then its row goes on in the next line. */
static bool is_part_of_row(const char *line)
{
    bool is_quoted = false;
    for (; *line != '\0'; line++) {
        is_quoted = is_quoted != (*line == '"');
    }
    return is_quoted;
}

/* Reads a line to where LINE_BYTES are free; false at the end, or when something is wrong. */
static bool read_line(char *line)
{
    if (fgets(line, LINE_BYTES, stdin) == NULL) {
        wrong = ferror(stdin) ? "cannot be read" : NULL;
        line_number += ferror(stdin) ? 1 : 0;
        return false;
    }
    line_number++;
    size_t len = strlen(line);
    if (len == 0 || (line[len - 1] != '\n' && !feof(stdin))) {
        wrong = "is too long, or has a NUL";
    } else if (line[strspn(line, "\r\n")] == '\0') {
        wrong = "is blank";
    } else if (is_part_of_row(line)) {
        wrong = "ends within quotation marks";
    }
    return wrong == NULL;
}

/* Adds whole lines behind the first len bytes of the piece; returns how many. */
static size_t read_rows(size_t *len)
{
    size_t n_rows = 0;
    while (n_rows < ROWS - 1 && read_line(piece + *len)) {
        *len += strlen(piece + *len);
        n_rows++;
    }
    return n_rows;
}

/* A field of CSV. */
static void print_field(const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        (void)fputs(text, stdout);
        return;
    }
    (void)putchar('"');
    for (; *text != '\0'; text++) {
        (void)putchar(*text);
        if (*text == '"') {
            (void)putchar('"');
        }
    }
    (void)putchar('"');
}

static void print_rows(const tailor_table *table, bool with_header)
{
    char cell[TAILOR_CELL_BYTES];
    size_t n_columns = tailor_table_n_columns(table);
    for (size_t c = 0; with_header && c < n_columns; c++) {
        print_field(tailor_table_name(table, c));
        (void)putchar(c + 1 < n_columns ? ',' : '\n');
    }
    for (size_t row = 0; row < tailor_table_n_rows(table); row++) {
        for (size_t c = 0; c < n_columns; c++) {
            print_field(tailor_table_cell(table, c, row, cell));
            (void)putchar(c + 1 < n_columns ? ',' : '\n');
        }
    }
}

static int fail_at_line(void)
{
    (void)fprintf(stderr, "fleet: line %llu %s\n", line_number, wrong);
    return EXIT_FAILURE;
}

static int answer_all(tailor_client *client, const char *space, double max_latency_ms)
{
    uint64_t n_done = 0, n_infeasible = 0, n_failed = 0;
    if (!read_line(piece)) {
        return wrong != NULL ? fail_at_line() : fail("the table is empty");
    }
    size_t header_len = strlen(piece);
    for (;;) {
        size_t len = header_len;
        size_t n_rows = read_rows(&len);
        tailor_fleet_part *part = NULL;
        const tailor_fleet_options options = {
            .space = space,
            .max_latency_ms = &max_latency_ms,
            .origin = "standard input",
            .first_line = n_done + 2, /* after the header */
            .csv = piece,
            .csv_len = len};
        if (wrong != NULL) {
            return fail_at_line();
        }
        if (n_rows == 0) {
            break;
        }
        if (tailor_fleet(client, &options, &part) != TAILOR_OK) {
            return fail(tailor_err_detail());
        }
        print_rows(part->table, n_done == 0);
        n_done += n_rows;
        n_infeasible += part->n_infeasible;
        n_failed += part->n_failed;
        tailor_fleet_part_free(part);
        if (fflush(stdout) != 0) {
            return fail("the designs cannot be written");
        }
    }
    (void)fprintf(
        stderr, "fleet: %llu rows, %llu with the nearest design, %llu without one\n",
        (unsigned long long)n_done, (unsigned long long)n_infeasible,
        (unsigned long long)n_failed);
    return n_failed > 0 ? EXIT_FAILURE : n_infeasible > 0 ? EXIT_INFEASIBLE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    tailor_client *client = NULL;
    if (argc != 3) {
        return fail("usage: fleet SPACE MAX_LATENCY_MS < devices.csv");
    }
    if (tailor_open(NULL, &client) != TAILOR_OK) {
        return fail(tailor_err_detail());
    }
    int status = answer_all(client, argv[1], strtod(argv[2], NULL));
    tailor_close(client);
    return status;
}
