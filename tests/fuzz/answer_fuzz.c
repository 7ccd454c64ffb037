/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a daemon that nobody vouches for answers to libtailor. The library's own files run, but
 * for the connection: exchanges are answered out of the input, which is the number of a call and
 * pieces of a length (two bytes, little end first) and so many bytes.
 */

#include "base/mem.h"
#include "clients/c/impl.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

enum {
    LENGTH_BYTES = 2,
    MEMORY_PER_BYTE = 64,
    MIN_MEMORY = 4096
};

/* What is left of the input. */
static struct {
    const uint8_t *data;
    size_t len;
} input;

static const uint8_t *next_piece(size_t *out_len)
{
    if (input.len < LENGTH_BYTES) {
        *out_len = 0;
        return input.data;
    }
    size_t len = (size_t)input.data[0] | (size_t)input.data[1] << 8U;
    const uint8_t *piece = input.data + LENGTH_BYTES;
    len = len < input.len - LENGTH_BYTES ? len : input.len - LENGTH_BYTES;
    input.data += LENGTH_BYTES + len;
    input.len -= LENGTH_BYTES + len;
    *out_len = len;
    return piece;
}

/* In the place of client.c. */
tl_err tl_client_exchange(
    tailor_client *client, const tl_exchange *exchange, ProtobufCMessage **out_reply)
{
    size_t len = 0;
    const uint8_t *piece = next_piece(&len);
    (void)client;
    while (exchange->part != NULL && input.len > LENGTH_BYTES) {
        if (len == 1 && exchange->again != NULL) {
            exchange->again(exchange->context);
        } else if (exchange->part(exchange->context, piece, len) != TAILOR_OK) {
            return TL_EINVAL;
        }
        piece = next_piece(&len);
    }
    if (exchange->reply_type == NULL) {
        return TL_OK;
    }
    return tl_wire_unpack(
        exchange->reply_type, piece, len, len * MEMORY_PER_BYTE + MIN_MEMORY, out_reply);
}

tl_err tl_client_get_progress(
    tailor_client *client, tailor_progress_fn **out_progress, void **out_context)
{
    (void)client;
    *out_progress = NULL;
    *out_context = NULL;
    return TL_OK;
}

/* ---- all that can be read of an answer --------------------------------------------------- */

static size_t n_seen; /* keeps what is read from being optimized away */

static void see(const char *text)
{
    n_seen += text != NULL ? strlen(text) : 0;
}

static void see_all(size_t n, const char *const *texts)
{
    for (size_t i = 0; i < n; i++) {
        see(texts[i]);
    }
}

/* Takes table, which may be NULL. */
static void read_table(tailor_table *table)
{
    char cell[TAILOR_CELL_BYTES];
    for (size_t c = 0; table != NULL && c < tailor_table_n_columns(table); c++) {
        see(tailor_table_name(table, c));
        n_seen += tailor_table_find(table, tailor_table_name(table, c));
        for (size_t row = 0; row < tailor_table_n_rows(table); row++) {
            see(tailor_table_cell(table, c, row, cell));
            see(tailor_table_text(table, c, row));
            n_seen += tailor_table_number(table, c, row) > 0 ? 1 : 0;
        }
    }
    if (table != NULL) {
        bool has_columns = tailor_table_n_columns(table) > 0;
        tl_fuzz_check(has_columns || tailor_table_n_rows(table) == 0, "rows of nothing");
    }
    tailor_table_free(table);
}

static void read_answer(tailor_err err, tailor_answer *answer)
{
    if (err == TAILOR_OK) {
        see(answer->model);
        see(answer->task);
        see(answer->method);
        see(answer->front != NULL ? answer->front->cost : NULL);
        tailor_table **tables[] = {&answer->table, &answer->operators, &answer->slots};
        for (size_t i = 0; i < TL_COUNT(tables); i++) {
            read_table(*tables[i]);
            *tables[i] = NULL;
        }
    }
    tailor_answer_free(answer);
}

static void read_networks(const tailor_lowered *lowered)
{
    for (size_t i = 0; i < lowered->n_networks; i++) {
        for (size_t l = 0; l < lowered->networks[i].n_ops; l++) {
            const tailor_op *op = &lowered->networks[i].ops[l];
            see(op->kind);
            see(op->act);
            see(op->pre_act);
            for (size_t k = 0; k < op->n_inputs; k++) {
                bool is_before = op->inputs[k] >= -1 && op->inputs[k] < (int64_t)l;
                tl_fuzz_check(is_before, "an operator that reads a later one");
            }
        }
    }
}

/* ---- calls -------------------------------------------------------------------------------- */

static void ask_tables(tailor_client *client)
{
    tailor_table *list = NULL;
    tailor_table *exported = NULL;
    (void)tailor_device_list(client, &list);
    (void)tailor_measure_export(client, "toy", NULL, &exported);
    read_table(list);
    read_table(exported);
}

