#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Command line, spaces and devices, through the real programs."""
import json
import os

import harness

BUILT_IN = {"nasbench201", "fbnet", "mobilenetv3", "mnasnet", "mobilenet-zoo", "bitfusion-layers"}

PROFILE = """name: %s
class: cpu
description: A board
condition: fp32
cores: 4
peak_gflops: {fp32: 48, int8: 96}
bandwidth_gb_per_s: {l1: 96, dram: 4.0}
"""


class CommandLine(harness.Case):
    def test_help_is_there_for_every_command(self):
        listing = self.ok("--help")
        commands = [line[2:18].split() for line in listing.split("Commands:\n")[1].splitlines()
                    if line.startswith("  ")]
        self.assertIn(["measure", "import"], commands)
        self.assertIn(["predict"], commands)
        self.assertGreaterEqual(len(commands), 19)
        for command in commands:
            help_text = self.ok(*command, "--help")
            self.assertIn("tailor " + " ".join(command), help_text)
            for option in ("--json", "--connect", "--timeout-ms", "--table", "--out"):
                self.assertIn(option, help_text)
        self.assertTrue(self.ok("--version").startswith("tailor "))

    def test_a_command_line_that_cannot_be_parsed_leaves_with_2(self):
        for words in ([], ["fleet"], ["evaluate"], ["proxy"], ["pareto"], ["measure"],
                      ["measure", "imprt"], ["predict"], ["predict", "--spce", "x"],
                      ["predict", "--space", "nasbench201", "--device", "x"],
                      ["space", "show"], ["space", "show", "a", "b"], ["device", "add"],
                      ["design", "--space", "a", "--device", "b", "--max-latency-ms", "soon"],
                      ["design", "--space", "a", "--device", "b", "--count", "0"],
                      ["design", "--space", "a", "--device", "b", "--count", "-1"],
                      ["design", "--space", "a", "--device", "b", "--max-latency-ms", "nan"],
                      ["design", "--space", "a", "--device", "b", "--minimize", "accuracy"],
                      ["design", "--space", "a", "--device", "b", "--minimize", "latency_ms",
                       "--maximize", "accuracy"],
                      ["--timeout-ms", "0", "status"], ["job", "cancel", "first"],
                      ["device", "add", "--name", "a", "b.yaml"]):
            with self.subTest(words=words):
                self.refused(*words, status=harness.USAGE)

    def test_an_unknown_command_names_the_nearest(self):
        self.assertIn('"status"', self.refused("statsu", status=harness.USAGE))
        self.assertIn('"predict"', self.refused("predct", status=harness.USAGE))

    def test_no_daemon_is_a_failure_that_names_the_endpoint(self):
        endpoint = "ipc://%s/nobody" % self.folder
        error = self.refused("--connect", endpoint, "--timeout-ms", "200", "status")
        self.assertIn("tailor status: ", error)
        self.assertIn(endpoint, error)

    def test_an_endpoint_that_is_none_is_refused(self):
        self.refused("--connect", "nonsense", "status")

    def test_the_result_goes_to_out(self):
        path = self.write("out", "")
        self.assertEqual("", self.ok("space", "list", "--out", path))
        with open(path, encoding="utf-8") as file:
            self.assertIn("nasbench201", file.read())
        self.refused("space", "list", "--out", self.folder + "/nowhere/out")

    def test_status_and_jobs_answer(self):
        status = [json.loads(line) for line in self.ok("status", "--json").splitlines()]
        self.assertTrue(status and all({"name", "value"} == set(row) for row in status))
        self.ok("job", "list")
        self.refused("job", "cancel", "4711")


class Spaces(harness.Case):
    def listed(self):
        lines = self.ok("space", "list", "--json").splitlines()
        return {row["space"]: row for row in map(json.loads, lines)}

    def test_the_built_in_spaces_are_listed(self):
        spaces = self.listed()
        self.assertLessEqual(BUILT_IN, set(spaces))
        self.assertEqual("cell", spaces["nasbench201"]["kind"])
        self.assertEqual(15625, float(spaces["nasbench201"]["designs"]))

    def test_a_space_of_each_kind_can_be_added_and_removed(self):
        for kind, model in (("cell", "nasbench201"), ("chain", "fbnet"), ("staged", "mnasnet"),
                            ("enumerated", "mobilenet-zoo")):
            with self.subTest(kind=kind):
                yaml = self.ok("space", "show", model)
                self.assertIn("name: " + model, yaml)
                name = "my-" + kind
                path = self.write(name + ".yaml", yaml.replace("name: " + model, "name: " + name, 1))
                self.assertEqual(name + "\n", self.ok("space", "add", path))
                self.assertEqual(kind, self.listed()[name]["kind"])
                self.ok("space", "remove", name)
                self.assertNotIn(name, self.listed())
                self.refused("space", "show", name)

    def test_an_added_space_serves_measurements(self):
        yaml = self.ok("space", "show", "nasbench201")
        path = self.write("own.yaml", yaml.replace("name: nasbench201", "name: own", 1))
        self.ok("space", "add", path)
        designs = harness.cells(5)
        measured = self.write("own.csv", harness.table(designs, {"latency_ms@d": harness.latency_ms}))
        self.ok("measure", "import", "--space", "own", measured)
        self.assertEqual(5, len(self.rows("measure", "export", "--space", "own")))

    def test_what_is_no_space_is_refused_by_file(self):
        yaml = self.ok("space", "show", "nasbench201")
        for text in ("", "name: [", "name: x\n", "just words\n", "\0", yaml + "\nbogus_key: 1\n",
                     yaml.replace("kind: cell", "kind: maze")):
            with self.subTest(text=text[:40]):
                path = self.write("bad.yaml", text)
                self.assertIn("bad.yaml", self.refused("space", "add", path))
        self.assertEqual(BUILT_IN, BUILT_IN & set(self.listed()))

    def test_a_file_that_is_not_there_is_refused(self):
        self.assertIn("nowhere.yaml", self.refused("space", "add", self.folder + "/nowhere.yaml"))

    def test_built_in_and_unknown_spaces_cannot_be_removed(self):
        self.refused("space", "remove", "nasbench201")
        self.assertIn("nasbench201", self.refused("space", "show", "nasbench20"))
        self.refused("space", "remove", "nowhere")


