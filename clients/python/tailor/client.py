# SPDX-License-Identifier: Apache-2.0
"""The blocking client."""
from __future__ import annotations

import functools
import inspect
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

from . import calls
from .call import Blocking, Call, Pause, Steps
from .connection import Connection
from .errors import Closed, Forked, TailorError
from .fleet import FleetRun
from .keys import find_keys
from .table import Row
from .wire import (DEFAULT_HEARTBEAT_MS, DEFAULT_NAME, DEFAULT_TIMEOUT_MS, LINGER_MS,
                   MAX_UNDER_WAY, Flight, Flights, WarningFn, endpoint_or_default)

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
            step = next(steps)
            while True:
                try:
                    result = None
                    if isinstance(step, Pause):
                        time.sleep(step.seconds)
                    elif isinstance(step, Blocking):
                        result = step.run()
                    else:
                        result = self.ask(step)
                except BaseException as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as end:
            result_of: T = end.value
            return result_of

    with_self(make, method)
    return method


def _streaming(
        make: Callable[P, FleetRun]
) -> Callable[Concatenate[Client, P], Iterator[Row]]:
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[Row]:
        run = make(*args, **kwargs)
        is_given_up = True
        try:
            for flight in self._stream(run, FLEET_WINDOW):
                yield from flight.result(self._on_warning).rows
            is_given_up = False
        finally:
            self._ask_only(run.end(is_given_up=is_given_up))

    with_self(make, method)
    return method


class _Sleeper:
    """A thread that waits, and what others wake it by."""

    def __init__(self) -> None:
        self.fd, self._end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def wake(self) -> None:
        try:
            os.write(self._end, b"!")
        except BlockingIOError:
            pass  # it has been told often enough

    def clear(self) -> None:
        try:
            os.read(self.fd, 65536)
        except BlockingIOError:
            pass

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._end)


