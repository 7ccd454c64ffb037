/* SPDX-License-Identifier: Apache-2.0 */

/* One space of each kind that only these tests know, and what their designs lower to. */

#include "tests/spaces/support.h"

static tl_space *user(const char *name)
{
    char path[512];
    tl_space *space = NULL;
    (void)snprintf(
        path, sizeof path, "%s/tests/spaces/user/%s.yaml", tl_test_source_dir(), name);
    assert_ok(tl_space_load(path, &space));
    assert_string_equal(tl_space_name(space), name);
    return space;
}

static void add_sizes(tl_text *text, const tl_op *op)
{
    tl_text_addf(text, " %d>%d", op->in_ch, op->out_ch);
    if (op->in_size != op->out_size) {
        tl_text_addf(text, " %dx%d", op->in_size, op->out_size);
    }
    if (op->kernel > 1 && op->kind != TL_OP_POOL_GLOBAL) {
        tl_text_addf(text, " k%d", op->kernel);
    }
    if (op->groups > 1) {
        tl_text_addf(text, " g%d", op->groups);
    }
}

/* One line an operator: kind, channels, sizes, inputs where they are not just the one before. */
static void print_network(const tl_network *network, tl_text *text)
{
    for (int i = 0; i < network->n_ops; i++) {
        const tl_op *op = &network->ops[i];
        const int *inputs = network->inputs + op->first_input;
        tl_text_add(text, tl_op_kind_name(op->kind));
        add_sizes(text, op);
        for (int j = 0; j < op->n_inputs && (op->n_inputs > 1 || inputs[0] != i - 1); j++) {
            tl_text_addf(text, " <%d", inputs[j]);
        }
        tl_text_add(text, op->is_reached && op->is_needed ? "\n" : " idle\n");
    }
}

static void assert_network(const tl_space *space, const char *design_text, const char *wanted)
{
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_network network = {0};
    tl_text text = {0};
    assert_ok(tl_space_design_parse(space, design_text, design));
    assert_ok(tl_space_lower(space, design, &network));
    assert_well_formed(&network);
    print_network(&network, &text);
    assert_string_equal(text.data, wanted);
    tl_text_done(&text);
    tl_network_done(&network);
}

static void a_cell_space_of_a_user_works(void **state)
{
    (void)state;
    tl_space *space = user("tiny-cell");
    assert_int_equal(tl_space_kind_of(space), TL_SPACE_CELL);
    assert_close(tl_space_size(space), 64, 0);
    assert_int_equal(tl_space_cell(space)->options[2].op, TL_EDGE_CONV);
    assert_int_equal(tl_space_cell(space)->options[2].kernel, 5);
    assert_network(
        space, "in-middle=separable5,in-out=keep,middle-out=max3",
        "conv 1>8 k3\n"
        "conv 8>8 k5 g8\n"
        "conv 8>8\n"
        "pool_max 8>8 k3\n"
        "add 8>8 <0 <3\n"
        "conv 8>8 k5 g8\n"
        "conv 8>8\n"
        "pool_max 8>8 k3\n"
        "add 8>8 <4 <7\n"
        "pool_max 8>8 16x8 k2\n"
        "conv 8>16\n"
        "conv 16>16 k5 g16\n"
        "conv 16>16\n"
        "pool_max 16>16 k3\n"
        "add 16>16 <10 <13\n"
        "pool_global 16>16 8x1\n"
        "dense 16>4\n");
    assert_network(
        space, "in-middle=zero,in-out=zero,middle-out=max3",
        "conv 1>8 k3 idle\n"
        "zero 8>8 idle\n"
        "pool_max 8>8 k3 idle\n"
        "zero 8>8 idle\n"
        "pool_max 8>8 k3 idle\n"
        "pool_max 8>8 16x8 k2 idle\n"
        "conv 8>16 idle\n"
        "zero 16>16 idle\n"
        "pool_max 16>16 k3 idle\n"
        "pool_global 16>16 8x1 idle\n"
        "dense 16>4 idle\n");
    assert_network(
        space, "in-middle=max3,in-out=keep,middle-out=zero",
        "conv 1>8 k3\n"
        "pool_max 8>8 k3 idle\n"
        "pool_max 8>8 k3 <0 idle\n"
        "pool_max 8>8 16x8 k2 <0\n"
        "conv 8>16\n"
        "pool_max 16>16 k3 idle\n"
        "pool_global 16>16 8x1 <4\n"
        "dense 16>4\n");
    tl_space_unref(space);
}

