/* SPDX-License-Identifier: Apache-2.0 */

/* Options: named lists of operators, or the values, ranges and names of a slot. */

#include "base/name.h"
#include "spaces/impl.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* NaN when the text is no number. */
static double number_of(const char *text)
{
    char *end = NULL;
    double value = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(value) ? value : (double)NAN;
}

static tl_err build_option(
    tl_builder *builder, const char *where, const tl_raw_option *raw, tl_option *option)
{
    TL_TRY(tl_name_check(where, raw->name));
    TL_TRY(tl_build_strdup(builder, raw->name, &option->name));
    char here[2 * TL_NAME_MAX_BYTES];
    (void)snprintf(here, sizeof here, "option %s", raw->name);
    option->value = number_of(raw->value != NULL ? raw->value : raw->name);
    if (raw->value != NULL && isnan(option->value)) {
        return tl_fail(TL_EINVAL, "%s: value: got \"%.40s\", want a number", here, raw->value);
    }
    TL_TRY(tl_build_params(
        builder, here, raw->kernel, raw->expand, raw->groups, raw->se, &option->params));
    TL_TRY(tl_build_act(here, "act", raw->act, TL_ACT_OF_BLOCK, &option->params.act));
    if (raw->block != NULL && raw->ops != NULL) {
        return tl_fail(TL_EINVAL, "%s: got block and ops, want one of them", here);
    }
    if (raw->block != NULL) {
        return tl_build_block_find(builder, here, raw->block, &option->list);
    }
    return raw->ops != NULL
               ? tl_build_list(builder, here, raw->ops, raw->ops_count, &option->list)
               : TL_OK;
}

tl_err tl_build_options(
    tl_builder *builder,
    const char *where,
    const tl_raw_option *raw,
    uint32_t n,
    const tl_option **out_options)
{
    tl_option *options = NULL;
    TL_TRY(tl_build_new(builder, n, sizeof *options, &options));
    for (uint32_t i = 0; i < n; i++) {
        TL_TRY(build_option(builder, where, &raw[i], &options[i]));
    }
    *out_options = options;
    return TL_OK;
}

static tl_err options_of_texts(
    tl_builder *builder,
    const char *where,
    char **texts,
    uint32_t n,
    const tl_option **out_options)
{
    tl_option *options = NULL;
    TL_TRY(tl_build_new(builder, n, sizeof *options, &options));
    for (uint32_t i = 0; i < n; i++) {
        TL_TRY(tl_name_check(where, texts[i]));
        TL_TRY(tl_build_strdup(builder, texts[i], &options[i].name));
        options[i].value = number_of(texts[i]);
        options[i].params.act = TL_ACT_OF_BLOCK;
    }
    *out_options = options;
    return TL_OK;
}

static tl_err options_of_range(
    tl_builder *builder,
    const char *where,
    const tl_raw_range *range,
    const tl_option **out_options,
    int *out_n)
{
    int from = 0;
    int to = 0;
    int step = 1;
    TL_TRY(tl_build_int(where, "range: from", range->from, 0, INT_MAX / 2, &from));
    TL_TRY(tl_build_int(where, "range: to", range->to, from, INT_MAX / 2, &to));
    if (range->step != NULL) {
        TL_TRY(tl_build_int(where, "range: step", range->step, 1, INT_MAX / 2, &step));
    }
    int n = (to - from) / step + 1;
    if (n > TL_SPACE_MAX_OPTIONS) {
        return tl_fail(
            TL_EINVAL, "%s: range: got %d values, want at most %d", where, n,
            (int)TL_SPACE_MAX_OPTIONS);
    }
    tl_option *options = NULL;
    TL_TRY(tl_build_new(builder, (size_t)n, sizeof *options, &options));
    for (int i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%d", from + i * step);
        TL_TRY(tl_build_strdup(builder, name, &options[i].name));
        options[i].value = from + i * step;
        options[i].params.act = TL_ACT_OF_BLOCK;
    }
    *out_options = options;
    *out_n = n;
    return TL_OK;
}

tl_err tl_build_slot_options(
    tl_builder *builder,
    const char *where,
    const tl_raw_slot *raw,
    const tl_option **out_options,
    int *out_n)
{
    int n_given = (raw->values != NULL) + (raw->range != NULL) + (raw->options != NULL);
    *out_options = NULL;
    *out_n = 0;
    if (n_given > 1) {
        return tl_fail(
            TL_EINVAL, "%s: got %d of the keys values, range and options, want one", where,
            n_given);
    }
    if (raw->values != NULL) {
        *out_n = (int)raw->values_count;
        return options_of_texts(builder, where, raw->values, raw->values_count, out_options);
    }
    if (raw->range != NULL) {
        return options_of_range(builder, where, raw->range, out_options, out_n);
    }
    *out_n = (int)raw->options_count;
    return raw->options != NULL
               ? tl_build_options(builder, where, raw->options, raw->options_count, out_options)
               : TL_OK;
}
