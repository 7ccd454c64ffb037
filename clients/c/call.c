/* SPDX-License-Identifier: Apache-2.0 */

/* One call: connect, ask, wait; and again where that may help. */

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "clients/c/client_impl.h"
#include "clients/c/rules.h"

#include <limits.h>
#include <string.h>
#include <time.h>

enum {
    /* The daemon is told to give up this share earlier than the client, so that its answer
     * says so instead of nothing. */
    EARLIER_FRACTION = 20,
    /* A name that cannot be resolved, or a host that does not exist, is tried again then. */
    CONNECT_MS = 5000,
    MISSED_HEARTBEATS = 3,
    /* A daemon that asks for a key often hangs up on a client without one before it could say
     * so: then the handshake is repeated so often at once. */
    MAX_HUNG_UP = 16,
    /* So often whoever waits is asked whether to go on. */
    ASK_MS = 100,
    /* A request that ends every daemon that is given it is not given to more than these. */
    MAX_LOST = 3
};

/* Calls of this thread: more than one where a progress function makes calls. */
static _Thread_local int n_under_way;

/* A call under way. */
typedef struct flight {
    tailor_client *client;
    const tailor_request *request;
    const tl_call_hooks *hooks;
    tl_repeat repeat;
    tailor_progress_fn *progress;
    void *progress_context;
    int timeout_ms;      /* its own, else the client's */
    int64_t end_ns;      /* the answer is there by then; INT64_MAX: unbounded */
    int64_t patience_ns; /* it is being served by then */
    uint64_t random;
    uint64_t id; /* of the request as it was sent last */
    unsigned n_asked;
    unsigned n_lost;               /* of these */
    bool is_lost;                  /* the last one was */
    bool has_parts;                /* the caller was given some since it asked last */
    tl_link_refusal refusal;       /* the last reason why a handshake failed */
    Tailor__V1__Reply *last_reply; /* of the last try: final */
    Tailor__V1__Reply *told; /* by the last try that was refused, before this one; or NULL */
    tl_link *link;           /* NULL: none is open */
} flight;

static int64_t ms_to_ns(int64_t ms)
{
    return ms * TL_NS_PER_MS;
}

/* Milliseconds until end_ns, rounded up; at most most_ms. */
static int ms_until(int64_t end_ns, int most_ms)
{
    int64_t left_ns = end_ns - tl_clock_ns();
    if (left_ns <= 0) {
        return 0;
    }
    int64_t left_ms = left_ns / TL_NS_PER_MS + 1;
    return left_ms < most_ms ? (int)left_ms : most_ms;
}

/* TL_ECANCELLED when whoever made the call wants no answer any more. */
static tl_err ask_goes_on(const flight *f)
{
    const tl_call_hooks *hooks = f->hooks;
    bool goes_on = hooks->goes_on == NULL || hooks->goes_on(hooks->goes_on_context);
    return goes_on && !atomic_load(&f->client->is_stopped)
               ? TL_OK
               : tl_fail(TL_ECANCELLED, "%s: no longer waited for", f->request->method);
}

static tl_err sleep_ns(const flight *f, int64_t ns)
{
    int64_t end_ns = tl_clock_ns() + ns;
    for (int64_t left_ns = ns; left_ns > 0; left_ns = end_ns - tl_clock_ns()) {
        int64_t slice_ns = left_ns < ms_to_ns(ASK_MS) ? left_ns : ms_to_ns(ASK_MS);
        struct timespec slice = {.tv_nsec = (long)slice_ns};
        TL_TRY(ask_goes_on(f));
        (void)nanosleep(&slice, NULL); /* a signal may end it early */
    }
    return ask_goes_on(f);
}

/* tl_link_wait(), for a while after which whoever waits is asked again. */
static tl_err wait_on_link(const flight *f, int wait_ms, bool *out_has_message)
{
    TL_TRY(ask_goes_on(f));
    return tl_link_wait(f->link, wait_ms < ASK_MS ? wait_ms : ASK_MS, out_has_message);
}

/* ---- connecting ------------------------------------------------------------------------ */

static bool has_keys(const tailor_client *client)
{
    return client->keys.server_key[0] != '\0';
}

/* TL_EDENIED when the daemon refused the handshake for good. */
static tl_err check_refusal(const flight *f)
{
    const tailor_client *client = f->client;
    if (f->refusal == TL_LINK_KEY_UNKNOWN) {
        return tl_fail(
            TL_EDENIED, "the daemon at %s does not know the key of this client",
            client->endpoint);
    }
    if (f->refusal == TL_LINK_OTHER_SECURITY) {
        return tl_fail(
            TL_EDENIED, "the daemon at %s asks for %s", client->endpoint,
            has_keys(client) ? "no key, and does not talk to a client that uses one"
                             : "a key (--key FILE, TAILOR_KEY)");
    }
    return TL_OK;
}

