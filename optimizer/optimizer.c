/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/optimizer.h"

#include "base/mem.h"
#include "optimizer/optimizer_impl.h"

#include <string.h>

static const char proxy_task[] = "proxy";

/* What an effort comes to: less in a listed space, whose best designs need not be found. */
typedef struct effort_size {
    int n_devices, n_per_device;
    int n_rounds, n_round_steps, n_final_steps, n_batch;
} effort_size;

static const effort_size efforts[][2] = {
    [TL_EFFORT_QUICK] = {{100, 16, 4, 150, 700, 128},  {60, 32, -1, 0, 600, 128}  },
    [TL_EFFORT_LONG] = {{300, 16, 6, 300, 3000, 192}, {300, 48, -1, 0, 3000, 256}},
};

enum {
    MANY_SLOTS = 16, /* from there on a slot's state is narrow */
    NARROW_STATE = 32
};

/* ---- life ------------------------------------------------------------------------------- */

tl_optimizer *tl_optimizer_alloc(void)
{
    tl_optimizer *optimizer = tl_mem_new(1, sizeof *optimizer);
    if (optimizer != NULL) {
        atomic_init(&optimizer->n_refs, 1);
    }
    return optimizer;
}

tl_optimizer *tl_optimizer_ref(tl_optimizer *optimizer)
{
    atomic_fetch_add(&optimizer->n_refs, 1);
    return optimizer;
}

void tl_optimizer_unref(tl_optimizer *optimizer)
{
    if (optimizer == NULL || atomic_fetch_sub(&optimizer->n_refs, 1) != 1) {
        return;
    }
    for (int f = 0; f < TL_N_FREEDOMS; f++) {
        tl_signature_done(&optimizer->signatures[f]);
        tl_policy_free(optimizer->policies[f]);
    }
    tl_mem_free(optimizer);
}

tl_err tl_optimizer_find(
    const tl_optimizer *optimizer,
    tl_freedom freedom,
    const char *task,
    const tl_signature **out_signature,
    const tl_policy **out_policy,
    int *out_task)
{
    const tl_signature *signature = &optimizer->signatures[freedom];
    const char *asked = task != NULL ? task : proxy_task;
    int place = optimizer->policies[freedom] != NULL ? tl_signature_task(signature, asked) : -1;
    if (place < 0) {
        return tl_fail(
            TL_ESTATE,
            "the optimizer was not trained for task %.128s: train, or use another method",
            asked);
    }
    *out_signature = signature;
    *out_policy = optimizer->policies[freedom];
    *out_task = place;
    return TL_OK;
}

bool tl_optimizer_can(const tl_optimizer *optimizer, const tl_problem *problem)
{
    const tl_signature *signature = &optimizer->signatures[problem->freedom];
    return problem->objective == TL_MAXIMIZE_ACCURACY &&
           optimizer->policies[problem->freedom] != NULL &&
           tl_signature_task(signature, problem->task != NULL ? problem->task : proxy_task) >=
               0;
}

/* ---- training ---------------------------------------------------------------------------- */

static bool report(void *options_any, int64_t done, int64_t total)
{
    const tl_optimizer_options *options = options_any;
    return options->progress == NULL ||
           options->progress(options->progress_context, "optimizer", done, total);
}

static bool report_devices(void *options_any, int64_t done, int64_t total)
{
    const tl_optimizer_options *options = options_any;
    return options->progress == NULL ||
           options->progress(
               options->progress_context, "devices for the optimizer", done, total);
}

static int or_default(int value, int otherwise)
{
    return value == 0 ? otherwise : value;
}

/* The options as they are for designs of a freedom. */
static tl_optimizer_options with_defaults(
    const tl_predictor *predictor, tl_freedom freedom, const tl_optimizer_options *given)
{
    tl_optimizer_options o = *given;
    int n_listing = 0;
    bool is_listed =
        freedom == TL_FREE_ARCHITECTURE && tl_predictor_listing(predictor, &n_listing) != NULL;
    const effort_size *size = &efforts[o.effort][is_listed];
    o.n_devices = or_default(o.n_devices, size->n_devices);
    o.n_per_device = or_default(o.n_per_device, size->n_per_device);
    o.memory.n_rounds = or_default(o.memory.n_rounds, size->n_rounds);
    o.memory.n_round_steps = or_default(o.memory.n_round_steps, size->n_round_steps);
    o.memory.n_final_steps = or_default(o.memory.n_final_steps, size->n_final_steps);
    o.memory.n_batch = or_default(o.memory.n_batch, size->n_batch);
    if (tl_space_n_slots(tl_predictor_space(predictor)) > MANY_SLOTS) {
        o.n_state = or_default(o.n_state, NARROW_STATE);
    }
    return o;
}

