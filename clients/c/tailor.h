/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TAILOR_H
#define TAILOR_H

/*
 * libtailor: ask a tailord from C.
 *
 *     tailor_client *client = NULL;
 *     tailor_table *spaces = NULL;
 *     if (tailor_open(NULL, &client) == TAILOR_OK &&
 *         tailor_space_list(client, &spaces) == TAILOR_OK) {
 *         for (size_t row = 0; row < tailor_table_n_rows(spaces); row++) {
 *             puts(tailor_table_text(spaces, 0, row));
 *         }
 *     } else {
 *         fprintf(stderr, "%s\n", tailor_err_detail());
 *     }
 *     tailor_table_free(spaces);
 *     tailor_close(client);
 *
 * Every call returns a tailor_err and writes its result through an out_
 * parameter, which it leaves untouched on failure. tailor_err_detail() then
 * holds one line for a person.
 *
 * Threads. One client may be used by many threads at once. Each call has a connection of its own,
 * at most TAILOR_MAX_CALLS of them; further calls wait for one within their timeout, and four more
 * are kept for calls that progress functions make. A connection that no call needed for a minute
 * is closed when another call ends; without calls nothing happens. Error details and warnings
 * belong to the thread that made the call. tailor_close() and the setters (timeout, progress) are
 * for moments when no other thread is in a call.
 *
 * Faults. A call gives its result, or an error within its timeout, whatever happens to the daemon:
 *   - no daemon is there: it is tried again until the timeout, then TAILOR_EUNREACHABLE;
 *   - the daemon is busy, or about to end: the call is repeated until the timeout, then
 *     TAILOR_EBUSY, or TAILOR_ESTATE;
 *   - the connection is lost, since the daemon restarts maybe: the call is repeated within its
 *     timeout, until the third loss, then TAILOR_EUNREACHABLE;
 *   - the connection stands, but the daemon hangs: TAILOR_EUNREACHABLE. It hangs when for three
 *     heartbeats (tailor_options.heartbeat_ms) neither one nor any other byte moved, so a slow
 *     line is none; a daemon that has sent no heartbeat over the connection yet is waited for;
 *   - the connection is gone without a word, as when a cable is cut: the same, and after two
 *     minutes also where no heartbeats come;
 *   - nothing of that, but it takes too long: TAILOR_EDEADLINE from the daemon, else
 *     TAILOR_EUNREACHABLE.
 * What comes but is no answer of the protocol is TAILOR_EDAMAGED.
 * Between tries it waits for a random time, up to 8 ms at first, then twice as long each time, up
 * to a second; the daemon is told what is left of the timeout. A call that is not bounded by the
 * timeout is tried for as long while it is not being served.
 *
 * Every call may be repeated by the program too when its answer was lost. The library does so
 * for all but tailor_train(), which takes hours maybe, the commit that ends tailor_measure_import()
 * (importing the table again is safe), and a tailor_call() after its first part was delivered.
 * Removing what is gone after a lost answer is a success.
 *
 * fork(): a child must not use the clients of its parent (calls fail with TAILOR_ESTATE), and
 * opens its own. tailor_close() in a child leaves the parent's connections alone.
 *
 * Link with -ltailor (pkg-config tailor). No other header is needed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TAILOR_DEFAULT_ENDPOINT "tcp://127.0.0.1:7411"

enum {
    TAILOR_DEFAULT_TIMEOUT_MS = 10000,
    TAILOR_MAX_MESSAGE_BYTES = 64 * 1024 * 1024,
    TAILOR_MAX_FEED_BYTES = 1024 * 1024,
    TAILOR_MAX_CALLS = 32 /* of a client at once */
};

/* ---- errors ---------------------------------------------------------------- */

/* The numbers are those on the wire and never change. */
typedef enum tailor_err {
    TAILOR_OK = 0,
    TAILOR_ENOMEM = 1,
    TAILOR_EINVAL = 2,    /* the request is not well formed */
    TAILOR_ENOTFOUND = 3, /* no such space, device, task, model or method */
    TAILOR_ESHAPE = 4,
    TAILOR_ENUMERIC = 5,
    TAILOR_EDEADLINE = 6, /* the daemon gave up at the deadline */
    TAILOR_EDENIED = 7,
    TAILOR_EIO = 8,
    TAILOR_EEXISTS = 9,
    TAILOR_EDAMAGED = 10, /* something stored, or what the daemon replied */
    TAILOR_EVERSION = 11,
    TAILOR_EBUSY = 12,
    TAILOR_ECANCELLED = 13,
    TAILOR_EUNREACHABLE = 14, /* no daemon answers, or not in time; the detail says which */
    TAILOR_ELIMIT = 15,
    TAILOR_ESTATE = 16
} tailor_err;