/* The words of an error. */
static const char *text_of(const Tailor__V1__Reply *reply)
{
    return reply->error_detail[0] != '\0' ? reply->error_detail : reply->error_name;
}

static tl_err nobody_answers(const flight *f)
{
    const tailor_client *client = f->client;
    if (f->refusal != TL_LINK_NOT_REFUSED) {
        return tl_fail(
            TL_EUNREACHABLE,
            "the daemon at %s ends every handshake: it may %s, or have as many connections as it "
            "lets in",
            client->endpoint,
            has_keys(client) ? "have another key than this client was given"
                             : "ask for a key (--key FILE, TAILOR_KEY)");
    }
    if (f->told != NULL) {
        return tl_fail(
            TL_EUNREACHABLE, "no daemon answers at %s within %d ms; before that it said: %s",
            client->endpoint, f->timeout_ms, text_of(f->told));
    }
    return tl_fail(
        TL_EUNREACHABLE, "no daemon answers at %s within %d ms%s", client->endpoint,
        f->timeout_ms, f->n_lost > 0 ? "; the connection was lost before" : "");
}

static void drop_link(flight *f)
{
    tl_link_close(f->link);
    f->link = NULL;
}

/* Until the link stands or is of no use. */
static tl_err await_link(const flight *f)
{
    int64_t end_ns = f->link->opened_ns + ms_to_ns(CONNECT_MS);
    end_ns = end_ns < f->patience_ns ? end_ns : f->patience_ns;
    while (f->link->state == TL_LINK_CONNECTING) {
        bool has_message = false;
        int left_ms = ms_until(end_ns, CONNECT_MS);
        TL_TRY(wait_on_link(f, left_ms, &has_message));
        if (f->link->state == TL_LINK_CONNECTING && left_ms == 0) {
            f->link->state = TL_LINK_DOWN;
        }
    }
    return TL_OK;
}

/*
 * A daemon without keys may hang up on a client with one before it has said what it wants. It
 * talks to one without: TL_EDENIED then.
 */
static tl_err try_without_keys(flight *f)
{
    static const tl_key_file none;
    tailor_client *client = f->client;
    unsigned number = atomic_fetch_add(&client->n_links, 1);
    drop_link(f);
    TL_TRY(tl_link_open(client->context, number, client->endpoint, &none, &f->link));
    TL_TRY(await_link(f));
    if (f->link->state == TL_LINK_STANDS) {
        f->refusal = TL_LINK_OTHER_SECURITY;
        f->link->state = TL_LINK_DOWN;
    }
    return check_refusal(f);
}

/* Until the link stands or is of no use, and why. */
static tl_err await_handshake(flight *f)
{
    TL_TRY(await_link(f));
    if (f->link->refusal != TL_LINK_NOT_REFUSED) {
        f->refusal = f->link->refusal;
    }
    TL_TRY(check_refusal(f));
    bool is_unclear = f->link->refusal == TL_LINK_REFUSED;
    return is_unclear && has_keys(f->client) ? try_without_keys(f) : TL_OK;
}

/* The idle link may have broken since it was used. */
static void check_idle(flight *f)
{
    if (f->link != NULL) {
        tl_link_look(f->link);
        if (f->link->state == TL_LINK_DOWN) {
            drop_link(f);
        }
    }
}

/* A link that stands. Nothing was sent yet, so this goes on for as long as there is time. */
static tl_err connect(flight *f)
{
    unsigned n = 0;
    unsigned n_hung_up = 0;
    f->refusal = TL_LINK_NOT_REFUSED; /* the daemon may have learned the key by now */
    check_idle(f);
    for (;;) {
        if (f->link == NULL) {
            TL_TRY(tl_client_link_open(f->client, &f->link));
        }
        TL_TRY(await_handshake(f));
        if (f->link->state == TL_LINK_STANDS) {
            return TL_OK;
        }
        bool is_hung_up = f->link->refusal == TL_LINK_REFUSED && !has_keys(f->client);
        drop_link(f);
        n += is_hung_up && n_hung_up++ < MAX_HUNG_UP ? 0 : 1;
        int64_t wait_ns = tl_backoff_ns(n, &f->random);
        int64_t left_ns = f->patience_ns - tl_clock_ns();
        if (left_ns <= 0) {
            return nobody_answers(f);
        }
        TL_TRY(sleep_ns(f, wait_ns < left_ns ? wait_ns : left_ns));
    }
}

/* ---- asking ------------------------------------------------------------------------------- */

