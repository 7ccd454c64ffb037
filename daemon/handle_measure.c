/* SPDX-License-Identifier: Apache-2.0 */

/* Methods measure.begin, feed, commit and abort: a measurement table on its way in. */

#include "base/mem.h"
#include "base/text.h"
#include "daemon/handle.h"
#include "daemon/methods.h"
#include "measurements/columns.h"

#include <string.h>

static tl_err run_begin(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__ImportBegin *request = (const Tailor__V1__ImportBegin *)request_base;
    Tailor__V1__ImportId *reply = (Tailor__V1__ImportId *)reply_base;
    tl_space *space = NULL;
    TL_TRY(tl_handle_check_name("space", request->space));
    TL_TRY(tl_engine_space(call->engine, request->space, &space));
    tl_err err = tl_imports_begin(
        tl_engine_imports(call->engine), space, tl_handle_origin(request->origin, "table"),
        &reply->import_id);
    tl_space_unref(space);
    return err;
}

static tl_err run_feed(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__ImportFeed *request = (const Tailor__V1__ImportFeed *)request_base;
    (void)reply_base;
    TL_TRY(tl_handle_check_bytes("csv", &request->csv, TL_IMPORT_MAX_FEED_BYTES));
    return tl_imports_feed(
        tl_engine_imports(call->engine), request->import_id, request->sequence,
        request->csv.data, request->csv.len);
}

/* ---- commit --------------------------------------------------------------------------- */

/* What the transaction needs to know; new devices go straight into the reply. */
typedef struct registering {
    tl_call *call;
    tl_registry *registry;
    Tailor__V1__ImportReport *reply;
} registering;

static tl_err register_devices(
    void *context, tl_store_txn *txn, const char *const *devices, size_t n_devices)
{
    registering *r = context;
    r->reply->new_devices = tl_mem_new(n_devices, sizeof *r->reply->new_devices);
    if (r->reply->new_devices == NULL) {
        return tl_fail(TL_ENOMEM, "%zu devices", n_devices);
    }
    for (size_t i = 0; i < n_devices; i++) {
        bool is_new = false;
        TL_TRY(tl_call_check(r->call)); /* nothing is stored yet */
        TL_TRY(tl_registry_add_bare_in(r->registry, txn, devices[i], &is_new));
        if (is_new) {
            char **slot = &r->reply->new_devices[r->reply->n_new_devices];
            TL_TRY(tl_handle_set_text(slot, devices[i]));
            r->reply->n_new_devices++;
        }
    }
    return TL_OK;
}

/* "latency_ms@pixel6", ... */
static tl_err name_columns(const tl_table *table, Tailor__V1__ImportReport *reply)
{
    tl_text text = {0};
    tl_err err = TL_OK;
    reply->columns = tl_mem_new((size_t)table->n_columns, sizeof *reply->columns);
    if (reply->columns == NULL) {
        return tl_fail(TL_ENOMEM, "%d columns", table->n_columns);
    }
    for (int i = 0; i < table->n_columns && err == TL_OK; i++) {
        const tl_table_column *column = &table->columns[i];
        tl_text_clear(&text);
        tl_text_addf(&text, "%s@%s", tl_metric_name(column->metric), column->name);
        if ((err = tl_text_err(&text)) == TL_OK &&
            (err = tl_handle_set_text(&reply->columns[i], text.data)) == TL_OK) {
            reply->n_columns++;
        }
    }
    tl_text_done(&text);
    return err;
}

