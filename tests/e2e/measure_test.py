#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measurements: import, export, what is refused, and what survives a kill."""
import json
import os
import random
import signal
import subprocess
import sys
import time
import unittest

import harness

HEADER = "e01,e02,e12,e03,e13,e23"
ROW = "none,none,none,none,none,skip_connect"


class Import(harness.Case):
    def imported(self, name, text, *options):
        path = self.write(name, text)
        return json.loads(
            self.ok("measure", "import", "--space", "nasbench201", "--json", path, *options))

    def exported(self, device):
        column = "latency_ms@" + device
        rows = self.rows("measure", "export", "--space", "nasbench201", "--device", device)
        return {harness.key(row): row[column] for row in rows}

    def test_export_returns_what_was_imported(self):
        designs = harness.cells(500)
        rng = random.Random(harness.SEED)
        values = {d: rng.lognormvariate(0, 3) for d in designs}
        missing = set(designs[::7])
        report = self.imported("round.csv", harness.table(designs, {
            "latency_ms@round": lambda d: None if d in missing else values[d],
            "energy_mj@round": harness.latency_ms, "accuracy@round-task": harness.accuracy}))
        self.assertEqual(500, report["rows"])
        self.assertEqual(500, report["designs"])
        self.assertEqual(1500 - len(missing), report["values"])
        self.assertEqual(["round"], report["new_devices"])
        self.assertEqual({"latency_ms@round", "energy_mj@round", "accuracy@round-task"},
                         set(report["columns"]))
        self.assertEqual({d: "" if d in missing else values[d] for d in designs},
                         {d: float(v) if v else "" for d, v in self.exported("round").items()})
        whole = self.rows("measure", "export", "--space", "nasbench201")
        by_key = {harness.key(row): row for row in whole}
        for design in designs:
            self.assertEqual(harness.latency_ms(design), float(by_key[design]["energy_mj@round"]))
            self.assertEqual(harness.accuracy(design),
                             float(by_key[design]["accuracy@round-task"]))

    def test_what_was_exported_can_be_imported(self):
        designs = harness.cells(50, 1)
        self.imported("first.csv", harness.table(designs, {"latency_ms@again": harness.latency_ms}))
        before = self.exported("again")
        path = os.path.join(self.folder, "exported.csv")
        self.ok("measure", "export", "--space", "nasbench201", "--device", "again", "--out", path)
        self.ok("measure", "import", "--space", "nasbench201", path)
        self.assertEqual(before, self.exported("again"))

    def test_a_design_measured_again_replaces_the_old_value(self):
        designs = harness.cells(20, 2)
        self.imported("old.csv", harness.table(designs, {"latency_ms@twice": lambda d: 1.0}))
        report = self.imported("new.csv", harness.table(
            designs[:5], {"latency_ms@twice": lambda d: 2.0}))
        self.assertEqual(5, report["replaced"])
        self.assertEqual([], report["new_devices"])
        values = self.exported("twice")
        self.assertEqual(["2"] * 5 + ["1"] * 15, [values[d] for d in designs])

    def test_the_last_of_a_design_given_twice_wins_with_a_warning(self):
        path = self.write("dup.csv", "%s,latency_ms@dup\n%s,1\n%s,2\n" % (HEADER, ROW, ROW))
        result = self.run_program(
            harness.TAILOR, ["measure", "import", "--space", "nasbench201", "--json", path], 0)
        self.assertEqual(1, json.loads(result.stdout)["duplicate_rows"])
        self.assertIn("warning", result.stderr)
        self.assertEqual({"2"}, set(self.exported("dup").values()))

    def test_comments_optional_slots_and_order_of_columns_do_not_matter(self):
        self.imported("order.csv", "latency_ms@order,macs_m,spread_ms@order,e23,e13,e03,e12,e02,e01\n"
                      "3.5,7,0.1,skip_connect,none,none,none,none,none\n")
        self.assertEqual({tuple(ROW.split(",")): "3.5"}, self.exported("order"))
        self.imported("bits.csv", HEADER + ",w01,w02,w12,w03,w13,w23,latency_ms@bits\n"
                      "nor_conv_3x3,none,none,none,skip_connect,none,4,-,-,-,-,-,1.5\n")
        rows = self.rows("measure", "export", "--space", "nasbench201", "--device", "bits")
        self.assertEqual("4", rows[0]["w01"])

    def test_quotes_and_carriage_returns_are_read(self):
        self.imported("crlf.csv", '"e01",e02,e12,e03,e13,e23,"latency_ms@crlf"\r\n"none",none,none,'
                      'none,none,skip_connect,"4.5"\r\n')
        self.assertEqual(["4.5"], list(self.exported("crlf").values()))

    def test_lines_end_in_either_way_and_fields_may_hold_breaks(self):
        """RFC 4180 comes in with CRLF or LF; LF goes out."""
        for name, end in (("ends-crlf", "\r\n"), ("ends-lf", "\n")):
            with self.subTest(end=end):
                text = (f'\ufeff{HEADER},macs_m,latency_ms@{name}{end}{ROW},"a{end}b, ""c""",4.5{end}'
                        f'{ROW.replace("skip_connect", "none")},,x{end}')
                path = self.write("ends.csv", text)
                error = self.refused("measure", "import", "--space", "nasbench201", path)
                self.assertIn("ends.csv line 4, column latency_ms", error)
                self.imported("ends.csv", text.replace(",,x", ",,5.5"))
                exported = self.ok("measure", "export", "--space", "nasbench201", "--device", name)
                self.assertEqual(3, exported.count("\n"))
                designs = self.write("designs.csv", f'\ufeff"e01"{HEADER[3:]},macs_m{end}'
                                                    f'"none"{ROW[4:]},"a{end}b"{end}')
                answers = self.ok("predict", "--space", "nasbench201", "--device", name,
                                  "--designs", designs)
                self.assertEqual(2, answers.count("\n"))
                self.assertNotIn("\r", exported + answers)

    def test_a_table_of_many_megabytes_streams(self):
        designs = harness.cells(15625, 3)
        names = ["big%02d" % i for i in range(20)]
        text = harness.table(designs, {"latency_ms@" + n: harness.latency_ms for n in names})
        self.assertGreater(len(text), 4 << 20)
        report = self.imported("big.csv", text)
        self.assertEqual(15625 * 20, report["values"])
        self.assertEqual(15625, len(self.exported("big19")))

    def test_a_table_comes_through_a_pipe(self):
        text = "%s,latency_ms@pipe\n%s,1.25\n" % (HEADER, ROW)
        environment = dict(os.environ, TAILOR_ENDPOINT=self.daemon.endpoint)
        result = subprocess.run([harness.TAILOR, "measure", "import", "--space", "nasbench201", "-"],
                                env=environment, input=text, text=True, capture_output=True,
                                check=False)
        self.assertEqual((0, ""), (result.returncode, result.stderr))
        self.assertEqual(["1.25"], list(self.exported("pipe").values()))

    # What is wrong with a table, and what the refusal must say beside the file's name.
    BAD_TABLES = (
        ("", ()),
        ("e01,e02,e12,e03,e13,latency_ms@bad\n" + ROW[:-13] + ",1\n", ("e23",)),
        (HEADER + ",e99,latency_ms@bad\n" + ROW + ",none,1\n", ("e99",)),
        (HEADER + ",latency_ms@bad,latency_ms@bad\n" + ROW + ",1,1\n", ("latency_ms@bad",)),
        (HEADER + ",latency_s@bad\n" + ROW + ",1\n", ("latency_s@bad",)),
        (HEADER + ",latency_ms@\n" + ROW + ",1\n", ()),
        (HEADER + ",latency_ms@b a d\n" + ROW + ",1\n", ()),
        (HEADER + ",latency_ms@bad\n" + ROW + ",1\nconv5" + ROW[4:] + ",1\n",
         ("line 3", "e01", "conv5", "nor_conv_3x3")),
        (HEADER + ",latency_ms@bad\n" + ROW + ",nan\n", ("line 2", "latency_ms@bad", "nan")),
        (HEADER + ",latency_ms@bad\n" + ROW + ",inf\n", ("line 2", "latency_ms@bad")),
        (HEADER + ",latency_ms@bad\n" + ROW + ",-1\n", ("line 2", "latency_ms@bad", "-1")),
        (HEADER + ",latency_ms@bad\n" + ROW + ",0\n", ("line 2", "latency_ms@bad")),
        (HEADER + ",latency_ms@bad\n" + ROW + ",fast\n", ("line 2", "latency_ms@bad", "fast")),
        (HEADER + ",latency_ms@bad\n" + ROW + ",1e999\n", ("line 2", "latency_ms@bad")),
        (HEADER + ",accuracy@bad\n" + ROW + ",101\n", ("line 2", "accuracy@bad", "101")),
        (HEADER + ",accuracy@bad\n" + ROW + ",-5\n", ("line 2", "accuracy@bad")),
        (HEADER + ",energy_mj@bad\n" + ROW + ",-5\n", ("line 2", "energy_mj@bad")),
        (HEADER + ",latency_ms@bad\n" + ROW + "\n", ("line 2",)),
        (HEADER + ",latency_ms@bad\n" + ROW + ",1,2\n", ("line 2",)),
        (HEADER + ',latency_ms@bad\n"' + ROW + ",1\n", ()),
        (HEADER + ",latency_ms@bad\n" + ROW + ",1\0\n", ("line 2",)),
        (HEADER + ",latency_ms@bad\n" + "x" * 100000 + ROW + ",1\n", ("line 2",)),
        (HEADER + ",w01,latency_ms@bad\n" + ROW + ",4,1\n", ("line 2", "w01")),
        ("PK\x03\x04\x00\x00", ()),
    )

    @unittest.skipIf("TSAN_OPTIONS" in os.environ,
                     "the thread sanitizer holds a signal back while a program waits in fread()")
    def test_an_interrupted_import_is_forgotten(self):
        """More of them than may be open at once."""
        text = HEADER + ",latency_ms@interrupted\n" + (ROW + ",1\n") * 4000
        self.assertGreater(len(text), 2 * 65536)  # of a pipe: what is written was read
        for _ in range(17):
            with subprocess.Popen(
                    [harness.TAILOR, "measure", "import", "--space", "nasbench201", "-"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    env=dict(os.environ, TAILOR_ENDPOINT=self.daemon.endpoint)) as importing:
                importing.stdin.write(text.encode())
                importing.stdin.flush()
                importing.send_signal(signal.SIGINT)
                self.assertEqual(harness.FAILED, importing.wait(harness.RUN_S))
                self.assertIn(b"interrupted; nothing was stored", importing.stderr.read())
        self.assertIn("interrupted", self.refused(
            "measure", "export", "--space", "nasbench201", "--device", "interrupted"))

    def test_a_bad_table_is_refused_with_its_place_and_stores_nothing(self):
        good = HEADER + ",latency_ms@bad\n"
        for text, words in self.BAD_TABLES:
            with self.subTest(text=text[:120]):
                path = self.write("bad.csv", text)
                error = self.refused("measure", "import", "--space", "nasbench201", path)
                self.assertTrue(error.startswith("tailor measure import: "), error)
                for word in ("bad.csv",) + words:
                    self.assertIn(word, error)
        devices = [json.loads(line)["device"] for line in self.ok("device", "list", "--json").split("\n")
                   if line]
        self.assertNotIn("bad", devices)
        self.imported("good.csv", good + ROW + ",1\n")

    def test_a_table_without_rows_stores_nothing(self):
        for text in (HEADER + "\n", HEADER + ",latency_ms@rowless\n"):
            self.assertEqual(0, self.imported("rowless.csv", text)["values"])

    def test_an_error_far_down_stores_nothing_of_what_stands_before(self):
        designs = harness.cells(15625, 4)
        text = harness.table(designs, {"latency_ms@far": harness.latency_ms,
                                       "energy_mj@far": harness.latency_ms})
        path = self.write("far.csv", text + ROW + ",broken,1\n")
        error = self.refused("measure", "import", "--space", "nasbench201", path)
        self.assertIn("line 15627", error)
        self.assertNotIn("@far", self.ok("measure", "export", "--space", "nasbench201").split("\n")[0])

    def test_unknown_spaces_devices_and_files_are_refused(self):
        good = self.write("g.csv", HEADER + ",latency_ms@g\n" + ROW + ",1\n")
        self.assertIn("nasbench201", self.refused("measure", "import", "--space", "nasbench20", good))
        self.refused("measure", "import", "--space", "nasbench201", self.folder + "/nowhere.csv")
        self.assertIn("Is a directory", self.refused(
            "measure", "import", "--space", "nasbench201", self.folder))
        self.refused("measure", "export", "--space", "nowhere")
        self.refused("measure", "export", "--space", "nasbench201", "--device", "nobody")


class Kill(unittest.TestCase):
    """kill -9 at random moments: what was acknowledged is there, what was not is there not at
    all or whole."""

    N_KILLS = 10
    N_ROWS = 2000

    def setUp(self):
        self.folder = harness.tempfile.mkdtemp(prefix="tailor-kill-", dir="/tmp")
        self.addCleanup(harness.shutil.rmtree, self.folder)
        self.designs = harness.cells(self.N_ROWS, 9)
        self.n_tables = 0
        self.acknowledged = {}

    def write_table(self):
        number = self.n_tables
        self.n_tables += 1
        name = "t%d" % number
        path = os.path.join(self.folder, name + ".csv")
        columns = {"latency_ms@" + name: lambda d: 1.0 + number,
                   "energy_mj@" + name: harness.latency_ms}
        with open(path, "w", encoding="utf-8") as file:
            file.write(harness.table(self.designs, columns))
        return name, path

    def import_until_killed(self, daemon, rng):
        """Imports one table after the other; the daemon is killed after a random time."""
        names = []
        stop_at = time.monotonic() + rng.uniform(0.0, 0.5)
        while True:
            name, path = self.write_table()
            names.append(name)
            client = subprocess.Popen(
                [harness.TAILOR, "--timeout-ms", "2000", "--connect", daemon.endpoint, "measure",
                 "import", "--space", "nasbench201", path],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            while client.poll() is None and time.monotonic() < stop_at:
                time.sleep(0.001)
            if client.poll() is None:
                daemon.kill()
                self.acknowledged[name] = client.wait(60) == 0
                return names
            self.acknowledged[name] = client.returncode == 0
            self.assertEqual(0, client.returncode)

    def check(self, daemon, names):
        result = harness.run(daemon, [harness.TAILOR, "measure", "export", "--space", "nasbench201"])
        self.assertIn(result.returncode, (0, 1), result.stderr)
        rows = list(harness.csv.DictReader(harness.io.StringIO(result.stdout)))
        for name in names:
            column = "latency_ms@" + name
            values = [row[column] for row in rows if row.get(column)]
            energies = [row["energy_mj@" + name] for row in rows if row.get("energy_mj@" + name)]
            self.assertEqual(len(values), len(energies), name)
            if self.acknowledged[name]:
                self.assertEqual(self.N_ROWS, len(values), name + " was acknowledged")
            self.assertIn(len(values), (0, self.N_ROWS), name)
            self.assertLessEqual({float(v) for v in values}, {1.0 + int(name[1:])})

    def test_kill_during_import_loses_and_halves_nothing(self):
        rng = random.Random(harness.SEED)
        daemon = harness.Daemon(self.folder)
        names = []
        for _ in range(self.N_KILLS):
            daemon.start()
            names += self.import_until_killed(daemon, rng)
            daemon.start()
            self.check(daemon, names)
            daemon.kill()
        daemon.start()
        self.check(daemon, names)
        self.assertEqual(0, daemon.stop())
        n_kept = sum(self.acknowledged.values())
        print("%d kills, %d imports acknowledged, %d not" % (
            self.N_KILLS, n_kept, len(names) - n_kept), file=sys.stderr)
        self.assertGreater(n_kept, 0)

    def test_sigterm_finishes_what_was_accepted(self):
        daemon = harness.Daemon(self.folder)
        daemon.start()
        name, path = self.write_table()
        done = harness.run(daemon, [harness.TAILOR, "measure", "import", "--space", "nasbench201", path])
        self.assertEqual(0, done.returncode, done.stderr)
        self.acknowledged[name] = True
        self.assertEqual(0, daemon.stop())
        daemon.start()
        self.check(daemon, [name])
        daemon.process.send_signal(signal.SIGINT)
        self.assertEqual(0, daemon.process.wait(60))

    def test_a_second_daemon_on_the_same_data_is_refused(self):
        daemon = harness.Daemon(self.folder)
        daemon.start()
        second = subprocess.run(
            [harness.TAILORD, "--data", os.path.join(self.folder, "data"), "--listen",
             daemon.endpoint + "2"], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(1, second.returncode, second.stderr)
        self.assertNotEqual("", second.stderr)
        self.assertEqual(0, daemon.stop())


if __name__ == "__main__":
    harness.main()
