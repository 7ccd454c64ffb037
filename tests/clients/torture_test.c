/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Calls of libtailor with their allocations refused in turn, against a server in this
 * process, whose own threads get all the memory that they want.
 */
#include "tests/daemon/serving.h"
#include "tests/support/torture.h"

#include "base/mem.h"
#include "clients/c/tailor.h"
#include "daemon/backups.h"

#include <stdio.h>
#include <string.h>

static tl_engine *engine;
static tl_serving serving;
static tailor_client *client;
static uint64_t job_id;

static const char designs_csv[] = "e01,e02,e12,e03,e13,e23\n"
                                  "nor_conv_3x3,none,none,none,none,none\n";
static const char rows_csv[] = "e01,e02,e12,e03,e13,e23,latency_ms@rig\n"
                               "none,none,none,none,none,none,1.1\n";
static const char yaml[] =
    "name: bench9\nclass: cpu\ncores: 4\nclock_mhz: 1500\npeak_gflops: {fp32: 48}\n"
    "bandwidth_gb_per_s: {dram: 4}\n";
/* ---- the calls: what they answer is released at once --------------------------------------- */

static tailor_err open_and_close(void)
{
    tailor_client *another = NULL;
    tailor_options options = {.endpoint = serving.endpoint, .name = "torture"};
    tailor_err err = tailor_open(&options, &another);
    if (err == TAILOR_OK) {
        err = tailor_device_remove(another, "nobody");
        err = err == TAILOR_ENOTFOUND ? TAILOR_OK : err;
    }
    tailor_close(another);
    return err;
}

static tailor_err show_space(void)
{
    char *text = NULL;
    tailor_err err = tailor_space_show(client, "nasbench201", &text);
    tailor_text_free(text);
    return err;
}

static tailor_err list_spaces(void)
{
    tailor_table *table = NULL;
    tailor_err err = tailor_space_list(client, &table);
    tailor_table_free(table);
    return err;
}

static tailor_err lower(void)
{
    tailor_lowered *lowered = NULL;
    tailor_err err = tailor_space_lower(
        client, "nasbench201", "d.csv", designs_csv, strlen(designs_csv), &lowered);
    tailor_lowered_free(lowered);
    return err;
}

static tailor_err add_device(void)
{
    char *name = NULL;
    tailor_err err = tailor_device_add(client, "b.yaml", yaml, sizeof yaml - 1, &name);
    tailor_text_free(name);
    return err;
}

static int read_rows(void *context, char *buffer, size_t capacity, size_t *out_len)
{
    int *n_left = context;
    assert_true(capacity >= sizeof rows_csv);
    memcpy(buffer, rows_csv, sizeof rows_csv);
    *out_len = (*n_left)-- > 0 ? sizeof rows_csv - 1 : 0;
    return 0;
}

static tailor_err import(void)
{
    int n_left = 1;
    tailor_import_report *report = NULL;
    tailor_err err =
        tailor_measure_import(client, "nasbench201", "r.csv", read_rows, &n_left, &report);
    tailor_import_report_free(report);
    return err;
}

static tailor_err export(void)
{
    tailor_table *table = NULL;
    tailor_err err = tailor_measure_export(client, "nasbench201", NULL, &table);
    tailor_table_free(table);
    return err;
}

static tailor_err suggest(void)
{
    tailor_table *table = NULL;
    tailor_suggest_options options = {
        .space = "nasbench201",
        .device = "bench9",
        .count = 1,
        .candidates_csv = designs_csv,
        .candidates_len = strlen(designs_csv)};
    tailor_err err = tailor_measure_suggest(client, &options, &table);
    tailor_table_free(table);
    return err;
}

static tailor_err predict(void)
{
    tailor_answer *answer = NULL;
    tailor_predict_options options = {
        .space = "nasbench201",
        .device = "bench9",
        .designs_csv = designs_csv,
        .designs_len = strlen(designs_csv)};
    tailor_err err = tailor_predict(client, &options, &answer);
    tailor_answer_free(answer);
    return err;
}

static tailor_err design(void)
{
    tailor_answer *answer = NULL;
    tailor_design_options options = {
        .space = "nasbench201", .device = "bench9", .minimize = "latency_ms", .explain = 1};
    tailor_err err = tailor_design(client, &options, &answer);
    tailor_answer_free(answer);
    return err;
}

static tailor_err ask_status(void)
{
    tailor_table *table = NULL;
    tailor_err err = tailor_status(client, &table);
    tailor_table_free(table);
    return err;
}

/* Refused for what is stored, by way of progress and a report. */
static tailor_err evaluate(void)
{
    tailor_evaluation *evaluation = NULL;
    tailor_evaluate_options options = {.space = "nasbench201"};
    tailor_err err = tailor_evaluate(client, &options, &evaluation);
    tailor_evaluation_free(evaluation);
    return err;
}

