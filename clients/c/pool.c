/* SPDX-License-Identifier: Apache-2.0 */

/* The connections of a client: one for each call under way, and some that wait for the next. */

#include "base/clock.h"
#include "base/cond.h"
#include "base/units.h"
#include "clients/c/client_impl.h"

#include <unistd.h>

enum {
    LOOK_MS = 100, /* so often a wait looks whether calls are stopped, which wakes nobody */
    IDLE_S = 60    /* then a connection that nobody needed is closed, when the next call ends */
};

tl_err tl_client_check_process(const tailor_client *client)
{
    return client->pid == getpid()
               ? TL_OK
               : tl_fail(
                     TL_ESTATE,
                     "the client was opened before this process was forked off; open another");
}

tl_err tl_client_pool_init(tailor_client *client)
{
    (void)pthread_mutex_init(&client->lock, NULL);
    tl_cond_init(&client->given_back);
    client->context = tl_link_context_new();
    return client->context != NULL ? TL_OK : tl_fail(TL_EIO, "ZeroMQ cannot be started");
}

void tl_client_pool_done(tailor_client *client)
{
    for (size_t i = 0; i < client->n_idle; i++) {
        tl_link_close(client->idle[i]);
    }
    client->n_idle = 0;
    tl_link_context_free(client->context);
    (void)pthread_cond_destroy(&client->given_back);
    (void)pthread_mutex_destroy(&client->lock);
}

tl_err tl_client_link_open(tailor_client *client, tl_link **out_link)
{
    unsigned number = atomic_fetch_add(&client->n_links, 1);
    return tl_link_open(client->context, number, client->endpoint, &client->keys, out_link);
}

/* Waits for one of n_places; false when there was none until end_ns. Locked. */
static bool wait_for_place(tailor_client *client, size_t n_places, int64_t end_ns)
{
    while (client->n_used >= n_places && !atomic_load(&client->is_stopped)) {
        int64_t now_ns = tl_clock_ns();
        int64_t look_ns = now_ns + LOOK_MS * TL_NS_PER_MS;
        if (now_ns >= end_ns) {
            return false;
        }
        (void)tl_cond_wait_until(
            &client->given_back, &client->lock, look_ns < end_ns ? look_ns : end_ns);
    }
    return client->n_used < n_places;
}

tl_err tl_client_place_take(
    tailor_client *client, bool is_nested, int64_t end_ns, tl_link **out_link)
{
    size_t n_places = is_nested ? TL_CLIENT_MAX_LINKS : TAILOR_MAX_CALLS;
    (void)pthread_mutex_lock(&client->lock);
    bool has_place = wait_for_place(client, n_places, end_ns);
    if (has_place) {
        client->n_used++;
        /* The one that was used last: the others may grow old. */
        *out_link = client->n_idle > 0 ? client->idle[--client->n_idle] : NULL;
    }
    (void)pthread_mutex_unlock(&client->lock);
    return has_place
               ? TL_OK
               : tl_fail(
                     TL_EBUSY, "%d calls of this client are under way already", (int)n_places);
}

/* Takes those that were idle for long from the list, where the oldest come first. Locked. */
static size_t take_old(tailor_client *client, int64_t now_ns, tl_link **old)
{
    size_t n = 0;
    while (n < client->n_idle && now_ns - client->idle[n]->idle_ns >= IDLE_S * TL_NS_PER_S) {
        old[n] = client->idle[n];
        n++;
    }
    client->n_idle -= n;
    for (size_t i = 0; i < client->n_idle; i++) {
        client->idle[i] = client->idle[n + i];
    }
    return n;
}

void tl_client_place_give_back(tailor_client *client, tl_link *link)
{
    tl_link *old[TL_CLIENT_MAX_LINKS];
    int64_t now_ns = tl_clock_ns();
    (void)pthread_mutex_lock(&client->lock);
    client->n_used--;
    size_t n_old = take_old(client, now_ns, old);
    if (link != NULL) {
        link->idle_ns = now_ns;
        client->idle[client->n_idle++] = link;
    }
    /* All of them: who is woken may need another kind of place. */
    (void)pthread_cond_broadcast(&client->given_back);
    (void)pthread_mutex_unlock(&client->lock);
    for (size_t i = 0; i < n_old; i++) {
        tl_link_close(old[i]);
    }
}
