# SPDX-License-Identifier: Apache-2.0
"""What is kept of protocol v1: a session with a daemon that knows nothing but what it is told here.

EXCHANGES is in the order of the session. New ones come at the end, so that older ones find the
daemon as it was when they were recorded; record.py then keeps them. How a reply is compared with the
kept one:

    exact   numbers to the last digits
    near    numbers that were learnt: within a quarter, since predictors get better
    like    as near, of the first and the last row of a table; which designs is the daemon's choice
    rows    as exact, of the rows that the kept reply has; others may have come (lists)
    names   the first column of those rows alone
    shape   errors, names, columns and their order; values are of the moment

`ids` names the exchange whose reply gives this request's import_id, job_id or backup_id.

Every field of the schema is set in some kept message. BUILT, at the end, is of the few that a daemon
under test cannot be made to say every time in the same way.
"""
import itertools
from typing import Any, NamedTuple

import tailor.tailor_pb2 as pb

SLOTS = ["layer1", "layer2", "layer3", "layer4"]
WORK = {"plain": 4.0, "wide": 7.0, "fire": 2.0, "thin": 1.0}
SPACE_YAML = """\
name: golden
kind: chain
description: Four blocks of four operators, made for this session
input: {channels: 3, size: 16}
stem:
  - {op: conv, out: 8, kernel: 3, stride: 2, act: relu}
slot: layer{block}
stages:
  - {channels: 16, blocks: 2}
  - {channels: 32, blocks: 2, stride: 2}
options:
  - name: plain
    ops: [{op: conv, out: out, kernel: 3, stride: stride, act: relu}]
  - name: wide
    ops: [{op: conv, out: out, kernel: 5, stride: stride, act: relu}]
  - name: fire
    ops:
      - {op: conv, out: out / 2, kernel: 1, stride: stride, act: relu}
      - {op: conv, out: out, kernel: 3, act: relu}
  - name: thin
    ops:
      - {op: depthwise, kernel: 3, stride: stride, act: relu}
      - {op: conv, out: out, kernel: 1}
head:
  - {op: pool_global}
  - {op: dense, out: 10}
"""
OTHER_YAML = SPACE_YAML.replace("name: golden", "name: golden-other", 1)
PROFILE_YAML = """\
name: golden-board
class: cpu
cores: 4
clock_mhz: 1500
peak_gflops:
  fp32: 48
bandwidth_gb_per_s:
  dram: 6
"""
DESIGNS = list(itertools.product(WORK, repeat=len(SLOTS)))


def work(design: tuple[str, ...]) -> float:
    return 2.0 + sum(WORK[o] * (1.0 + 0.5 * (i % 2)) for i, o in enumerate(design))


def accuracy(design: tuple[str, ...]) -> float:
    return 92.0 - 40.0 * 0.97 ** (4.0 * sum(WORK[o] ** 0.5 for o in design))


def table(designs: Any, columns: dict[str, Any]) -> bytes:
    """Columns tell a design's number, or None: it is not measured."""
    lines = [",".join(SLOTS + list(columns))]
    for design in designs:
        numbers = [f(design) for f in columns.values()]
        values = ["" if number is None else "%.6g" % number for number in numbers]
        lines.append(",".join(list(design) + values))
    return ("\n".join(lines) + "\n").encode()


class Exchange(NamedTuple):
    name: str
    method: str
    body: Any            # a message, or bytes that are none
    what: str
    compared: str = "exact"
    ids: str = ""        # the exchange whose reply has the id
    server: str = "tailord"  # or "test": the methods of tests/daemon/serving.c
    envelope: Any = None  # other fields of the Request; bytes: the whole message


MEASURED = table(DESIGNS, {
    "latency_ms@golden-board": work,
    "latency_ms@golden-second": lambda d: 3.0 * work(d) + 0.5,
    "latency_ms@golden-third": lambda d: 0.4 * work(d) + 0.1,
    "energy_mj@golden-board": lambda d: 2.0 * work(d),
    "accuracy@golden-task": accuracy})
LIMITS = pb.Limits(has_max_latency_ms=True, max_latency_ms=20.0)
AT_HAND = {"space": "golden", "device": "golden-board"}
FLEET = b"""device,max_latency_ms
golden-board,20
golden-second,60
nobody,10
"""
SOME = table(DESIGNS[:3], {})