/* "ENOTFOUND". Never NULL. */
const char *tailor_err_name(tailor_err err);

/* What went wrong in the last failed call of this thread, one line; never NULL. */
const char *tailor_err_detail(void);

/* ---- the client ------------------------------------------------------------- */

typedef struct tailor_client tailor_client;

typedef struct tailor_options {
    const char *endpoint; /* NULL: $TAILOR_ENDPOINT, else TAILOR_DEFAULT_ENDPOINT */
    int timeout_ms;       /* 0: TAILOR_DEFAULT_TIMEOUT_MS */
    const char *name;     /* of the program, for the daemon's log; NULL: "libtailor" */

    /*
     * The keys for a daemon that asks for some (tailord --keys): a file that tailor key new
     * made, which nobody else may read, or the keys themselves, 40 characters of Z85 each.
     * All NULL: the file $TAILOR_KEY, else none. An endpoint ipc://PATH asks for no keys and
     * is given none.
     */
    const char *key_file;
    const char *server_key; /* the daemon's public key, and the client's own pair */
    const char *public_key, *secret_key;

    int retries;      /* of a call at most; 0: as many as its time allows; negative: none */
    int heartbeat_ms; /* how often the daemon is to show that it lives; 0: 1000; negative: never */
} tailor_options;

/*
 * Prepares a client; options NULL: the defaults. Does not wait for the daemon:
 * the first call does. Fails with TAILOR_EINVAL for an endpoint or keys that are none,
 * TAILOR_ENOTFOUND without the file of keys and TAILOR_EDENIED when others may read it. Where the
 * daemon refuses the keys, or asks for some, calls fail with TAILOR_EDENIED.
 */
tailor_err tailor_open(const tailor_options *options, tailor_client **out_client);
void tailor_close(tailor_client *client); /* NULL is fine */

const char *tailor_endpoint(const tailor_client *client);

/*
 * The most a call waits for its answer, which is also the deadline that the
 * daemon is given. Import, train, evaluate, fleet and the start of a job are not bounded by it,
 * but fail with TAILOR_EUNREACHABLE when no connection stands within this time.
 */
void tailor_set_timeout_ms(tailor_client *client, int timeout_ms);

/*
 * Calls of the client end within a moment with TAILOR_ECANCELLED, those under way and those that
 * come, until it is called with false. What the daemon does for them ends too, but for jobs. For
 * any thread, and for signal handlers.
 */
void tailor_stop_calls(tailor_client *client, bool is_stopped);

typedef struct tailor_progress {
    const char *what; /* "source devices" */
    uint64_t done;
    uint64_t total; /* 0: unknown */
    double elapsed_s;
    uint64_t job_id; /* for tailor_job_cancel(); 0: no job */
} tailor_progress;

/* Called in the calling thread, within a call. May make other calls, to cancel the job maybe. */
typedef void tailor_progress_fn(void *context, const tailor_progress *progress);

void tailor_on_progress(tailor_client *client, tailor_progress_fn *progress, void *context);

/*
 * Warnings that came with the last call of this thread, if it succeeded and was made with this
 * client; borrowed until the thread's next call.
 */
size_t tailor_n_warnings(const tailor_client *client);
const char *tailor_warning(const tailor_client *client, size_t i);

/* How many calls the client has repeated since it was opened, since the daemon was busy or the
 * connection was lost. */
uint64_t tailor_n_retries(const tailor_client *client);

enum {
    TAILOR_KEY_BYTES = 41 /* with the NUL */
};

/* A new pair of keys, for a client or a daemon. */
tailor_err tailor_key_pair(
    char out_public_key[TAILOR_KEY_BYTES], char out_secret_key[TAILOR_KEY_BYTES]);

/* Releases a text that a call returned; NULL is fine. */
void tailor_text_free(char *text);

/* ---- tables ------------------------------------------------------------------- */

/* What most calls answer. A column is text or numbers; a missing number is NaN. */
typedef struct tailor_table tailor_table;

void tailor_table_free(tailor_table *table); /* NULL is fine */

