# SPDX-License-Identifier: Apache-2.0
"""The options of the sockets, the same for both clients."""
from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import zmq

from .errors import Denied, Invalid, Unreachable
from .wire import HARD_MAX_MESSAGE_BYTES, Flights

HANDSHAKE_MS, HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 5_000, 10_000, 30_000
EVENTS = (zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
          | zmq.EVENT_HANDSHAKE_FAILED_AUTH)

_numbers = itertools.count()


@dataclass(frozen=True)
class Keys:
    """CURVE keys, each 40 characters of Z85: the daemon's public one and a pair of one's own.

    With server_key alone a pair is made for the occasion, which a daemon that lists its clients
    will not know."""

    server_key: str
    public_key: str | None = None
    secret_key: str | None = None


def keys_of(server_key: str | None, public_key: str | None, secret_key: str | None) -> Keys | None:
    """None: an unencrypted connection, as a daemon without keys has it."""
    if (public_key is None) != (secret_key is None):
        raise ValueError("want public_key and secret_key together")
    if server_key is None:
        if public_key is not None:
            raise ValueError("keys of one's own need the daemon's server_key too")
        return None
    for name, key in (("server_key", server_key), ("public_key", public_key),
                      ("secret_key", secret_key)):
        if key is not None and len(key) != 40:
            raise ValueError(f"{name}: got {len(key)} characters, want 40 (Z85)")
    return Keys(server_key, public_key, secret_key)


def open_pair(context: zmq.Context[Any], endpoint: str, keys: Keys | None) -> tuple[Any, Any]:
    """A DEALER socket that connects to endpoint, and a PAIR socket that tells of its connection."""
    socket: Any = context.socket(zmq.DEALER)
    monitor: Any = context.socket(zmq.PAIR)
    try:
        _set_options(socket, endpoint, keys)
        address = f"inproc://tailor-monitor-{next(_numbers)}"
        socket.monitor(address, EVENTS)
        monitor.setsockopt(zmq.LINGER, 0)
        monitor.connect(address)
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        close_pair(socket, monitor)
        kind = Invalid if error.errno in (zmq.EINVAL, zmq.EPROTONOSUPPORT) else Unreachable
        raise kind(f'endpoint "{endpoint}": {error.strerror}') from error
    return socket, monitor


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
    if keys is None:
        return
    if keys.public_key is not None and keys.secret_key is not None:
        public, secret = keys.public_key.encode(), keys.secret_key.encode()
    else:
        public, secret = zmq.curve_keypair()
    socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server_key.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, secret)


def close_pair(socket: Any, monitor: Any) -> None:
    if not socket.closed:
        socket.disable_monitor()
        socket.close(0)
    if not monitor.closed:
        monitor.close(0)


def tell(flights: Flights, frames: list[bytes]) -> None:
    """Passes a message of the monitor on."""
    event = int.from_bytes(frames[0][:2], "little")
    if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
        flights.connected()
    elif event == zmq.EVENT_DISCONNECTED:
        flights.disconnected()
    elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        flights.fail(Denied(f"the daemon at {flights.endpoint} does not accept this key"))
