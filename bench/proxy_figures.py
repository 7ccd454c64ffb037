#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Proxy devices: what the interval of an agreement covers, and what designs a proxy is good for beside the
few-shot head. Runs bench_proxy and keeps what it prints.

    bench/proxy_figures.py [--seeds 3] [--accuracies FILE]

FILE: what `bench_selection accuracies` wrote; made anew where it is not there.
"""
import argparse
import os
import statistics
import tempfile

import harness

REUSABLE = .9


def run(name, *arguments):
    return harness.records_of(harness.run_bench(name, *arguments))


def agreement(rows, estimate, low, high):
    truth = [float(r["truth"]) for r in rows]
    said = [float(r[estimate]) for r in rows]
    lows, highs = [float(r[low]) for r in rows], [float(r[high]) for r in rows]
    n = len(rows)
    return [n, sum(a <= t <= b for a, t, b in zip(lows, truth, highs)) / n,
            sum(t < a for a, t in zip(lows, truth)) / n,
            statistics.mean(b - a for a, b in zip(lows, highs)),
            statistics.mean(abs(s - t) for s, t in zip(said, truth)),
            statistics.mean(s - t for s, t in zip(said, truth)),
            sum(s >= REUSABLE > t for s, t in zip(said, truth)) / n,
            sum(s < REUSABLE <= t for s, t in zip(said, truth)) / n]


def keep_agreement(seeds):
    out = []
    for space in ("nasbench201", "fbnet"):
        rows = run("proxy", "agreement", harness.SPACES_DIR, harness.DATA_DIR, space, seeds)
        for samples in ("5", "10", "20", "50"):
            some = [r for r in rows if r["samples"] == samples]
            out.append([space, samples, "draws", *agreement(some, "spearman", "low", "high")])
            out.append([space, samples, "samples", *agreement(
                some, "sample_spearman", "fisher_low", "fisher_high")])
    harness.keep_result(
        "proxy_agreement",
        [f"every device that is no source of pool ND (nasbench201) or FD (fbnet) beside its sources, {seeds} seeds; truth: Spearman's "
         "coefficient of all designs measured on both; intervals of 90%",
         "draws: tl_proxy_agreements(); samples: the coefficient of the measured designs themselves with Fisher's interval",
         "reused_wrongly: said to be .9 or more and is not; missed_reuse: the other way round; the two numbers of the interval were set on "
         "nasbench201's devices, one seed"],
        ["space", "samples", "by", "pairs", "covered", "below", "width", "error", "bias",
         "reused_wrongly", "missed_reuse"], out)


def keep_designs(seeds, accuracies):
    rows = run("proxy", "designs", harness.SPACES_DIR, harness.DATA_DIR, accuracies, seeds)
    out = []
    for kind in ("all", "reusable", "other"):
        groups = {}
        for r in rows:
            is_reusable = float(r["agreement"]) >= REUSABLE
            if kind == "all" or is_reusable == (kind == "reusable"):
                groups.setdefault((r["method"], int(r["measured"]), r["task"]), []).append(r)
        for key in sorted(groups):
            some = groups[key]
            kept = [float(r["regret"]) for r in some if r["missed"] == "0"]
            out.append([kind, *key, len(some), 1 - len(kept) / len(some),
                        statistics.mean(kept) if kept else float("nan"),
                        statistics.mean(float(r["spearman"]) for r in some)])
    harness.keep_result(
        "proxy",
        [f"nasbench201, ND's six test devices, {seeds} seeds, limits at 20/40/60/80%; the proxy is the source with the largest "
         "estimated agreement; accuracies by the fold that did not see the design",
         "reuse: the proxy's own latencies in the unit of the samples; adapt: AdaProxy; head: the few-shot head; each answers the best "
         "predicted accuracy among designs that seem to keep the limit, without a margin",
         "reuse, measured: halving along the proxy's front, each probe measured, the best measured one answered; probes alone are counted",
         "devices: of those whose estimated agreement is .9 or more (reusable), less (other)"],
        ["devices", "method", "measured", "task", "answers", "missed", "regret", "spearman"], out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--accuracies")
    options = parser.parse_args()
    keep_agreement(options.seeds)
    with tempfile.TemporaryDirectory() as scratch:
        accuracies = options.accuracies or os.path.join(scratch, "accuracies.csv")
        if not os.path.exists(accuracies):
            run("selection", "accuracies", harness.SPACES_DIR, harness.DATA_DIR, accuracies)
        keep_designs(options.seeds, accuracies)


if __name__ == "__main__":
    main()