# A second space, for what the first was not asked.
OTHER = {"space": "golden-other", "device": "golden-board"}
SOME_THIRD = set(DESIGNS[::3])


def of_a_third(tell: Any) -> Any:
    return lambda d: tell(d) if d in SOME_THIRD else None


OTHER_MEASURED = table(DESIGNS, {
    "latency_ms@golden-board": work,
    "latency_ms@golden-second": of_a_third(lambda d: 3.0 * work(d) + 0.5),
    "latency_ms@golden-third": of_a_third(lambda d: 0.4 * work(d) + 0.1),
    "energy_mj@golden-board": lambda d: 2.0 * work(d),
    "energy_mj@golden-third": lambda d: 5.0 * work(d) + 1.0 if d in DESIGNS[:66] else None,
    "accuracy@golden-task": of_a_third(accuracy),
    "accuracy@golden-worse": of_a_third(lambda d: 0.4 * accuracy(d))})
OTHER_MORE = table(DESIGNS[:6:3] + DESIGNS[:1], {
    "latency_ms@golden-board": lambda d: 1.01 * work(d),
    "latency_ms@golden-few": work,
    "accuracy@golden-rare": accuracy})
RUN_ROWS = b"""device,max_latency_ms
golden-board,
golden-second,0.001
"""
RUN = {"space": "golden-other", "has_seed": True, "seed": 7}


def train_other(**fields: Any) -> pb.TrainRequest:
    return pb.TrainRequest(space="golden-other", has_seed=True, seed=7, effort="none", **fields)


