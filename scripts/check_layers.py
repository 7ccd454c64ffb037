#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the house rules that a compiler does not see.

    scripts/check_layers.py [ROOT]

* An include names its folder from the root and points down only (ALLOWED).
* A third-party header appears only behind the file that owns it (OWNERS); a
  header that is neither standard nor listed is an error too.
* Calls that are banned (BANNED), memory outside base/mem.c (MEMORY), and
  printing or leaving from library code (NOISE).
* Functions of at most 60 lines, files of at most 800.

Prints one line a finding and leaves with status 1 when there is one.
"""
import os
import re
import sys

# What each folder may include beside itself. A folder that is not listed is an error.
_NUMERICS = ["base", "proto"]
_MIDDLE = _NUMERICS + ["numerics"]
_MEASUREMENTS = _MIDDLE + ["spaces", "device-profiles"]
_PREDICTORS = _MEASUREMENTS + ["measurements"]
_OPTIMIZER = _PREDICTORS + ["predictors"]
_DAEMON = _OPTIMIZER + ["optimizer", "grading"]
ALLOWED = {
    "base": [],
    "proto": ["base"],
    "numerics": _NUMERICS,
    "spaces": _MIDDLE,
    "device-profiles": _MIDDLE,
    "measurements": _MEASUREMENTS,
    "predictors": _PREDICTORS,
    "optimizer": _OPTIMIZER,
    "grading": _OPTIMIZER,
    "daemon": _DAEMON,
    "clients/c": ["base", "proto"],
    "clients/cli": ["base", "proto", "clients/c"],
    "clients/agent": ["base", "proto", "clients/c", "numerics", "device-profiles"],
    "examples/c": [],
    "bench": _DAEMON + ["daemon", "clients/c", "clients/agent"],
    "tests/support": ["base"],
    "tests/daemon": _DAEMON + ["daemon", "tests/support"],
    "tests/clients": _DAEMON + ["daemon", "clients/c", "tests/support", "tests/daemon"],
    "tests/fuzz": _DAEMON + ["daemon", "clients/c", "tests/support"],
    "tests/e2e": ["base", "proto", "clients/c", "tests/support"],
}

# Third-party headers: pattern of the header, patterns of the files that may include it.
OWNERS = [
    (r"cblas\.h|openblas_config\.h", [r"numerics/gemm\.c", r"numerics/linalg\.c"]),
    (r"lapacke\.h|lapack\.h", [r"numerics/linalg\.c"]),
    (r"lmdb\.h", [r"base/store_impl\.h"]),
    (r"sodium\.h|sodium/.*", [r"base/\w+\.c"]),
    (r"csv\.h", [r"base/csv\.c"]),
    (r"cyaml/cyaml\.h|yaml\.h", [r"spaces/\w*yaml\w*\.c", r"device-profiles/\w*yaml\w*\.c",
                                 r"daemon/settings_file\.c"]),
    (r"zmq\.h", [r"daemon/server_impl\.h", r"clients/c/\w+\.c", r"bench/\w+\.c",
                 r"tests/(daemon|clients)/\w+\.c"]),
    (r"tailor\.h", [r"examples/c/\w+\.c"]),
    (r"(oneapi/)?dnnl/?.*\.h", [r"clients/agent/dnn(\.c|_ops\.c|_impl\.h)"]),
    (r"microhttpd\.h", [r"daemon/metrics_http\.c"]),
    (r"jansson\.h", [r"base/json\.c"]),
    (r"sanitizer/asan_interface\.h", [r"base/span\.h"]),
    (r"argp\.h", [r"clients/(cli|agent)/.*", r"daemon/.*", r"bench/.*"]),
    (r"uthash\.h|utlist\.h|utarray\.h", [r".*\.c"]),
    (r"protobuf-c/protobuf-c\.h", [r".*"]),
    (r"cmocka\.h", [r"tests/support/test\.h"]),
]

STANDARD = set("""
assert complex ctype errno fenv float inttypes limits locale math setjmp signal stdalign stdarg
stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar
dirent dlfcn fcntl fnmatch ftw getopt glob libgen netdb poll pthread pwd sched semaphore spawn strings
syslog termios unistd arpa/inet linux/tcp malloc netinet/in sys/epoll sys/eventfd sys/file sys/ioctl sys/mman sys/prctl
sys/random sys/resource sys/signalfd sys/socket sys/stat sys/syscall sys/time sys/timerfd sys/types
sys/uio sys/un sys/utsname sys/wait cpuid immintrin
""".split())

BANNED = "strcpy strcat sprintf vsprintf strtok gets atoi atol atof rand srand gmtime localtime system"
MEMORY = "malloc calloc realloc aligned_alloc posix_memalign free strdup strndup asprintf vasprintf"
NOISE = "printf vprintf puts putchar perror exit _exit abort quick_exit"

# Who prints, logs and leaves: programs. base/err.c ends the process on a failed assertion.
PROGRAMS = re.compile(r"(daemon|clients|tests|bench|examples)/|base/err\.c$")
MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 800

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def calls(names):
    return re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(names.split()))


BANNED_CALL, MEMORY_CALL, NOISE_CALL = calls(BANNED), calls(MEMORY), calls(NOISE)


def folder_of(path):
    """The layer a path belongs to: "clients/c" for clients/c/tailor.h."""
    parts = path.split("/")
    two = "/".join(parts[:2])
    return two if two in ALLOWED else parts[0]


def allowed_for(path):
    """The folders that the file may include, itself too; None when its folder is unknown."""
    folder = folder_of(path)
    if folder in ALLOWED:
        return [folder] + ALLOWED[folder]
    parts = path.split("/")
    if parts[0] != "tests" or len(parts) < 3:
        return None
    # A test may use what its subject may: tests/agent/ what clients/agent/ may.
    subjects = [f for f in ALLOWED if parts[1] in (f, f.split("/")[0], f.split("/")[-1])]
    if not subjects:
        return None
    below = [g for f in subjects for g in [f] + ALLOWED[f]]
    return below + ["tests/support", "tests/" + parts[1]]


def without_comments(text):
    """The text with comments and string contents blanked, lines kept."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def check_include(path, header, is_quoted):
    """One finding, or None."""
    allowed = allowed_for(path)
    folder = folder_of(header)
    if is_quoted or folder in ALLOWED:
        if "/" not in header or header.startswith("."):
            return 'includes "%s"; write the path from the root' % header
        own_tests = "/".join(path.split("/")[:2]) + "/"
        if folder not in allowed and not (folder == "tests" and header.startswith(own_tests)):
            return "includes %s; %s/ may not use %s/" % (header, folder_of(path), folder)
        return None
    for pattern, owners in OWNERS:
        if re.fullmatch(pattern, header):
            if any(re.fullmatch(owner, path) for owner in owners):
                return None
            return "includes <%s>, allowed only in %s" % (header, owners)
    if header[:-2] in STANDARD:
        return None
    return "includes <%s>, which is neither standard nor listed in scripts/check_layers.py" % header


