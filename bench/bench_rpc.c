/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Round trips: a method of a running tailord beside a bare ZeroMQ echo of the same
 * request and reply sizes, over the same transport, in alternating blocks.
 *
 *     bench_rpc --connect ipc:///tmp/t.sock --connect tcp://127.0.0.1:7411
 *         --method predict.run --space nasbench201 --device pixel3 --designs one.csv
 *     bench_rpc --connect ... --method design.run --space nasbench201 --device pixel3
 *         --max-latency-ms 5
 *     bench_rpc --connect ... --method status.get
 *
 * Prints tab-separated: endpoint, method, then p50 and p99 in microseconds of the echo and
 * of the method, p50 of what the method itself took (as the daemon says), and
 * p50 / (echo + method itself), which should stay below 2.
 */

#include "base/clock.h"
#include "base/file.h"
#include "base/keyfile.h"
#include "base/mem.h"
#include "proto/tailor.pb-c.h"
#include "proto/wire.h"

#include <argp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

enum {
    MAX_ENDPOINTS = 8,
    BLOCK = 100, /* round trips of one kind in a row */
    WARM_UP = 50,
    PATIENCE_MS = 60000,
    MAX_BODY_BYTES = 16 * 1024 * 1024
};

typedef struct settings {
    const char *endpoints[MAX_ENDPOINTS];
    int n_endpoints, n;
    const char *method, *space, *device, *task, *designs, *body, *maximize, *minimize, *write;
    Tailor__V1__Limits limits;
    tl_key_file key;
    bool has_key;
} settings;

typedef struct samples {
    double *echo_us, *method_us, *served_us;
    int n;
} samples;

/* ---- the echo -------------------------------------------------------------------------- */

/* Answers every message with a payload of the size that the method's reply has. */
typedef struct echo {
    void *context, *socket;
    char endpoint[256];
    pthread_t thread;
    atomic_size_t reply_bytes;
} echo;

static void *run_echo(void *context)
{
    echo *e = context;
    static char reply[MAX_BODY_BYTES];
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    for (;;) {
        char identity[256];
        int len = zmq_recv(e->socket, identity, sizeof identity, 0);
        if (len < 0) {
            break;
        }
        do {
            if (zmq_msg_recv(&frame, e->socket, 0) < 0) {
                return NULL;
            }
        } while (zmq_msg_more(&frame));
        if (zmq_msg_size(&frame) == 0) {
            break;
        }
        (void)zmq_send(e->socket, identity, (size_t)len, ZMQ_SNDMORE);
        (void)zmq_send(e->socket, "", 0, ZMQ_SNDMORE);
        (void)zmq_send(e->socket, reply, atomic_load(&e->reply_bytes), 0);
    }
    (void)zmq_msg_close(&frame);
    return NULL;
}

/* On the transport of like. */
static bool start_echo(echo *e, const char *like)
{
    size_t size = sizeof e->endpoint;
    char wanted[128] = "tcp://127.0.0.1:*";
    if (strncmp(like, "ipc://", 6) == 0) {
        /* an abstract name: no file is left */
        (void)snprintf(wanted, sizeof wanted, "ipc://@tailor-bench-rpc-%ld", (long)getpid());
    }
    e->context = zmq_ctx_new();
    e->socket = zmq_socket(e->context, ZMQ_ROUTER);
    return zmq_bind(e->socket, wanted) == 0 &&
           zmq_getsockopt(e->socket, ZMQ_LAST_ENDPOINT, e->endpoint, &size) == 0 &&
           pthread_create(&e->thread, NULL, run_echo, e) == 0;
}

/* ---- round trips ------------------------------------------------------------------------- */

/* Keys of a daemon that asks for them; of an echo none. */
static bool show_key(void *socket, const tl_key_file *key)
{
    return key == NULL ||
           (zmq_setsockopt(
                socket, ZMQ_CURVE_SERVERKEY, key->server_key, sizeof key->server_key) == 0 &&
            zmq_setsockopt(
                socket, ZMQ_CURVE_PUBLICKEY, key->public_key, sizeof key->public_key) == 0 &&
            zmq_setsockopt(
                socket, ZMQ_CURVE_SECRETKEY, key->secret_key, sizeof key->secret_key) == 0);
}

static void *connect_to(void *context, const char *endpoint, const tl_key_file *key)
{
    int patience_ms = PATIENCE_MS;
    int no_linger = 0;
    void *socket = zmq_socket(context, ZMQ_DEALER);
    (void)zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms);
    (void)zmq_setsockopt(socket, ZMQ_LINGER, &no_linger, sizeof no_linger);
    if (!show_key(socket, key) || zmq_connect(socket, endpoint) != 0) {
        (void)zmq_close(socket);
        return NULL;
    }
    return socket;
}

/* Sends bytes and waits for the last frame of the answer; negative when none comes. */
static double round_trip_us(void *socket, const tl_bytes *bytes, zmq_msg_t *answer)
{
    int64_t begin_ns = tl_clock_ns();
    (void)zmq_send(socket, "", 0, ZMQ_SNDMORE);
    (void)zmq_send(socket, bytes->data, bytes->len, 0);
    do {
        if (zmq_msg_recv(answer, socket, 0) < 0) {
            return -1.0;
        }
    } while (zmq_msg_more(answer));
    return (double)(tl_clock_ns() - begin_ns) * 1e-3;
}

