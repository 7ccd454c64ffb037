#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`cmake --install` to a prefix of its own: the programs run from there, with the spaces,
catalogue and models that were installed, and the C examples build by pkg-config alone. The same from
the Debian package, unpacked but not installed."""
import glob
import gzip
import os
import shutil
import subprocess
import tempfile
import unittest

import harness

DEBIAN_PYTHON = "/usr/bin/python3"
ASK = """
import tailor
with tailor.Client() as client:
    print(tailor.__file__, len(client.space_list()))
"""


def ask_with_python(case, folder, endpoint):
    """Imports the package from a folder, with Debian's Python, and asks."""
    try:
        subprocess.run([DEBIAN_PYTHON, "-c", "import zmq, google.protobuf"], check=True,
                       stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return
    told = subprocess.run(
        [DEBIAN_PYTHON, "-c", ASK], text=True, check=True, timeout=60, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": folder, "TAILOR_ENDPOINT": endpoint}).stdout
    case.assertEqual("%s 6\n" % os.path.join(folder, "tailor", "__init__.py"), told)


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="tailor-install-", dir="/tmp")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.prefix = os.path.join(cls.folder, "prefix")
        subprocess.run(["cmake", "--install", harness.BUILD_DIR, "--prefix", cls.prefix],
                       check=True, stdout=subprocess.DEVNULL)
        cls.daemon = harness.Daemon(cls.folder, os.path.join(cls.prefix, "share/tailor/models"))
        installed = os.path.join(cls.prefix, "bin", "tailord")
        built, harness.TAILORD = harness.TAILORD, installed
        try:
            cls.daemon.start()
        finally:
            harness.TAILORD = built
        cls.addClassCleanup(cls.daemon.stop)

    def program(self, name, *arguments):
        return subprocess.run(
            [os.path.join(self.prefix, "bin", name), *arguments], text=True, timeout=60,
            stdout=subprocess.PIPE, check=True,
            env={**os.environ, "TAILOR_ENDPOINT": self.daemon.endpoint}).stdout

    def test_installed_programs_use_what_was_installed(self):
        self.assertIn("nasbench201", self.program("tailor", "space", "list", "--json"))
        self.assertIn("raspi4", self.program("tailor", "device", "list", "--json"))
        self.assertIn("tailor-agent", self.program("tailor-agent", "--version"))
        self.assertIn(os.path.join(self.prefix, "share/tailor/models/fbnet.tlm"),
                      self.program("tailor", "model", "show", "fbnet"))

    def test_what_is_beside_the_programs_is_installed(self):
        wanted = ["lib/systemd/system/tailord.service", "lib/systemd/system/tailord.socket",
                  "share/doc/tailor/examples/tailord.yaml"]
        if os.path.exists(os.path.join(harness.BUILD_DIR, "packaging", "man")):
            wanted += ["share/man/man1/tailor.1", "share/man/man1/tailor-agent.1",
                       "share/man/man8/tailord.8", "share/bash-completion/completions/tailor",
                       "share/zsh/site-functions/_tailor"]
        for path in wanted:
            self.assertTrue(os.path.exists(os.path.join(self.prefix, path)), path)
        with open(os.path.join(self.prefix, wanted[2]), encoding="utf-8") as example:
            keys = [line.lstrip("# ").split(":")[0] for line in example if ": " in line]
        self.assertIn("log-level", keys)

    def test_the_python_package_is_installed(self):
        ask_with_python(self, os.path.join(self.prefix, "lib/python3/dist-packages"),
                        self.daemon.endpoint)
        for name in ("examples/measure_and_refine.py", "examples/pareto_plot.py", "python.md"):
            self.assertTrue(os.path.exists(os.path.join(self.prefix, "share/doc/tailor", name)))

    def test_the_examples_build_by_pkg_config(self):
        library = os.path.join(self.prefix, "lib")
        needed = subprocess.run(["ldd", os.path.join(library, "libtailor.so")], text=True,
                                stdout=subprocess.PIPE, check=True).stdout
        if "libasan" in needed or "libtsan" in needed:
            self.skipTest("a sanitized library loads into sanitized programs only")
        sources = glob.glob(os.path.join(self.prefix, "share/doc/tailor/examples/*.c"))
        self.assertEqual(4, len(sources))
        flags = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "tailor"], text=True, check=True,
            stdout=subprocess.PIPE,
            env={**os.environ, "PKG_CONFIG_PATH": os.path.join(library, "pkgconfig")}).stdout
        for source in sources:
            subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", source[:-2],
                            source, *flags.split(), "-Wl,-rpath," + library], check=True)
        examples = os.path.dirname(sources[0])
        environment = {**os.environ, "TAILOR_ENDPOINT": self.daemon.endpoint}
        for words, wanted in ((["register_device", "board", "60"], "nor_conv_"),
                              (["measure_and_refine", "nasbench201", "rig", "3"], "measured "),
                              (["threads", "nasbench201", "pixel3", "2", "4"], "4 ms: ")):
            told = subprocess.run([os.path.join(examples, words[0]), *words[1:]], text=True,
                                  check=True, timeout=60, stdout=subprocess.PIPE,
                                  env=environment).stdout
            self.assertIn(wanted, told)

    def test_symbols_have_the_version_that_they_came_with(self):
        told = subprocess.run(
            ["nm", "-D", "--defined-only", os.path.join(self.prefix, "lib/libtailor.so")],
            text=True, check=True, stdout=subprocess.PIPE).stdout
        symbols = [line.split()[2] for line in told.splitlines() if " T " in line]
        self.assertIn("tailor_open@@TAILOR_1", symbols)
        self.assertIn("tailor_n_retries@@TAILOR_2", symbols)
        self.assertEqual(53, len([s for s in symbols if s.endswith("@@TAILOR_1")]))
        self.assertEqual([], [s for s in symbols if not s.startswith("tailor_")])


