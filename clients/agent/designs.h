/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_AGENT_DESIGNS_H
#define TL_CLIENTS_AGENT_DESIGNS_H

/*
 * A file of designs in groups, each a CSV text of its own: the header, then the
 * group's rows on the lines that they had in the file, so that an error that
 * names a line is right.
 */

#include "base/err.h"

#include <stddef.h>

/* One group, borrowed during the call. */
typedef struct tl_design_group {
    const char *csv;
    size_t len;
    int n_rows;
    int first_row; /* from 0 */
} tl_design_group;

typedef tl_err tl_design_group_fn(void *context, const tl_design_group *group);

/*
 * Hands the rows of csv to on_group, at most group_rows at a time. Anything but
 * TL_OK from it ends the walk and becomes the result. Fails with TL_EINVAL on
 * what is no CSV or has no row.
 */
TL_MUST_USE tl_err tl_designs_walk(
    const char *csv, size_t len, int group_rows, tl_design_group_fn *on_group, void *context);

#endif
