/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/keys.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define CLIENT_SUFFIX ".client"

struct tl_keys {
    char *dir;
    char secret[TL_KEY_CHARS + 1];
    tl_key_client *clients; /* sorted by public key */
    size_t n_clients;
    struct timespec changed; /* the folder, before it was read */
    bool is_hot;             /* it had changed just then: times are too coarse for the next */
};

static int compare(const void *a, const void *b)
{
    const tl_key_client *x = a;
    const tl_key_client *y = b;
    return strcmp(x->public_key, y->public_key);
}

static tl_err parse_role(const char *text, tl_role *out_role)
{
    for (int r = TL_ROLE_READER; r <= TL_ROLE_ADMIN; r++) {
        if (strcmp(text, tl_role_name((tl_role)r)) == 0) {
            *out_role = (tl_role)r;
            return TL_OK;
        }
    }
    return tl_fail(TL_EINVAL, "role: got \"%s\", want reader, writer or admin", text);
}

static tl_err take_client(const tl_key_file *file, tl_key_client *out)
{
    if (file->name[0] == '\0' || file->public_key[0] == '\0') {
        return tl_fail(TL_EINVAL, "want the lines name, role and public");
    }
    TL_TRY(parse_role(file->role, &out->role));
    memcpy(out->name, file->name, sizeof out->name);
    memcpy(out->public_key, file->public_key, sizeof out->public_key);
    return TL_OK;
}

static tl_err read_client(const char *dir, const char *name, tl_key_client *out)
{
    tl_text path = {0};
    tl_key_file file = {0};
    tl_text_addf(&path, "%s/%s", dir, name);
    tl_err err = tl_text_err(&path);
    if (err == TL_OK && (err = tl_key_file_read(path.data, TL_FILE_TRUSTED, &file)) == TL_OK &&
        (err = take_client(&file, out)) != TL_OK) {
        err = tl_fail_in(err, "%s: ", path.data);
    }
    tl_text_done(&path);
    return err;
}

/* Sorts, and fails when a key stands twice: which role it has would be chance. */
static tl_err put_in_order(tl_key_client *clients, size_t n)
{
    if (n > 0) {
        qsort(clients, n, sizeof *clients, compare);
    }
    for (size_t i = 1; i < n; i++) {
        if (compare(&clients[i - 1], &clients[i]) == 0) {
            return tl_fail(
                TL_EINVAL, "%s and %s are clients with one key", clients[i - 1].name,
                clients[i].name);
        }
    }
    return TL_OK;
}

/* With is_lenient, a file that cannot be read is logged and left out. */
static tl_err read_clients(tl_keys *keys, bool is_lenient)
{
    struct stat status;
    tl_file_list list = {0};
    size_t n = 0;
    TL_TRY(tl_file_check_guard(keys->dir, TL_FILE_TRUSTED));
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    keys->changed = stat(keys->dir, &status) == 0 ? status.st_mtim : (struct timespec){0};
    time_t age_s = now.tv_sec - keys->changed.tv_sec;
    keys->is_hot = age_s >= 0 && age_s <= 1;
    TL_TRY(tl_file_list_init(&list, keys->dir, CLIENT_SUFFIX));
    tl_err err = TL_OK;
    tl_key_client *clients = tl_mem_new(list.n_names, sizeof *clients);
    if (clients == NULL) {
        err = tl_fail(TL_ENOMEM, "%zu keys", list.n_names);
    }
    for (size_t i = 0; i < list.n_names && err == TL_OK; i++) {
        err = read_client(keys->dir, list.names[i], &clients[n]);
        n += err == TL_OK;
        if (err != TL_OK && is_lenient) {
            tl_log(TL_LOG_ERROR, "this client is left out: %s", tl_err_detail());
            err = TL_OK;
        }
    }
    if (err == TL_OK && (err = put_in_order(clients, n)) == TL_OK) {
        tl_mem_free(keys->clients);
        keys->clients = clients;
        keys->n_clients = n;
        clients = NULL;
    }
    tl_mem_free(clients);
    tl_file_list_done(&list);
    return err;
}

static tl_err read_server_key(tl_keys *keys)
{
    tl_text path = {0};
    tl_key_file file = {0};
    tl_text_addf(&path, "%s/server.key", keys->dir);
    tl_err err = tl_text_err(&path);
    if (err == TL_OK) {
        err = tl_key_file_read(path.data, TL_FILE_SECRET, &file);
        if (err == TL_ENOTFOUND) {
            err = tl_fail_in(err, "make one with tailor key new: ");
        }
    }
    if (err == TL_OK && file.secret_key[0] == '\0') {
        err = tl_fail(TL_EINVAL, "%s: want the line secret", path.data);
    }
    memcpy(keys->secret, file.secret_key, sizeof keys->secret);
    tl_text_done(&path);
    return err;
}

tl_err tl_keys_open(const char *dir, tl_keys **out_keys)
{
    tl_err err = TL_OK;
    tl_keys *keys = tl_mem_new(1, sizeof *keys);
    if (keys == NULL || (keys->dir = tl_mem_strdup(dir)) == NULL) {
        err = tl_fail(TL_ENOMEM, "the keys");
        goto done;
    }
    if ((err = read_server_key(keys)) != TL_OK || (err = read_clients(keys, false)) != TL_OK) {
        goto done;
    }
    *out_keys = keys;
    keys = NULL;
done:
    tl_keys_close(keys);
    return err;
}

void tl_keys_close(tl_keys *keys)
{
    if (keys == NULL) {
        return;
    }
    tl_mem_free(keys->clients);
    tl_mem_free(keys->dir);
    memset(keys, 0, sizeof *keys);
    tl_mem_free(keys);
}

const char *tl_keys_secret(const tl_keys *keys)
{
    return keys->secret;
}

size_t tl_keys_n_clients(const tl_keys *keys)
{
    return keys->n_clients;
}

const tl_key_client *tl_keys_find(const tl_keys *keys, const char *public_key)
{
    size_t begin = 0;
    size_t end = keys->n_clients;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        int order = strcmp(keys->clients[middle].public_key, public_key);
        if (order == 0) {
            return &keys->clients[middle];
        }
        if (order < 0) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return NULL;
}

bool tl_keys_is_stale(const tl_keys *keys)
{
    struct stat status;
    return keys->is_hot || stat(keys->dir, &status) != 0 ||
           status.st_mtim.tv_sec != keys->changed.tv_sec ||
           status.st_mtim.tv_nsec != keys->changed.tv_nsec;
}

void tl_keys_reload(tl_keys *keys)
{
    bool was_hot = keys->is_hot;
    size_t n_before = keys->n_clients;
    if (read_clients(keys, true) != TL_OK) {
        tl_log(TL_LOG_ERROR, "no client is known: %s", tl_err_detail());
        keys->n_clients = 0;
        return;
    }
    if (!was_hot || keys->n_clients != n_before) {
        tl_log(TL_LOG_INFO, "%zu clients have a key", keys->n_clients);
    }
}
