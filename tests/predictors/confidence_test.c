/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "base/units.h"
#include "numerics/stats.h"
#include "predictors/confidence.h"

#include <math.h>

static void the_nominal_curve_is_students_t(void **state)
{
    (void)state;
    tl_confidence nominal;
    tl_confidence_nominal(21, &nominal);
    static const double p[] = {.5, .8, .9, .95, .99};
    for (size_t i = 0; i < TL_COUNT(p); i++) {
        double z = tl_student_quantile(p[i], 21);
        assert_close(tl_confidence_margin(&nominal, p[i]), z, 1e-9);
        assert_close(tl_confidence_of_margin(&nominal, z), p[i], 1e-9);
    }
    assert_close(tl_confidence_of_margin(&nominal, tl_student_quantile(.73, 21)), .73, 2e-3);
    assert_true(isnan(tl_confidence_of_margin(&nominal, TL_UNKNOWN)));
}

static void the_calibrated_curve_passes_through_its_table(void **state)
{
    (void)state;
    static const double z[TL_CALIBRATION_LEVELS] = {-.7, -.05, .6, 1.55, TL_UNKNOWN};
    tl_confidence curve;
    tl_confidence_calibrated(21, z, &curve);
    for (int k = 0; k < 4; k++) {
        assert_close(tl_confidence_margin(&curve, tl_calibration_level[k]), z[k], 1e-9);
    }
    for (int i = 1; i < curve.n; i++) {
        assert_true(curve.z[i] > curve.z[i - 1]);
        assert_true(curve.p[i] > curve.p[i - 1]);
    }
}

static void beyond_the_table_the_curve_is_not_bolder_than_nominal(void **state)
{
    (void)state;
    static const double z[TL_CALIBRATION_LEVELS] = {-.7, -.05, .6, 1.55, 1.6};
    tl_confidence curve;
    tl_confidence nominal;
    tl_confidence_calibrated(21, z, &curve);
    tl_confidence_nominal(21, &nominal);
    static const double p[] = {.99, .995, .999, .9999};
    for (size_t i = 0; i < TL_COUNT(p); i++) {
        assert_true(
            tl_confidence_margin(&curve, p[i]) >= tl_confidence_margin(&nominal, p[i]) - 1e-9);
    }
}

static void an_empty_table_is_the_nominal_curve(void **state)
{
    (void)state;
    static const double z[TL_CALIBRATION_LEVELS] = {
        TL_UNKNOWN, TL_UNKNOWN, TL_UNKNOWN, TL_UNKNOWN, TL_UNKNOWN};
    tl_confidence curve;
    tl_confidence_calibrated(11, z, &curve);
    assert_close(tl_confidence_margin(&curve, .9), tl_student_quantile(.9, 11), 1e-9);
}

static void margins_are_counted_in_what_is_typical_of_the_device(void **state)
{
    (void)state;
    static const double mean[] = {10, 20, 30, 40, 50};
    static const double sd[] = {1, 4, 3, 40, 5}; /* shares .1 .2 .1 1 .1 */
    tl_margin_unit unit = {0};
    assert_close(tl_margin_unit_at(&unit, 20, 4), 4, 0);
    assert_ok(tl_margin_unit_of(5, mean, sd, &unit));
    assert_close(tl_margin_unit_at(&unit, 20, 4), 2, 1e-12);
    assert_close(tl_margin_unit_at(&unit, 40, 40), 4, 1e-12);
    assert_close(tl_margin_unit_at(&unit, 1, .01), .1 * .3 * 30, 1e-12);
    tl_mem_fail_at(1);
    assert_err(TL_ENOMEM, tl_margin_unit_of(5, mean, sd, &unit));
    tl_mem_fail_at(0);
}

static void degrees_of_freedom_grow_with_samples_up_to_those_of_noise(void **state)
{
    (void)state;
    assert_close(tl_confidence_dof(1), 2, 0);
    assert_close(tl_confidence_dof(5), 6, 0);
    assert_close(tl_confidence_dof(1000), 10, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nominal_curve_is_students_t),
        cmocka_unit_test(the_calibrated_curve_passes_through_its_table),
        cmocka_unit_test(beyond_the_table_the_curve_is_not_bolder_than_nominal),
        cmocka_unit_test(an_empty_table_is_the_nominal_curve),
        cmocka_unit_test(margins_are_counted_in_what_is_typical_of_the_device),
        cmocka_unit_test(degrees_of_freedom_grow_with_samples_up_to_those_of_noise),
    };
    return cmocka_run_group_tests_name("predictors/confidence", tests, NULL, NULL);
}
