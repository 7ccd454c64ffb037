/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DEVICE_PROFILES_PROFILE_YAML_H
#define TL_DEVICE_PROFILES_PROFILE_YAML_H

/*
 * Profiles as YAML, the form in which people write them:
 *
 *     name: raspberrypi4
 *     class: cpu
 *     peak_gflops: {fp32: 48, int8: 96}
 *
 * Every key is documented in docs/device-profiles.md. An unknown key, a key
 * given twice, a second document, an alias or a value out of range is refused
 * with TL_EINVAL and a detail that says where:
 *
 *     my.yaml line 3: unknown key "clok_mhz", nearest is "clock_mhz"
 */

#include "device-profiles/profile.h"

enum {
    TL_PROFILE_YAML_MAX_BYTES = 64 * 1024
};

/* origin (a file name) opens the detail of a failure. TL_ELIMIT when too long. */
TL_MUST_USE tl_err tl_profile_parse_yaml(
    const char *origin, const char *yaml, size_t len, tl_profile *out_profile);

/* The same from a file; TL_ENOTFOUND when there is none, TL_EIO when it cannot be read. */
TL_MUST_USE tl_err tl_profile_load_yaml(const char *path, tl_profile *out_profile);

/*
 * Appends the profile: known keys only, in the order of tl_profile_keys. Equal
 * profiles give equal bytes, and parsing them gives the profile back. A failed
 * append shows in tl_text_err().
 */
void tl_profile_print_yaml(const tl_profile *profile, tl_text *text);

#endif
