# SPDX-License-Identifier: Apache-2.0
"""What every accuracy benchmark shares: a daemon of its own, the public
commands, tables, and statistics. Python's standard library only.

A benchmark talks to tailor as a user does, through `tailor` and files, so that
its figures are those a user gets."""
import csv
import datetime
import io
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

SOURCE_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD_DIR = os.environ.get("TL_BUILD_DIR", os.path.join(SOURCE_DIR, "build", "release"))
DATA_DIR = os.environ.get("TL_DATA_DIR", os.path.join(SOURCE_DIR, "..", "shared", "data"))
SPACES_DIR = os.path.join(SOURCE_DIR, "spaces")
RESULTS_DIR = os.path.join(SOURCE_DIR, "bench", "results")


def program(name):
    folder = {"tailord": "daemon", "tailor": "clients/cli", "tailor-agent": "clients/agent"}[name]
    for path in (os.path.join(BUILD_DIR, folder, name), os.path.join(BUILD_DIR, name)):
        if os.path.exists(path):
            return path
    sys.exit(f"{name} is not built in {BUILD_DIR}: cmake --build it, or set TL_BUILD_DIR")


def run_bench(name, *arguments):
    """What bench_NAME prints; its standard error is ours."""
    words = [f"bench_{name}", *map(str, arguments)]
    done = subprocess.run([os.path.join(BUILD_DIR, "bench", words[0]), *words[1:]],
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}: exit {done.returncode}")
    return done.stdout


def lines_of(text):
    """Header and rows of a tab-separated print, without its comments."""
    lines = [l.split("\t") for l in text.splitlines() if "\t" in l and not l.startswith("#")]
    return lines[0], lines[1:]


def records_of(text):
    """The same as dictionaries."""
    header, rows = lines_of(text)
    return [dict(zip(header, row)) for row in rows]


