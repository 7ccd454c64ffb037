#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A design for each row of a table of devices, on the world of toy.py."""
import csv
import io
import json
import os
import signal
import subprocess
import time

import harness
from toy import PREDICTIONS, SLOTS, SPACE, Trained

COLUMNS = ["device"] + SLOTS + PREDICTIONS + ["p_feasible", "error"]
PROFILE = "cpu,4,1500,48,4"
HEADER = "device,class,cores,clock_mhz,peak_gflops.fp32,bandwidth_gb_per_s.dram,max_latency_ms\n"


class Fleet(Trained):
    def fleet_file(self, lines, name="fleet.csv"):
        return self.write(name, HEADER + "".join(line + "\n" for line in lines))

    def fleet(self, path, *options, status=harness.DONE):
        done = self.run_program(
            harness.TAILOR, ["fleet", *SPACE, "--devices", path, *options], status)
        return list(csv.DictReader(io.StringIO(done.stdout)))

    def test_each_row_is_answered_in_its_order_as_design_would(self):
        path = self.fleet_file(["slow,,,,,,60", "fast,,,,,,15", "fast,,,,,,8", "fast,,,,,,15"])
        rows = self.fleet(path)
        self.assertEqual(COLUMNS, list(rows[0]))
        self.assertEqual(["slow", "fast", "fast", "fast"], [row["device"] for row in rows])
        for row, device, limit in zip(rows, ("slow", "fast", "fast"), (60, 15, 8)):
            best = self.rows("design", *SPACE, "--device", device, "--max-latency-ms", limit)[0]
            self.assertEqual(best, {name: row[name] for name in best})
            self.assertEqual("", row["error"])
        self.assertEqual(rows[1], rows[3])

    def test_profiles_are_devices_that_nobody_registered(self):
        path = self.fleet_file([f",{PROFILE},", f",{PROFILE},", "fast,,,,,,15"])
        rows = self.fleet(path, "--max-latency-ms", "1e6")
        self.assertEqual(["", "", "fast"], [row["device"] for row in rows])
        self.assertTrue(all(row["latency_ms"] and row["accuracy"] for row in rows))
        self.assertEqual(rows[0], rows[1])
        self.assertNotIn("fast2", self.ok("device", "list"))

    def test_what_is_wrong_with_a_row_stands_there_and_stops_nobody(self):
        path = self.fleet_file([
            "nobody,,,,,,15", ",cpx,4,1500,48,4,15", "fast,,,,,,1e-9", "fast,,,,,,-5", ",,,,,,15",
            f"fast,{PROFILE},15", "fast,,,", "fast,,,,,,fifteen", "fast,,,,,,15"])
        rows = self.fleet(path, status=harness.FAILED)
        errors = [row["error"] for row in rows]
        self.assertEqual(9, len(rows))
        for error, words in zip(errors, (
                ["nobody"], ["line 3", "class", "cpx"], ["nearest"], ["max_latency_ms"],
                ["line 6", "device or a profile"], ["line 7", "not both"], ["line 8", "fields"],
                ["line 9", "max_latency_ms", "fifteen"])):
            for word in words:
                self.assertIn(word, error)
        self.assertEqual("", errors[8])
        self.assertEqual("", rows[0]["e01"] + rows[0]["latency_ms"])
        self.assertNotEqual("", rows[2]["e01"])

    def test_rows_without_a_feasible_design_leave_with_3(self):
        rows = self.fleet(self.fleet_file(["fast,,,,,,1e-9", "fast,,,,,,15"]),
                          status=harness.INFEASIBLE)
        self.assertLess(float(rows[0]["p_feasible"]), 0.9)

    def test_limits_of_the_command_hold_where_a_row_has_none(self):
        rows = self.fleet(self.fleet_file(["fast,,,,,,", "fast,,,,,,8"]), "--max-latency-ms", "15")
        self.assertGreater(float(rows[0]["latency_ms"]), 8)
        self.assertLess(float(rows[1]["latency_ms"]), 8)

    def test_json_is_a_line_a_row(self):
        path = self.fleet_file(["fast,,,,,,15"] * 3)
        lines = self.ok("fleet", *SPACE, "--devices", path, "--json").splitlines()
        self.assertEqual(3, len(lines))
        self.assertEqual("fast", json.loads(lines[0])["device"])

    def test_a_table_may_come_through_standard_input(self):
        with open(self.fleet_file(["fast,,,,,,15"]), encoding="utf-8") as file:
            done = subprocess.run(
                [harness.TAILOR, "fleet", *SPACE, "--devices", "-"], stdin=file, text=True,
                env=dict(os.environ, TAILOR_ENDPOINT=self.daemon.endpoint), capture_output=True,
                check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(2, len(done.stdout.splitlines()))

    # ---- long tables

    def long_table(self, n):
        return self.fleet_file([f"fast,,,,,,{8 + i % 40}" for i in range(n)], f"long{n}.csv")

    def test_pieces_are_joined_in_order(self):
        path = self.long_table(700)
        rows = self.fleet(path, "--threads", 3)
        self.assertEqual(700, len(rows))
        for i in (0, 255, 256, 699):
            self.assertLessEqual(float(rows[i]["latency_ms"]), 8 + i % 40)
        self.assertEqual(rows[0], rows[680])

    def test_an_interrupted_run_goes_on_and_ends_with_the_same_file(self):
        path = self.long_table(3000)
        whole = os.path.join(self.folder, "whole.csv")
        broken = os.path.join(self.folder, "broken.csv")
        self.fleet(path, "--out", whole)
        process = subprocess.Popen(
            [harness.TAILOR, "fleet", *SPACE, "--devices", path, "--out", broken],
            env=dict(os.environ, TAILOR_ENDPOINT=self.daemon.endpoint),
            stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if os.path.exists(broken) and os.path.getsize(broken) > 0:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with open(broken, "a", encoding="utf-8") as file:
            file.write("fast,nor_conv_3")  # half a line, as a power cut leaves it
        self.fleet(path, "--out", broken, "--resume")
        with open(whole, encoding="utf-8") as a, open(broken, encoding="utf-8") as b:
            self.assertEqual(a.read(), b.read())
        self.fleet(path, "--out", broken, "--resume")  # nothing is left to do
        with open(whole, encoding="utf-8") as a, open(broken, encoding="utf-8") as b:
            self.assertEqual(a.read(), b.read())
        jobs = [json.loads(line) for line in self.ok("job", "list", "--json").splitlines()]
        self.assertEqual(["done", "done"], [job["state"] for job in jobs[-2:]], jobs)

    def test_rows_of_before_count_for_how_a_resumed_run_leaves(self):
        lines = ["nobody,,,,,,15", "fast,,,,,,1e-9", "fast,,,,,,15"]
        for options in ([], ["--json"]):
            for first, status in ((0, harness.FAILED), (1, harness.INFEASIBLE), (2, harness.DONE)):
                path = self.fleet_file(lines[first:])
                out = os.path.join(self.folder, f"left{first}{len(options)}")
                for more in ([], ["--resume"]):
                    self.fleet(path, "--out", out, *options, *more, status=status)
            out = os.path.join(self.folder, f"part{len(options)}")
            for more in ([], ["--resume"]):
                self.fleet(self.fleet_file(lines), "--shard", "1/1", "--out", out, *options, *more,
                           status=harness.FAILED)

    def test_a_table_for_reading_is_aligned_from_the_first_row_to_the_last(self):
        path = self.long_table(600)
        text = self.ok("fleet", *SPACE, "--devices", path, "--table")
        lines = text.splitlines()
        self.assertEqual(COLUMNS[:-1], lines[0].split()[:-1])
        self.assertEqual(601, len(lines))
        self.assertEqual([row["latency_ms"] for row in self.fleet(path)],
                         [line.split()[COLUMNS.index("latency_ms")] for line in lines[1:]])
        out = os.path.join(self.folder, "aligned.txt")
        self.ok("fleet", *SPACE, "--devices", path, "--table", "--out", out)
        with open(out, encoding="utf-8") as file:
            self.assertEqual(text, file.read())
        self.assertIn("--resume", self.refused(
            "fleet", *SPACE, "--devices", path, "--table", "--out", out, "--resume",
            status=harness.USAGE))

    def test_an_old_file_goes_where_there_are_no_rows(self):
        out = self.write("none.json", "old\n")
        self.ok("fleet", *SPACE, "--devices", self.fleet_file([]), "--json", "--out", out)
        self.assertEqual(0, os.path.getsize(out))
        self.write("none.json", "old\n")
        self.ok("device", "list", "--prefix", "nobody-has-this", "--json", "--out", out)
        self.assertEqual(0, os.path.getsize(out))

    def test_a_file_of_other_columns_is_not_resumed(self):
        other = self.write("other.csv", "a,b\n1,2\n")
        error = self.refused(
            "fleet", *SPACE, "--devices", self.long_table(4), "--out", other, "--resume")
        self.assertIn("columns", error)
        with open(other, encoding="utf-8") as file:
            self.assertEqual("a,b\n1,2\n", file.read())

    def test_shards_join_to_the_whole_and_are_there_whole_or_not_at_all(self):
        path = self.long_table(1000)
        whole = self.fleet(path)
        joined = []
        for i in (1, 2, 3):
            out = os.path.join(self.folder, f"shard{i}.csv")
            for _ in range(2):  # run twice without harm
                self.fleet(path, "--shard", f"{i}/3", "--out", out)
            with open(out, encoding="utf-8") as file:
                joined += list(csv.DictReader(file))
        self.assertEqual(whole, joined)
        self.assertEqual([], [n for n in os.listdir(self.folder) if n.endswith(".part")])
        gone = os.path.join(self.folder, "gone.csv")
        bad = self.write("bad.csv", HEADER + "fast,,,,,,15\n\"fast\n")
        self.refused("fleet", *SPACE, "--devices", bad, "--shard", "1/1", "--out", gone)
        self.assertFalse(os.path.exists(gone))

    def test_json_and_csv_are_not_mixed_in_one_file_and_a_shorter_table_does_not_resume(self):
        out = os.path.join(self.folder, "mixed.csv")
        path = self.fleet_file(["fast,,,,,,15"] * 2, "two.csv")
        self.fleet(path, "--out", out)
        with open(out, encoding="utf-8") as file:
            before = file.read()
        ask = ["fleet", *SPACE, "--out", out, "--resume", "--devices"]
        self.assertIn("columns", self.refused(*ask, path, "--json"))
        self.assertIn("has 2 rows", self.refused(*ask, self.fleet_file(["fast,,,,,,15"])))
        with open(out, encoding="utf-8") as file:
            self.assertEqual(before, file.read())

    def test_an_old_file_stays_until_there_are_rows_for_a_new_one(self):
        out = self.write("old.csv", "precious\n")
        path = self.fleet_file(["fast,,,,,,15"])
        self.refused("fleet", "--space", "nowhere", "--devices", path, "--out", out)
        with open(out, encoding="utf-8") as file:
            self.assertEqual("precious\n", file.read())
        self.fleet(path, "--out", out)
        with open(out, encoding="utf-8") as file:
            self.assertEqual(COLUMNS, next(csv.reader(file)))

    def test_a_device_is_no_file_to_be_cut_or_synced(self):
        self.fleet(self.fleet_file(["fast,,,,,,15"]), "--out", "/dev/null")

    # ---- wrong input

    def test_bytes_of_a_bad_field_do_no_harm_to_the_others(self):
        path = os.path.join(self.folder, "bytes.csv")
        head = "class,clock_mhz,cores,peak_gflops.fp32,bandwidth_gb_per_s.dram,description\r\n"
        rows = ["cpu,1500,4,48,4,a \"quoted\" word", "\xff\xfe,1500,4,48,4,", "cpu,1500,4,48,4,\x01",
                "\u00e9" * 300 + ",1500,4,48,4,", "", "", "cpx,1500,4,48,4,"]
        rows[0] = 'cpu,1500,4,48,4,"a ""quoted"" word"'
        with open(path, "wb") as file:
            file.write(b"\xef\xbb\xbf" + head.encode())
            for row in rows:
                file.write(row.encode("latin-1" if "\xff" in row else "utf-8") + b"\r\n")
        answers = self.fleet(path, "--minimize", "latency_ms", status=harness.FAILED)
        errors = [row["error"] for row in answers]
        self.assertEqual(5, len(errors))
        self.assertEqual("", errors[0])
        for error, line in zip(errors[1:], (3, 4, 5, 8)):
            self.assertIn(f"bytes.csv line {line}, column", error)

    def test_a_break_within_a_field_shifts_the_lines_of_no_other_row(self):
        for end in ("\r\n", "\n"):
            path = self.write("breaks.csv", end.join([
                "class,clock_mhz,peak_gflops.fp32,bandwidth_gb_per_s.dram,description",
                f'cpu,1500,48,4,"two{end}lines"', "cpu,1500,48,4,one", "cpx,1500,48,4,one", ""]))
            answers = self.fleet(path, "--minimize", "latency_ms", status=harness.FAILED)
            errors = [row["error"] for row in answers]
            self.assertEqual("", errors[1])
            self.assertIn("breaks.csv line 2, column description", errors[0])
            self.assertIn("breaks.csv line 5, column class", errors[2])
            text = self.run_program(harness.TAILOR, [
                "fleet", *SPACE, "--devices", path, "--minimize", "latency_ms"], harness.FAILED)
            self.assertEqual((4, 0), (text.stdout.count("\n"), text.stdout.count("\r")))

    def test_wrong_tables_and_arguments_are_refused(self):
        good = self.fleet_file(["fast,,,,,,15"])
        ask = ["fleet", *SPACE, "--devices"]
        self.assertIn("speed", self.refused(*ask, self.write("k.csv", "device,speed\nfast,3\n")))
        self.assertIn("clock_mhz", self.refused(*ask, self.write("n.csv", "clock_mhs\n3\n")))
        self.assertIn("two", self.refused(*ask, self.write("t.csv", "device,device\na,b\n")))
        self.assertIn("device", self.refused(*ask, self.write("l.csv", "max_latency_ms\n3\n")))
        self.assertIn("empty", self.refused(*ask, self.write("e.csv", "")))
        self.assertIn("no.csv", self.refused(*ask, os.path.join(self.folder, "no.csv")))
        self.assertIn("toy", self.refused(*ask, good, "--task", "nothing"))
        self.assertIn("method", self.refused(*ask, good, "--method", "luck"))
        for wrong in (["--resume"], ["--shard", "1/2"], ["--shard", "3/2", "--out", "x"],
                      ["--shard", "1of2", "--out", "x"], ["--threads", "0"],
                      ["--minimize", "size"]):
            self.refused(*ask, good, *wrong, status=harness.USAGE)
        self.refused("fleet", "--space", "nowhere", "--devices", good)

    def test_a_header_alone_is_an_empty_answer(self):
        self.assertEqual([], self.fleet(self.fleet_file([])))


if __name__ == "__main__":
    harness.main()