EXCHANGES = [
    # Before anything is known.
    Exchange("status-empty", "status.get", pb.Empty(), "the names of a new daemon's status",
             "names"),
    Exchange("space-list-empty", "space.list", pb.Empty(), "a table without rows"),
    # Spaces.
    Exchange("space-add", "space.add", pb.SpaceAddRequest(origin="golden.yaml",
             yaml=SPACE_YAML.encode()), "a chain space from YAML"),
    Exchange("space-add-again", "space.add", pb.SpaceAddRequest(origin="golden.yaml",
             yaml=SPACE_YAML.encode()), "adding it again changes nothing"),
    Exchange("space-add-damaged", "space.add", pb.SpaceAddRequest(origin="x.yaml",
             yaml=b"name: [\n"), "EINVAL: no YAML"),
    Exchange("space-add-other", "space.add", pb.SpaceAddRequest(origin="other.yaml",
             yaml=OTHER_YAML.encode()), "one to remove"),
    Exchange("space-list", "space.list", pb.Empty(), "both", "rows"),
    Exchange("space-show", "space.show", pb.Name(name="golden"), "the YAML as it came"),
    Exchange("space-show-unknown", "space.show", pb.Name(name="nowhere"), "ENOTFOUND"),
    Exchange("space-remove", "space.remove", pb.SpaceRemoveRequest(name="golden-other"),
             "without measurements"),
    Exchange("space-lower", "space.lower", pb.LowerRequest(space="golden", origin="some.csv",
             designs_csv=SOME), "three designs as operators"),
    # Devices.
    Exchange("device-add", "device.add", pb.DeviceAddRequest(origin="board.yaml",
             yaml=PROFILE_YAML.encode()), "a profile"),
    Exchange("device-add-bare", "device.add", pb.DeviceAddRequest(name="golden-bare"), "a name"),
    Exchange("device-list", "device.list", pb.Empty(), "both", "rows"),
    Exchange("device-show", "device.show", pb.Name(name="golden-board"), "the profile as YAML",
             "shape"),
    Exchange("device-remove", "device.remove", pb.Name(name="golden-bare"), "the bare one"),
    Exchange("device-remove-unknown", "device.remove", pb.Name(name="golden-bare"),
             "removing it again"),
    # Measurements.
    Exchange("measure-begin", "measure.begin", pb.ImportBegin(space="golden", origin="golden.csv"),
             "an import opens", "shape"),
    Exchange("measure-feed", "measure.feed", pb.ImportFeed(sequence=0, csv=MEASURED[:4000]),
             "its first piece", ids="measure-begin"),
    Exchange("measure-feed-rest", "measure.feed", pb.ImportFeed(sequence=1, csv=MEASURED[4000:]),
             "its second", ids="measure-begin"),
    Exchange("measure-feed-gap", "measure.feed", pb.ImportFeed(sequence=7, csv=b"x"),
             "ESTATE: a piece is missing", ids="measure-begin"),
    Exchange("measure-commit", "measure.commit", pb.ImportId(), "stored", ids="measure-begin"),
    Exchange("measure-commit-closed", "measure.commit", pb.ImportId(),
             "ENOTFOUND: it is closed", ids="measure-begin"),
    Exchange("measure-begin-second", "measure.begin", pb.ImportBegin(space="golden"), "another",
             "shape"),
    Exchange("measure-abort", "measure.abort", pb.ImportId(), "forgotten",
             ids="measure-begin-second"),
    Exchange("measure-export", "measure.export", pb.ExportRequest(space="golden"),
             "every stored number"),
    Exchange("measure-export-device", "measure.export", pb.ExportRequest(
             space="golden", device="golden-third"), "of one device"),
    Exchange("space-remove-refused", "space.remove", pb.SpaceRemoveRequest(name="golden"),
             "ESTATE: it has measurements"),
    # Training and what it left.
    Exchange("train", "train.run", pb.TrainRequest(
             space="golden", has_seed=True, seed=7, effort="none"),
             "progress, then the report", "shape"),
    Exchange("model-list", "model.list", pb.Empty(), "the new model", "shape"),
    Exchange("model-show", "model.show", pb.Name(name="golden"), "what it is", "shape"),
    Exchange("job-list", "job.list", pb.Empty(), "the training, ended", "shape"),
    Exchange("job-cancel-unknown", "job.cancel", pb.JobId(job_id=4_000_000_000),
             "ENOTFOUND: no such job"),
    Exchange("job-cancel", "job.cancel", pb.JobId(job_id=1), "ESTATE: it has ended"),
    Exchange("measure-suggest", "measure.suggest", pb.SuggestRequest(
             count=3, has_seed=True, seed=7, **AT_HAND), "what to measure next", "shape"),
    Exchange("evaluate", "evaluate.run", pb.EvaluateRequest(
             space="golden", subjects=["golden-board"], methods=["head"], has_seed=True,
             seed=7, samples=20), "figures of one method", "shape"),
    # Answers.
    Exchange("predict", "predict.run", pb.PredictRequest(
             origin="some.csv", designs_csv=SOME, **AT_HAND), "three designs", "near"),
    Exchange("predict-no-design", "predict.run", pb.PredictRequest(
             designs_csv=b"colour\nred\n", **AT_HAND), "EINVAL: no column of the space"),
    Exchange("predict-unknown-space", "predict.run", pb.PredictRequest(
             space="nowhere", device="golden-board", designs_csv=SOME), "ENOTFOUND"),
    Exchange("design", "design.run", pb.DesignRequest(
             limits=LIMITS, count=2, has_seed=True, seed=7, explain=True, **AT_HAND),
             "the two best, explained", "like"),
    Exchange("design-weights", "design.run", pb.DesignRequest(
             weights=pb.Weights(has_latency=True, latency=0.5), has_seed=True, seed=7, **AT_HAND),
             "what a millisecond is worth", "like"),
    Exchange("design-infeasible", "design.run", pb.DesignRequest(
             limits=pb.Limits(has_max_latency_ms=True, max_latency_ms=0.001), **AT_HAND),
             "the nearest, marked", "like"),
    Exchange("design-propose", "design.run", pb.DesignRequest(
             limits=LIMITS, propose=3, has_seed=True, seed=7, **AT_HAND),
             "what to measure for it", "shape"),
    Exchange("pareto", "pareto.run", pb.ParetoRequest(
             points=5, has_seed=True, seed=7, **AT_HAND), "the front and its volume", "like"),
    Exchange("fleet", "fleet.run", pb.FleetRequest(
             space="golden", origin="fleet.csv", csv=FLEET, has_seed=True, seed=7),
             "three rows, one of them unknown", "like"),
    Exchange("proxy", "proxy.run", pb.ProxyRequest(has_seed=True, seed=7, **AT_HAND),
             "how known devices rank", "shape"),
    Exchange("proxy-points", "proxy.run", pb.ProxyRequest(
             has_seed=True, seed=7, points=3, **AT_HAND), "designs of the best one", "like"),
    Exchange("status", "status.get", pb.Empty(), "the names of the status", "names"),
    # The envelope.
    Exchange("envelope-garbage", "status.get", None, "EINVAL under id 0: no Request",
             envelope=b"\xff\xff\xff\xff"),
    Exchange("envelope-version", "status.get", pb.Empty(), "EVERSION: of another version",
             envelope={"protocol": 2}),
    Exchange("envelope-no-method", "status.got", pb.Empty(), "ENOTFOUND: no such method"),
    Exchange("envelope-body", "predict.run", b"\x0a\xff", "EINVAL: the body is no such message"),
    Exchange("envelope-utf8", "space.show", b"\x0a\x02\xc3\x28", "EINVAL: not UTF-8"),
    # Kinds of replies, from methods made for tests.
    Exchange("parts", "test.parts", pb.Empty(), "three PARTs of a table with PROGRESS between",
             server="test"),
    Exchange("warning", "test.echo", pb.Text(text="warn"), "a warning beside the answer",
             server="test"),
    Exchange("failure", "test.fail", pb.Text(text="more"), "a detail that was no UTF-8",
             server="test"),
    Exchange("deadline", "test.sleep", pb.Text(text="60000"), "EDEADLINE", server="test",
             envelope={"deadline_ms": 1}),
    # Jobs, backups, pages, heartbeats.
    Exchange("job-start", "job.start", pb.JobStart(method="train.run", token="golden-train", body=(
             pb.TrainRequest(space="golden", has_seed=True, seed=7, effort="none")
             .SerializeToString())), "a training", "shape"),
    Exchange("job-start-again", "job.start", pb.JobStart(
             method="train.run", token="golden-train", body=pb.TrainRequest(
                 space="golden", has_seed=True, seed=7, effort="none").SerializeToString()),
             "the same token: the same job", "shape"),
    Exchange("job-show", "job.show", pb.JobId(), "once it has ended", "shape", ids="job-start"),
    Exchange("job-start-evaluate", "job.start", pb.JobStart(
             method="evaluate.run", token="golden-evaluate", body=pb.EvaluateRequest(
                 space="golden", subjects=["golden-board"], methods=["head"], has_seed=True,
                 seed=7, samples=20).SerializeToString()), "an evaluation", "shape"),
    Exchange("job-show-evaluate", "job.show", pb.JobId(), "once it has ended", "shape",
             ids="job-start-evaluate"),
    Exchange("job-start-no-job", "job.start", pb.JobStart(method="status.get"),
             "refused: no method of jobs"),
    Exchange("job-list-one", "job.list", pb.JobListRequest(ended=1), "the newest", "shape"),
    Exchange("device-list-page", "device.list", pb.DeviceListRequest(prefix="golden-", limit=1),
             "one row of more"),
    Exchange("backup-begin", "backup.begin", pb.Empty(), "a backup opens", "shape"),
    Exchange("backup-read", "backup.read", pb.BackupRead(offset=0), "its first piece", "shape",
             ids="backup-begin"),
    Exchange("backup-end", "backup.end", pb.BackupEnd(), "and it is forgotten",
             ids="backup-begin"),
    Exchange("heartbeat", "test.sleep", pb.Text(text="100"), "HEARTBEATs until the answer",
             server="test", envelope={"heartbeat_ms": 20}),
    # Fields that nothing above sets.
    Exchange("failure-busy", "test.fail", pb.Text(text="busy"), "EBUSY, which may be repeated",
             server="test"),
    Exchange("device-list-after", "device.list", pb.DeviceListRequest(
             prefix="golden-", after="golden-board", limit=1), "the second page"),
    Exchange("backup-begin-second", "backup.begin", pb.Empty(), "another backup", "shape"),
    Exchange("backup-read-elsewhere", "backup.read", pb.BackupRead(offset=7),
             "ESTATE: it is not there yet", ids="backup-begin-second"),
    Exchange("backup-end-second", "backup.end", pb.BackupEnd(), "and it is forgotten",
             ids="backup-begin-second"),
    Exchange("space-add-other-again", "space.add", pb.SpaceAddRequest(
             origin="other.yaml", yaml=OTHER_YAML.encode()), "one to use and to remove"),
    Exchange("job-start-bare", "job.start", pb.JobStart(
             method="train.run", token="golden-bare", body=train_other().SerializeToString()),
             "a training of nothing", "shape"),
    Exchange("job-show-failed", "job.show", pb.JobId(), "it failed", ids="job-start-bare"),
    Exchange("measure-begin-other", "measure.begin", pb.ImportBegin(
             space="golden-other", origin="other.csv"), "two tasks, energy of two", "shape"),
    Exchange("measure-feed-other", "measure.feed", pb.ImportFeed(csv=OTHER_MEASURED),
             "in one piece", ids="measure-begin-other"),
    Exchange("measure-commit-other", "measure.commit", pb.ImportId(), "stored",
             ids="measure-begin-other"),
    Exchange("measure-begin-more", "measure.begin", pb.ImportBegin(
             space="golden-other", origin="more.csv"), "what is stored already, and twice",
             "shape"),
    Exchange("measure-feed-more", "measure.feed", pb.ImportFeed(csv=OTHER_MORE),
             "a row twice", ids="measure-begin-more"),
    Exchange("measure-commit-more", "measure.commit", pb.ImportId(), "replaced, and said so",
             ids="measure-begin-more"),
    Exchange("measure-suggest-among", "measure.suggest", pb.SuggestRequest(
             count=3, has_seed=True, seed=7, origin="some.csv", candidates_csv=SOME, **OTHER),
             "all of three candidates", "rows"),
    Exchange("train-unknown-device", "train.run", train_other(
             has_devices=True, devices=["golden-board", "golden-nobody"]),
             "ENOTFOUND: no measurements of it"),
    Exchange("train-unknown-task", "train.run", train_other(
             has_tasks=True, tasks=["golden-task", "golden-nothing"]), "ENOTFOUND: no accuracies"),
    Exchange("train-some", "train.run", train_other(
             has_devices=True, devices=["golden-second", "golden-third", "golden-few"],
             has_tasks=True, tasks=["golden-task", "golden-worse", "golden-rare"]),
             "what it was told to, and notes of what was too few", "shape"),
    Exchange("evaluate-energy", "evaluate.run", pb.EvaluateRequest(
             space="golden-other", metric="energy_mj", subjects=["golden-board", "golden-third"],
             methods=["head"], has_seed=True, seed=7, samples=80),
             "of energy, and a note of what is too little", "names"),
    Exchange("predict-task", "predict.run", pb.PredictRequest(
             task="golden-worse", designs_csv=SOME, **OTHER), "of another task", "near"),
    Exchange("design-energy", "design.run", pb.DesignRequest(
             task="golden-worse", maximize="accuracy", method="exhaustive",
             budget_us=60_000_000, limits=pb.Limits(has_max_energy_mj=True, max_energy_mj=20.0),
             **OTHER), "the best within so much energy", "like"),
    Exchange("design-minimize", "design.run", pb.DesignRequest(
             minimize="energy_mj", limits=pb.Limits(
                 has_min_accuracy=True, min_accuracy=75.0, has_confidence=True, confidence=0.9),
             has_seed=True, seed=7, **OTHER), "the cheapest that is surely so accurate", "like"),
    Exchange("design-weigh-energy", "design.run", pb.DesignRequest(
             weights=pb.Weights(has_energy=True, energy=1.0), has_seed=True, seed=7, **OTHER),
             "what a millijoule is worth", "like"),
    Exchange("design-all", "design.run", pb.DesignRequest(
             count=200, with_infeasible=True, limits=pb.Limits(
                 has_max_latency_ms=True, max_latency_ms=10.0), has_seed=True, seed=7, **OTHER),
             "those that miss the limit behind the others", "like"),
    Exchange("design-unknown-method", "design.run", pb.DesignRequest(method="magic", **OTHER),
             "EINVAL"),
    Exchange("design-confidence-refused", "design.run", pb.DesignRequest(limits=pb.Limits(
             has_confidence=True, confidence=1.5), **OTHER), "EINVAL: no probability"),
    Exchange("design-both-refused", "design.run", pb.DesignRequest(
             maximize="accuracy", minimize="latency_ms", **OTHER), "EINVAL: one of both"),
    Exchange("design-budget-refused", "design.run", pb.DesignRequest(budget_us=1 << 62, **OTHER),
             "EINVAL: too long"),
    Exchange("pareto-energy", "pareto.run", pb.ParetoRequest(
             task="golden-worse", minimize="energy_mj", points=5, has_seed=True, seed=7,
             budget_us=60_000_000, limits=pb.Limits(has_max_energy_mj=True, max_energy_mj=40.0),
             **OTHER), "a part of another front", "like"),
    Exchange("pareto-budget-refused", "pareto.run", pb.ParetoRequest(budget_us=1 << 62, **OTHER),
             "EINVAL: too long"),
    Exchange("proxy-metric-refused", "proxy.run", pb.ProxyRequest(metric="accuracy", **OTHER),
             "EINVAL: no cost"),
    Exchange("proxy-energy", "proxy.run", pb.ProxyRequest(
             task="golden-worse", metric="energy_mj", points=3, has_seed=True, seed=7, **OTHER),
             "designs by energy", "like"),
    # The pieces of a run are one job.
    Exchange("fleet-run", "fleet.run", pb.FleetRequest(
             task="golden-worse", method="exhaustive", maximize="accuracy", first_line=5,
             limits=pb.Limits(has_max_latency_ms=True, max_latency_ms=12.0), csv=RUN_ROWS,
             run="golden-run-1", rows_before=3, rows_total=5, **RUN),
             "a piece of a run: limits of the table, and a row that nothing keeps", "like"),
    Exchange("fleet-run-end", "fleet.run", pb.FleetRequest(
             run="golden-run-1", run_end=pb.FleetRequest.DONE, **RUN), "the run is done"),
    Exchange("job-list-run", "job.list", pb.JobListRequest(ended=1), "it is a job", "shape"),
    Exchange("job-show-run", "job.show", pb.JobId(), "of so many rows", ids="job-list-run"),
    Exchange("fleet-minimize", "fleet.run", pb.FleetRequest(
             csv=RUN_ROWS, minimize="latency_ms", run="golden-run-2", rows_total=9,
             limits=pb.Limits(has_min_accuracy=True, min_accuracy=75.0), **RUN),
             "a piece of another", "like"),
    Exchange("fleet-run-given-up", "fleet.run", pb.FleetRequest(
             run="golden-run-2", run_end=pb.FleetRequest.GIVEN_UP, **RUN), "it is given up"),
    Exchange("job-list-given-up", "job.list", pb.JobListRequest(ended=1), "and cancelled", "shape"),
    Exchange("job-show-given-up", "job.show", pb.JobId(), "ECANCELLED", ids="job-list-given-up"),
    Exchange("fleet-weights", "fleet.run", pb.FleetRequest(
             csv=RUN_ROWS, weights=pb.Weights(has_latency=True, latency=5.0), **RUN),
             "what a millisecond is worth", "like"),
    Exchange("fleet-both-refused", "fleet.run", pb.FleetRequest(
             csv=RUN_ROWS, maximize="accuracy", minimize="latency_ms", **RUN),
             "no row is answered: one of both", "like"),
    Exchange("fleet-unknown-method", "fleet.run", pb.FleetRequest(
             csv=RUN_ROWS, method="magic", **RUN), "EINVAL"),
    Exchange("space-remove-measured", "space.remove", pb.SpaceRemoveRequest(
             name="golden-other", with_measurements=True), "with its measurements"),
    Exchange("measure-export-removed", "measure.export", pb.ExportRequest(space="golden-other"),
             "ENOTFOUND: they are gone"),
]

# Messages put together here, which no daemon said: it would take a client with a key, a queue that
# stands still, and a job that warns. tests/e2e/wire_test.py and, in C, tests/proto/golden_test.c
# read each field of what is kept of them, and write the same bytes again. New ones get new names.
BUILT = {
    "job": pb.Job(
        job_id=41, method="evaluate.run", subject="golden", state="waiting", is_ended=True,
        progress=pb.Progress(what="golden-board", done=2, total=3, elapsed_s=1.5, job_id=42),
        queued_unix_s=43, started_unix_s=44, ended_unix_s=-45, starts=46, client="golden 1",
        key="operator", waits_for=47, error=13, error_name="ECANCELLED", error_detail="why",
        warnings=["one", "two"], has_reply=True, reply=b"\x00\xff"),
}
