/* SPDX-License-Identifier: Apache-2.0 */

/* The methods with rich answers: predictions, designs, networks. */

#include "base/mem.h"
#include "clients/c/impl.h"

/* What the caller holds comes first in each; the rest is the memory that it borrows from. */
typedef struct owned_answer {
    tailor_answer answer;
    tailor_front front;
    ProtobufCMessage *message;
} owned_answer;

typedef struct owned_fleet_part {
    tailor_fleet_part part;
    ProtobufCMessage *message;
} owned_fleet_part;

typedef struct owned_lowered {
    tailor_lowered lowered;
    ProtobufCMessage *message;
    tailor_network *networks;
    tailor_op *ops; /* of all networks */
} owned_lowered;

/* ---- predictions and designs ---------------------------------------------------------- */

static tl_err take_optional(Tailor__V1__Table **table, tailor_table **out_table)
{
    if (*table == NULL) {
        return TL_OK;
    }
    TL_TRY(tl_client_table_check(*table));
    return tl_client_table_take(table, out_table);
}

/* The front of an answer that has one. */
static void take_front(const Tailor__V1__Front *front, owned_answer *owned)
{
    if (front != NULL) {
        owned->front = (tailor_front){
            .cost = front->cost,
            .hypervolume = front->hypervolume,
            .hypervolume_low = front->hypervolume_low,
            .hypervolume_high = front->hypervolume_high,
            .corner_cost = front->corner_cost,
            .corner_accuracy = front->corner_accuracy};
        owned->answer.front = &owned->front;
    }
}

static tl_err ask_answer(
    tailor_client *client,
    const char *method,
    const ProtobufCMessage *request,
    tailor_answer **out_answer)
{
    tl_exchange exchange = {
        .method = method, .request = request, .reply_type = &tailor__v1__answer__descriptor};
    owned_answer *owned = tl_mem_new(1, sizeof *owned);
    if (owned == NULL) {
        return tl_fail(TL_ENOMEM, "an answer");
    }
    tl_err err = tl_client_exchange(client, &exchange, &owned->message);
    Tailor__V1__Answer *m = (Tailor__V1__Answer *)(void *)owned->message;
    if (err != TL_OK || (err = tl_client_table_check(m->table)) != TL_OK ||
        (err = tl_client_table_take(&m->table, &owned->answer.table)) != TL_OK ||
        (err = take_optional(&m->operators, &owned->answer.operators)) != TL_OK ||
        (err = take_optional(&m->slots, &owned->answer.slots)) != TL_OK) {
        goto done;
    }
    owned->answer.is_infeasible = m->is_infeasible;
    owned->answer.model = m->model;
    owned->answer.task = m->task;
    owned->answer.method = m->method;
    owned->answer.n_evaluations = m->n_evaluations;
    take_front(m->front, owned);
    *out_answer = &owned->answer;
    owned = NULL;
done:
    tailor_answer_free(owned != NULL ? &owned->answer : NULL);
    return err;
}

void tailor_answer_free(tailor_answer *answer)
{
    owned_answer *owned = (owned_answer *)(void *)answer;
    if (owned != NULL) {
        tailor_table_free(owned->answer.table);
        tailor_table_free(owned->answer.operators);
        tailor_table_free(owned->answer.slots);
        tl_wire_free(owned->message);
        tl_mem_free(owned);
    }
}

tailor_err tailor_predict(
    tailor_client *client, const tailor_predict_options *options, tailor_answer **out_answer)
{
    Tailor__V1__PredictRequest request;
    tailor__v1__predict_request__init(&request);
    request.space = tl_client_string(options->space);
    request.device = tl_client_string(options->device);
    request.task = tl_client_string(options->task);
    request.origin = tl_client_string(options->origin);
    request.designs_csv = tl_client_data(options->designs_csv, options->designs_len);
    return tl_client_err(
        ask_answer(client, "predict.run", (ProtobufCMessage *)&request, out_answer));
}

