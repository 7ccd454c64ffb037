/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_GRADING_KEPT_H
#define TL_GRADING_KEPT_H

/*
 * The grades of one device or task as bytes (proto/job.proto, KeptGrades), so that an evaluation
 * that was interrupted goes on where it was. For evaluate.c alone.
 */

#include "grading/evaluate.h"

/*
 * Appends what an earlier run found of the column; false when there is nothing, or it was found
 * from other measurements or options.
 */
bool tl_kept_recall(
    const tl_evaluate_options *options, int column, tl_text *notes, tl_evaluation *evaluation);

/* Hands on what was appended of the column. Where memory is short, nothing is. */
void tl_kept_remember(
    const tl_evaluate_options *options,
    int column,
    int first_grade,
    size_t first_note,
    const tl_text *notes,
    const tl_evaluation *evaluation);

#endif
