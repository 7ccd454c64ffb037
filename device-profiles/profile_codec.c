/* SPDX-License-Identifier: Apache-2.0 */
#include "device-profiles/profile_codec.h"

#include "base/mem.h"
#include "proto/profile.pb-c.h"

#include <stdio.h>
#include <string.h>

typedef Tailor__V1__Profile message;

enum {
    VERSION = 1
};

#define NUMBER(field, wire_field)                                  \
    {                                                              \
        offsetof(tl_profile, field), offsetof(message, wire_field) \
    }

/* Every double of a profile, and where it stands in the message. */
static const struct number {
    size_t offset, wire_offset;
} numbers[] = {
    NUMBER(clock_mhz, clock_mhz),
    NUMBER(launch_us, launch_us),
    NUMBER(idle_w, idle_w),
    NUMBER(busy_w, busy_w),
    NUMBER(peak_gflops[TL_FP32], peak_fp32_gflops),
    NUMBER(peak_gflops[TL_FP16], peak_fp16_gflops),
    NUMBER(peak_gflops[TL_BF16], peak_bf16_gflops),
    NUMBER(peak_gflops[TL_INT8], peak_int8_gflops),
    NUMBER(peak_gflops[TL_INT4], peak_int4_gflops),
    NUMBER(bandwidth_gb_per_s[TL_L1], l1_gb_per_s),
    NUMBER(bandwidth_gb_per_s[TL_L2], l2_gb_per_s),
    NUMBER(bandwidth_gb_per_s[TL_L3], l3_gb_per_s),
    NUMBER(bandwidth_gb_per_s[TL_DRAM], dram_gb_per_s),
    NUMBER(cache_kib[TL_L1], l1_kib),
    NUMBER(cache_kib[TL_L2], l2_kib),
    NUMBER(cache_kib[TL_L3], l3_kib),
    NUMBER(spread_frac.peak_gflops[TL_FP32], peak_fp32_spread_frac),
    NUMBER(spread_frac.peak_gflops[TL_FP16], peak_fp16_spread_frac),
    NUMBER(spread_frac.peak_gflops[TL_BF16], peak_bf16_spread_frac),
    NUMBER(spread_frac.peak_gflops[TL_INT8], peak_int8_spread_frac),
    NUMBER(spread_frac.peak_gflops[TL_INT4], peak_int4_spread_frac),
    NUMBER(spread_frac.bandwidth_gb_per_s[TL_L1], l1_spread_frac),
    NUMBER(spread_frac.bandwidth_gb_per_s[TL_L2], l2_spread_frac),
    NUMBER(spread_frac.bandwidth_gb_per_s[TL_L3], l3_spread_frac),
    NUMBER(spread_frac.bandwidth_gb_per_s[TL_DRAM], dram_spread_frac),
    NUMBER(spread_frac.launch_us, launch_spread_frac),
};

/* The numbers of the classes on the wire are those of the enum. */
_Static_assert(
    (int)TAILOR__V1__DEVICE_CLASS__DEVICE_CLASS_ANALOG == (int)TL_DEVICE_ANALOG,
    "proto/profile.proto and tl_device_class must agree");

/* context is a bool: whether memory ran out, which protobuf-c does not tell from damage. */
static void *allocate(void *context, size_t size)
{
    bool *is_out = context;
    void *block = tl_mem_new(1, size);
    *is_out = *is_out || block == NULL;
    return block;
}

static void release(void *context, void *block)
{
    (void)context;
    tl_mem_free(block);
}

static size_t widths_to_wire(const tl_widths *widths, uint32_t out[TL_PROFILE_MAX_WIDTHS])
{
    for (int i = 0; i < widths->n; i++) {
        out[i] = (uint32_t)widths->bits[i];
    }
    return (size_t)widths->n;
}

