/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/commands.h"

const tl_command *const tl_commands[] = {
    &tl_cmd_space_list,      &tl_cmd_space_show,     &tl_cmd_space_add,
    &tl_cmd_space_remove,    &tl_cmd_device_list,    &tl_cmd_device_show,
    &tl_cmd_device_add,      &tl_cmd_device_remove,  &tl_cmd_measure_import,
    &tl_cmd_measure_suggest, &tl_cmd_measure_export, &tl_cmd_train,
    &tl_cmd_evaluate,        &tl_cmd_predict,        &tl_cmd_design,
    &tl_cmd_pareto,          &tl_cmd_fleet,          &tl_cmd_proxy,
    &tl_cmd_model_list,      &tl_cmd_model_show,     &tl_cmd_job_list,
    &tl_cmd_job_show,        &tl_cmd_job_follow,     &tl_cmd_job_cancel,
    &tl_cmd_key_new,         &tl_cmd_key_list,       &tl_cmd_key_remove,
    &tl_cmd_status,          &tl_cmd_backup,         &tl_cmd_restore,
};

const size_t tl_commands_len = TL_COUNT(tl_commands);
