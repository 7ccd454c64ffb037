#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/optimizer.md from the result files in bench/results/, as accuracy_doc.py writes its own.

    bench/optimizer_doc.py
"""
import math
import os

import design_tables
import fleet_tables
import optimizer_tables
import refine_tables
from accuracy_doc import number, read, source, table
from harness import RESULTS_DIR, SOURCE_DIR

POOLS = {
    "ND": ("nasbench201", "Six unseen devices; 15,625 cells, so that the optimum of the predictors is known."),
    "NQ": ("nasbench201 with weight bits",
           "Two devices that are formulas, a bit-serial one bound by computing and one of composable multipliers bound by "
           "both computing and moving; 531,441 designs, the optimum known. What they cost is known of any design; "
           "accuracies of few, so that hardly any answer can be judged by one."),
    "MN": ("mnasnet", "zcu102 left out. The table holds 4,109 designs of 10^11: answers are hardly ever among them."),
    "F1": ("fbnet", "Five unseen devices of pool F1; 10^21 designs, and no accuracies of any: what is maximized is "
                    "10 log10(MACs) + 10 log10(parameters), in points of its own."),
}

METHODS = [
    ("exhaustive", "every design, in one batch, with the accuracies kept from question to question"),
    ("neural", "`optimizer/neural.c`: one pass, designs drawn, local steps; trained quickly, by each seed anew"),
    ("64 by chance, 2 steps", "the same without a network: what the local steps alone bring"),
    ("random", "designs by chance"),
    ("generations", "`--method evolutionary`: the best 100 ever seen are parents of generations of 250, mutated and crossed"),
    ("regularized", "the same with ageing: the oldest of 100 dies, tournaments of 10, one mutation, ten children at a time"),
    ("REINFORCE", "a policy for this problem alone, 16 designs a step, leave-one-out baseline, price of entropy .6 falling to 0"),
    ("Galen", "a DDPG agent walks over the slots: what each slot costs and changes alone, an action from cheap to dear, 800 episodes "
              "less those that measure sensitivities"),
]


def cell(text, digits=2):
    return "" if math.isnan(float(text)) else number(text, digits)


def plus(row, name, digits=2):
    value = cell(row[name], digits)
    return value and f"{value} ± {cell(row[name + '_sd'], digits)}"


def pool_table(rows, pool):
    name, what = POOLS[pool]
    of = [r for r in rows if r["pool"] == pool]
    lines = [[r["method"], f"{float(r['evaluations']):,.0f}", cell(r["ms"], 1), cell(r["solved"], 3), plus(r, "gap"), cell(r["is_best"]),
              f"{cell(r['missed'])} of {r['n_known']}" if int(r["n_known"]) else "",
              f"{plus(r, 'regret')} of {r['n_judged']}" if int(r["n_judged"]) else ""] for r in of]
    known = "optimum" if any(r["method"] == "exhaustive" for r in of) else "best known"
    return "\n\n".join([
        f"### {name}",
        f"{what} {of[0]['problems']} problems over {of[0]['seeds']} seeds; {of[0]['task']}.",
        table(["method", "evaluations", "ms", "solved", f"gap to the {known}", f"is the {known}", "limits missed", "accuracy regret"], lines)])


def searches():
    notes, rows = read("searches")
    return "\n\n".join([
        "## Searches",
        "Each solves the same problems behind the same interface (`design --method`):\n\n" +
        "\n".join(f"- *{name}*: {what}" for name, what in METHODS),
        "Evaluations are designs predicted; the gap is in points of predicted accuracy below the best design of the same predictors, over problems "
        "that the method solves; regret is in points of measured accuracy below the best measured design within the measured limit, over "
        "answers that keep the limit. A share of 120 limits missed has a standard error of .03.",
        *[pool_table(rows, pool) for pool in POOLS if any(r["pool"] == pool for r in rows)],
        "Learners were tuned on other devices: of nasbench201 three of the known ones (`ND-dev`), of mnasnet a100 (`MN-dev`), by rate, price of entropy, noise, "
        "share of episodes by chance and discount (keys of `bench_searches`). Galen's settings on mnasnet were compared on one seed. It stays behind chance on nasbench201; that "
        "a cell's operators have no order from cheap to dear may be why, which was not examined.",
        source(notes, rows)])


def main():
    parts = ["# The optimizer", "Written by `bench/optimizer_doc.py` from `bench/results/`; every table names its command, date, commit and machine."]
    if os.path.exists(os.path.join(RESULTS_DIR, "searches.tsv")):
        parts.append(searches())
    for name, part in (("optimizer", optimizer_tables.optimizer), ("alternate", optimizer_tables.alternate)):
        if os.path.exists(os.path.join(RESULTS_DIR, name + ".tsv")):
            parts.append(part(read, table, source, number))
    for name, part in (("verify", refine_tables.verify), ("help_fifteen", refine_tables.fifteen),
                       ("proxy_agreement", refine_tables.proxy)):
        if os.path.exists(os.path.join(RESULTS_DIR, name + ".tsv")):
            parts.append(part())
    for name, part in (("joint", design_tables.joint), ("pareto", design_tables.pareto),
                       ("fleet", fleet_tables.fleet)):
        if os.path.exists(os.path.join(RESULTS_DIR, name + ".tsv")):
            parts.append(part(read, table, source, number))
    with open(os.path.join(SOURCE_DIR, "docs", "optimizer.md"), "w", encoding="utf-8") as file:
        file.write("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
