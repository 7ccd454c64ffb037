/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A store of very many made-up devices, and questions to a daemon that has it.
 *
 *     bench_million fill DATA SPACES CATALOGUE N MEASURED
 *     bench_million ask ENDPOINT N QUESTION TIMES
 *     bench_million names N COUNT
 *     bench_million table SPACES FIRST COUNT DESIGNS
 *
 * "fill" registers N devices in the store of folder DATA and stores MEASURED latencies of each on space
 * nasbench201, through the engine's own functions. Every second device is known by its
 * name alone, the others have profiles drawn around those of the catalogue. Latencies follow a made-up law: a
 * level for the device times a sum over the cell's edges, times noise of 3%. Nothing can
 * be learnt from them about real devices: this is a load. Prints tab-separated: devices, seconds.
 *
 * "ask" is bench/million_ask.c. "names" prints COUNT names evenly among the N, a line each. "table" prints a
 * measurement table of COUNT devices from number FIRST on, over DESIGNS designs, of
 * which each device has 20.
 */

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/store.h"
#include "base/text.h"
#include "base/units.h"
#include "bench/million.h"
#include "bench/public_table.h"
#include "device-profiles/profile_yaml.h"
#include "device-profiles/registry.h"
#include "measurements/columns.h"
#include "numerics/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_MEASURED = 20,
    BATCH = 256, /* devices stored together */
    MAX_CATALOGUE = 128,
    PATH_BYTES = 512
};

static const char space_name[] = "nasbench201";

typedef struct fill {
    tl_space *space;
    tl_store *store;
    tl_registry *registry;
    tl_profile catalogue[MAX_CATALOGUE];
    int n_catalogue;
    tl_choice *designs; /* of the space */
    int n_designs, n_slots;
    int n_measured; /* of a device */
} fill;

/* ---- devices ------------------------------------------------------------------------------ */

static void load_catalogue(const char *dir, fill *f)
{
    char path[PATH_BYTES];
    tl_file_list files = {0};
    tl_bench_check(tl_file_list_init(&files, dir, ".yaml"), dir);
    for (size_t i = 0; i < files.n_names && f->n_catalogue < MAX_CATALOGUE; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, files.names[i]);
        tl_bench_check(tl_profile_load_yaml(path, &f->catalogue[f->n_catalogue++]), path);
    }
    tl_file_list_done(&files);
}

/* Every second device has a profile. */
static tl_err register_one(const fill *f, tl_store_txn *txn, uint32_t i, const char *name)
{
    static const double spread = .3;
    tl_rng rng;
    if (i % 2 == 0) {
        return tl_registry_add_bare_in(f->registry, txn, name, NULL);
    }
    tl_rng_init(&rng, i);
    tl_profile p = f->catalogue[tl_rng_below(&rng, (uint64_t)f->n_catalogue)];
    (void)snprintf(p.name, sizeof p.name, "%s", name);
    for (int k = 0; k < TL_N_PRECISIONS; k++) {
        p.peak_gflops[k] *= exp(spread * tl_rng_normal(&rng));
    }
    for (int k = 0; k < TL_N_MEMORIES; k++) {
        p.bandwidth_gb_per_s[k] *= exp(spread * tl_rng_normal(&rng));
    }
    return tl_registry_add_in(f->registry, txn, &p);
}

/* What the batch's transaction is told. */
typedef struct batch {
    const fill *fill;
    uint32_t first;
    int n;
} batch;

static tl_err register_batch(
    void *context, tl_store_txn *txn, const char *const *devices, size_t n_devices)
{
    const batch *b = context;
    (void)devices; /* sorted: the numbers give the same names */
    (void)n_devices;
    for (int i = 0; i < b->n; i++) {
        char name[TL_NAME_MAX_BYTES + 1];
        tl_million_name(b->first + (uint32_t)i, name);
        TL_TRY(register_one(b->fill, txn, b->first + (uint32_t)i, name));
    }
    return TL_OK;
}

