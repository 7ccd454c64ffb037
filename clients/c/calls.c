/* SPDX-License-Identifier: Apache-2.0 */

/* The methods with short answers: spaces, devices, models, jobs, status. */

#include "base/mem.h"
#include "clients/c/impl.h"

#include <string.h>

/* Answer types that recur. */
static tl_err take_table(ProtobufCMessage *reply, tailor_table **out_table)
{
    Tailor__V1__Table *message = (Tailor__V1__Table *)(void *)reply;
    tl_err err = tl_client_table_check(message);
    if (err == TL_OK) {
        err = tl_client_table_take(&message, out_table);
    }
    tl_wire_free((ProtobufCMessage *)message);
    return err;
}

static tailor_err ask_table(
    tailor_client *client,
    const char *method,
    const ProtobufCMessage *request,
    tailor_table **out_table)
{
    tl_exchange exchange = {
        .method = method, .request = request, .reply_type = &tailor__v1__table__descriptor};
    ProtobufCMessage *reply = NULL;
    tl_err err = tl_client_exchange(client, &exchange, &reply);
    return tl_client_err(err == TL_OK ? take_table(reply, out_table) : err);
}

/* Copies a text of the answer; out_text NULL: nobody wants it. */
static tl_err give_text(const char *text, char **out_text)
{
    if (out_text == NULL) {
        return TL_OK;
    }
    char *copy = tl_mem_strdup(text);
    if (copy == NULL) {
        return tl_fail(TL_ENOMEM, "a text of %zu bytes", strlen(text));
    }
    *out_text = copy;
    return TL_OK;
}

void tailor_text_free(char *text)
{
    tl_mem_free(text);
}

static tailor_err ask_name(
    tailor_client *client, const char *method, const ProtobufCMessage *request, char **out_name)
{
    tl_exchange exchange = {
        .method = method, .request = request, .reply_type = &tailor__v1__name__descriptor};
    ProtobufCMessage *reply = NULL;
    tl_err err = tl_client_exchange(client, &exchange, &reply);
    if (err == TL_OK) {
        err = give_text(((const Tailor__V1__Name *)(const void *)reply)->name, out_name);
    }
    tl_wire_free(reply);
    return tl_client_err(err);
}

static tailor_err ask_list(tailor_client *client, const char *method, tailor_table **out_table)
{
    Tailor__V1__Empty request;
    tailor__v1__empty__init(&request);
    return ask_table(client, method, (ProtobufCMessage *)&request, out_table);
}

/* noun.show: a name in, a text out. */
static tailor_err ask_show(
    tailor_client *client, const char *method, const char *name, char **out_text)
{
    Tailor__V1__Name request;
    tailor__v1__name__init(&request);
    request.name = tl_client_string(name);
    tl_exchange exchange = {
        .method = method,
        .request = (ProtobufCMessage *)&request,
        .reply_type = &tailor__v1__text__descriptor};
    ProtobufCMessage *reply = NULL;
    tl_err err = tl_client_exchange(client, &exchange, &reply);
    if (err == TL_OK) {
        err = give_text(((const Tailor__V1__Text *)(const void *)reply)->text, out_text);
    }
    tl_wire_free(reply);
    return tl_client_err(err);
}

static tailor_err ask_remove(tailor_client *client, const char *method, const char *name)
{
    Tailor__V1__Name request;
    tailor__v1__name__init(&request);
    request.name = tl_client_string(name);
    tl_exchange exchange = {.method = method, .request = (ProtobufCMessage *)&request};
    return tl_client_err(tl_client_exchange(client, &exchange, NULL));
}

/* ---- spaces -------------------------------------------------------------------------- */

tailor_err tailor_space_list(tailor_client *client, tailor_table **out_table)
{
    return ask_list(client, "space.list", out_table);
}

tailor_err tailor_space_show(tailor_client *client, const char *name, char **out_yaml)
{
    return ask_show(client, "space.show", name, out_yaml);
}

tailor_err tailor_space_add(
    tailor_client *client, const char *origin, const char *yaml, size_t len, char **out_name)
{
    Tailor__V1__SpaceAddRequest request;
    tailor__v1__space_add_request__init(&request);
    request.origin = tl_client_string(origin);
    request.yaml = tl_client_data(yaml, len);
    return ask_name(client, "space.add", (ProtobufCMessage *)&request, out_name);
}

tailor_err tailor_space_remove(tailor_client *client, const char *name)
{
    return ask_remove(client, "space.remove", name);
}

tailor_err tailor_space_remove_with_measurements(tailor_client *client, const char *name)
{
    Tailor__V1__SpaceRemoveRequest request;
    tailor__v1__space_remove_request__init(&request);
    request.name = tl_client_string(name);
    request.with_measurements = true;
    tl_exchange exchange = {.method = "space.remove", .request = (ProtobufCMessage *)&request};
    return tl_client_err(tl_client_exchange(client, &exchange, NULL));
}

