/* SPDX-License-Identifier: Apache-2.0 */

/* Whatever a daemon does, a call ends as clients/c/tailor.h says. */

#include "tests/clients/faulty.h"
#include "tests/clients/slow_line.h"

#include "base/mem.h"
#include "clients/c/client_impl.h"
#include "clients/c/tailor.h"
#include "tests/support/refuse.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SHORT_MS = 150,
    LONG_MS = 60000,
    SLOW_HEARTBEAT_MS = 250, /* three are less than a large message takes on the slow line */
    N_THREADS = 40           /* more than there are connections */
};

typedef struct fixture {
    tl_faulty faulty;
    tailor_client *client;
} fixture;

static void start_with(
    fixture *f, const tl_faulty_step *steps, size_t n_steps, tailor_options options)
{
    tl_faulty_start(&f->faulty, steps, n_steps);
    options.endpoint = f->faulty.endpoint;
    if (options.heartbeat_ms == 0) {
        options.heartbeat_ms = TL_FAULTY_HEARTBEAT_MS;
    }
    assert_int_equal(tailor_open(&options, &f->client), TAILOR_OK);
}

static void start(fixture *f, const tl_faulty_step *steps, size_t n_steps)
{
    start_with(f, steps, n_steps, (tailor_options){.timeout_ms = LONG_MS});
}

static void stop(fixture *f)
{
    tailor_close(f->client);
    tl_faulty_stop(&f->faulty);
}

static void assert_asked(fixture *f, int n)
{
    assert_int_equal(atomic_load(&f->faulty.n_asked), n);
    assert_int_equal(tailor_n_retries(f->client), n > 0 ? n - 1 : 0);
}

#define assert_done(call) assert_ends(TAILOR_OK, "", call)
#define assert_ends(wanted, text, call)                                               \
    do {                                                                              \
        tailor_err got_err_ = (call);                                                 \
        if (got_err_ != (wanted)) {                                                   \
            fail_msg("%s: %s", tailor_err_name(got_err_), tailor_err_detail());       \
        }                                                                             \
        if (strstr(tailor_err_detail(), text) == NULL) {                              \
            fail_msg("detail \"%s\" does not say \"%s\"", tailor_err_detail(), text); \
        }                                                                             \
    } while (0)

static tailor_err ask(const fixture *f)
{
    tailor_table *table = NULL;
    tailor_err err = tailor_space_list(f->client, &table);
    tailor_table_free(table);
    return err;
}

static tailor_err train(const fixture *f)
{
    tailor_train_report *report = NULL;
    tailor_train_options options = {.space = "toy"};
    tailor_err err = tailor_train(f->client, &options, &report);
    tailor_train_report_free(report);
    return err;
}

static tailor_err evaluate(const fixture *f)
{
    tailor_evaluation *evaluation = NULL;
    tailor_evaluate_options options = {.space = "toy"};
    tailor_err err = tailor_evaluate(f->client, &options, &evaluation);
    tailor_evaluation_free(evaluation);
    return err;
}

/* ---- busy ------------------------------------------------------------------------------ */

static void a_busy_daemon_is_asked_again(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_ERROR, TL_EBUSY},
        {TL_FAULTY_ERROR, TL_EBUSY}
    };
    fixture f;
    (void)state;
    start(&f, steps, TL_COUNT(steps));
    assert_done(ask(&f));
    assert_asked(&f, 3);
    assert_int_equal(tailor_n_warnings(f.client), 1);
    stop(&f);
    /* Each try is told what is left. */
    assert_in_range(f.faulty.deadline_ms[0], LONG_MS / 2, LONG_MS);
    assert_true(f.faulty.deadline_ms[2] <= f.faulty.deadline_ms[0]);
    assert_int_equal(f.faulty.heartbeat_ms[0], TL_FAULTY_HEARTBEAT_MS);
}

