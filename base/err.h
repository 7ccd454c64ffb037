/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_ERR_H
#define TL_BASE_ERR_H

/*
 * Errors: a code to act on, and one line of detail to show.
 *
 * TL_ERR_LIST is the only place an error is defined. The enum, the names, the
 * default messages and the status numbers on the wire all come from it, so
 * the numbers never change once released.
 *
 * A function that can fail returns tl_err and writes its results through
 * out_ parameters, which it leaves untouched on failure:
 *
 *     tl_profile profile;
 *     tl_err err = tl_registry_find(registry, "raspberrypi4", &profile);
 *     if (err == TL_ENOTFOUND) {
 *         ...fall back...
 *     } else if (err != TL_OK) {
 *         return err;
 *     }
 *
 * A wrong argument from our own code is a bug, not an error: TL_ASSERT it.
 */

#include "base/attr.h"

#include <stdarg.h>

#define TL_ERR_LIST(X)                                              \
    X(OK, 0, "success")                                             \
    X(ENOMEM, 1, "out of memory")                                   \
    X(EINVAL, 2, "the request is not well formed")                  \
    X(ENOTFOUND, 3, "no such space, device, task, model or method") \
    X(ESHAPE, 4, "array sizes do not agree")                        \
    X(ENUMERIC, 5, "the computation produced a non-finite value")   \
    X(EDEADLINE, 6, "the deadline passed before the work ended")    \
    X(EDENIED, 7, "this client may not call this method")           \
    X(EIO, 8, "the system refused a read or a write")               \
    X(EEXISTS, 9, "there is one of that name already")              \
    X(EDAMAGED, 10, "the file is damaged")                          \
    X(EVERSION, 11, "the file or message is of another version")    \
    X(EBUSY, 12, "too much work is waiting")                        \
    X(ECANCELLED, 13, "the work was cancelled")                     \
    X(EUNREACHABLE, 14, "no daemon answers")                        \
    X(ELIMIT, 15, "larger than this installation accepts")          \
    X(ESTATE, 16, "not possible in the present state")

typedef enum tl_err {
#define TL_ERR_ENUM(name, number, message) TL_##name = (number),
    TL_ERR_LIST(TL_ERR_ENUM)
#undef TL_ERR_ENUM
} tl_err;

/* "ENOTFOUND": stable, for logs and metrics labels. Never NULL. */
const char *tl_err_name(tl_err err);

/* The default message of the code, lower case, no full stop. Never NULL. */
const char *tl_err_message(tl_err err);

/*
 * Records one line of detail for this thread and returns err, so that failing
 * is one statement:
 *
 *     return tl_fail(TL_ESHAPE, "features: got %zu floats, want %d x %d", n, rows, cols);
 *
 * For TL_ENOMEM it is enough to name what there was no memory for: "out of memory: " is put
 * before it where it does not say so.
 */
tl_err tl_fail(tl_err err, const char *format, ...) TL_PRINTF(2, 3);
tl_err tl_failv(tl_err err, const char *format, va_list args) TL_PRINTF(2, 0);

/*
 * Puts the formatted text before the detail recorded last, for a caller that
 * knows where it happened: tl_fail_in(err, "%s line %d: ", file, line).
 */
tl_err tl_fail_in(tl_err err, const char *format, ...) TL_PRINTF(2, 3);

#ifdef __clang_analyzer__
/* The analyzer does not look into base/err.c, and would follow paths on which a call that
 * failed returned TL_OK. */
#    define tl_fail(err, ...)    (tl_fail(err, __VA_ARGS__), (err))
#    define tl_fail_in(err, ...) (tl_fail_in(err, __VA_ARGS__), (err))
#endif

/* The detail of the last tl_fail() on this thread, or "" after tl_err_clear(). */
const char *tl_err_detail(void);
void tl_err_clear(void);

/* For functions that own nothing yet. With something to release: goto done. */
#define TL_TRY(call)                 \
    do {                             \
        tl_err tl_try_err_ = (call); \
        if (tl_try_err_ != TL_OK) {  \
            return tl_try_err_;      \
        }                            \
    } while (0)

#endif
