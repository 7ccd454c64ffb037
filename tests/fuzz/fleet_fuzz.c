/* SPDX-License-Identifier: Apache-2.0 */

/* A table of devices. */

#include "daemon/fleet_table.h"
#include "tests/fuzz/fuzz.h"

static tl_err on_row(void *context, tl_fleet_row *row)
{
    (void)context;
    (void)tl_fleet_row_name(row);
    return TL_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = tl_fuzz_blocks();
    tl_fleet_source source = {.origin = "fleet.csv", .first_line = 2, .csv = data, .len = size};
    if (tl_fleet_read(&source, on_row, NULL) != TL_OK) {
        tl_fuzz_check(tl_err_detail()[0] != '\0', "a refusal without a reason");
    }
    tl_fuzz_check_blocks(before);
    return 0;
}
