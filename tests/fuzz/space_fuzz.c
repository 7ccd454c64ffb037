/* SPDX-License-Identifier: Apache-2.0 */

/* The YAML of a space; of one that is accepted, a few designs are drawn and lowered. */

#include "base/mem.h"
#include "spaces/network.h"
#include "tests/fuzz/fuzz.h"

enum {
    N_DRAWN = 4
};

static void draw(const tl_space *space)
{
    tl_network network = {0};
    tl_rng rng;
    tl_choice *design = tl_mem_new((size_t)tl_space_n_slots(space), sizeof *design);
    tl_fuzz_check(design != NULL, "memory");
    tl_rng_init(&rng, 1);
    for (int i = 0; i < N_DRAWN; i++) {
        tl_space_sample(space, &rng, design);
        tl_fuzz_check(tl_space_check(space, design) == TL_OK, "a drawn design is refused");
        tl_err err = tl_space_lower(space, design, &network);
        tl_fuzz_check(err == TL_OK || tl_err_detail()[0] != '\0', "a refusal without a reason");
    }
    tl_network_done(&network);
    tl_mem_free(design);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = tl_fuzz_blocks();
    tl_space *space = NULL;
    if (tl_space_parse((const char *)data, size, "fuzz.yaml", &space) == TL_OK) {
        draw(space);
        tl_space_unref(space);
    }
    tl_fuzz_check_blocks(before);
    return 0;
}
