/* SPDX-License-Identifier: Apache-2.0 */
#include "base/watch.h"

#include <stddef.h>

static _Thread_local tl_watch current;

tl_watch tl_watch_set(tl_watch watch)
{
    tl_watch former = current;
    current = watch;
    return former;
}

tl_watch tl_watch_get(void)
{
    return current;
}

tl_err tl_watch_check(void)
{
    return current.check != NULL ? current.check(current.context) : TL_OK;
}
