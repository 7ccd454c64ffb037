#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps messages of protocol v1: plays the session of scenario.py to a real daemon.

    TL_BUILD_DIR=build tests/golden/wire/record.py            what is new
    TL_BUILD_DIR=build tests/golden/wire/record.py --force    everything: only before a release

What is kept is played as it is kept, and stays. New fields, methods and errors are added to
v1.proto.txt; a line that stands there is never taken away. The Python client's package of the build
and python3-zmq are needed.
"""
import argparse
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "e2e"))

import harness  # noqa: E402

sys.path.insert(0, os.path.join(harness.BUILD_DIR, "clients", "python"))
sys.path.insert(0, HERE)
import scenario  # noqa: E402
import servers  # noqa: E402
import wire  # noqa: E402

import tailor.tailor_pb2 as pb  # noqa: E402

CLIENT = "golden 1"


def pack(number: int, exchange: scenario.Exchange) -> bytes:
    if isinstance(exchange.envelope, bytes):
        return exchange.envelope
    body = exchange.body if isinstance(exchange.body, bytes) else exchange.body.SerializeToString()
    fields = {"protocol": 1, "request_id": number, "method": exchange.method, "body": body,
              "client": CLIENT, **(exchange.envelope or {})}
    return pb.Request(**fields).SerializeToString()


def protocol_text() -> str:
    with open(os.path.join(harness.SOURCE_DIR, "docs", "protocol.md"), encoding="utf-8") as file:
        return file.read()


def record_schema(force: bool) -> None:
    now = wire.schema_of_proto() + wire.schema_of_document(protocol_text())
    is_first = force or not os.path.exists(wire.SCHEMA)
    old, text = ([], "") if is_first else (wire.read_schema()[0], "")
    if is_first:
        text = ("# Protocol v1 as released: fields, values of enumerations, methods and errors.\n"
                "# Nothing here is ever taken away or changed; record.py adds what came later.\n"
                + "\n".join(now) + f"\n\n{wire.LATER}\n")
    else:
        with open(wire.SCHEMA, encoding="utf-8") as file:
            text = file.read()
        text += "".join(line + "\n" for line in now if line not in old)
    with open(wire.SCHEMA, "w", encoding="utf-8") as file:
        file.write(text)


def reply_of(method: str, replies: list[bytes]) -> str:
    """The type of the final body: none of an error."""
    if pb.Reply.FromString(replies[-1]).error:
        return ""
    known = {line.split()[1]: line.split()[3]
             for line in wire.schema_of_document(protocol_text()) if line.startswith("method ")}
    return {"test.parts": "Table", "test.echo": "Text", "test.sleep": "Text"}.get(method) or known[method]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--force", action="store_true", help="record everything anew")
    force = parser.parse_args().force
    os.makedirs(wire.FOLDER, exist_ok=True)
    record_schema(force)
    kept = {} if force else {k.name: k for k in wire.read_index()}
    rows, n_new = [], 0
    with servers.Servers() as sessions:
        for number, e in enumerate(scenario.EXCHANGES, 1):
            row = kept.get(e.name)
            if row is not None:
                sessions[row.server].play(row, row.request)
            else:
                row = wire.Kept(e.name, e.method, "", e.compared, e.ids, e.server, e.what)
                request, replies = sessions[e.server].play(row, pack(number, e))
                row = row._replace(reply=reply_of(e.method, replies))
                wire.keep(row, request, replies)
                final = pb.Reply.FromString(replies[-1])
                print(f"{e.name}: {len(replies)} replies, {sum(map(len, replies))} bytes "
                      f"{final.error_name} {final.error_detail}")
                n_new += 1
            rows.append(row)
    wire.write_index(rows)
    for name, message in scenario.BUILT.items():
        if wire.keep_built(name, message.SerializeToString(deterministic=True), force):
            print(f"{name}: built")
    print(f"{n_new} new, {len(rows) - n_new} kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
