#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/accuracy.md from the result files in bench/results/. A figure in the document is one of
a result file, which names its command, date, commit and machine.

    bench/accuracy_doc.py
"""
import os

from harness import RESULTS_DIR, SOURCE_DIR
import profile_tables

# Spearman with 20 samples as published, by pool: HELP, MultiPredict, NASFLAT.
PUBLISHED = {"ND": (.948, .930, .959), "FD": (.910, .960, .961), "F1": (.793, .756, .809),
             "F2": (.543, .567, .871), "F3": (.413, .434, .814), "F4": (.799, .763, .734),
             "FA": (.370, .450, .577)}

CURVES = {"ND": "nasbench201, nine devices known, six unseen",
          "NH": "the same by HELP's protocol, without each device's 10% fastest and slowest designs (HELP with 10: .932)",
          "NE": "the same sources, Jetson TX2 (a runtime that pays for edges nobody needs)",
          "FD": "fbnet", "F1": "fbnet", "F2": "fbnet", "F3": "fbnet", "F4": "fbnet", "FA": "fbnet, GPUs known, phones and a CPU unseen",
          "MV": "mobilenetv3, each of nine GPUs and batches left out in turn",
          "MN": "mnasnet, each of five left out in turn"}


# How a table was made, beside its command.
PUBLIC = "public commands, a daemon that starts without models"
PUBLIC_SHIPPED = "public commands, the shipped models"
IN_PROCESS = "in one process, models trained for it"
WAYS = {
    **dict.fromkeys(["latency_pools", "accuracy_figures", "limits_missed", "evaluate_nasbench201", "commands"], PUBLIC),
    **dict.fromkeys(["curves", "curves_before", "curves_student", "coverage", "interval_widths", "clocks", "edge_hypotheses",
                     "accuracy_coverage", "accuracy_functions", "uncertainty", "conditions", "conditions_dev", "limits_alternatives",
                     "limits_by_device", "zero_shot", "energy", "bits", "optimizer", "alternate", "searches", "pareto", "joint", "verify",
                     "help_fifteen", "proxy", "proxy_agreement"], IN_PROCESS),
    "probed_machine": PUBLIC_SHIPPED, "load": "requests as any client's, the shipped models", "backup": f"{PUBLIC_SHIPPED}, made-up measurements",
    "million": "public commands and libtailor, the shipped models, made-up measurements",
    "round_trips": "requests as any client's, the shipped models", "batch": "in one process, the shipped models",
    "head_speed": f"in one process, models trained for it; train: {PUBLIC}",
    "fleet": f"engine: in one process, the shipped models; tailor fleet: {PUBLIC_SHIPPED}",
}


def read(name):
    notes, rows = {"way": [WAYS[name]]}, []
    with open(os.path.join(RESULTS_DIR, name + ".tsv"), encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file]
    for line in lines:
        if line.startswith("# "):
            key, _, value = line[2:].partition("\t")
            notes.setdefault(key, []).append(value)
        elif not rows:
            header = line.split("\t")
            rows.append(header)
        else:
            rows.append(dict(zip(header, line.split("\t"))))
    return notes, rows[1:]


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def runs_of(rows):
    """Of rows that name a command and a commit each: what made which groups."""
    groups = {}
    for row in rows:
        groups.setdefault((row["command"], row["commit"]), []).append(next(iter(row.values())))
    return "; ".join(f"{', '.join(dict.fromkeys(names))}: " + (
        "command and commit were not kept" if command == "-" else f"`{command}`, commit {commit}")
        for (command, commit), names in groups.items())


def source(notes, rows=()):
    """rows: where they name their command and commit."""
    text = f"{notes['way'][0]}; {'; '.join(notes.get('protocol', []))}. "
    if "command" not in notes:
        return f"{runs_of(rows)}. {text[:1].upper()}{text[1:]}{notes['date'][0]}, {notes['machine'][0]}."
    return (f"`{notes['command'][0].strip()}`: {text}"
            f"{notes['date'][0]}, commit {notes['commit'][0]}, {notes['machine'][0]}.")


def number(text, digits=3):
    value = f"{float(text):.{digits}f}"
    return value[1:] if value.startswith("0.") and digits >= 2 else value


def pools():
    notes, rows = read("latency_pools")
    by = {(r["pool"], r["device"], r["samples"]): r for r in rows}
    out = []
    for pool, (help_, multi, nasflat) in PUBLISHED.items():
        random, chosen = by[pool, "mean", "random"], by[pool, "mean", "chosen"]
        out.append([pool, number(str(help_)), number(str(multi)), number(str(nasflat))] + [
            f"{number(r['spearman'])} ± {number(r['sd'])}" for r in (random, chosen)] + [
            f"{100 * float(chosen['mape']):.1f}%", f"{number(random['coverage_90'], 2)} / "
            f"{number(chosen['coverage_90'], 2)}"])
    devices = [[r["pool"], r["device"],
                number(r["spearman"]), number(by[r["pool"], r["device"], "chosen"]["spearman"]),
                f"{100 * float(by[r['pool'], r['device'], 'chosen']['mape']):.1f}%"]
               for r in rows if r["samples"] == "random" and r["device"] != "mean"]
    return "\n\n".join([
        "## Latency of a new device from 20 measurements",
        "Spearman's rank correlation over all other designs of the table; mean over the pool's test devices, ± standard deviation over seeds. "
        "The published figures are those of the authors' own repositories, for 20 samples of the new device.",
        table(["pool", "HELP", "MultiPredict", "NASFLAT", "tailor, 20 random", "tailor, 20 suggested",
               "error, suggested", "90% interval covers (random / suggested)"], out), source(notes),
        "By device:",
        table(["pool", "device", "20 random", "20 suggested", "error, suggested"], devices),
        curves()])


def per_cent(text):
    return "-" if text == "nan" else f"{100 * float(text):.1f}%"


def curve_tables(by):
    """One table a pool: a line for each number of samples, random beside suggested."""
    out = []
    for pool, text in CURVES.items():
        sizes = sorted({int(k[2]) for k in by if k[0] == pool})
        lines = []
        for n in sizes:
            a, b = (by[pool, how, str(n)] for how in ("random", "chosen"))
            both = lambda key, form: form(a[key]) if n == 0 else f"{form(a[key])} / {form(b[key])}"
            two = lambda text: "-" if text == "nan" else number(text, 2)
            lines.append([str(n), f"{number(a['spearman'])} ± {number(a['spearman_sd'])}",
                          f"{number(b['spearman'])} ± {number(b['spearman_sd'])}"] +
                         [both(k, per_cent) for k in ("median_error", "p90_error", "within_10pct")] +
                         [both(k, two) for k in ("c50", "c80", "c95")])
        out += [f"**{pool}**: {text}", table(
            ["samples", "Spearman, random", "Spearman, suggested", "median error", "90th percentile of error",
             "within 10%", "50% interval covers", "80%", "95%"], lines)]
    return out


def curves():
    notes, rows = read("curves")
    by = {(r["pool"], r["choice"], r["samples"]): r for r in rows if r["device"] == "mean"}
    before_notes, before_rows = read("curves_before")
    before = {(r["pool"], r["choice"], r["samples"]): r for r in before_rows if r["device"] == "mean"}
    changed = [[pool, per_cent(before[pool, "chosen", "1"]["mape"]), per_cent(by[pool, "chosen", "1"]["mape"])]
               for pool in CURVES if (pool, "chosen", "1") in before]
    return "\n\n".join([
        "## Latency over the number of measurements",
        "Each figure with random / suggested measurements; mean over the pool's test devices, ± standard deviation of Spearman's correlation over seeds. "
        "Errors are relative to the measurement, of the designs that were not measured; within 10% is a share of them. "
        "Without a measurement there is an order and no level.",
        *curve_tables(by), source(notes) + (
            " Coverage here is that of one width for all levels; the next but one table has it by level."
            if notes["commit"] == read("curves_student")[0]["commit"] else ""),
        "Mean error after one suggested measurement, before and after it is suggested near the mean of all designs:",
        table(["pool", "before", "after"], changed), source(before_notes),
        *coverage_by_pool(), *head_alternatives(), *clock_alternatives(), *edge_alternatives()])


def coverage_by_pool():
    """What intervals cover with 20 and 200 measurements, and which figures are off."""
    cases = [(n, how, text) for n in ("20", "200") for how, text in (("random", "random"), ("chosen", "suggested"))]
    levels = {"c50": .5, "c80": .8, "c95": .95}
    notes, rows = read("coverage")
    now = {(r["pool"], r["device"], r["choice"], r["samples"]): r for r in rows}
    before_notes, before_rows = read("curves_student")
    before = {(r["pool"], r["device"], r["choice"], r["samples"]): r for r in before_rows}
    pools_ = [p for p in PUBLISHED] + ["NE"]
    shares = lambda r: " ".join(number(r[c], 2) for c in levels)
    off = lambda t: [(n, text, p, c, float(t[p, "mean", how, n][c]) - level) for n, how, text in cases for p in pools_
                     for c, level in levels.items() if abs(float(t[p, "mean", how, n][c]) - level) > .03005]
    missed = [f"{p} with {n} {text} at {100 * levels[c]:.0f}% ({'+' if gap > 0 else '-'}{abs(gap):.2f})"
              for n, text, p, c, gap in off(now)]
    worst = sorted((r for r in rows if r["device"] != "mean" and r["samples"] == "20" and r["choice"] == "chosen"),
                   key=lambda r: float(r["c80"]))[:8]
    total = 3 * len(cases) * len(pools_)
    return ["### Coverage by pool",
            "Shares of the other designs within the central 50, 80 and 95% interval; mean over the pool's test devices. Before: one width for all levels and Student's t; "
            "after: the width of each level from the head's own leave-one-out residuals (`docs/decisions/0013-shape-of-intervals.md`).",
            table(["pool"] + [f"{n} {text}, {when}" for n, _, text in cases for when in ("before", "after")],
                  [[p] + [shares(t[p, "mean", how, n]) for n, how, _ in cases for t in (before, now)] for p in pools_]),
            "After: " + source(notes), "Before: " + source(before_notes),
            f"Within three points of nominal: {total - len(off(now))} of {total} (before: {total - len(off(before))}). Not: {'; '.join(missed)}. "
            "With 20 measurements the quantiles of a single head's residuals are uncertain by some ten points, and the few devices of a pool err together; designs "
            "suggested by their distance from each other are no sample of all designs, so that 200 of them speak of the edges of the space.",
            "The devices whose 80% intervals cover least with 20 suggested measurements (pixel2 and the samsungs are timed in whole milliseconds, and samsung_s7 now and then takes three times as long):",
            table(["pool", "device", "50%", "80%", "95%", "80%, before"],
                  [[r["pool"], r["device"]] + [number(r[k], 2) for k in levels] +
                   [number(before[r["pool"], r["device"], "chosen", "20"]["c80"], 2)] for r in worst])]


def head_alternatives():
    notes, rows = read("interval_widths")
    return ["Intervals that were compared (mean coverage over the seven pools; distance from 50, 80 and 95%; figures more than three points off):",
            table(["interval", "settings", "samples", "50%", "80%", "95%", "distance", "off"],
                  [[r["width"], r["settings"], r["samples"] + " " + r["choice"]] + [number(r[c], 2) for c in ("c50", "c80", "c95")] +
                   [number(r["distance"], 3), r["off"]] for r in rows]), source(notes)]


def alternative_rows(rows, wanted):
    return [[r["variant"], r["pool"], r["device"], r["samples"] + " " + r["choice"], number(r["spearman"]), per_cent(r["median_error"])] +
            [number(r[c], 2) for c in ("c50", "c80", "c95")] for r in rows if wanted(r)]


ALTERNATIVE_HEADER = ["variant", "pool", "device", "samples", "Spearman", "median error", "50% covers", "80%", "95%"]


def clock_alternatives():
    notes, rows = read("clocks")
    return ["### Clocks in whole milliseconds, and wild values",
            "Whole milliseconds are 1% of a latency on fbnet where these phones err by 2 to 9%: what is left is not rounding but moods of the machine (essential_ph_1's errors have three modes), "
            "and neither noise for the tick nor the mean within it moves rank or coverage. Longer tails gain up to .01 on pixel2, and cost coverage. With 20 measurements:",
            table(ALTERNATIVE_HEADER, alternative_rows(rows, lambda r: r["samples"] == "20" and r["device"] != "mean")), source(notes),
            "Mean over each pool's devices:",
            table(ALTERNATIVE_HEADER, alternative_rows(rows, lambda r: r["device"] == "mean"))]


def edge_alternatives():
    notes, rows = read("edge_hypotheses")
    return ["### A runtime that pays for other edges",
            "Five measurements of Jetson TX2 leave a gap to its ceiling (.985): no other weight of the hypotheses, and no other trust in known devices, "
            "closes it without a loss at 20 or on pool ND (less trust in known devices gains .02 with 5 random ones and costs ND .006). Five random designs do not show what "
            "this runtime pays for, and its intervals then are too narrow: measured designs should be suggested ones.",
            table(ALTERNATIVE_HEADER, alternative_rows(rows, lambda r: True)), source(notes)]


def accuracies():
    notes, rows = read("accuracy_figures")
    out = [[r["space"], r["task"], r["designs"], f"{number(r['spearman'])} ± {number(r['sd'])}",
            number(r["coverage_90"], 2), number(r["coverage_90_functions"], 2), r["designs_of_worst_function"],
            number(r["regret_top5_points"], 2), number(r["train_s"], 1)]
           for r in rows]
    return "\n\n".join([
        "## Accuracy of designs never trained",
        "Spearman on held-out designs; the share that the 90% interval covers; how far the best of the five designs predicted best is below the best there is. Coverage is counted by designs and by functions: "
        "of nasbench201's 15,625 cells many compute the same (one function has 460 cells), and a model is right or wrong on all of them at once. One such function missed is why designs are covered less "
        "than .90 with 1,000 trained; each function counted once, coverage is near nominal.",
        table(["space", "task", "designs trained on", "Spearman", "90% interval covers, designs", "functions", "most designs of one function missed",
               "best of top 5 below the best, points", "train, s"], out), source(notes)])


def coverage():
    notes, rows = read("accuracy_coverage")
    out = [[r["case"], r["task"], r["seeds"], number(r["spearman"]), number(r["nll"], 2)] +
           [number(r[c], 3) for c in ("cover50", "cover80", "cover90", "cover95", "std90")]
           for r in rows]
    levels = {"cover50": .5, "cover80": .8, "cover90": .9, "cover95": .95}
    wide = [f"{r['task']} of {r['case']} at {100 * p:.0f}% ({number(r[c], 3)})" for r in rows
            for c, p in levels.items() if abs(float(r[c]) - p) > .0301]
    return "\n\n".join([
        "## Intervals of accuracy",
        "The share of held-out designs within the central interval of each probability; the last column is that of 1.645 reported deviations on both sides. "
        "The negative log-likelihood is in normal scores (a standard normal guess has 1.42).",
        table(["designs", "task", "seeds", "Spearman", "NLL", "50%", "80%", "90%", "95%", "± 1.645 std"], out),
        source(notes),
        f"Within three points of nominal: {4 * len(rows) - len(wide)} of {4 * len(rows)}. Not: {'; '.join(wide)}. "
        "What was tried stands in `docs/decisions/0010-which-ensemble.md`: more folds, more held-out designs, one noise everywhere, normal tails.",
        coverage_once()])


def coverage_once():
    """Coverage with each function counted once, and the chance of a minimum."""
    notes, rows = read("accuracy_functions")
    out = [[r["case"], r["task"]] + [f"{number(r['cover' + p])} / {number(r['once' + p])}" for p in ("50", "80", "90", "95")] +
           [number(r["normal"]), number(r["own"])] for r in rows]
    return ("Coverage by designs / with each function of isomorphic cells counted once; then the mean log loss of the probability that a design reaches a minimum (the .3, .5, .7 and .9 quantiles): by a normal of the "
            "reported deviation, which `design --min-accuracy` took before, and by the model's own distribution, which it takes now. The middle is covered too often with 200 designs because the final model errs less there than the folds that it is calibrated on.\n\n" +
            table(["designs", "task", "50%", "80%", "90%", "95%", "log loss, normal", "own"], out) + "\n\n" + source(notes))


def uncertainty():
    notes, rows = read("uncertainty")
    out = [[r["case"], r["task"], r["ensemble"], number(r["spearman"]), number(r["nll"], 2)] +
           [number(r[c], 3) for c in ("cover50", "cover80", "cover90", "cover95")] +
           [r["model_bytes"]] for r in sorted(rows, key=lambda r: (r["case"], r["task"]))]
    return "\n\n".join([
        "### Which ensemble",
        "A deep ensemble beside one trunk with many last layers (`docs/decisions/0010-which-ensemble.md`).",
        table(["designs", "task", "ensemble", "Spearman", "NLL", "50%", "80%", "90%", "95%", "bytes"], out),
        source(notes)])


CONDITIONS = {"separate": "a model a table", "joined": "the same, one for both qat tables (before)",
              "taught": "all taught by all", "drowned": "the same, batches as designs come",
              "noisy": "one for qat and analog, taught", "per_task": "output a data set, condition as input",
              "per_column": "output a column, condition as input", "shipped": "shipped"}


def conditions_table(name):
    """The variants that were run, then the noise."""
    notes, rows = read(name)
    ran = [c for c in CONDITIONS if rows[0][c] != "-"]
    out = [[r["task"], r["n_test"]] +
           ["-" if float(r[c]) == 0 else number(r[c]) for c in ran] + [number(r[c]) for c in ("repeat", "ceiling")]
           for r in rows if r["task"] != "seconds"]
    return [table(["task", "held out"] + [CONDITIONS[c] for c in ran] + ["repeat", "ceiling"], out), source(notes)]


def conditions():
    return "\n\n".join([
        "### One network for all conditions, or one each",
        "Spearman on held-out cells. *Repeat* is how far two trainings of isomorphic cells agree, *ceiling* about what a perfect predictor would reach. "
        "Shipped: a group of tasks is taught by all other tasks where its held-out designs are likelier by it, and never where it reads the form of cells (`docs/decisions/0014-tasks-that-teach.md`): "
        "the qat and analog tables are taught, the plain and ESP-DL ones are not.",
        *conditions_table("conditions"),
        "What was chosen from, on a development split whose held-out cells are not those above. The condition as an input is a little better on the drifting analog conditions and must be run once a condition:",
        *conditions_table("conditions_dev")])


def at_confidence(rows, chosen):
    """Missed / regret at .5 .8 .9 .95 of the rows that chosen() keeps."""
    by = {float(r["confidence"]): r for r in rows if chosen(r)}
    return [f"{number(by[c]['missed'], 2)} / {number(by[c]['regret_points'], 2)}"
            for c in (.5, .8, .9, .95)]


def limits():
    notes, rows = read("limits_missed")
    out = [[r["samples"], r["confidence"][:4].rstrip("0"), r["task"],
            f"{number(r['missed'])} ± {number(r['se'])}", number(r["regret_points"], 2)]
           for r in rows if r["device"] == "all"]
    names = list(dict.fromkeys(r["device"] for r in rows if r["device"] != "all"))
    devices = [[d, how] + at_confidence(rows, lambda r: (r["device"], r["samples"]) == (d, how))
               for d in names for how in ("random", "chosen")]
    all_at = {r["samples"]: r for r in rows
              if (r["confidence"], r["device"], r["task"]) == ("0.9000", "all", "all")}
    aim = "; ".join(f"{number(all_at[how]['missed'], 2)} missed at {number(all_at[how]['regret_points'], 2)} points with 20 {text}"
                    for how, text in (("random", "random"), ("chosen", "suggested")))
    return "\n\n".join([
        "## Designs under a hard limit",
        "The share of chosen designs that miss their latency limit (± standard error over cases) and, among those that hold it, how far the accuracy is below the best "
        "measured one within the limit. At a confidence c at most 1 - c should miss.",
        table(["20 samples", "confidence", "task", "missed", "regret, points"], out), source(notes),
        f"At 0.9 the aim is at most .10 missed at a regret of at most 1.1 points: {aim}. Margins are calibrated here on known devices of 512 measurements each, and what they lack is imagined, "
        "which is on the cautious side; with all their measurements the aim is met (test devices in the last table), and at .95 more are missed than .05.",
        "By device, three tasks together, missed / regret at each confidence:",
        table(["device", "20 samples", ".5", ".8", ".9", ".95"], devices),
        *limits_by_device(), *limit_alternatives()])


def limits_by_device():
    """Development devices: what is promised of one device."""
    notes, rows = read("limits_by_device")
    rows = [r for r in rows if r["set"] == "development"]
    names = sorted(dict.fromkeys(r["device"] for r in rows),
                   key=lambda d: float(next(r["typical_sd"] for r in rows if r["device"] == d)))
    out, within, shares = [], 0, {}
    for d in names:
        own = [r for r in rows if r["device"] == d and r["how"] == "random"]
        at = {float(r["confidence"]): r for r in own}
        both = [float(r["missed"]) for r in rows
                if r["device"] == d and float(r["confidence"]) == .9]
        shares[d] = sum(both) / len(both)
        within += shares[d] <= .1
        out.append([d, f"{100 * float(at[.9]['typical_sd']):.1f}%", at[.9]["designs"]] +
                   at_confidence(own, lambda r: True))
    noisy = [d for d in names if float(next(
        r["typical_sd"] for r in rows if r["device"] == d)) > .06]
    quiet = [d for d in names if d not in noisy]
    worst = max(shares, key=shares.get)
    mean = [number(str(sum(shares[d] for d in g) / len(g)), 2) for g in (quiet, noisy)]
    return [
        "What may be said of one device: the promise is one of an average over devices. Development devices, in one process, 20 random samples; *typical sd* is the head's, relative; *designs* "
        "how many different ones were chosen at 0.9 in all cases of the device: a share of missed limits rests on no more than these.",
        table(["device", "typical sd", "designs", ".5", ".8", ".9", ".95"], out), source(notes),
        f"At 0.9, {within} of {len(names)} devices miss at most .10 (random and suggested samples together); those of a typical sd up to 6% miss {mean[0]} on average, the {len(noisy)} noisier ones "
        f"{mean[1]}, the worst, {worst}, {number(str(shares[worst]), 2)}. Who needs the promise on a noisy device by itself asks it for .95, or measures what is proposed. A head's own residuals "
        "hardly say more: its sd times the root of its noise share takes a third from what the worst device misses beyond its part and costs accuracy on average (below)."]


def limit_alternatives():
    notes, rows = read("limits_alternatives")
    by = {(r["margins"], r["samples"], r["set"], r["how"], float(r["confidence"])): r for r in rows}
    out = []
    for name, n in dict.fromkeys((r["margins"], r["samples"]) for r in rows):
        how = "-" if n == "all" else "both"
        cells = [name, n]
        for place, c in (("development", .9), ("development", .95), ("test", .9), ("test", .95)):
            r = by[name, n, place, how, c]
            cells.append(f"{number(r['missed'])} / {number(r['regret_points'], 2)}")
            if place == "development":
                cells.append(number(r["worst_missed"], 2))
        out.append(cells)
    return [
        "Ways of counting a margin, missed / regret and the share that the worst device misses, chosen on development devices alone. *A model of all measurements* knows each device as far as a model "
        "with pairs of choices can, its z the least that keeps the confidence on the very devices; with *true latencies* only the accuracy model errs. Most of the regret between them is "
        "noise of the device itself, which no head can remove:",
        table(["margins counted in", "samples", "development .9", "worst", "development .95", "worst",
               "test devices .9", "test devices .95"], out), source(notes)]


def grades(rows, metric):
    """Means over subjects, a line each, in the order of the sets."""
    order = ["near", "far", "corrupted", "unseen", "foreign"]
    means = [r for r in rows if r["metric"] == metric and r["subject"] == "mean"]
    means.sort(key=lambda r: order.index(r["set"]))

    def cell(row, figure, digits):
        return number(row[figure], digits) if row[figure] else ""

    def measured(row):
        """What designs of other spaces do not have."""
        if not row["rmse"]:
            return [""] * 7
        return [number(row["spearman"]), number(row["rmse"]),
                f"{number(row['nll'], 2)} ± {number(row['nll_sd'], 2)}",
                " / ".join(number(row[f"picp_{q}"], 2) for q in (50, 80, 95)), number(row["mpiw_80"]),
                number(row["calibration_error"]), number(row["rejection_area"], 2)]

    return [[r["set"], r["method"], *measured(r), cell(r, "ood_auroc", 2),
             cell(r, "decision_cost", 2), cell(r, "distance_exact", 2), number(r["time_ms"], 1),
             f"{float(r['kept_bytes']) / 1024:.0f}"] for r in means]


def misled(rows):
    """Where a method on the head is likelier than the exact posterior, and far from it."""
    by = {(r["subject"], r["method"], r["set"]): r for r in rows if r["metric"] == "latency_ms"}
    out = []
    for (subject, method, set_), r in by.items():
        exact = by[subject, "gp", set_]
        if (subject != "mean" and r["nll"] and method not in ("gp", "hmc", "head")
                and float(r["nll"]) < float(exact["nll"]) and float(r["distance_exact"]) > .2):
            out.append([subject, set_, method, number(r["nll"], 2), number(exact["nll"], 2),
                        number(r["distance_exact"], 2), number(r["picp_80"], 2),
                        number(exact["picp_80"], 2), number(r["spearman"]), number(exact["spearman"])])
    return out


def evaluation():
    notes, rows = read("evaluate_nasbench201")
    header = ["set", "method", "Spearman", "RMSE", "NLL", "covered by 50 / 80 / 95%", "width, 80%",
              "calibration error", "rejection area", "OOD AUROC", "decision cost, points",
              "distance to exact, nats", "ms", "KiB"]
    cases = misled(rows)
    return "\n\n".join([
        "## Ways to be uncertain, graded",
        "`tailor evaluate` on the test devices of pool ND, mean over devices: seven inference methods, the same 20 samples and columns. `docs/evaluate.md` explains every figure. "
        "Errors, widths and likelihoods are of values relative to the device's level; ± is the standard deviation over seeds.",
        table(header, grades(rows, "latency_ms")), source(notes),
        "Where log-likelihood alone misleads: the method is likelier than the exact posterior of the same model, and yet more than 0.2 nats from it.",
        table(["device", "set", "method", "NLL", "NLL of the exact", "distance, nats", "80% covers",
               "of the exact", "Spearman", "of the exact"], cases) if cases else "None in this run.",
        "The same for accuracies, mean over three tasks, 200 trained designs each; `accuracy` is the predictor that tailor ships. Likelihoods are dominated by the few cells that "
        "trained far worse than their like.",
        table(header, grades(rows, "accuracy"))])


def speed():
    head_notes, head = read("head_speed")
    trips_notes, trips = read("round_trips")
    commands_notes, commands = read("commands")
    batch_notes, batch = read("batch")
    return "\n\n".join([
        "## Speed",
        "Adapting to a new device:",
        table(["pool", "step", "samples", "fastest, ms", "median, ms"],
              [[r["pool"], r["step"], r["samples"], number(r["min_ms"], 1), number(r["median_ms"], 1)]
               for r in head]), source(head_notes),
        "A request's round trip beside a bare ZeroMQ echo of the same sizes in the same run. *Itself* is what the method takes without the transport.",
        table(["transport", "request", "echo p50, us", "p50, us", "p99, us", "itself, us",
               "p50 / (echo + itself)"],
              [[r["transport"], r["what"], number(r["echo_p50_us"], 0), number(r["p50_us"], 0),
                number(r["p99_us"], 0), number(r["itself_p50_us"], 0), number(r["over_ideal"], 2)]
               for r in trips]), source(trips_notes),
        "Whole commands, the client process included. The first prediction of a device fits its heads (here to 15,625 latencies and energies, of which 2,048 are used); with latency alone it takes .2 s, with 20 measurements .1 s.",
        table(["command", "fastest, s", "median, s", "slowest, s"],
              [[r["what"], number(r["min_s"]), number(r["median_s"]), number(r["max_s"])]
               for r in commands]), source(commands_notes),
        "A batch of accuracy predictions, encoding included, beside the sgemm of the networks' products for each design by itself, in the same run. "
        "The goal is 60% of that sgemm's rate. Cells share most of their products, so that fewer are made than counted here; the networks of mnasnet share none.",
        table(["space", "designs", "batch, ms", "GFLOP", "their sgemm, ms", "share of the sgemm rate", "GFLOP made", "in sgemm, ms",
               "plain forward pass without encoding, ms"],
              [[r["space"], r["designs"], r["ms"], r["gflop"], r["sgemm_ms"], number(r["share"], 2), r["made_gflop"],
                r["made_sgemm_ms"], r["plain_ms"]]
               for r in batch]), source(batch_notes)])


def main():
    text = "\n\n".join([
        "# What tailor reaches, measured",
        "Written by `bench/accuracy_doc.py` from `bench/results/`, on the public tables described in `bench/README.md`. Below each table stands the command that made it and how: through the public "
        "commands of a daemon that starts without models, as a user has it; in one process, by the same libraries; or with the shipped models, which have learned from these tables, "
        "where only speed is asked or the device is none of them. A commit with a + had changes that were not committed yet.",
        pools(), accuracies(), coverage(), uncertainty(), conditions(), limits(), evaluation(), *profile_tables.sections(read, table, source, number),
        speed()])
    with open(os.path.join(SOURCE_DIR, "docs", "accuracy.md"), "w", encoding="utf-8") as file:
        file.write(text + "\n")


if __name__ == "__main__":
    main()
