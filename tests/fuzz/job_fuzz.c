/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The jobs that a daemon finds in its store, in pieces: the number of a job and what is stored of
 * it. An engine is opened over them, asked for every one, made to go on with one, and opened again.
 */

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/engine.h"
#include "daemon/job_store.h"
#include "daemon/method.h"
#include "proto/tailor.pb-c.h"
#include "proto/wire.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/test.h"

#include <string.h>

enum {
    N_LETTERS = 4, /* kinds of a job's entries */
    MAX_JOBS = 64, /* kinds of pieces / N_LETTERS; the last two have the last numbers of all */
    ID_BYTES = 8,
    BITS_PER_BYTE = 8,
    MAX_KEY = 16,
    MAX_LISTED = 1000,
    MAX_BODY = 64
};

static uint64_t id_of(int i)
{
    return i == MAX_JOBS - 1 ? UINT64_MAX : i == MAX_JOBS - 2 ? TL_JOB_MAX_NUMBER : (uint64_t)i;
}

/* The kind of a piece is that of the entry, and the job's place. */
static void put_piece(tl_store_txn *txn, tl_fuzz_piece piece)
{
    static const char letters[N_LETTERS + 1] = "jqrk";
    static const char kept_name[] = {'k', 'e', 'p', 't'};
    char key[MAX_KEY] = {0};
    char letter = key[0] = letters[piece.kind % N_LETTERS];
    uint64_t id = id_of(piece.kind / N_LETTERS);
    size_t len = 1 + ID_BYTES;
    for (int i = 0; i < ID_BYTES; i++) {
        key[ID_BYTES - i] = (char)(uint8_t)(id >> (BITS_PER_BYTE * i));
    }
    if (letter == 'k') {
        memcpy(key + len, kept_name, sizeof kept_name);
        len += sizeof kept_name;
    }
    tl_err err = tl_store_put(txn, TL_DB_JOBS, key, len, piece.data, piece.len);
    tl_fuzz_check(err == TL_OK, "putting");
}

static void fill_store(const char *dir, const uint8_t *data, size_t size)
{
    tl_store *store = NULL;
    tl_store_txn *txn = NULL;
    tl_fuzz_piece piece;
    tl_fuzz_check(tl_store_open(dir, 0, &store) == TL_OK, "a store");
    tl_fuzz_check(tl_store_begin(store, &txn) == TL_OK, "a transaction");
    tl_fuzz_check(
        tl_store_delete_prefix(txn, TL_DB_JOBS, "", 0, SIZE_MAX, NULL) == TL_OK,
        "removing jobs");
    while (tl_fuzz_next(&data, &size, &piece)) {
        put_piece(txn, piece);
    }
    tl_fuzz_check(tl_store_commit(&txn) == TL_OK, "a commit");
    tl_store_close(store);
}

/* ---- what clients ask --------------------------------------------------------------------- */

/* Whatever it is answered, a client can read it. */
static tl_err ask(tl_engine *engine, const char *name, const ProtobufCMessage *request)
{
    const tl_method *method = tl_method_find(name);
    uint8_t body[MAX_BODY];
    tl_bytes reply = {0};
    ProtobufCMessage *read = NULL;
    tl_call call = {.engine = engine, .role = TL_ROLE_ADMIN, .deadline_ns = INT64_MAX};
    tl_fuzz_check(protobuf_c_message_get_packed_size(request) <= sizeof body, "a request");
    size_t len = protobuf_c_message_pack(request, body);
    tl_err_clear();
    tl_err err = tl_method_call(method, &call, body, len, &reply);
    tl_fuzz_check(err == TL_OK || tl_err_detail()[0] != '\0', "a refusal without a reason");
    if (err == TL_OK) {
        tl_fuzz_check(
            tl_wire_unpack(
                method->reply, reply.data, reply.len, TL_WIRE_MAX_MEMORY_BYTES, &read) == TL_OK,
            "a reply that nobody can read");
        tl_wire_free(read);
        tl_mem_free(reply.data);
    }
    tl_call_done(&call);
    return err;
}

static tl_err ask_job(tl_engine *engine, const char *name, uint64_t id)
{
    Tailor__V1__JobId request;
    tailor__v1__job_id__init(&request);
    request.job_id = id;
    return ask(engine, name, &request.base);
}

