#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the first inputs of the fuzz targets: tests/fuzz/make_corpus.py

What fuzzing finds is added beside them by hand, under the name of what was wrong. Numbers of
tables are made up; models give their structure and names, with weights set to zero.
"""
import hashlib
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "..", "..", "models")


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def field(number, value):
    """One field of a message, by the type of value."""
    if isinstance(value, bool):
        value = int(value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(**fields):
    """message(f1="name", f2=3)"""
    return b"".join(field(int(key[1:]), value) for key, value in fields.items())


def read(data):
    """The fields of a message as [number, wire type, value]."""
    fields, at = [], 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            value |= (data[at] & 127) << shift
            at += 1
            if data[at - 1] < 128:
                return value
            shift += 7
    while at < len(data):
        tag = number()
        kind = tag & 7
        if kind == 0:
            value = number()
        else:
            size = {1: 8, 5: 4}.get(kind) or number()
            value = data[at:at + size]
            at += size
        fields.append([tag >> 3, kind, value])
    return fields


def write(fields):
    out = b""
    for number, kind, value in fields:
        out += varint(number << 3 | kind)
        if kind == 0:
            out += varint(value)
        else:
            out += (varint(len(value)) if kind == 2 else b"") + value
    return out


def keep(target, name, data):
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


CELL = "e01,e02,e12,e03,e13,e23"
ROW = "none,skip_connect,nor_conv_1x1,nor_conv_3x3,avg_pool_3x3,nor_conv_3x3"


def tables():
    keep("table", "measurements", "%s,latency_ms@a,energy_mj@a,accuracy@t,spread_ms@a\n"
         "%s,1.5,2e-3,90,0.1\n\"none\",none,none,none,none,none,,1,,\n%s,2,3,10,\n" % (
             CELL, ROW, ROW))
    keep("table", "bits", "w01,%s\n4,%s\n-,%s\n" % (CELL, ROW, ROW))
    keep("table", "quotes", "%s,latency_ms@\"\"x\r\n\"no\"\"ne\",%s\r\n" % (CELL, ROW))
    keep("table", "chain", ",".join("b%02d" % i for i in range(1, 23)) + ",latency_ms@d\n" +
         ",".join(["k3_e6"] * 22) + ",7\n")
    keep("table", "header", "\xef\xbb\xbfe01,e01,nonsense@x,latency_ms@\n")
    keep("fleet", "devices", "device,max_latency_ms,confidence\nboard,1,0.9\n,2,\nx y,nan,2\n")
    keep("fleet", "profiles", "name,class,cores,clock_mhz,peak_gflops.fp32,bandwidth_gb_per_s.dram,"
         "bits.weights,min_accuracy\na,cpu,4,1500,48,4,8 32,50\nb,gpu,-1,1e999,x,,9,101\n")


def requests():
    csv = (CELL + "\n" + ROW + "\n").encode()
    with open(os.path.join(HERE, "..", "spaces", "user", "tiny-cell.yaml"), "rb") as file:
        tiny = file.read()
    limits = message(f1=True, f2=5.0, f7=True, f8=0.9)
    bodies = {
        "status.get": b"", "job.list": b"", "model.list": b"", "space.list": b"",
        "device.list": b"", "job.cancel": message(f1=1),
        "device.show": message(f1="pixel3"), "device.remove": message(f1="new"),
        "device.add": message(f1="x.yaml", f2="name: new\nclass: cpu\npeak_gflops: {fp32: 10}\n"),
        "model.show": message(f1="nasbench201"), "space.show": message(f1="fbnet"),
        "space.add": message(f1="tiny.yaml", f2=tiny),
        "space.remove": message(f1="tiny-cell", f2=True),
        "space.lower": message(f1="nasbench201", f2="d.csv", f3=csv),
        "measure.begin": message(f1="nasbench201", f2="t.csv"),
        "measure.feed": message(f1=1, f2=0, f3=(CELL + ",latency_ms@new\n" + ROW + ",3\n")),
        "measure.commit": message(f1=1), "measure.abort": message(f1=2),
        "measure.export": message(f1="nasbench201", f2="new"),
        "measure.suggest": message(f1="nasbench201", f2="new", f3=2, f4=True, f5=7),
        "predict.run": message(f1="nasbench201", f2="pixel3", f3="", f4="d.csv", f5=csv),
        "design.run": message(f1="nasbench201", f2="pixel3", f4=limits, f7=2, f13=1000),
        "pareto.run": message(f1="nasbench201", f2="pixel3", f4=limits, f6=3),
        "fleet.run": message(f1="nasbench201", f3=limits, f10="f.csv",
                             f12="device,max_latency_ms\npixel3,4\n"),
        "proxy.run": message(f1="nasbench201", f2="pixel3", f5=2),
        "evaluate.run": message(f1="nasbench201", f5=20),
        "train.run": message(f1="tiny-cell", f8="none"),
        "backup.begin": b"", "backup.read": message(f1=1), "backup.end": message(f1=1),
        "job.start": message(f1="train.run", f2=message(f1="tiny-cell", f8="none"),
                             f3="a-token-of-its-own"),
        "job.show": message(f1=1),
    }
    for method, body in bodies.items():
        keep("request", method, method.encode() + b"\n" + body)
    body = message(f1="pixel3")
    keep("envelope", "request", message(f1=1, f2=9, f3="device.show", f4=1000, f5=body, f6="x"))
    column = message(f1="a", f2=1) + field(5, struct.pack("<2d", 1.0, float("nan")))
    words = message(f1="b", f3="x") + field(4, b"\x00\x00")
    table = field(1, column) + field(1, words) + field(2, 2)
    keep("envelope", "reply", message(f1=1, f2=9, f3=0, f7="careful", f8=table, f9=100))


def stored(*entries):
    """Pieces of the targets column and job: what each is, its length and its bytes."""
    return b"".join(struct.pack("<BH", kind, len(data)) + data for kind, data in entries)


def columns():
    """Of nasbench201; the digest of the space is filled in by the target."""
    def column(designs, values):
        flat = [choice for design in designs for choice in design]
        return struct.pack("<4I64s", 1, 6, len(values), 0, b"") + struct.pack(
            "<%dH%dd" % (len(flat), len(values)), *flat, *values)
    designs = [(0, 0, 0, 0, 0, 3), (0, 1, 2, 3, 4, 0), (4, 4, 4, 4, 4, 4)]
    two = column(designs[:2], [1.5, 2e-3])
    space = struct.pack("<Q64s", 7, b"")
    keep("column", "three", stored((0, two), (1, column(designs, [1, 2, 3])), (2, two),
                                   (3, space), (4, struct.pack("<Q", 7))))
    keep("column", "keys", stored((5, b"\x060board" + two), (5, b"\x010" + two),
                                  (5, b"\x029x" + two), (6, b"\x01x" + two),
                                  (6, b"\x05s\x00\xffab" + space), (3, b"short"), (4, b"")))
    keep("column", "unsound", stored((0, column(designs[::-1], [1, 2, 3])),
                                     (1, column(designs[:1], [float("nan")])),
                                     (2, column([(9,) * 6], [1])), (3, space)))


def grades():
    """Those of one device; the fingerprint of the evaluation is filled in by the target."""
    def grade(method, which, *counts):
        return message(f1=method, f2=which, f3=25) + b"".join(
            field(4 + i, struct.pack("<%dd" % n, *[0.5 + k for k in range(n)]))
            for i, n in enumerate(counts))
    keep("grades", "two", field(1, b"\0" * 32) + field(2, grade("head", 0, 19, 19, 19)) +
         field(2, grade("gp", 4, 19, 19, 19)) + field(3, "a note\n"))
    keep("grades", "others", field(2, grade("head", 1, 18, 19, 19)) + field(
        2, grade("unknown", 9, 19, 0, 0)))
    keep("grades", "many", field(2, grade("head", 2, 19, 19, 19)) * 50)


def stores():
    """What a page of a store's file has at an offset instead: the target says which pages."""
    keep("store", "nothing", b"")
    keep("store", "meta", stored((0, struct.pack("<H", 144) + b"\xff" * 8), (1, b"\x90\x00")))
    keep("store", "pages", stored(*((page, struct.pack("<HH", 10 + page, 2)) for page in range(8))))
    keep("store", "values", stored(*((page, struct.pack("<HB", 4000, 7)) for page in range(30))))


