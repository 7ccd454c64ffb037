# SPDX-License-Identifier: Apache-2.0
"""The tables of fronts and of bits chosen with the cell, for docs/optimizer.md."""

from harness import mean

METHODS = [
    ("joint", "cell and bits together"),
    ("8-bit", "the best 8-bit cell under the limit"),
    ("8-bit, bits", "that cell, then its bits"),
    ("cell, bits", "the best cell first, then its bits"),
    ("4-bit", "4 bits everywhere"),
]


def pareto(read, table, source, number):
    notes, rows = read("pareto")
    lines = []
    for way in ("archive", "random"):
        for n in sorted({int(r["evaluations"]) for r in rows if r["way"] == way}):
            mine = [r for r in rows if r["way"] == way and int(r["evaluations"]) == n]
            shares = [float(r["share"]) for r in mine]
            lines.append([way, f"{n:,}", number(mean(shares), 4), number(min(shares), 4),
                          number(mean([float(r["sd"]) for r in mine]), 4),
                          number(mean([float(r["size"]) for r in mine]), 1)])
    true = [r for r in rows if r["way"] == "true"]
    exact = [float(r["size"]) for r in rows if r["way"] == "exact"]
    text = (f"The exact front of the predictors has {number(mean(exact), 1)} designs on average. As measured, they cover "
            + ", ".join(f"{number(float(r['share']), 3)} ({r['device']})" for r in true)
            + " of what the front of all measurements covers.")
    return "\n\n".join([
        "## Fronts",
        "`tailor pareto` scores a space whole where it can be listed; elsewhere an archive of unbeaten designs breeds the front. Here it is held "
        "against the exact front of a space that can be listed, and against as many designs by chance.",
        table(["way", "evaluations", "share of the volume", "worst device", "sd over searches", "designs"], lines), text,
        source(notes)])


def joint(read, table, source, number):
    notes, rows = read("joint")
    text = ["## Bits with the cell, or one after the other",
            "Cells whose convolutions choose 2, 4 or 8 bits each, trained with quantization (150 epochs). Accuracy in percent, mean ± sd; \"-\": the "
            "best cell cannot keep the limit with any bits."]

    def cell(group, method, limit):
        found = [r for r in group if r["method"] == method and r["limit"] == limit]
        if not found or int(found[0]["choices"]) == 0:
            return "-"
        return f"{float(found[0]['accuracy']):.1f} ± {float(found[0]['sd']):.1f}"

    for caution in (0.0, 0.5):
        for which, title in (("all", "judged by the accuracies of the other half of the cells"),
                             ("measured", "among measured rows, by what was measured")):
            lines = []
            for device in ("bitfusion", "bit_serial"):
                group = [r for r in rows if float(r["caution"]) == caution and r["set"] == which and r["device"] == device]
                limits = sorted({r["limit"] for r in group})
                lines += [[device, words, *[cell(group, method, limit) for limit in limits]]
                          for method, words in METHODS]
            prefix = f"chosen with a caution of {caution} deviations, " if caution else ""
            text += [f"{(prefix + title).capitalize()}; limit at a percentile of the 8-bit designs:",
                     table(["device", "chosen", "10%", "25%", "50%", "75%"], lines)]
    text.append(
        "Where bits buy time (the bit-serial device) choosing both together beats choosing the 8-bit cell first by up to 2.4 points, and never loses to it "
        "beyond the scatter. On BitFusion, whose small layers wait for memory, it gains at the tighter limits alone. 4 bits everywhere is nearly as good: trained this "
        "way, 4 bits cost hardly any accuracy here, and a choice among fewer designs is fooled less often; differences below half a point are errors of the "
        "accuracies that choose, not of the choice. At the tightest limit on the bit-serial device one of ten halves chooses a cell that the other half calls "
        "collapsed.")
    return "\n\n".join(text + [source(notes)])
