/* SPDX-License-Identifier: Apache-2.0 */
#include "device-profiles/profile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NUMBER_BYTES = 40,
    MAX_DIGITS = 17 /* enough for any double to read back as itself */
};

static const char *const class_names[TL_N_DEVICE_CLASSES] = {
    "unknown", "cpu", "gpu", "dsp", "npu", "fpga", "asic", "mcu", "analog"};
static const char *const precision_names[TL_N_PRECISIONS] = {
    "fp32", "fp16", "bf16", "int8", "int4"};
static const char *const memory_names[TL_N_MEMORIES] = {"l1", "l2", "l3", "dram"};

#define AT(field)         offsetof(tl_profile, field)
#define PEAK(precision)   "peak_gflops", precision, TL_KEY_NUMBER
#define BANDWIDTH(memory) "bandwidth_gb_per_s", memory, TL_KEY_NUMBER
#define CACHE(memory)     "cache_kib", memory, TL_KEY_NUMBER
#define SPREAD(figure)    "spread_frac", figure, TL_KEY_NUMBER

/* Ranges are wide: they catch a wrong unit or a slip of the hand, not an odd device. */
const tl_profile_key tl_profile_keys[TL_N_PROFILE_KEYS] = {
    {"",                "name",             TL_KEY_NAME,                               AT(name),0, 0},
    {"",                "class",                                  TL_KEY_CLASS,                                                                          AT(device_class),0, 0},
    {"", "description",                  TL_KEY_TEXT,AT(description),0, 0},
    {"",    "source",TL_KEY_TEXT,                                    AT(source),      0, 0},
    {"",                 "condition",                                  TL_KEY_NAME,                                                                AT(condition),0, 0},
    {"",                "runtime",                                 TL_KEY_NAME,                                                                          AT(runtime),0, 0},
    {"",      "batch",TL_KEY_COUNT,AT(batch),1, 65536},
    {"",                "cores",          TL_KEY_COUNT,        AT(cores),1, 1e6},
    {"",                "clock_mhz",                                  TL_KEY_NUMBER,                                                                          AT(clock_mhz),0.01, 1e5},
    {PEAK("fp32"),        AT(peak_gflops[TL_FP32]),                         1e-6,                                                                                                           1e9                                                                                                                    },
    {PEAK("fp16"),AT(peak_gflops[TL_FP16]),1e-6,                 1e9                                                                                            },
    {PEAK("bf16"),                 AT(peak_gflops[TL_BF16]),                                  1e-6,                                                 1e9},
    {PEAK("int8"),             AT(peak_gflops[TL_INT8]),                            1e-6,                                                                     1e9},
    {PEAK("int4"),             AT(peak_gflops[TL_INT4]),    1e-6,1e9},
    {BANDWIDTH("l1"),             AT(bandwidth_gb_per_s[TL_L1]),                                     1e-6,                                                              1e9},
    {BANDWIDTH("l2"),             AT(bandwidth_gb_per_s[TL_L2]),1e-6,1e9},
    {BANDWIDTH("l3"),             AT(bandwidth_gb_per_s[TL_L3]), 1e-6,1e9},
    {BANDWIDTH("dram"),             AT(bandwidth_gb_per_s[TL_DRAM]),                         1e-6,                                                                                                                                1e9                                                                                                                                                                                                                                                                                                              },
    {CACHE("l1"),             AT(cache_kib[TL_L1]),1e-3,1e9},
    {CACHE("l2"),             AT(cache_kib[TL_L2]),                                  1e-3,                                                                                        1e9   },
    {CACHE("l3"),             AT(cache_kib[TL_L3]),                            1e-3,                                                                                                1e9                                                                                                                 },
    {"",             "launch_us",    TL_KEY_NUMBER,AT(launch_us),1e-6, 1e9},
    {"power_w",             "idle",                                     TL_KEY_NUMBER,                                                                                                           AT(idle_w),  1e-9, 1e6},
    {"power_w",             "busy",TL_KEY_NUMBER,AT(busy_w),1e-9, 1e6},
    {"bits",             "weights", TL_KEY_WIDTHS,AT(weight_bits),1, 64},
    {"bits",    "activations",      TL_KEY_WIDTHS,                                                                                                                              AT(activation_bits),                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      1, 64},
    {SPREAD("peak_gflops.fp32"),         AT(spread_frac.peak_gflops[TL_FP32]),         0, 100},
    {SPREAD("peak_gflops.fp16"),              AT(spread_frac.peak_gflops[TL_FP16]),                                0,                                                                 100},
    {SPREAD("peak_gflops.bf16"),       AT(spread_frac.peak_gflops[TL_BF16]),                     0,                                                                                                               100                                                                                                                                                                               },
    {SPREAD("peak_gflops.int8"),AT(spread_frac.peak_gflops[TL_INT8]), 0,                                                                                 100                                                                                                                                                                                                                                                       },
    {SPREAD("peak_gflops.int4"),                 AT(spread_frac.peak_gflops[TL_INT4]),                              0,                                                       100},
    {SPREAD("bandwidth_gb_per_s.l1"),                AT(spread_frac.bandwidth_gb_per_s[TL_L1]),                                0,                                                                         100},
    {SPREAD("bandwidth_gb_per_s.l2"),                AT(spread_frac.bandwidth_gb_per_s[TL_L2]),                       0,                                                                100                                                                                                                                                          },
    {SPREAD("bandwidth_gb_per_s.l3"),                AT(spread_frac.bandwidth_gb_per_s[TL_L3]),0,100},
    {SPREAD("bandwidth_gb_per_s.dram"),                AT(spread_frac.bandwidth_gb_per_s[TL_DRAM]),           0,100},
    {SPREAD("launch_us"),                AT(spread_frac.launch_us),                               0,100},
};

