/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/predictors.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/watch.h"
#include "daemon/views.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_BYTES = 1024,
    MAX_SPACES = 256
};

/* A file as it was when it was read: another size, time or inode is another file. */
typedef struct file_mark {
    bool is_there;
    int64_t bytes, modified_ns;
    uint64_t inode;
} file_mark;

typedef enum origin_kind {
    ORIGIN_TRAINED,
    ORIGIN_SHIPPED,
    N_ORIGINS
} origin_kind;

static const char *const origin_names[] = {"trained", "shipped", "none"};

typedef struct space_entry {
    char name[TL_NAME_MAX_BYTES + 1];
    char digest[65];
    tl_predictor *predictor;
    tl_optimizer *optimizer; /* of its model; NULL: none */
    origin_kind origin;
    file_mark marks[N_ORIGINS];
    int64_t looked_ns;
    char complaint[512];
} space_entry;

struct tl_predictors {
    tl_views *views;
    char *dirs[N_ORIGINS];
    /* What is below changes only under both: loading, while files are looked at and read, and
     * lock, for the moment of the change. Who only reads takes lock alone, and never waits for a
     * file; who loads reads without it. */
    pthread_mutex_t loading, lock;
    space_entry spaces[MAX_SPACES];
    int n_spaces;
};

/* ---- life ------------------------------------------------------------------------- */

static char *join(const char *dir, const char *name)
{
    tl_text path = {0};
    tl_text_addf(&path, "%s/%s", dir, name);
    char *joined = tl_text_steal(&path);
    tl_text_done(&path);
    return joined;
}

tl_err tl_predictors_new(
    tl_store *store,
    const char *models_dir,
    const char *data_dir,
    tl_predictors **out_predictors)
{
    tl_predictors *predictors = tl_mem_new(1, sizeof *predictors);
    if (predictors == NULL) {
        return tl_fail(TL_ENOMEM, "predictors");
    }
    (void)pthread_mutex_init(&predictors->loading, NULL);
    (void)pthread_mutex_init(&predictors->lock, NULL);
    predictors->dirs[ORIGIN_TRAINED] = join(data_dir, "models");
    predictors->dirs[ORIGIN_SHIPPED] = tl_mem_strdup(models_dir);
    if (predictors->dirs[ORIGIN_TRAINED] == NULL || predictors->dirs[ORIGIN_SHIPPED] == NULL) {
        tl_predictors_free(predictors);
        return tl_fail(TL_ENOMEM, "predictors");
    }
    tl_err err = tl_views_new(store, &predictors->views);
    if (err != TL_OK) {
        tl_predictors_free(predictors);
        return err;
    }
    *out_predictors = predictors;
    return TL_OK;
}

void tl_predictors_free(tl_predictors *predictors)
{
    if (predictors == NULL) {
        return;
    }
    tl_views_free(predictors->views);
    for (int i = 0; i < predictors->n_spaces; i++) {
        tl_predictor_unref(predictors->spaces[i].predictor);
        tl_optimizer_unref(predictors->spaces[i].optimizer);
    }
    for (int k = 0; k < N_ORIGINS; k++) {
        tl_mem_free(predictors->dirs[k]);
    }
    (void)pthread_mutex_destroy(&predictors->lock);
    (void)pthread_mutex_destroy(&predictors->loading);
    tl_mem_free(predictors);
}

/* ---- model files --------------------------------------------------------------------- */

static void path_of(
    const tl_predictors *predictors,
    origin_kind origin,
    const char *space,
    char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, "%s/%s.tlm", predictors->dirs[origin], space);
}

static file_mark look_at(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return (file_mark){0};
    }
    return (file_mark){
        .is_there = true,
        .bytes = (int64_t)status.st_size,
        .modified_ns =
            (int64_t)status.st_mtim.tv_sec * TL_NS_PER_S + (int64_t)status.st_mtim.tv_nsec,
        .inode = (uint64_t)status.st_ino};
}

static bool is_same_file(const file_mark *a, const file_mark *b)
{
    return a->is_there == b->is_there && a->bytes == b->bytes &&
           a->modified_ns == b->modified_ns && a->inode == b->inode;
}

