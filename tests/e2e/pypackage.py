# SPDX-License-Identifier: Apache-2.0
"""The Python package of the build tree, for the tests of it; they are skipped where Debian's
python3-zmq and python3-protobuf are not.

    import pypackage
    tailor = pypackage.tailor
"""
import contextlib
import os
import sys

import harness

FOLDER = os.path.join(harness.BUILD_DIR, "clients", "python")

sys.path.insert(0, FOLDER)
try:
    import tailor
except ImportError as missing:
    if "zmq" not in str(missing) and "google" not in str(missing):
        raise
    print("skipped: " + str(missing), file=sys.stderr)
    sys.exit(0)


@contextlib.contextmanager
def environment(**variables):
    """With these environment variables; None: without."""
    before = {name: os.environ.get(name) for name in variables}

    def put(values):
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    put(variables)
    try:
        yield
    finally:
        put(before)


class Case(harness.Case):
    """With a client of the daemon, for each test."""

    models = os.path.join(harness.SOURCE_DIR, "models")

    def setUp(self):
        self.client = tailor.Client(self.daemon.endpoint)
        self.addCleanup(self.client.close)


main = harness.main
