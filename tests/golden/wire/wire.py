# SPDX-License-Identifier: Apache-2.0
"""Kept messages: reading and writing them, playing them to a daemon, comparing what comes back.

A message is kept as the bytes that were on the wire: `v1/NAME.request`, and `v1/NAME.reply` with
every reply behind its length (four bytes, little-endian). `v1/index.tsv` says what each is. Messages
that no daemon was made to say are in `v1/built/NAME.message`.
"""
import csv
import math
import os
import struct
import time
from typing import Any, NamedTuple

import zmq
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError

import tailor.tailor_pb2 as pb

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "v1")
INDEX = os.path.join(FOLDER, "index.tsv")
BUILT = os.path.join(FOLDER, "built")
SCHEMA = FOLDER + ".proto.txt"
COLUMNS = ["name", "method", "reply", "compared", "ids", "server", "what"]
PATIENCE_MS = 60_000
# Replies whose first field is an id that later requests name; of a table, its first number.
ID_OF = {"measure.begin": pb.ImportId, "job.start": pb.JobId, "backup.begin": pb.BackupBegun,
         "job.list": pb.Table}
NEAR = 0.25
SAME = 1e-9
# Texts for people, and what is of the moment: there or not there is all that is promised.
FREE = {"tailor.v1.Reply.error_detail", "tailor.v1.Reply.warnings", "tailor.v1.Answer.model",
        "tailor.v1.TrainReply.model", "tailor.v1.Progress.what", "tailor.v1.Progress.elapsed_s",
        "tailor.v1.Progress.job_id", "tailor.v1.Job.job_id", "tailor.v1.Job.error_detail",
        "tailor.v1.Job.queued_unix_s", "tailor.v1.Job.started_unix_s",
        "tailor.v1.Job.ended_unix_s", "tailor.v1.Job.reply"}
UNCOMPARED = {"tailor.v1.Reply.body", "tailor.v1.Reply.served_ns", "tailor.v1.Reply.request_id"}


class Kept(NamedTuple):
    name: str
    method: str
    reply: str  # the message in the body of the final reply, "" of an error
    compared: str
    ids: str
    server: str
    what: str

    @property
    def request(self) -> bytes:
        with open(os.path.join(FOLDER, self.name + ".request"), "rb") as file:
            return file.read()

    @property
    def replies(self) -> list[bytes]:
        with open(os.path.join(FOLDER, self.name + ".reply"), "rb") as file:
            data = file.read()
        found = []
        while data:
            n, = struct.unpack_from("<I", data)
            found.append(data[4:4 + n])
            data = data[4 + n:]
        return found


def read_index() -> list[Kept]:
    if not os.path.exists(INDEX):
        return []
    with open(INDEX, encoding="utf-8", newline="") as file:
        lines = [line for line in file if not line.startswith("#")]
    return [Kept(**row) for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]


def keep(kept: Kept, request: bytes, replies: list[bytes]) -> None:
    with open(os.path.join(FOLDER, kept.name + ".request"), "wb") as file:
        file.write(request)
    with open(os.path.join(FOLDER, kept.name + ".reply"), "wb") as file:
        for reply in replies:
            file.write(struct.pack("<I", len(reply)) + reply)


def write_index(rows: list[Kept]) -> None:
    with open(INDEX, "w", encoding="utf-8", newline="") as file:
        file.write("# Messages of protocol v1 as a daemon spoke it, in the order of one session;\n"
                   "# ../scenario.py tells how they are compared, ../record.py adds new ones.\n")
        for row in [COLUMNS] + [list(kept) for kept in rows]:
            file.write("\t".join(row) + "\n")


def read_built(name: str) -> bytes:
    with open(os.path.join(BUILT, name + ".message"), "rb") as file:
        return file.read()


def keep_built(name: str, message: bytes, force: bool) -> bool:
    """Whether it was written: what is kept stays, unless by force."""
    path = os.path.join(BUILT, name + ".message")
    if os.path.exists(path) and not force:
        return False
    os.makedirs(BUILT, exist_ok=True)
    with open(path, "wb") as file:
        file.write(message)
    return True


