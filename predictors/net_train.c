/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/net.h"

#include "base/mem.h"
#include "base/watch.h"
#include "numerics/adamw.h"
#include "numerics/gemm.h"
#include "predictors/cellnet.h"
#include "predictors/mlp.h"
#include "predictors/repulsion.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static const double CLIP_NORM = 5.0;

enum {
    WARM_UP_STEPS = 50,
    PREDICT_ROWS = 512,
    PROGRESS_STEPS = 32, /* between two calls */
    MAX_THREADS = 64,
    UNLABELLED_ROWS = 64, /* a step */
};

/* Everything one member's training needs beside its parameters. */
typedef struct member {
    void *work;
    int *order;      /* [n]: this epoch's order of the designs */
    int next;        /* position in it */
    int8_t *codes;   /* [rows, n_codes]: a batch, then what is unlabelled */
    tl_mat x;        /* [rows, d] */
    tl_mat y, dy;    /* [rows, n_out] */
    double *scratch; /* of repulsion */
    tl_mat gradient; /* [1, n_params] */
    tl_adamw *adamw;
    tl_rng rng;
} member;

/* Shared by the threads: members are taken one by one. */
typedef struct training {
    const tl_net *net;
    const tl_net_input *input;
    tl_cmat y;
    const tl_net_train_options *options;
    float *params;
    tl_rng *rngs; /* [n_members] */
    int batch;
    int rows; /* that a step reads: a batch and what is unlabelled */
    int n_heads;
    atomic_int next_member;
    atomic_llong n_steps_done;
    atomic_bool is_cancelled;
} training;

static void member_done(const tl_net *net, member *m)
{
    if (m->work != NULL) {
        net->kind->work_free(m->work);
    }
    tl_mem_free(m->order);
    tl_mem_free(m->codes);
    tl_mem_free(m->scratch);
    tl_mat_done(&m->x);
    tl_mat_done(&m->y);
    tl_mat_done(&m->dy);
    tl_mat_done(&m->gradient);
    tl_adamw_free(m->adamw);
    *m = (member){0};
}

/* Trains params [n_params], which it borrows. */
static tl_err member_init(const training *t, float *params, member *m)
{
    const tl_net *net = t->net;
    tl_adamw_options adamw = {.weight_decay = t->options->weight_decay, .clip_norm = CLIP_NORM};
    tl_err err = TL_OK;
    *m = (member){0};
    m->work = net->kind->work_new(net, t->rows);
    m->order = tl_mem_new((size_t)t->input->n, sizeof *m->order);
    m->codes = tl_mem_new((size_t)t->rows, (size_t)t->input->n_codes);
    m->scratch = tl_mem_new((size_t)tl_repulsion_scratch_len(t->n_heads), sizeof *m->scratch);
    if (m->work == NULL || m->order == NULL || m->codes == NULL || m->scratch == NULL) {
        err = tl_fail(TL_ENOMEM, "training of %d parameters", net->n_params);
        goto done;
    }
    if ((err = tl_mat_init(&m->x, t->rows, t->input->x.cols)) != TL_OK ||
        (err = tl_mat_init(&m->y, t->rows, net->n_out)) != TL_OK ||
        (err = tl_mat_init(&m->dy, t->rows, net->n_out)) != TL_OK ||
        (err = tl_mat_init(&m->gradient, 1, net->n_params)) != TL_OK) {
        goto done;
    }
    tl_mat value = {.data = params, .rows = 1, .cols = net->n_params, .ld = net->n_params};
    tl_param param = {.value = value, .gradient = m->gradient, .has_decay = true};
    if ((err = tl_adamw_new(&adamw, 1, &param, &m->adamw)) != TL_OK) {
        goto done;
    }
    m->next = t->input->n; /* the first batch draws an order */
done:
    if (err != TL_OK) {
        member_done(net, m);
    }
    return err;
}

/* Copies row `from` of the input to row `to` of what the step reads. */
static void take_row(member *m, const tl_net_input *input, int from, int to)
{
    if (input->n_codes > 0) {
        memcpy(
            m->codes + (ptrdiff_t)to * input->n_codes,
            input->codes + (ptrdiff_t)from * input->n_codes, (size_t)input->n_codes);
    }
    if (input->x.cols > 0) {
        memcpy(
            tl_mat_row(m->x, to), tl_cmat_row(input->x, from),
            (size_t)input->x.cols * sizeof(float));
    }
}

