/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_DAMAGE_H
#define TL_BASE_DAMAGE_H

/*
 * What was passed over because it is damaged: the first few by name, and how many in all, so
 * that a million of them take no more room than sixteen.
 *
 *     tl_damage damage = {0};
 *     err = tl_damage_add(&damage, "latency_ms@hurt");
 *     ...damage.names.data, a line each...
 *     tl_damage_done(&damage);
 */

#include "base/text.h"

#include <stddef.h>

enum {
    TL_DAMAGE_MAX_NAMED = 16
};

typedef struct tl_damage {
    size_t n;
    tl_text names; /* of the first of them, one a line */
} tl_damage;

TL_MUST_USE tl_err tl_damage_add(tl_damage *damage, const char *name);
void tl_damage_done(tl_damage *damage);

/* Of the n that are damaged, those that have no name here. */
size_t tl_damage_n_unnamed(const tl_damage *damage);

#endif
