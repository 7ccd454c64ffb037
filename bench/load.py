#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tailord under load: round trips, interactive requests under bulk work, many clients at once, and floods.

    bench/load.py [--seconds 20]
"""
import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time

import harness

MODELS = os.path.join(harness.SOURCE_DIR, "models")
CATALOGUE = os.path.join(harness.SOURCE_DIR, "device-profiles", "catalogue")
TABLE = os.path.join(harness.DATA_DIR, "nasbench201.csv")
ASKED = ["--space", "nasbench201", "--device", "pixel3"]
CLIENTS, WINDOW, FLOOD = 64, 4, 512
HEADER = ["part", "what", "beside", "per_s", "p50_us", "p99_us", "max_us", "bound_per_s", "share", "echo_p50_us", "itself_p50_us", "over_ideal",
          "busy_per_s", "busy_p99_us"]


class Asked:
    """Packed requests, and what bench_load says of them. copy: a folder with the daemon's data, for runs in process."""

    def __init__(self, daemon, table, seconds, copy):
        self.daemon, self.seconds, self.copy = daemon, seconds, copy
        one = daemon.write("one.csv", table.slots, table.designs[:1])
        hundred = daemon.write("hundred.csv", table.slots, table.designs[:100])
        self.options = {
            "predict, 1 design": ["--method", "predict.run", *ASKED, "--designs", one],
            "predict, 100 designs": ["--method", "predict.run", *ASKED, "--designs", hundred],
            "design of 15,625": ["--method", "design.run", *ASKED, "--max-latency-ms", "5"]}

    def path(self, what):
        return os.path.join(self.daemon.dir, what.replace(" ", "-") + ".request")

    def round_trips(self, what):
        return harness.records_of(harness.run_bench(
            "rpc", "--connect", self.daemon.endpoint, "--count", "2000", "--write", self.path(what), *self.options[what]))[-1]

    def start(self, what, *options):
        command = [os.path.join(harness.BUILD_DIR, "bench", "bench_load"), "--request", self.path(what), "--connect", self.daemon.endpoint,
                   *map(str, options)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def load(self, what, *options):
        return self.end(self.start(what, "--seconds", self.seconds, *options))

    @staticmethod
    def end(process):
        out, _ = process.communicate()
        return harness.records_of(out)[-1]

    def other(self, what, *options):
        """An echo, or the same in process."""
        return harness.records_of(harness.run_bench("load", "--request", self.path(what), "--seconds", self.seconds / 4, *options))[-1]

    def in_process(self, what):
        return self.other(what, "--threads", os.cpu_count(), self.copy, MODELS, harness.SPACES_DIR, CATALOGUE)


def row(part, what, beside, r, **more):
    line = {"part": part, "what": what, "beside": beside, "per_s": r.get("answered_per_s", ""), "p50_us": r["p50_us"], "p99_us": r["p99_us"],
            "max_us": r.get("max_us", ""), **more}
    print("; ".join(f"{k} {v}" for k, v in line.items() if v != ""), flush=True)
    return [line.get(k, "") for k in HEADER]


def idle(asked):
    rows = []
    for what in asked.options:
        r = asked.round_trips(what)
        rows.append(row("round trip", what, "", {"p50_us": r["method_p50_us"], "p99_us": r["method_p99_us"]},
                        echo_p50_us=r["echo_p50_us"], itself_p50_us=r["itself_p50_us"], over_ideal=r["over_ideal"]))
    return rows


def pipelined(asked):
    rows = []
    for what in asked.options:
        asked.load(what, "--clients", CLIENTS)
        bound = asked.in_process(what)
        r = asked.load(what, "--clients", CLIENTS, "--window", WINDOW)
        echo = asked.other(what, "--echo", r["reply_bytes"], "--clients", CLIENTS, "--window", WINDOW)
        reached, compute, messages = (float(x["answered_per_s"]) for x in (r, bound, echo))
        both = 1 / (1 / compute + 1 / messages)
        rows.append(row(f"{CLIENTS} clients", what, "compute alone", r, bound_per_s=f"{compute:.0f}", share=f"{reached / compute:.2f}"))
        rows.append(row(f"{CLIENTS} clients", what, "echo and compute", r, bound_per_s=f"{both:.0f}", share=f"{reached / both:.2f}"))
    return rows


class Bulk:
    """A command repeated until it is stopped."""

    def __init__(self, daemon, *args):
        self.daemon, self.args, self.process = daemon, args, None

    def __enter__(self):
        self.process = subprocess.Popen(
            ["sh", "-c", 'while "$@" >/dev/null 2>&1 || [ $? -eq 3 ]; do :; done', "sh", harness.program("tailor"), "--connect", self.daemon.endpoint,
             *self.args], start_new_session=True)
        return self

    def __exit__(self, *exc):
        assert self.process.poll() is None, f"tailor {' '.join(self.args)} ended"
        os.killpg(self.process.pid, 15)
        self.process.wait()
        for job in self.said("job", "list"):
            if job["state"] in ("running", "waiting"):
                self.daemon.run("job", "cancel", job["job"], check=False)
        while any(row["value"] != "0" for row in self.said("status") if row["name"] in ("bulk_busy", "jobs_running")):
            time.sleep(.05)

    def said(self, *args):
        return [json.loads(line) for line in self.daemon.run(*args, "--json").stdout.splitlines()]


class Nothing:
    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass


def under_bulk(daemon, asked, fleet):
    rows = []
    train = ("train", "--space", "nasbench201")
    run = ("fleet", "--space", "nasbench201", "--devices", fleet, "--out", os.path.join(daemon.dir, "designs.csv"), "--threads", "2")
    load = ("measure", "import", "--space", "nasbench201", TABLE)
    first = ("design of 15,625", "predict, 1 design")
    for beside, commands in (("nothing", ()), ("train", (train,)), ("fleet", (run,)), ("import", (load,)), ("train and fleet", (train, run))):
        bulk = [Bulk(daemon, *c) for c in commands] + [Nothing(), Nothing()]
        with bulk[0], bulk[1]:
            time.sleep(1)
            for what in first:
                rows.append(row("under bulk", what, beside, asked.load(what, "--pause", 5)))
    return rows


def flood(asked):
    what = "design of 15,625"
    seconds = str(asked.seconds + 2)
    other = asked.start(what, "--seconds", seconds, "--window", FLOOD)
    time.sleep(1)
    r = asked.load(what, "--pause", 5)
    status = asked.load("predict, 1 design", "--pause", 5, "--seconds", 1)
    flooding = asked.end(other)
    said = {"busy_per_s": flooding["busy_per_s"], "busy_p99_us": flooding["busy_p99_us"]}
    return [row("flood", what, f"the one that floods: {FLOOD} under way", flooding, **said),
            row("flood", what, "another, one at a time", r, busy_per_s=r["busy_per_s"]),
            row("flood", "predict, 1 design", "another, one at a time", status, busy_per_s=status["busy_per_s"])]


def fleet_of(daemon, n):
    path = os.path.join(daemon.dir, "fleet.csv")
    with open(path, "w", encoding="utf-8") as file:
        file.write(harness.run_bench("fleet", MODELS, harness.SPACES_DIR, CATALOGUE, "nasbench201", n, "table"))
    return path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=20)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        data, copy = os.path.join(folder, "data"), os.path.join(folder, "copy")
        with harness.Daemon(MODELS, data=data) as daemon:
            daemon.run("measure", "import", "--space", "nasbench201", TABLE)
        shutil.copytree(data, copy)
        measure(seconds, data, copy)


