/* SPDX-License-Identifier: Apache-2.0 */

/* Method measure.suggest: the designs whose measurement would teach most. */

#include "base/mem.h"
#include "base/text.h"
#include "daemon/answer.h"
#include "daemon/handle.h"
#include "daemon/methods.h"
#include "measurements/columns.h"
#include "measurements/designs.h"
#include "numerics/rng.h"
#include "predictors/suggest.h"

#include <string.h>

typedef Tailor__V1__SuggestRequest suggest_request;

enum {
    MAX_COUNT = 1000,
    N_CANDIDATES = 3000,
    MAX_CANDIDATES = 20000,
    PIECE = 1024 /* designs between looks at the deadline */
};

/* ---- candidates ------------------------------------------------------------------------ */

typedef struct candidates {
    tl_choice *designs; /* [n, n_slots] */
    int n;
} candidates;

static bool is_among(const candidates *known, const tl_choice *design, size_t n_slots)
{
    for (int i = 0; i < known->n; i++) {
        if (memcmp(known->designs + (size_t)i * n_slots, design, n_slots * sizeof *design) ==
            0) {
            return true;
        }
    }
    return false;
}

/* Different designs drawn by chance; fewer where the space has no more. */
static tl_err draw(const tl_space *space, uint64_t seed, candidates *out)
{
    tl_rng rng;
    size_t n_slots = (size_t)tl_space_n_slots(space);
    out->designs = tl_mem_new(N_CANDIDATES * n_slots, sizeof *out->designs);
    if (out->designs == NULL) {
        return tl_fail(TL_ENOMEM, "%d candidates", (int)N_CANDIDATES);
    }
    tl_rng_init(&rng, seed);
    for (int tries = 0; tries < 2 * N_CANDIDATES && out->n < N_CANDIDATES; tries++) {
        tl_choice *design = out->designs + (size_t)out->n * n_slots;
        tl_space_sample(space, &rng, design);
        tl_space_normalize(space, design);
        if (!is_among(out, design, n_slots)) {
            out->n++;
        }
    }
    return TL_OK;
}

/* Keeps the first of equal candidates: to measure one twice is not to choose two. */
static tl_err drop_equal(candidates *from, int n_slots)
{
    int *order = NULL;
    bool *is_equal = tl_mem_new((size_t)from->n, sizeof *is_equal);
    tl_err err = is_equal != NULL ? tl_designs_order(from->designs, n_slots, from->n, &order)
                                  : tl_fail(TL_ENOMEM, "%d candidates", from->n);
    for (int i = 1; err == TL_OK && i < from->n; i++) {
        is_equal[order[i]] = tl_design_compare(
                                 tl_design_at(from->designs, n_slots, order[i - 1]),
                                 tl_design_at(from->designs, n_slots, order[i]), n_slots) == 0;
    }
    int n = 0;
    for (int i = 0; err == TL_OK && i < from->n; i++) {
        if (!is_equal[i]) {
            memmove(
                from->designs + (size_t)n * (size_t)n_slots,
                tl_design_at(from->designs, n_slots, i),
                (size_t)n_slots * sizeof *from->designs);
            n++;
        }
    }
    from->n = err == TL_OK ? n : from->n;
    tl_mem_free(order);
    tl_mem_free(is_equal);
    return err;
}

static tl_err parse(const suggest_request *request, const tl_space *space, candidates *out)
{
    tl_table table = {0};
    const tl_table_options options = {.mode = TL_TABLE_DESIGNS, .max_rows = MAX_CANDIDATES};
    TL_TRY(tl_table_parse(
        space, tl_handle_origin(request->origin, "candidates"), &options,
        (const char *)request->candidates_csv.data, request->candidates_csv.len, &table));
    *out = (candidates){.designs = table.designs, .n = table.n};
    table.designs = NULL;
    tl_table_done(&table);
    return drop_equal(out, tl_space_n_slots(space));
}

/* ---- the choice -------------------------------------------------------------------------- */

static tl_err check(void *context)
{
    return tl_call_check(context);
}

/* The designs as the predictor reads them: [n, ..]; a piece at a time, as it takes a while. */
static tl_err encode(
    tl_call *call,
    const tl_predictor *predictor,
    const tl_choice *designs,
    int n,
    tl_dmat *out_x)
{
    size_t n_slots = (size_t)tl_space_n_slots(tl_predictor_space(predictor));
    tl_err err = TL_OK;
    for (int begin = 0; begin < n && err == TL_OK; begin += PIECE) {
        int n_piece = n - begin < PIECE ? n - begin : PIECE;
        tl_dmat x = {0};
        double *z = NULL;
        TL_TRY(tl_call_check(call));
        TL_TRY(tl_predictor_rows(
            predictor, TL_COST_LATENCY, designs + (size_t)begin * n_slots, n_piece, &x, &z));
        tl_mem_free(z);
        err = begin == 0 ? tl_dmat_init(out_x, n, x.cols) : TL_OK;
        for (int i = 0; i < n_piece && err == TL_OK; i++) {
            memcpy(
                tl_dmat_row(*out_x, begin + i), tl_dmat_row(x, i),
                (size_t)x.cols * sizeof *x.data);
        }
        tl_dmat_done(&x);
    }
    return err;
}

