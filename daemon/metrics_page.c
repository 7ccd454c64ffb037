/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/metrics_page.h"

#include "base/mem.h"
#include "daemon/predictors.h"
#include "proto/wire.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void gauge(tl_text *out, const char *name, const char *help, double value)
{
    tl_metrics_family(out, name, "gauge", help);
    tl_metrics_sample(out, name, value);
}

/* ---- the process ------------------------------------------------------------------------ */

static double resident_bytes(void)
{
    unsigned long pages = 0;
    unsigned long resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) {
        return 0.0;
    }
    int n = fscanf(file, "%lu %lu", &pages, &resident);
    (void)fclose(file);
    return n == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) : 0.0;
}

static int count_descriptors(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return 0;
    }
    for (const struct dirent *entry = NULL; (entry = readdir(dir)) != NULL;) {
        n += entry->d_name[0] != '.' ? 1 : 0;
    }
    (void)closedir(dir);
    return n - 1; /* without dir itself */
}

static double cpu_s(void)
{
    struct rusage used = {0};
    (void)getrusage(RUSAGE_SELF, &used);
    double us = (double)used.ru_utime.tv_usec + (double)used.ru_stime.tv_usec;
    return (double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec + us * 1e-6;
}

static void write_process(tl_text *out)
{
    tl_metrics_family(out, "tailor_build_info", "gauge", "1, with the version as labels.");
    tl_text_addf(
        out, "tailor_build_info{version=\"%s\",protocol=\"%d\"} 1\n", TL_VERSION,
        (int)TL_WIRE_PROTOCOL);
    gauge(
        out, "process_resident_memory_bytes", "Memory of the daemon in RAM.", resident_bytes());
    gauge(out, "process_open_fds", "Open file descriptors.", count_descriptors());
    tl_metrics_family(
        out, "process_cpu_seconds_total", "counter", "Processor time, user and system.");
    tl_metrics_sample(out, "process_cpu_seconds_total", cpu_s());
}

/* ---- the engine --------------------------------------------------------------------------- */

static tl_err write_store(tl_engine *engine, tl_text *out)
{
    tl_store_stat stat;
    TL_TRY(tl_store_stat_get(tl_engine_store(engine), &stat));
    gauge(out, "tailor_store_bytes", "Size of the store's file.", (double)stat.file_bytes);
    gauge(out, "tailor_store_max_bytes", "What the store may grow to.", (double)stat.max_bytes);
    gauge(
        out, "tailor_store_writable",
        "1; 0 where it is damaged or its disk read-only: what can be read is served.",
        tl_store_trouble(tl_engine_store(engine))[0] == '\0' ? 1.0 : 0.0);
    gauge(
        out, "tailor_measurement_records", "Columns of measurements in the store.",
        (double)stat.n_entries[TL_DB_MEASUREMENTS]);
    gauge(
        out, "tailor_devices_registered", "Devices in the store, without the shipped ones.",
        (double)stat.n_entries[TL_DB_DEVICES]);
    return TL_OK;
}

static void write_jobs(tl_engine *engine, tl_text *out)
{
    tl_jobs_count count = tl_jobs_count_get(tl_engine_jobs(engine));
    gauge(out, "tailor_jobs_running", "Jobs that run now.", (double)count.n_running);
    gauge(out, "tailor_jobs_waiting", "Jobs in the queue.", (double)count.n_waiting);
    gauge(out, "tailor_jobs_ended", "Ended jobs that are still listed.", (double)count.n_ended);
}

static void write_labels(tl_text *out, const char *name, const tl_model_use *use)
{
    tl_text_addf(out, "%s{space=\"", name);
    tl_metrics_label(out, use->space);
    tl_text_add(out, "\",model=\"");
    tl_metrics_label(out, use->model);
    tl_text_addf(out, "\",origin=\"%s\"} ", use->origin);
}

static tl_err write_models(tl_engine *engine, tl_text *out)
{
    tl_model_use *uses = NULL;
    size_t n = 0;
    size_t n_views = 0;
    TL_TRY(tl_predictors_in_use(tl_engine_predictors(engine), &uses, &n, &n_views));
    gauge(out, "tailor_views_cached", "Devices whose fit is kept.", (double)n_views);
    tl_metrics_family(
        out, "tailor_model_info", "gauge",
        "1 for the model in use for each space asked about, with its name as label.");
    for (size_t i = 0; i < n; i++) {
        write_labels(out, "tailor_model_info", &uses[i]);
        tl_text_add(out, "1\n");
    }
    tl_metrics_family(
        out, "tailor_model_created_timestamp_seconds", "gauge",
        "When that model was trained, in seconds since 1970.");
    for (size_t i = 0; i < n; i++) {
        if (uses[i].created_unix_s > 0) {
            write_labels(out, "tailor_model_created_timestamp_seconds", &uses[i]);
            tl_text_addf(out, "%" PRId64 "\n", uses[i].created_unix_s);
        }
    }
    tl_mem_free(uses);
    return TL_OK;
}

tl_err tl_metrics_page(tl_engine *engine, const tl_metrics *metrics, tl_text *out)
{
    write_process(out);
    tl_metrics_write(metrics, out);
    TL_TRY(write_store(engine, out));
    write_jobs(engine, out);
    TL_TRY(write_models(engine, out));
    return tl_text_err(out);
}
