#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The programs of examples/c against the real daemon and the shipped models."""
import csv
import io
import os
import re
import subprocess
import unittest

import harness

EXAMPLES = os.path.join(harness.BUILD_DIR, "examples", "c")
SPACE = "nasbench201"
N_ROWS = 1200  # several pieces


@unittest.skipUnless(os.path.isdir(EXAMPLES), "built without examples")
class Examples(harness.Case):
    models = os.path.join(harness.SOURCE_DIR, "models")

    def example(self, name, *arguments, status=harness.DONE, text=""):
        done = subprocess.run(
            [os.path.join(EXAMPLES, name), *map(str, arguments)], input=text, text=True,
            capture_output=True, timeout=harness.RUN_S, check=False,
            env={**os.environ, "TAILOR_ENDPOINT": self.daemon.endpoint})
        self.assertEqual(status, done.returncode, done.stderr + done.stdout)
        return done

    def test_a_registered_device_is_answered_at_once(self):
        for _ in range(2):
            rows = list(csv.DictReader(io.StringIO(
                self.example("register_device", "board", 60).stdout)))
            self.assertEqual(1, len(rows))
            self.assertLessEqual(float(rows[0]["latency_ms"]), 60)
        self.assertIn("clock_mhz: 1800", self.ok("device", "show", "board"))
        self.example("register_device", "board", 1e-6, status=harness.INFEASIBLE)
        told = self.example("register_device", "no name", 60, status=harness.FAILED).stderr
        self.assertIn("register_device: no name: ", told)

    def test_measuring_goes_on_until_the_limit_is_kept(self):
        for limit in (1.5, 3):
            rig = "rig-%s" % limit
            told = self.example("measure_and_refine", SPACE, rig, limit).stdout
            measured = re.findall(r"measured (\S+) ms", told)
            self.assertLessEqual(float(measured[-1]), limit)
            self.assertTrue(all(float(ms) > limit for ms in measured[:-1]))
            rows = self.rows("measure", "export", "--space", SPACE, "--device", rig)
            self.assertGreater(len(rows), 10)
            design = told.splitlines()[-1].split(",")
            self.assertIn(design, [list(row.values())[:len(design)] for row in rows])

    def test_a_fleet_is_answered_in_pieces(self):
        lines = ["class,cores,clock_mhz,peak_gflops.fp32,bandwidth_gb_per_s.dram"]
        lines += ["cpu,4,%d,%.1f,8" % (600 + i, (600 + i) * 0.032) for i in range(N_ROWS)]
        table = "\n".join(lines) + "\n"
        done = self.example("fleet", SPACE, 80, text=table)
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        self.assertEqual(N_ROWS, len(rows))
        self.assertEqual({""}, {row["error"] for row in rows})
        self.assertIn("%d rows" % N_ROWS, done.stderr)
        path = self.write("fleet.csv", table)
        self.assertEqual(rows, self.rows(
            "fleet", "--space", SPACE, "--devices", path, "--max-latency-ms", 80))
        self.example("fleet", SPACE, 1e-6, text="device\nraspi4\n", status=harness.INFEASIBLE)
        for line, told in (('"raspi4\n"', "line 3 ends within"), ("", "line 3 is blank"),
                           ("x" * 1023, "line 3 is too long")):
            for end in ("", "\n"):
                wrong = self.example("fleet", SPACE, 80, text="device\nraspi4\n" + line + "\n" + end,
                                     status=harness.FAILED)
                self.assertIn(told, wrong.stderr)
                self.assertEqual("", wrong.stdout)
        longest = "device,description\nraspi4,\n,%s" % ("x" * 1021)
        self.assertIn("2 rows", self.example(
            "fleet", SPACE, 80, text=longest, status=harness.FAILED).stderr)
        wrong = self.example("fleet", SPACE, 80, text="device\nraspi4\nnobody\n",
                             status=harness.FAILED)
        rows = list(csv.DictReader(io.StringIO(wrong.stdout)))
        self.assertEqual("", rows[0]["error"])
        self.assertIn('no device "nobody"', rows[1]["error"])

    def test_threads_share_a_client(self):
        limits = [1 + i / 4 for i in range(16)]
        told = self.example("threads", SPACE, "pixel3", *limits).stdout.splitlines()
        self.assertEqual(len(limits), len(told))
        for limit, line in zip(limits, told):
            wanted, ms = re.fullmatch(r"(\S+) ms: \S+% in (\S+) ms", line).groups()
            self.assertEqual(limit, float(wanted))
            self.assertLessEqual(float(ms), limit)

    def test_a_daemon_that_is_killed_and_comes_back_is_found_again(self):
        self.daemon.kill()
        with subprocess.Popen(
                [os.path.join(EXAMPLES, "threads"), SPACE, "pixel3", *map(str, range(1, 9))],
                text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={**os.environ, "TAILOR_ENDPOINT": self.daemon.endpoint}) as waiting:
            self.daemon.start()
            out, err = waiting.communicate(timeout=harness.RUN_S)
        self.assertEqual(harness.DONE, waiting.returncode, err)
        self.assertEqual(8, len(out.splitlines()))


if __name__ == "__main__":
    harness.main()