# ---- playing ---------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7f:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def with_number(message: bytes, field: int, number: int) -> bytes:
    """The message with another value of a number: the last one of a field counts."""
    return message + varint(field << 3) + varint(number)


def id_in(message: Any) -> int:
    first = message.ListFields()[0][1]
    return int(first[0].number[0]) if isinstance(message, pb.Table) else first


class Session:
    """One client of a server, and the ids that its replies gave."""

    def __init__(self, endpoint: str) -> None:
        self._context: Any = zmq.Context()
        self._socket: Any = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
        self._socket.connect(endpoint)
        self._ids: dict[str, int] = {}

    def close(self) -> None:
        self._socket.close(0)
        self._context.term()

    def play(self, kept: Kept, request: bytes) -> tuple[bytes, list[bytes]]:
        """What was sent, with the ids of this session, and the replies up to the final one."""
        if kept.ids:
            outer = pb.Request.FromString(request)
            outer.body = with_number(outer.body, 1, self._ids[kept.ids])
            request = outer.SerializeToString()
        replies = self._exchange(request)
        while kept.method == "job.show" and not pb.Job.FromString(
                pb.Reply.FromString(replies[-1]).body).is_ended:
            time.sleep(0.02)
            replies = self._exchange(request)
        message = ID_OF.get(kept.method)
        reply = pb.Reply.FromString(replies[-1])
        if message is not None and reply.error == 0:
            self._ids[kept.name] = id_in(message.FromString(reply.body))
        return request, replies

    def _exchange(self, request: bytes) -> list[bytes]:
        self._socket.send_multipart([b"", request])
        replies = []
        while not replies or pb.Reply.FromString(replies[-1]).kind != pb.Reply.FINAL:
            replies.append(self._socket.recv_multipart()[1])
        return replies


# ---- comparing -------------------------------------------------------------------------------


class Differs(Exception):
    """A reply does not hold what the kept one held."""


def fields_of(message: Any, later: set[str]) -> list[Any]:
    """Those that the kept message could say: not those that came later and are not set."""
    given = {field.name for field, _ in message.ListFields()}
    return [f for f in message.DESCRIPTOR.fields
            if f.name in given or (f.full_name not in later and f.containing_oneof is None
                                   and f.message_type is None)]


