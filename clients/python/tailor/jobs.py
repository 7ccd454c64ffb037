# SPDX-License-Identifier: Apache-2.0
"""Long work: training and grading, waited for or as jobs of the daemon."""
from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from . import tailor_pb2 as pb
from .call import Call, Pause, ProgressFn, Steps, as_nothing, as_table, put
from .errors import (Busy, Closed, Damaged, DeadlinePassed, Forked, NotPossible, TailorError,
                     Unreachable, error_of)
from .results import Evaluation, Progress, TrainReport
from .table import Table, table_of

T = TypeVar("T")

FOLLOW_PATIENCE_MS = 5 * 60 * 1000
SHOW_MS = 2_000  # one look at a job that is followed, as long as looks are answered
FIRST_WAIT_S, LAST_WAIT_S = 0.01, 0.2  # between two looks

# ---- what is asked ---------------------------------------------------------------------------


def train(
        space: str, *, devices: Sequence[str] | None = None, tasks: Sequence[str] | None = None,
        effort: str | None = None, seed: int | None = None,
        progress: ProgressFn | None = None) -> Call[TrainReport]:
    """Fits the predictors and the optimizer of a space to its stored measurements.

    devices: exactly these sources; None: the shipped ones and all that is stored. effort: of the
    optimizer, "none", "quick" or "long". Returns when the new model is stored; not bounded by the
    timeout. progress may cancel it: client.job_cancel(p.job_id). See train_start() for a training
    that nobody waits for."""

    def read(reply: Any, parts: Sequence[bytes]) -> TrainReport:
        return _train_report(reply.body, reply.warnings)

    return Call("train.run", _train_request(space, devices, tasks, effort, seed), read,
                is_bounded=False, progress=progress)


def train_start(
        space: str, *, devices: Sequence[str] | None = None, tasks: Sequence[str] | None = None,
        effort: str | None = None, seed: int | None = None) -> Call[int]:
    """The same as a job, whose number is returned when it is queued durably; it goes on after a
    restart of the daemon. See job_follow()."""
    return _start("train.run", _train_request(space, devices, tasks, effort, seed))


def evaluate(
        space: str, *, subjects: Sequence[str] | None = None,
        methods: Sequence[str] | None = None, metric: str | None = None,
        samples: int | None = None, seed: int | None = None,
        progress: ProgressFn | None = None) -> Call[Evaluation]:
    """Grades the predictors of a space on its stored measurements; not bounded by the timeout.

    subjects: devices, or tasks where metric is "accuracy"."""

    def read(reply: Any, parts: Sequence[bytes]) -> Evaluation:
        return _evaluation(reply.body, reply.warnings)

    return Call("evaluate.run",
                _evaluate_request(space, subjects, methods, metric, samples, seed), read,
                is_bounded=False, progress=progress)


def evaluate_start(
        space: str, *, subjects: Sequence[str] | None = None,
        methods: Sequence[str] | None = None, metric: str | None = None,
        samples: int | None = None, seed: int | None = None) -> Call[int]:
    """The same as a job, whose number is returned when it is queued durably."""
    return _start("evaluate.run",
                  _evaluate_request(space, subjects, methods, metric, samples, seed))


def _train_request(
        space: str, devices: Sequence[str] | None, tasks: Sequence[str] | None,
        effort: str | None, seed: int | None) -> bytes:
    message = pb.TrainRequest(
        space=space, devices=_words(devices), has_devices=devices is not None,
        tasks=_words(tasks), has_tasks=tasks is not None)
    return bytes(put(message, effort=effort, seed=seed).SerializeToString())


def _evaluate_request(
        space: str, subjects: Sequence[str] | None, methods: Sequence[str] | None,
        metric: str | None, samples: int | None, seed: int | None) -> bytes:
    message = pb.EvaluateRequest(
        space=space, subjects=_words(subjects), methods=_words(methods))
    return bytes(put(message, metric=metric, samples=samples, seed=seed).SerializeToString())


def _words(names: Sequence[str] | None) -> list[str]:
    if isinstance(names, str):
        raise TypeError(f"got the text {names!r}, want a sequence of names")
    return list(names or ())


def _start(method: str, body: bytes) -> Call[int]:
    # A repeated start carries the same token, by which the daemon knows it again.
    message = pb.JobStart(method=method, body=body, token=secrets.token_hex(16))

    def read(reply: Any, parts: Sequence[bytes]) -> int:
        return int(pb.JobId.FromString(reply.body).job_id)

    return Call("job.start", message.SerializeToString(), read)


# ---- what is answered --------------------------------------------------------------------------


def _train_report(body: bytes, warnings: Sequence[str]) -> TrainReport:
    m = pb.TrainReply.FromString(body)
    return TrainReport(m.model, table_of(m.report), tuple(m.notes), tuple(warnings))


def _evaluation(body: bytes, warnings: Sequence[str]) -> Evaluation:
    m = pb.EvaluateReply.FromString(body)
    return Evaluation(table_of(m.figures), table_of(m.curves), tuple(m.notes), tuple(warnings))


