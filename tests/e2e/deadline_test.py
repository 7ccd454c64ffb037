#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A deadline that passes while the daemon works: EDEADLINE, and all is as it was before."""
import os

import pypackage
import toy

import zmq

pb = pypackage.tailor.tailor_pb2
SPACE = "nasbench201"
N_DEVICES = 6
N_DESIGNS = 500
N_COLUMNS = 400  # of the table whose import ends
ENDED = "EDEADLINE"


def column(i):
    return "latency_ms@device-%d" % i, lambda d: toy.harness.latency_ms(d, 1.0 + i, .1 * (i + 1))


class Deadline(toy.Learned):
    """Six devices are measured and nothing is trained."""

    @classmethod
    def learn(cls):
        cls.cells = toy.harness.cells(N_DESIGNS)
        columns = dict(column(i) for i in range(N_DEVICES))
        columns["accuracy@toy"] = toy.harness.accuracy
        cls.must("measure", "import", *toy.SPACE,
                 cls.save("train.csv", toy.harness.table(cls.cells, columns)))

    def setUp(self):
        context = zmq.Context()
        self.addCleanup(context.term)
        self.socket = context.socket(zmq.DEALER)
        self.addCleanup(self.socket.close, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, 1000 * toy.harness.RUN_S)
        self.socket.connect(self.daemon.endpoint)
        self.n_asked = 0

    def call(self, method, body, deadline_ms=0):
        """The final reply, as the daemon sends it to whom waits longer than the deadline."""
        self.n_asked += 1
        request = pb.Request(
            protocol=1, request_id=self.n_asked, method=method, deadline_ms=deadline_ms,
            body=body.SerializeToString(), client="deadline-test")
        self.socket.send_multipart([b"", request.SerializeToString()])
        while True:
            reply = pb.Reply.FromString(self.socket.recv_multipart()[-1])
            self.assertEqual(self.n_asked, reply.request_id)
            if reply.kind == pb.Reply.FINAL:
                return reply

    def test_a_training_ends_and_no_model_is_left(self):
        # The longest one: minutes, in which a second passes on any machine.
        reply = self.call("train.run", pb.TrainRequest(space=SPACE, effort="long"), 1000)
        self.assertEqual(ENDED, reply.error_name, reply.error_detail)
        models = os.path.join(self.daemon.folder, "data", "models")
        self.assertEqual([], os.listdir(models) if os.path.isdir(models) else [])
        jobs = self.ok("job", "list")
        self.assertRegex(jobs, r"train\.run .* failed .* EDEADLINE: .*the deadline passed")

    def test_an_evaluation_ends(self):
        reply = self.call("evaluate.run", pb.EvaluateRequest(space=SPACE), 200)
        self.assertEqual(ENDED, reply.error_name, reply.error_detail)

    def test_an_import_ends_and_is_committed_after_all(self):
        columns = dict(column(100 + i) for i in range(N_COLUMNS))
        table = toy.harness.table(self.cells, columns).encode()
        begun = self.call("measure.begin", pb.ImportBegin(space=SPACE, origin="late.csv"))
        opened = pb.ImportId.FromString(begun.body)
        for sequence, at in enumerate(range(0, len(table), 1 << 20)):
            fed = self.call("measure.feed", pb.ImportFeed(
                import_id=opened.import_id, sequence=sequence, csv=table[at:at + (1 << 20)]))
            self.assertEqual("", fed.error_name, fed.error_detail)
        for deadline_ms in 1, 2, 5:
            late = self.call("measure.commit", opened, deadline_ms)
            self.assertEqual(ENDED, late.error_name, late.error_detail)
            self.refused("device", "show", "device-100")
        done = self.call("measure.commit", opened)
        self.assertEqual("", done.error_name, done.error_detail)
        report = pb.ImportReport.FromString(done.body)
        self.assertEqual(N_COLUMNS * N_DESIGNS, report.n_values)
        self.assertEqual(N_COLUMNS, len(report.new_devices))
        self.ok("device", "show", "device-100")


if __name__ == "__main__":
    toy.harness.main()
