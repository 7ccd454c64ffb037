#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python package over real sockets, with the shipped models."""
import asyncio
import dataclasses
import io
import json
import math
import os
import pathlib
import sys
import threading
from unittest import mock

import harness
import pypackage
from keys_test import FolderCase, Guarded

tailor = pypackage.tailor
SPACE = "nasbench201"


class Shipped(pypackage.Case):
    def setUp(self):
        super().setUp()
        self.client.device_add({"name": "board", "class": "cpu", "cores": 4, "clock_mhz": 1500,
                                "peak_gflops": {"fp32": 48}})


class Answers(Shipped):
    def test_designs_are_answered_and_predicted(self):
        answer = self.client.design(SPACE, "board", count=2)
        again = self.client.predict(SPACE, "board", answer.designs)
        self.assertEqual(answer.rows[0]["accuracy"], again.rows[0]["accuracy"])

    def test_many_designs_are_predicted_in_their_order(self):
        designs = [dict(zip(harness.EDGES, cell)) for cell in harness.cells(3000)]
        answer = self.client.predict(SPACE, "board", designs)
        self.assertEqual(3000, len(answer.rows))
        for design, row in zip(designs, answer.rows):
            self.assertEqual(design, {edge: row[edge] for edge in harness.EDGES})
        text = self.write("some.csv", harness.table(harness.cells(3000)[:5], {}))
        for given in (text, pathlib.Path(text), pathlib.Path(text).read_bytes()):
            for was, row in zip(answer.rows, self.client.predict(SPACE, "board", given).rows):
                self.assertAlmostEqual(was["latency_ms"], row["latency_ms"], 3)

    def test_answers_are_those_of_the_command_line(self):
        rows = self.rows("design", "--space", SPACE, "--device", "board", "--max-latency-ms", 20,
                         "--count", 3)
        answer = self.client.design(SPACE, "board", max_latency_ms=20, count=3)
        self.assertEqual(rows, [dict(zip(rows[0], line.split(","))) for line in
                                answer.table.to_csv().splitlines()[1:]])

    def test_weights_explanations_and_infeasible_limits(self):
        cheap = self.client.design(SPACE, "board", weight_latency=10.0)
        dear = self.client.design(SPACE, "board", weight_latency=0.001)
        self.assertLess(cheap.best["latency_ms"], dear.best["latency_ms"])
        explained = self.client.design(SPACE, "board", explain=True)
        self.assertGreater(len(explained.operators), 5)
        self.assertEqual(["slot", "choice", "second"], list(explained.slots.names[:3]))
        self.assertIsNone(cheap.operators)
        self.assertFalse(cheap.is_infeasible)
        self.assertTrue(self.client.design(SPACE, "board", max_latency_ms=1e-6).is_infeasible)

    def test_a_front_covers_something(self):
        answer = self.client.pareto(SPACE, "board", points=5)
        latencies = answer.table.column("latency_ms")
        self.assertEqual(sorted(latencies), latencies)
        self.assertEqual("latency_ms", answer.front.cost)
        self.assertLess(answer.front.hypervolume_low, answer.front.hypervolume_high)

    def test_networks_are_lowered(self):
        answer = self.client.design(SPACE, "board")
        lowered = self.client.space_lower(SPACE, answer.designs)
        self.assertEqual((1, 3, 32), (len(lowered.networks), lowered.networks[0].in_ch,
                                      lowered.networks[0].in_size))
        self.assertEqual("conv", lowered.networks[0].ops[0].kind)

    def test_answers_become_plain_data(self):
        answer = self.client.design(SPACE, "board", count=2)
        self.assertEqual(2, len(json.loads(json.dumps(dataclasses.asdict(answer)))
                                ["table"]["rows"]))
        self.assertEqual(answer.table.column("e01"), answer.table.to_columns()["e01"])

    def test_tables_become_arrays_and_frames_where_those_are_installed(self):
        table = self.client.design(SPACE, "board", count=2).table
        try:
            import numpy
        except ImportError:
            self.skipTest("no numpy")
        array = table.to_numpy()
        self.assertEqual((2, sum(c.is_number for c in table.columns)), array.shape)
        self.assertEqual(table[1]["accuracy"], table.to_numpy(["accuracy"])[1, 0])
        table.rows[0]["accuracy"] = None
        self.assertTrue(numpy.isnan(table.to_numpy(["accuracy"])[0, 0]))
        try:
            frame = table.to_pandas()
        except ImportError:
            return  # the stand-in below is asked instead
        self.assertTrue(math.isnan(frame["accuracy"][0]))

    def test_frames_need_pandas_and_get_rows_columns_and_types(self):
        table = self.client.design(SPACE, "board", count=2).table
        with mock.patch.dict(sys.modules, {"pandas": None}):
            with self.assertRaisesRegex(ImportError, "pandas"):
                table.to_pandas()
        pandas = mock.Mock()
        with mock.patch.dict(sys.modules, {"pandas": pandas}):
            table.to_pandas()
        pandas.DataFrame.assert_called_once_with(table.rows, columns=list(table.names))
        ((types,), _) = pandas.DataFrame.return_value.astype.call_args
        self.assertEqual({c.name for c in table.columns if c.is_number}, set(types))
        self.assertEqual({float}, set(types.values()))

    def test_warnings_stand_in_the_answer_and_are_told(self):
        told = []
        self.client.device_add({"name": "odd", "class": "cpu", "condition": "nobody",
                                "peak_gflops": {"fp32": 48}})
        with tailor.Client(self.daemon.endpoint, on_warning=told.append) as client:
            answer = client.design(SPACE, "odd")
        self.assertEqual(list(answer.warnings), told)
        self.assertIn("nobody", told[0])


