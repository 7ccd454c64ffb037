#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A training among many devices of which little is measured."""
import harness
from toy import SPACE, Learned

N_SMALL, N_LARGE, N_DESIGNS = 300, 3, 80


class ManyDevices(Learned):
    @classmethod
    def learn(cls):
        designs = harness.cells(N_DESIGNS)
        few = set(designs[:2])
        columns = {"latency_ms@large-%d" % i: lambda d, i=i: harness.latency_ms(d, i + 1.0)
                   for i in range(N_LARGE)}
        columns.update({"latency_ms@small-%03d" % i:
                        lambda d: harness.latency_ms(d) if d in few else None
                        for i in range(N_SMALL)})
        cls.report = cls.learn_table(harness.table(designs, columns), "--effort", "none")

    def test_those_with_most_measurements_take_part_and_a_few_lines_say_so(self):
        notes = self.report["notes"]
        self.assertIn("latency_ms: the 256 devices with most measurements take part, 47 others "
                      "do not; name some to choose", notes)
        small = [n for n in notes if "a known device needs 64" in n]
        self.assertEqual(8, len(small))
        self.assertIn("245 more have fewer measurements than a known device needs", notes)
        known = {row["subject"] for row in self.report["report"] if row["part"].startswith("held-out")}
        self.assertEqual({"large-%d" % i for i in range(N_LARGE)}, known)

    def test_a_device_that_took_no_part_is_answered(self):
        path = self.write("one.csv", ",".join(harness.EDGES) + "\n" + ",".join(["nor_conv_3x3"] * 6) + "\n")
        row = self.rows("predict", *SPACE, "--device", "small-299", "--designs", path)[0]
        self.assertGreater(float(row["latency_ms"]), 0)

    def test_a_named_device_without_measurements_is_refused(self):
        self.assertIn("nobody", self.refused("train", *SPACE, "--devices", "small-001,nobody"))


if __name__ == "__main__":
    harness.main()
