/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Many clients at once: each of N sockets keeps W requests under way at a running tailord, or at
 * a bare ZeroMQ echo; or the same request is answered in this process, on as many threads as are
 * told, as fast as it goes.
 *
 *     bench_rpc --method design.run ... --write design.request
 *     bench_load --request design.request --connect ipc:///tmp/t.sock --clients 64 --window 4
 *     bench_load --request design.request --echo 400 --clients 64 --window 4
 *     bench_load --request design.request --threads 2 DATA MODELS SPACES CATALOGUE
 *
 * Prints tab-separated: answers a second, their times in microseconds, refusals with EBUSY
 * likewise, other errors, and the bytes of an answer.
 */

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/engine.h"
#include "daemon/method.h"
#include "numerics/gemm.h"
#include "proto/tailor.pb-c.h"
#include "proto/wire.h"

#include <argp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum {
    MAX_CLIENTS = 256,
    MAX_WINDOW = 4096,
    MAX_TIMES = 1 << 16, /* of one client; more are counted only */
    MAX_REQUEST_BYTES = 16 * 1024 * 1024,
    PATIENCE_MS = 60000,
    WARM_UP = 3
};

typedef struct settings {
    const char *endpoint, *places[4];
    int n_places, n_clients, window, n_threads, pause_ms;
    size_t echo_bytes;
    double seconds;
    Tailor__V1__Request *request;
} settings;

typedef struct times {
    double *us; /* [MAX_TIMES] */
    int n;
    long n_all;
} times;

/* One client, or one thread of this process. */
typedef struct runner {
    const settings *set;
    struct tl_engine *engine;
    void *socket;
    pthread_t thread;
    int64_t end_ns;
    int64_t *sent_ns; /* [window] */
    times answered, busy;
    long n_failed;
    size_t reply_bytes;
} runner;

static void note(times *t, double us)
{
    t->n_all++;
    if (t->n < MAX_TIMES) {
        t->us[t->n++] = us;
    }
}

/* ---- clients ------------------------------------------------------------------------------ */

static bool send_request(runner *r, int i)
{
    tl_bytes packed = {0};
    Tailor__V1__Request request = *r->set->request;
    request.request_id = (uint64_t)i + 1;
    if (tl_wire_pack((ProtobufCMessage *)&request, &packed) != TL_OK) {
        return false;
    }
    r->sent_ns[i] = tl_clock_ns();
    bool is_sent = zmq_send(r->socket, "", 0, ZMQ_SNDMORE) >= 0 &&
                   zmq_send(r->socket, packed.data, packed.len, 0) >= 0;
    tl_mem_free(packed.data);
    return is_sent;
}

/* The number of the request that was answered, or negative. */
static int receive(runner *r)
{
    zmq_msg_t frame;
    ProtobufCMessage *message = NULL;
    int i = -1;
    (void)zmq_msg_init(&frame);
    do {
        if (zmq_msg_recv(&frame, r->socket, 0) < 0) {
            goto done;
        }
    } while (zmq_msg_more(&frame));
    if (tl_wire_unpack(
            &tailor__v1__reply__descriptor, zmq_msg_data(&frame), zmq_msg_size(&frame),
            TL_WIRE_MAX_MEMORY_BYTES, &message) != TL_OK) {
        goto done;
    }
    const Tailor__V1__Reply *reply = (const Tailor__V1__Reply *)(const void *)message;
    i = (int)reply->request_id - 1;
    if (i < 0 || i >= r->set->window) {
        i = -1;
        goto done;
    }
    double us = (double)(tl_clock_ns() - r->sent_ns[i]) * 1e-3;
    if (reply->error == TL_OK) {
        note(&r->answered, us);
        r->reply_bytes = zmq_msg_size(&frame);
    } else if (reply->error == TL_EBUSY) {
        note(&r->busy, us);
    } else {
        r->n_failed++;
    }
done:
    tl_wire_free(message);
    (void)zmq_msg_close(&frame);
    return i;
}

static void *run_client(void *context)
{
    runner *r = context;
    const struct timespec pause = {.tv_nsec = r->set->pause_ms * TL_NS_PER_MS};
    int n_out = 0;
    for (; n_out < r->set->window && send_request(r, n_out); n_out++) {
    }
    while (n_out > 0) {
        int i = receive(r);
        n_out--;
        if (i < 0) {
            r->n_failed++;
            break;
        }
        if (r->set->pause_ms > 0) {
            (void)nanosleep(&pause, NULL);
        }
        if (tl_clock_ns() < r->end_ns) {
            n_out += send_request(r, i);
        }
    }
    return NULL;
}

