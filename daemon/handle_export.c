/* SPDX-License-Identifier: Apache-2.0 */

/* Method measure.export: the stored measurements, in parts. */

#include "base/mem.h"
#include "base/text.h"
#include "daemon/handle.h"
#include "daemon/methods.h"
#include "measurements/columns.h"

#include <math.h>

enum {
    PART_CELLS = 500 * 1000 /* 4 MB of numbers */
};

/* The export is CSV text; what reads it back makes the table that is answered. */
typedef struct reading {
    tl_call *call;
    tl_table_parser *parser;
} reading;

static tl_err take_text(void *context, const char *data, size_t len)
{
    const reading *r = context;
    TL_TRY(tl_call_check(r->call));
    return tl_table_parser_feed(r->parser, data, len);
}

/* Scratch of one part. */
typedef struct part_room {
    uint16_t *index;
    tl_text name;
} part_room;

static tl_err add_slots(
    const tl_space *space,
    const tl_table *table,
    int begin,
    int n,
    part_room *room,
    Tailor__V1__Table *reply)
{
    for (int s = 0; s < table->n_slots; s++) {
        const tl_slot *slot = tl_space_slot(space, s);
        for (int i = 0; i < n; i++) {
            room->index[i] =
                table->designs[(size_t)(begin + i) * (size_t)table->n_slots + (size_t)s];
        }
        TL_TRY(tl_table_reply_choices(
            reply, slot->name, slot->options, (size_t)slot->n_options, room->index));
    }
    return TL_OK;
}

static tl_err add_values(
    const tl_table *table, int begin, int n, part_room *room, Tailor__V1__Table *reply)
{
    for (int c = 0; c < table->n_columns; c++) {
        const tl_table_column *column = &table->columns[c];
        double *numbers = NULL;
        tl_text_clear(&room->name);
        tl_text_addf(&room->name, "%s@%s", tl_metric_name(column->metric), column->name);
        TL_TRY(tl_text_err(&room->name));
        TL_TRY(tl_table_reply_blank(reply, room->name.data, 0, &numbers));
        for (int i = 0; i < n; i++) {
            numbers[i] =
                table->values[(size_t)(begin + i) * (size_t)table->n_columns + (size_t)c];
        }
    }
    return TL_OK;
}

/* Rows [begin, begin + n) of the table, as columns of reply. */
static tl_err fill_part(
    const tl_space *space, const tl_table *table, int begin, int n, Tailor__V1__Table *reply)
{
    part_room room = {.index = tl_mem_new((size_t)n, sizeof *room.index)};
    if (room.index == NULL) {
        return tl_fail(TL_ENOMEM, "%d rows", n);
    }
    tl_table_reply_init(reply, (size_t)n);
    tl_err err = add_slots(space, table, begin, n, &room, reply);
    if (err == TL_OK) {
        err = add_values(table, begin, n, &room, reply);
    }
    tl_text_done(&room.name);
    tl_mem_free(room.index);
    return err;
}

/* All but the last part are sent before the final reply, which holds the last. */
static tl_err send_parts(
    tl_call *call, const tl_space *space, const tl_table *table, Tailor__V1__Table *reply)
{
    int n_cells = table->n_slots + table->n_columns;
    int n_part = PART_CELLS / (n_cells > 0 ? n_cells : 1);
    int begin = 0;
    n_part = call->send == NULL ? table->n : n_part > 0 ? n_part : 1;
    for (; table->n - begin > n_part; begin += n_part) {
        TL_TRY(tl_call_check(call));
        Tailor__V1__Table *part = tl_table_reply_new(0);
        if (part == NULL) {
            return tl_fail(TL_ENOMEM, "a part of %d rows", n_part);
        }
        tl_err err = fill_part(space, table, begin, n_part, part);
        if (err == TL_OK) {
            call->send(call->sink, TAILOR__V1__REPLY__KIND__PART, (ProtobufCMessage *)part);
        }
        tl_table_reply_free(part);
        TL_TRY(err);
    }
    TL_TRY(tl_call_check(call));
    return fill_part(space, table, begin, table->n - begin, reply);
}

static tl_err export(
    tl_call *call, const tl_space *space, const char *device, Tailor__V1__Table *reply)
{
    reading r = {.call = call};
    tl_table table = {0};
    tl_damage damaged = {0};
    TL_TRY(tl_table_parser_new(space, "export", NULL, &r.parser));
    tl_err err = tl_columns_export(
        tl_engine_store(call->engine), space, device, take_text, &r, &damaged);
    if (err == TL_OK && (err = tl_table_parser_finish(r.parser, &table)) == TL_OK) {
        err = send_parts(call, space, &table, reply);
    }
    tl_handle_warn_of_damage(call, &damaged, "is damaged and not in the export");
    tl_damage_done(&damaged);
    tl_table_parser_free(r.parser);
    tl_table_done(&table);
    return err;
}

static tl_err run_export(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__ExportRequest *request = (const Tailor__V1__ExportRequest *)request_base;
    const char *device = NULL;
    tl_space *space = NULL;
    TL_TRY(tl_handle_check_name("space", request->space));
    TL_TRY(tl_engine_space(call->engine, request->space, &space));
    tl_err err = TL_OK;
    if (request->device[0] != '\0') {
        tl_profile profile;
        device = request->device;
        err = tl_registry_find(tl_engine_registry(call->engine), device, &profile);
        err = err == TL_EDAMAGED ? TL_OK : err; /* it is known, and that was the question */
    }
    if (err == TL_OK) {
        err = export(call, space, device, (Tailor__V1__Table *)reply_base);
    }
    tl_space_unref(space);
    return err;
}

const tl_method tl_method_measure_export = {
    .name = "measure.export",
    .summary = "The stored measurements of a space, or of one device in it",
    .request = &tailor__v1__export_request__descriptor,
    .reply = &tailor__v1__table__descriptor,
    .run = run_export,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_BULK,
    .deadline_ms = TL_DEADLINE_LONG_MS,
};
