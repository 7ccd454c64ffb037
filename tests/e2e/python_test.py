#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python package over real sockets, with the shipped models; skipped without its Debian packages."""
import asyncio
import os
import sys
import unittest

import harness

sys.path.insert(0, os.path.join(harness.BUILD_DIR, "clients", "python"))
try:
    import tailor
except ImportError as missing:
    raise unittest.SkipTest(str(missing))

SPACE = "nasbench201"


class Python(harness.Case):
    models = os.path.join(harness.SOURCE_DIR, "models")

    def setUp(self):
        self.client = tailor.Client(self.daemon.endpoint)
        self.addCleanup(self.client.close)
        self.client.device_add({"name": "board", "class": "cpu", "cores": 4, "clock_mhz": 1500,
                                "peak_gflops": {"fp32": 48}})

    def test_designs_are_answered_and_predicted(self):
        answer = self.client.design(SPACE, "board", count=2)
        again = self.client.predict(SPACE, "board", answer.designs)
        self.assertEqual(answer.rows[0]["accuracy"], again.rows[0]["accuracy"])

    def test_what_was_imported_comes_back(self):
        self.client.device_add(name="bare")
        todo = self.client.measure_suggest(SPACE, "bare", 5)
        for i, row in enumerate(todo):
            row["latency_ms@bare"] = 10.0 + i
        self.assertEqual(5, self.client.measure_import(SPACE, todo).n_values)
        stored = self.client.measure_export(SPACE, "bare").column("latency_ms@bare")
        self.assertEqual([10.0, 11.0, 12.0, 13.0, 14.0], sorted(stored))

    def test_refusals_are_typed(self):
        with self.assertRaises(tailor.NotFound) as caught:
            self.client.device_show("nobody")
        self.assertEqual((3, "ENOTFOUND"), (caught.exception.code, caught.exception.name))
        with self.assertRaises(tailor.Invalid):
            self.client.predict(SPACE, "board", b"colour\nred\n")

    def test_a_restarted_daemon_is_found_again(self):
        self.client.status()
        self.daemon.kill()
        self.daemon.start()
        self.assertIn("board", self.client.device_list().column("device"))

    def test_nobody_there_is_unreachable(self):
        with tailor.Client("ipc:///tmp/tailor-nobody", 200) as client:
            self.assertRaises(tailor.Unreachable, client.status)

    def test_batches_fleets_and_tasks(self):
        asked = [tailor.calls.design(SPACE, "board", max_latency_ms=x) for x in range(5, 105)]
        self.assertEqual(100, len(self.client.batch(asked)))
        fleet = [{"device": "board", "max_latency_ms": x} for x in range(1, 601)]
        self.assertEqual(600, len(list(self.client.fleet(SPACE, fleet))))

        async def ask():
            async with tailor.AsyncClient(self.daemon.endpoint) as client:
                return await asyncio.gather(*(client.ask(call) for call in asked))

        self.assertEqual(100, len(asyncio.run(ask())))


if __name__ == "__main__":
    harness.main()
