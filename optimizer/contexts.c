/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/contexts.h"

#include "base/mem.h"
#include "base/units.h"
#include "measurements/designs.h"
#include "numerics/stats.h"
#include "optimizer/contexts_draw.h"

#include <math.h>
#include <string.h>

enum {
    N_POOL = 1000,
    LIST_BLOCK = 1024
};

static const double infeasible_worth = -1e9;

/* ---- accuracies --------------------------------------------------------------------------------- */

static void accuracies_done(tl_task_accuracies *accuracies)
{
    tl_mem_free(accuracies->mean);
    tl_mem_free(accuracies->sd);
    *accuracies = (tl_task_accuracies){0};
}

/* Puts one output of a model of several tasks where the task's values stand. */
static void take_output(const double *values, int n_outputs, int output, int n, float *out)
{
    for (int i = 0; i < n; i++) {
        out[i] = (float)values[(ptrdiff_t)i * n_outputs + output];
    }
}

/* Every task that this accuracy model answers. */
static tl_err predict_model(
    const tl_contexts *c,
    const tl_accuracy_model *model,
    const tl_choice *designs,
    int n,
    tl_task_accuracies *out)
{
    const tl_signature *signature = c->signature;
    int n_outputs = tl_accuracy_model_n_tasks(model);
    double *values = tl_mem_new(2 * (size_t)n * (size_t)n_outputs, sizeof *values);
    if (values == NULL) {
        return tl_fail(TL_ENOMEM, "accuracies of %d designs", n);
    }
    double *std = values + (ptrdiff_t)n * n_outputs;
    tl_err err = tl_accuracy_predict(model, designs, n, values, std);
    for (int t = 0; t < signature->n_tasks && err == TL_OK; t++) {
        int output = 0;
        if (tl_model_task_find(
                tl_predictor_model(c->predictor), signature->tasks[t], &output) == model) {
            take_output(values, n_outputs, output, n, out->mean + (ptrdiff_t)t * n);
            take_output(std, n_outputs, output, n, out->sd + (ptrdiff_t)t * n);
        }
    }
    tl_mem_free(values);
    return err;
}

static tl_err predict_proxy(
    const tl_contexts *c, const tl_choice *designs, int n, tl_task_accuracies *out)
{
    double *values = tl_mem_new((size_t)n, sizeof *values);
    if (values == NULL) {
        return tl_fail(TL_ENOMEM, "values of %d designs", n);
    }
    tl_err err = c->options.proxy(c->options.proxy_context, designs, n, values);
    for (int t = 0; t < c->signature->n_tasks; t++) {
        take_output(values, 1, 0, n, out->mean + (ptrdiff_t)t * n);
    }
    tl_mem_free(values);
    return err;
}

static tl_err accuracies_init(
    const tl_contexts *c, const tl_choice *designs, int n, tl_task_accuracies *out)
{
    const tl_model *model = tl_predictor_model(c->predictor);
    const tl_signature *signature = c->signature;
    size_t size = (size_t)n * (size_t)signature->n_tasks;
    out->mean = tl_mem_new(size, sizeof *out->mean);
    out->sd = tl_mem_new(size, sizeof *out->sd);
    if (out->mean == NULL || out->sd == NULL) {
        return tl_fail(TL_ENOMEM, "accuracies of %d designs", n);
    }
    if (c->options.proxy != NULL) {
        return predict_proxy(c, designs, n, out);
    }
    for (int m = 0; m < model->n_accuracies; m++) {
        bool is_asked = false;
        int output = 0;
        for (int t = 0; t < signature->n_tasks; t++) {
            is_asked |=
                tl_model_task_find(model, signature->tasks[t], &output) == model->accuracies[m];
        }
        if (is_asked) {
            TL_TRY(predict_model(c, model->accuracies[m], designs, n, out));
        }
    }
    return TL_OK;
}

