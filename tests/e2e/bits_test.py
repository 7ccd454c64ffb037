#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Designs with weight bits: a task that was measured on quantized designs has them chosen.

The world: a device that takes time in proportion to the bits of its convolutions, and a task that
loses accuracy where bits are few.
"""
import unittest

import harness
from toy import SLOTS, SPACE, Learned

N_TRAIN, WIDTHS = 300, ("2", "4", "8")
VALUE_OF_WIDTH = {"2": 0.4, "4": 0.9, "8": 1.0, "-": 1.0}


def is_conv(operator):
    return operator.startswith("nor_conv")


def with_bits(cells):
    """A width for each convolution, by turns."""
    rows, turn = [], 0
    for cell in cells:
        bits = []
        for operator in cell:
            bits.append(WIDTHS[turn % 3] if is_conv(operator) else "-")
            turn += 1 + turn % 2
        rows.append(tuple(cell) + tuple(bits))
    return rows


def split(design):
    return zip(design[:6], design[6:])


def latency_ms(design):
    return 0.5 + sum(harness.WORK[o] * (int(w) / 8 if w != "-" else 1) for o, w in split(design))


def accuracy(design):
    return 94.0 - 60.0 * 0.8 ** sum(harness.VALUE[o] * VALUE_OF_WIDTH[w] for o, w in split(design))


def table(designs, columns):
    lines = [",".join(SLOTS + list(columns))]
    for design in designs:
        lines.append(",".join(list(design) + [repr(f(design)) for f in columns.values()]))
    return "\n".join(lines) + "\n"


class Bits(Learned):
    @classmethod
    def learn(cls):
        quantized = with_bits(harness.cells(N_TRAIN))
        plain = [d + ("-",) * 6 for d in harness.cells(N_TRAIN, 3)]
        cls.must("measure", "import", *SPACE, cls.save("q.csv", table(quantized, {
            "latency_ms@serial": latency_ms, "accuracy@toy-quantized": accuracy})))
        cls.learn_table(table(plain, {"accuracy@toy": accuracy}))

    def design(self, task, *options):
        return self.rows("design", *SPACE, "--device", "serial", "--task", task, *options)

    def test_a_task_of_quantized_designs_chooses_bits_at_every_convolution(self):
        for method in ("evolutionary", "random", "reinforce", "galen"):
            with self.subTest(method=method):
                row = self.design("toy-quantized", "--max-latency-ms", 3, "--method", method)[0]
                design = [row[slot] for slot in SLOTS]
                for operator, width in split(design):
                    self.assertEqual(is_conv(operator), width in WIDTHS)
                    self.assertEqual(not is_conv(operator), width == "-")
                self.assertLessEqual(float(row["latency_ms"]), 3)
                self.assertGreaterEqual(float(row["p_feasible"]), 0.9)

    def test_fewer_bits_buy_operators_where_time_is_short(self):
        """Under a limit that many wide convolutions miss."""
        row = self.design("toy-quantized", "--max-latency-ms", 3)[0]
        self.assertTrue({row[slot] for slot in SLOTS[6:]} & {"2", "4"})

    def test_a_task_of_plain_designs_leaves_bits_absent(self):
        rows = self.design("toy", "--max-latency-ms", 6, "--count", 5)
        self.assertEqual({"-"}, {row[slot] for row in rows for slot in SLOTS[6:]})

    def test_a_space_that_bits_make_too_large_to_list_is_searched_otherwise(self):
        for task, said in (("toy", "exhaustive"), ("toy-quantized", "neural|evolutionary")):
            result = self.run_program(harness.TAILOR, [
                "design", *SPACE, "--device", "serial", "--task", task, "--explain"], harness.DONE)
            self.assertTrue(any(word in result.stderr for word in said.split("|")), result.stderr)


if __name__ == "__main__":
    unittest.main()
