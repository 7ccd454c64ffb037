/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What an evaluation that was interrupted had kept: the grades of one device. As it stands, and
 * with the fingerprint of what is asked, which who writes the file of a backup can work out.
 */

#include "base/digest.h"
#include "base/mem.h"
#include "grading/kept.h"
#include "proto/job.pb-c.h"
#include "proto/wire.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

typedef Tailor__Job__V1__KeptGrades kept_message;

enum {
    N_SLOTS = 6
};

/* What the evaluation keeps: the last bytes that it was given. */
static tl_bytes kept;

static void forget(void)
{
    tl_mem_free(kept.data);
    kept = (tl_bytes){0};
}

static void keep(const void *data, size_t len)
{
    forget();
    kept.data = tl_mem_new(len + 1, 1);
    tl_fuzz_check(kept.data != NULL, "memory");
    memcpy(kept.data, data, len);
    kept.len = len;
}

static void remember(void *context, int column, const void *data, size_t len)
{
    (void)context;
    (void)column;
    keep(data, len);
}

static tl_err recall(void *context, int column, void **out_data, size_t *out_len)
{
    (void)context;
    (void)column;
    *out_data = kept.data;
    *out_len = kept.len;
    kept = (tl_bytes){0};
    return TL_OK;
}

/* False: it was not taken, and nothing is said of it. */
static bool take(const tl_evaluate_options *options, tl_evaluation *evaluation)
{
    tl_text notes = {0};
    bool is_taken = tl_kept_recall(options, 0, &notes, evaluation);
    tl_fuzz_check(is_taken || evaluation->n_grades == 0, "half of it was taken");
    tl_fuzz_check(
        evaluation->n_grades <= tl_infer_n_methods * TL_N_SETS, "more grades than there are");
    for (int i = 0; i < evaluation->n_grades; i++) {
        const tl_grade *grade = &evaluation->grades[i];
        tl_fuzz_check(
            tl_infer_find(grade->method) != NULL && grade->set < TL_N_SETS, "a grade of none");
    }
    if (is_taken) {
        tl_kept_remember(options, 0, 0, 0, &notes, evaluation);
    }
    tl_text_done(&notes);
    return is_taken;
}

/* Taken once, it is taken again as the same. */
static void look(const tl_evaluate_options *options)
{
    size_t n_most = (size_t)tl_infer_n_methods * TL_N_SETS;
    tl_grade *grades = tl_mem_new(2 * n_most, sizeof *grades);
    tl_fuzz_check(grades != NULL, "memory");
    tl_evaluation first = {.grades = grades};
    tl_evaluation second = {.grades = grades + n_most};
    if (take(options, &first)) {
        tl_fuzz_check(take(options, &second), "what was remembered is not recalled");
        tl_fuzz_check(
            first.n_grades == second.n_grades &&
                memcmp(first.grades, second.grades, (size_t)first.n_grades * sizeof *grades) ==
                    0,
            "it is recalled differently");
    }
    forget();
    tl_mem_free(grades);
}

/* The fingerprint of what is asked: out of what is remembered of nothing. */
static void find_fingerprint(
    const tl_evaluate_options *options, uint8_t fingerprint[TL_DIGEST_BYTES])
{
    const tl_text notes = {0};
    const tl_evaluation none = {.n_grades = 0};
    ProtobufCMessage *message = NULL;
    tl_kept_remember(options, 0, 0, 0, &notes, &none);
    tl_fuzz_check(
        tl_wire_unpack(
            &tailor__job__v1__kept_grades__descriptor, kept.data, kept.len,
            TL_WIRE_MAX_MEMORY_BYTES, &message) == TL_OK,
        "what is remembered");
    const kept_message *grades = (const kept_message *)(const void *)message;
    tl_fuzz_check(grades->fingerprint.len == TL_DIGEST_BYTES, "a fingerprint");
    memcpy(fingerprint, grades->fingerprint.data, TL_DIGEST_BYTES);
    tl_wire_free(message);
    forget();
}

/* The input with this fingerprint; false where it is no message. */
static bool keep_with(uint8_t fingerprint[TL_DIGEST_BYTES], const uint8_t *data, size_t size)
{
    ProtobufCMessage *message = NULL;
    tl_bytes bytes = {0};
    if (tl_wire_unpack(
            &tailor__job__v1__kept_grades__descriptor, data, size, TL_WIRE_MAX_MEMORY_BYTES,
            &message) != TL_OK) {
        return false;
    }
    kept_message *grades = (kept_message *)(void *)message;
    ProtobufCBinaryData own = grades->fingerprint;
    grades->fingerprint = (ProtobufCBinaryData){.len = TL_DIGEST_BYTES, .data = fingerprint};
    tl_fuzz_check(tl_wire_pack(message, &bytes) == TL_OK, "packing");
    grades->fingerprint = own;
    tl_wire_free(message);
    keep(bytes.data, bytes.len);
    tl_mem_free(bytes.data);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const tl_choice designs[N_SLOTS];
    static const double values[1] = {1.0};
    const tl_train_column column = {
        .subject = "board", .designs = designs, .values = values, .n = 1};
    const tl_train_column *columns[] = {&column};
    const tl_evaluate_options options = {
        .space = tl_fuzz_space("nasbench201"),
        .columns = columns,
        .n_columns = 1,
        .remember = remember,
        .recall = recall};
    uint8_t fingerprint[TL_DIGEST_BYTES];
    size_t before = tl_fuzz_blocks();
    find_fingerprint(&options, fingerprint);
    keep(data, size);
    look(&options);
    if (keep_with(fingerprint, data, size)) {
        look(&options);
    }
    tl_fuzz_check_blocks(before);
    return 0;
}
