/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_CLI_INTERRUPT_H
#define TL_CLIENTS_CLI_INTERRUPT_H

/* Ctrl-C, for commands that have something to put in order before they leave. */

#include <stdbool.h>

/* From now on the first one is noted; a second one ends the program at once. */
void tl_interrupt_catch(void);

/* What is read from fd ends with it. */
void tl_interrupt_end_input(int fd);

bool tl_interrupt_came(void);

#endif
