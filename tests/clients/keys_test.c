/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/daemon/serving.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "clients/c/tailor.h"
#include "daemon/keys.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    PATIENCE = 400,
    SHORT_MS = 300,
    STEP_NS = 25 * 1000 * 1000
};

/* A folder of keys with a daemon's pair. */
typedef struct folder {
    const char *dir;
    tl_key_file server;
} folder;

static void write_key(const char *dir, const char *name, const tl_key_file *key, bool is_secret)
{
    char path[512];
    tl_text text = {0};
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    tl_key_file_print(key, &text);
    if (is_secret) {
        assert_ok(tl_file_write_secret(path, text.data, text.len));
    } else {
        assert_ok(tl_file_write(path, text.data, text.len));
    }
    tl_text_done(&text);
}

static folder make_folder(void)
{
    folder f = {.dir = tl_test_new_dir()};
    assert_int_equal(tailor_key_pair(f.server.public_key, f.server.secret_key), TAILOR_OK);
    write_key(f.dir, "server.key", &f.server, true);
    return f;
}

static tl_key_file add_client(const folder *f, const char *name, const char *role)
{
    char file_name[64];
    tl_key_file key = {0};
    tl_key_file client = {0};
    assert_int_equal(tailor_key_pair(key.public_key, key.secret_key), TAILOR_OK);
    memcpy(key.server_key, f->server.public_key, sizeof key.server_key);
    memcpy(client.public_key, key.public_key, sizeof client.public_key);
    (void)snprintf(client.name, sizeof client.name, "%s", name);
    (void)snprintf(client.role, sizeof client.role, "%s", role);
    (void)snprintf(file_name, sizeof file_name, "%s.client", name);
    write_key(f->dir, file_name, &client, false);
    return key;
}

static void remove_client(const folder *f, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s.client", f->dir, name);
    assert_int_equal(unlink(path), 0);
}

/* ---- the folder -------------------------------------------------------------------------- */

static void clients_are_found_by_their_key(void **state)
{
    folder f = make_folder();
    tl_keys *keys = NULL;
    (void)state;
    tl_key_file alice = add_client(&f, "alice", "writer");
    tl_key_file bob = add_client(&f, "bob", "reader");
    assert_ok(tl_keys_open(f.dir, &keys));
    assert_int_equal(tl_keys_n_clients(keys), 2);
    assert_string_equal(tl_keys_secret(keys), f.server.secret_key);
    assert_string_equal(tl_keys_find(keys, alice.public_key)->name, "alice");
    assert_int_equal(tl_keys_find(keys, alice.public_key)->role, TL_ROLE_WRITER);
    assert_int_equal(tl_keys_find(keys, bob.public_key)->role, TL_ROLE_READER);
    assert_null(tl_keys_find(keys, f.server.public_key));
    assert_null(tl_keys_find(keys, ""));
    tl_keys_close(keys);
}

static void a_removed_client_is_gone_after_a_reload(void **state)
{
    folder f = make_folder();
    tl_keys *keys = NULL;
    (void)state;
    tl_key_file alice = add_client(&f, "alice", "writer");
    assert_ok(tl_keys_open(f.dir, &keys));
    remove_client(&f, "alice");
    assert_true(tl_keys_is_stale(keys));
    tl_keys_reload(keys);
    assert_null(tl_keys_find(keys, alice.public_key));
    tl_keys_close(keys);
}

static void one_key_under_two_names_is_refused(void **state)
{
    folder f = make_folder();
    tl_keys *keys = NULL;
    (void)state;
    tl_key_file alice = add_client(&f, "alice", "writer");
    tl_key_file twin = {.name = "twin", .role = "admin"};
    memcpy(twin.public_key, alice.public_key, sizeof twin.public_key);
    write_key(f.dir, "twin.client", &twin, false);
    assert_err(TL_EINVAL, tl_keys_open(f.dir, &keys));
    assert_detail("clients with one key");
}

