"""Hosting capacity under N-1: how long for one town of Texas, over the full list of outages.

Run ``python benchmarks/hosting_outages.py``; it takes some minutes on two cores.
"""

from __future__ import annotations

import time

import gridedge
from gridedge.grid.feeders import load_feeder

TOWN = "DALLAS"
LIMITS = {"vm_pu": [0.9, 1.1], "loading_percent": 100}


def main() -> None:
    """Print the time of all load buses of a town, with and without outages."""
    net = load_feeder("texas2000").net
    served = net.load["bus"][net.load["in_service"]].unique()
    buses = [int(b) for b in served if str(net.bus["name"][b]).startswith(TOWN)]
    gridedge.hosting_capacity("case39", buses=[3], n_minus_1=["line:0"], limits=LIMITS)  # compiles
    for what, outages in (("whole net", False), ("N-1", True)):
        began = time.perf_counter()
        found = gridedge.hosting_capacity(net, buses=buses, limits=LIMITS, existing="no_worse", n_minus_1=outages)
        took = time.perf_counter() - began
        mw = found.capacity_mw
        print(
            f"{len(buses)} buses of {TOWN}, {what:<9} {took:6.1f} s   goal {600 if outages else 60} s   "
            f"{float(mw.min()):.1f} to {float(mw.max()):.1f} MW, median {float(mw.median()):.1f}; "
            f"off by {found.data.attrs['error_vm_pu']:.0e} pu"
        )
    print(found.table()[["bus_name", "capacity_mw", "element", "outage", "next_element", "next_outage", "next_mw"]])
    for sentence in found.remarks:
        print(f"* {sentence}")


if __name__ == "__main__":
    main()
