# SPDX-License-Identifier: Apache-2.0
"""tailor: ask a tailord for network designs from Python.

    import tailor

    with tailor.Client() as client:
        answer = client.design("nasbench201", "raspi4", max_latency_ms=20.0)
        print(answer.best["accuracy"], answer.best["latency_ms"])

`Client` blocks, `AsyncClient` is awaited; both have a method for each command of the command
line, with the same names and units. Tables are sequences of dictionaries; a missing number is
None. What fails raises a `TailorError`.
"""
from . import calls
from .aio import AsyncClient
from .call import Call
from .client import Client
from .errors import (Busy, Cancelled, Closed, Damaged, DeadlinePassed, Denied, Exists, Forked,
                     Invalid, LimitExceeded, NotFinite, NotFound, NotPossible, OutOfMemory,
                     SystemRefused, TailorError, Unreachable, WrongShape, WrongVersion)
from .jobs import Job
from .keys import Keys, key_pair, read_keys
from .results import (Answer, BackupReport, Evaluation, Front, ImportReport, Lowered, Network, Op,
                      Progress, TrainReport)
from .table import Cell, Column, Row, Table
from .version import __version__

__all__ = [
    "Answer", "AsyncClient", "BackupReport", "Busy", "Call", "Cancelled", "Cell", "Client",
    "Closed", "Column", "Damaged", "DeadlinePassed", "Denied", "Evaluation", "Exists", "Forked",
    "Front", "ImportReport", "Invalid", "Job", "Keys", "LimitExceeded", "Lowered", "Network",
    "NotFinite", "NotFound", "NotPossible", "Op", "OutOfMemory", "Progress", "Row",
    "SystemRefused", "Table", "TailorError", "TrainReport", "Unreachable", "WrongShape",
    "WrongVersion", "__version__", "calls", "key_pair", "read_keys",
]
