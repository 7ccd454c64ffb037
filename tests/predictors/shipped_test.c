/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"
#include "measurements/table.h"
#include "predictors/accuracy_bits.h"
#include "predictors/features.h"
#include "predictors/model.h"
#include "predictors/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_TABLE_BYTES = 64 * 1024 * 1024
};

/* The public tables that each shipped model was trained from. */
static const struct {
    const char *space, *table;
} trained_from[] = {
    {"nasbench201",   "nasbench201.csv"       },
    {"nasbench201",   "nasbench201-qat50.csv" },
    {"nasbench201",   "nasbench201-qat150.csv"},
    {"nasbench201",   "nasbench201-int8.csv"  },
    {"nasbench201",   "nasbench201-analog.csv"},
    {"mnasnet",       "mnasnet.csv"           },
    {"mobilenet-zoo", "mobilenet-zoo.csv"     },
    {"fbnet",         "fbnet.csv"             },
};

static tl_space *load_space(const char *name)
{
    tl_space *space = NULL;
    tl_text path = {0};
    tl_text_addf(&path, "%s/spaces/%s.yaml", tl_test_source_dir(), name);
    assert_ok(tl_space_load(path.data, &space));
    tl_text_done(&path);
    return space;
}

static tl_model *load_model(tl_space *space, const char *name)
{
    char *data = NULL;
    size_t len = 0;
    tl_model *model = NULL;
    tl_features *features = NULL;
    tl_text path = {0};
    tl_text_addf(&path, "%s/models/%s.tlm", tl_test_source_dir(), name);
    assert_ok(tl_file_read(path.data, TL_MODEL_MAX_BYTES, &data, &len));
    assert_ok(tl_features_new(space, &features));
    assert_ok(
        tl_model_unpack(space, tl_features_n_source(features), data, len, path.data, &model));
    tl_features_free(features);
    tl_mem_free(data);
    tl_text_done(&path);
    return model;
}

static int n_measured(const tl_table *table, int column)
{
    int n = 0;
    for (int i = 0; i < table->n; i++) {
        n += !isnan(table->values[(ptrdiff_t)i * table->n_columns + column]);
    }
    return n;
}

/* What was measured often enough to learn from stands in the model under its exact name. */
static void assert_holds(const tl_model *model, const tl_table *table, int column)
{
    const tl_table_column *c = &table->columns[column];
    int n = n_measured(table, column);
    bool is_task = c->metric == TL_METRIC_ACCURACY;
    if (n < (is_task ? (int)TL_TRAIN_MIN_TASK_ROWS : (int)TL_TRAIN_MIN_DEVICE_ROWS)) {
        return;
    }
    bool is_held = false;
    if (is_task) {
        int output = -1;
        const tl_accuracy_model *accuracy = tl_model_task_find(model, c->name, &output);
        is_held = accuracy != NULL && tl_accuracy_model_n_labels(accuracy, output) == n;
    } else {
        tl_cost cost = c->metric == TL_METRIC_ENERGY_MJ ? TL_COST_ENERGY : TL_COST_LATENCY;
        is_held = tl_model_source_find(model, c->name, cost) != NULL;
    }
    if (!is_held) {
        fail_msg("the model of %s lacks column %d: %s", model->space, column, c->name);
    }
}

static void tasks_of_quantized_training_know_weight_bits_and_others_do_not(void **state)
{
    (void)state;
    static const struct {
        const char *task;
        bool has_bits;
    } cases[] = {
        {"cifar10",            false},
        {"cifar100",           false},
        {"cifar10-int8-espdl", false},
        {"cifar10-qat50",      true },
        {"cifar10-qat150",     true },
    };
    tl_space *space = load_space("nasbench201");
    tl_model *model = load_model(space, "nasbench201");
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        int output = 0;
        const tl_accuracy_model *accuracy = tl_model_task_find(model, cases[i].task, &output);
        assert_non_null(accuracy);
        if (tl_accuracy_model_has_bits(accuracy) != cases[i].has_bits) {
            fail_msg("%s: weight bits %d", cases[i].task, !cases[i].has_bits);
        }
    }
    tl_model_free(model);
    tl_space_unref(space);
}

static void every_column_of_the_tables_is_in_a_shipped_model(void **state)
{
    (void)state;
    const char *data_dir = tl_test_data_dir();
    if (data_dir == NULL) {
        print_message("there are no measurement tables\n");
        skip();
    }
    for (size_t k = 0; k < TL_COUNT(trained_from); k++) {
        tl_space *space = load_space(trained_from[k].space);
        tl_model *model = load_model(space, trained_from[k].space);
        tl_table table = {0};
        char *data = NULL;
        size_t len = 0;
        tl_text path = {0};
        tl_text_addf(&path, "%s/%s", data_dir, trained_from[k].table);
        assert_ok(tl_file_read(path.data, MAX_TABLE_BYTES, &data, &len));
        assert_ok(tl_table_parse(space, path.data, NULL, data, len, &table));
        assert_true(table.n_columns > 0);
        for (int c = 0; c < table.n_columns; c++) {
            assert_holds(model, &table, c);
        }
        tl_table_done(&table);
        tl_mem_free(data);
        tl_text_done(&path);
        tl_model_free(model);
        tl_space_unref(space);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            tasks_of_quantized_training_know_weight_bits_and_others_do_not,
            tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            every_column_of_the_tables_is_in_a_shipped_model, tl_test_count_blocks,
            tl_test_no_leaks),
    };
    return cmocka_run_group_tests_name("predictors/shipped", tests, NULL, NULL);
}
