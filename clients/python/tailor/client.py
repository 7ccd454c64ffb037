# SPDX-License-Identifier: Apache-2.0
"""The blocking client."""
from __future__ import annotations

import functools
import inspect
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

import zmq

from . import calls
from .calls import Call, Steps
from .errors import TailorError
from .sockets import close_pair, keys_of, open_pair, tell
from .table import Row, Table
from .wire import DEFAULT_TIMEOUT_MS, Flight, Flights, endpoint_or_default

P = ParamSpec("P")
T = TypeVar("T")

WINDOW = 16  # calls of a batch under way at once
FLEET_WINDOW = 4


def with_self(make: Callable[..., Any], method: Any) -> None:
    """Gives a method the name, text and arguments of the function that makes its call."""
    functools.update_wrapper(method, make)
    mine = inspect.signature(make)
    first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    method.__signature__ = mine.replace(parameters=[first, *mine.parameters.values()])


def _asking(make: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.ask(make(*args, **kwargs))

    with_self(make, method)
    return method


def _stepping(make: Callable[P, Steps[T]]) -> Callable[Concatenate[Client, P], T]:
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        steps = make(*args, **kwargs)
        try:
            call = next(steps)
            while True:
                result = self.ask(call)
                call = steps.send(result)
        except StopIteration as end:
            result_of: T = end.value
            return result_of

    with_self(make, method)
    return method


def _streaming(
        make: Callable[P, Iterator[Call[Table]]]) -> Callable[Concatenate[Client, P], Iterator[Row]]:
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[Row]:
        for flight in self._stream(make(*args, **kwargs), FLEET_WINDOW):
            yield from flight.result().rows

    with_self(make, method)
    return method


class Client:
    """Asks a tailord, one call after the other.

        with tailor.Client() as client:
            client.device_add({"name": "board", "class": "cpu"})
            answer = client.design("nasbench201", "board", max_latency_ms=0.5)
            print(answer.best["accuracy"])

    endpoint None: $TAILOR_ENDPOINT, else tcp://127.0.0.1:7411. A call waits for its answer for
    timeout_ms at most; import, train, evaluate and fleet end by themselves, or when no
    connection stands for so long. Nothing is waited for before the first call.

    A client survives a daemon that restarts: it connects again, and repeats a call whose answer
    was lost, except an import's, a training's or an evaluation's, which raise Unreachable.
    Threads may share one; they take turns, so give each its own where calls should overlap.

    server_key, public_key and secret_key (40 characters each) are for a daemon with keys.
    """

    def __init__(
            self, endpoint: str | None = None, timeout_ms: int = DEFAULT_TIMEOUT_MS, *,
            name: str = "python", server_key: str | None = None, public_key: str | None = None,
            secret_key: str | None = None) -> None:
        self._keys = keys_of(server_key, public_key, secret_key)
        self._flights = Flights(endpoint_or_default(endpoint), name, timeout_ms)
        self._lock = threading.RLock()  # again by a progress function that calls
        self._context: zmq.Context[Any] = zmq.Context()
        try:
            self._socket, self._monitor = open_pair(self._context, self.endpoint, self._keys)
        except BaseException:
            self._context.term()
            raise

    @property
    def endpoint(self) -> str:
        return self._flights.endpoint

    @property
    def timeout_ms(self) -> int:
        return self._flights.timeout_ms

    def close(self) -> None:
        """Ends the connection; may be called twice."""
        with self._lock:
            close_pair(self._socket, self._monitor)
            self._context.term()

    def __enter__(self) -> Client:
        return self

    def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None,
            trace: TracebackType | None) -> None:
        self.close()

    # ---- calls ----------------------------------------------------------------------------

    def ask(self, call: Call[T]) -> T:
        """The result of one call made by tailor.calls."""
        with self._lock:
            flight = self._flights.add(call)
            try:
                self._wait(flight)
            finally:
                self._flights.drop(flight)
        return flight.result()

    @overload
    def batch(self, calls: Iterable[Call[T]], *, window: int = WINDOW) -> list[T]: ...

    @overload
    def batch(self, calls: Iterable[Call[T]], *, window: int = WINDOW,
              return_errors: Literal[False]) -> list[T]: ...

    @overload
    def batch(self, calls: Iterable[Call[T]], *, window: int = WINDOW,
              return_errors: Literal[True]) -> list[T | TailorError]: ...

    def batch(self, calls: Iterable[Call[T]], *, window: int = WINDOW,
              return_errors: bool = False) -> list[T] | list[T | TailorError]:
        """The results of many calls, in their order, up to window of them under way at once.

        The first error is raised; with return_errors it stands in its place instead."""
        results: list[T | TailorError] = []
        for flight in self._stream(calls, window):
            try:
                results.append(flight.result())
            except TailorError as error:
                if not return_errors:
                    raise
                results.append(error)
        return results

    def _stream(self, calls: Iterable[Call[T]], window: int) -> Iterator[Flight[T]]:
        """Flights that are done, in the order of calls."""
        if window < 1:
            raise ValueError(f"window: got {window}, want 1 or more")
        under_way: deque[Flight[T]] = deque()
        try:
            for call in calls:
                with self._lock:
                    under_way.append(self._flights.add(call))
                    self._send_due()
                if len(under_way) >= window:
                    yield self._first_done(under_way)
            while under_way:
                yield self._first_done(under_way)
        finally:
            for flight in under_way:
                self._flights.drop(flight)

    def _first_done(self, under_way: deque[Flight[T]]) -> Flight[T]:
        with self._lock:
            self._wait(under_way[0])
            flight = under_way.popleft()
            self._flights.drop(flight)
        return flight

    # ---- the socket -------------------------------------------------------------------------

    def _wait(self, flight: Flight[Any]) -> None:
        """Until the flight is done, whatever else arrives."""
        if self._socket.closed:
            raise ValueError("the client is closed")
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        while not flight.is_done:
            self._watch()
            self._send_due()
            wait_s = self._flights.wait_s()
            poller.poll(None if wait_s is None else int(wait_s * 1000) + 1)
            self._receive()
            self._flights.expire()

    def _send_due(self) -> None:
        for flight in self._flights.due():
            try:
                self._socket.send_multipart([b"", flight.packed], zmq.NOBLOCK)
            except zmq.Again:
                self._flights.not_sent(flight)

    def _receive(self) -> None:
        """Everything that is there."""
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._flights.take(frames)

    def _watch(self) -> None:
        while True:
            try:
                frames = self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._receive()  # what came before the connection ended
            tell(self._flights, frames)

    # ---- the methods ------------------------------------------------------------------------

    space_list = _asking(calls.space_list)
    space_show = _asking(calls.space_show)
    space_add = _asking(calls.space_add)
    space_remove = _asking(calls.space_remove)
    space_lower = _asking(calls.space_lower)
    device_list = _asking(calls.device_list)
    device_show = _asking(calls.device_show)
    device_add = _asking(calls.device_add)
    device_remove = _asking(calls.device_remove)
    measure_import = _stepping(calls.measure_import)
    measure_suggest = _asking(calls.measure_suggest)
    measure_export = _asking(calls.measure_export)
    train = _asking(calls.train)
    evaluate = _asking(calls.evaluate)
    predict = _asking(calls.predict)
    design = _asking(calls.design)
    pareto = _asking(calls.pareto)
    proxy = _asking(calls.proxy)
    fleet = _streaming(calls.fleet)
    model_list = _asking(calls.model_list)
    model_show = _asking(calls.model_show)
    job_list = _asking(calls.job_list)
    job_cancel = _asking(calls.job_cancel)
    status = _asking(calls.status)