/* What is left of the time, less the share by which the daemon ends earlier; 0: its own. */
static uint32_t deadline_ms(const flight *f)
{
    if (f->end_ns == INT64_MAX) {
        return 0;
    }
    int left_ms = ms_until(f->end_ns, INT_MAX);
    left_ms -= left_ms / EARLIER_FRACTION;
    return left_ms > 0 ? (uint32_t)left_ms : 1;
}

static tl_err send_request(flight *f)
{
    Tailor__V1__Request request;
    tl_bytes bytes = {0};
    tailor__v1__request__init(&request);
    f->id = atomic_fetch_add(&f->client->last_request_id, 1) + 1;
    request.protocol = TL_WIRE_PROTOCOL;
    request.request_id = f->id;
    request.method = tl_client_string(f->request->method);
    request.client = f->client->name;
    request.deadline_ms = deadline_ms(f);
    request.heartbeat_ms = f->client->heartbeat_ms;
    request.body = (ProtobufCBinaryData){
        .len = f->request->len, .data = (uint8_t *)(uintptr_t)f->request->body};
    TL_TRY(tl_wire_pack((ProtobufCMessage *)&request, &bytes));
    tl_err err = tl_link_send(f->link, bytes.data, bytes.len);
    tl_mem_free(bytes.data);
    return err;
}

static tl_err lost(flight *f)
{
    f->is_lost = true;
    f->n_lost++;
    return tl_fail(
        TL_EUNREACHABLE, "the connection to the daemon at %s was lost during %s",
        f->client->endpoint, f->request->method);
}

/*
 * Waits until a reply is there. The daemon hangs when for three heartbeats neither one nor any
 * other byte moved: a message shows up only when it is whole, which may take long.
 * Silence counts once the daemon has shown that it sends heartbeats: an older one sends none. A
 * long gap counts as one missed heartbeat, so that a client that was stopped for a while reads
 * what came in that time before it judges.
 */
static tl_err await_reply(flight *f)
{
    int most_ms = f->client->heartbeat_ms > 0 ? (int)f->client->heartbeat_ms : CONNECT_MS;
    int64_t due_ns = tl_clock_ns() + ms_to_ns(most_ms);
    int n_missed = 0;
    for (;;) {
        bool has_message = false;
        int left_ms = ms_until(f->end_ns, INT_MAX);
        int due_ms = ms_until(due_ns, most_ms);
        if (left_ms == 0) {
            return nobody_answers(f);
        }
        TL_TRY(wait_on_link(f, due_ms < left_ms ? due_ms : left_ms, &has_message));
        if (has_message) {
            return TL_OK;
        }
        if (f->link->state == TL_LINK_DOWN) {
            return lost(f);
        }
        if (tl_clock_ns() >= due_ns) {
            due_ns = tl_clock_ns() + ms_to_ns(most_ms);
            n_missed = tl_link_has_moved(f->link, most_ms) ? 0 : n_missed + 1;
        }
        if (f->link->has_heartbeats && n_missed >= MISSED_HEARTBEATS) {
            return tl_fail(
                TL_EUNREACHABLE, "the daemon at %s hangs: no sign of life during %s for %d ms",
                f->client->endpoint, f->request->method, MISSED_HEARTBEATS * most_ms);
        }
    }
}

/* One message that came before the final one. */
static tl_err take_more(flight *f, const Tailor__V1__Reply *reply)
{
    if (reply->kind == TAILOR__V1__REPLY__KIND__HEARTBEAT) {
        f->link->has_heartbeats = true;
    } else if (reply->kind == TAILOR__V1__REPLY__KIND__PROGRESS) {
        tl_client_progress_show(reply, f->progress, f->progress_context);
    } else if (reply->kind == TAILOR__V1__REPLY__KIND__PART && f->request->part != NULL) {
        f->has_parts = true;
        return (tl_err)f->request->part(f->request->context, reply->body.data, reply->body.len);
    }
    return TL_OK;
}

/* Until the final reply. */
static tl_err converse(flight *f)
{
    for (;;) {
        Tailor__V1__Reply *reply = NULL;
        TL_TRY(await_reply(f));
        TL_TRY(tl_link_receive(f->link, f->client->endpoint, &reply));
        /* An unreadable request is answered under id 0; other ids are nobody's. */
        bool is_mine = reply->request_id == f->id || reply->request_id == 0;
        if (is_mine && reply->kind == TAILOR__V1__REPLY__KIND__FINAL) {
            f->last_reply = reply;
            return TL_OK;
        }
        tl_err err = is_mine ? take_more(f, reply) : TL_OK;
        tl_wire_free((ProtobufCMessage *)reply);
        TL_TRY(err);
    }
}

