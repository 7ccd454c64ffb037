# SPDX-License-Identifier: Apache-2.0
"""The sections of docs/accuracy.md on profiles, energy and widths of bits."""

METHODS = ("flops", "roofline", "nearest", "mean of sources", "tailor", "tailor, latency known")
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
        "The level: median of |log(predicted / measured)|, and the share of designs within a factor of two; then what tailor's 80% and 95% intervals cover. Not led "
        "by tailor everywhere: the nearest device is as good on fbnet, where two processors of one family lie a factor of three apart, the roofline is better on mnasnet "
        "(five devices, two of them one board at two batches), and a level of energy cannot be had from two other devices of other classes (nasbench201); the interval says so.",
        table(["table", "cost", "FLOPs", "roofline", "nearest", "mean of sources", "tailor", "tailor, latency known",
               "covered"], level), source(notes),
        "By device:", table(["table", "cost", "device", "Spearman", "log error"], devices)])


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


def bits(read, table, source, number):
    notes, rows = read("bits")
    by = {(r["held_out"], r["metric"], r["layers"], r["model"]): r for r in rows}
    percent = lambda r: f"{100 * float(r['mape']):.2f} ± {100 * float(r['sd']):.2f}%"
    out = [[held, metric, layers, percent(by[held, metric, layers, "ridge"]), percent(r),
            number(r["within_10"])]
           for (held, metric, layers, model), r in by.items() if model == "refined"]
    return "\n\n".join([
        "## Layers at any width of bits (BitFusion)",
        "Mean error on held-out measurements and on held-out layers, of the ridge of columns alone and with the Laplace kernel over the layer's numbers, ± standard deviation over seeds.",
        table(["held out", "cost", "layers", "ridge", "with the kernel", "within a tenth"], out), source(notes)])


def sections(read, table, source, number):
    return [f(read, table, source, number) for f in (zero_shot, energy, bits)]