class Registries(Shipped):
    def test_what_was_imported_comes_back(self):
        self.client.device_add(name="bare")
        todo = self.client.measure_suggest(SPACE, "bare", 5)
        for i, row in enumerate(todo):
            row["latency_ms@bare"] = 10.0 + i
        told = []
        report = self.client.measure_import(SPACE, todo, progress=told.append)
        self.assertEqual((5, ("latency_ms@bare",)), (report.n_values, report.columns))
        self.assertGreater(told[-1].done, 100)
        stored = self.client.measure_export(SPACE, "bare").column("latency_ms@bare")
        self.assertEqual([10.0, 11.0, 12.0, 13.0, 14.0], sorted(stored))
        self.client.device_remove("bare")
        self.assertRaises(tailor.NotFound, self.client.measure_export, SPACE, "bare")

    def test_a_table_with_a_mistake_stores_nothing_and_names_it(self):
        text = harness.table(harness.cells(3), {"latency_ms@wrong": harness.latency_ms})
        path = self.write("wrong.csv", text.replace("nor_conv_1x1", "conv5"))
        with self.assertRaises(tailor.Invalid) as caught:
            self.client.measure_import(SPACE, path)
        self.assertIn("wrong.csv line", str(caught.exception))
        self.assertNotIn("wrong", self.client.device_list().column("device"))

    def test_an_import_that_is_given_up_is_forgotten(self):
        """Sixteen may be open: more than that are given up here."""
        rows = harness.table(harness.cells(3), {"latency_ms@given-up": harness.latency_ms})

        def stop(progress):
            raise KeyboardInterrupt
        for _ in range(20):
            with self.assertRaises(KeyboardInterrupt):
                self.client.measure_import(SPACE, rows.encode(), progress=stop)

    def test_spaces_come_and_go(self):
        with open(os.path.join(harness.SOURCE_DIR, "spaces", "bitfusion-layers.yaml"), "rb") as f:
            text = f.read().replace(b"bitfusion-layers", b"layers-of-mine")
        self.assertEqual("layers-of-mine", self.client.space_add(text))
        self.assertEqual("layers-of-mine", self.client.space_add(self.write(
            "mine.yaml", text.decode())))
        self.assertIn("layers-of-mine", self.client.space_list().column("space"))
        self.assertIn("layers-of-mine", self.client.space_show("layers-of-mine"))
        self.client.space_remove("layers-of-mine")
        self.assertRaises(tailor.NotFound, self.client.space_show, "layers-of-mine")
        self.assertRaises(tailor.NotPossible, self.client.space_remove, SPACE)

    def test_devices_are_listed_in_pages_and_by_prefix(self):
        whole = self.client.device_list().column("device")
        self.assertEqual(whole, sorted(whole))
        self.assertGreater(len(whole), 50)
        self.assertEqual([name for name in whole if name.startswith("raspberry")],
                         self.client.device_list("raspberry").column("device"))
        page = self.client.device_page(after=whole[9], limit=5)
        self.assertEqual(whole[10:15], page.column("device"))

    def test_a_backup_is_fetched_while_the_daemon_serves(self):
        self.client.device_add(name="kept")
        path, told = os.path.join(self.folder, "all.backup"), []
        report = self.client.backup(path, progress=told.append)
        self.assertEqual(os.path.getsize(path), report.n_bytes)
        self.assertEqual(report.n_bytes, told[-1].done)
        self.assertEqual(0o600, os.stat(path).st_mode & 0o777)
        data = os.path.join(self.folder, "restored")
        self.ok("restore", path, "--data", data)

        def stop(progress):
            raise KeyboardInterrupt
        other = os.path.join(self.folder, "half.backup")
        with self.assertRaises(KeyboardInterrupt):
            self.client.backup(other, progress=stop)
        self.assertEqual([], [n for n in os.listdir(self.folder) if n.startswith("half")])
        again = io.BytesIO()
        self.assertEqual(self.client.backup(again).n_bytes, len(again.getvalue()))

    def test_what_the_daemon_holds_is_shown(self):
        self.assertIn("board", self.client.device_list().column("device"))
        self.assertIn("peak_gflops", self.client.device_show("board"))
        self.assertIn(SPACE, self.client.model_list().column("space"))
        self.assertIn("held-out", self.client.model_show(SPACE))
        status = {row["name"]: row["value"] for row in self.client.status()}
        self.assertEqual(tailor.__version__, status["version"])
        self.client.job_list()

    def test_refusals_are_typed(self):
        with self.assertRaises(tailor.NotFound) as caught:
            self.client.device_show("nobody")
        self.assertEqual((3, "ENOTFOUND"), (caught.exception.code, caught.exception.name))
        with self.assertRaises(tailor.Invalid):
            self.client.predict(SPACE, "board", b"colour\nred\n")
        with self.assertRaises(tailor.NotFound):
            self.client.job_cancel(10 ** 9)
        with self.assertRaises(ValueError):
            self.client.device_add()


