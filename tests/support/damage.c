/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/damage.h"

#include "tests/support/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/store.h"
#include "base/store_check.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    NODE_BYTES = 8, /* of LMDB, before a key: length of the value, flags, length of the key */
    MAX_BYTES = 64 * 1024 * 1024
};

/* Whether a whole entry of this key lies at bytes, which have room for a node and the key: what
 * an earlier use of a page left there may be half of one. */
static bool is_entry(const char *bytes, size_t room, const char *key, size_t key_len)
{
    uint16_t node[NODE_BYTES / 2];
    tl_store_head head;
    memcpy(node, bytes, sizeof node);
    size_t value_len = node[0] | (size_t)node[1] << 16U;
    if (node[2] != 0 || node[3] != key_len || memcmp(bytes + NODE_BYTES, key, key_len) != 0 ||
        value_len < sizeof head || value_len > room - NODE_BYTES - key_len) {
        return false;
    }
    const char *value = bytes + NODE_BYTES + key_len;
    memcpy(&head, value, sizeof head);
    for (int db = 0; db < TL_N_DBS; db++) {
        tl_store_head wanted = tl_store_head_of(
            tl_store_db_name((tl_db)db), key, key_len, value + sizeof head,
            value_len - sizeof head);
        if (memcmp(&wanted, &head, sizeof head) == 0) {
            return true;
        }
    }
    return false;
}

void tl_test_damage(const char *dir, const void *key, size_t key_len, size_t at)
{
    char path[600];
    char *bytes = NULL;
    size_t len = 0;
    int n_found = 0;
    (void)snprintf(path, sizeof path, "%s/store.mdb", dir);
    assert_ok(tl_file_read(path, MAX_BYTES, &bytes, &len));
    for (size_t i = 0; i + NODE_BYTES + key_len + at < len; i += 2) {
        if (is_entry(bytes + i, len - i, key, key_len)) {
            bytes[i + NODE_BYTES + key_len + at] ^= 16;
            n_found++;
        }
    }
    assert_true(n_found > 0);
    assert_ok(tl_file_write(path, bytes, len));
    tl_mem_free(bytes);
}