static void a_daemon_that_is_about_to_end_is_asked_again(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_TURNS_AWAY, TL_ESTATE},
        {TL_FAULTY_TURNS_AWAY, TL_ESTATE},
        {TL_FAULTY_CLOSES,     TL_OK    },
        {TL_FAULTY_ANSWERS,    TL_OK    },
        {TL_FAULTY_TURNS_AWAY, TL_ESTATE},
        {TL_FAULTY_ERROR,      TL_ESTATE}
    };
    fixture f;
    (void)state;
    start(&f, steps, TL_COUNT(steps));
    assert_done(ask(&f));
    assert_asked(&f, 4);
    assert_ends(TAILOR_ESTATE, "asked 2 times", train(&f));
    stop(&f);
}

static void a_daemon_that_stays_busy_is_told_of(void **state)
{
    tl_faulty_step steps[TL_FAULTY_MAX_ASKED];
    fixture f;
    (void)state;
    for (size_t i = 0; i < TL_COUNT(steps); i++) {
        steps[i] = (tl_faulty_step){TL_FAULTY_ERROR, TL_EBUSY};
    }
    start_with(&f, steps, TL_COUNT(steps), (tailor_options){.timeout_ms = SHORT_MS});
    assert_ends(TAILOR_EBUSY, "as the test wants (asked ", ask(&f));
    assert_ends(TAILOR_EBUSY, "asked", train(&f));
    assert_true(tailor_n_retries(f.client) >= 2);
    stop(&f);
}

static void what_a_daemon_said_before_it_was_gone_is_told(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_TURNS_AWAY, TL_ESTATE},
        {TL_FAULTY_SILENT,     TL_OK    }
    };
    fixture f;
    (void)state;
    start_with(&f, steps, TL_COUNT(steps), (tailor_options){.timeout_ms = SHORT_MS});
    assert_ends(TAILOR_EUNREACHABLE, "; before that it said: as the test wants", ask(&f));
    stop(&f);
}

static void as_often_as_was_allowed(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_ERROR, TL_EBUSY},
        {TL_FAULTY_ERROR, TL_EBUSY},
        {TL_FAULTY_ERROR, TL_EBUSY}
    };
    fixture f;
    (void)state;
    start_with(
        &f, steps, TL_COUNT(steps), (tailor_options){.timeout_ms = LONG_MS, .retries = -1});
    assert_ends(TAILOR_EBUSY, "as the test wants", ask(&f));
    assert_asked(&f, 1);
    stop(&f);
    start_with(
        &f, steps, TL_COUNT(steps), (tailor_options){.timeout_ms = LONG_MS, .retries = 2});
    assert_ends(TAILOR_EBUSY, "(asked 3 times)", ask(&f));
    assert_asked(&f, 3);
    stop(&f);
}

/* ---- lost connections ------------------------------------------------------------------- */

static void a_lost_connection_is_made_again(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_CLOSES, TL_OK   },
        {TL_FAULTY_ERROR,  TL_EBUSY},
        {TL_FAULTY_CLOSES, TL_OK   }
    };
    fixture f;
    (void)state;
    start(&f, steps, TL_COUNT(steps));
    assert_done(ask(&f));
    assert_asked(&f, 4);
    assert_done(evaluate(&f));
    stop(&f);
}

static void what_ends_every_daemon_is_not_asked_for_ever(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_CLOSES, TL_OK},
        {TL_FAULTY_CLOSES, TL_OK},
        {TL_FAULTY_CLOSES, TL_OK},
        {TL_FAULTY_CLOSES, TL_OK}
    };
    fixture f;
    (void)state;
    start(&f, steps, TL_COUNT(steps));
    assert_ends(TAILOR_EUNREACHABLE, "was lost during space.list", ask(&f));
    assert_asked(&f, 3);
    assert_done(ask(&f));
    stop(&f);
}

static void a_training_is_not_begun_again(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_ERROR,  TL_EBUSY},
        {TL_FAULTY_CLOSES, TL_OK   }
    };
    fixture f;
    (void)state;
    start(&f, steps, TL_COUNT(steps));
    assert_ends(TAILOR_EUNREACHABLE, "was lost during train.run", train(&f));
    assert_asked(&f, 2);
    assert_done(train(&f));
    stop(&f);
}

