#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints where a shipped model came from, as JSON: checksums of the tables and of the model, the
command, the seed and the held-out figures.

    model_provenance.py SPACE MODEL REPORT COMMAND SEED TABLE...
"""
import hashlib
import json
import os
import sys


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def read_report(path):
    """The report of `tailor train --json`: one document, or one object a line."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def main():
    space, model, report, command, seed, *tables = sys.argv[1:]
    json.dump({
        "space": space,
        "model_sha256": sha256(model),
        "model_bytes": os.path.getsize(model),
        "command": command,
        "seed": int(seed),
        "tables": [{"file": os.path.basename(t), "sha256": sha256(t)} for t in tables],
        "held_out": read_report(report),
    }, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
