/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/folds.h"

#include "base/mem.h"
#include "base/text.h"
#include "numerics/rng.h"

#include <stdlib.h>
#include <string.h>

typedef struct form {
    size_t offset; /* of the canonical text, before the pointer is set */
    const char *text;
    int row;
} form;

static int compare_forms(const void *a, const void *b)
{
    const form *x = a;
    const form *y = b;
    int order = strcmp(x->text, y->text);
    return order != 0 ? order : (x->row > y->row) - (x->row < y->row);
}

/* All canonical texts, one after the other, each with its NUL. */
static tl_err canonical_forms(
    const tl_space *space, const tl_choice *designs, int n, tl_text *texts, form *forms)
{
    int n_slots = tl_space_n_slots(space);
    tl_text one = {0};
    tl_err err = TL_OK;
    for (int i = 0; i < n && err == TL_OK; i++) {
        tl_text_clear(&one);
        tl_space_canonical(space, designs + (ptrdiff_t)i * n_slots, &one);
        err = tl_text_err(&one);
        forms[i] = (form){.offset = texts->len, .row = i};
        tl_text_add_bytes(texts, one.data != NULL ? one.data : "", one.len);
        tl_text_add_bytes(texts, "", 1);
    }
    tl_text_done(&one);
    if (err != TL_OK) {
        return err;
    }
    TL_TRY(tl_text_err(texts));
    for (int i = 0; i < n; i++) {
        forms[i].text = texts->data + forms[i].offset;
    }
    return TL_OK;
}

tl_err tl_canonical_folds(
    const tl_space *space, const tl_choice *designs, int n, int k, uint64_t seed, int *out_fold)
{
    TL_ASSERT(k >= 1 && n >= 0);
    tl_err err = TL_OK;
    tl_text texts = {0};
    form *forms = tl_mem_new((size_t)n, sizeof *forms);
    int *group = tl_mem_new((size_t)n, 2 * sizeof *group);
    if (forms == NULL || group == NULL) {
        err = tl_fail(TL_ENOMEM, "folds of %d designs", n);
        goto done;
    }
    if ((err = canonical_forms(space, designs, n, &texts, forms)) != TL_OK) {
        goto done;
    }
    qsort(forms, (size_t)n, sizeof *forms, compare_forms);
    int n_groups = 0;
    for (int i = 0; i < n; i++) {
        n_groups += i == 0 || strcmp(forms[i].text, forms[i - 1].text) != 0;
        group[i] = n_groups - 1;
    }
    int *order = group + n;
    tl_rng rng;
    tl_rng_init(&rng, seed);
    tl_rng_permutation(&rng, n_groups, order);
    for (int i = 0; i < n; i++) {
        out_fold[forms[i].row] = order[group[i]] % k;
    }
done:
    tl_text_done(&texts);
    tl_mem_free(group);
    tl_mem_free(forms);
    return err;
}
