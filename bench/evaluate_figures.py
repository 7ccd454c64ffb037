#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How the inference methods grade on the test devices of pool ND and on three tasks: `tailor evaluate` with several
seeds.

    bench/evaluate_figures.py [SEEDS]
"""
import math
import os
import sys

from harness import DATA_DIR, Daemon, keep_result, mean, sd

DEVICES = ["titan_rtx_256", "gold_6226", "fpga", "pixel2", "raspi4", "eyeriss"]
TASKS = ["cifar10", "cifar100", "imagenet16-120"]
FIGURES = ["spearman", "rmse", "mape", "nll", "picp_50", "picp_80", "picp_95", "mpiw_80", "calibration_error",
           "rejection_area", "ood_auroc", "ood_divergence_bits", "decision_cost", "distance_exact", "distance_hmc",
           "time_ms", "kept_bytes"]
SPREAD = ["spearman", "nll", "picp_80"]


def number(text):
    return float(text) if text else math.nan


def grade(daemon, n_seeds, *options):
    """Rows of metric, subject, method, set and the figures' means over seeds, then three spreads."""
    found = {}
    for seed in range(1, n_seeds + 1):
        for row in daemon.table("evaluate", "--space", "nasbench201", "--seed", seed, *options):
            key = (row["metric"], row["subject"], row["method"], row["set"])
            found.setdefault(key, []).append([number(row[f]) for f in FIGURES])
    rows = []
    for key, seeds in found.items():
        means = [mean(column) for column in zip(*seeds)]
        spreads = [sd([seed[FIGURES.index(f)] for seed in seeds]) for f in SPREAD]
        rows.append(list(key) + ["" if math.isnan(v) else v for v in means + spreads])
    return rows


def main():
    n_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with Daemon() as daemon:
        daemon.run("measure", "import", "--space", "nasbench201",
                   os.path.join(DATA_DIR, "nasbench201.csv"))
        rows = grade(daemon, n_seeds, "--devices", ",".join(DEVICES))
        rows += grade(daemon, n_seeds, "--metric", "accuracy", "--tasks", ",".join(TASKS))
    keep_result(
        "evaluate_nasbench201",
        [f"20 random samples of each device left out, 200 of each task; {n_seeds} seeds averaged, sd over seeds",
         "a fifth of the designs held out by canonical cell; 24 devices, of which the others are known"],
        ["metric", "subject", "method", "set"] + FIGURES + [f + "_sd" for f in SPREAD], rows)


if __name__ == "__main__":
    main()
