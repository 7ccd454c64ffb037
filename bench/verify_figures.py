#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measure and refine: answers after a few samples and batches of measured proposals, on devices never
trained; and HELP's fifteen limits. Runs bench_selection and bench_verify and keeps what they print.

    bench/verify_figures.py [--seeds 4] [--keep DIR]

DIR keeps what the programs printed: what is there is not run again.
"""
import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile

import harness

SPACES = os.path.join(harness.SOURCE_DIR, "spaces")
TASKS = ["cifar10", "cifar100"]
RULE = "doubt 1"
FLOOR = "true latencies"
# Published accuracies of HELP's designs on CIFAR-100, limits in ms; 5 of the 15 missed their limit.
HELP = {
    "titan_rtx_256": {18: 69.7, 21: 71.5, 25: 71.8}, "gold_6226": {8: 67.3, 11: 70.2, 14: 72.1},
    "pixel2": {14: 69.7, 18: 71.8, 22: 73.2}, "eyeriss": {5: 71.5, 7: 71.8, 9: 73.5},
    "fpga": {4: 70.2, 5: 71.8, 6: 73.5}}
PROTOCOL = [
    "nasbench201; nine sources of pool ND, 512 random measurements each; accuracies of five folds of canonical cells, each predicted "
    "by a model of the other four; margins calibrated with the accuracies of 2,000 designs",
    "samples are random or suggested, then proposals (of 400 joint draws) are measured in batches and the head is fitted again; "
    "limits at 20/40/60/80% of the device; regret: points below the best measured accuracy within the limit, of answers that keep it",
    "rule: in how many deviations an unmeasured design must be better to be answered instead of the best measured one that keeps the limit; "
    "usual: any; measured: never; true latencies: the best predicted accuracy within the measured limit, which nobody can know",
    "batch: designs proposed at once; by EI: each by its own expected improvement; test: ND's six devices; other: those that are neither these nor sources",
]


def run(name, path, *arguments):
    """The program's standard output, from path where it is."""
    if not os.path.exists(path):
        program = os.path.join(harness.BUILD_DIR, "bench", "bench_" + name)
        with open(path + ".part", "w", encoding="utf-8") as file:
            done = subprocess.run([program, *map(str, arguments)], stdout=file,
                                  stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"bench_{name}: exit {done.returncode}\n{done.stderr}")
        os.rename(path + ".part", path)
    with open(path, newline="", encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t"))


def verify(folder, devices, seeds, starts=""):
    accuracies = os.path.join(folder, "accuracies.csv")
    if not os.path.exists(accuracies):
        run("selection", os.path.join(folder, "accuracies.log"), "accuracies", SPACES,
            harness.DATA_DIR, accuracies)
    return run("verify", os.path.join(folder, f"{devices}.tsv"), SPACES, harness.DATA_DIR,
               accuracies, devices, seeds, *([starts] if starts else []))


def summary(rows, n_asked):
    missed = [r["missed"] == "1" for r in rows]
    regrets = sorted(float(r["regret"]) for r in rows if r["missed"] == "0")
    measured = [r for r in rows if r["is_measured"] == "1"]
    return [len(rows), sum(missed) / len(rows), statistics.mean(regrets),
            statistics.median(regrets), harness.quantile(regrets, .9),
            len(measured) / len(rows), sum(r["missed"] == "1" for r in measured),
            n_asked - len(rows)]


def figures(name, rows, rules):
    groups = {}
    for r in rows:
        key = (r["start"], r["batch"], int(r["proposed"]), r["rule"], r["task"])
        groups.setdefault(key, []).append(r)
    n_asked = max(map(len, groups.values()))
    out = []
    for key in sorted(groups, key=lambda k: (int(k[0].split()[0]), k)):
        if key[3] in rules:
            out.append([name, *key, *summary(groups[key], n_asked)])
    return out


def help_rows(rows):
    out = []
    for device, limits in HELP.items():
        for limit, published in limits.items():
            mine = [r for r in rows if r["device"] == device and float(r["limit"]) == limit]
            best = next(float(r["accuracy"]) + float(r["regret"]) for r in mine)
            for start, batch, proposed in (("5 chosen", "5", 0), ("5 chosen", "5", 5),
                                           ("5 chosen", "5", 10), ("10 random", "5", 0),
                                           ("10 random", "5", 5)):
                some = [r for r in mine if r["rule"] == RULE and r["start"] == start and
                        r["batch"] == batch and int(r["proposed"]) == proposed]
                kept = [r for r in some if r["missed"] == "0"]
                values = [statistics.mean(float(r[c]) for r in some) if some else float("nan")
                          for c in ("accuracy", "latency")]
                worst = max((float(r["latency"]) for r in some), default=float("nan"))
                out.append([device, limit, start, proposed, len(some), len(kept), *values, worst,
                            published, best])
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--keep", help="folder of what the programs print")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or scratch
        test = verify(folder, "test", options.seeds)
        fifteen = verify(folder, "help", options.seeds, 6)
        other = verify(folder, "other", 1)
    harness.keep_result(
        "verify", PROTOCOL + [f"test: {options.seeds} seeds, other: 1"],
        ["devices", "start", "batch", "proposed", "rule", "task", "answers", "missed", "regret",
         "regret_median", "regret_p90", "measured", "measured_missed", "unanswered"],
        figures("test", test, ["usual", "doubt 1", "doubt 2", "measured", FLOOR]) +
        figures("other", other, ["usual", "doubt 1", "doubt 2", "measured", FLOOR]))
    harness.keep_result(
        "help_fifteen",
        PROTOCOL[:1] + ["HELP's fifteen limits, CIFAR-100; means over the answers of "
                        f"{options.seeds} seeds (seeds that answered, of which kept the limit); published: HELP's "
                        "own, 5 of 15 beyond their limit; best: the highest measured accuracy within the limit"],
        ["device", "limit_ms", "start", "proposed", "answers", "kept", "accuracy", "latency_ms",
         "slowest_ms", "help_accuracy", "best_accuracy"], help_rows(fifteen))
    for row in figures("test", test, [RULE, FLOOR]):
        print(*row[1:], sep="\t")


if __name__ == "__main__":
    main()
