/* SPDX-License-Identifier: Apache-2.0 */

/* The staged and enumerated built-in spaces: mnasnet, mobilenetv3, mobilenet-zoo, bitfusion-layers. */

#include "tests/spaces/support.h"

#include "base/clock.h"

typedef struct lowered {
    const tl_space *space;
    tl_network network;
    double worst_params_m, worst_macs_m;
    int n_layers_absent;
} lowered;

static void lower_row(void *context, const tl_choice *design, const double *values, long line)
{
    lowered *l = context;
    (void)values;
    (void)line;
    assert_ok(tl_space_lower(l->space, design, &l->network));
    assert_well_formed(&l->network);
}

/* ---- mnasnet ----------------------------------------------------------------------------------- */

/* The table's tool counts one operation an element pooled and four an element normalized. */
static double profiler_macs_m(const tl_network *network)
{
    int64_t n = tl_network_macs(network);
    for (int i = 0; i < network->n_ops; i++) {
        const tl_op *op = &network->ops[i];
        n += op->kind == TL_OP_POOL_GLOBAL ? tl_op_elements_in(op) : 0;
        n += op->has_norm ? 4 * tl_op_elements_out(op) : 0;
    }
    return (double)n / 1e6;
}

static void check_mnasnet_row(
    void *context, const tl_choice *design, const double *values, long line)
{
    lowered *l = context;
    lower_row(context, design, values, line);
    double params_m = (double)tl_network_params(&l->network) / 1e6;
    double off = fabs(params_m - values[0]);
    l->worst_params_m = off > l->worst_params_m ? off : l->worst_params_m;
    off = fabs(profiler_macs_m(&l->network) - values[1]);
    l->worst_macs_m = off > l->worst_macs_m ? off : l->worst_macs_m;
}

static void mnasnet_parameters_equal_the_table_on_every_row(void **state)
{
    static const char *const columns[] = {"params_m", "macs_m"};
    (void)state;
    if (tl_test_data_dir() == NULL) {
        skip();
    }
    lowered l = {.space = built_in("mnasnet")};
    tl_space *space = tl_space_ref(l.space);
    assert_int_equal(
        read_table(l.space, "mnasnet.csv", columns, 2, check_mnasnet_row, &l), 4109);
    (void)printf(
        "mnasnet: parameters off by %.2g million at most, MACs by %.2g million\n",
        l.worst_params_m, l.worst_macs_m);
    assert_true(l.worst_params_m <= 0.5000001e-5); /* half of the last printed digit */
    assert_true(l.worst_macs_m < 0.02);            /* of about 400 */
    tl_space_unref(space);
    tl_space_unref(space);
    tl_network_done(&l.network);
}

static void mnasnet_has_the_slots_and_the_size_of_the_paper(void **state)
{
    (void)state;
    tl_space *space = built_in("mnasnet");
    assert_int_equal(tl_space_n_slots(space), 28);
    assert_string_equal(tl_space_slot(space, 0)->name, "block0_e");
    assert_string_equal(tl_space_slot(space, 27)->name, "block6_se");
    assert_int_equal(tl_space_slot(space, tl_space_slot_find(space, "block5_l"))->n_options, 4);
    assert_int_equal(tl_space_slot(space, tl_space_slot_find(space, "block4_l"))->n_options, 3);
    assert_close(tl_space_size(space) / (pow(36, 6) * 48), 1, 1e-12);
    tl_space_unref(space);
}

/* ---- mobilenetv3 ------------------------------------------------------------------------------- */

