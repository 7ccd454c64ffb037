# SPDX-License-Identifier: Apache-2.0
"""The part of docs/optimizer.md about fleets, from bench/results/fleet.tsv."""


def whole(text):
    return text and f"{float(text):,.0f}"


def fleet(read, table, source, number):
    notes, rows = read("fleet")
    lines = [[r["way"], r["space"], whole(r["devices"]), whole(r["feasible"]), r["seconds"], whole(r["designs_per_s"]),
              whole(r["sgemm_per_s"]), r["share"], r["sgemm_share"], r["client_mib"], r["daemon_mib"]] for r in rows]
    return "\n\n".join([
        "## Fleets",
        "`tailor fleet`: one design a row for a table of described devices. A listed space stands by falling accuracy; block by block, two products say what "
        "512 designs cost on up to 256 devices, devices leave with the first design that keeps their limits, and what comes near a limit is judged as every "
        "search judges it (`optimizer/fleet.h`): the answers are those of `tailor design`. The bound is the sgemm of the products that score every "
        "design on every device; the target is .40 of it. Of its own products, which are fewer, the engine's time is the next column.",
        table(["way", "space", "devices", "feasible", "s", "designs/s", "sgemm alone, designs/s", "share", "own sgemm, of its time", "client MiB", "daemon MiB"],
              lines),
        "Spaces that cannot be listed are searched device by device, by the model's optimizer where it has one: no products to batch, and no bound of that kind.",
        source(notes)])
