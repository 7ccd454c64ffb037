/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_C_RULES_H
#define TL_CLIENTS_C_RULES_H

/* Which calls are repeated when their answer is lost, and how long to wait before. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum tl_repeat {
    TL_REPEAT_FREELY,
    TL_REPEAT_REMOVAL, /* freely; one that finds nothing left did its work before */
    TL_REPEAT_NEVER    /* the caller decides */
} tl_repeat;

typedef struct tl_call_rule {
    const char *method;
    tl_repeat repeat;
} tl_call_rule;

/* Sorted by name. */
extern const tl_call_rule tl_call_rules[];
extern const size_t tl_call_rules_len;

/* That of the method; what is not listed may be repeated, as the protocol promises. */
tl_repeat tl_repeat_of(const char *method);

/*
 * How long to wait before the n-th try (from 0): a random part of a time that doubles with each
 * one, up to a second. Clients that were refused together do not come back together.
 */
int64_t tl_backoff_ns(unsigned n, uint64_t *random);

#endif
