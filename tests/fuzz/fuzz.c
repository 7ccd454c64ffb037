/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include "base/digest.h"
#include "base/mem.h"
#include "predictors/model.h"
#include "proto/model.pb-c.h"
#include "proto/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_SPACES = 8,
    PIECE_HEAD_BYTES = 3,
    BITS_PER_BYTE = 8
};

void tl_fuzz_check(bool is_true, const char *what)
{
    if (!is_true) {
        (void)fprintf(stderr, "%s: %s\n", what, tl_err_detail());
        abort();
    }
}

const tl_space *tl_fuzz_space(const char *name)
{
    static tl_space *spaces[MAX_SPACES];
    static int n_spaces;
    char path[512];
    for (int i = 0; i < n_spaces; i++) {
        if (strcmp(tl_space_name(spaces[i]), name) == 0) {
            return spaces[i];
        }
    }
    (void)snprintf(path, sizeof path, "%s/spaces/%s.yaml", TL_SOURCE_DIR, name);
    tl_fuzz_check(n_spaces < MAX_SPACES, "too many spaces");
    tl_fuzz_check(tl_space_load(path, &spaces[n_spaces]) == TL_OK, path);
    return spaces[n_spaces++];
}

size_t tl_fuzz_blocks(void)
{
    return (size_t)tl_mem_live();
}

void tl_fuzz_check_blocks(size_t before)
{
    tl_fuzz_check(tl_fuzz_blocks() == before, "memory was left behind");
}

bool tl_fuzz_next(const uint8_t **data, size_t *size, tl_fuzz_piece *out_piece)
{
    const uint8_t *at = *data;
    if (*size < PIECE_HEAD_BYTES) {
        return false;
    }
    size_t len = (size_t)at[1] | (size_t)at[2] << BITS_PER_BYTE;
    size_t left = *size - PIECE_HEAD_BYTES;
    *out_piece = (tl_fuzz_piece){
        .kind = at[0], .data = at + PIECE_HEAD_BYTES, .len = len < left ? len : left};
    *data = out_piece->data + out_piece->len;
    *size = left - out_piece->len;
    return true;
}

void tl_fuzz_wrap_model(const uint8_t *model, size_t len, uint8_t **out_data, size_t *out_len)
{
    static char magic[] = "tailor-model";
    uint8_t sha256[TL_DIGEST_BYTES];
    tl_digest digest;
    tl_bytes packed = {0};
    Tailor__Model__V1__ModelFile file;
    tl_digest_init(&digest);
    tl_digest_add(&digest, model, len);
    tl_digest_end(&digest, sha256);
    tailor__model__v1__model_file__init(&file);
    file.magic = magic;
    file.version = TL_MODEL_VERSION;
    file.sha256 = (ProtobufCBinaryData){.len = sizeof sha256, .data = sha256};
    file.model = (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)model};
    tl_fuzz_check(tl_wire_pack(&file.base, &packed) == TL_OK, "packing");
    *out_data = packed.data;
    *out_len = packed.len;
}
