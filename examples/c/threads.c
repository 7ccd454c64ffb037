/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Many threads, one client: each asks for the best network under a limit of its own. A busy
 * daemon is asked again by the library, and so is one that restarts meanwhile.
 *
 *     threads SPACE DEVICE MAX_LATENCY_MS...
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <tailor.h>

enum {
    MAX_THREADS = 64,
    DETAIL_BYTES = 256
};

/* A question and its answer, of one thread. */
typedef struct question {
    pthread_t thread;
    tailor_client *client; /* of all */
    const char *space, *device;
    double max_latency_ms;
    tailor_answer *answer; /* NULL: it failed, and detail says why */
    char detail[DETAIL_BYTES];
} question;

static void *ask(void *context)
{
    question *q = context;
    const tailor_design_options options = {
        .space = q->space, .device = q->device, .max_latency_ms = &q->max_latency_ms};
    if (tailor_design(q->client, &options, &q->answer) != TAILOR_OK) {
        /* The detail is this thread's: another one could not read it. */
        (void)snprintf(q->detail, sizeof q->detail, "%s", tailor_err_detail());
    }
    return NULL;
}

static bool print(const question *q)
{
    if (q->answer == NULL) {
        (void)fprintf(stderr, "threads: %g ms: %s\n", q->max_latency_ms, q->detail);
        return false;
    }
    const tailor_table *table = q->answer->table;
    (void)printf(
        "%g ms: %s%.4g%% in %.4g ms\n", q->max_latency_ms,
        q->answer->is_infeasible ? "at the nearest " : "",
        tailor_table_number(table, tailor_table_find(table, "accuracy"), 0),
        tailor_table_number(table, tailor_table_find(table, "latency_ms"), 0));
    return true;
}

static int ask_all(question *questions, int n)
{
    int n_started = 0;
    int n_failed = 0;
    while (n_started < n &&
           pthread_create(&questions[n_started].thread, NULL, ask, &questions[n_started]) ==
               0) {
        n_started++;
    }
    for (int i = 0; i < n_started; i++) {
        (void)pthread_join(questions[i].thread, NULL);
        n_failed += print(&questions[i]) ? 0 : 1;
        tailor_answer_free(questions[i].answer);
    }
    return n_started == n && n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static question questions[MAX_THREADS];
    const tailor_options options = {.name = "threads", .timeout_ms = 60000};
    tailor_client *client = NULL;
    int n = argc - 3;
    if (n < 1 || n > MAX_THREADS) {
        (void)fprintf(stderr, "usage: threads SPACE DEVICE MAX_LATENCY_MS...\n");
        return EXIT_FAILURE;
    }
    if (tailor_open(&options, &client) != TAILOR_OK) {
        (void)fprintf(stderr, "threads: %s\n", tailor_err_detail());
        return EXIT_FAILURE;
    }
    for (int i = 0; i < n; i++) {
        questions[i] = (question){
            .client = client,
            .space = argv[1],
            .device = argv[2],
            .max_latency_ms = strtod(argv[3 + i], NULL)};
    }
    int status = ask_all(questions, n);
    (void)fprintf(
        stderr, "threads: %llu calls were repeated\n",
        (unsigned long long)tailor_n_retries(client));
    tailor_close(client);
    return status;
}
