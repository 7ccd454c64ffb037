# SPDX-License-Identifier: Apache-2.0
"""The same client for asyncio: any number of tasks ask over one connection."""
from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

from . import calls
from .call import Blocking, Call, Pause, Steps
from .client import FLEET_WINDOW, WINDOW, with_self
from .connection import Connection
from .errors import Closed, Forked, TailorError
from .fleet import FleetRun
from .keys import find_keys
from .table import Row
from .wire import (DEFAULT_HEARTBEAT_MS, DEFAULT_NAME, DEFAULT_TIMEOUT_MS, LINGER_MS,
                   MAX_UNDER_WAY, Flight, Flights, WarningFn, endpoint_or_default)

P = ParamSpec("P")
T = TypeVar("T")


async def _in_thread(run: Callable[[], T]) -> T:
    """What run returns. A task that is cancelled meanwhile waits nevertheless: what run works with
    is closed next."""
    running = asyncio.get_running_loop().run_in_executor(None, run)
    cancelled = None
    while not running.done():
        try:
            await asyncio.wait((running,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        running.exception()  # which nobody hears of
        raise cancelled
    return running.result()


def _asking(
        make: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.ask(make(*args, **kwargs))

    with_self(make, method)
    return method


def _stepping(
        make: Callable[P, Steps[T]]) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        steps = make(*args, **kwargs)
        try:
            step = next(steps)
            while True:
                try:
                    result = None
                    if isinstance(step, Pause):
                        await asyncio.sleep(step.seconds)
                    elif isinstance(step, Blocking):
                        result = await _in_thread(step.run)
                    else:
                        result = await self.ask(step)
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
) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[Row]]:
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[Row]:
        run = make(*args, **kwargs)
        is_given_up = True
        try:
            async for flight in self._stream(run, FLEET_WINDOW):
                for row in flight.result(self._on_warning).rows:
                    yield row
            is_given_up = False
        finally:
            self._ask_only(run.end(is_given_up=is_given_up))

    with_self(make, method)
    return method


class AsyncClient:
    """`Client` with methods that are awaited; fleet() is iterated with `async for`.

        async with tailor.AsyncClient() as client:
            answers = await asyncio.gather(*(
                client.design("nasbench201", "board", max_latency_ms=x) for x in (0.5, 1.0)))

    Made and used within one running loop, by any number of its tasks; a call waits its turn where
    64 are under way, which its timeout includes. A task that is cancelled while it trains or
    evaluates cancels that in the daemon too. See Client for what the arguments mean.
    """

    def __init__(
            self, endpoint: str | None = None, timeout_ms: int = DEFAULT_TIMEOUT_MS, *,
            name: str = DEFAULT_NAME, key_file: str | os.PathLike[str] | None = None,
            server_key: str | None = None, public_key: str | None = None,
            secret_key: str | None = None, on_warning: WarningFn | None = None,
            retries: int | None = None, heartbeat_ms: int = DEFAULT_HEARTBEAT_MS) -> None:
        self._loop = asyncio.get_running_loop()
        self._flights = Flights(endpoint_or_default(endpoint), name, timeout_ms,
                                heartbeat_ms, retries)
        self._pid = os.getpid()
        self._on_warning = on_warning
        self._waiting: dict[Flight[Any], asyncio.Event] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._fds: tuple[int, ...] = ()
        self._n_opened = 0
        self._connection = Connection(
            self._flights,
            find_keys(self.endpoint, key_file, server_key, public_key, secret_key))
        self._pump()

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

    async def close(self) -> None:
        """Ends the connection, and what other tasks wait for; may be called twice."""
        if self._connection.is_closed:
            return
        linger_ms = 0 if self._flights.is_idle else LINGER_MS
        self._flights.fail(Closed("the client was closed"))
        self._tell()
        if self._timer is not None:
            self._timer.cancel()
        for fd in self._fds:
            self._loop.remove_reader(fd)
        self._connection.shut(linger_ms)
        await _in_thread(self._connection.end)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
            self, kind: type[BaseException] | None, error: BaseException | None,
            trace: TracebackType | None) -> None:
        await self.close()

    # ---- calls ----------------------------------------------------------------------------

    async def ask(self, call: Call[T]) -> T:
        """The result of one call made by tailor.calls."""
        flights = (self._start(call, asyncio.Event()),)
        try:
            await self._wait(flights)
        finally:
            self._drop(flights)
        return flights[0].result(self._on_warning)

    @overload
    async def batch(self, calls: Iterable[Call[T]], *, window: int = WINDOW) -> list[T]: ...

    @overload
    async def batch(self, calls: Iterable[Call[T]], *, window: int = WINDOW,
                    return_errors: Literal[False]) -> list[T]: ...

    @overload
    async def batch(self, calls: Iterable[Call[T]], *, window: int = WINDOW,
                    return_errors: Literal[True]) -> list[T | TailorError]: ...

    async def batch(self, calls: Iterable[Call[T]], *, window: int = WINDOW,
                    return_errors: bool = False) -> list[T] | list[T | TailorError]:
        """The results of many calls, in their order, up to window of them under way at once.

        The first error is raised; with return_errors it stands in its place instead."""
        results: list[T | TailorError] = []
        async for flight in self._stream(calls, window):
            try:
                results.append(flight.result(self._on_warning))
            except TailorError as error:
                if not return_errors:
                    raise
                results.append(error)
        return results

    async def _stream(self, calls: Iterable[Call[T]], window: int) -> AsyncIterator[Flight[T]]:
        """Flights that are done, in the order of calls."""
        if window < 1:
            raise ValueError(f"window: got {window}, want 1 or more")
        window = min(window, MAX_UNDER_WAY)  # those behind would only wait while their time runs
        under_way: deque[Flight[T]] = deque()
        event = asyncio.Event()
        try:
            ahead = iter(calls)
            while (call := await self._next(ahead)) is not None:
                under_way.append(self._start(call, event))
                if len(under_way) >= window:
                    await self._wait(under_way)
                    yield self._first(under_way)
            while under_way:
                await self._wait(under_way)
                yield self._first(under_way)
        finally:
            self._drop(under_way)

    @staticmethod
    async def _next(calls: Iterator[Call[T]]) -> Call[T] | None:
        """None: that was all. A generator of the caller's is his thread's."""
        if getattr(calls, "reads_file", False):  # a FleetRun
            return await _in_thread(lambda: next(calls, None))
        return next(calls, None)

    # ---- waiting ----------------------------------------------------------------------------

    def _start(self, call: Call[T], event: asyncio.Event) -> Flight[T]:
        if os.getpid() != self._pid:
            raise Forked("a child process opens a client of its own")
        if self._connection.is_closed:
            raise Closed("the client is closed")
        flight = self._flights.add(call)
        self._waiting[flight] = event
        self._pump()
        return flight

    def _ask_only(self, call: Call[None] | None) -> None:
        """Without waiting for the answer."""
        if call is not None and not self._connection.is_closed:
            self._flights.add(call)
            self._pump()

    def _first(self, flights: deque[Flight[T]]) -> Flight[T]:
        flight = flights.popleft()
        self._waiting.pop(flight, None)
        return flight

    def _drop(self, flights: Iterable[Flight[Any]]) -> None:
        for flight in flights:
            self._waiting.pop(flight, None)
            self._flights.drop(flight)
        self._pump()

    async def _wait(self, flights: Sequence[Flight[Any]]) -> None:
        """Until the first is done; passes on the news of all."""
        event = self._waiting[flights[0]]
        while True:
            event.clear()
            is_done = flights[0].is_done  # first: no news come after
            for flight in flights:
                flight.tell()
            if is_done:
                return
            await event.wait()

    def _pump(self) -> None:
        """Whenever the sockets or the timer have something."""
        if self._connection.is_closed:
            return
        self._connection.pump()
        self._tell()
        if self._connection.n_opened != self._n_opened:
            self._listen()
        if self._timer is not None:
            self._timer.cancel()
        wait_s = self._connection.wait_s()
        self._timer = None if wait_s is None else self._loop.call_later(wait_s, self._pump)

    def _listen(self) -> None:
        """To new sockets; they may have the numbers of old ones."""
        for fd in self._fds:
            self._loop.remove_reader(fd)
        self._fds = self._connection.fds()
        self._n_opened = self._connection.n_opened
        for fd in self._fds:
            self._loop.add_reader(fd, self._pump)

    def _tell(self) -> None:
        for flight in self._flights.take_changed():
            if flight in self._waiting:
                self._waiting[flight].set()

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
