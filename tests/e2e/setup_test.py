#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/setup with stand-ins for the system's commands."""
import os
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ALL_THERE = "echo installed"
NONE_THERE = "exit 1"


class Setup(unittest.TestCase):
    def run_setup(self, *words, **commands):
        """Runs scripts/setup with these commands first in the PATH; what apt-get was told."""
        with tempfile.TemporaryDirectory() as folder:
            log = os.path.join(folder, "apt.log")
            commands.setdefault("apt_get", 'echo "$@" >>%s' % log)
            for name, script in commands.items():
                path = os.path.join(folder, name.replace("_", "-"))
                with open(path, "w", encoding="utf-8") as file:
                    file.write("#!/bin/sh\n" + script + "\n")
                os.chmod(path, 0o755)
            environment = dict(os.environ, PATH=folder + ":" + os.environ["PATH"])
            result = subprocess.run([os.path.join(ROOT, "scripts", "setup"), *words],
                                    env=environment, capture_output=True, text=True, timeout=60, check=False)
            told = ""
            if os.path.exists(log):
                with open(log, encoding="utf-8") as file:
                    told = file.read()
            return result, told

    def test_nothing_is_done_when_all_is_there(self):
        result, told = self.run_setup(dpkg_query=ALL_THERE, id="echo 0")
        self.assertEqual((0, "", ""), (result.returncode, result.stderr, told))

    def test_without_root_or_sudo_the_line_is_printed(self):
        result, told = self.run_setup(dpkg_query=NONE_THERE, id="echo 1000", sudo="exit 1")
        self.assertEqual((1, ""), (result.returncode, told))
        self.assertIn("apt-get install", result.stderr)
        for package in ("libzmq3-dev", "libdnnl-dev", "ninja-build"):
            self.assertIn(package, result.stderr)

    def test_root_installs_only_what_is_missing(self):
        one_missing = 'for p; do :; done; [ "$p" != libcsv-dev ] && echo installed'
        result, told = self.run_setup(dpkg_query=one_missing, id="echo 0")
        self.assertEqual(0, result.returncode, result.stderr)
        self.assertEqual("install -y --no-install-recommends libcsv-dev\n", told)

    def test_sudo_is_used_where_it_asks_nothing(self):
        sudo = 'shift; [ $# = 1 ] || "$@"' # -n true asks; -n apt-get ... installs
        result, told = self.run_setup(dpkg_query=NONE_THERE, id="echo 1000", sudo=sudo)
        self.assertEqual(0, result.returncode, result.stderr)
        self.assertIn("libzmq3-dev", told)

    def test_checks_need_more_than_building_does(self):
        stand_ins = {"dpkg_query": NONE_THERE, "id": "echo 0", "promtool": "exit 0"}
        _, building = self.run_setup(**stand_ins)
        _, checking = self.run_setup("--check", **stand_ins)
        for package in ("clang-tidy", "cppcheck", "valgrind", "systemd"):
            self.assertNotIn(" %s " % package, building)
            self.assertIn(" %s " % package, checking)
        self.assertIn(" libzmq3-dev ", checking)

    def test_a_word_that_is_no_option_is_refused(self):
        result, told = self.run_setup("--chekc", dpkg_query=NONE_THERE, id="echo 0")
        self.assertEqual((2, ""), (result.returncode, told))
        self.assertIn('got "--chekc", want --check', result.stderr)

    def test_a_failed_installation_fails(self):
        result, _ = self.run_setup(dpkg_query=NONE_THERE, id="echo 0", apt_get="exit 100")
        self.assertNotEqual(0, result.returncode)


if __name__ == "__main__":
    unittest.main(verbosity=2)
