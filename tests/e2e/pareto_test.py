#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The predicted Pareto front, on the world of toy.py."""
import csv
import io
import json
import os
import shutil
import unittest

import harness
from toy import PREDICTIONS, SLOTS, SPACE, Trained


class Pareto(Trained):
    def front(self, *options, device="fast"):
        return self.rows("pareto", *SPACE, "--device", device, *options)

    def test_cost_and_accuracy_both_rise_and_no_design_of_the_space_beats_one(self):
        rows = self.front("--points", 1000)
        self.assertGreater(len(rows), 10)
        self.assertEqual(SLOTS + PREDICTIONS + ["p_feasible"], list(rows[0]))
        for cheaper, dearer in zip(rows, rows[1:]):
            self.assertLess(float(cheaper["latency_ms"]), float(dearer["latency_ms"]))
            self.assertLess(float(cheaper["accuracy"]), float(dearer["accuracy"]))
        asked = self.rows("predict", *SPACE, "--device", "fast", "--designs", self.test_path)
        for row in asked:
            self.assertTrue(any(
                float(f["latency_ms"]) <= float(row["latency_ms"]) + 1e-6 and
                float(f["accuracy"]) >= float(row["accuracy"]) - 1e-6 for f in rows))

    def test_points_says_how_many_and_keeps_the_ends(self):
        whole = self.front("--points", 1000)
        few = self.front("--points", 4)
        self.assertEqual(4, len(few))
        self.assertEqual(whole[0], few[0])
        self.assertEqual(whole[-1], few[-1])
        self.assertLessEqual(len(self.front()), 20)

    def test_the_best_design_under_a_limit_is_on_the_front_under_that_limit(self):
        limit = 15
        best = self.rows("design", *SPACE, "--device", "fast", "--max-latency-ms", limit)[0]
        rows = self.front("--max-latency-ms", limit, "--points", 1000)
        self.assertTrue(all(float(row["p_feasible"]) >= 0.9 for row in rows))
        self.assertAlmostEqual(float(best["accuracy"]), float(rows[-1]["accuracy"]), 6)

    def test_energy_is_a_cost_too(self):
        rows = self.front("--minimize", "energy_mj", "--points", 1000)
        for cheaper, dearer in zip(rows, rows[1:]):
            self.assertLess(float(cheaper["energy_mj"]), float(dearer["energy_mj"]))

    def test_an_impossible_limit_prints_the_nearest_and_leaves_with_3(self):
        done = self.run_program(
            harness.TAILOR,
            ["pareto", *SPACE, "--device", "fast", "--max-latency-ms", "1e-9"],
            harness.INFEASIBLE)
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        self.assertEqual(1, len(rows))
        self.assertLess(float(rows[0]["p_feasible"]), 0.9)

    def test_what_the_front_covers_goes_to_standard_error(self):
        done = self.run_program(
            harness.TAILOR, ["pareto", *SPACE, "--device", "fast"], harness.DONE)
        self.assertIn("hypervolume", done.stderr)
        self.assertNotIn("hypervolume", done.stdout)

    def test_json_has_the_same_rows(self):
        rows = self.front("--points", 5)
        lines = self.ok("pareto", *SPACE, "--device", "fast", "--points", 5, "--json").splitlines()
        self.assertEqual(
            [row["e01"] for row in rows], [json.loads(line)["e01"] for line in lines])

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_a_plot_is_drawn_as_png_and_as_svg(self):
        for name, start in (("front.png", b"\x89PNG"), ("front.svg", b"<?xml")):
            path = os.path.join(self.folder, name)
            self.front("--plot", path)
            with open(path, "rb") as file:
                self.assertEqual(start, file.read(len(start)))
            self.assertTrue(os.path.exists(path + ".gp"))

    def test_bad_questions_are_refused(self):
        ask = ["pareto", *SPACE, "--device"]
        self.assertIn("nobody", self.refused(*ask, "nobody"))
        self.assertIn("--plot", self.refused(
            *ask, "fast", "--plot", "front.jpg", status=harness.USAGE))
        self.assertIn("--plot", self.refused(
            *ask, "fast", "--plot", "it's.png", status=harness.USAGE))
        self.assertIn("--minimize", self.refused(
            *ask, "fast", "--minimize", "size", status=harness.USAGE))
        self.assertIn("points", self.refused(*ask, "fast", "--points", "100000"))
        self.refused(*ask, "fast", "--points", "-1", status=harness.USAGE)
        self.assertIn("max_latency_ms", self.refused(*ask, "fast", "--max-latency-ms", "-3"))
        self.assertIn("energy", self.refused(*ask, "slow", "--minimize", "energy_mj"))
        self.ok("device", "add", "--name", "unknown")
        self.assertIn("latency", self.refused(*ask, "unknown"))


if __name__ == "__main__":
    harness.main()
