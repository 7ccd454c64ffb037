/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_DIGEST_H
#define TL_BASE_DIGEST_H

/*
 * SHA-256: the identity of a file, a table or a definition.
 *
 *     tl_digest digest;
 *     tl_digest_init(&digest);
 *     tl_digest_add(&digest, part, len);
 *     tl_digest_hex_end(&digest, hex);
 */

#include <stddef.h>
#include <stdint.h>

enum {
    TL_DIGEST_BYTES = 32,
    TL_DIGEST_HEX_BYTES = 65, /* with the NUL */
    TL_DIGEST_STATE_WORDS = 16
};

typedef struct tl_digest {
    uint64_t state[TL_DIGEST_STATE_WORDS];
} tl_digest;

void tl_digest_init(tl_digest *digest);
void tl_digest_add(tl_digest *digest, const void *data, size_t len);

/* The result; digest must be initialized again before it is used again. */
void tl_digest_end(tl_digest *digest, uint8_t out_bytes[TL_DIGEST_BYTES]);
void tl_digest_hex_end(tl_digest *digest, char out_hex[TL_DIGEST_HEX_BYTES]);

/* All in one: lower-case hex of the SHA-256 of len bytes. */
void tl_digest_hex(const void *data, size_t len, char out_hex[TL_DIGEST_HEX_BYTES]);

#endif
