/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/predictor.h"

#include "base/mem.h"
#include "base/units.h"
#include "base/watch.h"
#include "measurements/designs.h"
#include "predictors/accuracy_bits.h"
#include "predictors/predictor_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- life ------------------------------------------------------------------------ */

/* The sources of a cost. Energy without sources of its own borrows the shape of latency. */
static tl_err collect_sources(tl_predictor *predictor, tl_cost cost)
{
    const tl_model *model = predictor->model;
    tl_cost_sources *found = &predictor->costs[cost];
    int n_model = model != NULL ? model->n_sources : 0;
    found->sources = tl_mem_new((size_t)n_model, sizeof *found->sources);
    if (found->sources == NULL) {
        return tl_fail(TL_ENOMEM, "sources of %s", tl_cost_name(cost));
    }
    for (int pass = 0; pass < TL_N_COSTS && found->n == 0; pass++) {
        tl_cost wanted = pass == 0 ? cost : TL_COST_LATENCY;
        for (int i = 0; i < n_model; i++) {
            if (model->sources[i].cost == wanted) {
                found->sources[found->n++] = &model->sources[i].source;
            }
        }
    }
    return tl_sources_spread(found->sources, found->n, &found->spread);
}

static int compare_names(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

/* A task that was trained anew stands in two parts of a model, the new one first. */
static void drop_repeated_tasks(tl_predictor *predictor)
{
    int n = 0;
    for (int i = 0; i < predictor->n_tasks; i++) {
        if (n == 0 || strcmp(predictor->tasks[n - 1], predictor->tasks[i]) != 0) {
            predictor->tasks[n++] = predictor->tasks[i];
        }
    }
    predictor->n_tasks = n;
}

static tl_err collect_tasks(tl_predictor *predictor)
{
    const tl_model *model = predictor->model;
    int n = 0;
    for (int i = 0; model != NULL && i < model->n_accuracies; i++) {
        n += tl_accuracy_model_n_tasks(model->accuracies[i]);
    }
    predictor->tasks = tl_mem_new((size_t)n, sizeof *predictor->tasks);
    predictor->accuracies = tl_mem_new((size_t)n, sizeof *predictor->accuracies);
    predictor->ranked = tl_mem_new((size_t)n, sizeof *predictor->ranked);
    if (predictor->tasks == NULL || predictor->accuracies == NULL ||
        predictor->ranked == NULL) {
        return tl_fail(TL_ENOMEM, "%d tasks", n);
    }
    for (int i = 0; model != NULL && i < model->n_accuracies; i++) {
        const tl_accuracy_model *accuracy = model->accuracies[i];
        for (int k = 0; k < tl_accuracy_model_n_tasks(accuracy); k++) {
            predictor->tasks[predictor->n_tasks++] = tl_accuracy_model_task(accuracy, k);
        }
    }
    qsort(predictor->tasks, (size_t)n, sizeof *predictor->tasks, compare_names);
    drop_repeated_tasks(predictor);
    return TL_OK;
}

static void free_predictor(tl_predictor *predictor)
{
    for (int i = 0; predictor->accuracies != NULL && i < predictor->n_tasks; i++) {
        tl_mem_free(predictor->accuracies[i]);
    }
    for (int i = 0; predictor->ranked != NULL && i < predictor->n_tasks; i++) {
        tl_ranked_free(predictor->ranked[i]);
    }
    tl_mem_free(predictor->ranked);
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_mem_free(predictor->costs[c].sources);
        tl_dmat_done(&predictor->rows[c]);
        tl_mem_free(predictor->z[c]);
        tl_listed_free(predictor->listed[c]);
        tl_known_free(predictor->known[c]);
    }
    tl_mem_free(predictor->accuracies);
    tl_mem_free(predictor->tasks);
    tl_features_free(predictor->features);
    tl_model_free(predictor->model);
    tl_space_unref(predictor->space);
    (void)pthread_mutex_destroy(&predictor->lock);
    tl_mem_free(predictor);
}

tl_err tl_predictor_new(const tl_space *space, tl_model *model, tl_predictor **out_predictor)
{
    tl_err err = TL_OK;
    tl_predictor *predictor = tl_mem_new(1, sizeof *predictor);
    if (predictor == NULL) {
        tl_model_free(model);
        return tl_fail(TL_ENOMEM, "a predictor");
    }
    atomic_init(&predictor->n_refs, 1);
    (void)pthread_mutex_init(&predictor->lock, NULL);
    predictor->space = tl_space_ref(space);
    predictor->model = model;
    tl_confidence_nominal(HUGE_VAL, &predictor->normal);
    if ((err = tl_features_new(space, &predictor->features)) != TL_OK ||
        (err = collect_sources(predictor, TL_COST_LATENCY)) != TL_OK ||
        (err = collect_sources(predictor, TL_COST_ENERGY)) != TL_OK ||
        (err = collect_tasks(predictor)) != TL_OK) {
        free_predictor(predictor);
        return err;
    }
    if (tl_space_size(space) <= TL_FEATURES_REFERENCE_ALL) {
        predictor->listing = tl_features_reference(predictor->features, &predictor->n_listing);
    }
    *out_predictor = predictor;
    return TL_OK;
}

