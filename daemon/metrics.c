/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/metrics.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>

/* Upper edges of the buckets. A status takes some ten microseconds, a design half a
 * millisecond to some hundred, a training minutes. */
static const double edges_s[] = {
    50e-6,  100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3,
    100e-3, 250e-3, 500e-3, 1.0,    2.5,  5.0,    10.0, 30.0,  60.0,  300.0,
};

enum {
    N_BUCKETS = TL_COUNT(edges_s) + 1 /* the last has no edge */
};

#define COUNT_ONE(name, number, message) +1
enum {
    N_ERRORS = 0 TL_ERR_LIST(COUNT_ONE)
};
#undef COUNT_ONE

/* As tl_handshake_end. */
static const char *const handshake_ends[] = {"unknown_key", "protocol", "closed"};

/* As tl_metrics_cut. */
static const char *const cuts[] = {"handshake", "message", "sum"};

typedef atomic_uint_fast64_t counter;

typedef struct histogram {
    counter buckets[N_BUCKETS]; /* each its own: added up when written */
    counter sum_ns;
} histogram;

typedef struct method_counts {
    counter ended[N_ERRORS];
    histogram duration;
} method_counts;

/* The gauges of a lane, as tl_metrics_lane. */
typedef struct lane_counts {
    atomic_int_fast64_t queued, busy, n_workers, max_queued;
    histogram wait;
} lane_counts;

struct tl_metrics {
    const tl_method *const *methods;
    size_t n_methods;
    int64_t started_unix_s;
    lane_counts lanes[TL_N_LANES];
    atomic_int_fast64_t connections, max_connections;
    counter refused, handshakes[TL_COUNT(handshake_ends)], cut[TL_COUNT(cuts)];
    method_counts counts[]; /* as methods; then one for what is no method */
};

tl_err tl_metrics_new(
    const tl_method *const *methods, size_t n_methods, tl_metrics **out_metrics)
{
    size_t bytes = sizeof(tl_metrics) + (n_methods + 1) * sizeof(method_counts);
    tl_metrics *metrics = tl_mem_new(1, bytes);
    if (metrics == NULL) {
        return tl_fail(TL_ENOMEM, "metrics of %zu methods", n_methods);
    }
    metrics->methods = methods;
    metrics->n_methods = n_methods;
    metrics->started_unix_s = tl_clock_unix_s();
    *out_metrics = metrics;
    return TL_OK;
}

void tl_metrics_free(tl_metrics *metrics)
{
    tl_mem_free(metrics);
}

/* ---- counting ------------------------------------------------------------------------- */