static bool has_energy(const tl_predictor *predictor)
{
    const tl_model *model = tl_predictor_model(predictor);
    for (int i = 0; i < model->n_sources; i++) {
        if (model->sources[i].cost == TL_COST_ENERGY) {
            return true;
        }
    }
    return false;
}

static int tasks_of_freedom(
    const tl_predictor *predictor,
    const tl_optimizer_options *options,
    tl_freedom freedom,
    const char **out_tasks)
{
    int n = 0;
    if (options->proxy != NULL) {
        out_tasks[0] = proxy_task;
        return freedom == TL_FREE_ARCHITECTURE;
    }
    for (int i = 0; i < tl_predictor_n_tasks(predictor) && n < TL_SIGNATURE_MAX_TASKS; i++) {
        const char *task = tl_predictor_task(predictor, i);
        if (tl_predictor_task_has_bits(predictor, task) == (freedom == TL_FREE_BITS)) {
            out_tasks[n++] = task;
        }
    }
    return n;
}

static tl_err learn(
    const tl_contexts *contexts, tl_optimizer_options *options, tl_policy *policy)
{
    tl_memory_options memory = options->memory;
    tl_gradient_options gradient = options->gradient;
    if (options->learning == TL_LEARNING_MEMORY) {
        memory.seed = options->seed;
        memory.starts_listed = !options->explores_listed;
        memory.crew = (tl_crew){options->n_threads, report, options};
        return tl_memory_train(contexts, &memory, policy);
    }
    gradient.gradient = options->learning == TL_LEARNING_REINFORCE
                            ? TL_GRADIENT_REINFORCE
                            : TL_GRADIENT_STRAIGHT_THROUGH;
    gradient.seed = options->seed;
    gradient.progress = report;
    gradient.progress_context = options;
    return tl_gradient_train(contexts, &gradient, policy);
}

static tl_err train_policy(
    tl_predictor *predictor,
    tl_optimizer_options *options,
    const tl_signature *signature,
    tl_policy *policy)
{
    tl_contexts contexts = {0};
    tl_contexts_options context_options = {
        .n_devices = options->n_devices,
        .n_per_device = options->n_per_device,
        .seed = options->seed,
        .proxy = options->proxy,
        .proxy_context = options->proxy_context,
        .crew = {options->n_threads, report_devices, options}
    };
    tl_err err = tl_contexts_init(predictor, signature, &context_options, &contexts);
    if (err == TL_OK) {
        err = learn(&contexts, options, policy);
    }
    tl_contexts_done(&contexts);
    return err;
}

static tl_err train_freedom(
    tl_predictor *predictor,
    const tl_optimizer_options *given,
    tl_freedom freedom,
    tl_optimizer *optimizer)
{
    const char *tasks[TL_SIGNATURE_MAX_TASKS];
    tl_optimizer_options o = with_defaults(predictor, freedom, given);
    tl_optimizer_options *options = &o;
    const tl_space *space = tl_predictor_space(predictor);
    tl_signature *signature = &optimizer->signatures[freedom];
    int n_tasks = tasks_of_freedom(predictor, options, freedom, tasks);
    if (n_tasks == 0) {
        return TL_OK;
    }
    TL_TRY(tl_signature_init(
        space, freedom, options->n_references, has_energy(predictor), n_tasks, tasks,
        signature));
    tl_rng rng;
    tl_rng_init(&rng, options->seed);
    tl_policy_options shape = {
        .n_inputs = tl_signature_width(signature),
        .n_hidden = options->n_hidden,
        .n_state = options->n_state};
    TL_TRY(tl_policy_new(space, freedom, &shape, &rng, &optimizer->policies[freedom]));
    TL_TRY(train_policy(predictor, options, signature, optimizer->policies[freedom]));
    tl_optimizer_round(optimizer->policies[freedom]);
    return TL_OK;
}

tl_err tl_optimizer_train(
    tl_predictor *predictor, const tl_optimizer_options *options, tl_optimizer **out_optimizer)
{
    const tl_model *model = tl_predictor_model(predictor);
    if (model == NULL || model->n_sources == 0 ||
        (tl_predictor_n_tasks(predictor) == 0 && options->proxy == NULL)) {
        return tl_fail(
            TL_ESTATE, "an optimizer of %s needs accuracies and a known device",
            tl_space_name(tl_predictor_space(predictor)));
    }
    tl_optimizer *optimizer = tl_optimizer_alloc();
    if (optimizer == NULL) {
        return tl_fail(TL_ENOMEM, "an optimizer");
    }
    tl_err err = TL_OK;
    for (int f = 0; f < TL_N_FREEDOMS && err == TL_OK; f++) {
        err = train_freedom(predictor, options, (tl_freedom)f, optimizer);
    }
    if (err != TL_OK) {
        tl_optimizer_unref(optimizer);
        return err;
    }
    *out_optimizer = optimizer;
    return TL_OK;
}
