/* SPDX-License-Identifier: Apache-2.0 */

/* Method proxy.run: which known devices a new one ranks designs as, and their designs for it. */

#include "base/mem.h"
#include "daemon/handle.h"
#include "daemon/methods.h"
#include "daemon/question.h"
#include "measurements/columns.h"
#include "optimizer/pareto.h"
#include "optimizer/proxy.h"

#include <string.h>

typedef Tailor__V1__ProxyRequest proxy_request;
typedef Tailor__V1__Answer answer_reply;

enum {
    MAX_POINTS = TL_PARETO_CAPACITY,
    DIGITS = 4,
    BLOCK = 2048 /* designs encoded at once */
};

static tl_err read_cost(const char *metric, tl_cost *out_cost)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        if (strcmp(metric[0] != '\0' ? metric : "latency_ms", tl_cost_name((tl_cost)c)) == 0) {
            *out_cost = (tl_cost)c;
            return TL_OK;
        }
    }
    return tl_fail(TL_EINVAL, "metric: got \"%.40s\", want latency_ms or energy_mj", metric);
}

/* ---- agreement ---------------------------------------------------------------------------- */

/* Best first; the caller owns *out_agreements. */
static tl_err find_agreements(
    const tl_subject *subject,
    tl_cost cost,
    uint64_t seed,
    tl_agreement **out_agreements,
    int *out_n)
{
    const char *device = subject->profile.name;
    int n = tl_proxy_max_agreements(subject->view, cost, device);
    if (n == 0) {
        return tl_fail(
            TL_ESTATE, "no other device of known %s in space %s: train on some",
            tl_cost_name(cost), tl_space_name(subject->space));
    }
    if (tl_view_basis(subject->view, cost) == TL_BASIS_NOTHING) {
        return tl_fail(
            TL_ESTATE, "nothing is known of %s on device %s: import a few measurements of it",
            tl_cost_name(cost), device);
    }
    tl_agreement *agreements = tl_mem_new((size_t)n, sizeof *agreements);
    if (agreements == NULL) {
        return tl_fail(TL_ENOMEM, "%d known devices", n);
    }
    tl_err err = tl_proxy_agreements(subject->view, cost, device, seed, agreements);
    if (err != TL_OK) {
        tl_mem_free(agreements);
        return err;
    }
    *out_agreements = agreements;
    *out_n = n;
    return TL_OK;
}

static tl_err add_agreements(
    const tl_subject *subject,
    tl_cost cost,
    const tl_agreement *agreements,
    int n,
    answer_reply *reply)
{
    static const char *const names[] = {
        "spearman", "spearman_low", "spearman_high", "reusable", "measurements"};
    double *columns[TL_COUNT(names)] = {0};
    Tailor__V1__Column *devices = NULL;
    reply->table = tl_table_reply_new((size_t)n);
    if (reply->table == NULL) {
        return tl_fail(TL_ENOMEM, "%d known devices", n);
    }
    TL_TRY(tl_table_reply_text(reply->table, "device", &devices));
    for (size_t c = 0; c < TL_COUNT(names); c++) {
        TL_TRY(tl_table_reply_blank(reply->table, names[c], c < 3 ? DIGITS : 0, &columns[c]));
    }
    for (int i = 0; i < n; i++) {
        TL_TRY(tl_table_reply_set_text(devices, (size_t)i, agreements[i].device));
        columns[0][i] = agreements[i].spearman;
        columns[1][i] = agreements[i].low;
        columns[2][i] = agreements[i].high;
        columns[3][i] = agreements[i].spearman >= TL_PROXY_REUSABLE;
        columns[4][i] = tl_view_n_samples(subject->view, cost);
    }
    return tl_handle_set_text(&reply->method, "agreement");
}

/* ---- designs by way of the proxy ------------------------------------------------------------- */

/* A question whose cost the proxy answers. */
typedef struct proxied {
    tl_question question; /* first: the problem's context is this */
    tl_predict_fn *predict;
    tl_cost cost;
    tl_adapted adapted;
} proxied;

static tl_err predict_block(
    const proxied *p, const tl_choice *designs, int n, tl_prediction *out)
{
    const tl_features *features = tl_predictor_features(p->question.subject->predictor);
    double values[BLOCK];
    tl_dmat rows = {0};
    TL_TRY(tl_dmat_init(&rows, n, tl_features_n_source(features)));
    tl_err err = tl_features_encode(features, designs, n, (tl_dmat){0}, rows);
    if (err == TL_OK) {
        err = tl_adapted_predict(&p->adapted, tl_dro(rows), values);
    }
    for (int i = 0; i < n && err == TL_OK; i++) {
        double sd = p->adapted.relative_sd * values[i];
        if (p->cost == TL_COST_LATENCY) {
            out[i].latency_ms = values[i];
            out[i].latency_std_ms = sd;
        } else {
            out[i].energy_mj = values[i];
            out[i].energy_std_mj = sd;
        }
    }
    tl_dmat_done(&rows);
    return err;
}

