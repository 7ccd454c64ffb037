# SPDX-License-Identifier: Apache-2.0
"""The sections of docs/accuracy.md on profiles, energy and widths of bits."""

METHODS = ("flops", "roofline", "nearest", "mean of sources", "tailor", "tailor, latency known")
LEVELS = ("tailor", "level: process", "level: nearest", "level: mean", "level: physics", "level: all alike", "joules per MAC")
GIVEN = ("nothing", "profile", "same", "known")


def zero_shot(read, table, source, number):
    notes, rows = read("zero_shot")
    every = {(r["table"], r["metric"], r["method"]): r for r in rows if r["device"] == "all"}
    keys = list(dict.fromkeys(k[:2] for k in every))
    rank, level = [], []
    for key in keys:
        of = [every.get(key + (m,)) for m in METHODS]
        rank.append(list(key) + [number(r["spearman"]) if r else "" for r in of])
        level.append(list(key) + [
            f"{number(r['log_error'], 2)} / {number(r['within_factor_2'], 2)}" if r else "" for r in of] + [
            f"{number(of[4]['coverage_80'], 2)} / {number(of[4]['coverage_95'], 2)}"])
    devices = [[r["table"], r["metric"], r["device"], number(r["spearman"]), number(r["log_error"], 2)]
               for r in rows if r["method"] == "tailor" and r["device"] != "all"]
    return "\n\n".join([
        "## A device of which only the profile is known",
        "Each device of a table left out in turn. Spearman's rank correlation, mean over devices. *FLOPs* ranks by MACs, *nearest* takes the known device of the most "
        "similar profile, *mean of sources* the mean of all. For energy the last column knows the device's latency.",
        table(["table", "cost", "FLOPs", "roofline", "nearest", "mean of sources", "tailor", "tailor, latency known"], rank),
        "The level: median of |log(predicted / measured)|, and the share of designs within a factor of two; then what tailor's 80% and 95% intervals cover. Four experts "
        "say the level, weighed by how right each is about the known devices (`predictors/level.h`): not worse than any baseline on any table of latencies. Energy on mobilenet-zoo is better "
        "from the nearest device unless the latency is known: each of its eight machines has a twin, and the nearest device copies it whole, where tailor multiplies a power and a latency. "
        "Energy on nasbench201 has two known devices of other classes: the level is what the class draws, and the interval a factor of three and more.",
        table(["table", "cost", "FLOPs", "roofline", "nearest", "mean of sources", "tailor", "tailor, latency known",
               "covered"], level), source(notes),
        "The level of each expert alone, at tailor's shape, of all alike, and of energy as MACs times what one costs on the class (the same median; in the first column all experts as weighed):",
        table(["table", "cost", "weighed", "process", "nearest", "mean", "physics", "all alike", "joules per MAC"], [
            list(key) + [number(every[key + (m,)]["log_error"], 2) if key + (m,) in every else "" for m in LEVELS] for key in keys]),
        "By device:", table(["table", "cost", "device", "Spearman", "log error"], devices)])


def probed(read, table, source, number):
    notes, rows = read("probed_machine")
    out = [[r["space"], r["profile"], r["designs"], number(r["ratio"], 2), f"{number(r['lowest'], 2)} to {number(r['highest'], 2)}", number(r["measured_ms"], 2)]
           for r in rows]
    return "\n\n".join([
        "## A machine that was only probed",
        "Predicted over measured latency on one core of the machine that the benchmarks run on, from its probe alone: the roofline of the rates that were reached, with tensors in the caches that "
        "they fit. One machine, busy with other work: the designs run with real-time priority. Why nasbench201 stays above 1 was not found.",
        table(["space", "profile", "designs", "median ratio", "range", "measured, ms"], out), source(notes)])


def energy(read, table, source, number):
    notes, rows = read("energy")
    groups = {}
    for r in rows:
        name = "8 machines" if r["table"] == "mobilenet-zoo" else r["device"]
        groups.setdefault((r["table"], name, r["samples"]), {}).setdefault(r["given"], []).append(r)
    out = []
    for key, of in groups.items():
        line = list(key)
        for given in GIVEN:
            some = of.get(given, [])
            mean = lambda k: sum(float(r[k]) for r in some) / len(some)
            line.append(f"{number(mean('spearman'))}, {100 * mean('mape'):.1f}%" if some else "")
        out.append(line)
    return "\n\n".join([
        "## Energy of a new device, with and without its latency",
        "Spearman and mean error on other designs, by how many measured energies are given and what else is known: nothing, the profile, the latency of the same designs, or a "
        "model of the device's latency. Empty: it is not answered.",
        table(["table", "device", "energies", "nothing", "profile", "latency of the same", "latency known"], out),
        source(notes)])


BITS_MODELS = {
    "ridge": "ridge", "refined": "with the kernel", "noise .005": "kernel, noise .005", "noise .3": "kernel, noise .3", "p-norm": "p-norm law",
    "p-norm, refined": "law with the kernel"}


def bits(read, table, source, number):
    notes, rows = read("bits")
    by = {(r["held_out"], r["metric"], r["layers"], r["model"]): r for r in rows}
    keys = list(dict.fromkeys(k[:3] for k in by))
    percent = lambda r: f"{100 * float(r['mape']):.2f} ± {100 * float(r['sd']):.2f}%"
    held = [list(key) + [percent(by[key + (m,)]) for m in BITS_MODELS] for key in keys]
    fitted = [list(key) + [f"{100 * float(by[key + (m,)]['fitted_mape']):.2f}%" for m in BITS_MODELS] for key in keys if key[0] == "rows"]
    law = "; ".join(f"{metric} {layers} {by['rows', metric, layers, 'p-norm']['p']}" for held_out, metric, layers in keys if held_out == "rows" and layers != "all")
    return "\n\n".join([
        "## Layers at any width of bits (BitFusion)",
        "Mean error on held-out measurements and on held-out layers, ± standard deviation over seeds: of the ridge of columns alone, with the Laplace kernel over the layer's numbers (what tailor "
        "does), with the kernel closer to its samples and further from them, of the law (C^p + M^p)^(1/p) + l alone, and with the same kernel on it. The kernel ends at the same error from either "
        "base, so the ridge stays. p as fitted: " + law + ".",
        table(["held out", "cost", "layers", *BITS_MODELS.values()], held),
        "The same models on the measurements that they were fitted to. With little noise the kernel met those several times better than what it had not seen, so a shipped model would nearly have been "
        "a copy of its table; see `docs/decisions/0015-a-kernel-is-no-copy.md`.",
        table(["fitted", "cost", "layers", *BITS_MODELS.values()], fitted), source(notes)])


def sections(read, table, source, number):
    return [f(read, table, source, number) for f in (zero_shot, probed, energy, bits)]
