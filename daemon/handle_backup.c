/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Methods backup.begin, read and end: the data folder as one stream, at the client's speed. Each
 * is short, and must not wait behind hours of bulk work: a backup that stands still is dropped.
 */

#include "daemon/backups.h"
#include "daemon/handle.h"
#include "daemon/methods.h"

static tl_err run_begin(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    Tailor__V1__BackupBegun *reply = (Tailor__V1__BackupBegun *)reply_base;
    (void)request_base;
    return tl_backups_begin(
        tl_engine_backups(call->engine), &reply->backup_id, &reply->about_bytes);
}

static tl_err run_read(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__BackupRead *request =
        (const Tailor__V1__BackupRead *)(const void *)request_base;
    Tailor__V1__BackupPiece *reply = (Tailor__V1__BackupPiece *)reply_base;
    tl_damage left_out = {0};
    bool is_last = false;
    tl_err err = tl_backups_read(
        tl_engine_backups(call->engine), request->backup_id, request->offset, &reply->data.data,
        &reply->data.len, &is_last, &left_out);
    reply->is_last = is_last;
    tl_handle_warn_of_damage(call, &left_out, "is damaged and not in the backup");
    tl_damage_done(&left_out);
    return err;
}

static tl_err run_end(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__BackupEnd *request =
        (const Tailor__V1__BackupEnd *)(const void *)request_base;
    (void)reply_base;
    return tl_backups_end(tl_engine_backups(call->engine), request->backup_id);
}

const tl_method tl_method_backup_begin = {
    .name = "backup.begin",
    .summary = "Begins a backup of all that is stored, as of now",
    .request = &tailor__v1__empty__descriptor,
    .reply = &tailor__v1__backup_begun__descriptor,
    .run = run_begin,
    .min_role = TL_ROLE_ADMIN,
    .lane = TL_LANE_WORK,
    .deadline_ms = TL_DEADLINE_LONG_MS,
};

const tl_method tl_method_backup_read = {
    .name = "backup.read",
    .summary = "The next piece of a backup, or the last one again",
    .request = &tailor__v1__backup_read__descriptor,
    .reply = &tailor__v1__backup_piece__descriptor,
    .run = run_read,
    .min_role = TL_ROLE_ADMIN,
    .lane = TL_LANE_WORK,
    .deadline_ms = TL_DEADLINE_LONG_MS,
};

const tl_method tl_method_backup_end = {
    .name = "backup.end",
    .summary = "Ends a backup that is not fetched to its end",
    .request = &tailor__v1__backup_end__descriptor,
    .reply = &tailor__v1__empty__descriptor,
    .run = run_end,
    .min_role = TL_ROLE_ADMIN,
    .lane = TL_LANE_WORK,
    .deadline_ms = TL_DEADLINE_SHORT_MS,
};