class Daemon:
    """tailord on an ipc endpoint in a new folder; `with` stops it and removes the folder.
    data: a folder of data that stands already, and stays."""

    def __init__(self, models=None, workers=2, also_listen=None, keys=None, data=None, options=()):
        self.dir = tempfile.mkdtemp(prefix="tailor-bench-")
        self.models = models
        if models is None:
            self.models = os.path.join(self.dir, "no-models")
            os.mkdir(self.models)
        self.endpoint = f"ipc://{self.dir}/socket"
        more = ["--listen", also_listen] if also_listen else []
        more += ["--keys", keys] if keys else []
        self.log = open(os.path.join(self.dir, "log"), "w", encoding="utf-8")
        self.words = [
            program("tailord"), "--data", data or os.path.join(self.dir, "data"), "--models",
            self.models, "--listen", self.endpoint, *more, "--workers", str(workers), *options]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.words, stderr=self.log)
        self.wait()

    def restart(self):
        """After a kill."""
        self.process.kill()
        self.process.wait()
        self.start()

    def wait(self):
        for _ in range(200):
            if self.process.poll() is not None:
                sys.exit("tailord ended: " + open(self.log.name, encoding="utf-8").read())
            if self.run("status", check=False).returncode == 0:
                return
            time.sleep(.05)
        sys.exit("tailord did not answer within 10 s")

    def run(self, *args, check=True):
        done = subprocess.run(
            [program("tailor"), "--connect", self.endpoint, *map(str, args)],
            capture_output=True, text=True, check=False)
        if check and done.returncode not in (0, 3):
            sys.exit(f"tailor {' '.join(map(str, args))}: exit {done.returncode}\n{done.stderr}")
        return done

    def table(self, *args):
        return list(csv.DictReader(io.StringIO(self.run(*args).stdout)))

    def write(self, name, header, rows):
        path = os.path.join(self.dir, name)
        with open(path, "w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(header)
            out.writerows(rows)
        return path

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Table:
    """A measurement table: slots, designs (tuples of text), columns of floats (NaN: not measured)."""

    def __init__(self, name):
        path = os.path.join(DATA_DIR, name)
        if not os.path.exists(path):
            sys.exit(f"{path}: there is no such table; set TL_DATA_DIR")
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        header = rows[0]
        comments = {"macs_m", "params_m"}
        self.slots = [c for c in header if "@" not in c and c not in comments]
        places = [header.index(s) for s in self.slots]
        self.designs = [tuple(r[i] for i in places) for r in rows[1:]]
        self.columns = {
            c: [float(r[i]) if r[i] else math.nan for r in rows[1:]]
            for i, c in enumerate(header) if "@" in c}

    def measured(self, column):
        return [i for i, v in enumerate(self.columns[column]) if not math.isnan(v)]


def ranks(values):
    order = sorted(range(len(values)), key=values.__getitem__)
    out = [0.] * len(values)
    i = 0
    while i < len(order):
        j = i
        while j + 1 < len(order) and values[order[j + 1]] == values[order[i]]:
            j += 1
        for k in range(i, j + 1):
            out[order[k]] = (i + j) / 2
        i = j + 1
    return out


def spearman(x, y):
    a, b = ranks(x), ranks(y)
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    top = sum((p - mean_a) * (q - mean_b) for p, q in zip(a, b))
    bottom = math.sqrt(sum((p - mean_a) ** 2 for p in a) * sum((q - mean_b) ** 2 for q in b))
    return top / bottom if bottom > 0 else 0.


def mean(values):
    return sum(values) / len(values)


def sd(values):
    m = mean(values)
    return math.sqrt(sum((v - m) ** 2 for v in values) / len(values))


def quantile(values, q):
    s = sorted(values)
    place = q * (len(s) - 1)
    low = int(place)
    high = min(low + 1, len(s) - 1)
    return s[low] + (place - low) * (s[high] - s[low])


def canonical_cell(design):
    """Text of the function that a nasbench201 cell computes; isomorphic cells agree."""
    ops = dict(zip(["e01", "e02", "e12", "e03", "e13", "e23"], design))
    nodes = [("x",), (), (), ()]
    for to in (1, 2, 3):
        terms = []
        for start in range(to):
            op = ops[f"e{start}{to}"]
            if op == "none" or not nodes[start]:
                continue
            if op == "skip_connect":
                terms += nodes[start]
            else:
                terms.append(f"{op}({'+'.join(nodes[start])})")
        nodes[to] = tuple(sorted(terms))
    return "+".join(nodes[3])


def canonical_folds(designs, n_folds, seed):
    """A fold for each design; isomorphic cells share theirs."""
    keys = [canonical_cell(d) for d in designs]
    unique = sorted(set(keys))
    random.Random(seed).shuffle(unique)
    fold = {key: i % n_folds for i, key in enumerate(unique)}
    return [fold[k] for k in keys]


def git(*words):
    return subprocess.run(["git", "-C", SOURCE_DIR, *words], capture_output=True, text=True,
                          check=False).stdout.strip()


def commit_now():
    """With + where the tree is not that of the commit: files that are not in it count, what
    benchmarks write does not."""
    changed = git("status", "--porcelain", "--", ".", ":!bench/results", ":!docs")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


# As the benchmark begins: others may commit while it runs.
COMMIT = commit_now()


def command():
    """As it was called, without the paths of this machine."""
    words = [re.sub(r"(^|=)/.*", r"\1PATH", word) for word in sys.argv[1:]]
    return " ".join([f"bench/{os.path.basename(sys.argv[0])}", *words])


def machine():
    model = "unknown processor"
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next(l.split(":")[1].strip() for l in file if l.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{os.cpu_count()} x {model}"


def write_part(document, mark, text):
    """Replaces what stands between <!-- MARK --> and <!-- /MARK --> in docs/DOCUMENT.md."""
    path = os.path.join(SOURCE_DIR, "docs", document + ".md")
    begin, end = f"<!-- {mark} -->\n", f"<!-- /{mark} -->\n"
    with open(path, encoding="utf-8") as file:
        before, rest = file.read().split(begin)
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + begin + text + "\n" + end + rest.split(end)[1])


def keep_result(name, protocol, header, rows):
    """Writes bench/results/NAME.tsv: how it was made, then the table. Where rows are of several
    runs they have columns command and commit, and the head has neither."""
    os.makedirs(RESULTS_DIR, exist_ok=True)
    path = os.path.join(RESULTS_DIR, name + ".tsv")
    with open(path, "w", encoding="utf-8") as file:
        notes = {"command": command(), "date": datetime.date.today(), "commit": COMMIT,
                 "machine": machine()}
        for key, value in notes.items():
            if key not in header:
                file.write(f"# {key}\t{value}\n")
        for line in protocol:
            file.write(f"# protocol\t{line}\n")
        file.write("\t".join(header) + "\n")
        for row in rows:
            file.write("\t".join(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row) + "\n")
    print(f"kept in {os.path.relpath(path)}")