/* The next `batch` designs of the member's order, then unlabelled ones; their rows into rows. */
static void next_batch(const training *t, member *m, const int **out_rows)
{
    if (m->next + t->batch > t->input->n) {
        tl_rng_permutation(&m->rng, t->input->n, m->order);
        m->next = 0;
    }
    const int *rows = m->order + m->next;
    m->next += t->batch;
    for (int i = 0; i < t->batch; i++) {
        take_row(m, t->input, rows[i], i);
    }
    const tl_net_input *unlabelled = t->options->unlabelled;
    for (int i = t->batch; i < t->rows; i++) {
        take_row(m, unlabelled, (int)tl_rng_below(&m->rng, (uint64_t)unlabelled->n), i);
    }
    *out_rows = rows;
}

/* dy = d/dy of the mean over heads of (y - target)^2, over the targets that are known. */
static void mse_bwd(tl_cmat y, tl_cmat targets, const int *rows, tl_mat dy)
{
    int n_known = 0;
    for (int i = 0; i < y.rows; i++) {
        const float *target = tl_cmat_row(targets, rows[i]);
        for (int j = 0; j < targets.cols; j++) {
            n_known += !isnan(target[j]);
        }
    }
    n_known *= y.cols / targets.cols;
    float scale = n_known > 0 ? 2.0F / (float)n_known : 0.0F;
    for (int i = 0; i < y.rows; i++) {
        const float *target = tl_cmat_row(targets, rows[i]);
        const float *from = tl_cmat_row(y, i);
        float *to = tl_mat_row(dy, i);
        for (int j = 0; j < y.cols; j++) {
            float wanted = target[j % targets.cols];
            to[j] = isnan(wanted) ? 0.0F : scale * (from[j] - wanted);
        }
    }
}

/* dy of the unlabelled rows. */
static void repel(const training *t, member *m)
{
    tl_mat dy = tl_mat_rows(m->dy, t->batch, t->rows);
    for (int i = 0; i < dy.rows; i++) {
        memset(tl_mat_row(dy, i), 0, (size_t)dy.cols * sizeof(float));
    }
    tl_repulsion_bwd(
        tl_ro(tl_mat_rows(m->y, t->batch, t->rows)), t->n_heads, t->options->repulsion,
        m->scratch, dy);
}

static void train_step(const training *t, member *m, double rate, float *params)
{
    const tl_net *net = t->net;
    const int *rows = NULL;
    next_batch(t, m, &rows);
    tl_net_input input = {
        .n = t->rows, .n_codes = t->input->n_codes, .codes = m->codes, .x = tl_ro(m->x)};
    net->kind->fwd(net, params, &input, m->work, m->y);
    mse_bwd(tl_ro(tl_mat_rows(m->y, 0, t->batch)), t->y, rows, tl_mat_rows(m->dy, 0, t->batch));
    if (t->rows > t->batch) {
        repel(t, m);
    }
    net->kind->bwd(net, params, &input, m->work, tl_ro(m->dy), m->gradient.data);
    (void)tl_adamw_step(m->adamw, rate);
}

static void report_progress(training *t, bool is_caller, int n_steps)
{
    const tl_net_train_options *o = t->options;
    int64_t done = atomic_fetch_add(&t->n_steps_done, n_steps) + n_steps;
    if (is_caller && o->progress != NULL &&
        !o->progress(o->context, done, (int64_t)o->n_steps * o->n_members)) {
        atomic_store(&t->is_cancelled, true);
    }
}