def jobs():
    def job(number, letter):
        return 4 * number + "jqrk".index(letter)

    def record(number, **fields):
        return message(**{**dict(
            f1=number, f2="train.run", f3="toy", f4="predictors", f5=1, f6=3, f7="tailor",
            f8="alice", f9=1, f10="a-token-%d" % number, f11=1700000000, f12=1700000001,
            f14=0.5, f15=1), **fields})
    request = message(f1="toy", f8="none")
    train = message(f1="toy-1")
    outcome = message(f1="careful", f2=True, f3=train)
    keep("job", "all", stored(
        (job(1, "j"), record(1, f13=1700000009, f16=2, f17=1, f21=len(train), f22=1)),
        (job(1, "r"), outcome), (job(2, "j"), record(2, f16=1, f17=1)), (job(2, "q"), request),
        (job(2, "k"), message(f1=b"a model", f2="a note")),
        (job(3, "j"), record(3, f17=1)), (job(3, "q"), request),
        (job(4, "j"), record(4, f16=1, f17=2)), (job(5, "j"), record(5, f16=1))))
    keep("job", "failed", stored(
        (job(1, "j"), record(1, f16=2, f17=1, f19=5, f20="no space", f22=2)),
        (job(1, "r"), b"\xff"),
        (job(2, "j"), record(2, f16=1, f17=1, f15=2)), (job(2, "q"), b""),
        (job(3, "j"), record(4)), (job(4, "j"), record(4, f16=3)),
        (job(5, "j"), record(5, f16=2, f18=True, f19=9999))))
    keep("job", "texts", stored(
        (job(1, "j"), record(1, f2="\u00e9" * 100, f20="\u20ac" * 300, f16=2, f17=1, f19=3)),
        (job(2, "j"), record(2, f10="t" * 200, f17=1, f11=2**62))))
    keep("job", "last", stored((job(63, "j"), record(2**64 - 1, f16=2, f17=1, f22=2**64 - 1)),
                               (job(1, "j"), record(1, f17=1, f16=1))))
    keep("job", "last-but-one", stored((job(62, "j"), record(2**53, f16=2, f17=1))))


