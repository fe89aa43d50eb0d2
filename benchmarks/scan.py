"""Every bus x 20 levels x 96 steps with limit checks: how much each bus can carry, state by state, none left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower as pp
import xarray as xr
from numpy.typing import NDArray
from states import States, truth

import gridedge

LEVELS = 20
STEPS = 96
_AT_ONCE = 24  # buses in one call of solve: 46,080 states, whose full results take 0.2 GB
_VM_PU = (0.95, 1.05)
_LOADING_PERCENT = 100.0
_TAN_PHI = np.tan(np.arccos(0.98))


def scan(day: States, buses: NDArray[np.intp], highest_mw: float) -> tuple[xr.Dataset, dict[str, Any]]:
    """Solve every state and check its limits against the same step without a site, so that none gets worse.

    Parameters
    ----------
    day : States
        96 steps of the net.
    buses : ndarray
        Where a site is tried, one at a time.
    highest_mw : float
        The highest of 20 even levels. [MW]

    Returns
    -------
    Dataset
        ``capacity_mw(bus)``: the highest level up to which no limit breaks in any step; and attributes.
    dict
        ``states`` solved, ``left`` that did not converge, ``engine``, and ``spots``: bus, power, step and voltages
        of one state per call, for :func:`off_pu`.
    """
    levels = highest_mw * np.arange(1, LEVELS + 1) / LEVELS
    base = gridedge.solve(day.net, background=day.background())
    vm0, loading0 = base["vm_pu"].values, base["loading_percent"].values
    capacity, left, engines, spots = [], 0, set(), []
    for first in range(0, buses.size, _AT_ONCE):
        part = buses[first : first + _AT_ONCE]
        block = LEVELS * STEPS
        tiled = States(
            day.net, {k: np.tile(v, (part.size * LEVELS, 1)) for k, v in day.columns.items()}, day.dt_s
        )  # fmt: skip
        p = np.zeros((part.size * block, part.size))
        for k in range(part.size):
            p[k * block : (k + 1) * block, k] = np.repeat(levels, STEPS)
        sites = xr.Dataset(
            {"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), _TAN_PHI * p)},
            coords={"time": day.dt_s * np.arange(len(p)), "site": [f"at {b}" for b in part], "bus": ("site", part)},
        )
        result = gridedge.solve(day.net, sites, background=tiled.background())
        shape = (part.size * LEVELS, STEPS, -1)
        vm = result["vm_pu"].values.reshape(shape)
        loading = result["loading_percent"].values.reshape(shape)
        solved = result["converged"].values.reshape(part.size, LEVELS, STEPS)
        low, high = np.fmin(_VM_PU[0], vm0), np.fmax(_VM_PU[1], vm0)
        good = ~((vm < low) | (vm > high)).any(axis=2) & ~(loading > np.fmax(_LOADING_PERCENT, loading0)).any(axis=2)
        fits = (good.reshape(part.size, LEVELS, STEPS) & solved).all(axis=2)
        reached = np.where(fits.all(axis=1), LEVELS, np.argmin(fits, axis=1))
        capacity.append(highest_mw * reached / LEVELS)
        left += int((~solved).sum())
        engines.add(result.attrs["engine"])
        at = block // 2 + STEPS // 2  # the first bus, half the levels up, at noon
        spots.append((int(part[0]), float(p[at, 0]), STEPS // 2, result["vm_pu"].values[at].copy()))
    ds = xr.Dataset({"capacity_mw": ("bus", np.concatenate(capacity))}, coords={"bus": buses})
    found = {"states": buses.size * LEVELS * STEPS, "left": left, "engine": ", ".join(sorted(engines)), "spots": spots}
    return ds, found


def off_pu(day: States, spots: list[tuple[int, float, int, NDArray[np.float64]]]) -> float:
    """Return the largest difference in voltage between states of the scan and a plain ``runpp``, in pu."""
    worst = 0.0
    for bus, p_mw, step, vm in spots:
        net = pp.from_json_string(pp.to_json(day.net))
        pp.create_load(net, bus, p_mw, _TAN_PHI * p_mw)
        columns = {
            key: np.r_[v[step], net[key[0]][key[1]].to_numpy(float)[v.shape[1] :]][None]
            for key, v in day.columns.items()
        }
        worst = max(worst, float(np.nanmax(abs(truth(States(net, columns), 0).vm_pu - vm))))
    return worst
