# SPDX-License-Identifier: Apache-2.0
"""A synthetic world that end-to-end tests train on: three devices that add up their operators at
different speeds, one of them measured on few designs only, and a task that likes convolutions.
"""
import contextlib
import fcntl
import hashlib
import json
import os
import shutil

import harness

SPACE = ["--space", "nasbench201"]
SLOTS = harness.EDGES + ["w01", "w02", "w12", "w03", "w13", "w23"]
PREDICTIONS = ["latency_ms", "latency_std_ms", "energy_mj", "energy_std_mj", "accuracy",
               "accuracy_std"]
N_TRAIN, N_FEW, N_TEST = 600, 30, 300


def number(text):
    return float(text) if text else None


def fast(design):
    return harness.latency_ms(design)


def slow(design):
    return harness.latency_ms(design, 12.0, 0.1)


def new(design):
    return harness.latency_ms(design, 4.0, 0.6)


class Learned(harness.Case):
    """A daemon that learns something before the first test."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.learn()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def must(cls, *words):
        """Standard output of a tailor command that is done."""
        result = harness.run(cls.daemon, [harness.TAILOR, *words])
        if result.returncode != harness.DONE:
            raise AssertionError(" ".join(words) + ": " + result.stderr)
        return result.stdout

    @classmethod
    def save(cls, name, text):
        """A file in the class's folder; its path."""
        path = os.path.join(cls.folder, name)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return path

    @classmethod
    def learn_table(cls, text, *options):
        """Imports a table and trains on it; the report."""
        cls.must("measure", "import", *SPACE, cls.save("train.csv", text))
        return json.loads(cls.must("train", *SPACE, "--seed", "7", "--json", *options))


class Sourced(Learned):
    """Trained on devices of a subclass's own, the first of which has energies too, and on the
    task toy; nothing else is measured."""

    sources = {}  # latency_ms of a design, by the name of a device
    n_designs = 400
    effort = "quick"

    @classmethod
    def learn(cls):
        columns = {"latency_ms@" + name: truth for name, truth in cls.sources.items()}
        first, truth = next(iter(cls.sources.items()))
        columns["energy_mj@" + first] = lambda d: 2.0 * truth(d)
        columns["accuracy@toy"] = harness.accuracy
        cls.report = cls.learn_table(harness.table(harness.cells(cls.n_designs), columns),
                                     "--devices", ",".join(cls.sources), "--effort", cls.effort)


def digest(text):
    """Of what a training reads: programs and table."""
    result = hashlib.sha256(text.encode())
    for path in (harness.TAILORD, harness.TAILOR):
        with open(path, "rb") as file:
            result.update(file.read())
    return result.hexdigest()


@contextlib.contextmanager
def alone(path):
    """One process at a time, however it ends."""
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Trained(Learned):
    """Trained on the world: designs to test with are left over, new has few measurements.

    One training serves all tests of a build: the daemon's folder is kept in the build tree, and
    the next class begins with a copy, as long as programs and table are the same.
    """

    world = os.path.join(harness.BUILD_DIR, "tests", "trained")

    @classmethod
    def learn_table(cls, text, *options):
        key = digest("\0".join((text,) + options))
        data = os.path.join(cls.folder, "data")
        with alone(cls.world + ".lock"):
            kept = cls.kept_report(key)
            report = kept or super().learn_table(text, *options)
            if cls.daemon.stop() != 0:
                raise AssertionError("tailord left unkindly:\n" + cls.daemon.log())
            if kept:
                shutil.rmtree(data)
                shutil.copytree(os.path.join(cls.world, "data"), data)
            else:
                cls.keep(key, data, report)
        cls.daemon.start()
        return report

    @classmethod
    def kept_report(cls, key):
        """What the training said; None where there was none, or another."""
        with contextlib.suppress(FileNotFoundError):
            with open(os.path.join(cls.world, "said.json"), encoding="utf-8") as file:
                said = json.load(file)
            return said["report"] if said["key"] == key else None
        return None

    @classmethod
    def keep(cls, key, data, report):
        """What it said comes last: what has that is whole."""
        shutil.rmtree(cls.world, ignore_errors=True)
        shutil.copytree(data, os.path.join(cls.world, "data"))
        said = os.path.join(cls.world, "said.json")
        with open(said + ".new", "w", encoding="utf-8") as file:
            json.dump({"key": key, "report": report}, file)
        os.rename(said + ".new", said)

    @classmethod
    def learn(cls):
        designs = harness.cells(N_TRAIN + N_TEST)
        cls.train_designs, cls.test_designs = designs[:N_TRAIN], designs[N_TRAIN:]
        few = set(cls.train_designs[:N_FEW])
        cls.test_path = cls.save("test.csv", harness.table(cls.test_designs, {}))
        cls.report = cls.learn_table(harness.table(cls.train_designs, {
            "latency_ms@fast": fast, "latency_ms@slow": slow,
            "latency_ms@new": lambda d: new(d) if d in few else None,
            "energy_mj@fast": lambda d: 2.0 * fast(d),
            "accuracy@toy": harness.accuracy}), "--devices", "fast,slow")
