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
    "tried: weights exp(-distance) in place of the process, Spearman nasbench201 .924, fbnet .927, mobilenetv3 .904, mnasnet .979, mobilenet-zoo .902; "
    "without the runtime in the kernel mobilenet-zoo .878; without the roofline's shape energy of nasbench201 .707",
]
ENERGY = [
    "each device with energy is left out in turn; up to 500 other designs are judged; nothing: no profile, no latency; profile: its published profile; "
    "same: and latency of the very designs whose energy was measured; known: and a model of its latency from 400 measurements",
    "tried: latency as a column of the weight of one known device, Jetson TX2 with 5 samples .948 and 23%; always as the unit, mobilenet-zoo with 20 samples .987 for .994",
]
BITS = [
    "a fifth of the measurements (rows) or of the layers with all their widths (layers) is held out; mean absolute relative error",
    "noise: variance of a sample over that of the kernel's process, .1 for refined; fitted_mape: error on the measurements that were fitted; p-norm: the law alone, all six numbers "
    "fitted for dense and for depthwise layers by themselves; p: mean over seeds",
    "tried on rows: 2,048 random Fourier features of the Laplace kernel over log physics 2.0% latency and 2.1 to 2.3% energy, the same "
    "with separate features for dense and depthwise layers 2.0 and 2.2% of dense ones; kernel regression that keeps its samples 1.1 and 1.3%",
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
