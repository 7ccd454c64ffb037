/* SPDX-License-Identifier: Apache-2.0 */

/* A packed optimizer. */

#include "base/mem.h"
#include "optimizer/optimizer.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const tl_space *space = tl_fuzz_space("nasbench201");
    size_t before = tl_fuzz_blocks();
    tl_optimizer *optimizer = NULL;
    if (tl_optimizer_unpack(space, data, size, &optimizer) == TL_OK) {
        tl_bytes packed = {0};
        tl_fuzz_check(tl_optimizer_pack(optimizer, &packed) == TL_OK, "packing what was read");
        tl_mem_free(packed.data);
        tl_optimizer_unref(optimizer);
    }
    tl_fuzz_check_blocks(before);
    return 0;
}
