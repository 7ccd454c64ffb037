#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What adapting to a new device costs, in one process (bench_head), and training pool FA's fifteen
sources (800 designs each) through the daemon with two workers.

    bench/head_speed.py [--runs 50]
"""
import argparse
import csv
import os
import random
import subprocess
import time

import harness
from latency_pools import POOLS, import_sources


def train_fa(runs):
    space, sources, _ = POOLS["FA"]
    table = harness.Table(space + ".csv")
    taken = []
    for seed in range(runs):
        with harness.Daemon() as daemon:
            import_sources(daemon, table, space, sources.split(","), random.Random(seed))
            begin = time.monotonic()
            daemon.run("train", "--space", space, "--devices", sources)
            taken.append(1e3 * (time.monotonic() - begin))
    return ["FA", "train, through the daemon", "800", f"{min(taken):.3f}",
            f"{harness.quantile(taken, .5):.3f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    program = os.path.join(harness.BUILD_DIR, "bench", "bench_head")
    done = subprocess.run([program, os.path.join(harness.SOURCE_DIR, "spaces"), harness.DATA_DIR,
                           str(options.runs)], capture_output=True, text=True, check=True)
    lines = [l for l in done.stdout.splitlines() if not l.startswith("#")]
    table = list(csv.reader(lines, delimiter="\t"))
    rows = table[1:] + [train_fa(3)]
    for row in rows:
        print(*row, sep="\t")
    harness.keep_result("head_speed", [f"{options.runs} runs (train: 3), one thread"], table[0], rows)


if __name__ == "__main__":
    main()
