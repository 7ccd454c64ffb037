#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/check_layers.py finds what it is there to find, and nothing else."""
import os
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
import check_layers  # noqa: E402


def findings(path, text):
    return [finding for _, finding in check_layers.check_text(path, text)]


class Layers(unittest.TestCase):
    GOOD = (
        ("numerics/rng.c", '#include "numerics/rng.h"\n#include "base/err.h"\n#include <math.h>\n'),
        ("daemon/handle_x.c", '#include "optimizer/problem.h"\n#include "proto/tailor.pb-c.h"\n'),
        ("clients/agent/x.c", '#include "clients/c/tailor.h"\n#include "device-profiles/probe.h"\n'),
        ("clients/agent/dnn.c", "#include <oneapi/dnnl/dnnl.h>\n"),
        ("numerics/gemm.c", "#include <cblas.h>\n"),
        ("examples/c/a.c", '#include <stdio.h>\n#include <tailor.h>\n'),
        ("base/mem.c", "void f(void)\n{\n    free(malloc(1));\n}\n"),
        ("tests/agent/a_test.c", '#include "tests/agent/reference.h"\n#include "clients/agent/dnn.h"\n'),
        ("clients/cli/main.c", 'int main(void)\n{\n    (void)printf("x");\n    exit(0);\n}\n'),
        ("base/text.c", 'int x; /* strcpy(a, b) */\nconst char *s = "malloc(1)";\nf->free(x);\n'),
        ("base/text.c", "vsnprintf(a, n, f, x);\ntl_mem_free(x);\nmy_exit(1);\n"),
    )
    BAD = (
        ("numerics/rng.c", '#include "daemon/method.h"\n', "may not use daemon"),
        ("spaces/a.c", '#include "device-profiles/profile.h"\n', "may not use device-profiles"),
        ("base/a.c", '#include "proto/tailor.pb-c.h"\n', "may not use proto"),
        ("clients/cli/a.c", '#include "spaces/space.h"\n', "may not use spaces"),
        ("examples/c/a.c", '#include "base/err.h"\n', "may not use base"),
        ("clients/c/a.c", "#include <tailor.h>\n", "allowed only in"),
        ("clients/agent/a.c", '#include "spaces/space.h"\n', "may not use spaces"),
        ("clients/c/a.c", '#include "clients/cli/render.h"\n', "may not use clients/cli"),
        ("tests/numerics/a_test.c", '#include "spaces/space.h"\n', "may not use spaces"),
        ("numerics/rng.c", "#include <daemon/method.h>\n", "may not use daemon"),
        ("numerics/rng.c", '#include "gemm.h"\n', "from the root"),
        ("numerics/rng.c", '#include "../base/err.h"\n', "from the root"),
        ("numerics/rng.c", "#include <cblas.h>\n", "allowed only in"),
        ("daemon/engine.c", "#include <lmdb.h>\n", "allowed only in"),
        ("clients/agent/execute.c", "#include <oneapi/dnnl/dnnl.h>\n", "allowed only in"),
        ("spaces/a.c", "#include <openssl/sha.h>\n", "neither standard nor listed"),
        ("novelty/a.c", "int x;\n", "not listed"),
        ("base/a.c", "    strcpy(a, b);\n", "banned"),
        ("tests/base/a.c", "    system(x);\n", "banned"),
        ("spaces/a.c", "    x = malloc(3);\n", "base/mem.h"),
        ("spaces/a.c", '    printf("x");\n', "never prints"),
        ("spaces/a.c", "    exit(1);\n", "never prints"),
        ("spaces/a.c", "void f(void)\n{\n%s}\n" % ("    x();\n" * 58), "a function of 61 lines"),
        ("spaces/a.c", "int x;\n" * 801, "801 lines"),
    )

    def test_good_files_pass(self):
        for path, text in self.GOOD:
            with self.subTest(path=path, text=text):
                self.assertEqual([], findings(path, text))

    def test_each_kind_of_fault_is_found(self):
        for path, text, words in self.BAD:
            with self.subTest(path=path, text=text[:60]):
                found = findings(path, text)
                self.assertEqual(1, len(found), found)
                self.assertIn(words, found[0])

    def test_a_function_of_60_lines_passes(self):
        self.assertEqual([], findings("spaces/a.c", "void f(void)\n{\n%s}\n" % ("    x();\n" * 57)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
