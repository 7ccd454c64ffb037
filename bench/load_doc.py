#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the figures of "Load" in docs/operations.md from bench/results/load.tsv (bench/load.py).

    bench/load_doc.py
"""
from accuracy_doc import read, source, table
from harness import write_part


def ms(us):
    return f"{float(us) / 1000:.2f}"


def per_s(value):
    return f"{float(value):,.0f}"


def of(rows, part):
    return [r for r in rows if r["part"] == part]


def main():
    notes, rows = read("load")
    clients = next(r["part"] for r in rows if r["part"].endswith(" clients"))
    trips = [[r["what"], ms(r["p50_us"]), ms(r["p99_us"]), ms(r["echo_p50_us"]), ms(r["itself_p50_us"]), r["over_ideal"]]
             for r in of(rows, "round trip")]
    bulk = [[r["what"], r["beside"], ms(r["p50_us"]), ms(r["p99_us"]), ms(r["max_us"])] for r in of(rows, "under bulk")]
    many = [[r["what"], per_s(r["per_s"]), r["beside"], per_s(r["bound_per_s"]), r["share"]] for r in of(rows, clients)]
    flood = [[r["what"], r["beside"], per_s(r["per_s"]), ms(r["p50_us"]), ms(r["p99_us"]), per_s(r["busy_per_s"]),
              ms(r["busy_p99_us"]) if r["busy_p99_us"] else ""] for r in of(rows, "flood")]
    text = "\n\n".join([
        "One request after another, idle (ms; the last column is p50 over that of a bare echo and what the method itself took):",
        table(["request", "p50", "p99", "echo p50", "itself p50", "over both"], trips),
        "One client that pauses 5 ms after each answer, beside bulk work (ms):",
        table(["request", "beside", "p50", "p99", "longest"], bulk),
        f"{clients}, four requests under way at each, all on the processors that also compute:",
        table(["request", "answered a second", "bound", "a second", "share"], many),
        "A client that floods, and others beside it (ms):",
        table(["request", "client", "answered a second", "p50", "p99", "EBUSY a second", "EBUSY p99"], flood),
        source(notes)])
    write_part("operations", "load", text)


if __name__ == "__main__":
    main()
