/* SPDX-License-Identifier: Apache-2.0 */

/* The list of devices, page by page: there may be very many. */

#include "base/text.h"
#include "clients/c/impl.h"

#include <string.h>

enum {
    PAGE_ROWS = 8192
};

typedef Tailor__V1__Table table_msg;

static tl_err ask_page(
    tailor_client *client, const tailor_device_page_options *options, table_msg **out_page)
{
    Tailor__V1__DeviceListRequest request;
    ProtobufCMessage *reply = NULL;
    tailor__v1__device_list_request__init(&request);
    request.prefix = tl_client_string(options->prefix);
    request.after = tl_client_string(options->after);
    request.limit = options->limit;
    tl_exchange exchange = {
        .method = "device.list",
        .request = (ProtobufCMessage *)&request,
        .reply_type = &tailor__v1__table__descriptor};
    TL_TRY(tl_client_exchange(client, &exchange, &reply));
    table_msg *page = (table_msg *)(void *)reply;
    tl_err err = tl_client_table_check(page);
    if (err != TL_OK) {
        tl_wire_free(reply);
        return err;
    }
    *out_page = page;
    return TL_OK;
}

tailor_err tailor_device_page(
    tailor_client *client, const tailor_device_page_options *options, tailor_table **out_table)
{
    table_msg *page = NULL;
    tl_err err = ask_page(client, options, &page);
    if (err == TL_OK) {
        err = tl_client_table_take(&page, out_table);
    }
    tl_wire_free((ProtobufCMessage *)page);
    return tl_client_err(err);
}

/* The name in the first column; NULL where there is none. */
static const char *name_at(const table_msg *page, size_t row)
{
    bool has_names = page->n_columns > 0 &&
                     page->columns[0]->kind == TAILOR__V1__COLUMN__KIND__TEXT &&
                     row < page->n_rows;
    return has_names ? page->columns[0]->dictionary[page->columns[0]->index[row]] : NULL;
}

/*
 * Moves the rows of page, which was asked for behind after, behind those of *joined. A daemon
 * that knows no pages answers with all devices whatever is asked for: they are there already.
 */
static tl_err join(table_msg **joined, table_msg *page, const char *after, bool *out_is_last)
{
    tl_err err = TL_OK;
    const char *first = name_at(page, 0);
    bool is_behind = first != NULL && strcmp(first, after) > 0;
    *out_is_last = !is_behind || page->n_rows != PAGE_ROWS;
    if (*joined == NULL) {
        *joined = page;
        return TL_OK;
    }
    if (is_behind) {
        err = tl_client_table_append(*joined, page);
    }
    tl_wire_free((ProtobufCMessage *)page);
    return err;
}

tailor_err tailor_device_list(tailor_client *client, tailor_table **out_table)
{
    table_msg *joined = NULL;
    bool is_last = false;
    tl_err err = TL_OK;
    tl_text after = {0};
    tl_text_add(&after, "");
    while (err == TL_OK && !is_last && (err = tl_text_err(&after)) == TL_OK) {
        table_msg *page = NULL;
        const tailor_device_page_options options = {.after = after.data, .limit = PAGE_ROWS};
        if ((err = ask_page(client, &options, &page)) == TL_OK &&
            (err = join(&joined, page, after.data != NULL ? after.data : "", &is_last)) ==
                TL_OK &&
            !is_last) {
            tl_text_clear(&after);
            tl_text_add(&after, name_at(joined, joined->n_rows - 1));
        }
    }
    if (err == TL_OK) {
        err = tl_client_table_take(&joined, out_table);
    }
    tl_text_done(&after);
    tl_wire_free((ProtobufCMessage *)joined);
    return tl_client_err(err);
}
