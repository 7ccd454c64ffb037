/* SPDX-License-Identifier: Apache-2.0 */

/* A packed accuracy model, of a space of cells and of one of numbers. */

#include "base/mem.h"
#include "predictors/accuracy_codec.h"
#include "tests/fuzz/fuzz.h"

static void unpack(const tl_space *space, const uint8_t *data, size_t size)
{
    tl_accuracy_model *model = NULL;
    if (tl_accuracy_unpack(space, data, size, &model) == TL_OK) {
        tl_bytes packed = {0};
        tl_fuzz_check(tl_accuracy_pack(model, &packed) == TL_OK, "packing what was read");
        tl_mem_free(packed.data);
        tl_accuracy_model_free(model);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const tl_space *cells = tl_fuzz_space("nasbench201");
    const tl_space *listed = tl_fuzz_space("mobilenet-zoo");
    size_t before = tl_fuzz_blocks();
    unpack(cells, data, size);
    unpack(listed, data, size);
    tl_fuzz_check_blocks(before);
    return 0;
}