static void a_removal_that_was_done_before_is_done(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_CLOSES, TL_OK       },
        {TL_FAULTY_ERROR,  TL_ENOTFOUND},
        {TL_FAULTY_ERROR,  TL_ENOTFOUND},
        {TL_FAULTY_CLOSES, TL_OK       },
        {TL_FAULTY_ERROR,  TL_ENOTFOUND}
    };
    fixture f;
    (void)state;
    start(&f, steps, TL_COUNT(steps));
    assert_done(tailor_device_remove(f.client, "gone"));
    assert_ends(TAILOR_ENOTFOUND, "as the test wants", tailor_device_remove(f.client, "never"));
    assert_ends(TAILOR_ENOTFOUND, "asked 2 times", ask(&f));
    stop(&f);
}

static int read_one_line(void *context, char *buffer, size_t capacity, size_t *out_len)
{
    int *n_lines = context;
    assert_true(capacity > 2);
    buffer[0] = 'a';
    buffer[1] = '\n';
    *out_len = (*n_lines)-- > 0 ? 2 : 0;
    return 0;
}

static tailor_err import(const fixture *f, int n_lines)
{
    tailor_import_report *report = NULL;
    tailor_err err =
        tailor_measure_import(f->client, "toy", "t.csv", read_one_line, &n_lines, &report);
    tailor_import_report_free(report);
    return err;
}

/* What the daemon refuses is taken back; what it does not know any more, or could not read, is not. */
static void an_import_that_fails_keeps_no_place(void **state)
{
    static const struct {
        tl_err err;
        int n_asked; /* begin, feed, and abort */
    } cases[] = {
        {TL_EIO,       3},
        {TL_ENOMEM,    3},
        {TL_EDENIED,   3},
        {TL_EINVAL,    2},
        {TL_ENOTFOUND, 2}
    };
    (void)state;
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        const tl_faulty_step steps[] = {
            {TL_FAULTY_ANSWERS, TL_OK       },
            {TL_FAULTY_ERROR,   cases[i].err},
            {TL_FAULTY_ERROR,   TL_EDENIED  }
        };
        fixture f;
        start(&f, steps, TL_COUNT(steps));
        assert_ends((tailor_err)cases[i].err, "as the test wants", import(&f, 2));
        assert_int_equal(atomic_load(&f.faulty.n_asked), cases[i].n_asked);
        stop(&f);
    }
}

static void an_import_says_what_became_of_it(void **state)
{
    static const tl_faulty_step begin_again[] = {
        {TL_FAULTY_CLOSES,  TL_OK},
        {TL_FAULTY_ANSWERS, TL_OK},
        {TL_FAULTY_CLOSES,  TL_OK}
    };
    static const tl_faulty_step new_daemon[] = {
        {TL_FAULTY_ANSWERS, TL_OK       },
        {TL_FAULTY_CLOSES,  TL_OK       },
        {TL_FAULTY_ERROR,   TL_ENOTFOUND}
    };
    static const tl_faulty_step commit[] = {
        {TL_FAULTY_ANSWERS, TL_OK},
        {TL_FAULTY_ANSWERS, TL_OK},
        {TL_FAULTY_CLOSES,  TL_OK}
    };
    fixture f;
    (void)state;
    start(&f, begin_again, TL_COUNT(begin_again));
    assert_done(import(&f, 2));
    assert_int_equal(atomic_load(&f.faulty.n_asked), 6);
    stop(&f);
    start(&f, new_daemon, TL_COUNT(new_daemon));
    assert_ends(TAILOR_ENOTFOUND, "nothing was stored", import(&f, 2));
    stop(&f);
    start(&f, commit, TL_COUNT(commit));
    assert_ends(TAILOR_EUNREACHABLE, "it is not known whether", import(&f, 1));
    stop(&f);
}

