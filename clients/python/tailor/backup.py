# SPDX-License-Identifier: Apache-2.0
"""A backup of all that the daemon has stored, fetched into a file."""
from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Union

from . import tailor_pb2 as pb
from .call import Call, ProgressFn, Steps, as_nothing, giving_up
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

    with _open(to) as file:
        begun = yield Call("backup.begin", b"", read_begun, is_bounded=False)
        offset, is_last = 0, False
        try:
            while not is_last:
                where = pb.BackupRead(backup_id=begun.backup_id, offset=offset)
                piece = yield Call("backup.read", where.SerializeToString(), read_piece,
                                   is_bounded=False)
                if not piece.data and not piece.is_last:
                    raise Damaged("the daemon's reply: an empty piece of a backup")
                file.write(piece.data)
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
    return BackupReport(offset, tuple(warnings))


@contextlib.contextmanager
def _open(to: Target) -> Iterator[BinaryIO]:
    """A path gets its file at the end, durably, readable by its owner alone."""
    if not isinstance(to, (str, os.PathLike)):
        yield to
        return
    folder, name = os.path.split(os.path.abspath(os.fspath(to)))
    fd, part = tempfile.mkstemp(prefix=name + ".", suffix=".part", dir=folder)
    try:
        with open(fd, "wb") as file:
            yield file
            file.flush()
            os.fsync(fd)
        os.replace(part, os.path.join(folder, name))
    except BaseException:
        os.unlink(part)
        raise
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder_fd)
    finally:
        os.close(folder_fd)