def pieces(call, *parts):
    """An input of the target answer: the number of a call, and what it is answered with."""
    return bytes([call]) + b"".join(struct.pack("<H", len(p)) + p for p in parts)


def answers():
    numbers = message(f1="n", f2=1, f6=3) + field(5, struct.pack("<2d", 1.5, float("nan")))
    texts = message(f1="t", f3="a") + message(f3="b") + field(4, b"\x00\x01")
    table = field(1, numbers) + field(1, texts) + field(2, 2)
    more = field(1, numbers) + field(1, message(f1="t", f3="c") + field(4, b"\x00\x00")) + field(2, 2)
    progress = message(f1="parts", f2=1, f3=3, f4=0.5, f5=7)
    keep("answer", "reply", b"\0" + message(f1=1, f2=9, f3=1, f7="careful", f8=progress))
    keep("answer", "tables", pieces(1, table, table, more, b"", table))
    keep("answer", "tables-again", pieces(1, b"", table, b"\0", table))
    keep("answer", "texts", pieces(2, message(f1="space: toy"), message(f1="toy")))
    front = message(f1="latency_ms", f2=1.0, f3=0.9, f4=1.1, f5=5.0, f6=50.0)
    keep("answer", "predict", pieces(3, message(
        f1=table, f2=True, f3="toy-1", f4="cifar10", f5="search", f6=12, f9=front)))
    keep("answer", "fleet", pieces(4, message(f1=table, f2=1, f3=2)))
    keep("answer", "train", pieces(5, message(f1="toy-1", f2=table, f3="a note")))
    keep("answer", "evaluate", pieces(6, message(f1=table, f2=table, f3="a note")))
    train = message(f1="toy-1", f2=table, f3="a note")
    job = dict(f1=1, f3="toy", f4="done", f5=True, f6=progress, f11="x", f12="k", f16="", f17="careful")
    keep("answer", "job-train", pieces(9, message(f2="train.run", f18=True, f19=train, **job)))
    keep("answer", "job-evaluate", pieces(9, message(f2="evaluate.run", f18=True, f19=message(f1=table, f2=table), **job)))
    op = message(f1="conv", f2=3, f3=16, f4=32, f5=32, f6=3, f7=1, f12="relu", f13="none", f16=True)
    network = message(f1=3, f2=32) + field(3, op + field(18, varint((1 << 64) - 1)))
    network += field(3, op + field(18, b"\x00"))
    keep("answer", "lower", pieces(7, message(f1=table, f2=network)))
    keep("answer", "import", pieces(8, message(f1=5), b"", message(f1=2, f2=2, f6="rig", f7="n")))


