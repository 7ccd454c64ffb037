# SPDX-License-Identifier: Apache-2.0
"""Tables, the answer of most calls: rows are plain dictionaries by column name."""
from __future__ import annotations

import csv
import importlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union, overload

from . import tailor_pb2 as pb
from .errors import Damaged

# Texts are str, numbers are float, a missing number is None.
Cell = Union[str, float, None]
Row = dict[str, Cell]


@dataclass(frozen=True)
class Column:
    """A column's name, whether it holds numbers, and the digits that the command line prints."""

    name: str
    is_number: bool
    digits: int = 0  # 0: as many as read back exactly


@dataclass
class Table(Sequence[Row]):
    """A sequence of rows with named columns.

    A row may be changed in place, to fill a table of designs in before it is imported:

        todo = client.measure_suggest("nasbench201", "board", 12)
        for row in todo:
            row["latency_ms@board"] = measure(row)
        client.measure_import("nasbench201", todo)
    """

    columns: tuple[Column, ...]
    rows: list[Row]
    warnings: tuple[str, ...] = field(default=())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> list[Cell]:
        """The cells of one column; KeyError where there is none of that name."""
        if name not in self.names:
            raise KeyError(name)
        return [row[name] for row in self.rows]

    def to_columns(self) -> dict[str, list[Cell]]:
        """A list for each column, by name."""
        return {name: self.column(name) for name in self.names}

    def to_numpy(self, names: Sequence[str] | None = None) -> Any:
        """An array [rows, columns] of the columns of numbers, or of those named; a missing number
        is NaN. Needs numpy."""
        wanted = [c.name for c in self.columns if c.is_number] if names is None else list(names)
        numpy = importlib.import_module("numpy")
        cells = [[math.nan if x is None else x for x in self.column(name)] for name in wanted]
        return numpy.array(cells, dtype=float).reshape(len(wanted), len(self.rows)).T

    def to_pandas(self) -> Any:
        """A DataFrame with these columns; a missing number is NaN. Needs pandas."""
        pandas = importlib.import_module("pandas")
        frame = pandas.DataFrame(self.rows, columns=list(self.names))
        return frame.astype({c.name: float for c in self.columns if c.is_number})

    def to_csv(self) -> str:
        """As `tailor` prints it: a header line, then a line a row; a missing number is empty."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.names)
        for row in self.rows:
            writer.writerow([print_cell(row.get(c.name), c.digits) for c in self.columns])
        return out.getvalue()

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)


def print_cell(value: object, digits: int = 0) -> str:
    """A cell of a CSV: numbers with so many significant digits, None and NaN as nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        if digits > 0:
            return f"{value:.{digits}g}"
        short = f"{value:.15g}"
        return short if float(short) == value else repr(value)
    return str(value)


def _cells_of(column: Any, n_rows: int) -> list[Cell]:
    if column.kind == pb.Column.TEXT:
        if len(column.index) != n_rows:
            raise Damaged(f"column {column.name}: got {len(column.index)} cells, want {n_rows}")
        words = list(column.dictionary)
        if any(i >= len(words) for i in column.index):
            raise Damaged(f"column {column.name}: points beyond its {len(words)} values")
        return [words[i] for i in column.index]
    if len(column.number) != n_rows:
        raise Damaged(f"column {column.name}: got {len(column.number)} cells, want {n_rows}")
    return [None if math.isnan(x) else x for x in column.number]


def table_of(message: Any, warnings: Sequence[str] = ()) -> Table:
    """A received table; Damaged where its sizes do not agree."""
    columns = tuple(Column(c.name, c.kind == pb.Column.NUMBER, c.digits) for c in message.columns)
    names = [column.name for column in columns]
    if len(set(names)) != len(names):
        raise Damaged(f"a table has two columns of one name: {names}")
    cells = [_cells_of(column, message.n_rows) for column in message.columns]
    if not columns and message.n_rows:
        raise Damaged(f"a table of {message.n_rows} rows without columns")
    return Table(columns, [dict(zip(names, row)) for row in zip(*cells)], tuple(warnings))


def joined(parts: Sequence[Table]) -> Table:
    """One table of the rows of all; Damaged where their columns differ."""
    whole = Table(parts[0].columns, list(parts[0].rows), parts[-1].warnings)
    for part in parts[1:]:
        if part.names != whole.names:
            raise Damaged(f"a part of the table has columns {part.names}, want {whole.names}")
        whole.rows.extend(part.rows)
    return whole


def csv_of(rows: Sequence[Mapping[str, object]], names: Sequence[str] = ()) -> str:
    """CSV of dictionaries, exactly; names first, then columns as they first appear."""
    names = list(dict.fromkeys([*names, *(name for row in rows for name in row)]))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([print_cell(row.get(name)) for name in names])
    return out.getvalue()
