/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/plots.h"

#include "base/attr.h"
#include "base/file.h"
#include "base/text.h"
#include "clients/cli/gnuplot.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_METHODS = 32
};

/* What a script needs to know of the tables: where columns stand, from 1, and the methods. */
typedef struct plot_source {
    const tailor_table *figures;
    const char *methods[MAX_METHODS];
    size_t n_methods;
} plot_source;

typedef struct plot {
    const char *name;
    void (*write)(const plot_source *source, tl_text *script);
} plot;

static void find_methods(const tailor_table *figures, plot_source *source)
{
    size_t column = tailor_table_find(figures, "method");
    *source = (plot_source){.figures = figures};
    for (size_t row = 0; row < tailor_table_n_rows(figures); row++) {
        const char *method = tailor_table_text(figures, column, row);
        size_t k = 0;
        while (k < source->n_methods && strcmp(source->methods[k], method) != 0) {
            k++;
        }
        if (k == source->n_methods && k < MAX_METHODS) {
            source->methods[source->n_methods++] = method;
        }
    }
}

static unsigned place(const plot_source *source, const char *name)
{
    return (unsigned)tailor_table_find(source->figures, name) + 1;
}

/* ---- curves ------------------------------------------------------------------------------ */

/* One line a method; the columns are curve, subject, method, set, x, y. */
static void add_curves(const plot_source *source, const char *curve, tl_text *script)
{
    for (size_t k = 0; k < source->n_methods; k++) {
        tl_text_addf(
            script,
            "%s \"curves.csv\" using ((strcol(1) eq \"%s\" && strcol(3) eq \"%s\" && "
            "strcol(4) eq \"near\") ? column(5) : NaN):6 with lines lw 2 title \"%s\"",
            k == 0 ? "" : ", \\\n    ", curve, source->methods[k], source->methods[k]);
    }
}

static void write_calibration(const plot_source *source, tl_text *script)
{
    tl_text_add(
        script, "set title \"Calibration: held-out designs, means\"\n"
                "set xlabel \"predicted quantile\"\nset ylabel \"share observed below it\"\n"
                "set xrange [0:1]\nset yrange [0:1]\nset key left top\n"
                "plot x with lines dt 2 lc rgb \"gray\" title \"calibrated\", \\\n    ");
    add_curves(source, "calibration", script);
    tl_text_add(script, "\n");
}

static void write_rejection(const plot_source *source, tl_text *script)
{
    tl_text_add(
        script, "set title \"Rejection: error of what is kept\"\n"
                "set xlabel \"share rejected, largest uncertainty first\"\n"
                "set ylabel \"RMSE, relative to the level\"\n"
                "set xrange [0:1]\nset yrange [0:*]\nset key left bottom\nplot ");
    add_curves(source, "rejection", script);
    tl_text_add(script, "\n");
}

/* ---- one point a method -------------------------------------------------------------------- */

static void add_points(
    const plot_source *source, const char *set, const char *x, const char *y, tl_text *script)
{
    unsigned at_x = place(source, x);
    unsigned at_y = place(source, y);
    static const char *const filter = "(strcol(2) eq \"mean\" && strcol(4) eq";
    tl_text_addf(
        script,
        "\"figures.csv\" using (%s \"%s\") ? column(%u) : NaN):%u with points pt 7 title \"%s\", \\\n"
        "    \"figures.csv\" using (%s \"%s\") ? column(%u) : NaN):%u:3 "
        "with labels offset 0,0.8 notitle",
        filter, set, at_x, at_y, set, filter, set, at_x, at_y);
}

static void write_coverage(const plot_source *source, tl_text *script)
{
    static const char *const sets[] = {"near", "far", "corrupted", "unseen"};
    tl_text_add(
        script,
        "set title \"80% intervals: coverage against width, means\"\n"
        "set xlabel \"mean width, relative to the level\"\n"
        "set ylabel \"share covered\"\nset logscale x\nset yrange [0:1.05]\n"
        "set key right bottom\nplot .8 with lines dt 2 lc rgb \"gray\" title \"nominal\"");
    for (size_t k = 0; k < TL_COUNT(sets); k++) {
        tl_text_add(script, ", \\\n    ");
        add_points(source, sets[k], "mpiw_80", "picp_80", script);
    }
    tl_text_add(script, "\n");
}

static void write_likelihood(const plot_source *source, tl_text *script)
{
    tl_text_add(
        script, "set title \"Log-likelihood alone misleads: it is not agreement with the exact"
                " posterior\"\n"
                "set xlabel \"negative log-likelihood of held-out designs\"\n"
                "set ylabel \"distance to the exact posterior, nats + 0.001\"\n"
                "set logscale y\nset key off\nplot ");
    unsigned at_x = place(source, "nll");
    unsigned at_y = place(source, "distance_exact");
    static const char *const filter = "(strcol(2) eq \"mean\" && strcol(4) eq \"near\")";
    tl_text_addf(
        script,
        "\"figures.csv\" using (%s ? column(%u) : NaN):(column(%u) + .001) with points pt 7 "
        "title \"near\", \\\n    \"figures.csv\" using (%s ? column(%u) : NaN):(column(%u) + "
        ".001):3 with labels offset 0,0.8 notitle\n",
        filter, at_x, at_y, filter, at_x, at_y);
}

static const plot plots[] = {
    {"calibration", write_calibration},
    {"rejection",   write_rejection  },
    {"coverage",    write_coverage   },
    {"likelihood",  write_likelihood },
};

/* ---- files and gnuplot ----------------------------------------------------------------------- */

static tl_err write_script(const char *folder, const plot *p, const plot_source *source)
{
    tl_text path = {0};
    tl_text script = {0};
    tl_text_addf(&path, "%s/%s.gp", folder, p->name);
    tl_text_addf(
        &script,
        "# gnuplot %s.gp\nset datafile separator \",\"\nset datafile missing \"\"\n"
        "set grid\nset terminal pngcairo size 900,640\nset output \"%s.png\"\n",
        p->name, p->name);
    p->write(source, &script);
    tl_text_addf(
        &script, "set terminal svg size 900,640\nset output \"%s.svg\"\nreplot\n", p->name);
    tl_err err = tl_text_err(&path);
    if (err == TL_OK && (err = tl_text_err(&script)) == TL_OK) {
        err = tl_file_write(path.data, script.data, script.len);
    }
    tl_text_done(&path);
    tl_text_done(&script);
    return err;
}

/* Runs NAME.gp in the folder. */
static tl_err draw(const char *folder, const char *name)
{
    char script[64];
    (void)snprintf(script, sizeof script, "%s.gp", name);
    return tl_gnuplot_run(folder, script);
}

tl_err tl_plots_write(const char *folder, const tailor_evaluation *evaluation)
{
    plot_source source;
    find_methods(evaluation->figures, &source);
    for (size_t k = 0; k < TL_COUNT(plots); k++) {
        TL_TRY(write_script(folder, &plots[k], &source));
    }
    for (size_t k = 0; k < TL_COUNT(plots); k++) {
        TL_TRY(draw(folder, plots[k].name));
    }
    return TL_OK;
}
