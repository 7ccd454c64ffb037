/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DEVICE_PROFILES_PROFILE_H
#define TL_DEVICE_PROFILES_PROFILE_H

/*
 * Device profiles: what is known of a device before anything is measured on it.
 *
 * A profile is a value: copy it, put it on the stack, compare its figures. It
 * owns nothing. Everything but the name may be unknown, and unknown is zero: 0
 * for a number, "" for a text, TL_DEVICE_UNKNOWN for the class, no widths. So
 * {0} plus a name is the profile of a device of which nothing is known, and
 *
 *     if (profile.peak_gflops[TL_FP32] > 0) ...it is known...
 *
 * The keys of a profile stand in one table, tl_profile_keys: the YAML reader
 * and writer (profile_yaml.h), columns of a fleet (tl_profile_set), ranges and
 * docs/device-profiles.md all follow it.
 */

#include "base/name.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    TL_PROFILE_TEXT_MAX_BYTES = 511, /* of description and source */
    TL_PROFILE_MAX_WIDTHS = 8,
};

typedef enum tl_device_class {
    TL_DEVICE_UNKNOWN,
    TL_DEVICE_CPU,
    TL_DEVICE_GPU,
    TL_DEVICE_DSP,
    TL_DEVICE_NPU,
    TL_DEVICE_FPGA,
    TL_DEVICE_ASIC,
    TL_DEVICE_MCU,
    TL_DEVICE_ANALOG,
    TL_N_DEVICE_CLASSES
} tl_device_class;

typedef enum tl_precision {
    TL_FP32,
    TL_FP16,
    TL_BF16,
    TL_INT8,
    TL_INT4,
    TL_N_PRECISIONS
} tl_precision;

typedef enum tl_memory {
    TL_L1,
    TL_L2,
    TL_L3,
    TL_DRAM,
    TL_N_MEMORIES
} tl_memory;

/* Bit widths that the hardware gains from, ascending. */
typedef struct tl_widths {
    int bits[TL_PROFILE_MAX_WIDTHS];
    int n;
} tl_widths;

/*
 * Spread of a probed figure: (third quartile - first quartile) / median over
 * the repeats. 0 where a figure was not probed.
 */
typedef struct tl_profile_spread {
    double peak_gflops[TL_N_PRECISIONS];
    double bandwidth_gb_per_s[TL_N_MEMORIES];
    double launch_us;
} tl_profile_spread;

typedef struct tl_profile {
    char name[TL_NAME_MAX_BYTES + 1];
    tl_device_class device_class; /* key "class" */
    char description[TL_PROFILE_TEXT_MAX_BYTES + 1];
    char source[TL_PROFILE_TEXT_MAX_BYTES + 1]; /* where the figures were published */
    char condition[TL_NAME_MAX_BYTES + 1];      /* deployment condition: fp32, int8-ptq, ... */
    char runtime[TL_NAME_MAX_BYTES + 1];        /* what executes networks: tflite, armnn, ... */
    int batch;                                  /* inputs per inference that latencies are of */
    int cores;                                  /* CPU cores, GPU multiprocessors */
    double clock_mhz;                           /* highest sustained */
    double peak_gflops[TL_N_PRECISIONS];        /* of the whole device */
    double bandwidth_gb_per_s[TL_N_MEMORIES];   /* of the whole device, reading */
    double cache_kib[TL_DRAM];                  /* size of each cache that a core sees */
    double launch_us;                           /* cost of starting one operator */
    double idle_w, busy_w;                      /* keys "power_w.idle", "power_w.busy" */
    tl_widths weight_bits, activation_bits;     /* keys "bits.weights", "bits.activations" */
    tl_profile_spread spread_frac;
} tl_profile;

typedef enum tl_profile_key_kind {
    TL_KEY_NAME,   /* char[TL_NAME_MAX_BYTES + 1], checked by tl_name_check() */
    TL_KEY_TEXT,   /* char[TL_PROFILE_TEXT_MAX_BYTES + 1], no control characters */
    TL_KEY_CLASS,  /* tl_device_class */
    TL_KEY_COUNT,  /* int in [low, high] */
    TL_KEY_NUMBER, /* double in [low, high] */
    TL_KEY_WIDTHS, /* tl_widths, each in [low, high] */
} tl_profile_key_kind;

/* One key. Its full name is "section.name", or "name" where section is "". */
typedef struct tl_profile_key {
    const char *section;
    const char *name;
    tl_profile_key_kind kind;
    size_t offset;    /* in tl_profile */
    double low, high; /* both allowed */
} tl_profile_key;

/* In the order in which they are written; the keys of a section stand together. */
enum {
    TL_N_PROFILE_KEYS = 36,
    TL_PROFILE_KEY_BYTES = 64, /* of a full name, with its end */
    TL_PROFILE_MAX_OTHERS = 16
};
extern const tl_profile_key tl_profile_keys[TL_N_PROFILE_KEYS];

/* "cpu", "int8", "dram": as in the YAML. Never NULL. */
const char *tl_device_class_name(tl_device_class device_class);
const char *tl_precision_name(tl_precision precision);
const char *tl_memory_name(tl_memory memory);

/* Nothing known but the name. Fails with TL_EINVAL when it is no name. */
TL_MUST_USE tl_err tl_profile_bare(const char *name, tl_profile *out_profile);

/* The key of this full name ("clock_mhz", "peak_gflops.fp32"), or NULL. */
const tl_profile_key *tl_profile_key_find(const char *full_name);

/*
 * Sets one key from text, as a column of a fleet does. An empty value means
 * unknown (but a name is never empty). Widths are separated by blanks, commas
 * or semicolons: "4 8". Fails with TL_EINVAL, profile untouched, on an unknown
 * key (the detail names the nearest) or a value of the wrong kind or range.
 */
TL_MUST_USE tl_err
tl_profile_set(tl_profile *profile, const char *full_name, const char *value);

/*
 * The full name of the key that is nearest to wanted: there is always one, however far. A
 * section's name alone ("peak_gflops") and a key's without its section ("fp32") lead to the
 * first key that has it. others [n_others, at most TL_PROFILE_MAX_OTHERS] are names that may stand
 * there beside the keys: a fleet's columns, sections of a YAML file. They may be NULL.
 */
void tl_profile_nearest_key(
    const char *wanted,
    const char *const *others,
    size_t n_others,
    char out_name[TL_PROFILE_KEY_BYTES]);

/* Fails as tl_profile_set() does on an unknown key, with others in mind: always TL_EINVAL. */
TL_MUST_USE tl_err
tl_profile_unknown_key(const char *wanted, const char *const *others, size_t n_others);

/* Appends the value as tl_profile_set() reads it; false, appending nothing, where unknown. */
bool tl_profile_print(const tl_profile *profile, const tl_profile_key *key, tl_text *text);

/*
 * Everything that must hold of a whole profile: it has a name, every figure is
 * in its range, and it does not idle above its busy power. TL_EINVAL otherwise.
 */
TL_MUST_USE tl_err tl_profile_check(const tl_profile *profile);

#endif