static tl_err choose(
    tl_call *call,
    const suggest_request *request,
    const tl_subject *subject,
    const candidates *from,
    const tl_column *measured,
    int *picks)
{
    tl_dmat x = {0};
    tl_dmat known = {0};
    const tl_predictor *predictor = subject->predictor;
    const tl_features *features = tl_predictor_features(predictor);
    tl_err err = encode(call, predictor, from->designs, from->n, &x);
    if (err == TL_OK) {
        err = encode(call, predictor, measured->designs, measured->n, &known);
    }
    if (err == TL_OK) {
        err = tl_suggest_checked(
            features, x.cols - tl_features_n_head(features), tl_dro(x), tl_dro(known),
            (int)request->count, check, call, picks);
    }
    tl_dmat_done(&x);
    tl_dmat_done(&known);
    return err;
}

static tl_err fill_reply(
    const suggest_request *request,
    const tl_space *space,
    const candidates *from,
    const int *picks,
    Tailor__V1__Table *reply)
{
    size_t n_slots = (size_t)tl_space_n_slots(space);
    size_t n = request->count;
    tl_text column = {0};
    tl_choice *designs = tl_mem_new(n * n_slots, sizeof *designs);
    if (designs == NULL) {
        return tl_fail(TL_ENOMEM, "%zu designs", n);
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(
            designs + i * n_slots, from->designs + (size_t)picks[i] * n_slots,
            n_slots * sizeof *designs);
    }
    tl_table_reply_init(reply, n);
    tl_err err = tl_answer_add_designs(reply, space, designs, (int)n);
    tl_text_addf(&column, "latency_ms@%s", request->device);
    if (err == TL_OK && (err = tl_text_err(&column)) == TL_OK) {
        err = tl_table_reply_numbers(reply, column.data, 0, NULL);
    }
    tl_text_done(&column);
    tl_mem_free(designs);
    return err;
}

static tl_err suggest(
    tl_call *call,
    const suggest_request *request,
    const tl_subject *subject,
    Tailor__V1__Table *reply)
{
    candidates from = {0};
    tl_column measured = {0};
    int *picks = NULL;
    const uint64_t seed = request->has_seed ? request->seed : 1;
    tl_err err = request->candidates_csv.len > 0 ? parse(request, subject->space, &from)
                                                 : draw(subject->space, seed, &from);
    if (err == TL_OK && (int)request->count > from.n) {
        err = tl_fail(
            TL_EINVAL, "count: got %u, want at most %d, the designs there are to choose from",
            request->count, from.n);
    }
    if (err == TL_OK) {
        err = tl_columns_get(
            tl_engine_store(call->engine), subject->space, TL_METRIC_LATENCY_MS,
            request->device, &measured);
        err = err == TL_ENOTFOUND ? TL_OK : err;
    }
    picks = tl_mem_new(request->count, sizeof *picks);
    if (err == TL_OK && picks == NULL) {
        err = tl_fail(TL_ENOMEM, "%u picks", request->count);
    }
    if (err == TL_OK && (err = tl_call_check(call)) == TL_OK &&
        (err = choose(call, request, subject, &from, &measured, picks)) == TL_OK) {
        err = fill_reply(request, subject->space, &from, picks, reply);
    }
    tl_mem_free(picks);
    tl_mem_free(from.designs);
    tl_column_done(&measured);
    return err;
}

static tl_err run(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const suggest_request *request = (const suggest_request *)request_base;
    tl_subject subject = {0};
    if (request->count == 0 || request->count > MAX_COUNT) {
        return tl_fail(
            TL_EINVAL, "count: got %u, want 1 to %d", request->count, (int)MAX_COUNT);
    }
    TL_TRY(tl_subject_find(call, request->space, request->device, "", &subject));
    tl_err err = suggest(call, request, &subject, (Tailor__V1__Table *)reply_base);
    tl_subject_done(&subject);
    return err;
}

const tl_method tl_method_measure_suggest = {
    .name = "measure.suggest",
    .summary = "The designs whose measurement on a device would teach most",
    .request = &tailor__v1__suggest_request__descriptor,
    .reply = &tailor__v1__table__descriptor,
    .run = run,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_WORK,
    .deadline_ms = 60000,
};
