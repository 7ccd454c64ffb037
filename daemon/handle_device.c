/* SPDX-License-Identifier: Apache-2.0 */

/* Methods device.*. */

#include "base/mem.h"
#include "base/watch.h"
#include "daemon/handle.h"
#include "daemon/methods.h"
#include "device-profiles/profile_yaml.h"
#include "measurements/columns.h"

#include <string.h>

/* ---- list ---------------------------------------------------------------------------- */

enum {
    MAX_LISTED = 65536, /* in one message, which they always fit */
    CHECK_EVERY = 1024  /* devices between two looks at the deadline */
};

/* Copies of the few texts that the list shows. */
typedef struct listed {
    char name[TL_NAME_MAX_BYTES + 1];
    char condition[TL_NAME_MAX_BYTES + 1];
    char description[TL_PROFILE_TEXT_MAX_BYTES + 1];
    tl_device_class device_class;
    int batch;
    bool is_shipped;
} listed;

typedef struct device_list {
    listed *items;
    size_t n, capacity;
    tl_damage damaged;
} device_list;

static tl_err collect(void *context, const tl_profile *profile, bool is_shipped)
{
    device_list *list = context;
    if (list->n == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity : 64;
        listed *grown = tl_mem_resize(list->items, capacity, sizeof *grown);
        if (grown == NULL) {
            return tl_fail(TL_ENOMEM, "%zu devices", capacity);
        }
        list->items = grown;
        list->capacity = capacity;
    }
    listed *item = &list->items[list->n++];
    memcpy(item->name, profile->name, sizeof item->name);
    memcpy(item->condition, profile->condition, sizeof item->condition);
    memcpy(item->description, profile->description, sizeof item->description);
    item->device_class = profile->device_class;
    item->batch = profile->batch;
    item->is_shipped = is_shipped;
    return list->n % CHECK_EVERY == 0 ? tl_watch_check() : TL_OK;
}

static tl_err collect_damaged(void *context, const char *name)
{
    device_list *list = context;
    return tl_damage_add(&list->damaged, name);
}

/* One text column of the list; texts [n] is scratch. */
typedef const char *text_of_fn(const listed *item);

static const char *name_of(const listed *item)
{
    return item->name;
}

static const char *class_of(const listed *item)
{
    return item->device_class != TL_DEVICE_UNKNOWN ? tl_device_class_name(item->device_class)
                                                   : "";
}

static const char *condition_of(const listed *item)
{
    return item->condition;
}

static const char *origin_of(const listed *item)
{
    return item->is_shipped ? "catalogue" : "registered";
}

static const char *description_of(const listed *item)
{
    return item->description;
}

static tl_err add_texts(
    Tailor__V1__Table *table,
    const char *name,
    const device_list *list,
    text_of_fn *text_of,
    const char **texts)
{
    for (size_t i = 0; i < list->n; i++) {
        texts[i] = text_of(&list->items[i]);
    }
    TL_TRY(tl_watch_check());
    return tl_table_reply_texts(table, name, texts);
}

static tl_err fill_list(Tailor__V1__Table *table, const device_list *list, const char **texts)
{
    double *batch = NULL;
    tl_table_reply_init(table, list->n);
    TL_TRY(add_texts(table, "device", list, name_of, texts));
    TL_TRY(add_texts(table, "class", list, class_of, texts));
    TL_TRY(add_texts(table, "condition", list, condition_of, texts));
    TL_TRY(tl_table_reply_blank(table, "batch", 0, &batch));
    TL_TRY(add_texts(table, "origin", list, origin_of, texts));
    TL_TRY(add_texts(table, "description", list, description_of, texts));
    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i].batch > 0) {
            batch[i] = list->items[i].batch;
        }
    }
    return TL_OK;
}

static tl_err check_part_of_name(const char *field, const char *text)
{
    return strlen(text) <= TL_NAME_MAX_BYTES
               ? TL_OK
               : tl_fail(
                     TL_EINVAL, "%s: got %zu characters, want at most %d", field, strlen(text),
                     (int)TL_NAME_MAX_BYTES);
}

