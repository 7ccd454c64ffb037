/* SPDX-License-Identifier: Apache-2.0 */

/* One client, many threads, a daemon that comes and goes. Also run under the thread sanitizer. */

#include "tests/daemon/serving.h"

#include "base/log.h"
#include "clients/c/client_impl.h"
#include "proto/tailor.pb-c.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    N_THREADS = 8,
    N_CALLS = 60, /* of each thread */
    N_ROUNDS = 3, /* of a house that is kept */
    N_RESTARTS = 3,
    BODY_BYTES = 64
};

typedef struct fixture {
    tl_engine *engine;
    tl_serving serving;
    tailor_client *client;
    atomic_int n_done, n_wrong;
} fixture;

typedef struct thread {
    pthread_t id;
    fixture *f;
    int number;
} thread;

static tl_server_options options_of(const fixture *f, bool is_real)
{
    return (tl_server_options){
        .engine = f->engine,
        .n_workers = 2,
        .methods = is_real ? NULL : tl_test_methods,
        .n_methods = is_real ? 0 : tl_test_methods_len};
}

static void start(fixture *f, bool is_real)
{
    memset(f, 0, sizeof *f);
    f->engine = tl_test_engine_open(tl_test_new_dir());
    tl_serving_start(&f->serving, options_of(f, is_real));
    tailor_options options = {
        .endpoint = f->serving.endpoint, .timeout_ms = 60000, .heartbeat_ms = 100};
    assert_int_equal(tailor_open(&options, &f->client), TAILOR_OK);
}

static void stop(fixture *f)
{
    tailor_close(f->client);
    tl_serving_stop(&f->serving);
    tl_engine_close(f->engine);
}

static void run_threads(fixture *f, thread threads[N_THREADS], void *(*work)(void *thread))
{
    for (int i = 0; i < N_THREADS; i++) {
        threads[i] = (thread){.f = f, .number = i};
        assert_int_equal(pthread_create(&threads[i].id, NULL, work, &threads[i]), 0);
    }
}

static void join_threads(fixture *f, thread threads[N_THREADS])
{
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i].id, NULL), 0);
    }
    assert_int_equal(f->n_wrong, 0);
}

/* cmocka's assertions are for the main thread. */
static void check(thread *t, bool is_right, const char *what)
{
    if (!is_right) {
        (void)fprintf(stderr, "thread %d: %s: \"%s\"\n", t->number, what, tailor_err_detail());
        atomic_fetch_add(&t->f->n_wrong, 1);
    }
}

/* The daemon says it again; *out_said as the caller's. */
static tailor_err say(thread *t, const char *method, const char *text, char said[BODY_BYTES])
{
    uint8_t body[BODY_BYTES];
    char *reply = NULL;
    size_t len = 0;
    Tailor__V1__Text message;
    tailor__v1__text__init(&message);
    message.text = (char *)(uintptr_t)text;
    tailor_request request = {
        .method = method, .body = body, .len = tailor__v1__text__pack(&message, body)};
    tailor_err err = tailor_call(t->f->client, &request, &reply, &len);
    said[0] = '\0';
    if (err == TAILOR_OK && len > 2 && len < BODY_BYTES) {
        (void)snprintf(said, BODY_BYTES, "%.*s", (int)(len - 2), reply + 2);
    }
    tailor_text_free(reply);
    return err;
}

/* What it said, its warning and its error are those of this thread. */
static void *talk(void *context)
{
    thread *t = context;
    for (int i = 0; i < N_CALLS; i++) {
        char text[BODY_BYTES];
        char said[BODY_BYTES];
        (void)snprintf(text, sizeof text, "%d of thread %d", i, t->number);
        check(t, say(t, "test.echo", text, said) == TAILOR_OK, "echo");
        check(t, strcmp(said, text) == 0, "another's answer");
        check(t, tailor_n_warnings(t->f->client) == 0, "another's warning");
        if (t->number % 2 == 0) {
            check(t, say(t, "test.echo", "warn", said) == TAILOR_OK, "warn");
            check(t, tailor_n_warnings(t->f->client) == 1, "no warning");
            check(
                t, strcmp(tailor_warning(t->f->client, 0), "you said warn") == 0,
                "which warning");
        } else {
            check(t, say(t, "test.fail", text, said) == TAILOR_ESHAPE, "fail");
            check(t, strstr(tailor_err_detail(), text) != NULL, "another's detail");
        }
        atomic_fetch_add(&t->f->n_done, 1);
    }
    return NULL;
}

