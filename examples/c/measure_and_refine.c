/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Measures a device where that teaches most, asks for the best network under a limit, measures
 * that one too, and goes on until a measured network keeps the limit.
 *
 *     measure_and_refine SPACE DEVICE MAX_LATENCY_MS
 *
 * The clock is made up: measure() below computes a time out of a network's operators. Put your
 * own there, or let tailor-agent measure where it runs.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tailor.h>

enum {
    FIRST_COUNT = 10, /* designs to measure before the first question */
    MORE_COUNT = 5,
    MAX_ROUNDS = 10,
    CSV_BYTES = 64 * 1024
};

/* A table on its way to the daemon. */
typedef struct text {
    size_t len, read;
    char data[CSV_BYTES];
} text;

static int fail(const char *doing)
{
    (void)fprintf(stderr, "measure_and_refine: %s: %s\n", doing, tailor_err_detail());
    return EXIT_FAILURE;
}

static void add(text *out, const char *field, const char *end)
{
    size_t left = sizeof out->data - out->len;
    int len = snprintf(out->data + out->len, left, "%s%s", field, end);
    if (len < 0 || (size_t)len >= left) {
        (void)fprintf(stderr, "measure_and_refine: the table is too long\n");
        exit(EXIT_FAILURE);
    }
    out->len += (size_t)len;
}

/* ---- the clock, made up ---------------------------------------------------------------------- */

static double measure(const tailor_network *network)
{
    double ms = 0.2;
    for (size_t i = 0; i < network->n_ops; i++) {
        const tailor_op *op = &network->ops[i];
        double pixels = (double)op->out_size * op->out_size;
        double weights = strcmp(op->kind, "conv") == 0
                             ? (double)op->in_ch * op->kernel * op->kernel / op->groups
                             : 1.0;
        if (op->is_reached && op->is_needed) {
            ms += 0.005 + pixels * op->out_ch * (weights * 4e-8 + 1e-7);
        }
    }
    return ms;
}

/* ---- designs as CSV ------------------------------------------------------------------------------ */

/* The designs of table's first n_slots columns, alone or with their latencies. */
static void write_designs(
    const tailor_table *table, size_t n_slots, const char *device, const double *ms, text *out)
{
    char cell[TAILOR_CELL_BYTES];
    const char *last = ms != NULL ? "," : "\n";
    out->len = out->read = 0;
    for (size_t c = 0; c < n_slots; c++) {
        add(out, tailor_table_name(table, c), c + 1 < n_slots ? "," : last);
    }
    if (ms != NULL) {
        add(out, "latency_ms@", device);
        add(out, "", "\n");
    }
    for (size_t row = 0; row < tailor_table_n_rows(table); row++) {
        for (size_t c = 0; c < n_slots; c++) {
            const char *choice = tailor_table_cell(table, c, row, cell);
            add(out, choice, c + 1 < n_slots ? "," : last);
        }
        if (ms != NULL) {
            (void)snprintf(cell, sizeof cell, "%.6g", ms[row]);
            add(out, cell, "\n");
        }
    }
}

static int read_text(void *context, char *buffer, size_t capacity, size_t *out_len)
{
    text *from = context;
    size_t left = from->len - from->read;
    *out_len = left < capacity ? left : capacity;
    memcpy(buffer, from->data + from->read, *out_len);
    from->read += *out_len;
    return 0;
}

/* ---- the loop ---------------------------------------------------------------------------------------- */

typedef struct refinement {
    tailor_client *client;
    const char *space, *device;
    double max_latency_ms;
    text csv;
} refinement;

/* Measures the designs of table (FIRST_COUNT at most) and tells the daemon. */
static tailor_err measure_and_import(
    refinement *r, const tailor_table *table, size_t n_slots, double ms[FIRST_COUNT])
{
    tailor_lowered *lowered = NULL;
    tailor_import_report *report = NULL;
    write_designs(table, n_slots, r->device, NULL, &r->csv);
    tailor_err err =
        tailor_space_lower(r->client, r->space, "designs", r->csv.data, r->csv.len, &lowered);
    if (err != TAILOR_OK) {
        return err;
    }
    for (size_t i = 0; i < lowered->n_networks && i < FIRST_COUNT; i++) {
        ms[i] = measure(&lowered->networks[i]);
    }
    tailor_lowered_free(lowered);
    write_designs(table, n_slots, r->device, ms, &r->csv);
    err =
        tailor_measure_import(r->client, r->space, "measurements", read_text, &r->csv, &report);
    tailor_import_report_free(report);
    return err;
}

static tailor_err learn(refinement *r, uint32_t count)
{
    double ms[FIRST_COUNT] = {0};
    tailor_table *table = NULL;
    const tailor_suggest_options options = {
        .space = r->space, .device = r->device, .count = count};
    tailor_err err = tailor_measure_suggest(r->client, &options, &table);
    if (err == TAILOR_OK) {
        /* All columns but the last, which waits to be filled in. */
        err = measure_and_import(r, table, tailor_table_n_columns(table) - 1, ms);
    }
    tailor_table_free(table);
    return err;
}

/* The best design by what is known now, and what it really takes. */
static tailor_err try_design(refinement *r, bool *out_is_kept)
{
    double ms[FIRST_COUNT] = {0};
    tailor_answer *answer = NULL;
    const tailor_design_options options = {
        .space = r->space, .device = r->device, .max_latency_ms = &r->max_latency_ms};
    tailor_err err = tailor_design(r->client, &options, &answer);
    if (err != TAILOR_OK) {
        return err;
    }
    size_t latency = tailor_table_find(answer->table, "latency_ms");
    size_t accuracy = tailor_table_find(answer->table, "accuracy");
    err = measure_and_import(r, answer->table, latency, ms);
    if (err == TAILOR_OK) {
        (void)printf(
            "predicted %.3g ms and %.4g%%, measured %.3g ms%s\n",
            tailor_table_number(answer->table, latency, 0),
            tailor_table_number(answer->table, accuracy, 0), ms[0],
            answer->is_infeasible ? " (no design is expected to keep the limit)" : "");
        *out_is_kept = ms[0] <= r->max_latency_ms;
        if (*out_is_kept) {
            write_designs(answer->table, latency, r->device, NULL, &r->csv);
            (void)fputs(r->csv.data, stdout);
        }
    }
    tailor_answer_free(answer);
    return err;
}

static int refine(refinement *r)
{
    bool is_kept = false;
    if (tailor_device_add_bare(r->client, r->device) != TAILOR_OK ||
        learn(r, FIRST_COUNT) != TAILOR_OK) {
        return fail("the first measurements");
    }
    for (int round = 1; round <= MAX_ROUNDS; round++) {
        if (try_design(r, &is_kept) != TAILOR_OK) {
            return fail("the design");
        }
        if (is_kept) {
            return EXIT_SUCCESS;
        }
        if (learn(r, MORE_COUNT) != TAILOR_OK) {
            return fail("more measurements");
        }
    }
    (void)fprintf(stderr, "measure_and_refine: no design kept the limit\n");
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static refinement r; /* its text is long */
    if (argc != 4) {
        (void)fprintf(stderr, "usage: measure_and_refine SPACE DEVICE MAX_LATENCY_MS\n");
        return EXIT_FAILURE;
    }
    r.space = argv[1];
    r.device = argv[2];
    r.max_latency_ms = strtod(argv[3], NULL);
    if (tailor_open(NULL, &r.client) != TAILOR_OK) {
        return fail("the client");
    }
    int status = refine(&r);
    tailor_close(r.client);
    return status;
}