/* ---- again ------------------------------------------------------------------------------ */

/* Once more from the start; TL_OK when there is a final reply, which may be an error. */
static tl_err ask(flight *f)
{
    f->is_lost = false;
    f->n_asked++;
    if (f->has_parts) {
        f->hooks->again(f->request->context);
        f->has_parts = false;
    }
    TL_TRY(ask_goes_on(f));
    TL_TRY(connect(f));
    tl_err err = send_request(f);
    if (err == TL_EIO) {
        return lost(f); /* ended since it was looked at */
    }
    return err == TL_OK ? converse(f) : err;
}

/*
 * What may be asked again, if there is time left. A daemon that is busy, or about to end, says
 * that nothing was done; an older one says the first alone, by its error.
 */
static bool may_repeat(const flight *f)
{
    const Tailor__V1__Reply *reply = f->last_reply;
    bool is_busy =
        reply != NULL && reply->error != 0 && (reply->error == TL_EBUSY || reply->may_repeat);
    bool may_be_lost = f->repeat != TL_REPEAT_NEVER && f->n_lost < MAX_LOST;
    bool can_begin_anew = !f->has_parts || f->hooks->again != NULL;
    return (is_busy || (f->is_lost && may_be_lost)) && can_begin_anew &&
           f->n_asked <= f->client->max_repeats;
}

/* Waits before the next try; *out_is_late when that would take too long. */
static tl_err wait_a_little(flight *f, bool *out_is_late)
{
    int64_t now_ns = tl_clock_ns();
    int64_t wait_ns = tl_backoff_ns(f->n_asked - 1, &f->random);
    if (f->is_lost && f->end_ns == INT64_MAX) {
        f->patience_ns = now_ns + ms_to_ns(f->timeout_ms); /* until then it was served */
    }
    *out_is_late = now_ns + wait_ns >= f->patience_ns;
    return *out_is_late ? TL_OK : sleep_ns(f, wait_ns);
}

/* On success f has the final reply, which may be an error. */
static tl_err ask_until_answered(flight *f)
{
    for (;;) {
        tl_err err = ask(f);
        if (err != TL_OK) {
            drop_link(f); /* what still comes belongs to no call */
        }
        bool is_late = false;
        if (!may_repeat(f)) {
            return err;
        }
        TL_TRY(wait_a_little(f, &is_late));
        if (is_late) {
            return err;
        }
        if (f->last_reply != NULL) {
            tl_wire_free((ProtobufCMessage *)f->told);
            f->told = f->last_reply;
            f->last_reply = NULL;
        }
        atomic_fetch_add(&f->client->n_repeats, 1);
    }
}

/* The error of a final reply; a removal that was done by a try whose answer was lost has none. */
static tl_err error_of(const flight *f)
{
    const Tailor__V1__Reply *reply = f->last_reply;
    bool was_done = f->repeat == TL_REPEAT_REMOVAL && f->n_lost > 0;
    if (reply->error == 0 || (reply->error == TL_ENOTFOUND && was_done)) {
        return TL_OK;
    }
    const char *text = text_of(reply);
    return f->n_asked == 1
               ? tl_fail((tl_err)reply->error, "%s", text)
               : tl_fail((tl_err)reply->error, "%s (asked %u times)", text, f->n_asked);
}

tl_err tl_client_call(
    tailor_client *client,
    const tailor_request *request,
    const tl_call_hooks *hooks,
    Tailor__V1__Reply **out_reply)
{
    int64_t begun_ns = tl_clock_ns();
    flight f = {.client = client, .request = request, .hooks = hooks};
    tl_client_warnings_drop();
    f.repeat = tl_repeat_of(request->method);
    f.timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : client->timeout_ms;
    f.patience_ns = begun_ns + ms_to_ns(f.timeout_ms);
    f.end_ns = request->timeout_ms < 0 ? INT64_MAX : f.patience_ns;
    f.random = (uint64_t)begun_ns ^ (uint64_t)(uintptr_t)&f;
    TL_TRY(tl_client_get_progress(client, &f.progress, &f.progress_context));
    TL_TRY(tl_client_place_take(client, n_under_way > 0, f.patience_ns, &f.link));
    n_under_way++;
    tl_err err = ask_until_answered(&f);
    n_under_way--;
    tl_client_place_give_back(client, f.link);
    tl_wire_free((ProtobufCMessage *)f.told);
    if (err == TL_OK) {
        err = error_of(&f);
    }
    if (err != TL_OK) {
        tl_wire_free((ProtobufCMessage *)f.last_reply);
        return err;
    }
    tl_client_warnings_keep(client->id, f.last_reply);
    *out_reply = f.last_reply;
    return TL_OK;
}
