/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_CLI_COMMANDS_H
#define TL_CLIENTS_CLI_COMMANDS_H

/* Every command, each the constant at the bottom of its cmd_*.c. */

#include "base/attr.h"
#include "clients/cli/command.h"

extern const tl_command tl_cmd_space_list;
extern const tl_command tl_cmd_space_show;
extern const tl_command tl_cmd_space_add;
extern const tl_command tl_cmd_space_remove;
extern const tl_command tl_cmd_device_list;
extern const tl_command tl_cmd_device_show;
extern const tl_command tl_cmd_device_add;
extern const tl_command tl_cmd_device_remove;
extern const tl_command tl_cmd_measure_import;
extern const tl_command tl_cmd_measure_suggest;
extern const tl_command tl_cmd_measure_export;
extern const tl_command tl_cmd_train;
extern const tl_command tl_cmd_evaluate;
extern const tl_command tl_cmd_predict;
extern const tl_command tl_cmd_design;
extern const tl_command tl_cmd_pareto;
extern const tl_command tl_cmd_fleet;
extern const tl_command tl_cmd_proxy;
extern const tl_command tl_cmd_model_list;
extern const tl_command tl_cmd_model_show;
extern const tl_command tl_cmd_job_list;
extern const tl_command tl_cmd_job_show;
extern const tl_command tl_cmd_job_follow;
extern const tl_command tl_cmd_job_cancel;
extern const tl_command tl_cmd_key_list;
extern const tl_command tl_cmd_key_new;
extern const tl_command tl_cmd_key_remove;
extern const tl_command tl_cmd_status;
extern const tl_command tl_cmd_backup;
extern const tl_command tl_cmd_restore;

#endif
