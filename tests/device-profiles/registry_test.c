/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "device-profiles/profile_yaml.h"
#include "device-profiles/registry.h"
#include "tests/device-profiles/sample.h"
#include "tests/support/damage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    char catalogue[600];
    const char *data;
    tl_store *store;
    tl_registry *registry;
} fixture;

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[700];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static void open_both(fixture *f)
{
    assert_ok(tl_store_open(f->data, 64, &f->store));
    assert_ok(tl_registry_open(f->store, f->catalogue, &f->registry));
}

static void close_both(fixture *f)
{
    tl_registry_close(f->registry);
    tl_store_close(f->store);
    f->registry = NULL;
    f->store = NULL;
}

/* Two shipped devices, beta and delta. */
static fixture make(void)
{
    fixture f = {0};
    (void)snprintf(f.catalogue, sizeof f.catalogue, "%s", tl_test_new_dir());
    f.data = tl_test_new_dir();
    write_file(f.catalogue, "beta.yaml", "name: beta\nclass: cpu\ncores: 4\n");
    write_file(f.catalogue, "delta.yaml", "name: delta\nclass: gpu\n");
    write_file(f.catalogue, "notes.txt", "not a profile");
    open_both(&f);
    return f;
}

static tl_profile device(const char *name, int cores)
{
    tl_profile profile;
    assert_ok(tl_profile_bare(name, &profile));
    profile.cores = cores;
    return profile;
}

static int cores_of(const fixture *f, const char *name)
{
    tl_profile profile = {0};
    assert_ok(tl_registry_find(f->registry, name, &profile));
    assert_string_equal(profile.name, name);
    return profile.cores;
}

/* "name:s" for shipped, "name:r" for registered, in the order of the walk. */
static tl_err append_name(void *context, const tl_profile *profile, bool is_shipped)
{
    tl_text_addf(context, "%s:%s ", profile->name, is_shipped ? "s" : "r");
    return TL_OK;
}

static void assert_list(const fixture *f, const char *wanted)
{
    tl_text list = {0};
    tl_text_add(&list, "");
    assert_ok(tl_registry_each(f->registry, append_name, &list));
    assert_string_equal(wanted, list.data == NULL ? "" : list.data);
    tl_text_done(&list);
}

static void shipped_and_registered_devices_are_one_list_in_order_of_names(void **state)
{
    (void)state;
    fixture f = make();
    assert_list(&f, "beta:s delta:s ");
    tl_profile alpha = device("alpha", 1);
    tl_profile gamma = device("gamma", 2);
    tl_profile zeta = device("zeta", 3);
    assert_ok(tl_registry_add(f.registry, &zeta));
    assert_ok(tl_registry_add(f.registry, &alpha));
    assert_ok(tl_registry_add(f.registry, &gamma));
    assert_list(&f, "alpha:r beta:s delta:s gamma:r zeta:r ");
    assert_int_equal(cores_of(&f, "gamma"), 2);
    assert_int_equal(cores_of(&f, "beta"), 4);
    close_both(&f);
}

static void a_registered_device_hides_the_shipped_one_until_it_is_removed(void **state)
{
    (void)state;
    fixture f = make();
    tl_profile mine = device("beta", 64);
    assert_ok(tl_registry_add(f.registry, &mine));
    assert_int_equal(cores_of(&f, "beta"), 64);
    assert_list(&f, "beta:r delta:s ");
    assert_ok(tl_registry_remove(f.registry, "beta"));
    assert_int_equal(cores_of(&f, "beta"), 4);
    assert_err(TL_ESTATE, tl_registry_remove(f.registry, "beta"));
    assert_detail("beta is shipped");
    assert_err(TL_ENOTFOUND, tl_registry_remove(f.registry, "bet"));
    assert_detail("nearest is \"beta\"");
    close_both(&f);
}

static void what_was_acknowledged_is_there_after_a_reopen(void **state)
{
    (void)state;
    fixture f = make();
    uint64_t seed = tl_test_seed();
    tl_profile before = sample_profile(&seed);
    tl_profile after = {0};
    assert_ok(tl_registry_add(f.registry, &before));
    close_both(&f);
    open_both(&f);
    assert_ok(tl_registry_find(f.registry, before.name, &after));
    assert_memory_equal(&before, &after, sizeof before);
    close_both(&f);
}

