# SPDX-License-Identifier: Apache-2.0
"""A daemon that is killed again and again while clients write, and what must be true after each.

    world = killing.World(folder, seed)
    world.round()          clients at work, kill -9, start again, everything looked at
    world.close()          what was left to the daemon comes to its end and is looked at

Every client keeps to subjects of its own and writes one number after the other, so that what is
there afterwards is the last acknowledged number or the one that was under way. Mostly the clients
are killed, too, before the daemon starts again, so that none repeats what was lost; else they find
it again by themselves. What was left to the daemon as a job (--detach) must be listed after every kill
by the number that was printed; mostly its clients' own trainings are cancelled then, so that they do not
pile up, but in one of four rounds all come to their end, and what they found is looked at. kill -9 takes the
process, not the machine: what it had handed to the kernel stays. It shows that no state is half
and that nothing acknowledged waits in the process's own memory; not what a power cut does.
"""
import collections
import csv
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import harness

SPACE = ["--space", "nasbench201"]
N_CELLS = 70
N_FLEET = 120
TINY = os.path.join(harness.SOURCE_DIR, "tests", "spaces", "user", "tiny-chain.yaml")
SHIPPED = os.path.join(harness.SOURCE_DIR, "models", "mobilenet-zoo.tlm")
SPACE_OF_JOBS = os.path.join(harness.SOURCE_DIR, "spaces", "nasbench201.yaml")
LEFT = ["--space", "left-cells"]  # the same cells under a name that only jobs left to the daemon train
N_LEFT_CELLS = 160
START_S = 60
FINISH_S = 120 * harness.SLOWER
N_LISTED = 1000
N_REMEMBERED = 100  # jobs that have ended, of those left to the daemon: fewer than stay listed
UNDER_WAY = ("waiting", "running", "cancelling")
GIVEN_UP = "ESTATE: the daemon ended unexpectedly each of the two times"
ANSWER_S = 0.05  # that a client may take to read what the daemon sent, and to end


class Broken(AssertionError):
    pass


def check(is_so, *what):
    if not is_so:
        raise Broken(" ".join(str(w) for w in what))


def is_connected(process):
    """Whether it holds a socket; one that ends just now does not."""
    folder = "/proc/%d/fd" % process.pid
    try:
        return any(os.readlink(os.path.join(folder, fd)).startswith("socket:")
                   for fd in os.listdir(folder))
    except OSError:
        return False


class Number:
    """What one client writes: the last acknowledged number and those that may be there as well."""

    def __init__(self, first):
        self.acknowledged, self.maybe, self.next = first, set(), first + 1

    def begin(self):
        number, self.next = self.next, self.next + 1
        self.maybe.add(number)
        return number

    def done(self, number):
        self.acknowledged, self.maybe = number, set()

    def check(self, found, what):
        check(found == self.acknowledged or found in self.maybe, what, "holds", found, "want",
              self.acknowledged, "or of", sorted(self.maybe))


