#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python clients against daemons that lie, stammer, hang and go away."""
import asyncio
import io
import itertools
import os
import queue
import shutil
import socket
import tempfile
import threading
import unittest
from unittest import mock

import pypackage
import zmq

tailor = pypackage.tailor
pb = tailor.wire.pb

LIST = tailor.calls.space_list()
numbers = itertools.count()


def final(request, **fields):
    """A good answer, changed by fields."""
    fields = {"protocol": 1, "request_id": request.request_id, **fields}
    return pb.Reply(**fields).SerializeToString()


def table(*columns, n_rows=1):
    return pb.Table(columns=columns, n_rows=n_rows).SerializeToString()


class FakeDaemon:
    """A ROUTER that answers every request with the replies that answer(request, n) yields; n
    counts requests. A reply None ends the connections, as a crash would."""

    def __init__(self, endpoint, answer):
        self.endpoint, self.answer = endpoint, answer
        self.requests = []
        self._stop, self._told = zmq.Context.instance().socket(zmq.PAIR), None
        address = "inproc://stop-%d" % next(numbers)  # never twice: sockets are closed later
        self._stop.bind(address)
        self._told = zmq.Context.instance().socket(zmq.PAIR)
        self._told.connect(address)
        self._thread = threading.Thread(target=self._serve)
        self._listen()
        self._thread.start()

    def _listen(self):
        self._socket = zmq.Context.instance().socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(self.endpoint)
        self.bound = self._socket.getsockopt(zmq.LAST_ENDPOINT).decode().rstrip("\0")

    def _serve(self):
        poller = zmq.Poller()
        poller.register(self._told, zmq.POLLIN)
        poller.register(self._socket, zmq.POLLIN)
        while True:
            if self._told in dict(poller.poll()):
                break
            frames = self._socket.recv_multipart()
            request = pb.Request.FromString(frames[-1])
            self.requests.append(request)
            for reply in self.answer(request, len(self.requests)):
                if reply is None:
                    poller.unregister(self._socket)
                    self._socket.close(0)
                    self._listen()
                    poller.register(self._socket, zmq.POLLIN)
                    break
                self._socket.send_multipart([frames[0], b"", reply])
        self._socket.close(0)

    def close(self):
        self._stop.send(b"")
        self._thread.join()
        self._stop.close(0)
        self._told.close(0)


class FaultCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tailor-py-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder)
        self.n_daemons = 0
        self.next_endpoint()

    def next_endpoint(self):
        self.endpoint = "ipc://%s/socket-%d" % (self.folder, self.n_daemons)

    def daemon(self, answer):
        self.n_daemons += 1
        self.next_endpoint()
        fake = FakeDaemon(self.endpoint, answer)
        self.addCleanup(fake.close)
        return fake

    def client(self, timeout_ms=5000, **options):
        client = tailor.Client(self.endpoint, timeout_ms, **options)
        self.addCleanup(client.close)
        return client

    def raised(self, kind, answer, call=LIST, timeout_ms=5000, **options):
        """What both clients raise, the blocking one's."""
        fake = self.daemon(answer)

        async def ask():
            async with tailor.AsyncClient(self.endpoint, timeout_ms, **options) as client:
                await client.ask(call)

        with self.assertRaises(kind):
            asyncio.run(ask())
        fake.requests.clear()
        with self.assertRaises(kind) as caught:
            self.client(timeout_ms, **options).ask(call)
        return caught.exception


