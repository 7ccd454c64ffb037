#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Suggestions, training, predictions and designs, on a synthetic table.

The world is that of toy.py.
"""
import csv
import io
import json

import harness
from toy import N_FEW, N_TEST, N_TRAIN, PREDICTIONS, SLOTS, SPACE, Trained, fast, new, number, slow

BOARD = """name: board
class: cpu
cores: 4
clock_mhz: 1500
peak_gflops: {fp32: 48}
bandwidth_gb_per_s: {dram: 4.0}
power_w: {idle: 2.7, busy: 6.4}
"""
METHODS = ["exhaustive", "evolutionary", "reinforce", "galen", "random"]


class Untrained(harness.Case):
    """Without any model."""

    def designs(self, n):
        return self.write("designs.csv", harness.table(harness.cells(n), {}))

    def test_nothing_known_is_empty(self):
        self.ok("device", "add", "--name", "unknown")
        rows = self.rows("predict", *SPACE, "--device", "unknown", "--designs", self.designs(3))
        self.assertEqual(3, len(rows))
        for row in rows:
            self.assertEqual(SLOTS + PREDICTIONS, list(row))
            self.assertEqual([""] * 6, [row[name] for name in PREDICTIONS])

    def test_a_devices_own_measurements_suffice(self):
        designs = harness.cells(N_TRAIN, 5)
        path = self.write("own.csv", harness.table(designs[:100], {"latency_ms@own": fast}))
        self.ok("measure", "import", *SPACE, path)
        asked = self.write("asked.csv", harness.table(designs[100:], {}))
        rows = self.rows("predict", *SPACE, "--device", "own", "--designs", asked)
        predicted = [float(row["latency_ms"]) for row in rows]
        self.assertGreater(
            harness.rank_correlation(predicted, [fast(d) for d in designs[100:]]), 0.95)
        self.assertTrue(all(float(row["latency_std_ms"]) > 0 for row in rows))

    def test_a_design_without_an_accuracy_model_must_minimize(self):
        self.ok("device", "add", "--name", "some")
        error = self.refused("design", *SPACE, "--device", "some")
        self.assertIn("minimize", error)

    def test_without_an_accuracy_model_pareto_and_fleet_leave_accuracy_empty(self):
        """Only a design must say what to minimize."""
        self.ok("device", "add", self.write("board.yaml", BOARD))
        ask = [*SPACE, "--device", "board"]
        cheapest = self.rows("design", *ask, "--minimize", "latency_ms")
        for cost, unit in ((), "latency_ms"), (("--minimize", "energy_mj"), "energy_mj"):
            result = self.run_program(harness.TAILOR, ["pareto", *ask, *cost], harness.DONE)
            rows = list(csv.DictReader(io.StringIO(result.stdout)))
            self.assertEqual(self.rows("design", *ask, "--minimize", unit), rows)
            self.assertEqual(("", ""), (rows[0]["accuracy"], rows[0]["accuracy_std"]))
            self.assertIn("no accuracy model of space nasbench201", result.stderr)
            self.assertIn(unit, result.stderr)
            self.assertNotIn("hypervolume", result.stderr)
        plot = self.folder + "/front.png"
        result = self.run_program(
            harness.TAILOR, ["pareto", *ask, "--plot", plot], harness.DONE)
        self.assertIn("--plot: nothing to draw", result.stderr)
        self.rows("pareto", *ask, "--max-latency-ms", "1e-9", status=harness.INFEASIBLE)
        fleet = self.write("fleet.csv", "device,min_accuracy\nboard,\nboard,50\n")
        result = self.run_program(
            harness.TAILOR, ["fleet", *SPACE, "--devices", fleet], harness.FAILED)
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        self.assertEqual({"device": "board", **cheapest[0], "error": ""}, rows[0])
        self.assertIn("without min_accuracy", rows[1]["error"])
        self.assertIn("no accuracy model of space nasbench201", result.stderr)
        self.assertIn("min_accuracy", self.refused("pareto", *ask, "--min-accuracy", "50"))
        self.assertIn("no accuracy model", self.run_program(
            harness.TAILOR, ["fleet", *SPACE, "--devices", fleet, "--maximize", "accuracy"],
            harness.FAILED).stdout)

    def test_training_on_nothing_says_so(self):
        self.refused("train", "--space", "fbnet")


class Answers(Trained):
    """Everything that a trained daemon answers."""

    def predict(self, device, *options):
        return self.rows("predict", *SPACE, "--device", device, "--designs", self.test_path, *options)

    # ---- train

    def test_training_reports_and_the_model_is_listed(self):
        self.assertTrue(self.report["model"])
        self.assertTrue(self.report["report"])
        models = [json.loads(line) for line in self.ok("model", "list", "--json").splitlines()]
        mine = [row for row in models if row["space"] == "nasbench201"]
        self.assertEqual([self.report["model"]], [row["model"] for row in mine])
        self.assertTrue(self.ok("model", "show", "nasbench201").strip())
        self.refused("model", "show", "nowhere")

    def test_without_a_space_every_space_shows_its_model(self):
        models = [json.loads(line) for line in self.ok("model", "list", "--json").splitlines()]
        shown = [json.loads(line) for line in self.ok("model", "show", "--json").splitlines()]
        self.assertGreater(len(shown), 1)
        self.assertEqual([(row["space"], row["model"]) for row in models],
                         [(row["space"], row["text"].splitlines()[0].removeprefix("model: "))
                          for row in shown])
        self.assertIn("none", [row["model"] for row in models])
        text = self.ok("model", "show")
        self.assertEqual("---\n".join(row["text"] for row in shown), text)
        self.assertIn(self.ok("model", "show", "nasbench201"), text)
        self.assertEqual(self.ok("model", "show", "--space", "nasbench201"),
                         self.ok("model", "show", "nasbench201"))
        path = self.folder + "/models.txt"
        self.assertEqual("", self.ok("model", "show", "--out", path))
        with open(path, encoding="utf-8") as file:
            self.assertEqual(text, file.read())
        self.refused("model", "show", "fbnet", "--space", "fbnet", status=harness.USAGE)

    def test_unknown_sources_and_tasks_are_refused_by_name(self):
        self.assertIn("nobody", self.refused("train", *SPACE, "--devices", "fast,nobody"))
        self.assertIn("notask", self.refused("train", *SPACE, "--tasks", "notask"))

    # ---- predict

    def test_predictions_rank_designs_never_seen(self):
        for device, truth in (("fast", fast), ("slow", slow), ("new", new)):
            with self.subTest(device=device):
                rows = self.predict(device)
                self.assertEqual(self.test_designs, [harness.key(row) for row in rows])
                predicted = [float(row["latency_ms"]) for row in rows]
                true = [truth(d) for d in self.test_designs]
                self.assertGreater(harness.rank_correlation(predicted, true), 0.9)
                self.assertTrue(all(float(row["latency_std_ms"]) > 0 for row in rows))
        rows = self.predict("fast")
        self.assertGreater(
            harness.rank_correlation([float(row["energy_mj"]) for row in rows],
                                     [fast(d) for d in self.test_designs]), 0.9)

    def test_accuracy_follows_the_task(self):
        rows = self.predict("fast", "--task", "toy")
        predicted = [float(row["accuracy"]) for row in rows]
        self.assertTrue(all(0 <= a <= 100 for a in predicted))
        self.assertGreater(harness.rank_correlation(
            predicted, [harness.accuracy(d) for d in self.test_designs]), 0.6)

    def test_a_value_and_its_deviation_are_both_there_or_both_empty(self):
        for device in ("fast", "slow", "new"):
            for row in self.predict(device):
                for value, deviation in zip(PREDICTIONS[::2], PREDICTIONS[1::2]):
                    self.assertEqual(row[value] == "", row[deviation] == "")

    def test_one_row_out_per_row_in_also_for_duplicates(self):
        designs = self.test_designs[:3] * 2
        path = self.write("twice.csv", harness.table(designs, {"latency_ms@fast": lambda d: 5.0,
                                                               "macs_m": lambda d: 1}))
        rows = self.rows("predict", *SPACE, "--device", "fast", "--designs", path)
        self.assertEqual(designs, [harness.key(row) for row in rows])
        self.assertEqual(rows[:3], rows[3:])
        self.assertEqual(SLOTS + PREDICTIONS, list(rows[0]))
        self.assertEqual({"-"}, {row["w01"] for row in rows})

    def test_the_same_question_has_the_same_answer(self):
        question = ["predict", *SPACE, "--device", "new", "--designs", self.test_path]
        self.assertEqual(self.ok(*question), self.ok(*question))

    def test_json_and_table_say_the_same(self):
        path = self.write("two.csv", harness.table(self.test_designs[:2], {}))
        question = ["predict", *SPACE, "--device", "fast", "--designs", path]
        rows = self.rows(*question)
        lines = [json.loads(line) for line in self.ok(*question, "--json").splitlines()]
        self.assertEqual([number(row["latency_ms"]) for row in rows],
                         [line["latency_ms"] for line in lines])
        self.assertEqual(list(rows[0]), list(lines[0]))
        aligned = self.ok(*question, "--table").splitlines()
        self.assertEqual(list(rows[0]), aligned[0].split())
        self.assertEqual({len(line) for line in aligned}, {len(aligned[0])})

    def test_bad_questions_are_refused(self):
        header = ",".join(harness.EDGES)
        row = "none,none,none,none,none,skip_connect"
        for text, words in (
                ("", ()), ("e01,e02\nnone,none\n", ("e12",)),
                (header + ",e99\n" + row + ",none\n", ("e99",)),
                (header + ",e23\n" + row + ",none\n", ("e23",)),
                (header + "\n" + row + "\nconv5" + row[4:] + "\n", ("line 3", "e01", "conv5")),
                (header + "\n" + row + ",none\n", ("line 2",))):
            with self.subTest(text=text):
                path = self.write("bad.csv", text)
                error = self.refused("predict", *SPACE, "--device", "fast", "--designs", path)
                for word in ("bad.csv",) + words:
                    self.assertIn(word, error)
        good = ["--designs", self.test_path]
        self.assertIn("fst", self.refused("predict", *SPACE, "--device", "fst", *good))
        self.assertIn("nasbench201", self.refused(
            "predict", "--space", "nasbench20", "--device", "fast", *good))
        self.assertIn("toy", self.refused(
            "predict", *SPACE, "--device", "fast", "--task", "tyo", *good))
        self.refused("predict", *SPACE, "--device", "fast", "--designs", self.folder + "/nowhere")

    # ---- design

    def design(self, device, *options, status=harness.DONE):
        return self.rows("design", *SPACE, "--device", device, *options, status=status)

    def test_a_design_keeps_its_limit(self):
        for device, truth in (("fast", fast), ("new", new)):
            for share in (0.5, 0.8):
                limit = truth(("nor_conv_3x3",) * 6) * share
                with self.subTest(device=device, limit=limit):
                    rows = self.design(device, "--max-latency-ms", limit)
                    self.assertEqual(1, len(rows))
                    self.assertEqual(SLOTS + PREDICTIONS + ["p_feasible"], list(rows[0]))
                    self.assertGreaterEqual(float(rows[0]["p_feasible"]), 0.9)
                    self.assertLessEqual(float(rows[0]["latency_ms"]), limit)
                    self.assertLessEqual(truth(harness.key(rows[0])), limit * 1.1)

    def test_more_latency_buys_accuracy(self):
        tight = self.design("fast", "--max-latency-ms", 2.0)[0]
        loose = self.design("fast", "--max-latency-ms", 8.0)[0]
        self.assertLessEqual(float(tight["accuracy"]), float(loose["accuracy"]))

    def test_the_best_come_first_and_are_different(self):
        rows = self.design("fast", "--max-latency-ms", 6.0, "--count", 5)
        self.assertEqual(5, len(rows))
        self.assertEqual(5, len({harness.key(row) for row in rows}))
        accuracies = [float(row["accuracy"]) for row in rows]
        self.assertEqual(sorted(accuracies, reverse=True), accuracies)

    def test_latency_and_energy_are_minimized_under_a_floor(self):
        for goal in ("latency_ms", "energy_mj"):
            with self.subTest(goal=goal):
                low = self.design("fast", "--minimize", goal, "--min-accuracy", 50)[0]
                high = self.design("fast", "--minimize", goal, "--min-accuracy", 80)[0]
                self.assertLessEqual(float(low[goal]), float(high[goal]))
                self.assertGreaterEqual(float(high["accuracy"]), 80)

    def test_where_nothing_is_feasible_the_nearest_is_printed(self):
        result = self.run_program(
            harness.TAILOR, ["design", *SPACE, "--device", "fast", "--max-latency-ms", "1e-6"],
            harness.INFEASIBLE)
        self.assertEqual(2, len(result.stdout.splitlines()))
        self.assertNotEqual("", result.stderr)
        rows = self.design("fast", "--max-latency-ms", 3, "--min-accuracy", 99.99,
                           status=harness.INFEASIBLE)
        self.assertLess(float(rows[0]["p_feasible"]), 0.9)

    def test_confidence_makes_designs_more_careful(self):
        bold = self.design("new", "--max-latency-ms", 15, "--confidence", 0.5)[0]
        careful = self.design("new", "--max-latency-ms", 15, "--confidence", 0.99)[0]
        self.assertGreaterEqual(float(careful["p_feasible"]), 0.99)
        self.assertLessEqual(float(careful["accuracy"]), float(bold["accuracy"]) + 1e-9)

    def test_weights_price_latency_and_energy(self):
        """A heavier weight never buys more of what it prices, nor more accuracy."""
        for weight, cost in (("--weight-latency", "latency_ms"), ("--weight-energy", "energy_mj")):
            rows = [self.design("fast", weight, w)[0] for w in (0, 0.1, 1, 10, 1000)]
            with self.subTest(weight=weight):
                for column in (cost, "accuracy"):
                    values = [float(row[column]) for row in rows]
                    self.assertEqual(sorted(values, reverse=True), values)
        both = self.design("fast", "--weight-latency", 1, "--max-latency-ms", 5)[0]
        self.assertLessEqual(float(both["latency_ms"]), 5)

    def test_a_weighted_design_is_the_best_of_all(self):
        """Against every design's prediction: accuracy less the price is greatest."""
        row = self.design("fast", "--weight-latency", 2)[0]
        best = max(float(r["accuracy"]) - 2 * float(r["latency_ms"]) for r in self.predict("fast"))
        self.assertGreaterEqual(float(row["accuracy"]) - 2 * float(row["latency_ms"]), best - 1e-6)

    def test_every_method_answers_within_the_limit(self):
        exact = float(self.design("fast", "--max-latency-ms", 5)[0]["accuracy"])
        for method in METHODS:
            with self.subTest(method=method):
                row = self.design("fast", "--max-latency-ms", 5, "--method", method)[0]
                self.assertGreaterEqual(float(row["p_feasible"]), 0.9)
                self.assertLessEqual(float(row["accuracy"]), exact + 1e-6)
                again = self.design("fast", "--max-latency-ms", 5, "--method", method)[0]
                self.assertEqual(row, again)

    def test_a_budget_gives_the_best_so_far(self):
        for method in METHODS:
            with self.subTest(method=method):
                rows = self.design("fast", "--max-latency-ms", 20, "--method", method,
                                   "--budget-us", 1)
                self.assertEqual(1, len(rows))
        free = self.design("fast", "--max-latency-ms", 5)
        self.assertEqual(free, self.design("fast", "--max-latency-ms", 5,
                                           "--budget-us", 500000000))

    def test_bad_designs_are_refused(self):
        for options in (["--max-latency-ms", "-3"], ["--max-latency-ms", "0"],
                        ["--confidence", "0"], ["--confidence", "1"], ["--confidence", "1.5"],
                        ["--min-accuracy", "101"], ["--max-energy-mj", "-1"],
                        ["--task", "nothing"], ["--method", "magic"], ["--count", "100000000"],
                        ["--weight-latency", "-1"], ["--weight-energy", "-0.1"],
                        ["--budget-us", "600000001"]):
            with self.subTest(options=options):
                self.refused("design", *SPACE, "--device", "fast", *options)
        for options in (["--weight-latency", "nan"], ["--weight-energy", "much"],
                        ["--weight-latency", "1", "--minimize", "energy_mj"],
                        ["--budget-us", "0"], ["--budget-us", "-5"]):
            with self.subTest(options=options):
                self.refused("design", *SPACE, "--device", "fast", *options,
                             status=harness.USAGE)
        self.refused("design", *SPACE, "--device", "nobody")
        self.refused("design", "--space", "nowhere", "--device", "fast")

    def test_explain_says_what_answered(self):
        result = self.run_program(
            harness.TAILOR, ["design", *SPACE, "--device", "fast", "--explain"], harness.DONE)
        for word in (self.report["model"], "toy", "exhaustive"):
            self.assertIn(word, result.stderr)

    def test_explain_names_the_dearest_operators_and_the_second_choices(self):
        best = self.design("fast", "--max-latency-ms", "15")[0]
        document = json.loads(self.ok(
            "design", *SPACE, "--device", "fast", "--max-latency-ms", "15", "--explain", "--json"))
        self.assertEqual([best[s] for s in SLOTS], [document["designs"][0][s] for s in SLOTS])
        operators = document["operators"]
        self.assertEqual(sorted(harness.EDGES), sorted(row["slot"] for row in operators))
        costs = [row["latency_ms"] for row in operators]
        self.assertEqual(sorted(costs, reverse=True), costs)
        self.assertTrue(operators[0]["operator"].startswith("nor_conv"))
        for row in document["slots"]:
            self.assertEqual(best[row["slot"]], row["choice"])
            self.assertNotEqual(row["choice"], row["second"])
            self.assertTrue(row["accuracy"] <= 1e-6 or row["p_feasible"] < 0.9 + 1e-9)

    # ---- suggest

    def suggest(self, device, count, *options):
        return self.rows("measure", "suggest", *SPACE, "--device", device, "--count", count, *options)

    def test_suggestions_are_a_table_to_fill_in(self):
        self.ok("device", "add", "--name", "next")
        rows = self.suggest("next", 12)
        self.assertEqual(12, len(rows))
        self.assertEqual(SLOTS + ["latency_ms@next"], list(rows[0]))
        self.assertEqual({""}, {row["latency_ms@next"] for row in rows})
        self.assertEqual(12, len({harness.key(row) for row in rows}))
        path = self.write("filled.csv", harness.table(
            [harness.key(row) for row in rows], {"latency_ms@next": slow}))
        self.ok("measure", "import", *SPACE, path)
        predicted = [float(row["latency_ms"]) for row in self.predict("next")]
        self.assertGreater(
            harness.rank_correlation(predicted, [slow(d) for d in self.test_designs]), 0.8)
        again = {harness.key(row) for row in self.suggest("next", 12)}
        self.assertFalse(again & {harness.key(row) for row in rows})

    def test_the_same_seed_suggests_the_same(self):
        self.assertEqual(self.suggest("new", 5, "--seed", 3), self.suggest("new", 5, "--seed", 3))

    def test_a_candidate_given_twice_is_one(self):
        cells = harness.cells(3, salt=9)
        path = self.write("candidates.csv", harness.table(cells + cells, {}))
        rows = self.suggest("new", 3, "--candidates", path)
        self.assertEqual(set(cells), {harness.key(row) for row in rows})
        self.assertIn("at most 3", self.refused(
            "measure", "suggest", *SPACE, "--device", "new", "--count", "4",
            "--candidates", path))

    def test_bad_suggestions_are_refused(self):
        self.refused("measure", "suggest", *SPACE, "--device", "nobody", "--count", "3")
        self.refused("measure", "suggest", *SPACE, "--device", "new", "--count", "100000000")


