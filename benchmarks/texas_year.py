"""A year of the synthetic Texas grid with four layouts of a gigawatt in and around Dallas, and N-1 at its peak.

Run ``python benchmarks/texas_year.py [EVERY]``; it takes some 130 s of processor time, part of it on two cores.  With
EVERY, only each EVERY-th hour is solved and N-1 is left out.  Sites stand at the loads the fewest branches away
from DALLAS 24, draw a constant power at a power factor of 0.98, and generation, loads and shunts follow
``area_season``.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import networkx as nx
import numpy as np
import xarray as xr

import gridedge
from gridedge.grid.texas import texas_net

CENTRE = "DALLAS 24 0"
LAYOUTS = {"1 x 1000 MW": (1, 1000.0), "10 x 100 MW": (10, 100.0), "20 x 50 MW": (20, 50.0), "100 x 10 MW": (100, 10.0)}
Q_OVER_P = float(np.tan(np.arccos(0.98)))


def layouts(net: Any) -> dict[str, xr.Dataset]:
    """Return a gigawatt in four layouts, nearest loads first."""
    graph = nx.Graph()
    for table in ("line", "impedance"):
        graph.add_edges_from(zip(net[table]["from_bus"], net[table]["to_bus"], strict=True))
    centre = int(net.bus.index[net.bus["name"] == CENTRE][0])
    hops = nx.single_source_shortest_path_length(graph, centre)
    near = sorted({int(bus) for bus in net.load["bus"]}, key=lambda bus: (hops[bus], bus))
    found = {}
    for name, (count, each_mw) in LAYOUTS.items():
        buses = [centre] if count == 1 else near[:count]
        p_mw = np.full((1, count), each_mw)
        coords = {"time": [0.0], "site": [f"s{k}" for k in range(count)], "bus": ("site", buses)}
        found[name] = xr.Dataset(
            {"p_mw": (("time", "site"), p_mw), "q_mvar": (("time", "site"), Q_OVER_P * p_mw)}, coords
        )
    return found


def timed(what: str, call: Any) -> Any:
    """Call something and print how long it took, in wall time and in this process's own."""
    wall, own = time.perf_counter(), time.process_time()
    found = call()
    print(
        f"{what}: {time.perf_counter() - wall:.1f} s ({time.process_time() - own:.1f} s of processors here)", flush=True
    )
    return found


def show_year(year: xr.Dataset) -> None:
    """Print what the year says of each layout."""
    for case in year["case"].values:
        x = year.sel(case=case)
        over = x["overload_new_h"].to_series()
        worst = f"{over.idxmax()} {over.max():.0f} h" if over.max() > 0 else "none"
        print(
            f"{case:<12} no solution {int((~x.converged & x.p_load_mw.notnull()).sum()):4d} h   "
            f"losses {float(x.pl_mw.sum()) / 1e3:7.1f} GWh   {float(x.vm_pu_min.min()):.4f} to "
            f"{float(x.vm_pu_max.max()):.4f} pu   overloads {int((x.overload_h > 0).sum()):3d} branches "
            f"{float(x.overload_h.sum()):6.0f} h, new {int((over > 0).sum()):3d} branches {over.sum():6.0f} h ({worst})"
        )


def main() -> None:
    """Time the year and N-1, and print what they say."""
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    net = texas_net()
    season = timed("season", lambda: gridedge.texas_season(net))
    sites = layouts(net)
    timed("compiling, two hours", lambda: gridedge.grid_year(season, sites, hours=np.array([0, 1])))
    hours = np.arange(0, season.time_s.size, every) if every else None
    year = timed("year", lambda: gridedge.grid_year(season, sites, hours=hours))
    print(f"{year.attrs['hours_solved']} hours x {year.sizes['case']} cases, {year.attrs['patterns']} positions of the "
          f"shunts, off from runpp by {year.attrs['error_vm_pu']:.0e} pu")  # fmt: skip
    show_year(year)
    print(*year.attrs["remarks"], sep="\n")
    if every:
        return
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        worst = timed("N-1 at the peak", lambda: gridedge.layout_contingencies(season, sites, executor=pool))
    shown = ["overloaded_n0", "overloaded", "overloaded_new", "overloaded_worse", "unsupplied_cases",
             "unsupplied_mw_max", "blackouts", "unsolved", "unsolved_new"]  # fmt: skip
    print(worst[shown].to_dataframe().to_string())
    for name in list(sites)[:2]:
        lost = timed(f"sites lost, {name}", lambda name=name: gridedge.site_outages(season, sites[name]))
        step = lost["vm_step_pu"].max("case")
        where = str(lost["bus_name"].values[int(step.argmax("bus"))])
        print(
            f"largest step {100 * float(step.max()):.2f} % at {where}, new overloads {int(lost.overloaded_new.max())}"
        )


if __name__ == "__main__":
    main()