static void add(counter *c, uint64_t n)
{
    (void)atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static uint64_t get(const counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

static void move(atomic_int_fast64_t *gauge, int64_t by)
{
    (void)atomic_fetch_add_explicit(gauge, by, memory_order_relaxed);
}

static int64_t level(const atomic_int_fast64_t *gauge)
{
    /* A worker may have taken what is not yet counted as queued. */
    int64_t now = atomic_load_explicit(gauge, memory_order_relaxed);
    return now > 0 ? now : 0;
}

static void observe(histogram *h, int64_t ns)
{
    ns = ns > 0 ? ns : 0;
    double s = (double)ns / (double)TL_NS_PER_S;
    size_t k = 0;
    while (k < TL_COUNT(edges_s) && s > edges_s[k]) {
        k++;
    }
    add(&h->buckets[k], 1);
    add(&h->sum_ns, (uint64_t)ns);
}

void tl_metrics_set_limits(tl_metrics *metrics, tl_lane lane, int n_workers, size_t max_queued)
{
    if (metrics == NULL) {
        return;
    }
    lane_counts *l = &metrics->lanes[lane];
    atomic_store_explicit(&l->n_workers, n_workers, memory_order_relaxed);
    atomic_store_explicit(&l->max_queued, (int64_t)max_queued, memory_order_relaxed);
}

void tl_metrics_answered(
    tl_metrics *metrics, const tl_method *method, tl_err err, int64_t duration_ns)
{
    if (metrics == NULL) {
        return;
    }
    size_t i = 0;
    while (i < metrics->n_methods && metrics->methods[i] != method) {
        i++;
    }
    TL_ASSERT((int)err >= 0 && (int)err < N_ERRORS);
    add(&metrics->counts[i].ended[err], 1);
    observe(&metrics->counts[i].duration, duration_ns);
}

void tl_metrics_queued(tl_metrics *metrics, tl_lane lane)
{
    if (metrics != NULL) {
        move(&metrics->lanes[lane].queued, 1);
    }
}

void tl_metrics_dropped(tl_metrics *metrics, tl_lane lane)
{
    if (metrics != NULL) {
        move(&metrics->lanes[lane].queued, -1);
    }
}

void tl_metrics_taken(tl_metrics *metrics, tl_lane lane, int64_t waited_ns)
{
    if (metrics == NULL) {
        return;
    }
    move(&metrics->lanes[lane].queued, -1);
    move(&metrics->lanes[lane].busy, 1);
    observe(&metrics->lanes[lane].wait, waited_ns);
}

void tl_metrics_released(tl_metrics *metrics, tl_lane lane)
{
    if (metrics != NULL) {
        move(&metrics->lanes[lane].busy, -1);
    }
}

void tl_metrics_set_max_connections(tl_metrics *metrics, size_t n)
{
    if (metrics != NULL) {
        atomic_store_explicit(&metrics->max_connections, (int64_t)n, memory_order_relaxed);
    }
}

void tl_metrics_set_connections(tl_metrics *metrics, size_t n)
{
    if (metrics != NULL) {
        atomic_store_explicit(&metrics->connections, (int64_t)n, memory_order_relaxed);
    }
}

void tl_metrics_refused_connection(tl_metrics *metrics)
{
    if (metrics != NULL) {
        add(&metrics->refused, 1);
    }
}

void tl_metrics_handshake_failed(tl_metrics *metrics, tl_handshake_end how)
{
    TL_ASSERT((size_t)how < TL_COUNT(handshake_ends));
    if (metrics != NULL) {
        add(&metrics->handshakes[how], 1);
    }
}

void tl_metrics_connection_cut(tl_metrics *metrics, tl_metrics_cut why)
{
    TL_ASSERT((size_t)why < TL_COUNT(cuts));
    if (metrics != NULL) {
        add(&metrics->cut[why], 1);
    }
}

static tl_metrics_lane read_lane(const lane_counts *l)
{
    return (tl_metrics_lane){
        .queued = level(&l->queued),
        .busy_workers = level(&l->busy),
        .n_workers = level(&l->n_workers),
        .max_queued = level(&l->max_queued),
    };
}

void tl_metrics_read(const tl_metrics *metrics, tl_metrics_now *out_now)
{
    tl_metrics_now now = {.answered = 0};
    for (int l = 0; l < TL_N_LANES; l++) {
        now.lanes[l] = read_lane(&metrics->lanes[l]);
        now.all.queued += now.lanes[l].queued;
        now.all.busy_workers += now.lanes[l].busy_workers;
        now.all.n_workers += now.lanes[l].n_workers;
        now.all.max_queued += now.lanes[l].max_queued;
    }
    for (size_t i = 0; i <= metrics->n_methods; i++) {
        for (int k = 0; k < N_ERRORS; k++) {
            uint64_t n = get(&metrics->counts[i].ended[k]);
            now.answered += n;
            now.failed += k != TL_OK ? n : 0;
        }
    }
    *out_now = now;
}

/* ---- the text format -------------------------------------------------------------------- */

void tl_metrics_family(tl_text *out, const char *name, const char *type, const char *help)
{
    tl_text_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void tl_metrics_sample(tl_text *out, const char *name, double value)
{
    tl_text_addf(out, "%s ", name);
    tl_text_add_double(out, value);
    tl_text_add(out, "\n");
}

void tl_metrics_label(tl_text *out, const char *value)
{
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\n') {
            tl_text_add(out, "\\n");
        } else if (*c == '"' || *c == '\\') {
            tl_text_addf(out, "\\%c", *c);
        } else {
            tl_text_add_bytes(out, c, 1);
        }
    }
}

static const char *method_name(const tl_metrics *metrics, size_t i)
{
    return i < metrics->n_methods ? metrics->methods[i]->name : "unknown";
}

/* label: "" or `method="design.run"`. */
static void write_histogram(
    tl_text *out,
    const char *name,
    const char *label_key,
    const char *label,
    const histogram *h)
{
    const char *quote = label[0] != '\0' ? "\"" : "";
    const char *comma = label[0] != '\0' ? "," : "";
    uint64_t n = 0;
    for (size_t k = 0; k < N_BUCKETS; k++) {
        n += get(&h->buckets[k]);
        tl_text_addf(
            out, "%s_bucket{%s%s%s%s%sle=\"", name, label_key, quote, label, quote, comma);
        if (k < TL_COUNT(edges_s)) {
            tl_text_add_double(out, edges_s[k]);
        } else {
            tl_text_add(out, "+Inf");
        }
        tl_text_addf(out, "\"} %" PRIu64 "\n", n);
    }
    const char *open = label[0] != '\0' ? "{" : "";
    const char *close = label[0] != '\0' ? "}" : "";
    tl_text_addf(out, "%s_sum%s%s%s%s%s%s ", name, open, label_key, quote, label, quote, close);
    tl_text_add_double(out, (double)get(&h->sum_ns) / (double)TL_NS_PER_S);
    tl_text_addf(
        out, "\n%s_count%s%s%s%s%s%s %" PRIu64 "\n", name, open, label_key, quote, label, quote,
        close, n);
}

/* Success is told from the start, an error once there was one: a rate needs a zero to begin
 * from, and nobody looks at sixteen errors that a method cannot have. */
static void write_requests(const tl_metrics *metrics, tl_text *out)
{
    tl_metrics_family(
        out, "tailor_requests_total", "counter",
        "Requests that were answered, by method and error (OK: none).");
    for (size_t i = 0; i <= metrics->n_methods; i++) {
        for (int k = 0; k < N_ERRORS; k++) {
            uint64_t n = get(&metrics->counts[i].ended[k]);
            if (n > 0 || (k == TL_OK && i < metrics->n_methods)) {
                tl_text_addf(
                    out, "tailor_requests_total{method=\"%s\",error=\"%s\"} %" PRIu64 "\n",
                    method_name(metrics, i), tl_err_name((tl_err)k), n);
            }
        }
    }
}

static void write_durations(const tl_metrics *metrics, tl_text *out)
{
    static const char name[] = "tailor_request_duration_seconds";
    tl_metrics_family(
        out, name, "histogram", "From the arrival of a request to its final reply, by method.");
    for (size_t i = 0; i <= metrics->n_methods; i++) {
        write_histogram(
            out, name, "method=", method_name(metrics, i), &metrics->counts[i].duration);
    }
}

static void write_reasons(
    tl_text *out, const char *name, const char *const *reasons, const counter *counts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        tl_text_addf(out, "%s{reason=\"%s\"} %" PRIu64 "\n", name, reasons[i], get(&counts[i]));
    }
}

