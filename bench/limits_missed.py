#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Limits missed and accuracy regret of designs chosen for a device with 20 measurements.

On pool ND's six test devices, through the public commands, on daemons that start without models.
Latency: `train --devices` with ND's nine sources (512 random measurements each) and, as what selection
prefers while confidence is calibrated on left-out sources, `--tasks` with the accuracies of 2,000
random designs; 20 measured designs of the test device, random or named by `measure suggest`. Accuracy: five folds of canonical cells;
each design's accuracy is predicted by a daemon that was trained on the other four folds only.
The answer at a confidence c is the design of the highest predicted accuracy among those that
`design` gives p_feasible >= c; the regret counts answers that hold their limit, against the best
measured accuracy within the measured limit. Limits: the 20/40/60/80th percentile of the device.

    bench/limits_missed.py [--seeds 4] [--samples 20]
"""
import argparse
import math
import os
import random

import harness
from latency_pools import POOLS, choose, import_sources

TASKS = ("cifar10", "cifar100", "imagenet16-120")
CONFIDENCES = (.5, .8, .9, .95)


def cross_fitted_accuracies(table):
    """Per task, a prediction for each design by the fold that did not see it."""
    fold = harness.canonical_folds(table.designs, 5, 0)
    out = {t: [math.nan] * len(fold) for t in TASKS}
    columns = ["accuracy@" + t for t in TASKS]
    for k in range(5):
        with harness.Daemon() as daemon:
            path = daemon.write("train.csv", table.slots + columns, [
                list(d) + [repr(table.columns[c][i]) for c in columns]
                for i, d in enumerate(table.designs) if fold[i] != k])
            daemon.run("measure", "import", "--space", "nasbench201", path)
            daemon.run("device", "add", "--name", "any")
            daemon.run("train", "--space", "nasbench201", "--tasks", ",".join(TASKS))
            rows = [i for i in range(len(fold)) if fold[i] == k]
            asked = daemon.write("fold.csv", table.slots, [table.designs[i] for i in rows])
            for task in TASKS:
                answers = daemon.table("predict", "--space", "nasbench201", "--device", "any",
                                       "--task", task, "--designs", asked)
                for i, answer in zip(rows, answers):
                    out[task][i] = float(answer["accuracy"])
        print(f"accuracy fold {k + 1} of 5 done", flush=True)
    return out


def read_accuracies(path, table):
    """The cross-fitted accuracies, from the file if it is there (one column a task)."""
    if path is None or not os.path.exists(path):
        predicted = cross_fitted_accuracies(table)
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                for values in zip(*(predicted[t] for t in TASKS)):
                    file.write(",".join(map(repr, values)) + "\n")
        return predicted
    with open(path, encoding="utf-8") as file:
        rows = [[float(v) for v in line.split(",")] for line in file]
    return {t: [r[k] for r in rows] for k, t in enumerate(TASKS)}


def import_accuracies(daemon, table, rng):
    columns = ["accuracy@" + t for t in TASKS]
    path = daemon.write("accuracies.csv", table.slots + columns, [
        list(table.designs[i]) + [repr(table.columns[c][i]) for c in columns]
        for i in rng.sample(range(len(table.designs)), 2000)])
    daemon.run("measure", "import", "--space", "nasbench201", path)


def outcomes(table, device, limit, p_feasible, predicted):
    """(confidence, task, missed, regret or NaN) of the answers to one limit."""
    latency = table.columns["latency_ms@" + device]
    for confidence in CONFIDENCES:
        allowed = [i for i, p in enumerate(p_feasible) if p >= confidence]
        for task in TASKS:
            true = table.columns["accuracy@" + task]
            best = max(true[i] for i in range(len(true)) if latency[i] <= limit)
            if not allowed:
                yield confidence, task, None, math.nan
                continue
            pick = max(allowed, key=predicted[task].__getitem__)
            missed = latency[pick] > limit
            yield confidence, task, missed, math.nan if missed else best - true[pick]


def one_device(daemon, table, device, how, n, predicted, place, rng):
    name = f"{device}-{how}"
    daemon.run("device", "add", "--name", name)
    values = table.columns["latency_ms@" + device]
    chosen = choose(daemon, table, "nasbench201", device, how, n, rng)
    path = daemon.write("samples.csv", table.slots + ["latency_ms@" + name],
                        [list(table.designs[i]) + [repr(values[i])] for i in chosen])
    daemon.run("measure", "import", "--space", "nasbench201", path)
    for q in (.2, .4, .6, .8):
        limit = harness.quantile(values, q)
        answers = daemon.table("design", "--space", "nasbench201", "--device", name, "--minimize",
                               "latency_ms", "--max-latency-ms", repr(limit), "--count",
                               len(table.designs), "--with-infeasible")
        p_feasible = [0.] * len(table.designs)
        for answer in answers:
            p_feasible[place[tuple(answer[s] for s in table.slots)]] = float(answer["p_feasible"])
        yield from outcomes(table, device, limit, p_feasible, predicted)


def summary(cases):
    known = [c for c in cases if c[2] is not None]
    regrets = [c[3] for c in known if not math.isnan(c[3])]
    share = harness.mean([c[2] for c in known])
    return (len(cases), share, math.sqrt(share * (1 - share) / len(known)),
            harness.mean(regrets) if regrets else math.nan, len(cases) - len(known))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--accuracies", help="a file to keep the cross-fitted accuracies in")
    options = parser.parse_args()
    table = harness.Table("nasbench201.csv")
    place = {d: i for i, d in enumerate(table.designs)}
    predicted = read_accuracies(options.accuracies, table)
    sources, tests = POOLS["ND"][1:]
    cases = []
    for seed in range(options.seeds):
        rng = random.Random(f"limits-{seed}")
        with harness.Daemon() as daemon:
            import_sources(daemon, table, "nasbench201", sources.split(","), rng)
            import_accuracies(daemon, table, rng)
            daemon.run("train", "--space", "nasbench201", "--devices", sources, "--tasks",
                       ",".join(TASKS))
            for device in tests.split(","):
                for how in ("random", "chosen"):
                    cases += [(how, device, *o) for o in one_device(
                        daemon, table, device, how, options.samples, predicted, place, rng)]
        print(f"seed {seed + 1} of {options.seeds} done", flush=True)
    rows = []
    for how in ("random", "chosen"):
        for confidence in CONFIDENCES:
            for device in ["all"] + tests.split(","):
                for task in ("all",) + (TASKS if device == "all" else ()):
                    some = [c[2:] for c in cases if c[0] == how and c[2] == confidence and
                            device in ("all", c[1]) and task in ("all", c[3])]
                    rows.append([how, confidence, device, task, *summary(some)])
                    if device == "all":
                        print(f"{how} {confidence} {task}: missed {rows[-1][5]:.3f} +- "
                              f"{rows[-1][6]:.3f}, regret {rows[-1][7]:.2f}, "
                              f"unanswered {rows[-1][8]}", flush=True)
    harness.keep_result(
        "limits_missed" if options.samples == 20 else f"limits_missed_{options.samples}",
        [f"{options.samples} samples, {options.seeds} seeds, limits at 20/40/60/80%; "
         "calibrated with the accuracies of 2,000 designs"],
        ["samples", "confidence", "device", "task", "cases", "missed", "se", "regret_points",
         "unanswered"], rows)


if __name__ == "__main__":
    main()
