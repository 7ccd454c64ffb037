/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_ENGINE_H
#define TL_DAEMON_ENGINE_H

/*
 * The engine: everything the daemon holds, shared by all calls.
 *
 * It owns the store, the spaces (built in and added), the device registry, the
 * open imports, the jobs and, per space, the predictor (models and caches).
 * All functions may be called from any thread; each documents what it locks.
 */

#include "base/err.h"
#include "base/store.h"
#include "device-profiles/registry.h"
#include "spaces/space.h"

#include <stdint.h>

typedef struct tl_engine tl_engine;

typedef struct tl_engine_options {
    const char *data_dir;      /* the store; created where it is missing */
    const char *models_dir;    /* shipped models, read only; NULL or empty folder: none */
    const char *spaces_dir;    /* built-in space files */
    const char *catalogue_dir; /* built-in device profiles */
} tl_engine_options;

TL_MUST_USE tl_err tl_engine_open(const tl_engine_options *options, tl_engine **out_engine);
void tl_engine_close(tl_engine *engine); /* NULL is fine */

tl_store *tl_engine_store(tl_engine *engine);
tl_registry *tl_engine_registry(tl_engine *engine);

/*
 * The space of that name, with a reference that the caller gives back
 * (tl_space_unref). Fails with TL_ENOTFOUND naming the nearest known one.
 */
TL_MUST_USE tl_err tl_engine_space(tl_engine *engine, const char *name, tl_space **out_space);

#endif
