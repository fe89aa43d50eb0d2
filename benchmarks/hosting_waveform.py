"""Hosting capacity with limits within seconds: how long, against what was asked.

Run ``python benchmarks/hosting_waveform.py``; it takes about four minutes on two cores.
"""

from __future__ import annotations

import time

import numpy as np

import gridedge
from gridedge.grid.feeders import load_feeder
from gridedge.grid.inject import scaled_background

STEPS = 96
GOAL_S = 60.0
LIMITS = ("en50160", "ratings")
WEAK = {"s_sc_mva": 300.0}  # so that flicker binds somewhere


def main() -> None:
    """Print the time of every bus of mv_oberrhein, at the heaviest and the lightest of 96 steps."""
    net = load_feeder("mv_oberrhein").net
    day = 0.7 - 0.3 * np.cos(2 * np.pi * np.arange(STEPS) / STEPS)
    background = scaled_background(net, "load", day, 900.0 * np.arange(STEPS))
    load = gridedge.generate("h100-at-scale", duration_s=660, dt_s=0.0025, seed=1)
    cases = {
        "flicker": {"limits": (*LIMITS, "flicker-mv"), "waveform": load},
        "flicker, 300 MVA": {"limits": (*LIMITS, "flicker-mv"), "waveform": load, "sources": WEAK},
        "rapid changes, 300 MVA": {"limits": (*LIMITS, "rapid-mv"), "waveform": load, "sources": WEAK},
        "voltage step": {"limits": (*LIMITS, "dominion-step")},
        "none of them": {"limits": LIMITS},
    }
    for what, given in cases.items():
        gridedge.hosting_capacity(net, buses=net.bus.index[[5]].tolist(), background=background, **given)  # compiles
        began = time.perf_counter()
        found = gridedge.hosting_capacity(net, background=background, **given)
        took = time.perf_counter() - began
        mw = found.capacity_mw
        kinds = dict(zip(*np.unique(found.data["kind"], return_counts=True), strict=True))
        text = ", ".join(f"{kind or 'not bound'} {count}" for kind, count in kinds.items())
        print(f"{mw.size} buses, two hours, {what:<24} {took:6.1f} s   goal {GOAL_S:g} s   "
              f"median {float(mw.median()):.2f} MW; {text}")  # fmt: skip


if __name__ == "__main__":
    main()
