#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What was tried in the few-shot head beside what is kept: bench_pools with other settings, in the
same designs, samples and seeds. Variants are settings by name (predictors/head_settings.h).

    bench/head_alternatives.py [--tables interval_widths,clocks,edge_hypotheses] [--jobs 1]
"""
import argparse
import concurrent.futures

import curves
import harness

FIGURES = ("spearman", "median_error", "p90_error", "c50", "c80", "c95")
LEVELS = {"c50": .5, "c80": .8, "c95": .95}
SEVEN = "ND FD F1 F2 F3 F4 FA".split()

# The first variant of each table is the kept one.
WIDTHS = {
    "residuals' shape, Student's t worth 20 samples (kept)": "",
    "Student's t, width from residuals": "level_weight=1e9",
    "Student's t, the model's own width up to 64 samples": "level_weight=1e9 width_weight=1e9",
    "residuals' shape, worth 40 samples": "level_weight=40",
    "residuals' shape alone": "level_weight=0",
}
CLOCKS = {
    "tick^2 / 12 more noise (kept)": "",
    "values as they are": "rounding=0",
    "and the mean within the tick, given the others": "rounding=2",
    "Student's t noise of 2 degrees of freedom": "noise_dof=2",
    "of 1, 8 rounds of reweighting": "noise_dof=1 n_rounds=8",
}
EDGES = {
    "every edge .5, sources .3 (kept)": "",
    "every edge .35": "prior0=.35 prior1=.1625 prior2=.1625 prior3=.1625 prior4=.1625",
    "all five equal": "prior0=.2 prior1=.2 prior2=.2 prior3=.2 prior4=.2",
    "sources .1": "source_centre=.1",
    "sources 1": "source_centre=1",
    "all five equal, sources 1": "prior0=.2 prior1=.2 prior2=.2 prior3=.2 prior4=.2 source_centre=1",
}


def run_all(variants, pools, samples, seeds, jobs):
    """{(variant, pool): rows}"""
    cases = [(v, p) for v in variants for p in pools]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        tables = pool.map(lambda c: curves.run(c[1], samples, seeds, variants[c[0]]), cases)
        return {c: [dict(zip(header, row)) for row in rows]
                for c, (header, rows) in zip(cases, tables)}


def distance(rows):
    return harness.mean([abs(float(r[c]) - p) for r in rows for c, p in LEVELS.items()])


def interval_widths(jobs):
    results = run_all(WIDTHS, SEVEN, "20,200", 2, jobs)
    rows = []
    for variant, settings in WIDTHS.items():
        for n in ("20", "200"):
            for how in ("random", "chosen"):
                means = [r for p in SEVEN for r in results[variant, p]
                         if (r["device"], r["samples"], r["choice"]) == ("mean", n, how)]
                off = sum(abs(float(r[c]) - p) > .03 for r in means for c, p in LEVELS.items())
                rows.append([variant, settings or "-", n, how] +
                            [harness.mean([float(r[c]) for r in means]) for c in LEVELS] +
                            [distance(means), f"{off} of {3 * len(means)}"])
    harness.keep_result(
        "interval_widths", ["2 seeds; means over the pools " + " ".join(SEVEN) + "; distance: mean over pools of "
                            "how far a coverage is from 50, 80 and 95%; off: figures more than three points from it; "
                            "the weight was chosen on known devices left out in turn (sources=1)"],
        ["width", "settings", "samples", "choice", "c50", "c80", "c95", "distance", "off"], rows)


def kept_devices(results, variants, wanted, samples):
    rows = []
    for variant, settings in variants.items():
        for (name, pool), result in results.items():
            rows += [[variant, settings or "-", pool, r["device"], r["choice"], r["samples"]] +
                     [float(r[c]) for c in FIGURES] for r in result
                     if name == variant and r["device"] in wanted and r["samples"] in samples]
    return rows


HEADER = ["variant", "settings", "pool", "device", "choice", "samples", *FIGURES]


def clocks(jobs):
    results = run_all(CLOCKS, ["F1", "F4", "FA"], "20", 5, jobs)
    phones = ("mean", "pixel2", "samsung_s7", "samsung_a50", "essential_ph_1")
    harness.keep_result(
        "clocks", ["5 seeds; phones are timed in whole milliseconds"], HEADER,
        kept_devices(results, CLOCKS, phones, ("20",)))


def edge_hypotheses(jobs):
    results = run_all(EDGES, ["ND", "NE"], "5,20", 3, jobs)
    harness.keep_result(
        "edge_hypotheses", ["3 seeds; NE is Jetson TX2 with ND's sources"], HEADER,
        kept_devices(results, EDGES, ("mean",), ("5", "20")))


TABLES = {"interval_widths": interval_widths, "clocks": clocks, "edge_hypotheses": edge_hypotheses}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--jobs", type=int, default=1, help="how many pools at a time")
    options = parser.parse_args()
    for name in options.tables.split(","):
        TABLES[name](options.jobs)


if __name__ == "__main__":
    main()
