/* SPDX-License-Identifier: Apache-2.0 */

/* A measurement table and a list of designs, fed in pieces of various lengths. */

#include "measurements/table.h"
#include "tests/fuzz/fuzz.h"

enum {
    MAX_ROWS = 100000
};

static void parse(const tl_space *space, tl_table_mode mode, const uint8_t *data, size_t size)
{
    tl_table_options options = {.mode = mode, .max_rows = MAX_ROWS};
    tl_table_parser *parser = NULL;
    tl_table table = {0};
    tl_err err = tl_table_parser_new(space, "fuzz.csv", &options, &parser);
    tl_fuzz_check(err == TL_OK, "a parser");
    size_t step = 1 + size % 61;
    for (size_t at = 0; at < size && err == TL_OK; at += step) {
        err = tl_table_parser_feed(parser, data + at, size - at < step ? size - at : step);
    }
    if (err == TL_OK && tl_table_parser_finish(parser, &table) == TL_OK) {
        tl_table_done(&table);
    }
    tl_table_parser_free(parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const tl_space *cells = tl_fuzz_space("nasbench201");
    const tl_space *chain = tl_fuzz_space("fbnet");
    size_t before = tl_fuzz_blocks();
    parse(cells, TL_TABLE_IMPORT, data, size);
    parse(cells, TL_TABLE_DESIGNS, data, size);
    parse(chain, TL_TABLE_IMPORT, data, size);
    tl_fuzz_check_blocks(before);
    return 0;
}
