/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/methods.h"

#include "base/attr.h"

/* Sorted by name; a test checks it. */
const tl_method *const tl_methods[] = {
    &tl_method_backup_begin,  &tl_method_backup_end,      &tl_method_backup_read,
    &tl_method_design_run,    &tl_method_device_add,      &tl_method_device_list,
    &tl_method_device_remove, &tl_method_device_show,     &tl_method_evaluate_run,
    &tl_method_fleet_run,     &tl_method_job_cancel,      &tl_method_job_list,
    &tl_method_job_show,      &tl_method_job_start,       &tl_method_measure_abort,
    &tl_method_measure_begin, &tl_method_measure_commit,  &tl_method_measure_export,
    &tl_method_measure_feed,  &tl_method_measure_suggest, &tl_method_model_list,
    &tl_method_model_show,    &tl_method_pareto_run,      &tl_method_predict_run,
    &tl_method_proxy_run,     &tl_method_space_add,       &tl_method_space_list,
    &tl_method_space_lower,   &tl_method_space_remove,    &tl_method_space_show,
    &tl_method_status_get,    &tl_method_train_run,
};

const size_t tl_methods_len = TL_COUNT(tl_methods);