def check_text(path, text):
    """All findings of one file, as (line, text)."""
    if allowed_for(path) is None:
        yield 1, "the folder is not listed in scripts/check_layers.py"
        return
    for number, line in enumerate(text.split("\n"), 1):
        match = INCLUDE.match(line)
        finding = check_include(path, match.group(2), match.group(1) == '"') if match else None
        if finding:
            yield number, finding
    yield from check_calls(path, without_comments(text))
    yield from check_sizes(text)


def check_calls(path, code):
    for number, line in enumerate(code.split("\n"), 1):
        for match in BANNED_CALL.finditer(line):
            yield number, "calls %s, which is banned" % match.group(1)
        for match in MEMORY_CALL.finditer(line):
            if path != "base/mem.c":
                yield number, "calls %s; memory comes from base/mem.h" % match.group(1)
        for match in NOISE_CALL.finditer(line):
            if not PROGRAMS.match(path):
                yield number, "calls %s; library code never prints, logs or exits" % match.group(1)


def check_sizes(text):
    lines = text.split("\n")
    if len(lines) - 1 > MAX_FILE_LINES:
        yield len(lines), "%d lines, at most %d" % (len(lines) - 1, MAX_FILE_LINES)
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            if number - start + 2 > MAX_FUNCTION_LINES:
                yield start, "a function of %d lines, at most %d" % (
                    number - start + 2, MAX_FUNCTION_LINES)
            start = None


def sources(root):
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(d for d in folders if not d.startswith((".", "build")))
        for name in sorted(files):
            if name.endswith((".c", ".h")):
                yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")


def main(arguments):
    root = arguments[1] if len(arguments) > 1 else os.path.dirname(os.path.dirname(
        os.path.abspath(__file__)))
    n_files = n_findings = 0
    for path in sources(root):
        n_files += 1
        with open(os.path.join(root, path), encoding="utf-8") as file:
            for line, finding in check_text(path, file.read()):
                n_findings += 1
                print("%s:%d: %s" % (path, line, finding))
    print("layers: %d files, %d findings" % (n_files, n_findings), file=sys.stderr)
    return 1 if n_findings or not n_files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