static tl_err train_member(training *t, int idx, bool is_caller)
{
    const tl_net *net = t->net;
    const tl_net_train_options *o = t->options;
    float *params = t->params + (ptrdiff_t)idx * net->n_params;
    member m;
    TL_TRY(member_init(t, params, &m));
    tl_err err = TL_OK;
    m.rng = t->rngs[idx];
    net->kind->init_params(net, &m.rng, params);
    for (int step = 0; step < o->n_steps; step++) {
        double rate = tl_warm_cosine(o->learning_rate, WARM_UP_STEPS, step, o->n_steps);
        train_step(t, &m, rate, params);
        if ((step + 1) % PROGRESS_STEPS == 0) {
            report_progress(t, is_caller, PROGRESS_STEPS);
        }
        if ((err = tl_watch_check()) != TL_OK) {
            goto done;
        }
        if (atomic_load(&t->is_cancelled)) {
            err = tl_fail(TL_ECANCELLED, "training stopped after %d steps", step + 1);
            goto done;
        }
    }
    for (int i = 0; i < net->n_params; i++) {
        if (!isfinite(params[i])) {
            err = tl_fail(TL_ENUMERIC, "training of a %s diverged", net->kind->name);
            goto done;
        }
    }
done:
    member_done(net, &m);
    return err;
}

typedef struct worker {
    training *training;
    pthread_t thread;
    tl_watch watch; /* the caller's */
    bool is_caller;
    tl_err err;
} worker;

/* Trains members until none is left; an error stops the other threads too. */
static void *run_worker(void *worker_any)
{
    worker *w = worker_any;
    training *t = w->training;
    tl_blas_single_thread();
    (void)tl_watch_set(w->watch);
    for (;;) {
        int idx = atomic_fetch_add(&t->next_member, 1);
        if (idx >= t->options->n_members || w->err != TL_OK) {
            return NULL;
        }
        w->err = train_member(t, idx, w->is_caller);
        if (w->err != TL_OK) {
            atomic_store(&t->is_cancelled, true);
        }
    }
}

/* The caller works too; a thread that cannot be had is done without. */
static tl_err run_workers(training *t)
{
    worker workers[MAX_THREADS] = {0};
    int n_threads = t->options->n_threads < MAX_THREADS ? t->options->n_threads : MAX_THREADS;
    int n_started = 1;
    workers[0] = (worker){.training = t, .watch = tl_watch_get(), .is_caller = true};
    for (int i = 1; i < n_threads && i < t->options->n_members; i++) {
        workers[i] = (worker){.training = t, .watch = tl_watch_get()};
        if (pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) != 0) {
            break;
        }
        n_started++;
    }
    run_worker(&workers[0]);
    tl_err err = workers[0].err;
    for (int i = 1; i < n_started; i++) {
        pthread_join(workers[i].thread, NULL);
        if (workers[i].err != TL_OK && (err == TL_OK || err == TL_ECANCELLED)) {
            /* The detail stayed on that thread, where it was not the watch. */
            err = tl_watch_check();
            err = err == TL_OK ? tl_fail(workers[i].err, "training of a %s", t->net->kind->name)
                               : err;
        }
    }
    return err;
}

tl_err tl_net_train(
    const tl_net *net,
    const tl_net_input *input,
    tl_cmat y,
    const tl_net_train_options *options,
    float *params)
{
    TL_ASSERT(input->n > 0 && y.rows == input->n && net->n_out % y.cols == 0);
    TL_ASSERT(options->n_members > 0 && options->n_steps >= 0 && options->batch > 0);
    training t = {
        .net = net,
        .input = input,
        .y = y,
        .options = options,
        .params = params,
        .batch = options->batch < input->n ? options->batch : input->n,
    };
    t.n_heads = net->n_out / y.cols;
    TL_ASSERT(t.n_heads == (options->n_heads > 1 ? options->n_heads : 1));
    bool has_repulsion = t.n_heads > 1 && options->unlabelled != NULL;
    t.rows = t.batch + (has_repulsion ? UNLABELLED_ROWS : 0);
    t.rngs = tl_mem_new((size_t)options->n_members, sizeof *t.rngs);
    if (t.rngs == NULL) {
        return tl_fail(TL_ENOMEM, "training of %d members", options->n_members);
    }
    tl_rng rng;
    tl_rng_init(&rng, options->seed);
    for (int i = 0; i < options->n_members; i++) {
        t.rngs[i] = tl_rng_split(&rng);
    }
    tl_err err = run_workers(&t);
    tl_mem_free(t.rngs);
    return err;
}

