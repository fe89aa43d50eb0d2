"""Hosting capacity: how long, against what was asked.

Run ``python benchmarks/hosting.py``; most of its time is the year.  ``--only day`` (or ``year``,
``texas``, ``durations``, ``collapse``) runs a part; ``--buses 10`` takes that many buses of a part, evenly spread.
Beside the time on the wall stands the time that the processors worked: on a machine that has other work to do, the
first says little.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from typing import Any

import numpy as np

import gridedge
from gridedge.grid.feeders import load_feeder
from gridedge.grid.inject import scaled_background

DAY, YEAR = 96, 35_040


def main() -> None:
    """Print the time of every part that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(PARTS), action="append", help="this part; may be repeated")
    parser.add_argument("--buses", type=int, help="so many buses instead of all")
    given = parser.parse_args()
    for part in given.only or PARTS:
        PARTS[part](given.buses)


def day(count: int | None) -> None:
    """Every bus of mv_oberrhein, 96 steps and one."""
    net = load_feeder("mv_oberrhein").net
    loads = _series(net, DAY)
    for what, arguments in {
        "96 steps": {"background": loads},
        "and a voltage step of 3 %": {"background": loads, "limits": ("en50160", "ratings", "dominion-step")},
        "no worse, ANSI range A": {
            "background": loads, "limits": ("ansi-c84.1-a", "ratings"), "existing": "no_worse",
        },
        "a single step": {},
    }.items():  # fmt: skip
        _timed(f"mv_oberrhein, {what}", "goal 5 s", net, _some(net.bus.index, count), arguments)


def year(count: int | None) -> None:
    """Every bus of mv_oberrhein, a year of quarter hours."""
    net = load_feeder("mv_oberrhein").net
    arguments = {"background": _series(net, YEAR)}
    _timed("mv_oberrhein, 35,040 steps", "goal 300 s", net, _some(net.bus.index, count), arguments)


def texas(count: int | None) -> None:
    """Every load bus of texas2000 as it stands."""
    net = load_feeder("texas2000").net
    buses = _some(sorted(set(net.load.bus)), count)
    _timed("texas2000, by headroom", "goal 60 s", net, buses, {"supply": "headroom"})


def durations(count: int | None) -> None:
    """Limits of moving means."""
    net = load_feeder("mv_oberrhein").net
    arguments = {"background": _series(net, DAY), "limits": "disco"}
    _timed("mv_oberrhein, 96 steps, disco", "", net, _some(net.bus.index, count), arguments)


def collapse(count: int | None) -> None:
    """No limits at all."""
    net = load_feeder("mv_oberrhein").net
    arguments: dict[str, Any] = {"background": _series(net, DAY), "limits": {}}
    _timed("mv_oberrhein, 96 steps, no limits", "", net, _some(net.bus.index, count or 20), arguments)


def _series(net: Any, steps: int) -> Any:
    """Return loads that follow the day, and in a year the season and chance too."""
    time_s = 900.0 * np.arange(steps)
    factor = 0.7 - 0.3 * np.cos(2 * np.pi * time_s / 86_400)
    if steps > DAY:
        season = 0.9 + 0.1 * np.cos(2 * np.pi * time_s / (365 * 86_400.0))
        factor = factor * season * (1.0 - 0.05 * np.random.default_rng(1).random(steps))
    return scaled_background(net, "load", factor, time_s)


def _some(buses: Any, count: int | None) -> list[int]:
    every = [int(b) for b in buses]
    return every if count is None else [every[k] for k in np.linspace(0, len(every) - 1, count).astype(int)]


def _timed(what: str, goal: str, net: Any, buses: list[int], arguments: dict[str, Any]) -> None:
    small = {k: v for k, v in arguments.items() if k != "background" or v["time"].size <= DAY}
    gridedge.hosting_capacity(net, buses=buses[:2], **small)  # compiles
    began = time.perf_counter(), time.process_time()
    found = gridedge.hosting_capacity(net, buses=buses, **arguments)
    took, worked = time.perf_counter() - began[0], time.process_time() - began[1]
    kinds = ", ".join(f"{kind or 'not bound'} {n}" for kind, n in Counter(found.data["kind"].values.tolist()).items())
    median, at_slack = float(found.capacity_mw.median()), int(found.data["at_slack"].sum())
    off = found.data.attrs["error_vm_pu"]
    print(f"{what:<40} {len(buses):>5} buses {took:7.2f} s ({worked:.1f} s of work)  {goal}", flush=True)
    print(f"    median {median:.2f} MW; {kinds}; {at_slack} at the slack; off by {off:.0e} pu", flush=True)


PARTS = {"day": day, "year": year, "texas": texas, "durations": durations, "collapse": collapse}

if __name__ == "__main__":
    main()
