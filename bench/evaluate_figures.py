#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How the inference methods grade on the test devices of pool ND: `tailor evaluate` with several seeds.

    bench/evaluate_figures.py [SEEDS]
"""
import math
import os
import sys

from harness import DATA_DIR, Daemon, keep_result, mean, sd

DEVICES = ["titan_rtx_256", "gold_6226", "fpga", "pixel2", "raspi4", "eyeriss"]
SAMPLES = 20
FIGURES = ["spearman", "rmse", "mape", "nll", "picp_50", "picp_80", "picp_95", "mpiw_80", "calibration_error",
           "rejection_area", "ood_auroc", "ood_divergence_bits", "decision_cost", "distance_exact", "distance_hmc",
           "time_ms", "kept_bytes"]


def number(text):
    return float(text) if text else math.nan


def main():
    n_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    found = {}
    with Daemon() as daemon:
        daemon.run("measure", "import", "--space", "nasbench201",
                   os.path.join(DATA_DIR, "nasbench201.csv"))
        for seed in range(1, n_seeds + 1):
            for row in daemon.table("evaluate", "--space", "nasbench201", "--devices",
                                    ",".join(DEVICES), "--samples", SAMPLES, "--seed", seed):
                key = (row["subject"], row["method"], row["set"])
                found.setdefault(key, []).append([number(row[f]) for f in FIGURES])
    rows = []
    for key, seeds in found.items():
        means = [mean(column) for column in zip(*seeds)]
        spreads = [sd(column) for column in zip(*seeds)]
        rows.append(list(key) + ["" if math.isnan(m) else m for m in means] +
                    ["" if math.isnan(spreads[FIGURES.index(f)]) else spreads[FIGURES.index(f)]
                     for f in ("spearman", "nll", "picp_80")])
    keep_result(
        "evaluate_nasbench201",
        [f"{SAMPLES} random samples of each device left out, {n_seeds} seeds averaged, sd over seeds",
         "a fifth of the designs held out; 24 devices, of which the others are known"],
        ["device", "method", "set"] + FIGURES + ["spearman_sd", "nll_sd", "picp_80_sd"], rows)


if __name__ == "__main__":
    main()