/* Adds the k-th head's answers for the designs from `begin` on to the running mean and spread. */
static void add_answers(int k, int head, tl_cmat y, int begin, tl_mat mean, tl_mat spread)
{
    for (int i = 0; i < y.rows; i++) {
        const float *from = tl_cmat_row(y, i) + (ptrdiff_t)head * mean.cols;
        float *m = tl_mat_row(mean, begin + i);
        float *s = tl_mat_row(spread, begin + i);
        for (int j = 0; j < mean.cols; j++) {
            /* Welford's update: exact also where the members nearly agree. */
            float delta = from[j] - m[j];
            m[j] += delta / (float)(k + 1);
            s[j] += delta * (from[j] - m[j]);
        }
    }
}

tl_err tl_net_predict(
    const tl_net *net,
    const tl_net_input *input,
    const float *params,
    int n_members,
    tl_mat mean,
    tl_mat spread)
{
    TL_ASSERT(mean.rows == input->n && spread.rows == input->n && n_members > 0);
    TL_ASSERT(mean.cols == spread.cols && net->n_out % mean.cols == 0);
    if (net->kind->predict != NULL) {
        return net->kind->predict(net, input, params, n_members, mean, spread);
    }
    int n_heads = net->n_out / mean.cols;
    int chunk = input->n < PREDICT_ROWS ? input->n : PREDICT_ROWS;
    tl_mat y = {0};
    TL_TRY(tl_mat_init(&y, chunk, net->n_out));
    void *work = net->kind->work_new(net, chunk > 0 ? chunk : 1);
    if (work == NULL) {
        tl_mat_done(&y);
        return tl_fail(TL_ENOMEM, "prediction of %d designs", input->n);
    }
    for (int i = 0; i < input->n; i++) {
        memset(tl_mat_row(mean, i), 0, (size_t)mean.cols * sizeof(float));
        memset(tl_mat_row(spread, i), 0, (size_t)mean.cols * sizeof(float));
    }
    for (int begin = 0; begin < input->n; begin += PREDICT_ROWS) {
        int n = input->n - begin < PREDICT_ROWS ? input->n - begin : PREDICT_ROWS;
        tl_net_input part = {.n = n, .n_codes = input->n_codes, .x = input->x};
        if (input->n_codes > 0) {
            part.codes = input->codes + (ptrdiff_t)begin * input->n_codes;
        }
        part.x.rows = n;
        part.x.data = input->x.cols > 0 ? tl_cmat_row(input->x, begin) : NULL;
        for (int k = 0; k < n_members; k++) {
            tl_mat answers = tl_mat_rows(y, 0, n);
            net->kind->fwd(net, params + (ptrdiff_t)k * net->n_params, &part, work, answers);
            for (int head = 0; head < n_heads; head++) {
                add_answers(k * n_heads + head, head, tl_ro(answers), begin, mean, spread);
            }
        }
    }
    for (int i = 0; i < input->n; i++) {
        for (int j = 0; j < mean.cols; j++) {
            tl_mat_row(spread, i)[j] /= (float)(n_members * n_heads);
        }
    }
    net->kind->work_free(work);
    tl_mat_done(&y);
    return TL_OK;
}

/* Both kinds end with the weights of their last layer [n_out, h] and its constants [n_out]. */
void tl_net_keep_outputs(tl_net *net, int n_out, int n_members, float *params)
{
    TL_ASSERT(n_out > 0 && n_out <= net->n_out);
    bool is_cell = net->kind == &tl_cellnet_kind;
    int h = is_cell ? net->cell.h : net->mlp.h;
    tl_net kept = *net;
    if (is_cell) {
        tl_cellnet_shape shape = net->cell;
        shape.n_out = n_out;
        tl_cellnet_init(&shape, &kept);
    } else {
        tl_mlp_shape shape = net->mlp;
        shape.n_out = n_out;
        tl_mlp_init(&shape, &kept);
    }
    int n_before = net->n_params - net->n_out * (h + 1);
    for (int k = 0; k < n_members; k++) {
        const float *from = params + (ptrdiff_t)k * net->n_params;
        float *to = params + (ptrdiff_t)k * kept.n_params;
        int n_weights = n_before + n_out * h;
        memmove(to, from, (size_t)n_weights * sizeof *to);
        memmove(to + n_weights, from + net->n_params - net->n_out, (size_t)n_out * sizeof *to);
    }
    *net = kept;
}
