/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/spaces/support.h"

#include <stdlib.h>

enum {
    N_BLOCKS = 22,
    N_OPTIONS = 9
};

static tl_space *space;

static int load(void **state)
{
    (void)state;
    space = built_in("fbnet");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    tl_space_unref(space);
    return 0;
}

static void its_slots_are_the_blocks(void **state)
{
    (void)state;
    assert_int_equal(tl_space_n_slots(space), N_BLOCKS);
    assert_string_equal(tl_space_slot(space, 0)->name, "b01");
    assert_string_equal(tl_space_slot(space, 21)->name, "b22");
    assert_int_equal(tl_space_slot(space, 3)->n_options, N_OPTIONS);
    assert_close(tl_space_size(space) / pow(9, 22), 1, 1e-12);
    assert_int_equal(tl_space_onehot_width(space), N_BLOCKS * N_OPTIONS);
}

/* ---- each block against its published description -------------------------------------------- */

typedef struct totals {
    int64_t macs, weights, elements;
    int launches;
} totals;

static void add(totals *sum, int64_t macs, int64_t weights, int64_t elements)
{
    sum->macs += macs;
    sum->weights += weights;
    sum->elements += elements;
    sum->launches++;
}

/* The convolutions of a block, written down independently of the space file. */
static totals block_totals(int ci, int c, int h, int stride, const char *option)
{
    totals sum = {0};
    int64_t ho = h / stride;
    if (strcmp(option, "skip") == 0) {
        if (stride != 1 || ci != c) {
            add(&sum, ci * c * ho * ho, (int64_t)ci * c, (int64_t)ci * h * h + c * ho * ho);
        }
        return sum;
    }
    int64_t k = option[1] - '0';
    int64_t m = (int64_t)ci * (option[4] - '0');
    int64_t g = strlen(option) > 5 ? 2 : 1;
    add(&sum, ci * m * h * h / g, ci * m / g, (ci + m) * h * h);
    add(&sum, k * k * m * ho * ho, k * k * m, m * h * h + m * ho * ho);
    add(&sum, m * c * ho * ho / g, m * c / g, (m + c) * ho * ho);
    return sum;
}

static totals lowered_totals(const tl_network *network, int slot, int stage)
{
    totals sum = {0};
    for (int i = 0; i < network->n_ops; i++) {
        const tl_op *op = &network->ops[i];
        if (op->slot == slot) {
            assert_int_equal(op->stage, stage);
        }
        if (op->slot == slot && op->kind == TL_OP_CONV) {
            add(&sum, tl_op_macs(op), tl_op_weights(op),
                tl_op_elements_in(op) + tl_op_elements_out(op));
        }
    }
    return sum;
}

static void every_option_of_every_block_has_the_totals_of_its_convolutions(void **state)
{
    static const struct {
        int channels, n_blocks, stride;
    } stages[] = {
        {16,  1, 1},
        {24,  4, 1},
        {32,  4, 2},
        {64,  4, 2},
        {112, 4, 1},
        {184, 4, 2},
        {352, 1, 1}
    };
    (void)state;
    tl_network network = {0};
    tl_choice design[TL_SPACE_MAX_SLOTS];
    for (int option = 0; option < N_OPTIONS; option++) {
        int slot = 0;
        int ci = 16;
        int h = 32;
        for (int i = 0; i < N_BLOCKS; i++) {
            design[i] = (tl_choice)option;
        }
        assert_ok(tl_space_lower(space, design, &network));
        assert_well_formed(&network);
        for (int s = 0; s < (int)TL_COUNT(stages); s++) {
            for (int i = 0; i < stages[s].n_blocks; i++, slot++) {
                int stride = i == 0 ? stages[s].stride : 1;
                const char *name = tl_space_choice_name(space, slot, design[slot]);
                totals want = block_totals(ci, stages[s].channels, h, stride, name);
                totals got = lowered_totals(&network, slot, s);
                assert_int_equal(got.macs, want.macs);
                assert_int_equal(got.weights, want.weights);
                assert_int_equal(got.elements, want.elements);
                assert_int_equal(got.launches, want.launches);
                ci = stages[s].channels;
                h /= stride;
            }
        }
        assert_int_equal(h, 4);
    }
    tl_network_done(&network);
}

