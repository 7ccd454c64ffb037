#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes golden.h: what the Python reference of the head says on synthetic inputs.

    make_golden.py FOLDER > golden.h      FOLDER holds mask_head.py and mask_features.py

Every input is a formula that head_golden_test.c computes as well, so the header
holds results only. Nothing here was measured on a device.
"""
import sys

import numpy as np

sys.path.insert(0, sys.argv[1])
import mask_features as features  # noqa: E402
import mask_head as head  # noqa: E402

N_SOURCES, N_TRAIN, N_CANDIDATES, N_SHOWN = 3, 200, 300, 8
TARGET = 7  # the "device" that heads are fitted to


def designs_of(kind):
    """All cells in lexicographic order; 400 chains from a congruential generator."""
    if kind == "nb":
        return np.array(np.unravel_index(np.arange(5**6), (5,) * 6)).T
    x, rows = 12345, []
    for _ in range(400):
        row = []
        for _ in range(22):
            x = (x * 1103515245 + 12345) % 2**31
            row.append((x >> 16) % 9)
        rows.append(row)
    return np.array(rows)


def latency(d, O):
    cost = 1 + np.sin(1.7 * np.arange(16) + 0.9 * d)
    weight = 1 + 0.1 * np.arange(O.shape[1])
    y = 2 + d * 0.25 + (cost[O] * weight).sum(1) + 0.3 * (O[:, 0] == O[:, 5])
    return y * (1 + 0.03 * np.sin(7.1 * np.arange(len(O)) + 1.3 * d))


def row_index(n, i, step):
    return (11 + i * step) % n


def show(name, values):
    values = np.asarray(values)
    text = ", ".join(("%d" if values.dtype.kind == "i" else "%.15g") % v for v in values.ravel())
    kind = "int" if values.dtype.kind == "i" else "double"
    print("static const %s %s[] = {%s};" % (kind, name, text))


def golden(kind):
    tag = kind + "_"
    O = designs_of(kind)
    N = len(O)
    G = features.fb_groups(O) if kind == "fb" else features.nb_groups(O)
    X = head.source_features(kind, G)
    shown = np.array([row_index(N, i, 1777 if kind == "nb" else 41) for i in range(N_SHOWN)])
    names = [g for g in head.names(kind) if g != "F"]
    grams = [(G[g][shown[:4]] @ G[g][shown[:4]].T)[np.tril_indices(4)] for g in names]
    print("static const char *const %sgroup[] = {%s};" % (tag, ", ".join('"%s"' % g for g in names)))
    show(tag + "gram", grams)
    show(tag + "source_gram", (X[shown[:4]] @ X[shown[:4]].T)[np.tril_indices(4)])
    train = np.array([row_index(N, i, 61) for i in range(N_TRAIN)])
    F = np.array([head.source_model(X, latency(d, O)[train], train) for d in range(N_SOURCES)]).T
    show(tag + "source", F[shown].T)
    show(tag + "source_sd", F.std(0))
    gr = head.make_groups(kind, G, F)
    pm = head.prior_mean(F)
    show(tag + "pm", [pm[0]] + list(pm[1][shown]))
    cand = np.array([row_index(N, i, 53 if kind == "nb" else 1) for i in range(N_CANDIDATES)])
    picks = head.select(gr, 64, cand)
    show(tag + "picks", np.array([int(np.where(cand == p)[0][0]) for p in picks[:20]]))
    y = latency(TARGET, O)
    for n in (1, 3, 5, 20, 64):
        idx = picks[:n]
        yo = y[idx].copy()
        if n == 20:
            yo[7] *= 10
        mu, sd = head.predict(head.fit(gr, idx, yo, pm), gr, shown)
        show(tag + "mean_%d" % n, mu)
        show(tag + "sd_%d" % n, sd)
    # no sources: the same groups without F
    sets = head.SETS[kind]
    head.SETS[kind] = [[t for t in h if t[0] != "F"] for h in sets]
    keep = [g for g in head.names(kind)]
    S, nz, lp = [], [], []
    for h, p in zip(head.SETS[kind], head.PRIOR[kind]):
        v, z = head.grid([c for _, c in h], head.POINTS[kind])
        W = np.zeros((len(v), len(keep)))
        W[:, [keep.index(k) for k, _ in h]] = v
        S.append(W)
        nz.append(z)
        lp.append(np.full(len(v), np.log(p / len(v))))
    head.SETS[kind] = sets
    none = head.Groups([G[k] for k in keep], np.concatenate(S), np.concatenate(nz), np.concatenate(lp), None)
    mu, sd = head.predict(head.fit(none, picks[:20], y[picks[:20]], (0.15, np.zeros(N))), none, shown)
    show(tag + "mean_none", mu)
    show(tag + "sd_none", sd)


print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Written by make_golden.py: do not edit. */")
v, z = head.grid([0.3, 0.3, 0.1, 0.1, 0.1], 3)
show("grid_variance", v)
show("grid_noise", z)
rng = np.random.default_rng(1)
for k in ("nb", "fb"):
    golden(k)
