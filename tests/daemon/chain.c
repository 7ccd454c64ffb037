/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/daemon/chain.h"

#include "measurements/columns.h"

#include <string.h>

enum {
    N_OPTIONS = 4
};

tl_space *tl_chain_add(tl_engine *engine, const char *yaml)
{
    tl_space *space = NULL;
    assert_ok(tl_space_parse(yaml, strlen(yaml), "toy.yaml", &space));
    assert_ok(tl_engine_space_add(engine, space));
    return space;
}

tl_text tl_chain_table(const tl_space *space, const char *one, const char *other)
{
    static const char *const options[N_OPTIONS] = {"one", "three", "five", "thin"};
    static const int work[N_OPTIONS] = {2, 8, 18, 3};
    tl_text csv = {0};
    int n_slots = tl_space_n_slots(space);
    int n_designs = 1;
    for (int slot = 0; slot < n_slots; slot++) {
        tl_text_addf(&csv, "b%d,", slot + 1);
        n_designs *= N_OPTIONS;
    }
    tl_text_addf(&csv, "latency_ms@%s,latency_ms@%s\n", one, other);
    for (int i = 0; i < n_designs; i++) {
        int sum = 0;
        for (int slot = 0, rest = i; slot < n_slots; slot++, rest /= N_OPTIONS) {
            tl_text_addf(&csv, "%s,", options[rest % N_OPTIONS]);
            sum += work[rest % N_OPTIONS];
        }
        tl_text_addf(&csv, "%d,%d\n", sum, 3 * sum + 1);
    }
    assert_ok(tl_text_err(&csv));
    return csv;
}

void tl_chain_measure(
    tl_engine *engine, const tl_space *space, const char *one, const char *other)
{
    tl_text csv = tl_chain_table(space, one, other);
    tl_table table = {0};
    tl_import_report report;
    assert_ok(tl_table_parse(space, "t.csv", NULL, csv.data, csv.len, &table));
    assert_ok(tl_columns_import(tl_engine_store(engine), space, &table, NULL, NULL, &report));
    tl_table_done(&table);
    tl_text_done(&csv);
}
