#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Intervals of accuracy case by case, which ensemble they come from, and deployment conditions that share a network or
not: what bench_accuracy and bench_conditions print, kept.

    bench/accuracy_tables.py [--only coverage|ensembles|conditions] [--seeds N] [--cases CASE,...]
"""
import argparse

import harness

ONE_THREAD = "one thread; times are wall clock"

# Cases and seeds of the intervals of what is shipped.
COVERAGE = [(case, 5) for case in (
    "nasbench201-200", "nasbench201-1000", "nasbench201-5000", "nasbench201-all")] + [("int8-1000", 3)] + [
    (case, 5) for case in ("int8-folds", "qat50-all", "qat150-all", "analog-all", "mnasnet-200", "mnasnet-1000",
                           "mnasnet-all", "mobilenet-zoo-all")]
# Ensembles, the repulsion that bench_accuracy takes (none: a deep one), cases.
SMALL = ["nasbench201-200", "nasbench201-1000", "mnasnet-200"]
ENSEMBLES = [("deep", None, SMALL + ["nasbench201-5000"]), ("repulsive .01", .01, SMALL + ["nasbench201-5000"]),
             ("repulsive .1", .1, SMALL), ("16 heads, no repulsion", 1e-12, SMALL)]


def print_of(name, *arguments):
    return harness.lines_of(harness.run_bench(
        name, harness.DATA_DIR, harness.SPACES_DIR, *arguments))


def run(case, seeds, repulsion=None):
    header, rows = print_of("accuracy", seeds, case, *([] if repulsion is None else [repr(repulsion)]))
    print(f"{case}, {seeds} seeds{'' if repulsion is None else f', repulsion {repulsion}'}: {len(rows)} tasks", flush=True)
    return header, rows


def coverage(n_seeds, kept):
    header, rows = None, []
    for case, seeds in COVERAGE:
        if kept is None or case in kept:
            header, more = run(case, n_seeds or seeds)
            rows += more
    harness.keep_result("accuracy_coverage", [
        "the seeds of the third column: split, sample and model (int8-folds: the five folds of one split); a fifth of the canonical forms "
        "held out; a model a table (what is shipped learns both qat tables at once); nll (normal scores) and coverage of cells with a path; "
        "intervals by tl_accuracy_intervals, std90: mean +- 1.645 std", ONE_THREAD], header, rows)


def functions(n_seeds, kept):
    header, rows = None, []
    for case in ("nasbench201-200", "nasbench201-1000", "int8-1000", "mnasnet-1000"):
        if kept is None or case in kept:
            header, more = run(case, n_seeds or 3)
            rows += more
    harness.keep_result("accuracy_functions", [
        "3 seeds: split, sample and model; a fifth of the canonical forms held out; once: each form counted once; normal, own: log loss of minima, "
        "see bench/bench_accuracy.c", ONE_THREAD], header, rows)


def ensembles(n_seeds, kept):
    header, rows = None, []
    for ensemble, repulsion, cases in ENSEMBLES:
        for case in cases:
            if kept is None or case in kept:
                header, more = run(case, n_seeds or (2 if case == "nasbench201-5000" else 3), repulsion)
                rows += [[ensemble] + row for row in more]
    harness.keep_result("uncertainty", [
        "the seeds of the fourth column; deep: 8 networks below 3,000 designs, 5 above; repulsive: one trunk, 16 heads, 64 random designs a step; "
        "nll in normal scores", ONE_THREAD], ["ensemble"] + header, rows)


def conditions(n_seeds, kept):
    seeds = n_seeds or 3
    header, rows = print_of("conditions", 1, seeds, "joined,shipped")
    harness.keep_result("conditions", [
        f"{seeds} seeds; a fifth of the cells held out in all tables alike, bits of weights not looked at; Spearman on cells with a path; "
        "bench/bench_conditions.c says what each column is; - not run", ONE_THREAD], header, rows)
    tried = "separate,joined,taught,drowned,noisy,per_column"
    header, rows = print_of("conditions", 1, 1, tried, "dev")
    harness.keep_result("conditions_dev", [
        "seed 1, development split: another fifth of the cells held out, the first not looked at; otherwise as conditions.tsv",
        "- not run; 0: not among the variant's tasks", ONE_THREAD], header, rows)


PARTS = {"coverage": coverage, "functions": functions, "ensembles": ensembles, "conditions": conditions}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=list(PARTS))
    parser.add_argument("--seeds", type=int, help="in place of the usual ones")
    parser.add_argument("--cases", help="these alone, with commas")
    options = parser.parse_args()
    kept = set(options.cases.split(",")) if options.cases else None
    for name, part in PARTS.items():
        if options.only in (None, name):
            part(options.seeds, kept)


if __name__ == "__main__":
    main()
