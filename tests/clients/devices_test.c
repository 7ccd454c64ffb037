/* SPDX-License-Identifier: Apache-2.0 */

/* Ten thousand devices, listed by libtailor. */

#include "tests/daemon/serving.h"

#include "base/mem.h"
#include "clients/c/tailor.h"
#include "daemon/methods.h"
#include "daemon/table_reply.h"
#include "device-profiles/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_DEVICES = 10000
};

typedef struct fixture {
    tl_engine *engine;
    tl_serving serving;
    tailor_client *client;
} fixture;

/* methods NULL: those of a real daemon. */
static void start(fixture *f, const tl_method *const *methods, size_t n_methods)
{
    memset(f, 0, sizeof *f);
    f->engine = tl_test_engine_open(tl_test_new_dir());
    tl_server_options options = {
        .engine = f->engine, .n_workers = 2, .methods = methods, .n_methods = n_methods};
    tl_serving_start(&f->serving, options);
    tailor_options to = {.endpoint = f->serving.endpoint};
    assert_int_equal(tailor_open(&to, &f->client), TAILOR_OK);
}

static void stop(fixture *f)
{
    tailor_close(f->client);
    tl_serving_stop(&f->serving);
    tl_engine_close(f->engine);
}

static void register_devices(const fixture *f)
{
    tl_store_txn *txn = NULL;
    assert_ok(tl_store_begin(tl_engine_store(f->engine), &txn));
    for (int i = 0; i < N_DEVICES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "dev%05d", (i * 7919) % N_DEVICES);
        assert_ok(tl_registry_add_bare_in(tl_engine_registry(f->engine), txn, name, NULL));
    }
    assert_ok(tl_store_commit(&txn));
}

static tailor_table *page_of(
    const fixture *f, const char *prefix, const char *after, uint32_t limit)
{
    tailor_table *page = NULL;
    const tailor_device_page_options options = {prefix, after, limit};
    assert_int_equal(tailor_device_page(f->client, &options, &page), TAILOR_OK);
    return page;
}

static void a_list_is_joined_from_its_pages(void **state)
{
    (void)state;
    fixture f;
    tailor_table *all = NULL;
    size_t n_mine = 0;
    start(&f, NULL, 0);
    register_devices(&f);
    assert_int_equal(tailor_device_list(f.client, &all), TAILOR_OK);
    for (size_t i = 0; i < tailor_table_n_rows(all); i++) {
        const char *name = tailor_table_text(all, 0, i);
        assert_true(i == 0 || strcmp(tailor_table_text(all, 0, i - 1), name) < 0);
        n_mine += strncmp(name, "dev", 3) == 0;
    }
    assert_int_equal(n_mine, N_DEVICES);
    assert_string_equal(tailor_table_name(all, 0), "device");
    tailor_table_free(all);
    stop(&f);
}

static void a_page_is_what_was_asked_for(void **state)
{
    (void)state;
    fixture f;
    start(&f, NULL, 0);
    register_devices(&f);
    tailor_table *page = page_of(&f, "dev0123", NULL, 0);
    assert_int_equal(tailor_table_n_rows(page), 10);
    tailor_table_free(page);
    page = page_of(&f, "dev", "dev00041", 3);
    assert_int_equal(tailor_table_n_rows(page), 3);
    assert_string_equal(tailor_table_text(page, 0, 0), "dev00042");
    tailor_table_free(page);
    page = page_of(&f, "dev", "dev09999", 3);
    assert_int_equal(tailor_table_n_rows(page), 0);
    tailor_table_free(page);
    page = NULL;
    tailor_device_page_options options = {.limit = 65537};
    assert_int_equal(tailor_device_page(f.client, &options, &page), TAILOR_EINVAL);
    assert_non_null(strstr(tailor_err_detail(), "at most 65536"));
    char long_name[1000];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    options = (tailor_device_page_options){.after = long_name};
    assert_int_equal(tailor_device_page(f.client, &options, &page), TAILOR_EINVAL);
    assert_null(page);
    stop(&f);
}

/* A daemon that was built before there were pages: all devices, whatever is asked for. */
static tl_err list_everything(
    tl_call *call, const ProtobufCMessage *request, ProtobufCMessage *reply)
{
    enum {
        N_ROWS = 8192 /* as many as a page of the client has */
    };
    static char names[N_ROWS][16];
    const char *texts[N_ROWS];
    (void)call;
    (void)request;
    for (int i = 0; i < N_ROWS; i++) {
        (void)snprintf(names[i], sizeof names[i], "dev%05d", i);
        texts[i] = names[i];
    }
    tl_table_reply_init((Tailor__V1__Table *)reply, N_ROWS);
    return tl_table_reply_texts((Tailor__V1__Table *)reply, "device", texts);
}

static const tl_method old_list = {
    .name = "device.list",
    .summary = "All at once",
    .request = &tailor__v1__empty__descriptor,
    .reply = &tailor__v1__table__descriptor,
    .run = list_everything,
    .lane = TL_LANE_WORK,
};

static const tl_method *const old_methods[] = {&old_list};

static void a_daemon_without_pages_is_asked_no_more_than_it_knows(void **state)
{
    (void)state;
    fixture f;
    tailor_table *all = NULL;
    start(&f, old_methods, 1);
    assert_int_equal(tailor_device_list(f.client, &all), TAILOR_OK);
    assert_int_equal(tailor_table_n_rows(all), 8192);
    tailor_table_free(all);
    stop(&f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_list_is_joined_from_its_pages),
        TEST(a_page_is_what_was_asked_for),
        TEST(a_daemon_without_pages_is_asked_no_more_than_it_knows),
    };
    return cmocka_run_group_tests_name("clients/devices", tests, NULL, NULL);
}
