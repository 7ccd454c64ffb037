# SPDX-License-Identifier: Apache-2.0
"""The same client for asyncio: any number of tasks ask over one connection."""
from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

import zmq
import zmq.asyncio

from . import calls
from .calls import Call, Steps
from .client import FLEET_WINDOW, WINDOW, with_self
from .errors import TailorError
from .sockets import close_pair, keys_of, open_pair, tell
from .table import Row, Table
from .wire import DEFAULT_TIMEOUT_MS, Flight, Flights, endpoint_or_default

P = ParamSpec("P")
T = TypeVar("T")


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
            call = next(steps)
            while True:
                result = await self.ask(call)
                call = steps.send(result)
        except StopIteration as end:
            result_of: T = end.value
            return result_of

    with_self(make, method)
    return method


def _streaming(
        make: Callable[P, Iterator[Call[Table]]]
) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[Row]]:
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[Row]:
        async for flight in self._stream(make(*args, **kwargs), FLEET_WINDOW):
            for row in flight.result().rows:
                yield row

    with_self(make, method)
    return method


class AsyncClient:
    """`Client` with methods that are awaited; fleet() is iterated with `async for`.

        async with tailor.AsyncClient() as client:
            answers = await asyncio.gather(*(
                client.design("nasbench201", "board", max_latency_ms=x) for x in (0.5, 1.0)))

    Made and used within one running loop. See Client for what the arguments mean.
    """

    def __init__(
            self, endpoint: str | None = None, timeout_ms: int = DEFAULT_TIMEOUT_MS, *,
            name: str = "python", server_key: str | None = None, public_key: str | None = None,
            secret_key: str | None = None) -> None:
        self._keys = keys_of(server_key, public_key, secret_key)
        self._flights = Flights(endpoint_or_default(endpoint), name, timeout_ms)
        self._waiting: dict[Flight[Any], asyncio.Event] = {}
        self._loop = asyncio.get_running_loop()
        self._context = zmq.asyncio.Context()
        try:
            self._socket, self._monitor = open_pair(self._context, self.endpoint, self._keys)
        except BaseException:
            self._context.term()
            raise
        self._tasks = [self._loop.create_task(self._receive()),
                       self._loop.create_task(self._watch())]

    @property
    def endpoint(self) -> str:
        return self._flights.endpoint

    @property
    def timeout_ms(self) -> int:
        return self._flights.timeout_ms

    async def close(self) -> None:
        """Ends the connection; may be called twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        close_pair(self._socket, self._monitor)
        self._context.term()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
            self, kind: type[BaseException] | None, error: BaseException | None,
            trace: TracebackType | None) -> None:
        await self.close()

    # ---- calls ----------------------------------------------------------------------------

    async def ask(self, call: Call[T]) -> T:
        """The result of one call made by tailor.calls."""
        flight = await self._start(call)
        try:
            await self._wait(flight)
        finally:
            self._end(flight)
        return flight.result()

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
                results.append(flight.result())
            except TailorError as error:
                if not return_errors:
                    raise
                results.append(error)
        return results

    async def _stream(self, calls: Iterable[Call[T]], window: int) -> AsyncIterator[Flight[T]]:
        """Flights that are done, in the order of calls."""
        if window < 1:
            raise ValueError(f"window: got {window}, want 1 or more")
        under_way: deque[Flight[T]] = deque()
        try:
            for call in calls:
                under_way.append(await self._start(call))
                if len(under_way) >= window:
                    await self._wait(under_way[0])
                    yield self._end(under_way.popleft())
            while under_way:
                await self._wait(under_way[0])
                yield self._end(under_way.popleft())
        finally:
            for flight in under_way:
                self._end(flight)

    async def _start(self, call: Call[T]) -> Flight[T]:
        if self._socket.closed:
            raise ValueError("the client is closed")
        flight = self._flights.add(call)
        self._waiting[flight] = asyncio.Event()
        await self._send_due()
        return flight

    def _end(self, flight: Flight[T]) -> Flight[T]:
        self._flights.drop(flight)
        self._waiting.pop(flight, None)
        return flight

    async def _wait(self, flight: Flight[Any]) -> None:
        """Until the flight is done; wakes whenever anything changed."""
        event = self._waiting[flight]
        while not flight.is_done:
            event.clear()
            await self._send_due()
            try:
                await asyncio.wait_for(event.wait(), self._flights.wait_s())
            except asyncio.TimeoutError:
                self._flights.expire()
                self._wake()

    # ---- the socket -------------------------------------------------------------------------

    def _wake(self) -> None:
        for event in self._waiting.values():
            event.set()

    async def _send_due(self) -> None:
        for flight in self._flights.due():
            try:
                await self._socket.send_multipart([b"", flight.packed], zmq.NOBLOCK)
            except zmq.Again:
                self._flights.not_sent(flight)

    async def _receive(self) -> None:
        while True:
            done = self._flights.take(await self._socket.recv_multipart())
            if done is not None and done in self._waiting:
                self._waiting[done].set()
            elif done is None:
                self._wake()

    async def _watch(self) -> None:
        while True:
            tell(self._flights, await self._monitor.recv_multipart())
            self._wake()

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