size_t tailor_table_n_rows(const tailor_table *table);
size_t tailor_table_n_columns(const tailor_table *table);
const char *tailor_table_name(const tailor_table *table, size_t column);
bool tailor_table_is_number(const tailor_table *table, size_t column);

/* Index of the column of that name; tailor_table_n_columns() when there is none. */
size_t tailor_table_find(const tailor_table *table, const char *name);

/* Text of a cell; "" in a column of numbers. Borrowed from the table. */
const char *tailor_table_text(const tailor_table *table, size_t column, size_t row);

/* Number of a cell; NaN where it is missing and in a column of text. */
double tailor_table_number(const tailor_table *table, size_t column, size_t row);

enum {
    TAILOR_CELL_BYTES = 40 /* enough for any number */
};

/*
 * The cell as it is printed: text as it stands, a number with the digits that
 * its column asks for (or as many as read back exactly), "" for a missing one.
 * The result is borrowed from the table or stands in buffer.
 */
const char *tailor_table_cell(
    const tailor_table *table, size_t column, size_t row, char buffer[TAILOR_CELL_BYTES]);

/* ---- spaces --------------------------------------------------------------------- */

/* Columns: space, kind, slots, designs, origin. */
tailor_err tailor_space_list(tailor_client *client, tailor_table **out_table);

/* The YAML it is defined by; the caller owns it (tailor_text_free). */
tailor_err tailor_space_show(tailor_client *client, const char *name, char **out_yaml);

/* origin: the file's name, for errors. *out_name: the space's name; out_name may be NULL. */
tailor_err tailor_space_add(
    tailor_client *client, const char *origin, const char *yaml, size_t len, char **out_name);

/* Refused with TAILOR_ESTATE where the space is built in, or has measurements. */
tailor_err tailor_space_remove(tailor_client *client, const char *name);

/* Removes its measurements too. */
tailor_err tailor_space_remove_with_measurements(tailor_client *client, const char *name);

/* One primitive operator; the fields are those of docs/protocol.md, message Op. */
typedef struct tailor_op {
    const char *kind; /* "conv", "pool_avg", "pool_max", "pool_global", "add", ... */
    int in_ch, out_ch;
    int in_size, out_size;
    int kernel, stride, pad, groups;
    int w_bits, a_bits;
    const char *act;     /* applied to the output: "none", "relu", ... */
    const char *pre_act; /* applied to the input */
    bool has_bias, has_norm;
    bool is_reached, is_needed;
    size_t n_inputs;
    const int32_t *inputs; /* indices of earlier operators; -1 is the image */
} tailor_op;

typedef struct tailor_network {
    int in_ch, in_size;
    size_t n_ops;
    const tailor_op *ops; /* in an order in which they can be executed */
} tailor_network;

typedef struct tailor_lowered {
    tailor_table *designs;          /* the slots, as they were given */
    size_t n_networks;              /* one a row of designs */
    const tailor_network *networks; /* every index in them has been checked */
} tailor_lowered;

/* The networks of the designs in a CSV text; origin names it in errors. */
tailor_err tailor_space_lower(
    tailor_client *client,
    const char *space,
    const char *origin,
    const char *csv,
    size_t len,
    tailor_lowered **out_lowered);
void tailor_lowered_free(tailor_lowered *lowered); /* NULL is fine */

/* ---- devices ----------------------------------------------------------------------- */

/*
 * All of them, by name. Columns start with: device, class, condition. A million
 * devices take some 150 MB here: whoever may have so many asks for pages.
 */
tailor_err tailor_device_list(tailor_client *client, tailor_table **out_table);

/* Which devices a page shows; zero and NULL ask for nothing in particular. */
typedef struct tailor_device_page_options {
    const char *prefix; /* names that start with it */
    const char *after;  /* names behind it: the last one of the page before */
    uint32_t limit;     /* rows, at most 65,536; a page with fewer is the last. 0: all */
} tailor_device_page_options;

tailor_err tailor_device_page(
    tailor_client *client, const tailor_device_page_options *options, tailor_table **out_table);

tailor_err tailor_device_show(tailor_client *client, const char *name, char **out_yaml);

/* Registers a profile, or replaces that of the same name (its measurements stay). */
tailor_err tailor_device_add(
    tailor_client *client, const char *origin, const char *yaml, size_t len, char **out_name);

/* Registers a device that nothing is known of. */
tailor_err tailor_device_add_bare(tailor_client *client, const char *name);

