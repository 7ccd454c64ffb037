#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Finds the best design for a device under a latency limit by measuring a few designs on it.

    PYTHONPATH=build/clients/python examples/python/measure_and_refine.py \\
        [--agent build/clients/agent/tailor-agent] [--limit-ms MS] [--device NAME]

With --agent the device is this machine, and tailor-agent times the designs. Without it a made-up
clock stands in for the device, so that the loop can be tried anywhere. Needs a tailord
(TAILOR_ENDPOINT).
"""
import argparse
import os
import subprocess
import tempfile

import tailor

SPACE = "nasbench201"
FIRST, EACH_ROUND, ROUNDS = 6, 4, 5


def made_up_ms(network):
    """A device that takes 5 us an operator and a microsecond for a million multiplications."""
    ms = 0.0
    for op in network.ops:
        ms += 0.005
        if op.kind == "conv":
            work = op.out_size ** 2 * op.out_ch * op.in_ch // op.groups * op.kernel ** 2
            ms += work * 1e-9
    return ms


def measure_made_up(client, todo, device):
    """Fills the empty column in and imports the table."""
    networks = client.space_lower(SPACE, todo.to_csv().encode()).networks
    for row, network in zip(todo, networks):
        row[f"latency_ms@{device}"] = made_up_ms(network)
    return client.measure_import(SPACE, todo)


def measure_here(agent, client, todo, device):
    """The agent asks the daemon for the networks, times each on this machine and writes a table
    of measurements."""
    with tempfile.TemporaryDirectory() as folder:
        designs, measured = os.path.join(folder, "todo.csv"), os.path.join(folder, "done.csv")
        with open(designs, "w", encoding="utf-8") as file:
            file.write(todo.to_csv())
        subprocess.run(
            [agent, "measure", "--connect", client.endpoint, "--space", SPACE, "--device", device,
             "--designs", designs, "--out", measured, "--runs", "20"], check=True)
        return client.measure_import(SPACE, measured)


parser = argparse.ArgumentParser()
parser.add_argument("--agent", help="tailor-agent, to time designs on this machine")
parser.add_argument("--limit-ms", type=float, help="default: half of what the best design takes")
parser.add_argument("--device", default="a-new-device", help="what it is called")
options = parser.parse_args()
device = options.device

with tailor.Client() as client:

    def measure(todo):
        if options.agent:
            return measure_here(options.agent, client, todo, device)
        return measure_made_up(client, todo, device)

    # Nothing is known of the device but its name. The first designs are those that teach most.
    client.device_add(name=device)
    report = measure(client.measure_suggest(SPACE, device, FIRST))
    print(f"{report.n_values} measurements; now the device is known")

    limit_ms = options.limit_ms or 0.5 * client.design(SPACE, device).best["latency_ms"]
    for n in range(ROUNDS):
        answer = client.design(SPACE, device, max_latency_ms=limit_ms)
        best = answer.best
        print("round {}: {accuracy:.2f}%, {latency_ms:.4f} ms +- {latency_std_ms:.4f}, below "
              "{limit:.4f} ms with probability {p_feasible:.3f}".format(n, limit=limit_ms, **best))
        # A design that was measured has no uncertainty of latency left.
        if not answer.is_infeasible and best["latency_std_ms"] == 0.0:
            break
        # Designs that could be the answer, to be measured next.
        measure(client.design(SPACE, device, max_latency_ms=limit_ms, propose=EACH_ROUND).table)

    n_measured = len(client.measure_export(SPACE, device))
    answer = client.design(SPACE, device, max_latency_ms=limit_ms)
    print(f"the design, after {n_measured} measurements"
          + (" (none keeps the limit; the nearest)" if answer.is_infeasible else "") + ":")
    print(answer.table.to_csv(), end="")