const char *tl_device_class_name(tl_device_class device_class)
{
    TL_ASSERT((unsigned)device_class < TL_N_DEVICE_CLASSES);
    return class_names[device_class];
}

const char *tl_precision_name(tl_precision precision)
{
    TL_ASSERT((unsigned)precision < TL_N_PRECISIONS);
    return precision_names[precision];
}

const char *tl_memory_name(tl_memory memory)
{
    TL_ASSERT((unsigned)memory < TL_N_MEMORIES);
    return memory_names[memory];
}

/* ---- keys ---- */

static void full_name(const tl_profile_key *key, char out[TL_PROFILE_KEY_BYTES])
{
    const char *dot = key->section[0] == '\0' ? "" : ".";
    (void)snprintf(out, TL_PROFILE_KEY_BYTES, "%s%s%s", key->section, dot, key->name);
}

const tl_profile_key *tl_profile_key_find(const char *wanted)
{
    char name[TL_PROFILE_KEY_BYTES];
    for (size_t i = 0; i < TL_N_PROFILE_KEYS; i++) {
        full_name(&tl_profile_keys[i], name);
        if (strcmp(name, wanted) == 0) {
            return &tl_profile_keys[i];
        }
    }
    return NULL;
}

/* What a wrong name is compared with, and what should have been written. */
typedef struct candidates {
    char full[TL_N_PROFILE_KEYS][TL_PROFILE_KEY_BYTES];
    const char *compared[3 * TL_N_PROFILE_KEYS + TL_PROFILE_MAX_OTHERS];
    const char *written[3 * TL_N_PROFILE_KEYS + TL_PROFILE_MAX_OTHERS];
    size_t n;
} candidates;

static void add_candidate(candidates *c, const char *compared, const char *written)
{
    c->compared[c->n] = compared;
    c->written[c->n] = written;
    c->n++;
}

/* Whole names; they come first, and so win where others are as near. */
static void add_names(candidates *c, const char *const *others, size_t n_others)
{
    TL_ASSERT(n_others <= TL_PROFILE_MAX_OTHERS);
    for (size_t i = 0; i < TL_N_PROFILE_KEYS; i++) {
        full_name(&tl_profile_keys[i], c->full[i]);
        add_candidate(c, c->full[i], c->full[i]);
    }
    for (size_t i = 0; i < n_others; i++) {
        add_candidate(c, others[i], others[i]);
    }
}

