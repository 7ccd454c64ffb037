/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_CLI_PLOTS_H
#define TL_CLIENTS_CLI_PLOTS_H

/*
 * Plots of an evaluation, by gnuplot, from the figures.csv and curves.csv that
 * stand in the folder already: one script NAME.gp each, which makes NAME.png and NAME.svg
 * and can be changed and run again by hand.
 *
 *     calibration   observed against predicted quantiles
 *     rejection     error of what is kept against the share rejected
 *     coverage      coverage of 80% intervals against their width, by set
 *     likelihood    likelihood against the distance to the exact posterior
 */

#include "base/err.h"
#include "clients/c/tailor.h"

/* Fails with TL_ENOTFOUND when gnuplot is not installed: the scripts are then there. */
TL_MUST_USE tl_err tl_plots_write(const char *folder, const tailor_evaluation *evaluation);

#endif
