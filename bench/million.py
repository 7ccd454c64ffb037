#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A daemon with very many devices of 20 measurements each: room, start, memory, latency.

    bench/million.py [--devices 100000,1000000] [--folder FOLDER] [--fleet 500] [--keep NAME]

The devices and their measurements are made up (bench_million.c): nothing here says how right a
prediction is. FOLDER takes some 1.6 GB for a million devices, and is emptied before and after.
As root the page cache is dropped before the first start; otherwise there is no cold start.
The table of docs/operations.md is written anew, unless --keep names another result.
"""
import argparse
import os
import subprocess
import tempfile
import time
import urllib.request

import harness
from accuracy_doc import read, source

MODELS = os.path.join(harness.SOURCE_DIR, "models")
BENCH = os.path.join(harness.BUILD_DIR, "bench", "bench_million")
SPACES = os.path.join(harness.SOURCE_DIR, "spaces")
CATALOGUE = os.path.join(harness.SOURCE_DIR, "device-profiles", "catalogue")
HEADER = ["devices", "what", "unit", "times", "p50", "p99", "most"]
QUESTIONS = [
    ("status", 500), ("show", 1000), ("a name that is not known", 500), ("add", 200),
    ("predict, a device for the first time", 500), ("predict, a device again", 500),
    ("design, a device for the first time", 100), ("design, a device again", 200),
    ("proxy, a device for the first time", 50), ("export of a device", 200),
    ("import of 20 measurements", 200),
]


def bench(*args):
    done = subprocess.run([BENCH, *map(str, args)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit("bench_million %s: %s" % (args[0], done.stderr))
    return done.stdout


def drop_page_cache():
    """False where that is not allowed."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
            file.write("1")
        return True
    except OSError:
        return False


