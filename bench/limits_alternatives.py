#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ways of counting the margin under a limit, compared on pool ND of nasbench201.

`bench_selection` writes what heads say of every design and what accuracy models say of designs
that they did not see; here the design of the highest predicted accuracy whose margin is at least z is
chosen for limits at the 20/40/60/80th percentile of each device, for three tasks.

A way of counting is chosen on development devices: ND's nine sources, each left out of the sources and of
the calibration while it is judged, and the twelve other devices of the table. z of a confidence c is the
least one from which on the sources miss at most 1 - c of 15 limits (15th to 85th percentile), mean
over devices plus as many standard errors as the name says. ND's six test devices are reported beside it and took no part in the choice.

    bench/limits_alternatives.py [--samples 5,10,20] [--seeds 8] [--test-seeds 4] [--keep DIR]
"""
import argparse
import csv
import os
import subprocess
import tempfile

import numpy as np

import harness

TASKS = ("cifar10", "cifar100", "imagenet16-120")
CONFIDENCES = (.5, .8, .9, .95)
JUDGED = (.2, .4, .6, .8)
CALIBRATED = tuple(np.round(np.arange(.15, .851, .05), 2))
Z = np.round(np.arange(-6, 10.001, .05), 2)
FORMER_SHARE = .03
SHIPPED = "typical sd x latency"


class Head:
    """One few-shot head: what it says of every design, what is true, and its noise."""

    def __init__(self, row, predictions, samples, latency):
        self.role, self.device, self.how = row["role"], row["device"], row["how"]
        self.seed = int(row["seed"])
        self.true = latency
        level = float(row["level"])
        self.noise = float(row["scale"]) * float(row["width"]) * float(row["noise"]) ** .5
        self.mean = np.maximum(predictions[0], .01 * level)
        self.sd = np.array(predictions[1])
        self.noise_sd = level * self.noise * np.clip(self.mean / level, .3, 3)
        self.typical = np.median(self.sd / self.mean)
        values = latency[samples]
        self.step = 1. if np.all(values % 1 == 0) else 0.

    def proportional(self):
        return self.typical * np.maximum(self.mean, .3 * np.median(self.mean))


def former(h):
    return h.sd * min(max((h.noise / FORMER_SHARE) ** .5, 1 / 3), 3)


STANDARD_ERRORS = 0
WAYS = {  # name: the unit of a margin, clock steps that a limit is raised by[, standard errors]
    SHIPPED: (Head.proportional, 0),
    "typical sd x latency, half a standard error": (Head.proportional, 0, .5),
    "typical sd x latency, one standard error": (Head.proportional, 0, 1),
    "own sd": (lambda h: h.sd, 0),
    "own sd x root of noise share": (former, 0),
    "noise sd": (lambda h: h.noise_sd, 0),
    "typical sd": (lambda h: np.full_like(h.sd, np.median(h.sd)), 0),
    "root of own sd and typical sd x latency": (lambda h: np.sqrt(h.sd * h.proportional()), 0),
    "typical sd x latency, half a clock step": (Head.proportional, .5),
    "the same share of latency for all devices": (lambda h: np.maximum(
        h.mean, .3 * np.median(h.mean)), 0),
}


class Judge:
    """Choices by accuracies and margins, against what was measured."""

    def __init__(self, table, predicted):
        self.true = np.array([table.columns["accuracy@" + t] for t in TASKS])
        self.order = [np.argsort(-predicted[:, t], kind="stable") for t in range(len(TASKS))]
        self.best = {}

    def limits(self, head, quantiles):
        """(limit, best accuracy within it by task) of each quantile."""
        key = head.device, quantiles
        if key not in self.best:
            limits = np.quantile(head.true, quantiles)
            self.best[key] = [(limit, self.true[:, head.true <= limit].max(axis=1))
                              for limit in limits]
        return self.best[key]

    def curves(self, head, quantiles, mean, unit, raised):
        """Whether the choice misses, its regret, and which it is: [limits x tasks, z] each.

        Where no design has the margin nothing is chosen: not missed, no regret, -1.
        """
        missed, regret, picks = [], [], []
        for limit, best in self.limits(head, quantiles):
            margin = (limit + raised * head.step - mean) / unit
            for t, order in enumerate(self.order):
                reached = np.maximum.accumulate(margin[order])
                place = np.searchsorted(reached, Z)
                is_chosen = place < len(order)
                pick = order[np.minimum(place, len(order) - 1)]
                missed.append(is_chosen & (head.true[pick] > limit))
                regret.append(np.where(is_chosen, best[t] - self.true[t, pick], np.nan))
                picks.append(np.where(is_chosen, pick, -1))
        return np.array(missed), np.array(regret), np.array(picks)


def least_margins(shares, standard_errors):
    """The place in Z of each confidence; shares is [devices, z]."""
    shares = np.array(shares)
    mean = shares.mean(axis=0) + standard_errors * shares.std(axis=0, ddof=1) / len(shares) ** .5
    out = []
    for c in CONFIDENCES:
        above = np.nonzero(mean > 1 - c + 1e-12)[0]
        out.append(min(above[-1] + 1, len(Z) - 1) if len(above) else 0)
    return out


def calibrate(judge, heads, way):
    """Places in Z by left-out source, and of all sources under None."""
    unit, raised, standard_errors = (*WAYS[way], STANDARD_ERRORS)[:3]
    shares = {}
    for h in heads:
        if h.role == "source":
            missed, _, _ = judge.curves(h, CALIBRATED, h.mean, unit(h), raised)
            shares.setdefault(h.device, []).append(missed.mean(axis=0))
    shares = {d: np.mean(s, axis=0) for d, s in shares.items()}
    places = {d: least_margins([s for e, s in shares.items() if e != d], standard_errors)
              for d in shares}
    places[None] = least_margins(list(shares.values()), standard_errors)
    return places


def judge_way(judge, heads, way, places, test_seeds):
    """{(set, device, how, confidence): (missed, chosen, held, regret) sums}, designs chosen."""
    unit, raised = WAYS[way][:2]
    out, designs = {}, {}
    for h in heads:
        if h.role == "test" and h.seed >= test_seeds:
            continue
        missed, regret, picks = judge.curves(h, JUDGED, h.mean, unit(h), raised)
        for c, k in zip(CONFIDENCES, places.get(h.device, places[None])):
            m, held = missed[:, k], ~missed[:, k] & (picks[:, k] >= 0)
            key = "test" if h.role == "test" else "development", h.device, h.how, c
            sums = np.array([m.sum(), (picks[:, k] >= 0).sum(), held.sum(), regret[held, k].sum()])
            out[key] = out.get(key, 0) + sums
            designs.setdefault(key, set()).update(picks[picks[:, k] >= 0, k].tolist())
    return out, designs


def summarize(sums, chosen_set, how, c):
    """Missed, regret, root mean square of what devices miss beyond 1 - c, the worst device."""
    by = {}
    for (s, device, h, confidence), v in sums.items():
        if s == chosen_set and confidence == c and how in ("both", h):
            by[device] = by.get(device, 0) + v
    share = {d: v[0] / max(v[1], 1) for d, v in by.items()}
    total = sum(by.values())
    beyond = np.sqrt(np.mean([max(s - 1 + c, 0) ** 2 for s in share.values()]))
    worst = max(share, key=share.get)
    return [float(np.mean(list(share.values()))), float(total[3] / max(total[2], 1)),
            float(beyond), worst, float(share[worst])]


def full_model(table, latency):
    """What a robust linear model of pairs of choices says, fitted to all designs."""
    options = sorted({o for d in table.designs for o in d})
    hot = np.array([[o == p for o in d for p in options] for d in table.designs], float)
    k = len(options)
    parts = [np.ones((len(hot), 1)), hot]
    for a in range(len(table.slots)):
        for b in range(a):
            parts.append((hot[:, k * a:k * a + k, None] *
                          hot[:, None, k * b:k * b + k]).reshape(len(hot), -1))
    x = np.hstack(parts)
    gram = x.T @ x + .1 * np.eye(x.shape[1])
    w = np.linalg.solve(gram, x.T @ latency)
    for _ in range(3):
        r = latency - x @ w
        most = 3 * 1.4826 * np.median(np.abs(r))
        w = np.linalg.solve(gram, x.T @ (x @ w + np.clip(r, -most, most)))
    return x @ w


def bound_rows(judge, table, heads):
    """What no head can pass: all designs measured, and true latencies; z so that c is just kept."""
    rows = []
    for chosen_set in ("development", "test"):
        devices = {h.device: h for h in heads
                   if (h.role == "test") == (chosen_set == "test")}
        for name in ("a model of all measurements", "true latencies"):
            curves = []
            for h in devices.values():
                mean = full_model(table, h.true) if name.startswith("a model") else h.true
                spread = 1.4826 * np.median(np.abs(h.true / np.maximum(mean, 1e-9) - 1))
                unit = max(spread, 1e-3) * np.maximum(mean, .3 * np.median(mean))
                curves.append(judge.curves(h, JUDGED, mean, unit, 0)[:2])
            for c in CONFIDENCES:
                k = least_margins([m.mean(axis=0) for m, _ in curves], 0)[CONFIDENCES.index(c)]
                k = max(k, int(np.searchsorted(Z, 0))) if name.startswith("true") else k
                share = [m[:, k].mean() for m, _ in curves]
                regret = np.concatenate([r[~m[:, k], k] for m, r in curves])
                regret = regret[~np.isnan(regret)]
                beyond = np.sqrt(np.mean([max(s - 1 + c, 0) ** 2 for s in share]))
                worst = int(np.argmax(share))
                rows.append([name, "all", chosen_set, "-", c, float(Z[k]), float(np.mean(share)),
                             float(regret.mean()), float(beyond), list(devices)[worst],
                             float(share[worst])])
    return rows


def run_heads(folder, samples, seeds, table):
    path = os.path.join(folder, f"heads-{samples}")
    subprocess.run([os.path.join(harness.BUILD_DIR, "bench", "bench_selection"), "heads",
                    os.path.join(harness.SOURCE_DIR, "spaces"), harness.DATA_DIR, path, str(seeds),
                    str(samples)], check=True, stdout=subprocess.DEVNULL)
    with open(path + ".tsv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    n = len(table.designs)
    predictions = np.memmap(path + ".f64", dtype=np.float64, mode="r").reshape(len(rows), 2, n)
    chosen = np.fromfile(path + ".i32", dtype=np.int32).reshape(len(rows), -1)
    latency = {r["device"]: np.array(table.columns["latency_ms@" + r["device"]]) for r in rows}
    return [Head(r, p, s, latency[r["device"]]) for r, p, s in zip(rows, predictions, chosen)]


def read_accuracies(folder):
    path = os.path.join(folder, "accuracies.csv")
    if not os.path.exists(path):
        subprocess.run([os.path.join(harness.BUILD_DIR, "bench", "bench_selection"), "accuracies",
                        os.path.join(harness.SOURCE_DIR, "spaces"), harness.DATA_DIR, path],
                       check=True, stdout=subprocess.DEVNULL)
    return np.loadtxt(path, delimiter=",", skiprows=1)


def device_rows(sums, designs, heads):
    typical = {}
    for h in heads:
        typical.setdefault(h.device, []).append(h.typical)
    return [[s, device, float(np.median(typical[device])), how, c, float(v[0] / max(v[1], 1)), int(v[1]),
             len(designs[s, device, how, c]), float(v[3] / max(v[2], 1))]
            for (s, device, how, c), v in sorted(sums.items())]


def run(folder, options):
    table = harness.Table("nasbench201.csv")
    judge = Judge(table, read_accuracies(folder))
    rows, devices = [], []
    for n in map(int, options.samples.split(",")):
        heads = run_heads(folder, n, options.seeds, table)
        for way in WAYS:
            places = calibrate(judge, heads, way)
            sums, designs = judge_way(judge, heads, way, places, options.test_seeds)
            for chosen_set in ("development", "test"):
                for how in ("random", "chosen", "both"):
                    for c, k in zip(CONFIDENCES, places[None]):
                        rows.append([way, n, chosen_set, how, c, float(Z[k]),
                                     *summarize(sums, chosen_set, how, c)])
            if way == SHIPPED and n == 20:
                devices = device_rows(sums, designs, heads)
        print(f"{n} samples done", flush=True)
        if n == 20:
            rows += bound_rows(judge, table, heads)
    return rows, devices


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--samples", default="5,10,20")
    parser.add_argument("--seeds", type=int, default=8, help="of development devices")
    parser.add_argument("--test-seeds", type=int, default=4)
    parser.add_argument("--keep", help="a folder for what bench_selection writes; its accuracies "
                        "are used again")
    options = parser.parse_args()
    if options.keep is not None:
        rows, devices = run(options.keep, options)
    else:
        with tempfile.TemporaryDirectory() as folder:
            rows, devices = run(folder, options)
    protocol = (f"pool ND, {options.seeds} seeds (test devices {options.test_seeds}), random and "
                "suggested samples, limits at 20/40/60/80%, three tasks, accuracies of designs not "
                "trained on; z from the nine sources left out in turn")
    harness.keep_result("limits_alternatives", [protocol], [
        "margins", "samples", "set", "how", "confidence", "z", "missed", "regret_points",
        "missed_beyond_rms", "worst_device", "worst_missed"], rows)
    if devices:
        harness.keep_result("limits_by_device", [protocol, f"margins: {SHIPPED}, 20 samples"], [
            "set", "device", "typical_sd", "how", "confidence", "missed", "cases", "designs",
            "regret_points"], devices)


if __name__ == "__main__":
    main()