/* As `cp alice.client bob.client` in the folder of a running daemon does. */
static void a_key_that_comes_to_stand_twice_locks_out_nobody_else(void **state)
{
    folder f = make_folder();
    tl_keys *keys = NULL;
    (void)state;
    tl_key_file alice = add_client(&f, "alice", "writer");
    tl_key_file bob = add_client(&f, "bob", "reader");
    assert_ok(tl_keys_open(f.dir, &keys));
    tl_key_file twin = {.name = "alice", .role = "writer"};
    memcpy(twin.public_key, alice.public_key, sizeof twin.public_key);
    write_key(f.dir, "copy.client", &twin, false);
    tl_keys_reload(keys);
    assert_int_equal(tl_keys_n_clients(keys), 1);
    assert_null(tl_keys_find(keys, alice.public_key));
    assert_string_equal(tl_keys_find(keys, bob.public_key)->name, "bob");
    remove_client(&f, "copy");
    tl_keys_reload(keys);
    assert_string_equal(tl_keys_find(keys, alice.public_key)->name, "alice");
    tl_keys_close(keys);
}

/* The folder changed long ago, so that its time tells of the next change. */
static void grow_old(const folder *f)
{
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(utimensat(AT_FDCWD, f->dir, times, 0), 0);
}

static void a_shortage_of_memory_locks_out_nobody(void **state)
{
    folder f = make_folder();
    tl_keys *keys = NULL;
    (void)state;
    tl_key_file alice = add_client(&f, "alice", "writer");
    grow_old(&f);
    assert_ok(tl_keys_open(f.dir, &keys));
    assert_false(tl_keys_is_stale(keys));
    long n_failures = -1;
    do {
        tl_mem_fail_at(++n_failures + 1);
        tl_keys_reload(keys);
        tl_mem_fail_at(0);
        assert_non_null(tl_keys_find(keys, alice.public_key));
    } while (tl_keys_is_stale(keys));
    assert_true(n_failures >= 5);
    tl_keys_close(keys);
}

static void a_shortage_of_descriptors_locks_out_nobody(void **state)
{
    folder f = make_folder();
    tl_keys *keys = NULL;
    struct rlimit before;
    (void)state;
    tl_key_file alice = add_client(&f, "alice", "writer");
    grow_old(&f);
    assert_ok(tl_keys_open(f.dir, &keys));
    assert_false(tl_keys_is_stale(keys));
    tl_key_file bob = add_client(&f, "bob", "writer");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    tl_keys_reload(keys);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_non_null(tl_keys_find(keys, alice.public_key));
    assert_true(tl_keys_is_stale(keys));
    tl_keys_reload(keys);
    assert_non_null(tl_keys_find(keys, bob.public_key));
    tl_keys_close(keys);
}

static void a_folder_that_others_may_write_is_refused(void **state)
{
    folder f = make_folder();
    tl_keys *keys = NULL;
    (void)state;
    assert_int_equal(chmod(f.dir, 0770), 0);
    assert_err(TL_EDENIED, tl_keys_open(f.dir, &keys));
    assert_int_equal(chmod(f.dir, 0700), 0);
    assert_ok(tl_keys_open(f.dir, &keys));
    assert_int_equal(chmod(f.dir, 0777), 0);
    (void)add_client(&f, "mallory", "admin");
    tl_keys_reload(keys);
    assert_int_equal(tl_keys_n_clients(keys), 0);
    assert_int_equal(chmod(f.dir, 0700), 0);
    tl_keys_close(keys);
}

static void opening_survives_every_failed_allocation(void **state)
{
    folder f = make_folder();
    int n_failures = 0;
    tl_err err = TL_ENOMEM;
    (void)state;
    (void)add_client(&f, "alice", "writer");
    for (long i = 1; err != TL_OK; i++) {
        tl_keys *keys = NULL;
        long before = tl_mem_live();
        tl_mem_fail_at(i);
        err = tl_keys_open(f.dir, &keys);
        tl_mem_fail_at(0);
        tl_keys_close(keys);
        n_failures += err != TL_OK;
        assert_int_equal(tl_mem_live(), before);
        assert_true(err == TL_OK || err == TL_ENOMEM);
    }
    assert_true(n_failures >= 5);
}

