/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_SPAN_H
#define TL_BASE_SPAN_H

/*
 * Arithmetic over whole arrays, under sanitizers.
 *
 * A sanitizer looks at every element of a loop, which then takes ten times as
 * long and is no vector loop any more; into BLAS it does not look at all. Such
 * functions have what they may touch looked at once, before:
 *
 *     TL_ASSERT_SPAN(x, n);
 *     kernel(n, x, y);            TL_KERNEL: the loop alone is not looked at
 *
 * In a build without AddressSanitizer both are nothing.
 */

#include "base/attr.h"

#include <stddef.h>
#include <stdint.h>

#if defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define TL_HAS_ASAN 1
#    endif
#elif defined(__SANITIZE_ADDRESS__)
#    define TL_HAS_ASAN 1
#endif

#ifdef TL_HAS_ASAN
#    include <sanitizer/asan_interface.h>
#    define TL_KERNEL __attribute__((no_sanitize("address", "undefined")))
#    define TL_ASSERT_SPAN(array, n)   \
        TL_ASSERT(                     \
            (n) <= 0 ||                \
            __asan_region_is_poisoned( \
                (void *)(uintptr_t)(array), (size_t)(n) * sizeof *(array)) == NULL)
#else
#    define TL_KERNEL
#    define TL_ASSERT_SPAN(array, n) ((void)0)
#endif

#endif
