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

import functools
import itertools
import time
from collections.abc import Sequence
from typing import Any

from . import tailor_pb2 as pb
from .backup import backup
from .call import (Blocking, Call, ProgressFn, Steps, as_answer, as_name, as_nothing, as_table,
                   as_text, asking_for_table, giving_up, name_body, put)
from .errors import Damaged
from .fleet import FleetRun
from .inputs import TableLike, YamlLike, read_chunks, read_table, read_yaml
from .jobs import (evaluate, evaluate_start, job_cancel, job_follow, job_list, job_show, train,
                   train_start)
from .results import Answer, ImportReport, Lowered, Network, Op, Progress
from .table import Table, joined, table_of

__all__ = [
    "Call", "backup", "design", "device_add", "device_list", "device_page", "device_remove",
    "device_show", "evaluate", "evaluate_start", "fleet", "job_cancel", "job_follow",
    "job_list", "job_show", "measure_export", "measure_import", "measure_suggest", "model_list",
    "model_show", "pareto", "predict", "proxy", "space_add", "space_list", "space_lower",
    "space_remove", "space_show", "status", "train", "train_start",
]

PAGE_ROWS = 8192

# ---- spaces --------------------------------------------------------------------------------


def space_list() -> Call[Table]:
    """The known search spaces: space, kind, slots, designs, origin."""
    return asking_for_table("space.list")


def space_show(space: str) -> Call[str]:
    """The YAML that defines a space."""
    return Call("space.show", name_body(pb.Name, space), as_text)


def space_add(yaml: YamlLike) -> Call[str]:
    """Adds a space from its YAML (a path, the text as bytes, or a dictionary); its name."""
    origin, text = read_yaml(yaml, "space")
    return Call("space.add", pb.SpaceAddRequest(origin=origin, yaml=text).SerializeToString(),
                as_name)


def space_remove(space: str, *, with_measurements: bool = False) -> Call[None]:
    """Removes an added space; NotPossible where it has measurements, unless told so."""
    message = pb.SpaceRemoveRequest(name=space, with_measurements=with_measurements)
    return Call("space.remove", message.SerializeToString(), as_nothing)


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


def device_list(prefix: str = "") -> Steps[Table]:
    """The known devices, shipped and registered, in the byte order of their names: device, class,
    condition, ... With prefix those whose names begin so. A million fit: they come in pages."""
    pages: list[Table] = []
    after = ""
    while True:
        page: Table = yield device_page(prefix, after, PAGE_ROWS)
        # A daemon that knows no pages answers with all devices, whatever is asked for.
        is_behind = bool(page.rows) and str(page[0]["device"]).encode() > after.encode()
        if is_behind or not pages:
            pages.append(page)
        if not is_behind or len(page) != PAGE_ROWS:
            return joined(pages)
        after = str(page[-1]["device"])


def device_page(prefix: str = "", after: str = "", limit: int = 0) -> Call[Table]:
    """At most limit of them, of names behind after; a page with fewer rows is the last. limit 0:
    all, LimitExceeded beyond 65,536."""
    message = pb.DeviceListRequest(prefix=prefix, after=after, limit=limit)
    return Call("device.list", message.SerializeToString(), as_table)


def device_show(device: str) -> Call[str]:
    """The profile of a device, as YAML."""
    return Call("device.show", name_body(pb.Name, device), as_text)


def device_add(profile: YamlLike | None = None, *, name: str | None = None) -> Call[str]:
    """Registers a profile (a path, YAML as bytes, or a dictionary of its keys), or replaces the
    one of that name; with name alone a device nothing is known of. Its name."""
    if (profile is None) == (name is None):
        raise ValueError("device_add: want either a profile or a name")
    if profile is None:
        return Call("device.add", name_body(pb.DeviceAddRequest, name or ""), as_name)
    origin, text = read_yaml(profile, "profile")
    return Call("device.add", pb.DeviceAddRequest(origin=origin, yaml=text).SerializeToString(),
                as_name)


def device_remove(device: str) -> Call[None]:
    """Forgets a device and its measurements."""
    return Call("device.remove", name_body(pb.Name, device), as_nothing)


# ---- measurements --------------------------------------------------------------------------


def measure_import(
        space: str, table: TableLike, *,
        progress: ProgressFn | None = None) -> Steps[ImportReport]:
    """Stores every measurement of a table (a path, CSV as bytes, or rows), all or nothing.

    Durable once it returned. Not bounded by the timeout. A path is read piece by piece; progress
    is told the bytes sent. Where Unreachable leaves open whether it was stored, importing the
    table again does no harm."""
    origin, chunks = read_chunks(table, "table")
    begin = pb.ImportBegin(space=space, origin=origin).SerializeToString()
    import_id = yield Call("measure.begin", begin, _import_id)
    open_import = pb.ImportId(import_id=import_id).SerializeToString()
    done = 0
    started_s = time.monotonic()
    try:
        for sequence in itertools.count():
            chunk: bytes = yield Blocking(functools.partial(next, chunks, b""))
            if not chunk:
                break
            feed = pb.ImportFeed(import_id=import_id, sequence=sequence, csv=chunk)
            yield Call("measure.feed", feed.SerializeToString(), as_nothing, is_bounded=False)
            done += len(chunk)
            if progress is not None:
                progress(Progress("bytes", done, 0, time.monotonic() - started_s, 0))
        report: ImportReport = yield Call(
            "measure.commit", open_import, _report, is_bounded=False)
    except GeneratorExit:
        raise  # nothing can be asked any more
    except BaseException:
        # Else it keeps its place; a mistake in the table has ended it already.
        yield from giving_up(Call("measure.abort", open_import, as_nothing))
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
    put(message, seed=seed)
    return Call("measure.suggest", message.SerializeToString(), as_table)


