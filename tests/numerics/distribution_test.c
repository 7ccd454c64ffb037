/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "numerics/stats.h"

#include <math.h>

/*
 * Wanted values from scipy 1.10: ndtri, ndtr, stdtr. Its t.ppf has only 9
 * digits at few degrees of freedom, so the quantiles are stdtr inverted by brentq.
 * Bounds are relative; observed 4e-15 for the normal, 3e-13 for Student's t.
 */
static const double normal_tolerance = 1e-13;
static const double student_tolerance = 1e-11;

static void normal_quantiles_agree_with_scipy(void **state)
{
    (void)state;
    static const struct {
        double p, want;
    } cases[] = {
        {1e-300,   -37.0470962993612  },
        {1e-10,    -6.361340902404056 },
        {0.001,    -3.090232306167813 },
        {0.025,    -1.9599639845400545},
        {0.1,      -1.2815515655446004},
        {0.3,      -0.5244005127080409},
        {0.5,      0.0                },
        {0.6,      0.2533471031357997 },
        {0.9,      1.2815515655446004 },
        {0.975,    1.959963984540054  },
        {0.999999, 4.753424308817087  },
    };
    for (size_t c = 0; c < TL_COUNT(cases); c++) {
        double want = cases[c].want;
        assert_close(tl_normal_quantile(cases[c].p), want, normal_tolerance * fabs(want));
    }
}

static void normal_cdf_agrees_with_scipy(void **state)
{
    (void)state;
    static const struct {
        double x, want;
    } cases[] = {
        {-10.0, 7.61985302416047e-24},
        {-1.96, 0.024997895148220435},
        {0.0,   0.5                 },
        {0.5,   0.6914624612740131  },
        {3.0,   0.9986501019683699  },
    };
    for (size_t c = 0; c < TL_COUNT(cases); c++) {
        assert_close(
            tl_normal_cdf(cases[c].x), cases[c].want, normal_tolerance * cases[c].want);
    }
}

static void student_quantiles_agree_with_scipy(void **state)
{
    (void)state;
    static const struct {
        double dof, p, want;
    } cases[] = {
        {0.5,    1e-06,  -102849115631.634  },
        {0.5,    0.6,    0.39797542678479064},
        {0.5,    0.975,  164.55767348048823 },
        {1.0,    1e-06,  -318309.88618274353},
        {1.0,    0.25,   -1.0               },
        {1.0,    0.975,  12.706204736174692 },
        {2.0,    0.01,   -6.9645567342832715},
        {2.0,    0.9995, 31.59905457644536  },
        {3.0,    1e-06,  -103.29946778041936},
        {3.0,    0.9,    1.6377443536962097 },
        {5.0,    0.6,    0.26718086570414495},
        {5.0,    0.975,  2.570581835636314  },
        {11.0,   1e-06,  -9.043275921273752 },
        {11.0,   0.9,    1.3634303180205412 },
        {21.0,   0.25,   -0.6863519907269536},
        {21.0,   0.9,    1.3231878738651726 },
        {21.0,   0.975,  2.07961384472768   },
        {51.0,   0.9995, 3.4917658635339395 },
        {101.0,  0.01,   -2.363836681004212 },
        {101.0,  0.975,  1.9837310029556057 },
        {1001.0, 1e-06,  -4.78158031903864  },
        {1001.0, 0.9,    1.2823978745810514 },
        {1e5,    0.6,    0.25334777715718   },
        {1e5,    0.9995, 3.290624031411913  },
    };
    for (size_t c = 0; c < TL_COUNT(cases); c++) {
        double want = cases[c].want;
        double got = tl_student_quantile(cases[c].p, cases[c].dof);
        assert_close(got, want, student_tolerance * fabs(want));
    }
}

static void student_cdf_agrees_with_scipy(void **state)
{
    (void)state;
    static const struct {
        double t, dof, want;
    } cases[] = {
        {-40.0, 0.5,    0.05070489996474719  },
        {2.0,   0.5,    0.7772425549084344   },
        {-3.0,  1.0,    0.10241638234956672  },
        {9.0,   1.0,    0.9647767125227228   },
        {-40.0, 3.0,    1.719034039457927e-05},
        {1e-6,  3.0,    0.500000367552597    },
        {-40.0, 21.0,   1.311587102561177e-21},
        {-0.5,  21.0,   0.31113703782710944  },
        {2.0,   21.0,   0.9706999939756448   },
        {-3.0,  101.0,  0.001700240800340544 },
        {-3.0,  1999.0, 0.001366580249342331 },
        {-3.0,  2001.0, 0.0013665635210817926},
        {0.7,   2001.0, 0.757995661870368    },
        {-3.0,  1e6,    0.0013499312707108977},
        {0.0,   7.0,    0.5                  },
    };
    for (size_t c = 0; c < TL_COUNT(cases); c++) {
        double got = tl_student_cdf(cases[c].t, cases[c].dof);
        assert_close(got, cases[c].want, student_tolerance * cases[c].want);
    }
}

static void the_ends_of_student_s_t_are_the_normal_and_the_cauchy(void **state)
{
    (void)state;
    double forever = (double)INFINITY;
    const double pi = 3.14159265358979323846;
    assert_close(tl_student_quantile(0.9, forever), tl_normal_quantile(0.9), 0.0);
    assert_close(tl_student_cdf(1.5, forever), tl_normal_cdf(1.5), 0.0);
    assert_close(tl_student_cdf(forever, 3.0), 1.0, 0.0);
    assert_close(tl_student_cdf(-forever, 3.0), 0.0, 0.0);
    assert_true(isnan(tl_student_cdf((double)NAN, 3.0)));
    for (int i = 1; i < 100; i++) {
        double want = tan(pi * (0.01 * i - 0.5));
        assert_close(
            tl_student_quantile(0.01 * i, 1.0), want, student_tolerance * (fabs(want) + 1e-3));
    }
}

static void quantiles_undo_the_cdf_and_mirror(void **state)
{
    (void)state;
    static const double dofs[] = {0.7, 1, 2.5, 6, 21, 400, 1999, 2001, 1e4};
    for (size_t d = 0; d < TL_COUNT(dofs); d++) {
        double previous = -(double)INFINITY;
        for (int i = 1; i < 200; i++) {
            double p = i / 200.0;
            double t = tl_student_quantile(p, dofs[d]);
            assert_close(tl_student_cdf(t, dofs[d]), p, 1e-14);
            assert_true(t > previous);
            previous = t;
        }
        assert_close(
            tl_student_quantile(0.25, dofs[d]), -tl_student_quantile(0.75, dofs[d]), 0.0);
        assert_close(tl_student_quantile(0.5, dofs[d]), 0.0, 0.0);
    }
    for (int i = 1; i < 200; i++) {
        assert_close(tl_normal_cdf(tl_normal_quantile(i / 200.0)), i / 200.0, 1e-15);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_quantiles_agree_with_scipy),
        cmocka_unit_test(normal_cdf_agrees_with_scipy),
        cmocka_unit_test(student_quantiles_agree_with_scipy),
        cmocka_unit_test(student_cdf_agrees_with_scipy),
        cmocka_unit_test(the_ends_of_student_s_t_are_the_normal_and_the_cauchy),
        cmocka_unit_test(quantiles_undo_the_cdf_and_mirror),
    };
    return cmocka_run_group_tests_name("numerics/distribution", tests, NULL, NULL);
}
