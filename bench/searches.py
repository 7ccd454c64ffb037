#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Searches held against each other on unseen devices: one table per space.

Runs bench_searches once for each pool, by default with five seeds; each seed draws its own 20
measurements of every device, trains the neural optimizer anew and starts every search. Times
are processor time of a run of one seed more in which nothing is looked up; --times measures these alone
anew. Rows of pools that are not asked for stay as they are in the results.

    bench/searches.py [--pools ND,NQ,MN,F1] [--seeds 5] [--effort 1] [--models DIR] [--times]
"""
import argparse
import math
import os
import tempfile

import harness

# The task of each pool by its number among those of the predictor, and methods that take too long there.
POOLS = {
    "ND": ("cifar100", 1, ()),
    "NQ": ("cifar10-qat150", 0, ()),
    "MN": ("imagenet", 0, ()),
    "F1": ("10 log10(MACs) + 10 log10(parameters), a stated stand-in for accuracy", 0, ()),
}
METHODS = ("random", "64 by chance", "generations", "regularized", "REINFORCE", "Galen 800",
           "neural")
HEADER = ["pool", "task", "method", "seeds", "problems", "evaluations", "ms", "solved", "gap",
          "gap_sd", "is_best", "n_known", "missed", "n_judged", "regret", "regret_sd", "command",
          "commit"]


def run(pool, models, *settings):
    task, number, without = POOLS[pool]
    only = "|".join(m for m in METHODS if m not in without)
    return harness.records_of(harness.run_bench(
        "searches", harness.SPACES_DIR, harness.DATA_DIR, pool,
        os.path.join(models, pool + ".tlm"), f"task={number}", f"only={only}", *settings))


def spread(values):
    known = [v for v in values if not math.isnan(v)]
    return (harness.mean(known), harness.sd(known)) if known else (math.nan, math.nan)


def summary(pool, method, rows, ms):
    """One row over the seeds of a method."""
    known = sum(int(r["n_known"]) for r in rows)
    judged = sum(int(r["n_judged"]) for r in rows)
    missed = sum(float(r["missed"]) * int(r["n_known"]) for r in rows if int(r["n_known"]) > 0)
    gap, gap_sd = spread([float(r["gap"]) for r in rows])
    regret, regret_sd = spread([float(r["regret"]) for r in rows])
    return [pool, POOLS[pool][0], method, len(rows), sum(int(r["problems"]) for r in rows),
            harness.mean([float(r["evaluations"]) for r in rows]), ms,
            harness.mean([float(r["solved"]) for r in rows]), gap, gap_sd,
            harness.mean([float(r["is_best"]) for r in rows]), known,
            missed / known if known else math.nan, judged, regret, regret_sd, harness.command(),
            harness.COMMIT]


def times(pool, options):
    timed = run(pool, options.models, "seeds=1", f"first_seed={options.seeds + 1}", "computed=1",
                f"effort={options.effort}")
    return {r["method"]: float(r["ms"]) for r in timed}


def timed_again(pool, options):
    """The rows of the results with new times, and both commits: the others', and that of the times."""
    ms, rows = times(pool, options), []
    for r in kept([pool]):
        row = dict(zip(HEADER, r))
        row["ms"] = ms.get(row["method"], math.nan)
        row["commit"] = f"{row['commit'].split(', ms ')[0]}, ms {harness.COMMIT}"
        rows.append([row[key] for key in HEADER])
    return rows


def one_pool(pool, options):
    rows = run(pool, options.models, f"seeds={options.seeds}", f"effort={options.effort}")
    ms = times(pool, options)
    methods = list(dict.fromkeys(r["method"] for r in rows))
    return [summary(pool, m, [r for r in rows if r["method"] == m], ms.get(m, math.nan))
            for m in methods]


def kept(pools):
    """Rows that stand in the results for these pools."""
    path = os.path.join(harness.RESULTS_DIR, "searches.tsv")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        lines = [l.rstrip("\n").split("\t") for l in file if not l.startswith("#")]
    return [l for l in lines[1:] if l[0] in pools]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pools", default=",".join(POOLS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--effort", type=int, default=1, help="of the neural optimizer: 2 is long")
    parser.add_argument("--times", action="store_true", help="measure the times alone anew")
    parser.add_argument("--models", help="a folder to keep the predictors in")
    options = parser.parse_args()
    options.models = options.models or tempfile.mkdtemp(prefix="tailor-searches-")
    pools = options.pools.split(",")
    for pool in pools:
        rows = timed_again(pool, options) if options.times else one_pool(pool, options)
        rows += kept([p for p in POOLS if p != pool])
        rows.sort(key=lambda r: list(POOLS).index(r[0]))
        harness.keep_result("searches", [
            "predictors: the pool's known devices, 512 measurements each, and up to 3,000 designs with accuracies; "
            "bench/optimizer_trial.c has the pools",
            "problems: each unseen device from 20 random measurements, limits at the 20/40/60/80th "
            "percentile of its latency, confidence .9; each seed draws its own measurements and trains its own optimizer",
            "gap: points below the optimum of the same predictors (MN, F1: the best design that any method "
            "of the run found); +-: sd over seeds",
            "missed: of answers whose latency is known; regret: of those that hold the limit, below the best "
            "measured accuracy within the measured limit",
            "ms: processor time of one seed more, nothing looked up",
            "each pool may be a run of its own: command and commit stand in its rows",
        ], HEADER, rows)
        for r in rows:
            if r[0] == pool:
                print("\t".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in r), flush=True)


if __name__ == "__main__":
    main()