class Restart(harness.Case):
    """A model outlives its daemon; a damaged one is said and not used."""

    def test_a_model_outlives_the_daemon_and_damage_is_told(self):
        designs = harness.cells(150)
        path = self.write("t.csv", harness.table(designs, {
            "latency_ms@fast": fast, "latency_ms@slow": slow, "accuracy@toy": harness.accuracy}))
        self.ok("measure", "import", *SPACE, path)
        self.ok("train", *SPACE, "--effort", "none")
        question = ["predict", *SPACE, "--device", "fast", "--designs",
                    self.write("d.csv", harness.table(designs[:5], {}))]
        before = self.ok(*question)
        self.assertEqual(0, self.daemon.stop())
        self.daemon.start()
        self.assertEqual(before, self.ok(*question))
        self.assertEqual(0, self.daemon.stop())
        model = self.folder + "/data/models/nasbench201.tlm"
        with open(model, "r+b") as file:
            file.seek(1000)
            byte = file.read(1)
            file.seek(1000)
            file.write(bytes([byte[0] ^ 1]))
        self.daemon.start()
        listing = self.ok("model", "list", "--json")
        row = [r for r in map(json.loads, listing.splitlines()) if r["space"] == "nasbench201"][0]
        self.assertIn("nasbench201.tlm", row["complaint"] + self.daemon.log())
        self.assertEqual("none", row["model"])


if __name__ == "__main__":
    harness.main()
