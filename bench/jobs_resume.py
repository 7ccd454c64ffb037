#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a training that is killed at the start of its optimizer stage has left to do, and what it costs to
follow a job.

    bench/jobs_resume.py [--designs 600] [--repeats 3]"""
import argparse
import json
import random
import time

import harness

SPACE = ["--space", "nasbench201"]
TRAIN = ["train", *SPACE, "--seed", "7", "--detach"]
SLOTS = ["e01", "e02", "e12", "e03", "e13", "e23"]
WORK = {"none": 0., "skip_connect": .05, "nor_conv_1x1": .4, "nor_conv_3x3": 1.8,
        "avg_pool_3x3": .25}
N_LOOKS = 200


def fill(daemon, n):
    """Two made-up devices and a task, measured on n designs."""
    names = list(WORK)
    rows = []
    for number in random.Random(1).sample(range(len(names) ** len(SLOTS)), n):
        design = []
        for _ in SLOTS:
            number, choice = divmod(number, len(names))
            design.append(names[choice])
        work = sum(WORK[o] for o in design)
        rows.append([*design, .3 + work, 12 * (.1 + work), 94 - 60 * .8 ** work])
    daemon.run("measure", "import", *SPACE, daemon.write(
        "table.csv", [*SLOTS, "latency_ms@fast", "latency_ms@slow", "accuracy@toy"], rows))


def show(daemon, job_id):
    return json.loads(daemon.run("job", "show", job_id, "--json").stdout)


def until(daemon, job_id, is_there):
    """Seconds until the job is as is_there says."""
    begun = time.monotonic()
    while not is_there(show(daemon, job_id)):
        time.sleep(.01)
    return time.monotonic() - begun


def is_optimizing(job):
    return job["step"] == "optimizer"


def is_done(job):
    return job["state"] == "done"


def measure(n):
    with harness.Daemon() as daemon:
        fill(daemon, n)
        first = daemon.run(*TRAIN).stdout.strip()
        predictors_s = until(daemon, first, is_optimizing)
        whole_s = predictors_s + until(daemon, first, is_done)
        second = daemon.run(*TRAIN).stdout.strip()
        until(daemon, second, is_optimizing)
        daemon.restart()
        left_s = until(daemon, second, is_done)
        begun = time.monotonic()
        for _ in range(N_LOOKS):
            show(daemon, second)
        look_ms = (time.monotonic() - begun) / N_LOOKS * 1e3
    return [whole_s, predictors_s, left_s, look_ms]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--designs", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rows = [[i, *measure(options.designs)] for i in range(options.repeats)]
    harness.keep_result("jobs_resume", [
        f"nasbench201, {options.designs} made-up designs on two devices and for a task, effort quick; kill -9 "
        "when the optimizer begins; left_s from the start of the next daemon; look_ms: tailor job show, a "
        "process each"],
        ["repeat", "whole_s", "predictors_s", "left_s", "look_ms"], rows)


if __name__ == "__main__":
    main()
