#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills a daemon at work again and again, and looks at everything after each: bench/kills.py

    bench/kills.py [--kills N] [--seed S]

Imports, devices, spaces, trainings, shipped models, fleets, backups and jobs left to the daemon go on
until kill -9 at a random moment (tests/e2e/killing.py says what must be true then). N kills left
somebody's request unanswered; those that hit the daemon as it started are counted beside them. Ends
with status 1 at the first thing that is not true, and leaves its folder. Keeps
bench/results/kills.tsv. About 1.2 s a kill.
"""
import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time

import harness

HITS = "kills with a request unanswered"


def load():
    """The e2e tests' harness has the name of ours: theirs takes its place for them."""
    os.environ["TL_BUILD_DIR"] = harness.BUILD_DIR
    ours = sys.modules.pop("harness")
    sys.path.insert(0, os.path.join(harness.SOURCE_DIR, "tests", "e2e"))
    import killing  # pylint: disable=import-outside-toplevel
    sys.modules["harness"] = ours
    return killing


def keep(killing, world, options, seconds):
    counts, starts = world.counts, [1000.0 * s for s in world.start_s]
    rows = [(name.replace(" ", "_"), counts[name]) for name in (
        "kills with a request unanswered", "kills within 30 ms of a start", "kills", "restores killed",
        "looked", "clients killed", "jobs left to the daemon", "jobs that went on",
        "jobs finished after kill", "fleets finished after kill", "fleets finished from their file", "jobs given up after two kills", "rounds to the end of all jobs",
        "models of the last training")]
    rows += [("start_median_ms", statistics.median(starts)), ("start_max_ms", max(starts)),
             ("seconds", seconds)]
    rows += sorted((name.replace(" ", "_"), n) for name, n in counts.items()
                   if name.startswith(("acknowledged ", "finished after kill ")))
    rows += sorted(("unanswered_" + name, n) for name, n in world.unanswered.items())
    harness.keep_result("kills", [
        "eight clients of one daemon write until kill -9 after 0 to 0.4 s, in one of five cases "
        "again while it starts", "after each: acknowledged writes there, imports whole, model old "
        "or new and answering, no file left behind, a killed restore leaves old or new; a run ends at "
        "the first thing that is not so and keeps no table, so that this one is of a run without any",
        "jobs left to the daemon (train and evaluate with --detach): each number that was printed is listed after every "
        "kill; jobs that went on waited or ran after one; those given up ran at two kills; in one of four rounds, "
        "and at the end, all come to their end: what they found is whole, the model is that of the last training, "
        "an evaluation found what it finds alone; a fleet whose client or daemon was killed has all its rows",
        "the daemon is stopped (SIGSTOP) before it is killed: unanswered are the commands with a "
        "connection to it that had not ended %.0f ms later; a model is a training, from the job's "
        "beginning to its end" % (1e3 * killing.ANSWER_S), "seed %d" % options.seed],
        ["figure", "value"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    killing = load()
    folder = tempfile.mkdtemp(prefix="tailor-kills-", dir="/tmp")
    world = killing.World(folder, options.seed)
    begun = time.monotonic()
    try:
        while world.counts[HITS] < options.kills:
            world.round()
            if world.counts["looked"] % 20 == 0:
                print("%d kills, %.0f s" % (world.counts[HITS], time.monotonic() - begun),
                      flush=True)
        world.close()
    except killing.Broken as error:
        print("after %d kills, seed %d, in %s:\n%s" % (
            world.counts["kills"], options.seed, folder, error), file=sys.stderr)
        return 1
    finally:
        if world.daemon.process.poll() is None:
            world.daemon.kill()
    keep(killing, world, options, time.monotonic() - begun)
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
