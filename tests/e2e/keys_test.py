#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys and roles: tailor key, tailord --keys and CURVE over real sockets."""
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

import harness

PATIENCE_S = 10


def run(arguments, **variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TAILOR_")}
    environment.update(variables)
    return subprocess.run([str(a) for a in arguments], env=environment, capture_output=True,
                          text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)


class Guarded:
    """tailord with keys, on a tcp port of its choice and on an ipc socket."""

    def __init__(self, folder, *options):
        self.log_path = os.path.join(folder, "tailord.log")
        self.ipc = "ipc://" + os.path.join(folder, "socket")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [harness.TAILORD, "--data", os.path.join(folder, "data"), "--models",
                 os.path.join(folder, "none"), "--listen", "tcp://127.0.0.1:*", "--listen",
                 self.ipc, *options], stdin=subprocess.DEVNULL, stderr=log)
        deadline = time.monotonic() + harness.START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            match = re.search(r"listening on (tcp://\S+)", self.log())
            if match and "listening on ipc" in self.log():
                self.tcp = match.group(1)
                return
            time.sleep(0.02)
        raise AssertionError("tailord does not listen:\n" + self.log())

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def page(self):
        """Of the metrics, where --metrics asked for them."""
        where = re.search(r"metrics at (http://\S+)", self.log()).group(1)
        with urllib.request.urlopen(where, timeout=30) as answer:
            return answer.read().decode()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(harness.STOP_S)
        log = self.log()
        if status != 0 or any(word in log for word in harness.COMPLAINTS):
            raise AssertionError("tailord left with status %d:\n%s" % (status, log))


class FolderCase(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tailor-e2e-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder)
        self.keys = os.path.join(self.folder, "keys")

    def key(self, *arguments, status=harness.DONE):
        result = run([harness.TAILOR, "key", *arguments])
        self.assertEqual(status, result.returncode, result.stderr)
        return result.stdout if status == harness.DONE else result.stderr

    def new(self, name, role, keys=None):
        return self.key("new", "--name", name, "--role", role, "--out",
                        keys or self.keys).strip()

    def mode(self, name):
        return stat.S_IMODE(os.stat(os.path.join(self.keys, name)).st_mode)


class FilesTest(FolderCase):
    def test_a_new_key_is_secret_and_the_client_file_is_not(self):
        self.keys = os.path.join(self.folder, "new", "keys")
        path = self.new("alice", "writer")
        self.assertEqual(os.path.join(self.keys, "alice.key"), path)
        self.assertEqual([0o600, 0o600, 0o644],
                         [self.mode(n) for n in ("server.key", "alice.key", "alice.client")])
        self.assertEqual(0o700, stat.S_IMODE(os.stat(self.keys).st_mode))
        with open(os.path.join(self.keys, "alice.client"), encoding="utf-8") as file:
            self.assertNotIn("secret", file.read())

    @unittest.skipIf(os.geteuid() != 0, "only root gives files away")
    def test_root_makes_keys_for_the_owner_of_the_folder(self):
        os.chown(self.folder, 65534, 65534)
        self.new("alice", "writer")
        names = ["", "server.key", "alice.client"]
        self.assertEqual([65534] * 3, [
            os.stat(os.path.join(self.keys, name)).st_uid for name in names])

    def test_clients_are_listed_and_removed(self):
        self.new("alice", "writer")
        self.new("bob", "reader")
        lines = self.key("list", "--keys", self.keys).splitlines()
        self.assertEqual("name,role,public", lines[0])
        self.assertEqual(["alice,writer", "bob,reader"],
                         [",".join(line.split(",")[:2]) for line in lines[1:]])
        self.key("remove", "alice", "--keys", self.keys)
        rows = [json.loads(line) for line in
                self.key("list", "--keys", self.keys, "--json").splitlines()]
        self.assertEqual(["bob"], [row["name"] for row in rows])
        self.assertNotIn("alice.key", os.listdir(self.keys))

    def test_what_makes_no_sense_is_refused(self):
        self.new("alice", "writer")
        self.assertIn("there already", self.key(
            "new", "--name", "alice", "--role", "admin", "--out", self.keys,
            status=harness.FAILED))
        for name, role, said in (("x", "king", "want reader, writer or admin"),
                                 ("server", "admin", "another name"),
                                 ("../x", "admin", "want a letter")):
            self.assertIn(said, self.key("new", "--name", name, "--role", role, "--out",
                                         self.keys, status=harness.FAILED))
        self.key("new", "--name", "x", "--out", self.keys, status=harness.USAGE)
        self.key("new", "--name", "x", "--role", "admin", status=harness.USAGE)
        self.assertIn("no such client", self.key("remove", "y", "--keys", self.keys,
                                                 status=harness.FAILED))

    def start_refused(self, *options):
        result = run([harness.TAILORD, "--data", os.path.join(self.folder, "data"), *options])
        self.assertEqual(harness.FAILED, result.returncode, result.stderr)
        return result.stderr

    def test_open_files_keep_the_daemon_from_starting(self):
        self.new("alice", "admin")
        listen = ("--keys", self.keys, "--listen", "tcp://127.0.0.1:*")
        for name, mode, said in (("server.key", 0o640, "others may read or write it"),
                                 ("alice.client", 0o666, "others may write it"),
                                 ("", 0o770, "others may write it")):
            path = os.path.join(self.keys, name)
            before = stat.S_IMODE(os.stat(path).st_mode)
            os.chmod(path, mode)
            self.assertIn(said, self.start_refused(*listen))
            os.chmod(path, before)

    def test_damaged_files_keep_the_daemon_from_starting(self):
        self.new("alice", "admin")
        path = os.path.join(self.keys, "alice.client")
        with open(path, "a", encoding="utf-8") as file:
            file.write("rôle: x\n")
        self.assertIn("alice.client line 5", self.start_refused("--keys", self.keys))
        shutil.copy(path, os.path.join(self.keys, "bob.client"))
        os.remove(os.path.join(self.keys, "server.key"))
        self.assertIn("tailor key new", self.start_refused("--keys", self.keys))

    def test_without_keys_only_this_machine_is_served(self):
        for endpoint in ("tcp://0.0.0.0:7411", "tcp://*:7411", "tcp://[::]:7411"):
            self.assertIn("without keys", self.start_refused("--listen", endpoint))

    def test_a_client_key_that_others_may_read_is_not_used(self):
        path = self.new("alice", "admin")
        os.chmod(path, 0o644)
        result = run([harness.TAILOR, "--key", path, "--connect", "tcp://127.0.0.1:1", "status"])
        self.assertEqual(harness.FAILED, result.returncode)
        self.assertIn("others may read", result.stderr)


