/* SPDX-License-Identifier: Apache-2.0 */
#include "grading/kept.h"

#include "base/digest.h"
#include "base/mem.h"
#include "proto/job.pb-c.h"
#include "proto/wire.h"

#include <string.h>

typedef Tailor__Job__V1__KeptGrades kept_message;
typedef Tailor__Job__V1__KeptGrade grade_message;

/* ---- what the grades were found from -------------------------------------------------------- */

static void add_text(tl_digest *digest, const char *text)
{
    tl_digest_add(digest, text, strlen(text) + 1);
}

static void add_column(
    tl_digest *digest,
    const tl_space *space,
    const char *subject,
    const tl_choice *designs,
    const double *values,
    int n)
{
    size_t n_choices = (size_t)n * (size_t)tl_space_n_slots(space);
    add_text(digest, subject);
    tl_digest_add(digest, &n, sizeof n);
    tl_digest_add(digest, designs, n_choices * sizeof *designs);
    tl_digest_add(digest, values, (size_t)n * sizeof *values);
}

static void fingerprint(const tl_evaluate_options *options, uint8_t out[TL_DIGEST_BYTES])
{
    tl_digest digest;
    tl_digest_init(&digest);
    add_text(&digest, tl_space_digest(options->space));
    add_text(&digest, tl_metric_name(options->metric));
    tl_digest_add(&digest, &options->seed, sizeof options->seed);
    tl_digest_add(&digest, &options->n_samples, sizeof options->n_samples);
    for (int i = 0; i < options->n_columns; i++) {
        const tl_train_column *column = options->columns[i];
        add_column(
            &digest, options->space, column->subject, column->designs, column->values,
            column->n);
    }
    for (int i = 0; i < options->n_others; i++) {
        add_text(&digest, tl_space_digest(options->others[i]));
    }
    if (options->accuracy != NULL) {
        add_column(
            &digest, options->space, "", options->accuracy->designs, options->accuracy->values,
            options->accuracy->n);
    }
    for (int k = 0; k < tl_infer_n_methods; k++) {
        const char *name = tl_infer_methods[k].name;
        if (options->takes == NULL || options->takes(options->context, name)) {
            add_text(&digest, name);
        }
    }
    tl_digest_end(&digest, out);
}

/* ---- to bytes --------------------------------------------------------------------------------- */

/* The message borrows from the grade. */
static void to_message(const tl_grade *grade, grade_message *message)
{
    tailor__job__v1__kept_grade__init(message);
    message->method = (char *)(uintptr_t)grade->method;
    message->set = (uint32_t)grade->set;
    message->n_designs = grade->n_designs;
    message->n_figures = TL_N_FIGURES;
    message->figures = (double *)(uintptr_t)grade->figures;
    message->n_calibration = TL_CURVE_POINTS;
    message->calibration = (double *)(uintptr_t)grade->calibration;
    message->n_rejection = TL_CURVE_POINTS;
    message->rejection = (double *)(uintptr_t)grade->rejection;
}

void tl_kept_remember(
    const tl_evaluate_options *options,
    int column,
    int first_grade,
    size_t first_note,
    const tl_text *notes,
    const tl_evaluation *evaluation)
{
    uint8_t mark[TL_DIGEST_BYTES];
    tl_bytes bytes = {0};
    size_t n = (size_t)(evaluation->n_grades - first_grade);
    if (options->remember == NULL) {
        return;
    }
    grade_message *grades = tl_mem_new(n + 1, sizeof *grades);
    grade_message **pointers = tl_mem_new(n + 1, sizeof *pointers);
    kept_message kept;
    tailor__job__v1__kept_grades__init(&kept);
    for (size_t i = 0; i < n && grades != NULL && pointers != NULL; i++) {
        to_message(&evaluation->grades[(size_t)first_grade + i], &grades[i]);
        pointers[i] = &grades[i];
    }
    fingerprint(options, mark);
    kept.fingerprint = (ProtobufCBinaryData){.len = sizeof mark, .data = mark};
    kept.n_grades = n;
    kept.grades = pointers;
    kept.notes = (char *)(uintptr_t)(notes->len > first_note ? notes->data + first_note : "");
    if (grades != NULL && pointers != NULL && tl_text_err(notes) == TL_OK &&
        tl_wire_pack((ProtobufCMessage *)&kept, &bytes) == TL_OK) {
        options->remember(options->context, column, bytes.data, bytes.len);
    }
    tl_mem_free(bytes.data);
    tl_mem_free(grades);
    tl_mem_free(pointers);
}

/* ---- from bytes --------------------------------------------------------------------------------- */

/* False where it is of a program that knew other methods, sets or figures. */
static bool from_message(const grade_message *message, const char *subject, tl_grade *grade)
{
    const tl_infer_method *method = tl_infer_find(message->method);
    if (method == NULL || message->set >= TL_N_SETS || message->n_figures != TL_N_FIGURES ||
        message->n_calibration != TL_CURVE_POINTS || message->n_rejection != TL_CURVE_POINTS) {
        return false;
    }
    *grade = (tl_grade){
        .subject = subject,
        .method = method->name,
        .set = (tl_grade_set)message->set,
        .n_designs = message->n_designs};
    memcpy(grade->figures, message->figures, sizeof grade->figures);
    memcpy(grade->calibration, message->calibration, sizeof grade->calibration);
    memcpy(grade->rejection, message->rejection, sizeof grade->rejection);
    return true;
}

static bool take(
    const kept_message *kept,
    const tl_evaluate_options *options,
    int column,
    tl_text *notes,
    tl_evaluation *evaluation)
{
    uint8_t mark[TL_DIGEST_BYTES];
    fingerprint(options, mark);
    if (kept->fingerprint.len != sizeof mark ||
        memcmp(kept->fingerprint.data, mark, sizeof mark) != 0 ||
        kept->n_grades > (size_t)tl_infer_n_methods * TL_N_SETS) {
        return false;
    }
    for (size_t i = 0; i < kept->n_grades; i++) {
        tl_grade *grade = &evaluation->grades[(size_t)evaluation->n_grades + i];
        if (!from_message(kept->grades[i], options->columns[column]->subject, grade)) {
            return false;
        }
    }
    evaluation->n_grades += (int)kept->n_grades;
    tl_text_add(notes, kept->notes);
    return true;
}

bool tl_kept_recall(
    const tl_evaluate_options *options, int column, tl_text *notes, tl_evaluation *evaluation)
{
    void *data = NULL;
    size_t len = 0;
    ProtobufCMessage *message = NULL;
    if (options->recall == NULL ||
        options->recall(options->context, column, &data, &len) != TL_OK) {
        tl_err_clear();
        return false;
    }
    tl_err err = tl_wire_unpack(
        &tailor__job__v1__kept_grades__descriptor, data, len, TL_WIRE_MAX_MEMORY_BYTES,
        &message);
    bool is_taken =
        err == TL_OK &&
        take((const kept_message *)(const void *)message, options, column, notes, evaluation);
    tl_wire_free(message);
    tl_mem_free(data);
    return is_taken;
}
