/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_OPTIMIZER_H
#define TL_OPTIMIZER_OPTIMIZER_H

/*
 * Optimizer: a network that reads a problem's signature and answers with a
 * distribution over designs, so that no search starts from nothing.
 *
 * It has a net for each freedom that tasks need: designs without weight bits for
 * the tasks that know none, designs with bits for the others. It is trained for
 * maximizing accuracy under any limits on latency and energy, at any confidence, with or
 * without weights on costs (contexts.h), by search memory (memory.h), and belongs to the
 * predictor that it was trained with: where that changes much, so should it.
 *
 * A space without predicted accuracies has no optimizer, unless the caller brings a
 * proxy: nothing tells its good designs from its bad ones.
 *
 *     tl_optimizer *optimizer = NULL;
 *     TL_TRY(tl_optimizer_train(predictor, &options, &optimizer));
 *     tl_search_options search = {.n_best = 3, .optimizer = optimizer};
 *     err = tl_search_run(&tl_search_neural, &problem, &search, &list);
 *     ...
 *     tl_optimizer_unref(optimizer);
 */

#include "optimizer/contexts.h"
#include "optimizer/gradients.h"
#include "optimizer/memory.h"
#include "proto/wire.h"

typedef struct tl_optimizer tl_optimizer;

typedef enum tl_effort {
    TL_EFFORT_QUICK, /* seconds: with every training on the spot */
    TL_EFFORT_LONG,  /* minutes: for models that are shipped */
} tl_effort;

/* How the policy learns; all but memory for comparison only. */
typedef enum tl_learning {
    TL_LEARNING_MEMORY,
    TL_LEARNING_REINFORCE,
    TL_LEARNING_STRAIGHT_THROUGH
} tl_learning;

/* Zero: as the effort has it. */
typedef struct tl_optimizer_options {
    tl_effort effort;
    int n_devices, n_per_device; /* contexts to train on */
    int n_references;            /* of a signature */
    int n_hidden, n_state;       /* of the policy */
    tl_learning learning;
    tl_gradient_options gradient; /* of learning by gradients; its seed is that below */
    tl_memory_options memory;     /* its seed and crew are those below */
    bool explores_listed;         /* memories start from chance in listed spaces too */
    tl_proxy_fn *proxy;           /* instead of accuracies, as the one task "proxy" */
    void *proxy_context;
    uint64_t seed;
    int n_threads;
    /* Called now and then on the calling thread; false cancels. May be NULL. */
    bool (*progress)(void *context, const char *what, int64_t done, int64_t total);
    void *progress_context;
} tl_optimizer_options;

/*
 * The caller owns *out_optimizer. Fails with TL_ESTATE where the predictor knows no
 * accuracies or no device, TL_ECANCELLED when progress said so.
 */
TL_MUST_USE tl_err tl_optimizer_train(
    tl_predictor *predictor, const tl_optimizer_options *options, tl_optimizer **out_optimizer);
tl_optimizer *tl_optimizer_ref(tl_optimizer *optimizer);
void tl_optimizer_unref(tl_optimizer *optimizer); /* NULL is fine */

/*
 * The part that answers a problem of this freedom and task: its signature, its policy and
 * the task's place. Fails with TL_ESTATE, naming what to do, where there is none.
 */
TL_MUST_USE tl_err tl_optimizer_find(
    const tl_optimizer *optimizer,
    tl_freedom freedom,
    const char *task,
    const tl_signature **out_signature,
    const tl_policy **out_policy,
    int *out_task);

/* Whether it answers such problems at all: the objective, the freedom and the task. */
bool tl_optimizer_can(const tl_optimizer *optimizer, const tl_problem *problem);

/* ---- bytes (optimizer_codec.c): what travels inside a model file ------------------- */

/* The caller owns out->data (tl_mem_free). */
TL_MUST_USE tl_err tl_optimizer_pack(const tl_optimizer *optimizer, tl_bytes *out);

/*
 * Reads an optimizer for the space. Fails with TL_EDAMAGED when the bytes are no such
 * optimizer, TL_EVERSION when a newer program wrote them.
 */
TL_MUST_USE tl_err tl_optimizer_unpack(
    const tl_space *space, const void *data, size_t len, tl_optimizer **out_optimizer);

#endif