static void a_bare_registration_never_replaces_what_is_known(void **state)
{
    (void)state;
    fixture f = make();
    tl_profile known = device("known", 7);
    bool is_new = true;
    assert_ok(tl_registry_add(f.registry, &known));
    assert_ok(tl_registry_add_bare(f.registry, "known", &is_new));
    assert_false(is_new);
    assert_ok(tl_registry_add_bare(f.registry, "beta", &is_new));
    assert_false(is_new);
    assert_ok(tl_registry_add_bare(f.registry, "fresh", &is_new));
    assert_true(is_new);
    assert_int_equal(cores_of(&f, "known"), 7);
    assert_int_equal(cores_of(&f, "beta"), 4);
    assert_list(&f, "beta:s delta:s fresh:r known:r ");
    assert_err(TL_EINVAL, tl_registry_add_bare(f.registry, "no name", NULL));
    close_both(&f);
}

static void an_aborted_change_leaves_no_device(void **state)
{
    (void)state;
    fixture f = make();
    tl_store_txn *txn = NULL;
    bool is_new = false;
    assert_ok(tl_store_begin(f.store, &txn));
    assert_ok(tl_registry_add_bare_in(f.registry, txn, "ghost", &is_new));
    assert_true(is_new);
    assert_ok(tl_registry_add_bare_in(f.registry, txn, "ghost", &is_new));
    assert_false(is_new);
    tl_store_abort(&txn);
    assert_list(&f, "beta:s delta:s ");
    close_both(&f);
}

static void an_unknown_device_names_the_nearest(void **state)
{
    (void)state;
    fixture f = make();
    tl_profile profile = {.cores = 77};
    tl_profile mine = device("raspberrypi4", 4);
    assert_ok(tl_registry_add(f.registry, &mine));
    assert_err(TL_ENOTFOUND, tl_registry_find(f.registry, "raspberrypi5", &profile));
    assert_detail("no device \"raspberrypi5\", nearest is \"raspberrypi4\"");
    assert_err(TL_ENOTFOUND, tl_registry_find(f.registry, "deltaa", &profile));
    assert_detail("nearest is \"delta\"");
    assert_err(
        TL_ENOTFOUND, tl_registry_find(f.registry, "qqqqqqqqqqqqqqqqqqqqqqqqqqqq", &profile));
    assert_err(TL_EINVAL, tl_registry_find(f.registry, "", &profile));
    assert_int_equal(profile.cores, 77);
    close_both(&f);
}

static void a_damaged_record_is_said_and_harms_no_other(void **state)
{
    (void)state;
    fixture f = make();
    tl_store_txn *txn = NULL;
    tl_profile profile = {0};
    assert_ok(tl_store_begin(f.store, &txn));
    assert_ok(tl_store_put(txn, TL_DB_DEVICES, "bad", 3, "\xff\xff", 2));
    assert_ok(tl_store_commit(&txn));
    assert_err(TL_EDAMAGED, tl_registry_find(f.registry, "bad", &profile));
    assert_detail("device bad");
    assert_int_equal(cores_of(&f, "beta"), 4);
    assert_ok(tl_registry_remove(f.registry, "bad"));
    close_both(&f);
}

/* "name:d" for a damaged one. */
static tl_err append_damaged(void *context, const char *name)
{
    tl_text_addf(context, "%s:d ", name);
    return TL_OK;
}

static void a_damaged_profile_is_named_and_the_others_are_listed_and_found(void **state)
{
    (void)state;
    fixture f = make();
    static const char *const names[] = {"alpha", "delta", "raspberrypi4", "raspberrypi6"};
    for (size_t i = 0; i < TL_COUNT(names); i++) {
        tl_profile profile = device(names[i], 4);
        assert_ok(tl_registry_add(f.registry, &profile));
    }
    close_both(&f);
    tl_test_damage(f.data, "delta", 5, 20);        /* in the value */
    tl_test_damage(f.data, "raspberrypi4", 12, 3); /* in the head */
    open_both(&f);
    tl_text list = {0};
    tl_registry_range range = {.on_damaged = append_damaged};
    assert_ok(tl_registry_each_in(f.registry, &range, append_name, &list));
    assert_string_equal(list.data, "alpha:r beta:s delta:d raspberrypi4:d raspberrypi6:r ");
    range.max = 2;
    tl_text_clear(&list);
    assert_ok(tl_registry_each_in(f.registry, &range, append_name, &list));
    assert_string_equal(list.data, "alpha:r beta:s ");
    range.after = "beta";
    tl_text_clear(&list);
    assert_ok(tl_registry_each_in(f.registry, &range, append_name, &list));
    assert_string_equal(list.data, "delta:d raspberrypi4:d raspberrypi6:r ");
    assert_err(TL_EDAMAGED, tl_registry_each(f.registry, append_name, &list));
    assert_detail("delta");
    tl_text_done(&list);
    tl_profile profile = {0};
    assert_err(TL_EDAMAGED, tl_registry_find(f.registry, "delta", &profile));
    assert_err(TL_ENOTFOUND, tl_registry_find(f.registry, "delt", &profile));
    assert_detail("nearest is \"delta\"");
    assert_err(TL_ENOTFOUND, tl_registry_find(f.registry, "raspberrypi7", &profile));
    assert_detail("nearest is \"raspberrypi6\"");
    assert_err(TL_ENOTFOUND, tl_registry_remove(f.registry, "raspberrypi"));
    assert_ok(tl_registry_remove(f.registry, "raspberrypi4"));
    profile = device("delta", 9);
    assert_ok(tl_registry_add(f.registry, &profile));
    assert_list(&f, "alpha:r beta:s delta:r raspberrypi6:r ");
    close_both(&f);
}

