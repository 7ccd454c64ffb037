# SPDX-License-Identifier: Apache-2.0
"""Requests under way and what becomes of them, without any socket.

`Client` and `AsyncClient` own the sockets; both tell a `Flights` what happened, send what it
asks them to send, and look at a `Flight` to learn how it ended. The rules:

* A reply belongs to the flight of its number; replies to nobody are dropped.
* Where the connection is lost, a repeatable request is sent again over the next one: every
  method may be repeated. Others fail with Unreachable.
* A busy daemon is asked again, later and later, until the timeout.
* A bounded call ends with the timeout. An unbounded one only when no connection stands for
  so long.
"""
from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from google.protobuf.message import DecodeError

from . import tailor_pb2 as pb
from .calls import Call
from .errors import (Busy, Damaged, LimitExceeded, TailorError, Unreachable, WrongVersion,
                     error_of)
from .results import Progress

T = TypeVar("T")

PROTOCOL = 1
DEFAULT_ENDPOINT = "tcp://127.0.0.1:7411"
DEFAULT_TIMEOUT_MS = 10_000
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
HARD_MAX_MESSAGE_BYTES = 96 * 1024 * 1024
# The daemon is told to give up this share earlier than the client, so that its answer says so.
EARLIER_FRACTION = 20
FIRST_BACKOFF_S, MAX_BACKOFF_S = 0.05, 1.0
NO_ROOM_S = 0.002


def endpoint_or_default(endpoint: str | None) -> str:
    """The endpoint, else $TAILOR_ENDPOINT, else that of a daemon on this machine."""
    return endpoint or os.environ.get("TAILOR_ENDPOINT") or DEFAULT_ENDPOINT


@dataclass(eq=False)
class Flight(Generic[T]):
    """A request under way."""

    call: Call[T]
    request_id: int
    packed: bytes
    timeout_s: float
    started_s: float
    waits_since_s: float  # since when it has no connection
    is_sent: bool = False
    send_at_s: float | None = None  # when it is to be sent again
    backoff_s: float = FIRST_BACKOFF_S
    parts: list[bytes] = field(default_factory=list)
    reply: Any = None
    error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        return self.reply is not None or self.error is not None

    def result(self) -> T:
        """Of a flight that is done; raises its error."""
        if self.error is not None:
            raise self.error
        try:
            return self.call.read(self.reply, self.parts)
        except DecodeError as error:
            raise Damaged(f"the daemon's reply: {error}") from error