static tl_err read_range(
    const Tailor__V1__DeviceListRequest *request, tl_registry_range *out_range)
{
    TL_TRY(check_part_of_name("prefix", request->prefix));
    TL_TRY(check_part_of_name("after", request->after));
    if (request->limit > MAX_LISTED) {
        return tl_fail(
            TL_EINVAL, "limit: got %u, want at most %d", request->limit, (int)MAX_LISTED);
    }
    *out_range = (tl_registry_range){
        .prefix = request->prefix,
        .after = request->after,
        .max = request->limit > 0 ? request->limit : MAX_LISTED + 1,
        .on_damaged = collect_damaged};
    return TL_OK;
}

static tl_err run_list(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    device_list list = {0};
    const char **texts = NULL;
    tl_registry_range range = {0};
    TL_TRY(read_range((const Tailor__V1__DeviceListRequest *)request_base, &range));
    tl_err err = tl_registry_each_in(tl_engine_registry(call->engine), &range, collect, &list);
    if (err == TL_OK && list.n > MAX_LISTED) {
        err = tl_fail(
            TL_ELIMIT, "more than %d devices: ask for pages, or for names with a prefix",
            (int)MAX_LISTED);
    }
    if (err == TL_OK && (texts = tl_mem_new(list.n, sizeof *texts)) == NULL) {
        err = tl_fail(TL_ENOMEM, "%zu devices", list.n);
    }
    if (err == TL_OK) {
        err = fill_list((Tailor__V1__Table *)reply_base, &list, texts);
        const tl_store *store = tl_engine_store(call->engine);
        tl_handle_warn_of_damage(
            call, &list.damaged,
            tl_store_trouble(store)[0] == '\0'
                ? "is left out: its profile is damaged; add it again"
                : "is left out: damaged in the store");
    }
    tl_damage_done(&list.damaged);
    tl_mem_free(texts);
    tl_mem_free(list.items);
    return err;
}

/* ---- show, add, remove ------------------------------------------------------------------ */

static tl_err run_show(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__Name *request = (const Tailor__V1__Name *)request_base;
    Tailor__V1__Text *reply = (Tailor__V1__Text *)reply_base;
    tl_profile profile;
    tl_text text = {0};
    TL_TRY(tl_handle_check_name("device", request->name));
    TL_TRY(tl_registry_find(tl_engine_registry(call->engine), request->name, &profile));
    tl_profile_print_yaml(&profile, &text);
    tl_err err = tl_text_err(&text);
    if (err == TL_OK) {
        err = tl_handle_set_text(&reply->text, text.data != NULL ? text.data : "");
    }
    tl_text_done(&text);
    return err;
}

/* A profile that was sent replaces what is registered; a bare name never does. */
static tl_err run_add(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__DeviceAddRequest *request =
        (const Tailor__V1__DeviceAddRequest *)request_base;
    Tailor__V1__Name *reply = (Tailor__V1__Name *)reply_base;
    tl_registry *registry = tl_engine_registry(call->engine);
    if (request->yaml.len == 0) {
        bool is_new = false;
        TL_TRY(tl_handle_check_name("device", request->name));
        TL_TRY(tl_handle_set_text(&reply->name, request->name));
        TL_TRY(tl_registry_add_bare(registry, request->name, &is_new));
        if (!is_new) {
            tl_call_warn(call, "%s is known already and stays as it is", request->name);
        }
        return TL_OK;
    }
    tl_profile profile;
    TL_TRY(tl_handle_check_bytes("yaml", &request->yaml, TL_PROFILE_YAML_MAX_BYTES));
    TL_TRY(tl_profile_parse_yaml(
        tl_handle_origin(request->origin, "profile"), (const char *)request->yaml.data,
        request->yaml.len, &profile));
    if (request->name[0] != '\0' && strcmp(request->name, profile.name) != 0) {
        return tl_fail(
            TL_EINVAL, "name: the profile says %s, the request %.128s", profile.name,
            request->name);
    }
    TL_TRY(tl_handle_set_text(&reply->name, profile.name));
    return tl_registry_add(registry, &profile);
}

/* What is stored of a device, in all spaces; of damaged columns nobody knows how much. */
typedef struct stored {
    long long n_measured;
    bool has_damaged;
} stored;

