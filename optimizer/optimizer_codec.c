/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "optimizer/optimizer_impl.h"
#include "proto/optimizer.pb-c.h"

#include <math.h>
#include <string.h>

enum {
    VERSION = 1,
    WEIGHT_BYTES = 2,
    MAX_MEMORY_BYTES = 64 * 1024 * 1024
};

typedef Tailor__Model__V1__Optimizer optimizer_message;
typedef Tailor__Model__V1__OptimizerNet net_message;

/* ---- weights ------------------------------------------------------------------------------ */

/* The upper half of a float, rounded to nearest. */
static uint16_t to_short(float value)
{
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

static float from_short(uint16_t value)
{
    uint32_t bits = (uint32_t)value << 16;
    float out = 0.0F;
    memcpy(&out, &bits, sizeof out);
    return out;
}

void tl_optimizer_round(tl_policy *policy)
{
    float *params = tl_policy_params(policy);
    for (int i = 0; i < tl_policy_n_params(policy); i++) {
        params[i] = from_short(to_short(params[i]));
    }
}

/* ---- packing -------------------------------------------------------------------------------- */

static tl_err put_tasks(const tl_signature *signature, net_message *net)
{
    net->tasks = tl_mem_new((size_t)signature->n_tasks, sizeof *net->tasks);
    if (net->tasks == NULL) {
        return tl_fail(TL_ENOMEM, "%d tasks", signature->n_tasks);
    }
    for (int i = 0; i < signature->n_tasks; i++) {
        char *task = tl_mem_strdup(signature->tasks[i]);
        if (task == NULL) {
            return tl_fail(TL_ENOMEM, "%d tasks", signature->n_tasks);
        }
        net->tasks[net->n_tasks++] = task;
    }
    return TL_OK;
}

static tl_err put_net(const tl_signature *signature, const tl_policy *policy, net_message *net)
{
    const tl_policy_options *shape = tl_policy_options_of(policy);
    const float *params = tl_policy_params_view(policy);
    size_t n = (size_t)tl_policy_n_params(policy);
    net->has_bits = signature->freedom == TL_FREE_BITS;
    net->references = (uint32_t)signature->n_references;
    net->has_energy = signature->has_energy;
    net->hidden = (uint32_t)shape->n_hidden;
    net->state = (uint32_t)shape->n_state;
    TL_TRY(put_tasks(signature, net));
    net->weights.data = tl_mem_new(n, WEIGHT_BYTES);
    if (net->weights.data == NULL) {
        return tl_fail(TL_ENOMEM, "%zu weights", n);
    }
    net->weights.len = n * WEIGHT_BYTES;
    for (size_t i = 0; i < n; i++) {
        uint16_t bits = to_short(params[i]);
        net->weights.data[WEIGHT_BYTES * i] = (uint8_t)(bits & 0xffU);
        net->weights.data[WEIGHT_BYTES * i + 1] = (uint8_t)(bits >> 8);
    }
    return TL_OK;
}

static tl_err put_nets(const tl_optimizer *optimizer, optimizer_message *message)
{
    message->version = VERSION;
    message->nets = tl_mem_new(TL_N_FREEDOMS, sizeof *message->nets);
    if (message->nets == NULL) {
        return tl_fail(TL_ENOMEM, "an optimizer");
    }
    for (int f = 0; f < TL_N_FREEDOMS; f++) {
        if (optimizer->policies[f] == NULL) {
            continue;
        }
        ProtobufCMessage *made = tl_wire_new(&tailor__model__v1__optimizer_net__descriptor);
        if (made == NULL) {
            return tl_fail(TL_ENOMEM, "an optimizer");
        }
        message->nets[message->n_nets++] = (net_message *)made;
        TL_TRY(put_net(&optimizer->signatures[f], optimizer->policies[f], (net_message *)made));
    }
    return TL_OK;
}

tl_err tl_optimizer_pack(const tl_optimizer *optimizer, tl_bytes *out)
{
    ProtobufCMessage *message = tl_wire_new(&tailor__model__v1__optimizer__descriptor);
    if (message == NULL) {
        return tl_fail(TL_ENOMEM, "an optimizer");
    }
    tl_err err = put_nets(optimizer, (optimizer_message *)message);
    if (err == TL_OK) {
        err = tl_wire_pack(message, out);
    }
    tl_wire_free(message);
    return err;
}

/* ---- unpacking -------------------------------------------------------------------------------- */

static tl_err check_net(const net_message *net, const tl_optimizer *optimizer)
{
    if (net->references == 0 || net->references > TL_SIGNATURE_MAX_REFERENCES) {
        return tl_fail(
            TL_EDAMAGED, "references: got %u, want 1 to %d", net->references,
            (int)TL_SIGNATURE_MAX_REFERENCES);
    }
    if (net->n_tasks == 0 || net->n_tasks > TL_SIGNATURE_MAX_TASKS) {
        return tl_fail(
            TL_EDAMAGED, "tasks: got %zu, want 1 to %d", net->n_tasks,
            (int)TL_SIGNATURE_MAX_TASKS);
    }
    if (net->hidden == 0 || net->hidden > INT16_MAX || net->state == 0 ||
        net->state > INT16_MAX) {
        return tl_fail(
            TL_EDAMAGED, "widths of a network: got %u and %u", net->hidden, net->state);
    }
    if (optimizer->policies[net->has_bits ? TL_FREE_BITS : TL_FREE_ARCHITECTURE] != NULL) {
        return tl_fail(TL_EDAMAGED, "two networks of one kind");
    }
    return TL_OK;
}

static tl_err get_weights(const net_message *net, tl_policy *policy)
{
    float *params = tl_policy_params(policy);
    size_t n = (size_t)tl_policy_n_params(policy);
    if (net->weights.len != n * WEIGHT_BYTES) {
        return tl_fail(
            TL_EDAMAGED, "weights: got %zu bytes, want %zu x %d", net->weights.len, n,
            (int)WEIGHT_BYTES);
    }
    for (size_t i = 0; i < n; i++) {
        const uint8_t *at = net->weights.data + WEIGHT_BYTES * i;
        params[i] = from_short((uint16_t)(at[0] | (unsigned)at[1] << 8));
        if (!isfinite(params[i])) {
            return tl_fail(TL_EDAMAGED, "weight %zu is not finite", i);
        }
    }
    return TL_OK;
}

static tl_err get_net(const tl_space *space, const net_message *net, tl_optimizer *optimizer)
{
    TL_TRY(check_net(net, optimizer));
    tl_freedom freedom = net->has_bits ? TL_FREE_BITS : TL_FREE_ARCHITECTURE;
    tl_signature *signature = &optimizer->signatures[freedom];
    TL_TRY(tl_signature_init(
        space, freedom, (int)net->references, net->has_energy, (int)net->n_tasks,
        (const char *const *)net->tasks, signature));
    tl_rng rng;
    tl_rng_init(&rng, 0);
    tl_policy_options shape = {
        .n_inputs = tl_signature_width(signature),
        .n_hidden = (int)net->hidden,
        .n_state = (int)net->state};
    tl_err err = tl_policy_new(space, freedom, &shape, &rng, &optimizer->policies[freedom]);
    if (err == TL_EINVAL || err == TL_ELIMIT) {
        return TL_EDAMAGED; /* the detail says which size */
    }
    return err == TL_OK ? get_weights(net, optimizer->policies[freedom]) : err;
}

static tl_err get_nets(
    const tl_space *space, const optimizer_message *message, tl_optimizer *optimizer)
{
    if (message->version == 0) {
        return tl_fail(TL_EDAMAGED, "an optimizer without a version");
    }
    if (message->version > VERSION) {
        return tl_fail(
            TL_EVERSION, "optimizer: got version %u, want at most %d", message->version,
            (int)VERSION);
    }
    for (size_t i = 0; i < message->n_nets; i++) {
        TL_TRY(get_net(space, message->nets[i], optimizer));
    }
    return TL_OK;
}

tl_err tl_optimizer_unpack(
    const tl_space *space, const void *data, size_t len, tl_optimizer **out_optimizer)
{
    ProtobufCMessage *message = NULL;
    tl_err err = tl_wire_unpack(
        &tailor__model__v1__optimizer__descriptor, data, len, MAX_MEMORY_BYTES, &message);
    if (err != TL_OK) {
        return err == TL_EINVAL || err == TL_ELIMIT ? TL_EDAMAGED : err;
    }
    tl_optimizer *optimizer = tl_optimizer_alloc();
    if (optimizer == NULL) {
        err = tl_fail(TL_ENOMEM, "an optimizer");
        goto done;
    }
    if ((err = get_nets(space, (optimizer_message *)message, optimizer)) != TL_OK) {
        tl_optimizer_unref(optimizer);
        goto done;
    }
    *out_optimizer = optimizer;
done:
    tl_wire_free(message);
    return err;
}