tl_predictor *tl_predictor_ref(tl_predictor *predictor)
{
    atomic_fetch_add(&predictor->n_refs, 1);
    return predictor;
}

void tl_predictor_unref(tl_predictor *predictor)
{
    if (predictor != NULL && atomic_fetch_sub(&predictor->n_refs, 1) == 1) {
        free_predictor(predictor);
    }
}

const tl_space *tl_predictor_space(const tl_predictor *predictor)
{
    return predictor->space;
}

const tl_features *tl_predictor_features(const tl_predictor *predictor)
{
    return predictor->features;
}

const tl_model *tl_predictor_model(const tl_predictor *predictor)
{
    return predictor->model;
}

const tl_choice *tl_predictor_listing(const tl_predictor *predictor, int *out_n)
{
    *out_n = predictor->n_listing;
    return predictor->listing;
}

/* ---- the listing --------------------------------------------------------------------------- */

int tl_predictor_place(const tl_predictor *predictor, const tl_choice *design)
{
    int n_slots = tl_space_n_slots(predictor->space);
    int low = 0;
    int high = predictor->n_listing - 1;
    while (low <= high) {
        int middle = (low + high) / 2;
        int order = tl_design_compare(
            design, tl_design_at(predictor->listing, n_slots, middle), n_slots);
        if (order == 0) {
            return middle;
        }
        if (order < 0) {
            high = middle - 1;
        } else {
            low = middle + 1;
        }
    }
    return -1;
}

/* ---- accuracy ----------------------------------------------------------------------------- */

int tl_predictor_n_tasks(const tl_predictor *predictor)
{
    return predictor->n_tasks;
}

const char *tl_predictor_task(const tl_predictor *predictor, int i)
{
    return predictor->tasks[i];
}

static const char *find_task(const tl_predictor *predictor, const char *name)
{
    for (int i = 0; i < predictor->n_tasks; i++) {
        if (strcmp(predictor->tasks[i], name) == 0) {
            return predictor->tasks[i];
        }
    }
    return NULL;
}

static tl_err unknown_task(const tl_predictor *predictor, const char *asked)
{
    tl_text known = {0};
    for (int i = 0; i < predictor->n_tasks; i++) {
        tl_text_addf(&known, "%s%s", i > 0 ? ", " : "", predictor->tasks[i]);
    }
    tl_err err = tl_fail(
        TL_ENOTFOUND, "task: got \"%.*s\", want one of %s", (int)TL_NAME_MAX_BYTES, asked,
        known.len > 0 ? known.data : "(none is known yet)");
    tl_text_done(&known);
    return err;
}

/* The column of base under the condition, or NULL. */
static const char *find_conditioned(
    const tl_predictor *predictor, const char *base, const char *condition)
{
    tl_text name = {0};
    tl_text_addf(&name, "%s-%s", base, condition);
    const char *found =
        name.data != NULL && !name.is_broken ? find_task(predictor, name.data) : NULL;
    tl_text_done(&name);
    return found;
}

/* The task is one of another task under a condition: cifar10-int8 beside cifar10. */
static bool is_conditioned(const tl_predictor *predictor, const char *task)
{
    for (int i = 0; i < predictor->n_tasks; i++) {
        size_t len = strlen(predictor->tasks[i]);
        if (strncmp(task, predictor->tasks[i], len) == 0 && task[len] == '-') {
            return true;
        }
    }
    return false;
}

/* What a user should know of an exact task on a device of this condition. */
static void note_condition(
    const tl_predictor *predictor,
    const char *task,
    const char *condition,
    const char *conditioned,
    tl_text *note)
{
    if (conditioned != NULL) {
        tl_text_addf(
            note, "accuracy is that of %s, as asked; the device's condition %s has %s", task,
            condition, conditioned);
    } else if (strcmp(condition, "fp32") != 0 && !is_conditioned(predictor, task)) {
        tl_text_addf(
            note,
            "no accuracy is known of %s under the device's condition %s: that of %s is given",
            task, condition, task);
    }
}

