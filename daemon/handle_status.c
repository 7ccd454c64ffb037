/* SPDX-License-Identifier: Apache-2.0 */

/* Method status.get: what the daemon holds and does. */

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"
#include "daemon/handle.h"
#include "daemon/methods.h"
#include "daemon/metrics.h"
#include "daemon/predictors.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* ---- status -------------------------------------------------------------------------- */

enum {
    MAX_FACTS = 40,
    FACT_BYTES = 512
};

typedef struct facts {
    const char *names[MAX_FACTS];
    char values[MAX_FACTS][FACT_BYTES];
    size_t n;
} facts;

static void add_fact(facts *f, const char *name, const char *format, ...) TL_PRINTF(3, 4);

static void add_fact(facts *f, const char *name, const char *format, ...)
{
    va_list args;
    TL_ASSERT(f->n < MAX_FACTS);
    f->names[f->n] = name;
    va_start(args, format);
    (void)vsnprintf(f->values[f->n], FACT_BYTES, format, args);
    va_end(args);
    f->n++;
}

static tl_err add_space_facts(tl_engine *engine, facts *f)
{
    tl_space_entry *entries = NULL;
    size_t n = 0;
    size_t n_added = 0;
    TL_TRY(tl_engine_spaces(engine, &entries, &n));
    for (size_t i = 0; i < n; i++) {
        n_added += entries[i].is_built_in ? 0 : 1;
    }
    tl_space_entries_free(entries, n);
    add_fact(f, "spaces_built_in", "%zu", n - n_added);
    add_fact(f, "spaces_added", "%zu", n_added);
    return TL_OK;
}

static tl_err add_store_facts(tl_engine *engine, facts *f)
{
    tl_store_stat stat;
    TL_TRY(tl_store_stat_get(tl_engine_store(engine), &stat));
    add_fact(f, "devices_shipped", "%zu", tl_registry_n_shipped(tl_engine_registry(engine)));
    add_fact(f, "devices_registered", "%zu", stat.n_entries[TL_DB_DEVICES]);
    add_fact(f, "measurement_records", "%zu", stat.n_entries[TL_DB_MEASUREMENTS]);
    add_fact(f, "store_bytes", "%zu", stat.file_bytes);
    add_fact(f, "store_max_bytes", "%zu", stat.max_bytes);
    add_fact(f, "store_trouble", "%s", tl_store_trouble(tl_engine_store(engine)));
    return TL_OK;
}

static void add_job_facts(tl_engine *engine, facts *f)
{
    tl_jobs_count count = tl_jobs_count_get(tl_engine_jobs(engine));
    add_fact(f, "jobs_running", "%zu", count.n_running);
    add_fact(f, "jobs_waiting", "%zu", count.n_waiting);
}

/* Files that look like models; none where the folder cannot be read. */
static tl_err add_model_count(facts *f, const char *name, const char *dir, const char *below)
{
    tl_file_list files = {0};
    tl_text path = {0};
    tl_text_addf(&path, "%s%s", dir, below);
    tl_err err = tl_text_err(&path);
    if (err == TL_OK) {
        err = tl_file_list_init(&files, path.data, ".tlm");
    }
    tl_text_done(&path);
    if (err == TL_ENOMEM) {
        return err;
    }
    add_fact(f, name, "%zu", files.n_names);
    tl_file_list_done(&files);
    return TL_OK;
}

/* Which model answers for which space, of those asked about: "space=model (origin)". */
static tl_err add_model_facts(tl_engine *engine, facts *f)
{
    tl_model_use *uses = NULL;
    size_t n = 0;
    size_t n_views = 0;
    tl_text list = {0};
    TL_TRY(tl_predictors_in_use(tl_engine_predictors(engine), &uses, &n, &n_views));
    for (size_t i = 0; i < n; i++) {
        tl_text_addf(
            &list, "%s%s=%s (%s)", i > 0 ? ", " : "", uses[i].space, uses[i].model,
            uses[i].origin);
    }
    tl_err err = tl_text_err(&list);
    if (err == TL_OK) {
        add_fact(f, "models_in_use", "%s", list.data != NULL ? list.data : "");
        add_fact(f, "views_cached", "%zu", n_views);
    }
    tl_text_done(&list);
    tl_mem_free(uses);
    return err;
}

