#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tailor-agent on this machine: probe, measure, and the table's way back into the daemon."""
import csv
import io
import json
import os

import harness

SPACE = ["--space", "nasbench201"]
LIGHT = ("skip_connect", "none", "none", "none", "none", "skip_connect")
HEAVY = ("nor_conv_3x3",) * 6
DEAD = ("none",) * 6
QUICK = ["--runs", "5"]


class Agent(harness.Case):
    def designs(self, designs):
        return self.write("designs.csv", harness.table(designs, {}))

    def measured(self, *arguments):
        return list(csv.DictReader(io.StringIO(self.agent("measure", *arguments, *QUICK).stdout)))

    def test_a_probe_is_a_profile_of_this_machine(self):
        path = os.path.join(self.folder, "here.yaml")
        result = self.agent("probe", "--name", "here", "--out", path)
        self.assertEqual("", result.stdout)
        self.assertEqual("here\n", self.ok("device", "add", path))
        shown = self.ok("device", "show", "here")
        for key in ("class: cpu", "cores: 1", "fp32:", "l1:", "dram:", "launch_us:"):
            self.assertIn(key, shown)

    def test_a_probe_is_json_with_the_names_of_the_profile(self):
        text = self.agent("probe", "--name", "json", "--json").stdout
        profile = json.loads(text)
        self.assertEqual(("json", "cpu", 1), tuple(profile[k] for k in ("name", "class", "cores")))
        self.assertGreater(profile["peak_gflops"]["fp32"], 0)
        self.assertIn("launch_us", profile["spread_frac"])
        self.assertEqual("json\n", self.ok("device", "add", self.write("json.json", text)))
        self.assertIn("fp32:", self.ok("device", "show", "json"))

    def test_measured_rows_are_json_lines_with_the_same_names(self):
        path = self.designs(harness.cells(20))
        arguments = [*SPACE, "--designs", path, "--device", "x", "--runs", "1"]
        out = os.path.join(self.folder, "out.jsonl")
        self.assertEqual("", self.agent("measure", *arguments, "--json", "--out", out).stdout)
        with open(out, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        table = csv.DictReader(io.StringIO(self.agent("measure", *arguments).stdout))
        self.assertEqual([harness.key(row) for row in table], [harness.key(row) for row in rows])
        self.assertEqual(table.fieldnames, list(rows[0]))
        for row in rows:
            self.assertIsInstance(row["latency_ms@x"], (int, float))
            self.assertGreaterEqual(row["spread_ms@x"], 0)

    def test_a_measured_table_is_imported_and_comments_ignored(self):
        designs = [LIGHT, HEAVY, DEAD]
        rows = self.measured(*SPACE, "--designs", self.designs(designs), "--device", "here")
        self.assertEqual(designs, [harness.key(row) for row in rows])
        latencies = [float(row["latency_ms@here"]) for row in rows]
        self.assertTrue(all(value > 0 for value in latencies))
        self.assertTrue(all(float(row["spread_ms@here"]) >= 0 for row in rows))
        self.assertGreater(latencies[1], latencies[0])
        path = self.write("measured.csv", harness.table(
            designs, {"latency_ms@here": dict(zip(designs, latencies)).get,
                      "spread_ms@here": lambda d: 0.5}))
        self.ok("measure", "import", *SPACE, path)
        stored = self.rows("measure", "export", *SPACE, "--device", "here")
        self.assertEqual(set(latencies), {float(row["latency_ms@here"]) for row in stored})

    def test_every_kind_of_space_is_executed(self):
        self.ok("device", "add", "--name", "any")
        asked = self.write("asked.csv", "in_ch,out_ch,in_size,kernel,stride,pad,groups,w_bits,a_bits\n"
                           "96,464,14,1,1,0,1,4,4\n488,488,14,3,1,1,488,4,4\n")
        for space in ("bitfusion-layers", "fbnet", "mobilenetv3", "mnasnet", "mobilenet-zoo"):
            with self.subTest(space=space):
                if space != "bitfusion-layers": # whose suggestions may be very large layers
                    self.ok("measure", "suggest", "--space", space, "--device", "any", "--count",
                            "2", "--out", asked)
                rows = self.measured("--space", space, "--designs", asked, "--device", "any")
                self.assertEqual(2, len(rows))
                self.assertTrue(all(float(row["latency_ms@any"]) > 0 for row in rows))

    def test_what_is_timed_is_chosen_by_the_file(self):
        path = self.designs(harness.cells(20))
        out = os.path.join(self.folder, "out.csv")
        result = self.agent("measure", *SPACE, "--designs", path, "--device", "x", "--runs", "1",
                            "--out", out)
        self.assertEqual("", result.stdout)
        with open(out, encoding="utf-8") as file:
            self.assertEqual(harness.cells(20), [harness.key(row) for row in csv.DictReader(file)])

    def test_bad_command_lines_leave_with_2(self):
        for words in ([], ["prob"], ["measure"], ["measure", *SPACE], ["probe", "extra"],
                      ["measure", *SPACE, "--designs", "x", "--runs", "0"],
                      ["measure", *SPACE, "--designs", "x", "--runs", "many"], ["probe", "--fast"]):
            with self.subTest(words=words):
                self.assertEqual("", self.agent(*words, status=harness.USAGE).stdout)
        for words in (["--help"], ["probe", "--help"], ["measure", "--help"], ["--version"]):
            self.assertNotEqual("", self.agent(*words).stdout)

    def test_what_cannot_be_measured_is_refused(self):
        good = self.designs([LIGHT])
        bad = self.write("bad.csv", harness.table([LIGHT] * 30, {}).replace(
            "skip_connect,none", "conv5,none", 30).replace("conv5,none", "skip_connect,none", 29))
        for words, detail in (
                (["--space", "nasbench20", "--designs", good], "nasbench201"),
                ([*SPACE, "--designs", self.folder + "/nowhere.csv"], "nowhere.csv"),
                ([*SPACE, "--designs", bad], "bad.csv line 31"),
                ([*SPACE, "--designs", self.write("none.csv", "e01\n")], "no designs"),
                ([*SPACE, "--designs", good, "--cpus", "4000"], "4000"),
                ([*SPACE, "--designs", good, "--cpus", "0-"], "0-"),
                ([*SPACE, "--designs", good, "--device", "two words"], "--device"),
                ([*SPACE, "--designs", good, "--connect", "ipc:///tmp/tailor-nobody",
                  "--timeout-ms", "200"], "no daemon")):
            with self.subTest(words=words):
                result = self.agent("measure", *words, *QUICK, status=harness.FAILED)
                self.assertEqual("", result.stdout)
                self.assertIn(detail, result.stderr)
        self.agent("probe", "--name", "two words", status=harness.FAILED)


if __name__ == "__main__":
    harness.main()