/* The features decide how many weights a source has: they are made first, without a model. */
static tl_err read_model(
    const tl_space *space, const char *path, int n_source_weights, tl_model **out_model)
{
    char *data = NULL;
    size_t len = 0;
    TL_TRY(tl_file_read(path, TL_MODEL_MAX_BYTES, &data, &len));
    tl_err err = tl_model_unpack(space, n_source_weights, data, len, path, out_model);
    tl_mem_free(data);
    return err;
}

static void set_complaint(tl_predictors *predictors, space_entry *entry, const char *text)
{
    (void)pthread_mutex_lock(&predictors->lock);
    (void)snprintf(entry->complaint, sizeof entry->complaint, "%s", text);
    (void)pthread_mutex_unlock(&predictors->lock);
}

static void complain(tl_predictors *predictors, space_entry *entry)
{
    set_complaint(predictors, entry, tl_err_detail());
    tl_log(
        TL_LOG_WARN, "model of %s: %s; the previous one stays", entry->name, entry->complaint);
}

/*
 * What a model holds of an optimizer, NULL where it holds none. One that is damaged is done
 * without; memory may be there the next time.
 */
static tl_err read_optimizer(
    const tl_space *space, const tl_model *model, tl_optimizer **out_optimizer)
{
    if (model == NULL || model->optimizer.len == 0) {
        return TL_OK;
    }
    tl_err err =
        tl_optimizer_unpack(space, model->optimizer.data, model->optimizer.len, out_optimizer);
    if (err == TL_OK || err == TL_ENOMEM) {
        return err;
    }
    tl_log(TL_LOG_WARN, "optimizer of %s: %s", tl_space_name(space), tl_err_detail());
    return TL_OK;
}

/* Takes fresh, also on failure. */
static tl_err put_to_use(
    tl_predictors *predictors,
    space_entry *entry,
    const tl_space *space,
    tl_predictor *fresh,
    origin_kind origin)
{
    tl_optimizer *optimizer = NULL;
    tl_err err = read_optimizer(space, tl_predictor_model(fresh), &optimizer);
    if (err != TL_OK) {
        tl_predictor_unref(fresh);
        return err;
    }
    (void)pthread_mutex_lock(&predictors->lock);
    tl_predictor *former = entry->predictor;
    tl_optimizer *former_optimizer = entry->optimizer;
    entry->optimizer = optimizer;
    entry->predictor = fresh;
    entry->origin = origin;
    (void)pthread_mutex_unlock(&predictors->lock);
    tl_predictor_unref(former);
    tl_optimizer_unref(former_optimizer);
    return TL_OK;
}

/* Without any model, so that there is always a predictor. */
static tl_err start_bare(tl_predictors *predictors, space_entry *entry, const tl_space *space)
{
    tl_predictor *bare = NULL;
    TL_TRY(tl_predictor_new(space, NULL, &bare));
    return put_to_use(predictors, entry, space, bare, N_ORIGINS);
}

static tl_err use_file(
    tl_predictors *predictors,
    space_entry *entry,
    const tl_space *space,
    const char *path,
    origin_kind origin)
{
    int n_weights = tl_features_n_source(tl_predictor_features(entry->predictor));
    tl_model *model = NULL;
    tl_predictor *fresh = NULL;
    TL_TRY(read_model(space, path, n_weights, &model));
    TL_TRY(tl_predictor_new(space, model, &fresh));
    TL_TRY(put_to_use(predictors, entry, space, fresh, origin));
    tl_log(
        TL_LOG_INFO, "model of %s: %s (%s)", entry->name,
        tl_predictor_model(entry->predictor)->name, path);
    return TL_OK;
}

/* Whether the file itself is to blame, so that it fails again until it is another one. */
static bool is_of_file(tl_err err)
{
    return err == TL_EDAMAGED || err == TL_EVERSION || err == TL_ESTATE || err == TL_ELIMIT;
}