static void a_bad_catalogue_does_not_open(void **state)
{
    (void)state;
    fixture f = make();
    tl_registry *registry = NULL;
    write_file(f.catalogue, "twin.yaml", "name: beta\n");
    assert_err(TL_EINVAL, tl_registry_open(f.store, f.catalogue, &registry));
    assert_detail("two files name the device \"beta\"");
    write_file(f.catalogue, "twin.yaml", "name: twin\ncoers: 4\n");
    assert_err(TL_EINVAL, tl_registry_open(f.store, f.catalogue, &registry));
    assert_detail("twin.yaml line 2: unknown key \"coers\"");
    assert_int_not_equal(TL_OK, tl_registry_open(f.store, "/nowhere/at/all", &registry));
    assert_null(registry);
    assert_ok(tl_registry_open(f.store, NULL, &registry));
    tl_registry_close(registry);
    close_both(&f);
}

static void many_devices_are_found_without_being_held(void **state)
{
    (void)state;
    enum {
        N_DEVICES = 20000
    };
    fixture f = make();
    tl_store_txn *txn = NULL;
    long live = tl_mem_live();
    assert_ok(tl_store_begin(f.store, &txn));
    for (int i = 0; i < N_DEVICES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "dev%05d", i);
        tl_profile profile = device(name, i % 100 + 1);
        assert_ok(tl_registry_add_in(f.registry, txn, &profile));
    }
    assert_ok(tl_store_commit(&txn));
    assert_int_equal(cores_of(&f, "dev12345"), 46);
    assert_int_equal(tl_mem_live(), live);
    tl_profile profile = {0};
    assert_err(TL_ENOTFOUND, tl_registry_find(f.registry, "dev999999", &profile));
    close_both(&f);
}

static void assert_range(const fixture *f, tl_registry_range range, const char *wanted)
{
    tl_text list = {0};
    tl_text_add(&list, "");
    assert_ok(tl_registry_each_in(f->registry, &range, append_name, &list));
    assert_string_equal(wanted, list.data == NULL ? "" : list.data);
    tl_text_done(&list);
}

static void a_range_shows_what_the_whole_walk_shows_there(void **state)
{
    (void)state;
    fixture f = make();
    const char *names[] = {"alpha", "beta", "b", "bet", "betas", "gamma"};
    for (size_t i = 0; i < TL_COUNT(names); i++) {
        tl_profile profile = device(names[i], 1);
        assert_ok(tl_registry_add(f.registry, &profile));
    }
    const char *all = "alpha:r b:r bet:r beta:r betas:r delta:s gamma:r ";
    assert_list(&f, all);
    assert_range(&f, (tl_registry_range){.prefix = "bet"}, "bet:r beta:r betas:r ");
    assert_range(&f, (tl_registry_range){.prefix = "d"}, "delta:s ");
    assert_range(&f, (tl_registry_range){.prefix = "x"}, "");
    assert_range(&f, (tl_registry_range){.after = "beta"}, "betas:r delta:s gamma:r ");
    assert_range(&f, (tl_registry_range){.after = "betaq"}, "betas:r delta:s gamma:r ");
    assert_range(&f, (tl_registry_range){.after = "zz"}, "");
    assert_range(
        &f, (tl_registry_range){.prefix = "bet", .after = "a"}, "bet:r beta:r betas:r ");
    assert_range(&f, (tl_registry_range){.prefix = "bet", .after = "bet"}, "beta:r betas:r ");
    assert_range(&f, (tl_registry_range){.prefix = "bet", .after = "c"}, "");
    assert_range(&f, (tl_registry_range){.max = 2}, "alpha:r b:r ");
    assert_range(&f, (tl_registry_range){.after = "betas", .max = 1}, "delta:s ");
    assert_int_equal(tl_registry_n_shipped(f.registry), 2);
    close_both(&f);
}