static void count_column(
    tl_call *call, const char *space, tl_metric metric, const char *device, stored *s)
{
    int n = 0;
    tl_err err = tl_columns_count(tl_engine_store(call->engine), space, metric, device, &n);
    s->n_measured += err == TL_OK ? n : 0;
    s->has_damaged = s->has_damaged || err != TL_OK; /* removing is what helps */
}

static tl_err count_stored(tl_call *call, const char *device, stored *out_stored)
{
    tl_space_entry *entries = NULL;
    size_t n = 0;
    stored s = {0};
    TL_TRY(tl_engine_spaces(call->engine, &entries, &n));
    tl_err err = TL_OK;
    for (size_t i = 0; i < n && (err = tl_call_check(call)) == TL_OK; i++) {
        for (int m = 0; m < TL_N_METRICS; m++) {
            if (tl_metric_is_of_device((tl_metric)m)) {
                count_column(call, tl_space_name(entries[i].space), (tl_metric)m, device, &s);
            }
        }
    }
    tl_space_entries_free(entries, n);
    *out_stored = s;
    return err;
}

/* The registration and the measurements go together or not at all. */
static tl_err remove_device(
    tl_call *call, const char *name, bool is_measured, bool *out_is_shipped)
{
    tl_store_txn *txn = NULL;
    TL_TRY(tl_store_begin(tl_engine_store(call->engine), &txn));
    tl_err err = tl_registry_remove_in(tl_engine_registry(call->engine), txn, name);
    *out_is_shipped = err == TL_ESTATE;
    if (err == TL_ESTATE && is_measured) {
        err = TL_OK; /* a shipped device stays, its measurements go */
    }
    if (err == TL_OK && (err = tl_columns_remove_device(txn, name)) == TL_OK &&
        (err = tl_call_check(call)) == TL_OK) {
        return tl_store_commit(&txn);
    }
    tl_store_abort(&txn);
    return err;
}

static tl_err run_remove(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__Name *request = (const Tailor__V1__Name *)request_base;
    stored s = {0};
    bool is_shipped = false;
    (void)reply_base;
    TL_TRY(tl_handle_check_name("device", request->name));
    TL_TRY(count_stored(call, request->name, &s));
    bool is_measured = s.n_measured > 0 || s.has_damaged;
    TL_TRY(remove_device(call, request->name, is_measured, &is_shipped));
    if (is_measured) {
        tl_call_warn(
            call, "%s: its %lld measurements%s were removed%s", request->name, s.n_measured,
            s.has_damaged ? ", and damaged ones," : "",
            is_shipped ? "; its shipped profile stays" : " too");
    }
    return TL_OK;
}

const tl_method tl_method_device_list = {
    .name = "device.list",
    .summary = "The known devices, shipped and registered, by name",
    .request = &tailor__v1__device_list_request__descriptor,
    .reply = &tailor__v1__table__descriptor,
    .run = run_list,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_WORK,
    .deadline_ms = TL_DEADLINE_LONG_MS,
};

const tl_method tl_method_device_show = {
    .name = "device.show",
    .summary = "The profile of a device, as YAML",
    .request = &tailor__v1__name__descriptor,
    .reply = &tailor__v1__text__descriptor,
    .run = run_show,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_FAST,
    .deadline_ms = TL_DEADLINE_SHORT_MS,
};

const tl_method tl_method_device_add = {
    .name = "device.add",
    .summary = "Registers a device, or replaces its profile; its measurements stay",
    .request = &tailor__v1__device_add_request__descriptor,
    .reply = &tailor__v1__name__descriptor,
    .run = run_add,
    .min_role = TL_ROLE_WRITER,
    .lane = TL_LANE_WRITE,
    .deadline_ms = TL_DEADLINE_LONG_MS,
};

const tl_method tl_method_device_remove = {
    .name = "device.remove",
    .summary = "Forgets a device and its measurements",
    .request = &tailor__v1__name__descriptor,
    .reply = &tailor__v1__empty__descriptor,
    .run = run_remove,
    .min_role = TL_ROLE_WRITER,
    .lane = TL_LANE_WRITE,
    .deadline_ms = TL_DEADLINE_LONG_MS,
};
