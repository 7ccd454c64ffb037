/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_ATTR_H
#define TL_BASE_ATTR_H

/*
 * Attributes and assertions.
 *
 * TL_ASSERT is always on: a shape mistake must not become a wrong latency.
 * TL_DEBUG_ASSERT is for accessors and inner loops and vanishes with NDEBUG.
 * Neither may be reachable from the wire, a file or the command line.
 */

#define TL_PRINTF(format_idx, args_idx) __attribute__((format(printf, format_idx, args_idx)))
#define TL_MUST_USE                     __attribute__((warn_unused_result))
#define TL_NORETURN                     __attribute__((noreturn))

#define TL_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define TL_ASSERT(condition) \
    ((condition) ? (void)0 : tl_assert_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#    define TL_DEBUG_ASSERT(condition) ((void)0)
#else
#    define TL_DEBUG_ASSERT(condition) TL_ASSERT(condition)
#endif

/* Says what failed on standard error and aborts. */
TL_NORETURN void tl_assert_failed(const char *condition, const char *file, int line);

#endif
