# SPDX-License-Identifier: Apache-2.0
"""What docs/optimizer.md says of measuring and refining and of proxy devices, from bench/results/."""
from accuracy_doc import number, read, source, table

TASKS = ["cifar10", "cifar100"]
TARGET = {"cifar10": "at most .40", "cifar100": "at most .95"}


def points(text):
    return "" if text == "nan" else number(text, 2)


def verify():
    notes, rows = read("verify")
    by = {(r["devices"], r["start"], r["batch"], r["proposed"], r["rule"], r["task"]): r for r in rows}

    def line(devices, start, batch, proposed, rule, label):
        some = [by.get((devices, start, batch, proposed, rule, task)) for task in TASKS]
        if None in some:
            return None
        share = sum(float(r["measured"]) * int(r["answers"]) for r in some) / sum(int(r["answers"]) for r in some)
        missed = sum(float(r["missed"]) * int(r["answers"]) for r in some) / sum(int(r["answers"]) for r in some)
        of_measured = sum(int(r["measured_missed"]) for r in some)
        return [*label, *[f"{points(r['regret'])} / {points(r['regret_p90'])}" for r in some], number(missed),
                number(share, 2), str(of_measured)]

    header = ["CIFAR-10", "CIFAR-100", "limits missed", "measured answers", "of them missed"]
    main = [line("test", start, batch, proposed, "doubt 1", [start, f"{proposed} in batches of {batch}" if proposed != "0" else "none"])
            for start in ("5 chosen", "5 random", "10 chosen", "10 random", "20 chosen", "20 random")
            for batch in ("5",) for proposed in ("0", "5", "10")]
    ways = [line("test", "5 chosen", batch, proposed, "doubt 1", [f"5 chosen, {name}", proposed])
            for batch, name in (("5", "batches of 5"), ("1", "one at a time"), ("5 by EI", "5 at once, each by its own expected improvement"))
            for proposed in ("5", "10")]
    rules = [line("other", start, "5", proposed, rule, [f"{start}, {proposed} proposed", name])
             for start, proposed in (("20 random", "0"), ("10 chosen", "0"), ("5 chosen", "5"), ("5 chosen", "10"), ("10 random", "5"))
             for rule, name in (("usual", "whichever is more accurate"), ("doubt 1", "measured unless better by one deviation"),
                                ("doubt 2", "measured unless better by two"), ("measured", "always measured"))]
    floor = [by[("test", "5 chosen", "5", "0", "true latencies", task)] for task in TASKS]
    at = [by[("test", "5 chosen", "5", "10", "doubt 1", task)] for task in TASKS]
    return "\n\n".join([
        "## Measure and refine",
        "`tailor design --propose K` names the K designs most worth measuring before a question is answered for good, as one batch: designs alike err alike, "
        "so the batch is chosen over joint draws of the device (`optimizer/propose.h`). Once they are measured and imported, a measured design that keeps "
        "every limit leads the answer unless another is better beyond doubt (decision 17). On ND's six test devices, "
        f"{sum(int(a['answers']) for a in at)} answers a line, mean regret / its 90th percentile:",
        table(["samples", "proposals", *header], [r for r in main if r]),
        "Target with 5 + 10 measurements: no limit missed among measured answers, regret " + ", ".join(
            f"{t} {TARGET[t]}" for t in TASKS if TARGET[t]) + ". Measured: " + ", ".join(
            f"{t} {points(a['regret'])}" for t, a in zip(TASKS, at)) + ". The floor, which knows the true latencies and these predicted accuracies, is " + ", ".join(
            f"{t} {points(f['regret'])}" for t, f in zip(TASKS, floor)) + ": what stays above it is the price of fifteen measurements; the floor is the accuracies'. Differences of .05 are within the scatter of 96 answers.",
        "Other ways to spend the same measurements:",
        table(["way", "proposed", *header], [r for r in ways if r]),
        "Which answer, on devices that are neither test devices nor sources (of one seed):",
        table(["situation", "answer", *header], [r for r in rules if r]),
        source(notes)])


