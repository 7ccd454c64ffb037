#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is predicted from a profile alone, of energy, and of layers at any width of bits: runs
bench_zero_shot, bench_energy and bench_bits and keeps what they print.

    bench/profile_figures.py [--seeds 3]
"""
import argparse
import os

import harness

CATALOGUE = os.path.join(harness.SOURCE_DIR, "device-profiles", "catalogue")

ZERO_SHOT = [
    "each device of a table is left out in turn and predicted from its published profile and the models of the others, "
    "400 measurements each; 1,000 other designs are judged (all 81 of mobilenet-zoo)",
    "log_error: median of |log(predicted / measured)|; of all: its median over devices, means of the rest; coverage scaled "
    "by the errors of the other devices",
    "the kernel's seven hyperparameters, the sharpness of the experts' weights and what sureness counts were set on these tables, all together; "
    "the weights themselves never see the device that is judged",
    "level: tailor's shape at the level of one expert; before, the level was that of the process alone",
    "what a class draws, and picojoules per MAC, are rounded figures of published systems; the three devices of nasbench201 were in view",
]
ENERGY = [
    "each device with energy is left out in turn; up to 500 other designs are judged; nothing: no profile, no latency; profile: its published profile; "
    "same: and latency of the very designs whose energy was measured; known: and a model of its latency from 400 measurements",
]
BITS = [
    "a fifth of the measurements (rows) or of the layers with all their widths (layers) is held out; mean absolute relative error",
    "noise: variance of a sample over that of the kernel's process, .1 for refined; fitted_mape: error on the measurements that were fitted; p-norm: the law alone, all six numbers "
    "fitted for dense and for depthwise layers by themselves; p: mean over seeds",
]


def run(name, *arguments):
    return harness.lines_of(harness.run_bench(
        name, harness.SPACES_DIR, harness.DATA_DIR, *arguments))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    harness.keep_result("zero_shot", ZERO_SHOT, *run("zero_shot", CATALOGUE))
    harness.keep_result("energy", ENERGY + [f"means over {seeds} seeds"], *run("energy", CATALOGUE, seeds))
    harness.keep_result("bits", BITS, *run("bits", seeds))


if __name__ == "__main__":
    main()
