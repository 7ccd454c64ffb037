/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One network for each device of a table, which may be longer than memory: it is read, asked
 * about and printed in pieces.
 *
 *     fleet SPACE MAX_LATENCY_MS < devices.csv > designs.csv
 *
 * The table has a column device with registered names, or columns named like the keys of a
 * profile (class, cores, peak_gflops.fp32, ...).
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tailor.h>

enum {
    ROWS = 500, /* of a piece; 4,096 at most */
    LINE_BYTES = 1024,
    PIECE_BYTES = ROWS * LINE_BYTES
};

/* Lines of the table: the header, then those of a piece. */
static char piece[PIECE_BYTES];

static int fail(const char *detail)
{
    (void)fprintf(stderr, "fleet: %s\n", detail);
    return EXIT_FAILURE;
}

/* Adds whole lines behind the first len bytes of the piece; returns how many. */
static size_t read_rows(size_t *len)
{
    size_t n_rows = 0;
    while (n_rows < ROWS - 1 && *len + LINE_BYTES < PIECE_BYTES &&
           fgets(piece + *len, LINE_BYTES, stdin) != NULL) {
        *len += strlen(piece + *len);
        n_rows++;
    }
    return n_rows;
}

/* A field of CSV. */
static void print_field(const char *text)
{
    if (strpbrk(text, ",\"\n") == NULL) {
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

static int answer_all(tailor_client *client, const char *space, double max_latency_ms)
{
    uint64_t n_done = 0, n_infeasible = 0, n_failed = 0;
    if (fgets(piece, LINE_BYTES, stdin) == NULL) {
        return fail("the table is empty");
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
    }
    (void)fprintf(
        stderr, "fleet: %llu rows, %llu with the nearest design, %llu without one\n",
        (unsigned long long)n_done, (unsigned long long)n_infeasible,
        (unsigned long long)n_failed);
    return n_failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
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
