# SPDX-License-Identifier: Apache-2.0
"""The servers that kept messages are played to: tailord, which knows nothing of what is shipped,
and the methods made for tests."""
import os
import shutil
import subprocess
import tempfile
from typing import Any

import harness
import wire

TEST_SERVER = os.path.join(harness.BUILD_DIR, "tests", "daemon", "wire_server")


class Bare(harness.Daemon):
    """tailord without a shipped space, device or model."""

    def start(self) -> None:
        share = os.path.join(self.folder, "share")
        for name in ("spaces", "device-profiles", "models"):
            os.makedirs(os.path.join(share, name))
        before = os.environ.get("TAILOR_SHARE")
        os.environ["TAILOR_SHARE"] = share
        try:
            super().start()
        finally:
            if before is None:
                del os.environ["TAILOR_SHARE"]
            else:
                os.environ["TAILOR_SHARE"] = before


class Servers:
    """Both, as long as the block lasts; servers["tailord"] is a session with one."""

    def __enter__(self) -> dict[str, wire.Session]:
        self.folder = tempfile.mkdtemp(prefix="tailor-e2e-", dir="/tmp")
        self.daemon = Bare(self.folder)
        self.daemon.start()
        self.test: Any = subprocess.Popen([TEST_SERVER], stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, text=True)
        endpoint = self.test.stdout.readline().strip()
        self.sessions = {"tailord": wire.Session(self.daemon.endpoint),
                         "test": wire.Session(endpoint)}
        return self.sessions

    def __exit__(self, *_: Any) -> None:
        for session in self.sessions.values():
            session.close()
        self.test.communicate(timeout=harness.STOP_S)
        status = self.daemon.stop()
        log = self.daemon.log()
        shutil.rmtree(self.folder)
        if status != 0 or self.test.returncode != 0 or any(
                word in log for word in harness.COMPLAINTS):
            raise AssertionError(f"left with {status} and {self.test.returncode}:\n{log}")
