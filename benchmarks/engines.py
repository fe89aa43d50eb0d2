"""Print what one power flow costs: the batch engine beside pandapower's own warm time series, in one process.

Every load of the net moves in every state.  Run: ``python benchmarks/engines.py [NET ...]``
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandapower as pp
import xarray as xr
from pandapower import networks as nw
from pandapower.control import ConstControl
from pandapower.timeseries import DFData, OutputWriter, run_timeseries

import gridedge
from gridedge.grid.feeders import load_feeder

NETS: dict[str, tuple[Callable[[], Any], int, int]] = {
    # name: how it is made, states for the time series, states for the batch engine
    "case33bw": (nw.case33bw, 400, 35_136),
    "cigre_mv_der": (lambda: nw.create_cigre_network_mv(with_der="all"), 400, 35_136),
    "mv_oberrhein": (nw.mv_oberrhein, 300, 35_136),
    "simbench 1-MV-urban--0-sw": (lambda: load_feeder("simbench:1-MV-urban--0-sw").net, 300, 35_136),
    "case118": (nw.case118, 300, 16_384),
    "case1354pegase": (nw.case1354pegase, 100, 2_048),
    "case2869pegase": (nw.case2869pegase, 50, 1_024),
}
REPEATS = 3


def states(net: Any, count: int, seed: int = 0) -> np.ndarray:
    """Return factors on every load, shape (state, load): a common day and noise of its own for each."""
    rng = np.random.default_rng(seed)
    day = 0.94 + 0.06 * np.sin(2 * np.pi * np.arange(count) / 96)
    return day[:, None] * rng.uniform(0.97, 1.03, (count, len(net.load)))


def time_series_s(net: Any, factors: np.ndarray) -> float:
    """Return the seconds per step of ``run_timeseries``, warm, with bus voltages written."""
    import pandas as pd

    own = copy.deepcopy(net)
    if len(own.controller):
        own.controller.drop(own.controller.index, inplace=True)
    frame = pd.DataFrame(factors * own.load.p_mw.to_numpy())
    ConstControl(
        own, "load", "p_mw", element_index=own.load.index, data_source=DFData(frame), profile_name=frame.columns
    )
    OutputWriter(own, range(len(frame)), log_variables=[("res_bus", "vm_pu")])
    run_timeseries(own, range(5), verbose=False)  # compiles
    best = np.inf
    for _ in range(REPEATS):
        began = time.perf_counter()
        run_timeseries(own, range(len(frame)), verbose=False)
        best = min(best, (time.perf_counter() - began) / len(frame))
    return best


def batch_s(net: Any, factors: np.ndarray, **kwargs: Any) -> tuple[float, float]:
    """Return the seconds per state of ``solve``, everything included, and its difference from ``runpp`` in pu."""
    ds = xr.Dataset(
        {"p_mw": (("time", "load"), factors * net.load.p_mw.to_numpy())},
        coords={"time": 900.0 * np.arange(len(factors)), "load": net.load.index.to_numpy()},
    )
    gridedge.solve(net, background={"load": ds.isel(time=slice(0, 128))}, engine="batch", **kwargs)  # compiles
    best, error = np.inf, 0.0
    for _ in range(REPEATS):
        began = time.perf_counter()
        result = gridedge.solve(net, background={"load": ds}, engine="batch", **kwargs)
        best = min(best, (time.perf_counter() - began) / len(factors))
        error = float(result.attrs["error_vm_pu"])
    return best, error


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nets", nargs="*", default=list(NETS), help=f"from: {', '.join(NETS)}")
    columns = ("run_timeseries us", "batch, reduced us", "ratio", "batch, all us", "ratio", "error pu")
    print(f"{'net':<28}" + "".join(f"{c:>19}" for c in columns))
    for name in parser.parse_args().nets:
        make, few, many = NETS[name]
        net = make()
        pp.runpp(net)
        slow = time_series_s(net, states(net, few))
        reduced, error = batch_s(net, states(net, many), reduce=["min", "max", "mean"])
        full, _ = batch_s(net, states(net, many))
        cells = (f"{slow * 1e6:.0f}", f"{reduced * 1e6:.1f}", f"{slow / reduced:.0f}", f"{full * 1e6:.1f}")
        print(f"{name:<28}" + "".join(f"{c:>19}" for c in (*cells, f"{slow / full:.0f}", f"{error:.1e}")), flush=True)


if __name__ == "__main__":
    main()
