# SPDX-License-Identifier: Apache-2.0
"""A backup of all that the daemon has stored, fetched into a file."""
from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import time
from collections.abc import Sequence
from typing import Any, BinaryIO, Union

from . import tailor_pb2 as pb
from .call import Blocking, Call, ProgressFn, Steps, as_nothing, giving_up
from .errors import Damaged
from .results import BackupReport, Progress

# A path, which is written whole or not at all, or a file that is open for writing bytes.
Target = Union[str, "os.PathLike[str]", BinaryIO]


def backup(to: Target, *, progress: ProgressFn | None = None) -> Steps[BackupReport]:
    """Everything that the daemon has stored, as of now, into a file for `tailor restore`, which
    checks it; the daemon serves meanwhile. Not bounded by the timeout; asks for the role admin.
    Damaged values are left out and named in warnings."""
    started_s = time.monotonic()
    warnings: list[str] = []

    def read_begun(reply: Any, parts: Sequence[bytes]) -> Any:
        warnings.extend(reply.warnings)
        return pb.BackupBegun.FromString(reply.body)

    def read_piece(reply: Any, parts: Sequence[bytes]) -> Any:
        warnings.extend(reply.warnings)
        return pb.BackupPiece.FromString(reply.body)

    file: _Part | _Given = (
        _Part(to) if isinstance(to, (str, os.PathLike)) else _Given(to))
    try:
        yield Blocking(file.open)
        begun = yield Call("backup.begin", b"", read_begun, is_bounded=False)
        offset, is_last = 0, False
        try:
            while not is_last:
                where = pb.BackupRead(backup_id=begun.backup_id, offset=offset)
                piece = yield Call("backup.read", where.SerializeToString(), read_piece,
                                   is_bounded=False)
                if not piece.data and not piece.is_last:
                    raise Damaged("the daemon's reply: an empty piece of a backup")
                yield Blocking(functools.partial(file.write, piece.data))
                offset, is_last = offset + len(piece.data), piece.is_last
                if progress is not None:
                    progress(Progress("bytes", offset, max(offset, begun.about_bytes),
                                      time.monotonic() - started_s, 0))
        except GeneratorExit:
            raise  # nothing can be asked any more
        except BaseException:
            # Else it keeps space of the store for a while.
            end = pb.BackupEnd(backup_id=begun.backup_id)
            yield from giving_up(Call("backup.end", end.SerializeToString(), as_nothing))
            raise
        yield Blocking(file.keep)
    finally:
        file.drop()
    return BackupReport(offset, tuple(warnings))


class _Given:
    """A file of the caller's, who opened it and closes it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def open(self) -> None:
        pass

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def keep(self) -> None:
        pass

    def drop(self) -> None:
        pass


class _Part:
    """What becomes the file of a path at its end, durably, readable by its owner alone."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._folder, self._name = os.path.split(os.path.abspath(os.fspath(path)))
        self._path = ""  # of the part, while there is one
        self._file: BinaryIO | None = None

    def open(self) -> None:
        fd, self._path = tempfile.mkstemp(
            prefix=self._name + ".", suffix=".part", dir=self._folder)
        self._file = open(fd, "wb")

    def write(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write(data)

    def keep(self) -> None:
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._path, os.path.join(self._folder, self._name))
        self._path = ""
        folder_fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder_fd)
        finally:
            os.close(folder_fd)

    def drop(self) -> None:
        """What was not kept."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk was told before
                self._file.close()
        if self._path:
            os.unlink(self._path)