class Garbage(FaultCase):
    def test_what_is_no_reply_is_damaged(self):
        for garbage in (b"\xff\xff\xff", b"\x0a", b"\x07" * 100):
            with self.subTest(garbage=garbage):
                self.raised(tailor.Damaged, lambda request, n, g=garbage: [g])

    def test_a_reply_of_another_version_is_told(self):
        error = self.raised(tailor.WrongVersion, lambda r, n: [final(r, protocol=7)])
        self.assertIn("speaks version 7", str(error))

    def test_a_body_that_is_none_is_damaged(self):
        self.raised(tailor.Damaged, lambda r, n: [final(r, body=b"\xff\xff")])

    def test_a_damaged_part_or_progress_is_damaged(self):
        for kind in (pb.Reply.PART, pb.Reply.PROGRESS):
            self.raised(tailor.Damaged, lambda r, n, k=kind: [
                final(r, kind=k, body=b"\xff"), final(r)])

    def test_tables_whose_sizes_disagree_are_damaged(self):
        number, text = pb.Column.NUMBER, pb.Column.TEXT
        column = pb.Column(name="a", kind=number, number=[1.0])
        for body in (
                table(n_rows=2 ** 62), table(column, n_rows=2), table(column, column),
                table(pb.Column(name="a", kind=text, dictionary=["x"], index=[1])),
                table(pb.Column(name="a", kind=text, dictionary=["x"], index=[0, 0]))):
            call = tailor.calls.space_list()
            reply = pb.Reply(body=body)
            with self.assertRaises(tailor.Damaged):
                call.read(reply, [])

    def test_parts_of_different_tables_are_damaged(self):
        a, b = (table(pb.Column(name=name, kind=pb.Column.NUMBER, number=[1])) for name in "ab")
        self.assertEqual([1.0, 1.0], LIST.read(pb.Reply(body=a), [a]).column("a"))
        with self.assertRaises(tailor.Damaged):
            LIST.read(pb.Reply(body=b), [a])

    def test_networks_that_point_nowhere_are_damaged(self):
        call = tailor.calls.space_lower("any", b"a\n1\n")
        design = pb.Table(columns=[pb.Column(name="a", kind=1, number=[1])], n_rows=1)
        for inputs, networks in (([0], 1), ([-2], 1), ([-1], 2), ([-1], 0)):
            network = pb.Network(in_ch=3, in_size=32, ops=[pb.Op(kind="conv", inputs=inputs)])
            reply = pb.LowerReply(designs=design, networks=[network] * networks)
            with self.assertRaises(tailor.Damaged):
                call.read(pb.Reply(body=reply.SerializeToString()), [])

    def test_errors_of_unknown_numbers_keep_number_and_name(self):
        error = self.raised(tailor.TailorError, lambda r, n: [
            final(r, error=99, error_name="ENEW", error_detail="said")])
        self.assertEqual((99, "ENEW", "said"), (error.code, error.name, error.detail))

    def test_an_answer_that_names_no_request_is_everybodys_error(self):
        self.raised(tailor.Invalid, lambda r, n: [
            final(r, request_id=0, error=2, error_name="EINVAL", error_detail="unreadable")])

    def test_replies_to_others_and_of_new_kinds_are_passed_over(self):
        good = table(pb.Column(name="a", kind=pb.Column.NUMBER, number=[5]))
        self.daemon(lambda r, n: [
            final(r, request_id=r.request_id + 1000, body=b"\xff"), final(r, kind=17),
            final(r, body=good), final(r, body=b"\xff")])
        client = self.client()
        for _ in range(2):
            self.assertEqual([5.0], client.space_list().column("a"))