static tl_err scale_points(tl_contexts *c)
{
    int n = c->pool.n;
    c->points = tl_mem_new((size_t)c->signature->n_tasks, sizeof *c->points);
    double *values = tl_mem_new((size_t)n, sizeof *values);
    if (c->points == NULL || values == NULL) {
        tl_mem_free(values);
        return tl_fail(TL_ENOMEM, "%d values", n);
    }
    for (int t = 0; t < c->signature->n_tasks; t++) {
        for (int i = 0; i < n; i++) {
            values[i] = (double)c->pool_accuracies.mean[(ptrdiff_t)t * n + i];
        }
        double median = tl_median_inplace(n, values);
        c->points[t] = fmax(tl_quantile_inplace(n, values, .9) - median, .1);
    }
    tl_mem_free(values);
    return TL_OK;
}

/* ---- the listing ------------------------------------------------------------------------------------ */

static tl_err order_listing(tl_contexts *c)
{
    int n = c->n_listing;
    double *values = tl_mem_new((size_t)n, sizeof *values);
    c->order = tl_mem_new((size_t)n * (size_t)c->signature->n_tasks, sizeof *c->order);
    tl_err err = values == NULL || c->order == NULL
                     ? tl_fail(TL_ENOMEM, "an order of %d designs", n)
                     : TL_OK;
    for (int t = 0; t < c->signature->n_tasks && err == TL_OK; t++) {
        for (int i = 0; i < n; i++) {
            values[i] = -(double)c->listed_accuracies.mean[(ptrdiff_t)t * n + i];
        }
        err = tl_argsort(n, values, c->order + (ptrdiff_t)t * n);
    }
    tl_mem_free(values);
    return err;
}

static tl_err list_device_cost(
    const tl_contexts *c, tl_cost cost, const tl_prediction *costs, tl_context_device *device)
{
    size_t n = (size_t)c->n_listing;
    float *listed = tl_mem_new(2 * n, sizeof *listed);
    if (listed == NULL) {
        return tl_fail(TL_ENOMEM, "costs of %zu designs", n);
    }
    for (size_t i = 0; i < n; i++) {
        bool is_latency = cost == TL_COST_LATENCY;
        listed[i] = (float)(is_latency ? costs[i].latency_ms : costs[i].energy_mj);
        listed[n + i] = (float)(is_latency ? costs[i].latency_std_ms : costs[i].energy_std_mj);
    }
    device->listed[cost] = listed;
    return TL_OK;
}

/* Predicts the listing on the device, which then has no use for its heads. */
static tl_err list_device(
    const tl_contexts *c, const tl_encoded *listing, tl_context_device *device)
{
    tl_prediction *costs = tl_mem_new((size_t)c->n_listing, sizeof *costs);
    if (costs == NULL) {
        return tl_fail(TL_ENOMEM, "costs of %d designs", c->n_listing);
    }
    tl_err err = tl_imagined_predict(&device->imagined, listing, costs);
    for (int cost = 0; cost < (listing->has_energy ? TL_N_COSTS : 1) && err == TL_OK; cost++) {
        err = list_device_cost(c, (tl_cost)cost, costs, device);
    }
    for (int cost = 0; cost < TL_N_COSTS; cost++) {
        tl_mat_done(&device->imagined.costs[cost].cov);
    }
    tl_mem_free(costs);
    return err;
}

static int place_of(const tl_contexts *c, const tl_choice *design)
{
    int n_slots = tl_space_n_slots(c->signature->space);
    int low = 0;
    int high = c->n_listing - 1;
    while (low <= high) {
        int middle = (low + high) / 2;
        int order =
            tl_design_compare(design, tl_design_at(c->listing, n_slots, middle), n_slots);
        if (order == 0) {
            return middle;
        }
        low = order > 0 ? middle + 1 : low;
        high = order < 0 ? middle - 1 : high;
    }
    return -1;
}

/* ---- what designs look like on a device ------------------------------------------------------------- */

void tl_outlook_done(tl_outlook *outlook)
{
    tl_mem_free(outlook->costs);
    accuracies_done(&outlook->accuracies);
    *outlook = (tl_outlook){0};
}