class Comparison:
    """Of one exchange. later: fields of the schema that were not in its first release."""

    def __init__(self, compared: str, later: set[str]) -> None:
        self.compared = compared
        self.later = later

    def same_number(self, old: float, new: float, where: str) -> None:
        if self.compared in ("shape", "names"):
            return
        tolerance = NEAR if self.compared in ("near", "like") else SAME
        if math.isnan(old) or math.isnan(new):
            is_same = math.isnan(old) and math.isnan(new)
        else:
            is_same = abs(old - new) <= tolerance * max(abs(old), abs(new), 1e-12)
        if not is_same:
            raise Differs(f"{where}: was {old!r}, is {new!r}")

    def value(self, field: Any, old: Any, new: Any, where: str) -> None:
        if field.message_type is not None:
            self.message(old, new, where)
        elif field.full_name in FREE:
            if bool(old) != bool(new):
                raise Differs(f"{where}: was {old!r}, is {new!r}")
        elif field.cpp_type in (FieldDescriptor.CPPTYPE_STRING,):
            if self.compared not in ("shape", "like", "names") and old != new:
                raise Differs(f"{where}: was {old!r}, is {new!r}")
        elif field.cpp_type in (FieldDescriptor.CPPTYPE_BOOL, FieldDescriptor.CPPTYPE_ENUM):
            if old != new:
                raise Differs(f"{where}: was {old!r}, is {new!r}")
        else:
            self.same_number(old, new, where)

    def message(self, old: Any, new: Any, where: str) -> None:
        if isinstance(old, pb.Table):
            self.table(old, new, where)
            return
        for field in fields_of(old, self.later):
            name = f"{where}.{field.name}"
            if field.full_name in UNCOMPARED:
                continue
            a, b = getattr(old, field.name), getattr(new, field.name)
            if field.label != FieldDescriptor.LABEL_REPEATED:
                if field.message_type is not None and not new.HasField(field.name):
                    raise Differs(f"{name}: is missing")
                self.value(field, a, b, name)
            elif self.compared in ("shape", "like", "names") or field.full_name in FREE:
                if bool(len(a)) != bool(len(b)):
                    raise Differs(f"{name}: had {len(a)}, has {len(b)}")
            else:
                if len(a) != len(b):
                    raise Differs(f"{name}: had {len(a)}, has {len(b)}")
                for i, (x, y) in enumerate(zip(a, b)):
                    self.value(field, x, y, f"{name}[{i}]")

    def table(self, old: Any, new: Any, where: str) -> None:
        """The columns of old, by name, kind and order; new ones may have come behind them."""
        heads = [(c.name, c.kind) for c in old.columns]
        got = [(c.name, c.kind) for c in new.columns]
        if got[:len(heads)] != heads:
            raise Differs(f"{where}: the columns were {heads}, are {got}")
        before, after = rows_of(old), rows_of(new, len(heads))
        if bool(before) != bool(after) or bool(old.n_rows) != bool(new.n_rows):
            raise Differs(f"{where}: had {len(before)} rows, has {len(after)}")
        if self.compared == "shape" or not before:
            return
        if self.compared in ("rows", "names"):
            n = len(heads) if self.compared == "rows" else 1
            there = {repr(row[:n]) for row in after}  # a missing number is no number
            lost = [row for row in before if repr(row[:n]) not in there]
            if lost:
                raise Differs(f"{where}: no such rows any more: {lost}")
            return
        if self.compared == "like":  # texts and what is between are the daemon's choice
            before, after = [before[0], before[-1]], [after[0], after[-1]]
        elif len(before) != len(after):
            raise Differs(f"{where}: had {len(before)} rows, has {len(after)}")
        for i, (a, b) in enumerate(zip(before, after)):
            for (name, kind), x, y in zip(heads, a, b):
                self.cell(name, kind, x, y, f"{where}[{i}].{name}")

    def cell(self, name: str, kind: int, old: Any, new: Any, where: str) -> None:
        if kind == pb.Column.TEXT:
            if self.compared != "like" and old != new:
                raise Differs(f"{where}: was {old!r}, is {new!r}")
        elif self.compared in ("near", "like") and ("std" in name or name.startswith("p_")):
            if math.isnan(old) != math.isnan(new):  # uncertainties of learnt numbers
                raise Differs(f"{where}: was {old!r}, is {new!r}")
        else:
            self.same_number(old, new, where)


def rows_of(table: Any, n: int | None = None) -> list[tuple[Any, ...]]:
    """Of the first n columns."""
    columns = [[c.dictionary[i] for i in c.index] if c.kind == pb.Column.TEXT else list(c.number)
               for c in table.columns[:n]]
    return list(zip(*columns))


def bodies(replies: list[bytes], reply: str) -> tuple[Any, list[Any], list[Any], list[Any]]:
    """The final envelope, the messages of PARTs and of the final reply, and progress."""
    envelopes = [pb.Reply.FromString(r) for r in replies]
    final = envelopes[-1]
    kind = getattr(pb, reply) if reply else None
    parts = [kind.FromString(e.body) for e in envelopes if e.kind == pb.Reply.PART]
    told = [pb.Progress.FromString(e.body) for e in envelopes if e.kind == pb.Reply.PROGRESS]
    whole = [kind.FromString(final.body)] if kind is not None else []
    return final, parts, whole, told


def compare(kept: Kept, request: bytes, replies: list[bytes], later: set[str]) -> None:
    """Raises Differs where replies do not hold what the kept ones held."""
    c = Comparison(kept.compared, later)
    exact = Comparison("exact", later)
    old, old_parts, old_whole, old_told = bodies(kept.replies, kept.reply)
    new, parts, whole, told = bodies(replies, kept.reply)
    exact.message(old, new, "Reply")
    if old.request_id != new.request_id:
        raise Differs(f"the request's id: was {old.request_id}, is {new.request_id}")
    if bool(old_told) != bool(told) or len(old_parts) != len(parts):
        raise Differs(f"had {len(old_parts)} PARTs and {len(old_told)} PROGRESS, has "
                      f"{len(parts)} and {len(told)}")
    for a, b in zip(old_parts + old_whole, parts + whole):
        c.message(a, b, a.DESCRIPTOR.name)


