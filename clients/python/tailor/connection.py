# SPDX-License-Identifier: Apache-2.0
"""The socket of a client, and what it tells of its connection. Nothing here waits."""
from __future__ import annotations

import itertools
import os
import socket as sockets
import struct
import time
from typing import Any

import zmq

from .errors import Denied, Invalid, TailorError, Unreachable
from .keys import Keys
from .wire import HARD_MAX_MESSAGE_BYTES, PING_INTERVAL_MS, Flights, backoff_s

CONNECT_MS = HANDSHAKE_MS = 5_000
# ZeroMQ's pings find a host that is gone, where no heartbeats do. It reads an answer only when the
# message before it is whole, so they must outwait the longest one.
PING_TIMEOUT_MS = 120_000
# Longer than a socket is kept once its connection broke: ZeroMQ would connect again and again,
# and tell of it, while nobody asks anything and nobody listens.
RECONNECT_MS = 24 * 3600 * 1000
FAILED = (zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
          | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
ENDED = zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_CONNECT_RETRIED
EVENTS = zmq.EVENT_CONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | ENDED | FAILED
# A daemon that asks for a key often hangs up on a client without one before it could say so: then
# the handshake is repeated so often at once.
MAX_HUNG_UP = 16
# In Linux' struct tcp_info: tcpi_bytes_acked and tcpi_bytes_received.
TCP_INFO_COUNTS = struct.Struct("=120xQQ")

_numbers = itertools.count()


class Connection:
    """A DEALER socket, and a PAIR socket that tells of its connection. By one thread at a time.

    Whoever waits polls fds() and calls pump() when one is readable, or when wait_s() has passed.
    A socket connects once. When its connection ends another takes its place, later and later,
    and only while there is something to ask: an idle client does nothing by itself."""

    def __init__(self, flights: Flights, keys: Keys | None) -> None:
        self._flights = flights
        self._keys = keys
        self._context: zmq.Context[Any] = zmq.Context()
        self._pid = os.getpid()
        self._is_closed = False
        self._is_down = False
        self._n_failed = 0  # connections that ended, since a daemon answered last
        self._n_hung_up = 0
        self._reopen_at_s = 0.0  # while it is down
        self._fd = -1  # of the connection, where it has counts of bytes
        flights.count_bytes = self._count_bytes
        self.n_opened = 0  # the sockets so far: fds() holds for these
        try:
            self._open()
        except BaseException:
            self._context.term()
            raise

    @property
    def is_closed(self) -> bool:
        """Or another process's: a forked child leaves its parent's sockets alone."""
        return self._is_closed or os.getpid() != self._pid

    def shut(self, linger_ms: int = 0) -> None:
        """Does nothing any more; end() waits for linger_ms at most to get rid of what was just
        sent. Both may be called twice."""
        self._is_closed = True
        _close(self._socket, self._monitor, linger_ms)

    def end(self) -> None:
        self._context.term()

    def fds(self) -> tuple[int, int]:
        """Readable when pump() has work; others whenever n_opened changes."""
        return int(self._socket.FD), int(self._monitor.FD)

    def wait_s(self) -> float | None:
        """How long to wait for the sockets at most before there is work again."""
        times = [self._flights.wait_s()]
        if self._is_down and not self._flights.is_idle:
            times.append(max(0.0, self._reopen_at_s - time.monotonic()))
        return min((s for s in times if s is not None), default=None)

    def pump(self) -> None:
        """Takes everything that is there and sends everything that is due."""
        while True:
            self._watch()
            self._receive()
            if self._flights.expire():
                self._ended()  # what still comes over it belongs to nobody
            self._reopen()
            due = self._flights.due()
            if not due:
                return
            for flight in due:
                try:
                    self._socket.send_multipart([b"", self._flights.pack(flight)], zmq.NOBLOCK)
                except zmq.Again:
                    self._flights.not_sent(flight)

    # ---- the sockets ------------------------------------------------------------------------

    def _open(self) -> None:
        """Sockets of its own; those of before, if any, stay as they are when this fails."""
        endpoint = self._flights.endpoint
        socket: Any = self._context.socket(zmq.DEALER)
        monitor: Any = self._context.socket(zmq.PAIR)
        try:
            _set_options(socket, endpoint, self._keys)
            address = f"inproc://tailor-monitor-{next(_numbers)}"
            socket.monitor(address, EVENTS)
            monitor.setsockopt(zmq.LINGER, 0)
            # What nobody reads must not stop ZeroMQ's thread, which close() waits for.
            monitor.setsockopt(zmq.RCVHWM, 0)
            monitor.connect(address)
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            _close(socket, monitor)
            kind = Invalid if error.errno in (zmq.EINVAL, zmq.EPROTONOSUPPORT) else Unreachable
            raise kind(f'endpoint "{endpoint}": {error.strerror}') from error
        self._socket, self._monitor = socket, monitor
        self._is_down = False
        self.n_opened += 1

    def _reopen(self) -> None:
        """Where it is down, time, and somebody asks."""
        if (self._is_down and not self._flights.is_idle
                and time.monotonic() >= self._reopen_at_s):
            before = self._socket, self._monitor
            try:
                self._open()
            except TailorError as error:
                self._flights.fail(error)
                return
            _close(*before)
            self._flights.n_events += 1  # whoever waits has other sockets to poll

    def _ended(self, *, is_hung_up: bool = False) -> None:
        """The connection, or the attempt to make one. Its socket is of no more use."""
        self._fd = -1
        self._flights.disconnected()
        if self._is_down:
            return
        self._is_down = True
        if is_hung_up and self._n_hung_up < MAX_HUNG_UP:
            self._n_hung_up += 1
        else:
            self._n_failed += 1
        self._reopen_at_s = time.monotonic() + backoff_s(max(1, self._n_failed))

    def _receive(self) -> None:
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._n_failed = self._n_hung_up = 0
            self._flights.take(frames)

    def _watch(self) -> None:
        while True:
            try:
                frames = self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._receive()  # what came before the connection ended
            event, value = (int.from_bytes(frames[0][i:j], "little") for i, j in ((0, 2), (2, 6)))
            if event == zmq.EVENT_CONNECTED:
                self._fd = value if self._flights.endpoint.startswith("tcp://") else -1
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._flights.connected()
            elif event & FAILED:
                self._refused(event, value)
            else:
                self._ended()

    def _count_bytes(self) -> int:
        """What the system says; 0 where it does not, and where the connection has just ended:
        ZeroMQ closes its descriptor without asking, and the number may be another's by now."""
        if self._fd < 0:
            return 0
        try:
            tcp = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM, 0, fileno=self._fd)
        except OSError:
            return 0
        try:
            counts = tcp.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_INFO, TCP_INFO_COUNTS.size)
            return sum(TCP_INFO_COUNTS.unpack(counts))
        except (OSError, struct.error):
            return 0
        finally:
            tcp.detach()  # it stays ZeroMQ's

    def _refused(self, event: int, value: int) -> None:
        """A handshake failed: for good, or perhaps because of keys that are not the daemon's."""
        daemon = f"the daemon at {self._flights.endpoint}"
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self._deny(f"{daemon} does not know the key of this client")
        elif (event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
              and value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH):
            self._deny(f"{daemon} asks for " + (
                "no key, and does not talk to a client that uses one" if self._keys
                else "a key (key_file, TAILOR_KEY)"))
        else:
            self._flights.refusal = Unreachable(f"{daemon} ends every handshake: it may " + (
                "have another key than this client was given" if self._keys
                else "ask for a key (key_file, TAILOR_KEY)"))
            self._ended(is_hung_up=self._keys is None)

    def _deny(self, detail: str) -> None:
        """For good; the next call asks again, since the daemon may have learned the key by then."""
        self._flights.fail(Denied(detail))
        self._ended()
        self._reopen_at_s = 0.0


def _close(socket: Any, monitor: Any, linger_ms: int = 0) -> None:
    """May be done twice."""
    if not socket.closed:
        socket.disable_monitor()
        socket.close(linger_ms)
    if not monitor.closed:
        monitor.close(0)


def _set_options(socket: Any, endpoint: str, keys: Keys | None) -> None:
    socket.setsockopt(zmq.LINGER, 0)
    # Nothing is queued for a connection that does not stand: what was given up is never served.
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
    socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_MS)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    socket.setsockopt(zmq.HEARTBEAT_IVL, PING_INTERVAL_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, PING_TIMEOUT_MS)
    socket.setsockopt(zmq.MAXMSGSIZE, HARD_MAX_MESSAGE_BYTES)
    # IPv6 only where it is written so: "localhost" must mean where the daemon listens.
    socket.setsockopt(zmq.IPV6, int(endpoint.startswith("tcp://[")))
    if keys is not None:
        socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server_key.encode())
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public_key.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret_key.encode())
