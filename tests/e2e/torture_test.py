#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The programs with one allocation refused, in whatever thread: none crashes, hangs or leaks, a
program that cannot go on says that it is out of memory, and the daemon answers the next request.

Some of the allocations are refused, all of the first 300 with TL_TORTURE=all."""
import csv
import io
import itertools
import mmap
import os
import struct
import subprocess
import unittest

import harness
import story_test as story
from toy import Learned

REFUSED = os.path.join(harness.BUILD_DIR, "tests", "refused")
TAILORD = os.path.join(REFUSED, "daemon", "tailord")
TAILOR = os.path.join(REFUSED, "clients", "cli", "tailor")
AGENT = os.path.join(REFUSED, "clients", "agent", "tailor-agent")

DENSE_ALL, SPREAD_ALL = 300, 20
TORTURES_ALL = os.environ.get("TL_TORTURE") == "all"
NO_MEMORY = "out of memory"
TOY = ["--space", "toy"]


class Board:
    """The countdown of one program and what it says: tests/support/refuse.h."""
    COUNTDOWN, ASKED, REFUSED, PLACE, LEFT = range(5)

    def __init__(self, folder, name):
        self.path = os.path.join(folder, name)
        with open(self.path, "wb") as file:
            file.write(bytes(40))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 40)
        self.environment = dict(os.environ, TL_REFUSE=self.path)

    def __getitem__(self, i):
        return struct.unpack_from("q", self.map, 8 * i)[0]

    def __setitem__(self, i, value):
        struct.pack_into("q", self.map, 8 * i, value)

    def wind(self, k):
        """The k-th allocation from now will be refused; 0: none."""
        self[self.REFUSED] = 0
        self[self.PLACE] = 0
        self[self.ASKED] = 0
        self[self.COUNTDOWN] = k

    def new_program(self, k):
        self[self.LEFT] = -1
        self.wind(k)

    def place(self):
        return "allocation at %x" % self[self.PLACE]


def counts(spread):
    """1, 2, 3 and so on, further apart as they grow: one in spread of what was tried before."""
    k = 1
    while True:
        yield k
        if TORTURES_ALL:
            k += 1 if k < DENSE_ALL else 1 + k // SPREAD_ALL
        else:
            k += 1 + k // spread


class Torture(Learned):
    """A daemon that can be refused memory, which has learnt the world of story_test."""

    @classmethod
    def new_daemon(cls):
        cls.board = Board(cls.folder, "daemon.board")
        daemon = harness.Daemon(cls.folder)
        daemon.program, daemon.environment = TAILORD, cls.board.environment
        return daemon

    @classmethod
    def save_rows(cls, name, head, rows):
        return cls.save(name, "".join(",".join(map(str, r)) + "\n" for r in [head] + rows))

    @classmethod
    def learn(cls):
        designs = [list(d) for d in itertools.product(story.WORK, repeat=len(story.SLOTS))]
        names = ["latency_ms@alpha", "energy_mj@alpha", "latency_ms@beta", "accuracy@task"]
        rows = [d + ["%.6g" % v for v in story.columns_of(d)] for d in designs[::3]]
        cls.asked = cls.save_rows("asked.csv", story.SLOTS, [["one"] * 4, ["five"] * 4])
        cls.fleet = cls.save_rows(
            "fleet.csv", ["device", "class", "cores", "peak_gflops.fp32",
                          "bandwidth_gb_per_s.dram", "max_latency_ms"],
            [["rig", "", "", "", "", 25], ["", "cpu", 2, 9, 3, 90]])
        cls.few = cls.save_rows("few.csv", story.SLOTS + ["latency_ms@rig"],
                                [["one"] * 4 + ["7"], ["five"] * 4 + ["41"]])
        cls.must("space", "add", cls.save("toy.yaml", story.SPACE))
        cls.must("device", "add", cls.save("rig.yaml", story.DEVICE))
        cls.must("measure", "import", *TOY, cls.save_rows("all.csv", story.SLOTS + names, rows))
        cls.must("train", *TOY, "--seed", "7", "--effort", "none")
        cls.requests = (
            ["status", "--json"], ["device", "list"], ["device", "add", "--name", "spare"],
            ["space", "show", "toy"], ["predict", *TOY, "--device", "rig", "--designs", cls.asked],
            ["design", *TOY, "--device", "rig", "--max-latency-ms", "25"],
            ["pareto", *TOY, "--device", "rig", "--points", "4"],
            ["fleet", *TOY, "--devices", cls.fleet], ["measure", "import", *TOY, cls.few],
            ["measure", "export", *TOY],
            ["evaluate", *TOY, "--methods", "gp", "--samples", "5"], ["job", "list"],
            ["train", *TOY, "--seed", "7", "--effort", "none"])

    # ---- one run ------------------------------------------------------------------------

    def check_end(self, words, result, board, is_refused):
        """Done, or out of memory; never anything else."""
        said = result.stderr + result.stdout
        if any(word in said for word in harness.COMPLAINTS):
            self.fail("%s, %s:\n%s" % (" ".join(words), board.place(), said[-3000:]))
        is_fine = result.returncode == harness.DONE or (
            is_refused and result.returncode == harness.FAILED and NO_MEMORY in said)
        if not is_fine:
            self.fail("%s, %s: left with %d\n%s" % (
                " ".join(words), board.place(), result.returncode, said[-3000:]))

    def ask(self, words):
        return harness.run(self.daemon, [harness.TAILOR, *words])

    def run_refused(self, board, k, program, words):
        """A program of its own whose k-th allocation is refused."""
        board.new_program(k)
        environment = dict(board.environment, TAILOR_ENDPOINT=self.daemon.endpoint)
        return subprocess.run([program, *words], env=environment, capture_output=True, text=True,
                              timeout=harness.RUN_S, stdin=subprocess.DEVNULL, check=False)

    def same(self, words, expected, got):
        # Times and counts differ from call to call.
        if words[0] in ("predict", "design", "pareto", "fleet", "device", "space") or \
                words[:2] == ["measure", "export"]:
            self.assertEqual(expected, got, " ".join(words))

    # ---- the daemon -----------------------------------------------------------------------

    def test_a_request_is_answered_or_out_of_memory_and_the_next_one_answered(self):
        for words in self.requests:
            with self.subTest(words=words):
                expected = self.ask(words).stdout
                n = 0
                for k in counts(2):
                    self.board.wind(k)
                    result = self.ask(words)
                    is_refused = self.board[Board.REFUSED] > 0
                    self.board[Board.COUNTDOWN] = 0
                    self.check_end(words, result, self.board, is_refused)
                    if result.returncode == harness.DONE:
                        self.same(words, expected, result.stdout)
                    if not is_refused:
                        break
                    n += 1
                    after = self.ask(words)
                    self.assertEqual(harness.DONE, after.returncode, after.stderr)
                    self.same(words, expected, after.stdout)
                print("%s: refused %d times" % (" ".join(words[:2]), n))

    def test_a_detached_job_ends_and_the_next_one_succeeds(self):
        words = ["train", *TOY, "--seed", "7", "--effort", "none"]
        n = 0
        for k in counts(2):
            self.board.wind(k)
            result = self.ask(words + ["--detach"])
            if result.returncode == harness.DONE:
                result = self.ask(["job", "follow", result.stdout.strip()])
            is_refused = self.board[Board.REFUSED] > 0
            self.board[Board.COUNTDOWN] = 0
            self.check_end(words, result, self.board, is_refused)
            if not is_refused:
                break
            n += 1
            self.assertEqual(harness.DONE, self.ask(words).returncode)
        self.assertGreater(n, 5)

    def start_once(self, board, k):
        """A daemon on its own folder: its status, what it said, and whether it served."""
        board.new_program(k)
        twin = harness.Daemon(self.twin_folder)
        process = subprocess.Popen(
            [TAILORD, *twin.command()[1:], "--log-level", "info"], env=board.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = []
        for line in process.stderr:
            said.append(line)
            if "listening on" in line:
                self.n_until_listening = board[Board.ASKED]
                answer = harness.run(twin, [harness.TAILOR, "status"])
                said.append(answer.stderr)
                if answer.returncode != harness.DONE:
                    self.assertIn(NO_MEMORY, answer.stderr)
                    self.assertEqual(harness.DONE,
                                     harness.run(twin, [harness.TAILOR, "status"]).returncode)
                process.terminate()
        said += process.stderr.readlines()
        process.stderr.close()
        return process.wait(harness.STOP_S), "".join(said)

    def test_a_daemon_without_memory_at_its_start_says_so_or_serves(self):
        self.twin_folder = os.path.join(self.folder, "twin")
        os.makedirs(os.path.join(self.twin_folder, "data"))
        copy = os.path.join(self.folder, "copy")
        self.ok("backup", "--out", copy)
        self.ok("restore", copy, "--data", os.path.join(self.twin_folder, "data"))
        board = Board(self.folder, "twin.board")
        status, said = self.start_once(board, 0)
        self.assertEqual((0, 0), (status, board[Board.LEFT]), said)
        # Spaces are read first; the server, its jobs and the first connection are of the last.
        n, near = self.n_until_listening, 60 if TORTURES_ALL else 12
        spread = itertools.takewhile(lambda k: k < n - near, counts(2))
        n_failed = 0
        for k in itertools.chain(spread, range(n - near, n + near)):
            status, said = self.start_once(board, k)
            where = "k %d, %s: %s" % (k, board.place(), said)
            self.assertFalse(any(word in said for word in harness.COMPLAINTS), where)
            self.assertEqual(0, board[Board.LEFT], where)
            self.assertIn(status, (0, 1), where)
            if status == 1:
                self.assertIn(NO_MEMORY, said, where)
                n_failed += 1
        self.assertGreater(n_failed, 5)

    # ---- programs that ask it --------------------------------------------------------------

    def torture(self, program, words, same, spread):
        """The program with each of its allocations refused in turn; how many times it was."""
        board = Board(self.folder, "program.board")
        whole = self.run_refused(board, 0, program, words)
        self.check_end(words, whole, board, False)
        left = board[Board.LEFT]
        self.assertEqual(0, left)
        n = 0
        for k in counts(spread):
            result = self.run_refused(board, k, program, words)
            is_refused = board[Board.REFUSED] > 0
            self.check_end(words, result, board, is_refused)
            if result.returncode == harness.DONE:
                same(whole.stdout, result.stdout)
            self.assertEqual(left, board[Board.LEFT], board.place())
            if not is_refused:
                break
            n += 1
        print("%s: refused %d times" % (" ".join(words[:2]), n))
        return n

    def test_a_command_is_done_or_says_that_it_is_out_of_memory(self):
        # The first, since the replies of jobs are kept for a while only.
        followed = self.ask(["train", *TOY, "--effort", "none", "--detach"]).stdout.strip()
        for words in (["job", "follow", followed], *self.requests,
                      ["fleet", *TOY, "--table", "--devices", self.fleet]):
            with self.subTest(words=words):
                n = self.torture(TAILOR, words, lambda a, b, w=words: self.same(w, a, b), 1)
                self.assertGreater(n, 2)

    def test_an_agent_measures_or_says_that_it_is_out_of_memory(self):
        def same(whole, got):
            rows, wanted = (list(csv.DictReader(io.StringIO(t))) for t in (got, whole))
            self.assertEqual([{s: row[s] for s in story.SLOTS} for row in wanted],
                             [{s: row[s] for s in story.SLOTS} for row in rows])
            self.assertEqual(list(wanted[0]), list(rows[0]))
        words = ["measure", *TOY, "--designs", self.asked, "--device", "rig", "--runs", "1"]
        self.assertGreater(self.torture(AGENT, words, same, 3), 5)


if __name__ == "__main__":
    harness.main()