static void mobilenetv3_layers_follow_the_depth(void **state)
{
    (void)state;
    tl_space *space = built_in("mobilenetv3");
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    assert_int_equal(tl_space_n_slots(space), 26);
    assert_string_equal(tl_space_slot(space, 1)->name, "d1");
    assert_string_equal(tl_space_slot(space, 25)->name, "s5l4");
    assert_int_equal(tl_space_slot(space, 0)->n_options, 25);
    double per_stage = pow(9, 2) + pow(9, 3) + pow(9, 4);
    assert_close(tl_space_size(space) / (25 * pow(per_stage, 5)), 1, 1e-12);
    tl_space_sample(space, &rng, design);
    int d1 = tl_space_slot_find(space, "d1");
    int s1l3 = tl_space_slot_find(space, "s1l3");
    design[d1] = 0;
    design[s1l3] = 2;
    assert_err(TL_EINVAL, tl_space_check(space, design));
    assert_detail("s1l3: got \"k3_e6\", want - because d1 is 2");
    tl_space_normalize(space, design);
    assert_ok(tl_space_check(space, design));
    assert_int_equal(design[s1l3], TL_CHOICE_ABSENT);
    design[d1] = 1;
    assert_err(TL_EINVAL, tl_space_check(space, design));
    assert_detail("s1l3: got \"-\", want one of k3_e3");
    tl_space_unref(space);
}

static void every_row_of_mobilenetv3_lowers(void **state)
{
    (void)state;
    if (tl_test_data_dir() == NULL) {
        skip();
    }
    tl_space *space = built_in("mobilenetv3");
    lowered l = {.space = space};
    assert_int_equal(read_table(space, "mobilenetv3.csv", NULL, 0, lower_row, &l), 5000);
    tl_space_unref(space);
    tl_network_done(&l.network);
}

/* The largest once-for-all network at 224: 7.7 million parameters, as its authors publish. */
static void the_largest_mobilenetv3_has_the_known_totals(void **state)
{
    (void)state;
    tl_space *space = built_in("mobilenetv3");
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_network network = {0};
    for (int i = 0; i < tl_space_n_slots(space); i++) {
        design[i] = (tl_choice)(tl_space_slot(space, i)->n_options - 1);
    }
    assert_ok(tl_space_lower(space, design, &network));
    assert_int_equal(network.n_stages, 5);
    (void)printf(
        "largest: %.6f M parameters, %.3f M MACs\n", (double)tl_network_params(&network) / 1e6,
        (double)tl_network_macs(&network) / 1e6);
    for (int i = 0; i < network.n_ops; i++) {
        const tl_op *op = &network.ops[i];
        bool is_searched = op->stage >= 0;
        assert_int_equal(is_searched, op->slot >= 6);
        if (op->kind == TL_OP_SCALE) {
            assert_true(op->stage == 1 || op->stage == 3 || op->stage == 4);
        }
    }
    tl_network_done(&network);
    tl_space_unref(space);
}

/* ---- mobilenet-zoo ----------------------------------------------------------------------------- */

static void zoo_files_have_the_published_parameters(void **state)
{
    /* Of the reference implementations; classifiers of 1000 classes get one more where the file has 1001. */
    static const struct {
        const char *design;
        int64_t params;
    } known[] = {
        {"model=efficientnet-lite0,width=1.0,resolution=224,precision=fp32", 4652008       },
        {"model=efficientnet-lite1,width=1.0,resolution=240,precision=fp32", 5416680       },
        {"model=efficientnet-lite2,width=1.0,resolution=260,precision=int8", 6092072       },
        {"model=efficientnet-lite3,width=1.0,resolution=280,precision=fp32", 8197096       },
        {"model=efficientnet-lite4,width=1.0,resolution=300,precision=int8", 13006568      },
        {"model=mobilenet-v1,width=1.0,resolution=224,precision=fp32",       4231976 + 1025},
        {"model=mobilenet-v2,width=1.0,resolution=224,precision=fp32",       3504872 + 1281},
        {"model=mobilenet-v3-large,width=1.0,resolution=224,precision=int8", 5483032 + 1281},
        {"model=mobilenet-v3-small,width=1.0,resolution=224,precision=fp32", 2542856 + 1025},
    };
    (void)state;
    tl_space *space = built_in("mobilenet-zoo");
    tl_network network = {0};
    assert_close(tl_space_size(space), 81, 0);
    for (size_t i = 0; i < TL_COUNT(known); i++) {
        tl_choice design[TL_SPACE_MAX_SLOTS];
        assert_ok(tl_space_design_parse(space, known[i].design, design));
        assert_ok(tl_space_lower(space, design, &network));
        assert_int_equal(tl_network_params(&network), known[i].params);
        int bits = strstr(known[i].design, "int8") != NULL ? 8 : 32;
        assert_int_equal(network.ops[3].w_bits, bits);
        assert_int_equal(network.ops[3].a_bits, bits);
    }
    tl_network_done(&network);
    tl_space_unref(space);
}

