/* SPDX-License-Identifier: Apache-2.0 */
#include "grading/evaluate.h"

#include "base/mem.h"
#include "grading/kept.h"
#include "grading/unseen.h"
#include "numerics/rng.h"

#include <string.h>

/* A share of the samples is multiplied by a factor within these. */
static const double corrupted_frac = .2;
static const double least_factor = 3;
static const double most_factor = 10;

/* From the exact posterior, beyond which a likelier answer is no better inference. */
static const double misled_nats = .2;

/* ---- a device's own samples --------------------------------------------------------------- */

/* One device's samples as they are used, and the contest that they make. */
typedef struct device_run {
    const tl_evaluate_options *options;
    tl_trial trial;
    tl_infer_head head;
    tl_infer_accuracy accuracy;
    tl_contest contest;
    double *samples;  /* [n] values, perhaps damaged */
    double *targets;  /* [n] */
    double *measured; /* [m] relative latencies */
} device_run;

static int n_samples_of(const tl_evaluate_options *options)
{
    int usual =
        options->metric == TL_METRIC_ACCURACY ? TL_EVALUATE_TASK_SAMPLES : TL_EVALUATE_SAMPLES;
    return options->n_samples > 0 ? options->n_samples : usual;
}

static void run_done(device_run *run)
{
    tl_contest_done(&run->contest);
    tl_trial_done(&run->trial);
    tl_mem_free(run->samples);
}

static void fill_run(const tl_pool *pool, const char *device, device_run *run)
{
    const tl_trial *trial = &run->trial;
    run->head = (tl_infer_head){
        .features = pool->features,
        .samples =
            {.n_sources = trial->n_sources,
                      .spread = trial->spread,
                      .x = tl_dro(trial->samples.head),
                      .z = trial->samples.z,
                      .y = run->samples},
        .query = tl_dro(trial->queries.head),
        .query_z = trial->queries.z,
        .query_offset = trial->queries.offset
    };
    run->accuracy = (tl_infer_accuracy){
        .space = pool->space,
        .samples = trial->samples.designs,
        .labels = run->samples,
        .query = trial->queries.designs,
        .query_offset = trial->queries.offset};
    bool is_accuracy = run->options->metric == TL_METRIC_ACCURACY;
    run->contest = (tl_contest){
        .subject = device,
        .problem =
            {.x = tl_dro(trial->samples.scaled),
                      .y = run->targets,
                      .query = tl_dro(trial->queries.scaled),
                      .unlabelled = tl_dro(trial->unlabelled.scaled),
                      .head = is_accuracy ? NULL : &run->head,
                      .accuracy = is_accuracy ? &run->accuracy : NULL,
                      .seed = run->options->seed},
        .offset = trial->queries.offset,
        .measured = run->measured,
        .gain = trial->queries.gain,
        .n_inside = trial->n_near,
        .inside_set = TL_SET_NEAR,
        .outside_set = TL_SET_FAR,
        .takes = run->options->takes,
        .goes_on = run->options->goes_on,
        .context = run->options->context
    };
}

static tl_err run_init(
    const tl_pool *pool, const tl_evaluate_options *options, int device, device_run *run)
{
    size_t n = (size_t)n_samples_of(options);
    *run = (device_run){.options = options};
    TL_TRY(tl_trial_init(pool, device, (int)n, options->seed + (uint64_t)device, &run->trial));
    run->samples = tl_mem_new(2 * n + (size_t)run->trial.queries.n, sizeof *run->samples);
    tl_err err = run->samples == NULL ? tl_fail(TL_ENOMEM, "%zu samples", n) : TL_OK;
    if (err == TL_OK) {
        run->targets = run->samples + n;
        run->measured = run->targets + n;
        memcpy(run->samples, run->trial.samples.value, n * sizeof *run->samples);
        fill_run(pool, pool->columns[device]->subject, run);
        err = tl_contest_init(&run->contest);
    }
    if (err != TL_OK) {
        run_done(run);
    }
    return err;
}

