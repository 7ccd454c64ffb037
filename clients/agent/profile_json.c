/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/agent/profile_json.h"

#include "base/json.h"

#include <string.h>

static void add_member(const tl_profile_key *key, const char *value, tl_text *out)
{
    switch (key->kind) {
    case TL_KEY_NAME:
    case TL_KEY_TEXT:
    case TL_KEY_CLASS: tl_json_text(out, key->name, value); return;
    case TL_KEY_COUNT:
    case TL_KEY_NUMBER: tl_json_figure(out, key->name, value); return;
    case TL_KEY_WIDTHS: /* whole numbers and commas */
        tl_json_key(out, key->name);
        tl_text_addf(out, "[%s]", value);
        return;
    }
}

void tl_profile_print_json(const tl_profile *profile, tl_text *out)
{
    const char *section = "";
    tl_text value = {0};
    tl_json_begin(out);
    for (size_t i = 0; i < TL_N_PROFILE_KEYS; i++) {
        const tl_profile_key *key = &tl_profile_keys[i];
        tl_text_clear(&value);
        if (!tl_profile_print(profile, key, &value)) {
            continue;
        }
        if (strcmp(section, key->section) != 0) {
            if (section[0] != '\0') {
                tl_json_close(out);
            }
            if (key->section[0] != '\0') {
                tl_json_open(out, key->section);
            }
            section = key->section;
        }
        add_member(key, value.data != NULL ? value.data : "", out);
        out->is_broken = out->is_broken || value.is_broken;
    }
    if (section[0] != '\0') {
        tl_json_close(out);
    }
    tl_json_end(out);
    tl_text_done(&value);
}
