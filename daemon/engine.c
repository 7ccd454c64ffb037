/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/engine.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/text.h"
#include "base/watch.h"
#include "daemon/backups.h"
#include "daemon/predictors.h"
#include "daemon/space_table.h"
#include "daemon/sweeper.h"
#include "measurements/columns.h"

#include <pthread.h>
#include <string.h>

struct tl_engine {
    tl_store *store;
    tl_registry *registry;
    tl_imports *imports;
    tl_jobs *jobs;
    tl_backups *backups;
    tl_predictors *predictors;
    tl_sweeper *sweeper;
    tl_space_table *spaces;
    pthread_mutex_t changing_spaces; /* taken before the store's transaction */
    char *data_dir, *models_dir;
    struct tl_metrics *metrics; /* borrowed */
    int64_t opened_ns;
};

/* ---- opening ------------------------------------------------------------------- */

/* Every *.yaml of the folder of built-in spaces. */
static tl_err load_built_in(tl_space_table *spaces, const char *dir)
{
    tl_err err = TL_OK;
    tl_file_list files = {0};
    tl_text path = {0};
    if (dir == NULL || dir[0] == '\0') {
        return TL_OK;
    }
    TL_TRY(tl_file_list_init(&files, dir, ".yaml"));
    for (size_t i = 0; i < files.n_names && err == TL_OK; i++) {
        tl_space *space = NULL;
        tl_text_clear(&path);
        tl_text_addf(&path, "%s/%s", dir, files.names[i]);
        if ((err = tl_text_err(&path)) == TL_OK &&
            (err = tl_space_load(path.data, &space)) == TL_OK) {
            err = tl_space_table_add(spaces, space, true);
        }
        tl_space_unref(space);
    }
    tl_text_done(&path);
    tl_file_list_done(&files);
    return err;
}

/* One added space. What cannot be read any more stays in the store for a version that can. */
static tl_err load_one_added(void *context, const tl_store_entry *entry)
{
    tl_space_table *spaces = context;
    tl_space *space = NULL;
    if (entry->lost != NULL) {
        return TL_OK; /* the store told of it */
    }
    tl_err err = entry->is_damaged
                     ? TL_EDAMAGED
                     : tl_space_parse(entry->value, entry->value_len, "stored space", &space);
    if (err == TL_OK) {
        err = tl_space_table_add(spaces, space, false);
    }
    tl_space_unref(space);
    if (err != TL_OK && err != TL_ENOMEM) {
        tl_log(
            TL_LOG_ERROR, "the added space %.*s is left out: %s", (int)entry->key_len,
            (const char *)entry->key, tl_err_detail());
        err = TL_OK;
    }
    return err;
}

static void log_lines(const char *lines, const char *before, const char *after)
{
    for (const char *line = lines; *line != '\0';) {
        int len = (int)strcspn(line, "\n");
        tl_log(TL_LOG_ERROR, "%s%.*s%s", before, len, line, after);
        line += len + (line[len] == '\n' ? 1 : 0);
    }
}

/* What the store found: it is refused when it is asked for, and all else is served. */
static void log_damage(const tl_store *store)
{
    log_lines(tl_store_trouble(store), "", "");
    log_lines(tl_store_lost(store), "the store has lost ", "");
    log_lines(
        tl_store_damage(store),
        "the store holds a damaged value: ", "; write it again, or restore a backup");
}

/* What a kill left of a model that was being written; it may stay where nothing can be written. */
static tl_err clean_models(const tl_store *store, const char *data_dir)
{
    tl_text models = {0};
    tl_text_addf(&models, "%s/models", data_dir);
    tl_err err = tl_text_err(&models);
    if (err == TL_OK) {
        err = tl_file_remove_unfinished(models.data);
    }
    tl_text_done(&models);
    return err == TL_EIO && tl_store_trouble(store)[0] != '\0' ? TL_OK : err;
}