@dataclass(frozen=True)
class Job:
    """A job as it was when it was asked about."""

    job_id: int
    method: str  # "train.run"
    subject: str  # the space that it works on
    state: str  # "waiting", "running", "cancelling", "done", "failed", "cancelled"
    is_ended: bool
    what: str  # the last step
    done: int
    total: int  # 0: unknown
    elapsed_s: float
    queued_unix_s: int
    started_unix_s: int  # 0: not yet
    ended_unix_s: int  # 0: not yet
    n_starts: int  # more than 1: a restart of the daemon interrupted it
    n_before: int  # of one that waits: those that go first
    client: str  # who asked for it
    key: str
    error: TailorError | None  # of one that failed
    warnings: tuple[str, ...]
    has_reply: bool  # the last hundred jobs have theirs
    reply: bytes = field(repr=False)

    def train_report(self) -> TrainReport:
        """What train() would have returned or raised; NotPossible where the job has not ended, is
        another's, or its reply is no longer kept."""
        body = self._reply_of("train.run")
        return _reading(lambda: _train_report(body, self.warnings))

    def evaluation(self) -> Evaluation:
        """What evaluate() would have returned or raised; NotPossible as above."""
        body = self._reply_of("evaluate.run")
        return _reading(lambda: _evaluation(body, self.warnings))

    def _reply_of(self, method: str) -> bytes:
        if self.error is not None:
            raise self.error
        if not self.has_reply:
            raise NotPossible(f"job {self.job_id} " + (
                "is done, its reply is no longer kept" if self.is_ended else "has not ended"))
        if self.method != method:
            raise NotPossible(f"job {self.job_id} is of {self.method}, not of {method}")
        return self.reply


def _reading(read: Callable[[], T]) -> T:
    try:
        return read()
    except DecodeError as error:
        raise Damaged(f"the job's reply: {error}") from error


def _job(reply: Any, parts: Sequence[bytes]) -> Job:
    m = pb.Job.FromString(reply.body)
    error = error_of(m.error, m.error_name, m.error_detail) if m.is_ended and m.error else None
    return Job(
        m.job_id, m.method, m.subject, m.state, m.is_ended, m.progress.what, m.progress.done,
        m.progress.total, m.progress.elapsed_s, m.queued_unix_s, m.started_unix_s,
        m.ended_unix_s, m.starts, m.waits_for, m.client, m.key, error, tuple(m.warnings),
        m.has_reply, m.reply)


# ---- jobs ----------------------------------------------------------------------------------------


def job_list(n_ended: int | None = None) -> Call[Table]:
    """The jobs that wait and run, and the newest n_ended that ended (None: 50), oldest first."""
    message = put(pb.JobListRequest(), ended=n_ended)
    return Call("job.list", message.SerializeToString(), as_table)


def _packed(job_id: int) -> bytes:
    """Numbers of a Table are floats: its job numbers may be given as they are."""
    return bytes(pb.JobId(job_id=int(job_id)).SerializeToString())


def job_show(job_id: int) -> Call[Job]:
    """A job as it is now, with its reply once it has ended."""
    return Call("job.show", _packed(job_id), _job)


def job_cancel(job_id: int) -> Call[None]:
    """Asks a job to end, or takes it out of the queue."""
    return Call("job.cancel", _packed(job_id), as_nothing,
                is_urgent=True)


def job_follow(
        job_id: int, *, progress: ProgressFn | None = None,
        patience_ms: int = FOLLOW_PATIENCE_MS) -> Steps[Job]:
    """Waits until the job has ended, however it did: job.error says. A daemon that goes away
    meanwhile is waited for. The job goes on where the wait is given up; any number of clients may
    follow one, and again after its end.

        job = client.job_follow(client.train_start("nasbench201"))
        print(job.train_report().model)
    """
    message = _packed(job_id)
    wait_s = FIRST_WAIT_S
    heard_s = time.monotonic()
    show_ms: int | None = SHOW_MS
    while True:
        try:
            job: Job = yield Call("job.show", message, _job, timeout_ms=show_ms)
        except (Closed, Forked):
            raise
        except (Busy, DeadlinePassed, NotPossible, Unreachable):
            # What a daemon that stops, starts or is busy makes of the question. Or the job has
            # ended and its reply, which comes with it, takes longer: that is worth a whole timeout.
            show_ms = None
            silent_s = time.monotonic() - heard_s
            if silent_s * 1000 > patience_ms:
                raise
            news = Progress("waiting for the daemon", 0, 0, silent_s, job_id)
        else:
            if job.is_ended:
                return job
            show_ms = SHOW_MS
            heard_s = time.monotonic()
            news = Progress(job.what, job.done, job.total, job.elapsed_s, job_id)
            if job.state == "waiting":
                news = Progress("waiting for other jobs", 0, 0, 0.0, job_id)
        if progress is not None and news.what:
            progress(news)
        yield Pause(wait_s)
        wait_s = min(2 * wait_s, LAST_WAIT_S)