static void ask_list(tl_engine *engine)
{
    Tailor__V1__JobListRequest request;
    tailor__v1__job_list_request__init(&request);
    request.ended = MAX_LISTED;
    tl_fuzz_check(ask(engine, "job.list", &request.base) == TL_OK, "there is no list");
}

/* ---- what the runner does ------------------------------------------------------------------ */

/* A job that the queue would hand out: nothing else runs. */
static bool has_next(tl_jobs *jobs)
{
    tl_job_view *views = NULL;
    size_t n = 0;
    bool is_there = false;
    tl_fuzz_check(tl_jobs_list(jobs, MAX_LISTED, &views, &n) == TL_OK, "there is no list");
    for (size_t i = 0; i < n; i++) {
        is_there = is_there || (views[i].state == TL_JOB_WAITING && !views[i].is_cancelled);
    }
    tl_mem_free(views);
    return is_there;
}

static void run_next(tl_engine *engine)
{
    tl_jobs *jobs = tl_engine_jobs(engine);
    void *data = NULL;
    size_t len = 0;
    tl_bytes reply = {0};
    tl_call call = {.engine = engine, .deadline_ns = INT64_MAX};
    if (!has_next(jobs)) {
        return;
    }
    tl_job *job = tl_jobs_take(jobs);
    tl_fuzz_check(job != NULL, "nothing to run");
    if (tl_job_request(job, &data, &len) == TL_OK) {
        tl_mem_free(data);
    }
    (void)tl_method_find(tl_job_method(job));
    tl_job_fill_call(job, &call);
    if (tl_job_kept(job, "kept", &data, &len) == TL_OK) {
        tl_mem_free(data);
    }
    tl_job_keep(job, "more", "x", 1);
    uint64_t id = tl_job_id(job);
    tl_fuzz_check(tl_job_finish_take(job, TL_OK, &call, &reply), "it was put aside");
    tl_call_done(&call);
    tl_fuzz_check(ask_job(engine, "job.show", id) == TL_OK, "what ran is not there");
}

/* A new one has a number that no other has; 0: it is refused. */
static uint64_t start_one(tl_engine *engine)
{
    static const tl_method method = {.name = "train.run"};
    const tl_job_start start = {.method = &method, .subject = "", .token = "", .request = NULL};
    tl_jobs *jobs = tl_engine_jobs(engine);
    tl_call call = {.engine = engine, .role = TL_ROLE_ADMIN, .deadline_ns = INT64_MAX};
    tl_job_view *views = NULL;
    size_t n = 0;
    uint64_t id = 0;
    if (tl_jobs_start(jobs, &call, &start, &id) != TL_OK) {
        return 0;
    }
    int n_found = 0;
    tl_fuzz_check(tl_jobs_list(jobs, MAX_LISTED, &views, &n) == TL_OK, "there is no list");
    for (size_t i = 0; i < n; i++) {
        n_found += views[i].id == id;
    }
    tl_mem_free(views);
    tl_fuzz_check(id != 0 && n_found == 1, "a number twice");
    return id;
}

static tl_engine *open_engine(const char *dir)
{
    tl_engine_options options = {.data_dir = dir};
    tl_engine *engine = NULL;
    tl_fuzz_check(tl_engine_open(&options, &engine) == TL_OK, "an engine");
    ask_list(engine);
    for (int i = 0; i < MAX_JOBS; i++) {
        (void)ask_job(engine, "job.show", id_of(i));
    }
    run_next(engine);
    return engine;
}

static void close_engine(tl_engine *engine)
{
    tl_jobs_sweep(tl_engine_jobs(engine), INT64_MAX);
    ask_list(engine);
    tl_engine_close(engine);
}

/* What is started stands when the next engine opens. */
static void use(const char *dir)
{
    tl_engine *engine = open_engine(dir);
    uint64_t started = start_one(engine);
    for (int i = 1; i < MAX_JOBS; i += MAX_JOBS - 2) {
        (void)ask_job(engine, "job.cancel", id_of(i));
    }
    close_engine(engine);
    engine = open_engine(dir);
    if (started != 0) {
        tl_fuzz_check(ask_job(engine, "job.show", started) == TL_OK, "it was not kept");
    }
    close_engine(engine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *dir;
    if (dir == NULL) {
        dir = tl_test_new_dir();
        tl_log_set_level(TL_LOG_ERROR);
    }
    size_t before = tl_fuzz_blocks();
    fill_store(dir, data, size);
    use(dir);
    tl_fuzz_check_blocks(before);
    return 0;
}
