/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_CHECK_H
#define TL_DAEMON_CHECK_H

/* tailord --check: reads every byte that a data folder's store holds. */

#include "base/err.h"

/*
 * Logs what it finds. TL_EDAMAGED where anything is damaged, TL_ESTATE while a daemon uses the
 * folder, TL_ENOTFOUND where there is no store. Changes nothing but the lock's file.
 */
TL_MUST_USE tl_err tl_check_data(const char *data_dir);

#endif
