/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_ENGINE_H
#define TL_DAEMON_ENGINE_H

/*
 * The engine: everything the daemon holds, shared by all calls.
 *
 * It owns the store, the spaces (built in and added), the device registry, the
 * open imports, the jobs and, per space, the predictor (models and caches).
 * All functions may be called from any thread.
 */

#include "base/err.h"
#include "base/store.h"
#include "daemon/imports.h"
#include "daemon/jobs.h"
#include "device-profiles/registry.h"
#include "spaces/space.h"

#include <stdbool.h>
#include <stdint.h>

struct tl_backups;
struct tl_metrics;
struct tl_model;
struct tl_predictors;

typedef struct tl_engine tl_engine;

typedef struct tl_engine_options {
    const char *data_dir;       /* the store; created where it is missing */
    const char *models_dir;     /* shipped models, read only; NULL or empty folder: none */
    const char *spaces_dir;     /* built-in space files; NULL: none */
    const char *catalogue_dir;  /* built-in device profiles; NULL: none */
    struct tl_metrics *metrics; /* for status.get to tell of; borrowed; NULL: none */
} tl_engine_options;

/*
 * Fails with TL_ESTATE when another daemon uses data_dir, TL_EINVAL when a built-in
 * file is damaged. An added space that cannot be read any more is logged and left out. Of a
 * damaged store, or one that cannot be written, what is sound is served, and the log says so.
 */
TL_MUST_USE tl_err tl_engine_open(const tl_engine_options *options, tl_engine **out_engine);
void tl_engine_close(tl_engine *engine); /* no call may be in it; NULL is fine */

/* All borrowed; data_dir and models_dir are never NULL. */
tl_store *tl_engine_store(tl_engine *engine);
tl_registry *tl_engine_registry(tl_engine *engine);
tl_imports *tl_engine_imports(tl_engine *engine);
tl_jobs *tl_engine_jobs(tl_engine *engine);
struct tl_backups *tl_engine_backups(tl_engine *engine);
struct tl_predictors *tl_engine_predictors(tl_engine *engine);
const char *tl_engine_data_dir(const tl_engine *engine);
const char *tl_engine_models_dir(const tl_engine *engine);
struct tl_metrics *tl_engine_metrics(const tl_engine *engine); /* NULL: none are kept */
int64_t tl_engine_opened_ns(const tl_engine *engine);          /* on tl_clock_ns() */

/* ---- spaces ----------------------------------------------------------------- */

/*
 * The space of that name, with a reference that the caller gives back
 * (tl_space_unref). Fails with TL_ENOTFOUND naming the nearest known one.
 */
TL_MUST_USE tl_err tl_engine_space(tl_engine *engine, const char *name, tl_space **out_space);

typedef struct tl_space_entry {
    tl_space *space;
    bool is_built_in;
} tl_space_entry;

/*
 * All spaces in the order of their names, each with a reference: the caller gives
 * them back (tl_space_entries_free).
 */
TL_MUST_USE tl_err
tl_engine_spaces(tl_engine *engine, tl_space_entry **out_entries, size_t *out_n);
void tl_space_entries_free(tl_space_entry *entries, size_t n); /* NULL is fine */

/*
 * Adds a space durably and keeps a reference of its own. The same definition under a known
 * name changes nothing; another one fails with TL_EEXISTS.
 */
TL_MUST_USE tl_err tl_engine_space_add(tl_engine *engine, tl_space *space);

/*
 * Removes an added space; who still holds it may go on, but jobs that work on it are cancelled
 * and what they learnt of it is not kept. Fails with TL_ENOTFOUND, and with
 * TL_ESTATE for a built-in space and, unless with_measurements, for one that has
 * measurements, which would be removed with it.
 */
TL_MUST_USE tl_err
tl_engine_space_remove(tl_engine *engine, const char *name, bool with_measurements);

/*
 * As tl_predictors_store(), of a model that was trained while the space might be removed: fails
 * with TL_ESTATE where it was, also when one of that name was added again.
 */
TL_MUST_USE tl_err
tl_engine_model_store(tl_engine *engine, const tl_space *space, const struct tl_model *model);

#endif
