#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tailor evaluate` on made-up devices: tables, JSON, plots, and what it refuses."""
import json
import os
import shutil
import subprocess
import unittest

import harness

DEVICES = ["adder", "doubler", "launcher"]
SETS = {"near", "far", "corrupted", "unseen", "foreign"}


class EvaluateTest(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        designs = harness.cells(500)
        columns = {
            "latency_ms@adder": lambda d: harness.latency_ms(d) * (1 + .02 * cls.noise(d, 1)),
            "latency_ms@doubler": lambda d: harness.latency_ms(d, 2, .5) * (1 + .02 * cls.noise(d, 2)),
            "latency_ms@launcher": lambda d: harness.latency_ms(d, .5, 2) * (1 + .02 * cls.noise(d, 3)),
            "latency_ms@rare": lambda d: 1.0 if d in designs[:20] else None,
            "accuracy@toy": harness.accuracy}
        path = os.path.join(cls.folder, "table.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write(harness.table(designs, columns))
        done = harness.run(cls.daemon, [
            harness.TAILOR, "measure", "import", "--space", "nasbench201", path])
        assert done.returncode == harness.DONE, done.stderr

    @staticmethod
    def noise(design, salt):
        """In [-1, 1), the same for a design each time."""
        number = salt
        for operator in design:
            number = (number * 31 + harness.OPERATORS.index(operator) + 1) * 2654435761 % 2 ** 32
        return number / 2 ** 31 - 1

    def test_every_device_method_and_set_has_a_row(self):
        rows = self.rows("evaluate", "--space", "nasbench201", "--methods", "gp,head,repulsive",
                         "--seed", "3")
        self.assertEqual({r["subject"] for r in rows}, set(DEVICES) | {"mean"})
        self.assertEqual({r["method"] for r in rows}, {"gp", "head", "repulsive"})
        self.assertEqual({r["set"] for r in rows}, SETS)
        self.assertEqual(len(rows), 4 * (3 * 5 - 1))
        self.assertNotIn(("head", "unseen"), {(r["method"], r["set"]) for r in rows})
        for row in rows:
            if row["set"] == "near":
                self.assertGreater(float(row["spearman"]), .8)
                self.assertEqual("", row["ood_auroc"])
            if row["set"] in ("far", "unseen", "foreign"):
                self.assertTrue(0 <= float(row["ood_auroc"]) <= 1)
            if row["set"] == "foreign":  # designs of other spaces: nothing is measured of them
                self.assertEqual("", row["rmse"])
                continue
            self.assertTrue(0 <= float(row["picp_80"]) <= 1)
            self.assertGreaterEqual(float(row["decision_cost"]), 0)
            if row["method"] == "gp":
                self.assertAlmostEqual(0, float(row["distance_exact"]), 6)

    def test_accuracies_are_graded_with_their_own_predictor(self):
        rows = self.rows("evaluate", "--space", "nasbench201", "--metric", "accuracy",
                         "--methods", "gp,accuracy", "--samples", 100)
        self.assertEqual({"toy", "mean"}, {r["subject"] for r in rows})
        self.assertEqual({"accuracy"}, {r["metric"] for r in rows})
        self.assertEqual({"gp", "accuracy"}, {r["method"] for r in rows})
        self.assertEqual(SETS - {"unseen"}, {r["set"] for r in rows})
        self.refused("evaluate", "--space", "nasbench201", "--metric", "accuracy",
                     "--devices", "adder", status=harness.USAGE)
        said = self.refused("evaluate", "--space", "nasbench201", "--metric", "beauty")
        self.assertIn("energy_mj", said)
        self.refused("evaluate", "--space", "nasbench201", "--metric", "energy_mj")

    def test_the_same_seed_gives_the_same_grades(self):
        def grades(seed):
            rows = self.rows("evaluate", "--space", "nasbench201", "--devices", "adder",
                             "--methods", "gp,ensemble", "--seed", seed)
            return [{k: v for k, v in r.items() if k != "time_ms"} for r in rows]
        self.assertEqual(grades(5), grades(5))
        self.assertNotEqual(grades(5), grades(6))

    def test_json_is_one_document(self):
        document = json.loads(self.ok("evaluate", "--space", "nasbench201", "--devices", "adder",
                                      "--methods", "gp", "--json"))
        self.assertEqual({"figures", "curves", "notes"}, set(document))
        self.assertEqual(10, len(document["figures"]))
        self.assertEqual({"calibration", "rejection"}, {p["curve"] for p in document["curves"]})

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_a_folder_gets_tables_scripts_and_plots(self):
        folder = os.path.join(self.folder, "plots")
        self.assertEqual("", self.ok("evaluate", "--space", "nasbench201", "--methods", "gp,head",
                                     "--out", folder))
        wanted = {"figures.csv", "curves.csv"}
        wanted |= {f"{plot}.{kind}" for kind in ("gp", "png", "svg")
                   for plot in ("calibration", "rejection", "coverage", "likelihood")}
        self.assertEqual(wanted, set(os.listdir(folder)))
        for name in wanted:
            self.assertGreater(os.path.getsize(os.path.join(folder, name)), 100, name)
        with open(os.path.join(folder, "calibration.png"), "rb") as file:
            self.assertEqual(b"\x89PNG", file.read(4))

    def test_without_gnuplot_the_tables_are_there_and_it_says_so(self):
        folder = os.path.join(self.folder, "no-plots")
        environment = dict(os.environ, TAILOR_ENDPOINT=self.daemon.endpoint, PATH="/nowhere")
        done = subprocess.run(
            [harness.TAILOR, "evaluate", "--space", "nasbench201", "--devices", "adder",
             "--methods", "gp", "--out", folder], env=environment, capture_output=True, text=True,
            check=False)
        self.assertEqual(harness.FAILED, done.returncode)
        self.assertIn("gnuplot-nox", done.stderr)
        self.assertTrue(os.path.exists(os.path.join(folder, "figures.csv")))
        self.assertTrue(os.path.exists(os.path.join(folder, "calibration.gp")))

    def test_what_cannot_be_graded_is_refused_with_the_reason(self):
        said = self.refused("evaluate", "--space", "nasbench201", "--devices", "nobody")
        self.assertIn("nobody", said)
        said = self.refused("evaluate", "--space", "nasbench201", "--devices", "rare")
        self.assertIn("20 designs", said)
        said = self.refused("evaluate", "--space", "nasbench201", "--methods", "guess")
        self.assertIn("mean-field", said)
        said = self.refused("evaluate", "--space", "fbnet")
        self.assertIn("fbnet", said)
        said = self.refused("evaluate", "--space", "nasbench201", "--samples", "2")
        self.assertIn("samples", said)
        self.refused("evaluate", status=harness.USAGE)


if __name__ == "__main__":
    unittest.main()