tailor_err tailor_device_remove(tailor_client *client, const char *name);

/* ---- measurements --------------------------------------------------------------------- */

typedef struct tailor_import_report {
    uint64_t n_rows, n_designs, n_values, n_replaced, n_duplicate_rows;
    size_t n_new_devices;
    const char *const *new_devices;
    size_t n_columns;
    const char *const *columns; /* the metric columns that were stored */
} tailor_import_report;

/*
 * Fills buffer with at most capacity bytes of the table and sets *out_len, 0 at
 * the end. A failure (any non-zero value) ends the import with TAILOR_EIO; nothing is stored.
 */
typedef int tailor_read_fn(void *context, char *buffer, size_t capacity, size_t *out_len);

/*
 * Stores a measurement table, all or nothing; durable once this returned
 * TAILOR_OK. Reports progress in bytes read. Not bounded by the timeout.
 */
tailor_err tailor_measure_import(
    tailor_client *client,
    const char *space,
    const char *origin,
    tailor_read_fn *read,
    void *context,
    tailor_import_report **out_report);
void tailor_import_report_free(tailor_import_report *report); /* NULL is fine */

typedef struct tailor_suggest_options {
    const char *space;
    const char *device;
    uint32_t count;
    const uint64_t *seed;       /* NULL: always the same choice */
    const char *origin;         /* the candidates' file name, for errors */
    const char *candidates_csv; /* choose among these designs; NULL: among all */
    size_t candidates_len;
} tailor_suggest_options;

/* seed NULL: the daemon chooses. Columns: the slots, then an empty latency_ms@DEVICE. */
tailor_err tailor_measure_suggest(
    tailor_client *client, const tailor_suggest_options *options, tailor_table **out_table);

/* device NULL: all columns. */
tailor_err tailor_measure_export(
    tailor_client *client, const char *space, const char *device, tailor_table **out_table);

/* ---- training --------------------------------------------------------------------------- */

typedef struct tailor_train_options {
    const char *space;
    bool has_devices; /* false: the shipped sources and all that is stored */
    size_t n_devices;
    const char *const *devices;
    bool has_tasks; /* false: all tasks */
    size_t n_tasks;
    const char *const *tasks;
    const uint64_t *seed; /* NULL: the daemon's own */
    const char *effort;   /* of the optimizer: "none", "quick" (NULL) or "long" */
} tailor_train_options;

typedef struct tailor_train_report {
    const char *model;
    tailor_table *table; /* part, subject, figure, value, designs */
    size_t n_notes;
    const char *const *notes;
} tailor_train_report;

/* Returns when the new model is stored. Not bounded by the timeout. */
tailor_err tailor_train(
    tailor_client *client,
    const tailor_train_options *options,
    tailor_train_report **out_report);
void tailor_train_report_free(tailor_train_report *report); /* NULL is fine */

/* ---- evaluation ------------------------------------------------------------------------- */

typedef struct tailor_evaluate_options {
    const char *space;
    const char *metric; /* "energy_mj" or "accuracy"; NULL: latency_ms */
    size_t n_subjects;  /* devices (of accuracies tasks) graded; 0: up to eight that can be */
    const char *const *subjects;
    size_t n_methods; /* of inference; 0: all */
    const char *const *methods;
    const uint64_t *seed; /* NULL: the daemon's own */
    uint32_t samples;     /* measurements of each; 0: 20, of accuracies 200 */
} tailor_evaluate_options;

typedef struct tailor_evaluation {
    tailor_table
        *figures;         /* metric, subject, method, set, designs, what docs/evaluate.md has */
    tailor_table *curves; /* curve, subject, method, set, x, y */
    size_t n_notes;
    const char *const *notes;
} tailor_evaluation;

/* Grades the predictors of a space on its stored measurements. Not bounded by the timeout. */
tailor_err tailor_evaluate(
    tailor_client *client,
    const tailor_evaluate_options *options,
    tailor_evaluation **out_evaluation);
void tailor_evaluation_free(tailor_evaluation *evaluation); /* NULL is fine */

/* ---- predictions and designs --------------------------------------------------------------- */

/* What a Pareto front covers; bounds at 90%. */
typedef struct tailor_front {
    const char *cost;                                      /* "latency_ms" or "energy_mj" */
    double hypervolume, hypervolume_low, hypervolume_high; /* cost units times points */
    double corner_cost, corner_accuracy;                   /* that it is measured from */
} tailor_front;