class Client:
    """Asks a tailord and waits for the answer.

        with tailor.Client() as client:
            client.device_add({"name": "board", "class": "cpu"})
            answer = client.design("nasbench201", "board", max_latency_ms=0.5)
            print(answer.best["accuracy"])

    endpoint None: $TAILOR_ENDPOINT, else tcp://127.0.0.1:7411. A call waits for its answer for
    timeout_ms at most; import, train, evaluate and fleet end by themselves, or when no
    connection stands for so long. Nothing is waited for before the first call.

    A daemon with keys wants some by tcp: key_file, a file that `tailor key new` made and nobody
    else may read; or server_key, public_key and secret_key, 40 characters each; else the file
    $TAILOR_KEY.

    A call gives its result or raises within its timeout, whatever happens to the daemon. Without
    one it is tried again until the timeout (Unreachable); so it is while the daemon is busy (Busy)
    or about to end (NotPossible), and where the connection is lost, up to the third loss
    (Unreachable). Between tries it waits for a random time, up to 8 ms at first and a second later
    on; retries says how many at most (None: as many as the time allows). A training and the commit
    of an import are not repeated: whoever lost one decides whether to begin again. A daemon from
    which for three times heartbeat_ms no message came, and by tcp no byte moved, hangs
    (Unreachable); 0 asks for no signs of life.

    Threads may share one, and their calls overlap; a progress function is called in the thread
    that asked, which may use the client meanwhile. A child process opens clients of its own.

    on_warning is told every warning that comes with an answer; they stand in the answer too,
    where it has a place for them.
    """

    def __init__(
            self, endpoint: str | None = None, timeout_ms: int = DEFAULT_TIMEOUT_MS, *,
            name: str = DEFAULT_NAME, key_file: str | os.PathLike[str] | None = None,
            server_key: str | None = None, public_key: str | None = None,
            secret_key: str | None = None, on_warning: WarningFn | None = None,
            retries: int | None = None, heartbeat_ms: int = DEFAULT_HEARTBEAT_MS) -> None:
        self._flights = Flights(endpoint_or_default(endpoint), name, timeout_ms,
                                heartbeat_ms, retries)
        self._pid = os.getpid()
        self._on_warning = on_warning
        self._lock = threading.RLock()  # again by a stream that is collected meanwhile
        self._sleepers: set[_Sleeper] = set()
        self._n_told = 0  # of flights.n_events
        self._connection = Connection(
            self._flights,
            find_keys(self.endpoint, key_file, server_key, public_key, secret_key))

    @property
    def endpoint(self) -> str:
        return self._flights.endpoint

    @property
    def timeout_ms(self) -> int:
        """Of the calls that are made from now on; may be set."""
        return self._flights.timeout_ms

    @timeout_ms.setter
    def timeout_ms(self, timeout_ms: int) -> None:
        self._flights.timeout_ms = timeout_ms

    @property
    def n_retries(self) -> int:
        """How many calls were repeated so far: the daemon was busy or the connection lost."""
        return self._flights.n_retries

    def close(self) -> None:
        """Ends the connection, and what other threads wait for; may be called twice."""
        if self._is_forked:
            return
        with self._lock:
            linger_ms = 0 if self._flights.is_idle else LINGER_MS
            self._flights.fail(Closed("the client was closed"))
            self._wake()
            self._connection.shut(linger_ms)
            self._connection.end()

    def __enter__(self) -> Client:
        return self

    def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None,
            trace: TracebackType | None) -> None:
        self.close()

    # ---- calls ----------------------------------------------------------------------------

    def ask(self, call: Call[T]) -> T:
        """The result of one call made by tailor.calls."""
        flights = (self._start(call),)
        try:
            self._wait(flights)
        finally:
            self._drop(flights)
        return flights[0].result(self._on_warning)

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
                results.append(flight.result(self._on_warning))
            except TailorError as error:
                if not return_errors:
                    raise
                results.append(error)
        return results

    def _stream(self, calls: Iterable[Call[T]], window: int) -> Iterator[Flight[T]]:
        """Flights that are done, in the order of calls."""
        if window < 1:
            raise ValueError(f"window: got {window}, want 1 or more")
        window = min(window, MAX_UNDER_WAY)  # those behind would only wait while their time runs
        under_way: deque[Flight[T]] = deque()
        try:
            for call in calls:
                under_way.append(self._start(call))
                if len(under_way) >= window:
                    self._wait(under_way)
                    yield under_way.popleft()
            while under_way:
                self._wait(under_way)
                yield under_way.popleft()
        finally:
            self._drop(under_way)

    # ---- waiting ----------------------------------------------------------------------------

    @property
    def _is_forked(self) -> bool:
        """Then the lock may be held by a thread that is not there."""
        return os.getpid() != self._pid

    def _check_process(self) -> None:
        if self._is_forked:
            raise Forked("a child process opens a client of its own")

    def _start(self, call: Call[T]) -> Flight[T]:
        self._check_process()
        with self._lock:
            if self._connection.is_closed:
                raise Closed("the client is closed")
            flight = self._flights.add(call)
            self._pump()
        return flight

    def _ask_only(self, call: Call[None] | None) -> None:
        """Without waiting for the answer."""
        if self._is_forked:
            return
        with self._lock:
            if call is not None and not self._connection.is_closed:
                self._flights.add(call)
                self._pump()

    def _drop(self, flights: Iterable[Flight[Any]]) -> None:
        if self._is_forked:
            return
        with self._lock:
            for flight in flights:
                self._flights.drop(flight)
            self._pump()

    def _pump(self) -> None:
        """With the lock. Who waits is told when anything happened: what there was to read has
        been read, so nothing else would wake them."""
        if not self._connection.is_closed:
            self._connection.pump()
        self._flights.take_changed()
        if self._flights.n_events != self._n_told:
            self._n_told = self._flights.n_events
            self._wake()

    def _wake(self) -> None:
        for sleeper in self._sleepers:
            sleeper.wake()

    def _wait(self, flights: Sequence[Flight[Any]]) -> None:
        """Until the first is done, whatever else arrives, for this thread or others."""
        if self._is_done(flights):
            return
        sleeper = _Sleeper()
        with self._lock:
            self._sleepers.add(sleeper)
        try:
            while not self._is_done(flights):
                self._sleep(sleeper)
        finally:
            if not self._is_forked:
                with self._lock:
                    self._sleepers.discard(sleeper)
            sleeper.close()

    @staticmethod
    def _is_done(flights: Sequence[Flight[Any]]) -> bool:
        is_done = flights[0].is_done  # first: no news come after
        for flight in flights:
            flight.tell()
        return is_done

    def _sleep(self, sleeper: _Sleeper) -> None:
        """Until something happens."""
        poller = select.poll()
        self._check_process()
        with self._lock:
            self._pump()
            if not self._connection.is_closed:
                for fd in self._connection.fds():
                    poller.register(fd, select.POLLIN)
            wait_s = self._connection.wait_s()
        poller.register(sleeper.fd, select.POLLIN)
        poller.poll(None if wait_s is None else int(wait_s * 1000) + 1)
        sleeper.clear()

    # ---- the methods ------------------------------------------------------------------------

    space_list = _asking(calls.space_list)
    space_show = _asking(calls.space_show)
    space_add = _asking(calls.space_add)
    space_remove = _asking(calls.space_remove)
    space_lower = _asking(calls.space_lower)
    device_list = _stepping(calls.device_list)
    device_page = _asking(calls.device_page)
    device_show = _asking(calls.device_show)
    device_add = _asking(calls.device_add)
    device_remove = _asking(calls.device_remove)
    measure_import = _stepping(calls.measure_import)
    measure_suggest = _asking(calls.measure_suggest)
    measure_export = _asking(calls.measure_export)
    train = _asking(calls.train)
    train_start = _asking(calls.train_start)
    evaluate = _asking(calls.evaluate)
    evaluate_start = _asking(calls.evaluate_start)
    predict = _asking(calls.predict)
    design = _asking(calls.design)
    pareto = _asking(calls.pareto)
    proxy = _asking(calls.proxy)
    fleet = _streaming(calls.fleet)
    model_list = _asking(calls.model_list)
    model_show = _asking(calls.model_show)
    job_list = _asking(calls.job_list)
    job_show = _asking(calls.job_show)
    job_follow = _stepping(calls.job_follow)
    job_cancel = _asking(calls.job_cancel)
    backup = _stepping(calls.backup)
    status = _asking(calls.status)
