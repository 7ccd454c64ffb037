/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_NAME_H
#define TL_BASE_NAME_H

/*
 * Names of spaces, devices, tasks, slots and options, and the search for the
 * nearest known one, so that an error can say what was probably meant.
 */

#include "base/err.h"

#include <stddef.h>

enum {
    TL_NAME_MAX_BYTES = 128
};

/*
 * A name is 1 to 128 letters, digits and ". _ + -", and starts with a letter
 * or a digit. what ("device", "space") opens the detail of TL_EINVAL.
 */
TL_MUST_USE tl_err tl_name_check(const char *what, const char *name);

/* The closest of n names by edit distance, or NULL when none is close. */
const char *tl_name_nearest(const char *name, const char *const *names, size_t n);

/* The same however far it is: NULL only when n is 0. */
const char *tl_name_closest(const char *name, const char *const *names, size_t n);

#endif