/* ---- silence ---------------------------------------------------------------------------- */

static void silence_ends_at_the_timeout(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_SILENT, TL_OK}
    };
    fixture f;
    (void)state;
    start_with(&f, steps, TL_COUNT(steps), (tailor_options){.timeout_ms = SHORT_MS});
    assert_ends(TAILOR_EUNREACHABLE, "no daemon answers", ask(&f));
    assert_asked(&f, 1);
    tailor_set_timeout_ms(f.client, LONG_MS);
    assert_done(ask(&f));
    stop(&f);
}

static void missed_heartbeats_end_a_call(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_HANGS, TL_OK},
        {TL_FAULTY_HANGS, TL_OK},
        {TL_FAULTY_ALIVE, TL_OK}
    };
    fixture f;
    (void)state;
    start(&f, steps, TL_COUNT(steps));
    assert_ends(TAILOR_EUNREACHABLE, "hangs: no sign of life during space.list", ask(&f));
    assert_ends(
        TAILOR_EUNREACHABLE, "hangs: no sign of life during evaluate.run", evaluate(&f));
    assert_done(evaluate(&f));
    assert_int_equal(tailor_n_retries(f.client), 0);
    stop(&f);
}

static void a_daemon_without_heartbeats_is_waited_for(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_LATE, TL_OK},
        {TL_FAULTY_LATE, TL_OK}
    };
    fixture f;
    (void)state;
    start(&f, steps, TL_COUNT(steps));
    assert_done(ask(&f));
    assert_done(evaluate(&f));
    assert_int_equal(tailor_n_retries(f.client), 0);
    stop(&f);
    start_with(
        &f, steps, TL_COUNT(steps),
        (tailor_options){.timeout_ms = LONG_MS, .heartbeat_ms = -1});
    assert_done(ask(&f));
    stop(&f);
    assert_int_equal(f.faulty.heartbeat_ms[0], 0);
}

static tailor_err exchange_bytes(tailor_client *client, size_t to_send, size_t *out_len)
{
    static const uint8_t body[TL_FAULTY_LARGE_BYTES];
    char *reply = NULL;
    tailor_request request = {.method = "space.list", .body = body, .len = to_send};
    tailor_err err = tailor_call(client, &request, &reply, out_len);
    tailor_text_free(reply);
    return err;
}

static void a_slow_line_is_no_daemon_that_hangs(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_LARGE, TL_OK}
    };
    tl_faulty faulty;
    tl_slow_line line;
    tailor_client *client = NULL;
    size_t len = 0;
    (void)state;
    tl_faulty_start(&faulty, steps, TL_COUNT(steps));
    tl_slow_line_start(&line, faulty.endpoint);
    tailor_options options = {
        .endpoint = line.endpoint, .timeout_ms = LONG_MS, .heartbeat_ms = SLOW_HEARTBEAT_MS};
    assert_int_equal(tailor_open(&options, &client), TAILOR_OK);
    assert_done(exchange_bytes(client, 0, &len));
    assert_int_equal(len, TL_FAULTY_LARGE_BYTES);
    /* Over the same connection, of whose heartbeats is known now. */
    assert_done(exchange_bytes(client, TL_FAULTY_LARGE_BYTES, &len));
    assert_int_equal(tailor_n_retries(client), 0);
    assert_int_equal(atomic_load(&faulty.n_asked), 2);
    tailor_close(client);
    tl_slow_line_stop(&line);
    tl_faulty_stop(&faulty);
}

/* ---- replies that are none ----------------------------------------------------------------- */

