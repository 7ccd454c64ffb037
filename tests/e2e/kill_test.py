#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A few kills of a daemon at work; bench/kills.py does hundreds."""
import shutil
import tempfile
import unittest

import harness
import killing

N_KILLS = 8


class KillTest(unittest.TestCase):
    def test_a_kill_leaves_what_was_acknowledged_and_nothing_half(self):
        folder = tempfile.mkdtemp(prefix="tailor-kill-", dir="/tmp")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        world = killing.World(folder, harness.SEED)
        try:
            while world.counts["kills"] + world.counts["restores killed"] < N_KILLS:
                world.round()
            world.close()
        finally:
            if world.daemon.process.poll() is None:
                world.daemon.kill()


if __name__ == "__main__":
    harness.main()