/* ---- measurements --------------------------------------------------------------------------- */

/* The made-up law. The device's own draws come from rng, which starts anew for each device. */
typedef struct law {
    double level;
    double weight[TL_SPACE_MAX_SLOTS][16];
} law;

static law draw_law(tl_rng *rng)
{
    law l = {.level = exp(tl_rng_normal(rng))};
    for (int s = 0; s < TL_SPACE_MAX_SLOTS; s++) {
        for (int o = 0; o < 16; o++) {
            l.weight[s][o] = (o + 1) * exp(.3 * tl_rng_normal(rng));
        }
    }
    return l;
}

static double latency_of(const law *l, const tl_choice *design, int n_slots, tl_rng *rng)
{
    double sum = 1;
    for (int s = 0; s < n_slots; s++) {
        sum += design[s] == TL_CHOICE_ABSENT ? 0 : l->weight[s][design[s] % 16];
    }
    return l->level * sum * exp(.03 * tl_rng_normal(rng));
}

/*
 * A table of n devices from number first on, over n_rows designs of the space that begin
 * anywhere. Which of them a device has is a chance of its own.
 */
static tl_table make_table(const fill *f, uint32_t first, int n, int n_rows)
{
    tl_table t = {.n = n_rows, .n_slots = f->n_slots, .n_columns = n};
    size_t row_bytes = (size_t)f->n_slots * sizeof(tl_choice);
    t.designs = tl_bench_array(n_rows, row_bytes);
    t.columns = tl_bench_array(n, sizeof *t.columns);
    t.values = tl_bench_array(n_rows * n, sizeof *t.values);
    t.names = tl_bench_array(n, TL_NAME_MAX_BYTES + 1);
    int *scratch = tl_bench_array(n_rows, sizeof *scratch);
    int *rows = tl_bench_array(f->n_measured, sizeof *rows);
    int offset = (int)(first % (uint32_t)f->n_designs);
    for (int i = 0; i < n_rows; i++) {
        memcpy(
            t.designs + (size_t)i * (size_t)f->n_slots,
            f->designs + (size_t)((offset + i) % f->n_designs) * (size_t)f->n_slots, row_bytes);
    }
    for (int i = 0; i < n_rows * n; i++) {
        t.values[i] = TL_UNKNOWN;
    }
    for (int c = 0; c < n; c++) {
        char *name = t.names + (size_t)c * (TL_NAME_MAX_BYTES + 1);
        tl_rng rng;
        tl_rng_init(&rng, first + (uint32_t)c);
        law l = draw_law(&rng);
        tl_million_name(first + (uint32_t)c, name);
        t.columns[c] = (tl_table_column){.metric = TL_METRIC_LATENCY_MS, .name = name};
        tl_rng_choose(&rng, n_rows, f->n_measured, scratch, rows);
        for (int k = 0; k < f->n_measured; k++) {
            const tl_choice *design = t.designs + (size_t)rows[k] * (size_t)f->n_slots;
            t.values[(size_t)rows[k] * (size_t)n + (size_t)c] =
                latency_of(&l, design, f->n_slots, &rng);
        }
    }
    tl_mem_free(rows);
    tl_mem_free(scratch);
    return t;
}

static void load_space(const char *spaces, fill *f)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s.yaml", spaces, space_name);
    tl_bench_check(tl_space_load(path, &f->space), path);
    f->n_slots = tl_space_n_slots(f->space);
    tl_bench_check(
        tl_space_enumerate(f->space, 1 << 20, &f->designs, &f->n_designs), space_name);
}

