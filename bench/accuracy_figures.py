#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Accuracy predicted for designs never trained, through the public commands.

nasbench201: a fifth of the canonical cells is held out with all their isomorphic designs; N of the
other designs are imported and `train` is run; Spearman on the held-out designs, per task.
mnasnet: a random fifth is held out. Coverage is counted twice: a design each, and each function that
cells compute once, because a few functions have hundreds of isomorphic cells that are right or wrong together.

    bench/accuracy_figures.py [--spaces nasbench201,mnasnet] [--seeds 3]
"""
import argparse
import random
import time

import harness

CASES = {"nasbench201": (("cifar10", "cifar100", "imagenet16-120"), (200, 1000)),
         "mnasnet": (("imagenet",), (200, 1000, 0))}


def held_out(space, table, seed):
    if space == "nasbench201":
        return [f == 0 for f in harness.canonical_folds(table.designs, 5, seed)]
    test = set(random.Random(seed).sample(range(len(table.designs)), len(table.designs) // 5))
    return [i in test for i in range(len(table.designs))]


def function_of(space, design):
    return harness.canonical_cell(design) if space == "nasbench201" else tuple(design)


def covered_once(is_covered, functions):
    """The share covered, each function counted once, and the most designs of one that is missed."""
    groups = {}
    for covered, function in zip(is_covered, functions):
        groups.setdefault(function, []).append(covered)
    missed = [len(g) - sum(g) for g in groups.values()]
    return harness.mean([harness.mean(g) for g in groups.values()]), max(missed)


def one_run(space, table, tasks, n, seed):
    is_test = held_out(space, table, seed)
    pool = [i for i, test in enumerate(is_test) if not test]
    rows = random.Random(1000 + seed).sample(pool, n) if n else pool
    test = [i for i, t in enumerate(is_test) if t]
    columns = ["accuracy@" + t for t in tasks]
    with harness.Daemon() as daemon:
        path = daemon.write("train.csv", table.slots + columns, [
            list(table.designs[i]) + [repr(table.columns[c][i]) for c in columns] for i in rows])
        daemon.run("measure", "import", "--space", space, path)
        daemon.run("device", "add", "--name", "any")
        start = time.monotonic()
        daemon.run("train", "--space", space, "--tasks", ",".join(tasks), "--seed", seed)
        seconds = time.monotonic() - start
        asked = daemon.write("test.csv", table.slots, [table.designs[i] for i in test])
        out = []
        for task, column in zip(tasks, columns):
            answers = daemon.table("predict", "--space", space, "--device", "any", "--task", task,
                                   "--designs", asked)
            got = [float(a["accuracy"]) for a in answers]
            std = [float(a["accuracy_std"]) for a in answers]
            wanted = [table.columns[column][i] for i in test]
            is_covered = [abs(g - w) <= 1.645 * s for g, w, s in zip(got, wanted, std)]
            once, most = covered_once(is_covered, [function_of(space, table.designs[i]) for i in test])
            top = sorted(range(len(got)), key=lambda i: -got[i])[:5]
            out.append((task, harness.spearman(got, wanted), harness.mean(is_covered),
                        max(wanted) - max(wanted[i] for i in top), once, most))
        return len(rows), seconds, out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--spaces", default=",".join(CASES))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for space in options.spaces.split(","):
        table = harness.Table(space + ".csv")
        tasks, sizes = CASES[space]
        for n in sizes:
            runs = [one_run(space, table, tasks, n, seed) for seed in range(options.seeds)]
            for k, task in enumerate(tasks):
                rho = [r[2][k][1] for r in runs]
                rows.append([space, task, runs[0][0], harness.mean(rho), harness.sd(rho),
                             harness.mean([r[2][k][2] for r in runs]),
                             harness.mean([r[2][k][3] for r in runs]),
                             harness.mean([r[1] for r in runs]),
                             harness.mean([r[2][k][4] for r in runs]),
                             max(r[2][k][5] for r in runs)])
                print(f"{space} {task} from {runs[0][0]} designs: Spearman {rows[-1][3]:.3f} +- "
                      f"{rows[-1][4]:.3f}, 90% interval {rows[-1][5]:.2f}, best of top 5 "
                      f"{rows[-1][6]:.2f} below the best, train {rows[-1][7]:.1f} s", flush=True)
    harness.keep_result("accuracy_figures", [f"{options.seeds} seeds; sd over seeds; held out by "
                        "canonical cell (nasbench201), at random (mnasnet)"],
                        ["space", "task", "designs", "spearman", "sd", "coverage_90",
                         "regret_top5_points", "train_s", "coverage_90_functions",
                         "designs_of_worst_function"], rows)


if __name__ == "__main__":
    main()
