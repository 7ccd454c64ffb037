/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_CHECKSUM_H
#define TL_BASE_CHECKSUM_H

/*
 * A fast 64-bit checksum, XXH64 of Yann Collet: notices what a disk or a memory did to some
 * bytes, at the speed of reading them. It does not keep anybody from making bytes of a wanted
 * sum; base/digest.h does.
 */

#include <stddef.h>
#include <stdint.h>

/* data may be NULL where len is 0. The same on every machine. */
uint64_t tl_checksum(const void *data, size_t len, uint64_t seed);

#endif
