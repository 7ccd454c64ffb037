#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A design for each device of a fleet, of any length.

    PYTHONPATH=build/clients/python examples/python/fleet.py [FLEET.csv] >designs.csv

FLEET.csv has a row for each device, as docs/fleet.md says. Without it a fleet is made up. Needs a
tailord (TAILOR_ENDPOINT).
"""
import csv
import sys
import time

import tailor

SPACE = "nasbench201"
N_MADE_UP = 2000
SHOW_EVERY = 500


def made_up_fleet():
    """Phones of all ages. A generator: the rows need not fit in memory, and are taken only as
    fast as they are answered."""
    for i in range(N_MADE_UP):
        clock_mhz = 800 + 7 * (i * 37 % 300)
        yield {
            "name": f"phone-{i}",
            "class": "cpu",
            "cores": 4 + i % 2 * 4,
            "clock_mhz": clock_mhz,
            "peak_gflops.fp32": round(0.032 * clock_mhz, 1),
            "bandwidth_gb_per_s.dram": 3 + i % 10,
            # A limit of its own; the others get the one of the call. The last of them ask
            # for more than a phone can do.
            "max_latency_ms": 60 if i % 3 else 0.001 if i > 1900 else None,
        }


fleet = sys.argv[1] if len(sys.argv) > 1 else made_up_fleet()
begun_s = time.monotonic()
n_good = n_nearest = n_failed = 0
writer = None

with tailor.Client() as client:
    # Pieces of the table are under way at once; rows come back in their order. For several
    # fleets at once use AsyncClient, whose fleet() is iterated with `async for`.
    for n, row in enumerate(client.fleet(SPACE, fleet, max_latency_ms=90.0), 1):
        if writer is None:
            writer = csv.DictWriter(sys.stdout, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)  # None is written as an empty field
        # What is wrong with a row stands in its error; the other rows are answered all the same.
        if not row["error"]:
            n_good += 1
        elif row["accuracy"] is not None:
            n_nearest += 1  # no design keeps the limits: this one comes nearest
        else:
            n_failed += 1
        if n % SHOW_EVERY == 0:
            print(f"{n} rows, {n / (time.monotonic() - begun_s):.0f} a second", file=sys.stderr)

print(f"{n_good} designs, {n_nearest} that miss their limit, {n_failed} rows without an answer",
      file=sys.stderr)
sys.exit(1 if n_failed else 3 if n_nearest else 0)  # as `tailor fleet` does