typedef struct tailor_answer {
    tailor_table *table;
    bool is_infeasible; /* of a design: no design keeps the limits, the nearest is given */
    const char *model;  /* that answered, or "none" */
    const char *task;   /* the accuracy column that was used, or "" */
    const char *method;
    uint64_t n_evaluations;
    const tailor_front *front; /* of a Pareto front with accuracy; else NULL */
    /* Of a design that is explained, else NULL: what its operators cost, dearest first
     * (slot, operator, latency_ms, latency_share, energy_mj, macs_m, weights_k), and what
     * the second choice in each slot would change (slot, choice, second, latency_ms,
     * energy_mj, accuracy, p_feasible). */
    tailor_table *operators, *slots;
} tailor_answer;

void tailor_answer_free(tailor_answer *answer); /* NULL is fine */

typedef struct tailor_predict_options {
    const char *space;
    const char *device;
    const char *task;   /* NULL: the space's first */
    const char *origin; /* names the designs in errors */
    const char *designs_csv;
    size_t designs_len;
} tailor_predict_options;

tailor_err tailor_predict(
    tailor_client *client, const tailor_predict_options *options, tailor_answer **out_answer);

typedef struct tailor_design_options {
    const char *space;
    const char *device;
    const char *task;             /* NULL: the space's first */
    const double *max_latency_ms; /* NULL: no limit; so the next two */
    const double *max_energy_mj;
    const double *min_accuracy;
    const double *confidence; /* NULL: the daemon's own, 0.9 */
    const char *maximize;     /* "accuracy" or NULL */
    const char *minimize;     /* "latency_ms", "energy_mj" or NULL */
    uint32_t count;           /* 0: 1 */
    int with_infeasible;      /* count designs in all, those that miss a limit last */
    const char *method;       /* NULL: the best for the space */
    int explain;              /* fill operators and slots, for the first design */
    const uint64_t *seed;
    /*
     * What a millisecond and a millijoule are worth in points of accuracy: the design with the
     * most accuracy less those costs is wanted, within the limits if there are any. NULL: 0.
     */
    const double *weight_latency;
    const double *weight_energy;
    uint64_t budget_us; /* to search at most, then the best so far; 0: no such bound */
    /*
     * So many designs most worth measuring before the question is answered for good: the table
     * has the slots and an empty column of each cost to measure, as measure.import
     * takes it. Neither count nor method go with it. 0: answer.
     */
    uint32_t propose;
} tailor_design_options;

tailor_err tailor_design(
    tailor_client *client, const tailor_design_options *options, tailor_answer **out_answer);

typedef struct tailor_pareto_options {
    const char *space;
    const char *device;
    const char *task;             /* NULL: the space's first */
    const double *max_latency_ms; /* NULL: no limit; so the next two */
    const double *max_energy_mj;
    const double *min_accuracy;
    const double *confidence; /* NULL: the daemon's own, 0.9 */
    const char *minimize;     /* "energy_mj"; "latency_ms" or NULL */
    uint32_t points;          /* at most; 0: 20 */
    uint64_t budget_us;       /* of a search, where the space cannot be listed; 0: none */
    const uint64_t *seed;
} tailor_pareto_options;

/*
 * The predicted Pareto front, cheapest first; the answer has its front. Without an accuracy model:
 * the cheapest design alone, with a warning and no front.
 */
tailor_err tailor_pareto(
    tailor_client *client, const tailor_pareto_options *options, tailor_answer **out_answer);

/* ---- fleets ------------------------------------------------------------------------------------ */

/*
 * A piece of a table of devices: a header, then at most 4,096 rows. A row names a registered
 * device (column device) or describes one (profile keys, nested ones dotted), and may
 * have limits of its own (max_latency_ms, max_energy_mj, min_accuracy, confidence).
 * Several pieces may be under way at once, a thread each.
 */
typedef struct tailor_fleet_options {
    const char *space;
    const char *task; /* NULL: the space's first */
    const double
        *max_latency_ms; /* of rows without their own; NULL: no limit; so the next two */
    const double *max_energy_mj;
    const double *min_accuracy;
    const double *confidence;     /* NULL: the daemon's own, 0.9 */
    const double *weight_latency; /* as in tailor_design_options; so what follows */
    const double *weight_energy;
    const char *maximize;
    const char *minimize;
    const char *method;
    const uint64_t *seed;
    const char *origin;  /* the table's file name, for errors */
    uint64_t first_line; /* of the piece's first row in that file; 0: 2 */
    const char *csv;
    size_t csv_len;
    /*
     * The run that the piece is part of, chosen by the caller (tailor_new_token): all pieces of a run
     * are one job, which tailor_job_cancel() ends: its pieces fail with TAILOR_ECANCELLED. NULL:
     * of no job.
     */
    const char *run;
    uint64_t rows_before; /* of the run, before the first one of csv */
    uint64_t rows_total;  /* of the run; 0: not known */
} tailor_fleet_options;