/* ---- a connection that lasts ---------------------------------------------------------------- */

/* Whoever knows its name could reach an abstract socket: keys are asked for as on tcp. */
static void start(tl_serving *s, const folder *f)
{
    memset(s, 0, sizeof *s);
    (void)snprintf(
        s->endpoint, sizeof s->endpoint, "ipc://@tailor-keys-test-%d", (int)getpid());
    tl_serving_start_again(
        s, (tl_server_options){
               .n_workers = 1,
               .methods = tl_test_methods,
               .n_methods = tl_test_methods_len,
               .keys_dir = f->dir});
}

static tailor_client *open_client(const tl_serving *s, const tl_key_file *key)
{
    tailor_client *client = NULL;
    tailor_options options = {.endpoint = s->endpoint, .timeout_ms = 5000};
    if (key != NULL) {
        options.server_key = key->server_key;
        options.public_key = key->public_key;
        options.secret_key = key->secret_key;
    }
    assert_int_equal(tailor_open(&options, &client), TAILOR_OK);
    return client;
}

static tailor_err echo(tailor_client *client)
{
    char *reply = NULL;
    size_t len = 0;
    tailor_request request = {.method = "test.echo"};
    tailor_err err = tailor_call(client, &request, &reply, &len);
    tailor_text_free(reply);
    return err;
}

static void a_key_that_is_taken_away_ends_its_connection_s_rights(void **state)
{
    folder f = make_folder();
    tl_serving s;
    (void)state;
    tl_key_file alice = add_client(&f, "alice", "writer");
    tl_key_file bob = add_client(&f, "bob", "reader");
    start(&s, &f);
    tailor_client *client = open_client(&s, &alice);
    tailor_client *other = open_client(&s, &bob);
    assert_int_equal(echo(client), TAILOR_OK);
    assert_int_equal(echo(other), TAILOR_OK);
    remove_client(&f, "alice");
    tailor_err err = TAILOR_OK;
    for (int i = 0; i < PATIENCE && err == TAILOR_OK; i++) {
        struct timespec step = {.tv_nsec = STEP_NS};
        (void)nanosleep(&step, NULL);
        err = echo(client);
    }
    assert_int_equal(err, TAILOR_EDENIED);
    assert_non_null(strstr(tailor_err_detail(), "not known any more"));
    assert_int_equal(echo(other), TAILOR_OK);
    tailor_close(client);
    tailor_close(other);
    tl_serving_stop(&s);
}

static void a_restart_with_the_same_keys_goes_unnoticed(void **state)
{
    folder f = make_folder();
    tl_serving s;
    (void)state;
    tl_key_file alice = add_client(&f, "alice", "writer");
    start(&s, &f);
    tailor_client *client = open_client(&s, &alice);
    assert_int_equal(echo(client), TAILOR_OK);
    for (int i = 0; i < 3; i++) {
        tl_serving_stop(&s);
        start(&s, &f);
        assert_int_equal(echo(client), TAILOR_OK);
    }
    tailor_close(client);
    tl_serving_stop(&s);
}

static void a_daemon_with_another_key_is_told_of(void **state)
{
    folder f = make_folder();
    folder other = make_folder();
    tl_serving s;
    (void)state;
    tl_key_file alice = add_client(&f, "alice", "writer");
    start(&s, &f);
    tailor_client *client = open_client(&s, &alice);
    assert_int_equal(echo(client), TAILOR_OK);
    tl_serving_stop(&s);
    start(&s, &other);
    tailor_set_timeout_ms(client, SHORT_MS);
    assert_int_equal(echo(client), TAILOR_EUNREACHABLE);
    assert_non_null(strstr(tailor_err_detail(), "another key than this client was given"));
    tl_serving_stop(&s);
    start(&s, &f);
    tailor_set_timeout_ms(client, 0);
    assert_int_equal(echo(client), TAILOR_OK);
    tailor_close(client);
    tl_serving_stop(&s);
}

