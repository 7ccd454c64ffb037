/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Messages of protocol v1 that are kept because no daemon can be made to say them
 * (tests/golden/wire/scenario.py, BUILT): they mean today what they meant then.
 */

#include "tests/support/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "proto/tailor.pb-c.h"
#include "proto/wire.h"

#include <stdio.h>

enum {
    MAX_BYTES = 4096,
    MAX_MEMORY = 1 << 20
};

/* The caller owns the bytes (tl_mem_free). */
static uint8_t *read_built(const char *name, size_t *out_len)
{
    char path[512];
    char *data = NULL;
    (void)snprintf(
        path, sizeof path, "%s/tests/golden/wire/v1/built/%s.message", tl_test_source_dir(),
        name);
    assert_ok(tl_file_read(path, MAX_BYTES, &data, out_len));
    return (uint8_t *)data;
}

static void check_course(const Tailor__V1__Job *job)
{
    assert_int_equal(job->job_id, 41);
    assert_string_equal(job->method, "evaluate.run");
    assert_string_equal(job->subject, "golden");
    assert_string_equal(job->state, "waiting");
    assert_true(job->is_ended);
    assert_int_equal(job->queued_unix_s, 43);
    assert_int_equal(job->started_unix_s, 44);
    assert_true(job->ended_unix_s == -45);
    assert_int_equal(job->starts, 46);
    assert_string_equal(job->client, "golden 1");
    assert_string_equal(job->key, "operator");
    assert_int_equal(job->waits_for, 47);
}

static void check_progress(const Tailor__V1__Progress *progress)
{
    assert_non_null(progress);
    assert_string_equal(progress->what, "golden-board");
    assert_int_equal(progress->done, 2);
    assert_int_equal(progress->total, 3);
    assert_close(progress->elapsed_s, 1.5, 0);
    assert_int_equal(progress->job_id, 42);
}

static void check_outcome(const Tailor__V1__Job *job)
{
    assert_int_equal(job->error, 13);
    assert_string_equal(job->error_name, "ECANCELLED");
    assert_string_equal(job->error_detail, "why");
    assert_int_equal(job->n_warnings, 2);
    assert_string_equal(job->warnings[0], "one");
    assert_string_equal(job->warnings[1], "two");
    assert_true(job->has_reply);
    assert_int_equal(job->reply.len, 2);
    assert_memory_equal(job->reply.data, "\x00\xff", 2);
}

static void a_kept_job_means_what_it_meant_and_is_written_again_as_it_was(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *kept = read_built("job", &len);
    ProtobufCMessage *message = NULL;
    tl_bytes again = {0};
    assert_ok(tl_wire_unpack(&tailor__v1__job__descriptor, kept, len, MAX_MEMORY, &message));
    const Tailor__V1__Job *job = (const Tailor__V1__Job *)(const void *)message;
    check_course(job);
    check_progress(job->progress);
    check_outcome(job);
    assert_int_equal(message->n_unknown_fields, 0);
    assert_ok(tl_wire_pack(message, &again));
    assert_int_equal(again.len, len);
    assert_memory_equal(again.data, kept, len);
    tl_mem_free(again.data);
    tl_mem_free(kept);
    tl_wire_free(message);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(a_kept_job_means_what_it_meant_and_is_written_again_as_it_was),
    };
#undef TEST
    return cmocka_run_group_tests_name("proto/golden", tests, NULL, NULL);
}