static void ask_texts(tailor_client *client)
{
    char *yaml = NULL;
    char *name = NULL;
    (void)tailor_space_show(client, "toy", &yaml);
    (void)tailor_space_add(client, "toy.yaml", "", 0, &name);
    see(yaml);
    see(name);
    tailor_text_free(yaml);
    tailor_text_free(name);
}

static void ask_predict(tailor_client *client)
{
    tailor_answer *answer = NULL;
    tailor_predict_options options = {.space = "toy"};
    tailor_err err = tailor_predict(client, &options, &answer);
    read_answer(err, answer);
}

static void ask_fleet(tailor_client *client)
{
    tailor_fleet_part *part = NULL;
    tailor_fleet_options options = {.space = "toy"};
    if (tailor_fleet(client, &options, &part) == TAILOR_OK) {
        read_table(part->table);
        part->table = NULL;
    }
    tailor_fleet_part_free(part);
}

/* Takes report. */
static void read_report(tailor_err err, tailor_train_report *report)
{
    if (err == TAILOR_OK) {
        see(report->model);
        see_all(report->n_notes, report->notes);
        read_table(report->table);
        report->table = NULL;
    }
    tailor_train_report_free(report);
}

static void ask_train(tailor_client *client)
{
    tailor_train_report *report = NULL;
    tailor_train_options options = {.space = "toy"};
    tailor_err err = tailor_train(client, &options, &report);
    read_report(err, report);
}

/* Takes evaluation. */
static void read_evaluation(tailor_err err, tailor_evaluation *evaluation)
{
    if (err == TAILOR_OK) {
        see_all(evaluation->n_notes, evaluation->notes);
        read_table(evaluation->figures);
        read_table(evaluation->curves);
        evaluation->figures = NULL;
        evaluation->curves = NULL;
    }
    tailor_evaluation_free(evaluation);
}

static void ask_evaluate(tailor_client *client)
{
    tailor_evaluation *evaluation = NULL;
    tailor_evaluate_options options = {.space = "toy"};
    tailor_err err = tailor_evaluate(client, &options, &evaluation);
    read_evaluation(err, evaluation);
}

static void ask_job(tailor_client *client)
{
    tailor_job *job = NULL;
    if (tailor_job_show(client, 1, &job) == TAILOR_OK) {
        tailor_train_report *report = NULL;
        tailor_evaluation *evaluation = NULL;
        see(job->method);
        see(job->subject);
        see(job->state);
        see(job->what);
        see(job->client);
        see(job->key);
        see(job->error_detail);
        see_all(job->n_warnings, job->warnings);
        tailor_err err = tailor_job_train_report(job, &report);
        read_report(err, report);
        err = tailor_job_evaluation(job, &evaluation);
        read_evaluation(err, evaluation);
    }
    tailor_job_free(job);
}

static void ask_lower(tailor_client *client)
{
    tailor_lowered *lowered = NULL;
    if (tailor_space_lower(client, "toy", "d.csv", "", 0, &lowered) == TAILOR_OK) {
        read_networks(lowered);
        read_table(lowered->designs);
        lowered->designs = NULL;
    }
    tailor_lowered_free(lowered);
}

static int read_once(void *context, char *buffer, size_t capacity, size_t *out_len)
{
    int *n_left = context;
    *out_len = (*n_left)-- > 0 && capacity > 0 ? 1 : 0;
    buffer[0] = '\n';
    return 0;
}

static void ask_import(tailor_client *client)
{
    int n_pieces = 1;
    tailor_import_report *report = NULL;
    if (tailor_measure_import(client, "toy", "t.csv", read_once, &n_pieces, &report) ==
        TAILOR_OK) {
        see_all(report->n_new_devices, report->new_devices);
        see_all(report->n_columns, report->columns);
    }
    tailor_import_report_free(report);
}

static void see_progress(void *context, const tailor_progress *progress)
{
    (void)context;
    see(progress->what);
}

/* The envelope. */
static void read_reply(tailor_client *client)
{
    Tailor__V1__Reply *reply = NULL;
    (void)client;
    if (tl_client_reply_read(input.data, input.len, "nowhere", &reply) == TL_OK) {
        tl_client_progress_show(reply, see_progress, NULL);
        see_all(reply->n_warnings, (const char *const *)reply->warnings);
        see(reply->error_detail);
        tl_wire_free((ProtobufCMessage *)reply);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const calls[])(tailor_client *) = {
        read_reply, ask_tables,   ask_texts, ask_predict, ask_fleet,
        ask_train,  ask_evaluate, ask_lower, ask_import,  ask_job};
    size_t before = tl_fuzz_blocks();
    if (size == 0) {
        return 0;
    }
    input.data = data + 1;
    input.len = size - 1;
    calls[data[0] % TL_COUNT(calls)](NULL);
    tl_fuzz_check_blocks(before);
    return 0;
}