class DebianPackage(unittest.TestCase):
    def setUp(self):
        for program in ("cpack", "dpkg-deb", "dpkg-shlibdeps", "file"):
            if shutil.which(program) is None:
                self.skipTest(program + " is not installed")
        self.folder = tempfile.mkdtemp(prefix="tailor-deb-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def run_there(self, *command):
        done = subprocess.run(command, text=True, cwd=self.folder, timeout=harness.RUN_S,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual(0, done.returncode, done.stdout[-3000:])
        return done.stdout

    def test_it_runs_from_where_it_was_unpacked(self):
        self.run_there("cpack", "-G", "DEB", "-B", self.folder, "--config",
                       os.path.join(harness.BUILD_DIR, "CPackConfig.cmake"))
        packages = glob.glob(os.path.join(self.folder, "*.deb"))
        self.assertEqual(1, len(packages))
        told = self.run_there("dpkg-deb", "--info", packages[0])
        for text in ("Package: tailor\n", "libzmq5", "liblmdb0", "libmicrohttpd12",
                     "Recommends: gnuplot-nox, python3-protobuf, python3-zmq\n"):
            self.assertIn(text, told)
        root = os.path.join(self.folder, "root")
        self.run_there("dpkg", "-x", packages[0], root)
        self.assertTrue(os.path.exists(os.path.join(root, "usr/lib/systemd/system/tailord.service")))
        programs = os.path.join(root, "usr/bin")
        daemon = harness.Daemon(self.folder, os.path.join(root, "usr/share/tailor/models"))
        built, harness.TAILORD = harness.TAILORD, os.path.join(programs, "tailord")
        try:
            daemon.start()
        finally:
            harness.TAILORD = built
        self.addCleanup(lambda: daemon.process.poll() is None and daemon.kill())
        done = harness.run(daemon, [os.path.join(programs, "tailor"), "design", "--space",
                                    "nasbench201", "--device", "raspi4", "--max-latency-ms", "500"])
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(2, len(done.stdout.splitlines()))
        ask_with_python(self, os.path.join(root, "usr/lib/python3/dist-packages"), daemon.endpoint)
        self.assertEqual(0, daemon.stop())
        self.check_contents(root)
        self.check_scripts(packages[0])
        self.check_lintian(packages[0])

    def check_contents(self, root):
        doc = os.path.join(root, "usr/share/doc/tailor")
        with gzip.open(os.path.join(doc, "changelog.gz"), "rt", encoding="utf-8") as file:
            self.assertRegex(file.readline(), r"^tailor \(\d+\.\d+\.\d+\) unstable; urgency=medium$")
        with open(os.path.join(doc, "copyright"), encoding="utf-8") as file:
            self.assertIn("/usr/share/common-licenses/Apache-2.0", file.read())
        for path in ("etc/default/tailord", "usr/share/man/man8/tailord.8.gz",
                     "usr/lib/systemd/system/tailord.socket"):
            self.assertTrue(os.path.exists(os.path.join(root, path)), path)
        with open(os.path.join(root, "etc/default/tailord"), encoding="utf-8") as file:
            self.assertEqual([], [line for line in file if line.strip() and line[0] != "#"])

    def check_scripts(self, package):
        """What they ask of systemd on a machine that runs it, as the stand-ins here hear it."""
        control = os.path.join(self.folder, "control")
        self.run_there("dpkg-deb", "-e", package, control)
        with open(os.path.join(control, "conffiles"), encoding="utf-8") as file:
            self.assertEqual("/etc/default/tailord\n", file.read())
        with open(os.path.join(control, "triggers"), encoding="utf-8") as file:
            self.assertEqual("activate-noawait ldconfig\n", file.read())
        stand_ins = os.path.join(self.folder, "stand-ins")
        heard = os.path.join(self.folder, "heard")
        os.mkdir(stand_ins)
        for name in ("deb-systemd-helper", "deb-systemd-invoke", "systemctl", "py3compile",
                     "py3clean"):
            path = os.path.join(stand_ins, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write('#!/bin/sh\necho "%s $*" >>%s\n' % (name, heard))
            os.chmod(path, 0o755)
        environment = {**os.environ, "PATH": stand_ins + ":/usr/bin:/bin"}

        def told(script, *arguments, is_booted=True):
            with open(os.path.join(control, script), encoding="utf-8") as file:
                text = file.read().replace("/run/systemd/system",
                                           stand_ins if is_booted else stand_ins + "/none")
            open(heard, "w", encoding="utf-8").close()
            subprocess.run(["sh", "-c", text, script, *arguments], env=environment, check=True,
                           timeout=60)
            with open(heard, encoding="utf-8") as file:
                return file.read()

        first = told("postinst", "configure", "")
        for text in ("py3compile -p tailor", "deb-systemd-helper enable tailord.socket",
                     "deb-systemd-helper enable tailord.service", "systemctl --system daemon-reload",
                     "deb-systemd-invoke start tailord.socket", "start tailord.service"):
            self.assertIn(text, first)
        self.assertIn("restart tailord.service", told("postinst", "configure", "0.0.9"))
        unbooted = told("postinst", "configure", "", is_booted=False)
        self.assertIn("enable tailord.service", unbooted)
        self.assertNotIn("deb-systemd-invoke", unbooted)
        self.assertIn("stop tailord.socket tailord.service", told("prerm", "remove"))
        self.assertNotIn("stop", told("prerm", "upgrade", "0.2.0"))
        self.assertIn("mask tailord.socket", told("postrm", "remove"))
        self.assertIn("purge tailord.socket", told("postrm", "purge"))

    def check_lintian(self, package):
        if shutil.which("lintian") is None:
            print("lintian is not installed: the package was checked by this test alone")
            return
        done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", package],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=harness.RUN_S, check=False)
        self.assertEqual(0, done.returncode, done.stdout)


if __name__ == "__main__":
    harness.main()