class World:
    """clients: which of CLIENTS are at work."""

    def __init__(self, folder, seed, clients=None):
        self.folder = folder
        self.random = random.Random(seed)
        self.models = os.path.join(folder, "models")
        os.mkdir(self.models)
        shutil.copy(SHIPPED, self.models)
        self.daemon = harness.Daemon(folder, self.models)
        self.cells = harness.cells(N_CELLS)
        self.designs = self.write("designs.csv", harness.table(self.cells[:5], {}))
        self.write("fleet.csv", "device,max_latency_ms\n" + "".join(
            "known-a,%g\n" % (1.0 + 0.01 * i) for i in range(N_FLEET)))
        self.numbers = {name: Number(0) for name in ("import", "device", "space", "model")}
        self.may_run = threading.Event()
        self.failures = []
        self.counts = collections.Counter()
        self.unanswered = collections.Counter()
        self.start_s = []
        self.left = {}       # jobs left to the daemon, by the number printed: seed of a training
        self.known = set()   # those of before the last kill
        self.went_on = set() # jobs that were under way after a kill
        self.cancelled = set()
        self.ended = {}      # trainings and evaluations that were seen to have ended: how
        self.evaluate, self.grades = [], []  # how one evaluation is asked for, and what it finds
        self.are_clients_gone = False
        self.processes = {}  # those of clients by name
        self.clients = clients or list(CLIENTS)
        self.daemon.start()
        try:
            self.prepare()
        except BaseException:
            self.daemon.kill()
            raise

    # ---- helpers --------------------------------------------------------------------------

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run(self, *words):
        process = subprocess.Popen(
            [harness.TAILOR, *words], env=dict(os.environ, TAILOR_ENDPOINT=self.daemon.endpoint),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.processes[process] = threading.current_thread().name
        out, err = process.communicate(timeout=harness.RUN_S)
        del self.processes[process]
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def ok(self, *words):
        result = self.run(*words)
        check(result.returncode == 0, " ".join(words), "left with", result.returncode,
              result.stderr[-500:])
        return result.stdout

    def prepare(self):
        """Two known devices to train on, and each client's first number."""
        path = self.write("known.csv", harness.table(self.cells, {
            "latency_ms@known-a": harness.latency_ms,
            "latency_ms@known-b": lambda d: harness.latency_ms(d, 5.0)}))
        self.ok("measure", "import", *SPACE, path)
        self.ok("train", *SPACE, "--effort", "none", "--seed", "0")
        self.prepare_left()
        for name in ("import", "device", "space"):
            check(CLIENTS[name](self, 0), name)
        self.ok("backup", "--out", os.path.join(self.folder, "first.backup"))

    def prepare_left(self):
        with open(SPACE_OF_JOBS, encoding="utf-8") as file:
            text = re.sub(r"(?m)^name: .*$", "name: " + LEFT[1], file.read())
        self.ok("space", "add", self.write("left.yaml", text))
        path = self.write("left.csv", harness.table(harness.cells(N_LEFT_CELLS), {
            "latency_ms@left-a": harness.latency_ms,
            "latency_ms@left-b": lambda d: harness.latency_ms(d, 5.0, 0.1)}))
        self.ok("measure", "import", *LEFT, path)
        for seed in range(20):  # one by which enough designs are held out
            self.evaluate = ["evaluate", *LEFT, "--methods", "head,mean-field", "--seed", str(seed)]
            result = self.run(*self.evaluate)
            if result.returncode == 0:
                break
        self.grades = self.grades_of(result.stdout)
        check(self.grades, "an evaluation:", result.stderr)
        self.ended = {number: job["state"] for number, job in self.list_jobs().items()}

    @staticmethod
    def grades_of(text):
        """All but the time that it took, and designs of other spaces: those come and go."""
        return [{k: v for k, v in row.items() if k != "time_ms"}
                for row in csv.DictReader(io.StringIO(text)) if row["set"] != "foreign"]

    # ---- clients: each step writes one number and says whether it was acknowledged ---------------

    def step_import(self, number):
        path = self.write("import.csv", harness.table(self.cells[:30], {
            "latency_ms@imported-a": lambda d: number + 0.5,
            "energy_mj@imported-a": lambda d: number + 0.5,
            "latency_ms@imported-b": lambda d: number + 0.5}))
        return self.run("measure", "import", *SPACE, path).returncode == 0

    def step_device(self, number):
        """Even: there, with this number; odd: removed."""
        if number % 2 == 1:
            return self.run("device", "remove", "board").returncode == 0
        path = self.write("board.yaml", "name: board\nclass: cpu\ncores: %d\n" % (number + 1))
        return self.run("device", "add", path).returncode == 0

    def step_space(self, number):
        if number % 2 == 1:
            return self.run("space", "remove", "tiny-chain").returncode == 0
        return self.run("space", "add", TINY).returncode == 0

    def step_model(self, number):
        return self.run("train", *SPACE, "--effort", "none", "--seed",
                        str(number)).returncode == 0

    def leave(self, seed, *words):
        """The number of a job that is left to the daemon; None where none was printed. A client that
        is killed with its work done has said so, too."""
        if not self.may_run.is_set():
            return None
        printed = re.fullmatch(r"(\d+)\n", self.run(*words, "--detach").stdout)
        if printed is None:
            return None
        self.left[int(printed.group(1))] = seed
        self.counts["jobs left to the daemon"] += 1
        return printed.group(1)

    def step_left(self, _):
        """Leaves a training and an evaluation to the daemon, and comes back for what they found."""
        seed = len(self.left) + 1000 * self.counts["jobs left to the daemon"]
        train = self.leave(seed, "train", *LEFT, "--effort", "none", "--seed", str(seed))
        evaluate = train and self.leave(None, *self.evaluate)
        return bool(evaluate) and all(
            self.run("job", "follow", job).returncode == 0 for job in (train, evaluate))

    def step_shipped(self, _):
        """A shipped model is replaced, as a package that is upgraded does."""
        path = os.path.join(self.models, "new")
        shutil.copy(SHIPPED, path)
        os.replace(path, os.path.join(self.models, os.path.basename(SHIPPED)))
        return self.run("model", "show", "mobilenet-zoo").returncode == 0

    def step_fleet(self, _):
        out = os.path.join(self.folder, "fleet-out.csv")
        is_resumed, n_kills = os.path.exists(out), self.counts["kills"]
        result = self.run("fleet", *SPACE, "--devices", os.path.join(self.folder, "fleet.csv"),
                          "--minimize", "latency_ms", "--resume", "--out", out)
        if result.returncode == 0:
            with open(out, encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            check(len(rows) == N_FLEET and not any(row["error"] for row in rows),
                  "a fleet of", len(rows), "rows")
            os.remove(out)
            if is_resumed:
                self.counts["fleets finished from their file"] += 1
            elif n_kills != self.counts["kills"]:
                self.counts["fleets finished after kill"] += 1
        return result.returncode == 0

    def step_backup(self, _):
        out = os.path.join(self.folder, "last.backup")
        return self.run("backup", "--out", out).returncode == 0

    def work(self, name):
        try:
            while self.may_run.is_set():
                number = self.numbers[name].begin() if name in self.numbers else 0
                if CLIENTS[name](self, number):
                    self.counts["acknowledged " + name] += 1
                    if name in self.numbers:
                        self.numbers[name].done(number)
                else:
                    break
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append("%s: %s" % (name, error))

    # ---- the daemon --------------------------------------------------------------------------------

    def spawn(self):
        with open(self.daemon.log_path, "ab") as log:
            self.daemon.process = subprocess.Popen(
                [harness.TAILORD, "--data", os.path.join(self.folder, "data"), "--models",
                 self.models, "--listen", self.daemon.endpoint], stdin=subprocess.DEVNULL,
                stderr=log)

    def stop_and_count(self):
        """Stops the daemon where it is, and counts what it had been asked and had not answered: the
        commands with a connection to it that do not end although it is quiet."""
        asking = [(p, name) for p, name in list(self.processes.items()) if is_connected(p)]
        self.daemon.process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline and any(p.poll() is None for p, _ in asking):
            time.sleep(0.002)
        left = [name for p, name in asking if p.poll() is None]
        self.unanswered.update(left)
        self.counts["kills with a request unanswered"] += 1 if left else 0

    def kill(self):
        self.stop_and_count()
        self.counts["kills"] += 1
        self.known = set(self.left)
        self.daemon.kill()
        self.are_clients_gone = self.random.random() < 0.7
        if self.are_clients_gone:
            for process in list(self.processes):
                process.kill()
            self.counts["clients killed"] += 1

    def start_again(self):
        while self.random.random() < 0.2:  # a kill while it starts
            self.spawn()
            time.sleep(self.random.random() * 0.03)
            self.counts["kills within 30 ms of a start"] += 1
            self.counts["kills"] += 1
            self.daemon.kill()
        begun = time.monotonic()
        self.spawn()
        while self.run("--timeout-ms", "500", "status").returncode != 0:
            check(self.daemon.process.poll() is None, "tailord does not start:\n",
                  self.daemon.log()[-2000:])
            check(time.monotonic() - begun < START_S, "tailord does not answer")
        self.start_s.append(time.monotonic() - begun)

    def round(self):
        """One kill, or more where it fell while the daemon started."""
        self.may_run.set()
        threads = [threading.Thread(target=self.work, args=[name], name=name) for name in self.clients]
        for thread in threads:
            thread.start()
        time.sleep(self.random.random() * 0.4)
        self.may_run.clear()
        self.kill()
        self.start_again()
        self.look_at_what_went_on()
        for thread in threads:
            thread.join(harness.RUN_S)
            check(not thread.is_alive(), "a client does not end")
        check(not self.failures, *self.failures)
        self.look()
        if self.random.random() < 0.25:
            self.finish()
        else:
            self.drain()

    def drain(self):
        """Trainings of clients that were killed go on by themselves: they must not pile up. What was
        left to the daemon is left to it."""
        for number, job in self.list_jobs().items():
            if job["state"] in UNDER_WAY and job["space"] != LEFT[1]:
                self.cancel(number)

    def cancel(self, number):
        """It may end meanwhile."""
        self.cancelled.add(number)
        self.run("job", "cancel", str(number))

    def finish(self):
        """All jobs come to their end, but for fleets whose clients are gone."""
        deadline = time.monotonic() + FINISH_S
        jobs = self.look_at_jobs()
        while any(job["state"] in UNDER_WAY for job in jobs.values()):
            check(time.monotonic() < deadline, "jobs do not end:",
                  [job for job in jobs.values() if job["state"] in UNDER_WAY])
            for number, job in jobs.items():
                if job["state"] in UNDER_WAY and job["method"] == "fleet.run":
                    self.cancel(number)
            time.sleep(0.05)
            jobs = self.look_at_jobs()
        self.look_at_model()
        for space in (SPACE[1], LEFT[1]):
            self.look_at_last_model(jobs, space)
        self.counts["rounds to the end of all jobs"] += 1

    # ---- what must be true -------------------------------------------------------------------------

    def look(self):
        self.look_at_files()
        self.look_at_import()
        self.look_at_device()
        self.look_at_space()
        self.look_at_model()
        self.look_at_backup()
        self.look_at_jobs()
        self.counts["looked"] += 1

    def look_at_files(self):
        """A training that goes on may just be writing its model: that file comes to an end."""
        data = os.path.join(self.folder, "data")
        deadline = time.monotonic() + START_S
        left = True
        while left:
            left = [n for d in (data, os.path.join(data, "models")) for n in os.listdir(d)
                    if ".unfinished." in n or n.startswith("restore")]
            check(not left or time.monotonic() < deadline, "left behind:", left)
        check("damaged" not in self.daemon.log(), "damage:", self.daemon.log()[-2000:])

    def look_at_import(self):
        text = self.ok("measure", "export", *SPACE)
        found = collections.defaultdict(set)
        n_rows = collections.Counter()
        for row in csv.DictReader(io.StringIO(text)):
            for column, value in row.items():
                if "@imported-" in column and value:
                    found[column].add(float(value))
                    n_rows[column] += 1
        values = set().union(*found.values())
        check(len(found) == 3 and len(values) == 1 and set(n_rows.values()) == {30},
              "half an import:", dict(found), dict(n_rows))
        self.numbers["import"].check(int(values.pop()), "the import")

    def look_at_device(self):
        result = self.run("device", "show", "board")
        number = self.numbers["device"]
        if result.returncode == 0:
            number.check(int(re.search(r"cores: (\d+)", result.stdout).group(1)) - 1, "the device")
        else:
            check("no device" in result.stderr, result.stderr)
            check(any(n % 2 == 1 for n in number.maybe | {number.acknowledged}),
                  "the device is gone")
        self.settle(number, result.returncode == 0)

    def look_at_space(self):
        is_there = "tiny-chain" in self.ok("space", "list")
        number = self.numbers["space"]
        check(any((n % 2 == 0) == is_there for n in number.maybe | {number.acknowledged}),
              "the space is there:", is_there)
        self.settle(number, is_there)

    @staticmethod
    def settle(number, is_there):
        """What is there now is where the next number goes on from: even where it is there."""
        if (number.next % 2 == 0) == is_there:
            number.next += 1
        if is_there == (number.acknowledged % 2 == 1) and not number.maybe:
            raise Broken("it changed by itself")

    def look_at_model(self):
        seed = int(re.search(r"seed: (\d+)", self.ok("model", "show", "nasbench201")).group(1))
        self.numbers["model"].check(seed, "the model's seed")
        text = self.ok("predict", *SPACE, "--device", "known-a", "--designs", self.designs)
        check(all(row["latency_ms"] for row in csv.DictReader(io.StringIO(text))), text)
        check("shipped" in self.ok("model", "list"), "no shipped model")

    def list_jobs(self):
        lines = self.ok("job", "list", "--count", str(N_LISTED), "--json").splitlines()
        return {job["job"]: job for job in map(json.loads, lines)}

    def look_at_what_went_on(self):
        """Right after the start: each number that was printed stands, and what had ended is as it was."""
        jobs = self.list_jobs()
        for number in self.known:
            check(number in jobs, "job", number, "was acknowledged and is not listed")
            check(jobs[number]["state"] in (*UNDER_WAY, "done", "failed"), jobs[number])
            check(jobs[number]["space"] == LEFT[1], jobs[number])
        for number, job in jobs.items():
            check(job["state"] == self.ended.get(number, job["state"]), job, "was",
                  self.ended.get(number))
            if job["state"] in UNDER_WAY and number not in self.went_on and (
                    self.are_clients_gone or number in self.known):
                self.went_on.add(number)
                self.counts["jobs that went on"] += 1

    def look_at_jobs(self):
        """Those that have ended since: why, and what they found. All that are listed."""
        jobs = self.list_jobs()
        for number, job in jobs.items():
            if job["state"] not in UNDER_WAY and number not in self.ended:
                self.look_at_end(job)
                if job["method"] != "fleet.run":  # a fleet's client may go on with it
                    self.ended[number] = job["state"]
        for number in [n for n in self.left if n in self.ended][:-N_REMEMBERED]:
            del self.left[number]
        return jobs

    def look_at_end(self, job):
        number, is_fleet = job["job"], job["method"] == "fleet.run"
        if job["state"] == "failed":
            shown = json.loads(self.ok("job", "show", str(number), "--json"))
            check(job["error"].startswith(GIVEN_UP) and shown["starts"] == 2, job, shown)
            self.counts["jobs given up after two kills"] += 1
        elif job["state"] == "cancelled":
            check(number in self.cancelled or is_fleet, "nobody cancelled", job)
        elif not is_fleet:  # the fleet's client has looked at its rows
            self.look_at_what_was_found(job)
        if job["state"] == "done" and number in self.went_on:
            self.went_on.remove(number)
            self.counts["jobs finished after kill"] += 1
            self.counts["finished after kill " + job["method"].split(".", maxsplit=1)[0]] += 1

    def look_at_what_was_found(self, job):
        devices = {"left-a", "left-b"} if job["space"] == LEFT[1] else {"known-a", "known-b"}
        text = self.ok("job", "follow", str(job["job"]))
        if job["method"] == "train.run":
            check(text.startswith("model " + job["space"]), job, text)
            check(all(text.count(device) == 2 for device in devices), job, text)
            return
        grades = self.grades_of(text)
        check(grades == self.grades, job, "found", [g for g in grades if g not in self.grades],
              "and alone", [g for g in self.grades if g not in grades])

    def look_at_last_model(self, jobs, space):
        """That of the training that ended last, unless one after it was given up or cancelled: that one
        may have come as far as its model."""
        trained = [n for n, j in sorted(jobs.items())
                   if j["method"] == "train.run" and j["space"] == space]
        if not trained or jobs[trained[-1]]["state"] != "done":
            return
        last = trained[-1]
        shown = self.ok("model", "show", space)
        name = self.ok("job", "follow", str(last)).split()[1]
        check("model: %s\n" % name in shown, "job", last, "made", name, "not", shown[:200])
        seed = self.left.get(last)
        check(seed is None or "seed: %d\n" % seed in shown, "seed", seed, "not in", shown[:500])
        device = "left-a" if space == LEFT[1] else "known-a"
        text = self.ok("predict", "--space", space, "--device", device, "--designs", self.designs)
        check(all(row["latency_ms"] for row in csv.DictReader(io.StringIO(text))), text)
        self.counts["models of the last training"] += 1

    def look_at_backup(self):
        """A restore that is killed leaves the folder as it was, or as it should be."""
        last = os.path.join(self.folder, "last.backup")
        source = last if os.path.exists(last) and self.random.random() < 0.5 else \
            os.path.join(self.folder, "first.backup")
        target = os.path.join(self.folder, "restored-data")
        command = [harness.TAILOR, "restore", source, "--data", target, "--force"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(self.random.random() * 0.03)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            self.counts["restores killed"] += 1
        result = subprocess.run(command + ["--json"], capture_output=True, text=True, check=False)
        check(result.returncode == 0, "restore:", result.stderr)
        report = json.loads(result.stdout)
        check(report["entries"] > 4 and report["models"] in (1, 2) and (
            source == last or report["models"] == 1), "restored:", report)
        check(sorted(os.listdir(target)) == ["lock", "models", "store.mdb"], os.listdir(target))
        self.counts["restored"] += 1

    def close(self):
        self.finish()
        status = self.daemon.stop()
        check(status == 0, "tailord left with", status, self.daemon.log()[-2000:])


CLIENTS = {
    "import": World.step_import,
    "device": World.step_device,
    "space": World.step_space,
    "model": World.step_model,
    "left": World.step_left,
    "shipped": World.step_shipped,
    "fleet": World.step_fleet,
    "backup": World.step_backup,
}
