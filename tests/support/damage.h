/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_SUPPORT_DAMAGE_H
#define TL_TESTS_SUPPORT_DAMAGE_H

/*
 * A bit that a disk flipped. The store in dir is closed; of the short value under this key one
 * bit is turned over, in every version of it that lies in the file. at counts from the value's
 * head (TL_STORE_HEAD_BYTES: 0 to 7 vouch for the key, 8 to 15 for the value) on.
 */

#include <stddef.h>

void tl_test_damage(const char *dir, const void *key, size_t key_len, size_t at);

#endif