/* ---- the echo -------------------------------------------------------------------------------- */

/* Answers with a Reply of the same number and as many bytes as were asked for. */
static void answer(void *socket, const char *identity, int len, zmq_msg_t *asked, tl_bytes body)
{
    ProtobufCMessage *message = NULL;
    Tailor__V1__Reply reply;
    tl_bytes packed = {0};
    if (tl_wire_unpack(
            &tailor__v1__request__descriptor, zmq_msg_data(asked), zmq_msg_size(asked),
            TL_WIRE_MAX_MEMORY_BYTES, &message) != TL_OK) {
        return;
    }
    tailor__v1__reply__init(&reply);
    reply.request_id = ((const Tailor__V1__Request *)(const void *)message)->request_id;
    reply.body = (ProtobufCBinaryData){.len = body.len, .data = body.data};
    if (tl_wire_pack((ProtobufCMessage *)&reply, &packed) == TL_OK) {
        (void)zmq_send(socket, identity, (size_t)len, ZMQ_SNDMORE);
        (void)zmq_send(socket, "", 0, ZMQ_SNDMORE);
        (void)zmq_send(socket, packed.data, packed.len, 0);
    }
    tl_mem_free(packed.data);
    tl_wire_free(message);
}

typedef struct echo {
    void *context, *socket;
    size_t bytes;
} echo;

/* Until its context ends. */
static void *run_echo(void *context)
{
    echo *e = context;
    zmq_msg_t frame;
    tl_bytes body = {.data = tl_mem_new(e->bytes + 1, 1), .len = e->bytes};
    (void)zmq_msg_init(&frame);
    for (;;) {
        char identity[256];
        int len = zmq_recv(e->socket, identity, sizeof identity, 0);
        if (len < 0) {
            break;
        }
        do {
            if (zmq_msg_recv(&frame, e->socket, 0) < 0) {
                break;
            }
        } while (zmq_msg_more(&frame));
        answer(e->socket, identity, len, &frame, body);
    }
    (void)zmq_msg_close(&frame);
    (void)zmq_close(e->socket);
    tl_mem_free(body.data);
    return NULL;
}

static bool start_echo(echo *e, size_t bytes, char endpoint[256], pthread_t *thread)
{
    /* an abstract name: no file is left */
    (void)snprintf(endpoint, 256, "ipc://@tailor-bench-load-%ld", (long)getpid());
    e->bytes = bytes;
    e->context = zmq_ctx_new();
    e->socket = zmq_socket(e->context, ZMQ_ROUTER);
    return zmq_bind(e->socket, endpoint) == 0 && pthread_create(thread, NULL, run_echo, e) == 0;
}

/* ---- in this process --------------------------------------------------------------------------- */

static tl_err call_once(runner *r)
{
    const ProtobufCBinaryData *body = &r->set->request->body;
    tl_call call = {.engine = r->engine, .role = TL_ROLE_ADMIN, .deadline_ns = INT64_MAX};
    tl_bytes reply = {0};
    const tl_method *method = tl_method_find(r->set->request->method);
    int64_t begin_ns = tl_clock_ns();
    tl_err err = method == NULL ? tl_fail(TL_ENOTFOUND, "no such method")
                                : tl_method_call(method, &call, body->data, body->len, &reply);
    if (err == TL_OK) {
        note(&r->answered, (double)(tl_clock_ns() - begin_ns) * 1e-3);
        r->reply_bytes = reply.len;
    } else {
        r->n_failed++;
    }
    tl_call_done(&call);
    tl_mem_free(reply.data);
    return err;
}

static void *run_calls(void *context)
{
    runner *r = context;
    tl_blas_single_thread();
    while (tl_clock_ns() < r->end_ns && call_once(r) == TL_OK) {
    }
    return NULL;
}

/* ---- the result -------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const times *t, double q)
{
    return t->n > 0 ? t->us[(int)(q * (double)(t->n - 1))] : 0.0;
}

/* Times of all runners in one. */
static times join(const runner *runners, int n, bool is_busy)
{
    times all = {0};
    for (int i = 0; i < n; i++) {
        all.n += (is_busy ? &runners[i].busy : &runners[i].answered)->n;
    }
    all.us = tl_mem_new((size_t)all.n + 1, sizeof *all.us);
    all.n = 0;
    for (int i = 0; all.us != NULL && i < n; i++) {
        const times *t = is_busy ? &runners[i].busy : &runners[i].answered;
        memcpy(all.us + all.n, t->us, (size_t)t->n * sizeof *t->us);
        all.n += t->n;
        all.n_all += t->n_all;
    }
    if (all.us != NULL) {
        qsort(all.us, (size_t)all.n, sizeof *all.us, by_value);
    }
    return all;
}

