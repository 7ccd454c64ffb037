/* SPDX-License-Identifier: Apache-2.0 */

/* A measurement table on its way in: begin, feeds, commit. */

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "clients/c/impl.h"

#include <stdio.h>

enum {
    ABORT_MS = 1000, /* for a place of the daemon to be free again now, not in ten minutes */
    DETAIL_BYTES = 512
};

/* The report's memory: the message that it borrows from. */
typedef struct owned_report {
    tailor_import_report report; /* first: this is what the caller holds */
    ProtobufCMessage *message;
} owned_report;

static tl_err begin(
    tailor_client *client, const char *space, const char *origin, uint64_t *out_import_id)
{
    Tailor__V1__ImportBegin request;
    ProtobufCMessage *reply = NULL;
    tailor__v1__import_begin__init(&request);
    request.space = tl_client_string(space);
    request.origin = tl_client_string(origin);
    tl_exchange exchange = {
        .method = "measure.begin",
        .request = (ProtobufCMessage *)&request,
        .reply_type = &tailor__v1__import_id__descriptor,
        .is_unbounded = true};
    TL_TRY(tl_client_exchange(client, &exchange, &reply));
    *out_import_id = ((const Tailor__V1__ImportId *)(const void *)reply)->import_id;
    tl_wire_free(reply);
    return TL_OK;
}

/* A place to read into, and the function that the caller reads with. */
typedef struct source {
    tailor_read_fn *read;
    void *context;
    char *buffer; /* [TAILOR_MAX_FEED_BYTES] */
} source;

static tl_err feed_all(
    tailor_client *client,
    uint64_t import_id,
    const source *from,
    tailor_progress_fn *progress,
    void *progress_context)
{
    Tailor__V1__ImportFeed request;
    int64_t started_ns = tl_clock_ns();
    uint64_t done = 0;
    tailor__v1__import_feed__init(&request);
    request.import_id = import_id;
    for (uint64_t sequence = 0;; sequence++) {
        size_t len = 0;
        if (from->read(from->context, from->buffer, TAILOR_MAX_FEED_BYTES, &len) != 0 ||
            len > TAILOR_MAX_FEED_BYTES) {
            return tl_fail(TL_EIO, "the table cannot be read");
        }
        if (len == 0) {
            return TL_OK;
        }
        request.sequence = sequence;
        request.csv = tl_client_data(from->buffer, len);
        tl_exchange exchange = {
            .method = "measure.feed",
            .request = (ProtobufCMessage *)&request,
            .is_unbounded = true};
        TL_TRY(tl_client_exchange(client, &exchange, NULL));
        done += len;
        if (progress != NULL) {
            double elapsed_s = (double)(tl_clock_ns() - started_ns) / (double)TL_NS_PER_S;
            progress(
                progress_context,
                &(tailor_progress){.what = "bytes", .done = done, .elapsed_s = elapsed_s});
        }
    }
}

static tl_err commit(tailor_client *client, uint64_t import_id, ProtobufCMessage **out_reply)
{
    Tailor__V1__ImportId request;
    tailor__v1__import_id__init(&request);
    request.import_id = import_id;
    tl_exchange exchange = {
        .method = "measure.commit",
        .request = (ProtobufCMessage *)&request,
        .reply_type = &tailor__v1__import_report__descriptor,
        .is_unbounded = true};
    return tl_client_exchange(client, &exchange, out_reply);
}

/* Best effort: what it leaves open the daemon drops by itself, later. */
static void abort_import(tailor_client *client, uint64_t import_id)
{
    Tailor__V1__ImportId request;
    tailor__v1__import_id__init(&request);
    request.import_id = import_id;
    tl_exchange exchange = {
        .method = "measure.abort",
        .request = (ProtobufCMessage *)&request,
        .timeout_ms = ABORT_MS};
    if (tl_client_exchange(client, &exchange, NULL) != TL_OK) {
        return;
    }
}

/* Takes message. */
static tl_err give_report(ProtobufCMessage *message, tailor_import_report **out_report)
{
    const Tailor__V1__ImportReport *m = (const Tailor__V1__ImportReport *)(const void *)message;
    owned_report *owned = tl_mem_new(1, sizeof *owned);
    if (owned == NULL) {
        tl_wire_free(message);
        return tl_fail(TL_ENOMEM, "an import's report");
    }
    owned->message = message;
    owned->report = (tailor_import_report){
        .n_rows = m->n_rows,
        .n_designs = m->n_designs,
        .n_values = m->n_values,
        .n_replaced = m->n_replaced,
        .n_duplicate_rows = m->n_duplicate_rows,
        .n_new_devices = m->n_new_devices,
        .new_devices = (const char *const *)m->new_devices,
        .n_columns = m->n_columns,
        .columns = (const char *const *)m->columns,
    };
    *out_report = &owned->report;
    return TL_OK;
}

/* Feeds and commits an import that has begun. */
static tl_err feed_and_commit(
    tailor_client *client, uint64_t import_id, const source *from, ProtobufCMessage **out_reply)
{
    tailor_progress_fn *progress = NULL;
    void *progress_context = NULL;
    TL_TRY(tl_client_get_progress(client, &progress, &progress_context));
    tl_err err = feed_all(client, import_id, from, progress, progress_context);
    if (err == TL_ENOTFOUND) {
        return tl_fail_in(err, "nothing was stored, since the daemon began anew: ");
    }
    TL_TRY(err);
    err = commit(client, import_id, out_reply);
    return err != TL_EUNREACHABLE
               ? err
               : tl_fail_in(err, "it is not known whether the table was stored: ");
}

/* The same; takes it back when that fails, but where the daemon has no such import any more. */
static tl_err run_import(
    tailor_client *client, uint64_t import_id, const source *from, ProtobufCMessage **out_reply)
{
    tl_err err = feed_and_commit(client, import_id, from, out_reply);
    bool is_gone = err == TL_OK || err == TL_ENOTFOUND || err == TL_EINVAL;
    if (!is_gone) {
        char detail[DETAIL_BYTES];
        (void)snprintf(detail, sizeof detail, "%s", tl_err_detail());
        abort_import(client, import_id);
        return tl_fail(err, "%s", detail);
    }
    return err;
}

tailor_err tailor_measure_import(
    tailor_client *client,
    const char *space,
    const char *origin,
    tailor_read_fn *read,
    void *context,
    tailor_import_report **out_report)
{
    source from = {.read = read, .context = context};
    ProtobufCMessage *reply = NULL;
    uint64_t import_id = 0;
    tl_err err = TL_OK;
    if ((from.buffer = tl_mem_new(TAILOR_MAX_FEED_BYTES, 1)) == NULL) {
        return tl_client_err(
            tl_fail(TL_ENOMEM, "%d bytes to read into", TAILOR_MAX_FEED_BYTES));
    }
    if ((err = begin(client, space, origin, &import_id)) == TL_OK &&
        (err = run_import(client, import_id, &from, &reply)) == TL_OK) {
        err = give_report(reply, out_report);
    }
    tl_mem_free(from.buffer);
    return tl_client_err(err);
}

void tailor_import_report_free(tailor_import_report *report)
{
    owned_report *owned = (owned_report *)(void *)report;
    if (owned != NULL) {
        tl_wire_free(owned->message);
        tl_mem_free(owned);
    }
}
