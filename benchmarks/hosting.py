"""Hosting capacity: how long, against what was asked.

Run ``python benchmarks/hosting.py``; it takes about half a minute on two cores.
"""

from __future__ import annotations

import time

import numpy as np

import gridedge
from gridedge.grid.feeders import load_feeder
from gridedge.grid.inject import scaled_background

STEPS = 96
CASES = {
    "thermal and voltage": {"limits": ("en50160", "ratings")},
    "and a voltage step of 3 %": {"limits": ("en50160", "ratings", "dominion-step")},
    "no worse, ANSI range A": {"limits": ("ansi-c84.1-a", "ratings"), "existing": "no_worse"},
    "a single step": {"background": None},
}


def main() -> None:
    """Print the time of every bus of mv_oberrhein at 96 steps, refined to 0.01 MW."""
    net = load_feeder("mv_oberrhein").net
    day = 0.7 - 0.3 * np.cos(2 * np.pi * np.arange(STEPS) / STEPS)
    background = scaled_background(net, "load", day, 900.0 * np.arange(STEPS))
    for what, arguments in CASES.items():
        given = {"background": background, **arguments}
        gridedge.hosting_capacity(net, buses=net.bus.index[[5, 100]].tolist(), **given)  # compiles
        began = time.perf_counter()
        found = gridedge.hosting_capacity(net, **given)
        took = time.perf_counter() - began
        mw = found.capacity_mw
        kinds = dict(zip(*np.unique(found.data["kind"], return_counts=True), strict=True))
        text = ", ".join(f"{kind or 'not bound'} {count}" for kind, count in kinds.items())
        print(f"{mw.size} buses, {what:<28} {took:6.2f} s   goal 5 s   median {float(mw.median()):.2f} MW; {text}; "
              f"off by {found.data.attrs['error_vm_pu']:.0e} pu")  # fmt: skip


if __name__ == "__main__":
    main()