static tl_err open_parts(tl_engine *engine, const tl_engine_options *options)
{
    engine->data_dir = tl_mem_strdup(options->data_dir);
    engine->models_dir = tl_mem_strdup(options->models_dir != NULL ? options->models_dir : "");
    if (engine->data_dir == NULL || engine->models_dir == NULL) {
        return tl_fail(TL_ENOMEM, "the engine");
    }
    TL_TRY(tl_space_table_new(&engine->spaces));
    TL_TRY(tl_imports_new(0, &engine->imports));
    TL_TRY(load_built_in(engine->spaces, options->spaces_dir));
    TL_TRY(tl_store_open_what_is_sound(options->data_dir, 0, &engine->store));
    log_damage(engine->store);
    TL_TRY(clean_models(engine->store, options->data_dir));
    TL_TRY(tl_backups_new(engine->store, options->data_dir, &engine->backups));
    TL_TRY(tl_jobs_new(engine->store, &engine->jobs));
    TL_TRY(tl_registry_open(engine->store, options->catalogue_dir, &engine->registry));
    TL_TRY(tl_predictors_new(
        engine->store, engine->models_dir, engine->data_dir, &engine->predictors));
    const tl_store_range all = {.with_damaged = true};
    TL_TRY(tl_store_iterate_range(
        engine->store, TL_DB_SPACES, &all, load_one_added, engine->spaces));
    return tl_sweeper_new(engine->jobs, engine->imports, engine->backups, &engine->sweeper);
}

tl_err tl_engine_open(const tl_engine_options *options, tl_engine **out_engine)
{
    tl_engine *engine = tl_mem_new(1, sizeof *engine);
    if (engine == NULL) {
        return tl_fail(TL_ENOMEM, "the engine");
    }
    (void)pthread_mutex_init(&engine->changing_spaces, NULL);
    engine->opened_ns = tl_clock_ns();
    engine->metrics = options->metrics;
    tl_err err = open_parts(engine, options);
    if (err != TL_OK) {
        tl_engine_close(engine);
        return err;
    }
    *out_engine = engine;
    return TL_OK;
}

void tl_engine_close(tl_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    tl_sweeper_free(engine->sweeper);
    tl_predictors_free(engine->predictors);
    tl_imports_free(engine->imports);
    tl_jobs_free(engine->jobs);
    tl_backups_free(engine->backups);
    tl_registry_close(engine->registry);
    tl_space_table_free(engine->spaces);
    tl_store_close(engine->store);
    (void)pthread_mutex_destroy(&engine->changing_spaces);
    tl_mem_free(engine->data_dir);
    tl_mem_free(engine->models_dir);
    tl_mem_free(engine);
}

/* ---- parts ------------------------------------------------------------------------ */

tl_store *tl_engine_store(tl_engine *engine)
{
    return engine->store;
}

tl_registry *tl_engine_registry(tl_engine *engine)
{
    return engine->registry;
}

tl_imports *tl_engine_imports(tl_engine *engine)
{
    return engine->imports;
}

tl_jobs *tl_engine_jobs(tl_engine *engine)
{
    return engine->jobs;
}

tl_backups *tl_engine_backups(tl_engine *engine)
{
    return engine->backups;
}

tl_predictors *tl_engine_predictors(tl_engine *engine)
{
    return engine->predictors;
}

const char *tl_engine_data_dir(const tl_engine *engine)
{
    return engine->data_dir;
}

const char *tl_engine_models_dir(const tl_engine *engine)
{
    return engine->models_dir;
}

struct tl_metrics *tl_engine_metrics(const tl_engine *engine)
{
    return engine->metrics;
}

int64_t tl_engine_opened_ns(const tl_engine *engine)
{
    return engine->opened_ns;
}

/* ---- spaces ------------------------------------------------------------------------- */

tl_err tl_engine_space(tl_engine *engine, const char *name, tl_space **out_space)
{
    tl_err err = tl_space_table_find(engine->spaces, name, out_space, NULL);
    return err == TL_ENOTFOUND &&
                   tl_store_is_lost(engine->store, TL_DB_SPACES, name, strlen(name))
               ? tl_fail(
                     TL_EDAMAGED,
                     "space %s is not built in; whether it was added, cannot be told: %s", name,
                     tl_store_trouble(engine->store))
               : err;
}

tl_err tl_engine_spaces(tl_engine *engine, tl_space_entry **out_entries, size_t *out_n)
{
    return tl_space_table_list(engine->spaces, out_entries, out_n);
}

