/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/agent/designs.h"

#include "base/csv.h"
#include "base/text.h"

#include <stdbool.h>

/* The group being gathered. */
typedef struct walk {
    tl_design_group_fn *on_group;
    void *context;
    int group_rows;
    bool has_header;
    tl_text header, group;
    long line; /* the next line of group */
    int n_rows, n_done;
} walk;

static void add_record(tl_text *text, const tl_csv_record *record)
{
    for (size_t i = 0; i < record->n_fields; i++) {
        tl_csv_add(text, record->fields[i]);
    }
    tl_csv_end(text);
}

static tl_err finish_group(walk *w)
{
    TL_TRY(tl_text_err(&w->header));
    TL_TRY(tl_text_err(&w->group));
    tl_design_group group = {
        .csv = w->group.data,
        .len = w->group.len,
        .n_rows = w->n_rows,
        .first_row = w->n_done,
    };
    w->n_done += w->n_rows;
    w->n_rows = 0;
    return w->on_group(w->context, &group);
}

static tl_err take_record(void *context, const tl_csv_record *record)
{
    walk *w = context;
    if (!w->has_header) {
        w->has_header = true;
        add_record(&w->header, record);
        return TL_OK;
    }
    if (w->n_rows == 0) {
        tl_text_clear(&w->group);
        tl_text_add_bytes(&w->group, w->header.data, w->header.len);
        w->line = 2;
    }
    for (; w->line < record->line; w->line++) {
        tl_text_add(&w->group, "\n");
    }
    add_record(&w->group, record);
    w->line++;
    w->n_rows++;
    return w->n_rows == w->group_rows ? finish_group(w) : TL_OK;
}

tl_err tl_designs_walk(
    const char *csv, size_t len, int group_rows, tl_design_group_fn *on_group, void *context)
{
    walk w = {.on_group = on_group, .context = context, .group_rows = group_rows};
    tl_err err = tl_csv_read(csv, len, NULL, take_record, &w);
    if (err == TL_OK && w.n_rows > 0) {
        err = finish_group(&w);
    }
    if (err == TL_OK && w.n_done == 0) {
        err = tl_fail(TL_EINVAL, "no designs");
    }
    tl_text_done(&w.header);
    tl_text_done(&w.group);
    return err;
}
