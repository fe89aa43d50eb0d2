"""Every bus x 20 levels x 96 steps with limit checks: how much each bus can carry, state by state, none left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower as pp
import xarray as xr
from numpy.typing import NDArray
from states import States, truth

import gridedge
from gridedge.grid.sweep import sweep

LEVELS = 20
STEPS = 96
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
    limits = {"vm_pu": _VM_PU, "loading_percent": _LOADING_PERCENT}
    found = sweep(
        day.net, buses.tolist(), levels, q_per_p=_TAN_PHI, background=day.background(), limits=limits, no_worse=True
    )
    good = (found["vm_room_pu"] >= -1e-9) & (found["loading_room_percent"] >= -1e-6) & found["converged"]
    fits = good.all("time").values
    reached = np.where(fits.all(axis=1), LEVELS, np.argmin(fits, axis=1))
    ds = xr.Dataset({"capacity_mw": ("bus", highest_mw * reached / LEVELS)}, coords={"bus": buses})
    spots = []
    for k in range(0, buses.size, max(1, buses.size // 6)):
        p = levels[10:11, None]
        site = xr.Dataset(
            {"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), _TAN_PHI * p)},
            coords={"time": [0.0], "site": ["site"], "bus": ("site", buses[k : k + 1])}, attrs={"dt_s": day.dt_s},
        )  # fmt: skip
        noon = day.some(slice(STEPS // 2, STEPS // 2 + 1)).background()
        noon = {table: one.assign_coords(time=[0.0]).assign_attrs(dt_s=day.dt_s) for table, one in noon.items()}
        vm = gridedge.solve(day.net, site, background=noon, engine="batch")["vm_pu"].values[0]
        spots.append((int(buses[k]), float(levels[10]), STEPS // 2, vm))
        room = float(np.fmin(vm - _VM_PU[0], _VM_PU[1] - vm).min())
        if abs(room - float(found["vm_room_pu"][k, 10, STEPS // 2])) > 1e-9 and room > 0:
            raise RuntimeError(f"the sweep and solve differ at bus {buses[k]}")
    left = int((~found["converged"]).sum())
    return ds, {"states": good.size, "left": left, "engine": found.attrs["engine"], "spots": spots}


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
