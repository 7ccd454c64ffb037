/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/fleet_crew.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/mem.h"
#include "base/units.h"
#include "clients/cli/interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    LOOK_MS = 100,                      /* so often a wait looks whether Ctrl-C was pressed */
    AGAIN_MS = 200,                     /* before a daemon that went away is asked again */
    MAX_THREADS = TAILOR_MAX_CALLS - 1, /* one is left for whoever owns the crew */
    PLACES_PER_THREAD = 2,              /* one is asked while another is read or written */
    DETAIL_BYTES = 512
};

/* A piece on its way; places are used in turn. */
typedef struct place {
    tl_fleet_piece piece;
    bool is_done;
    tl_err err;
    char detail[DETAIL_BYTES];
    tailor_fleet_part *part;
    tl_text warnings; /* a line each */
} place;

struct tl_fleet_crew {
    tailor_fleet_options question;
    tailor_client *client; /* of all threads */
    pthread_t threads[MAX_THREADS];
    int n_threads;
    place places[MAX_THREADS * PLACES_PER_THREAD];
    uint64_t n_places;
    uint64_t n_given, n_begun,
        n_taken; /* place i % n_places holds piece i; only the owner gives and takes */
    bool is_stopped;
    bool has_answers;     /* the daemon has answered a piece */
    bool has_told;        /* that it went away since */
    pthread_mutex_t lock; /* of the places' results, n_given, n_begun and the flags */
    pthread_cond_t given, done;
};

static place *place_of(tl_fleet_crew *crew, uint64_t i)
{
    return &crew->places[i % crew->n_places];
}

/*
 * Whether a piece that failed so may be asked again: the daemon went away, or is about to. One that
 * never answered is not waited for.
 */
static bool may_wait(tl_fleet_crew *crew, tl_err err, int64_t since_ns)
{
    bool is_gone =
        err == TL_EUNREACHABLE ||
        (err == TL_ESTATE && strstr(tailor_err_detail(), "the daemon is stopping") != NULL);
    bool is_patient = tl_clock_ns() - since_ns < TAILOR_FOLLOW_PATIENCE_MS * TL_NS_PER_MS;
    (void)pthread_mutex_lock(&crew->lock);
    bool goes_on = is_gone && is_patient && crew->has_answers && !crew->is_stopped;
    bool is_news = goes_on && !crew->has_told;
    crew->has_told = crew->has_told || goes_on;
    (void)pthread_mutex_unlock(&crew->lock);
    if (is_news) {
        (void)fprintf(stderr, "tailor fleet: the daemon went away; waiting for it\n");
    }
    return goes_on;
}

static void ask(tl_fleet_crew *crew, place *p)
{
    const struct timespec again = {.tv_nsec = AGAIN_MS * TL_NS_PER_MS};
    int64_t begun_ns = tl_clock_ns();
    tailor_fleet_options question = crew->question;
    question.csv = p->piece.csv.data;
    question.csv_len = p->piece.csv.len;
    question.first_line = p->piece.first_line;
    question.rows_before = p->piece.rows_before;
    while ((p->err = (tl_err)tailor_fleet(crew->client, &question, &p->part)) != TL_OK &&
           may_wait(crew, p->err, begun_ns)) {
        (void)nanosleep(&again, NULL);
    }
    if (p->err != TL_OK) {
        (void)snprintf(p->detail, sizeof p->detail, "%s", tailor_err_detail());
    }
    for (size_t i = 0; p->err == TL_OK && i < tailor_n_warnings(crew->client); i++) {
        tl_text_addf(&p->warnings, "%s\n", tailor_warning(crew->client, i));
    }
}

static void *work(void *crew_base)
{
    tl_fleet_crew *crew = crew_base;
    (void)pthread_mutex_lock(&crew->lock);
    while (true) {
        while (crew->n_begun == crew->n_given && !crew->is_stopped) {
            (void)pthread_cond_wait(&crew->given, &crew->lock);
        }
        if (crew->is_stopped) {
            break;
        }
        place *p = place_of(crew, crew->n_begun++);
        (void)pthread_mutex_unlock(&crew->lock);
        ask(crew, p);
        (void)pthread_mutex_lock(&crew->lock);
        p->is_done = true;
        crew->has_answers = crew->has_answers || p->err == TL_OK;
        crew->has_told = crew->has_told && p->err != TL_OK;
        (void)pthread_cond_signal(&crew->done);
    }
    (void)pthread_mutex_unlock(&crew->lock);
    return NULL;
}