class Run:
    """All figures of one number of devices."""

    def __init__(self, n, folder, n_fleet):
        self.n, self.n_fleet, self.rows = n, n_fleet, []
        self.data = os.path.join(folder, "data")
        self.daemon = None

    def keep(self, what, unit, p50, p99="", most="", times=1):
        values = ["%.6g" % v if isinstance(v, float) else str(v) for v in (p50, p99, most)]
        self.rows.append([str(self.n), what, unit, str(times), *values])
        print("\t".join(self.rows[-1]), flush=True)

    def timed(self, what, action, times=1):
        took = []
        for _ in range(times):
            start = time.monotonic()
            action()
            took.append((time.monotonic() - start) * 1e3)
        took.sort()
        self.keep(what, "ms", took[len(took) // 2], "", took[-1], times)

    def memory(self, when):
        with open("/proc/%d/status" % self.daemon.process.pid, encoding="ascii") as file:
            kb = {line.split(":")[0]: float(line.split()[1]) for line in file if "kB" in line}
        self.keep("memory of its own, " + when, "MB", kb["RssAnon"] / 1024)
        self.keep("pages of the store's file, " + when, "MB", kb["RssFile"] / 1024)

    def fill(self):
        seconds = float(bench("fill", self.data, SPACES, CATALOGUE, self.n, 20).split()[-1])
        size = os.path.getsize(os.path.join(self.data, "store.mdb"))
        self.keep("filling the store, 256 devices a transaction", "devices/s", self.n / seconds)
        self.keep("store file", "MB", size / 1e6)
        self.keep("store file, of a device", "bytes", float(size) / self.n)

    def start(self, what):
        start = time.monotonic()
        self.daemon = harness.Daemon(models=MODELS, data=self.data,
                                     options=["--metrics", "127.0.0.1:0"])
        self.keep(what, "ms", (time.monotonic() - start) * 1e3)

    def stop(self):
        self.daemon.__exit__()

    def metrics_url(self):
        with open(self.daemon.log.name, encoding="utf-8") as file:
            line = next(line for line in file if "http://" in line)
        return line[line.index("http://"):].split()[0].strip('",')

    def ask(self):
        for question, times in QUESTIONS:
            line = bench("ask", self.daemon.endpoint, self.n, question, times).strip().split("\t")
            self.keep(question, "ms", *map(float, line[2:]), times)
        url = self.metrics_url()
        self.timed("metrics page", lambda: urllib.request.urlopen(url).read(), 50)
        self.memory("after these questions")

    def list_devices(self):
        run = self.daemon.run
        self.timed("list, the first page of 8,192", lambda: run("device", "list", "--count", 8192), 5)
        self.timed("list of all, as it is printed", lambda: run("device", "list", "--out", os.devnull))
        self.memory("after a list of all")

    def tables(self):
        path = os.path.join(self.daemon.dir, "table.csv")
        for designs in (400, 15000):
            with open(path, "w", encoding="ascii") as file:
                file.write(bench("table", SPACES, 1 << 30, 4096, designs))
            self.timed("import of 4,096 devices, 20 of %d designs each" % designs, lambda: self.daemon.run(
                "measure", "import", "--space", "nasbench201", "--out", os.devnull, path))
        self.memory("after these imports")

    def learn(self):
        for command in (["train", "--effort", "none"], ["evaluate"], ["measure", "export"]):
            self.timed(" ".join(command) + ", refused", lambda: self.daemon.run(
                *command, "--space", "nasbench201", check=False))
        self.memory("after a training was refused")

    def fleet(self):
        path = os.path.join(self.daemon.dir, "fleet.csv")
        with open(path, "w", encoding="ascii") as file:
            file.write("device\n" + bench("names", self.n, self.n_fleet))
        start = time.monotonic()
        self.daemon.run("fleet", "--space", "nasbench201", "--devices", path, "--max-latency-ms",
                        "20", "--threads", "2", "--out", os.path.join(self.daemon.dir, "designs.csv"))
        self.keep("fleet of registered devices, 2 threads", "rows/s",
                  min(self.n, self.n_fleet) / (time.monotonic() - start), times=self.n_fleet)
        self.memory("after that fleet")

    def all(self):
        self.fill()
        if drop_page_cache():
            self.start("start, nothing of it in the page cache")
            self.stop()
        self.start("start, all of it in the page cache")
        self.memory("after the start")
        self.ask()
        self.list_devices()
        self.learn()
        self.fleet()
        self.tables()
        self.stop()
        return self.rows


# What docs/operations.md shows: the line there, the row, and whether p99 stands beside p50.
SHOWN = [
    ("file", "store file", False),
    ("start, file not in the page cache", "start, nothing of it in the page cache", False),
    ("start, file in the page cache", "start, all of it in the page cache", False),
    ("memory after the start", "memory of its own, after the start", False),
    ("memory with 64 views kept", "memory of its own, after these questions", False),
    ("`status`", "status", True), ("metrics page", "metrics page", False),
    ("`device show`", "show", True), ("a name that is not known", "a name that is not known", True),
    ("`device add`", "add", True),
    ("`predict` one design, first time", "predict, a device for the first time", True),
    ("`predict` one design, again", "predict, a device again", True),
    ("`design`, first time", "design, a device for the first time", True),
    ("`design`, again", "design, a device again", True),
    ("`proxy`, first time", "proxy, a device for the first time", True),
    ("`measure export --device`", "export of a device", True),
    ("`measure import`, 20 measurements", "import of 20 measurements", True),
    ("`measure import`, 4,096 devices", "import of 4,096 devices, 20 of 400 designs each", False),
    ("`device list`, all", "list of all, as it is printed", False),
    ("`fleet` of registered devices", "fleet of registered devices, 2 threads", False),
    ("`train` with nothing to learn from", "train --effort none, refused", False),
]


def shown(row, with_p99):
    def number(text):
        return "%.2g" % float(text) if float(text) < 10 else "%.0f" % float(text)

    return "%s%s %s" % (number(row[4]), " / " + number(row[5]) if with_p99 else "", row[2])


def write_doc(rows):
    """The table of docs/operations.md, and how it was made."""
    counts = sorted({int(row[0]) for row in rows})
    lines = ["| | %s devices |" % " | ".join("{:,}".format(n) for n in counts),
             "|---" * (len(counts) + 1) + "|"]
    for title, what, with_p99 in SHOWN:
        cells = [next((shown(r, with_p99) for r in rows if r[0] == str(n) and r[1] == what), "")
                 for n in counts]
        lines.append("| %s | %s |" % (title, " | ".join(cells)))
    harness.write_part("operations", "million", "\n".join(lines) + "\n\n" + source(read("million")[0]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--devices", default="100000,1000000")
    parser.add_argument("--folder", help="for the stores; default: a temporary one")
    parser.add_argument("--fleet", type=int, default=500, help="registered devices in a fleet")
    parser.add_argument("--keep", default="million", help="name of the result file")
    options = parser.parse_args()
    rows = []
    for n in map(int, options.devices.split(",")):
        with tempfile.TemporaryDirectory(prefix="tailor-million-", dir=options.folder) as folder:
            rows += Run(n, folder, options.fleet).all()
    harness.keep_result(options.keep, [
        "devices registered with 20 made-up latencies each on nasbench201, half of them bare, names in no order; through a client "
        "of its own process over ipc, 2 workers",
        "p50, p99 and most of so many times; where there was one time, p50 is the figure. Devices asked for the first time are others each time",
        "the pages of the store's file are the page cache's: the system takes them back when it needs room"],
        HEADER, rows)
    if options.keep == "million":
        write_doc(rows)


if __name__ == "__main__":
    main()
