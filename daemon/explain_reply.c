/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/explain_reply.h"

#include "base/mem.h"
#include "base/units.h"
#include "daemon/table_reply.h"

#include <math.h>
#include <stdlib.h>

enum {
    DIGITS = 4,
    P_DIGITS = 6
};

static const double rounding = 1e-6; /* relative: less is not a difference */

/* NaN stays NaN. */
static double without_rounding(double difference, double of)
{
    return fabs(difference) <= rounding * fabs(of) ? 0 : difference;
}

static double cost_of(const tl_slot_account *account)
{
    return !isnan(account->latency_ms)  ? account->latency_ms
           : !isnan(account->energy_mj) ? account->energy_mj
                                        : account->macs;
}

static int dearest_first(const void *a, const void *b)
{
    const tl_slot_account *x = a;
    const tl_slot_account *y = b;
    double difference = cost_of(y) - cost_of(x);
    return difference != 0 ? (difference > 0) - (difference < 0) : x->slot - y->slot;
}

/* Text columns of slot names and of options; second or chosen. */
static tl_err add_names(
    Tailor__V1__Table *table, const tl_space *space, const tl_explanation *e, bool with_second)
{
    Tailor__V1__Column *slots = NULL;
    Tailor__V1__Column *choices = NULL;
    Tailor__V1__Column *seconds = NULL;
    TL_TRY(tl_table_reply_text(table, "slot", &slots));
    TL_TRY(tl_table_reply_text(table, with_second ? "choice" : "operator", &choices));
    if (with_second) {
        TL_TRY(tl_table_reply_text(table, "second", &seconds));
    }
    for (int k = 0; k < e->n; k++) {
        const tl_slot_account *account = &e->accounts[k];
        size_t row = (size_t)k;
        TL_TRY(tl_table_reply_set_text(slots, row, tl_space_slot(space, account->slot)->name));
        TL_TRY(tl_table_reply_set_text(
            choices, row, tl_space_choice_name(space, account->slot, account->choice)));
        if (with_second) {
            TL_TRY(tl_table_reply_set_text(
                seconds, row, tl_space_choice_name(space, account->slot, account->second)));
        }
    }
    return TL_OK;
}

static tl_err add_operators(
    const tl_space *space, const tl_explanation *e, Tailor__V1__Answer *answer)
{
    static const char *const names[] = {
        "latency_ms", "latency_share", "energy_mj", "macs_m", "weights_k"};
    double *columns[TL_COUNT(names)] = {0};
    answer->operators = tl_table_reply_new((size_t)e->n);
    if (answer->operators == NULL) {
        return tl_fail(TL_ENOMEM, "an explanation");
    }
    TL_TRY(add_names(answer->operators, space, e, false));
    for (size_t c = 0; c < TL_COUNT(names); c++) {
        TL_TRY(tl_table_reply_blank(answer->operators, names[c], DIGITS, &columns[c]));
    }
    const tl_prediction *own = &e->scored.prediction;
    for (int k = 0; k < e->n; k++) {
        const tl_slot_account *account = &e->accounts[k];
        columns[0][k] = without_rounding(account->latency_ms, own->latency_ms);
        columns[1][k] = columns[0][k] / own->latency_ms;
        columns[2][k] = without_rounding(account->energy_mj, own->energy_mj);
        columns[3][k] = account->macs / 1e6;
        columns[4][k] = account->weights / 1e3;
    }
    return TL_OK;
}

static tl_err add_slots(
    const tl_space *space, const tl_explanation *e, Tailor__V1__Answer *answer)
{
    static const char *const names[] = {"latency_ms", "energy_mj", "accuracy"};
    double *columns[TL_COUNT(names)] = {0};
    double *p_feasible = NULL;
    const tl_prediction *own = &e->scored.prediction;
    answer->slots = tl_table_reply_new((size_t)e->n);
    if (answer->slots == NULL) {
        return tl_fail(TL_ENOMEM, "an explanation");
    }
    TL_TRY(add_names(answer->slots, space, e, true));
    for (size_t c = 0; c < TL_COUNT(names); c++) {
        TL_TRY(tl_table_reply_blank(answer->slots, names[c], DIGITS, &columns[c]));
    }
    TL_TRY(tl_table_reply_blank(answer->slots, "p_feasible", P_DIGITS, &p_feasible));
    for (int k = 0; k < e->n; k++) {
        const tl_prediction *with = &e->accounts[k].with_second.prediction;
        columns[0][k] = without_rounding(with->latency_ms - own->latency_ms, own->latency_ms);
        columns[1][k] = without_rounding(with->energy_mj - own->energy_mj, own->energy_mj);
        columns[2][k] = without_rounding(with->accuracy - own->accuracy, own->accuracy);
        p_feasible[k] = e->accounts[k].with_second.p_feasible;
    }
    return TL_OK;
}

tl_err tl_explain_reply(
    const tl_space *space, const tl_explanation *explanation, Tailor__V1__Answer *answer)
{
    TL_TRY(add_slots(space, explanation, answer));
    size_t n = (size_t)explanation->n;
    tl_slot_account *sorted = tl_mem_new(n, sizeof *sorted);
    if (sorted == NULL) {
        return tl_fail(TL_ENOMEM, "an explanation");
    }
    for (size_t k = 0; k < n; k++) {
        sorted[k] = explanation->accounts[k];
    }
    qsort(sorted, n, sizeof *sorted, dearest_first);
    tl_explanation dearest = *explanation;
    dearest.accounts = sorted;
    tl_err err = add_operators(space, &dearest, answer);
    tl_mem_free(sorted);
    return err;
}