/* Threads that leave Ctrl-C to the one that started them: it may be waiting for input. */
static void start_threads(tl_fleet_crew *crew, int n)
{
    sigset_t interrupt;
    sigset_t before;
    (void)sigemptyset(&interrupt);
    (void)sigaddset(&interrupt, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &interrupt, &before);
    while (crew->n_threads < n &&
           pthread_create(&crew->threads[crew->n_threads], NULL, work, crew) == 0) {
        crew->n_threads++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

tl_err tl_fleet_crew_new(
    tailor_client *client,
    const tailor_fleet_options *question,
    int n_threads,
    tl_fleet_crew **out_crew)
{
    tl_fleet_crew *crew = tl_mem_new(1, sizeof *crew);
    if (crew == NULL) {
        return tl_fail(TL_ENOMEM, "a crew");
    }
    int n = n_threads < 1 ? 1 : n_threads > MAX_THREADS ? MAX_THREADS : n_threads;
    crew->client = client;
    crew->question = *question;
    crew->n_places = (uint64_t)n * PLACES_PER_THREAD;
    (void)pthread_mutex_init(&crew->lock, NULL);
    (void)pthread_cond_init(&crew->given, NULL);
    tl_cond_init(&crew->done);
    start_threads(crew, n);
    if (crew->n_threads == 0) {
        tl_fleet_crew_free(crew);
        return tl_fail(TL_EIO, "a thread cannot be started");
    }
    *out_crew = crew;
    return TL_OK;
}

void tl_fleet_crew_free(tl_fleet_crew *crew)
{
    if (crew == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&crew->lock);
    crew->is_stopped = true;
    (void)pthread_cond_broadcast(&crew->given);
    (void)pthread_mutex_unlock(&crew->lock);
    tailor_stop_calls(crew->client, true);
    for (int i = 0; i < crew->n_threads; i++) {
        (void)pthread_join(crew->threads[i], NULL);
    }
    tailor_stop_calls(crew->client, false);
    for (size_t i = 0; i < TL_COUNT(crew->places); i++) {
        tl_fleet_piece_done(&crew->places[i].piece);
        tl_text_done(&crew->places[i].warnings);
        tailor_fleet_part_free(crew->places[i].part);
    }
    (void)pthread_cond_destroy(&crew->given);
    (void)pthread_cond_destroy(&crew->done);
    (void)pthread_mutex_destroy(&crew->lock);
    tl_mem_free(crew);
}

bool tl_fleet_crew_has_room(const tl_fleet_crew *crew)
{
    return crew->n_given - crew->n_taken < crew->n_places;
}

bool tl_fleet_crew_is_idle(const tl_fleet_crew *crew)
{
    return crew->n_given == crew->n_taken;
}

void tl_fleet_crew_give(tl_fleet_crew *crew, tl_fleet_piece *piece)
{
    place *p = place_of(crew, crew->n_given);
    tl_fleet_piece_done(&p->piece);
    tl_text_done(&p->warnings);
    *p = (place){.piece = *piece};
    *piece = (tl_fleet_piece){0};
    (void)pthread_mutex_lock(&crew->lock);
    crew->n_given++;
    (void)pthread_cond_signal(&crew->given);
    (void)pthread_mutex_unlock(&crew->lock);
}

/* False when Ctrl-C was pressed before. */
static bool wait_until_done(tl_fleet_crew *crew, const place *p)
{
    (void)pthread_mutex_lock(&crew->lock);
    while (!p->is_done && !tl_interrupt_came()) {
        (void)tl_cond_wait_until(
            &crew->done, &crew->lock, tl_clock_ns() + LOOK_MS * TL_NS_PER_MS);
    }
    bool is_done = p->is_done;
    (void)pthread_mutex_unlock(&crew->lock);
    return is_done;
}

tl_err tl_fleet_crew_take(
    tl_fleet_crew *crew, tailor_fleet_part **out_part, const char **out_warnings)
{
    place *p = place_of(crew, crew->n_taken);
    if (!wait_until_done(crew, p)) {
        return tl_fail(TL_ECANCELLED, "interrupted");
    }
    crew->n_taken++;
    if (p->err != TL_OK) {
        return tl_fail(p->err, "%s", p->detail);
    }
    *out_part = p->part;
    *out_warnings = p->warnings.data != NULL ? p->warnings.data : "";
    p->part = NULL;
    return TL_OK;
}
