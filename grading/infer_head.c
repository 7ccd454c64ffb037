/* SPDX-License-Identifier: Apache-2.0 */

/* The shipped head (predictors/head.h) on the problem's samples. */

#include "base/attr.h"
#include "grading/infer_impl.h"

tl_err tl_infer_head_run(const tl_infer_problem *problem, tl_infer_answer *answer)
{
    const tl_infer_head *h = problem->head;
    tl_head head = {0};
    if (h == NULL) {
        return tl_fail(TL_ESTATE, "the shipped head needs samples of one device");
    }
    TL_TRY(tl_head_fit(h->features, &h->samples, &head));
    tl_err err = tl_head_predict(&head, h->query, h->query_z, answer->mean, answer->sd);
    if (err == TL_OK) {
        for (int i = 0; i < h->query.rows; i++) {
            answer->mean[i] = answer->mean[i] / h->level - h->query_offset[i];
            answer->sd[i] /= h->level;
        }
        answer->dof = tl_head_dof(&head);
        size_t d = (size_t)head.n_columns;
        answer->kept_bytes = (d * d + d) * sizeof *head.beta;
    }
    tl_head_done(&head);
    return err;
}