static void a_chain_space_of_a_user_works(void **state)
{
    (void)state;
    tl_space *space = user("tiny-chain");
    assert_int_equal(tl_space_kind_of(space), TL_SPACE_CHAIN);
    assert_close(tl_space_size(space), 81, 0);
    assert_null(tl_space_cell(space));
    assert_network(
        space, "layer1=plain,layer2=plain,layer3=fire5,layer4=fire3",
        "conv 3>16 24x12 k3\n"
        "conv 16>16 k3 g4\n"
        "add 16>16 <1 <0\n"
        "conv 16>16 k3 g4\n"
        "add 16>16 <3 <2\n"
        "conv 16>8 12x6\n"
        "conv 8>16\n"
        "conv 8>16 k5 <5\n"
        "concat 16>32 <6 <7\n"
        "conv 32>8\n"
        "conv 8>16\n"
        "conv 8>16 k3 <9\n"
        "concat 16>32 <10 <11\n"
        "pool_avg 32>32 6x1 k6\n"
        "dense 32>10\n");
    tl_space_unref(space);
}

static void a_staged_space_of_a_user_works(void **state)
{
    (void)state;
    tl_space *space = user("tiny-staged");
    assert_int_equal(tl_space_kind_of(space), TL_SPACE_STAGED);
    assert_close(tl_space_size(space), 4.0 * (4 + 16) * (4 + 64), 0);
    assert_network(
        space,
        "width=0.5,bits=four,stage-a-depth=2,stage-b-depth=1,stage-a-layer1=wide,stage-a-e1=2,"
        "stage-a-layer2=gated,stage-a-e2=1,stage-b-layer1=gated,stage-b-e1=1",
        "conv 3>8 k3\n"
        "conv 8>8 32x16 k5 g8\n"
        "conv 8>16\n"
        "conv 16>8\n"
        "conv 8>8 k3\n"
        "pool_global 8>8 16x1\n"
        "dense 8>4\n"
        "dense 4>8\n"
        "scale 8>8 <4 <7\n"
        "add 8>8 <8 <3\n"
        "conv 8>24 16x8 k3\n"
        "pool_global 24>24 8x1\n"
        "dense 24>6\n"
        "dense 6>24\n"
        "scale 24>24 <10 <13\n"
        "pool_global 24>24 8x1\n"
        "dense 24>10\n");
    tl_space_unref(space);
}

static void an_enumerated_space_of_a_user_works(void **state)
{
    (void)state;
    tl_space *space = user("tiny-list");
    tl_choice design[TL_SPACE_MAX_SLOTS];
    assert_int_equal(tl_space_kind_of(space), TL_SPACE_ENUMERATED);
    assert_close(tl_space_size(space), 8, 0); /* 10 are listed, the rule takes two */
    assert_network(
        space, "net=large,size=32,precision=int8",
        "conv 3>8 32x16 k3\n"
        "conv 8>8 k3\n"
        "conv 8>16 16x8 k3\n"
        "conv 16>16 k3\n"
        "conv 16>16 k3\n"
        "conv 16>16 k3\n"
        "pool_global 16>16 8x1\n"
        "dense 16>5\n");
    assert_err(
        TL_EINVAL, tl_space_design_parse(space, "net=large,size=64,precision=fp32", design));
    assert_detail("precision: got \"fp32\"");
    assert_err(
        TL_EINVAL, tl_space_design_parse(space, "net=large,size=16,precision=int8", design));
    assert_detail("size: got \"16\"");
    tl_space_unref(space);
}

/* ---- the manual ------------------------------------------------------------------------------- */

static char *read_source(const char *name)
{
    char path[512];
    char *text = NULL;
    size_t len = 0;
    (void)snprintf(path, sizeof path, "%s/%s", tl_test_source_dir(), name);
    assert_ok(tl_file_read(path, 1 << 20, &text, &len));
    return text;
}

static void the_first_space_of_the_manual_is_one(void **state)
{
    (void)state;
    char *manual = read_source("docs/space-format.md");
    char *yaml = strstr(manual, "```yaml\n");
    assert_non_null(yaml);
    yaml += strlen("```yaml\n");
    *strstr(yaml, "```") = '\0';
    tl_space *space = parsed(yaml);
    assert_close(tl_space_size(space), 4, 0);
    assert_network(
        space, "b1=plain,b2=separable",
        "conv 3>16 32x16 k3\n"
        "conv 16>16 k3\n"
        "conv 16>16 16x8 k5 g16\n"
        "conv 16>32\n"
        "pool_global 32>32 8x1\n"
        "dense 32>10\n");
    tl_space_unref(space);
    tl_mem_free(manual);
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_';
}

