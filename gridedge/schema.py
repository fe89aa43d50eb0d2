"""The datasets that pass between the rooms: how they are built and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge.errors import InputError, Problem, bad
from gridedge.timebase import step_of
from gridedge.units import unit_of

_LONG_NAMES = {
    "p_mw": "active power, consumption positive",
    "q_mvar": "reactive power, lagging positive",
    "p_before_mw": "active power before mitigation",
    "p_at_mw": "active power behind the steps of each place",
    "overhead_mw": "conversion losses and cooling of what mitigation changed",
    "active_pu": "share of the servers whose job runs",
    "wasted_mw": "power burned to shape the load",
    "lost_mw": "power lost in storage conversion",
    "delayed_mw": "work put off to a later time",
    "stored_mw": "rate of change of stored energy",
    "soc_pu": "state of charge",
    "vm_pu": "voltage magnitude",
    "va_degree": "voltage angle",
    "loading_percent": "loading of rating",
    "pl_mw": "active power losses",
    "converged": "power flow solved",
}


def describe(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset with unit and long name on every variable, from its name."""
    for name in [*ds.data_vars, *ds.coords]:
        unit = unit_of(str(name)) if name != "time" else "s"
        if unit:
            ds[name].attrs["units"] = unit
        if name in _LONG_NAMES:
            ds[name].attrs["long_name"] = _LONG_NAMES[str(name)]
    return ds


def power_dataset(
    p_mw: NDArray[np.float64], dt_s: float, *, t0_s: float = 0.0, power: str, attrs: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """Build a load dataset from an array.

    Parameters
    ----------
    p_mw : ndarray, shape (time,) or (member, time)
        Power. [MW]
    dt_s : float
        Step length. [s]
    t0_s : float
        Time of the first sample. [s]
    power : str
        Which power it is: ``IT`` or ``at the meter``.
    attrs : mapping, optional
        More attributes.
    """
    dims = ("member", "time") if p_mw.ndim == 2 else ("time",)
    time = t0_s + dt_s * np.arange(p_mw.shape[-1])
    ds = xr.Dataset({"p_mw": (dims, p_mw)}, coords={"time": time})
    ds["p_mw"].attrs["cell_methods"] = "time: mean"
    ds.attrs = {"power": power, "dt_s": dt_s, **(attrs or {})}
    return describe(ds)


def require(ds: xr.Dataset, names: Sequence[str], *, thing: str, finite: bool = True) -> None:
    """Check that variables are there and finite, and that there is a clock.

    Without ``finite`` no value is read, for what is too long to be held.

    Raises
    ------
    InputError
        With every problem found.
    """
    if not isinstance(ds, xr.Dataset):
        raise bad(f"{thing} must be an xarray Dataset", type(ds).__name__, "Make it with gridedge.generate(...).")
    problems = []
    for name in names:
        if name not in ds:
            have = ", ".join(map(str, ds.data_vars)) or "no variable"
            problems.append(Problem(f"{thing} has no {name}", have, f"Add {name}(time)."))
            continue
        if not finite:
            continue
        if ds[name].dtype.kind not in "fiu":
            problems.append(Problem(f"{thing}: {name} holds no numbers", str(ds[name].dtype), "Give it as numbers."))
            continue
        wrong = ~np.isfinite(ds[name].values)
        if wrong.any():
            axis = ds[name].dims.index("time") if "time" in ds[name].dims else 0
            k = int(np.flatnonzero(np.moveaxis(wrong, axis, 0).reshape(wrong.shape[axis], -1).any(axis=1))[0])
            cure = "Fill or cut the gap before the study; gridedge does not guess power."
            problems.append(
                Problem(f"{thing}: {name} is not a number", f"{int(wrong.sum())} samples, first at step {k}", cure)
            )
    if "time" not in ds.coords:
        problems.append(Problem(f"{thing} has no time coordinate", "", "Add `time` in seconds."))
    if problems:
        raise InputError(problems)


def clock(ds: xr.Dataset) -> float:
    """Return the step of a dataset's clock in seconds.

    ``dt_s`` in the attributes says it where there is one sample only.
    """
    if ds.sizes["time"] == 1 and "dt_s" in ds.attrs:
        return float(ds.attrs["dt_s"])
    index = ds.xindexes.get("time")
    step = getattr(index, "step", None)  # a RangeIndex says it, and its times need not be made
    if step is not None:
        return float(step)
    dt_s = step_of(np.asarray(ds["time"].values, dtype=float))
    said = ds.attrs.get("dt_s")
    # Differences of large times are rounded; the attribute is not.
    return float(said) if said is not None and abs(float(said) - dt_s) <= 1e-6 * dt_s else dt_s
