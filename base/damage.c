/* SPDX-License-Identifier: Apache-2.0 */
#include "base/damage.h"

tl_err tl_damage_add(tl_damage *damage, const char *name)
{
    if (damage->n++ < TL_DAMAGE_MAX_NAMED) {
        tl_text_add(&damage->names, name);
        tl_text_add(&damage->names, "\n");
    }
    return tl_text_err(&damage->names);
}

void tl_damage_done(tl_damage *damage)
{
    tl_text_done(&damage->names);
    *damage = (tl_damage){0};
}

size_t tl_damage_n_unnamed(const tl_damage *damage)
{
    return damage->n > TL_DAMAGE_MAX_NAMED ? damage->n - TL_DAMAGE_MAX_NAMED : 0;
}
