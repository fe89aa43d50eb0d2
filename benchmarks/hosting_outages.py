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
    """Print the time of all load buses of a town, with and without outages, and what stops them."""
    net = load_feeder("texas2000").net
    served = net.load["bus"][net.load["in_service"]].unique()
    buses = [int(b) for b in served if str(net.bus["name"][b]).startswith(TOWN)]
    gridedge.hosting_capacity("case39", buses=[3], n_minus_1=["line:0"], limits=LIMITS)  # compiles
    for what, outages in (("whole net", False), ("N-1", True)):
        began, worked = time.perf_counter(), time.process_time()
        found = gridedge.hosting_capacity(net, buses=buses, limits=LIMITS, existing="no_worse", n_minus_1=outages)
        took, work = time.perf_counter() - began, time.process_time() - worked
        mw = found.capacity_mw
        print(
            f"{len(buses)} buses of {TOWN}, {what:<9} {took:6.1f} s, {work:6.1f} s of work   "
            f"goal {600 if outages else 60} s   "
            f"{float(mw.min()):.1f} to {float(mw.max()):.1f} MW, median {float(mw.median()):.1f}; "
            f"off by {found.data.attrs['error_vm_pu']:.0e} pu"
        )
    table = found.table()
    print(f"at the slack: {int(table['at_slack'].sum())}; by what binds: {table['kind'].value_counts().to_dict()}")
    print(table[["element", "outage"]].value_counts().to_string())
    columns = ["bus_name", "capacity_mw", "limit", "element", "outage", "next_element", "next_outage", "next_mw"]
    print(table[columns].to_string())
    for sentence in found.remarks:
        print(f"* {sentence}")


if __name__ == "__main__":
    main()