static bool print_result(const runner *runners, int n, double seconds)
{
    long n_failed = 0;
    size_t reply_bytes = 0;
    times answered = join(runners, n, false);
    times busy = join(runners, n, true);
    for (int i = 0; i < n; i++) {
        n_failed += runners[i].n_failed;
        reply_bytes = runners[i].reply_bytes > 0 ? runners[i].reply_bytes : reply_bytes;
    }
    (void)printf("answered_per_s\tp50_us\tp99_us\tmax_us\tbusy_per_s\tbusy_p50_us\t"
                 "busy_p99_us\tfailed\treply_bytes\n");
    (void)printf(
        "%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%ld\t%zu\n",
        (double)answered.n_all / seconds, quantile(&answered, .5), quantile(&answered, .99),
        quantile(&answered, 1), (double)busy.n_all / seconds, quantile(&busy, .5),
        quantile(&busy, .99), n_failed, reply_bytes);
    tl_mem_free(answered.us);
    tl_mem_free(busy.us);
    return n_failed == 0;
}

/* ---- runs ----------------------------------------------------------------------------------------- */

static bool init_runner(const settings *set, runner *r, void *context, const char *endpoint)
{
    r->set = set;
    r->answered.us = tl_mem_new(MAX_TIMES, sizeof *r->answered.us);
    r->busy.us = tl_mem_new(MAX_TIMES, sizeof *r->busy.us);
    r->sent_ns = tl_mem_new((size_t)set->window, sizeof *r->sent_ns);
    if (r->answered.us == NULL || r->busy.us == NULL || r->sent_ns == NULL) {
        return false;
    }
    if (context == NULL) {
        return true;
    }
    int patience_ms = PATIENCE_MS;
    int no_linger = 0;
    int no_water = 0;
    r->socket = zmq_socket(context, ZMQ_DEALER);
    return r->socket != NULL &&
           zmq_setsockopt(r->socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms) == 0 &&
           zmq_setsockopt(r->socket, ZMQ_LINGER, &no_linger, sizeof no_linger) == 0 &&
           zmq_setsockopt(r->socket, ZMQ_SNDHWM, &no_water, sizeof no_water) == 0 &&
           zmq_setsockopt(r->socket, ZMQ_RCVHWM, &no_water, sizeof no_water) == 0 &&
           zmq_connect(r->socket, endpoint) == 0;
}

static void runner_done(runner *r)
{
    if (r->socket != NULL) {
        (void)zmq_close(r->socket);
    }
    tl_mem_free(r->answered.us);
    tl_mem_free(r->busy.us);
    tl_mem_free(r->sent_ns);
}

static bool run_all(runner *runners, int n, void *(*run)(void *))
{
    int64_t begin_ns = tl_clock_ns();
    for (int i = 0; i < n; i++) {
        runners[i].end_ns = begin_ns + (int64_t)(runners[i].set->seconds * (double)TL_NS_PER_S);
        if (pthread_create(&runners[i].thread, NULL, run, &runners[i]) != 0) {
            return false;
        }
    }
    for (int i = 0; i < n; i++) {
        (void)pthread_join(runners[i].thread, NULL);
    }
    double seconds = (double)(tl_clock_ns() - begin_ns) / (double)TL_NS_PER_S;
    return print_result(runners, n, seconds);
}

static bool run_clients(const settings *set, runner *runners, const char *endpoint)
{
    void *context = zmq_ctx_new();
    bool is_fine = true;
    for (int i = 0; i < set->n_clients && is_fine; i++) {
        is_fine = init_runner(set, &runners[i], context, endpoint);
    }
    is_fine = is_fine && run_all(runners, set->n_clients, run_client);
    for (int i = 0; i < set->n_clients; i++) {
        runner_done(&runners[i]);
    }
    (void)zmq_ctx_term(context);
    return is_fine;
}

static bool run_beside_echo(const settings *set, runner *runners)
{
    char endpoint[256];
    echo e = {0};
    pthread_t thread = {0};
    bool is_started = start_echo(&e, set->echo_bytes, endpoint, &thread);
    bool is_fine = is_started && run_clients(set, runners, endpoint);
    (void)zmq_ctx_shutdown(e.context);
    if (is_started) {
        (void)pthread_join(thread, NULL);
    }
    (void)zmq_ctx_term(e.context);
    return is_fine;
}

