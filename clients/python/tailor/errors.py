# SPDX-License-Identifier: Apache-2.0
"""What a call raises: one class for each error of the protocol.

The numbers and names are those of docs/protocol.md and never change. Every exception has
``code`` (3), ``name`` ("ENOTFOUND") and ``detail``, the daemon's one line for a person.
"""
from __future__ import annotations

from typing import ClassVar


class TailorError(Exception):
    """A call that failed; the base of all that this package raises about the daemon."""

    default_code: ClassVar[int] = -1
    default_name: ClassVar[str] = "EUNKNOWN"

    def __init__(self, detail: str, code: int | None = None, name: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = self.default_code if code is None else code
        self.name = self.default_name if name is None else name

    def __str__(self) -> str:
        return self.detail or self.name

    def __reduce__(self) -> tuple[type[TailorError], tuple[str, int, str]]:
        return type(self), (self.detail, self.code, self.name)


class OutOfMemory(TailorError):
    """The daemon has no memory for it."""

    default_code, default_name = 1, "ENOMEM"


class Invalid(TailorError):
    """The request is not well formed, or a table or file in it is not."""

    default_code, default_name = 2, "EINVAL"


class NotFound(TailorError):
    """No such space, device, task, model, job or method."""

    default_code, default_name = 3, "ENOTFOUND"


class WrongShape(TailorError):
    """Array sizes do not agree."""

    default_code, default_name = 4, "ESHAPE"


class NotFinite(TailorError):
    """The computation produced a value that is not finite."""

    default_code, default_name = 5, "ENUMERIC"


class DeadlinePassed(TailorError):
    """The daemon gave up at the deadline."""

    default_code, default_name = 6, "EDEADLINE"


class Denied(TailorError):
    """This client may not call this method."""

    default_code, default_name = 7, "EDENIED"


class SystemRefused(TailorError):
    """The daemon's system refused a read or a write."""

    default_code, default_name = 8, "EIO"


class Exists(TailorError):
    """There is one of that name already."""

    default_code, default_name = 9, "EEXISTS"


class Damaged(TailorError):
    """A file or message is damaged."""

    default_code, default_name = 10, "EDAMAGED"


class WrongVersion(TailorError):
    """A file or message is of another version."""

    default_code, default_name = 11, "EVERSION"


class Busy(TailorError):
    """Too much work is waiting; ask again later."""

    default_code, default_name = 12, "EBUSY"


class Cancelled(TailorError):
    """The work was cancelled."""

    default_code, default_name = 13, "ECANCELLED"


class Unreachable(TailorError):
    """No daemon answers, or not in time."""

    default_code, default_name = 14, "EUNREACHABLE"


class LimitExceeded(TailorError):
    """Larger than this installation accepts."""

    default_code, default_name = 15, "ELIMIT"


class NotPossible(TailorError):
    """Not possible in the present state."""

    default_code, default_name = 16, "ESTATE"


class Closed(Unreachable, ValueError):
    """The client was closed: no daemon was asked, and none will be."""


class Forked(NotPossible):
    """The client is another process's, which was forked; a child opens its own."""


BY_CODE: dict[int, type[TailorError]] = {
    kind.default_code: kind for kind in (
        OutOfMemory, Invalid, NotFound, WrongShape, NotFinite, DeadlinePassed, Denied,
        SystemRefused, Exists, Damaged, WrongVersion, Busy, Cancelled, Unreachable,
        LimitExceeded, NotPossible)}


def error_of(code: int, name: str, detail: str) -> TailorError:
    """The exception for an error on the wire; a TailorError where the number is new."""
    return BY_CODE.get(code, TailorError)(detail, code, name)
