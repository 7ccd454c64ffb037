/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_METHODS_H
#define TL_DAEMON_METHODS_H

/* The methods themselves, each defined at the bottom of its daemon/handle_*.c. */

#include "daemon/method.h"

extern const tl_method tl_method_backup_begin;
extern const tl_method tl_method_backup_end;
extern const tl_method tl_method_backup_read;
extern const tl_method tl_method_design_run;
extern const tl_method tl_method_device_add;
extern const tl_method tl_method_device_list;
extern const tl_method tl_method_device_remove;
extern const tl_method tl_method_device_show;
extern const tl_method tl_method_evaluate_run;
extern const tl_method tl_method_fleet_run;
extern const tl_method tl_method_job_cancel;
extern const tl_method tl_method_job_list;
extern const tl_method tl_method_job_show;
extern const tl_method tl_method_job_start;
extern const tl_method tl_method_measure_abort;
extern const tl_method tl_method_measure_begin;
extern const tl_method tl_method_measure_commit;
extern const tl_method tl_method_measure_export;
extern const tl_method tl_method_measure_feed;
extern const tl_method tl_method_measure_suggest;
extern const tl_method tl_method_model_list;
extern const tl_method tl_method_model_show;
extern const tl_method tl_method_pareto_run;
extern const tl_method tl_method_predict_run;
extern const tl_method tl_method_proxy_run;
extern const tl_method tl_method_space_add;
extern const tl_method tl_method_space_list;
extern const tl_method tl_method_space_lower;
extern const tl_method tl_method_space_remove;
extern const tl_method tl_method_space_show;
extern const tl_method tl_method_status_get;
extern const tl_method tl_method_train_run;

#endif
