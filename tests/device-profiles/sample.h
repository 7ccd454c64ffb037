/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_DEVICE_PROFILES_SAMPLE_H
#define TL_TESTS_DEVICE_PROFILES_SAMPLE_H

/* Profiles for the tests of this folder. */

#include "device-profiles/profile.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static inline uint64_t sample_next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15U;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

/* Each key is set with three chances in four, anywhere in its range. */
static inline tl_profile sample_profile(uint64_t *state)
{
    static const char *const texts[] = {"plain",
                                        "a: b # c",
                                        "\"quoted\" \\ back",
                                        "{x: [1]}",
                                        "\xc3\xbc, \xe2\x82\xac",
                                        "- item",
                                        "~",
                                        "'"};
    size_t n_texts = TL_COUNT(texts);
    tl_profile profile = {0};
    for (size_t i = 0; i < TL_N_PROFILE_KEYS; i++) {
        const tl_profile_key *key = &tl_profile_keys[i];
        char name[64];
        char value[64] = "";
        double share = (double)(sample_next(state) >> 11) * 0x1p-53;
        double number = key->low + share * (key->high - key->low);
        (void)snprintf(
            name, sizeof name, "%s%s%s", key->section, key->section[0] == '\0' ? "" : ".",
            key->name);
        switch (key->kind) {
        case TL_KEY_NAME:
            (void)snprintf(value, sizeof value, "%dti_%d", (int)(share * 9), (int)i);
            break;
        case TL_KEY_TEXT:
            (void)snprintf(value, sizeof value, "%s", texts[(int)(share * (double)n_texts)]);
            break;
        case TL_KEY_CLASS:
            (void)snprintf(
                value, sizeof value, "%s",
                tl_device_class_name((tl_device_class)(int)(share * TL_N_DEVICE_CLASSES)));
            break;
        case TL_KEY_WIDTHS:
        case TL_KEY_COUNT: (void)snprintf(value, sizeof value, "%d", (int)number); break;
        case TL_KEY_NUMBER: (void)snprintf(value, sizeof value, "%.17g", number); break;
        }
        if (i == 0 || sample_next(state) % 4 != 0) {
            assert_ok(tl_profile_set(&profile, name, value));
        }
    }
    if (profile.idle_w > profile.busy_w) {
        profile.idle_w = 0;
    }
    return profile;
}

#endif
