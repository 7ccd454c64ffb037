/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_AGENT_PIN_H
#define TL_CLIENTS_AGENT_PIN_H

/*
 * Pins the program to processors, with as many threads as processors.
 *
 * The OpenMP runtime and OpenBLAS read their settings while they are loaded,
 * before main(), so the program replaces itself once with the right
 * environment; the second time tl_pin() finds it and returns.
 */

#include "base/err.h"

/*
 * cpus: "2", "0,2-3", or NULL for the last processor that the program may run on
 * (the first serves most interrupts). argv: as main() got it, ended by NULL.
 * Fails with TL_EINVAL on a list that is none or names a processor that the
 * program may not use, with TL_EIO where the system refuses.
 */
TL_MUST_USE tl_err tl_pin(const char *cpus, char **argv);

#endif