static void damaged_replies_are_refused(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_GARBAGE,   TL_OK    },
        {TL_FAULTY_EMPTY,     TL_OK    },
        {TL_FAULTY_VERSION,   TL_OK    },
        {TL_FAULTY_BAD_TABLE, TL_OK    },
        {TL_FAULTY_ID_0,      TL_EINVAL},
        {TL_FAULTY_FOREIGN,   TL_OK    }
    };
    fixture f;
    (void)state;
    start(&f, steps, TL_COUNT(steps));
    assert_ends(TAILOR_EDAMAGED, "the daemon's reply", ask(&f));
    assert_ends(TAILOR_EVERSION, "speaks version 0", ask(&f));
    assert_ends(TAILOR_EVERSION, "speaks version 2", ask(&f));
    assert_ends(TAILOR_EDAMAGED, "column number: got 1 cells, want 1000000", ask(&f));
    assert_ends(TAILOR_EINVAL, "as the test wants", ask(&f));
    assert_done(ask(&f));
    assert_int_equal(tailor_n_retries(f.client), 0);
    stop(&f);
}

static tailor_err count_part(void *context, const uint8_t *part, size_t len)
{
    int *n = context;
    assert_true(part != NULL && len > 0);
    ++*n;
    return *n < 4 ? TAILOR_OK : TAILOR_ECANCELLED;
}

static tailor_err call_for_parts(const fixture *f, int *n_parts)
{
    char *reply = NULL;
    size_t len = 0;
    tailor_request request = {
        .method = "measure.export", .part = count_part, .context = n_parts};
    tailor_err err = tailor_call(f->client, &request, &reply, &len);
    tailor_text_free(reply);
    return err;
}

static void parts_are_given_once(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_PART_CLOSES, TL_OK},
        {TL_FAULTY_PART_BUSY,   TL_OK},
        {TL_FAULTY_TABLE,       TL_OK},
        {TL_FAULTY_PART_CLOSES, TL_OK},
        {TL_FAULTY_PART_BUSY,   TL_OK},
        {TL_FAULTY_TABLE,       TL_OK},
        {TL_FAULTY_TABLE,       TL_OK}
    };
    tailor_table *table = NULL;
    int n_parts = 0;
    fixture f;
    (void)state;
    start(&f, steps, TL_COUNT(steps));
    assert_done(tailor_measure_export(f.client, "toy", NULL, &table));
    assert_int_equal(tailor_table_n_rows(table), 2);
    tailor_table_free(table);
    assert_asked(&f, 3);
    assert_ends(TAILOR_EUNREACHABLE, "was lost", call_for_parts(&f, &n_parts));
    assert_ends(TAILOR_EBUSY, "as the test wants", call_for_parts(&f, &n_parts));
    assert_int_equal(n_parts, 2);
    assert_done(call_for_parts(&f, &n_parts));
    assert_ends(TAILOR_ECANCELLED, "", call_for_parts(&f, &n_parts));
    assert_int_equal(atomic_load(&f.faulty.n_asked), 7);
    stop(&f);
}

/* ---- threads and processes -------------------------------------------------------------------- */

static void *ask_on_a_thread(void *context)
{
    fixture *f = context;
    static int failed;
    tailor_err err = ask(f);
    if (err != TAILOR_OK) {
        (void)fprintf(stderr, "%s\n", tailor_err_detail());
    }
    return err == TAILOR_OK ? NULL : &failed;
}

static void more_calls_than_connections_take_turns(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_CLOSES, TL_OK   },
        {TL_FAULTY_ERROR,  TL_EBUSY}
    };
    pthread_t threads[N_THREADS] = {0};
    fixture f;
    (void)state;
    start(&f, steps, TL_COUNT(steps));
    for (size_t i = 0; i < TL_COUNT(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_on_a_thread, &f), 0);
    }
    for (size_t i = 0; i < TL_COUNT(threads); i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_true(tailor_n_retries(f.client) >= 2);
    stop(&f);
}

static tailor_err follow(const fixture *f, bool (*goes_on)(void *))
{
    tailor_job *job = NULL;
    tailor_follow_options options = {.job_id = 7, .goes_on = goes_on};
    tailor_err err = tailor_job_follow(f->client, &options, &job);
    tailor_job_free(job);
    return err;
}

static bool never_goes_on(void *context)
{
    (void)context;
    return false;
}

