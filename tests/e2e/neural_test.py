#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The optimizer that training leaves behind, on the world of toy.py."""
import json

import harness
from toy import SLOTS, SPACE, Sourced, Trained, fast

LIMITS = (12, 15, 18, 22)


class Neural(Trained):
    def design(self, limit, *options, device="new"):
        return self.rows(
            "design", *SPACE, "--device", device, "--max-latency-ms", limit, *options)[0]

    def test_it_comes_near_the_exact_answer_on_a_device_with_few_measurements(self):
        for limit in LIMITS:
            exact = self.design(limit, "--method", "exhaustive")
            neural = self.design(limit, "--method", "neural")
            self.assertGreaterEqual(float(neural["p_feasible"]), 0.9)
            self.assertLessEqual(float(neural["accuracy"]), float(exact["accuracy"]) + 1e-6)
            self.assertGreaterEqual(float(neural["accuracy"]), float(exact["accuracy"]) - 2)

    def test_weights_and_several_limits_are_heard(self):
        free = self.design(22, "--method", "neural")
        thrifty = self.design(22, "--method", "neural", "--weight-latency", 3)
        self.assertLess(float(thrifty["latency_ms"]), float(free["latency_ms"]))
        both = self.rows(
            "design", *SPACE, "--device", "fast", "--max-latency-ms", 18, "--max-energy-mj", 28,
            "--method", "neural")[0]
        self.assertLess(float(both["energy_mj"]), 28)

    def test_a_budget_of_time_still_gives_a_design_and_seeds_repeat(self):
        hurried = self.design(18, "--method", "neural", "--budget-us", 1)
        self.assertEqual(SLOTS, list(hurried)[:len(SLOTS)])
        twice = [self.design(18, "--method", "neural", "--seed", 4) for _ in range(2)]
        self.assertEqual(twice[0], twice[1])

    def test_what_it_was_not_trained_for_it_says(self):
        error = self.refused(
            "design", *SPACE, "--device", "fast", "--minimize", "latency_ms", "--method",
            "neural")
        self.assertIn("maximizes accuracy", error)


class Retrained(Sourced):
    """A small model, whose optimizer a training takes away again."""

    sources = {"fast": fast}
    n_designs = 100

    def test_training_without_it_leaves_none_behind(self):
        question = ("design", *SPACE, "--device", "fast", "--max-latency-ms", 18, "--method",
                    "neural")
        self.ok(*question)
        self.assertIn("want none, quick or long",
                      self.refused("train", *SPACE, "--effort", "much"))
        self.ok(*question)
        result = self.ok(
            "train", *SPACE, "--devices", "fast", "--seed", 7, "--effort", "none", "--json")
        self.assertIn("model", json.loads(result))
        self.assertIn("no optimizer", self.refused(*question))


if __name__ == "__main__":
    harness.main()
