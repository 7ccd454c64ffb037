# SPDX-License-Identifier: Apache-2.0
"""What callers may give where the command line takes a file."""
from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Union

from .table import Table, csv_of

# A path (str or PathLike), the CSV text itself as bytes, or rows: a Table or dictionaries.
TableLike = Union[str, "os.PathLike[str]", bytes, Iterable[Mapping[str, object]]]

# A path (str or PathLike), the YAML text itself as bytes, or a dictionary of its keys.
YamlLike = Union[str, "os.PathLike[str]", bytes, Mapping[str, object]]

FEED_BYTES = 1024 * 1024


def read_table(given: TableLike, origin: str) -> tuple[str, bytes]:
    """The name for errors, and the CSV."""
    if isinstance(given, (str, os.PathLike)):
        with open(given, "rb") as file:
            return os.fspath(given), file.read()
    if isinstance(given, bytes):
        return origin, given
    names = given.names if isinstance(given, Table) else ()
    return origin, csv_of(list(given), names).encode()


def read_chunks(given: TableLike, origin: str) -> tuple[str, Iterator[bytes]]:
    """The same in pieces that the daemon takes; a file is not held in memory."""
    if isinstance(given, (str, os.PathLike)):
        open(given, "rb").close()  # what is wrong with the path is said before anything is sent
        return os.fspath(given), _chunks_of_file(given)
    origin, whole = read_table(given, origin)
    return origin, (whole[i:i + FEED_BYTES] for i in range(0, len(whole), FEED_BYTES))


def _chunks_of_file(path: str | os.PathLike[str]) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(FEED_BYTES):
            yield chunk


def read_yaml(given: YamlLike, origin: str) -> tuple[str, bytes]:
    """The name for errors, and the YAML. A dictionary is written as JSON, which YAML reads."""
    if isinstance(given, (str, os.PathLike)):
        with open(given, "rb") as file:
            return os.fspath(given), file.read()
    if isinstance(given, bytes):
        return origin, given
    return origin, json.dumps(given, ensure_ascii=False).encode()