static tl_err predict(void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    const proxied *p = context;
    size_t n_slots = (size_t)tl_space_n_slots(p->question.problem.space);
    TL_TRY(p->predict(context, designs, n, out));
    for (int begin = 0; begin < n; begin += BLOCK) {
        int size = n - begin < BLOCK ? n - begin : BLOCK;
        TL_TRY(predict_block(p, designs + (size_t)begin * n_slots, size, out + begin));
    }
    return TL_OK;
}

/* Fits the proxy to what was measured of the device: as it is where it agrees, else adapted. */
static tl_err fit_proxy(
    tl_call *call, const tl_subject *subject, const tl_agreement *best, proxied *p)
{
    const tl_features *features = tl_predictor_features(subject->predictor);
    const tl_model_source *source =
        tl_model_source_find(tl_predictor_model(subject->predictor), best->device, p->cost);
    tl_column column = {0};
    tl_dmat rows = {0};
    tl_err err = tl_columns_get(
        tl_engine_store(call->engine), subject->space, (tl_metric)p->cost,
        subject->profile.name, &column);
    if (err == TL_ENOTFOUND) {
        return tl_fail(
            TL_ESTATE, "nothing was measured of %s on device %s: import a few measurements",
            tl_cost_name(p->cost), subject->profile.name);
    }
    if (err != TL_OK ||
        (err = tl_dmat_init(&rows, column.n, tl_features_n_source(features))) != TL_OK ||
        (err = tl_features_encode(features, column.designs, column.n, (tl_dmat){0}, rows)) !=
            TL_OK) {
        goto done;
    }
    err = best->spearman >= TL_PROXY_REUSABLE
              ? tl_proxy_scale(&source->source, tl_dro(rows), column.values, &p->adapted)
              : tl_proxy_adapt(&source->source, tl_dro(rows), column.values, &p->adapted);
done:
    tl_dmat_done(&rows);
    tl_column_done(&column);
    return err;
}

static tl_err add_designs(
    tl_call *call,
    const proxy_request *request,
    const tl_subject *subject,
    tl_cost cost,
    const tl_agreement *best,
    answer_reply *reply)
{
    tl_front front = {0};
    tl_text method = {0};
    proxied p = {.cost = cost};
    const tl_asked asked = {.maximize = "", .minimize = tl_cost_name(cost)};
    const tl_pareto_options options = {
        .by_energy = cost == TL_COST_ENERGY, .seed = request->has_seed ? request->seed : 1};
    TL_TRY(tl_question_init(call, subject, &asked, &p.question));
    p.predict = p.question.problem.predict;
    p.question.problem.predict = predict;
    tl_err err = fit_proxy(call, subject, best, &p);
    if (err != TL_OK || (err = tl_call_check(call)) != TL_OK ||
        (err = tl_question_front(&p.question, &options, &front)) != TL_OK) {
        goto done;
    }
    tl_front_thin(&front, (int)request->points);
    bool is_reused = best->spearman >= TL_PROXY_REUSABLE;
    tl_text_addf(&method, "%s %s", is_reused ? "reuse of" : "adapting", best->device);
    if ((err = tl_text_err(&method)) == TL_OK &&
        (err = tl_question_answer(&p.question, front.designs, front.scores, front.n, reply)) ==
            TL_OK) {
        err = tl_handle_set_text(&reply->method, method.data);
    }
done:
    tl_text_done(&method);
    tl_front_done(&front);
    tl_adapted_done(&p.adapted);
    return err;
}

/* ---- the method --------------------------------------------------------------------------------- */

static tl_err run(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const proxy_request *request = (const proxy_request *)request_base;
    answer_reply *reply = (answer_reply *)reply_base;
    tl_subject subject = {0};
    tl_agreement *agreements = NULL;
    tl_cost cost = TL_COST_LATENCY;
    int n = 0;
    if (request->points > MAX_POINTS) {
        return tl_fail(
            TL_EINVAL, "points: got %u, want at most %d", request->points, (int)MAX_POINTS);
    }
    TL_TRY(read_cost(request->metric, &cost));
    TL_TRY(tl_subject_find(call, request->space, request->device, request->task, &subject));
    tl_err err = tl_call_check(call); /* a device may have been fitted */
    if (err == TL_OK) {
        err = find_agreements(
            &subject, cost, request->has_seed ? request->seed : 1, &agreements, &n);
    }
    if (err == TL_OK) {
        err = tl_call_check(call);
    }
    if (err == TL_OK && request->points > 0) {
        err = add_designs(call, request, &subject, cost, &agreements[0], reply);
    } else if (
        err == TL_OK && (err = add_agreements(&subject, cost, agreements, n, reply)) == TL_OK) {
        err = tl_answer_sign(reply, &subject);
    }
    tl_mem_free(agreements);
    tl_subject_done(&subject);
    return err;
}

const tl_method tl_method_proxy_run = {
    .name = "proxy.run",
    .summary = "Rank agreement of a device with each known one, or a proxy's designs for it",
    .request = &tailor__v1__proxy_request__descriptor,
    .reply = &tailor__v1__answer__descriptor,
    .run = run,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_WORK,
    .deadline_ms = 600000,
};
