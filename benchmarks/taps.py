"""Tap changers that follow a season, and hosting with settled taps: how long.

Run ``python benchmarks/taps.py``; it takes about five minutes on two cores, most of it hosting with settled taps.
"""

from __future__ import annotations

import time

import numpy as np

import gridedge
from gridedge.grid.feeders import load_feeder
from gridedge.grid.inject import scaled_background

YEAR = 35_040


def main() -> None:
    """Print the time of a year of quarter hours on mv_oberrhein, and of hosting at every bus over a day."""
    net = load_feeder("mv_oberrhein").net
    rng = np.random.default_rng(0)
    days = np.arange(YEAR) / 96
    shape = (0.65 - 0.35 * np.cos(2 * np.pi * days)) * (0.85 + 0.15 * np.cos(2 * np.pi * days / 365))
    shape = np.clip(shape + 0.05 * rng.standard_normal(YEAR), 0.05, None)
    taps = {"vm_set_pu": 1.02}
    for steps in (96, YEAR):
        background = {"load": scaled_background(net, "load", shape[:steps], 900.0 * np.arange(steps))}
        gridedge.settle_taps(net, background=background, taps=taps)  # compiles
        began = time.perf_counter()
        found = gridedge.settle_taps(net, background=background, taps=taps)
        took = time.perf_counter() - began
        moves = ", ".join(f"{n} {int(k)}" for n, k in found["operations"].to_series().items())
        print(f"{steps:6d} steps {took:6.2f} s   moves {moves}; {found.attrs['engine_detail']}; "
              f"off by {found.attrs['error_vm_pu']:.0e} pu")  # fmt: skip
    day = {"load": scaled_background(net, "load", shape[:96], 900.0 * np.arange(96))}
    for words in ("held", taps):
        began = time.perf_counter()
        capacity = gridedge.hosting_capacity(net, background=day, taps=words).capacity_mw
        took = time.perf_counter() - began
        print(
            f"{capacity.size} buses, 96 steps, taps {words}: {took:6.2f} s   median {float(capacity.median()):.2f} MW"
        )


if __name__ == "__main__":
    main()