class Flights:
    """All requests under way over one connection."""

    def __init__(self, endpoint: str, name: str, timeout_ms: int) -> None:
        if timeout_ms <= 0:
            raise ValueError(f"timeout_ms: got {timeout_ms}, want more than 0")
        self.endpoint = endpoint
        self.timeout_ms = timeout_ms
        self.is_connected = False
        self._name = name
        self._last_id = 0
        self._flights: dict[int, Flight[Any]] = {}

    def add(self, call: Call[T]) -> Flight[T]:
        self._last_id += 1
        deadline_ms = self.timeout_ms - self.timeout_ms // EARLIER_FRACTION
        packed = pb.Request(
            protocol=PROTOCOL, request_id=self._last_id, method=call.method, body=call.body,
            deadline_ms=deadline_ms if call.is_bounded else 0,
            client=self._name).SerializeToString()
        if len(packed) > MAX_MESSAGE_BYTES:
            raise LimitExceeded(
                f"{call.method}: a request of {len(packed)} bytes, at most {MAX_MESSAGE_BYTES}")
        now = time.monotonic()
        flight = Flight(call, self._last_id, packed, self.timeout_ms / 1000, now, now,
                        send_at_s=now)
        self._flights[flight.request_id] = flight
        return flight

    def drop(self, flight: Flight[Any]) -> None:
        """Nobody waits for it any more."""
        self._flights.pop(flight.request_id, None)

    # ---- what happened --------------------------------------------------------------------

    def connected(self) -> None:
        self.is_connected = True

    def disconnected(self) -> None:
        """Requests that were sent are lost with the connection."""
        if not self.is_connected:
            return
        self.is_connected = False
        now = time.monotonic()
        for flight in self._live():
            if not flight.is_sent:
                continue
            if flight.call.is_repeatable:
                flight.waits_since_s = flight.send_at_s = now
                flight.is_sent = False
                flight.parts.clear()
            else:
                flight.error = Unreachable(
                    f"the connection to the daemon at {self.endpoint} was lost")

    def take(self, frames: list[bytes]) -> Flight[Any] | None:
        """A message arrived; the flight that it ended."""
        try:
            reply = pb.Reply.FromString(frames[-1])
        except DecodeError as error:
            self.fail(Damaged(f"the daemon's reply: {error}"))
            return None
        if reply.protocol != PROTOCOL:
            self.fail(WrongVersion(
                f"the daemon at {self.endpoint} speaks version {reply.protocol}, this client "
                f"{PROTOCOL}"))
            return None
        if reply.request_id == 0 and reply.error:
            # It could not read a request, and so cannot say which.
            self.fail(error_of(reply.error, reply.error_name, reply.error_detail))
        flight = self._flights.get(reply.request_id)
        if flight is None or flight.is_done:
            return None
        if reply.kind == pb.Reply.PROGRESS:
            self._progress(flight, reply)
        elif reply.kind == pb.Reply.PART:
            flight.parts.append(reply.body)
        else:
            self._final(flight, reply)
        return flight if flight.is_done else None

    def _final(self, flight: Flight[Any], reply: Any) -> None:
        if reply.error == 0:
            flight.reply = reply
            return
        error = error_of(reply.error, reply.error_name, reply.error_detail)
        now = time.monotonic()
        again_s = now + flight.backoff_s
        if isinstance(error, Busy) and again_s < flight.started_s + flight.timeout_s:
            flight.send_at_s = again_s
            flight.is_sent = False
            flight.backoff_s = min(2 * flight.backoff_s, MAX_BACKOFF_S)
        else:
            flight.error = error

    def _progress(self, flight: Flight[Any], reply: Any) -> None:
        if flight.call.progress is None:
            return
        try:
            p = pb.Progress.FromString(reply.body)
            flight.call.progress(Progress(p.what, p.done, p.total, p.elapsed_s, p.job_id))
        except Exception as error:  # it is the caller's: raised where the call is waited for
            flight.error = error

    def fail(self, error: TailorError) -> None:
        """Ends all of them."""
        for flight in self._live():
            flight.error = error

    # ---- what is to be done -----------------------------------------------------------------

    def _live(self) -> Iterable[Flight[Any]]:
        return [flight for flight in self._flights.values() if not flight.is_done]

    def due(self) -> list[Flight[Any]]:
        """Flights to be sent now; the caller sends them over a standing connection."""
        if not self.is_connected:
            return []
        now = time.monotonic()
        ready = [f for f in self._live() if f.send_at_s is not None and f.send_at_s <= now]
        for flight in ready:
            flight.send_at_s = None
            flight.is_sent = True
        return ready

    def not_sent(self, flight: Flight[Any]) -> None:
        """The socket had no room, or just lost its connection: later."""
        flight.send_at_s = time.monotonic() + NO_ROOM_S
        flight.is_sent = False

    def expire(self) -> None:
        """Ends what waited too long."""
        now = time.monotonic()
        for flight in self._live():
            until = self._until(flight)
            if until is not None and now >= until:
                flight.error = Unreachable(
                    f"no daemon answers at {self.endpoint} within {self.timeout_ms} ms")

    def _until(self, flight: Flight[Any]) -> float | None:
        if flight.call.is_bounded:
            return flight.started_s + flight.timeout_s
        if self.is_connected:
            return None
        return flight.waits_since_s + flight.timeout_s

    def wait_s(self) -> float | None:
        """How long to wait for a message at most before expire() or due() has work again."""
        times = []
        for flight in self._live():
            until = self._until(flight)
            if until is not None:
                times.append(until)
            if flight.send_at_s is not None and self.is_connected:
                times.append(flight.send_at_s)
        return max(0.0, min(times) - time.monotonic()) if times else None