class ServingTest(FolderCase):
    def setUp(self):
        super().setUp()
        self.paths = {role: self.new("a-" + role, role) for role in ("reader", "writer", "admin")}
        self.daemon = Guarded(self.folder, "--keys", self.keys, "--metrics", ":0")
        self.addCleanup(self.daemon.stop)

    def ask(self, key, *command, endpoint=None, timeout_ms=5000):
        options = ["--key", key] if key else []
        return run([harness.TAILOR, "--connect", endpoint or self.daemon.tcp, "--timeout-ms",
                    timeout_ms, *options, *command])

    def ok(self, key, *command):
        result = self.ask(key, *command)
        self.assertEqual(harness.DONE, result.returncode, result.stderr)
        return result.stdout

    def refused(self, key, *command, **options):
        result = self.ask(key, *command, **options)
        self.assertEqual(harness.FAILED, result.returncode, result.stdout)
        return result.stderr

    def eventually(self, key, status, *command):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            result = self.ask(key, *command)
            if result.returncode == status:
                return result.stderr
            time.sleep(0.1)
        self.fail("%s: %s%s" % (command, result.stderr, self.daemon.log()))

    def test_a_role_allows_what_it_says(self):
        for role in self.paths:
            self.ok(self.paths[role], "status")
            self.ok(self.paths[role], "space", "list")
        said = self.refused(self.paths["reader"], "train", "--space", "nasbench201")
        self.assertIn("it is a reader", said)
        self.assertIn("a writer or an admin calls it", said)
        self.assertIn("it is a reader", self.refused(
            self.paths["reader"], "device", "add", "--name", "x"))
        self.ok(self.paths["writer"], "device", "add", "--name", "x")
        self.ok(self.paths["admin"], "device", "remove", "x")
        words = ("space", "remove", "nowhere", "--with-measurements")
        self.assertIn("only an admin", self.refused(self.paths["writer"], *words))
        self.assertIn("no space", self.refused(self.paths["admin"], *words))
        self.assertIn("key=a-reader", self.daemon.log())

    def test_the_key_may_stand_in_the_environment(self):
        result = run([harness.TAILOR, "status"], TAILOR_ENDPOINT=self.daemon.tcp,
                     TAILOR_KEY=self.paths["reader"])
        self.assertEqual(harness.DONE, result.returncode, result.stderr)

    def test_without_a_key_there_is_no_answer_but_a_reason_at_once(self):
        began = time.monotonic()
        # The daemon may hang up before it has said what it wants.
        self.assertRegex(self.refused(None, "status", timeout_ms=5000), "asks? for a key")
        self.assertLess(time.monotonic() - began, 15)

    def test_an_unknown_key_is_refused_at_once(self):
        stranger = os.path.join(self.folder, "stranger")
        with open(self.paths["admin"], encoding="utf-8") as file:
            server = re.search("^server: .*$", file.read(), re.M).group(0)
        with open(self.new("x", "admin", stranger), encoding="utf-8") as file:
            text = re.sub("^server: .*$", lambda _: server, file.read(), flags=re.M)
        path = os.path.join(stranger, "y.key")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o600)
        began = time.monotonic()
        self.assertIn("does not know the key", self.refused(path, "status", timeout_ms=20000))
        self.assertLess(time.monotonic() - began, 15)
        self.assertIn("unknown, refused", self.daemon.log())
        self.assertRegex(self.daemon.page(),
                         r'(?m)^tailor_handshakes_failed_total\{reason="unknown_key"\} [1-9]')

    def test_a_key_for_another_daemon_is_refused(self):
        path = self.new("a-reader", "reader", os.path.join(self.folder, "other"))
        said = self.refused(path, "status", timeout_ms=1500)
        self.assertRegex(said, "another key|no daemon answers")

    def test_keys_come_and_go_without_a_restart(self):
        path = self.new("late", "reader")
        self.eventually(path, harness.DONE, "status")
        kept = path + ".kept"
        shutil.copy(path, kept)
        self.key("remove", "late", "--keys", self.keys)
        self.assertIn("does not know the key", self.eventually(kept, harness.FAILED, "status"))
        self.ok(self.paths["reader"], "status")

    def test_a_role_edited_in_place_counts_after_sighup(self):
        path = os.path.join(self.keys, "a-reader.client")
        with open(path, "r+", encoding="utf-8") as file:
            text = file.read().replace("role: reader", "role: writer")
            file.seek(0)
            file.write(text)
        self.daemon.process.send_signal(signal.SIGHUP)
        self.eventually(self.paths["reader"], harness.DONE, "device", "add", "--name", "y")

    def test_a_damaged_file_locks_out_nobody_else(self):
        path = os.path.join(self.keys, "bad.client")
        with open(path, "w", encoding="utf-8") as file:
            file.write("nonsense\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE_S
        while "left out" not in self.daemon.log() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertIn("bad.client line 1", self.daemon.log())
        self.ok(self.paths["reader"], "status")

    def test_a_local_socket_asks_for_the_rights_of_its_file_instead(self):
        for key in (None, self.paths["reader"]):
            result = self.ask(key, "device", "add", "--name", "z", endpoint=self.daemon.ipc)
            self.assertEqual(harness.DONE, result.returncode, result.stderr)

    def test_noise_on_the_port_harms_nobody(self):
        port = int(self.daemon.tcp.rsplit(":", 1)[1])
        for noise in (b"", b"GET / HTTP/1.0\r\n\r\n", b"\xff" + b"\0" * 8 + b"\x7f\x03",
                      os.urandom(4096)):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                client.sendall(noise)
        self.ok(self.paths["reader"], "status")


class OpenTest(FolderCase):
    def test_a_daemon_without_keys_says_so_to_a_client_with_one(self):
        path = self.new("alice", "admin")
        daemon = Guarded(self.folder)
        try:
            result = run([harness.TAILOR, "--connect", daemon.tcp, "--key", path, "status"])
            self.assertEqual(harness.FAILED, result.returncode)
            self.assertIn("asks for no key", result.stderr)
        finally:
            daemon.stop()

    def test_so_does_one_that_hangs_up_before_it_could(self):
        """A stand-in for a daemon without keys, which always loses the race that such a daemon
        loses now and then."""
        path = self.new("alice", "admin")
        ready = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06ROUTER"
        greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
        served = []

        def serve(listener):
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                client.sendall(greeting[:11])
                heard = client.recv(64, socket.MSG_WAITALL)
                if b"CURVE" in heard:
                    client.close()
                else:
                    client.sendall(greeting[11:] + ready)
                    served.append(client)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve, args=(listener,), daemon=True)
            thread.start()
            result = run([harness.TAILOR, "--connect",
                          "tcp://127.0.0.1:%d" % listener.getsockname()[1], "--timeout-ms", 20000,
                          "--key", path, "status"])
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
        for client in served:
            client.close()
        self.assertEqual(harness.FAILED, result.returncode)
        self.assertIn("asks for no key", result.stderr)

    def test_with_keys_other_machines_are_served(self):
        path = self.new("alice", "admin")
        daemon = Guarded(self.folder, "--keys", self.keys, "--listen", "tcp://0.0.0.0:*")
        try:
            port = re.search(r"listening on tcp://0\.0\.0\.0:(\d+)", daemon.log()).group(1)
            result = run([harness.TAILOR, "--connect", "tcp://127.0.0.1:" + port, "--key", path,
                          "status"])
            self.assertEqual(harness.DONE, result.returncode, result.stderr)
        finally:
            daemon.stop()


if __name__ == "__main__":
    harness.main()
