# SPDX-License-Identifier: Apache-2.0
# %% [markdown]
# # What accuracy costs on different devices
#
# Every point of a Pareto front is a design that no other beats in both accuracy and latency. This
# notebook asks for the fronts of a few devices, prints what they have in common, and plots them.
# It runs as a program too:
#
#     PYTHONPATH=build/clients/python python3 examples/python/pareto_plot.py
#
# It needs a tailord (TAILOR_ENDPOINT). The plot is drawn by matplotlib where it is installed, else
# by gnuplot, else not at all; its data are in pareto.csv in any case (in the folder $OUT, else
# here).

# %%
import asyncio
import csv
import os
import pathlib
import shutil
import subprocess

import tailor

SPACE = "nasbench201"
DEVICES = ["raspi4", "pixel3", "edgegpu", "eyeriss"]
OUT = pathlib.Path(os.environ.get("OUT", "."))

# %% [markdown]
# All fronts are asked for at once. In a notebook, where a loop runs already, write
# `fronts = await ask()` instead of the last line.


# %%
async def ask():
    async with tailor.AsyncClient() as client:
        answers = await asyncio.gather(*(
            client.pareto(SPACE, device, min_accuracy=85, points=15) for device in DEVICES))
    return dict(zip(DEVICES, answers))


fronts = asyncio.run(ask())

# %% [markdown]
# The volume below a front is one number for all of it, in milliseconds times points of accuracy;
# predictions are uncertain, so it has bounds (90%).

# %%
for device, answer in fronts.items():
    front, first, last = answer.front, answer.rows[0], answer.rows[-1]
    print(f"{device:10} {first['accuracy']:.1f}% in {first['latency_ms']:.2f} ms to "
          f"{last['accuracy']:.1f}% in {last['latency_ms']:.2f} ms, volume "
          f"{front.hypervolume:.0f} [{front.hypervolume_low:.0f}, {front.hypervolume_high:.0f}]")

# %% [markdown]
# Do devices agree on the cheapest design of 93%? Rows are dictionaries, so ordinary Python will do;
# `answer.table.to_pandas()` makes a DataFrame of them.

# %%
good = {device: next(row for row in answer.rows if row["accuracy"] >= 93)
        for device, answer in fronts.items()}
for slot in fronts[DEVICES[0]].designs.names[:6]:
    print(slot, *(f"{row[slot]:13}" for row in good.values()))

# %% [markdown]
# One table for any plotting program: bounds are the prediction and twice its standard deviation.

# %%
columns = ["device", "latency_ms", "latency_std_ms", "accuracy", "accuracy_std"]
with open(OUT / "pareto.csv", "w", encoding="utf-8", newline="") as file:
    writer = csv.DictWriter(file, columns, extrasaction="ignore")
    writer.writeheader()
    for device, answer in fronts.items():
        writer.writerows({"device": device, **row} for row in answer.rows)


# %%
def plot_with_matplotlib(path):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(8, 5))
    for device, answer in fronts.items():
        table = answer.table.to_columns()
        axes.errorbar(table["latency_ms"], table["accuracy"], marker=".", label=device,
                      xerr=[2 * s for s in table["latency_std_ms"]],
                      yerr=[2 * s for s in table["accuracy_std"]], elinewidth=0.5)
    axes.set(xscale="log", xlabel="latency (ms)", ylabel="accuracy (%)")
    axes.legend()
    figure.savefig(path)


def plot_with_gnuplot(path):
    curves = ", ".join(
        f"'{OUT / 'pareto.csv'}' using (strcol(1) eq '{device}' ? $2 : NaN):4:(2*$3):(2*$5) "
        f"with xyerrorbars title '{device}'" for device in DEVICES)
    script = (f"set terminal svg; set output '{path}'; set datafile separator ','; "
              "set logscale x; set key bottom right; set xlabel 'latency (ms)'; "
              f"set ylabel 'accuracy (%)'; plot {curves}")
    subprocess.run(["gnuplot", "-e", script], check=True)


try:
    plot_with_matplotlib(OUT / "pareto.svg")
except ImportError:
    if shutil.which("gnuplot"):
        plot_with_gnuplot(OUT / "pareto.svg")
print("written:", ", ".join(str(p) for p in sorted(OUT.glob("pareto.*"))))
