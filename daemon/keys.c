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
    bool has_failed;         /* it could not be read: look again */
};

typedef struct key_list {
    tl_key_client *clients;
    size_t n;
} key_list;

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

/* How many in a row, from the first, have one key. */
static size_t count_twins(const tl_key_client *clients, size_t n)
{
    size_t n_twins = 1;
    while (n_twins < n && compare(&clients[0], &clients[n_twins]) == 0) {
        n_twins++;
    }
    return n_twins;
}

/* Sorts. A key that stands twice is no client's, since which role it has would be chance. */
static tl_err put_in_order(key_list *list, bool is_lenient)
{
    size_t n_kept = 0;
    if (list->n > 0) {
        qsort(list->clients, list->n, sizeof *list->clients, compare);
    }
    for (size_t i = 0, n_twins = 0; i < list->n; i += n_twins) {
        const tl_key_client *first = &list->clients[i];
        n_twins = count_twins(first, list->n - i);
        if (n_twins == 1) {
            list->clients[n_kept++] = *first;
            continue;
        }
        tl_err err = tl_fail(
            TL_EINVAL, "%s and %s are clients with one key, in %zu files", first[0].name,
            first[1].name, n_twins);
        if (!is_lenient) {
            return err;
        }
        tl_log(TL_LOG_ERROR, "these clients are left out: %s", tl_err_detail());
    }
    list->n = n_kept;
    return TL_OK;
}

/* What a shortage hides from us now may stand there as before. */
static bool is_passing(tl_err err)
{
    return err == TL_ENOMEM;
}

/* With is_lenient, a file that cannot be read is logged and left out. */
static tl_err read_files(
    const char *dir, const tl_file_list *files, bool is_lenient, key_list *out_list)
{
    tl_err err = TL_OK;
    key_list list = {.clients = tl_mem_new(files->n_names, sizeof *list.clients)};
    if (list.clients == NULL) {
        return tl_fail(TL_ENOMEM, "%zu keys", files->n_names);
    }
    for (size_t i = 0; i < files->n_names && err == TL_OK; i++) {
        err = read_client(dir, files->names[i], &list.clients[list.n]);
        list.n += err == TL_OK;
        if (err != TL_OK && is_lenient && !is_passing(err)) {
            tl_log(TL_LOG_ERROR, "this client is left out: %s", tl_err_detail());
            err = TL_OK;
        }
    }
    if (err != TL_OK || (err = put_in_order(&list, is_lenient)) != TL_OK) {
        tl_mem_free(list.clients);
        return err;
    }
    *out_list = list;
    return TL_OK;
}

/* Nothing of keys changes on failure: what was not read is still to be read. */
static tl_err read_clients(tl_keys *keys, bool is_lenient)
{
    struct stat status;
    struct timespec now = {0};
    tl_file_list files = {0};
    key_list list = {0};
    TL_TRY(tl_file_check_guard(keys->dir, TL_FILE_TRUSTED));
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct timespec changed =
        stat(keys->dir, &status) == 0 ? status.st_mtim : (struct timespec){0};
    TL_TRY(tl_file_list_init(&files, keys->dir, CLIENT_SUFFIX));
    tl_err err = read_files(keys->dir, &files, is_lenient, &list);
    tl_file_list_done(&files);
    TL_TRY(err);
    time_t age_s = now.tv_sec - changed.tv_sec;
    tl_mem_free(keys->clients);
    keys->clients = list.clients;
    keys->n_clients = list.n;
    keys->changed = changed;
    keys->is_hot = age_s >= 0 && age_s <= 1;
    return TL_OK;
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
    return keys->is_hot || keys->has_failed || stat(keys->dir, &status) != 0 ||
           status.st_mtim.tv_sec != keys->changed.tv_sec ||
           status.st_mtim.tv_nsec != keys->changed.tv_nsec;
}

/* Tells of it once: it is tried again twice a second. */
static void on_failed(tl_keys *keys, tl_err err)
{
    bool is_kept = is_passing(err);
    if (!keys->has_failed) {
        tl_log(
            TL_LOG_ERROR, "%s: %s",
            is_kept ? "the keys stay as they were until they can be read"
                    : "no client is known",
            tl_err_detail());
    }
    keys->has_failed = true;
    keys->n_clients = is_kept ? keys->n_clients : 0;
}

void tl_keys_reload(tl_keys *keys)
{
    bool is_repeated = keys->is_hot && !keys->has_failed;
    size_t n_before = keys->n_clients;
    tl_err err = read_clients(keys, true);
    if (err != TL_OK) {
        on_failed(keys, err);
        return;
    }
    keys->has_failed = false;
    if (!is_repeated || keys->n_clients != n_before) {
        tl_log(TL_LOG_INFO, "%zu clients have a key", keys->n_clients);
    }
}