/* ---- latency is the sum over blocks ------------------------------------------------------------ */

enum {
    WIDTH = N_BLOCKS * N_OPTIONS + 1
};

/* Normal equations of latency on the one-hot row. */
typedef struct sums {
    double xx[WIDTH][WIDTH];
    double xy[WIDTH];
    double weights[WIDTH];
    double worst_ms, mean_ms;
    int n;
} sums;

static void fill_row(const tl_choice *design, double row[WIDTH])
{
    tl_space_onehot(space, design, row);
    row[WIDTH - 1] = 1;
}

static void accumulate(void *context, const tl_choice *design, const double *values, long line)
{
    sums *s = context;
    double row[WIDTH];
    (void)line;
    fill_row(design, row);
    for (int i = 0; i < WIDTH; i++) {
        for (int j = 0; row[i] != 0 && j < WIDTH; j++) {
            s->xx[i][j] += row[i] * row[j];
        }
        s->xy[i] += row[i] * values[0];
    }
}

static void judge(void *context, const tl_choice *design, const double *values, long line)
{
    sums *s = context;
    double row[WIDTH];
    double fitted = 0;
    (void)line;
    fill_row(design, row);
    for (int i = 0; i < WIDTH; i++) {
        fitted += row[i] * s->weights[i];
    }
    double residual = fabs(fitted - values[0]);
    s->worst_ms = residual > s->worst_ms ? residual : s->worst_ms;
    s->mean_ms += values[0];
    s->n++;
}

/* Gaussian elimination; the tiny ridge only decides between equally good solutions. */
static void solve(sums *s)
{
    for (int i = 0; i < WIDTH; i++) {
        s->xx[i][i] += 1e-9;
    }
    for (int k = 0; k < WIDTH; k++) {
        for (int i = k + 1; i < WIDTH; i++) {
            double factor = s->xx[i][k] / s->xx[k][k];
            for (int j = k; j < WIDTH; j++) {
                s->xx[i][j] -= factor * s->xx[k][j];
            }
            s->xy[i] -= factor * s->xy[k];
        }
    }
    for (int i = WIDTH - 1; i >= 0; i--) {
        double sum = s->xy[i];
        for (int j = i + 1; j < WIDTH; j++) {
            sum -= s->xx[i][j] * s->weights[j];
        }
        s->weights[i] = sum / s->xx[i][i];
    }
}

static void latency_on_eyeriss_is_exactly_the_sum_over_blocks(void **state)
{
    static const char *const columns[] = {"latency_ms@eyeriss"};
    (void)state;
    if (tl_test_data_dir() == NULL) {
        skip();
    }
    sums *s = tl_mem_new(1, sizeof *s);
    assert_non_null(s);
    assert_int_equal(read_table(space, "fbnet.csv", columns, 1, accumulate, s), 5000);
    solve(s);
    (void)read_table(space, "fbnet.csv", columns, 1, judge, s);
    (void)printf("worst residual %.2g ms of %.3g ms\n", s->worst_ms, s->mean_ms / s->n);
    /* The table has six significant digits: 5e-6 ms in a value below 10. */
    assert_true(s->worst_ms < 2e-5);
    tl_mem_free(s);
}

static void lower_row(void *context, const tl_choice *design, const double *values, long line)
{
    tl_network *network = context;
    (void)values;
    (void)line;
    assert_ok(tl_space_lower(space, design, network));
    assert_well_formed(network);
}

static void every_row_of_the_table_parses_and_lowers(void **state)
{
    (void)state;
    if (tl_test_data_dir() == NULL) {
        skip();
    }
    tl_network network = {0};
    assert_int_equal(read_table(space, "fbnet.csv", NULL, 0, lower_row, &network), 5000);
    tl_network_done(&network);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(its_slots_are_the_blocks),
        TEST(every_option_of_every_block_has_the_totals_of_its_convolutions),
        TEST(latency_on_eyeriss_is_exactly_the_sum_over_blocks),
        TEST(every_row_of_the_table_parses_and_lowers),
    };
    return cmocka_run_group_tests_name("spaces/fbnet", tests, load, unload);
}
