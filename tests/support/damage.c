/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/damage.h"

#include "tests/support/test.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum {
    NODE_BYTES = 4, /* of LMDB, before a key: flags, which are 0, and its length */
    MAX_KEY_BYTES = 511,
    MAX_BYTES = 64 * 1024 * 1024
};

void tl_test_damage(const char *dir, const void *key, size_t key_len, size_t at)
{
    char path[600];
    unsigned char node[NODE_BYTES + MAX_KEY_BYTES] = {0};
    char *bytes = NULL;
    size_t len = 0;
    int n_found = 0;
    assert_true(key_len <= MAX_KEY_BYTES);
    node[2] = (unsigned char)key_len;
    node[3] = (unsigned char)(key_len >> 8U);
    memcpy(node + NODE_BYTES, key, key_len);
    (void)snprintf(path, sizeof path, "%s/store.mdb", dir);
    assert_ok(tl_file_read(path, MAX_BYTES, &bytes, &len));
    for (size_t i = 0; i + NODE_BYTES + key_len + at < len; i++) {
        if (memcmp(bytes + i, node, NODE_BYTES + key_len) == 0) {
            bytes[i + NODE_BYTES + key_len + at] ^= 16;
            n_found++;
        }
    }
    assert_true(n_found > 0);
    assert_ok(tl_file_write(path, bytes, len));
    tl_mem_free(bytes);
}