static int write_nothing(void *context, const uint8_t *data, size_t len)
{
    (void)context;
    (void)data;
    return len > 0;
}

static bool is_told_of_fork(tailor_err err)
{
    return err == TAILOR_ESTATE && strstr(tailor_err_detail(), "forked") != NULL;
}

static void ignore_progress(void *context, const tailor_progress *progress)
{
    (void)context;
    (void)progress;
}

/* All in a child, whose parent held the client's lock for good: none may wait for it. */
static bool child_is_told(fixture *f)
{
    tailor_on_progress(f->client, ignore_progress, NULL);
    bool is_told = is_told_of_fork(ask(f)) && is_told_of_fork(follow(f, NULL)) &&
                   is_told_of_fork(tailor_backup(f->client, write_nothing, NULL, NULL)) &&
                   is_told_of_fork(import(f, 1));
    tailor_close(f->client);
    return is_told;
}

static void a_child_opens_its_own(void **state)
{
    fixture f;
    int status = 0;
    (void)state;
    start(&f, NULL, 0);
    assert_done(ask(&f));
    (void)pthread_mutex_lock(&f.client->lock);
    pid_t child = fork();
    if (child == 0) {
        _exit(child_is_told(&f) ? 0 : 1);
    }
    (void)pthread_mutex_unlock(&f.client->lock);
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_done(ask(&f));
    stop(&f);
}

/* A progress function that makes a call, once all calls that the client allows are in theirs. */
typedef struct crowd {
    fixture f;
    pthread_barrier_t all_are_in;
    atomic_int n_failed;
} crowd;

static void call_within(void *context, const tailor_progress *progress)
{
    crowd *c = context;
    (void)progress;
    (void)pthread_barrier_wait(&c->all_are_in);
    if (tailor_job_cancel(c->f.client, 1) != TAILOR_OK) {
        atomic_fetch_add(&c->n_failed, 1);
    }
}

static void *evaluate_on_a_thread(void *context)
{
    crowd *c = context;
    if (evaluate(&c->f) != TAILOR_OK) {
        atomic_fetch_add(&c->n_failed, 1);
    }
    return NULL;
}

static void progress_functions_may_call_whoever_else_calls(void **state)
{
    tl_faulty_step steps[TAILOR_MAX_CALLS];
    pthread_t threads[TAILOR_MAX_CALLS] = {0};
    crowd c = {.n_failed = 0};
    (void)state;
    for (size_t i = 0; i < TL_COUNT(steps); i++) {
        steps[i] = (tl_faulty_step){TL_FAULTY_PROGRESS, TL_OK};
    }
    start(&c.f, steps, TL_COUNT(steps));
    tailor_on_progress(c.f.client, call_within, &c);
    assert_int_equal(pthread_barrier_init(&c.all_are_in, NULL, TAILOR_MAX_CALLS), 0);
    for (size_t i = 0; i < TL_COUNT(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, evaluate_on_a_thread, &c), 0);
    }
    for (size_t i = 0; i < TL_COUNT(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&c.n_failed), 0);
    (void)pthread_barrier_destroy(&c.all_are_in);
    stop(&c.f);
}

static void *stop_once_asked(void *context)
{
    fixture *f = context;
    while (atomic_load(&f->faulty.n_asked) == 0) {
        (void)sched_yield();
    }
    tailor_stop_calls(f->client, true);
    return NULL;
}

static void calls_are_stopped_and_go_on(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_SILENT, TL_OK}
    };
    pthread_t stopper;
    fixture f;
    (void)state;
    start(&f, steps, TL_COUNT(steps));
    assert_int_equal(pthread_create(&stopper, NULL, stop_once_asked, &f), 0);
    assert_ends(TAILOR_ECANCELLED, "evaluate.run: no longer waited for", evaluate(&f));
    assert_int_equal(pthread_join(stopper, NULL), 0);
    assert_ends(TAILOR_ECANCELLED, "space.list: no longer waited for", ask(&f));
    tailor_stop_calls(f.client, false);
    assert_done(ask(&f));
    assert_int_equal(atomic_load(&f.faulty.n_asked), 2);
    stop(&f);
}

