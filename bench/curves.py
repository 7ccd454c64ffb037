#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Few-shot latency over 0 to 1,000 samples of an unseen device, by bench_pools in one process.

Random and suggested samples, on the seven pools of NASFLAT's protocol; NH is pool ND by HELP's
protocol (each test device without its 10% fastest and slowest designs), NE a runtime that pays for
edges nobody needs, MV and MN leave each device of mobilenetv3 and mnasnet out in turn.

    bench/curves.py [--samples 0,1,3,5,10,20,50,200,1000] [--seeds 3]
"""
import argparse
import csv
import os
import subprocess

import harness

POOLS = "ND NH NE FD F1 F2 F3 F4 FA MV MN".split()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", default="0,1,3,5,10,20,50,200,1000")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    program = os.path.join(harness.BUILD_DIR, "bench", "bench_pools")
    spaces = os.path.join(harness.SOURCE_DIR, "spaces")
    header, rows = None, []
    for pool in POOLS:
        done = subprocess.run([program, spaces, harness.DATA_DIR, options.samples,
                               str(options.seeds), pool], capture_output=True, text=True, check=True)
        lines = [l for l in done.stdout.splitlines() if not l.startswith("#")]
        table = list(csv.reader(lines, delimiter="\t"))
        header = table[0]
        rows += table[1:]
        print(f"{pool}: {len(table) - 1} rows", flush=True)
    harness.keep_result(
        "curves", [f"bench_pools, {options.seeds} seeds; sources on 512 (nasbench201) or 800 designs; "
                   "errors relative to the measurement; c50, c80, c95: coverage of intervals"],
        header, rows)


if __name__ == "__main__":
    main()
