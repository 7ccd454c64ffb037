/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_SWEEPER_H
#define TL_DAEMON_SWEEPER_H

/*
 * The sweeper: a thread that drops what clients have left (fleets, imports, backups) every
 * few seconds, whatever the others are busy with. It never computes, so that nothing keeps it
 * from its round.
 */

#include "base/err.h"
#include "daemon/backups.h"
#include "daemon/imports.h"
#include "daemon/jobs.h"

typedef struct tl_sweeper tl_sweeper;

/* What is swept is borrowed, and outlives the sweeper. Fails with TL_EIO without a thread. */
TL_MUST_USE tl_err tl_sweeper_new(
    tl_jobs *jobs, tl_imports *imports, tl_backups *backups, tl_sweeper **out_sweeper);
void tl_sweeper_free(tl_sweeper *sweeper); /* NULL is fine */

#endif
