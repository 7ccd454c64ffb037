#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One story from an empty folder to designs for a fleet, by way of a restart: short enough to be
run with every program under valgrind (scripts/check valgrind)."""
import itertools
import unittest

import harness

SPACE = """\
name: toy
kind: chain
input: {channels: 8, size: 8}
slot: b{block}
stages: [{channels: 8, blocks: 4}]
options:
  - {name: one, ops: [{op: conv, out: out, kernel: 1}]}
  - {name: three, ops: [{op: conv, out: out, kernel: 3}]}
  - {name: five, ops: [{op: conv, out: out, kernel: 5}]}
  - {name: thin, ops: [{op: depthwise, kernel: 3}]}
"""
DEVICE = """\
name: rig
class: cpu
cores: 4
clock_mhz: 1500
peak_gflops: {fp32: 48}
bandwidth_gb_per_s: {l1: 96, l2: 24, dram: 4}
power_w: {idle: 2, busy: 6}
"""
SLOTS = ["b1", "b2", "b3", "b4"]
WORK = {"one": 1.0, "three": 4.0, "five": 9.0, "thin": 1.5}
GAIN = {"one": 2.0, "three": 12.0, "five": 16.0, "thin": 7.0}
N_TRAIN = 80


def latency_ms(design, launch_ms=1.0, scale=1.0):
    return scale * (launch_ms + sum(WORK[option] for option in design))


def columns_of(design):
    return [latency_ms(design), 2 * latency_ms(design), latency_ms(design, 4.0, .7),
            40 + sum(GAIN[option] for option in design) * .8]


class Story(harness.Case):
    def table(self, name, head, rows):
        lines = [",".join(head)] + [",".join(map(str, row)) for row in rows]
        return self.write(name, "\n".join(lines) + "\n")

    def learn(self):
        """A space, a device of which a profile tells, and a model of two others."""
        self.ok("space", "add", self.write("toy.yaml", SPACE))
        self.ok("device", "add", self.write("rig.yaml", DEVICE))
        designs = list(itertools.product(WORK, repeat=len(SLOTS)))[::3][:N_TRAIN]
        names = ["latency_ms@alpha", "energy_mj@alpha", "latency_ms@beta", "accuracy@task"]
        rows = [list(d) + ["%.6g" % v for v in columns_of(d)] for d in designs]
        self.ok("measure", "import", "--space", "toy",
                self.table("train.csv", SLOTS + names, rows))
        # Under a tool the optimizer would take half an hour.
        effort = "none" if harness.UNDER else "quick"
        self.ok("train", "--space", "toy", "--seed", "7", "--effort", effort)

    def measure(self):
        """The designs that teach most, measured on the device."""
        suggested = self.rows("measure", "suggest", "--space", "toy", "--device", "rig",
                              "--count", "5")
        rows = [[row[slot] for slot in SLOTS] for row in suggested]
        rows = [row + ["%.6g" % latency_ms(row, 2.0, 1.3)] for row in rows]
        self.ok("measure", "import", "--space", "toy",
                self.table("rig.csv", SLOTS + ["latency_ms@rig"], rows))

    def time_here(self):
        """A design as it runs on this machine."""
        table = self.agent("measure", "--space", "toy", "--device", "here", "--runs", "1",
                           "--designs", self.table("one.csv", SLOTS, [["thin"] * 4])).stdout
        self.assertIn("latency_ms@here", table)
        self.ok("measure", "import", "--space", "toy", self.write("here.csv", table))

    def ask(self):
        best = self.rows("design", "--space", "toy", "--device", "rig", "--max-latency-ms", "25")
        self.assertEqual(1, len(best))
        self.assertLess(float(best[0]["latency_ms"]), 25)
        fleet = self.table("fleet.csv", ["device", "class", "cores", "peak_gflops.fp32",
                                         "bandwidth_gb_per_s.dram", "max_latency_ms"],
                           [["rig", "", "", "", "", 25], ["", "cpu", 2, 9, 3, 90]])
        answers = self.rows("fleet", "--space", "toy", "--devices", fleet)
        self.assertEqual(2, len(answers))
        self.assertEqual([best[0][s] for s in SLOTS], [answers[0][s] for s in SLOTS])
        return best

    def test_from_nothing_to_a_fleet_and_again_after_a_restart(self):
        self.learn()
        before = self.rows("predict", "--space", "toy", "--device", "rig", "--designs",
                           self.table("asked.csv", SLOTS, [["one"] * 4, ["five"] * 4]))
        self.measure()
        self.time_here()
        best = self.ask()
        self.rows("pareto", "--space", "toy", "--device", "rig", "--points", "4")
        self.ok("measure", "export", "--space", "toy")
        self.assertEqual(0, self.daemon.stop())
        self.daemon.start()
        self.assertEqual(best, self.ask())
        self.assertEqual(2, len(before))
        self.ok("status")
        self.ok("device", "remove", "rig")
        self.refused("device", "show", "rig")


if __name__ == "__main__":
    harness.main()
