# SPDX-License-Identifier: Apache-2.0
"""The socket of a client, and what it tells of its connection. Nothing here waits."""
from __future__ import annotations

import itertools
from typing import Any

import zmq

from .errors import Denied, Invalid, Unreachable
from .keys import Keys
from .wire import HARD_MAX_MESSAGE_BYTES, Flights

HANDSHAKE_MS, HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 5_000, 10_000, 30_000
FAILED = (zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
          | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | FAILED

_numbers = itertools.count()


class Connection:
    """A DEALER socket, and a PAIR socket that tells of its connection. By one thread at a time.

    Whoever waits polls fds() and calls pump() when one is readable, or when
    flights.wait_s() has passed."""

    def __init__(self, flights: Flights, keys: Keys | None) -> None:
        self._flights = flights
        self._keys = keys
        self._context: zmq.Context[Any] = zmq.Context()
        self._is_refused = False
        self.n_opened = 0  # the sockets so far: fds() holds for these
        try:
            self._open()
        except BaseException:
            self._context.term()
            raise

    @property
    def is_closed(self) -> bool:
        return bool(self._context.closed)

    def close(self, linger_ms: int = 0) -> None:
        """May be called twice. linger_ms: to get rid of what was just sent."""
        self._close_sockets(linger_ms)
        self._context.term()

    def fds(self) -> tuple[int, int]:
        """Readable when pump() has work; others whenever n_opened changes."""
        return int(self._socket.FD), int(self._monitor.FD)

    def pump(self) -> None:
        """Takes everything that is there and sends everything that is due."""
        if self._is_refused and not self._flights.is_idle:
            # The daemon may have learned the key by now.
            self._close_sockets()
            self._flights.disconnected()
            self._open()
        while True:
            self._watch()
            self._receive()
            self._flights.expire()
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
        endpoint = self._flights.endpoint
        self._socket: Any = self._context.socket(zmq.DEALER)
        self._monitor: Any = self._context.socket(zmq.PAIR)
        try:
            _set_options(self._socket, endpoint, self._keys)
            address = f"inproc://tailor-monitor-{next(_numbers)}"
            self._socket.monitor(address, EVENTS)
            self._monitor.setsockopt(zmq.LINGER, 0)
            self._monitor.connect(address)
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self._close_sockets()
            kind = Invalid if error.errno in (zmq.EINVAL, zmq.EPROTONOSUPPORT) else Unreachable
            raise kind(f'endpoint "{endpoint}": {error.strerror}') from error
        self._is_refused = False
        self.n_opened += 1

    def _close_sockets(self, linger_ms: int = 0) -> None:
        if not self._socket.closed:
            self._socket.disable_monitor()
            self._socket.close(linger_ms)
        if not self._monitor.closed:
            self._monitor.close(0)

    def _receive(self) -> None:
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
            event, value = (int.from_bytes(frames[0][i:j], "little") for i, j in ((0, 2), (2, 6)))
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._flights.connected()
            elif event == zmq.EVENT_DISCONNECTED:
                self._flights.disconnected()
            elif event & FAILED:
                self._refused(event, value)

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

    def _deny(self, detail: str) -> None:
        self._flights.fail(Denied(detail))
        self._is_refused = True


def _set_options(socket: Any, endpoint: str, keys: Keys | None) -> None:
    socket.setsockopt(zmq.LINGER, 0)
    # Nothing is queued for a connection that does not stand: what was given up is never served.
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    socket.setsockopt(zmq.MAXMSGSIZE, HARD_MAX_MESSAGE_BYTES)
    # IPv6 only where it is written so: "localhost" must mean where the daemon listens.
    socket.setsockopt(zmq.IPV6, int(endpoint.startswith("tcp://[")))
    if keys is not None:
        socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server_key.encode())
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public_key.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret_key.encode())
