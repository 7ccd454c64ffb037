/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_CLIENTS_FAULTY_H
#define TL_TESTS_CLIENTS_FAULTY_H

/*
 * A daemon that does what a test says: one step for each request, in their order, and
 * TL_FAULTY_ANSWERS for those after the last step.
 *
 *     static const tl_faulty_step steps[] = {{TL_FAULTY_ERROR, TL_EBUSY}, {TL_FAULTY_CLOSES}};
 *     tl_faulty_start(&faulty, steps, TL_COUNT(steps));
 *     ... a client of faulty.endpoint ...
 *     tl_faulty_stop(&faulty);
 */

#include "tests/support/test.h"

#include "base/err.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

typedef enum tl_faulty_act {
    TL_FAULTY_ANSWERS,     /* success, with an empty body and a warning */
    TL_FAULTY_ERROR,       /* the step's error */
    TL_FAULTY_TURNS_AWAY,  /* the step's error, which may be repeated */
    TL_FAULTY_SILENT,      /* nothing */
    TL_FAULTY_LATE,        /* success, after the time of several heartbeats without one */
    TL_FAULTY_HANGS,       /* one heartbeat, then nothing */
    TL_FAULTY_PROGRESS,    /* a progress report, then success */
    TL_FAULTY_ALIVE,       /* heartbeats for the time of several, then success */
    TL_FAULTY_CLOSES,      /* the connection; a new one is accepted */
    TL_FAULTY_PART_CLOSES, /* the same, after a table of one row as a part */
    TL_FAULTY_PART_BUSY,   /* a part, then TL_EBUSY */
    TL_FAULTY_TABLE,       /* a part of one row, then one of one row as the answer */
    TL_FAULTY_LARGE,       /* a heartbeat, then TL_FAULTY_LARGE_BYTES */
    TL_FAULTY_BAD_TABLE,   /* a table that contradicts itself */
    TL_FAULTY_GARBAGE,     /* bytes that are no Reply */
    TL_FAULTY_EMPTY,       /* an empty message */
    TL_FAULTY_VERSION,     /* a Reply of another protocol */
    TL_FAULTY_FOREIGN,     /* replies under other ids, then success */
    TL_FAULTY_ID_0         /* an error under id 0 */
} tl_faulty_act;

typedef struct tl_faulty_step {
    tl_faulty_act act;
    tl_err error;
} tl_faulty_step;

enum {
    TL_FAULTY_MAX_ASKED = 256,
    TL_FAULTY_HEARTBEAT_MS = 20,
    TL_FAULTY_LARGE_BYTES = 1024 * 1024
};

typedef struct tl_faulty {
    const tl_faulty_step *steps;
    size_t n_steps;
    void *context, *router;
    char endpoint[64];
    pthread_t thread;
    atomic_bool is_stopped;
    atomic_int n_asked;
    /* Of each request, for when the call is over. */
    uint32_t deadline_ms[TL_FAULTY_MAX_ASKED];
    uint32_t heartbeat_ms[TL_FAULTY_MAX_ASKED];
} tl_faulty;

void tl_faulty_start(tl_faulty *faulty, const tl_faulty_step *steps, size_t n_steps);
void tl_faulty_stop(tl_faulty *faulty);

#endif