/* Everything that may fail for want of memory comes before the store is changed. */
static tl_err store_table(
    tl_call *call,
    const tl_space *space,
    const tl_table *table,
    Tailor__V1__ImportReport *reply)
{
    registering r = {
        .call = call, .registry = tl_engine_registry(call->engine), .reply = reply};
    tl_import_report report = {0};
    TL_TRY(name_columns(table, reply));
    TL_TRY(tl_columns_import(
        tl_engine_store(call->engine), space, table, register_devices, &r, &report));
    reply->n_rows = (uint64_t)report.n_designs + (uint64_t)report.n_repeated;
    reply->n_designs = (uint64_t)report.n_designs;
    reply->n_values = (uint64_t)report.n_values;
    reply->n_replaced = (uint64_t)report.n_changed;
    reply->n_duplicate_rows = (uint64_t)report.n_repeated;
    if (report.n_lost > 0) {
        tl_call_warn(
            call,
            "%d columns of accuracies were damaged: of what they held, only what the table has "
            "is there now",
            report.n_lost);
    }
    if (report.n_repeated > 0) {
        tl_call_warn(
            call,
            "%d rows repeat a design that stood before (the first on line %ld): the last row "
            "of each design counts",
            report.n_repeated, table->repeated_line);
    }
    return TL_OK;
}

static tl_err run_commit(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__ImportId *request = (const Tailor__V1__ImportId *)request_base;
    tl_table table = {0};
    tl_space *space = NULL;
    tl_space *current = NULL;
    TL_TRY(
        tl_imports_finish(tl_engine_imports(call->engine), request->import_id, &table, &space));
    /* The space may have been removed, or replaced by another, since the import began. */
    tl_err err = tl_engine_space(call->engine, tl_space_name(space), &current);
    if (err == TL_OK && strcmp(tl_space_digest(space), tl_space_digest(current)) != 0) {
        err = tl_fail(TL_ESTATE, "%s: the space was replaced meanwhile", tl_space_name(space));
    }
    if (err == TL_OK) {
        err = store_table(call, space, &table, (Tailor__V1__ImportReport *)reply_base);
    }
    if (err == TL_EDEADLINE) { /* nothing is stored, and the client may commit again */
        tl_imports_put_back(tl_engine_imports(call->engine), request->import_id, &table, space);
    }
    tl_space_unref(current);
    tl_space_unref(space);
    tl_table_done(&table);
    return err;
}

static tl_err run_abort(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__ImportId *request = (const Tailor__V1__ImportId *)request_base;
    (void)reply_base;
    return tl_imports_abort(tl_engine_imports(call->engine), request->import_id);
}

const tl_method tl_method_measure_begin = {
    .name = "measure.begin",
    .summary = "Opens the import of a measurement table",
    .request = &tailor__v1__import_begin__descriptor,
    .reply = &tailor__v1__import_id__descriptor,
    .run = run_begin,
    .min_role = TL_ROLE_WRITER,
    .lane = TL_LANE_FAST,
    .deadline_ms = TL_DEADLINE_SHORT_MS,
};

const tl_method tl_method_measure_feed = {
    .name = "measure.feed",
    .summary = "The next piece of the table, at most 1 MiB",
    .request = &tailor__v1__import_feed__descriptor,
    .reply = &tailor__v1__empty__descriptor,
    .run = run_feed,
    .min_role = TL_ROLE_WRITER,
    .lane = TL_LANE_WRITE,
};

const tl_method tl_method_measure_commit = {
    .name = "measure.commit",
    .summary = "Stores the table, all of it or nothing; durable when answered",
    .request = &tailor__v1__import_id__descriptor,
    .reply = &tailor__v1__import_report__descriptor,
    .run = run_commit,
    .min_role = TL_ROLE_WRITER,
    .lane = TL_LANE_WRITE,
};

const tl_method tl_method_measure_abort = {
    .name = "measure.abort",
    .summary = "Forgets an open import",
    .request = &tailor__v1__import_id__descriptor,
    .reply = &tailor__v1__empty__descriptor,
    .run = run_abort,
    .min_role = TL_ROLE_WRITER,
    .lane = TL_LANE_WRITE, /* behind the pieces that came before; releases a large table */
    .deadline_ms = TL_DEADLINE_LONG_MS,
};
