#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Fronts against the exact front, and bits chosen with the cell against one after the other: runs bench_pareto and
bench_joint and keeps what they print.

    bench/design_figures.py [--only pareto,joint] [--seeds 5]
"""
import argparse
import os
import tempfile

import harness

PARETO = [
    "pool ND: predictors trained on its nine known devices, each test device seen through 20 random measurements, cifar100",
    "share: of the volume of the exact front of the same predictors, from the corner of the largest latency and the median "
    "accuracy of all designs; sd over seeds of the search",
    "true: the exact predicted front as its designs were measured, of the volume of the front of all measurements",
]
JOINT = [
    "nasbench201-qat150: half of the cells train the accuracies that choose, the other half those that judge, and the other way round; "
    "sd over seeds and directions",
    "all: 531,441 designs with bits, judged by the other half's accuracies; measured: the rows of the judging half, by their measured accuracy",
    "limits: the 10/25/50/75th percentile of the 8-bit designs' latencies; bitfusion: p-norm of compute and memory per convolution; "
    "bit_serial: MACs times weight bits",
    "caution: chosen by the predicted accuracy less so many of its deviations",
]


def run(name, *arguments):
    return harness.lines_of(harness.run_bench(
        name, harness.SPACES_DIR, harness.DATA_DIR, *arguments))


def pareto(seeds):
    with tempfile.TemporaryDirectory() as folder:
        harness.keep_result("pareto", PARETO, *run("pareto", os.path.join(folder, "ND.tlm"), seeds))


def joint(seeds):
    rows = []
    for caution in (0, 0.5):
        header, more = run("joint", seeds, caution)
        rows += [[caution, *row] for row in more]
    harness.keep_result("joint", JOINT, ["caution", *header], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--only", default="pareto,joint")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    for name, measure in (("pareto", pareto), ("joint", joint)):
        if name in arguments.only.split(","):
            measure(arguments.seeds)


if __name__ == "__main__":
    main()
