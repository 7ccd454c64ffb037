#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The optimizer on unseen devices, and how it learns.

Runs bench_optimizer with the settings of each row group below and keeps one line a method: mean
and standard deviation over training seeds. Groups that are not asked for stay as they are
in the results. --raw reads what bench_optimizer printed before instead of running it again.

    bench/optimizer.py [--groups ND,MN,...,tuned,alternate] [--models DIR] [--raw GROUP=FILE ...]
"""
import argparse
import math
import os
import tempfile

import harness

# name: list of (label, pool, settings)
GROUPS = {
    "ND": [("quick", "ND", ["seeds=5", "evolution=1"])],
    "MN": [("quick", "MN", ["seeds=3", "evolution=1"])],
    "NQ": [("quick", "NQ", ["seeds=3", "evolution=1"])],
    "F1": [("quick", "F1", ["seeds=2", "draws=1", "evolution=1"])],
    "MN long": [("long", "MN", ["seeds=1", "effort=long", "evolution=1"])],
    "NQ long": [("long", "NQ", ["seeds=1", "effort=long", "evolution=1"])],
    "NQ tried": [(f"quick, {words}", "NQ", ["seeds=2", "evolution=1", *settings]) for words, settings in (
        ("twice the network", ["hidden=256", "state=128"]),
        ("twice the rounds", ["rounds=8"]),
        ("32 draws a round", ["drawn=32"]))],
    "F1 tried": [(f"quick, {words}", "F1", ["seeds=1", "draws=1", "evolution=1", *settings]) for words, settings in (
        ("twice the network", ["hidden=256", "state=64"]),
        ("twice the rounds", ["rounds=8"]),
        ("32 draws a round", ["drawn=32"]))],
    "MN-dev": [
        ("quick", "MN-dev", ["seeds=2", "draws=2", "evolution=1"]),
        ("quick, four local steps a round", "MN-dev", [
            "seeds=2", "draws=2", "evolution=1", "local=4"]),
    ],
    "learning": [
        ("memory from the exact best", "ND-dev", ["seeds=3", "draws=2"]),
        ("memory from chance", "ND-dev", ["seeds=3", "draws=2", "explores=1", "rounds=4",
                                          "round_steps=150", "final_steps=600"]),
        ("reinforce, 600 steps", "ND-dev", ["seeds=3", "draws=2", "learning=1",
                                            "gradient_steps=600"]),
        ("straight through, 600 steps", "ND-dev", ["seeds=3", "draws=2", "learning=2",
                                                   "gradient_steps=600"]),
    ],
    "tuned": [(f"{name}, {words}", "ND-dev", ["seeds=3", "draws=2", f"learning={which}", *settings])
              for name, which, words, settings in (
        ("reinforce", 1, "600 steps, entropy .03", ["gradient_steps=600", "entropy=.03"]),
        ("reinforce", 1, "600 steps, entropy .1", ["gradient_steps=600", "entropy=.1"]),
        ("reinforce", 1, "600 steps, entropy .3", ["gradient_steps=600", "entropy=.3"]),
        ("reinforce", 1, "600 steps, entropy .1, rate .005", [
            "gradient_steps=600", "entropy=.1", "gradient_rate=.005"]),
        ("reinforce", 1, "600 steps, entropy .1, 64 draws", [
            "gradient_steps=600", "entropy=.1", "gradient_drawn=64"]),
        ("reinforce", 1, "2,400 steps, entropy .1", ["gradient_steps=2400", "entropy=.1"]),
        ("straight through", 2, "600 steps, rate .0007", [
            "gradient_steps=600", "gradient_rate=.0007"]),
        ("straight through", 2, "600 steps, rate .005", [
            "gradient_steps=600", "gradient_rate=.005"]),
        ("straight through", 2, "600 steps, 1 draw", ["gradient_steps=600", "gradient_drawn=1"]),
        ("straight through", 2, "600 steps, 16 draws", ["gradient_steps=600", "gradient_drawn=16"]),
        ("straight through", 2, "2,400 steps", ["gradient_steps=2400"]))],
}
ALTERNATE = ["300", "2"]  # accuracies at first, seeds
HEADER = ["group", "training", "pool", "method", "seeds", "problems", "evaluations", "feasible",
          "gap", "gap_sd", "optimum", "us", "command", "commit"]


def run(name, *arguments):
    return harness.run_bench(name, harness.SPACES_DIR, harness.DATA_DIR, *arguments)


def summary(group, label, rows):
    out = []
    for method in dict.fromkeys(r["method"] for r in rows):
        mine = [r for r in rows if r["method"] == method]
        gaps = [float(r["gap"]) for r in mine]
        average = lambda key, of=mine: harness.mean([float(r[key]) for r in of])
        out.append([group, label, mine[0]["pool"], method, len(mine), int(mine[0]["cases"]),
                    average("evaluations"), average("feasible"), harness.mean(gaps),
                    harness.sd(gaps) if len(gaps) > 1 else math.nan, average("optimum"),
                    average("us"), harness.command(), harness.COMMIT])
    return out


def others(groups):
    """Rows that stand in the results for other groups."""
    path = os.path.join(harness.RESULTS_DIR, "optimizer.tsv")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        lines = [l.rstrip("\n").split("\t") for l in file if not l.startswith("#")]
    return [l for l in lines[1:] if l[0] not in groups]


def read_raw(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def keep_alternate(raw, models):
    """Its own designs measured, and all trained again: mean over seeds."""
    text = read_raw(raw["alternate"]) if "alternate" in raw else run(
        "alternate", os.path.join(models, "ND.tlm"), *ALTERNATE)
    lines = harness.records_of(text)
    rows = []
    for way in dict.fromkeys(r["way"] for r in lines):
        mine = [r for r in lines if r["way"] == way]
        rows.append([way, len(mine), int(mine[0]["problems"])] + [
            harness.mean([float(r[key]) for r in mine]) for key in ("added", "missed", "regret")])
    harness.keep_result("alternate", [
        "pool ND: predictors start from 512 latencies of each known device and 300 accuracies of "
        "random designs; the optimizer is asked for designs on every known device under 36 "
        "limits, five of each answer are measured (looked up), and all is trained again; beside it "
        "with as many random designs",
        "judged on the six test devices from 20 random measurements, two draws, confidence .9, "
        "limits at the 20/40/60/80th percentile, three tasks: true latency over the limit, and "
        "points of true accuracy below the best within it",
    ], ["way", "seeds", "problems", "added", "missed", "regret"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--groups", default=",".join([*GROUPS, "alternate"]))
    parser.add_argument("--models", help="where predictors are kept between runs")
    parser.add_argument("--raw", nargs="*", default=[], metavar="GROUP=FILE")
    options = parser.parse_args()
    raw = dict(r.split("=", 1) for r in options.raw)
    groups = options.groups.split(",")
    rows = others(groups)
    with tempfile.TemporaryDirectory() as folder:
        models = options.models or folder
        if "alternate" in groups:
            groups.remove("alternate")
            keep_alternate(raw, models)
        if not groups:
            return
        for group in groups:
            texts = read_raw(raw[group]).split("# next") if group in raw else []
            for i, (label, pool, settings) in enumerate(GROUPS[group]):
                text = texts[i] if group in raw else run(
                    "optimizer", pool, os.path.join(models, pool + ".tlm"), *settings)
                rows += summary(group, label, harness.records_of(text))
    harness.keep_result("optimizer", [
        "predictors: the pool's known devices, 512 measurements each, 3,000 designs with "
        "accuracies (NQ: nasbench201-qat150); none of the devices asked about",
        "problems: each unseen device from 20 random measurements, three draws, limits at the "
        "20/40/60/80th percentile of its latency, confidence .5, .9 and .95, every task",
        "gap: points below the optimum of the same predictors (MN, NQ, F1: the best design that "
        "any method of the run found), among feasible answers; sd over training seeds",
        "n, ls: designs drawn and local steps; neural: as method neural has it; the 32 reference "
        "designs of the signature are predicted besides",
        "F1: accuracy is stood in for by 10 log10(MACs) + 10 log10(parameters)",
        "each group may be a run of its own: command and commit stand in its rows, - where they were not kept",
        "learning, tuned: on three of the known devices, left out; the same contexts for each way",
    ], HEADER, rows)


if __name__ == "__main__":
    main()
