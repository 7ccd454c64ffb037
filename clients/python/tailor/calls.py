# SPDX-License-Identifier: Apache-2.0
"""Every method of the daemon as a value: what to send, and how to read the answer.

`Client` and `AsyncClient` have a method for each function here, with the same arguments. The
functions themselves are for `batch()`, which has many calls under way at once:

    limits = [0.5, 1.0, 2.0]
    answers = client.batch(
        calls.design("nasbench201", "board", max_latency_ms=limit) for limit in limits)

Names and units are those of the command line; an argument that is None is left to the daemon.
"""
from __future__ import annotations

import enum
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from . import tailor_pb2 as pb
from .errors import Damaged, TailorError
from .fleet import fleet_pieces
from .inputs import TableLike, YamlLike, read_chunks, read_table, read_yaml
from .results import (Answer, Evaluation, Front, ImportReport, Lowered, Network, Op, Progress,
                      TrainReport)
from .table import Table, joined, table_of

T = TypeVar("T")
ProgressFn = Callable[[Progress], None]


class Repeat(enum.Enum):
    """What becomes of a call whose answer was lost with the connection."""

    FREELY = enum.auto()  # it is asked again
    REMOVAL = enum.auto()  # asked again; one that finds nothing left did its work before
    NEVER = enum.auto()  # the caller decides


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request. read(reply, parts) makes its result of the final reply and the parts."""

    method: str
    body: bytes
    read: Callable[[Any, Sequence[bytes]], T]
    is_bounded: bool = True  # by the client's timeout; else it ends by itself
    repeat: Repeat = Repeat.FREELY
    progress: ProgressFn | None = None


# An exchange of several requests: yields calls, is sent their results, returns its own.
Steps = Generator[Call[Any], Any, T]

# ---- common shapes of answers --------------------------------------------------------------


def _nothing(reply: Any, parts: Sequence[bytes]) -> None:
    return None


def _table(reply: Any, parts: Sequence[bytes]) -> Table:
    tables = [table_of(pb.Table.FromString(part)) for part in parts]
    tables.append(table_of(pb.Table.FromString(reply.body), reply.warnings))
    return joined(tables)


def _text(reply: Any, parts: Sequence[bytes]) -> str:
    return str(pb.Text.FromString(reply.body).text)


def _name(reply: Any, parts: Sequence[bytes]) -> str:
    return str(pb.Name.FromString(reply.body).name)


def _answer(reply: Any, parts: Sequence[bytes]) -> Answer:
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


def _list(method: str) -> Call[Table]:
    return Call(method, b"", _table)


def _named(message: Any, name: str) -> bytes:
    return bytes(message(name=name).SerializeToString())


def _set(message: Any, **values: Any) -> Any:
    """Sets the fields that are given; has_NAME too where the message has it."""
    for name, value in values.items():
        if value is None:
            continue
        setattr(message, name, value)
        if "has_" + name in message.DESCRIPTOR.fields_by_name:
            setattr(message, "has_" + name, True)
    return message


# ---- spaces --------------------------------------------------------------------------------


def space_list() -> Call[Table]:
    """The known search spaces: space, kind, slots, designs, origin."""
    return _list("space.list")


def space_show(space: str) -> Call[str]:
    """The YAML that defines a space."""
    return Call("space.show", _named(pb.Name, space), _text)


def space_add(yaml: YamlLike) -> Call[str]:
    """Adds a space from its YAML (a path, the text as bytes, or a dictionary); its name."""
    origin, text = read_yaml(yaml, "space")
    return Call("space.add", pb.SpaceAddRequest(origin=origin, yaml=text).SerializeToString(),
                _name)


def space_remove(space: str, *, with_measurements: bool = False) -> Call[None]:
    """Removes an added space; NotPossible where it has measurements, unless told so."""
    message = pb.SpaceRemoveRequest(name=space, with_measurements=with_measurements)
    return Call("space.remove", message.SerializeToString(), _nothing, repeat=Repeat.REMOVAL)


def space_lower(space: str, designs: TableLike) -> Call[Lowered]:
    """The networks that designs stand for, as lists of primitive operators."""
    origin, text = read_table(designs, "designs")
    message = pb.LowerRequest(space=space, origin=origin, designs_csv=text)

    def read(reply: Any, parts: Sequence[bytes]) -> Lowered:
        m = pb.LowerReply.FromString(reply.body)
        lowered = Lowered(table_of(m.designs), tuple(_network(n) for n in m.networks),
                          tuple(reply.warnings))
        if len(lowered.networks) != len(lowered.designs):
            raise Damaged(
                f"got {len(lowered.networks)} networks of {len(lowered.designs)} designs")
        return lowered

    return Call("space.lower", message.SerializeToString(), read)


def _network(m: Any) -> Network:
    return Network(m.in_ch, m.in_size, tuple(_op(i, op) for i, op in enumerate(m.ops)))


def _op(index: int, m: Any) -> Op:
    if any(i < -1 or i >= index for i in m.inputs):
        raise Damaged(f"operator {index} has the inputs {list(m.inputs)}")
    return Op(m.kind, m.in_ch, m.out_ch, m.in_size, m.out_size, m.kernel, m.stride, m.pad,
              m.groups, m.w_bits, m.a_bits, m.act, m.pre_act, m.has_bias, m.has_norm,
              m.is_reached, m.is_needed, tuple(m.inputs))


# ---- devices -------------------------------------------------------------------------------


def device_list() -> Call[Table]:
    """The known devices, shipped and registered."""
    return _list("device.list")


def device_show(device: str) -> Call[str]:
    """The profile of a device, as YAML."""
    return Call("device.show", _named(pb.Name, device), _text)


def device_add(profile: YamlLike | None = None, *, name: str | None = None) -> Call[str]:
    """Registers a profile (a path, YAML as bytes, or a dictionary of its keys), or replaces the
    one of that name; with name alone a device nothing is known of. Its name."""
    if (profile is None) == (name is None):
        raise ValueError("device_add: want either a profile or a name")
    if profile is None:
        return Call("device.add", _named(pb.DeviceAddRequest, name or ""), _name)
    origin, text = read_yaml(profile, "profile")
    return Call("device.add", pb.DeviceAddRequest(origin=origin, yaml=text).SerializeToString(),
                _name)


def device_remove(device: str) -> Call[None]:
    """Forgets a device and its measurements."""
    return Call("device.remove", _named(pb.Name, device), _nothing, repeat=Repeat.REMOVAL)


# ---- measurements --------------------------------------------------------------------------


def measure_import(
        space: str, table: TableLike, *,
        progress: ProgressFn | None = None) -> Steps[ImportReport]:
    """Stores every measurement of a table (a path, CSV as bytes, or rows), all or nothing.

    Durable once it returned. Not bounded by the timeout. A path is read piece by piece; progress
    is told the bytes sent."""
    origin, chunks = read_chunks(table, "table")
    begin = pb.ImportBegin(space=space, origin=origin).SerializeToString()
    import_id = yield Call("measure.begin", begin, _import_id)
    named = pb.ImportId(import_id=import_id).SerializeToString()
    done = 0
    started_s = time.monotonic()
    try:
        for sequence, chunk in enumerate(chunks):
            feed = pb.ImportFeed(import_id=import_id, sequence=sequence, csv=chunk)
            yield Call("measure.feed", feed.SerializeToString(), _nothing, is_bounded=False)
            done += len(chunk)
            if progress is not None:
                progress(Progress("bytes", done, 0, time.monotonic() - started_s, 0))
        report: ImportReport = yield Call(
            "measure.commit", named, _report, is_bounded=False, repeat=Repeat.NEVER)
    except (GeneratorExit, TailorError):
        raise  # a daemon that refused it has dropped it
    except BaseException:
        yield Call("measure.abort", named, _nothing)
        raise
    return report


def _import_id(reply: Any, parts: Sequence[bytes]) -> int:
    return int(pb.ImportId.FromString(reply.body).import_id)


def _report(reply: Any, parts: Sequence[bytes]) -> ImportReport:
    m = pb.ImportReport.FromString(reply.body)
    return ImportReport(
        m.n_rows, m.n_designs, m.n_values, m.n_replaced, m.n_duplicate_rows,
        tuple(m.new_devices), tuple(m.columns), tuple(reply.warnings))


def measure_suggest(
        space: str, device: str, count: int, *, candidates: TableLike | None = None,
        seed: int | None = None) -> Call[Table]:
    """The designs whose measurement would teach most, with an empty latency_ms@DEVICE."""
    message = pb.SuggestRequest(space=space, device=device, count=count)
    if candidates is not None:
        message.origin, message.candidates_csv = read_table(candidates, "candidates")
    _set(message, seed=seed)
    return Call("measure.suggest", message.SerializeToString(), _table)


def measure_export(space: str, device: str | None = None) -> Call[Table]:
    """The stored measurements of a space, of one device where one is named."""
    message = _set(pb.ExportRequest(space=space), device=device)
    return Call("measure.export", message.SerializeToString(), _table)


# ---- training, evaluation ------------------------------------------------------------------


def train(
        space: str, *, devices: Sequence[str] | None = None, tasks: Sequence[str] | None = None,
        effort: str | None = None, seed: int | None = None,
        progress: ProgressFn | None = None) -> Call[TrainReport]:
    """Fits the predictors and the optimizer of a space to its stored measurements.

    devices: exactly these sources; None: the shipped ones and all that is stored. effort: of the
    optimizer, "none", "quick" or "long". Returns when the new model is stored; not bounded by the
    timeout. progress may cancel it: client.job_cancel(p.job_id)."""
    message = pb.TrainRequest(
        space=space, devices=_words(devices), has_devices=devices is not None,
        tasks=_words(tasks), has_tasks=tasks is not None)
    _set(message, effort=effort, seed=seed)

    def read(reply: Any, parts: Sequence[bytes]) -> TrainReport:
        m = pb.TrainReply.FromString(reply.body)
        return TrainReport(m.model, table_of(m.report), tuple(m.notes), tuple(reply.warnings))

    return Call("train.run", message.SerializeToString(), read, is_bounded=False,
                repeat=Repeat.NEVER, progress=progress)


def evaluate(
        space: str, *, subjects: Sequence[str] | None = None,
        methods: Sequence[str] | None = None, metric: str | None = None,
        samples: int | None = None, seed: int | None = None,
        progress: ProgressFn | None = None) -> Call[Evaluation]:
    """Grades the predictors of a space on its stored measurements; not bounded by the timeout.

    subjects: devices, or tasks where metric is "accuracy"."""
    message = pb.EvaluateRequest(
        space=space, subjects=_words(subjects), methods=_words(methods))
    _set(message, metric=metric, samples=samples, seed=seed)

    def read(reply: Any, parts: Sequence[bytes]) -> Evaluation:
        m = pb.EvaluateReply.FromString(reply.body)
        return Evaluation(table_of(m.figures), table_of(m.curves), tuple(m.notes),
                          tuple(reply.warnings))

    return Call("evaluate.run", message.SerializeToString(), read, is_bounded=False,
                progress=progress)


def _words(names: Sequence[str] | None) -> list[str]:
    if isinstance(names, str):
        raise TypeError(f"got the text {names!r}, want a sequence of names")
    return list(names or ())


# ---- predictions and designs ---------------------------------------------------------------


def predict(
        space: str, device: str, designs: TableLike, *, task: str | None = None) -> Call[Answer]:
    """Latency, energy and accuracy of designs on a device, with standard deviations; a row for
    each design, in their order, None where nothing is known."""
    origin, text = read_table(designs, "designs")
    message = pb.PredictRequest(space=space, device=device, origin=origin, designs_csv=text)
    _set(message, task=task)
    return Call("predict.run", message.SerializeToString(), _answer)


def design(
        space: str, device: str, *, task: str | None = None, max_latency_ms: float | None = None,
        max_energy_mj: float | None = None, min_accuracy: float | None = None,
        confidence: float | None = None, maximize: str | None = None,
        minimize: str | None = None, weight_latency: float | None = None,
        weight_energy: float | None = None, count: int | None = None, propose: int | None = None,
        with_infeasible: bool = False, method: str | None = None, budget_us: int | None = None,
        explain: bool = False, seed: int | None = None) -> Call[Answer]:
    """The best designs for a device under limits, best first.

    propose: so many designs most worth measuring instead, as a table to fill in and import.
    explain: fills operators and slots of the answer. An answer that is_infeasible holds the
    nearest design."""
    message = pb.DesignRequest(
        space=space, device=device, with_infeasible=with_infeasible, explain=explain)
    _set(message, task=task, maximize=maximize, minimize=minimize, count=count, propose=propose,
         method=method, budget_us=budget_us, seed=seed)
    _set(message.limits, max_latency_ms=max_latency_ms, max_energy_mj=max_energy_mj,
         min_accuracy=min_accuracy, confidence=confidence)
    _set(message.weights, latency=weight_latency, energy=weight_energy)
    return Call("design.run", message.SerializeToString(), _answer)


def pareto(
        space: str, device: str, *, task: str | None = None, max_latency_ms: float | None = None,
        max_energy_mj: float | None = None, min_accuracy: float | None = None,
        confidence: float | None = None, minimize: str | None = None, points: int | None = None,
        budget_us: int | None = None, seed: int | None = None) -> Call[Answer]:
    """The predicted Pareto front of accuracy against latency, or energy where minimize says
    "energy_mj"; cheapest first. The answer has its front."""
    message = pb.ParetoRequest(space=space, device=device)
    _set(message, task=task, minimize=minimize, points=points, budget_us=budget_us, seed=seed)
    _set(message.limits, max_latency_ms=max_latency_ms, max_energy_mj=max_energy_mj,
         min_accuracy=min_accuracy, confidence=confidence)
    return Call("pareto.run", message.SerializeToString(), _answer)


def proxy(
        space: str, device: str, *, task: str | None = None, metric: str | None = None,
        points: int | None = None, seed: int | None = None) -> Call[Answer]:
    """How well known devices rank designs as this one does, best first; with points the designs
    of the best one's front instead."""
    message = pb.ProxyRequest(space=space, device=device)
    _set(message, task=task, metric=metric, points=points, seed=seed)
    return Call("proxy.run", message.SerializeToString(), _answer)


