/* SPDX-License-Identifier: Apache-2.0 */

/* The warnings of the last call of each thread. */

#include "base/mem.h"
#include "clients/c/client_impl.h"

#include <pthread.h>

typedef struct warnings {
    uint64_t client_id;
    size_t n;
    char **lines;
} warnings;

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_key;

static void clear(warnings *w)
{
    for (size_t i = 0; i < w->n; i++) {
        tl_mem_free(w->lines[i]);
    }
    tl_mem_free(w->lines);
    *w = (warnings){0};
}

static void forget(void *of_thread)
{
    if (of_thread != NULL) {
        clear(of_thread);
        tl_mem_free(of_thread);
    }
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, forget) == 0;
}

static warnings *find(void)
{
    (void)pthread_once(&once, make_key);
    return has_key ? pthread_getspecific(key) : NULL;
}

void tl_client_warnings_drop(void)
{
    warnings *w = find();
    if (w != NULL) {
        (void)pthread_setspecific(key, NULL);
        forget(w);
    }
}

/* Without memory for them they are lost, not the call. */
void tl_client_warnings_keep(uint64_t client_id, Tailor__V1__Reply *reply)
{
    tl_client_warnings_drop();
    if (reply->n_warnings == 0 || !has_key) {
        return;
    }
    warnings *w = tl_mem_new(1, sizeof *w);
    if (w == NULL || pthread_setspecific(key, w) != 0) {
        tl_mem_free(w);
        return;
    }
    *w = (warnings){.client_id = client_id, .n = reply->n_warnings, .lines = reply->warnings};
    reply->n_warnings = 0;
    reply->warnings = NULL;
}

void tl_client_warnings_drop_of(uint64_t client_id)
{
    const warnings *w = find();
    if (w != NULL && w->client_id == client_id) {
        tl_client_warnings_drop();
    }
}

size_t tailor_n_warnings(const tailor_client *client)
{
    const warnings *w = find();
    return w != NULL && w->client_id == client->id ? w->n : 0;
}

const char *tailor_warning(const tailor_client *client, size_t i)
{
    return i < tailor_n_warnings(client) ? find()->lines[i] : "";
}
