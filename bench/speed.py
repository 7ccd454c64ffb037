#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long things take: round trips beside a bare ZeroMQ echo in the same run, and whole commands.

    bench/speed.py [--runs 5] [--only round_trips|rpc_curve|batch|commands]
"""
import argparse
import os
import subprocess
import tempfile
import time

import harness
from latency_pools import POOLS

MODELS = os.path.join(harness.SOURCE_DIR, "models")


def rpc(endpoint, *options):
    """One line of bench_rpc as a dictionary."""
    return harness.records_of(harness.run_bench("rpc", "--connect", endpoint, *options))[-1]


def round_trips(daemon, tcp, table):
    one = daemon.write("one.csv", table.slots, table.designs[:1])
    asked = ["--space", "nasbench201", "--device", "pixel3"]
    cases = [("predict, one design", ["--method", "predict.run", *asked, "--designs", one]),
             ("design of 15,625", ["--method", "design.run", *asked, "--max-latency-ms", "5"]),
             ("status", ["--method", "status.get"])]
    rows = []
    for transport, endpoint in (("ipc", daemon.endpoint), ("tcp", tcp)):
        for name, options in cases:
            r = rpc(endpoint, *options)
            rows.append([transport, name] + [float(r[k]) for k in (
                "echo_p50_us", "echo_p99_us", "method_p50_us", "method_p99_us", "itself_p50_us",
                "over_ideal")])
            print(f"{transport} {name}: p50 {rows[-1][4]:.0f} us, p99 {rows[-1][5]:.0f} us, echo "
                  f"{rows[-1][2]:.0f} us, p50 / (echo + itself) {rows[-1][7]:.2f}", flush=True)
    return rows


def timed(run, runs):
    seconds = []
    for _ in range(runs):
        start = time.monotonic()
        run()
        seconds.append(time.monotonic() - start)
    return sorted(seconds)


def whole_commands(runs, table):
    path = os.path.join(harness.DATA_DIR, "nasbench201.csv")
    rows = []

    def keep(what, seconds):
        rows.append([what, seconds[0], seconds[len(seconds) // 2], seconds[-1]])
        print(f"{what}: median {rows[-1][2]:.3f} s", flush=True)

    with harness.Daemon() as daemon:
        keep("import nasbench201.csv, 525,108 values",
             timed(lambda: daemon.run("measure", "import", "--space", "nasbench201", path), runs))
        keep("train on pool ND's 9 sources, all rows, 3 tasks", timed(lambda: daemon.run(
            "train", "--space", "nasbench201", "--devices", POOLS["ND"][1], "--tasks",
            "cifar10,cifar100,imagenet16-120"), 1))
        every = daemon.write("all.csv", table.slots, table.designs)
        ask = ["predict", "--space", "nasbench201", "--device", "eyeriss", "--designs", every]
        first = timed(lambda: daemon.run(*ask), 1)
        keep("predict 15,625 designs, the first time", first)
        keep("predict 15,625 designs, again", timed(lambda: daemon.run(*ask), runs))
        keep("export, 525,108 values", timed(
            lambda: daemon.run("measure", "export", "--space", "nasbench201"), runs))
        daemon.run("device", "add", "--name", "new")
        keep("suggest 20 of 3,000 designs", timed(lambda: daemon.run(
            "measure", "suggest", "--space", "nasbench201", "--device", "new", "--count", "20"), runs))
    return rows


def batches():
    """A batch of accuracy predictions beside its own sgemm, as bench_batch prints it."""
    text = harness.run_bench("batch", MODELS, harness.SPACES_DIR)
    print(text, end="", flush=True)
    return harness.lines_of(text)


def keep_round_trips(runs):
    table = harness.Table("nasbench201.csv")
    port = 7400 + os.getpid() % 500
    with harness.Daemon(models=MODELS, also_listen=f"tcp://127.0.0.1:{port}") as daemon:
        rows = round_trips(daemon, f"tcp://127.0.0.1:{port}", table)
    harness.keep_result("round_trips", ["alternating blocks of 100 round trips, echo and method"],
                        ["transport", "what", "echo_p50_us", "echo_p99_us", "p50_us", "p99_us",
                         "itself_p50_us", "over_ideal"], rows)


def new_key(folder):
    """A client's key, in a new folder of keys below this one."""
    done = subprocess.run(
        [harness.program("tailor"), "key", "new", "--name", "bench", "--role", "reader", "--out",
         os.path.join(folder, "keys")], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def keep_rpc_curve(runs):
    """The same requests over tcp to a daemon with keys and to one without, in turn."""
    table = harness.Table("nasbench201.csv")
    asked = ["--space", "nasbench201", "--device", "pixel3"]
    port = 7400 + os.getpid() % 250 * 2
    plain, curve = (f"tcp://127.0.0.1:{port + i}" for i in range(2))
    rows = []
    with tempfile.TemporaryDirectory() as folder, \
            harness.Daemon(models=MODELS, also_listen=plain) as daemon:
        key = new_key(folder)
        with harness.Daemon(models=MODELS, also_listen=curve, keys=os.path.dirname(key)):
            for name, n, options in (
                    ("status", 1000, ["--method", "status.get"]),
                    ("predict, one design", 1000, ["--method", "predict.run", *asked, "--designs",
                     daemon.write("one.csv", table.slots, table.designs[:1])]),
                    ("design of 15,625", 1000, ["--method", "design.run", *asked,
                                                "--max-latency-ms", "5"]),
                    ("predict, 15,625 designs", 100, ["--method", "predict.run", *asked, "--designs",
                     daemon.write("all.csv", table.slots, table.designs)])):
                options += ["--count", n]
                turns = [(rpc(plain, *options), rpc(curve, *options, "--key", key))
                         for _ in range(runs)]
                p50 = [[float(turn[i]["method_p50_us"]) for turn in turns] for i in range(2)]
                p99 = [[float(turn[i]["method_p99_us"]) for turn in turns] for i in range(2)]
                middle = [harness.quantile(x, .5) for x in (*p50, *p99)]
                rows.append([name, runs * n, *middle, middle[1] - middle[0]])
                print(*rows[-1], sep="\t", flush=True)
    harness.keep_result("rpc_curve", [
        "tcp on this machine; a daemon without keys and one with, in turn; medians over runs of each run's p50 and p99"],
                        ["what", "round_trips", "plain_p50_us", "curve_p50_us", "plain_p99_us",
                         "curve_p99_us", "curve_costs_us"], rows)


def keep_batch(runs):
    harness.keep_result("batch", [
        "one thread, its processor time, best of 31 runs; sgemm_ms and gflop: the products of the networks' forward pass over each "
        "design by itself, timed in the same run, in turn with the batch; plain_ms: that pass, encoding not counted; ms: the batch in "
        "all; made: what it multiplies itself, where designs share products"], *batches())


def keep_commands(runs):
    harness.keep_result("commands", [f"{runs} runs of whole client processes (train: 1)"],
                        ["what", "min_s", "median_s", "max_s"],
                        whole_commands(runs, harness.Table("nasbench201.csv")))


PARTS = {"round_trips": keep_round_trips, "rpc_curve": keep_rpc_curve, "batch": keep_batch, "commands": keep_commands}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=list(PARTS))
    options = parser.parse_args()
    for name, part in PARTS.items():
        if options.only in (None, name):
            part(options.runs)


if __name__ == "__main__":
    main()