static void who_has_no_key_is_told_so(void **state)
{
    folder f = make_folder();
    tl_serving s;
    (void)state;
    start(&s, &f);
    tailor_client *client = open_client(&s, NULL);
    tailor_set_timeout_ms(client, SHORT_MS);
    /* The daemon may hang up before it has told what it asks for. */
    assert_int_not_equal(echo(client), TAILOR_OK);
    assert_non_null(strstr(tailor_err_detail(), "for a key (--key FILE, TAILOR_KEY)"));
    tailor_close(client);
    tl_serving_stop(&s);
}

static void a_client_may_wait_for_its_key_to_be_known(void **state)
{
    folder f = make_folder();
    tl_serving s;
    (void)state;
    tl_key_file alice = add_client(&f, "alice", "writer");
    remove_client(&f, "alice");
    start(&s, &f);
    tailor_client *client = open_client(&s, &alice);
    assert_int_equal(echo(client), TAILOR_EDENIED);
    assert_non_null(strstr(tailor_err_detail(), "does not know the key"));
    tl_key_file line = {.name = "alice", .role = "reader"};
    memcpy(line.public_key, alice.public_key, sizeof line.public_key);
    write_key(f.dir, "alice.client", &line, false);
    tailor_err err = TAILOR_EDENIED;
    for (int i = 0; i < PATIENCE && err != TAILOR_OK; i++) {
        struct timespec step = {.tv_nsec = STEP_NS};
        (void)nanosleep(&step, NULL);
        err = echo(client);
    }
    assert_int_equal(err, TAILOR_OK);
    tailor_close(client);
    tl_serving_stop(&s);
}

static void a_socket_open_to_everyone_is_not_listened_to(void **state)
{
    folder f = make_folder();
    char endpoint[512];
    const char *endpoints[] = {endpoint};
    tl_server *server = NULL;
    (void)state;
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s/socket", tl_test_new_dir());
    tl_server_options options = {
        .endpoints = endpoints,
        .n_endpoints = 1,
        .n_workers = 1,
        .methods = tl_test_methods,
        .n_methods = tl_test_methods_len,
        .stop_fd = -1,
        .keys_dir = f.dir};
    mode_t before = umask(0);
    assert_err(TL_EDENIED, tl_server_open(&options, &server));
    assert_detail("everyone on this machine may use it");
    (void)umask(S_IRWXG | S_IRWXO);
    assert_ok(tl_server_open(&options, &server));
    tl_server_close(server);
    (void)umask(before);
}

static void half_a_set_of_keys_is_refused(void **state)
{
    folder f = make_folder();
    tailor_client *client = NULL;
    tailor_options options = {
        .endpoint = "tcp://127.0.0.1:1", .server_key = f.server.public_key};
    (void)state;
    assert_int_equal(tailor_open(&options, &client), TAILOR_EINVAL);
    assert_non_null(strstr(tailor_err_detail(), "public_key is missing"));
    options.public_key = "short";
    options.secret_key = f.server.secret_key;
    assert_int_equal(tailor_open(&options, &client), TAILOR_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            clients_are_found_by_their_key, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            a_removed_client_is_gone_after_a_reload, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            one_key_under_two_names_is_refused, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            a_key_that_comes_to_stand_twice_locks_out_nobody_else, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            a_shortage_of_memory_locks_out_nobody, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            a_shortage_of_descriptors_locks_out_nobody, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test(a_folder_that_others_may_write_is_refused),
        cmocka_unit_test(opening_survives_every_failed_allocation),
        cmocka_unit_test(a_key_that_is_taken_away_ends_its_connection_s_rights),
        cmocka_unit_test(a_restart_with_the_same_keys_goes_unnoticed),
        cmocka_unit_test(a_daemon_with_another_key_is_told_of),
        cmocka_unit_test(who_has_no_key_is_told_so),
        cmocka_unit_test(a_client_may_wait_for_its_key_to_be_known),
        cmocka_unit_test(a_socket_open_to_everyone_is_not_listened_to),
        cmocka_unit_test(half_a_set_of_keys_is_refused),
    };
    tl_log_set_level(TL_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
