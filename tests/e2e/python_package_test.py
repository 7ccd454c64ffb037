#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What no call shows of the Python package: its types, its twins, and that nothing is missing."""
import ast
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import tempfile
import unittest

import harness
import pypackage

tailor = pypackage.tailor
SOURCES = os.path.join(harness.SOURCE_DIR, "clients", "python", "tailor")
EXAMPLES = os.path.join(harness.SOURCE_DIR, "examples", "python")
MAY_IMPORT = {"zmq", "google"}  # beside the standard library
MAX_FUNCTION_LINES, MAX_FILE_LINES, MAX_COLUMNS = 60, 500, 100

# What a type checker must see of both clients.
USES = """
import tailor
from tailor import calls

def blocking(client: tailor.Client) -> None:
    reveal_type(client.design("s", "d", max_latency_ms=1.0))
    reveal_type(client.batch([calls.device_show("d")]))
    reveal_type(client.job_follow(client.train_start("s")))
    for row in client.fleet("s", [{"device": "d"}]):
        reveal_type(row)

async def awaited(client: tailor.AsyncClient) -> None:
    reveal_type(await client.measure_import("s", b""))
    reveal_type(await client.batch([calls.status()], return_errors=True))
    async for row in client.fleet("s", "fleet.csv"):
        reveal_type(row)
    await client.design("s", "d", max_latency="fast")  # type: ignore[call-arg]
"""
SEEN = [
    "tailor.results.Answer", "list[builtins.str]", "tailor.jobs.Job", "dict[builtins.str",
    "tailor.results.ImportReport", "list[Union[tailor.table.Table, tailor.errors.TailorError]]",
    "dict[builtins.str",
]
MYPY_OPTIONS = """
[mypy]
strict = True
warn_unreachable = True
[mypy-google.*]
ignore_missing_imports = True
[mypy-tailor.tailor_pb2]
ignore_errors = True
"""


def sources(*folders):
    for folder in folders:
        for name in sorted(os.listdir(folder)):
            if name.endswith(".py"):
                yield os.path.join(folder, name)


def parsed(path):
    with open(path, encoding="utf-8") as file:
        return ast.parse(file.read(), path)


def methods_of(kind):
    return {name: inspect.signature(getattr(kind, name)) for name in vars(kind)
            if not name.startswith("_") and callable(getattr(kind, name))}


