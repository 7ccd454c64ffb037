# SPDX-License-Identifier: Apache-2.0
"""Requests under way and what becomes of them, without any socket.

A `Connection` owns the sockets; it tells a `Flights` what happened, and sends what that asks it
to send. Clients look at a `Flight` to learn how it ended. The rules, which are libtailor's:

* A bounded call ends with the timeout. An unbounded one only when no daemon took it for so long.
* Where the connection is lost, a request is sent again over the next one, a few times, unless
  its method is never repeated: then the caller decides.
* A daemon that is busy, or about to end, is asked again, later and later and at random, until the
  timeout.
* A daemon that sent heartbeats hangs when for three of them neither a message came nor, where that
  can be told, a byte moved: a large reply on a slow line arrives all at once. All calls fail.
* So many requests are under way at once; others wait their turn, which a timeout includes. What
  ends something does not wait.
* A reply belongs to the request of its number; replies to nobody are dropped.
* What is given up is cancelled in the daemon too, where it is a job.
"""
from __future__ import annotations

import copy
import os
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from google.protobuf.message import DecodeError

from . import tailor_pb2 as pb
from .call import Call, Repeat
from .errors import (Busy, Damaged, LimitExceeded, NotFound, TailorError, Unreachable,
                     WrongVersion, error_of)
from .jobs import job_cancel
from .results import Progress
from .version import __version__

T = TypeVar("T")
WarningFn = Callable[[str], None]

PROTOCOL = 1
DEFAULT_ENDPOINT = "tcp://127.0.0.1:7411"
DEFAULT_TIMEOUT_MS = 10_000
DEFAULT_NAME = f"python {__version__}"  # for the daemon's log
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
HARD_MAX_MESSAGE_BYTES = 96 * 1024 * 1024
ENVELOPE_BYTES = 1024
MAX_UNDER_WAY = 64  # as many as the daemon lets wait
# The daemon is told to give up this share earlier than the client, so that its answer says so.
EARLIER_FRACTION = 20
FIRST_BACKOFF_S, MAX_BACKOFF_S = 0.008, 1.0
DEFAULT_HEARTBEAT_MS = 1_000
MISSED_HEARTBEATS = 3
# ZeroMQ's own pings, both ways, in one of their intervals: its thread answers them by itself.
PING_BYTES, PING_INTERVAL_MS = 512, 10_000
# A request that ends every daemon that is given it is not given to more than these.
MAX_LOST = 3
NO_ROOM_S = 0.002
LINGER_MS = 100  # of the news that a call was given up


def backoff_s(n: int) -> float:
    """How long to wait before trying again for the n-th time, from 1. At random, so that clients
    that were refused together do not come back together."""
    return random.uniform(0.0, min(FIRST_BACKOFF_S * 2.0 ** min(n - 1, 16), MAX_BACKOFF_S))


def endpoint_or_default(endpoint: str | None) -> str:
    """The endpoint, else $TAILOR_ENDPOINT, else that of a daemon on this machine."""
    return endpoint or os.environ.get("TAILOR_ENDPOINT") or DEFAULT_ENDPOINT


@dataclass(eq=False)
class Flight(Generic[T]):
    """A request under way, or waiting for its turn."""

    call: Call[T]
    timeout_s: float
    request_id: int = 0  # as it was sent last
    end_s: float | None = None  # the answer is there by then
    patience_s: float = 0.0  # the daemon has taken it by then
    send_at_s: float | None = None  # when it is to be sent (again)
    n_tries: int = 0
    n_lost: int = 0  # after they were sent
    told: str = ""  # by the last try that was refused
    is_sent: bool = False
    parts: list[bytes] = field(default_factory=list)
    news: deque[Progress] = field(default_factory=deque)
    job_id: int = 0  # 0: no job that is known of
    reply: Any = None
    error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        return self.reply is not None or self.error is not None

    def tell(self) -> None:
        """Gives the news to the call's progress function, by the one who waits for it."""
        while self.news:
            news = self.news.popleft()
            if self.call.progress is not None:
                self.call.progress(news)

    def result(self, on_warning: WarningFn | None = None) -> T:
        """Of a flight that is done; raises its error."""
        if self.error is not None:
            raise self.error
        if on_warning is not None:
            for warning in self.reply.warnings:
                on_warning(warning)
        try:
            return self.call.read(self.reply, self.parts)
        except DecodeError as error:
            raise Damaged(f"the daemon's reply: {error}") from error

    def until_s(self) -> float | None:
        """When it has waited too long."""
        return self.end_s if self.is_sent else self.patience_s

    def put_off(self, now: float) -> None:
        """Until it is sent once more."""
        self.send_at_s = now + backoff_s(self.n_tries)
        self.is_sent = False
        self.parts.clear()