/* The method's own time, or negative when it failed (said on standard error). */
static double served_us(zmq_msg_t *answer)
{
    ProtobufCMessage *message = NULL;
    if (tl_wire_unpack(
            &tailor__v1__reply__descriptor, zmq_msg_data(answer), zmq_msg_size(answer),
            TL_WIRE_MAX_MEMORY_BYTES, &message) != TL_OK) {
        (void)fprintf(stderr, "%s\n", tl_err_detail());
        return -1.0;
    }
    const Tailor__V1__Reply *reply = (const Tailor__V1__Reply *)(const void *)message;
    double us = (double)reply->served_ns * 1e-3;
    if (reply->error != 0) {
        (void)fprintf(stderr, "%s: %s\n", reply->error_name, reply->error_detail);
        us = -1.0;
    }
    tl_wire_free(message);
    return us;
}

/* One block of each kind, appended to s unless this is the warm-up. */
static bool run_block(
    void *daemon, void *bare, echo *e, const tl_bytes *request, int n, samples *s)
{
    zmq_msg_t answer;
    (void)zmq_msg_init(&answer);
    bool is_fine = true;
    for (int i = 0; i < n && is_fine; i++) {
        double us = round_trip_us(daemon, request, &answer);
        double own_us = us < 0.0 ? -1.0 : served_us(&answer);
        is_fine = own_us >= 0.0;
        atomic_store(&e->reply_bytes, zmq_msg_size(&answer));
        if (s != NULL && is_fine) {
            s->method_us[s->n + i] = us;
            s->served_us[s->n + i] = own_us;
        }
    }
    for (int i = 0; i < n && is_fine; i++) {
        double us = round_trip_us(bare, request, &answer);
        is_fine = us >= 0.0;
        if (s != NULL && is_fine) {
            s->echo_us[s->n + i] = us;
        }
    }
    if (s != NULL) {
        s->n += n;
    }
    (void)zmq_msg_close(&answer);
    return is_fine;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(double *values, int n, double q)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return values[(int)(q * (double)(n - 1))];
}

static void print_samples(const char *endpoint, const char *method, samples *s)
{
    double echo_p50 = quantile(s->echo_us, s->n, 0.5);
    double method_p50 = quantile(s->method_us, s->n, 0.5);
    double served_p50 = quantile(s->served_us, s->n, 0.5);
    (void)printf(
        "%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\n", endpoint, method, echo_p50,
        quantile(s->echo_us, s->n, 0.99), method_p50, quantile(s->method_us, s->n, 0.99),
        served_p50, method_p50 / (echo_p50 + served_p50));
}

static bool bench_endpoint(const settings *set, const char *endpoint, const tl_bytes *request)
{
    static echo echoes[MAX_ENDPOINTS];
    static int n_echoes;
    echo *e = &echoes[n_echoes++];
    samples s = {0};
    bool is_fine = false;
    s.echo_us = tl_mem_new((size_t)set->n + BLOCK, sizeof(double));
    s.method_us = tl_mem_new((size_t)set->n + BLOCK, sizeof(double));
    s.served_us = tl_mem_new((size_t)set->n + BLOCK, sizeof(double));
    if (s.echo_us == NULL || s.method_us == NULL || s.served_us == NULL ||
        !start_echo(e, endpoint)) {
        (void)fprintf(stderr, "%s: cannot start\n", endpoint);
        goto done;
    }
    void *daemon = connect_to(e->context, endpoint, set->has_key ? &set->key : NULL);
    void *bare = connect_to(e->context, e->endpoint, NULL);
    is_fine =
        daemon != NULL && bare != NULL && run_block(daemon, bare, e, request, WARM_UP, NULL);
    while (is_fine && s.n < set->n) {
        is_fine = run_block(daemon, bare, e, request, BLOCK, &s);
    }
    if (is_fine) {
        print_samples(endpoint, set->method, &s);
    }
done:
    tl_mem_free(s.echo_us);
    tl_mem_free(s.method_us);
    tl_mem_free(s.served_us);
    return is_fine;
}

/* ---- the request --------------------------------------------------------------------------- */

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

static tl_err pack_predict(const settings *set, tl_bytes *out_body)
{
    Tailor__V1__PredictRequest predict;
    char *csv = NULL;
    size_t len = 0;
    if (set->designs == NULL) {
        return tl_fail(TL_EINVAL, "predict.run needs --designs FILE");
    }
    TL_TRY(tl_file_read(set->designs, MAX_BODY_BYTES, &csv, &len));
    tailor__v1__predict_request__init(&predict);
    predict.space = text_of(set->space);
    predict.device = text_of(set->device);
    predict.task = text_of(set->task);
    predict.designs_csv = (ProtobufCBinaryData){.len = len, .data = (uint8_t *)csv};
    tl_err err = tl_wire_pack((ProtobufCMessage *)&predict, out_body);
    tl_mem_free(csv);
    return err;
}

