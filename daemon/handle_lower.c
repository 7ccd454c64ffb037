/* SPDX-License-Identifier: Apache-2.0 */

/* Method space.lower: the networks of designs. */

#include "base/mem.h"
#include "daemon/handle.h"
#include "daemon/methods.h"
#include "measurements/table.h"
#include "proto/wire.h"

enum {
    MAX_DESIGNS = 20000,
    MAX_CSV_BYTES = 16 * 1024 * 1024
};

static tl_err fill_op(const tl_network *network, const tl_op *op, Tailor__V1__Op *m)
{
    m->in_ch = op->in_ch;
    m->out_ch = op->out_ch;
    m->in_size = op->in_size;
    m->out_size = op->out_size;
    m->kernel = op->kernel;
    m->stride = op->stride;
    m->pad = op->pad;
    m->groups = op->groups;
    m->w_bits = op->w_bits;
    m->a_bits = op->a_bits;
    m->has_bias = op->has_bias;
    m->has_norm = op->has_norm;
    m->is_reached = op->is_reached;
    m->is_needed = op->is_needed;
    TL_TRY(tl_handle_set_text(&m->kind, tl_op_kind_name(op->kind)));
    TL_TRY(tl_handle_set_text(&m->act, tl_activation_name(op->act)));
    TL_TRY(tl_handle_set_text(&m->pre_act, tl_activation_name(op->pre_act)));
    m->inputs = tl_mem_new((size_t)op->n_inputs, sizeof *m->inputs);
    if (m->inputs == NULL) {
        return tl_fail(TL_ENOMEM, "an operator's inputs");
    }
    for (int i = 0; i < op->n_inputs; i++) {
        m->inputs[i] = network->inputs[op->first_input + i];
    }
    m->n_inputs = (size_t)op->n_inputs;
    return TL_OK;
}

/* m is owned by the reply already. */
static tl_err fill_network(const tl_network *network, Tailor__V1__Network *m)
{
    m->in_ch = network->in_ch;
    m->in_size = network->in_size;
    m->ops = tl_mem_new((size_t)network->n_ops, sizeof *m->ops);
    if (m->ops == NULL) {
        return tl_fail(TL_ENOMEM, "%d operators", network->n_ops);
    }
    for (int i = 0; i < network->n_ops; i++) {
        Tailor__V1__Op *op = (Tailor__V1__Op *)(void *)tl_wire_new(&tailor__v1__op__descriptor);
        if (op == NULL) {
            return tl_fail(TL_ENOMEM, "%d operators", network->n_ops);
        }
        m->ops[m->n_ops++] = op;
        TL_TRY(fill_op(network, &network->ops[i], op));
    }
    return TL_OK;
}

/* Where they will not go in one message the rest is not made: an operator takes several times
 * the memory that its bytes take. */
static tl_err count_bytes(const Tailor__V1__Network *m, int n_designs, size_t *bytes)
{
    *bytes += protobuf_c_message_get_packed_size((const ProtobufCMessage *)m);
    return *bytes <= TL_WIRE_MAX_BYTES
               ? TL_OK
               : tl_fail(
                     TL_ELIMIT,
                     "the networks of %d designs take more than the %d bytes that go in one "
                     "message: ask for fewer at a time",
                     n_designs, (int)TL_WIRE_MAX_BYTES);
}

static tl_err add_networks(
    const tl_call *call,
    const tl_space *space,
    const tl_table *table,
    Tailor__V1__LowerReply *reply)
{
    tl_err err = TL_OK;
    tl_network network = {0};
    size_t bytes = 0;
    reply->networks = tl_mem_new((size_t)table->n, sizeof *reply->networks);
    if (reply->networks == NULL) {
        return tl_fail(TL_ENOMEM, "%d networks", table->n);
    }
    for (int i = 0; i < table->n && err == TL_OK; i++) {
        Tailor__V1__Network *m =
            (Tailor__V1__Network *)(void *)tl_wire_new(&tailor__v1__network__descriptor);
        if (m == NULL) {
            err = tl_fail(TL_ENOMEM, "%d networks", table->n);
            break;
        }
        reply->networks[reply->n_networks++] = m;
        const tl_choice *design = table->designs + (size_t)i * (size_t)table->n_slots;
        if ((err = tl_call_check(call)) == TL_OK &&
            (err = tl_space_lower(space, design, &network)) == TL_OK &&
            (err = fill_network(&network, m)) == TL_OK) {
            err = count_bytes(m, table->n, &bytes);
        }
    }
    tl_network_done(&network);
    return err;
}

/* The slots of a parsed table, as columns. index [n] is scratch. */
static tl_err add_slots(
    const tl_space *space, const tl_table *table, uint16_t *index, Tailor__V1__Table *reply)
{
    for (int s = 0; s < table->n_slots; s++) {
        const tl_slot *slot = tl_space_slot(space, s);
        for (int i = 0; i < table->n; i++) {
            index[i] = table->designs[(size_t)i * (size_t)table->n_slots + (size_t)s];
        }
        TL_TRY(tl_table_reply_choices(
            reply, slot->name, slot->options, (size_t)slot->n_options, index));
    }
    return TL_OK;
}

static tl_err add_designs(
    const tl_space *space, const tl_table *table, Tailor__V1__LowerReply *reply)
{
    uint16_t *index = tl_mem_new((size_t)table->n, sizeof *index);
    reply->designs = tl_table_reply_new((size_t)table->n);
    tl_err err = TL_OK;
    if (index == NULL || reply->designs == NULL) {
        err = tl_fail(TL_ENOMEM, "%d designs", table->n);
    } else {
        err = add_slots(space, table, index, reply->designs);
    }
    tl_mem_free(index);
    return err;
}

static tl_err run_lower(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__LowerRequest *request = (const Tailor__V1__LowerRequest *)request_base;
    Tailor__V1__LowerReply *reply = (Tailor__V1__LowerReply *)reply_base;
    const tl_table_options options = {.mode = TL_TABLE_DESIGNS, .max_rows = MAX_DESIGNS};
    tl_space *space = NULL;
    tl_table table = {0};
    TL_TRY(tl_handle_check_name("space", request->space));
    TL_TRY(tl_handle_check_bytes("designs", &request->designs_csv, MAX_CSV_BYTES));
    TL_TRY(tl_engine_space(call->engine, request->space, &space));
    tl_err err = tl_table_parse(
        space, tl_handle_origin(request->origin, "designs"), &options,
        (const char *)request->designs_csv.data, request->designs_csv.len, &table);
    if (err == TL_OK && (err = add_designs(space, &table, reply)) == TL_OK) {
        err = add_networks(call, space, &table, reply);
    }
    tl_table_done(&table);
    tl_space_unref(space);
    return err;
}

const tl_method tl_method_space_lower = {
    .name = "space.lower",
    .summary = "The networks that designs stand for, as lists of primitive operators",
    .request = &tailor__v1__lower_request__descriptor,
    .reply = &tailor__v1__lower_reply__descriptor,
    .run = run_lower,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_WORK,
    .bulk_min_bytes = 256 * 1024,
    .deadline_ms = TL_DEADLINE_LONG_MS,
};
