/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "predictors/score_model.h"

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

/* Sums over the network and over each stage, totals [1 + n_stages, N_TOTALS]. */
static void sum_network(const tl_network *network, int n_stages, double *totals)
{
    for (int i = 0; i < (1 + n_stages) * N_TOTALS; i++) {
        totals[i] = 0.0;
    }
    for (int i = 0; i < network->n_ops; i++) {
        const tl_op *op = &network->ops[i];
        double params = (double)tl_op_params(op);
        double moved = (double)tl_op_elements_in(op) + (double)tl_op_elements_out(op) + params;
        const double values[N_TOTALS] = {(double)tl_op_macs(op), params, moved, 1.0};
        for (int k = 0; k < N_TOTALS; k++) {
            totals[k] += values[k];
            if (op->stage >= 0 && op->stage < n_stages) {
                totals[(1 + op->stage) * N_TOTALS + k] += values[k];
            }
        }
    }
}

static tl_err encode_numbers(
    const tl_score_encoder *encoder,
    const tl_choice *design,
    tl_network *network,
    double *onehot,
    float *out_row)
{
    double totals[(1 + MAX_STAGES) * N_TOTALS];
    int width = tl_space_onehot_width(encoder->space);
    tl_space_onehot(encoder->space, design, onehot);
    for (int k = 0; k < width; k++) {
        out_row[k] = (float)onehot[k];
    }
    TL_TRY(tl_space_lower(encoder->space, design, network));
    sum_network(network, encoder->n_stages, totals);
    for (int k = 0; k < N_TOTALS * (1 + encoder->n_stages); k++) {
        out_row[width + k] = (float)log1p(totals[k]);
    }
    return TL_OK;
}

static tl_err encode_all(
    const tl_score_encoder *encoder, const tl_choice *designs, tl_score_input *input)
{
    int n_slots = tl_space_n_slots(encoder->space);
    tl_network network = {0};
    tl_err err = TL_OK;
    double *onehot = tl_mem_new((size_t)tl_space_onehot_width(encoder->space), sizeof *onehot);
    if (onehot == NULL) {
        return tl_fail(TL_ENOMEM, "numbers of a design");
    }
    for (int i = 0; i < input->n && err == TL_OK; i++) {
        const tl_choice *design = designs + (ptrdiff_t)i * n_slots;
        float *numbers = tl_mat_row(input->numbers, i);
        if (encoder->is_cell) {
            input->is_dead[i] = !tl_cell_code_encode(
                &encoder->cell, encoder->space, design,
                input->codes + (ptrdiff_t)i * encoder->n_codes, numbers);
        } else {
            err = encode_numbers(encoder, design, &network, onehot, numbers);
        }
    }
    tl_network_done(&network);
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
