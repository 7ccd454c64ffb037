#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tailor backup while clients write, tailor restore, and what both refuse."""
import json
import os
import shutil
import subprocess
import threading

import harness

SPACE = ["--space", "nasbench201"]
MODELS = os.path.join(harness.SOURCE_DIR, "models")


class BackupTest(harness.Case):
    def setUp(self):
        self.target = os.path.join(self.folder, "restored", self.id().rsplit(".", 1)[1])

    def restore(self, path, *options, status=0):
        result = subprocess.run([harness.TAILOR, "restore", path, "--data", self.target, *options],
                                capture_output=True, text=True, check=False)
        self.assertEqual(status, result.returncode, result.stderr)
        return result.stdout if status == 0 else result.stderr

    def table(self, device, n, value):
        return self.write(device + ".csv", harness.table(
            harness.cells(n), {"latency_ms@" + device: lambda d: value}))

    def serve_restored(self):
        """Another daemon on what was restored."""
        folder = self.target + "-daemon"
        os.makedirs(folder)
        os.rename(self.target, os.path.join(folder, "data"))
        other = harness.Daemon(folder)
        other.start()
        self.addCleanup(other.kill)
        return other

    def test_what_was_backed_up_is_served_again(self):
        own = os.path.join(self.folder, "data", "models")
        os.makedirs(own, exist_ok=True)
        shutil.copy(os.path.join(MODELS, "mobilenet-zoo.tlm"), own)
        self.ok("measure", "import", *SPACE, self.table("kept", 200, 1.5))
        self.ok("space", "add", os.path.join(harness.SOURCE_DIR, "tests", "spaces", "user",
                                             "tiny-chain.yaml"))
        out = os.path.join(self.folder, "all.backup")
        report = json.loads(self.ok("backup", "--out", out, "--json"))
        self.assertEqual({"file": out, "bytes": os.path.getsize(out)}, report)
        self.assertEqual(0o600, os.stat(out).st_mode & 0o777)
        report = json.loads(self.restore(out, "--json"))
        self.assertEqual(1, report["models"])
        other = self.serve_restored()
        for words in (["measure", "export", *SPACE], ["space", "list"], ["device", "show", "kept"]):
            self.assertEqual(self.ok(*words),
                             harness.run(other, [harness.TAILOR, *words]).stdout, words)
        models = harness.run(other, [harness.TAILOR, "model", "list"]).stdout
        self.assertRegex(models, "mobilenet-zoo .* trained")

    def test_a_backup_is_of_one_moment_while_clients_write(self):
        paths = [self.write("turn%d.csv" % i, harness.table(harness.cells(50), {
            "latency_ms@turn-a": lambda d, i=i: i + 1.0,
            "latency_ms@turn-b": lambda d, i=i: i + 1.0})) for i in range(2)]
        self.ok("measure", "import", *SPACE, paths[0])
        goes_on = threading.Event()
        goes_on.set()

        def import_all():
            while goes_on.is_set():
                for path in paths:
                    harness.run(self.daemon, [harness.TAILOR, "measure", "import", *SPACE, path])
        writer = threading.Thread(target=import_all)
        writer.start()
        try:
            for i in range(3):
                self.ok("backup", "--out", os.path.join(self.folder, "moment%d" % i))
        finally:
            goes_on.clear()
            writer.join()
        for i in range(3):
            self.restore(os.path.join(self.folder, "moment%d" % i), "--force")
        other = self.serve_restored()
        text = harness.run(other, [harness.TAILOR, "measure", "export", *SPACE]).stdout
        lines = text.splitlines()
        columns = [i for i, name in enumerate(lines[0].split(",")) if "@turn-" in name]
        values = {row.split(",")[i] for row in lines[1:] for i in columns} - {""}
        self.assertEqual(1, len(values), values)

    def test_what_cannot_be_restored_or_written_is_refused(self):
        out = os.path.join(self.folder, "small.backup")
        self.ok("backup", "--out", out)
        with open(out, "rb") as file:
            whole = file.read()
        bad = os.path.join(self.folder, "bad.backup")
        for content, why in ((whole[:-1], "ends too early"), (b"x" * 100, "no backup of tailor"),
                             (whole + b"x", "follows its end"),
                             (whole[:40] + b"X" + whole[41:], "damaged")):
            with open(bad, "wb") as file:
                file.write(content)
            self.assertIn(why, self.restore(bad, status=1))
            self.assertEqual(["lock"], os.listdir(self.target))
        self.assertIn("no-such", self.restore(os.path.join(self.folder, "no-such"), status=1))
        self.target = os.path.join(self.folder, "data")
        self.assertIn("is in use by process", self.restore(out, "--force", status=1))
        self.assertIn("/no/folder/x", self.refused("backup", "--out", "/no/folder/x"))
        self.assertFalse([n for n in os.listdir(self.folder) if "unfinished" in n])
        self.refused("backup", status=2)

    def test_a_full_disk_leaves_no_half_backup(self):
        self.assertIn("/dev/full", self.refused("backup", "--out", "/dev/full/x"))
        result = subprocess.run(
            ["sh", "-c", "ulimit -f 1; trap '' XFSZ; exec \"$@\"", "sh", harness.TAILOR, "backup",
             "--out", os.path.join(self.folder, "half.backup")], capture_output=True, text=True,
            env=dict(os.environ, TAILOR_ENDPOINT=self.daemon.endpoint), check=False)
        if result.returncode == 0:
            self.skipTest("the backup is shorter than the limit")
        self.assertIn("File too large", result.stderr)
        self.assertFalse([n for n in os.listdir(self.folder) if n.startswith("half")])


if __name__ == "__main__":
    harness.main()