/* Who writes a section's name alone, or a key's without its section, means the key of both. */
static void add_parts(candidates *c)
{
    for (size_t i = 0; i < TL_N_PROFILE_KEYS; i++) {
        const tl_profile_key *key = &tl_profile_keys[i];
        if (key->section[0] != '\0') {
            add_candidate(c, key->section, c->full[i]);
            add_candidate(c, key->name, c->full[i]);
        }
    }
}

void tl_profile_nearest_key(
    const char *wanted,
    const char *const *others,
    size_t n_others,
    char out_name[TL_PROFILE_KEY_BYTES])
{
    candidates c = {.n = 0};
    add_names(&c, others, n_others);
    size_t n_names = c.n;
    add_parts(&c);
    const char *nearest = tl_name_nearest(wanted, c.compared, c.n);
    if (nearest == NULL) {
        nearest = tl_name_closest(wanted, c.compared, n_names);
    }
    for (size_t i = 0; i < c.n; i++) {
        if (c.compared[i] == nearest) {
            (void)snprintf(out_name, TL_PROFILE_KEY_BYTES, "%s", c.written[i]);
            return;
        }
    }
    TL_ASSERT(false);
}

tl_err tl_profile_unknown_key(const char *wanted, const char *const *others, size_t n_others)
{
    char nearest[TL_PROFILE_KEY_BYTES];
    tl_profile_nearest_key(wanted, others, n_others, nearest);
    return tl_fail(
        TL_EINVAL, "unknown key \"%.*s\", nearest is \"%s\"", (int)TL_NAME_MAX_BYTES, wanted,
        nearest);
}

/* ---- values from text ---- */

/* Decimal digits only: strtod would take "inf", "nan" and "0x10" too. */
static bool parse_number(const char *text, double *out)
{
    if (text[0] == '\0' || strspn(text, "0123456789+-.eE") != strlen(text)) {
        return false;
    }
    char *end = NULL;
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

static tl_err parse_in_range(const tl_profile_key *key, const char *text, double *out)
{
    bool is_whole = key->kind != TL_KEY_NUMBER;
    double value = 0;
    if (!parse_number(text, &value) || (is_whole && value != floor(value)) ||
        value < key->low || value > key->high) {
        return tl_fail(
            TL_EINVAL, "got \"%.64s\", want a %snumber from %.9g to %.9g", text,
            is_whole ? "whole " : "", key->low, key->high);
    }
    *out = value;
    return TL_OK;
}

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a;
    int y = *(const int *)b;
    return (x > y) - (x < y);
}

static tl_err parse_widths(const tl_profile_key *key, const char *text, tl_widths *out)
{
    static const char separators[] = " ,;[]";
    tl_widths widths = {0};
    while (*(text += strspn(text, separators)) != '\0') {
        char item[NUMBER_BYTES];
        size_t len = strcspn(text, separators);
        double value = 0;
        (void)snprintf(
            item, sizeof item, "%.*s", (int)(len < sizeof item ? len : sizeof item), text);
        TL_TRY(parse_in_range(key, item, &value));
        if (widths.n == TL_PROFILE_MAX_WIDTHS) {
            return tl_fail(TL_EINVAL, "got more than %d widths", (int)TL_PROFILE_MAX_WIDTHS);
        }
        widths.bits[widths.n++] = (int)value;
        text += len;
    }
    qsort(widths.bits, (size_t)widths.n, sizeof widths.bits[0], compare_ints);
    for (int i = 1; i < widths.n; i++) {
        if (widths.bits[i] == widths.bits[i - 1]) {
            return tl_fail(TL_EINVAL, "got the width %d twice", widths.bits[i]);
        }
    }
    *out = widths;
    return TL_OK;
}

static tl_err parse_class(const char *text, tl_device_class *out)
{
    for (int i = 0; i < TL_N_DEVICE_CLASSES; i++) {
        if (strcmp(text, class_names[i]) == 0) {
            *out = (tl_device_class)i;
            return TL_OK;
        }
    }
    return tl_fail(
        TL_EINVAL, "got \"%.64s\", want one of cpu, gpu, dsp, npu, fpga, asic, mcu, analog",
        text);
}