static bool run_in_process(const settings *set, runner *runners)
{
    tl_engine *engine = NULL;
    bool is_fine = true;
    tl_engine_options options = {
        .data_dir = set->places[0],
        .models_dir = set->places[1],
        .spaces_dir = set->places[2],
        .catalogue_dir = set->places[3]};
    if (set->n_places < 4 || tl_engine_open(&options, &engine) != TL_OK) {
        (void)fprintf(stderr, "%s\n", tl_err_detail());
        return false;
    }
    for (int i = 0; i < set->n_threads && is_fine; i++) {
        is_fine = init_runner(set, &runners[i], NULL, NULL);
        runners[i].engine = engine;
    }
    tl_blas_single_thread();
    for (int i = 0; i < WARM_UP && is_fine; i++) {
        is_fine = call_once(&runners[0]) == TL_OK;
    }
    runners[0].answered.n = 0;
    runners[0].answered.n_all = 0;
    if (!is_fine) {
        (void)fprintf(stderr, "%s\n", tl_err_detail());
    }
    is_fine = is_fine && run_all(runners, set->n_threads, run_calls);
    for (int i = 0; i < set->n_threads; i++) {
        runner_done(&runners[i]);
    }
    tl_engine_close(engine);
    return is_fine;
}

/* ---- the command line ------------------------------------------------------------------------------ */

static const struct argp_option options[] = {
    {"request",                               'r', "FILE", 0, "a packed Request (bench_rpc --write)", 0},
    {"connect",                                 'c', "ENDPOINT", 0, "a tailord's", 0},
    {"echo", 'e', "BYTES", 0, "instead: an echo with such answers", 0},
    {"threads",                                       't', "N", 0, "instead: in this process", 0},
    {"clients",    'n', "N", 0, "sockets; 1 unless given", 0},
    {"window",                                      'w', "N", 0, "requests under way at each; 1", 0},
    {"pause",                                      'p', "MS", 0, "between an answer and the next request", 0},
    {"seconds",                                  's', "S", 0, "how long; 5", 0},
    {0                               },
};

static tl_err read_request(const char *path, Tailor__V1__Request **out_request)
{
    char *data = NULL;
    size_t len = 0;
    ProtobufCMessage *message = NULL;
    TL_TRY(tl_file_read(path, MAX_REQUEST_BYTES, &data, &len));
    tl_err err = tl_wire_unpack(
        &tailor__v1__request__descriptor, (const uint8_t *)data, len, TL_WIRE_MAX_MEMORY_BYTES,
        &message);
    tl_mem_free(data);
    *out_request = (Tailor__V1__Request *)(void *)message;
    return err;
}

static int number(struct argp_state *state, const char *value, int max)
{
    long n = strtol(value, NULL, 10);
    if (n < 1 || n > max) {
        argp_error(state, "%s: want 1 to %d", value, max);
    }
    return (int)n;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    settings *set = state->input;
    switch (key) {
    case 'r':
        if (read_request(value, &set->request) != TL_OK) {
            argp_error(state, "%s", tl_err_detail());
        }
        break;
    case 'c': set->endpoint = value; break;
    case 'e': set->echo_bytes = strtoul(value, NULL, 10); break;
    case 't': set->n_threads = number(state, value, MAX_CLIENTS); break;
    case 'n': set->n_clients = number(state, value, MAX_CLIENTS); break;
    case 'w': set->window = number(state, value, MAX_WINDOW); break;
    case 'p': set->pause_ms = number(state, value, 999); break;
    case 's': set->seconds = strtod(value, NULL); break;
    case ARGP_KEY_ARG:
        if (set->n_places == (int)TL_COUNT(set->places)) {
            return ARGP_ERR_UNKNOWN;
        }
        set->places[set->n_places++] = value;
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct argp parser = {
        options, parse_option, "[DATA MODELS SPACES CATALOGUE]", "Many clients at once.", NULL,
        NULL,    NULL};
    static runner runners[MAX_CLIENTS];
    static settings set = {.n_clients = 1, .window = 1, .seconds = 5};
    (void)argp_parse(&parser, argc, argv, 0, NULL, &set);
    if (set.request == NULL) {
        (void)fprintf(stderr, "bench_load needs --request\n");
        return EXIT_FAILURE;
    }
    bool is_fine = set.n_threads > 0      ? run_in_process(&set, runners)
                   : set.endpoint != NULL ? run_clients(&set, runners, set.endpoint)
                                          : run_beside_echo(&set, runners);
    tl_wire_free((ProtobufCMessage *)set.request);
    return is_fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
