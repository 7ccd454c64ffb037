/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/check.h"

#include "base/log.h"
#include "base/store.h"
#include "base/store_check.h"
#include "base/text.h"

#include <string.h>
#include <unistd.h>

static tl_err report(const char *path, const tl_store_report *found)
{
    const char *line = found->damaged.data != NULL ? found->damaged.data : "";
    while (*line != '\0') {
        size_t len = strcspn(line, "\n");
        tl_log(TL_LOG_ERROR, "damaged: %.*s", (int)len, line);
        line += len + 1;
    }
    if (found->n_damaged > 0) {
        return tl_fail(
            TL_EDAMAGED,
            "%s: %llu of %llu values are damaged: write them again or restore a backup", path,
            (unsigned long long)found->n_damaged, (unsigned long long)found->n_entries);
    }
    tl_log(
        TL_LOG_INFO, "%s is sound: %llu values%s", path, (unsigned long long)found->n_entries,
        found->has_heads ? "" : ", without checksums, which they get when it is opened");
    return TL_OK;
}

tl_err tl_check_data(const char *data_dir)
{
    tl_text path = {0};
    tl_store_report found = {0};
    int lock_fd = -1;
    tl_text_addf(&path, "%s/store.mdb", data_dir);
    TL_TRY(tl_text_err(&path));
    tl_err err = tl_store_lock(data_dir, &lock_fd);
    if (err == TL_OK && (err = tl_store_check(path.data, true, &found)) == TL_OK) {
        err = report(path.data, &found);
    }
    if (lock_fd >= 0) {
        (void)close(lock_fd);
    }
    tl_text_done(&found.damaged);
    tl_text_done(&path);
    return err;
}
