# SPDX-License-Identifier: Apache-2.0
"""What calls answer beside plain tables. Units stand in the names."""
from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from .table import Row, Table


@dataclass(frozen=True)
class Progress:
    """How far long work is; given to the progress function of a call."""

    what: str  # "source devices"
    done: int
    total: int  # 0: unknown
    elapsed_s: float
    job_id: int  # for job_cancel(); 0: no job


@dataclass(frozen=True)
class ImportReport:
    """What an import stored."""

    n_rows: int
    n_designs: int
    n_values: int
    n_replaced: int
    n_duplicate_rows: int
    new_devices: tuple[str, ...]
    columns: tuple[str, ...]  # the metric columns that were stored
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class BackupReport:
    """What a backup holds."""

    n_bytes: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainReport:
    """The new model, and its figures on held-out designs and devices."""

    model: str
    report: Table  # part, subject, figure, value, designs
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Front:
    """What a Pareto front covers; bounds at 90%."""

    cost: str  # "latency_ms" or "energy_mj"
    hypervolume: float  # cost units times points of accuracy
    hypervolume_low: float
    hypervolume_high: float
    corner_cost: float  # the corner that the volume is measured from
    corner_accuracy: float


@dataclass(frozen=True)
class Answer:
    """Designs, best first, or predictions in the order of the designs asked about."""

    table: Table
    is_infeasible: bool  # no design keeps the limits: the nearest is given
    model: str  # that answered, or "none"
    task: str  # the accuracy column that was used, or ""
    method: str
    n_evaluations: int
    operators: Table | None = None  # explained: what operators cost, dearest first
    slots: Table | None = None  # explained: what the second choice of each slot would change
    front: Front | None = None  # of pareto() alone, with an accuracy model
    warnings: tuple[str, ...] = ()

    @property
    def rows(self) -> list[Row]:
        return self.table.rows

    @property
    def designs(self) -> Table:
        """The slots alone, as predict() and measure_import() take them."""
        slots = tuple(itertools.takewhile(lambda c: c.name != "latency_ms", self.table.columns))
        return Table(slots, [{c.name: row[c.name] for c in slots} for row in self.table.rows])

    @property
    def best(self) -> Row:
        """The first row; IndexError where there is none."""
        return self.table.rows[0]


@dataclass(frozen=True)
class Evaluation:
    """Grades of the predictors; docs/evaluate.md explains each figure."""

    figures: Table
    curves: Table  # curve, subject, method, set, x, y
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Op:
    """One primitive operator of a network."""

    kind: str  # "conv", "pool_avg", ...
    in_ch: int
    out_ch: int
    in_size: int
    out_size: int
    kernel: int
    stride: int
    pad: int
    groups: int
    w_bits: int
    a_bits: int
    act: str  # applied to the output
    pre_act: str  # applied to the input
    has_bias: bool
    has_norm: bool
    is_reached: bool
    is_needed: bool
    inputs: tuple[int, ...]  # indices of earlier operators; -1 is the image


@dataclass(frozen=True)
class Network:
    in_ch: int
    in_size: int
    ops: tuple[Op, ...] = field(repr=False)


@dataclass(frozen=True)
class Lowered:
    """Designs and the networks that they stand for, one a row."""

    designs: Table
    networks: tuple[Network, ...]
    warnings: tuple[str, ...] = ()