def backups():
    """The file of a backup: every kind of record, and one with none."""
    def record(kind, key, value=b""):
        return struct.pack("<IIQ", kind, len(key), len(value)) + key + value

    def end(data):
        data += struct.pack("<IIQ", 5, 0, 32)
        return data + hashlib.sha256(data).digest()
    magic = b"tailor backup 1\n"
    keep("backup", "empty", end(magic))
    keep("backup", "all", end(
        magic + record(1, b"created", b"2026-11-21T00:00:00Z") + record(1, b"byte-order", b"little") +
        record(2, b"devices") + record(3, b"board", b"value") + record(3, b"bare") +
        record(2, b"measurements") + record(3, b"cspace\x000board", bytes(300)) +
        record(4, b"models/toy.tlm", b"a model")))


def zeroed(data):
    return b"\0" * len(data)


def models():
    with open(os.path.join(MODELS, "mobilenetv3.tlm"), "rb") as file:
        model = dict((n, v) for n, _, v in read(file.read()))[4]
    fields = read(model)
    for f in fields:
        if f[0] == 5:  # sources
            f[2] = write([[n, k, zeroed(v) if n == 4 else v] for n, k, v in read(f[2])
                          if n != 10])
    few = [f for f in fields if f[0] not in (5, 13)] + [f for f in fields if f[0] == 5][:2]
    keep("model", "sources", write(few))
    keep("model", "head", write([f for f in fields if f[0] not in (5, 13)]))
    for name in ("nasbench201", "mobilenet-zoo", "mnasnet"):
        with open(os.path.join(MODELS, name + ".tlm"), "rb") as file:
            parts = read(dict((n, v) for n, _, v in read(file.read()))[4])
        if name == "mnasnet":
            break  # its networks are large; its optimizer is not
        smallest = min((v for n, _, v in parts if n == 6), key=len)
        keep("accuracy", name, write([[n, k, zeroed(v) if n in (10, 12) else v]
                                      for n, k, v in read(smallest)]))
    optimizer = b"".join(v for n, _, v in parts if n == 13)
    nets = [[n, k, write([[m, j, zeroed(v) if m == 7 else v] for m, j, v in read(v)])
             if n == 2 else v] for n, k, v in read(optimizer)]
    keep("optimizer", "mnasnet", write(nets)[:4096])
    net = message(f2=16, f4="cifar10", f5=4, f6=4, f7=b"\0" * 64)
    keep("optimizer", "small", message(f1=1, f2=net))


def main():
    tables()
    requests()
    columns()
    jobs()
    grades()
    stores()
    answers()
    models()
    backups()
    z85 = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
    keep("key", "client", "# a client\nname: alice\nrole: writer\npublic: %s\n" % z85)
    keep("key", "secret", "name: a\r\npublic: %s\nsecret: %s \nserver: %s" % (z85, z85, z85))
    keep("settings", "all", "data: /srv/tailor\nmodels: /srv/models\nlisten: [ipc:///a, tcp://[::1]:1]"
         "\nworkers: 4\nlog-level: info\nlog-format: json\nkeys: /srv/keys\n"
         "metrics: 127.0.0.1:9411\nmax-connections: 50\n")
    keep("settings", "one", "listen: tcp://127.0.0.1:7411\nwokers: 4\n")
    keep("profile", "all", "name: x\nclass: npu\ndescription: \"a: b\"\nbatch: 1\n"
         "peak_gflops: {fp32: 48, int8: 96}\nbits: {weights: [8, 32], activations: [8]}\n")
    keep("space", "tiny", "space: x\nkind: cell\n")


if __name__ == "__main__":
    main()
