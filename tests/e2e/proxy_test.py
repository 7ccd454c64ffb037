#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proxy devices: whose ranks a new device shares, and their designs, on a synthetic table."""
import json

import harness
from toy import SPACE, Sourced
from toy import fast as alike
from toy import new as board

COLUMNS = ["device", "spearman", "spearman_low", "spearman_high", "reusable", "measurements"]
POOL_COST = {"none": 0.0, "skip_connect": 1.0, "nor_conv_1x1": 0.2, "nor_conv_3x3": 0.3,
             "avg_pool_3x3": 2.5}


def other(design):
    """A device that is slow at what the others are fast at."""
    return 0.5 + sum(POOL_COST[operator] for operator in design)


class Proxies(Sourced):
    sources = {"alike": alike, "other": other}

    def measured(self, name, truth, n=12):
        path = self.write("few.csv", harness.table(
            harness.cells(n, 9), {"latency_ms@" + name: truth}))
        self.ok("measure", "import", *SPACE, path)
        return name

    def proxy(self, device, *options):
        return self.rows("proxy", *SPACE, "--device", device, *options)

    def test_the_device_that_ranks_alike_comes_first_and_may_be_reused(self):
        for name, truth, first in (("twin", board, "alike"), ("odd", other, "other")):
            rows = self.proxy(self.measured(name, truth))
            with self.subTest(device=name):
                self.assertEqual(COLUMNS, list(rows[0]))
                self.assertEqual(2, len(rows))
                self.assertEqual(first, rows[0]["device"])
                self.assertEqual(["1", "0"], [row["reusable"] for row in rows])
                self.assertEqual({"12"}, {row["measurements"] for row in rows})
        designs = harness.cells(400)
        true = {"alike": harness.rank_correlation([other(d) for d in designs],
                                                  [alike(d) for d in designs]), "other": 1.0}
        for row in rows:
            low, middle, high = (float(row[c]) for c in COLUMNS[2:0:-1] + COLUMNS[3:4])
            self.assertLessEqual(low, middle)
            self.assertLessEqual(middle, high)
            self.assertLess(abs(middle - true[row["device"]]), 0.15)

    def test_a_proxys_designs_serve_the_device(self):
        self.measured("served", board)
        result = self.run_program(
            harness.TAILOR, ["proxy", *SPACE, "--device", "served", "--points", "6"], harness.DONE)
        self.assertIn("reuse of alike", result.stderr)
        rows = self.proxy("served", "--points", 6)
        self.assertLessEqual(len(rows), 6)
        self.assertGreater(len(rows), 2)
        latencies = [float(row["latency_ms"]) for row in rows]
        accuracies = [float(row["accuracy"]) for row in rows]
        self.assertEqual(sorted(latencies), latencies)
        self.assertEqual(sorted(accuracies), accuracies)
        for row in rows[1:]:
            self.assertLess(abs(float(row["latency_ms"]) / board(harness.key(row)) - 1), 0.3)

    def test_where_none_agrees_the_nearest_is_adapted(self):
        mixed = self.measured("mixed", lambda d: alike(d) + 0.5 * other(d), 30)
        self.assertEqual({"0"}, {row["reusable"] for row in self.proxy(mixed)})
        result = self.run_program(
            harness.TAILOR, ["proxy", *SPACE, "--device", mixed, "--points", "5"], harness.DONE)
        self.assertIn("adapting", result.stderr)

    def test_a_device_is_not_its_own_proxy(self):
        self.assertEqual(["other"], [row["device"] for row in self.proxy("alike")])

    def test_the_same_question_has_the_same_answer_as_json_too(self):
        self.measured("same", board)
        rows = self.proxy("same")
        self.assertEqual(rows, self.proxy("same"))
        lines = self.ok("proxy", *SPACE, "--device", "same", "--json").splitlines()
        self.assertEqual([row["device"] for row in rows],
                         [json.loads(line)["device"] for line in lines])

    def test_bad_questions_are_refused(self):
        self.ok("device", "add", "--name", "bare")
        question = ["proxy", *SPACE, "--device", "bare"]
        self.assertIn("nothing is known", self.refused(*question))
        self.assertIn("nothing is known", self.refused(*question, "--points", 3))
        self.refused("proxy", *SPACE, "--device", "nobody")
        self.measured("few", board)
        self.assertIn("no other device", self.refused(
            "proxy", *SPACE, "--device", "alike", "--metric", "energy_mj"))
        self.assertIn("latency_ms or energy_mj", self.refused(
            "proxy", *SPACE, "--device", "few", "--metric", "accuracy"))
        self.assertIn("at most", self.refused(
            "proxy", *SPACE, "--device", "few", "--points", 100000))
        self.assertIn("no other device", self.refused(
            "proxy", "--space", "fbnet", "--device", "few"))
        self.refused("proxy", *SPACE, status=harness.USAGE)


if __name__ == "__main__":
    harness.main()
