#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Intervals of accuracy case by case, and which ensemble they come from: what bench_accuracy prints, kept.

    bench/accuracy_tables.py [--only coverage|ensembles] [--seeds N] [--cases CASE,...]
"""
import argparse
import os
import subprocess
import sys

import harness

SPACES = os.path.join(harness.SOURCE_DIR, "spaces")

# Cases and seeds of the intervals of what is shipped.
COVERAGE = [(case, 5) for case in (
    "nasbench201-200", "nasbench201-1000", "nasbench201-5000", "nasbench201-all")] + [("int8-1000", 3)] + [
    (case, 5) for case in ("int8-folds", "qat50-all", "qat150-all", "analog-all", "mnasnet-200", "mnasnet-1000",
                           "mnasnet-all", "mobilenet-zoo-all")]
# Ensembles, the repulsion that bench_accuracy takes (none: a deep one), cases.
SMALL = ["nasbench201-200", "nasbench201-1000", "mnasnet-200"]
ENSEMBLES = [("deep", None, SMALL + ["nasbench201-5000"]), ("repulsive .01", .01, SMALL + ["nasbench201-5000"]),
             ("repulsive .1", .1, SMALL), ("16 heads, no repulsion", 1e-12, SMALL)]


def run(case, seeds, repulsion=None):
    path = os.path.join(harness.BUILD_DIR, "bench", "bench_accuracy")
    more = [] if repulsion is None else [repr(repulsion)]
    done = subprocess.run([path, harness.DATA_DIR, SPACES, str(seeds), case, *more],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench_accuracy {case}: exit {done.returncode}\n{done.stderr}")
    lines = [line.split("\t") for line in done.stdout.splitlines() if not line.startswith("#")]
    print(f"{case}, {seeds} seeds{'' if repulsion is None else f', repulsion {repulsion}'}: {len(lines) - 1} tasks", flush=True)
    return lines[0], lines[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=["coverage", "ensembles"])
    parser.add_argument("--seeds", type=int, help="in place of the usual 5 or 3")
    parser.add_argument("--cases", help="these alone, with commas")
    options = parser.parse_args()
    kept = set(options.cases.split(",")) if options.cases else None
    one_thread = "one thread; times are wall clock"
    if options.only != "ensembles":
        header, rows = None, []
        for case, seeds in COVERAGE:
            if kept is None or case in kept:
                header, more = run(case, options.seeds or seeds)
                rows += more
        harness.keep_result("accuracy_coverage", [
            "the seeds of the third column: split, sample and model (int8-folds: the five folds of one split); a fifth of the canonical forms "
            "held out; a model a table (what is shipped learns both qat tables at once); nll (normal scores) and coverage of cells with a path; "
            "intervals by tl_accuracy_intervals, std90: mean +- 1.645 std", one_thread], header, rows)
    if options.only != "coverage":
        header, rows = None, []
        for ensemble, repulsion, cases in ENSEMBLES:
            for case in cases:
                if kept is None or case in kept:
                    header, more = run(case, options.seeds or (1 if case == "nasbench201-5000" else 3), repulsion)
                    rows += [[ensemble] + row for row in more]
        harness.keep_result("uncertainty", [
            "the seeds of the fourth column; deep: 8 networks below 3,000 designs, 5 above; repulsive: one trunk, 16 heads, 64 random designs a step; "
            "nll in normal scores", one_thread], ["ensemble"] + header, rows)


if __name__ == "__main__":
    main()
