#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator sees of a daemon: metrics, logs, status, signals, systemd, manuals.

Programs that may be missing (promtool, systemd-analyze, systemd-socket-activate, groff, zsh) are
used where they are; the test says so and is skipped where not.
"""
import json
import math
import os
import pty
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import harness

PACKAGING = os.path.join(harness.SOURCE_DIR, "packaging")
MADE = os.path.join(harness.BUILD_DIR, "packaging")
MODELS = os.path.join(harness.SOURCE_DIR, "models")
PATIENCE_S = 30
MANY_FILES = 1100  # more than select() takes


class Daemon(harness.Daemon):
    """A daemon with more options, or another environment."""

    def __init__(self, folder, *options, models=None, **environment):
        super().__init__(folder, models)
        self.options = list(options)
        self.environment = environment

    def spawn(self, pass_fds=(), prepare=None):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [harness.TAILORD, "--data", os.path.join(self.folder, "data"),
                 "--models", self.models, *self.options], stdin=subprocess.DEVNULL, stderr=log,
                env={**os.environ, **self.environment}, pass_fds=pass_fds, preexec_fn=prepare)

    def start(self):
        self.options += ["--listen", self.endpoint]
        self.spawn()
        self.wait_for(lambda: self.tailor("--timeout-ms", "500", "status").returncode == 0)

    def wait_for(self, is_so):
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("it did not happen:\n" + self.log())
            time.sleep(0.02)

    def wait_for_log(self, text):
        self.wait_for(lambda: text in self.log())

    def tailor(self, *arguments):
        return harness.run(self, [harness.TAILOR, *arguments])


class OwnFolder(unittest.TestCase):
    """A folder, and a daemon that is stopped however the test ends."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tailor-ops-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def daemon(self, *options, models=None, **environment):
        daemon = Daemon(self.folder, *options, models=models, **environment)
        self.addCleanup(lambda: daemon.process and daemon.process.poll() is None and daemon.kill())
        return daemon

    def assert_stops(self, daemon):
        self.assertEqual(0, daemon.stop(), daemon.log())
        self.assertFalse([w for w in harness.COMPLAINTS if w in daemon.log()], daemon.log())


# ---- metrics --------------------------------------------------------------------------------

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(r'^(%s)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)$' % NAME)
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"')


def parse_page(text):
    """{(name, frozenset of labels): value}; ValueError where it is not the text format 0.0.4."""
    samples, types, helped, closed, current = {}, {}, set(), set(), None
    if not text.endswith("\n"):
        raise ValueError("the last line has no end")
    for line in text[:-1].split("\n"):
        head = re.match(r"^# (HELP|TYPE) (%s) (.+)$" % NAME, line)
        if head:
            kind, name, rest = head.groups()
            if name != current:
                closed.add(current)
            if name in closed or (kind == "TYPE" and name in types) or (
                    kind == "HELP" and name in helped):
                raise ValueError("a family twice: " + line)
            current = name
            if kind == "HELP":
                helped.add(name)
            elif rest in ("counter", "gauge", "histogram"):
                types[name] = rest
            else:
                raise ValueError("unknown type: " + line)
            continue
        match = SAMPLE.match(line)
        if not match:
            raise ValueError("not a sample: " + line)
        name, labels, value = match.groups()
        family = re.sub(r"_(bucket|sum|count)$", "", name) \
            if types.get(current) == "histogram" else name
        if family != current:
            raise ValueError("outside its family: " + line)
        key = (name, frozenset(LABEL.findall(labels or "")))
        if key in samples:
            raise ValueError("a sample twice: " + line)
        samples[key] = float(value)
    check_histograms(samples, types)
    return samples


