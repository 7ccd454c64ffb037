# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: the real programs, on an ipc endpoint, in a new folder.

    class MyTest(harness.Case):
        def test_something(self):
            self.assertEqual("", self.ok("device", "list", "--json"))

Programs come from TL_BUILD_DIR. TL_SEED replaces the seed of what is random.
"""
import csv
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE_DIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD_DIR = os.environ.get("TL_BUILD_DIR", os.path.join(SOURCE_DIR, "build"))
SEED = int(os.environ.get("TL_SEED", "20261120"))

TAILORD = os.path.join(BUILD_DIR, "daemon", "tailord")
TAILOR = os.path.join(BUILD_DIR, "clients", "cli", "tailor")
AGENT = os.path.join(BUILD_DIR, "clients", "agent", "tailor-agent")

DONE, FAILED, USAGE, INFEASIBLE = 0, 1, 2, 3
# A tool that programs run under, as "valgrind -q"; everything may then take longer, as where
# TL_SLOWER says so of programs that are slow by themselves (the thread sanitizer).
UNDER = os.environ.get("TL_UNDER", "").split()
SLOWER = int(os.environ.get("TL_SLOWER", "20" if UNDER else "1"))
# Machine code that oneDNN makes for the newest processors a tool may not know, and the agent would
# start itself again on one processor, by way of the tool's own file: it hears that it has.
AGENT_UNDER = {"ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1",
               "TAILOR_AGENT_PINNED": str(max(os.sched_getaffinity(0)))} if UNDER else {}
START_S = 30 * SLOWER
STOP_S = 60 * SLOWER
RUN_S = 300 * SLOWER

# A sanitizer's report in what a program wrote to standard error.
COMPLAINTS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:",
              "assertion failed")


class Daemon:
    """tailord in a folder of its own; stop() ends it kindly, kill() as a power cut would."""

    program = TAILORD
    environment = None

    def __init__(self, folder, models=None):
        self.folder = folder
        self.endpoint = "ipc://" + os.path.join(folder, "socket")
        self.models = models or os.path.join(folder, "no-models")
        self.log_path = os.path.join(folder, "tailord.log")
        self.process = None

    def command(self):
        return [self.program, "--data", os.path.join(self.folder, "data"),
                "--models", self.models, "--listen", self.endpoint]

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                UNDER + self.command(), stdin=subprocess.DEVNULL, stderr=log,
                env=self.environment)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if run(self, [TAILOR, "--timeout-ms", "500", "status"]).returncode == DONE:
                return
            if self.process.poll() is not None:
                break
        raise AssertionError("tailord does not answer:\n" + self.log())

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self):
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def kill(self):
        self.process.kill()
        self.process.wait(STOP_S)


def run(daemon, command, environment=None, **options):
    environment = dict(os.environ, TAILOR_ENDPOINT=daemon.endpoint, **(environment or {}))
    return subprocess.run(command, env=environment, capture_output=True, text=True,
                          timeout=RUN_S, stdin=subprocess.DEVNULL, check=False, **options)


class Case(unittest.TestCase):
    """One daemon a class, in a folder that is removed with it."""

    models = None
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        # A socket's path is short: not below a deep TMPDIR.
        cls.folder = tempfile.mkdtemp(prefix="tailor-e2e-", dir="/tmp")
        cls.daemon = cls.new_daemon()
        try:
            cls.daemon.start()
        except BaseException:
            shutil.rmtree(cls.folder)
            raise

    @classmethod
    def new_daemon(cls):
        return Daemon(cls.folder, cls.models)

    @classmethod
    def tearDownClass(cls):
        status = cls.daemon.stop()
        log = cls.daemon.log()
        shutil.rmtree(cls.folder)
        if status != 0 or any(word in log for word in COMPLAINTS):
            raise AssertionError("tailord left with status %d:\n%s" % (status, log))

    def run_program(self, program, arguments, status):
        result = run(self.daemon, UNDER + [program] + [str(a) for a in arguments],
                     AGENT_UNDER if program == AGENT else None)
        if result.returncode != status or any(w in result.stderr for w in COMPLAINTS):
            self.fail("%s %s: left with %d, want %d\n%s" % (
                os.path.basename(program), " ".join(map(str, arguments)), result.returncode,
                status, result.stderr[-3000:] + result.stdout[-1000:]))
        return result

    def ok(self, *arguments):
        """Standard output of a tailor command that is done."""
        return self.run_program(TAILOR, arguments, DONE).stdout

    def refused(self, *arguments, status=FAILED):
        """Standard error of a tailor command that fails; it prints nothing else."""
        result = self.run_program(TAILOR, arguments, status)
        self.assertEqual("", result.stdout)
        return result.stderr

    def agent(self, *arguments, status=DONE):
        return self.run_program(AGENT, arguments, status)

    def rows(self, *arguments, status=DONE):
        """The CSV that a command prints, as a list of dictionaries."""
        text = self.run_program(TAILOR, arguments, status).stdout
        return list(csv.DictReader(io.StringIO(text)))

    def write(self, name, text):
        """A file in the class's folder; its path."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return path


# ---- synthetic measurements --------------------------------------------------------

EDGES = ["e01", "e02", "e12", "e03", "e13", "e23"]
OPERATORS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
WORK = {"none": 0.0, "skip_connect": 0.05, "nor_conv_1x1": 0.4, "nor_conv_3x3": 1.8,
        "avg_pool_3x3": 0.25}
VALUE = {"none": 0.0, "skip_connect": 1.0, "nor_conv_1x1": 2.2, "nor_conv_3x3": 3.0,
         "avg_pool_3x3": 0.6}


def cells(n, salt=0):
    """n different cells of nasbench201."""
    numbers = random.Random(SEED + salt).sample(range(len(OPERATORS) ** len(EDGES)), n)
    designs = []
    for number in numbers:
        design = []
        for _ in EDGES:
            number, choice = divmod(number, len(OPERATORS))
            design.append(OPERATORS[choice])
        designs.append(tuple(design))
    return designs


def latency_ms(design, scale=1.0, launch_ms=0.3):
    """A device that adds up its operators."""
    return scale * (launch_ms + sum(WORK[operator] for operator in design))


def accuracy(design):
    """A task that likes convolutions, up to a point."""
    return 94.0 - 60.0 * 0.8 ** sum(VALUE[operator] for operator in design)


def table(designs, columns):
    """CSV text; columns: name -> function of a design."""
    lines = [",".join(EDGES + list(columns))]
    for design in designs:
        values = ["" if f(design) is None else repr(f(design)) for f in columns.values()]
        lines.append(",".join(list(design) + values))
    return "\n".join(lines) + "\n"


def key(row):
    return tuple(row[edge] for edge in EDGES)


def ranks(values):
    order = sorted(range(len(values)), key=values.__getitem__)
    result = [0.0] * len(values)
    for rank, i in enumerate(order):
        result[i] = float(rank)
    return result


def rank_correlation(a, b):
    """Spearman's, ties in the order of appearance."""
    x, y = ranks(a), ranks(b)
    mean = (len(a) - 1) / 2.0
    covariance = sum((p - mean) * (q - mean) for p, q in zip(x, y))
    return covariance / sum((p - mean) ** 2 for p in x)


def main():
    print("TL_SEED=%d" % SEED, file=sys.stderr)
    unittest.main(verbosity=2)