typedef struct pages {
    char last[TL_NAME_MAX_BYTES + 1];
    size_t n;
} pages;

static tl_err count_in_order(void *context, const tl_profile *profile, bool is_shipped)
{
    pages *p = context;
    (void)is_shipped;
    assert_true(strcmp(profile->name, p->last) > 0);
    memcpy(p->last, profile->name, sizeof p->last);
    p->n++;
    return TL_OK;
}

static tl_err refuse_third(void *context, const tl_profile *profile, bool is_shipped)
{
    size_t *n = context;
    (void)profile;
    (void)is_shipped;
    return ++*n == 3 ? TL_ECANCELLED : TL_OK;
}

static void ten_thousand_devices_are_walked_page_by_page_and_the_nearest_is_found(void **state)
{
    (void)state;
    enum {
        N_DEVICES = 10000,
        PAGE = 777
    };
    fixture f = make();
    tl_store_txn *txn = NULL;
    assert_ok(tl_store_begin(f.store, &txn));
    for (unsigned i = 0; i < N_DEVICES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "unit-%08x", i * 2654435761U);
        tl_profile profile = device(name, 1);
        assert_ok(tl_registry_add_in(f.registry, txn, &profile));
    }
    assert_ok(tl_store_commit(&txn));
    pages p = {.last = ""};
    size_t n_before = 0;
    do {
        char after[TL_NAME_MAX_BYTES + 1];
        memcpy(after, p.last, sizeof after);
        n_before = p.n;
        tl_registry_range range = {.after = after, .max = PAGE};
        assert_ok(tl_registry_each_in(f.registry, &range, count_in_order, &p));
        assert_true(p.n - n_before <= PAGE);
    } while (p.n - n_before == PAGE);
    assert_int_equal(p.n, N_DEVICES + 2);

    size_t n_seen = 0;
    assert_err(
        TL_ECANCELLED,
        tl_registry_each_in(f.registry, &(tl_registry_range){0}, refuse_third, &n_seen));

    char wanted[32];
    tl_profile profile = {0};
    (void)snprintf(wanted, sizeof wanted, "unit-%08x", 7777U * 2654435761U);
    wanted[11] = 'z'; /* a letter but one is wrong, among names that all look alike */
    assert_err(TL_ENOTFOUND, tl_registry_find(f.registry, wanted, &profile));
    (void)snprintf(wanted, sizeof wanted, "\"unit-%08x\"", 7777U * 2654435761U);
    assert_detail(wanted);
    close_both(&f);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    fixture f = make();
    tl_profile mine = device("mine", 3);
    int n_failures = 0;
    tl_err err = TL_ENOMEM;
    for (long k = 1; err != TL_OK; k++) {
        tl_registry *registry = NULL;
        tl_profile found = {0};
        long live = tl_mem_live();
        tl_mem_fail_at(k);
        if ((err = tl_registry_open(f.store, f.catalogue, &registry)) == TL_OK &&
            (err = tl_registry_add(registry, &mine)) == TL_OK) {
            err = tl_registry_find(registry, "mine", &found);
        }
        tl_mem_fail_at(0);
        tl_registry_close(registry);
        assert_int_equal(tl_mem_live(), live);
        assert_true(err == TL_OK || err == TL_ENOMEM);
        n_failures += err != TL_OK;
    }
    assert_true(n_failures >= 10);
    assert_int_equal(cores_of(&f, "mine"), 3);
    close_both(&f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shipped_and_registered_devices_are_one_list_in_order_of_names),
        TEST(a_registered_device_hides_the_shipped_one_until_it_is_removed),
        TEST(what_was_acknowledged_is_there_after_a_reopen),
        TEST(a_bare_registration_never_replaces_what_is_known),
        TEST(an_aborted_change_leaves_no_device),
        TEST(an_unknown_device_names_the_nearest),
        TEST(a_damaged_record_is_said_and_harms_no_other),
        TEST(a_damaged_profile_is_named_and_the_others_are_listed_and_found),
        TEST(a_bad_catalogue_does_not_open),
        TEST(many_devices_are_found_without_being_held),
        TEST(a_range_shows_what_the_whole_walk_shows_there),
        TEST(ten_thousand_devices_are_walked_page_by_page_and_the_nearest_is_found),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("device-profiles/registry", tests, NULL, NULL);
}
