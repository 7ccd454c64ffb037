#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Devices of which only the profile is known, all at once and one by one, on what is shipped."""
import os

import harness


class Described(harness.Case):
    models = os.path.join(harness.SOURCE_DIR, "models")
    devices = (  # class, batch, peak, bandwidth, latency, energy, accuracy
        ("gpu", 1, 900, 60, 6, "", ""), ("cpu", 1, 60, 12, 40, "", 91),
        ("npu", 1, 2000, 30, "", 30, ""), ("mcu", 1, 20, 5, .02, "", ""),
        ("asic", 4, 300, 20, 9, 50, ""))

    def test_a_described_device_is_answered_as_a_registered_one(self):
        header = ("name,class,batch,peak_gflops.fp32,bandwidth_gb_per_s.dram,"
                  "max_latency_ms,max_energy_mj,min_accuracy\n")
        lines = [f"d{i}," + ",".join(map(str, device)) for i, device in enumerate(self.devices)]
        path = self.write("described.csv", header + "\n".join(lines) + "\n")
        rows = self.rows("fleet", "--space", "nasbench201", "--devices", path,
                         status=harness.INFEASIBLE)
        for i, (kind, batch, peak, bandwidth, *limits) in enumerate(self.devices):
            self.ok("device", "add", self.write(
                f"d{i}.yaml", f"name: d{i}\nclass: {kind}\nbatch: {batch}\npeak_gflops:\n"
                f"  fp32: {peak}\nbandwidth_gb_per_s:\n  dram: {bandwidth}\n"))
            asked = [text for name, limit in zip(("latency-ms", "energy-mj", "accuracy"), limits)
                     for text in (("--min-" if name == "accuracy" else "--max-") + name, limit)
                     if limit != ""]
            status = harness.INFEASIBLE if rows[i]["error"] else harness.DONE
            best = self.rows("design", "--space", "nasbench201", "--device", f"d{i}", *asked,
                             status=status)[0]
            self.assertEqual(best, {name: rows[i][name] for name in best})


if __name__ == "__main__":
    harness.main()