/* The problem that the samples, as they now are, pose. */
static tl_err pose(device_run *run)
{
    const tl_trial *trial = &run->trial;
    double level = 0;
    TL_TRY(tl_trial_level(trial, run->samples, &level));
    for (int i = 0; i < trial->samples.n; i++) {
        run->targets[i] = run->samples[i] / level - trial->samples.offset[i];
    }
    for (int i = 0; i < trial->queries.n; i++) {
        run->measured[i] = trial->queries.value[i] / level;
    }
    run->head.level = level;
    run->accuracy.level = level;
    return tl_infer_scales(&run->contest.problem);
}

/* The same samples; the queries are near ones and foreign ones. */
static tl_err grade_foreign(
    const tl_pool *pool, int device, device_run *run, tl_evaluation *out)
{
    tl_trial_rows rows = {0};
    const tl_evaluate_options *options = run->options;
    TL_TRY(
        tl_trial_foreign(pool, device, &run->trial, options->others, options->n_others, &rows));
    tl_infer_head head = run->head;
    head.query = tl_dro(rows.head);
    head.query_z = rows.z;
    head.query_offset = rows.offset;
    tl_contest contest = run->contest;
    contest.problem.query = tl_dro(rows.scaled);
    contest.problem.head = contest.problem.head != NULL ? &head : NULL;
    contest.problem.accuracy = NULL; /* it reads designs, and these are none of its space */
    contest.offset = rows.offset;
    contest.measured = rows.value;
    contest.gain = rows.gain;
    contest.n_inside = run->trial.n_near;
    contest.inside_set = TL_CONTEST_NO_SET;
    contest.outside_set = TL_SET_FOREIGN;
    contest.memory = NULL;
    tl_err err = tl_contest_init(&contest);
    if (err == TL_OK) {
        err = tl_contest_run(&contest, out->grades, &out->n_grades);
    }
    tl_contest_done(&contest);
    tl_trial_rows_done(&rows);
    return err;
}

static void corrupt(device_run *run)
{
    tl_rng rng;
    tl_rng_init(&rng, run->options->seed);
    for (int i = 0; i < run->trial.samples.n; i++) {
        bool is_hit = tl_rng_uniform(&rng) < corrupted_frac;
        double factor = least_factor + (most_factor - least_factor) * tl_rng_uniform(&rng);
        /* a slow run multiplies a latency; a training that went wrong divides an accuracy */
        factor = run->options->metric == TL_METRIC_ACCURACY ? 1 / factor : factor;
        run->samples[i] *= is_hit ? factor : 1;
    }
    run->contest.inside_set = TL_SET_CORRUPTED;
    run->contest.outside_set = TL_CONTEST_NO_SET;
}

static tl_err grade_own_samples(
    const tl_pool *pool, const tl_evaluate_options *options, int device, tl_evaluation *out)
{
    device_run run;
    TL_TRY(run_init(pool, options, device, &run));
    tl_err err = pose(&run);
    if (err == TL_OK &&
        (err = tl_contest_run(&run.contest, out->grades, &out->n_grades)) == TL_OK &&
        (options->n_others == 0 || (err = grade_foreign(pool, device, &run, out)) == TL_OK)) {
        corrupt(&run);
        if ((err = pose(&run)) == TL_OK) {
            err = tl_contest_run(&run.contest, out->grades, &out->n_grades);
        }
    }
    run_done(&run);
    return err;
}

/* ---- a device that nothing was fitted to ------------------------------------------------------ */

static tl_err grade_unseen(
    const tl_pool *pool, const tl_evaluate_options *options, int device, tl_evaluation *out)
{
    tl_unseen unseen;
    TL_TRY(tl_unseen_init(pool, device, n_samples_of(options), options->seed, &unseen));
    tl_contest contest = {
        .subject = pool->columns[device]->subject,
        .problem =
            {.x = tl_dro(unseen.x),
                      .y = unseen.y,
                      .query = tl_dro(unseen.query),
                      .unlabelled = tl_dro(unseen.unlabelled),
                      .seed = options->seed},
        .offset = unseen.offset,
        .measured = unseen.measured,
        .gain = unseen.gain,
        .n_inside = unseen.n_inside,
        .inside_set = TL_CONTEST_NO_SET,
        .outside_set = TL_SET_UNSEEN,
        .takes = options->takes,
        .goes_on = options->goes_on,
        .context = options->context
    };
    tl_err err = tl_contest_init(&contest);
    if (err == TL_OK && (err = tl_infer_scales(&contest.problem)) == TL_OK) {
        err = tl_contest_run(&contest, out->grades, &out->n_grades);
    }
    tl_contest_done(&contest);
    tl_unseen_done(&unseen);
    return err;
}

