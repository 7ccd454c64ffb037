/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_BACKGROUND_H
#define TL_BASE_BACKGROUND_H

/*
 * Work that nobody waits for at a screen: it takes what the processors have left
 * and yields as soon as somebody does.
 */

/*
 * From now on the calling thread, and every thread that it starts, yields to the
 * others of this machine. There is no way back: raising a priority again takes a
 * right that the daemon does not have. Where the system refuses, nothing happens.
 */
void tl_background_thread(void);

#endif