static tl_prediction listed_costs(const tl_contexts *c, int device, int place)
{
    const tl_context_device *d = &c->devices[device];
    const float *latency = d->listed[TL_COST_LATENCY];
    const float *energy = d->listed[TL_COST_ENERGY];
    tl_prediction out = {
        .latency_ms = (double)latency[place],
        .latency_std_ms = (double)latency[c->n_listing + place],
        .energy_mj = energy != NULL ? (double)energy[place] : TL_UNKNOWN,
        .energy_std_mj = energy != NULL ? (double)energy[c->n_listing + place] : TL_UNKNOWN};
    return out;
}

static tl_err look_up(
    const tl_contexts *c, int device, const tl_choice *designs, int n, tl_outlook *out)
{
    int n_tasks = c->signature->n_tasks;
    size_t size = (size_t)n * (size_t)n_tasks;
    size_t n_slots = (size_t)tl_space_n_slots(c->signature->space);
    tl_task_accuracies *a = &out->accuracies;
    a->mean = tl_mem_new(size, sizeof *a->mean);
    a->sd = tl_mem_new(size, sizeof *a->sd);
    if (a->mean == NULL || a->sd == NULL) {
        return tl_fail(TL_ENOMEM, "accuracies of %d designs", n);
    }
    for (int i = 0; i < n; i++) {
        int place = place_of(c, designs + (size_t)i * n_slots);
        TL_ASSERT(place >= 0);
        out->costs[i] = listed_costs(c, device, place);
        for (int t = 0; t < n_tasks; t++) {
            ptrdiff_t from = (ptrdiff_t)t * c->n_listing + place;
            a->mean[(ptrdiff_t)t * n + i] = c->listed_accuracies.mean[from];
            a->sd[(ptrdiff_t)t * n + i] = c->listed_accuracies.sd[from];
        }
    }
    return TL_OK;
}

static tl_err compute(
    const tl_contexts *c, int device, const tl_choice *designs, int n, tl_outlook *out)
{
    tl_encoded encoded = {0};
    TL_TRY(accuracies_init(c, designs, n, &out->accuracies));
    TL_TRY(tl_encoded_init(c->predictor, c->signature->has_energy, designs, n, &encoded));
    tl_err err = tl_imagined_predict(&c->devices[device].imagined, &encoded, out->costs);
    tl_encoded_done(&encoded);
    return err;
}

tl_err tl_contexts_look(
    const tl_contexts *contexts, int device, const tl_choice *designs, int n, tl_outlook *out)
{
    out->n = n;
    out->costs = tl_mem_new((size_t)n, sizeof *out->costs);
    if (out->costs == NULL) {
        return tl_fail(TL_ENOMEM, "costs of %d designs", n);
    }
    return contexts->listing != NULL ? look_up(contexts, device, designs, n, out)
                                     : compute(contexts, device, designs, n, out);
}

/* ---- contexts ------------------------------------------------------------------------------------------ */

/* Hands out predictions that were made before: designs are those of the outlook. */
typedef struct prepared {
    const tl_outlook *outlook;
    int task;
} prepared;

static tl_err hand_out(
    void *context, const tl_choice *designs, int n, tl_prediction *out_predictions)
{
    const prepared *p = context;
    const tl_task_accuracies *a = &p->outlook->accuracies;
    (void)designs;
    for (int i = 0; i < n; i++) {
        ptrdiff_t at = (ptrdiff_t)p->task * n + i;
        out_predictions[i] = p->outlook->costs[i];
        out_predictions[i].accuracy = (double)a->mean[at];
        out_predictions[i].accuracy_std = (double)a->sd[at];
    }
    return TL_OK;
}