def measure_export(space: str, device: str | None = None) -> Call[Table]:
    """The stored measurements of a space, of one device where one is named."""
    message = put(pb.ExportRequest(space=space), device=device)
    return Call("measure.export", message.SerializeToString(), as_table)


# ---- predictions and designs ---------------------------------------------------------------


def predict(
        space: str, device: str, designs: TableLike, *, task: str | None = None) -> Call[Answer]:
    """Latency, energy and accuracy of designs on a device, with standard deviations; a row for
    each design, in their order, None where nothing is known."""
    origin, text = read_table(designs, "designs")
    message = pb.PredictRequest(space=space, device=device, origin=origin, designs_csv=text)
    put(message, task=task)
    return Call("predict.run", message.SerializeToString(), as_answer)


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
    put(message, task=task, maximize=maximize, minimize=minimize, count=count, propose=propose,
         method=method, budget_us=budget_us, seed=seed)
    put(message.limits, max_latency_ms=max_latency_ms, max_energy_mj=max_energy_mj,
         min_accuracy=min_accuracy, confidence=confidence)
    put(message.weights, latency=weight_latency, energy=weight_energy)
    return Call("design.run", message.SerializeToString(), as_answer)


def pareto(
        space: str, device: str, *, task: str | None = None, max_latency_ms: float | None = None,
        max_energy_mj: float | None = None, min_accuracy: float | None = None,
        confidence: float | None = None, minimize: str | None = None, points: int | None = None,
        budget_us: int | None = None, seed: int | None = None) -> Call[Answer]:
    """The predicted Pareto front of accuracy against latency, or energy where minimize says
    "energy_mj"; cheapest first. The answer has its front. Without an accuracy model it is the
    cheapest design alone, with a warning and no front."""
    message = pb.ParetoRequest(space=space, device=device)
    put(message, task=task, minimize=minimize, points=points, budget_us=budget_us, seed=seed)
    put(message.limits, max_latency_ms=max_latency_ms, max_energy_mj=max_energy_mj,
         min_accuracy=min_accuracy, confidence=confidence)
    return Call("pareto.run", message.SerializeToString(), as_answer)


def proxy(
        space: str, device: str, *, task: str | None = None, metric: str | None = None,
        points: int | None = None, seed: int | None = None) -> Call[Answer]:
    """How well known devices rank designs as this one does, best first; with points the designs
    of the best one's front instead."""
    message = pb.ProxyRequest(space=space, device=device)
    put(message, task=task, metric=metric, points=points, seed=seed)
    return Call("proxy.run", message.SerializeToString(), as_answer)


def fleet(
        space: str, devices: TableLike, *, task: str | None = None,
        max_latency_ms: float | None = None, max_energy_mj: float | None = None,
        min_accuracy: float | None = None, confidence: float | None = None,
        maximize: str | None = None, minimize: str | None = None,
        weight_latency: float | None = None, weight_energy: float | None = None,
        method: str | None = None, seed: int | None = None) -> FleetRun:
    """One design for each row of a table of devices, in its order.

    A row names a registered device (column device) or describes one by profile keys, nested ones
    dotted (peak_gflops.fp32); columns named like the limits replace them for their row. What is
    wrong with a row stands in its error, which is "" on success. Without an accuracy model, and
    where nothing else is asked for, the latency is minimized, with a warning. A long table is a
    job, in job_list() as long as it is iterated."""
    message = pb.FleetRequest(space=space)
    put(message, task=task, maximize=maximize, minimize=minimize, method=method, seed=seed)
    put(message.limits, max_latency_ms=max_latency_ms, max_energy_mj=max_energy_mj,
         min_accuracy=min_accuracy, confidence=confidence)
    put(message.weights, latency=weight_latency, energy=weight_energy)
    return FleetRun(message, devices)


# ---- what the daemon holds and does --------------------------------------------------------


def model_list() -> Call[Table]:
    """The model in use for each space."""
    return asking_for_table("model.list")


def model_show(space: str) -> Call[str]:
    """A space's model: known devices, tasks, held-out figures, provenance."""
    return Call("model.show", name_body(pb.Name, space), as_text)


def status() -> Call[Table]:
    """What the daemon is and holds: name, value."""
    return asking_for_table("status.get")