def fleet(
        space: str, devices: TableLike, *, task: str | None = None,
        max_latency_ms: float | None = None, max_energy_mj: float | None = None,
        min_accuracy: float | None = None, confidence: float | None = None,
        maximize: str | None = None, minimize: str | None = None,
        weight_latency: float | None = None, weight_energy: float | None = None,
        method: str | None = None, seed: int | None = None) -> Iterator[Call[Table]]:
    """One design for each row of a table of devices, in its order.

    A row names a registered device (column device) or describes one by profile keys, nested ones
    dotted (peak_gflops.fp32); columns named like the limits replace them for their row. What is
    wrong with a row stands in its error, which is "" on success."""
    message = pb.FleetRequest(space=space)
    _set(message, task=task, maximize=maximize, minimize=minimize, method=method, seed=seed)
    _set(message.limits, max_latency_ms=max_latency_ms, max_energy_mj=max_energy_mj,
         min_accuracy=min_accuracy, confidence=confidence)
    _set(message.weights, latency=weight_latency, energy=weight_energy)

    def read(reply: Any, parts: Sequence[bytes]) -> Table:
        return table_of(pb.FleetReply.FromString(reply.body).table, reply.warnings)

    for piece in fleet_pieces(devices):
        message.origin, message.csv, message.first_line = piece.origin, piece.csv, piece.first_line
        yield Call("fleet.run", message.SerializeToString(), read, is_bounded=False)


# ---- what the daemon holds and does --------------------------------------------------------


def model_list() -> Call[Table]:
    """The model in use for each space."""
    return _list("model.list")


def model_show(space: str) -> Call[str]:
    """A space's model: known devices, tasks, held-out figures, provenance."""
    return Call("model.show", _named(pb.Name, space), _text)


def job_list() -> Call[Table]:
    """The jobs that run and those that ended last."""
    return _list("job.list")


def job_cancel(job_id: int) -> Call[None]:
    """Asks a job to end."""
    return Call("job.cancel", pb.JobId(job_id=job_id).SerializeToString(), _nothing)


def status() -> Call[Table]:
    """What the daemon is and holds: name, value."""
    return _list("status.get")