static tl_err grade_device(
    const tl_pool *pool, const tl_evaluate_options *options, int device, tl_evaluation *out)
{
    int n_before = out->n_grades;
    tl_err err = grade_own_samples(pool, options, device, out);
    if (err == TL_OK && pool->n_devices > TL_UNSEEN_MIN_KNOWN) {
        err = grade_unseen(pool, options, device, out);
    }
    if (err != TL_OK) {
        out->n_grades = n_before;
        return tl_fail_in(err, "%s: ", pool->columns[device]->subject);
    }
    return TL_OK;
}

/* ---- means ------------------------------------------------------------------------------------- */

static void add_to_mean(const tl_grade *grade, int n_devices, tl_grade *mean)
{
    mean->n_designs += grade->n_designs;
    for (int k = 0; k < TL_N_FIGURES; k++) {
        mean->figures[k] += grade->figures[k] / n_devices;
    }
    for (int k = 0; k < TL_CURVE_POINTS; k++) {
        mean->calibration[k] += grade->calibration[k] / n_devices;
        mean->rejection[k] += grade->rejection[k] / n_devices;
    }
}

/* Every device has the same methods and sets in the same order. */
static void add_means(int n_devices, tl_evaluation *out)
{
    int per_device = out->n_grades / n_devices;
    for (int i = 0; i < per_device; i++) {
        tl_grade *mean = &out->grades[out->n_grades + i];
        *mean = (tl_grade){
            .subject = "mean", .method = out->grades[i].method, .set = out->grades[i].set};
        for (int d = 0; d < n_devices; d++) {
            add_to_mean(&out->grades[d * per_device + i], n_devices, mean);
        }
    }
    out->n_grades += per_device;
}

/* ---- where likelihood misleads --------------------------------------------------------------- */

/* The exact posterior's grade of the same subject and set; NULL: it was not graded. */
static const tl_grade *exact_of(const tl_evaluation *evaluation, const tl_grade *grade)
{
    for (int i = 0; i < evaluation->n_grades; i++) {
        const tl_grade *other = &evaluation->grades[i];
        if (strcmp(other->method, tl_infer_methods[0].name) == 0 && other->set == grade->set &&
            strcmp(other->subject, grade->subject) == 0) {
            return other;
        }
    }
    return NULL;
}

/* Another model than the exact posterior's: to be far from it is no fault. */
static bool is_shipped(const char *method)
{
    return strcmp(method, "head") == 0 || strcmp(method, "accuracy") == 0;
}

/* Names methods that are likelier than the exact posterior of their own model, and far from it. */
static void note_misled(const tl_evaluation *evaluation, tl_text *notes)
{
    for (int i = 0; i < evaluation->n_grades; i++) {
        const tl_grade *grade = &evaluation->grades[i];
        const tl_grade *exact = exact_of(evaluation, grade);
        if (exact == NULL || exact == grade || is_shipped(grade->method)) {
            continue;
        }
        const double *f = grade->figures;
        if (f[TL_FIGURE_NLL] < exact->figures[TL_FIGURE_NLL] &&
            f[TL_FIGURE_DISTANCE_EXACT] > misled_nats) {
            tl_text_addf(
                notes,
                "likelihood misleads: %s, %s, %s: nll %.2f beside %.2f of the exact posterior, yet %.2f "
                "nats from it\n",
                grade->subject, tl_grade_set_name(grade->set), grade->method, f[TL_FIGURE_NLL],
                exact->figures[TL_FIGURE_NLL], f[TL_FIGURE_DISTANCE_EXACT]);
        }
    }
}

/* ---- all of it ----------------------------------------------------------------------------------- */