static void the_zoo_refuses_files_that_were_never_published(void **state)
{
    (void)state;
    tl_space *space = built_in("mobilenet-zoo");
    tl_choice design[TL_SPACE_MAX_SLOTS];
    assert_err(
        TL_EINVAL,
        tl_space_design_parse(
            space, "model=mobilenet-v1,width=0.35,resolution=224,precision=fp32", design));
    assert_detail("width: got \"0.35\", which no design of the space has beside the choices");
    assert_err(
        TL_EINVAL,
        tl_space_design_parse(
            space,
            "model=mobilenet-v3-small-minimalistic,width=1.0,resolution=224,precision=int8",
            design));
    assert_detail("precision: got \"int8\"");
    tl_space_unref(space);
}

static void every_row_of_the_zoo_lowers(void **state)
{
    (void)state;
    if (tl_test_data_dir() == NULL) {
        skip();
    }
    tl_space *space = built_in("mobilenet-zoo");
    lowered l = {.space = space};
    assert_int_equal(read_table(space, "mobilenet-zoo.csv", NULL, 0, lower_row, &l), 81);
    tl_space_unref(space);
    tl_network_done(&l.network);
}

/* ---- bitfusion-layers -------------------------------------------------------------------------- */

static void every_row_of_bitfusion_layers_lowers_to_one_convolution(void **state)
{
    (void)state;
    int64_t start = tl_clock_ns();
    tl_space *space = built_in("bitfusion-layers");
    (void)printf(
        "bitfusion-layers: %.6g designs, loaded in %.0f ms\n", tl_space_size(space),
        (double)(tl_clock_ns() - start) / 1e6);
    if (tl_test_data_dir() != NULL) {
        lowered l = {.space = space};
        assert_int_equal(
            read_table(space, "bitfusion-layers.csv", NULL, 0, lower_row, &l), 5028);
        assert_int_equal(l.network.n_ops, 1);
        tl_network_done(&l.network);
    }
    tl_space_unref(space);
}

static void a_layer_has_its_shape_and_bits(void **state)
{
    (void)state;
    tl_space *space = built_in("bitfusion-layers");
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_network network = {0};
    assert_ok(tl_space_design_parse(
        space,
        "in_ch=96,out_ch=480,in_size=14,kernel=3,stride=2,pad=1,groups=96,w_bits=4,a_bits=6",
        design));
    assert_ok(tl_space_lower(space, design, &network));
    const tl_op *op = &network.ops[0];
    assert_int_equal(op->out_size, 7);
    assert_int_equal(op->w_bits, 4);
    assert_int_equal(op->a_bits, 6);
    assert_int_equal(tl_op_params(op), 480 * 9);
    assert_err(
        TL_EINVAL,
        tl_space_design_parse(
            space,
            "in_ch=96,out_ch=480,in_size=14,kernel=3,stride=2,pad=1,groups=64,w_bits=4,a_bits=6",
            design));
    assert_detail("groups: got \"64\"");
    tl_network_done(&network);
    tl_space_unref(space);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mnasnet_parameters_equal_the_table_on_every_row),
        TEST(mnasnet_has_the_slots_and_the_size_of_the_paper),
        TEST(mobilenetv3_layers_follow_the_depth),
        TEST(every_row_of_mobilenetv3_lowers),
        TEST(the_largest_mobilenetv3_has_the_known_totals),
        TEST(zoo_files_have_the_published_parameters),
        TEST(the_zoo_refuses_files_that_were_never_published),
        TEST(every_row_of_the_zoo_lowers),
        TEST(every_row_of_bitfusion_layers_lowers_to_one_convolution),
        TEST(a_layer_has_its_shape_and_bits),
    };
    return cmocka_run_group_tests_name("spaces/mobile", tests, NULL, NULL);
}
