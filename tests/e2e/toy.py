# SPDX-License-Identifier: Apache-2.0
"""A synthetic world that end-to-end tests train on: three devices that add up their operators at
different speeds, one of them measured on few designs only, and a task that likes convolutions.
"""
import json

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


class Trained(harness.Case):
    """A daemon that was trained on the world."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.learn()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def learn(cls):
        designs = harness.cells(N_TRAIN + N_TEST)
        cls.train_designs, cls.test_designs = designs[:N_TRAIN], designs[N_TRAIN:]
        few = set(cls.train_designs[:N_FEW])
        path = cls.folder + "/train.csv"
        with open(path, "w", encoding="utf-8") as file:
            file.write(harness.table(cls.train_designs, {
                "latency_ms@fast": fast, "latency_ms@slow": slow,
                "latency_ms@new": lambda d: new(d) if d in few else None,
                "energy_mj@fast": lambda d: 2.0 * fast(d),
                "accuracy@toy": harness.accuracy}))
        test = cls.folder + "/test.csv"
        with open(test, "w", encoding="utf-8") as file:
            file.write(harness.table(cls.test_designs, {}))
        cls.test_path = test
        for words in (["measure", "import", *SPACE, path],
                      ["train", *SPACE, "--devices", "fast,slow", "--seed", "7", "--json"]):
            result = harness.run(cls.daemon, [harness.TAILOR] + words)
            if result.returncode != 0:
                raise AssertionError(" ".join(words) + ": " + result.stderr)
        cls.report = json.loads(result.stdout)