static void who_follows_a_job_may_leave_while_the_daemon_is_silent(void **state)
{
    static const tl_faulty_step steps[] = {
        {TL_FAULTY_SILENT, TL_OK}
    };
    fixture f;
    (void)state;
    start(&f, steps, TL_COUNT(steps));
    assert_ends(TAILOR_ECANCELLED, "job 7 is no longer followed", follow(&f, never_goes_on));
    stop(&f);
    tailor_options options = {.endpoint = "tcp://127.0.0.1:9", .timeout_ms = LONG_MS};
    assert_int_equal(tailor_open(&options, &f.client), TAILOR_OK);
    assert_ends(TAILOR_ECANCELLED, "job 7 is no longer followed", follow(&f, never_goes_on));
    tailor_close(f.client);
}

static void the_start_of_a_job_has_no_deadline(void **state)
{
    fixture f;
    uint64_t job_id = 0;
    tailor_train_options options = {.space = "toy"};
    (void)state;
    start(&f, NULL, 0);
    assert_done(tailor_train_start(f.client, &options, &job_id));
    stop(&f);
    assert_int_equal(f.faulty.deadline_ms[0], 0);
}

static void memory_may_be_short_at_any_moment(void **state)
{
    tl_faulty faulty;
    int n_failures = 0;
    bool is_refused = true;
    (void)state;
    tl_faulty_start(&faulty, NULL, 0);
    for (long i = 1; is_refused; i++) { /* also after one that it got by without */
        tailor_client *client = NULL;
        tailor_table *table = NULL;
        tailor_options options = {.endpoint = faulty.endpoint, .timeout_ms = LONG_MS};
        long n_refused = tl_test_n_refused();
        tl_mem_fail_at(i);
        tailor_err err = tailor_open(&options, &client);
        if (err == TAILOR_OK) {
            err = tailor_space_list(client, &table);
        }
        tl_mem_fail_at(0);
        is_refused = tl_test_n_refused() != n_refused;
        tailor_table_free(table);
        tailor_close(client);
        n_failures += err != TAILOR_OK;
        assert_true(err == TAILOR_OK || err == TAILOR_ENOMEM);
    }
    assert_true(n_failures > 5);
    tl_faulty_stop(&faulty);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(a_busy_daemon_is_asked_again),
        TEST(a_daemon_that_is_about_to_end_is_asked_again),
        TEST(a_daemon_that_stays_busy_is_told_of),
        TEST(what_a_daemon_said_before_it_was_gone_is_told),
        TEST(as_often_as_was_allowed),
        TEST(a_lost_connection_is_made_again),
        TEST(what_ends_every_daemon_is_not_asked_for_ever),
        TEST(a_training_is_not_begun_again),
        TEST(a_removal_that_was_done_before_is_done),
        TEST(an_import_says_what_became_of_it),
        TEST(an_import_that_fails_keeps_no_place),
        TEST(silence_ends_at_the_timeout),
        TEST(missed_heartbeats_end_a_call),
        TEST(a_daemon_without_heartbeats_is_waited_for),
        TEST(a_slow_line_is_no_daemon_that_hangs),
        TEST(damaged_replies_are_refused),
        TEST(parts_are_given_once),
        TEST(more_calls_than_connections_take_turns),
        TEST(a_child_opens_its_own),
        TEST(progress_functions_may_call_whoever_else_calls),
        TEST(calls_are_stopped_and_go_on),
        TEST(who_follows_a_job_may_leave_while_the_daemon_is_silent),
        TEST(the_start_of_a_job_has_no_deadline),
        TEST(memory_may_be_short_at_any_moment),
    };
#undef TEST
    return cmocka_run_group_tests_name("clients/faults", tests, NULL, NULL);
}
