/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_SETTINGS_FILE_H
#define TL_DAEMON_SETTINGS_FILE_H

/*
 * The configuration file: the options of tailord as YAML.
 *
 *     data: /var/lib/tailor
 *     models: /usr/share/tailor/models
 *     listen: [tcp://127.0.0.1:7411, ipc:///run/tailor/socket]     (or one of them)
 *     workers: 4
 *     log-level: info
 */

#include "base/err.h"

struct tl_settings;

/* Sets what the file says and is not set yet. Fails with TL_EINVAL (an unknown key, a wrong
 * value) or as tl_file_read(). */
TL_MUST_USE tl_err tl_settings_read_file(struct tl_settings *settings, const char *path);

#endif
