/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_MEASUREMENTS_CELL_SPACE_H
#define TL_TESTS_MEASUREMENTS_CELL_SPACE_H

/* The space that these tests use: nasbench201, six edges, six optional weight bits. */

#include "tests/support/test.h"

#include "measurements/table.h"
#include "spaces/space.h"

#include <stdio.h>
#include <string.h>

#define HEADER "e01,e02,e12,e03,e13,e23"

/* Four designs, as text; the last has a single convolution, on edge 01. */
#define CELL_A "none,skip_connect,nor_conv_1x1,nor_conv_3x3,avg_pool_3x3,none"
#define CELL_B "nor_conv_3x3,nor_conv_3x3,nor_conv_3x3,nor_conv_3x3,nor_conv_3x3,nor_conv_3x3"
#define CELL_C "skip_connect,none,skip_connect,none,none,skip_connect"
#define CELL_D "nor_conv_3x3,none,skip_connect,none,none,skip_connect"

static inline tl_space *load_space(const char *name)
{
    char path[600];
    tl_space *space = NULL;
    (void)snprintf(path, sizeof path, "%s/spaces/%s.yaml", tl_test_source_dir(), name);
    assert_ok(tl_space_load(path, &space));
    return space;
}

/* The same name and slots, another network: its measurements mean something else. */
static inline tl_space *another_space(const tl_space *space)
{
    tl_space *other = NULL;
    tl_text yaml = {0};
    const char *text = tl_space_yaml(space);
    const char *size = strstr(text, "size: 32");
    assert_non_null(size);
    tl_text_add_bytes(&yaml, text, (size_t)(size - text));
    tl_text_add(&yaml, "size: 64");
    tl_text_add(&yaml, size + strlen("size: 32"));
    assert_ok(tl_space_parse(yaml.data, yaml.len, "other", &other));
    tl_text_done(&yaml);
    return other;
}

static inline tl_err parse(
    const tl_space *space, tl_table_mode mode, const char *csv, tl_table *out_table)
{
    const tl_table_options options = {.mode = mode};
    return tl_table_parse(space, "t.csv", &options, csv, strlen(csv), out_table);
}

#endif
