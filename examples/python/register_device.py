#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Registers a device and asks what runs on it.

    PYTHONPATH=build/clients/python examples/python/register_device.py

Needs a tailord; TAILOR_ENDPOINT says where (default: this machine). Nothing is measured here: what
is known of the device are figures from its data sheet, and the answers say how far they go.
"""
import tailor

SPACE = "nasbench201"  # client.space_list() has the others

# A profile; docs/device-profiles.md has every key. All but the name may be left out.
PROFILE = {
    "name": "kitchen-camera",
    "class": "cpu",
    "description": "4x Cortex-A53 1.4 GHz, one float32 image at a time",
    "cores": 4,
    "clock_mhz": 1400,
    "peak_gflops": {"fp32": 44.8},
    "bandwidth_gb_per_s": {"dram": 3.2},
}


def show(answer):
    """One line a design. A missing number is None: nothing is known."""
    for row in answer.rows:
        print("  {accuracy:.2f}% +- {accuracy_std:.2f}, {latency_ms:.2f} ms "
              "+- {latency_std_ms:.2f}".format_map(row))
    for warning in answer.warnings:
        print("  note:", warning)


with tailor.Client() as client:
    name = client.device_add(PROFILE)  # again with the same name: replaces the profile
    print(client.device_show(name))

    # How good a network can be, whatever it costs; then what the device costs.
    print("the most accurate design:")
    best = client.design(SPACE, name)
    show(best)

    # A limit is kept with a probability, 0.9 unless confidence says otherwise. A device known by
    # its data sheet alone has wide bounds, so the design stays well below the limit.
    limit = best.best["latency_ms"]
    print(f"the most accurate below {limit:.0f} ms, surely and with luck:")
    show(client.design(SPACE, name, max_latency_ms=limit, confidence=0.95))
    show(client.design(SPACE, name, max_latency_ms=limit, confidence=0.5))

    # No design is that fast. The nearest is answered, and the answer says so.
    hopeless = client.design(SPACE, name, max_latency_ms=1e-3)
    assert hopeless.is_infeasible

    # Errors have types: NotFound, Invalid, Denied, Unreachable, ...
    try:
        client.design(SPACE, "kitchen-sink")
    except tailor.NotFound as error:
        print("refused:", error)

    # Predictions for designs of one's own: a table, as rows, CSV or the name of a file.
    mine = [{"e01": "nor_conv_3x3", "e02": "skip_connect", "e12": "nor_conv_1x1",
             "e03": "skip_connect", "e13": "none", "e23": "nor_conv_3x3"}]
    print("a design of mine:")
    show(client.predict(SPACE, name, mine))

    # What would narrow the bounds most: measuring these. measure_and_refine.py goes on from here.
    todo = client.measure_suggest(SPACE, name, 3)
    print("worth measuring:")
    print(todo.to_csv())