/* Grades device i of the pool; one that cannot be is a note. */
static tl_err grade_or_note(
    const tl_pool *pool,
    int i,
    const tl_evaluate_options *options,
    tl_text *notes,
    tl_evaluation *out)
{
    tl_err err = grade_device(pool, options, i, out);
    if (err == TL_ESTATE) {
        tl_text_addf(notes, "%s\n", tl_err_detail());
        err = TL_OK;
    }
    return err;
}

/* A pool of all columns; of accuracies, which have nothing in common, one of each alone. */
static tl_err grade_column(
    const tl_pool *pool,
    int i,
    const tl_evaluate_options *options,
    tl_text *notes,
    tl_evaluation *out)
{
    tl_pool alone = {0};
    if (options->metric != TL_METRIC_ACCURACY) {
        return grade_or_note(pool, i, options, notes, out);
    }
    TL_TRY(tl_pool_init(
        options->space, &options->columns[i], 1, options->accuracy, options->seed, &alone));
    tl_err err = grade_or_note(&alone, 0, options, notes, out);
    tl_pool_done(&alone);
    return err;
}

/* From an earlier run, else now. */
static tl_err recall_or_grade(
    const tl_pool *pool,
    int i,
    const tl_evaluate_options *options,
    tl_text *notes,
    tl_evaluation *out)
{
    int n_before = out->n_grades;
    size_t notes_before = notes->len;
    if (tl_kept_recall(options, i, notes, out)) {
        return TL_OK;
    }
    TL_TRY(grade_column(pool, i, options, notes, out));
    tl_kept_remember(options, i, n_before, notes_before, notes, out);
    return TL_OK;
}

static int count_graded(const tl_evaluate_options *options)
{
    int n = 0;
    for (int i = 0; i < options->n_columns; i++) {
        n += options->is_graded[i] ? 1 : 0;
    }
    return n;
}

static tl_err grade_all(
    const tl_pool *pool, const tl_evaluate_options *options, tl_text *notes, tl_evaluation *out)
{
    int n_graded = 0;
    int n_seen = 0;
    int n_wanted = count_graded(options);
    for (int i = 0; i < options->n_columns; i++) {
        int n_before = out->n_grades;
        const char *subject = options->columns[i]->subject;
        if (!options->is_graded[i]) {
            continue;
        }
        if (options->progress != NULL &&
            !options->progress(options->context, subject, n_seen++, n_wanted)) {
            return tl_fail(TL_ECANCELLED, "grading stopped at %s", subject);
        }
        TL_TRY(recall_or_grade(pool, i, options, notes, out));
        n_graded += out->n_grades > n_before;
    }
    if (n_graded == 0) {
        return tl_fail(
            TL_ESTATE, "nothing could be graded: want a column with %d measured designs",
            (int)TL_POOL_MIN_ROWS);
    }
    note_misled(out, notes);
    add_means(n_graded, out);
    return TL_OK;
}

tl_err tl_evaluate(
    const tl_evaluate_options *options, tl_text *notes, tl_evaluation *out_evaluation)
{
    tl_pool pool = {0};
    tl_evaluation evaluation = {0};
    size_t most = ((size_t)options->n_columns + 1) * (size_t)tl_infer_n_methods * TL_N_SETS;
    int n_pooled = options->metric == TL_METRIC_ACCURACY ? 0 : options->n_columns;
    TL_TRY(tl_pool_init(
        options->space, options->columns, n_pooled, options->accuracy, options->seed, &pool));
    evaluation.grades = tl_mem_new(most, sizeof *evaluation.grades);
    tl_err err = evaluation.grades == NULL ? tl_fail(TL_ENOMEM, "%zu grades", most)
                                           : grade_all(&pool, options, notes, &evaluation);
    if (err == TL_OK) {
        *out_evaluation = evaluation;
        evaluation = (tl_evaluation){0};
    }
    tl_evaluation_done(&evaluation);
    tl_pool_done(&pool);
    return err;
}

void tl_evaluation_done(tl_evaluation *evaluation)
{
    tl_mem_free(evaluation->grades);
    *evaluation = (tl_evaluation){0};
}
