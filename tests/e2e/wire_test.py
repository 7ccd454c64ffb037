#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Protocol v1 is kept: messages recorded long ago mean today what they meant then.

The kept requests are played to today's daemon, the kept replies to today's clients, and today's
schema is held against the released one. tests/golden/wire/record.py keeps what is new.
"""
import json
import os
import sys
import tempfile
import threading
import unittest

import harness

WIRE = os.path.join(harness.SOURCE_DIR, "tests", "golden", "wire")
sys.path.insert(0, os.path.join(harness.BUILD_DIR, "clients", "python"))
sys.path.insert(0, WIRE)
try:
    import tailor
    import tailor.tailor_pb2 as pb
    import zmq

    import scenario
    import servers
    import wire
except ImportError as missing:
    raise unittest.SkipTest(str(missing))

RECORD = "TL_BUILD_DIR=... tests/golden/wire/record.py keeps it"
DESIGN = ["--space", "golden", "--device", "golden-board"]


class ReplayTest(unittest.TestCase):
    def test_requests_of_old_are_answered_as_of_old(self):
        later = wire.read_schema()[1]
        with servers.Servers() as sessions:
            for kept in wire.read_index():
                with self.subTest(kept.name):
                    request = kept.request
                    wire.compare(kept, request, sessions[kept.server].play(kept, request)[1],
                                 later)

    def test_differences_are_found(self):
        """What the comparison is for, on a reply that was changed here."""
        kept = next(k for k in wire.read_index() if k.name == "predict")
        def changed(change):
            reply = pb.Reply.FromString(kept.replies[-1])
            answer = pb.Answer.FromString(reply.body)
            change(reply, answer)
            reply.body = answer.SerializeToString()
            return [reply.SerializeToString()]

        def rename(reply, answer):
            answer.table.columns[0].name = "layer-1"

        def swap(reply, answer):
            answer.table.columns[0].name, answer.table.columns[1].name = "layer2", "layer1"

        def move(reply, answer):
            for i in range(len(answer.table.columns[4].number)):
                answer.table.columns[4].number[i] *= 2.0

        def forget(reply, answer):
            del answer.table.columns[-1]

        def fail(reply, answer):
            reply.error, reply.error_name = 3, "ENOTFOUND"

        def turn(reply, answer):
            answer.is_infeasible = True

        def add(reply, answer):
            answer.table.columns.add(name="new", kind=pb.Column.NUMBER, number=[0.0])

        wire.compare(kept, b"", changed(lambda reply, answer: None), set())
        wire.compare(kept, b"", changed(add), set())
        for change in (rename, swap, move, forget, fail, turn):
            with self.subTest(change.__name__), self.assertRaises(wire.Differs):
                wire.compare(kept, b"", changed(change), set())


class SchemaTest(unittest.TestCase):
    def test_nothing_released_was_changed(self):
        with open(os.path.join(harness.SOURCE_DIR, "docs", "protocol.md"),
                  encoding="utf-8") as file:
            now = wire.schema_of_proto() + wire.schema_of_document(file.read())
        kept = wire.read_schema()[0]
        self.assertEqual([], [line for line in kept if not wire.still_stands(line, now)],
                         "released with v1, and changed or gone now")
        self.assertEqual([], [line for line in now if line not in kept], RECORD)

    def test_every_method_has_a_message(self):
        methods = {line.split()[1] for line in wire.read_schema()[0]
                   if line.startswith("method ")}
        answered = {k.method for k in wire.read_index()}
        self.assertEqual(set(), methods - answered, "no kept message; " + RECORD)

    def test_every_field_is_set_in_some_message(self):
        """And every value of an enumeration: one that no message says could change unseen."""
        said = wire.said_by_kept()
        for name, message in scenario.BUILT.items():
            wire.add_said(type(message).FromString(wire.read_built(name)), said)
        names = {line.split()[1] for line in wire.schema_of_proto()}
        self.assertEqual([], sorted(names - said), "set in no kept message: an exchange in "
                         "scenario.py sets it, and " + RECORD)


class BuiltTest(unittest.TestCase):
    """Messages that no daemon said; tests/proto/golden_test.c reads the same ones."""

    def test_built_messages_mean_what_they_meant(self):
        for name, built in scenario.BUILT.items():
            kept = type(built).FromString(wire.read_built(name))
            for field in built.DESCRIPTOR.fields:
                with self.subTest(field.full_name):
                    self.assertEqual(getattr(built, field.name), getattr(kept, field.name))
            self.assertEqual(wire.read_built(name), kept.SerializeToString(deterministic=True))


class Parrot:
    """A daemon that answers every method with one kept reply."""

    def __init__(self, folder):
        self.endpoint = "ipc://" + os.path.join(folder, "parrot")
        self.kept = {}
        for kept in wire.read_index():
            if kept.reply and kept.server == "tailord":
                self.kept.setdefault(kept.method, kept)
        self.jobs = [k for k in wire.read_index() if k.method in ("job.start", "job.show")]
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVTIMEO, 50)
        self._socket.bind(self.endpoint)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def prefer(self, name):
        kept = next(k for k in wire.read_index() if k.name == name)
        self.kept[kept.method] = kept

    def _answer(self):
        while not self._is_over.is_set():
            try:
                identity, _, request = self._socket.recv_multipart()
            except zmq.Again:
                continue
            asked = pb.Request.FromString(request)
            for reply in self.replies(asked):
                self._socket.send_multipart(
                    [identity, b"", wire.with_number(reply, 2, asked.request_id)])

    def replies(self, asked):
        """The kept ones of the method; of a job, those of its method or number."""
        if asked.method not in self.kept:
            return [pb.Reply(protocol=1, error=3, error_name="ENOTFOUND",
                             error_detail=asked.method).SerializeToString()]
        message = {"job.start": pb.JobStart, "job.show": pb.JobId}.get(asked.method)
        if message is None:
            return self.kept[asked.method].replies
        wanted = message.FromString(asked.body).ListFields()[0]
        return next(k.replies for k in self.jobs if k.method == asked.method and message.FromString(
            pb.Request.FromString(k.request).body).ListFields()[0] == wanted)

    def close(self):
        self._is_over.set()
        self._thread.join()
        self._socket.close(0)
        self._context.term()


class ClientsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="tailor-e2e-", dir="/tmp")
        cls.parrot = Parrot(cls.folder.name)
        for name in ("space-list", "status", "design"):
            cls.parrot.prefer(name)

    @classmethod
    def tearDownClass(cls):
        cls.parrot.close()
        cls.folder.cleanup()

    def file(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def table_of(self, method):
        """The first kept table of a method: names of its columns, number of its rows."""
        kept = self.parrot.kept[method]
        _, _, (whole,), _ = wire.bodies(kept.replies, kept.reply)
        table = whole if kept.reply == "Table" else next(
            value for field, value in whole.ListFields()
            if field.message_type is not None and field.message_type.name == "Table")
        return [c.name for c in table.columns], len(wire.rows_of(table))

    def test_the_command_line_prints_tables_of_old(self):
        designs = self.file("some.csv", "layer1,layer2,layer3,layer4\nthin,thin,thin,thin\n")
        fleet = self.file("fleet.csv", "device\ngolden-board\n")
        commands = {
            "status.get": ["status"], "space.list": ["space", "list"],
            "device.list": ["device", "list"], "model.list": ["model", "list"],
            "job.list": ["job", "list"], "measure.export": ["measure", "export", *DESIGN[:2]],
            "measure.suggest": ["measure", "suggest", *DESIGN, "--count", "3"],
            "predict.run": ["predict", *DESIGN, "--designs", designs],
            "design.run": ["design", *DESIGN], "pareto.run": ["pareto", *DESIGN],
            "proxy.run": ["proxy", *DESIGN],
            "fleet.run": ["fleet", *DESIGN[:2], "--devices", fleet],
        }
        for method, words in commands.items():
            with self.subTest(method):
                names, n_rows = self.table_of(method)
                result = harness.run(self.parrot, [harness.TAILOR, *words, "--json"])
                wanted = {harness.DONE, harness.INFEASIBLE}
                if method == "fleet.run":
                    wanted.add(harness.FAILED)  # of a row
                self.assertIn(result.returncode, wanted, result.stderr)
                rows = [json.loads(line) for line in result.stdout.splitlines()]
                self.assertEqual(n_rows, len(rows))
                self.assertEqual(names, list(rows[0])[:len(names)])

    def test_the_command_line_takes_other_replies_of_old(self):
        space = self.file("golden.yaml", "name: golden\n")
        board = self.file("board.yaml", "name: golden-board\n")
        table = self.file("table.csv", "layer1\nthin\n")
        for words in (["space", "show", "golden"], ["space", "add", space],
                      ["space", "remove", "golden-other"], ["device", "show", "golden-board"],
                      ["device", "add", board], ["device", "remove", "golden-bare"],
                      ["measure", "import", *DESIGN[:2], table], ["model", "show", "golden"],
                      ["train", *DESIGN[:2]], ["evaluate", *DESIGN[:2]]):
            with self.subTest(" ".join(words)):
                result = harness.run(self.parrot, [harness.TAILOR] + words)
                self.assertEqual(harness.DONE, result.returncode, result.stderr)

    def test_the_python_client_reads_replies_of_old(self):
        designs = b"layer1,layer2,layer3,layer4\nthin,thin,thin,thin\n"
        with tailor.Client(self.parrot.endpoint) as client:
            for method, call in {
                    "status.get": client.status, "space.list": client.space_list,
                    "device.list": client.device_list, "model.list": client.model_list,
                    "job.list": client.job_list,
                    "measure.export": lambda: client.measure_export("golden"),
                    "measure.suggest": lambda: client.measure_suggest("golden", "b", 3),
                    "predict.run": lambda: client.predict("golden", "b", designs).table,
                    "design.run": lambda: client.design("golden", "b").table,
                    "pareto.run": lambda: client.pareto("golden", "b").table,
                    "proxy.run": lambda: client.proxy("golden", "b").table,
                    "train.run": lambda: client.train("golden").report,
            }.items():
                with self.subTest(method):
                    names, n_rows = self.table_of(method)
                    table = call()
                    self.assertEqual(names, [c.name for c in table.columns][:len(names)])
                    self.assertEqual(n_rows, len(table))
            self.assertEqual(3, len(client.space_lower("golden", designs).networks))
            self.assertEqual("golden", client.space_add(b"name: golden"))
            self.assertIn("golden", client.space_show("golden"))
            self.assertEqual(1280, client.measure_import("golden", designs).n_values)
            self.assertTrue(client.evaluate("golden").figures)


if __name__ == "__main__":
    harness.main()
