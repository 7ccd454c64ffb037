/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DEVICE_PROFILES_REGISTRY_H
#define TL_DEVICE_PROFILES_REGISTRY_H

/*
 * The devices that can be asked about: those shipped in the catalogue (one YAML
 * file each, read only, held in memory) and those registered (in the store, one
 * record each, never all in memory, so a million are fine). A registered device
 * hides the shipped one of its name.
 *
 *     tl_registry *registry = NULL;
 *     TL_TRY(tl_registry_open(store, "share/device-profiles/catalogue", &registry));
 *     err = tl_registry_find(registry, "raspi4", &profile);
 *     ...
 *     tl_registry_close(registry);
 *
 * Any thread may call these; what a write acknowledged is durable.
 */

#include "base/store.h"
#include "device-profiles/profile.h"

typedef struct tl_registry tl_registry;

/*
 * Reads catalogue_dir's *.yaml (NULL: no catalogue); borrows store until closed.
 * Fails with TL_EINVAL when a file is no profile or two have the same name.
 */
TL_MUST_USE tl_err
tl_registry_open(tl_store *store, const char *catalogue_dir, tl_registry **out_registry);
void tl_registry_close(tl_registry *registry); /* NULL is fine */

/* TL_ENOTFOUND, naming the nearest known device, when there is none of this name. Where the store is
 * damaged a shipped device is found as it was shipped, and any other is TL_EDAMAGED. */
TL_MUST_USE tl_err
tl_registry_find(const tl_registry *registry, const char *name, tl_profile *out_profile);

/* Adds or replaces a registered device. TL_EINVAL when the profile is not valid. */
TL_MUST_USE tl_err tl_registry_add(tl_registry *registry, const tl_profile *profile);

/* The same as part of a larger change, which commits it or not. */
TL_MUST_USE tl_err
tl_registry_add_in(tl_registry *registry, tl_store_txn *txn, const tl_profile *profile);

/*
 * Registers a device of which nothing but the name is known; a known one,
 * shipped or registered, stays as it is and *out_is_new (NULL is fine) is false.
 */
TL_MUST_USE tl_err
tl_registry_add_bare(tl_registry *registry, const char *name, bool *out_is_new);
TL_MUST_USE tl_err tl_registry_add_bare_in(
    tl_registry *registry, tl_store_txn *txn, const char *name, bool *out_is_new);

/*
 * Removes a registered device; a shipped one of its name shows again. TL_ESTATE
 * for a device that is only shipped, TL_ENOTFOUND for one that is not known.
 */
TL_MUST_USE tl_err tl_registry_remove(tl_registry *registry, const char *name);
TL_MUST_USE tl_err
tl_registry_remove_in(tl_registry *registry, tl_store_txn *txn, const char *name);

/* Anything but TL_OK ends the walk and becomes its result. */
typedef tl_err tl_registry_visit_fn(void *context, const tl_profile *profile, bool is_shipped);

/*
 * Visits every device in byte order of its name, as one snapshot. visit must
 * neither wait nor write to the store (see tl_store_iterate()).
 */
TL_MUST_USE tl_err
tl_registry_each(const tl_registry *registry, tl_registry_visit_fn *visit, void *context);

/* Told the name of a registered device whose profile is damaged, or how a damaged part of the store
 * is called; the same context. */
typedef tl_err tl_registry_damaged_fn(void *context, const char *name);

/* Some of the devices, as tl_registry_each() would visit them. */
typedef struct tl_registry_range {
    const char *prefix;                 /* names that start with it; "" or NULL: any */
    const char *after;                  /* names behind it; "" or NULL: from the first on */
    size_t max;                         /* 0: all */
    tl_registry_damaged_fn *on_damaged; /* NULL: a damaged profile ends the walk */
} tl_registry_range;

/* The same for a range; takes time for what is visited, however many devices there are. */
TL_MUST_USE tl_err tl_registry_each_in(
    const tl_registry *registry,
    const tl_registry_range *range,
    tl_registry_visit_fn *visit,
    void *context);

bool tl_registry_is_shipped(const tl_registry *registry, const char *name);

/* Devices of the catalogue, hidden ones too; the registered ones are the entries of the store. */
size_t tl_registry_n_shipped(const tl_registry *registry);

#endif
