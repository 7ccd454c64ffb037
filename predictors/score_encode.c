/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "predictors/score_model.h"
#include "spaces/parts.h"

#include <math.h>
#include <string.h>

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

/* Sums of a network and of its stages, [1 + n_stages] of each. */
typedef struct stage_sums {
    double totals[1 + MAX_STAGES][N_TOTALS];
    const tl_part *last[1 + MAX_STAGES]; /* part of a stage */
    int n[1 + MAX_STAGES];               /* parts of a stage */
} stage_sums;

/* Logarithms of sums over the network and over each stage, [1 + n_stages, N_TOTALS]. */
static void log_totals(
    const tl_part *parts, int n_parts, int n_stages, stage_sums *sums, float *out_logs)
{
    double whole[N_TOTALS] = {0};
    for (int at = 0; at <= n_stages; at++) {
        memset(sums->totals[at], 0, sizeof sums->totals[at]);
        sums->n[at] = 0;
    }
    for (int i = 0; i < n_parts; i++) {
        int at = parts[i].stage < n_stages ? 1 + parts[i].stage : 0;
        sums->last[at] = &parts[i];
        sums->n[at]++;
        for (int k = 0; k < N_TOTALS; k++) {
            whole[k] += parts[i].sums[k];
            sums->totals[at][k] += parts[i].sums[k];
        }
    }
    for (int k = 0; k < N_TOTALS; k++) {
        out_logs[k] = (float)log1p(whole[k]);
    }
    for (int at = 1; at <= n_stages; at++) {
        float *logs = out_logs + (ptrdiff_t)at * N_TOTALS;
        for (int k = 0; k < N_TOTALS; k++) {
            logs[k] =
                (float)(sums->n[at] == 1 ? sums->last[at]->sums[N_TOTALS + k] : log1p(sums->totals[at][k]));
        }
    }
}

struct tl_score_reader {
    const tl_score_encoder *encoder;
    tl_parts *parts; /* NULL: cells */
    int n_slots;
    int column_of[TL_SPACE_MAX_SLOTS]; /* of tl_space_onehot(); -1: optional, it has none */
    int n_columns;
    stage_sums sums;
};

tl_err tl_score_reader_new(const tl_score_encoder *encoder, tl_score_reader **out_reader)
{
    const tl_space *space = encoder->space;
    tl_score_reader *reader = tl_mem_new(1, sizeof *reader);
    if (reader == NULL) {
        return tl_fail(TL_ENOMEM, "numbers of designs");
    }
    tl_err err = encoder->is_cell
                     ? TL_OK
                     : tl_parts_new(space, 2 * N_TOTALS, sum_part, NULL, &reader->parts);
    if (err != TL_OK) {
        tl_mem_free(reader);
        return err;
    }
    reader->encoder = encoder;
    reader->n_slots = tl_space_n_slots(space);
    for (int s = 0; s < reader->n_slots; s++) {
        const tl_slot *slot = tl_space_slot(space, s);
        reader->column_of[s] = slot->is_optional ? -1 : reader->n_columns;
        reader->n_columns += slot->is_optional ? 0 : slot->n_options;
    }
    *out_reader = reader;
    return TL_OK;
}

void tl_score_reader_free(tl_score_reader *reader)
{
    if (reader != NULL) {
        tl_parts_free(reader->parts);
        tl_mem_free(reader);
    }
}

static tl_err encode_numbers(
    tl_score_reader *reader, const tl_choice *design, float *zeroed_row)
{
    const tl_part *found = NULL;
    int n_found = 0;
    for (int s = 0; s < reader->n_slots; s++) {
        if (reader->column_of[s] >= 0 && design[s] != TL_CHOICE_ABSENT) {
            zeroed_row[reader->column_of[s] + design[s]] = 1.0F;
        }
    }
    TL_TRY(tl_parts_find(reader->parts, design, &found, &n_found));
    log_totals(
        found, n_found, reader->encoder->n_stages, &reader->sums,
        zeroed_row + reader->n_columns);
    return TL_OK;
}

/* Codes of cells alone. */
static tl_err encode_codes(
    const tl_score_encoder *encoder, const tl_choice *designs, tl_score_input *input)
{
    tl_cell_reader reader;
    int n_slots = tl_space_n_slots(encoder->space);
    TL_TRY(tl_cell_reader_init(&encoder->cell, encoder->space, input->n, &reader));
    for (int i = 0; i < input->n; i++) {
        input->is_dead[i] = !tl_cell_reader_codes(
            &reader, designs + (ptrdiff_t)i * n_slots,
            input->codes + (ptrdiff_t)i * encoder->n_codes);
    }
    tl_cell_reader_done(&reader);
    return TL_OK;
}

static tl_err encode_all(
    tl_score_reader *reader, const tl_choice *designs, tl_score_input *input)
{
    const tl_score_encoder *encoder = reader->encoder;
    tl_err err = TL_OK;
    if (encoder->skips_numbers) {
        return encode_codes(encoder, designs, input);
    }
    for (int i = 0; i < input->n && err == TL_OK; i++) {
        const tl_choice *design = designs + (ptrdiff_t)i * reader->n_slots;
        float *numbers = tl_mat_row(input->numbers, i);
        if (encoder->is_cell) {
            input->is_dead[i] = !tl_cell_code_encode(
                &encoder->cell, encoder->space, design,
                input->codes + (ptrdiff_t)i * encoder->n_codes, numbers);
        } else {
            err = encode_numbers(reader, design, numbers);
        }
    }
    return err;
}

tl_err tl_score_read(
    tl_score_reader *reader, const tl_choice *designs, int n, tl_score_input *out_input)
{
    const tl_score_encoder *encoder = reader->encoder;
    tl_score_input input = {.n = n};
    tl_err err = TL_OK;
    input.codes = tl_mem_new((size_t)n, (size_t)encoder->n_codes);
    input.is_dead = tl_mem_new((size_t)n, sizeof *input.is_dead);
    input.first_like = tl_mem_new((size_t)n, sizeof *input.first_like);
    if (input.codes == NULL || input.is_dead == NULL || input.first_like == NULL) {
        err = tl_fail(TL_ENOMEM, "%d designs", n);
        goto done;
    }
    int n_numbers = encoder->skips_numbers ? 0 : encoder->n_numbers;
    if ((err = tl_mat_init(&input.numbers, n, n_numbers)) != TL_OK ||
        (err = encode_all(reader, designs, &input)) != TL_OK) {
        goto done;
    }
    *out_input = input;
    input = (tl_score_input){0};
done:
    tl_score_input_done(&input);
    return err;
}

tl_err tl_score_encode(
    const tl_score_encoder *encoder, const tl_choice *designs, int n, tl_score_input *out_input)
{
    tl_score_reader *reader = NULL;
    TL_TRY(tl_score_reader_new(encoder, &reader));
    tl_err err = tl_score_read(reader, designs, n, out_input);
    tl_score_reader_free(reader);
    return err;
}

void tl_score_input_done(tl_score_input *input)
{
    tl_mem_free(input->codes);
    tl_mem_free(input->is_dead);
    tl_mem_free(input->first_like);
    tl_mat_done(&input->numbers);
    *input = (tl_score_input){0};
}
