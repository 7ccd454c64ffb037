/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "predictors/score_model.h"
#include "spaces/parts.h"

#include <math.h>

enum {
    MAX_STAGES = 64,
    N_TOTALS = 4, /* MACs, parameters, elements moved, operators */
};

tl_err tl_score_encoder_init(const tl_space *space, tl_score_encoder *out_encoder)
{
    tl_score_encoder encoder = {.space = space};
    if (tl_cell_code_init(space, &encoder.cell)) {
        encoder.is_cell = true;
        encoder.n_codes = encoder.cell.shape.n_edges;
        encoder.n_numbers = tl_cell_code_n_numbers(&encoder.cell);
        *out_encoder = encoder;
        return TL_OK;
    }
    /* Published networks share no stages worth comparing: totals only. */
    if (tl_space_kind_of(space) != TL_SPACE_ENUMERATED) {
        tl_choice design[TL_SPACE_MAX_SLOTS];
        tl_network network = {0};
        tl_rng rng;
        tl_rng_init(&rng, 1);
        tl_space_sample(space, &rng, design);
        tl_err err = tl_space_lower(space, design, &network);
        encoder.n_stages = network.n_stages < MAX_STAGES ? network.n_stages : MAX_STAGES;
        tl_network_done(&network);
        TL_TRY(err);
    }
    encoder.n_numbers = tl_space_onehot_width(space) + N_TOTALS * (1 + encoder.n_stages);
    *out_encoder = encoder;
    return TL_OK;
}

/* totals [N_TOTALS], and after them their logarithms: most stages are one part. */
static void sum_part(void *context, const tl_op *ops, int n_ops, double *sums)
{
    (void)context;
    for (int i = 0; i < n_ops; i++) {
        double params = (double)tl_op_params(&ops[i]);
        sums[0] += (double)tl_op_macs(&ops[i]);
        sums[1] += params;
        sums[2] +=
            (double)tl_op_elements_in(&ops[i]) + (double)tl_op_elements_out(&ops[i]) + params;
        sums[3] += 1.0;
    }
    for (int k = 0; k < N_TOTALS; k++) {
        sums[N_TOTALS + k] = log1p(sums[k]);
    }
}

/* Logarithms of sums over the network and over each stage, [1 + n_stages, N_TOTALS]. */
static void log_totals(const tl_part *parts, int n_parts, int n_stages, float *out_logs)
{
    double totals[(1 + MAX_STAGES) * N_TOTALS] = {0};
    const tl_part *only[1 + MAX_STAGES] = {NULL}; /* the part that a stage consists of */
    int n_of_stage[1 + MAX_STAGES] = {0};
    for (int i = 0; i < n_parts; i++) {
        int at = parts[i].stage >= 0 && parts[i].stage < n_stages ? 1 + parts[i].stage : 0;
        only[at] = &parts[i];
        n_of_stage[at]++;
        for (int k = 0; k < N_TOTALS; k++) {
            totals[k] += parts[i].sums[k];
            totals[at * N_TOTALS + k] += at > 0 ? parts[i].sums[k] : 0;
        }
    }
    for (int at = 0; at <= n_stages; at++) {
        for (int k = 0; k < N_TOTALS; k++) {
            out_logs[at * N_TOTALS + k] =
                (float)(at > 0 && n_of_stage[at] == 1 ? only[at]->sums[N_TOTALS + k] : log1p(totals[at * N_TOTALS + k]));
        }
    }
}

static tl_err encode_numbers(
    const tl_score_encoder *encoder,
    const tl_choice *design,
    tl_parts *parts,
    double *onehot,
    float *out_row)
{
    int width = tl_space_onehot_width(encoder->space);
    const tl_part *found = NULL;
    int n_found = 0;
    tl_space_onehot(encoder->space, design, onehot);
    for (int k = 0; k < width; k++) {
        out_row[k] = (float)onehot[k];
    }
    TL_TRY(tl_parts_find(parts, design, &found, &n_found));
    log_totals(found, n_found, encoder->n_stages, out_row + width);
    return TL_OK;
}

static tl_err encode_all(
    const tl_score_encoder *encoder, const tl_choice *designs, tl_score_input *input)
{
    int n_slots = tl_space_n_slots(encoder->space);
    tl_parts *parts = NULL;
    tl_err err = TL_OK;
    double *onehot = tl_mem_new((size_t)tl_space_onehot_width(encoder->space), sizeof *onehot);
    if (onehot == NULL) {
        return tl_fail(TL_ENOMEM, "numbers of a design");
    }
    if (!encoder->is_cell) {
        err = tl_parts_new(encoder->space, 2 * N_TOTALS, sum_part, NULL, &parts);
    }
    for (int i = 0; i < input->n && err == TL_OK; i++) {
        const tl_choice *design = designs + (ptrdiff_t)i * n_slots;
        float *numbers = tl_mat_row(input->numbers, i);
        if (encoder->is_cell) {
            input->is_dead[i] = !tl_cell_code_encode(
                &encoder->cell, encoder->space, design,
                input->codes + (ptrdiff_t)i * encoder->n_codes, numbers);
        } else {
            err = encode_numbers(encoder, design, parts, onehot, numbers);
        }
    }
    tl_parts_free(parts);
    tl_mem_free(onehot);
    return err;
}

tl_err tl_score_encode(
    const tl_score_encoder *encoder, const tl_choice *designs, int n, tl_score_input *out_input)
{
    tl_score_input input = {.n = n};
    tl_err err = TL_OK;
    input.codes = tl_mem_new((size_t)n, (size_t)encoder->n_codes);
    input.is_dead = tl_mem_new((size_t)n, sizeof *input.is_dead);
    if (input.codes == NULL || input.is_dead == NULL) {
        err = tl_fail(TL_ENOMEM, "%d designs", n);
        goto done;
    }
    if ((err = tl_mat_init(&input.numbers, n, encoder->n_numbers)) != TL_OK ||
        (err = encode_all(encoder, designs, &input)) != TL_OK) {
        goto done;
    }
    *out_input = input;
    input = (tl_score_input){0};
done:
    tl_score_input_done(&input);
    return err;
}

void tl_score_input_done(tl_score_input *input)
{
    tl_mem_free(input->codes);
    tl_mem_free(input->is_dead);
    tl_mat_done(&input->numbers);
    *input = (tl_score_input){0};
}
