#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Peers that send without end, before they have shown a key and after: what the daemon holds of it
is bounded, and others are served meanwhile. ZMTP 3.1 and CURVE (ZeroMQ RFC 37 and 26) by hand."""
import ctypes
import ctypes.util
import os
import re
import select
import socket
import struct
import unittest

import harness
import keys_test

MIB = 1 << 20
MAX_HANDSHAKE_MIB = 256  # more than any machine sends between two looks
MAX_MESSAGE_MIB = 1500
MUCH_MIB = 400  # more than may be held of one connection
MAX_GROWN_MIB = 640  # 206 measured; sanitizers hold more
PATIENCE_S = 60


class Box:
    """crypto_box of libsodium, on which ZeroMQ is built."""

    def __init__(self):
        name = ctypes.util.find_library("sodium")
        if name is None:
            raise unittest.SkipTest("libsodium is not found")
        self.sodium = ctypes.CDLL(name)

    def pair(self):
        public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
        self.sodium.crypto_box_keypair(public, secret)
        return public.raw, secret.raw

    def seal(self, text, nonce, public, secret):
        out = ctypes.create_string_buffer(len(text) + 16)
        self.sodium.crypto_box_easy(out, text, ctypes.c_ulonglong(len(text)), nonce, public, secret)
        return out.raw

    def open(self, box, nonce, public, secret):
        out = ctypes.create_string_buffer(len(box) - 16)
        if self.sodium.crypto_box_open_easy(out, box, ctypes.c_ulonglong(len(box)), nonce, public,
                                            secret) != 0:
            raise AssertionError("the daemon's box does not open")
        return out.raw


Z85 = ("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
       ".-:+=^!/*?&<>()[]{}@%$#")


def from_z85(text):
    out = b""
    for i in range(0, len(text), 5):
        number = 0
        for letter in text[i:i + 5]:
            number = number * 85 + Z85.index(letter)
        out += struct.pack(">I", number)
    return out


def frame(body, flags=0):
    """flags: 1 more, 4 a command."""
    if len(body) < 256:
        return struct.pack(">BB", flags, len(body)) + body
    return struct.pack(">BQ", flags | 2, len(body)) + body


DEALER = b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"


class Peer:
    """A connection that says what it is told to."""

    def __init__(self, endpoint, mechanism):
        host, port = re.match(r"tcp://(.*):(\d+)", endpoint).groups()
        self.socket = socket.create_connection((host, int(port)), PATIENCE_S)
        self.socket.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x01" + mechanism.ljust(20, b"\0") +
                            bytes(32))
        self.read(64)

    def close(self):
        self.socket.close()

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise AssertionError("the daemon hung up")
            data += more
        return data

    def read_frame(self):
        flags, n = struct.unpack(">BB", self.read(2))
        if flags & 2:
            n = struct.unpack(">Q", bytes([n]) + self.read(7))[0]
        return self.read(n)

    def flood(self, chunks, max_mib):
        """Sends chunks until the daemon ends the connection; how many MiB it sent."""
        self.socket.setblocking(False)
        sent, rest = 0, memoryview(b"")
        while sent < max_mib * MIB:
            readable, writable, _ = select.select([self.socket], [self.socket], [], PATIENCE_S)
            try:
                if readable and not self.socket.recv(65536):
                    return sent / MIB
                if writable:
                    rest = rest or memoryview(next(chunks))
                    n = self.socket.send(rest)
                    sent, rest = sent + n, rest[n:]
            except (ConnectionError, BlockingIOError) as error:
                if not isinstance(error, BlockingIOError):
                    return sent / MIB
        raise AssertionError("%d MiB were sent, and the connection stands" % max_mib)


def without_key(endpoint):
    peer = Peer(endpoint, b"NULL")
    peer.socket.sendall(frame(b"\x05READY" + DEALER, 4))
    peer.read_frame()
    return peer


def endless_frames():
    chunk = frame(bytes(65536), 1)
    while True:
        yield chunk


def whole_messages():
    """That no daemon understands; each is answered."""
    chunk = frame(b"", 1) + frame(bytes(MIB))
    while True:
        yield chunk


class KeyedPeer(Peer):
    """One that shakes hands with a key."""

    def __init__(self, endpoint, key_path, box):
        super().__init__(endpoint, b"CURVE")
        with open(key_path, encoding="utf-8") as file:
            lines = dict(line.strip().split(": ", 1) for line in file if ": " in line)
        server, public, secret = (from_z85(lines[n]) for n in ("server", "public", "secret"))
        self.box, (own, self.own_secret) = box, box.pair()
        self.socket.sendall(frame(
            b"\x05HELLO\x01\0" + bytes(72) + own + struct.pack(">Q", 1) +
            box.seal(bytes(64), b"CurveZMQHELLO---" + struct.pack(">Q", 1), server,
                     self.own_secret), 4))
        welcome = self.read_frame()
        opened = box.open(welcome[24:], b"WELCOME-" + welcome[8:24], server, self.own_secret)
        self.server, cookie = opened[:32], opened[32:]
        vouch = os.urandom(16)
        vouched = box.seal(own + server, b"VOUCH---" + vouch, self.server, secret)
        self.socket.sendall(frame(
            b"\x08INITIATE" + cookie + struct.pack(">Q", 2) +
            box.seal(public + vouch + vouched + DEALER,
                     b"CurveZMQINITIATE" + struct.pack(">Q", 2), self.server, self.own_secret), 4))
        answer = self.read_frame()
        if not answer.startswith(b"\x05READY"):
            raise AssertionError("the daemon says %r" % answer[:16])

        self.number = 2

    def sealed(self, flags, body):
        self.number += 1
        nonce = struct.pack(">Q", self.number)
        return frame(b"\x07MESSAGE" + nonce + self.box.seal(
            bytes([flags]) + body, b"CurveZMQMESSAGEC" + nonce, self.server, self.own_secret))

    def endless_frames(self):
        while True:
            yield self.sealed(1, bytes(MIB))

    def whole_messages(self):
        while True:
            yield self.sealed(1, b"") + self.sealed(0, bytes(MIB))


class FloodTest(keys_test.FolderCase):
    def start(self, *options):
        daemon = keys_test.Guarded(self.folder, "--metrics", ":0", *options)
        self.addCleanup(daemon.stop)
        return daemon

    def peak_mib(self, daemon):
        with open("/proc/%d/status" % daemon.process.pid, encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)) / 1024

    def assert_serves(self, daemon, key=None):
        options = ["--key", key] if key else []
        done = keys_test.run([harness.TAILOR, "--connect", daemon.tcp, *options, "status"])
        self.assertEqual(harness.DONE, done.returncode, done.stderr)

    def assert_bounded(self, daemon, before_mib, reason):
        grown_mib = self.peak_mib(daemon) - before_mib
        print("%s: the daemon's memory grew by %d MiB" % (reason, grown_mib))
        self.assertLess(grown_mib, MAX_GROWN_MIB)
        self.assertRegex(daemon.page(),
                         r'(?m)^tailor_connections_cut_total\{reason="%s"\} [1-9]' % reason)
        self.assertIn("is cut off", daemon.log())

    def test_in_place_of_a_handshake(self):
        key = self.new("alice", "reader")
        daemon = self.start("--keys", self.keys)
        before_mib = self.peak_mib(daemon)
        for _ in range(4):
            peer = Peer(daemon.tcp, b"CURVE")
            self.addCleanup(peer.close)
            peer.socket.sendall(struct.pack(">BQ", 6, 90 * MIB) + b"\x05HELLO")
            peer.flood(iter(lambda: bytes(65536), None), MAX_HANDSHAKE_MIB)
            self.assert_serves(daemon, key)
        self.assert_bounded(daemon, before_mib, "handshake")

    def test_a_message_without_end(self):
        daemon = self.start()
        before_mib = self.peak_mib(daemon)
        peer = without_key(daemon.tcp)
        self.addCleanup(peer.close)
        self.assertGreater(peer.flood(endless_frames(), MAX_MESSAGE_MIB), 96)
        self.assert_serves(daemon)
        self.assert_bounded(daemon, before_mib, "message")

    def test_a_message_without_end_from_one_with_a_key(self):
        box = Box()
        key = self.new("alice", "reader")
        daemon = self.start("--keys", self.keys)
        before_mib = self.peak_mib(daemon)
        peer = KeyedPeer(daemon.tcp, key, box)
        self.addCleanup(peer.close)
        self.assertGreater(peer.flood(peer.endless_frames(), MAX_MESSAGE_MIB), 96)
        self.assert_serves(daemon, key)
        self.assert_bounded(daemon, before_mib, "message")

    def assert_stands(self, daemon, peer, chunks):
        with self.assertRaisesRegex(AssertionError, "the connection stands"):
            peer.flood(chunks, MUCH_MIB)
        self.assertNotIn("is cut off", daemon.log())
        self.assertRegex(daemon.page(), r'(?m)^tailor_requests_total\{.*\} [1-9]\d\d')

    def test_who_sends_much_in_whole_messages_is_not_cut_off(self):
        daemon = self.start()
        peer = without_key(daemon.tcp)
        self.addCleanup(peer.close)
        self.assert_stands(daemon, peer, whole_messages())

    def test_who_sends_much_in_whole_messages_with_a_key_is_not_cut_off(self):
        box = Box()
        key = self.new("alice", "reader")
        daemon = self.start("--keys", self.keys)
        peer = KeyedPeer(daemon.tcp, key, box)
        self.addCleanup(peer.close)
        self.assert_stands(daemon, peer, peer.whole_messages())


if __name__ == "__main__":
    harness.main()
