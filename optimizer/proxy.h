/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_PROXY_H
#define TL_OPTIMIZER_PROXY_H

/*
 * Proxy devices: where a new device ranks designs as a known one does, the designs found on
 * the known one, its Pareto set, serve the new one too.
 *
 * The agreement is Spearman's coefficient of the two devices' measurements over the space. It
 * is not read off the few measured designs, of which there are too few, but off joint
 * draws of the device: each draw is a device that the measurements allow, and has its
 * coefficient with what the known device's own model says of the same designs, times how well
 * that model ranks its own device. Their middle is the estimate; the interval is that of
 * 90%, wide enough on devices that took part in nothing
 * (docs/decisions/0018-agreement-with-a-proxy.md).
 *
 *     tl_agreement agreements[n];
 *     TL_TRY(tl_proxy_agreements(view, TL_COST_LATENCY, 1, agreements, &n));
 *
 * Where no known device agrees well enough, the nearest one is adapted:
 *
 *     l_new(x) = sum_j w_j (a + b_j) e_j(x) + c          w: the known device's weights
 *
 * least squares in a, b, c with a penalty on b (AdaProxy), its weight chosen by evidence.
 */

#include "predictors/predictor.h"

/* From this coefficient on a proxy's designs may be reused. */
#define TL_PROXY_REUSABLE .9

typedef struct tl_agreement {
    const char *device;         /* the known one; borrowed from the view's model */
    double spearman, low, high; /* the estimate, and its interval of 90% */
} tl_agreement;

/* The most agreements that a view can have: the known devices of its model, without itself. */
int tl_proxy_max_agreements(const tl_view *view, tl_cost cost, const char *device);

/*
 * Of the device of the view with each known one but itself, best first: out_agreements
 * [tl_proxy_max_agreements()]. Fails with TL_ESTATE when nothing is known of the cost.
 */
TL_MUST_USE tl_err tl_proxy_agreements(
    tl_view *view,
    tl_cost cost,
    const char *device,
    uint64_t seed,
    tl_agreement *out_agreements);

/* A known device's model, adapted: values in the unit of the measurements. */
typedef struct tl_adapted {
    const tl_source *proxy; /* borrowed */
    double *weights;        /* [1 + Ps]: of the proxy's prediction, then of each column */
    double mean, level;
    double relative_sd; /* of what it leaves of designs that it was not fitted to */
} tl_adapted;

/* Fits to n >= 1 measured designs: source rows x [n, Ps], y [n] positive. */
TL_MUST_USE tl_err
tl_proxy_adapt(const tl_source *proxy, tl_dcmat x, const double *y, tl_adapted *out_adapted);

/* The proxy as it is, in the unit of the same measurements: a alone. */
TL_MUST_USE tl_err
tl_proxy_scale(const tl_source *proxy, tl_dcmat x, const double *y, tl_adapted *out_adapted);
void tl_adapted_done(tl_adapted *adapted);

/* out [n] for source rows x [n, Ps]. */
TL_MUST_USE tl_err
tl_adapted_predict(const tl_adapted *adapted, tl_dcmat x, double *out_values);

#endif