def measure(seconds, data, copy):
    with harness.Daemon(MODELS, workers=os.cpu_count(), data=data) as daemon:
        asked = Asked(daemon, harness.Table("nasbench201.csv"), seconds, copy)
        rows = idle(asked) + pipelined(asked) + flood(asked) + under_bulk(daemon, asked, fleet_of(daemon, 100000))
    harness.keep_result("load", [
        "nasbench201 with the shipped model, its measurements imported, device pixel3, over ipc; as many workers as processors; clients, echo and "
        "daemon share the processors",
        "round trip: one request after another, in blocks of 100 that alternate with a bare ZeroMQ echo of the same sizes; over_ideal: p50 over that of "
        "the echo and what the method itself took, of the same run",
        f"{CLIENTS} clients: sockets of one process, {WINDOW} requests under way at each; compute alone: the same request decoded, run and encoded in a "
        "process of its own, on all processors, without clients; echo and compute: with the time of a bare echo between as many clients added",
        "under bulk: one client that pauses 5 ms after each answer; beside it `tailor train --space nasbench201`, `tailor fleet` of 100,000 devices on 2 "
        "threads, `tailor measure import` of the table with its 525,108 values, or the first two, repeated without end",
        f"flood: one client with {FLOOD} designs under way, that sends again what is refused; others beside it; {seconds} s each"],
        HEADER, rows)


if __name__ == "__main__":
    main()
