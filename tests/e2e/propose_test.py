#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure and refine: proposals, their import, and the measured answer, on a synthetic table."""
import harness
from toy import SLOTS, SPACE, Sourced, fast, slow
from toy import new as board


class Refine(Sourced):
    """A daemon that knows two devices and a task; board is the truth of a third."""

    sources = {"source": fast, "other": slow}

    def measure(self, device, rows, columns=None):
        """Fills a table of slots in and imports it."""
        columns = columns or {"latency_ms@" + device: board}
        path = self.write("filled.csv", harness.table([harness.key(r) for r in rows], columns))
        self.ok("measure", "import", *SPACE, path)
        return [harness.key(r) for r in rows]

    def start(self, device):
        self.ok("device", "add", "--name", device)
        return self.measure(device, self.rows(
            "measure", "suggest", *SPACE, "--device", device, "--count", 5))

    def propose(self, device, count, *options):
        return self.rows("design", *SPACE, "--device", device, "--propose", count, *options)

    def test_the_answer_after_proposals_is_measured_and_keeps_the_limit(self):
        measured = set(self.start("loop"))
        limit = ["--max-latency-ms", 0.6 * board(("nor_conv_3x3",) * 6)]
        for _ in range(2):
            rows = self.propose("loop", 5, *limit)
            self.assertEqual(SLOTS + ["latency_ms@loop"], list(rows[0]))
            self.assertEqual({""}, {row["latency_ms@loop"] for row in rows})
            designs = self.measure("loop", rows)
            self.assertEqual(5, len(set(designs)))
            self.assertFalse(measured & set(designs))
            measured |= set(designs)
        answer = self.rows("design", *SPACE, "--device", "loop", *limit)[0]
        design = harness.key(answer)
        self.assertIn(design, measured)
        self.assertLessEqual(board(design), limit[1])
        self.assertAlmostEqual(board(design), float(answer["latency_ms"]), 4)
        self.assertEqual(0.0, float(answer["latency_std_ms"]))
        self.assertGreater(float(answer["p_feasible"]), 0.999)
        predicted = self.rows("predict", *SPACE, "--device", "loop", "--designs",
                              self.write("one.csv", harness.table([design], {})))[0]
        self.assertGreater(float(predicted["latency_std_ms"]), 0.0)

    def test_a_poor_measured_design_does_not_stand_in_the_way(self):
        """Samples that taught the device are no answer when a better design keeps the limit."""
        self.ok("device", "add", "--name", "sampled")
        worst = sorted(harness.cells(200, 3), key=harness.accuracy)[:20]
        path = self.write("worst.csv", harness.table(worst, {"latency_ms@sampled": board}))
        self.ok("measure", "import", *SPACE, path)
        limit = 0.9 * board(("nor_conv_3x3",) * 6)
        answer = self.rows("design", *SPACE, "--device", "sampled", "--max-latency-ms", limit)[0]
        self.assertNotIn(harness.key(answer), worst)
        self.assertGreater(float(answer["accuracy"]), max(map(harness.accuracy, worst)))

    def test_what_is_asked_for_is_what_is_to_be_measured(self):
        self.start("both")
        both = {"latency_ms@both": board, "energy_mj@both": lambda d: 3.0 * board(d)}
        self.measure("both", self.propose("both", 3, "--max-latency-ms", 10), both)
        rows = self.propose("both", 2, "--max-energy-mj", 20)
        self.assertEqual(SLOTS + ["energy_mj@both"], list(rows[0]))
        rows = self.propose("both", 2, "--max-latency-ms", 10, "--max-energy-mj", 20)
        self.assertEqual(SLOTS + ["latency_ms@both", "energy_mj@both"], list(rows[0]))
        rows = self.propose("both", 2, "--minimize", "latency_ms", "--min-accuracy", 70)
        self.assertEqual(2, len(rows))

    def test_the_same_question_has_the_same_proposals(self):
        self.start("again")
        question = ["again", 4, "--max-latency-ms", 8, "--seed", 3]
        self.assertEqual(self.propose(*question), self.propose(*question))

    def test_an_empty_table_of_proposals_measures_nothing(self):
        self.start("idle")
        rows = self.propose("idle", 3, "--max-latency-ms", 8)
        text = ",".join(rows[0]) + "\n" + "".join(",".join(r.values()) + "\n" for r in rows)
        path = self.write("unfilled.csv", text)
        self.ok("measure", "import", *SPACE, path)
        self.assertEqual(rows, self.propose("idle", 3, "--max-latency-ms", 8))

    def test_bad_questions_are_refused(self):
        self.start("bad")
        limit = ["--max-latency-ms", 8]
        good = ["design", *SPACE, "--device", "bad"]
        self.assertIn("nothing to measure", self.refused(*good, "--propose", 3))
        self.assertIn("at most 300", self.refused(*good, *limit, "--propose", 301))
        self.refused("design", *SPACE, "--device", "nobody", *limit, "--propose", 3)
        self.ok("device", "add", "--name", "bare")
        self.assertIn("nothing is known", self.refused(
            "design", *SPACE, "--device", "bare", *limit, "--propose", 3))
        for options in (["--propose", 0], ["--propose", -1], ["--propose", "few"],
                        ["--propose", 3, "--count", 2], ["--propose", 3, "--with-infeasible"],
                        ["--propose", 3, "--method", "random"],
                        ["--propose", 3, "--explain"]):
            with self.subTest(options=options):
                self.refused(*good, *limit, *options, status=harness.USAGE)


if __name__ == "__main__":
    harness.main()
