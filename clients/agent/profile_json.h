/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_AGENT_PROFILE_JSON_H
#define TL_CLIENTS_AGENT_PROFILE_JSON_H

/*
 * A profile as one JSON document on a line, with the names and the nesting of its YAML:
 *
 *     {"name":"raspberrypi4","class":"cpu","peak_gflops":{"fp32":48,"int8":96}}
 *
 * YAML readers take JSON, so it may be registered as it is.
 */

#include "base/text.h"
#include "device-profiles/profile.h"

/* Appends what is known; a failed append shows in tl_text_err(). */
void tl_profile_print_json(const tl_profile *profile, tl_text *out);

#endif
