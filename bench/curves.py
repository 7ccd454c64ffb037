#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Few-shot latency over 0 to 1,000 samples of an unseen device, by bench_pools in one process.

Random and suggested samples, on the seven pools of NASFLAT's protocol; NH is pool ND by HELP's
protocol (each test device without its 10% fastest and slowest designs), NE a runtime that pays for
edges nobody needs, MV and MN leave each device of mobilenetv3 and mnasnet out in turn.

    bench/curves.py [--samples 0,1,3,5,10,20,50,200,1000] [--seeds 3] [--jobs 1]
        [--pools ND,F1] [--name curves]

The table of coverage by pool: --samples 20,200 --pools ND,FD,F1,F2,F3,F4,FA,NE --name coverage
"""
import argparse
import concurrent.futures

import harness

POOLS = "ND NH NE FD F1 F2 F3 F4 FA MV MN".split()


def run(pool, samples, seeds, settings=""):
    """The table of one pool: header, rows."""
    return harness.lines_of(harness.run_bench(
        "pools", harness.SPACES_DIR, harness.DATA_DIR, samples, seeds, pool, *settings.split()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", default="0,1,3,5,10,20,50,200,1000")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="how many pools at a time")
    parser.add_argument("--pools", default=",".join(POOLS))
    parser.add_argument("--name", default="curves", help="of the result")
    options = parser.parse_args()
    pools = options.pools.split(",")
    header, rows = None, []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as workers:
        tables = workers.map(lambda pool: run(pool, options.samples, options.seeds), pools)
        for pool, (header, new) in zip(pools, tables):
            rows += new
            print(f"{pool}: {len(new)} rows", flush=True)
    harness.keep_result(
        options.name, [f"bench_pools, {options.seeds} seeds; sources on 512 (nasbench201) or 800 designs; "
                       "errors relative to the measurement; c50, c80, c95: coverage of intervals"],
        header, rows)


if __name__ == "__main__":
    main()