static tl_problem problem_of(const tl_contexts *c, int device, const tl_context *context)
{
    const tl_imagined *imagined = &c->devices[device].imagined;
    tl_problem problem = {
        .space = c->signature->space,
        .freedom = c->signature->freedom,
        .task = c->signature->tasks[context->task],
        .limits = context->limits,
        .weights = context->weights,
        .latency_confidence = imagined->confidence[TL_COST_LATENCY],
        .energy_confidence = imagined->confidence[TL_COST_ENERGY]};
    return problem;
}

static double worth_of(const tl_scored *scored)
{
    if (tl_scored_is_feasible(scored)) {
        return isfinite(scored->value) ? scored->value : infeasible_worth / 2;
    }
    return infeasible_worth * (1 + fmin(scored->shortfall, 1e3));
}

tl_err tl_contexts_worth(
    const tl_contexts *contexts, int context, const tl_outlook *outlook, double *out_worth)
{
    const tl_context *asked = &contexts->contexts[context];
    prepared p = {.outlook = outlook, .task = asked->task};
    tl_problem problem = problem_of(contexts, context / contexts->options.n_per_device, asked);
    problem.predict = hand_out;
    problem.context = &p;
    tl_scored *scores = tl_mem_new((size_t)outlook->n, sizeof *scores);
    if (scores == NULL) {
        return tl_fail(TL_ENOMEM, "scores of %d designs", outlook->n);
    }
    tl_err err = tl_problem_score(&problem, NULL, outlook->n, scores);
    for (int i = 0; i < outlook->n && err == TL_OK; i++) {
        out_worth[i] = worth_of(&scores[i]);
    }
    tl_mem_free(scores);
    return err;
}

/* ---- life -------------------------------------------------------------------------------------------------- */

/* What making the devices reads. */
typedef struct making {
    tl_contexts *contexts;
    tl_encoded listing;
    tl_encoded references;
    tl_task_accuracies reference_accuracies;
} making;

static tl_err ask_contexts(const making *m, int device, const tl_quantiles *q)
{
    tl_contexts *c = m->contexts;
    const tl_signature *signature = c->signature;
    int n = signature->n_references;
    tl_prediction references[TL_SIGNATURE_MAX_REFERENCES];
    tl_rng rng;
    tl_rng_init(&rng, c->options.seed * 31 + (uint64_t)device);
    TL_TRY(tl_imagined_predict(&c->devices[device].imagined, &m->references, references));
    for (int k = 0; k < c->options.n_per_device; k++) {
        int at = device * c->options.n_per_device + k;
        tl_context *context = &c->contexts[at];
        *context = tl_context_draw(c, &rng, q);
        for (int i = 0; i < n; i++) {
            references[i].accuracy =
                (double)m->reference_accuracies.mean[(ptrdiff_t)context->task * n + i];
        }
        tl_problem problem = problem_of(c, device, context);
        tl_signature_fill(signature, &problem, context->task, references, tl_mat_row(c->x, at));
    }
    return TL_OK;
}

/*
 * Known devices first, a quarter of all at most, then imagined ones: the number that
 * tl_imagine() knows it by.
 */
static int device_number(const tl_contexts *c, int idx)
{
    int n_sources = c->pool.n_sources[TL_COST_LATENCY];
    int most = c->options.n_devices / 4;
    int n_known = n_sources < most ? n_sources : most;
    return idx < n_known ? idx * n_sources / n_known : n_sources + idx - n_known;
}

static tl_err make_device(void *making_any, int idx)
{
    const making *m = making_any;
    tl_contexts *c = m->contexts;
    tl_context_device *device = &c->devices[idx];
    tl_quantiles q = {0};
    TL_TRY(tl_imagine(&c->pool, device_number(c, idx), c->options.seed, &device->imagined));
    tl_prediction *costs = tl_mem_new((size_t)c->pool.n, sizeof *costs);
    if (costs == NULL) {
        return tl_fail(TL_ENOMEM, "costs of %d designs", c->pool.n);
    }
    tl_err err = tl_imagined_predict(&device->imagined, &c->pool.encoded, costs);
    if (err == TL_OK &&
        (err = tl_quantiles_init(costs, c->pool.n, c->signature->has_energy, &q)) == TL_OK &&
        (err = ask_contexts(m, idx, &q)) == TL_OK && c->listing != NULL) {
        err = list_device(c, &m->listing, device);
    }
    tl_quantiles_done(&q);
    tl_mem_free(costs);
    return err;
}

