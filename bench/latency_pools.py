#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Few-shot latency prediction on seven pools of devices (the NASFLAT protocol), through the
public commands, on a daemon that starts without models.

For each pool and seed: a random part of every source device's measurements is imported (512 of
nasbench201, 800 of fbnet) and `train --devices` is run; each test device is then given N measured
designs, random or named by `measure suggest` among 3,000 random ones of the table, under a name
of its own; `predict` ranks all other designs. Spearman's rank correlation with what was measured.

    bench/latency_pools.py [--pools ND,FD] [--seeds 5] [--samples 20]
"""
import argparse
import math
import random

import harness

PHONES = "silver_4114,silver_4210r,samsung_a50,pixel3,essential_ph_1,samsung_s7"
GPUS = ",".join(f"{g}_{b}" for g in "1080ti 2080ti titan_rtx titanx titanxp".split()
                for b in (1, 32, 64))
POOLS = {
    "ND": ("nasbench201", "1080ti_1,1080ti_32,1080ti_256," + PHONES,
           "titan_rtx_256,gold_6226,fpga,pixel2,raspi4,eyeriss"),
    "FD": ("fbnet", "1080ti_1,1080ti_32,1080ti_64," + PHONES, "fpga,raspi4,eyeriss"),
    "F1": ("fbnet", "2080ti_1,essential_ph_1,silver_4114,titan_rtx_1,titan_rtx_32",
           "eyeriss,fpga,raspi4,samsung_a50,samsung_s7"),
    "F2": ("fbnet", "essential_ph_1,gold_6226,gold_6240,pixel3,raspi4",
           "1080ti_1,1080ti_32,2080ti_32,titan_rtx_1,titanxp_1"),
    "F3": ("fbnet", "essential_ph_1,pixel2,pixel3,raspi4,samsung_s7",
           "1080ti_1,1080ti_32,2080ti_1,titan_rtx_1,titan_rtx_32"),
    "F4": ("fbnet", "1080ti_64,2080ti_1,eyeriss,gold_6226,gold_6240,raspi4,samsung_s7,"
           "silver_4210r,titan_rtx_1,titan_rtx_32", "1080ti_1,pixel2,essential_ph_1"),
    "FA": ("fbnet", GPUS, "gold_6226,essential_ph_1,samsung_s7,pixel2"),
}
STUDENT_95 = 1.812  # with ten degrees of freedom, which a head has from nine samples on
SOURCE_ROWS = {"nasbench201": 512, "fbnet": 800}


def import_sources(daemon, table, space, sources, rng):
    rows = {}
    for place, device in enumerate(sources):
        column = "latency_ms@" + device
        for i in rng.sample(table.measured(column), SOURCE_ROWS[space]):
            rows.setdefault(i, [""] * len(sources))[place] = repr(table.columns[column][i])
    path = daemon.write("sources.csv", table.slots + ["latency_ms@" + d for d in sources],
                        [list(table.designs[i]) + values for i, values in rows.items()])
    daemon.run("measure", "import", "--space", space, path)


def choose(daemon, table, space, device, how, n, rng):
    measured = table.measured("latency_ms@" + device)
    if how == "random":
        return rng.sample(measured, n)
    candidates = rng.sample(measured, min(3000, len(measured)))
    path = daemon.write("candidates.csv", table.slots, [table.designs[i] for i in candidates])
    place = {table.designs[i]: i for i in candidates}
    named = daemon.table("measure", "suggest", "--space", space, "--device", f"{device}-{how}",
                         "--count", n, "--candidates", path)
    return [place[tuple(r[s] for s in table.slots)] for r in named]


def one_device(daemon, table, space, device, how, n, all_designs, rng):
    name = f"{device}-{how}"
    values = table.columns["latency_ms@" + device]
    daemon.run("device", "add", "--name", name)
    chosen = choose(daemon, table, space, device, how, n, rng)
    path = daemon.write("samples.csv", table.slots + ["latency_ms@" + name],
                        [list(table.designs[i]) + [repr(values[i])] for i in chosen])
    daemon.run("measure", "import", "--space", space, path)
    answers = daemon.table("predict", "--space", space, "--device", name, "--designs", all_designs)
    taken = set(chosen)
    rest = [i for i in table.measured("latency_ms@" + device) if i not in taken]
    got = [float(answers[i]["latency_ms"]) for i in rest]
    wanted = [values[i] for i in rest]
    floor = .2 * harness.quantile(wanted, .5)
    errors = [abs(g / w - 1) for g, w in zip(got, wanted) if w > floor]
    covered = [abs(float(answers[i]["latency_ms"]) - values[i]) <=
               STUDENT_95 * float(answers[i]["latency_std_ms"]) for i in rest]
    return (harness.spearman(got, wanted), harness.mean(errors),
            harness.mean([e < .1 for e in errors]), harness.mean(covered))


def one_pool(pool, seeds, n):
    space, sources, tests = POOLS[pool]
    table = harness.Table(space + ".csv")
    results = {}
    for seed in range(seeds):
        rng = random.Random(f"{pool}-{seed}")
        with harness.Daemon() as daemon:
            import_sources(daemon, table, space, sources.split(","), rng)
            daemon.run("train", "--space", space, "--devices", sources)
            all_designs = daemon.write("all.csv", table.slots, table.designs)
            for device in tests.split(","):
                for how in ("random", "chosen"):
                    results.setdefault((device, how), []).append(
                        one_device(daemon, table, space, device, how, n, all_designs, rng))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pools", default=",".join(POOLS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=20)
    options = parser.parse_args()
    rows = []
    for pool in options.pools.split(","):
        results = one_pool(pool, options.seeds, options.samples)
        for how in ("random", "chosen"):
            per_device = {d: r for (d, h), r in results.items() if h == how}
            for device, r in per_device.items():
                rows.append([pool, device, how, *[harness.mean([x[k] for x in r]) for k in range(4)],
                             harness.sd([x[0] for x in r])])
            by_seed = [harness.mean([r[s][0] for r in per_device.values()])
                       for s in range(options.seeds)]
            rest = [harness.mean([x[k] for r in per_device.values() for x in r]) for k in (1, 2, 3)]
            rows.append([pool, "mean", how, harness.mean(by_seed), *rest, harness.sd(by_seed)])
            print(f"{pool} {how}: Spearman {harness.mean(by_seed):.3f} +- {harness.sd(by_seed):.3f}, "
                  f"MAPE {rest[0]:.3f}, within 10% {rest[1]:.2f}, 90% interval {rest[2]:.2f}",
                  flush=True)
            assert not any(math.isnan(v) for v in by_seed)
    name = "latency_pools" if options.samples == 20 else f"latency_pools_{options.samples}"
    harness.keep_result(
        name, [f"{options.samples} samples, {options.seeds} seeds; sd over seeds"],
        ["pool", "device", "samples", "spearman", "mape", "within_10pct", "coverage_90", "sd"], rows)


if __name__ == "__main__":
    main()