def fifteen():
    notes, rows = read("help_fifteen")
    out = []
    for r in rows:
        if (r["start"], r["proposed"]) != ("5 chosen", "10"):
            continue
        others = [o for o in rows if (o["device"], o["limit_ms"]) == (r["device"], r["limit_ms"])]
        ten = next(o for o in others if (o["start"], o["proposed"]) == ("10 random", "0"))
        cell = lambda o: f"{points(o['accuracy'])} ({o['kept']} of {o['answers']} kept)"
        out.append([r["device"], r["limit_ms"], number(r["help_accuracy"], 1), cell(ten), cell(r), points(r["latency_ms"]),
                    points(r["slowest_ms"]), points(r["best_accuracy"])])
    mine = [r for r in rows if (r["start"], r["proposed"]) == ("5 chosen", "10")]
    kept, asked = sum(int(r["kept"]) for r in mine), sum(int(r["answers"]) for r in mine)
    mean = lambda name: sum(float(r[name]) for r in mine) / len(mine)
    return "\n\n".join([
        "## HELP's fifteen limits",
        "nasbench201, CIFAR-100, devices never trained. HELP measures 10 samples and answers; 5 of its 15 designs missed their limit (which ones is not published). tailor's "
        "accuracies and latencies are the measured ones of its answers, means over the seeds.",
        table(["device", "limit, ms", "HELP", "10 random samples, one answer", "5 chosen + 10 proposed", "its latency, ms", "slowest", "best there is"], out),
        f"With 5 + 10 measurements {kept} of {asked} answers keep their limit, mean accuracy {mean('accuracy'):.1f} (HELP {mean('help_accuracy'):.1f}, "
        f"a third of them beyond the limit; best there is {mean('best_accuracy'):.1f}). HELP's accuracies are its own trainings of its designs, tailor's those of the table.",
        source(notes)])


def proxy():
    notes, rows = read("proxy_agreement")
    agreement = [[r["space"], r["samples"], {"draws": "draws of the head", "samples": "the samples alone"}[r["by"]], number(r["covered"]),
                  number(r["width"], 2), number(r["error"]), f"{float(r['bias']):+.3f}", number(r["reused_wrongly"]), number(r["missed_reuse"])]
                 for r in rows]
    more, designs = read("proxy")
    by = {(r["devices"], r["method"], r["measured"], r["task"]): r for r in designs}
    names = [("reuse", "the proxy as it is, one answer"), ("adapt", "AdaProxy, one answer"), ("head", "the few-shot head, one answer"),
             ("reuse, measured", "probes along the proxy's front")]
    lines = []
    for devices in ("reusable", "other"):
        for method, name in names:
            for measured in ("5", "10", "20", "50"):
                some = [by.get((devices, method, measured, task)) for task in TASKS]
                if None not in some:
                    lines.append([".9 or more" if devices == "reusable" else "less", name, measured, number(some[0]["spearman"]),
                                  *[f"{points(r['regret'])}, {number(r['missed'], 2)} missed" for r in some]])
    return "\n\n".join([
        "## Proxy devices",
        "`tailor proxy`: Spearman's coefficient of the device with each known one, told from a few measurements, with an interval that should hold it in 90% "
        "of cases (decision 18). Beside it what the measured designs alone would say, with Fisher's interval:",
        table(["space", "samples", "from", "covered", "width", "mean error", "bias", "reused wrongly", "reuse missed"], agreement),
        source(notes),
        "From .9 on the proxy's designs are reused, its latencies in the unit of the device's own measurements; below, the proxy is adapted "
        "(AdaProxy: its weights times a + b, least squares with a penalty on b). Beside the few-shot head from the same measurements, and beside probing the proxy's "
        "front on the device by halving, which needs no model of the device at all; regret is that of answers that keep their limit:",
        table(["agreement", "way", "measured", "Spearman of latencies", "CIFAR-10", "CIFAR-100"], lines),
        source(more)])
