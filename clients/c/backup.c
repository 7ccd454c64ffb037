/* SPDX-License-Identifier: Apache-2.0 */

/* A backup on its way out: begin, then one piece after the other at the caller's speed. */

#include "base/clock.h"
#include "base/units.h"
#include "clients/c/impl.h"

/* Where the pieces go, and who hears of it. */
typedef struct sink {
    tailor_write_fn *write;
    void *context;
    tailor_progress_fn *progress;
    void *progress_context;
    uint64_t about_bytes;
    int64_t started_ns;
    bool has_failed; /* write() has */
} sink;

static tl_err begin(tailor_client *client, uint64_t *out_id, uint64_t *out_about_bytes)
{
    Tailor__V1__Empty request;
    ProtobufCMessage *reply = NULL;
    tailor__v1__empty__init(&request);
    tl_exchange exchange = {
        .method = "backup.begin",
        .request = (ProtobufCMessage *)&request,
        .reply_type = &tailor__v1__backup_begun__descriptor,
        .is_unbounded = true};
    TL_TRY(tl_client_exchange(client, &exchange, &reply));
    const Tailor__V1__BackupBegun *begun = (const Tailor__V1__BackupBegun *)(const void *)reply;
    *out_id = begun->backup_id;
    *out_about_bytes = begun->about_bytes;
    tl_wire_free(reply);
    return TL_OK;
}

/* The piece at offset, handed on. */
static tl_err read_piece(
    tailor_client *client, uint64_t id, sink *to, uint64_t *offset, bool *out_is_last)
{
    Tailor__V1__BackupRead request;
    ProtobufCMessage *reply = NULL;
    tailor__v1__backup_read__init(&request);
    request.backup_id = id;
    request.offset = *offset;
    tl_exchange exchange = {
        .method = "backup.read",
        .request = (ProtobufCMessage *)&request,
        .reply_type = &tailor__v1__backup_piece__descriptor,
        .is_unbounded = true};
    TL_TRY(tl_client_exchange(client, &exchange, &reply));
    const Tailor__V1__BackupPiece *piece = (const Tailor__V1__BackupPiece *)(const void *)reply;
    tl_err err = TL_OK;
    if (piece->data.len == 0 && !piece->is_last) {
        err = tl_fail(TL_EDAMAGED, "the daemon's reply: an empty piece of a backup");
    } else if (to->write(to->context, piece->data.data, piece->data.len) != 0) {
        to->has_failed = true;
        err = tl_fail(TL_EIO, "the backup cannot be written");
    }
    *offset += piece->data.len;
    *out_is_last = piece->is_last;
    tl_wire_free(reply);
    return err;
}

static tl_err read_all(tailor_client *client, uint64_t id, sink *to, uint64_t *out_bytes)
{
    uint64_t offset = 0;
    for (bool is_last = false; !is_last;) {
        TL_TRY(read_piece(client, id, to, &offset, &is_last));
        if (to->progress != NULL) {
            double elapsed_s = (double)(tl_clock_ns() - to->started_ns) / (double)TL_NS_PER_S;
            tailor_progress report = {
                .what = "bytes",
                .done = offset,
                .total = offset > to->about_bytes ? offset : to->about_bytes,
                .elapsed_s = elapsed_s};
            to->progress(to->progress_context, &report);
        }
    }
    *out_bytes = offset;
    return TL_OK;
}

/* Lets the daemon's space go now, not in a minute. What went wrong before is what counts. */
static void give_up(tailor_client *client, uint64_t id)
{
    Tailor__V1__BackupEnd request;
    tailor__v1__backup_end__init(&request);
    request.backup_id = id;
    tl_exchange exchange = {.method = "backup.end", .request = (ProtobufCMessage *)&request};
    if (tl_client_exchange(client, &exchange, NULL) != TL_OK) {
        return; /* the daemon drops it by itself */
    }
}

tailor_err tailor_backup(
    tailor_client *client, tailor_write_fn *write, void *context, uint64_t *out_bytes)
{
    sink to = {.write = write, .context = context, .started_ns = tl_clock_ns()};
    uint64_t id = 0;
    uint64_t bytes = 0;
    tl_err err = tl_client_get_progress(client, &to.progress, &to.progress_context);
    if (err != TL_OK || (err = begin(client, &id, &to.about_bytes)) != TL_OK) {
        return tl_client_err(err);
    }
    err = read_all(client, id, &to, &bytes);
    if (to.has_failed) {
        give_up(client, id);
        return tl_client_err(tl_fail(TL_EIO, "the backup cannot be written"));
    }
    if (err == TL_OK && out_bytes != NULL) {
        *out_bytes = bytes;
    }
    return tl_client_err(err);
}