/* Looks at all files; whether the one in use is as it was when it was read. */
static bool look_at_all(const tl_predictors *predictors, space_entry *entry)
{
    bool is_kept = false;
    for (int k = 0; k < N_ORIGINS; k++) {
        char path[PATH_BYTES];
        path_of(predictors, (origin_kind)k, entry->name, path);
        file_mark now = look_at(path);
        is_kept = is_kept || (entry->origin == (origin_kind)k && now.is_there &&
                              is_same_file(&now, &entry->marks[k]));
        entry->marks[k] = now;
    }
    return is_kept;
}

/*
 * Tries the files from the best origin on; the first that can be read is used. One that cannot
 * be read now, as there is no memory or the disk fails, is no damaged one: it is looked at again.
 */
static tl_err reload(tl_predictors *predictors, space_entry *entry, const tl_space *space)
{
    set_complaint(predictors, entry, "");
    bool is_kept = look_at_all(predictors, entry);
    for (int k = 0; k < N_ORIGINS; k++) {
        char path[PATH_BYTES];
        path_of(predictors, (origin_kind)k, entry->name, path);
        if (!entry->marks[k].is_there) {
            continue;
        }
        if (is_kept && entry->origin == (origin_kind)k) {
            return TL_OK;
        }
        tl_err err = use_file(predictors, entry, space, path, (origin_kind)k);
        if (err == TL_OK) {
            return TL_OK;
        }
        if (!is_of_file(err)) {
            entry->marks[k] = (file_mark){0};
        }
        if (err == TL_ENOMEM) {
            return err;
        }
        complain(predictors, entry);
        if (entry->origin <= (origin_kind)k) {
            return TL_OK; /* the one in use came from here: it stays */
        }
    }
    return entry->origin == N_ORIGINS ? TL_OK : start_bare(predictors, entry, space);
}

static bool has_changed(tl_predictors *predictors, const space_entry *entry)
{
    for (int k = 0; k < N_ORIGINS; k++) {
        char path[PATH_BYTES];
        path_of(predictors, (origin_kind)k, entry->name, path);
        file_mark now = look_at(path);
        if (!is_same_file(&now, &entry->marks[k])) {
            return true;
        }
    }
    return false;
}

/* ---- the space's predictor ----------------------------------------------------------------- */

static space_entry *find_entry(tl_predictors *predictors, const char *name)
{
    for (int i = 0; i < predictors->n_spaces; i++) {
        if (strcmp(predictors->spaces[i].name, name) == 0) {
            return &predictors->spaces[i];
        }
    }
    return NULL;
}

static bool is_of(const space_entry *entry, const tl_space *space)
{
    return entry != NULL && strcmp(entry->digest, tl_space_digest(space)) == 0;
}

static void remove_entry(tl_predictors *predictors, space_entry *entry)
{
    (void)pthread_mutex_lock(&predictors->lock);
    space_entry former = *entry;
    *entry = predictors->spaces[--predictors->n_spaces];
    (void)pthread_mutex_unlock(&predictors->lock);
    tl_predictor_unref(former.predictor);
    tl_optimizer_unref(former.optimizer);
}

/* Nobody sees the new one before its model was read. */
static tl_err add_entry(
    tl_predictors *predictors, const tl_space *space, space_entry **out_entry)
{
    if (predictors->n_spaces == MAX_SPACES) {
        return tl_fail(TL_ELIMIT, "more than %d spaces in use", (int)MAX_SPACES);
    }
    space_entry *entry = &predictors->spaces[predictors->n_spaces];
    *entry = (space_entry){.origin = N_ORIGINS, .looked_ns = tl_clock_ns()};
    (void)snprintf(entry->name, sizeof entry->name, "%s", tl_space_name(space));
    (void)snprintf(entry->digest, sizeof entry->digest, "%s", tl_space_digest(space));
    tl_err err = start_bare(predictors, entry, space);
    if (err == TL_OK) {
        err = reload(predictors, entry, space);
    }
    if (err != TL_OK) {
        tl_predictor_unref(entry->predictor);
        tl_optimizer_unref(entry->optimizer);
        return err;
    }
    (void)pthread_mutex_lock(&predictors->lock);
    predictors->n_spaces++;
    (void)pthread_mutex_unlock(&predictors->lock);
    *out_entry = entry;
    return TL_OK;
}

