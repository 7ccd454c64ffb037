# SPDX-License-Identifier: Apache-2.0
"""What the optimizer reaches and how it learns: tables of docs/optimizer.md."""

POOLS = {"ND": "nasbench201, pool ND's six test devices, three tasks",
         "MN": "mnasnet, zcu102 unseen",
         "NQ": "nasbench201 with weight bits, a bit-serial device unseen, qat150 accuracies",
         "F1": "fbnet, pool F1's five test devices, a stand-in for accuracy"}


def optimizer(read, table, source, number):
    notes, rows = read("optimizer")
    text = ["## Designs without a search",
            "A network reads what the predictors say of 32 fixed designs on a device it never saw, against the limits, and answers with a "
            "distribution over designs; n of them are scored, ls local steps taken from the best. Gap: accuracy points lost to the optimum of the same "
            "predictors. Mean over training seeds, +- their deviation."]
    for group, title in POOLS.items():
        mine = [r for r in rows if r["group"] == group and r["method"] != "exhaustive"]
        if mine:
            text += [f"{title} ({mine[0]['problems']} problems, {mine[0]['seeds']} seeds):", table(
                ["method", "evaluations", "feasible", "gap", "+-", "= best known"],
                [[r["method"], number(r["evaluations"], 0), number(r["feasible"]), number(r["gap"]),
                  number(r["gap_sd"]) if r["gap_sd"] != "nan" else "", number(r["optimum"], 2)]
                 for r in mine])]
    behind = [r for r in rows if r["group"] in ("MN", "NQ", "F1", "MN long", "NQ long", "MN-dev", "NQ tried", "F1 tried") and
              r["method"] in ("neural n=64 ls=2", "neural", "evolutionary 5100")]
    if behind:
        text += ["Within 250 evaluations the network was to be no worse than evolution with 5,100. What was tried where it is not: whole local steps (n=64 ls=2) against steps by "
                 "parts with the network's favourites first (neural), longer training (`--effort long`), more local steps while memories are filled, a wider network, twice the rounds, twice the draws of a round; a gap "
                 "compares within one training only, the best known being that of its run:", table(
            ["problems", "training", "method", "evaluations", "seeds", "gap", "= best known"],
            [[r["pool"], r["training"], r["method"], number(r["evaluations"], 0), r["seeds"],
              number(r["gap"]), number(r["optimum"], 2)] for r in behind])]
    learnt = [r for r in rows if r["group"] in ("learning", "tuned") and r["method"] in (
        "neural n=1 ls=0", "neural n=16 ls=2", "neural")]
    if learnt:
        text += ["How the network learns, on three of the sources left out (`method neural` as it is, and with fewer evaluations). Straight-through reads "
                 "the gain of every option of every slot off the predictors themselves, 25 evaluations a design, so no surrogate's error counts against it:", table(
            ["learning", "method", "evaluations", "feasible", "gap", "+-", "= optimum"],
            [[r["training"], r["method"], number(r["evaluations"], 0), number(r["feasible"]),
              number(r["gap"]), number(r["gap_sd"]), number(r["optimum"], 2)] for r in learnt])]
    return "\n\n".join(text + [source(notes, rows)])


def alternate(read, table, source, number):
    notes, rows = read("alternate")
    return "\n\n".join([
        "## The optimizer's own designs, measured",
        "What it proposes for the known devices is measured, then predictors and optimizer are trained again.",
        table(["trained on", "designs added", "limits missed", "regret, points"],
              [[r["way"], number(r["added"], 0), number(r["missed"]), number(r["regret"], 2)]
               for r in rows]),
        source(notes)])