typedef struct tailor_fleet_part {
    tailor_table
        *table; /* device, slots, predictions, p_feasible, error; in the order of rows */
    uint64_t n_infeasible, n_failed; /* rows with the nearest design, rows without one */
} tailor_fleet_part;

/*
 * One design for each row; what is wrong with a row stands in its error. Not bounded in time. Without
 * an accuracy model, and where nothing else is asked for, latency_ms is minimized, with a warning.
 */
tailor_err tailor_fleet(
    tailor_client *client, const tailor_fleet_options *options, tailor_fleet_part **out_part);
void tailor_fleet_part_free(tailor_fleet_part *part); /* NULL is fine */

/* Says that no more pieces of the run come: all are answered, or it is given up. */
tailor_err tailor_fleet_end(
    tailor_client *client, const tailor_fleet_options *options, bool is_given_up);

typedef struct tailor_proxy_options {
    const char *space;
    const char *device;
    const char *task;   /* of the designs; NULL: the space's first */
    const char *metric; /* whose ranks: "latency_ms" (NULL) or "energy_mj" */
    uint32_t points;    /* designs by way of the best proxy; 0: agreements */
    const uint64_t *seed;
} tailor_proxy_options;

/*
 * Without points a row for each known device, best first: device, spearman, spearman_low,
 * spearman_high (90% lie between), reusable (1: from .9 on), measurements of the device. With
 * points the designs of the best one's front, its cost in the unit of the device's
 * measurements, or adapted to them where it is not reusable, as the answer's method says.
 */
tailor_err tailor_proxy(
    tailor_client *client, const tailor_proxy_options *options, tailor_answer **out_answer);

/* ---- what the daemon holds and does ------------------------------------------------------------ */

tailor_err tailor_model_list(tailor_client *client, tailor_table **out_table);
tailor_err tailor_model_show(tailor_client *client, const char *space, char **out_text);
/* Columns: name, value (both text). */
tailor_err tailor_status(tailor_client *client, tailor_table **out_table);

/* ---- jobs: what the daemon does on its own account ------------------------------------------- */

/*
 * A training or an evaluation as a job: it is queued durably, nobody needs to wait for it, and it
 * goes on after a restart of the daemon, with the result that it would have had.
 *
 *     uint64_t job_id = 0;
 *     tailor_job *job = NULL;
 *     tailor_train_report *report = NULL;
 *     if (tailor_train_start(client, &options, &job_id) == TAILOR_OK &&
 *         tailor_job_follow(client, &(tailor_follow_options){.job_id = job_id}, &job) == TAILOR_OK &&
 *         tailor_job_train_report(job, &report) == TAILOR_OK) { ... }
 *     tailor_train_report_free(report);
 *     tailor_job_free(job);
 *
 * A start whose answer was lost is repeated without harm: the daemon knows it again.
 */
tailor_err tailor_train_start(
    tailor_client *client, const tailor_train_options *options, uint64_t *out_job_id);
tailor_err tailor_evaluate_start(
    tailor_client *client, const tailor_evaluate_options *options, uint64_t *out_job_id);

/* A job as it is, or was when it ended. */
typedef struct tailor_job {
    uint64_t job_id;
    const char *method;  /* "train.run" */
    const char *subject; /* the space that it works on */
    const char *state;   /* "waiting", "running", "cancelling", "done", "failed", "cancelled" */
    bool is_ended;
    const char *what; /* the last step */
    uint64_t done;
    uint64_t total; /* 0: unknown */
    double elapsed_s;
    int64_t queued_unix_s, started_unix_s, ended_unix_s; /* 0: not yet */
    uint32_t n_starts;        /* more than 1: a restart of the daemon interrupted it */
    uint32_t n_before;        /* of one that waits: those that go first */
    const char *client, *key; /* who asked for it */
    /* Of one that has ended. */
    tailor_err error;
    const char *error_detail;
    size_t n_warnings;
    const char *const *warnings;
    bool has_reply; /* the last hundred jobs have theirs */
} tailor_job;