static void set_limit(const double *limit, protobuf_c_boolean *out_has, double *out_value)
{
    *out_has = limit != NULL;
    *out_value = limit != NULL ? *limit : 0.0;
}

/* asked: latency, energy, accuracy, confidence; NULL: not asked for. */
static void set_limits(const double *const asked[4], Tailor__V1__Limits *limits)
{
    tailor__v1__limits__init(limits);
    set_limit(asked[0], &limits->has_max_latency_ms, &limits->max_latency_ms);
    set_limit(asked[1], &limits->has_max_energy_mj, &limits->max_energy_mj);
    set_limit(asked[2], &limits->has_min_accuracy, &limits->min_accuracy);
    set_limit(asked[3], &limits->has_confidence, &limits->confidence);
}

tailor_err tailor_design(
    tailor_client *client, const tailor_design_options *options, tailor_answer **out_answer)
{
    Tailor__V1__Limits limits;
    Tailor__V1__Weights weights;
    Tailor__V1__DesignRequest request;
    tailor__v1__weights__init(&weights);
    tailor__v1__design_request__init(&request);
    const double *const asked[] = {
        options->max_latency_ms, options->max_energy_mj, options->min_accuracy,
        options->confidence};
    set_limits(asked, &limits);
    set_limit(options->weight_latency, &weights.has_latency, &weights.latency);
    set_limit(options->weight_energy, &weights.has_energy, &weights.energy);
    request.space = tl_client_string(options->space);
    request.device = tl_client_string(options->device);
    request.task = tl_client_string(options->task);
    request.limits = &limits;
    request.weights = &weights;
    request.budget_us = options->budget_us;
    request.propose = options->propose;
    request.maximize = tl_client_string(options->maximize);
    request.minimize = tl_client_string(options->minimize);
    request.count = options->count;
    request.with_infeasible = options->with_infeasible != 0;
    request.explain = options->explain != 0;
    request.method = tl_client_string(options->method);
    request.has_seed = options->seed != NULL;
    request.seed = options->seed != NULL ? *options->seed : 0;
    return tl_client_err(
        ask_answer(client, "design.run", (ProtobufCMessage *)&request, out_answer));
}

tailor_err tailor_pareto(
    tailor_client *client, const tailor_pareto_options *options, tailor_answer **out_answer)
{
    Tailor__V1__Limits limits;
    Tailor__V1__ParetoRequest request;
    tailor__v1__pareto_request__init(&request);
    const double *const asked[] = {
        options->max_latency_ms, options->max_energy_mj, options->min_accuracy,
        options->confidence};
    set_limits(asked, &limits);
    request.space = tl_client_string(options->space);
    request.device = tl_client_string(options->device);
    request.task = tl_client_string(options->task);
    request.limits = &limits;
    request.minimize = tl_client_string(options->minimize);
    request.points = options->points;
    request.budget_us = options->budget_us;
    request.has_seed = options->seed != NULL;
    request.seed = options->seed != NULL ? *options->seed : 0;
    return tl_client_err(
        ask_answer(client, "pareto.run", (ProtobufCMessage *)&request, out_answer));
}

static tl_err ask_fleet(
    tailor_client *client, const ProtobufCMessage *request, tailor_fleet_part **out_part)
{
    tl_exchange exchange = {
        .method = "fleet.run",
        .request = request,
        .reply_type = &tailor__v1__fleet_reply__descriptor,
        .is_unbounded = true};
    owned_fleet_part *owned = tl_mem_new(1, sizeof *owned);
    if (owned == NULL) {
        return tl_fail(TL_ENOMEM, "an answer");
    }
    tl_err err = tl_client_exchange(client, &exchange, &owned->message);
    Tailor__V1__FleetReply *m = (Tailor__V1__FleetReply *)(void *)owned->message;
    if (err != TL_OK || (err = tl_client_table_check(m->table)) != TL_OK ||
        (err = tl_client_table_take(&m->table, &owned->part.table)) != TL_OK) {
        tailor_fleet_part_free(&owned->part);
        return err;
    }
    owned->part.n_infeasible = m->n_infeasible;
    owned->part.n_failed = m->n_failed;
    *out_part = &owned->part;
    return TL_OK;
}