static tl_err pack_body(settings *set, tl_bytes *out_body)
{
    if (set->body != NULL) {
        char *data = NULL;
        TL_TRY(tl_file_read(set->body, MAX_BODY_BYTES, &data, &out_body->len));
        out_body->data = (uint8_t *)data;
        return TL_OK;
    }
    if (strcmp(set->method, "predict.run") == 0) {
        return pack_predict(set, out_body);
    }
    if (strcmp(set->method, "design.run") == 0) {
        Tailor__V1__DesignRequest design;
        tailor__v1__design_request__init(&design);
        design.space = text_of(set->space);
        design.device = text_of(set->device);
        design.task = text_of(set->task);
        design.maximize = text_of(set->maximize);
        design.minimize = text_of(set->minimize);
        design.limits = &set->limits;
        design.has_seed = true;
        return tl_wire_pack((ProtobufCMessage *)&design, out_body);
    }
    *out_body = (tl_bytes){0};
    return TL_OK;
}

static tl_err pack_request(settings *set, tl_bytes *out_request)
{
    Tailor__V1__Request request;
    tl_bytes body = {0};
    TL_TRY(pack_body(set, &body));
    tailor__v1__request__init(&request);
    request.protocol = TL_WIRE_PROTOCOL;
    request.request_id = 1;
    request.method = text_of(set->method);
    request.client = text_of("bench_rpc");
    request.body = (ProtobufCBinaryData){.len = body.len, .data = body.data};
    tl_err err = tl_wire_pack((ProtobufCMessage *)&request, out_request);
    tl_mem_free(body.data);
    return err;
}

/* ---- the command line ------------------------------------------------------------------------ */

static const struct argp_option options[] = {
    {"connect",                         'c', "ENDPOINT", 0, "a tailord's; may be repeated", 0},
    {"method",                       'm', "METHOD", 0, "status.get unless given", 0},
    {"space",   's', "SPACE", 0, "for predict.run and design.run", 0},
    {"device",                                 'd', "DEVICE", 0, "for predict.run and design.run", 0},
    {"task",        't', "TASK", 0, "for predict.run and design.run", 0},
    {"designs",                                'f', "FILE", 0, "for predict.run", 0},
    {"max-latency-ms",                                'x', "MS", 0, "for design.run", 0},
    {"confidence",                           'p', "P", 0, "for design.run", 0},
    {"maximize",                          'M', "WHAT", 0, "for design.run", 0},
    {"minimize", 'o', "WHAT", 0, "for design.run", 0},
    {"body",                                 'b', "FILE", 0, "the packed request of any method", 0},
    {"key",'k', "FILE", 0, "for daemons that ask for one; the echo does not", 0},
    {"write",                                'w', "FILE", 0, "keep the packed Request here, for bench_load", 0},
    {"count",                                'n', "N", 0, "round trips; 1000 unless given", 0},
    {0                           },
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    settings *set = state->input;
    switch (key) {
    case 'c':
        if (set->n_endpoints == MAX_ENDPOINTS) {
            argp_error(state, "too many endpoints");
        }
        set->endpoints[set->n_endpoints++] = value;
        break;
    case 'm': set->method = value; break;
    case 's': set->space = value; break;
    case 'd': set->device = value; break;
    case 't': set->task = value; break;
    case 'f': set->designs = value; break;
    case 'b': set->body = value; break;
    case 'M': set->maximize = value; break;
    case 'w': set->write = value; break;
    case 'o': set->minimize = value; break;
    case 'k':
        if (tl_key_file_read(value, TL_FILE_SECRET, &set->key) != TL_OK) {
            argp_error(state, "%s", tl_err_detail());
        }
        set->has_key = true;
        break;
    case 'n': set->n = (int)strtol(value, NULL, 10); break;
    case 'x':
        set->limits.has_max_latency_ms = true;
        set->limits.max_latency_ms = strtod(value, NULL);
        break;
    case 'p':
        set->limits.has_confidence = true;
        set->limits.confidence = strtod(value, NULL);
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct argp parser = {
        options, parse_option, NULL, "Round trips of a method beside a bare ZeroMQ echo.",
        NULL,    NULL,         NULL};
    settings set = {.method = "status.get", .n = 1000};
    tl_bytes request = {0};
    int status = EXIT_SUCCESS;
    tailor__v1__limits__init(&set.limits);
    (void)argp_parse(&parser, argc, argv, 0, NULL, &set);
    if (pack_request(&set, &request) != TL_OK ||
        (set.write != NULL && tl_file_write(set.write, request.data, request.len) != TL_OK)) {
        (void)fprintf(stderr, "%s\n", tl_err_detail());
        return EXIT_FAILURE;
    }
    (void)printf("endpoint\tmethod\techo_p50_us\techo_p99_us\tmethod_p50_us\tmethod_p99_us\t"
                 "itself_p50_us\tover_ideal\n");
    for (int i = 0; i < set.n_endpoints; i++) {
        if (!bench_endpoint(&set, set.endpoints[i], &request)) {
            status = EXIT_FAILURE;
        }
    }
    tl_mem_free(request.data);
    return status;
}
