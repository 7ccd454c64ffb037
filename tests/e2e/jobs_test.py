#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs of the real daemon: queued, followed, cancelled, and finished after kills and restarts."""
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import harness

SPACE = ["--space", "nasbench201"]
TRAIN = ["train", *SPACE, "--seed", "7"]
N_DESIGNS, N_TRAINED = 100, 30  # measured, and trained to an accuracy
PATIENCE_S = 120 * harness.SLOWER


def slow(design):
    return harness.latency_ms(design, 12.0, 0.1)


def fields(data):
    """The fields of a packed message as (number, value): bytes, or a whole number."""
    at = 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        size = varint() if kind == 2 else 8 if kind == 1 else 4
        yield key >> 3, data[at:at + size]
        at += size


def model_of(daemon):
    """All of the trained model but when it was made, and its name, which tells that too."""
    path = os.path.join(daemon.folder, "data", "models", "nasbench201.tlm")
    with open(path, "rb") as file:
        model = dict(fields(file.read()))[4]
    kept = []
    for number, value in fields(model):
        if number == 9:
            value = [f for f in fields(value) if f[0] != 1]
        if number != 1:
            kept.append((number, value))
    return kept


class Case(harness.Case):
    """A daemon with the measurements of two devices and a task."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.fill(cls.daemon)
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def columns(cls, designs):
        trained = set(designs[:N_TRAINED])
        return {"latency_ms@fast": harness.latency_ms, "latency_ms@slow": slow,
                "accuracy@toy": lambda d: harness.accuracy(d) if d in trained else None}

    @classmethod
    def fill(cls, daemon):
        path = os.path.join(daemon.folder, "table.csv")
        designs = harness.cells(N_DESIGNS)
        with open(path, "w", encoding="utf-8") as file:
            file.write(harness.table(designs, cls.columns(designs)))
        done = harness.run(daemon, [harness.TAILOR, "measure", "import", *SPACE, path])
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    def job(self, job_id):
        return json.loads(self.ok("job", "show", job_id, "--json"))

    def jobs(self):
        return [json.loads(line) for line in self.ok("job", "list", "--json").splitlines()]

    def wait(self, job_id, is_there):
        """Until the job is as is_there says; it, as job show has it."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            job = self.job(job_id)
            if is_there(job):
                return job
            if job["state"] in ("done", "failed", "cancelled"):
                break
            time.sleep(0.01)
        self.fail("job %s came no further than %s" % (job_id, job))

    def wait_step(self, job_id, step):
        return self.wait(job_id, lambda job: job["step"] == step)

    def new_job(self, n_before):
        """The number of the newest job, once there are more than n_before."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self.jobs()) <= n_before and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.jobs()[-1]["job"]

    def start(self, *arguments):
        return self.ok(*arguments, "--detach").strip()

    def popen(self, *arguments):
        return subprocess.Popen(
            [harness.TAILOR, *map(str, arguments)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=dict(os.environ, TAILOR_ENDPOINT=self.daemon.endpoint))

    def restart(self):
        self.daemon.kill()
        self.daemon.start()


class TrainingTest(Case):
    """A training that is killed ends with the model of one that nobody disturbed."""

    def undisturbed(self):
        """The model that a daemon trains that nobody disturbs; what training printed."""
        folder = tempfile.mkdtemp(prefix="tailor-e2e-", dir="/tmp")
        other = harness.Daemon(folder)
        try:
            other.start()
            self.fill(other)
            done = harness.run(other, [harness.TAILOR, *TRAIN, "--json"])
            self.assertEqual(0, done.returncode, done.stderr)
            self.assertEqual(0, other.stop())
            return model_of(other), json.loads(done.stdout)
        finally:
            other.kill()
            shutil.rmtree(folder)

    def test_a_training_killed_in_the_midst_ends_with_the_same_model(self):
        model, report = self.undisturbed()
        follower = self.popen(*TRAIN, "--json")  # which waits for the daemon
        job_id = self.new_job(0)
        self.wait_step(job_id, "optimizer")
        self.restart()
        steps = set()  # the predictors are not trained again
        self.wait(job_id, lambda job: steps.add(
            job["step"] if job["state"] == "running" else "") or job["state"] == "done")
        self.assertIn("optimizer", steps)
        self.assertNotIn("accuracy", steps)
        out, error = follower.communicate(timeout=PATIENCE_S)
        self.assertEqual(0, follower.returncode, error)
        self.assertEqual(report["report"], json.loads(out)["report"])
        self.assertEqual(model, model_of(self.daemon))
        job = self.job(job_id)
        self.assertEqual(("done", 2), (job["state"], job["starts"]))

        for _ in range(2):  # it tells the same to everyone who asks, and after a restart
            again = json.loads(self.ok("job", "follow", job_id, "--json"))
            self.assertEqual(report["report"], again["report"])
            self.assertIn("held-out designs", self.ok("job", "follow", job_id))
            before = self.jobs()
            self.restart()
            self.assertEqual(before, self.jobs())


class KilledTest(Case):
    """Jobs that were under way when the daemon ended."""

    def test_an_evaluation_keeps_what_it_has_graded(self):
        def figures(text):
            return [{k: v for k, v in row.items() if k != "time_ms"}
                    for row in csv.DictReader(io.StringIO(text))]
        ask = ["evaluate", *SPACE, "--seed", "3"]
        whole = figures(self.ok(*ask))
        job_id = self.start(*ask)
        self.wait_step(job_id, "slow")
        self.restart()
        self.assertEqual(whole, figures(self.ok("job", "follow", job_id)))
        self.assertEqual(2, self.job(job_id)["starts"])

    def test_a_job_is_not_tried_a_third_time_after_two_crashes(self):
        job_id = self.start(*TRAIN)
        waiting = self.start(*TRAIN)
        for starts in (1, 2):
            self.wait(job_id, lambda job, n=starts: job["state"] == "running" and
                      job["starts"] == n)
            self.restart()
        job = self.job(job_id)
        self.assertEqual(("failed", "ESTATE"), (job["state"], job["error"]))
        self.assertIn("not tried again", self.refused("job", "follow", job_id))
        self.wait(waiting, lambda job: job["state"] == "running")
        self.ok("job", "cancel", waiting)
        self.refused("job", "follow", waiting)

    def test_a_stop_puts_a_job_aside_and_the_next_start_goes_on(self):
        job_id = self.start("evaluate", *SPACE, "--devices", "slow")
        self.wait_step(job_id, "slow")
        self.assertEqual(0, self.daemon.stop())
        self.daemon.start()
        self.assertIn("slow,", self.ok("job", "follow", job_id))
        job = self.job(job_id)
        self.assertEqual((2, 1, 1), (job["starts"], job["done"], job["total"]))
        self.assertIn("has ended", self.refused("job", "cancel", job_id))


class CancelTest(Case):
    def test_waiting_and_running_jobs_are_cancelled(self):
        running = self.start(*TRAIN)
        waiting = self.start(*TRAIN, "--json")
        waiting = json.loads(waiting)["job"]
        self.wait(running, lambda job: job["state"] == "running")
        self.assertEqual(("waiting", 0), (self.job(waiting)["state"],
                                          self.job(waiting)["waits_for"]))
        self.ok("job", "cancel", waiting)
        self.assertEqual("cancelled", self.job(waiting)["state"])
        self.ok("job", "cancel", waiting)  # which it is
        follower = self.popen("job", "follow", running)
        self.ok("job", "cancel", running)
        _, error = follower.communicate(timeout=PATIENCE_S)
        self.assertEqual(harness.FAILED, follower.returncode)
        self.assertIn("cancelled", error)
        self.restart()
        self.assertEqual(["cancelled"] * 2, [self.job(j)["state"] for j in (running, waiting)])

    def test_an_interrupt_cancels_the_job(self):
        n_before = len(self.jobs())
        client = self.popen(*TRAIN)
        job_id = self.new_job(n_before)
        self.wait_step(job_id, "accuracy")
        client.send_signal(signal.SIGINT)
        out, error = client.communicate(timeout=PATIENCE_S)
        self.assertEqual((harness.FAILED, ""), (client.returncode, out))
        self.assertIn("cancelling job %d" % job_id, error)
        self.assertEqual("cancelled", self.job(job_id)["state"])

    def test_what_cannot_be_right_is_refused_before_it_is_queued(self):
        n_before = len(self.jobs())
        self.assertIn("effort", self.refused("train", *SPACE, "--effort", "much"))
        self.assertIn("nowhere", self.refused("train", "--space", "nowhere", "--detach"))
        self.assertIn("metric", self.refused("evaluate", *SPACE, "--metric", "beauty"))
        self.assertEqual(n_before, len(self.jobs()))
        self.assertIn("no job 4711", self.refused("job", "show", "4711"))
        self.refused("job", "follow", "4711")
        self.refused("job", "follow", "first", status=harness.USAGE)


class FleetTest(Case):
    N_ROWS = 2000

    @classmethod
    def columns(cls, designs):
        return {"latency_ms@fast": harness.latency_ms, "latency_ms@slow": slow}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            done = harness.run(cls.daemon, [harness.TAILOR, *TRAIN, "--effort", "none"])
            assert done.returncode == 0, done.stderr
            cls.path = os.path.join(cls.folder, "fleet.csv")
            with open(cls.path, "w", encoding="utf-8") as file:
                file.write("device,max_latency_ms\n")
                for i in range(cls.N_ROWS):
                    file.write("fast,%d\n" % (8 + i % 40))
            cls.whole = os.path.join(cls.folder, "whole.csv")
            done = harness.run(cls.daemon, [harness.TAILOR, *cls.ask(cls.whole)])
            assert done.returncode == 0, done.stderr
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def ask(cls, out, *more):
        return ["fleet", *SPACE, "--devices", cls.path, "--out", out, "--threads", "1",
                "--minimize", "latency_ms", *more]

    def fleets(self):
        return [job for job in self.jobs() if job["method"] == "fleet.run"]

    def begin(self, out):
        """A fleet that is under way, and its job."""
        n_before = len(self.fleets())
        client = self.popen(*self.ask(out))
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and client.poll() is None:
            jobs = self.fleets()
            if len(jobs) > n_before and jobs[-1]["done"] > 0:
                return client, jobs[-1]["job"]
            time.sleep(0.002)
        self.fail("the fleet was too fast, or did not begin")

    def same(self, out):
        with open(self.whole, encoding="utf-8") as a, open(out, encoding="utf-8") as b:
            return a.read() == b.read()

    def test_a_fleet_is_one_job_that_goes_on_over_a_restart(self):
        job = self.fleets()[0]
        self.assertEqual(("done", self.N_ROWS, self.N_ROWS),
                         (job["state"], job["done"], job["total"]))
        out = os.path.join(self.folder, "restarted.csv")
        client, job_id = self.begin(out)
        self.restart()
        _, error = client.communicate(timeout=PATIENCE_S)
        self.assertEqual(0, client.returncode, error)
        self.assertTrue(self.same(out))
        job = self.job(job_id)
        self.assertEqual(("done", self.N_ROWS), (job["state"], job["done"]))

    def test_a_cancelled_fleet_stops_and_can_be_resumed(self):
        out = os.path.join(self.folder, "cancelled.csv")
        client, job_id = self.begin(out)
        self.ok("job", "cancel", job_id)
        _, error = client.communicate(timeout=PATIENCE_S)
        self.assertEqual(harness.FAILED, client.returncode, error)
        self.assertIn("job %d was cancelled" % job_id, error)
        self.assertEqual("cancelled", self.job(job_id)["state"])
        self.ok(*self.ask(out, "--resume"))
        self.assertTrue(self.same(out))

    def test_an_interrupted_fleet_says_so_to_the_daemon(self):
        out = os.path.join(self.folder, "interrupted.csv")
        client, job_id = self.begin(out)
        self.await_rows(client, out)
        client.send_signal(signal.SIGINT)
        _, error = client.communicate(timeout=PATIENCE_S)
        self.assertEqual(harness.FAILED, client.returncode, error)
        self.assertIn("interrupted", error)
        self.assertIn("--resume goes on there", error)
        self.refused("job", "follow", job_id)  # to its end: pieces under way end, too
        self.assertEqual("cancelled", self.job(job_id)["state"])
        self.ok("job", "cancel", job_id)  # which it was

    def await_rows(self, client, out):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and client.poll() is None:
            if os.path.exists(out) and os.path.getsize(out) > 0:
                return
            time.sleep(0.002)
        self.fail("no rows came")

    def test_an_interrupt_ends_a_fleet_whose_daemon_hangs_or_is_gone(self):
        for signal_number in (signal.SIGSTOP, signal.SIGKILL):
            out = os.path.join(self.folder, "silent%d.csv" % signal_number)
            client = self.popen("--timeout-ms", "200", *self.ask(out))
            self.await_rows(client, out)
            self.daemon.process.send_signal(signal_number)
            if signal_number == signal.SIGKILL:
                self.assertTrue(any("the daemon went away; waiting" in x for x in client.stderr))
            client.send_signal(signal.SIGINT)
            _, error = client.communicate(timeout=PATIENCE_S)
            self.assertEqual(harness.FAILED, client.returncode, error)
            self.assertIn("interrupted", error)
            self.daemon.process.send_signal(signal.SIGCONT)
        self.daemon.process.wait(PATIENCE_S)
        self.daemon.start()


if __name__ == "__main__":
    harness.main()
