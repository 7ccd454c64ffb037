# SPDX-License-Identifier: Apache-2.0
"""What a call is, and what many of them share."""
from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, Union

from . import tailor_pb2 as pb
from .errors import TailorError
from .results import Answer, Front, Progress
from .table import Table, joined, table_of

T = TypeVar("T")
ProgressFn = Callable[[Progress], None]


class Repeat(enum.Enum):
    """What becomes of a call whose answer was lost with the connection."""

    FREELY = enum.auto()  # it is asked again
    REMOVAL = enum.auto()  # asked again; one that finds nothing left did its work before
    NEVER = enum.auto()  # the caller decides


# What is not listed may be repeated, as the protocol promises. A training takes hours maybe; after
# a commit whose answer was lost the import is gone from the daemon, whatever became of it.
REPEATS = {
    "backup.end": Repeat.REMOVAL,
    "device.remove": Repeat.REMOVAL,
    "measure.commit": Repeat.NEVER,
    "space.remove": Repeat.REMOVAL,
    "train.run": Repeat.NEVER,
}


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request. read(reply, parts) makes its result of the final reply and the parts."""

    method: str
    body: bytes
    read: Callable[[Any, Sequence[bytes]], T]
    is_bounded: bool = True  # by the client's timeout; else it ends by itself
    timeout_ms: int | None = None  # None: the client's
    progress: ProgressFn | None = None
    is_urgent: bool = False  # ends something: asked at once, however many are under way

    @property
    def repeat(self) -> Repeat:
        return REPEATS.get(self.method, Repeat.FREELY)


@dataclass(frozen=True)
class Pause:
    """Between two calls."""

    seconds: float


@dataclass(frozen=True)
class Blocking:
    """Work on a file, which may take a while: not for the thread that serves tasks."""

    run: Callable[[], Any]


# An exchange of several requests: yields calls, pauses and work, is sent their results or thrown
# their errors, returns its own result.
Steps = Generator[Union[Call[Any], Pause, Blocking], Any, T]

GIVE_UP_MS = 1_000


def giving_up(call: Call[None]) -> Steps[None]:
    """Tells the daemon that something it holds is not wanted any more, where it listens. Whoever
    does so has an error at hand that says more than any of this."""
    try:
        yield dataclasses.replace(call, timeout_ms=GIVE_UP_MS, is_urgent=True)
    except TailorError:
        pass


# ---- common shapes of answers --------------------------------------------------------------


def as_nothing(reply: Any, parts: Sequence[bytes]) -> None:
    return None


def as_table(reply: Any, parts: Sequence[bytes]) -> Table:
    tables = [table_of(pb.Table.FromString(part)) for part in parts]
    tables.append(table_of(pb.Table.FromString(reply.body), reply.warnings))
    return joined(tables)


def as_text(reply: Any, parts: Sequence[bytes]) -> str:
    return str(pb.Text.FromString(reply.body).text)


def as_name(reply: Any, parts: Sequence[bytes]) -> str:
    return str(pb.Name.FromString(reply.body).name)


def as_answer(reply: Any, parts: Sequence[bytes]) -> Answer:
    m = pb.Answer.FromString(reply.body)
    front = m.front
    return Answer(
        table=table_of(m.table, reply.warnings), is_infeasible=m.is_infeasible, model=m.model,
        task=m.task, method=m.method, n_evaluations=m.n_evaluations,
        operators=table_of(m.operators) if m.HasField("operators") else None,
        slots=table_of(m.slots) if m.HasField("slots") else None,
        front=Front(front.cost, front.hypervolume, front.hypervolume_low, front.hypervolume_high,
                    front.corner_cost, front.corner_accuracy) if m.HasField("front") else None,
        warnings=tuple(reply.warnings))


def asking_for_table(method: str) -> Call[Table]:
    return Call(method, b"", as_table)


def name_body(message: Any, name: str) -> bytes:
    return bytes(message(name=name).SerializeToString())


def put(message: Any, **values: Any) -> Any:
    """Sets the fields that are given; has_NAME too where the message has it."""
    for name, value in values.items():
        if value is None:
            continue
        setattr(message, name, value)
        if "has_" + name in message.DESCRIPTOR.fields_by_name:
            setattr(message, "has_" + name, True)
    return message