static bool is_due(const space_entry *entry)
{
    return tl_clock_ns() - entry->looked_ns > TL_NS_PER_S;
}

static tl_err look_again(
    tl_predictors *predictors, const tl_space *space, bool is_forced, space_entry **out_entry)
{
    space_entry *entry = find_entry(predictors, tl_space_name(space));
    if (entry != NULL && !is_of(entry, space)) {
        remove_entry(predictors, entry);
        entry = NULL;
    }
    if (entry == NULL) {
        return add_entry(predictors, space, out_entry);
    }
    if (is_forced || is_due(entry)) {
        (void)pthread_mutex_lock(&predictors->lock);
        entry->looked_ns = tl_clock_ns();
        (void)pthread_mutex_unlock(&predictors->lock);
        if (is_forced || has_changed(predictors, entry)) {
            TL_TRY(reload(predictors, entry, space));
        }
    }
    *out_entry = entry;
    return TL_OK;
}

/*
 * The entry, up to date with the files as of at most a second ago. Loading is held. Others wait
 * for what is read, and a file that was not read is complained of: no call's watch ends it.
 */
static tl_err refresh(
    tl_predictors *predictors, const tl_space *space, bool is_forced, space_entry **out_entry)
{
    tl_watch former = tl_watch_set((tl_watch){0});
    tl_err err = look_again(predictors, space, is_forced, out_entry);
    (void)tl_watch_set(former);
    return err;
}

/* What is in use, where nobody has to look at files for it; is_any: or should, but need not. */
static bool find_ready(
    tl_predictors *predictors,
    const tl_space *space,
    bool is_any,
    tl_text *complaint,
    tl_predictor **out_predictor)
{
    (void)pthread_mutex_lock(&predictors->lock);
    const space_entry *entry = find_entry(predictors, tl_space_name(space));
    bool is_ready = is_of(entry, space) && (is_any || !is_due(entry));
    if (is_ready) {
        *out_predictor = tl_predictor_ref(entry->predictor);
        if (complaint != NULL && entry->complaint[0] != '\0') {
            tl_text_addf(complaint, "%s", entry->complaint);
        }
    }
    (void)pthread_mutex_unlock(&predictors->lock);
    return is_ready;
}

tl_err tl_predictors_get(
    tl_predictors *predictors,
    const tl_space *space,
    tl_text *complaint,
    tl_predictor **out_predictor)
{
    space_entry *entry = NULL;
    if (find_ready(predictors, space, false, complaint, out_predictor)) {
        return TL_OK;
    }
    if (pthread_mutex_trylock(&predictors->loading) != 0) {
        /* somebody is at it: the one in use will do, if there is one */
        if (find_ready(predictors, space, true, complaint, out_predictor)) {
            return TL_OK;
        }
        (void)pthread_mutex_lock(&predictors->loading);
    }
    tl_err err = refresh(predictors, space, false, &entry);
    if (err == TL_OK) {
        TL_ASSERT(find_ready(predictors, space, true, complaint, out_predictor));
    }
    (void)pthread_mutex_unlock(&predictors->loading);
    return err;
}

bool tl_predictors_find(
    tl_predictors *predictors,
    const tl_space *space,
    tl_text *complaint,
    tl_predictor **out_predictor)
{
    return find_ready(predictors, space, false, complaint, out_predictor);
}

tl_optimizer *tl_predictors_optimizer(tl_predictors *predictors, const tl_predictor *predictor)
{
    tl_optimizer *optimizer = NULL;
    (void)pthread_mutex_lock(&predictors->lock);
    for (int i = 0; i < predictors->n_spaces; i++) {
        const space_entry *entry = &predictors->spaces[i];
        if (entry->predictor == predictor && entry->optimizer != NULL) {
            optimizer = tl_optimizer_ref(entry->optimizer);
        }
    }
    (void)pthread_mutex_unlock(&predictors->lock);
    return optimizer;
}