class Many(Shipped):
    def test_batches_are_in_order_and_keep_errors_in_place(self):
        limits = [float(x) for x in range(5, 105)]
        asked = [tailor.calls.design(SPACE, "board", max_latency_ms=x) for x in limits]
        answers = self.client.batch(asked)
        self.assertEqual([self.client.design(SPACE, "board", max_latency_ms=x).best
                          for x in limits[::20]], [a.best for a in answers[::20]])
        asked[3] = tailor.calls.device_show("nobody")
        self.assertRaises(tailor.NotFound, self.client.batch, asked)
        kept = self.client.batch(asked, return_errors=True)
        self.assertIsInstance(kept[3], tailor.NotFound)
        self.assertEqual(answers[99].best, kept[99].best)

    def test_a_fleet_of_any_size_comes_back_in_order(self):
        """Rows come from a generator, which is not read far ahead of what was answered."""
        taken = []

        def devices():
            for i in range(2000):
                taken.append(i)
                yield {"name": "unit-%d" % i, "class": "cpu" if i % 7 else "sundial", "cores": 4,
                       "clock_mhz": 1500, "peak_gflops.fp32": 48, "max_latency_ms": 5 + i % 50}
        rows = self.client.fleet(SPACE, devices())
        first = next(rows)
        self.assertLess(len(taken), 1500)
        rows = [first, *rows]
        self.assertEqual(["unit-%d" % i for i in range(2000)], [row["device"] for row in rows])
        for i, row in enumerate(rows):
            self.assertEqual(i % 7 == 0, "sundial" in row["error"], row)
        for i in range(1, 100, 9):
            if i % 7:
                best = self.client.design(SPACE, "board", max_latency_ms=5 + i % 50).best
                self.assertEqual(best["e01"], rows[i]["e01"])

    def test_a_table_may_come_from_a_spreadsheet(self):
        """A byte order mark, quoted names, lines that end in CRLF."""
        text = b'\xef\xbb\xbf"device","max_latency_ms"\r\n"board","15"\r\n'
        path = os.path.join(self.folder, "fleet.csv")
        with open(path, "wb") as file:
            file.write(text)
        for devices in (path, text):
            self.assertEqual(["board"], [row["device"] for row in self.client.fleet(SPACE, devices)])

    def test_an_unknown_key_names_the_nearest_as_it_is_written_there(self):
        nested = {"class": "cpu", "peak_gflops": {"fp32": 48}}
        with self.assertRaisesRegex(tailor.Invalid, 'nearest is "peak_gflops.fp32"'):
            list(self.client.fleet(SPACE, [nested]))
        with self.assertRaisesRegex(tailor.Invalid, 'nearest is "peak_gflops: {fp32: ...}"'):
            self.client.device_add({"name": "dotted", "peak_gflops.fp32": 48})
        with self.assertRaisesRegex(tailor.Invalid, 'unknown key "foo", nearest is "name"'):
            self.client.device_add({"name": "strange", "foo": 1})

    def test_a_long_fleet_is_a_job_while_it_is_iterated(self):
        def fleet_jobs():
            return [row for row in self.client.job_list() if row["method"] == "fleet.run"]

        def end_of(row):
            """The end is told, but not waited for."""
            return self.client.job_follow(int(row["job"]))
        before = len(fleet_jobs())
        self.assertEqual(1, len(list(self.client.fleet(SPACE, [{"device": "board"}]))))
        self.assertEqual(before, len(fleet_jobs()))  # a short one is none
        devices = [{"class": "cpu", "peak_gflops.fp32": 20 + i} for i in range(600)]
        self.assertEqual(600, len(list(self.client.fleet(SPACE, devices))))
        job = end_of(fleet_jobs()[-1])
        self.assertEqual(("done", 600, 600), (job.state, job.done, job.total))

        # Most of its pieces are under way or have not begun.
        rows = self.client.fleet(SPACE, devices * 20)
        next(rows)
        rows.close()
        self.assertEqual("cancelled", end_of(fleet_jobs()[-1]).state)

        rows = self.client.fleet(SPACE, iter(devices * 5))
        next(rows)
        self.client.job_cancel(int(fleet_jobs()[-1]["job"]))
        self.assertRaises(tailor.Cancelled, list, rows)

        async def iterate():
            async with tailor.AsyncClient(self.daemon.endpoint) as client:
                self.assertEqual(600, len([r async for r in client.fleet(SPACE, devices)]))
                ended = await client.job_follow(int(fleet_jobs()[-1]["job"]))
                rows = client.fleet(SPACE, devices * 20)
                await anext(rows)
                await rows.aclose()
                return ended, await client.job_follow(int(fleet_jobs()[-1]["job"]))
        self.assertEqual(["done", "cancelled"], [job.state for job in asyncio.run(iterate())])
        self.assertEqual(before + 5, len(fleet_jobs()))

    def test_sixty_four_tasks_ask_at_once(self):
        limits = [5.0 + i for i in range(64)]

        async def ask():
            async with tailor.AsyncClient(self.daemon.endpoint) as client:
                designs = await asyncio.gather(*(
                    client.design(SPACE, "board", max_latency_ms=x) for x in limits))
                batch = await client.batch(
                    tailor.calls.design(SPACE, "board", max_latency_ms=x) for x in limits)
                fleet = [row async for row in client.fleet(
                    SPACE, ({"device": "board", "max_latency_ms": x} for x in limits))]
                report = await client.measure_import(SPACE, harness.table(
                    harness.cells(4), {"latency_ms@by-task": harness.latency_ms}).encode())
                with self.assertRaises(tailor.NotFound):
                    await client.device_show("nobody")
            return designs, batch, fleet, report
        designs, batch, fleet, report = asyncio.run(ask())
        self.assertEqual([a.best for a in designs], [a.best for a in batch])
        self.assertEqual([a.best["e23"] for a in designs], [row["e23"] for row in fleet])
        self.assertEqual(4, report.n_values)

    def test_a_task_that_is_cancelled_leaves_the_client_usable(self):
        async def ask():
            async with tailor.AsyncClient(self.daemon.endpoint) as client:
                tasks = [asyncio.create_task(client.design(SPACE, "board")) for _ in range(8)]
                await asyncio.sleep(0)
                for task in tasks[::2]:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
                await client.status()
            return ended
        ended = asyncio.run(ask())
        self.assertTrue(all(isinstance(e, asyncio.CancelledError) for e in ended[::2]))
        self.assertEqual(1, len({e.best["e01"] for e in ended[1::2]}))

    def test_threads_share_a_client(self):
        answers = {}

        def ask(k):
            answers[k] = [self.client.design(SPACE, "board", max_latency_ms=5 + k).best
                          for _ in range(20)]
        threads = [threading.Thread(target=ask, args=(k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for k in range(8):
            best = self.client.design(SPACE, "board", max_latency_ms=5 + k).best
            self.assertEqual([best] * 20, answers[k])


class Restarts(Shipped):
    def test_a_restarted_daemon_is_found_again(self):
        self.client.status()
        self.daemon.kill()
        self.daemon.start()
        self.assertIn("board", self.client.device_list().column("device"))

        async def ask():
            async with tailor.AsyncClient(self.daemon.endpoint) as client:
                await client.status()
                self.daemon.kill()
                asking = asyncio.create_task(client.device_list())  # while nobody is there
                await asyncio.sleep(0)
                await asyncio.to_thread(self.daemon.start)
                return await asking
        self.assertIn("board", asyncio.run(ask()).column("device"))

    def test_nobody_there_is_unreachable(self):
        with tailor.Client("ipc:///tmp/tailor-nobody", 200) as client:
            self.assertRaises(tailor.Unreachable, client.status)
            client.timeout_ms = 100
            with self.assertRaises(tailor.Unreachable) as caught:
                list(client.fleet(SPACE, [{"device": "board"}]))
        self.assertIn("within 100 ms", str(caught.exception))


class WithKeys(FolderCase):
    def setUp(self):
        super().setUp()
        self.reader, self.writer = self.new("r", "reader"), self.new("w", "writer")
        self.daemon = Guarded(self.folder, "--keys", self.keys)
        self.addCleanup(self.daemon.stop)

    def test_keys_say_what_may_be_done(self):
        with tailor.Client(self.daemon.tcp, key_file=self.reader) as client:
            client.space_list()
            self.assertRaises(tailor.Denied, client.device_add, name="mine")
        with pypackage.environment(TAILOR_KEY=self.writer):
            with tailor.Client(self.daemon.tcp) as client:
                self.assertEqual("mine", client.device_add(name="mine"))
        keys = tailor.read_keys(self.writer)
        with tailor.Client(self.daemon.tcp, **dataclasses.asdict(keys)) as client:
            client.device_remove("mine")
        with tailor.Client(self.daemon.ipc, key_file=self.reader) as client:
            client.device_add(name="local")  # where no key is asked for

    def test_without_a_known_key_calls_are_denied(self):
        """And are not once the daemon knows it."""
        with tailor.Client(self.daemon.tcp) as client:
            self.assertRaises(tailor.Denied, client.space_list)
            self.assertRaises(tailor.Denied, client.space_list)
        public, secret = tailor.key_pair()
        server = tailor.read_keys(self.reader).server_key
        with tailor.Client(self.daemon.tcp, server_key=server, public_key=public,
                           secret_key=secret) as client:
            self.assertRaises(tailor.Denied, client.space_list)
            with open(os.path.join(self.keys, "late.client"), "w", encoding="utf-8") as file:
                file.write(f"name: late\nrole: reader\npublic: {public}\n")
            for _ in range(100):
                try:
                    client.space_list()
                    break
                except tailor.Denied:
                    threading.Event().wait(0.1)
            client.space_list()

    def test_another_daemons_key_is_no_use(self):
        other = self.new("r", "reader", os.path.join(self.folder, "elsewhere"))
        with tailor.Client(self.daemon.tcp, 1500, key_file=other) as client:
            with self.assertRaises(tailor.Unreachable) as caught:
                client.space_list()
        self.assertIn("another key", str(caught.exception))

        async def ask():
            async with tailor.AsyncClient(self.daemon.tcp, key_file=self.reader) as client:
                return await client.space_list()
        self.assertIn(SPACE, asyncio.run(ask()).column("space"))


if __name__ == "__main__":
    pypackage.main()