/* Bytes of the UTF-8 character at text, or 0 when there is none that YAML allows. */
static size_t character_len(const unsigned char *text)
{
    static const struct {
        unsigned char mask, lead;
        size_t len;
        unsigned long least; /* below it the form is too long */
    } forms[] = {
        {0x80, 0x00, 1, 0x20   },
        {0xe0, 0xc0, 2, 0xa0   },
        {0xf0, 0xe0, 3, 0x800  },
        {0xf8, 0xf0, 4, 0x10000},
    };
    for (size_t i = 0; i < TL_COUNT(forms); i++) {
        if ((text[0] & forms[i].mask) != forms[i].lead) {
            continue;
        }
        unsigned long code = text[0] & (unsigned char)~forms[i].mask;
        for (size_t j = 1; j < forms[i].len; j++) {
            if ((text[j] & 0xc0) != 0x80) {
                return 0;
            }
            code = code << 6 | (text[j] & 0x3f);
        }
        /* U+2028 and U+2029 end a line of YAML. */
        bool is_odd = code == 0x7f || code == 0x2028 || code == 0x2029 ||
                      (code >= 0xd800 && code <= 0xdfff) || code == 0xfeff || code == 0xfffe ||
                      code == 0xffff || code > 0x10ffff;
        return code < forms[i].least || is_odd ? 0 : forms[i].len;
    }
    return 0;
}

static tl_err check_text(const char *text)
{
    size_t len = strlen(text);
    if (len > TL_PROFILE_TEXT_MAX_BYTES) {
        return tl_fail(
            TL_EINVAL, "got %zu bytes, want at most %d", len, (int)TL_PROFILE_TEXT_MAX_BYTES);
    }
    for (size_t i = 0; i < len;) {
        size_t step = character_len((const unsigned char *)text + i);
        if (step == 0) {
            return tl_fail(
                TL_EINVAL, "got byte 0x%02x at position %zu, want printable UTF-8",
                (unsigned)(unsigned char)text[i], i + 1);
        }
        i += step;
    }
    return TL_OK;
}

static void *field_of(tl_profile *profile, const tl_profile_key *key)
{
    return (char *)profile + key->offset;
}

static const void *field_of_const(const tl_profile *profile, const tl_profile_key *key)
{
    return (const char *)profile + key->offset;
}

/* name is never empty; every other key takes "" as unknown. */
static tl_err set_value(tl_profile *profile, const tl_profile_key *key, const char *value)
{
    void *field = field_of(profile, key);
    double number = 0;
    switch (key->kind) {
    case TL_KEY_NAME:
        if (value[0] != '\0' || field == profile->name) {
            TL_TRY(tl_name_check(field == profile->name ? "device" : key->name, value));
        }
        (void)snprintf(field, TL_NAME_MAX_BYTES + 1, "%s", value);
        return TL_OK;
    case TL_KEY_TEXT:
        TL_TRY(check_text(value));
        (void)snprintf(field, TL_PROFILE_TEXT_MAX_BYTES + 1, "%s", value);
        return TL_OK;
    case TL_KEY_CLASS: return parse_class(value[0] == '\0' ? "unknown" : value, field);
    case TL_KEY_WIDTHS: return parse_widths(key, value, field);
    case TL_KEY_COUNT:
    case TL_KEY_NUMBER:
        if (value[0] != '\0') {
            TL_TRY(parse_in_range(key, value, &number));
        }
        if (key->kind == TL_KEY_COUNT) {
            *(int *)field = (int)number;
        } else {
            *(double *)field = number;
        }
        return TL_OK;
    }
    TL_ASSERT(false);
    return TL_OK;
}

tl_err tl_profile_set(tl_profile *profile, const char *wanted, const char *value)
{
    const tl_profile_key *key = tl_profile_key_find(wanted);
    if (key == NULL) {
        return tl_profile_unknown_key(wanted, NULL, 0);
    }
    tl_err err = set_value(profile, key, value);
    if (err != TL_OK && key->kind != TL_KEY_NAME) { /* a name's detail says which already */
        return tl_fail_in(err, "%s: ", wanted);
    }
    return err;
}

tl_err tl_profile_bare(const char *name, tl_profile *out_profile)
{
    TL_TRY(tl_name_check("device", name));
    *out_profile = (tl_profile){0};
    return tl_profile_set(out_profile, "name", name);
}