tl_err tl_predictors_store(
    tl_predictors *predictors, const tl_space *space, const tl_model *model)
{
    char path[PATH_BYTES];
    tl_bytes packed = {0};
    space_entry *entry = NULL;
    TL_TRY(tl_file_make_dirs(predictors->dirs[ORIGIN_TRAINED]));
    TL_TRY(tl_model_pack(model, &packed));
    path_of(predictors, ORIGIN_TRAINED, tl_space_name(space), path);
    tl_err err = tl_file_write(path, packed.data, packed.len);
    tl_mem_free(packed.data);
    if (err == TL_OK) {
        (void)pthread_mutex_lock(&predictors->loading);
        err = refresh(predictors, space, true, &entry);
        if (err == TL_OK && entry->complaint[0] != '\0') {
            err = tl_fail(TL_ESTATE, "%s", entry->complaint);
        }
        (void)pthread_mutex_unlock(&predictors->loading);
    }
    return err;
}

tl_err tl_predictors_origin(
    tl_predictors *predictors, const tl_space *space, tl_model_origin *out_origin)
{
    space_entry *entry = NULL;
    (void)pthread_mutex_lock(&predictors->loading);
    tl_err err = refresh(predictors, space, false, &entry);
    if (err == TL_OK) {
        *out_origin = (tl_model_origin){.kind = origin_names[entry->origin]};
        if (entry->origin < N_ORIGINS) {
            out_origin->file_bytes = entry->marks[entry->origin].bytes;
            char path[PATH_BYTES];
            path_of(predictors, entry->origin, entry->name, path);
            (void)snprintf(out_origin->path, sizeof out_origin->path, "%.511s", path);
        }
        memcpy(out_origin->complaint, entry->complaint, sizeof out_origin->complaint);
    }
    (void)pthread_mutex_unlock(&predictors->loading);
    return err;
}

static tl_model_use use_of(const space_entry *entry)
{
    const tl_model *model = tl_predictor_model(entry->predictor);
    tl_model_use use = {.origin = origin_names[entry->origin]};
    (void)snprintf(use.space, sizeof use.space, "%s", entry->name);
    (void)snprintf(
        use.model, sizeof use.model, "%.*s", (int)sizeof use.model - 1,
        model != NULL ? model->name : "none");
    use.created_unix_s = model != NULL ? model->created_unix_s : 0;
    return use;
}

tl_err tl_predictors_in_use(
    tl_predictors *predictors, tl_model_use **out_uses, size_t *out_n, size_t *out_n_views)
{
    tl_model_use *uses = tl_mem_new(MAX_SPACES, sizeof *uses);
    if (uses == NULL) {
        return tl_fail(TL_ENOMEM, "the models in use");
    }
    (void)pthread_mutex_lock(&predictors->lock);
    for (int i = 0; i < predictors->n_spaces; i++) {
        uses[i] = use_of(&predictors->spaces[i]);
    }
    *out_n = (size_t)predictors->n_spaces;
    (void)pthread_mutex_unlock(&predictors->lock);
    *out_n_views = tl_views_n(predictors->views);
    *out_uses = uses;
    return TL_OK;
}

void tl_predictors_forget(tl_predictors *predictors, const char *space_name)
{
    char path[PATH_BYTES];
    (void)pthread_mutex_lock(&predictors->loading);
    space_entry *entry = find_entry(predictors, space_name);
    if (entry != NULL) {
        remove_entry(predictors, entry);
    }
    path_of(predictors, ORIGIN_TRAINED, space_name, path);
    (void)unlink(path);
    (void)pthread_mutex_unlock(&predictors->loading);
}

tl_err tl_predictors_view(
    tl_predictors *predictors,
    tl_predictor *predictor,
    const tl_profile *profile,
    tl_view **out_view)
{
    return tl_views_get(predictors->views, predictor, profile, out_view);
}

tl_err tl_predictors_find_view(
    tl_predictors *predictors,
    tl_predictor *predictor,
    const tl_profile *profile,
    tl_view **out_view)
{
    return tl_views_find(predictors->views, predictor, profile, out_view);
}
