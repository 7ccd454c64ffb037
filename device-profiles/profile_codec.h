/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DEVICE_PROFILES_PROFILE_CODEC_H
#define TL_DEVICE_PROFILES_PROFILE_CODEC_H

/* Profiles as bytes, the form in which they are stored (proto/profile.proto). */

#include "device-profiles/profile.h"

#include <stdint.h>

enum {
    TL_PROFILE_PACKED_MAX_BYTES = 4096
};

/* On success the caller owns *out_bytes (tl_mem_free). The profile must pass tl_profile_check(). */
TL_MUST_USE tl_err
tl_profile_pack(const tl_profile *profile, uint8_t **out_bytes, size_t *out_len);

/*
 * Any bytes may be given. Fails with TL_EDAMAGED when they are no valid
 * profile, TL_EVERSION when a newer program wrote them.
 */
TL_MUST_USE tl_err tl_profile_unpack(const void *bytes, size_t len, tl_profile *out_profile);

#endif
