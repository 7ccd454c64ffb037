# SPDX-License-Identifier: Apache-2.0
"""Keys for a daemon that asks for some (tailord --keys), and the files that hold them."""
from __future__ import annotations

import os
import stat
from dataclasses import dataclass

import zmq

from .errors import Denied, Invalid, LimitExceeded, NotFound, SystemRefused

KEY_CHARS = 40
FILE_MAX_BYTES = 4096
ALPHABET = frozenset(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#")
LINES = ("name", "role", "public", "secret", "server")


@dataclass(frozen=True)
class Keys:
    """CURVE keys, each 40 characters of Z85: the daemon's public one and a pair of one's own."""

    server_key: str
    public_key: str
    secret_key: str

    def __post_init__(self) -> None:
        for name in ("server_key", "public_key", "secret_key"):
            _check(name, getattr(self, name))

    def __repr__(self) -> str:
        return f"Keys(server_key={self.server_key!r}, public_key={self.public_key!r})"


def key_pair() -> tuple[str, str]:
    """A new public and secret key, for a client or a daemon."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def find_keys(
        endpoint: str, key_file: str | os.PathLike[str] | None, server_key: str | None,
        public_key: str | None, secret_key: str | None) -> Keys | None:
    """What a client of endpoint is to use, as libtailor decides it; None: no encryption.

    A local socket (ipc://PATH) asks for no keys and is given none. Else the keys themselves,
    the file, or the file $TAILOR_KEY."""
    if endpoint.startswith("ipc://") and not endpoint.startswith("ipc://@"):
        return None
    given = {"server_key": server_key, "public_key": public_key, "secret_key": secret_key}
    if any(given.values()):
        missing = [name for name, key in given.items() if not key]
        if missing:
            raise Invalid(f"{missing[0]} is missing")
        return Keys(server_key or "", public_key or "", secret_key or "")
    path = key_file or os.environ.get("TAILOR_KEY")
    return read_keys(path) if path else None


def read_keys(path: str | os.PathLike[str]) -> Keys:
    """Of a file that `tailor key new` made. Denied where others may read it or it is somebody
    else's, Invalid where it is none, NotFound where there is none."""
    shown = os.fspath(path)
    lines = _parse(shown, _read_secret(shown))
    if not all(lines.get(name) for name in ("server", "public", "secret")):
        raise Invalid(
            f"{shown}: want the lines server, public and secret, as tailor key new writes")
    return Keys(lines["server"], lines["public"], lines["secret"])


def _read_secret(path: str) -> bytes:
    try:
        # Nothing that blocks: a pipe is no key file.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _check_guard(path, os.fstat(fd))
            text = os.read(fd, FILE_MAX_BYTES + 1)
        finally:
            os.close(fd)
    except FileNotFoundError as error:
        raise NotFound(f"cannot open {path}: {error.strerror}") from error
    except OSError as error:
        raise SystemRefused(f"cannot read {path}: {error.strerror}") from error
    if len(text) > FILE_MAX_BYTES:
        raise LimitExceeded(f"{path}: got more than {FILE_MAX_BYTES} bytes")
    return text


def _check_guard(path: str, status: os.stat_result) -> None:
    """Of the open file, so that it is not another one that is read."""
    if os.geteuid() != 0 and status.st_uid not in (os.geteuid(), 0):
        raise Denied(f"{path}: belongs to another user")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise Denied(f"{path}: others may read or write it; chmod go-rwx {path}")


def _parse(path: str, text: bytes) -> dict[str, str]:
    """Lines of "name: value", '#' opens a comment line. A secret is never repeated in an error."""
    found: dict[str, str] = {}
    if b"\0" in text:
        raise Invalid(f"{path}: a zero byte within the text")
    for number, line in enumerate(text.decode("utf-8", "replace").split("\n"), 1):
        line = line.rstrip(" \r\t")
        if not line or line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if not colon or name not in LINES:
            raise Invalid(f"{path} line {number}: want name, role, public, secret or server "
                          "and a colon")
        if name in found:
            raise Invalid(f"{path} line {number}: a second {name}")
        found[name] = value.lstrip(" ")
        if name in ("public", "secret", "server"):
            _check(f"{path} line {number}: {name}", found[name])
    return found


def _check(what: str, key: str) -> None:
    if len(key) != KEY_CHARS or not ALPHABET.issuperset(key):
        raise Invalid(f"{what}: want a key of {KEY_CHARS} characters (Z85)")