# ---- the schema ------------------------------------------------------------------------------


def schema_of_proto() -> list[str]:
    """Every field and value of an enumeration, as lines of v1.proto.txt."""
    lines = []

    def add(message: Any) -> None:
        for field in message.fields:
            kind = field.message_type or field.enum_type
            type_name = TYPES[field.type] if kind is None else kind.full_name
            repeated = "repeated" if field.label == FieldDescriptor.LABEL_REPEATED else "single"
            lines.append(f"field {field.full_name} {field.number} {type_name} {repeated}")
        for enum in message.enum_types:
            lines.extend(f"value {enum.full_name}.{v.name} {v.number}" for v in enum.values)
        for nested in message.nested_types:
            add(nested)

    for message in pb.DESCRIPTOR.message_types_by_name.values():
        add(message)
    return lines


TYPES = {getattr(FieldDescriptor, name): name[len("TYPE_"):].lower()
         for name in dir(FieldDescriptor) if name.startswith("TYPE_")}


def schema_of_document(text: str) -> list[str]:
    """Methods and errors, of docs/protocol.md, which is made from the daemon's tables."""
    lines = []
    for line in text.splitlines():
        cells = [cell.strip(" `") for cell in line.strip("|").split("|")]
        if len(cells) == 6 and "." in cells[0]:
            lines.append(f"method {cells[0]} {cells[1]} {cells[2]}")
        elif len(cells) == 3 and cells[0].isdigit():
            lines.append(f"error {cells[1]} {cells[0]}")
    return lines


def still_stands(line: str, now: list[str]) -> bool:
    """As it was; where a method had no fields, new ones count as added to Empty."""
    words = line.split()
    return line in now or words[0] == "method" and any(
        word[:2] == words[:2] and all(old in (new, "Empty") for old, new in
                                      zip(words[2:], word[2:]))
        for word in map(str.split, now))


LATER = "# later"


def read_schema() -> tuple[list[str], set[str]]:
    """The kept lines, and the full names of fields that came after the first release."""
    with open(SCHEMA, encoding="utf-8") as file:
        lines = file.read().splitlines()
    cut = lines.index(LATER)
    later = {line.split()[1] for line in lines[cut:] if line.startswith("field ")}
    return [line for line in lines if line and not line.startswith("#")], later


# ---- what is said ----------------------------------------------------------------------------


def add_said(message: Any, said: set[str]) -> None:
    """Adds the full names of its fields that are set, and of values of enumerations."""
    for field in message.DESCRIPTOR.fields:
        if field.enum_type is not None:
            value = field.enum_type.values_by_number[getattr(message, field.name)]
            said.add(f"{field.enum_type.full_name}.{value.name}")
    for field, value in message.ListFields():
        said.add(field.full_name)
        if field.message_type is not None:
            repeated = field.label == FieldDescriptor.LABEL_REPEATED
            for inner in value if repeated else [value]:
                add_said(inner, said)


def add_said_in_request(kept: Kept, requests: dict[str, Any], said: set[str]) -> None:
    request = pb.Request.FromString(kept.request)
    add_said(request, said)
    if request.method in requests:
        body = requests[request.method].FromString(request.body)
        add_said(body, said)
        if isinstance(body, pb.JobStart) and body.method in requests:
            add_said(requests[body.method].FromString(body.body), said)


def said_by_kept() -> set[str]:
    """Of the exchanges; a request that is no message says nothing."""
    lines = [line.split() for line in read_schema()[0]]
    requests = {line[1]: getattr(pb, line[2]) for line in lines if line[0] == "method"}
    said: set[str] = set()
    for kept in read_index():
        try:
            add_said_in_request(kept, requests, said)
        except DecodeError:
            pass
        _, parts, whole, told = bodies(kept.replies, kept.reply)
        for message in [pb.Reply.FromString(r) for r in kept.replies] + parts + whole + told:
            add_said(message, said)
    return said
