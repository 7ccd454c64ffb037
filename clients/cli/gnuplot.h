/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_CLI_GNUPLOT_H
#define TL_CLIENTS_CLI_GNUPLOT_H

/* gnuplot, as another program: scripts stay where they are, to be changed and run again by hand. */

#include "base/err.h"

/*
 * Runs `gnuplot script` in the folder. Fails with TL_ENOTFOUND when gnuplot is not
 * installed, TL_EIO when it does not like the script.
 */
TL_MUST_USE tl_err tl_gnuplot_run(const char *folder, const char *script);

#endif
