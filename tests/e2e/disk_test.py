#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disks that are full or read-only, and files that are damaged: an error that names the file and
what to do, never a crash, and all else goes on.
"""
import os
import random
import resource
import shutil
import struct
import subprocess
import tempfile
import time
import unittest

import harness

SPACE = ["--space", "nasbench201"]
PAGE = 4096
MODELS = os.path.join(harness.SOURCE_DIR, "models")
START_S = 30


class Daemon(harness.Daemon):
    """A daemon that may refuse to start."""

    def begin(self, prepare=None):
        """Whether it serves; it has left where not."""
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [harness.TAILORD, "--data", os.path.join(self.folder, "data"), "--models",
                 self.models, "--listen", self.endpoint], stdin=subprocess.DEVNULL, stderr=log,
                preexec_fn=prepare)
        deadline = time.monotonic() + START_S
        while self.process.poll() is None and time.monotonic() < deadline:
            if self.tailor("--timeout-ms", "500", "status").returncode == 0:
                return True
        return False

    def tailor(self, *words):
        return harness.run(self, [harness.TAILOR, *words])


class DiskTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tailor-disk-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.daemon = Daemon(self.folder)
        self.addCleanup(self.end)

    def end(self):
        if self.daemon.process is not None and self.daemon.process.poll() is None:
            self.daemon.kill()

    def start(self, prepare=None):
        self.assertTrue(self.daemon.begin(prepare), self.daemon.log())

    def stop(self):
        self.assertEqual(0, self.daemon.stop(), self.daemon.log())

    def ok(self, *words):
        result = self.daemon.tailor(*words)
        self.assertEqual(0, result.returncode, result.stderr)
        return result.stdout

    def refused(self, *words):
        result = self.daemon.tailor(*words)
        self.assertEqual(1, result.returncode, result.stdout)
        return result.stderr

    def table(self, name, device, n):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(harness.table(harness.cells(n), {"latency_ms@" + device: harness.latency_ms}))
        return path

    def store(self):
        return os.path.join(self.folder, "data", "store.mdb")

    # ---- full and read-only -------------------------------------------------------------------

    def test_a_file_that_may_not_grow_refuses_writes_and_serves_reads(self):
        small = self.table("small.csv", "small", 20)
        large = self.table("large.csv", "large", 5000)
        limit = 128 * 1024
        self.start(lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)))
        self.ok("measure", "import", *SPACE, small)
        self.assertRegex(self.refused("measure", "import", *SPACE, large),
                         r"cannot write to the store in .*/data: .*is the disk full")
        self.assertEqual(21, len(self.ok("measure", "export", *SPACE).splitlines()))
        resource.prlimit(self.daemon.process.pid, resource.RLIMIT_FSIZE,
                         (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.ok("measure", "import", *SPACE, large)
        self.stop()

    def mount(self, *options):
        """The data folder as a small disk of its own; skipped where that is not allowed."""
        data = os.path.join(self.folder, "data")
        os.makedirs(data, exist_ok=True)
        result = subprocess.run(["mount", "-t", "tmpfs", "-o", *options, "tailor-test", data],
                                capture_output=True, text=True, check=False) \
            if os.geteuid() == 0 and shutil.which("mount") else None
        if result is None or result.returncode != 0:
            self.skipTest("no disk can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", data], check=False)
        return data

    def test_a_full_disk_serves_reads_and_writes_again_when_there_is_room(self):
        data = self.mount("size=1m")
        small = self.table("small.csv", "small", 20)
        large = self.table("large.csv", "large", 10000)
        filler = os.path.join(data, "filler")
        self.start()
        self.ok("measure", "import", *SPACE, small)
        with open(filler, "wb", buffering=0) as file:
            with self.assertRaises(OSError):
                while file.write(b"x" * 4096):
                    pass
        self.assertRegex(self.refused("measure", "import", *SPACE, large),
                         r"cannot write to the store in .*/data: .*is the disk full")
        self.assertEqual(21, len(self.ok("measure", "export", *SPACE).splitlines()))
        self.daemon.kill()
        self.start()  # on the full disk
        self.assertEqual(21, len(self.ok("measure", "export", *SPACE).splitlines()))
        out = os.path.join(self.folder, "full.backup")
        self.ok("backup", "--out", out)
        os.remove(filler)
        self.ok("measure", "import", *SPACE, self.table("more.csv", "more", 2000))
        self.stop()

    def test_a_read_only_disk_is_served_and_named_to_who_writes(self):
        data = self.mount("size=8m")
        self.start()
        self.ok("measure", "import", *SPACE, self.table("a.csv", "known", 100))
        asked = self.table("asked.csv", "ignored", 5)
        before = self.predict("known", asked)
        self.stop()
        subprocess.run(["mount", "-o", "remount,ro", data], check=True)
        self.start()
        self.assertRegex(self.daemon.log(), "/data cannot be written.*Read-only file system")
        self.assertEqual(before, self.predict("known", asked))
        self.predict("raspi4", asked)
        self.assertEqual(101, len(self.ok("measure", "export", *SPACE).splitlines()))
        for words in (("device", "add", "--name", "new"), ("device", "remove", "known"),
                      ("measure", "import", *SPACE, self.table("b.csv", "more", 20)),
                      ("train", *SPACE, "--effort", "none"),
                      ("train", *SPACE, "--effort", "none", "--detach")):
            self.assertIn("Read-only file system", self.refused(*words))
        self.assertRegex(self.ok("status"), "store_trouble .*Read-only file system")
        self.ok("backup", "--out", os.path.join(self.folder, "rest.backup"))
        second = subprocess.run(
            [harness.TAILORD, "--data", data, "--listen", "ipc://" + self.folder + "/second"],
            capture_output=True, text=True, check=False)
        self.assertEqual(1, second.returncode)
        self.assertIn("is in use by process", second.stderr)
        self.stop()
        subprocess.run(["mount", "-o", "remount,rw", data], check=True)
        self.start()
        self.ok("device", "add", "--name", "new")
        self.assertEqual(before, self.predict("known", asked))
        self.stop()

    # ---- damaged --------------------------------------------------------------------------------

    def test_flipped_and_missing_bytes_of_the_store_are_noticed(self):
        rng = random.Random(harness.SEED)
        self.start()
        self.ok("measure", "import", *SPACE, self.table("t.csv", "kept", 300))
        self.ok("device", "add", "--name", "bare")
        self.stop()
        with open(self.store(), "rb") as file:
            whole = file.read()
        spots = [16, 24, 40, 4096 + 136, 8192 + 12, 8192 + 18, len(whole) // 2]
        spots += [rng.randrange(len(whole)) for _ in range(2)]
        n_refused = 0
        for spot in spots:
            damaged = bytearray(whole)
            damaged[spot] ^= 1 + rng.randrange(255)
            self.put(damaged)
            n_refused += self.start_damaged()
        for size in (0, 4096, len(whole) // 2):
            self.put(whole[:size])
            self.assertTrue(self.start_damaged(), "cut to %d bytes" % size)
        self.assertGreater(n_refused, 3)
        self.put(whole)
        self.start()
        self.assertEqual(301, len(self.ok("measure", "export", *SPACE).splitlines()))
        self.stop()

    def put(self, content):
        with open(self.store(), "wb") as file:
            file.write(content)

    def start_damaged(self):
        """Whether it says that something is damaged; else all that was stored is there."""
        if not self.daemon.begin():
            self.assertRegex(self.daemon.log(), "store.mdb is of another LMDB")
            return True
        result = self.daemon.tailor("measure", "export", *SPACE)
        says_so = "damaged" in result.stderr or "is damaged" in self.daemon.log()
        if not says_so:
            self.assertEqual(0, result.returncode, result.stderr)
            self.assertEqual(301, len(result.stdout.splitlines()))
        self.stop()
        return says_so

    def predict(self, device, designs):
        return self.ok("predict", *SPACE, "--device", device, "--designs", designs)

    def damage_leaves(self, is_key):
        """Makes the pages impossible that hold such keys; one of free pages does no harm."""
        with open(self.store(), "rb") as file:
            content = bytearray(file.read())
        n = 0
        for at in range(2 * PAGE, len(content), PAGE):
            number, _, flags, lower, _ = struct.unpack_from("<QHHHH", content, at)
            if number != at // PAGE or flags != 2:
                continue
            for i in range((lower - 16) // 2):
                entry = at + struct.unpack_from("<H", content, at + 16 + 2 * i)[0]
                key_len = struct.unpack_from("<H", content, entry + 6)[0]
                if is_key(bytes(content[entry + 8:entry + 8 + key_len])):
                    content[at + 12] ^= 1
                    n += 1
                    break
        self.assertGreater(n, 0)
        self.put(content)

    def many(self, n):
        """A table of n devices, whose profiles and measurements take several pages."""
        path = os.path.join(self.folder, "many.csv")
        cells = harness.cells(40)
        with open(path, "w", encoding="utf-8") as file:
            file.write(harness.table(cells, {
                "latency_ms@board-%03d" % i: harness.latency_ms for i in range(n)}))
        return path

    def start_hurt(self, is_key, lost):
        """With 200 devices, one of which lay in a page that is damaged now. What was predicted
        for the first of them, before and after, is the same."""
        self.start()
        self.ok("measure", "import", *SPACE, self.many(200))
        asked = self.table("asked.csv", "ignored", 5)
        before = self.predict("board-000", asked)
        self.stop()
        self.damage_leaves(is_key)
        self.assertRegex(self.check(1), "store.mdb is damaged: page [0-9]+: its bounds")
        self.start()
        self.assertRegex(self.daemon.log(), "is damaged, so nothing is stored.*page [0-9]+: its")
        self.assertRegex(self.daemon.log(), "the store has lost " + lost)
        self.assertRegex(self.ok("status"), "store_trouble .*page [0-9]+: its bounds")
        self.assertEqual(before, self.predict("board-000", asked))
        self.predict("raspi4", asked)
        for words in (("device", "add", "--name", "new"),
                      ("device", "remove", "board-000"),
                      ("measure", "import", *SPACE, asked),
                      ("train", *SPACE, "--effort", "none"),
                      ("train", *SPACE, "--effort", "none", "--detach")):
            self.assertRegex(self.refused(*words), "page [0-9]+: its bounds")
        self.assertRegex(self.refused("predict", *SPACE, "--device", "board-150", "--designs",
                                      asked), "board-1.*page [0-9]+: its bounds")
        return asked, before

    def back_up_and_restore(self):
        """What the backup warned of, when all that is left was put into a sound store."""
        out = os.path.join(self.folder, "rest.backup")
        left = self.daemon.tailor("backup", "--out", out)
        self.assertEqual(0, left.returncode, left.stderr)
        self.stop()
        data = os.path.join(self.folder, "data")
        result = subprocess.run([harness.TAILOR, "restore", out, "--data", data, "--force"],
                                capture_output=True, text=True, check=False)
        self.assertEqual(0, result.returncode, result.stderr)
        self.assertIn("store.mdb is sound", self.check(0))
        self.start()
        self.assertRegex(self.ok("status"), "store_trouble *\n")
        return left.stderr

    def test_a_damaged_page_of_devices_costs_these_alone(self):
        asked, before = self.start_hurt(lambda key: key == b"board-150", "devices between \"board-")
        self.assertRegex(self.refused("device", "show", "board-150"), "nothing can be told of")
        self.assertIn("no device", self.refused("device", "show", "other"))
        listed = self.daemon.tailor("device", "list", "--prefix", "board-")
        self.assertEqual(0, listed.returncode, listed.stderr)
        self.assertRegex(listed.stderr, "warning: devices between .* is left out")
        self.assertIn("board-199", listed.stdout)
        self.assertNotIn("board-150", listed.stdout)
        self.assertEqual(41, len(self.ok("measure", "export", *SPACE).splitlines()))
        self.assertRegex(self.back_up_and_restore(),
                         "warning: devices between .* is damaged and not in the backup")
        self.assertEqual(before, self.predict("board-000", asked))
        self.assertIn("no device", self.refused("device", "show", "board-150"))
        self.ok("device", "add", "--name", "board-150")
        self.predict("board-150", asked)  # its measurements were whole
        self.stop()

    def test_a_damaged_page_of_measurements_costs_these_alone(self):
        asked, before = self.start_hurt(lambda key: key.endswith(b"\x000board-150"),
                                        "measurements between \"cnasbench201 0board-")
        self.ok("device", "show", "board-150")
        self.assertRegex(self.refused("measure", "export", *SPACE, "--device", "board-150"),
                         "page [0-9]+: its bounds")
        left = self.daemon.tailor("measure", "export", *SPACE)
        self.assertEqual(0, left.returncode, left.stderr)
        self.assertRegex(left.stderr, "warning: measurements between .* not in the export")
        self.assertIn("latency_ms@board-199", left.stdout)
        self.assertNotIn("latency_ms@board-150", left.stdout)
        self.assertRegex(self.back_up_and_restore(),
                         "warning: measurements between .* not in the backup")
        self.assertEqual(before, self.predict("board-000", asked))
        self.ok("measure", "import", *SPACE, self.many(200))
        self.assertEqual(before.splitlines()[0], self.predict("board-150", asked).splitlines()[0])
        self.stop()

    def test_without_any_page_of_the_store_what_is_shipped_is_served(self):
        self.start()
        self.ok("measure", "import", *SPACE, self.table("a.csv", "known", 100))
        self.stop()
        asked = self.table("asked.csv", "ignored", 5)
        with open(self.store(), "r+b") as file:
            file.write(b"\xff" * (2 * PAGE))
        for is_there in (True, False):
            if not is_there:
                os.remove(self.store())
            self.start()
            self.assertRegex(self.daemon.log(), "is damaged, so nothing is stored")
            shipped = self.daemon.tailor("predict", *SPACE, "--device", "raspi4", "--designs", asked)
            self.assertEqual(0, shipped.returncode, shipped.stderr)
            self.assertIn("raspi4 is answered as shipped", shipped.stderr)
            self.assertRegex(self.refused("predict", *SPACE, "--device", "known", "--designs",
                                          asked), "nothing can be told of all devices")
            self.refused("device", "add", "--name", "new")
            listed = self.daemon.tailor("device", "list")
            self.assertIn("raspi4", listed.stdout)
            self.assertIn("warning: all devices is left out", listed.stderr)
            self.stop()
        self.assertFalse(os.path.exists(self.store()))

    def flip_in_column(self, offset):
        """One bit of every version of the column hurt, counted from what follows its checksums."""
        with open(self.store(), "rb") as file:
            content = bytearray(file.read())
        header = bytes([1, 0, 0, 0, 12, 0, 0, 0]) + (310).to_bytes(4, "little")
        at = content.find(header)
        self.assertGreater(at, 0)
        while at >= 0:
            content[at + offset] ^= 16
            at = content.find(header, at + len(header))
        self.put(content)

    def test_a_damaged_column_is_named_and_a_backup_heals_it(self):
        out = os.path.join(self.folder, "good.backup")
        self.start()
        self.ok("measure", "import", *SPACE, self.table("a.csv", "whole", 300))
        self.ok("measure", "import", *SPACE, self.table("b.csv", "hurt", 310))
        self.ok("backup", "--out", out)
        self.stop()
        for offset in (5000, -13):  # in the values, and in the sum of the key
            self.flip_in_column(offset)
            self.assertRegex(self.check(1), "damaged: measurements .*hurt")
            self.start()
            self.mend_column()
            self.stop()
        data = os.path.join(self.folder, "data")
        result = subprocess.run([harness.TAILOR, "restore", out, "--data", data, "--force"],
                                capture_output=True, text=True, check=False)
        self.assertEqual(0, result.returncode, result.stderr)
        self.start()
        self.ok("measure", "export", *SPACE, "--device", "hurt")
        self.stop()
        self.assertIn("store.mdb is sound", self.check(0))

    def mend_column(self):
        """What is served beside the damaged column, and what is done about it."""
        error = self.refused("measure", "export", *SPACE, "--device", "hurt")
        self.assertRegex(error, "nasbench201.*hurt.* is damaged")
        self.assertEqual(301, len(self.ok(
            "measure", "export", *SPACE, "--device", "whole").splitlines()))
        left = self.daemon.tailor("measure", "export", *SPACE)
        self.assertEqual(301, len(left.stdout.splitlines()))
        self.assertRegex(left.stderr, "warning: latency_ms@hurt is damaged and not in the export")
        trained = self.daemon.tailor("train", *SPACE, "--effort", "none", "--seed", "7")
        self.assertEqual(0, trained.returncode, trained.stderr)
        self.assertIn("latency_ms@hurt is damaged and takes no part", trained.stderr)
        self.assertIn("remove the device", self.refused(
            "measure", "import", *SPACE, os.path.join(self.folder, "b.csv")))
        left = self.daemon.tailor("backup", "--out", os.path.join(self.folder, "rest.backup"))
        self.assertEqual(0, left.returncode)
        self.assertRegex(left.stderr, "warning: measurements .*hurt.* not in the backup")
        self.ok("device", "remove", "hurt")
        self.ok("measure", "import", *SPACE, os.path.join(self.folder, "b.csv"))
        self.assertEqual(311, len(self.ok(
            "measure", "export", *SPACE, "--device", "hurt").splitlines()))

    def check(self, status):
        result = subprocess.run([harness.TAILORD, "--check", "--data", os.path.join(
            self.folder, "data")], capture_output=True, text=True, check=False)
        self.assertEqual(status, result.returncode, result.stderr)
        return result.stderr

    def test_a_damaged_entry_of_any_kind_leaves_the_others_served(self):
        tiny = os.path.join(harness.SOURCE_DIR, "tests", "spaces", "user", "tiny-chain.yaml")
        profile = os.path.join(self.folder, "board.yaml")
        with open(profile, "w", encoding="utf-8") as file:
            file.write("name: board\ndescription: spoil the board\n")
        self.start()
        self.ok("measure", "import", *SPACE, self.table("a.csv", "whole", 70))
        self.ok("space", "add", tiny)
        self.ok("device", "add", profile)
        self.ok("train", *SPACE, "--effort", "none", "--seed", "7")
        self.stop()
        with open(self.store(), "rb") as file:
            content = bytearray(file.read())
        for mark in (b"spoil the board", b"kind: chain", b"train.run"):
            self.assertTrue(mark in content, mark)
            content = content.replace(mark, mark.replace(b"a", b"A"))
        self.put(content)
        self.start()
        for kind in ("devices", "spaces", "jobs"):
            self.assertRegex(self.daemon.log(), "damaged value: " + kind)
        self.assertIn("damaged", self.refused("device", "show", "board"))
        listed = self.daemon.tailor("device", "list")
        self.assertEqual(0, listed.returncode, listed.stderr)
        self.assertIn("whole", listed.stdout)
        self.assertRegex(listed.stderr, "warning: board is left out: its profile is damaged")
        self.assertIn("nearest is \"whole\"", self.refused("device", "show", "whole2"))
        self.assertNotIn("tiny-chain", self.ok("space", "list"))
        self.ok("predict", *SPACE, "--device", "whole", "--designs",
                self.table("b.csv", "ignored", 3))
        self.ok("device", "add", profile)
        self.assertIn("spoil", self.ok("device", "show", "board"))
        self.ok("space", "add", tiny)
        self.assertIn("tiny-chain", self.ok("space", "list"))
        self.ok("train", *SPACE, "--effort", "none", "--seed", "8")
        self.stop()

    def test_a_damaged_model_leaves_the_others_answering(self):
        self.daemon.models = os.path.join(self.folder, "models")
        own = os.path.join(self.folder, "data", "models")
        os.makedirs(self.daemon.models)
        os.makedirs(own)
        for name in ("mobilenet-zoo", "nasbench201", "fbnet"):
            shutil.copy(os.path.join(MODELS, name + ".tlm"), self.daemon.models)
        shutil.copy(os.path.join(MODELS, "fbnet.tlm"), own)
        for path in (os.path.join(self.daemon.models, "nasbench201.tlm"),
                     os.path.join(own, "fbnet.tlm")):
            with open(path, "r+b") as file:
                file.seek(20000)
                file.write(b"damage")
        self.start()
        rows = {line.split()[0]: line for line in self.ok("model", "list").splitlines()[1:]}
        self.assertIn("shipped", rows["mobilenet-zoo"])
        self.assertRegex(rows["nasbench201"], r"none .*models/nasbench201.tlm")
        self.assertRegex(rows["fbnet"], r"shipped .*data/models/fbnet.tlm")
        self.stop()


if __name__ == "__main__":
    harness.main()