tl_err tl_profile_pack(const tl_profile *profile, uint8_t **out_bytes, size_t *out_len)
{
    tl_profile p = *profile; /* protobuf-c wants strings that it could write to */
    uint32_t weight_bits[TL_PROFILE_MAX_WIDTHS];
    uint32_t activation_bits[TL_PROFILE_MAX_WIDTHS];
    message m;
    TL_TRY(tl_profile_check(profile));

    tailor__v1__profile__init(&m);
    m.version = VERSION;
    m.name = p.name;
    m.device_class = (Tailor__V1__DeviceClass)p.device_class;
    m.description = p.description;
    m.source = p.source;
    m.condition = p.condition;
    m.runtime = p.runtime;
    m.batch = (uint32_t)p.batch;
    m.cores = (uint32_t)p.cores;
    m.weight_bits = weight_bits;
    m.n_weight_bits = widths_to_wire(&p.weight_bits, weight_bits);
    m.activation_bits = activation_bits;
    m.n_activation_bits = widths_to_wire(&p.activation_bits, activation_bits);
    for (size_t i = 0; i < TL_COUNT(numbers); i++) {
        memcpy(
            (char *)&m + numbers[i].wire_offset, (char *)&p + numbers[i].offset,
            sizeof(double));
    }

    size_t len = tailor__v1__profile__get_packed_size(&m);
    uint8_t *bytes = tl_mem_new(len, 1);
    if (bytes == NULL) {
        return tl_fail(TL_ENOMEM, "profile of %s", profile->name);
    }
    *out_len = tailor__v1__profile__pack(&m, bytes);
    *out_bytes = bytes;
    return TL_OK;
}

static tl_err read_text(const char *wire, char *out, size_t bytes)
{
    if (strlen(wire) >= bytes) {
        return tl_fail(
            TL_EDAMAGED, "profile: got a text of %zu bytes, want less than %zu", strlen(wire),
            bytes);
    }
    (void)snprintf(out, bytes, "%s", wire);
    return TL_OK;
}

static tl_err read_widths(const uint32_t *wire, size_t n, tl_widths *out)
{
    if (n > TL_PROFILE_MAX_WIDTHS) {
        return tl_fail(
            TL_EDAMAGED, "profile: got %zu widths, want at most %d", n,
            (int)TL_PROFILE_MAX_WIDTHS);
    }
    out->n = (int)n;
    for (size_t i = 0; i < n; i++) {
        out->bits[i] = wire[i] > INT16_MAX ? -1 : (int)wire[i]; /* -1 fails the check below */
    }
    return TL_OK;
}

static int read_count(uint32_t wire)
{
    return wire > INT32_MAX ? -1 : (int)wire; /* -1 fails the check below */
}

static tl_err read_message(const message *m, tl_profile *p)
{
    if (m->version > VERSION) {
        return tl_fail(
            TL_EVERSION, "profile: got version %u, want at most %d", m->version, (int)VERSION);
    }
    TL_TRY(read_text(m->name, p->name, sizeof p->name));
    TL_TRY(read_text(m->description, p->description, sizeof p->description));
    TL_TRY(read_text(m->source, p->source, sizeof p->source));
    TL_TRY(read_text(m->condition, p->condition, sizeof p->condition));
    TL_TRY(read_text(m->runtime, p->runtime, sizeof p->runtime));
    TL_TRY(read_widths(m->weight_bits, m->n_weight_bits, &p->weight_bits));
    TL_TRY(read_widths(m->activation_bits, m->n_activation_bits, &p->activation_bits));
    p->device_class = (tl_device_class)m->device_class;
    p->batch = read_count(m->batch);
    p->cores = read_count(m->cores);
    for (size_t i = 0; i < TL_COUNT(numbers); i++) {
        memcpy(
            (char *)p + numbers[i].offset, (const char *)m + numbers[i].wire_offset,
            sizeof(double));
    }
    if (m->version != VERSION || tl_profile_check(p) != TL_OK) {
        return tl_fail(TL_EDAMAGED, "profile: the stored bytes are no valid profile");
    }
    return TL_OK;
}

tl_err tl_profile_unpack(const void *bytes, size_t len, tl_profile *out_profile)
{
    bool is_out = false;
    ProtobufCAllocator allocator = {
        .alloc = allocate, .free = release, .allocator_data = &is_out};
    tl_profile profile = {0};
    if (len == 0 || len > TL_PROFILE_PACKED_MAX_BYTES) {
        return tl_fail(
            TL_EDAMAGED, "profile: got %zu bytes, want 1 to %d", len,
            (int)TL_PROFILE_PACKED_MAX_BYTES);
    }
    message *m = tailor__v1__profile__unpack(&allocator, len, bytes);
    if (m == NULL && is_out) {
        return tl_fail(TL_ENOMEM, "profile");
    }
    if (m == NULL) {
        return tl_fail(TL_EDAMAGED, "profile: the stored bytes are no message");
    }
    tl_err err = read_message(m, &profile);
    if (err == TL_OK) {
        *out_profile = profile;
    }
    tailor__v1__profile__free_unpacked(m, &allocator);
    return err;
}
