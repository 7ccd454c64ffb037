/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include "base/attr.h"

#include <sodium.h>

_Static_assert(sizeof(tl_digest) >= sizeof(crypto_hash_sha256_state), "room for the state");
_Static_assert(_Alignof(tl_digest) >= _Alignof(crypto_hash_sha256_state), "aligned for it");
_Static_assert((int)TL_DIGEST_BYTES == (int)crypto_hash_sha256_BYTES, "SHA-256");

static crypto_hash_sha256_state *state_of(tl_digest *digest)
{
    return (crypto_hash_sha256_state *)(void *)digest->state;
}

/* Of these functions none needs sodium_init(), and none can fail. */
void tl_digest_init(tl_digest *digest)
{
    (void)crypto_hash_sha256_init(state_of(digest));
}

void tl_digest_add(tl_digest *digest, const void *data, size_t len)
{
    (void)crypto_hash_sha256_update(state_of(digest), data, len);
}

void tl_digest_end(tl_digest *digest, uint8_t out_bytes[TL_DIGEST_BYTES])
{
    (void)crypto_hash_sha256_final(state_of(digest), out_bytes);
}

void tl_digest_hex_end(tl_digest *digest, char out_hex[TL_DIGEST_HEX_BYTES])
{
    uint8_t bytes[TL_DIGEST_BYTES];
    tl_digest_end(digest, bytes);
    (void)sodium_bin2hex(out_hex, TL_DIGEST_HEX_BYTES, bytes, sizeof bytes);
}

void tl_digest_hex(const void *data, size_t len, char out_hex[TL_DIGEST_HEX_BYTES])
{
    tl_digest digest;
    tl_digest_init(&digest);
    tl_digest_add(&digest, data, len);
    tl_digest_hex_end(&digest, out_hex);
}