static int run_fill(char **args)
{
    enum {
        FEW_ROWS = 8 * BATCH /* designs of a batch */
    };
    fill f = {.n_measured = (int)strtol(args[4], NULL, 10)};
    uint32_t n_devices = (uint32_t)strtoul(args[3], NULL, 10);
    load_space(args[1], &f);
    load_catalogue(args[2], &f);
    int n_rows = f.n_measured < FEW_ROWS ? FEW_ROWS : f.n_designs;
    f.n_measured = f.n_measured < n_rows ? f.n_measured : n_rows;
    tl_bench_check(tl_store_open(args[0], 0, &f.store), args[0]);
    tl_bench_check(tl_registry_open(f.store, args[2], &f.registry), args[2]);
    int64_t started_ns = tl_clock_ns();
    for (uint32_t first = 0; first < n_devices; first += BATCH) {
        uint32_t left = n_devices - first;
        batch b = {.fill = &f, .first = first, .n = left < BATCH ? (int)left : BATCH};
        tl_table table = make_table(&f, first, b.n, n_rows);
        tl_import_report report;
        tl_bench_check(
            tl_columns_import(f.store, f.space, &table, register_batch, &b, &report), "import");
        tl_table_done(&table);
    }
    double seconds = (double)(tl_clock_ns() - started_ns) / (double)TL_NS_PER_S;
    printf("devices\tseconds\n%u\t%.3f\n", n_devices, seconds);
    tl_registry_close(f.registry);
    tl_store_close(f.store);
    tl_mem_free(f.designs);
    tl_space_unref(f.space);
    return 0;
}

/* ---- texts ----------------------------------------------------------------------------------- */

static int run_names(char **args)
{
    uint32_t n = (uint32_t)strtoul(args[0], NULL, 10);
    uint32_t count = (uint32_t)strtoul(args[1], NULL, 10);
    for (uint32_t i = 0; i < count && i < n; i++) {
        char name[TL_NAME_MAX_BYTES + 1];
        tl_million_name((uint32_t)((uint64_t)i * n / count), name);
        puts(name);
    }
    return 0;
}

static int run_table(char **args)
{
    fill f = {.n_measured = N_MEASURED};
    tl_text line = {0};
    load_space(args[0], &f);
    uint32_t first = (uint32_t)strtoul(args[1], NULL, 10);
    int n = (int)strtol(args[2], NULL, 10);
    int n_rows = (int)strtol(args[3], NULL, 10);
    tl_table t = make_table(&f, first, n, n_rows < N_MEASURED ? N_MEASURED : n_rows);
    tl_table_add_slots(f.space, &line);
    for (int c = 0; c < n; c++) {
        tl_text_addf(&line, ",latency_ms@%s", t.columns[c].name);
    }
    for (int i = 0; i < t.n; i++) {
        tl_text_add(&line, "\n");
        tl_table_add_design(f.space, t.designs + (size_t)i * (size_t)t.n_slots, &line);
        for (int c = 0; c < n; c++) {
            double value = t.values[(size_t)i * (size_t)n + (size_t)c];
            tl_text_add(&line, ",");
            if (!isnan(value)) {
                tl_text_addf(&line, "%.6g", value);
            }
        }
        tl_bench_check(tl_text_err(&line), "a table");
        (void)fwrite(line.data, 1, line.len, stdout);
        tl_text_clear(&line);
    }
    (void)putchar('\n');
    tl_text_done(&line);
    tl_table_done(&t);
    tl_mem_free(f.designs);
    tl_space_unref(f.space);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "fill") == 0) {
        return run_fill(argv + 2);
    }
    if (argc == 4 && strcmp(argv[1], "names") == 0) {
        return run_names(argv + 2);
    }
    if (argc == 6 && strcmp(argv[1], "table") == 0) {
        return run_table(argv + 2);
    }
    if (argc == 6 && strcmp(argv[1], "ask") == 0) {
        return tl_million_ask(
            argv[2], argv[4], (uint32_t)strtoul(argv[3], NULL, 10),
            (int)strtol(argv[5], NULL, 10));
    }
    (void)fprintf(
        stderr, "bench_million fill|ask|names|table ...: the file's head says more\n");
    return 2;
}