tailor_err tailor_fleet(
    tailor_client *client, const tailor_fleet_options *options, tailor_fleet_part **out_part)
{
    Tailor__V1__Limits limits;
    Tailor__V1__Weights weights;
    Tailor__V1__FleetRequest request;
    const double *const asked[] = {
        options->max_latency_ms, options->max_energy_mj, options->min_accuracy,
        options->confidence};
    tailor__v1__weights__init(&weights);
    tailor__v1__fleet_request__init(&request);
    set_limits(asked, &limits);
    set_limit(options->weight_latency, &weights.has_latency, &weights.latency);
    set_limit(options->weight_energy, &weights.has_energy, &weights.energy);
    request.space = tl_client_string(options->space);
    request.task = tl_client_string(options->task);
    request.limits = &limits;
    request.weights = &weights;
    request.maximize = tl_client_string(options->maximize);
    request.minimize = tl_client_string(options->minimize);
    request.method = tl_client_string(options->method);
    request.has_seed = options->seed != NULL;
    request.seed = options->seed != NULL ? *options->seed : 0;
    request.origin = tl_client_string(options->origin);
    request.first_line = options->first_line;
    request.csv = tl_client_data(options->csv, options->csv_len);
    request.run = tl_client_string(options->run);
    request.rows_before = options->rows_before;
    request.rows_total = options->rows_total;
    return tl_client_err(ask_fleet(client, (ProtobufCMessage *)&request, out_part));
}

tailor_err tailor_fleet_end(
    tailor_client *client, const tailor_fleet_options *options, bool is_given_up)
{
    Tailor__V1__FleetRequest request;
    tailor__v1__fleet_request__init(&request);
    request.space = tl_client_string(options->space);
    request.run = tl_client_string(options->run);
    request.run_end = is_given_up ? TAILOR__V1__FLEET_REQUEST__RUN_END__GIVEN_UP
                                  : TAILOR__V1__FLEET_REQUEST__RUN_END__DONE;
    tl_exchange exchange = {.method = "fleet.run", .request = (ProtobufCMessage *)&request};
    return tl_client_err(tl_client_exchange(client, &exchange, NULL));
}

void tailor_fleet_part_free(tailor_fleet_part *part)
{
    owned_fleet_part *owned = (owned_fleet_part *)(void *)part;
    if (owned != NULL) {
        tailor_table_free(owned->part.table);
        tl_wire_free(owned->message);
        tl_mem_free(owned);
    }
}

tailor_err tailor_proxy(
    tailor_client *client, const tailor_proxy_options *options, tailor_answer **out_answer)
{
    Tailor__V1__ProxyRequest request;
    tailor__v1__proxy_request__init(&request);
    request.space = tl_client_string(options->space);
    request.device = tl_client_string(options->device);
    request.task = tl_client_string(options->task);
    request.metric = tl_client_string(options->metric);
    request.points = options->points;
    request.has_seed = options->seed != NULL;
    request.seed = options->seed != NULL ? *options->seed : 0;
    return tl_client_err(
        ask_answer(client, "proxy.run", (ProtobufCMessage *)&request, out_answer));
}

/* ---- networks ----------------------------------------------------------------------------- */