static void write_refusals(const tl_metrics *metrics, tl_text *out)
{
    static const char refused[] = "tailor_connections_refused_total";
    static const char failed[] = "tailor_handshakes_failed_total";
    static const char cut[] = "tailor_connections_cut_total";
    tl_metrics_family(out, refused, "counter", "Connections beyond the most that may be open.");
    tl_text_addf(out, "%s %" PRIu64 "\n", refused, get(&metrics->refused));
    tl_metrics_family(
        out, failed, "counter",
        "Handshakes that failed: a key that is not known, no ZeroMQ or another daemon's key, a "
        "peer that left or took too long.");
    write_reasons(out, failed, handshake_ends, metrics->handshakes, TL_COUNT(handshake_ends));
    tl_metrics_family(
        out, cut, "counter",
        "Connections that were shut down for what they sent: too much before a key was shown, "
        "too much without the end of a message, the most when all together sent too much.");
    write_reasons(out, cut, cuts, metrics->cut, TL_COUNT(cuts));
}

static void write_lane_gauges(const tl_metrics *metrics, tl_text *out)
{
    static const struct {
        const char *name, *help;
    } gauges[] = {
        {"tailor_queue_depth",    "Requests that wait for a worker, by lane." },
        {"tailor_queue_capacity", "Requests that may wait for one, by lane."  },
        {"tailor_workers",        "Threads that serve requests, by lane."     },
        {"tailor_workers_busy",   "Of these, how many serve one now, by lane."},
    };
    for (size_t i = 0; i < TL_COUNT(gauges); i++) {
        tl_metrics_family(out, gauges[i].name, "gauge", gauges[i].help);
        for (int l = TL_LANE_WORK; l < TL_N_LANES; l++) {
            tl_metrics_lane now = read_lane(&metrics->lanes[l]);
            const int64_t values[] = {
                now.queued, now.max_queued, now.n_workers, now.busy_workers};
            tl_text_addf(
                out, "%s{lane=\"%s\"} %" PRId64 "\n", gauges[i].name, tl_lane_name((tl_lane)l),
                values[i]);
        }
    }
}

void tl_metrics_write(const tl_metrics *metrics, tl_text *out)
{
    const struct {
        const char *name, *help;
        const atomic_int_fast64_t *gauge;
    } gauges[] = {
        {"tailor_connections",     "Connections to the sockets, in handshakes too.",
         &metrics->connections    },
        {"tailor_connections_max", "How many of them may be open at once.",
         &metrics->max_connections},
    };
    tl_metrics_family(
        out, "process_start_time_seconds", "gauge",
        "When the daemon started, in seconds since 1970.");
    tl_metrics_sample(out, "process_start_time_seconds", (double)metrics->started_unix_s);
    write_requests(metrics, out);
    write_durations(metrics, out);
    write_refusals(metrics, out);
    tl_metrics_family(
        out, "tailor_queue_wait_seconds", "histogram",
        "How long requests waited for a worker, by lane.");
    for (int l = TL_LANE_WORK; l < TL_N_LANES; l++) {
        write_histogram(
            out, "tailor_queue_wait_seconds", "lane=", tl_lane_name((tl_lane)l),
            &metrics->lanes[l].wait);
    }
    write_lane_gauges(metrics, out);
    for (size_t i = 0; i < TL_COUNT(gauges); i++) {
        tl_metrics_family(out, gauges[i].name, "gauge", gauges[i].help);
        tl_metrics_sample(out, gauges[i].name, (double)level(gauges[i].gauge));
    }
}