/* ---- values to text ---- */

/* The shortest decimal that reads back as the same double. */
static void print_number(double value, tl_text *text)
{
    char digits[NUMBER_BYTES];
    for (int n = 1; n <= MAX_DIGITS; n++) {
        (void)snprintf(digits, sizeof digits, "%.*g", n, value);
        if (strtod(digits, NULL) == value) {
            break;
        }
    }
    if (value >= 1 && value < 1e6 && strchr(digits, 'e') != NULL) {
        (void)snprintf(digits, sizeof digits, "%.0f", value); /* 1e+03 is for machines */
    }
    tl_text_add(text, digits);
}

bool tl_profile_print(const tl_profile *profile, const tl_profile_key *key, tl_text *text)
{
    const void *field = field_of_const(profile, key);
    double number = 0;
    switch (key->kind) {
    case TL_KEY_NAME:
    case TL_KEY_TEXT: tl_text_add(text, field); return *(const char *)field != '\0';
    case TL_KEY_CLASS:
        if (*(const tl_device_class *)field == TL_DEVICE_UNKNOWN) {
            return false;
        }
        tl_text_add(text, tl_device_class_name(*(const tl_device_class *)field));
        return true;
    case TL_KEY_COUNT: number = *(const int *)field; break;
    case TL_KEY_NUMBER: number = *(const double *)field; break;
    case TL_KEY_WIDTHS: {
        const tl_widths *widths = field;
        for (int i = 0; i < widths->n; i++) {
            tl_text_addf(text, "%s%d", i == 0 ? "" : ", ", widths->bits[i]);
        }
        return widths->n > 0;
    }
    }
    if (number == 0) {
        return false;
    }
    print_number(number, text);
    return true;
}

/* ---- the whole ---- */

static bool is_terminated(const char *text, size_t bytes)
{
    return memchr(text, '\0', bytes) != NULL;
}

static bool is_in_range(const tl_profile_key *key, double value)
{
    return value == 0 || (value >= key->low && value <= key->high);
}

static bool are_widths_valid(const tl_profile_key *key, const tl_widths *widths)
{
    if (widths->n < 0 || widths->n > TL_PROFILE_MAX_WIDTHS) {
        return false;
    }
    for (int i = 0; i < widths->n; i++) {
        if (widths->bits[i] < key->low || widths->bits[i] > key->high ||
            (i > 0 && widths->bits[i] <= widths->bits[i - 1])) {
            return false;
        }
    }
    return true;
}

static bool is_value_valid(const tl_profile *profile, const tl_profile_key *key)
{
    const void *field = field_of_const(profile, key);
    const char *text = field;
    switch (key->kind) {
    case TL_KEY_NAME:
        return is_terminated(text, TL_NAME_MAX_BYTES + 1) &&
               (text[0] == '\0' || tl_name_check(key->name, text) == TL_OK);
    case TL_KEY_TEXT:
        return is_terminated(text, TL_PROFILE_TEXT_MAX_BYTES + 1) && check_text(text) == TL_OK;
    case TL_KEY_CLASS: return *(const unsigned *)field < TL_N_DEVICE_CLASSES;
    case TL_KEY_COUNT: return is_in_range(key, *(const int *)field);
    case TL_KEY_NUMBER: return is_in_range(key, *(const double *)field);
    case TL_KEY_WIDTHS: return are_widths_valid(key, field);
    }
    return false;
}

tl_err tl_profile_check(const tl_profile *profile)
{
    char name[TL_PROFILE_KEY_BYTES];
    for (size_t i = 0; i < TL_N_PROFILE_KEYS; i++) {
        if (!is_value_valid(profile, &tl_profile_keys[i])) {
            full_name(&tl_profile_keys[i], name);
            return tl_fail(TL_EINVAL, "%s: the value is out of range", name);
        }
    }
    TL_TRY(tl_name_check("device", profile->name));
    if (profile->busy_w > 0 && profile->idle_w > profile->busy_w) {
        return tl_fail(
            TL_EINVAL, "power_w: got idle %.9g above busy %.9g", profile->idle_w,
            profile->busy_w);
    }
    return TL_OK;
}