static tailor_op op_of(const Tailor__V1__Op *m)
{
    return (tailor_op){
        .kind = m->kind,
        .in_ch = m->in_ch,
        .out_ch = m->out_ch,
        .in_size = m->in_size,
        .out_size = m->out_size,
        .kernel = m->kernel,
        .stride = m->stride,
        .pad = m->pad,
        .groups = m->groups,
        .w_bits = m->w_bits,
        .a_bits = m->a_bits,
        .act = m->act,
        .pre_act = m->pre_act,
        .has_bias = m->has_bias,
        .has_norm = m->has_norm,
        .is_reached = m->is_reached,
        .is_needed = m->is_needed,
        .n_inputs = m->n_inputs,
        .inputs = m->inputs,
    };
}

/* An operator reads only what comes before it. */
static tl_err check_op(const Tailor__V1__Op *op, size_t position)
{
    for (size_t i = 0; i < op->n_inputs; i++) {
        if (op->inputs[i] < -1 || op->inputs[i] >= (int64_t)position) {
            return tl_fail(
                TL_EDAMAGED, "operator %zu: reads operator %d, which is not before it",
                position, op->inputs[i]);
        }
    }
    return TL_OK;
}

/* Fills owned from its message. */
static tl_err build_networks(owned_lowered *owned)
{
    Tailor__V1__LowerReply *m = (Tailor__V1__LowerReply *)(void *)owned->message;
    size_t n_ops = 0;
    for (size_t i = 0; i < m->n_networks; i++) {
        n_ops += m->networks[i]->n_ops;
    }
    owned->ops = tl_mem_new(n_ops, sizeof *owned->ops);
    owned->networks = tl_mem_new(m->n_networks, sizeof *owned->networks);
    if (owned->ops == NULL || owned->networks == NULL) {
        return tl_fail(TL_ENOMEM, "%zu operators", n_ops);
    }
    tailor_op *next = owned->ops;
    for (size_t i = 0; i < m->n_networks; i++) {
        const Tailor__V1__Network *network = m->networks[i];
        owned->networks[i] = (tailor_network){
            .in_ch = network->in_ch,
            .in_size = network->in_size,
            .n_ops = network->n_ops,
            .ops = next};
        for (size_t l = 0; l < network->n_ops; l++) {
            TL_TRY(check_op(network->ops[l], l));
            *next++ = op_of(network->ops[l]);
        }
    }
    owned->lowered.n_networks = m->n_networks;
    owned->lowered.networks = owned->networks;
    TL_TRY(tl_client_table_check(m->designs));
    return tl_client_table_take(&m->designs, &owned->lowered.designs);
}

tailor_err tailor_space_lower(
    tailor_client *client,
    const char *space,
    const char *origin,
    const char *csv,
    size_t len,
    tailor_lowered **out_lowered)
{
    Tailor__V1__LowerRequest request;
    tailor__v1__lower_request__init(&request);
    request.space = tl_client_string(space);
    request.origin = tl_client_string(origin);
    request.designs_csv = tl_client_data(csv, len);
    tl_exchange exchange = {
        .method = "space.lower",
        .request = (ProtobufCMessage *)&request,
        .reply_type = &tailor__v1__lower_reply__descriptor};
    owned_lowered *owned = tl_mem_new(1, sizeof *owned);
    if (owned == NULL) {
        return tl_client_err(tl_fail(TL_ENOMEM, "networks"));
    }
    tl_err err = tl_client_exchange(client, &exchange, &owned->message);
    if (err != TL_OK || (err = build_networks(owned)) != TL_OK) {
        goto done;
    }
    *out_lowered = &owned->lowered;
    owned = NULL;
done:
    tailor_lowered_free(owned != NULL ? &owned->lowered : NULL);
    return tl_client_err(err);
}

void tailor_lowered_free(tailor_lowered *lowered)
{
    owned_lowered *owned = (owned_lowered *)(void *)lowered;
    if (owned != NULL) {
        tailor_table_free(owned->lowered.designs);
        tl_mem_free(owned->networks);
        tl_mem_free(owned->ops);
        tl_wire_free(owned->message);
        tl_mem_free(owned);
    }
}
