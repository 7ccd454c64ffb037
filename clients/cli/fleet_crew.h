/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_CLI_FLEET_CREW_H
#define TL_CLIENTS_CLI_FLEET_CREW_H

/*
 * Several pieces of a fleet asked at once, so that all workers of the daemon have
 * something to do. A daemon that goes away after it answered some is waited for, five minutes
 * for each piece. Answers come back in the order in which the pieces were given.
 *
 *     while (... more pieces, or some under way ...) {
 *         if (tl_fleet_crew_has_room(crew)) { tl_fleet_crew_give(crew, &piece); }
 *         else { err = tl_fleet_crew_take(crew, &part, &warnings); }
 *     }
 */

#include "clients/c/tailor.h"
#include "clients/cli/fleet_rows.h"

#include <stdbool.h>

typedef struct tl_fleet_crew tl_fleet_crew;

/* client is borrowed; question is copied, what it points at borrowed; csv and first_line are not
 * read. */
TL_MUST_USE tl_err tl_fleet_crew_new(
    tailor_client *client,
    const tailor_fleet_options *question,
    int n_threads,
    tl_fleet_crew **out_crew);

/* Ends what is under way. NULL is fine. */
void tl_fleet_crew_free(tl_fleet_crew *crew);

bool tl_fleet_crew_has_room(const tl_fleet_crew *crew);
bool tl_fleet_crew_is_idle(const tl_fleet_crew *crew);

/* Takes the piece's text; there is room. */
void tl_fleet_crew_give(tl_fleet_crew *crew, tl_fleet_piece *piece);

/*
 * Waits for the oldest piece under way (there is one); the caller owns *out_part. The
 * daemon's warnings, a line each, are borrowed until the next piece is given. Fails as
 * tailor_fleet() did, with its detail, and with TL_ECANCELLED when Ctrl-C was pressed.
 */
TL_MUST_USE tl_err tl_fleet_crew_take(
    tl_fleet_crew *crew, tailor_fleet_part **out_part, const char **out_warnings);

#endif