/* ---- devices ------------------------------------------------------------------------- */

tailor_err tailor_device_show(tailor_client *client, const char *name, char **out_yaml)
{
    return ask_show(client, "device.show", name, out_yaml);
}

tailor_err tailor_device_add(
    tailor_client *client, const char *origin, const char *yaml, size_t len, char **out_name)
{
    Tailor__V1__DeviceAddRequest request;
    tailor__v1__device_add_request__init(&request);
    request.origin = tl_client_string(origin);
    request.yaml = tl_client_data(yaml, len);
    return ask_name(client, "device.add", (ProtobufCMessage *)&request, out_name);
}

tailor_err tailor_device_add_bare(tailor_client *client, const char *name)
{
    Tailor__V1__DeviceAddRequest request;
    tailor__v1__device_add_request__init(&request);
    request.name = tl_client_string(name);
    return ask_name(client, "device.add", (ProtobufCMessage *)&request, NULL);
}

tailor_err tailor_device_remove(tailor_client *client, const char *name)
{
    return ask_remove(client, "device.remove", name);
}

/* ---- measurements -------------------------------------------------------------------- */

tailor_err tailor_measure_suggest(
    tailor_client *client, const tailor_suggest_options *options, tailor_table **out_table)
{
    Tailor__V1__SuggestRequest request;
    tailor__v1__suggest_request__init(&request);
    request.space = tl_client_string(options->space);
    request.device = tl_client_string(options->device);
    request.count = options->count;
    request.has_seed = options->seed != NULL;
    request.seed = options->seed != NULL ? *options->seed : 0;
    request.origin = tl_client_string(options->origin);
    request.candidates_csv = tl_client_data(options->candidates_csv, options->candidates_len);
    return ask_table(client, "measure.suggest", (ProtobufCMessage *)&request, out_table);
}

/* Joins the parts of a table; context: the table so far. */
static tailor_err join_part(void *context, const uint8_t *bytes, size_t len)
{
    Tailor__V1__Table **joined = context;
    ProtobufCMessage *message = NULL;
    tl_err err = tl_client_unpack(&tailor__v1__table__descriptor, bytes, len, &message);
    if (err != TL_OK) {
        return tl_client_err(err);
    }
    Tailor__V1__Table *part = (Tailor__V1__Table *)(void *)message;
    err = tl_client_table_check(part);
    if (err == TL_OK && *joined == NULL) {
        *joined = part;
        return TAILOR_OK;
    }
    if (err == TL_OK) {
        err = tl_client_table_append(*joined, part);
    }
    tl_wire_free(message);
    return tl_client_err(err);
}

/* The parts come again. */
static void drop_parts(void *context)
{
    Tailor__V1__Table **joined = context;
    tl_wire_free((ProtobufCMessage *)*joined);
    *joined = NULL;
}

tailor_err tailor_measure_export(
    tailor_client *client, const char *space, const char *device, tailor_table **out_table)
{
    Tailor__V1__ExportRequest request;
    Tailor__V1__Table *joined = NULL;
    ProtobufCMessage *reply = NULL;
    tailor__v1__export_request__init(&request);
    request.space = tl_client_string(space);
    request.device = tl_client_string(device);
    tl_exchange exchange = {
        .method = "measure.export",
        .request = (ProtobufCMessage *)&request,
        .reply_type = &tailor__v1__table__descriptor,
        .part = join_part,
        .again = drop_parts,
        .context = &joined};
    tl_err err = tl_client_exchange(client, &exchange, &reply);
    Tailor__V1__Table *last = (Tailor__V1__Table *)(void *)reply;
    if (err == TL_OK && (err = tl_client_table_check(last)) == TL_OK) {
        if (joined == NULL) {
            joined = last;
            reply = NULL;
        } else {
            err = tl_client_table_append(joined, last);
        }
    }
    if (err == TL_OK) {
        err = tl_client_table_take(&joined, out_table);
    }
    tl_wire_free(reply);
    tl_wire_free((ProtobufCMessage *)joined);
    return tl_client_err(err);
}

/* ---- the rest ------------------------------------------------------------------------ */

tailor_err tailor_model_list(tailor_client *client, tailor_table **out_table)
{
    return ask_list(client, "model.list", out_table);
}

tailor_err tailor_model_show(tailor_client *client, const char *space, char **out_text)
{
    return ask_show(client, "model.show", space, out_text);
}

tailor_err tailor_status(tailor_client *client, tailor_table **out_table)
{
    return ask_list(client, "status.get", out_table);
}
