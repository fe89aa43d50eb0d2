"""Several sites: how long pairs, random deployments and a batch sized together take, against what was asked.

Run ``python benchmarks/hosting_several.py``; it takes about half a minute on two cores.
"""

from __future__ import annotations

import time

import numpy as np

import gridedge
from gridedge.grid.feeders import load_feeder
from gridedge.grid.inject import scaled_background

STEPS, PAIRED, SITES, DRAWS = 96, 20, 5, 200


def main() -> None:
    """Print the time of each verb on mv_oberrhein at 96 steps, thermal and voltage, refined to 0.01 MW."""
    net = load_feeder("mv_oberrhein").net
    day = 0.7 - 0.3 * np.cos(2 * np.pi * np.arange(STEPS) / STEPS)
    background = scaled_background(net, "load", day, 900.0 * np.arange(STEPS))
    some = net.bus.index[np.linspace(5, 170, PAIRED).astype(int)].tolist()
    cases = {
        f"{PAIRED} x {PAIRED} pairs that grow equally": lambda: gridedge.hosting_pairs(
            net, some, background=background
        ),
        f"{PAIRED} x {PAIRED} pairs, one given": lambda: gridedge.hosting_pairs(
            net, some, background=background, given_mw="single"
        ),
        f"{DRAWS} deployments of {SITES} sites": lambda: gridedge.hosting_deployments(
            net, SITES, draws=DRAWS, background=background
        ),
        f"{DRAWS} of {SITES}, coincidence 0.7": lambda: gridedge.hosting_deployments(
            net, SITES, draws=DRAWS, background=background, coincidence=0.7
        ),
        f"{PAIRED} sites sized together": lambda: gridedge.hosting_together(net, some, background=background),
    }
    gridedge.hosting_pairs(net, some[:2], background=background)  # compiles
    for what, run in cases.items():
        began = time.perf_counter()
        found = run()
        took = time.perf_counter() - began
        print(f"{what:<36} {took:6.2f} s   goal 60 s   off by {found.data.attrs['error_vm_pu']:.0e} pu")


if __name__ == "__main__":
    main()