class Twins(unittest.TestCase):
    def test_both_clients_have_the_same_methods_with_the_same_arguments(self):
        blocking, awaited = methods_of(tailor.Client), methods_of(tailor.AsyncClient)
        self.assertEqual(sorted(blocking), sorted(awaited))
        for name, signature in blocking.items():
            with self.subTest(method=name):
                self.assertEqual(list(signature.parameters.values()),
                                 list(awaited[name].parameters.values()))
        self.assertEqual(inspect.signature(tailor.Client), inspect.signature(tailor.AsyncClient))

    def test_every_function_of_calls_is_a_method_with_its_arguments_and_text(self):
        names = set(tailor.calls.__all__) - {"Call"}
        self.assertEqual(names | {"ask", "batch", "close"}, set(methods_of(tailor.Client)))
        for name in names:
            make, method = getattr(tailor.calls, name), getattr(tailor.Client, name)
            with self.subTest(method=name):
                self.assertEqual(list(inspect.signature(make).parameters.values()),
                                 list(inspect.signature(method).parameters.values())[1:])
                self.assertEqual(make.__doc__, method.__doc__)
                self.assertTrue(make.__doc__)

    def test_every_method_of_the_protocol_has_a_call(self):
        with open(os.path.join(harness.SOURCE_DIR, "docs", "protocol.md"),
                  encoding="utf-8") as file:
            wanted = set(re.findall(r"^\| `(\w+\.\w+)` \|", file.read(), re.M))
        self.assertGreater(len(wanted), 20)
        found = set()
        for path in sources(SOURCES):
            found |= {node.value for node in ast.walk(parsed(path))
                      if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        self.assertEqual(set(), wanted - found)

    def test_calls_are_repeated_as_libtailor_repeats_them(self):
        with open(os.path.join(harness.SOURCE_DIR, "clients", "c", "rules.c"),
                  encoding="utf-8") as file:
            rules = dict(re.findall(r'{"(\w+\.\w+)", *TL_REPEAT_(\w+) *}', file.read()))
        self.assertGreater(len(rules), 20)
        self.assertEqual({method: rule for method, rule in rules.items() if rule != "FREELY"},
                         {method: rule.name for method, rule in tailor.call.REPEATS.items()})

    def test_every_error_of_the_protocol_has_a_class(self):
        with open(os.path.join(harness.SOURCE_DIR, "docs", "protocol.md"),
                  encoding="utf-8") as file:
            wanted = re.findall(r"^\| (\d+) \| (E\w+) \|", file.read(), re.M)
        self.assertEqual({(int(code), name) for code, name in wanted},
                         {(kind.default_code, kind.default_name)
                          for kind in tailor.TailorError.__subclasses__()})

    def test_what_is_named_is_there(self):
        for name in tailor.__all__:
            self.assertTrue(hasattr(tailor, name), name)


class Sources(unittest.TestCase):
    def test_nothing_else_is_needed(self):
        for path in sources(SOURCES):
            for node in ast.walk(parsed(path)):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module]
                for name in names:
                    top = name.split(".")[0]
                    self.assertTrue(top in sys.stdlib_module_names or top in MAY_IMPORT,
                                    "%s imports %s" % (path, name))

    def test_sizes_and_licences(self):
        for path in sources(SOURCES, EXAMPLES):
            with open(path, encoding="utf-8") as file:
                lines = file.read().split("\n")
            self.assertIn("SPDX-License-Identifier: Apache-2.0", "".join(lines[:2]), path)
            self.assertLess(len(lines), MAX_FILE_LINES, path)
            self.assertLess(max(map(len, lines)), MAX_COLUMNS + 1, path)
            for node in ast.walk(parsed(path)):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    self.assertLess(node.end_lineno - node.lineno, MAX_FUNCTION_LINES,
                                    path + ": " + node.name)

    @unittest.skipUnless(importlib.util.find_spec("pyflakes"), "no python3-pyflakes")
    def test_nothing_is_left_over(self):
        tests = os.path.dirname(os.path.abspath(__file__))
        mine = [path for path in sources(tests)
                if os.path.basename(path).startswith(("python_", "pypackage"))]
        done = subprocess.run(
            [sys.executable, "-m", "pyflakes", *sources(SOURCES, EXAMPLES), *mine], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual("", done.stdout)

    @unittest.skipUnless(importlib.util.find_spec("mypy"), "no mypy")
    def test_types_are_whole_and_seen_from_outside(self):
        with tempfile.TemporaryDirectory(prefix="tailor-mypy-", dir="/tmp") as folder:
            options, uses = os.path.join(folder, "mypy.ini"), os.path.join(folder, "uses.py")
            for path, text in ((options, MYPY_OPTIONS), (uses, USES)):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            cache = os.path.join(harness.BUILD_DIR, "clients", "python", "mypy")
            done = subprocess.run(
                [sys.executable, "-m", "mypy", "--config-file", options, "--cache-dir", cache,
                 "--show-error-codes", os.path.join(pypackage.FOLDER, "tailor"), uses],
                cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                check=False, env={**os.environ, "MYPYPATH": pypackage.FOLDER})
        self.assertEqual(0, done.returncode, done.stdout)
        revealed = re.findall(r'Revealed type is "(.*)"', done.stdout)
        self.assertEqual(len(SEEN), len(revealed), done.stdout)
        for want, got in zip(SEEN, revealed):
            self.assertIn(want, got)


if __name__ == "__main__":
    pypackage.main()