static tl_err list_space(tl_contexts *c, making *m)
{
    if (c->signature->freedom == TL_FREE_ARCHITECTURE) {
        c->listing = tl_predictor_listing(c->predictor, &c->n_listing);
    }
    if (c->listing == NULL) {
        return TL_OK;
    }
    TL_TRY(accuracies_init(c, c->listing, c->n_listing, &c->listed_accuracies));
    TL_TRY(order_listing(c));
    return tl_encoded_init(
        c->predictor, c->signature->has_energy, c->listing, c->n_listing, &m->listing);
}

static tl_err allocate(tl_contexts *c)
{
    size_t n = (size_t)tl_contexts_n(c);
    c->devices = tl_mem_new((size_t)c->options.n_devices, sizeof *c->devices);
    c->contexts = tl_mem_new(n, sizeof *c->contexts);
    if (c->devices == NULL || c->contexts == NULL) {
        return tl_fail(TL_ENOMEM, "%zu contexts", n);
    }
    return tl_mat_init(&c->x, (int)n, tl_signature_width(c->signature));
}

static tl_err make_all(tl_contexts *c)
{
    const tl_signature *s = c->signature;
    making m = {.contexts = c};
    tl_err err = TL_OK;
    if ((err = allocate(c)) != TL_OK ||
        (err = tl_imagined_pool_init(
             c->predictor, s->freedom, s->has_energy, N_POOL, c->options.seed, &c->pool)) !=
            TL_OK ||
        (err = accuracies_init(c, c->pool.designs, c->pool.n, &c->pool_accuracies)) != TL_OK ||
        (err = scale_points(c)) != TL_OK ||
        (err = tl_encoded_init(
             c->predictor, s->has_energy, s->references, s->n_references, &m.references)) !=
            TL_OK ||
        (err = accuracies_init(c, s->references, s->n_references, &m.reference_accuracies)) !=
            TL_OK ||
        (err = list_space(c, &m)) != TL_OK) {
        goto done;
    }
    err = tl_crew_run(&c->options.crew, c->options.n_devices, make_device, &m);
done:
    tl_encoded_done(&m.listing);
    tl_encoded_done(&m.references);
    accuracies_done(&m.reference_accuracies);
    return err;
}

tl_err tl_contexts_init(
    tl_predictor *predictor,
    const tl_signature *signature,
    const tl_contexts_options *options,
    tl_contexts *out_contexts)
{
    TL_ASSERT(signature->n_tasks > 0 && options->n_devices > 0 && options->n_per_device > 0);
    tl_contexts contexts = {
        .predictor = predictor, .signature = signature, .options = *options};
    tl_err err = make_all(&contexts);
    if (err != TL_OK) {
        tl_contexts_done(&contexts);
        return err;
    }
    *out_contexts = contexts;
    return TL_OK;
}

void tl_contexts_done(tl_contexts *contexts)
{
    for (int i = 0; contexts->devices != NULL && i < contexts->options.n_devices; i++) {
        tl_imagined_done(&contexts->devices[i].imagined);
        for (int c = 0; c < TL_N_COSTS; c++) {
            tl_mem_free(contexts->devices[i].listed[c]);
        }
    }
    tl_mem_free(contexts->devices);
    tl_mem_free(contexts->contexts);
    tl_mem_free(contexts->order);
    tl_mem_free(contexts->points);
    accuracies_done(&contexts->pool_accuracies);
    accuracies_done(&contexts->listed_accuracies);
    tl_imagined_pool_done(&contexts->pool);
    tl_mat_done(&contexts->x);
    *contexts = (tl_contexts){0};
}
