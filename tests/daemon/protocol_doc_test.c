/* SPDX-License-Identifier: Apache-2.0 */

/*
 * docs/protocol.md is made from the method table and proto/tailor.proto.
 * TL_UPDATE=1 ctest -R daemon.protocol_doc writes it anew.
 */

#include "tests/support/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/methods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_FILE_BYTES = 1024 * 1024
};

static const char head[] =
    "# The protocol, version 1\n"
    "\n"
    "Made from the daemon's method table and `proto/tailor.proto`; do not edit. A client sends, over a ZeroMQ\n"
    "DEALER or REQ socket, an empty frame and a packed `Request`; it receives messages of an empty frame and a\n"
    "packed `Reply`: any number of kind PROGRESS, PART or HEARTBEAT, then one FINAL under the same `request_id`. A request\n"
    "that cannot be read is answered under id 0. Messages have at most 64 MiB; a connection that\n"
    "announces more than 96 MiB is closed. Texts are UTF-8 without zero bytes.\n"
    "\n"
    "Requests may be sent before others are answered, and are answered in any order.\n"
    "\n"
    "Every method may be called again when its answer was lost. `deadline_ms` 0 means the method's own; a request\n"
    "is refused with EDEADLINE when it has passed before the work starts, and long work looks at it.\n"
    "With `heartbeat_ms` the daemon sends a HEARTBEAT at least so often while the request waits or runs, so that a client\n"
    "that hears nothing for several of them knows that the daemon, or the way to it, is gone.\n"
    "\n"
    "## Methods\n"
    "\n"
    "| method | request | reply | deadline | role | |\n"
    "|---|---|---|---|---|---|\n";

static const char *role_name(tl_role role)
{
    return role == TL_ROLE_READER ? "reader" : role == TL_ROLE_WRITER ? "writer" : "admin";
}

static void add_methods(tl_text *text)
{
    for (size_t i = 0; i < tl_methods_len; i++) {
        const tl_method *m = tl_methods[i];
        char deadline[32] = "none";
        if (m->deadline_ms > 0) {
            (void)snprintf(deadline, sizeof deadline, "%g s", (double)m->deadline_ms * 1e-3);
        }
        tl_text_addf(
            text, "| `%s` | %s | %s | %s | %s | %s%s |\n", m->name, m->request->short_name,
            m->reply->short_name, deadline, role_name(m->min_role), m->summary,
            m->is_job ? ". A job: `job.start` may start it" : "");
    }
}

static void add_errors(tl_text *text)
{
    tl_text_add(text, "\n## Errors\n\n| number | name | |\n|---|---|---|\n");
#define ADD_ERROR(name, number, message) \
    tl_text_addf(text, "| %d | %s | %s |\n", (number), #name, (message));
    TL_ERR_LIST(ADD_ERROR)
#undef ADD_ERROR
}

static char *expected_text(void)
{
    tl_text text = {0};
    char path[512];
    char *proto = NULL;
    size_t len = 0;
    (void)snprintf(path, sizeof path, "%s/proto/tailor.proto", tl_test_source_dir());
    assert_ok(tl_file_read(path, MAX_FILE_BYTES, &proto, &len));
    tl_text_add(&text, head);
    add_methods(&text);
    add_errors(&text);
    tl_text_add(&text, "\n## Messages\n\n```proto\n");
    tl_text_add(&text, proto);
    tl_text_add(&text, "```\n");
    tl_mem_free(proto);
    assert_ok(tl_text_err(&text));
    return tl_text_steal(&text);
}

static void the_document_says_what_the_table_says(void **state)
{
    (void)state;
    char path[512];
    char *text = expected_text();
    char *written = NULL;
    size_t len = 0;
    (void)snprintf(path, sizeof path, "%s/docs/protocol.md", tl_test_source_dir());
    if (getenv("TL_UPDATE") != NULL) {
        assert_ok(tl_file_write(path, text, strlen(text)));
    }
    assert_ok(tl_file_read(path, MAX_FILE_BYTES, &written, &len));
    if (strcmp(text, written) != 0) {
        fail_msg("%s is stale: run TL_UPDATE=1 ctest -R daemon.protocol_doc", path);
    }
    tl_mem_free(text);
    tl_mem_free(written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_document_says_what_the_table_says),
    };
    return cmocka_run_group_tests_name("daemon/protocol_doc", tests, NULL, NULL);
}