static tailor_err train(void)
{
    tailor_train_report *report = NULL;
    tailor_train_options options = {.space = "nasbench201", .effort = "none"};
    tailor_err err = tailor_train(client, &options, &report);
    tailor_train_report_free(report);
    return err;
}

static tailor_err start_training(void)
{
    tailor_train_options options = {.space = "nasbench201", .effort = "none"};
    return tailor_train_start(client, &options, &job_id);
}

/* Nobody runs jobs here: one that was taken out of the queue has ended. */
static tailor_err follow(void)
{
    tailor_job *job = NULL;
    tailor_train_report *report = NULL;
    tailor_follow_options options = {.job_id = job_id};
    tailor_err err = tailor_job_follow(client, &options, &job);
    if (err == TAILOR_OK) {
        assert_int_not_equal(tailor_job_train_report(job, &report), TAILOR_OK);
    }
    tailor_job_free(job);
    return err;
}

static tailor_err list_jobs(void)
{
    tailor_table *table = NULL;
    tailor_err err = tailor_job_list(client, &table);
    tailor_table_free(table);
    return err;
}

static tailor_err show_models(void)
{
    tailor_table *table = NULL;
    tailor_err err = tailor_model_list(client, &table);
    tailor_table_free(table);
    return err;
}

static uint64_t last_backup_id; /* of those that the test began itself */

static int count_bytes(void *context, const uint8_t *data, size_t len)
{
    uint64_t *n = context;
    (void)data;
    *n += len;
    return 0;
}

static tailor_err back_up(void)
{
    uint64_t n_written = 0;
    uint64_t n_bytes = 0;
    tailor_err err = tailor_backup(client, count_bytes, &n_written, &n_bytes);
    assert_true(err != TAILOR_OK || (n_bytes > 0 && n_bytes == n_written));
    return err;
}

/* A reply that there was no memory for has left its backup open; four of them are too many. */
static void end_backups(void *context)
{
    tl_backups *backups = tl_engine_backups(engine);
    uint64_t about_bytes = 0;
    (void)context;
    for (uint64_t id = last_backup_id + 1; id <= last_backup_id + TL_BACKUPS_MAX; id++) {
        tl_err err = tl_backups_end(backups, id);
        assert_true(err == TL_OK || err == TL_ENOTFOUND);
    }
    assert_ok(tl_backups_begin(backups, &last_backup_id, &about_bytes));
    assert_ok(tl_backups_end(backups, last_backup_id));
}

/* ---- torture ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    tailor_err (*run)(void);
} calls[] = {
    {"tailor_open",            open_and_close},
    {"tailor_device_add",      add_device    },
    {"tailor_space_show",      show_space    },
    {"tailor_space_list",      list_spaces   },
    {"tailor_space_lower",     lower         },
    {"tailor_measure_import",  import        },
    {"tailor_measure_export",  export        },
    {"tailor_measure_suggest", suggest       },
    {"tailor_predict",         predict       },
    {"tailor_design",          design        },
    {"tailor_status",          ask_status    },
    {"tailor_train_start",     start_training},
    {"tailor_train",           train         },
    {"tailor_evaluate",        evaluate      },
    {"tailor_job_follow",      follow        },
    {"tailor_job_list",        list_jobs     },
    {"tailor_model_list",      show_models   },
    {"tailor_backup",          back_up       },
};

static tl_err run_call(void *context)
{
    const size_t *i = context;
    return (tl_err)calls[*i].run(); /* the numbers are those of the wire */
}

/* Too much at once, or too little to learn from. */
static bool is_no_matter(tl_err err)
{
    return err == TL_EBUSY || err == TL_ESTATE || err == TL_EINVAL;
}

static bool is_refusal(size_t i)
{
    return calls[i].run == start_training || calls[i].run == train || calls[i].run == evaluate;
}

static void every_call_survives_every_refusal(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_COUNT(calls); i++) {
        tl_test_ordeal ordeal = {
            .name = calls[i].name,
            .run = run_call,
            .context = &i,
            .before = calls[i].run == back_up ? end_backups : NULL,
            .is_fine = is_refusal(i) ? is_no_matter : NULL,
            .keeps = true};
        if (calls[i].run == follow) {
            (void)tailor_job_cancel(client, job_id);
        }
        assert_true(tl_test_torture_ordeal(&ordeal) > 2);
    }
}

static int set_up(void **state)
{
    (void)state;
    engine = tl_test_engine_open(tl_test_new_dir());
    tl_serving_start(&serving, (tl_server_options){.engine = engine, .n_workers = 1});
    tailor_options options = {.endpoint = serving.endpoint, .name = "torture"};
    assert_int_equal(tailor_open(&options, &client), TAILOR_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tailor_close(client);
    tl_serving_stop(&serving);
    tl_engine_close(engine);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_survives_every_refusal),
    };
    (void)tl_test_count_blocks(NULL);
    int n_failed = cmocka_run_group_tests_name("clients/torture", tests, set_up, tear_down);
    return tl_test_no_leaks(NULL) != 0 ? 1 : n_failed;
}
