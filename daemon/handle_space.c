/* SPDX-License-Identifier: Apache-2.0 */

/* Methods space.*. */

#include "base/mem.h"
#include "daemon/handle.h"
#include "daemon/methods.h"

enum {
    MAX_YAML_BYTES = 4 * 1024 * 1024,
    SIZE_DIGITS = 6
};

static tl_err fill_list(Tailor__V1__Table *table, const tl_space_entry *entries, size_t n)
{
    Tailor__V1__Column *name = NULL;
    Tailor__V1__Column *kind = NULL;
    Tailor__V1__Column *origin = NULL;
    double *slots = NULL;
    double *designs = NULL;
    tl_table_reply_init(table, n);
    TL_TRY(tl_table_reply_text(table, "space", &name));
    TL_TRY(tl_table_reply_text(table, "kind", &kind));
    TL_TRY(tl_table_reply_blank(table, "slots", 0, &slots));
    TL_TRY(tl_table_reply_blank(table, "designs", SIZE_DIGITS, &designs));
    TL_TRY(tl_table_reply_text(table, "origin", &origin));
    for (size_t i = 0; i < n; i++) {
        const tl_space *space = entries[i].space;
        TL_TRY(tl_table_reply_set_text(name, i, tl_space_name(space)));
        TL_TRY(tl_table_reply_set_text(kind, i, tl_space_kind_name(tl_space_kind_of(space))));
        TL_TRY(
            tl_table_reply_set_text(origin, i, entries[i].is_built_in ? "built-in" : "added"));
        slots[i] = tl_space_n_slots(space);
        designs[i] = tl_space_size(space);
    }
    return TL_OK;
}

static tl_err run_list(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    tl_space_entry *entries = NULL;
    size_t n = 0;
    (void)request_base;
    TL_TRY(tl_engine_spaces(call->engine, &entries, &n));
    tl_err err = fill_list((Tailor__V1__Table *)reply_base, entries, n);
    tl_space_entries_free(entries, n);
    return err;
}

static tl_err run_show(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__Name *request = (const Tailor__V1__Name *)request_base;
    Tailor__V1__Text *reply = (Tailor__V1__Text *)reply_base;
    tl_space *space = NULL;
    TL_TRY(tl_handle_check_name("space", request->name));
    TL_TRY(tl_engine_space(call->engine, request->name, &space));
    tl_err err = tl_handle_set_text(&reply->text, tl_space_yaml(space));
    tl_space_unref(space);
    return err;
}

static tl_err run_add(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__SpaceAddRequest *request =
        (const Tailor__V1__SpaceAddRequest *)request_base;
    Tailor__V1__Name *reply = (Tailor__V1__Name *)reply_base;
    tl_space *space = NULL;
    TL_TRY(tl_handle_check_bytes("yaml", &request->yaml, MAX_YAML_BYTES));
    TL_TRY(tl_space_parse(
        (const char *)request->yaml.data, request->yaml.len,
        tl_handle_origin(request->origin, "space"), &space));
    /* The name first: what was added must also be answered. */
    tl_err err = tl_handle_set_text(&reply->name, tl_space_name(space));
    if (err == TL_OK) {
        err = tl_engine_space_add(call->engine, space);
    }
    tl_space_unref(space);
    return err;
}

static tl_err run_remove(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__SpaceRemoveRequest *request =
        (const Tailor__V1__SpaceRemoveRequest *)request_base;
    (void)reply_base;
    TL_TRY(tl_handle_check_name("space", request->name));
    if (request->with_measurements && call->role < TL_ROLE_ADMIN) {
        return tl_fail(TL_EDENIED, "%s: only an admin removes measurements", request->name);
    }
    return tl_engine_space_remove(call->engine, request->name, request->with_measurements != 0);
}

const tl_method tl_method_space_list = {
    .name = "space.list",
    .summary = "The known search spaces",
    .request = &tailor__v1__empty__descriptor,
    .reply = &tailor__v1__table__descriptor,
    .run = run_list,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_FAST,
    .deadline_ms = TL_DEADLINE_SHORT_MS,
};

const tl_method tl_method_space_show = {
    .name = "space.show",
    .summary = "The YAML that defines a space",
    .request = &tailor__v1__name__descriptor,
    .reply = &tailor__v1__text__descriptor,
    .run = run_show,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_FAST,
    .deadline_ms = TL_DEADLINE_SHORT_MS,
};

const tl_method tl_method_space_add = {
    .name = "space.add",
    .summary = "Adds a space from its YAML; adding it again changes nothing",
    .request = &tailor__v1__space_add_request__descriptor,
    .reply = &tailor__v1__name__descriptor,
    .run = run_add,
    .min_role = TL_ROLE_WRITER,
    .lane = TL_LANE_WRITE,
    .deadline_ms = TL_DEADLINE_LONG_MS,
};

const tl_method tl_method_space_remove = {
    .name = "space.remove",
    .summary = "Removes an added space, with its measurements only when an admin says so",
    .request = &tailor__v1__space_remove_request__descriptor,
    .reply = &tailor__v1__empty__descriptor,
    .run = run_remove,
    .min_role = TL_ROLE_WRITER,
    .lane = TL_LANE_WRITE,
    .deadline_ms = TL_DEADLINE_LONG_MS,
};