def check_histograms(samples, types):
    """Buckets grow with their edges, end with +Inf, and that is the count."""
    for family in (name for name, kind in types.items() if kind == "histogram"):
        series = {}
        for (name, labels), value in samples.items():
            if name == family + "_bucket":
                rest = frozenset(label for label in labels if label[0] != "le")
                series.setdefault(rest, []).append((float(dict(labels)["le"]), value))
        for rest, buckets in series.items():
            values = [value for _, value in sorted(buckets)]
            if values != sorted(values) or max(edge for edge, _ in buckets) != math.inf:
                raise ValueError("buckets of %s: %s" % (family, buckets))
            if values[-1] != samples[(family + "_count", rest)] or \
                    samples[(family + "_sum", rest)] < 0:
                raise ValueError("count of %s" % family)


class Metrics(OwnFolder):
    def fetch(self, path="", **options):
        request = urllib.request.Request(self.url + path, **options)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
            self.type = reply.headers["Content-Type"]
            return reply.read().decode("utf-8")

    def open(self):
        daemon = self.daemon("--metrics", "localhost:0", models=MODELS)
        daemon.start()
        self.url = re.search(r"metrics at (\S+)", daemon.log()).group(1)
        self.assertTrue(self.url.startswith("http://127.0.0.1:"), self.url)
        return daemon

    def count(self, samples, name, **labels):
        return samples.get((name, frozenset(labels.items())), 0.0)

    def test_the_page_counts_what_was_asked(self):
        daemon = self.open()
        before = parse_page(self.fetch())
        self.assertEqual("text/plain; version=0.0.4; charset=utf-8", self.type)
        self.assertEqual(1, daemon.tailor("space", "show", "nowhere").returncode)
        self.assertEqual(0, daemon.tailor("model", "show", "nasbench201").returncode)
        self.assertEqual(0, daemon.tailor("design", "--space", "nasbench201", "--device", "raspi4",
                                          "--minimize", "latency_ms").returncode)
        text = self.fetch()
        after = parse_page(text)

        def grown(name, **labels):
            return self.count(after, name, **labels) - self.count(before, name, **labels)

        self.assertEqual(1, grown("tailor_requests_total", method="space.show", error="ENOTFOUND"))
        self.assertEqual(1, grown("tailor_requests_total", method="design.run", error="OK"))
        self.assertEqual(1, grown("tailor_request_duration_seconds_count", method="design.run"))
        self.assertGreater(grown("tailor_request_duration_seconds_sum", method="design.run"), 0)
        self.assertGreaterEqual(grown("tailor_queue_wait_seconds_count", lane="work"), 1)
        self.assertEqual(1, after[("tailor_views_cached", frozenset())])
        self.assertEqual(0, after[("tailor_jobs_running", frozenset())])
        self.assertGreater(after[("tailor_store_bytes", frozenset())], 0)
        self.assertLess(abs(after[("process_start_time_seconds", frozenset())] - time.time()), 600)
        models = [dict(labels) for name, labels in after if name == "tailor_model_info"]
        self.assertEqual([("nasbench201", "shipped")], [(m["space"], m["origin"]) for m in models])
        self.check_documented(text)
        self.check_promtool(text)
        self.assert_stops(daemon)

    def check_documented(self, text):
        with open(os.path.join(harness.SOURCE_DIR, "docs", "operations.md"), encoding="utf-8") as f:
            manual = f.read()
        for name in re.findall(r"^# TYPE (\S+)", text, re.M):
            self.assertIn("`%s" % name, manual)

    def check_promtool(self, text):
        promtool = shutil.which("promtool")
        if promtool is None:
            print("promtool is not installed: the page was checked by this test alone")
            return
        done = subprocess.run([promtool, "check", "metrics"], input=text, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual((0, ""), (done.returncode, done.stdout))

    def test_slow_peers_delay_nobody(self):
        daemon = self.open()
        host, port = re.match(r"http://(.*):(\d+)/", self.url).groups()
        for i in range(40):
            peer = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
            self.addCleanup(peer.close)
            if i % 2 == 0:  # never ends its request
                peer.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            else:  # never reads the answer
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
                peer.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        for _ in range(3):
            parse_page(self.fetch())
        self.assertEqual(0, daemon.tailor("status").returncode)
        self.assert_stops(daemon)

    def test_descriptors_may_have_high_numbers(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 2 * MANY_FILES:
            self.skipTest("only %d files may be open" % hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * MANY_FILES), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        files = [os.open(os.devnull, os.O_RDONLY) for _ in range(MANY_FILES)]
        try:
            daemon = self.daemon("--metrics", "localhost:0", "--listen",
                                 "ipc://" + os.path.join(self.folder, "socket"))
            daemon.spawn(pass_fds=files)  # it keeps them open, so that its own have higher numbers
        finally:
            for fd in files:
                os.close(fd)
        daemon.wait_for_log("metrics at ")
        self.url = re.search(r"metrics at (\S+)", daemon.log()).group(1)
        self.assertIn(("process_start_time_seconds", frozenset()), parse_page(self.fetch()))
        self.assert_stops(daemon)

    def test_nothing_else_is_served(self):
        daemon = self.open()
        for path, data, status in (("x", None, 404), ("/../status", None, 404), ("", b"x=1", 405)):
            with self.assertRaises(urllib.error.HTTPError) as refused:
                self.fetch(path, data=data)
            self.assertEqual(status, refused.exception.code)
        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.fetch(method="DELETE")
        self.assertEqual(405, refused.exception.code)
        port = int(self.url.rsplit(":", 1)[1].split("/")[0])
        for rubbish in (b"\0\xff\xfe\r\n\r\n", b"GET " + b"a" * 100000, b"GET / HTTP/1.1\r\n"):
            with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
                try:
                    connection.sendall(rubbish)
                except OSError:
                    pass # it may close before all is sent
        parse_page(self.fetch())
        self.assert_stops(daemon)

    def test_the_parser_of_this_test_sees_mistakes(self):
        good = '# HELP a b\n# TYPE a counter\na{x="y"} 1\n'
        self.assertEqual({("a", frozenset([("x", "y")])): 1.0}, parse_page(good))
        for bad in (good[:-1], good + good, good + 'a{x="y"} 2\n', good + "b 1\n",
                    good.replace("counter", "count"), good.replace('"y"', '"y'),
                    good.replace(" 1", " one"),
                    '# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\n'
                    'h_sum 1\nh_count 1\n'):
            with self.assertRaises(ValueError, msg=bad):
                parse_page(bad)

    def test_bad_addresses_are_refused(self):
        for address in ("9411", "host.example:9411", "127.0.0.1:99999"):
            done = subprocess.run([harness.TAILORD, "--metrics", address], text=True,
                                  stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False)
            self.assertEqual(2, done.returncode)
            self.assertIn('metrics: got "%s", want HOST:PORT' % address, done.stderr)
        for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:9411"):
            done = subprocess.run([harness.TAILORD, "--metrics", address], text=True,
                                  stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False)
            self.assertEqual(1, done.returncode)
            self.assertIn("metrics: %s: others than this machine" % address, done.stderr)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            daemon = self.daemon("--metrics", address, "--listen", "ipc://%s/s" % self.folder)
            daemon.spawn()
            self.assertEqual(1, daemon.process.wait(PATIENCE_S))
            self.assertIn("metrics: cannot listen at " + address, daemon.log())


# ---- logs, status, signals ------------------------------------------------------------------

class Life(OwnFolder):
    def test_every_request_is_one_json_line(self):
        daemon = self.daemon("--log-format", "json", "--log-level", "debug")
        daemon.start()
        self.assertEqual(1, daemon.tailor("space", "show", 'no"such\\space').returncode)
        self.assertEqual(0, daemon.tailor("space", "list").returncode)
        self.assert_stops(daemon)
        lines = [json.loads(line) for line in daemon.log().splitlines()]
        for line in lines:
            self.assertRegex(line["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ("error", "warn", "info", "debug"))
        failed = [line for line in lines if line.get("method") == "space.show"]
        self.assertEqual(["EINVAL"], [line["error"] for line in failed])
        self.assertIn("space name: got character 0x22", failed[0]["detail"])
        self.assertRegex(failed[0]["client"], r"^tailor \d")
        self.assertIsInstance(failed[0]["id"], int)
        served = [line for line in lines if line.get("method") == "space.list"][0]
        self.assertEqual("OK", served["error"])
        self.assertGreaterEqual(served["ms"], served["served_ms"])

    def test_logfmt_has_the_same_fields(self):
        daemon = self.daemon("--log-format", "logfmt")
        daemon.start()
        daemon.tailor("space", "show", "nowhere")
        self.assert_stops(daemon)
        self.assertRegex(daemon.log(), r'(?m)^ts=\S+Z level=info msg=served method=space\.show '
                         r'id=\d+ client="tailor [^"]+" key="" ms=[\d.]+ served_ms=[\d.]+ '
                         r'error=ENOTFOUND detail="[^"\\]*(\\.[^"\\]*)*"$')

    def test_status_tells_of_load_and_models(self):
        daemon = self.daemon("--workers", "3", models=MODELS)
        daemon.start()
        self.assertEqual(0, daemon.tailor("model", "show", "nasbench201").returncode)
        rows = [json.loads(line) for line in
                daemon.tailor("status", "--json").stdout.splitlines()]
        facts = {row["name"]: row["value"] for row in rows}
        self.assertEqual("3", facts["work_workers"])
        self.assertEqual("0", facts["queue_depth"])
        self.assertEqual("0", facts["jobs_running"])
        self.assertGreater(float(facts["uptime_s"]), 0)
        self.assertGreater(int(facts["requests_answered"]), 0)
        self.assertGreater(int(facts["store_bytes"]), 0)
        self.assertRegex(facts["models_in_use"], r"^nasbench201=\S+ \(shipped\)$")
        self.assert_stops(daemon)

    def test_sighup_reads_the_log_level_again(self):
        config = os.path.join(self.folder, "tailord.yaml")

        def configure(level):
            with open(config, "w", encoding="utf-8") as file:
                file.write("log-level: %s\n" % level)

        configure("info")
        daemon = self.daemon("--config", config)
        daemon.start()
        self.assertNotIn(" debug ", daemon.log())
        configure("debug")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log("reloaded")
        daemon.tailor("space", "list")
        self.assertIn(" debug ", daemon.log())
        configure("loud")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log('got "loud", want error, warn, info or debug; the settings stay')
        self.assertEqual(0, daemon.tailor("space", "list").returncode)
        self.assert_stops(daemon)

    def test_work_for_a_client_that_was_killed_ends(self):
        daemon = self.daemon(models=MODELS)
        daemon.start()

        def wait_for(busy):
            deadline = time.monotonic() + harness.STOP_S
            while not re.search(r"work_busy +%s\s" % busy, daemon.tailor("status").stdout):
                self.assertLess(time.monotonic(), deadline)

        slow = subprocess.Popen([harness.TAILOR, "--timeout-ms", "600000", "design", "--space",
                                 "mobilenetv3", "--device", "raspi4", "--minimize", "latency_ms",
                                 "--method", "galen"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                env={**os.environ, "TAILOR_ENDPOINT": daemon.endpoint})
        wait_for("1")
        slow.kill()
        slow.wait()
        wait_for("0")
        self.assertRegex(daemon.log(), r"served method=design\.run .*error=ECANCELLED")
        self.assert_stops(daemon)

    def test_what_was_accepted_is_finished_and_the_rest_refused(self):
        daemon = self.daemon(models=MODELS)
        daemon.start()
        # Asked once, so that the model is read and the next one only searches.
        ask = ["design", "--space", "mobilenetv3", "--device", "raspi4", "--minimize",
               "latency_ms", "--method", "galen", "--budget-us"]
        first = daemon.tailor(*ask, "1000")
        self.assertEqual(0, first.returncode, first.stderr)
        slow = [subprocess.Popen([harness.TAILOR, "--timeout-ms", "60000", *ask, "4000000"],
                                 text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env={**os.environ, "TAILOR_ENDPOINT": daemon.endpoint})
                for _ in range(8)]
        n_accepted = 0
        while n_accepted < len(slow):
            n_over = sum(search.poll() is not None for search in slow)
            self.assertLess(n_over, len(slow), "all were over before they were seen")
            facts = daemon.tailor("status").stdout
            counts = re.findall(r"work_(?:queued|busy) +([0-9]+)", facts)
            n_accepted = n_over + sum(map(int, counts))
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_for_log("finishing what was accepted")
        late = daemon.tailor("--timeout-ms", "1000", "space", "list")
        self.assertEqual(1, late.returncode)
        self.assertIn("stopping", late.stderr)
        for search in slow:
            out, complaint = search.communicate(timeout=60)
            self.assertEqual(0, search.returncode, complaint)
            self.assertEqual(2, len(out.splitlines()))
        self.assertEqual(0, daemon.process.wait(harness.STOP_S))


# ---- systemd --------------------------------------------------------------------------------

class Service(OwnFolder):
    def test_states_are_told_to_the_service_manager(self):
        path = os.path.join(self.folder, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(PATIENCE_S)
            daemon = self.daemon(NOTIFY_SOCKET=path, WATCHDOG_USEC="200000")
            daemon.start()
            told = self.hear(manager, "WATCHDOG=1")
            self.assertEqual("READY=1", told[0].split("\n")[0])
            daemon.process.send_signal(signal.SIGHUP)
            told = self.hear(manager, "READY=1")
            reloading = [state for state in told if state.startswith("RELOADING=1")]
            self.assertRegex(reloading[0], r"\nMONOTONIC_USEC=\d+$")
            daemon.process.send_signal(signal.SIGTERM)
            self.hear(manager, "STOPPING=1")
            self.assertEqual(0, daemon.process.wait(harness.STOP_S))

    def hear(self, manager, last):
        """What is told until a state that begins with last."""
        told = []
        while not told or not told[-1].startswith(last):
            told.append(manager.recv(1000).decode())
        return told

    def test_passed_sockets_are_served_and_left_in_place(self):
        path = os.path.join(self.folder, "passed")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unix, \
                socket.create_server(("127.0.0.1", 0)) as tcp:
            unix.bind(path)
            unix.listen(16)
            fds = [os.dup(unix.fileno()), os.dup(tcp.fileno())]

            def prepare():
                high = [os.dup2(fd, 50 + i) for i, fd in enumerate(fds)]
                for i, fd in enumerate(high):
                    os.dup2(fd, 3 + i, inheritable=True)

            daemon = self.daemon(LISTEN_FDS="2")
            daemon.spawn(pass_fds=(3, 4), prepare=prepare)
            for endpoint in ("ipc://" + path, "tcp://127.0.0.1:%d" % tcp.getsockname()[1]):
                daemon.endpoint = endpoint
                daemon.wait_for_log("listening on " + endpoint)
                done = daemon.tailor("status")
                self.assertEqual(0, done.returncode, done.stderr + daemon.log())
            self.assertEqual(2, daemon.log().count("listening on"))
            self.assert_stops(daemon)
            self.assertTrue(os.path.exists(path))

    def test_systemd_starts_it_with_the_first_client(self):
        activate = shutil.which("systemd-socket-activate")
        if activate is None:
            self.skipTest("systemd-socket-activate is not installed")
        daemon = self.daemon()
        path = os.path.join(self.folder, "socket")
        # It passes on no environment but what it is told to: a sanitizer's suppressions.
        pass_on = ["--setenv=" + name for name in os.environ if name.endswith("SAN_OPTIONS")]
        with open(daemon.log_path, "ab") as log:
            daemon.process = subprocess.Popen(
                [activate, *pass_on, "-l", path, harness.TAILORD, "--data",
                 os.path.join(self.folder, "data"), "--models", daemon.models],
                stdin=subprocess.DEVNULL, stderr=log)
        daemon.wait_for(lambda: os.path.exists(path))
        done = daemon.tailor("status")
        self.assertEqual(0, done.returncode, done.stderr + daemon.log())
        self.assert_stops(daemon)

    def test_a_passed_socket_that_others_reach_needs_keys(self):
        with socket.create_server(("0.0.0.0", 0)) as tcp:
            daemon = self.daemon(LISTEN_FDS="1")
            fd = os.dup(tcp.fileno())
            daemon.spawn(pass_fds=(3,), prepare=lambda: os.dup2(os.dup2(fd, 50), 3))
            self.assertEqual(1, daemon.process.wait(PATIENCE_S))
            self.assertIn("tcp://0.0.0.0:%d: " % tcp.getsockname()[1], daemon.log())

    def test_wrong_sockets_are_refused(self):
        daemon = self.daemon(LISTEN_FDS="1")
        with open(os.devnull, "rb") as nothing:
            fd = os.dup(nothing.fileno())
            daemon.spawn(pass_fds=(3,), prepare=lambda: os.dup2(os.dup2(fd, 50), 3))
        self.assertEqual(1, daemon.process.wait(PATIENCE_S))
        self.assertIn("passed socket 3: want a listening stream socket", daemon.log())

    def test_the_unit_gives_a_start_the_time_that_it_needs(self):
        with open(os.path.join(PACKAGING, "tailord.service"), encoding="utf-8") as unit:
            lines = unit.read().splitlines()
        self.assertIn("Type=notify", lines)  # so a start has an end, and 90 s unless it is said
        self.assertIn("TimeoutStartSec=infinity", lines)

    def test_the_units_are_well_formed_and_confined(self):
        analyze = shutil.which("systemd-analyze")
        if analyze is None:
            self.skipTest("systemd-analyze is not installed")
        for name in ("tailord.service", "tailord.socket"):
            with open(os.path.join(PACKAGING, name), encoding="utf-8") as unit:
                text = unit.read().replace("ExecStart=tailord", "ExecStart=" + harness.TAILORD)
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as copy:
                copy.write(text)
        service = os.path.join(self.folder, "tailord.service")
        done = subprocess.run([analyze, "verify", "--man=no", service,
                               os.path.join(self.folder, "tailord.socket")], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual((0, ""), (done.returncode, done.stdout))
        done = subprocess.run([analyze, "security", "--offline=true", "--threshold=20", service],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)
        if "exposure level" not in done.stdout:
            self.skipTest("this systemd-analyze does not grade a unit that is not installed")
        self.assertEqual(0, done.returncode, done.stdout)


# ---- manuals --------------------------------------------------------------------------------

COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_tailor; printf '%s\\n' "${COMPREPLY[@]}"
"""


class Manuals(OwnFolder):
    def path(self, *parts):
        path = os.path.join(MADE, *parts)
        if not os.path.exists(path):
            self.skipTest("no manuals were made: python3 was not found when this was configured")
        return path

    def test_every_command_and_option_has_its_place(self):
        with open(self.path("man", "tailor.1"), encoding="utf-8") as file:
            page = file.read().replace("\\-", "-")
        usage = subprocess.run([harness.TAILOR, "--help"], text=True, stdout=subprocess.PIPE,
                               check=True).stdout
        commands = re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)?)  +\S", usage.split("Commands:")[1])
        self.assertIn("design", commands)
        for command in commands:
            self.assertIn("\n.SS tailor %s " % command, page)
        self.assertIn("--max-latency-ms", page)
        for name in ("tailor.1", "tailor-agent.1"):
            with open(self.path("man", name), encoding="utf-8") as file:
                variables = file.read().split(".SH ENVIRONMENT")[1].split(".SH")[0]
            self.assertEqual(["TAILOR_ENDPOINT", "TAILOR_KEY"],
                             re.findall(r"(?m)^\.B (\S+)$", variables))
        with open(self.path("man", "tailord.8"), encoding="utf-8") as file:
            self.assertIn("--metrics", file.read().replace("\\-", "-"))

    def test_pages_are_clean_roff(self):
        groff = shutil.which("groff")
        if groff is None:
            self.skipTest("groff is not installed")
        for name in ("tailor.1", "tailor-agent.1", "tailord.8"):
            done = subprocess.run([groff, "-man", "-Tutf8", "-ww", "-z", self.path("man", name)],
                                  text=True, stderr=subprocess.PIPE, check=False)
            self.assertEqual((0, ""), (done.returncode, done.stderr))

    def complete(self, daemon, *words):
        shell = shutil.which("bash")
        if shell is None:
            self.skipTest("bash is not installed")
        done = subprocess.run(
            [shell, "-c", COMPLETE, "bash", self.path("bash", "tailor"), "tailor", *words],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60,
            cwd=self.folder,
            env={**os.environ, "PATH": os.path.dirname(harness.TAILOR) + ":" + os.environ["PATH"],
                 "TAILOR_ENDPOINT": daemon.endpoint})
        self.assertEqual("", done.stderr)
        return done.stdout.split()

    def test_bash_completes_commands_options_and_names(self):
        daemon = self.daemon()
        daemon.start()
        self.assertEqual(["design", "device"], sorted(self.complete(daemon, "de")))
        self.assertEqual(["list"], self.complete(daemon, "device", "l"))
        self.assertEqual(["--max-energy-mj", "--max-latency-ms", "--maximize"],
                         sorted(self.complete(daemon, "design", "--max")))
        self.assertEqual(["nasbench201"], self.complete(daemon, "design", "--space", "nas"))
        self.assertEqual(["nasbench201"], self.complete(daemon, "design", "--space", "=", "nas"))
        self.assertEqual(["nasbench201"], self.complete(daemon, "space", "show", "nas"))
        self.assertEqual(["raspi4"], self.complete(daemon, "--json", "design", "-d", "raspi4"))
        with open(os.path.join(self.folder, "designs.csv"), "w", encoding="utf-8"):
            pass
        self.assertEqual(["designs.csv"], self.complete(daemon, "predict", "--designs", "des"))
        self.assert_stops(daemon)

    def test_zsh_completes_them_too(self):
        shell = shutil.which("zsh")
        if shell is None:
            self.skipTest("zsh is not installed")
        daemon = self.daemon()
        daemon.start()
        made = os.path.dirname(self.path("zsh", "_tailor"))
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(TERM="dumb", TAILOR_ENDPOINT=daemon.endpoint, PATH=os.pathsep.join(
                [os.path.dirname(harness.TAILOR), os.environ["PATH"]]))
            os.execv(shell, [shell, "-f", "-i"])
        try:
            self.type(terminal, "fpath=(%s $fpath); autoload -U compinit; compinit -u -D; "
                      "echo re''ady\n" % made, "ready")
            for start, whole in (("tailor des", "tailor design "),
                                 ("tailor device l", "tailor device list "),
                                 ("tailor design --max-lat", "--max-latency-ms="),
                                 ("tailor design --space=nas", "--space=nasbench201 "),
                                 ("tailor space show nasb", "show nasbench201 "),
                                 ("tailord --log-f", "--log-format=")):
                self.type(terminal, start + "\t", whole)
                self.type(terminal, "\x15", "")
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(terminal)
        self.assert_stops(daemon)

    def type(self, terminal, keys, expected):
        """Types, and waits until the terminal shows what is expected."""
        os.write(terminal, keys.encode())
        shown, deadline = "", time.monotonic() + PATIENCE_S
        while expected not in shown:
            if time.monotonic() > deadline:
                self.fail("typed %r, want %r, got %r" % (keys, expected, shown))
            if select.select([terminal], [], [], 0.1)[0]:
                shown += os.read(terminal, 4096).decode("utf-8", "replace")

    def test_zsh_reads_its_completions(self):
        shell = shutil.which("zsh")
        if shell is None:
            self.skipTest("zsh is not installed")
        for name in ("_tailor", "_tailor-agent", "_tailord"):
            done = subprocess.run([shell, "-n", self.path("zsh", name)], text=True,
                                  stderr=subprocess.PIPE, check=False)
            self.assertEqual((0, ""), (done.returncode, done.stderr))


if __name__ == "__main__":
    harness.main()
