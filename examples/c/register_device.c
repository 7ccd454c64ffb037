/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Registers a device by what its data sheet says, and asks at once for a network that fits: no
 * measurement is needed for a first answer. Measurements make it better: measure_and_refine.c.
 *
 *     register_device NAME MAX_LATENCY_MS
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tailor.h>

enum {
    PROFILE_BYTES = 512,
    EXIT_NEAREST = 3 /* no design keeps the limit: the nearest one is printed */
};

static int fail(const char *doing)
{
    (void)fprintf(stderr, "register_device: %s: %s\n", doing, tailor_err_detail());
    return EXIT_FAILURE;
}

/* A table as CSV. */
static void print_table(const tailor_table *table)
{
    char cell[TAILOR_CELL_BYTES];
    size_t n_columns = tailor_table_n_columns(table);
    for (size_t c = 0; c < n_columns; c++) {
        (void)printf("%s%s", c > 0 ? "," : "", tailor_table_name(table, c));
    }
    (void)printf("\n");
    for (size_t row = 0; row < tailor_table_n_rows(table); row++) {
        for (size_t c = 0; c < n_columns; c++) {
            (void)printf("%s%s", c > 0 ? "," : "", tailor_table_cell(table, c, row, cell));
        }
        (void)printf("\n");
    }
}

/* What docs/device-profiles.md lists; what is not known is left out. */
static tailor_err register_board(tailor_client *client, const char *name)
{
    char profile[PROFILE_BYTES];
    int len = snprintf(
        profile, sizeof profile,
        "name: %s\nclass: cpu\ncores: 4\nclock_mhz: 1800\n"
        "peak_gflops: {fp32: 57.6}\nbandwidth_gb_per_s: {dram: 12.8}\n",
        name);
    if (len < 0 || len >= PROFILE_BYTES) {
        return TAILOR_EINVAL;
    }
    return tailor_device_add(client, "the program", profile, (size_t)len, NULL);
}

static int design(tailor_client *client, const char *name, double max_latency_ms)
{
    tailor_answer *answer = NULL;
    const tailor_design_options options = {
        .space = "nasbench201", .device = name, .max_latency_ms = &max_latency_ms};
    if (tailor_design(client, &options, &answer) != TAILOR_OK) {
        return fail("the design");
    }
    print_table(answer->table);
    int status = answer->is_infeasible ? EXIT_NEAREST : EXIT_SUCCESS;
    tailor_answer_free(answer);
    for (size_t i = 0; i < tailor_n_warnings(client); i++) {
        (void)fprintf(stderr, "warning: %s\n", tailor_warning(client, i));
    }
    return status;
}

int main(int argc, char **argv)
{
    tailor_client *client = NULL;
    int status = EXIT_FAILURE;
    if (argc != 3) {
        (void)fprintf(stderr, "usage: register_device NAME MAX_LATENCY_MS\n");
        return EXIT_FAILURE;
    }
    if (tailor_open(NULL, &client) != TAILOR_OK) {
        status = fail("the client");
    } else if (register_board(client, argv[1]) != TAILOR_OK) {
        status = fail(argv[1]);
    } else {
        status = design(client, argv[1], strtod(argv[2], NULL));
    }
    tailor_close(client);
    return status;
}
