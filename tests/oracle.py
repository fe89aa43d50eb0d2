"""Plain ``runpp`` as the judge of the engines, set up apart from them, and how results are held against it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

import gridedge

VM_PU, VA_DEGREE, LOADING_PERCENT = 1e-8, 1e-6, 1e-3  # accuracy that the design asks of an exact engine


@dataclass(frozen=True)
class Truth:
    """What ``runpp`` says of one state; what it has no number for is NaN.

    Parameters
    ----------
    vm_pu, va_degree : ndarray, shape (bus,)
    loading_percent, pl_mw : dict of ndarray
        By table: ``line``, ``trafo``, ``trafo3w``, ``impedance``.
    """

    vm_pu: Any
    va_degree: Any
    loading_percent: dict[str, Any] = field(default_factory=dict)
    pl_mw: dict[str, Any] = field(default_factory=dict)


def judge(net: Any) -> Truth:
    """Solve a net in place by plain ``runpp`` and return what it says.

    Where rounding alone leaves more than 1e-10 MVA, it stops at pandapower's own default of 1e-8 MVA.
    """
    import pandapower as pp

    try:
        pp.runpp(net, tolerance_mva=1e-10, calculate_voltage_angles=True)
    except pp.LoadflowNotConverged:
        pp.runpp(net, tolerance_mva=1e-8, calculate_voltage_angles=True)
    truth = Truth(net.res_bus.vm_pu.to_numpy().copy(), net.res_bus.va_degree.to_numpy().copy())
    for table in ("line", "trafo", "trafo3w", "impedance"):
        if not len(net[table]):
            continue
        res = net[f"res_{table}"]
        truth.pl_mw[table] = res.pl_mw.to_numpy().copy()
        if table != "impedance":
            truth.loading_percent[table] = res.loading_percent.to_numpy().copy()
            continue
        # pandapower prints no loading here: its rating is sn_mva at the nominal voltage of each end.
        frame, ends = net.impedance, []
        for end, current_ka in (("from_bus", res.i_from_ka), ("to_bus", res.i_to_ka)):
            vn_kv = net.bus.vn_kv.loc[frame[end]].to_numpy()
            ends.append(100 * current_ka.to_numpy() * np.sqrt(3) * vn_kv / frame.sn_mva.to_numpy())
        truth.loading_percent[table] = np.maximum(*ends)
    return truth


def equal(result: xr.Dataset, step: int, truth: Truth, vm_pu: float = VM_PU) -> None:
    """Hold one step of a result against the truth: every bus and branch, and the same ones without a number."""
    at = result.isel(time=step)
    assert bool(at["converged"])
    np.testing.assert_allclose(at["vm_pu"], truth.vm_pu, rtol=0, atol=vm_pu)
    np.testing.assert_allclose(at["va_degree"], truth.va_degree, rtol=0, atol=VA_DEGREE)
    element = at["element"].values
    assert set(element) == set(truth.loading_percent)
    for table, loading_percent in truth.loading_percent.items():
        here = element == table
        np.testing.assert_allclose(at["loading_percent"][here], loading_percent, rtol=0, atol=LOADING_PERCENT)


def sites(buses: Sequence[int], p_mw: Any, q_mvar: Any = None, dt_s: float = 1.0) -> xr.Dataset:
    """Return the load of sites, ``p_mw`` (time,) or (time, site); without ``q_mvar`` at unity power factor."""
    p = np.asarray(p_mw, dtype=float).reshape(len(p_mw), len(buses))
    q = np.zeros_like(p) if q_mvar is None else np.asarray(q_mvar, dtype=float).reshape(p.shape)
    names = [f"site {k}" for k in range(len(buses))]
    return xr.Dataset(
        {"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), q)},
        coords={"time": dt_s * np.arange(len(p)), "site": names, "bus": ("site", list(buses))},
        attrs={"dt_s": dt_s},
    )


def with_sites(net: Any, load: xr.Dataset, step: int) -> Any:
    """Return a copy of a net with the sites of one step as plain loads."""
    import pandapower as pp

    own = copy.deepcopy(net)
    if len(own.controller):
        own.controller.drop(own.controller.index, inplace=True)
    at = load.isel(time=step)
    for k, bus in enumerate(load["bus"].values):
        pp.create_load(own, int(bus), float(at["p_mw"][k]), float(at["q_mvar"][k]))
    return own


def series(net: Any, table: str, factors: Any, dt_s: float) -> xr.Dataset:
    """Return the series of a table: its own values times factors (time, element)."""
    columns = [c for c in ("p_mw", "q_mvar") if c in net[table]]
    return xr.Dataset(
        {c: (("time", table), factors * net[table][c].to_numpy()) for c in columns},
        coords={"time": dt_s * np.arange(len(factors)), table: net[table].index.to_numpy()},
        attrs={"dt_s": dt_s},
    )


def check(net: Any, engines: Sequence[str], bus: int, steps: int = 12, **kwargs: Any) -> None:
    """Solve a net with a site of up to 1 MW at a bus by some engines, and hold three steps against ``runpp``."""
    rng = np.random.default_rng(11)
    load = sites([bus], rng.uniform(0, 1, steps), rng.uniform(-0.3, 0.3, steps))
    judged = (0, steps // 2, steps - 1)
    truth = [judge(with_sites(net, load, step)) for step in judged]
    for engine in engines:
        result = gridedge.solve(net, load, engine=engine, tol_vm_pu=VM_PU, **kwargs)
        assert result.attrs["engine"] == engine, result.attrs["engine_why"]
        for step, expected in zip(judged, truth, strict=True):
            equal(result, step, expected)
