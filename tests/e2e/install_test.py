#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`cmake --install` to a prefix of its own: the programs run from there, with the spaces,
catalogue and models that were installed, and a C client builds by pkg-config alone."""
import os
import shutil
import subprocess
import tempfile
import unittest

import harness

CLIENT = """
#include <stdio.h>
#include <tailor.h>

int main(int argc, char **argv)
{
    tailor_client *client = NULL;
    tailor_table *table = NULL;
    const tailor_options options = {.endpoint = argc == 2 ? argv[1] : NULL};
    if (tailor_open(&options, &client) != TAILOR_OK ||
        tailor_space_list(client, &table) != TAILOR_OK) {
        fprintf(stderr, "%s\\n", tailor_err_detail());
        return 1;
    }
    printf("%zu spaces\\n", tailor_table_n_rows(table));
    tailor_table_free(table);
    tailor_close(client);
    return 0;
}
"""


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

    def test_a_client_builds_by_pkg_config(self):
        library = os.path.join(self.prefix, "lib")
        if "asan" in subprocess.run(["ldd", os.path.join(library, "libtailor.so")], text=True,
                                    stdout=subprocess.PIPE, check=True).stdout:
            self.skipTest("a sanitized library loads into sanitized programs only")
        source = os.path.join(self.folder, "client.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(CLIENT)
        flags = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "tailor"], text=True, check=True,
            stdout=subprocess.PIPE,
            env={**os.environ, "PKG_CONFIG_PATH": os.path.join(library, "pkgconfig")}).stdout
        client = os.path.join(self.folder, "client")
        subprocess.run(["cc", "-Wall", "-Werror", "-o", client, source, *flags.split(),
                        "-Wl,-rpath," + library], check=True)
        told = subprocess.run([client, self.daemon.endpoint], text=True, check=True, timeout=60,
                              stdout=subprocess.PIPE).stdout
        self.assertEqual("6 spaces\n", told)


if __name__ == "__main__":
    harness.main()