class Devices(harness.Case):
    def listed(self):
        lines = self.ok("device", "list", "--json").splitlines()
        return {row["device"]: row for row in map(json.loads, lines)}

    def test_profiles_are_added_shown_and_removed(self):
        paths = [self.write(name + ".yaml", PROFILE % name) for name in ("board-a", "board-b")]
        self.assertEqual("board-a\nboard-b\n", self.ok("device", "add", *paths))
        self.assertEqual("cpu", self.listed()["board-a"]["class"])
        shown = self.ok("device", "show", "board-a")
        self.assertIn("fp32: 48", shown)
        document = json.loads(self.ok("device", "show", "board-a", "--json"))
        self.assertEqual("board-a", document["device"])
        self.assertEqual(shown.strip(), document["yaml"].strip())
        self.ok("device", "remove", "board-b")
        self.assertNotIn("board-b", self.listed())
        self.refused("device", "show", "board-b")

    def test_what_is_shown_can_be_added_again(self):
        path = self.write("again.yaml", PROFILE % "again")
        self.ok("device", "add", path)
        shown = self.ok("device", "show", "again")
        self.ok("device", "add", self.write("shown.yaml", shown))
        self.assertEqual(shown, self.ok("device", "show", "again"))

    def test_ten_thousand_devices_are_listed_page_by_page(self):
        names = ["unit-%05d" % (i * 7919 % 10000) for i in range(10000)]
        for begin in range(0, len(names), 4000):
            part = names[begin:begin + 4000]
            path = self.write("part-%d.csv" % begin, "%s\n%s%s\n" % (
                ",".join(["e01,e02,e12,e03,e13,e23"] + ["latency_ms@" + n for n in part]),
                "none,none,none,nor_conv_3x3,none,none", ",7" * len(part)))
            self.ok("measure", "import", "--space", "nasbench201", path)
        listed = [json.loads(line)["device"] for line in
                  self.ok("device", "list", "--json").splitlines()]
        self.assertEqual(sorted(listed), listed)
        self.assertEqual(sorted(names), [n for n in listed if n.startswith("unit-")])
        self.assertEqual(1 + len(listed), len(self.ok("device", "list").splitlines()))
        some = self.ok("device", "list", "--prefix", "unit-0123", "--json").splitlines()
        self.assertEqual(["unit-0123%d" % i for i in range(10)],
                         [json.loads(line)["device"] for line in some])
        some = self.ok("device", "list", "--count", "9000").splitlines()
        self.assertEqual(listed[:9000], [line.split()[0] for line in some[1:]])
        out = os.path.join(self.folder, "devices.txt")
        self.ok("device", "list", "--out", out)
        with open(out, encoding="utf-8") as file:
            self.assertEqual(self.ok("device", "list"), file.read())
        self.assertIn('"unit-01239"', self.refused("device", "show", "unit-01239x"))
        self.assertIn("more than 4096 columns",
                      self.refused("measure", "export", "--space", "nasbench201"))
        self.ok("device", "remove", "unit-00000")

    def test_a_bare_device_needs_only_a_name(self):
        self.assertEqual("bare\n", self.ok("device", "add", "--name", "bare"))
        self.assertIn("bare", self.listed())
        self.refused("device", "add", "--name", "no spaces, please")

    def test_a_bad_profile_is_refused_and_stores_nothing(self):
        for text, words in (
                (PROFILE % "x" + "clok_mhz: 5\n", "clock_mhz"), (PROFILE % "x" + "batch: 0\n", "batch"),
                (PROFILE % "x" + "cores: -2\n", "cores"), ("class: cpu\n", "name"),
                (PROFILE % "x" + "clock_mhz: .nan\n", "clock_mhz"), ("", "bad.yaml"),
                (PROFILE.replace("cpu", "toaster") % "x", "toaster")):
            with self.subTest(words=words):
                error = self.refused("device", "add", self.write("bad.yaml", text))
                self.assertIn(words, error)
                self.assertIn("bad.yaml", error)
                self.assertNotIn("x", self.listed())


if __name__ == "__main__":
    harness.main()
