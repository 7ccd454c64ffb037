#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Training, grading, proposing and refining from Python, on the devices of toy.py."""
import asyncio
import threading

import pypackage
import toy

tailor = pypackage.tailor
SPACE = "nasbench201"
SOURCES = {"source": toy.fast, "other": toy.slow}


def fill(table, truth):
    """Puts what the device would take into a table of designs to measure."""
    for row in table:
        for name in table.names:
            if name.startswith("latency_ms@"):
                row[name] = truth(toy.harness.key(row))
    return table


class Trains(toy.Sourced):
    sources = SOURCES
    n_designs = 80
    effort = "none"

    def setUp(self):
        self.client = tailor.Client(self.daemon.endpoint)
        self.addCleanup(self.client.close)

    def test_a_training_reports_and_shows_progress_while_others_are_answered(self):
        told, ended, begun = [], [], threading.Event()

        def show(progress):
            told.append(progress)
            begun.set()

        def train():
            ended.append(self.client.train(
                SPACE, devices=["source", "other"], tasks=["toy"], effort="none",
                progress=show))
        thread = threading.Thread(target=train)
        thread.start()
        self.assertTrue(begun.wait(60))
        self.client.status()
        self.assertEqual([], ended)
        thread.join()
        self.assertIn(SPACE, ended[0].model)
        self.assertEqual(("part", "subject", "figure", "value"), ended[0].report.names[:4])
        self.assertTrue(any("accuracy" in p.what for p in told), told)
        self.assertEqual(1, len({p.job_id for p in told}))
        self.assertEqual(sorted(p.elapsed_s for p in told), [p.elapsed_s for p in told])
        self.assertIn(ended[0].model, self.client.model_list().column("model"))

    def test_a_progress_function_may_cancel_or_raise(self):
        def cancel(progress):
            if progress.job_id and not asked:
                asked.append(progress.job_id)
                self.client.job_cancel(progress.job_id)
        asked = []
        with self.assertRaises(tailor.Cancelled):
            self.client.train(SPACE, progress=cancel)

        def fail(progress):
            raise RuntimeError("enough")
        with self.assertRaisesRegex(RuntimeError, "enough"):
            self.client.train(SPACE, progress=fail)
        self.await_no_jobs()
        row = self.client.job_list()[-1]
        self.assertEqual(row["state"], self.client.job_show(row["job"]).state)
        self.client.job_cancel(row["job"])  # which has ended

    def await_no_jobs(self):
        for _ in range(300):
            states = self.client.job_list().column("state")
            if not any(state in ("waiting", "running", "cancelling") for state in states):
                return
            threading.Event().wait(0.1)
        self.fail("a job still runs: %s" % states)

    def test_a_task_that_is_cancelled_ends_the_daemons_work(self):
        async def give_up():
            async with tailor.AsyncClient(self.daemon.endpoint) as client:
                begun = asyncio.Event()
                training = asyncio.create_task(
                    client.train(SPACE, progress=lambda p: begun.set()))
                await begun.wait()
                training.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await training
        asyncio.run(give_up())
        self.await_no_jobs()

    def test_predictors_are_graded_waited_for_or_not(self):
        asked = {"subjects": ["source"], "methods": ["head"], "samples": 10, "seed": 1}
        done = self.client.evaluate(SPACE, **asked)
        self.assertIn("source", done.figures.column("subject"))
        self.assertEqual(("curve", "subject", "method", "set", "x", "y"), done.curves.names)
        job = self.client.job_follow(self.client.evaluate_start(SPACE, **asked))
        self.assertEqual(("done", "evaluate.run", SPACE), (job.state, job.method, job.subject))
        self.assertEqual(done.figures.column("spearman"),
                         job.evaluation().figures.column("spearman"))
        self.assertRaises(tailor.NotPossible, job.train_report)

    def test_a_job_is_followed_over_a_restart_by_whoever_wants(self):
        job_id = self.client.train_start(SPACE, tasks=["toy"], effort="none")
        with self.assertRaises(tailor.NotPossible):
            self.client.job_show(job_id).train_report()
        told = []

        async def follow():
            async with tailor.AsyncClient(self.daemon.endpoint) as client:
                begun = asyncio.Event()

                def show(progress):
                    told.append(progress)
                    begun.set()
                following = asyncio.create_task(client.job_follow(job_id, progress=show))
                await begun.wait()
                self.daemon.kill()
                await asyncio.to_thread(self.daemon.start)
                return await following
        job = asyncio.run(follow())
        self.assertEqual(("done", True, None), (job.state, job.is_ended, job.error))
        self.assertIn(SPACE, job.train_report().model)
        self.assertEqual({job_id}, {p.job_id for p in told})
        row = [r for r in self.client.job_list(5) if r["job"] == job_id][0]
        self.assertEqual("done", row["state"])

    def test_a_job_that_failed_raises_what_the_call_would_have(self):
        job = self.client.job_follow(self.client.train_start(SPACE, devices=["nobody"]))
        self.assertEqual("failed", job.state)
        with self.assertRaises(type(job.error)) as caught:
            job.train_report()
        self.assertIn("nobody", str(caught.exception))
        cancelled = self.client.train_start(SPACE)
        self.client.job_cancel(cancelled)
        job = self.client.job_follow(cancelled)
        self.assertRaises(tailor.Cancelled, job.train_report)
        self.assertRaises(tailor.NotFound, self.client.job_follow, 10 ** 9)

    def test_measuring_and_refining_ends_at_a_measured_design(self):
        client, limit = self.client, 0.6 * toy.new(("nor_conv_3x3",) * 6)
        client.device_add(name="loop")
        client.measure_import(SPACE, fill(client.measure_suggest(SPACE, "loop", 5, seed=1),
                                          toy.new))
        for _ in range(2):
            todo = client.design(SPACE, "loop", max_latency_ms=limit, propose=5)
            self.assertEqual("latency_ms@loop", todo.table.names[-1])
            self.assertEqual([None] * 5, todo.table.column("latency_ms@loop"))
            client.measure_import(SPACE, fill(todo.table, toy.new))
        best = client.design(SPACE, "loop", max_latency_ms=limit, confidence=0.99).best
        self.assertAlmostEqual(toy.new(toy.harness.key(best)), best["latency_ms"], 4)
        self.assertEqual(0.0, best["latency_std_ms"])

    def test_proxies_and_candidates(self):
        client = self.client
        client.measure_import(SPACE, toy.harness.table(
            toy.harness.cells(12, 9), {"latency_ms@twin": toy.new}).encode())
        agreement = client.proxy(SPACE, "twin")
        self.assertEqual("device", agreement.table.names[0])
        self.assertEqual(2, len(agreement.rows))
        self.assertGreater(len(client.proxy(SPACE, "twin", points=4).rows), 1)
        candidates = [dict(zip(toy.harness.EDGES, d)) for d in toy.harness.cells(40, 5)]
        todo = client.measure_suggest(SPACE, "twin", 3, candidates=candidates)
        for row in todo:
            self.assertIn({e: row[e] for e in toy.harness.EDGES}, candidates)


if __name__ == "__main__":
    pypackage.main()
