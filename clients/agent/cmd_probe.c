/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/agent/agent.h"
#include "clients/agent/execute.h"
#include "clients/agent/pin.h"
#include "clients/agent/profile_json.h"
#include "device-profiles/probe.h"
#include "device-profiles/profile_yaml.h"

#include <argp.h>

enum {
    OPTION_CPUS = 256,
    OPTION_STRICT,
    OPTION_NAME,
    OPTION_JSON,
    OPTION_OUT = 'o',
    GEMM_SIDE =
        512 /* operands of 0.25 to 1 MB: fit a second-level cache, long enough to time */
};

/* clang-format off */
static const struct argp_option options[] = {
    {"name", OPTION_NAME, "NAME", 0, "name of the profile (default: the host's)", 0},
    {"out", OPTION_OUT, "FILE", 0, "write the profile to FILE", 0},
    {"json", OPTION_JSON, NULL, 0, "print the profile as JSON", 0},
    {"strict", OPTION_STRICT, NULL, 0, "refuse on a busy machine", 0},
    {"cpus", OPTION_CPUS, "LIST", 0, "processors, like 2 or 0,2-3 (default: one)", 0},
    {0},
};
/* clang-format on */

typedef struct given {
    const char *name, *out, *cpus;
    bool is_strict, is_json;
} given;

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    given *arguments = state->input;
    switch (key) {
    case OPTION_NAME: arguments->name = value; return 0;
    case OPTION_OUT: arguments->out = value; return 0;
    case OPTION_CPUS: arguments->cpus = value; return 0;
    case OPTION_STRICT: arguments->is_strict = true; return 0;
    case OPTION_JSON: arguments->is_json = true; return 0;
    case ARGP_KEY_ARG: argp_error(state, "\"%s\" is too much", value); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* Plans that the probe repeats. */
typedef struct plans {
    tl_dnn *rates[TL_N_PRECISIONS];
    tl_dnn *launch;
} plans;

static const struct {
    tl_precision precision;
    tl_dnn_type type;
} engines[] = {
    {TL_FP32, TL_DNN_F32 },
    {TL_BF16, TL_DNN_BF16},
    {TL_INT8, TL_DNN_INT8},
};

static void plans_free(plans *p)
{
    for (int i = 0; i < TL_N_PRECISIONS; i++) {
        tl_dnn_free(p->rates[i]);
    }
    tl_dnn_free(p->launch);
}

static void fill_none(void *context, float *values, size_t n, size_t fan_in)
{
    (void)context;
    (void)values;
    (void)n;
    (void)fan_in;
}

static tl_err run_plan(void *context)
{
    return tl_dnn_run(context);
}

/* A precision that this machine's engine does not have stays unmeasured. */
static tl_err add_rate(tl_dnn_type type, tl_dnn **out_plan)
{
    tl_dnn *plan = NULL;
    TL_TRY(tl_dnn_new(fill_none, NULL, &plan));
    tl_err err = tl_dnn_gemm(plan, type, GEMM_SIDE, GEMM_SIDE, GEMM_SIDE);
    if (err != TL_OK) {
        tl_dnn_free(plan);
        return err == TL_ENOTFOUND ? TL_OK : err;
    }
    *out_plan = plan;
    return TL_OK;
}

static tl_err add_launch(tl_dnn **out_plan)
{
    tl_dnn *plan = NULL;
    tl_dnn_tensor pixel, result;
    TL_TRY(tl_dnn_new(fill_none, NULL, &plan));
    tl_err err = tl_dnn_image(plan, 1, 1, &pixel);
    if (err == TL_OK) {
        err = tl_dnn_activate(plan, "relu", pixel, &result);
    }
    if (err != TL_OK) {
        tl_dnn_free(plan);
        return err;
    }
    *out_plan = plan;
    return TL_OK;
}

static tl_err probe(const char *name, plans *p, tl_probe_result *out_result)
{
    tl_probe_options probe_options = {.name = name};
    for (size_t i = 0; i < TL_COUNT(engines); i++) {
        tl_precision precision = engines[i].precision;
        TL_TRY(add_rate(engines[i].type, &p->rates[precision]));
        if (p->rates[precision] != NULL) {
            probe_options.rates[precision] = (tl_probe_kernel){
                .run = run_plan,
                .context = p->rates[precision],
                .flop = 2.0 * GEMM_SIDE * GEMM_SIDE * GEMM_SIDE};
        }
    }
    TL_TRY(add_launch(&p->launch));
    probe_options.launch = (tl_probe_kernel){.run = run_plan, .context = p->launch};
    return tl_probe_run(&probe_options, out_result);
}

static int print_result(
    const tl_agent *agent, const given *arguments, const tl_probe_result *result)
{
    if (result->is_noisy) {
        tl_agent_say(
            agent, "%s: this machine is busy, %s varied by %.0f%%",
            arguments->is_strict ? "refused" : "warning", result->worst_key,
            result->worst_spread_frac * 100.0);
        if (arguments->is_strict) {
            return TL_EXIT_FAILED;
        }
    }
    tl_text text = {0};
    if (arguments->is_json) {
        tl_profile_print_json(&result->profile, &text);
    } else {
        tl_profile_print_yaml(&result->profile, &text);
    }
    tl_err err = tl_agent_print(arguments->out, &text, /* is_appended= */ false);
    tl_text_done(&text);
    return err == TL_OK ? TL_EXIT_DONE : tl_agent_failed(agent, err);
}

static int run(const tl_agent *agent, int argc, char **argv)
{
    static const struct argp argp = {
        options,
        parse_option,
        NULL,
        "Measures this machine's peak rates, bandwidths and the cost of starting an operator, "
        "and writes its profile.",
        NULL,
        NULL,
        NULL};
    given arguments = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return TL_EXIT_USAGE;
    }
    tl_probe_result result;
    plans p = {0};
    tl_err err = tl_pin(arguments.cpus, agent->argv);
    if (err == TL_OK && arguments.name != NULL) {
        err = tl_name_check("--name", arguments.name);
    }
    if (err == TL_OK) {
        err = probe(arguments.name, &p, &result);
    }
    plans_free(&p);
    return err == TL_OK ? print_result(agent, &arguments, &result)
                        : tl_agent_failed(agent, err);
}

const tl_agent_command tl_agent_probe = {
    .name = "probe",
    .summary = "Writes this machine's profile",
    .run = run,
};
