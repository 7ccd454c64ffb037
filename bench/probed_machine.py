#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""This machine, of which only the probe's profile is known: `tailor-agent probe`, then a few
designs of each space measured by `tailor-agent measure`, beside what `tailor predict` says.

    bench/probed_machine.py [--designs 8] [--runs 15] [--real-time]

--real-time measures under chrt -f, for a machine that others use too (needs the right to).
"""
import argparse
import csv
import os
import random
import subprocess
import sys

import harness

SPACES = ("nasbench201", "fbnet", "mobilenetv3", "mnasnet")
SEED = 3
# A profile without what is named: what the prediction owes to it.
VARIANTS = {"all": "", "without cache sizes": "cache_kib:"}

PROTOCOL = [
    "ratio: predicted over measured latency, one core; designs drawn from the public tables; "
    "cells whose output depends on nothing are left away (the agent runs all, the prediction what is needed)",
    "the factor was set on this machine, the only one there is",
]


def agent(*arguments, real_time=False):
    command = (["chrt", "-f", "10"] if real_time else []) + [harness.program("tailor-agent"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")


def register(daemon, profile):
    """The probed profile and, under names of their own, what is left of it without some keys."""
    with open(profile, encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith(("name:", "spread_frac:"))]
    for i, left_out in enumerate(VARIANTS.values()):
        kept = [f"name: variant{i}\n"]
        for line in lines:
            if not left_out or not line.startswith(left_out):
                kept.append(line)
        path = os.path.join(daemon.dir, f"variant{i}.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(kept)
        daemon.run("device", "add", path)
    return "".join(line for line in lines if line.startswith(("peak", "bandwidth", "cache", "launch"))).replace("\n", "; ")


def ratios(daemon, space, args):
    table = harness.Table(space + ".csv")
    rows = random.Random(SEED).sample(range(len(table.designs)), args.designs * 2)
    designs = [table.designs[r] for r in rows]
    if space == "nasbench201":
        designs = [d for d in designs if harness.canonical_cell(d)]
    designs = designs[:args.designs]
    given = daemon.write(space + ".csv", table.slots, designs)
    out = os.path.join(daemon.dir, space + ".measured.csv")
    agent("measure", "--connect", daemon.endpoint, "--space", space, "--designs", given, "--device", "here",
          "--runs", args.runs, "--cpus", 1, "--timeout-ms", 60000, "--out", out, real_time=args.real_time)
    with open(out, newline="", encoding="utf-8") as file:
        measured = [float(row["latency_ms@here"]) for row in csv.DictReader(file)]
    for i, name in enumerate(VARIANTS):
        said = daemon.table("predict", "--space", space, "--device", f"variant{i}", "--designs", given)
        found = [float(row["latency_ms"]) / m for row, m in zip(said, measured)]
        yield [space, name, len(found), harness.quantile(found, .5), min(found), max(found), harness.quantile(measured, .5)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--designs", type=int, default=8)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--real-time", action="store_true")
    args = parser.parse_args()
    lines = []
    with harness.Daemon() as daemon:
        profile = os.path.join(daemon.dir, "here.yaml")
        agent("probe", "--name", "here", "--cpus", 1, "--out", profile)
        figures = register(daemon, profile)
        for space in SPACES:
            lines += ratios(daemon, space, args)
    harness.keep_result("probed_machine", PROTOCOL + [figures], [
        "space", "profile", "designs", "ratio", "lowest", "highest", "measured_ms"], lines)


if __name__ == "__main__":
    main()
