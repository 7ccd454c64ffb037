# SPDX-License-Identifier: Apache-2.0
"""A table of devices in the pieces that the daemon takes, each with the header line."""
from __future__ import annotations

import csv
import io
import itertools
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

from . import tailor_pb2 as pb
from .call import Call, as_nothing
from .inputs import TableLike
from .table import Table, print_cell, table_of

# Enough rows to share the work on a piece, few enough that rows come steadily.
PIECE_ROWS = 256


@dataclass(frozen=True)
class Piece:
    origin: str
    first_line: int  # of its first row, in the whole table
    n_rows: int
    csv: bytes


def fleet_pieces(devices: TableLike) -> Iterator[Piece]:
    """The pieces; reads a path, or an iterable of dictionaries, only as far as it is asked."""
    if isinstance(devices, (str, os.PathLike)):
        with open(devices, encoding="utf-8-sig", newline="") as file:
            yield from _pieces_of_csv(file, os.fspath(devices))
    elif isinstance(devices, bytes):
        yield from _pieces_of_csv(io.StringIO(devices.decode("utf-8-sig"), newline=""), "devices")
    else:
        yield from _pieces_of_rows(devices)


def _pieces_of_csv(lines: Iterable[str], origin: str) -> Iterator[Piece]:
    reader = csv.reader(lines, strict=True)
    read = _rows_of(reader, origin)
    header: list[str] | None = None
    rows: list[list[str]] = []
    first_line, line = 2, 1
    n_sent = 0
    for fields in read:
        if not fields:
            pass  # an empty line is no row
        elif header is None:
            header = fields
        else:
            if not rows:
                first_line = line
            rows.append(fields)
            if len(rows) == PIECE_ROWS:
                yield _piece(origin, first_line, header, rows)
                rows, n_sent = [], n_sent + 1
        line = reader.line_num + 1
    # A header alone is asked about too: what is wrong with it is worth an error.
    if header is not None and (rows or not n_sent):
        yield _piece(origin, first_line, header, rows)
    elif header is None:
        yield Piece(origin, 1, 0, b"")


def _rows_of(reader: Any, origin: str) -> Iterator[list[str]]:
    """ValueError where the text is no CSV."""
    try:
        yield from reader
    except csv.Error as error:
        raise ValueError(f"{origin} line {reader.line_num}: {error}") from error


def _pieces_of_rows(devices: Iterable[Mapping[str, object]]) -> Iterator[Piece]:
    names: list[str] = list(devices.names) if isinstance(devices, Table) else []
    rows: list[list[str]] = []
    n_sent = 0
    for row in devices:
        if not names:
            names = list(row)
        unknown = [name for name in row if name not in names]
        if unknown:
            raise ValueError(f"a row has {unknown}, which the first row has not")
        rows.append([print_cell(row.get(name)) for name in names])
        if len(rows) == PIECE_ROWS:
            yield _piece("devices", n_sent + 2, names, rows)
            n_sent += len(rows)
            rows = []
    if rows:
        yield _piece("devices", n_sent + 2, names, rows)


def _piece(origin: str, first_line: int, header: Sequence[str], rows: list[list[str]]) -> Piece:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return Piece(origin, first_line, len(rows), out.getvalue().encode())


class FleetRun(Iterator[Call[Table]]):
    """The calls for a table of devices, a piece each. Where it has several pieces they are one job
    in job_list(), which job_cancel() ends; end() says that no more come."""

    def __init__(self, question: Any, devices: TableLike) -> None:
        self._question = question
        self._pieces = fleet_pieces(devices)
        self._n_given = 0
        self._is_begun = False
        self.reads_file = isinstance(devices, (str, os.PathLike))
        if not isinstance(devices, (str, bytes, os.PathLike)) and isinstance(devices, Sized):
            question.rows_total = len(devices)

    def _begin(self) -> None:
        ahead = list(itertools.islice(self._pieces, 2))
        if len(ahead) > 1:
            self._question.run = secrets.token_hex(16)
        self._pieces = itertools.chain(ahead, self._pieces)
        self._is_begun = True

    def __next__(self) -> Call[Table]:
        if not self._is_begun:
            self._begin()
        piece = next(self._pieces)
        message = self._question
        message.origin, message.csv, message.first_line = piece.origin, piece.csv, piece.first_line
        message.rows_before = self._n_given
        self._n_given += piece.n_rows
        return Call("fleet.run", message.SerializeToString(), _read_part, is_bounded=False)

    def end(self, *, is_given_up: bool) -> Call[None] | None:
        """What ends the job, for the daemon's list; None where there is none."""
        if not self._question.run or not self._n_given:
            return None
        end = pb.FleetRequest.GIVEN_UP if is_given_up else pb.FleetRequest.DONE
        message = pb.FleetRequest(
            space=self._question.space, run=self._question.run, run_end=end)
        return Call("fleet.run", message.SerializeToString(), as_nothing, is_urgent=True)


def _read_part(reply: Any, parts: Sequence[bytes]) -> Table:
    return table_of(pb.FleetReply.FromString(reply.body).table, reply.warnings)
