/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "device-profiles/profile_yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const tables[] = {"nasbench201.csv",   "fbnet.csv",
                                     "mobilenetv3.csv",   "mnasnet.csv",
                                     "mobilenet-zoo.csv", "bitfusion-layers.csv"};

enum {
    MAX_FILE_BYTES = 64 << 20,
    PATH_BYTES = 700
};

static void catalogue_path(const char *name, const char *suffix, char out[PATH_BYTES])
{
    (void)snprintf(
        out, PATH_BYTES, "%s/device-profiles/catalogue/%s%s", tl_test_source_dir(), name,
        suffix);
}

static void every_shipped_profile_loads_and_its_file_has_its_name(void **state)
{
    (void)state;
    char dir[PATH_BYTES];
    tl_file_list files = {0};
    catalogue_path("", "", dir);
    assert_ok(tl_file_list_init(&files, dir, ".yaml"));
    assert_true(files.n_names >= 60);
    for (size_t i = 0; i < files.n_names; i++) {
        char path[PATH_BYTES];
        char wanted[PATH_BYTES];
        tl_profile profile = {0};
        catalogue_path(files.names[i], "", path);
        assert_ok(tl_profile_load_yaml(path, &profile));
        (void)snprintf(wanted, sizeof wanted, "%s.yaml", profile.name);
        assert_string_equal(wanted, files.names[i]);
        assert_int_not_equal(profile.device_class, TL_DEVICE_UNKNOWN);
        assert_string_not_equal(profile.description, "");
    }
    tl_file_list_done(&files);
}

/* A figure without a source is an invention. */
static void every_figure_has_a_source(void **state)
{
    (void)state;
    char dir[PATH_BYTES];
    tl_file_list files = {0};
    catalogue_path("", "", dir);
    assert_ok(tl_file_list_init(&files, dir, ".yaml"));
    for (size_t i = 0; i < files.n_names; i++) {
        char path[PATH_BYTES];
        tl_profile p = {0};
        double figures = 0;
        catalogue_path(files.names[i], "", path);
        assert_ok(tl_profile_load_yaml(path, &p));
        for (int j = 0; j < TL_N_PRECISIONS; j++) {
            figures += p.peak_gflops[j];
        }
        for (int j = 0; j < TL_N_MEMORIES; j++) {
            figures += p.bandwidth_gb_per_s[j];
        }
        figures += p.cores + p.clock_mhz + p.busy_w + p.weight_bits.n;
        if (figures > 0 && p.source[0] == '\0') {
            fail_msg("%s has figures but no source", files.names[i]);
        }
    }
    tl_file_list_done(&files);
}

/* "_32" at the end of a column's device is its batch; "pixel2" has none. */
static int batch_of(const char *device)
{
    const char *end = strrchr(device, '_');
    bool is_gpu = strstr(device, "ti_") != NULL || strstr(device, "titan") != NULL;
    return is_gpu && end != NULL ? (int)strtol(end + 1, NULL, 10) : 0;
}

static void check_column(const char *table, const char *column)
{
    char path[PATH_BYTES];
    tl_profile profile = {0};
    const char *at = strchr(column, '@');
    if (at == NULL || strncmp(column, "accuracy@", 9) == 0) {
        return;
    }
    catalogue_path(at + 1, ".yaml", path);
    if (tl_profile_load_yaml(path, &profile) != TL_OK) {
        fail_msg("%s, column %s: %s", table, column, tl_err_detail());
    }
    if (batch_of(at + 1) > 0) {
        assert_int_equal(profile.batch, batch_of(at + 1));
    }
}

static void every_device_of_the_public_tables_has_a_profile(void **state)
{
    (void)state;
    const char *dir = tl_test_data_dir();
    if (dir == NULL) {
        skip();
    }
    for (size_t i = 0; i < TL_COUNT(tables); i++) {
        char path[PATH_BYTES];
        char *csv = NULL;
        size_t len = 0;
        char *rest = NULL;
        (void)snprintf(path, sizeof path, "%s/%s", dir, tables[i]);
        assert_ok(tl_file_read(path, MAX_FILE_BYTES, &csv, &len));
        csv[strcspn(csv, "\r\n")] = '\0';
        for (char *c = strtok_r(csv, ",", &rest); c != NULL; c = strtok_r(NULL, ",", &rest)) {
            check_column(tables[i], c);
        }
        tl_mem_free(csv);
    }
}

static void every_key_is_documented_with_its_range(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    char *doc = NULL;
    size_t len = 0;
    (void)snprintf(path, sizeof path, "%s/docs/device-profiles.md", tl_test_source_dir());
    assert_ok(tl_file_read(path, MAX_FILE_BYTES, &doc, &len));
    for (size_t i = 0; i < TL_N_PROFILE_KEYS; i++) {
        const tl_profile_key *key = &tl_profile_keys[i];
        char row[128];
        char range[64];
        const char *dot = key->section[0] == '\0' ? "" : ".";
        (void)snprintf(row, sizeof row, "| `%s%s%s` |", key->section, dot, key->name);
        const char *at = strstr(doc, row);
        if (at == NULL) {
            fail_msg("docs/device-profiles.md has no row %s", row);
        } else if (key->kind >= TL_KEY_COUNT) {
            (void)snprintf(range, sizeof range, "| %.9g to %.9g |", key->low, key->high);
            const char *found = strstr(at, range);
            if (found == NULL || found > at + strcspn(at, "\n")) {
                fail_msg("docs/device-profiles.md: row %s does not say %s", row, range);
            }
        }
    }
    tl_mem_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shipped_profile_loads_and_its_file_has_its_name),
        cmocka_unit_test(every_figure_has_a_source),
        cmocka_unit_test(every_device_of_the_public_tables_has_a_profile),
        cmocka_unit_test(every_key_is_documented_with_its_range),
    };
    return cmocka_run_group_tests_name(
        "device-profiles/catalogue", tests, tl_test_count_blocks, tl_test_no_leaks);
}