class Faults(FaultCase):
    def test_a_busy_daemon_is_asked_again(self):
        busy = {"error": 12, "error_name": "EBUSY"}
        fake = self.daemon(lambda r, n: [final(r, **busy) if n < 4 else final(r)])
        client = self.client()
        client.space_list()
        self.assertEqual((4, 3), (len(fake.requests), client.n_retries))
        self.assertEqual(4, len({r.request_id for r in fake.requests}))

    def test_a_daemon_that_stays_busy_is_told_as_such(self):
        busy = {"error": 12, "error_name": "EBUSY"}
        self.raised(tailor.Busy, lambda r, n: [final(r, **busy)], timeout_ms=300)
        self.raised(tailor.Busy, lambda r, n: [final(r, **busy)], retries=0)

    def test_what_a_daemon_said_before_it_was_gone_is_told(self):
        ends = {"error": 16, "error_detail": "about to end", "may_repeat": True}
        error = self.raised(tailor.Unreachable,
                            lambda r, n: [final(r, **ends)] if n == 1 else [], timeout_ms=300)
        self.assertIn("; before that it said: about to end", str(error))

    def test_a_lost_answer_is_asked_for_again(self):
        good = table(pb.Column(name="a", kind=pb.Column.NUMBER, number=[5]))
        part = {"kind": pb.Reply.PART, "body": good}
        fake = self.daemon(lambda r, n: [final(r, **part), None] if n < 3 else [
            final(r, **part), final(r, body=good)])
        self.assertEqual([5.0, 5.0], self.client().space_list().column("a"))
        self.assertEqual(3, len(fake.requests))

    def test_three_losses_are_enough(self):
        fake = self.daemon(lambda r, n: [None])
        with self.assertRaises(tailor.Unreachable) as caught:
            self.client().space_list()
        self.assertIn("was lost during space.list", str(caught.exception))
        self.assertEqual(3, len(fake.requests))

    def test_a_training_that_was_lost_is_not_begun_again(self):
        def answer(request, n):
            yield None if request.method == "train.run" else final(request)
        fake = self.daemon(answer)
        with self.assertRaises(tailor.Unreachable) as caught:
            self.client().train("any")
        self.assertIn("lost during train.run", str(caught.exception))
        self.assertEqual(1, len(fake.requests))

    def test_what_is_gone_after_a_lost_removal_was_removed(self):
        gone = {"error": 3, "error_name": "ENOTFOUND"}
        fake = self.daemon(lambda r, n: [None if n == 1 else final(r, **gone)])
        client = self.client()
        self.assertIsNone(client.device_remove("board"))
        self.assertEqual(2, len(fake.requests))
        self.assertRaises(tailor.NotFound, client.device_remove, "board")

    def test_a_daemon_that_never_answers_is_unreachable_in_time(self):
        error = self.raised(tailor.Unreachable, lambda r, n: [], timeout_ms=200)
        self.assertIn("within 200 ms", str(error))

    def test_a_daemon_that_falls_silent_hangs(self):
        call = tailor.calls.train("any")
        error = self.raised(tailor.Unreachable, lambda r, n: [final(r, kind=3)], call,
                            heartbeat_ms=50)
        self.assertIn("hangs", str(error))

    def test_without_a_first_heartbeat_silence_means_nothing(self):
        """An older daemon sends none."""
        end = threading.Event()

        def answer(request, n):
            end.wait(1)
            yield final(request)
        self.daemon(answer)
        threading.Timer(0.4, end.set).start()
        self.client(heartbeat_ms=20).train("any")

    def test_a_call_given_up_is_cancelled_in_the_daemon(self):
        told = threading.Event()

        def answer(request, n):
            if request.method == "train.run":
                yield final(request, kind=1, body=pb.Progress(job_id=77).SerializeToString())
            elif request.method == "job.cancel":
                self.assertEqual(77, pb.JobId.FromString(request.body).job_id)
                told.set()
                yield final(request)
        self.daemon(answer)

        async def give_up():
            async with tailor.AsyncClient(self.endpoint) as client:
                begun = asyncio.Event()
                task = asyncio.create_task(client.train("any", progress=lambda p: begun.set()))
                await begun.wait()
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
        asyncio.run(give_up())
        self.assertTrue(told.wait(10))
        told.clear()

        def stop(progress):
            raise KeyboardInterrupt
        with self.assertRaises(KeyboardInterrupt), tailor.Client(self.endpoint) as client:
            client.train("any", progress=stop)
        self.assertTrue(told.wait(10))

    def test_threads_beyond_those_under_way_wait_and_have_their_own_time(self):
        """64 are never answered; those behind them take their places, and end in time too."""
        self.daemon(lambda r, n: [])
        client, ended = self.client(timeout_ms=300), []

        def ask():
            try:
                client.space_list()
            except tailor.Unreachable as error:
                ended.append(error)
        threads = [threading.Thread(target=ask) for _ in range(70)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        self.assertEqual(70, len(ended))

    def test_closing_ends_what_others_wait_for(self):
        begun = threading.Event()

        def answer(request, n):
            begun.set()
            return ()
        self.daemon(answer)
        client, caught = self.client(), []

        def ask():
            try:
                client.train("any")
            except tailor.Unreachable as error:
                caught.append(error)
        thread = threading.Thread(target=ask)
        thread.start()
        begun.wait()
        client.close()
        thread.join()
        self.assertIn("was closed", str(caught[0]))
        self.assertRaises(ValueError, client.status)

    def test_a_child_opens_its_own(self):
        self.daemon(lambda r, n: [final(r)])
        client = self.client()
        client.space_list()
        child = os.fork()
        if child == 0:
            try:
                client.space_list()
            except tailor.NotPossible:
                os._exit(42)
            os._exit(1)
        self.assertEqual(42, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        client.space_list()

    def test_a_child_leaves_alone_what_its_parent_has_under_way(self):
        """Even where another thread had the lock as it was made, and whatever it gives up."""
        fake = self.daemon(lambda r, n: [final(r)])
        client = self.client()
        rows = client.fleet("any", [{"device": "d"}] * 2000)
        self.assertRaises(StopIteration, next, client.fleet("any", [{"device": "d"}]))
        steps = client._stream([LIST] * 100, 4)
        next(steps)
        held, go = threading.Event(), threading.Event()

        def hold():
            with client._lock:
                held.set()
                go.wait()
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        child = os.fork()
        if child == 0:
            try:
                steps.close()
                client.job_follow(7)
            except tailor.Forked:
                rows.close()
                client.close()
                os._exit(42)
            finally:
                os._exit(1)
        self.assertEqual(42, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        go.set()
        thread.join()
        steps.close()
        client.space_list()
        self.assertNotIn("job.cancel", {request.method for request in fake.requests})

    def test_who_follows_a_job_is_told_of_the_end_of_the_client(self):
        asked = threading.Event()

        def answer(request, n):
            asked.set()
            job = pb.Job(job_id=7, state="running", progress=pb.Progress(what="x"))
            yield final(request, body=job.SerializeToString())
        self.daemon(answer)

        async def follow():
            async with tailor.AsyncClient(self.endpoint) as client:
                task = asyncio.create_task(client.job_follow(7))
                await asyncio.to_thread(asked.wait)
            await task
        with self.assertRaises(tailor.Closed):
            asyncio.run(follow())
        client = self.client()
        for _ in range(2):  # while it follows, and after
            with self.assertRaises(tailor.Closed):
                client.job_follow(7, progress=lambda progress: client.close())
        for kind in (ValueError, tailor.Unreachable):
            self.assertTrue(issubclass(tailor.Closed, kind))

    def test_a_request_too_long_is_refused_before_it_is_sent(self):
        fake = self.daemon(lambda r, n: [final(r)])
        with self.assertRaises(tailor.LimitExceeded):
            self.client().predict("any", "any", b"x" * (64 * 1024 * 1024))
        self.assertEqual([], fake.requests)


class HangsUp:
    """Ends every connection before its handshake; tells of each through `came`."""

    def __init__(self, path):
        self.came = queue.Queue()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen(8)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                one = self._socket.accept()[0]
            except OSError:
                return
            with one:
                one.recv(1)  # so that it is a client's greeting that is not answered
            self.came.put(True)

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


class HungUp(FaultCase):
    def setUp(self):
        super().setUp()
        self.server = HangsUp(self.endpoint.removeprefix("ipc://"))
        self.addCleanup(self.server.close)

    def test_an_idle_client_that_is_hung_up_on_stays_quiet_and_closes(self):
        """ZeroMQ by itself came back ten times a second, and once nobody had read of that for a
        minute or two close() waited forever."""
        client = self.client()
        self.server.came.get(timeout=60)
        with self.assertRaises(queue.Empty):
            self.server.came.get(timeout=0.7)
        monitor = client._connection._monitor
        self.assertEqual(0, monitor.getsockopt(zmq.RCVHWM))
        client.close()

        async def idle():
            async with tailor.AsyncClient(self.endpoint):
                await asyncio.to_thread(self.server.came.get, timeout=60)
                with self.assertRaises(queue.Empty):
                    await asyncio.to_thread(self.server.came.get, timeout=0.7)
        asyncio.run(idle())

    def test_a_call_that_is_hung_up_on_tries_again_until_its_time_is_over(self):
        with self.assertRaises(tailor.Unreachable) as caught:
            self.client(timeout_ms=600).space_list()
        self.assertIn("ends every handshake: it may ask for a key", str(caught.exception))
        self.assertGreater(self.server.came.qsize(), 1)

        async def ask():
            async with tailor.AsyncClient(self.endpoint, 600) as client:
                await client.space_list()
        self.assertRaises(tailor.Unreachable, asyncio.run, ask())

    def test_sockets_that_cannot_be_had_are_the_calls_error(self):
        client = self.client()
        self.server.came.get(timeout=60)

        def refuse():
            raise tailor.Unreachable("too many open files")
        before = client._connection._open
        client._connection._open = refuse
        with self.assertRaisesRegex(tailor.Unreachable, "too many"):
            client.space_list()
        client._connection._open = before
        client.timeout_ms = 300
        with self.assertRaisesRegex(tailor.Unreachable, "ends every handshake"):
            client.space_list()


class GivenUp(FaultCase):
    """What was begun in the daemon is ended there, and says nothing of itself."""

    def answer(self, request, n):
        if request.method == "measure.begin":
            yield final(request, body=pb.ImportId(import_id=5).SerializeToString())
        elif request.method == "backup.begin":
            yield final(request, body=pb.BackupBegun(backup_id=6).SerializeToString())
        elif request.method in ("measure.feed", "backup.read") and not self.is_refusing:
            yield final(request, body=pb.BackupPiece(data=b"x").SerializeToString()
                        if request.method == "backup.read" else b"")
        elif request.method in ("measure.abort", "backup.end"):
            if not self.is_away:
                yield final(request)
        else:
            yield final(request, error=8, error_name="EIO", error_detail="disk")

    def given_up(self, error, kind=None, **how):
        """With an import and a backup that a progress function ends."""
        self.is_refusing, self.is_away = how.get("refusing", False), how.get("away", False)

        def stop(progress):
            raise error
        fake = self.daemon(self.answer)
        for end, ask in (
                ("measure.abort", lambda client: client.measure_import(
                    "any", b"a\n1\n", progress=stop)),
                ("backup.end", lambda client: client.backup(io.BytesIO(), progress=stop))):
            with self.subTest(end=end), self.assertRaises(kind or type(error)):
                ask(self.client(timeout_ms=3_600_000))
            self.assertEqual(end, fake.requests[-1].method)
            self.assertLessEqual(fake.requests[-1].deadline_ms, 1000)

    def test_by_an_interrupt_or_whatever_a_progress_function_raises(self):
        self.given_up(KeyboardInterrupt())
        self.given_up(RuntimeError("enough"))
        self.given_up(tailor.NotFound("mine"))

    def test_by_a_refusal(self):
        self.given_up(None, tailor.SystemRefused, refusing=True)

    def test_where_the_daemon_is_away_by_then(self):
        """The interrupt is what is raised, and soon."""
        self.given_up(KeyboardInterrupt(), away=True)

    def test_by_a_task_that_is_cancelled(self):
        self.is_refusing, self.is_away = False, True
        self.daemon(self.answer)

        async def cancel(start):
            async with tailor.AsyncClient(self.endpoint, 3_600_000) as client:
                begun = asyncio.Event()
                task = asyncio.create_task(start(client, lambda p: begun.set()))
                await begun.wait()
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
        table = b"a\n" + b"1\n" * (4 * 1024 * 1024)
        asyncio.run(cancel(lambda client, told: client.measure_import(
            "any", table, progress=told)))
        asyncio.run(cancel(lambda client, told: client.backup(io.BytesIO(), progress=told)))


class Fleets(FaultCase):
    def test_a_fleet_that_is_given_up_says_so_while_its_pieces_are_under_way(self):
        ended = threading.Event()

        def answer(request, n):
            asked = pb.FleetRequest.FromString(request.body)
            if asked.run_end == pb.FleetRequest.GIVEN_UP:
                runs.append(asked.run)
                ended.set()
            elif asked.rows_before == 0:
                runs.append(asked.run)
                column = pb.Column(name="a", kind=pb.Column.NUMBER, number=[1.0])
                yield final(request, body=pb.FleetReply(
                    table=pb.Table(columns=[column], n_rows=1)).SerializeToString())
        self.daemon(answer)
        devices = [{"device": "d"}] * 2000
        runs = []
        client = self.client()
        rows = client.fleet("any", devices)
        next(rows)
        rows.close()
        self.assertTrue(ended.wait(60))
        self.assertEqual(1, len(set(runs)))
        ended.clear()
        runs.clear()

        async def give_up():
            async with tailor.AsyncClient(self.endpoint) as client:
                rows = client.fleet("any", devices)
                await anext(rows)
                await rows.aclose()
                self.assertTrue(await asyncio.to_thread(ended.wait, 60))
        asyncio.run(give_up())
        self.assertEqual(1, len(set(runs)))


class Files(FaultCase):
    """What a task does with files is done by another thread than that of all tasks."""

    def answer(self, request, n):
        body = {"backup.begin": pb.BackupBegun(backup_id=6),
                "backup.read": pb.BackupPiece(data=b"x" * 9, is_last=n > 4),
                "fleet.run": pb.FleetReply()}.get(request.method, pb.ImportId(import_id=5))
        yield final(request, body=body.SerializeToString())

    def threads_of(self, use):
        """Those that met seen() while a client was used so."""
        threads = []

        def seen(work):
            def run(*given):
                threads.append(threading.current_thread())
                return work(*given)
            return run

        async def ask():
            async with tailor.AsyncClient(self.endpoint) as client:
                client._connection.end = seen(client._connection.end)
                await use(client, seen)
        self.daemon(self.answer)
        asyncio.run(ask())
        return threads

    def write(self, text):
        path = os.path.join(self.folder, "some.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_are_read_and_written_by_another_thread(self):
        async def fetch(client, seen):
            path = os.path.join(self.folder, "all.backup")
            with mock.patch.object(os, "fsync", seen(os.fsync)):
                report = await client.backup(path)
            self.assertEqual(report.n_bytes, os.path.getsize(path))

        async def store(client, seen):
            path, chunks = self.write("a\n1\n"), tailor.inputs._chunks_of_file

            def read(path):
                for chunk in chunks(path):
                    yield seen(lambda: chunk)()
            with mock.patch.object(tailor.inputs, "_chunks_of_file", read):
                await client.measure_import("any", path)

        async def ask_for_all(client, seen):
            path = self.write("device\n" + "d\n" * 700)
            with mock.patch.object(tailor.fleet, "_piece", seen(tailor.fleet._piece)):
                self.assertEqual([], [row async for row in client.fleet("any", path)])
        for use, n_seen in ((fetch, 2), (store, 1), (ask_for_all, 3)):
            with self.subTest(use=use):
                threads = self.threads_of(use)
                self.assertEqual(n_seen + 1, len(threads))  # and the end of the client
                self.assertNotIn(threading.main_thread(), threads)

    def test_rows_of_the_caller_are_taken_by_his_own_thread(self):
        async def ask(client, seen):
            take = seen(lambda: {"device": "d"})
            self.assertEqual([], [row async for row in client.fleet(
                "any", (take() for _ in range(3)))])
        self.assertEqual([threading.main_thread()] * 3, self.threads_of(ask)[:3])

    def test_a_task_that_is_cancelled_waits_for_what_a_thread_does_for_it(self):
        begun, go = threading.Event(), threading.Event()

        def work():
            begun.set()
            go.wait()
            raise OSError("nobody hears of it")

        async def cancel():
            task = asyncio.create_task(tailor.aio._in_thread(work))
            await asyncio.to_thread(begun.wait)
            for _ in range(2):
                task.cancel()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                self.assertFalse(task.done())
            go.set()
            with self.assertRaises(asyncio.CancelledError):
                await task
            with self.assertRaises(OSError):
                await tailor.aio._in_thread(work)
        asyncio.run(cancel())

    def test_a_backup_that_cannot_be_written_leaves_nothing(self):
        self.daemon(self.answer)
        path = os.path.join(self.folder, "all.backup")

        def refuse(fd):
            raise OSError("the disk is full")
        with mock.patch.object(os, "fsync", refuse), self.assertRaisesRegex(OSError, "full"):
            self.client().backup(path)
        with self.assertRaises(FileNotFoundError):
            self.client().backup(os.path.join(self.folder, "nowhere", "all.backup"))
        self.assertEqual([], [n for n in os.listdir(self.folder) if "backup" in n])

    def test_what_is_no_csv_is_a_wrong_value(self):
        path = self.write('device\nboard\n"no end\n')
        for given in (path, b'device\n"no end\n'):
            with self.assertRaisesRegex(ValueError, r"line \d: unexpected end"):
                list(self.client().fleet("any", given))


class Trickle:
    """A proxy for one connection by tcp. After its first bytes one side is passed on in pieces,
    each when it is told to: side 0 what the client sends, side 1 what the daemon does."""

    FIRST_BYTES, PIECE_BYTES = 16 * 1024, 32 * 1024

    def __init__(self, side, daemon_port):
        self.permits = threading.Semaphore(0)
        self._side = side
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(1)
        self.endpoint = "tcp://127.0.0.1:%d" % self._listener.getsockname()[1]
        self._daemon_port = daemon_port
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        ends = [self._listener.accept()[0], socket.create_connection(
            ("127.0.0.1", self._daemon_port))]
        threads = [threading.Thread(target=self._pass_on, args=(side, *ends[::1 - 2 * side]))
                   for side in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for end in ends:
            end.close()

    def _pass_on(self, side, source, to):
        n_passed = 0
        try:
            while piece := source.recv(self.PIECE_BYTES):
                n_passed += len(piece)
                if side == self._side and n_passed > self.FIRST_BYTES:
                    self.permits.acquire()
                to.sendall(piece)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side is gone

    def close(self):
        self.permits.release(10 ** 6)
        self._thread.join()
        self._listener.close()


class SlowLines(FaultCase):
    def passes(self, side, ask, answer):
        """Many heartbeats are missed while bytes move; a piece moves whenever the client looks."""
        fake = FakeDaemon("tcp://127.0.0.1:*", answer)
        self.addCleanup(fake.close)
        proxy = Trickle(side, int(fake.bound.rsplit(":", 1)[1]))
        self.addCleanup(proxy.close)
        client = tailor.Client(proxy.endpoint, 600_000, heartbeat_ms=30)
        self.addCleanup(client.close)
        client.space_list()  # the daemon shows that it sends heartbeats
        count, looks = client._flights.count_bytes, []

        def look():
            before = count()
            looks.append(before)
            if len(looks) > 8:
                proxy.permits.release(1000)
                return 10 ** 9 * len(looks)  # how fast the rest comes is not the question
            for _ in range(60_000):
                proxy.permits.release()
                if count() > before + 1024:
                    break
                threading.Event().wait(0.001)
            return count()
        client._flights.count_bytes = look
        ask(client)
        self.assertGreater(len(looks), 8)
        self.assertEqual(sorted(set(looks[:9])), looks[:9])

    def beat(self, request):
        return final(request, kind=pb.Reply.HEARTBEAT)

    def test_a_large_reply_on_a_slow_line_is_no_hanging_daemon(self):
        word = "x" * (2 * 1024 * 1024)
        body = table(pb.Column(name="a", kind=pb.Column.TEXT, dictionary=[word], index=[0]))

        def answer(request, n):
            yield self.beat(request)
            yield final(request, body=body if n > 1 else b"")
        self.passes(1, lambda client: self.assertEqual(
            [word], client.space_list().column("a")), answer)

    def test_a_large_request_on_a_slow_line_is_no_hanging_daemon(self):
        def answer(request, n):
            yield self.beat(request)
            yield final(request)
        self.passes(0, lambda client: client.predict("any", "any", b"x" * (8 * 1024 * 1024)),
                    answer)


class Bookkeeping(unittest.TestCase):
    """What becomes of requests, without sockets."""

    def setUp(self):
        self.flights = tailor.wire.Flights("ipc://nowhere", "test", 60_000, 10, None)
        self.flights.connected()

    def answer(self, flight, **fields):
        request = pb.Request.FromString(self.flights.pack(flight))
        self.flights.take([b"", final(request, **fields)])

    def send(self, flight):
        """As soon as it is due."""
        while flight not in self.flights.due():
            threading.Event().wait(0.001)

    def test_so_many_are_under_way_and_the_others_wait_their_turn(self):
        flights = [self.flights.add(LIST) for _ in range(100)]
        first = self.flights.due()
        self.assertEqual(flights[:64], first)
        self.assertEqual([], self.flights.due())
        self.answer(first[10])
        before = self.flights.n_events
        self.flights.drop(first[20])
        self.assertNotEqual(before, self.flights.n_events)  # so that its thread looks again
        self.flights.drop(flights[64])
        self.assertEqual(flights[65:67], self.flights.due())

    def test_who_waits_for_his_turn_waits_no_longer_than_his_time(self):
        flights = [self.flights.add(LIST) for _ in range(66)]
        flights.append(self.flights.add(tailor.calls.train("any")))
        flights[65].end_s -= 3600
        self.assertEqual(0, self.flights.wait_s())
        self.flights.expire()
        self.assertIn("64 calls", str(flights[65].error))
        self.assertEqual([flights[65]], self.flights.take_changed())
        self.assertEqual(66, sum(not flight.is_done for flight in flights))

    def test_what_ends_something_waits_for_no_turn(self):
        flights = [self.flights.add(tailor.calls.train("any")) for _ in range(64)]
        self.flights.add(LIST)
        self.assertEqual(flights, self.flights.due())
        self.answer(flights[3], kind=1, body=pb.Progress(job_id=77).SerializeToString())
        self.flights.drop(flights[3])
        self.assertEqual(["job.cancel"], [flight.call.method for flight in self.flights.due()])
        run = tailor.fleet.FleetRun(pb.FleetRequest(), [{"device": "d"}] * 300)
        next(run)
        for call in (run.end(is_given_up=True), tailor.calls.job_cancel(7),
                     next(tailor.call.giving_up(tailor.Call("measure.abort", b"", None)))):
            flight = self.flights.add(call)
            self.assertEqual([flight], self.flights.due())

    def test_devices_come_in_pages(self):
        def page(*names):
            return tailor.Table((tailor.Column("device", False),), [{"device": n} for n in names])

        def ask(*pages):
            asked, steps = [], tailor.calls.device_list("d")
            call = next(steps)
            try:
                for answer in pages:
                    asked.append(pb.DeviceListRequest.FromString(call.body).after)
                    call = steps.send(answer)
            except StopIteration as end:
                return asked, end.value.column("device")
            self.fail("asks on")
        names = ["d%05d" % i for i in range(2 * 8192 + 1)]
        whole = [page(*names[:8192]), page(*names[8192:-1]), page(names[-1])]
        self.assertEqual((["", names[8191], names[-2]], names), ask(*whole))
        self.assertEqual(([""], ["d1"]), ask(page("d1")))
        self.assertEqual(([""], []), ask(page()))
        self.assertEqual((["", names[8191]], names[:8192]), ask(whole[0], page()))
        # A daemon that knows no pages repeats itself.
        self.assertEqual((["", names[8191]], names[:8192]), ask(whole[0], whole[0]))
        self.assertEqual(([""], names), ask(page(*names)))

    def test_a_daemon_that_is_about_to_end_is_asked_again(self):
        flight = self.flights.add(LIST)
        self.send(flight)
        self.answer(flight, error=16, error_name="ESTATE", may_repeat=True)
        self.assertFalse(flight.is_done)
        self.send(flight)
        self.answer(flight, error=16, error_name="ESTATE")
        self.assertIsInstance(flight.error, tailor.NotPossible)

    def test_the_daemon_is_told_what_is_left_of_the_time(self):
        flight = self.flights.add(LIST)
        for passed_s, most_ms in ((0, 57_000), (50, 9_500), (20, 1)):
            flight.end_s -= passed_s
            request = pb.Request.FromString(self.flights.pack(flight))
            self.assertLessEqual(request.deadline_ms, most_ms)
            self.assertGreaterEqual(request.deadline_ms, 0.9 * most_ms)
        self.assertEqual((10, "test"), (request.heartbeat_ms, request.client))
        unbounded = self.flights.add(tailor.calls.train("any"))
        self.assertEqual(0, pb.Request.FromString(self.flights.pack(unbounded)).deadline_ms)

    def test_who_follows_a_job_waits_for_a_daemon_that_went_away(self):
        told = []
        steps = tailor.calls.job_follow(7, progress=told.append)
        self.assertEqual("job.show", next(steps).method)
        for error in (tailor.Unreachable, tailor.Busy, tailor.NotPossible, tailor.DeadlinePassed):
            self.assertGreater(steps.throw(error("gone")).seconds, 0)
            self.assertEqual(("waiting for the daemon", 7), (told[-1].what, told[-1].job_id))
            self.assertEqual("job.show", next(steps).method)
        with self.assertRaises(tailor.NotFound):
            steps.throw(tailor.NotFound("no such job"))
        # A reply that is long in coming has the time of other calls.
        steps = tailor.calls.job_follow(7)
        looks = [next(steps)]
        steps.throw(tailor.Unreachable("no daemon answers within 2000 ms"))
        looks.append(next(steps))
        self.assertEqual((2000, None), (looks[0].timeout_ms, looks[1].timeout_ms))
        for error in (tailor.Closed("closed"), tailor.errors.Forked("a child")):
            steps = tailor.calls.job_follow(7)
            next(steps)
            with self.assertRaises(type(error)):
                steps.throw(error)
        steps = tailor.calls.job_follow(7, patience_ms=0)
        next(steps)
        with self.assertRaises(tailor.Unreachable):
            steps.throw(tailor.Unreachable("gone"))

    def test_parts_come_again_after_a_loss(self):
        body = table(pb.Column(name="a", kind=pb.Column.NUMBER, number=[5]))
        flight = self.flights.add(LIST)
        self.send(flight)
        self.answer(flight, kind=pb.Reply.PART, body=body)
        self.flights.disconnected()
        self.flights.connected()
        self.send(flight)
        self.answer(flight, body=body)
        self.assertEqual(1, len(flight.result()))

    def test_silence_is_judged_by_the_daemon_that_is_there_now(self):
        flight = self.flights.add(LIST)
        self.send(flight)
        self.answer(flight, kind=pb.Reply.HEARTBEAT)
        self.assertLess(self.flights.wait_s(), 1)
        self.flights.disconnected()
        self.flights.connected()
        self.send(flight)
        self.assertGreater(self.flights.wait_s(), 1)

    def test_a_program_that_was_stopped_reads_before_it_judges(self):
        flight = self.flights.add(LIST)
        self.send(flight)
        self.answer(flight, kind=pb.Reply.HEARTBEAT)
        self.miss(3600)
        self.assertFalse(flight.is_done)
        for _ in range(2):
            self.miss()
        self.assertIn("hangs", str(flight.error))

    def miss(self, seconds=1):
        self.flights._beat_s -= seconds
        return self.flights.expire()

    def test_what_comes_for_one_call_is_a_sign_of_life_for_all(self):
        flights = [self.flights.add(LIST) for _ in range(2)]
        self.send(flights[1])
        self.answer(flights[0], kind=pb.Reply.HEARTBEAT)
        for _ in range(5):
            self.assertFalse(self.miss())
            self.assertFalse(self.miss())
            self.answer(flights[0], kind=pb.Reply.HEARTBEAT)
        self.assertEqual([False, False, True], [self.miss() for _ in range(3)])
        for flight in flights:
            self.assertIn("hangs", str(flight.error))

    def test_moving_bytes_are_a_sign_of_life_and_pings_are_none(self):
        flight, counts = self.flights.add(LIST), []
        self.flights.count_bytes = lambda: counts.pop(0)
        self.send(flight)
        self.answer(flight, kind=pb.Reply.HEARTBEAT)
        counts[:] = range(10 ** 6, 11 * 10 ** 6, 10 ** 6)
        for _ in range(10):
            self.assertFalse(self.miss())
        counts[:] = [10 ** 7 + 50, 10 ** 7 + 100]  # as one may be under way
        self.assertEqual([False, True], [self.miss(), self.miss()])


class Arguments(FaultCase):
    def test_endpoints_and_numbers_that_are_none_are_refused(self):
        for endpoint in ("nonsense", "tcp://", "http://host:1"):
            with self.assertRaises(tailor.Invalid):
                tailor.Client(endpoint)
        for options in ({"timeout_ms": 0}, {"timeout_ms": -5}, {"heartbeat_ms": -1},
                        {"retries": -1}):
            with self.assertRaises(ValueError):
                tailor.Client(self.endpoint, **options)
        with self.assertRaises(ValueError):
            self.client().batch([LIST], window=0)

    def test_the_endpoint_comes_from_the_environment(self):
        with pypackage.environment(TAILOR_ENDPOINT=self.endpoint), tailor.Client() as client:
            self.assertEqual(self.endpoint, client.endpoint)
        with pypackage.environment(TAILOR_ENDPOINT=None), tailor.Client() as client:
            self.assertEqual("tcp://127.0.0.1:7411", client.endpoint)

    def test_names_are_not_taken_apart(self):
        """A text is a sequence of letters too."""
        with self.assertRaises(TypeError):
            tailor.calls.train("any", devices="pixel6")

    def test_files_that_are_not_there_are_python_errors(self):
        client = self.client()
        for ask in (lambda: client.predict("any", "any", "/no/such.csv"),
                    lambda: client.space_add("/no/such.yaml"),
                    lambda: client.measure_import("any", "/no/such.csv"),
                    lambda: list(client.fleet("any", "/no/such.csv"))):
            self.assertRaises(FileNotFoundError, ask)

    def test_errors_can_be_pickled(self):
        import pickle
        error = pickle.loads(pickle.dumps(tailor.NotFound("x")))
        self.assertEqual((3, "ENOTFOUND", "x"), (error.code, error.name, str(error)))


class KeyFiles(FaultCase):
    def key_file(self, text, mode=0o600):
        path = os.path.join(self.folder, "some.key")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def good(self):
        public, secret = tailor.key_pair()
        return f"# mine\nname: me\npublic: {public}\nsecret: {secret}\nserver: {public}\n"

    def test_a_file_is_read(self):
        keys = tailor.read_keys(self.key_file(self.good()))
        self.assertEqual([40] * 3, [len(k) for k in (
            keys.server_key, keys.public_key, keys.secret_key)])
        self.assertNotIn(keys.secret_key, repr(keys))

    def test_a_file_that_others_may_read_is_refused(self):
        for mode in (0o640, 0o604, 0o620):
            with self.assertRaises(tailor.Denied) as caught:
                tailor.read_keys(self.key_file(self.good(), mode))
            self.assertIn("chmod go-rwx", str(caught.exception))

    def test_what_is_no_key_file_is_refused(self):
        good = self.good()
        for text, said in ((good + "colour: red\n", "line 6"), ("", "want the lines"),
                           (good + good, "a second name"), (good[:-2], "characters"),
                           (good.replace("server", "# server"), "want the lines"),
                           (good + "\0", "zero byte")):
            with self.assertRaises(tailor.Invalid) as caught:
                tailor.read_keys(self.key_file(text))
            self.assertIn(said, str(caught.exception))
        with self.assertRaises(tailor.LimitExceeded):
            tailor.read_keys(self.key_file("#" * 5000))
        with self.assertRaises(tailor.NotFound):
            tailor.read_keys(os.path.join(self.folder, "none"))
        with self.assertRaises(tailor.SystemRefused):
            tailor.read_keys(self.folder)  # mode 0700

    def test_keys_are_wanted_whole(self):
        public, secret = tailor.key_pair()
        for options in ({"server_key": public}, {"public_key": public, "secret_key": secret},
                        {"server_key": "short", "public_key": public, "secret_key": secret}):
            with self.assertRaises(tailor.Invalid):
                tailor.Client("tcp://127.0.0.1:1", **options)

    def test_the_environment_names_a_file_which_local_sockets_ignore(self):
        path = self.key_file("nonsense")
        with pypackage.environment(TAILOR_KEY=path):
            self.assertRaises(tailor.Invalid, tailor.Client, "tcp://127.0.0.1:1")
            self.client()


if __name__ == "__main__":
    pypackage.main()
