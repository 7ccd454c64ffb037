/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_PREDICTION_H
#define TL_PREDICTORS_PREDICTION_H

/*
 * What is predicted of one design on one device for one task.
 *
 * NaN where nothing is known; a mean and its standard deviation are either both
 * known or both NaN. Accuracies are in percent, as published tables have them.
 */
typedef struct tl_prediction {
    double latency_ms, latency_std_ms;
    double energy_mj, energy_std_mj;
    double accuracy, accuracy_std;
} tl_prediction;

#endif
