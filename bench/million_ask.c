/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"
#include "bench/million.h"
#include "bench/public_table.h"
#include "clients/c/tailor.h"

#include <stdlib.h>
#include <string.h>

static const char space[] = "nasbench201";
static const char one_design[] =
    "e01,e02,e12,e03,e13,e23\n"
    "nor_conv_3x3,skip_connect,nor_conv_1x1,none,avg_pool_3x3,nor_conv_3x3\n";

typedef struct asking {
    tailor_client *client;
    uint32_t n_devices;
    int n, i;
    char device[TL_NAME_MAX_BYTES + 1]; /* of this time */
} asking;

static void check(tailor_err err, const char *what)
{
    if (err != TAILOR_OK) {
        (void)fprintf(stderr, "%s: %s\n", what, tailor_err_detail());
        exit(1);
    }
}

/* ---- questions ------------------------------------------------------------------------------- */

static void predict(asking *a)
{
    tailor_answer *answer = NULL;
    tailor_predict_options options = {
        .space = space,
        .device = a->device,
        .designs_csv = one_design,
        .designs_len = sizeof one_design - 1};
    check(tailor_predict(a->client, &options, &answer), a->device);
    tailor_answer_free(answer);
}

static void design(asking *a)
{
    static const double max_latency_ms = 20;
    tailor_answer *answer = NULL;
    tailor_design_options options = {
        .space = space, .device = a->device, .max_latency_ms = &max_latency_ms};
    check(tailor_design(a->client, &options, &answer), a->device);
    tailor_answer_free(answer);
}

static void show(asking *a)
{
    char *yaml = NULL;
    check(tailor_device_show(a->client, a->device, &yaml), a->device);
    tailor_text_free(yaml);
}

static void add(asking *a)
{
    char name[2 * TL_NAME_MAX_BYTES];
    (void)snprintf(name, sizeof name, "new-%s", a->device);
    check(tailor_device_add_bare(a->client, name), name);
}

/* A table in memory, read as it is sent. */
static int read_text(void *context, char *buffer, size_t capacity, size_t *out_len)
{
    tl_text *text = context;
    size_t n = text->len < capacity ? text->len : capacity;
    memcpy(buffer, text->data, n);
    memmove(text->data, text->data + n, text->len - n);
    text->len -= n;
    *out_len = n;
    return 0;
}

/* 20 designs that the device may or may not have. */
static void import(asking *a)
{
    static const char *const ops[] = {
        "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"};
    tailor_import_report *report = NULL;
    tl_text text = {0};
    tl_text_addf(&text, "e01,e02,e12,e03,e13,e23,latency_ms@%s\n", a->device);
    for (int i = 0; i < 20; i++) {
        tl_text_addf(
            &text, "%s,%s,%s,%s,nor_conv_3x3,none,%d.5\n", ops[i % 5], ops[i / 5 % 5],
            ops[(i + a->i) % 5], ops[(i + a->i) / 5 % 5], i + 1);
    }
    tl_bench_check(tl_text_err(&text), "a table");
    check(
        tailor_measure_import(a->client, space, "twenty.csv", read_text, &text, &report),
        a->device);
    tailor_import_report_free(report);
    tl_text_done(&text);
}

static void export(asking *a)
{
    tailor_table *table = NULL;
    check(tailor_measure_export(a->client, space, a->device, &table), a->device);
    tailor_table_free(table);
}

static void status(asking *a)
{
    tailor_table *table = NULL;
    check(tailor_status(a->client, &table), "status");
    tailor_table_free(table);
}

/* A name with one letter wrong: the answer says which is nearest. */
static void unknown(asking *a)
{
    char *yaml = NULL;
    a->device[9] = 'z';
    if (tailor_device_show(a->client, a->device, &yaml) != TAILOR_ENOTFOUND) {
        check(TAILOR_EINVAL, "a device of the wrong name");
    }
}

static void proxy(asking *a)
{
    tailor_answer *answer = NULL;
    tailor_proxy_options options = {.space = space, .device = a->device};
    check(tailor_proxy(a->client, &options, &answer), a->device);
    tailor_answer_free(answer);
}

static const struct question {
    const char *name;
    void (*ask)(asking *a);
    bool is_one_device; /* the same each time */
} questions[] = {
    {"predict, a device for the first time", predict, false},
    {"predict, a device again",              predict, true },
    {"design, a device for the first time",  design,  false},
    {"design, a device again",               design,  true },
    {"proxy, a device for the first time",   proxy,   false},
    {"show",                                 show,    false},
    {"a name that is not known",             unknown, false},
    {"status",                               status,  true },
    {"export of a device",                   export,  false},
    {"add",                                  add,     false},
    {"import of 20 measurements",            import,  false},
};

/* ---- times ------------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The devices asked about are spread over all of them, others for each question. */
static void choose_device(asking *a, const struct question *q, int number)
{
    uint64_t step = q->is_one_device ? 0 : (uint64_t)a->i;
    uint64_t i = (step * 7919 + (uint64_t)number * 104729) % a->n_devices;
    tl_million_name((uint32_t)i, a->device);
}

int tl_million_ask(const char *endpoint, const char *question, uint32_t n_devices, int n)
{
    asking a = {.n_devices = n_devices, .n = n};
    tailor_options options = {
        .endpoint = endpoint, .timeout_ms = 60000, .name = "bench_million"};
    int number = 0;
    while (number < (int)TL_COUNT(questions) && strcmp(questions[number].name, question) != 0) {
        number++;
    }
    if (number == (int)TL_COUNT(questions) || n < 1) {
        return 2;
    }
    const struct question *q = &questions[number];
    double *ms = tl_bench_array(n, sizeof *ms);
    check(tailor_open(&options, &a.client), endpoint);
    if (q->is_one_device) {
        choose_device(&a, q, number);
        q->ask(&a); /* the first time is another question */
    }
    for (a.i = 0; a.i < n; a.i++) {
        choose_device(&a, q, number);
        int64_t started_ns = tl_clock_ns();
        q->ask(&a);
        ms[a.i] = (double)(tl_clock_ns() - started_ns) / (double)TL_NS_PER_MS;
    }
    qsort(ms, (size_t)n, sizeof *ms, by_value);
    printf("%s\t%d\t%.3f\t%.3f\t%.3f\n", q->name, n, ms[n / 2], ms[n - 1 - n / 100], ms[n - 1]);
    tailor_close(a.client);
    tl_mem_free(ms);
    return 0;
}
