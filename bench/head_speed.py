#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What adapting to a new device costs, in one process (bench_head), and training pool FA's fifteen
sources (800 designs each) through the daemon with two workers.

    bench/head_speed.py [--runs 50]
"""
import argparse
import os
import random
import time

import harness
from latency_pools import POOLS, import_sources


def processor_s(pid):
    """Seconds of processor that the process and its threads have used."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def train_fa(runs):
    space, sources, _ = POOLS["FA"]
    table = harness.Table(space + ".csv")
    taken, used = [], []
    for seed in range(runs):
        with harness.Daemon() as daemon:
            import_sources(daemon, table, space, sources.split(","), random.Random(seed))
            begin, used_before = time.monotonic(), processor_s(daemon.process.pid)
            daemon.run("train", "--space", space, "--devices", sources)
            taken.append(1e3 * (time.monotonic() - begin))
            used.append(1e3 * (processor_s(daemon.process.pid) - used_before))
    return [["FA", what, "800", f"{min(ms):.3f}", f"{harness.quantile(ms, .5):.3f}"]
            for what, ms in (("train, through the daemon", taken), ("train, processor time on all cores", used))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    header, rows = harness.lines_of(harness.run_bench(
        "head", harness.SPACES_DIR, harness.DATA_DIR, options.runs))
    rows += train_fa(3)
    for row in rows:
        print(*row, sep="\t")
    harness.keep_result("head_speed", [
        f"{options.runs} runs (train: 3), one thread, its processor time; training also by the clock",
        f"{os.getloadavg()[1]:.0f} programs ran at once on {os.cpu_count()} cores in the last minutes"], header, rows)


if __name__ == "__main__":
    main()