static const char *const lane_facts[TL_N_LANES][3] = {
    [TL_LANE_WORK] = {"work_queued",  "work_workers",  "work_busy" },
    [TL_LANE_WRITE] = {"write_queued", "write_workers", "write_busy"},
    [TL_LANE_BULK] = {"bulk_queued",  "bulk_workers",  "bulk_busy" },
};

static void add_load_facts(const tl_engine *engine, facts *f)
{
    tl_metrics_now now = {0};
    const tl_metrics *metrics = tl_engine_metrics(engine);
    if (metrics == NULL) {
        return;
    }
    tl_metrics_read(metrics, &now);
    add_fact(f, "requests_answered", "%" PRIu64, now.answered);
    add_fact(f, "requests_failed", "%" PRIu64, now.failed);
    add_fact(f, "queue_depth", "%" PRId64, now.all.queued);
    add_fact(f, "queue_capacity", "%" PRId64, now.all.max_queued);
    add_fact(f, "workers", "%" PRId64, now.all.n_workers);
    add_fact(f, "workers_busy", "%" PRId64, now.all.busy_workers);
    for (int l = TL_LANE_WORK; l < TL_N_LANES; l++) {
        add_fact(f, lane_facts[l][0], "%" PRId64, now.lanes[l].queued);
        add_fact(f, lane_facts[l][1], "%" PRId64, now.lanes[l].n_workers);
        add_fact(f, lane_facts[l][2], "%" PRId64, now.lanes[l].busy_workers);
    }
}

static tl_err fill_status(tl_engine *engine, facts *f)
{
    double uptime_s =
        (double)(tl_clock_ns() - tl_engine_opened_ns(engine)) / (double)TL_NS_PER_S;
    add_fact(f, "version", "%s", TL_VERSION);
    add_fact(f, "protocol", "%d", (int)TL_WIRE_PROTOCOL);
    add_fact(f, "uptime_s", "%.1f", uptime_s);
    add_fact(f, "data", "%s", tl_engine_data_dir(engine));
    add_fact(f, "models", "%s", tl_engine_models_dir(engine));
    TL_TRY(add_model_count(f, "models_shipped", tl_engine_models_dir(engine), ""));
    TL_TRY(add_model_count(f, "models_trained", tl_engine_data_dir(engine), "/models"));
    TL_TRY(add_model_facts(engine, f));
    TL_TRY(add_space_facts(engine, f));
    TL_TRY(add_store_facts(engine, f));
    add_job_facts(engine, f);
    add_load_facts(engine, f);
    return TL_OK;
}

static tl_err run_status(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    Tailor__V1__Table *table = (Tailor__V1__Table *)reply_base;
    const char *values[MAX_FACTS];
    facts *f = tl_mem_new(1, sizeof *f);
    (void)request_base;
    if (f == NULL) {
        return tl_fail(TL_ENOMEM, "the status");
    }
    tl_err err = fill_status(call->engine, f);
    for (size_t i = 0; i < f->n; i++) {
        values[i] = f->values[i];
    }
    tl_table_reply_init(table, f->n);
    if (err == TL_OK && (err = tl_table_reply_texts(table, "name", f->names)) == TL_OK) {
        err = tl_table_reply_texts(table, "value", values);
    }
    tl_mem_free(f);
    return err;
}

const tl_method tl_method_status_get = {
    .name = "status.get",
    .summary = "What the daemon is and holds",
    .request = &tailor__v1__empty__descriptor,
    .reply = &tailor__v1__table__descriptor,
    .run = run_status,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_FAST,
    .deadline_ms = TL_DEADLINE_SHORT_MS,
};
