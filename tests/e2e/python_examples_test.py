#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The programs of examples/python, and those in the text of clients/python/README.md, against the
real daemon with the shipped models."""
import csv
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import unittest

import harness
import pypackage

EXAMPLES = os.path.join(harness.SOURCE_DIR, "examples", "python")
README = os.path.join(harness.SOURCE_DIR, "clients", "python", "README.md")

DEVICES = {"raspi4", "pixel3", "edgegpu", "eyeriss"}


class Examples(harness.Case):
    models = os.path.join(harness.SOURCE_DIR, "models")

    def run_python(self, *arguments, status=0, warn="error", **variables):
        done = subprocess.run(
            [sys.executable, "-W", warn, *arguments], text=True, capture_output=True,
            timeout=harness.RUN_S, check=False, cwd=self.folder,
            env={**os.environ, "TAILOR_ENDPOINT": self.daemon.endpoint,
                 "PYTHONPATH": pypackage.FOLDER, **variables})
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done

    def example(self, name, *arguments, **options):
        return self.run_python(os.path.join(EXAMPLES, name), *arguments, **options)

    def test_a_device_is_registered(self):
        told = self.example("register_device.py").stdout
        self.assertIn("refused: no device", told)
        self.assertIn("latency_ms@kitchen-camera", told)
        self.assertIn("kitchen-camera", self.ok("device", "list"))

    def test_measuring_and_refining_ends_at_a_measured_design(self):
        for device, arguments in (("made-up", ()), ("here", ("--agent", harness.AGENT))):
            told = self.example("measure_and_refine.py", "--device", device, *arguments).stdout
            self.assertIn("6 measurements", told)
            answer = list(csv.DictReader(io.StringIO(told[told.index("e01,"):])))[0]
            if not arguments:  # a clock that always says the same
                self.assertEqual("0", answer["latency_std_ms"], told)

    def test_a_fleet_is_answered(self):
        done = self.example("fleet.py", status=3)
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        self.assertEqual(["phone-%d" % i for i in range(2000)], [row["device"] for row in rows])
        self.assertIn("33 that miss their limit, 0 rows without", done.stderr)
        path = self.write("fleet.csv", "device,max_latency_ms\nraspi4,30\nnobody,1\npixel3,\n")
        done = self.example("fleet.py", path, status=1)
        self.assertIn("2 designs, 0 that miss their limit, 1 rows without", done.stderr)

    def plot(self, **options):
        """The picture that the example draws."""
        told = self.example("pareto_plot.py", OUT=self.folder, **options).stdout
        with open(os.path.join(self.folder, "pareto.csv"), encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(DEVICES, {row["device"] for row in rows})
        self.assertIn("pareto.csv", told)
        with open(os.path.join(self.folder, "pareto.svg"), encoding="utf-8") as file:
            return file.read()

    @unittest.skipUnless(importlib.util.find_spec("matplotlib"), "no matplotlib")
    def test_fronts_are_plotted(self):
        picture = self.plot(warn="default")  # of matplotlib's own
        for device in DEVICES:
            self.assertIn(device, picture)

    @unittest.skipUnless(shutil.which("gnuplot"), "no gnuplot")
    def test_fronts_are_plotted_without_matplotlib(self):
        self.write("matplotlib.py", "raise ImportError")
        picture = self.plot(PYTHONPATH=os.pathsep.join((self.folder, pypackage.FOLDER)))
        for device in DEVICES:
            self.assertIn(device, picture)

    def test_the_programs_in_the_text_run(self):
        """Each stands for itself, after what it says that there is."""
        with open(README, encoding="utf-8") as file:
            programs = re.findall(r"```python\n(.*?)```", file.read(), re.S)
        self.assertGreater(len(programs), 3)
        self.write("todo.csv", harness.table(harness.cells(3), {}))
        self.write("fleet.csv", "device,max_latency_ms\nraspi4,100\npixel3,50\n")
        for i, program in enumerate(programs):
            with self.subTest(program=program):
                self.run_python(self.write("program-%d.py" % i, program))


if __name__ == "__main__":
    pypackage.main()