static bool has_word(const char *text, const char *word, size_t len)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (strncmp(at, word, len) == 0 && !is_word_char(at[len]) &&
            (at == text || !is_word_char(at[-1]))) {
            return true;
        }
    }
    return false;
}

/* The keys are those of the schema: the second argument of TEXT, NEED, LIST and PART. */
static void the_manual_names_every_key(void **state)
{
    static const char *const macros[] = {"TEXT(tl_", "NEED(tl_", "LIST(tl_", "PART(tl_"};
    (void)state;
    char *manual = read_source("docs/space-format.md");
    char *schema = read_source("spaces/space_yaml.c");
    int n_keys = 0;
    for (size_t i = 0; i < TL_COUNT(macros); i++) {
        for (const char *at = strstr(schema, macros[i]); at != NULL;
             at = strstr(at, macros[i])) {
            const char *key = strchr(at, ',') + 2;
            size_t len = strcspn(key, ",)");
            if (!has_word(manual, key, len)) {
                (void)fprintf(stderr, "the manual does not name %.*s\n", (int)len, key);
                fail();
            }
            n_keys++;
            at = key;
        }
    }
    assert_true(n_keys > 70);
    tl_mem_free(manual);
    tl_mem_free(schema);
}

/* ---- the digest -------------------------------------------------------------------------------- */

static const char CHAIN[] = "name: one\n"
                            "kind: chain\n"
                            "input: {channels: 3, size: 8}\n"
                            "slot: b{block}\n"
                            "stages: [{channels: 4, blocks: 2}]\n"
                            "options:\n"
                            "  - {name: a, ops: [{op: conv, out: out, kernel: 1}]}\n"
                            "  - {name: b, ops: [{op: conv, out: out, kernel: 3}]}\n";

/* The digest after one replacement in the text. */
static void digest_of(const char *from, const char *to, char out[80])
{
    char text[1024];
    const char *at = strstr(CHAIN, from);
    assert_non_null(at);
    (void)snprintf(
        text, sizeof text, "%.*s%s%s", (int)(at - CHAIN), CHAIN, to, at + strlen(from));
    tl_space *space = parsed(text);
    (void)snprintf(out, 80, "%s", tl_space_digest(space));
    assert_int_equal(strlen(out), 64);
    assert_string_equal(tl_space_yaml(space), text);
    tl_space_unref(space);
}

static void the_digest_is_of_the_definition_and_not_of_its_spelling(void **state)
{
    (void)state;
    char digest[80];
    char other[80];
    digest_of("name: one", "name: one", digest);
    digest_of("name: one", "# a comment\nname: another\ndescription: the same", other);
    assert_string_equal(digest, other);
    digest_of("input: {channels: 3, size: 8}", "input:\n  size: 8\n  channels: 3", other);
    assert_string_equal(digest, other);
    digest_of("size: 8", "size: 16", other);
    assert_string_not_equal(digest, other);
    digest_of("kernel: 3", "kernel: 5", other);
    assert_string_not_equal(digest, other);
    digest_of("name: b,", "name: c,", other);
    assert_string_not_equal(digest, other);
}

static void a_shared_space_lives_until_the_last_user_is_done(void **state)
{
    (void)state;
    tl_space *space = parsed(CHAIN);
    tl_space *shared = tl_space_ref(space);
    tl_space_unref(space);
    assert_string_equal(tl_space_name(shared), "one");
    assert_string_equal(tl_space_description(shared), "");
    assert_string_equal(tl_space_kind_name(tl_space_kind_of(shared)), "chain");
    tl_space_unref(shared);
    tl_space_unref(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_cell_space_of_a_user_works),
        TEST(a_chain_space_of_a_user_works),
        TEST(a_staged_space_of_a_user_works),
        TEST(an_enumerated_space_of_a_user_works),
        TEST(the_first_space_of_the_manual_is_one),
        TEST(the_manual_names_every_key),
        TEST(the_digest_is_of_the_definition_and_not_of_its_spelling),
        TEST(a_shared_space_lives_until_the_last_user_is_done),
    };
    return cmocka_run_group_tests_name("spaces/user", tests, NULL, NULL);
}
