/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "daemon/jobs.h"

#include <string.h>

static tl_call make_call(void)
{
    return (tl_call){.role = TL_ROLE_ADMIN, .deadline_ns = INT64_MAX};
}

static tl_job_view last_view(tl_jobs *jobs)
{
    tl_job_view *views = NULL;
    size_t n = 0;
    assert_ok(tl_jobs_list(jobs, &views, &n));
    assert_true(n > 0);
    tl_job_view last = views[n - 1];
    tl_mem_free(views);
    return last;
}

static void a_job_shows_what_it_does_and_how_it_ended(void **state)
{
    (void)state;
    tl_jobs *jobs = NULL;
    tl_job *job = NULL;
    tl_call call = make_call();
    assert_ok(tl_jobs_new(&jobs));
    assert_ok(tl_job_begin(jobs, &call, "train.run", "nasbench201", &job));
    assert_ok(tl_job_step(job, "source devices", 3, 10));
    tl_job_view view = last_view(jobs);
    assert_true(view.is_running);
    assert_string_equal(view.method, "train.run");
    assert_string_equal(view.subject, "nasbench201");
    assert_string_equal(view.what, "source devices");
    assert_int_equal(view.done, 3);
    assert_int_equal(view.id, tl_job_id(job));
    tl_job_end(job, TL_ENUMERIC);
    view = last_view(jobs);
    assert_false(view.is_running);
    assert_err(TL_ENUMERIC, view.result);
    tl_job_end(NULL, TL_OK);
    tl_jobs_free(jobs);
}

static void a_cancelled_job_learns_it_at_its_next_step(void **state)
{
    (void)state;
    tl_jobs *jobs = NULL;
    tl_job *job = NULL;
    tl_call call = make_call();
    assert_ok(tl_jobs_new(&jobs));
    assert_ok(tl_job_begin(jobs, &call, "train.run", "x", &job));
    uint64_t id = tl_job_id(job);
    assert_err(TL_ENOTFOUND, tl_job_cancel(jobs, id + 1));
    assert_ok(tl_job_cancel(jobs, id));
    assert_err(TL_ECANCELLED, tl_job_step(job, "a", 1, 2));
    tl_job_end(job, TL_ECANCELLED);
    assert_err(TL_ESTATE, tl_job_cancel(jobs, id));
    tl_jobs_free(jobs);
}

static void jobs_are_bounded_and_the_oldest_ended_is_forgotten(void **state)
{
    (void)state;
    enum {
        N_RUNNING = 64,
        N_MORE = 200
    };
    tl_jobs *jobs = NULL;
    tl_job *running[N_RUNNING];
    tl_job *job = NULL;
    tl_call call = make_call();
    tl_job_view *views = NULL;
    size_t n = 0;
    assert_ok(tl_jobs_new(&jobs));
    for (int i = 0; i < N_RUNNING; i++) {
        assert_ok(tl_job_begin(jobs, &call, "train.run", "x", &running[i]));
    }
    assert_err(TL_EBUSY, tl_job_begin(jobs, &call, "train.run", "x", &job));
    tl_job_end(running[0], TL_OK);
    for (int i = 0; i < N_MORE; i++) {
        assert_ok(tl_job_begin(jobs, &call, "train.run", "x", &job));
        tl_job_end(job, TL_OK);
    }
    assert_ok(tl_jobs_list(jobs, &views, &n));
    assert_true(n <= 2 * N_RUNNING);
    assert_int_equal(views[n - 1].id, N_RUNNING + N_MORE);
    assert_int_equal(views[0].id, 2); /* still running; the first has been forgotten */
    tl_mem_free(views);
    for (int i = 1; i < N_RUNNING; i++) {
        tl_job_end(running[i], TL_OK);
    }
    tl_jobs_free(jobs);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(a_job_shows_what_it_does_and_how_it_ended),
        TEST(a_cancelled_job_learns_it_at_its_next_step),
        TEST(jobs_are_bounded_and_the_oldest_ended_is_forgotten),
    };
#undef TEST
    return cmocka_run_group_tests_name("daemon/jobs", tests, NULL, NULL);
}
