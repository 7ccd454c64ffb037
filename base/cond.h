/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_COND_H
#define TL_BASE_COND_H

/* Conditions that are waited for until a time of tl_clock_ns(), which setting the clock does not move. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* To be ended with pthread_cond_destroy(). */
void tl_cond_init(pthread_cond_t *cond);

/* Of a condition from tl_cond_init(). False when the time has passed; as ever with conditions, true
 * says nothing of what was waited for. */
bool tl_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ns);

#endif