/* Fails with TAILOR_ENOTFOUND; the last thousand jobs that ended are known. */
tailor_err tailor_job_show(tailor_client *client, uint64_t job_id, tailor_job **out_job);
void tailor_job_free(tailor_job *job); /* NULL is fine */

enum {
    TAILOR_FOLLOW_PATIENCE_MS = 5 * 60 * 1000
};

typedef struct tailor_follow_options {
    uint64_t job_id;
    int patience_ms; /* for a daemon that went away; 0: TAILOR_FOLLOW_PATIENCE_MS */
    /* Asked several times a second, whatever is waited for; false: the wait ends with
     * TAILOR_ECANCELLED, the job goes on. NULL: it is waited for in any case. */
    bool (*goes_on)(void *context);
    void *context;
} tailor_follow_options;

/*
 * Waits until the job has ended, however it did; that it failed is told by the job alone. Reports
 * progress as the calls do (tailor_on_progress). A daemon that goes away meanwhile is waited for,
 * with progress "waiting for the daemon"; TAILOR_EUNREACHABLE when it stays away. Any number of
 * clients may follow a job, and again after its end.
 */
tailor_err tailor_job_follow(
    tailor_client *client, const tailor_follow_options *options, tailor_job **out_job);

/*
 * What tailor_train() and tailor_evaluate() would have given, or their error. Fails with
 * TAILOR_ESTATE when the job has not ended, is another's, or its reply is no longer kept.
 */
tailor_err tailor_job_train_report(const tailor_job *job, tailor_train_report **out_report);
tailor_err tailor_job_evaluation(const tailor_job *job, tailor_evaluation **out_evaluation);

/* Those that wait and run, and the newest n_ended that ended (0: 50), oldest first. */
tailor_err tailor_job_history(
    tailor_client *client, uint32_t n_ended, tailor_table **out_table);
tailor_err tailor_job_list(tailor_client *client, tailor_table **out_table);

/* Asks a job to end, or takes it out of the queue. TAILOR_ESTATE when it has ended otherwise. */
tailor_err tailor_job_cancel(tailor_client *client, uint64_t job_id);

/* Any method that docs/protocol.md marks as a job, and its packed reply when it has ended. */
tailor_err tailor_job_start(
    tailor_client *client,
    const char *method,
    const uint8_t *body,
    size_t len,
    uint64_t *out_job_id);
tailor_err tailor_job_reply(const tailor_job *job, const uint8_t **out_reply, size_t *out_len);

enum {
    TAILOR_TOKEN_BYTES = 33 /* with the NUL */
};

/* A random text, for tailor_fleet_options.run. */
tailor_err tailor_new_token(char out_token[TAILOR_TOKEN_BYTES]);

/* Takes the next piece of a backup; anything but 0 ends it. */
typedef int tailor_write_fn(void *context, const uint8_t *data, size_t len);

/*
 * Everything that the daemon has stored, as of now, piece by piece into write(): the content of
 * a file for `tailor restore`, which checks it by the SHA-256 inside. The daemon waits for a
 * slow writer, but not longer than a minute a piece. Asks for the role admin. Damaged values
 * are left out and named in warnings. Methods backup.begin, then backup.read with the offset
 * reached so far until is_last. out_bytes may be NULL. TAILOR_EIO when write() ends it.
 */
tailor_err tailor_backup(
    tailor_client *client, tailor_write_fn *write, void *context, uint64_t *out_bytes);

/* ---- any method ---------------------------------------------------------------------------------- */

/*
 * Calls a method with packed messages, for programs that hold the protocol's
 * .proto themselves. timeout_ms 0: the client's; negative: unbounded. The parts
 * of a reply in parts are given to part(), when it is not NULL, before the
 * final one. The caller owns *out_reply (tailor_text_free). After a lost connection it is
 * repeated, but for the methods named above, unless parts were given already.
 */
typedef tailor_err tailor_part_fn(void *context, const uint8_t *part, size_t len);

typedef struct tailor_request {
    const char *method;
    const uint8_t *body;
    size_t len;
    int timeout_ms;
    tailor_part_fn *part;
    void *context;
} tailor_request;

tailor_err tailor_call(
    tailor_client *client, const tailor_request *request, char **out_reply, size_t *out_len);

#ifdef __cplusplus
}
#endif

#endif
