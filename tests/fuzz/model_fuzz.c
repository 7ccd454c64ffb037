/* SPDX-License-Identifier: Apache-2.0 */

/* A model file: the bytes as they are, and again as the content of a sound envelope. */

#include "base/mem.h"
#include "predictors/features.h"
#include "predictors/model.h"
#include "tests/fuzz/fuzz.h"

static int n_source_weights(const tl_space *space)
{
    static int n;
    tl_features *features = NULL;
    if (n == 0) {
        tl_fuzz_check(tl_features_new(space, &features) == TL_OK, "features");
        n = tl_features_n_source(features);
        tl_features_free(features);
    }
    return n;
}

static void unpack(const tl_space *space, int n_weights, const uint8_t *data, size_t size)
{
    tl_model *model = NULL;
    if (tl_model_unpack(space, n_weights, data, size, "fuzz.tlm", &model) == TL_OK) {
        tl_bytes packed = {0};
        tl_fuzz_check(tl_model_pack(model, &packed) == TL_OK, "packing what was read");
        tl_mem_free(packed.data);
        tl_model_free(model);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const tl_space *space = tl_fuzz_space("mobilenetv3");
    int n_weights = n_source_weights(space);
    size_t before = tl_fuzz_blocks();
    uint8_t *file = NULL;
    size_t len = 0;
    unpack(space, n_weights, data, size);
    tl_fuzz_wrap_model(data, size, &file, &len);
    unpack(space, n_weights, file, len);
    tl_mem_free(file);
    tl_fuzz_check_blocks(before);
    return 0;
}
