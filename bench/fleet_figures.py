#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Designs for fleets of described devices: the engine in process beside its sgemm, and `tailor fleet` over ipc.

    bench/fleet_figures.py [--devices 100000] [--staged 1000]
"""
import argparse
import os
import subprocess
import time

import harness

MODELS = os.path.join(harness.SOURCE_DIR, "models")
PLACES = [MODELS, os.path.join(harness.SOURCE_DIR, "spaces"), os.path.join(harness.SOURCE_DIR, "device-profiles", "catalogue")]
HEADER = ["way", "space", "devices", "feasible", "together", "seconds", "designs_per_s", "sgemm_per_s", "share", "made_gflop", "gflop",
          "sgemm_share", "client_mib", "daemon_mib"]


def engine(way, space, n, *more):
    done = subprocess.run([os.path.join(harness.BUILD_DIR, "bench", "bench_fleet"), *PLACES, space, str(n), *more],
                          capture_output=True, text=True, check=True)
    row = [way] + done.stdout.strip("\n").split("\n")[-1].split("\t") + ["", ""]
    print(f"{way}, {space}: {row[6]} designs/s, share {row[8]} ({done.stderr.strip()})", flush=True)
    return row


def peak_mib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))


def table_of(daemon, space, n):
    """The same devices as the engine's."""
    path = os.path.join(daemon.dir, f"{space}.csv")
    with open(path, "w", encoding="utf-8") as file:
        subprocess.run([os.path.join(harness.BUILD_DIR, "bench", "bench_fleet"), *PLACES, space, str(n), "table"], stdout=file, check=True)
    return path


def end_to_end(space, n, threads):
    """Seconds of the command from start to end, the daemon warm, and the most memory both ever held."""
    with harness.Daemon(MODELS, workers=threads) as daemon:
        out = os.path.join(daemon.dir, "designs.csv")
        daemon.run("fleet", "--space", space, "--devices", table_of(daemon, space, 20), "--out", out)
        os.remove(out)
        path = table_of(daemon, space, n)
        start = time.monotonic()
        child = subprocess.Popen([harness.program("tailor"), "--connect", daemon.endpoint, "fleet", "--space", space, "--devices", path,
                                  "--threads", str(threads), "--out", out], stderr=subprocess.PIPE, text=True)
        said = child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.monotonic() - start
        if os.waitstatus_to_exitcode(status) not in (0, 3):
            raise SystemExit(f"tailor fleet: {said}")
        with open(out, encoding="utf-8") as file:
            lines = file.read().rstrip("\n").split("\n")[1:]
        feasible = sum(line.endswith(",") for line in lines)
        row = [f"tailor fleet, {threads} thread{'s' * (threads > 1)}", space, len(lines), feasible, "", f"{seconds:.2f}",
               f"{len(lines) / seconds:.0f}", "", "", "", "", "", f"{used.ru_maxrss / 1024:.0f}", f"{peak_mib(daemon.process.pid):.0f}"]
    print(f"{row[0]}, {space}: {row[6]} designs/s, client {row[12]} MiB, daemon {row[13]} MiB", flush=True)
    return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=100000)
    parser.add_argument("--staged", type=int, default=1000)
    asked = parser.parse_args()
    rows = [engine("engine", "nasbench201", asked.devices),
            engine("engine, device by device", "nasbench201", max(asked.devices // 100, 1), "alone"),
            end_to_end("nasbench201", asked.devices, 1),
            end_to_end("nasbench201", asked.devices, 2),
            engine("engine", "mnasnet", asked.staged)]
    harness.keep_result("fleet", [
        "profiles drawn around the catalogue's (peaks, bandwidths times exp of a normal of deviation .5), each with a limit of latency of 1.2 to 12 "
        "times what the first reference design is predicted to take, confidence .9; the same devices in process and over ipc",
        "engine: one thread, its processor time, from profiles to designs (views, problems, searches); feasible: the limit is kept, of others the "
        "nearest design is found; together: found by the products of a fleet",
        "sgemm_per_s: devices a second if there were nothing but the products that score every design on every device, [256, 28] x [28, 512] and [256, 23] x "
        "[23, 512] (known devices; distinct operators) 31 times, timed in the same run; share: designs_per_s over it; made_gflop of gflop: what the "
        "engine multiplied of them, since devices leave once they have a design; sgemm_share: of the engine's time, within its own products",
        "tailor fleet: the whole command over ipc, table read and designs written, a warm daemon with as many workers as the client has threads; most resident "
        "memory of client and daemon"],
        HEADER, rows)


if __name__ == "__main__":
    main()