tl_err tl_predictor_resolve_task(
    const tl_predictor *predictor,
    const char *asked,
    const char *condition,
    tl_text *note,
    const char **out_task)
{
    bool has_condition = condition[0] != '\0';
    bool is_default = asked[0] == '\0';
    if (is_default && predictor->n_tasks == 0) {
        *out_task = NULL;
        return TL_OK;
    }
    const char *base = is_default ? predictor->tasks[0] : asked;
    const char *exact = find_task(predictor, base);
    const char *conditioned =
        has_condition ? find_conditioned(predictor, base, condition) : NULL;
    if (conditioned != NULL && (is_default || exact == NULL)) {
        *out_task = conditioned;
        return TL_OK;
    }
    if (exact == NULL) {
        return unknown_task(predictor, asked);
    }
    if (has_condition) {
        note_condition(predictor, exact, condition, conditioned, note);
    }
    *out_task = exact;
    return TL_OK;
}

bool tl_predictor_task_has_bits(const tl_predictor *predictor, const char *task)
{
    int output = 0;
    const tl_accuracy_model *accuracy =
        task != NULL ? tl_model_task_find(predictor->model, task, &output) : NULL;
    return accuracy != NULL && tl_accuracy_model_has_bits(accuracy);
}

void tl_predictor_accuracy_confidence(
    const tl_predictor *predictor, const char *task, double minimum, tl_confidence *out)
{
    int output = 0;
    const tl_accuracy_model *accuracy =
        task != NULL ? tl_model_task_find(predictor->model, task, &output) : NULL;
    if (accuracy == NULL || isnan(minimum)) {
        *out = predictor->normal;
        return;
    }
    tl_accuracy_confidence(accuracy, output, minimum, out);
}

static void no_accuracy(int n, tl_prediction *predictions)
{
    for (int i = 0; i < n; i++) {
        predictions[i].accuracy = predictions[i].accuracy_std = TL_UNKNOWN;
    }
}

static tl_err predict_task(
    const tl_predictor *predictor,
    const char *task,
    const tl_choice *designs,
    int n,
    tl_prediction *predictions)
{
    int output = 0;
    const tl_accuracy_model *accuracy = tl_model_task_find(predictor->model, task, &output);
    TL_ASSERT(accuracy != NULL);
    size_t n_tasks = (size_t)tl_accuracy_model_n_tasks(accuracy);
    double *values = tl_mem_new((size_t)n * n_tasks * 2, sizeof *values);
    if (values == NULL) {
        return tl_fail(TL_ENOMEM, "accuracies of %d designs", n);
    }
    double *std = values + (size_t)n * n_tasks;
    tl_err err = tl_accuracy_predict(accuracy, designs, n, values, std);
    for (int i = 0; err == TL_OK && i < n; i++) {
        predictions[i].accuracy = values[(size_t)i * n_tasks + (size_t)output];
        predictions[i].accuracy_std = std[(size_t)i * n_tasks + (size_t)output];
    }
    tl_mem_free(values);
    return err;
}

/* The listing's accuracies of the task, computed the first time; NULL is left on failure. */
static tl_err list_accuracies(
    tl_predictor *predictor, const char *task, const tl_prediction **out_listed)
{
    tl_err err = TL_OK;
    int i = 0;
    while (strcmp(predictor->tasks[i], task) != 0) {
        i++;
    }
    (void)pthread_mutex_lock(&predictor->lock);
    if (predictor->accuracies[i] == NULL) {
        tl_prediction *listed = tl_mem_new((size_t)predictor->n_listing, sizeof *listed);
        tl_watch former = tl_watch_set((tl_watch){0});
        err = listed == NULL
                  ? tl_fail(TL_ENOMEM, "accuracies of %d designs", predictor->n_listing)
                  : predict_task(
                        predictor, task, predictor->listing, predictor->n_listing, listed);
        (void)tl_watch_set(former);
        if (err == TL_OK) {
            predictor->accuracies[i] = listed;
        } else {
            tl_mem_free(listed);
        }
    }
    *out_listed = predictor->accuracies[i];
    (void)pthread_mutex_unlock(&predictor->lock);
    return err;
}

tl_err tl_predictor_accuracy(
    tl_predictor *predictor,
    const char *task,
    const tl_choice *designs,
    int n,
    tl_prediction *predictions)
{
    if (task == NULL) {
        no_accuracy(n, predictions);
        return TL_OK;
    }
    if (predictor->listing == NULL || n < TL_PREDICTOR_WORTH_LISTING) {
        return predict_task(predictor, task, designs, n, predictions);
    }
    const tl_prediction *listed = NULL;
    TL_TRY(list_accuracies(predictor, task, &listed));
    size_t n_slots = (size_t)tl_space_n_slots(predictor->space);
    bool is_listing = designs == predictor->listing && n == predictor->n_listing;
    for (int i = 0; i < n; i++) {
        int place =
            is_listing ? i : tl_predictor_place(predictor, designs + (size_t)i * n_slots);
        if (place < 0) {
            return predict_task(predictor, task, designs, n, predictions);
        }
        predictions[i].accuracy = listed[place].accuracy;
        predictions[i].accuracy_std = listed[place].accuracy_std;
    }
    return TL_OK;
}
