/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/features_raw.h"

#include "base/mem.h"

#include <string.h>

int tl_raw_add_group(
    tl_raw_layout *layout, const char *name, int n_columns, bool is_unit, bool is_head)
{
    TL_ASSERT(layout->n_groups < TL_FEATURES_MAX_GROUPS);
    tl_raw_group *group = &layout->groups[layout->n_groups];
    size_t len = strlen(name);
    TL_ASSERT(len < sizeof group->name);
    memcpy(group->name, name, len + 1);
    group->begin = layout->n_columns;
    group->end = layout->n_columns + n_columns;
    group->is_unit = is_unit;
    group->is_head = is_head;
    layout->n_columns += n_columns;
    return layout->n_groups++;
}

int tl_raw_find_group(const tl_raw_layout *layout, const char *name)
{
    for (int g = 0; g < layout->n_groups; g++) {
        if (strcmp(layout->groups[g].name, name) == 0) {
            return g;
        }
    }
    return -1;
}

void tl_raw_add_term(
    const tl_raw_layout *layout, tl_hypothesis *hypothesis, const char *name, double centre)
{
    int group = tl_raw_find_group(layout, name);
    if (group < 0) {
        return;
    }
    TL_ASSERT(hypothesis->n_terms < TL_FEATURES_MAX_TERMS);
    hypothesis->group[hypothesis->n_terms] = group;
    hypothesis->centre[hypothesis->n_terms] = centre;
    hypothesis->n_terms++;
}

void tl_raw_layout_done(tl_raw_layout *layout)
{
    tl_mem_free(layout->number_memory);
    memset(layout, 0, sizeof *layout);
}