static void threads_do_not_know_of_each_other(void **state)
{
    thread threads[N_THREADS];
    fixture f;
    (void)state;
    start(&f, false);
    run_threads(&f, threads, talk);
    join_threads(&f, threads);
    assert_int_equal(tailor_n_retries(f.client), 0);
    stop(&f);
}

static void they_go_on_while_the_daemon_restarts(void **state)
{
    thread threads[N_THREADS];
    fixture f;
    (void)state;
    start(&f, false);
    run_threads(&f, threads, talk);
    for (int i = 1; i <= N_RESTARTS; i++) {
        while (atomic_load(&f.n_done) < i * N_THREADS * N_CALLS / (N_RESTARTS + 1)) {
            (void)sched_yield();
        }
        tl_serving_stop(&f.serving);
        tl_serving_start_again(&f.serving, options_of(&f, false));
    }
    join_threads(&f, threads);
    stop(&f);
}

/* What a long call hears meanwhile is how a daemon that hangs would be noticed. */
static void a_long_call_hears_that_the_daemon_lives(void **state)
{
    char said[BODY_BYTES];
    fixture f;
    (void)state;
    start(&f, false);
    thread t = {.f = &f};
    check(&t, say(&t, "test.echo", "short", said) == TAILOR_OK, "echo");
    assert_int_equal(f.client->n_idle, 1);
    assert_false(f.client->idle[0]->has_heartbeats);
    check(&t, say(&t, "test.sleep", "400", said) == TAILOR_OK, "sleep");
    assert_int_equal(f.client->n_idle, 1);
    assert_true(f.client->idle[0]->has_heartbeats);
    assert_int_equal(f.n_wrong, 0);
    stop(&f);
}

/* Reads and writes of a real daemon. */
static void *keep_house(void *context)
{
    thread *t = context;
    tailor_client *client = t->f->client;
    char name[BODY_BYTES];
    (void)snprintf(name, sizeof name, "board%d", t->number);
    for (int i = 0; i < N_ROUNDS; i++) {
        tailor_table *table = NULL;
        char *text = NULL;
        check(t, tailor_device_add_bare(client, name) == TAILOR_OK, "add");
        check(t, tailor_device_show(client, name, &text) == TAILOR_OK, "show");
        check(t, text != NULL && strstr(text, name) != NULL, "another device");
        tailor_text_free(text);
        check(t, tailor_device_list(client, &table) == TAILOR_OK, "list");
        tailor_table_free(table);
        check(t, tailor_device_remove(client, name) == TAILOR_OK, "remove");
        check(t, tailor_device_remove(client, name) == TAILOR_ENOTFOUND, "remove again");
        check(t, strstr(tailor_err_detail(), name) != NULL, "another's detail");
    }
    return NULL;
}

static void threads_register_devices(void **state)
{
    thread threads[N_THREADS];
    fixture f;
    (void)state;
    start(&f, true);
    run_threads(&f, threads, keep_house);
    join_threads(&f, threads);
    stop(&f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(threads_do_not_know_of_each_other),
        TEST(they_go_on_while_the_daemon_restarts),
        TEST(a_long_call_hears_that_the_daemon_lives),
        TEST(threads_register_devices),
    };
#undef TEST
    tl_log_set_level(TL_LOG_ERROR);
    return cmocka_run_group_tests_name("clients/threads", tests, NULL, NULL);
}