/* Puts the text of the space into the store, or takes it out (and its measurements). */
static tl_err store_space(tl_engine *engine, const char *name, const char *yaml)
{
    tl_store_txn *txn = NULL;
    TL_TRY(tl_store_begin(engine->store, &txn));
    tl_err err = TL_OK;
    if (yaml != NULL) {
        err = tl_store_put(txn, TL_DB_SPACES, name, strlen(name), yaml, strlen(yaml));
    } else if ((err = tl_store_delete(txn, TL_DB_SPACES, name, strlen(name))) == TL_OK) {
        err = tl_columns_remove_space(txn, name);
    }
    if (err == TL_OK && (err = tl_watch_check()) == TL_OK) {
        return tl_store_commit(&txn);
    }
    tl_store_abort(&txn);
    return err;
}

/* Measurements of an earlier space of this name must not be taken for those of the new one. */
static tl_err add_new_space(tl_engine *engine, tl_space *space)
{
    tl_space *known = NULL;
    const char *name = tl_space_name(space);
    tl_err err = tl_space_table_find(engine->spaces, name, &known, NULL);
    if (err == TL_OK) {
        bool is_same = strcmp(tl_space_digest(known), tl_space_digest(space)) == 0;
        tl_space_unref(known);
        return is_same ? TL_OK
                       : tl_fail(
                             TL_EEXISTS,
                             "%s: there is another space of that name; remove it first or "
                             "choose another name",
                             name);
    }
    if (err != TL_ENOTFOUND) {
        return err;
    }
    TL_TRY(store_space(engine, name, tl_space_yaml(space)));
    return tl_space_table_add(engine->spaces, space, false);
}

tl_err tl_engine_space_add(tl_engine *engine, tl_space *space)
{
    (void)pthread_mutex_lock(&engine->changing_spaces);
    tl_err err = add_new_space(engine, space);
    (void)pthread_mutex_unlock(&engine->changing_spaces);
    return err;
}

static tl_err refuse_measured(tl_engine *engine, const char *name)
{
    bool is_measured = false;
    TL_TRY(tl_columns_exist(engine->store, name, &is_measured));
    return is_measured ? tl_fail(
                             TL_ESTATE,
                             "%s: measurements of it are stored; export them first, then "
                             "remove it with its measurements",
                             name)
                       : TL_OK;
}

static tl_err remove_space(tl_engine *engine, const char *name, bool with_measurements)
{
    tl_space *space = NULL;
    bool is_built_in = false;
    TL_TRY(tl_space_table_find(engine->spaces, name, &space, &is_built_in));
    tl_space_unref(space);
    if (is_built_in) {
        return tl_fail(TL_ESTATE, "%s: built in, cannot be removed", name);
    }
    if (!with_measurements) {
        TL_TRY(refuse_measured(engine, name));
    }
    TL_TRY(store_space(engine, name, NULL));
    tl_space_table_remove(engine->spaces, name);
    tl_predictors_forget(engine->predictors, name);
    tl_jobs_cancel_subject(engine->jobs, name);
    return TL_OK;
}

tl_err tl_engine_space_remove(tl_engine *engine, const char *name, bool with_measurements)
{
    (void)pthread_mutex_lock(&engine->changing_spaces);
    tl_err err = remove_space(engine, name, with_measurements);
    (void)pthread_mutex_unlock(&engine->changing_spaces);
    return err;
}

/* Not by its name or definition: what was measured went with the former one. */
static tl_err store_model(tl_engine *engine, const tl_space *space, const tl_model *model)
{
    tl_space *known = NULL;
    tl_err err = tl_space_table_find(engine->spaces, tl_space_name(space), &known, NULL);
    bool is_it = err == TL_OK && known == space;
    tl_space_unref(known);
    if (err != TL_OK && err != TL_ENOTFOUND) {
        return err;
    }
    return is_it ? tl_predictors_store(engine->predictors, space, model)
                 : tl_fail(
                       TL_ESTATE, "space %s was removed meanwhile; its model is not kept",
                       tl_space_name(space));
}

tl_err tl_engine_model_store(
    tl_engine *engine, const tl_space *space, const struct tl_model *model)
{
    (void)pthread_mutex_lock(&engine->changing_spaces);
    tl_err err = store_model(engine, space, model);
    (void)pthread_mutex_unlock(&engine->changing_spaces);
    return err;
}