class Flights:
    """All requests of one client."""

    def __init__(self, endpoint: str, name: str, timeout_ms: int, heartbeat_ms: int,
                 retries: int | None) -> None:
        for what, number in (("heartbeat_ms", heartbeat_ms), ("retries", retries or 0)):
            if number < 0:
                raise ValueError(f"{what}: got {number}, want 0 or more")
        self.endpoint = endpoint
        self.is_connected = False
        self.refusal: TailorError | None = None  # why the last handshake failed
        self.n_retries = 0  # so far
        self.n_events = 0  # counts what may concern somebody who waits
        self.timeout_ms = timeout_ms
        self.count_bytes: Callable[[], int] = lambda: 0  # over the connection so far, both ways
        self._name = name
        self._retries = retries
        self._heartbeat_ms = heartbeat_ms
        self._has_heartbeats = False  # the daemon sent one: an older one sends none
        self._beat_s = 0.0  # when the next sign of life is due
        self._n_missed = 0
        self._n_bytes = 0  # when one was missed, or bytes moved, last
        self._last_id = 0
        self._waiting: deque[Flight[Any]] = deque()
        self._flights: list[Flight[Any]] = []  # under way
        self._changed: list[Flight[Any]] = []  # done, or with news

    @property
    def timeout_ms(self) -> int:
        return self._timeout_ms

    @timeout_ms.setter
    def timeout_ms(self, timeout_ms: int) -> None:
        if timeout_ms <= 0:
            raise ValueError(f"timeout_ms: got {timeout_ms}, want more than 0")
        self._timeout_ms = timeout_ms

    @property
    def is_idle(self) -> bool:
        return not self._flights

    def take_changed(self) -> list[Flight[Any]]:
        """Flights that were done or got news since the last time."""
        changed, self._changed = self._changed, []
        return changed

    def add(self, call: Call[T]) -> Flight[T]:
        if len(call.body) > MAX_MESSAGE_BYTES - ENVELOPE_BYTES:
            raise LimitExceeded(
                f"{call.method}: a request of {len(call.body)} bytes, at most "
                f"{MAX_MESSAGE_BYTES - ENVELOPE_BYTES}")
        flight = Flight(call, (call.timeout_ms or self._timeout_ms) / 1000)
        if call.is_bounded:
            flight.end_s = time.monotonic() + flight.timeout_s
        if call.is_urgent:
            self._begin(flight)
        else:
            self._waiting.append(flight)
            self._admit()
        return flight

    def drop(self, flight: Flight[Any]) -> None:
        """Nobody waits for it any more."""
        if flight in self._waiting:
            self._waiting.remove(flight)
        elif flight in self._flights:
            self.n_events += 1  # others may be admitted, and their time runs
            self._flights.remove(flight)
            if flight.is_sent and flight.job_id:
                self.add(job_cancel(flight.job_id))  # whose reply is for nobody
            self._admit()

    def _admit(self) -> None:
        while self._waiting and len(self._flights) < MAX_UNDER_WAY:
            self._begin(self._waiting.popleft())

    def _begin(self, flight: Flight[Any]) -> None:
        now = flight.send_at_s = time.monotonic()
        flight.patience_s = now + flight.timeout_s if flight.end_s is None else flight.end_s
        self._flights.append(flight)

    # ---- what happened --------------------------------------------------------------------

    def connected(self) -> None:
        self.n_events += 1
        self.is_connected = True
        self.refusal = None
        self._n_missed = 0

    def disconnected(self) -> None:
        """Requests that were sent are lost with the connection."""
        if not self.is_connected:
            return
        self.n_events += 1
        self.is_connected = self._has_heartbeats = False
        now = time.monotonic()
        for flight in [f for f in self._flights if f.is_sent]:
            flight.n_lost += 1
            if (flight.call.repeat is Repeat.NEVER or flight.n_lost >= MAX_LOST
                    or not self._may_repeat(flight)):
                self._end(flight, Unreachable(
                    f"the connection to the daemon at {self.endpoint} was lost during "
                    f"{flight.call.method}"))
                continue
            if flight.end_s is None:
                flight.patience_s = now + flight.timeout_s  # it was being served
            flight.put_off(now)

    def take(self, frames: list[bytes]) -> None:
        """A message arrived."""
        self.n_events += 1
        self._heard()
        try:
            reply = pb.Reply.FromString(frames[-1])
        except DecodeError as error:
            self.fail(Damaged(f"the daemon's reply: {error}"))
            return
        if reply.protocol != PROTOCOL:
            self.fail(WrongVersion(
                f"the daemon at {self.endpoint} speaks version {reply.protocol}, this client "
                f"{PROTOCOL}"))
            return
        if reply.request_id == 0 and reply.error:
            # It could not read a request, and so cannot say which.
            self.fail(error_of(reply.error, reply.error_name, reply.error_detail))
        for flight in self._flights:
            if flight.is_sent and flight.request_id == reply.request_id:
                self._take_for(flight, reply)
                break

    def _take_for(self, flight: Flight[Any], reply: Any) -> None:
        if reply.kind == pb.Reply.HEARTBEAT:
            self._has_heartbeats = True
        elif reply.kind == pb.Reply.PROGRESS:
            self._progress(flight, reply)
        elif reply.kind == pb.Reply.PART:
            flight.parts.append(reply.body)
        elif reply.kind == pb.Reply.FINAL:
            self._final(flight, reply)

    def _final(self, flight: Flight[Any], reply: Any) -> None:
        error = None
        if reply.error != 0:
            error = error_of(reply.error, reply.error_name, reply.error_detail)
        is_undone = isinstance(error, Busy) or reply.may_repeat  # an older daemon is only busy
        if error is not None and is_undone and self._may_repeat(flight):
            flight.told = str(error)
            flight.put_off(time.monotonic())
            if flight.send_at_s is not None and flight.send_at_s < flight.patience_s:
                return
        if (isinstance(error, NotFound) and flight.call.repeat is Repeat.REMOVAL
                and flight.n_lost > 0):
            error = None  # a former try did it
        flight.reply = reply
        self._end(flight, error)

    def _may_repeat(self, flight: Flight[Any]) -> bool:
        return self._retries is None or flight.n_tries <= self._retries

    def _progress(self, flight: Flight[Any], reply: Any) -> None:
        try:
            p = pb.Progress.FromString(reply.body)
        except DecodeError as error:
            self._end(flight, Damaged(f"the daemon's progress: {error}"))
            return
        flight.job_id = p.job_id
        if flight.call.progress is not None:
            flight.news.append(Progress(p.what, p.done, p.total, p.elapsed_s, p.job_id))
            self._changed.append(flight)

    def _end(self, flight: Flight[Any], error: BaseException | None) -> None:
        self._flights.remove(flight)
        self._done(flight, error)
        self._admit()

    def _done(self, flight: Flight[Any], error: BaseException | None) -> None:
        self.n_events += 1
        flight.error = error
        self._changed.append(flight)

    def fail(self, error: BaseException) -> None:
        """Ends all of them."""
        self.n_events += 1
        for flight in [*self._flights, *self._waiting]:
            flight.error = copy.copy(error)  # each is raised for itself
            self._changed.append(flight)
        self._flights.clear()
        self._waiting.clear()

    # ---- what is to be done -----------------------------------------------------------------

    def due(self) -> list[Flight[Any]]:
        """Flights to be sent now; the caller sends them over a standing connection."""
        if not self.is_connected:
            return []
        now = time.monotonic()
        ready = [f for f in self._flights if f.send_at_s is not None and f.send_at_s <= now]
        if not any(f.is_sent for f in self._flights):
            self._heard()  # the daemon owes something from now on
        for flight in ready:
            self._last_id += 1
            flight.request_id = self._last_id
            flight.n_tries += 1
            self.n_retries += flight.n_tries > 1
            flight.send_at_s = None
            flight.is_sent = True
        return ready

    def pack(self, flight: Flight[Any]) -> bytes:
        """The request, with what is left of its time."""
        deadline_ms = 0
        if flight.end_s is not None:
            left_ms = int((flight.end_s - time.monotonic()) * 1000)
            deadline_ms = max(1, left_ms - left_ms // EARLIER_FRACTION)
        return bytes(pb.Request(
            protocol=PROTOCOL, request_id=flight.request_id, method=flight.call.method,
            body=flight.call.body, deadline_ms=deadline_ms, client=self._name,
            heartbeat_ms=self._heartbeat_ms).SerializeToString())

    def not_sent(self, flight: Flight[Any]) -> None:
        """The socket had no room, or just lost its connection: later."""
        self.n_retries -= flight.n_tries > 1
        flight.n_tries -= 1
        flight.send_at_s = time.monotonic() + NO_ROOM_S
        flight.is_sent = False

    def expire(self) -> bool:
        """Ends what waited too long; whether the daemon hangs."""
        now = time.monotonic()
        for flight in [f for f in self._waiting if f.end_s is not None and now >= f.end_s]:
            self._waiting.remove(flight)
            self._done(flight, Unreachable(
                f"{MAX_UNDER_WAY} calls of this client were under way already for "
                f"{round(flight.timeout_s * 1000)} ms"))
        for flight in list(self._flights):
            until = flight.until_s()
            if until is not None and now >= until:
                before = f"; before that it said: {flight.told}" if flight.told else ""
                self._end(flight, copy.copy(self.refusal) or Unreachable(
                    f"no daemon answers at {self.endpoint} within "
                    f"{round(flight.timeout_s * 1000)} ms{before}"))
        if self._counts_beats() and now >= self._beat_s:
            self._miss(now)
        return self._n_missed >= MISSED_HEARTBEATS

    # ---- signs of life ------------------------------------------------------------------------

    def _counts_beats(self) -> bool:
        return (self._has_heartbeats and self._heartbeat_ms > 0
                and any(flight.is_sent for flight in self._flights))

    def _heard(self) -> None:
        self._n_missed = 0
        self._beat_s = time.monotonic() + self._heartbeat_ms / 1000

    def _miss(self, now: float) -> None:
        """Waits are counted, not seconds: a program that was stopped for a while reads what came
        in that time before it judges."""
        self._n_missed += 1
        self._beat_s = now + self._heartbeat_ms / 1000
        n_bytes = self.count_bytes()
        pings = PING_BYTES * (1 + self._heartbeat_ms // PING_INTERVAL_MS)
        if self._n_missed == 1:
            self._n_bytes = n_bytes  # what moved before is not known
        elif n_bytes - self._n_bytes > pings:
            self._n_bytes, self._n_missed = n_bytes, 1
        elif self._n_missed >= MISSED_HEARTBEATS:
            for flight in [f for f in self._flights if f.is_sent]:
                self._end(flight, Unreachable(
                    f"the daemon at {self.endpoint} hangs: no sign of life during "
                    f"{flight.call.method} for {MISSED_HEARTBEATS} times "
                    f"{self._heartbeat_ms} ms"))

    def wait_s(self) -> float | None:
        """How long to wait for a message at most before there is work again."""
        times = [f.end_s for f in self._waiting if f.end_s is not None]
        for flight in self._flights:
            until = flight.until_s()
            if until is not None:
                times.append(until)
            if flight.send_at_s is not None and self.is_connected:
                times.append(flight.send_at_s)
        if self._counts_beats():
            times.append(self._beat_s)
        return max(0.0, min(times) - time.monotonic()) if times else None
