#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A backup of very many measurements beside a client that asks for designs; restoring, checking and starting from it.

    bench/backup.py [--devices 2000] [--folder FOLDER]

2,000 devices with a made-up latency of each of nasbench201's 15,625 designs are 1 GB. FOLDER takes three times as
much, and is emptied before and after. As root the page cache is dropped before what is measured without it. Writes
the table of docs/operations.md.
"""
import argparse
import os
import subprocess
import tempfile
import threading
import time

import harness
from accuracy_doc import read, source, table
from million import CATALOGUE, MODELS, SPACES, bench, drop_page_cache

N_DESIGNS = 15625
DESIGN = ["--method", "design.run", "--space", "nasbench201", "--device", "pixel3", "--max-latency-ms", "5"]


def own_memory_mb(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        return next(float(line.split()[1]) / 1024 for line in file if line.startswith("RssAnon"))


class Peak:
    """The most memory of its own that the daemon has meanwhile, looked at every 20 ms."""

    def __init__(self, pid):
        self.pid, self.mb, self.is_over = pid, 0., threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.is_over.wait(.02):
            self.mb = max(self.mb, own_memory_mb(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.is_over.set()
        self.thread.join()


class Run:
    def __init__(self, folder, n):
        self.folder, self.n, self.rows = folder, n, []
        self.data, self.backup, self.restored = (os.path.join(folder, name) for name in ("data", "backup", "restored"))

    def keep(self, what, unit, value):
        self.rows.append([what, unit, float(value)])
        print("%s: %.4g %s" % (what, value, unit), flush=True)

    def timed(self, what, action, unit="s"):
        start = time.monotonic()
        result = action()
        self.keep(what, unit, (time.monotonic() - start) * (1e3 if unit == "ms" else 1))
        return result

    def answers(self, daemon, request, until):
        """One client that pauses 5 ms after each answer, second by second until that is so; p50 and p99 of the
        middle and of the worst second."""
        parts = []
        while not parts or not until():
            parts.append(harness.records_of(harness.run_bench(
                "load", "--request", request, "--connect", daemon.endpoint, "--pause", 5, "--seconds", 1))[-1])
        p50, p99 = ([float(part[key]) / 1e3 for part in parts] for key in ("p50_us", "p99_us"))
        return harness.quantile(p50, .5), max(p99)

    def back_up(self, daemon):
        request = os.path.join(self.folder, "request")
        harness.run_bench("rpc", "--connect", daemon.endpoint, "--count", 200, "--write", request, *DESIGN)
        ends = time.monotonic() + 5
        p50, p99 = self.answers(daemon, request, lambda: time.monotonic() > ends)
        self.keep("design alone, p50", "ms", p50)
        self.keep("design alone, p99 of the worst second", "ms", p99)
        self.timed("backup, nobody else asks", lambda: daemon.run("backup", "--out", self.backup))
        os.remove(self.backup)
        self.keep("daemon's own memory before", "MB", own_memory_mb(daemon.process.pid))
        with Peak(daemon.process.pid) as peak:
            start = time.monotonic()
            process = subprocess.Popen([harness.program("tailor"), "--connect", daemon.endpoint, "backup", "--out",
                                        self.backup], stdout=subprocess.DEVNULL)
            took = []
            waiter = threading.Thread(target=lambda: took.append((process.wait(), time.monotonic() - start)))
            waiter.start()
            p50, p99 = self.answers(daemon, request, lambda: took)
            waiter.join()
        if took[0][0] != 0:
            raise SystemExit("tailor backup: exit %d" % took[0][0])
        self.keep("backup beside a client", "s", took[0][1])
        self.keep("design meanwhile, p50", "ms", p50)
        self.keep("design meanwhile, p99 of the worst second", "ms", p99)
        self.keep("daemon's own memory meanwhile, at most", "MB", peak.mb)

    @staticmethod
    def command(*words):
        done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit("%s: exit %d\n%s" % (" ".join(words), done.returncode, done.stderr))

    def start(self, what):
        daemon = self.timed(what, lambda: harness.Daemon(models=MODELS, data=self.restored), "ms")
        daemon.__exit__()

    def all(self):
        bench("fill", self.data, SPACES, CATALOGUE, self.n, N_DESIGNS)
        self.keep("store file", "MB", os.path.getsize(os.path.join(self.data, "store.mdb")) / 1e6)
        with harness.Daemon(models=MODELS, data=self.data) as daemon:
            self.back_up(daemon)
        self.keep("backup file", "MB", os.path.getsize(self.backup) / 1e6)
        self.timed("restore", lambda: self.command(
            harness.program("tailor"), "restore", self.backup, "--data", self.restored))
        check = (harness.program("tailord"), "--check", "--data", self.restored)
        if drop_page_cache():
            self.timed("check, nothing of it in the page cache", lambda: self.command(*check), "ms")
            drop_page_cache()
            self.start("start, nothing of it in the page cache")
        self.command(*check)  # reads it all into the page cache
        self.timed("check, all of it in the page cache", lambda: self.command(*check), "ms")
        self.start("start, all of it in the page cache")
        return self.rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--folder", help="for the store and the backup; default: a temporary one")
    parser.add_argument("--keep", default="backup", help="name of the result file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tailor-backup-", dir=options.folder) as folder:
        rows = Run(folder, options.devices).all()
    harness.keep_result(options.keep, [
        f"{options.devices} devices with {N_DESIGNS:,} made-up latencies each on nasbench201; once each; restore and check are programs without a "
        "daemon, start: until the first answer, looked for every 50 ms",
        "design: of 15,625, for a device of the shipped model, by one client that pauses 5 ms after each answer; the middle of the p50 of seconds"],
        ["what", "unit", "value"], rows)
    if options.keep == "backup":
        notes, kept = read("backup")
        harness.write_part("operations", "backup", "\n\n".join([
            table(["what", "figure", "unit"], [[r["what"], "%.3g" % float(r["value"]) if float(r["value"]) < 100 else "%.0f" % float(r["value"]),
                              r["unit"]] for r in kept]), source(notes)]))


if __name__ == "__main__":
    main()
