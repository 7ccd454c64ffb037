/* SPDX-License-Identifier: Apache-2.0 */

/* The connections of a client: one for each call under way, and some that wait for the next. */

#include "base/clock.h"
#include "base/units.h"
#include "clients/c/client_impl.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

enum {
    IDLE_S = 60 /* then a connection that nobody needed is closed */
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
    pthread_condattr_t monotonic;
    (void)pthread_mutex_init(&client->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&client->given_back, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
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

/* Waits for a place; false when there was none until end_ns. Locked. */
static bool wait_for_place(tailor_client *client, int64_t end_ns)
{
    struct timespec end = {
        .tv_sec = (time_t)(end_ns / TL_NS_PER_S), .tv_nsec = (long)(end_ns % TL_NS_PER_S)};
    while (client->n_used == TL_CLIENT_MAX_LINKS) {
        if (pthread_cond_timedwait(&client->given_back, &client->lock, &end) == ETIMEDOUT) {
            return client->n_used < TL_CLIENT_MAX_LINKS;
        }
    }
    return true;
}

tl_err tl_client_place_take(tailor_client *client, int64_t end_ns, tl_link **out_link)
{
    (void)pthread_mutex_lock(&client->lock);
    bool has_place = wait_for_place(client, end_ns);
    if (has_place) {
        client->n_used++;
        /* The one that was used last: the others may grow old. */
        *out_link = client->n_idle > 0 ? client->idle[--client->n_idle] : NULL;
    }
    (void)pthread_mutex_unlock(&client->lock);
    return has_place ? TL_OK
                     : tl_fail(
                           TL_EBUSY, "%d calls of this client are under way already",
                           (int)TL_CLIENT_MAX_LINKS);
}

/* Takes one that was idle for long from the list; NULL without one. Locked. */
static tl_link *take_old(tailor_client *client, int64_t now_ns)
{
    tl_link *oldest = client->n_idle > 0 ? client->idle[0] : NULL;
    if (oldest == NULL || now_ns - oldest->idle_ns < IDLE_S * TL_NS_PER_S) {
        return NULL;
    }
    client->n_idle--;
    for (size_t i = 0; i < client->n_idle; i++) {
        client->idle[i] = client->idle[i + 1];
    }
    return oldest;
}

void tl_client_place_give_back(tailor_client *client, tl_link *link)
{
    tl_link *old = NULL;
    int64_t now_ns = tl_clock_ns();
    (void)pthread_mutex_lock(&client->lock);
    client->n_used--;
    old = take_old(client, now_ns);
    if (link != NULL) {
        link->idle_ns = now_ns;
        client->idle[client->n_idle++] = link;
    }
    (void)pthread_cond_signal(&client->given_back);
    (void)pthread_mutex_unlock(&client->lock);
    tl_link_close(old);
}
