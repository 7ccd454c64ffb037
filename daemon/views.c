/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/views.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/watch.h"
#include "measurements/columns.h"

#include <pthread.h>
#include <string.h>

typedef struct view_entry {
    tl_view *view;
    tl_profile profile; /* compared as bytes; its name is the device's */
    uint64_t revision;  /* of the space, when the measurements were last looked at */
    uint8_t measured[TL_DIGEST_BYTES]; /* of the device's own measurements */
    int64_t used_ns;
} view_entry;

struct tl_views {
    tl_store *store;
    pthread_mutex_t lock; /* of all below */
    view_entry entries[TL_VIEWS_MAX];
    int n;
};

tl_err tl_views_new(tl_store *store, tl_views **out_views)
{
    tl_views *views = tl_mem_new(1, sizeof *views);
    if (views == NULL) {
        return tl_fail(TL_ENOMEM, "views of devices");
    }
    (void)pthread_mutex_init(&views->lock, NULL);
    views->store = store;
    *out_views = views;
    return TL_OK;
}

void tl_views_free(tl_views *views)
{
    if (views == NULL) {
        return;
    }
    for (int i = 0; i < views->n; i++) {
        tl_view_unref(views->entries[i].view);
    }
    (void)pthread_mutex_destroy(&views->lock);
    tl_mem_free(views);
}

size_t tl_views_n(tl_views *views)
{
    (void)pthread_mutex_lock(&views->lock);
    size_t n = (size_t)views->n;
    (void)pthread_mutex_unlock(&views->lock);
    return n;
}

/* ---- what is measured ------------------------------------------------------------------- */

/* The device's own measurements. */
typedef struct measured {
    tl_column columns[TL_N_COSTS];
    uint8_t digest[TL_DIGEST_BYTES];
} measured;

static void measured_done(measured *m)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_column_done(&m->columns[c]);
    }
}

static tl_err measured_init(
    tl_store *store, const tl_space *space, const char *device, measured *out_measured)
{
    measured m = {.columns = {{0}}};
    tl_digest digest;
    tl_digest_init(&digest);
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_column *column = &m.columns[c];
        tl_err err = tl_columns_get(store, space, (tl_metric)c, device, column);
        bool is_lost = tl_columns_is_lost(store, tl_space_name(space), (tl_metric)c, device);
        if (err != TL_OK && err != TL_ENOTFOUND && !is_lost) {
            measured_done(&m);
            return err;
        }
        size_t n = (size_t)column->n;
        tl_digest_add(&digest, &n, sizeof n);
        if (n > 0) {
            tl_digest_add(
                &digest, column->designs,
                n * (size_t)column->n_slots * sizeof *column->designs);
            tl_digest_add(&digest, column->values, n * sizeof *column->values);
        }
    }
    tl_digest_end(&digest, m.digest);
    *out_measured = m;
    return TL_OK;
}

/* ---- what is kept -------------------------------------------------------------------------- */

static view_entry *find_entry(
    tl_views *views, const tl_predictor *predictor, const tl_profile *profile)
{
    for (int i = 0; i < views->n; i++) {
        view_entry *entry = &views->entries[i];
        if (tl_view_predictor(entry->view) == predictor &&
            strcmp(entry->profile.name, profile->name) == 0) {
            return entry;
        }
    }
    return NULL;
}

/*
 * A reference to the view that is kept for this state of things, or NULL. m NULL: the
 * revision of the space decides, else the measurements of the device.
 */
static tl_view *find_current(
    tl_views *views,
    const tl_predictor *predictor,
    const tl_profile *profile,
    uint64_t revision,
    const measured *m)
{
    tl_view *view = NULL;
    (void)pthread_mutex_lock(&views->lock);
    view_entry *entry = find_entry(views, predictor, profile);
    /* Padding that differs costs a view that is made again, no more. */
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
    bool is_same = entry != NULL && memcmp(&entry->profile, profile, sizeof *profile) == 0;
    if (is_same && m != NULL && memcmp(entry->measured, m->digest, sizeof m->digest) == 0) {
        entry->revision = revision;
    }
    if (is_same && entry->revision == revision) {
        entry->used_ns = tl_clock_ns();
        view = tl_view_ref(entry->view);
    }
    (void)pthread_mutex_unlock(&views->lock);
    return view;
}

/* The device's place, a free one, or that of the view which was not used for longest. */
static view_entry *place_for(
    tl_views *views, const tl_predictor *predictor, const tl_profile *profile)
{
    view_entry *place = find_entry(views, predictor, profile);
    if (place == NULL && views->n < TL_VIEWS_MAX) {
        return &views->entries[views->n++];
    }
    if (place == NULL) {
        place = &views->entries[0];
        for (int i = 1; i < views->n; i++) {
            if (views->entries[i].used_ns < place->used_ns) {
                place = &views->entries[i];
            }
        }
    }
    return place;
}

static void keep(
    tl_views *views,
    const tl_profile *profile,
    uint64_t revision,
    const measured *m,
    tl_view *view)
{
    (void)pthread_mutex_lock(&views->lock);
    view_entry *place = place_for(views, tl_view_predictor(view), profile);
    tl_view *former = place->view;
    *place =
        (view_entry){.view = tl_view_ref(view), .revision = revision, .used_ns = tl_clock_ns()};
    /* memcpy keeps padding too: profiles are compared as bytes */
    memcpy(&place->profile, profile, sizeof *profile);
    memcpy(place->measured, m->digest, sizeof m->digest);
    (void)pthread_mutex_unlock(&views->lock);
    tl_view_unref(former);
}

/*
 * A tenth of a second or two. It is kept, so no call's watch ends it: one with less time than that
 * gets its answer when it asks again.
 */
static tl_err make_view(
    tl_predictor *predictor, const tl_profile *profile, const measured *m, tl_view **out_view)
{
    tl_view_data data = {.device = profile->name, .profile = profile};
    for (int c = 0; c < TL_N_COSTS; c++) {
        const tl_column *column = &m->columns[c];
        data.samples[c] =
            (tl_samples){.designs = column->designs, .values = column->values, .n = column->n};
    }
    TL_TRY(tl_watch_check());
    tl_watch former = tl_watch_set((tl_watch){0});
    tl_err err = tl_view_new(predictor, &data, out_view);
    (void)tl_watch_set(former);
    return err;
}

tl_err tl_views_get(
    tl_views *views, tl_predictor *predictor, const tl_profile *profile, tl_view **out_view)
{
    uint64_t revision = 0;
    measured m = {.columns = {{0}}};
    const tl_space *space = tl_predictor_space(predictor);
    TL_TRY(tl_columns_revision(views->store, tl_space_name(space), &revision));
    tl_view *view = find_current(views, predictor, profile, revision, NULL);
    if (view != NULL) {
        *out_view = view;
        return TL_OK;
    }
    TL_TRY(measured_init(views->store, space, profile->name, &m));
    tl_err err = TL_OK;
    view = find_current(views, predictor, profile, revision, &m);
    if (view == NULL && (err = make_view(predictor, profile, &m, &view)) == TL_OK) {
        keep(views, profile, revision, &m, view);
    }
    measured_done(&m);
    if (err == TL_OK) {
        *out_view = view;
    }
    return err;
}

tl_err tl_views_find(
    tl_views *views, tl_predictor *predictor, const tl_profile *profile, tl_view **out_view)
{
    uint64_t revision = 0;
    const char *space = tl_space_name(tl_predictor_space(predictor));
    TL_TRY(tl_columns_revision(views->store, space, &revision));
    *out_view = find_current(views, predictor, profile, revision, NULL);
    return TL_OK;
}
