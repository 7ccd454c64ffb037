/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_DAEMON_CHAIN_H
#define TL_TESTS_DAEMON_CHAIN_H

/*
 * A small world: the space toy, a chain of blocks of four options each, and every design of it
 * measured on two devices.
 */

#include "tests/daemon/serving.h"

#include "base/text.h"

#define TL_CHAIN_YAML(blocks)                                        \
    "name: toy\nkind: chain\ninput: {channels: 8, size: 8}\n"        \
    "slot: b{block}\nstages: [{channels: 8, blocks: " #blocks "}]\n" \
    "options:\n"                                                     \
    "  - {name: one, ops: [{op: conv, out: out, kernel: 1}]}\n"      \
    "  - {name: three, ops: [{op: conv, out: out, kernel: 3}]}\n"    \
    "  - {name: five, ops: [{op: conv, out: out, kernel: 5}]}\n"     \
    "  - {name: thin, ops: [{op: depthwise, kernel: 3}]}\n"

/* Adds the space of TL_CHAIN_YAML(); the caller has a reference. */
tl_space *tl_chain_add(tl_engine *engine, const char *yaml);

/* Every design of the space, one row each, measured on two devices. */
tl_text tl_chain_table(const tl_space *space, const char *one, const char *other);

/* Stores such a table. */
void tl_chain_measure(
    tl_engine *engine, const tl_space *space, const char *one, const char *other);

#endif
