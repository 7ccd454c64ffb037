#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A few kills of a daemon at work; bench/kills.py does hundreds."""
import shutil
import tempfile
import unittest

import harness
import killing

N_KILLS = 3  # with a request unanswered
MAX_ROUNDS = 40


class KillTest(unittest.TestCase):
    def test_a_kill_leaves_what_was_acknowledged_and_nothing_half(self):
        folder = tempfile.mkdtemp(prefix="tailor-kill-", dir="/tmp")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        world = killing.World(folder, harness.SEED)
        try:
            for _ in range(MAX_ROUNDS):
                world.round()
                if world.counts["kills with a request unanswered"] >= N_KILLS and \
                        world.counts["jobs finished after kill"] > 0:
                    break
            world.close()
            self.assertLessEqual(N_KILLS, world.counts["kills with a request unanswered"])
            self.assertLess(0, world.counts["jobs finished after kill"])
        finally:
            if world.daemon.process.poll() is None:
                world.daemon.kill()


if __name__ == "__main__":
    harness.main()
