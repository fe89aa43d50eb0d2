"""The three-phase power flow of pandapower, where a net has the data for it, and what it lacks where not."""

from __future__ import annotations

import copy
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import RunError

_NEEDED = {
    "line": ("r0_ohm_per_km", "x0_ohm_per_km", "c0_nf_per_km"),
    "trafo": ("vector_group", "vk0_percent", "vkr0_percent", "mag0_percent", "mag0_rx", "si0_hv_partial"),
    "ext_grid": ("s_sc_max_mva", "rx_max", "r0x0_max", "x0x_max"),
}
_UNKNOWN = (
    "gen",
    "trafo3w",
    "impedance",
    "shunt",
    "ward",
    "xward",
    "motor",
    "storage",
    "dcline",
    "svc",
    "tcsc",
    "ssc",
    "vsc",
)
# Others converge, and some of them to what no net does.
_VECTOR_GROUPS = ("dyn", "ynyn", "yzn")


def lacks(net: Any) -> list[str]:
    """Return what a net lacks for a three-phase power flow, in words; empty where it can be solved.

    Parameters
    ----------
    net : pandapowerNet
        The net; it is not changed.
    """
    missing = []
    for table, columns in _NEEDED.items():
        frame = net[table][net[table].in_service.astype(bool)]
        absent = [c for c in columns if c not in frame or frame[c].isna().any()] if len(frame) else []
        if absent:
            missing.append(f"{table}: {', '.join(absent)}")
    said = [f"the net has no zero-sequence data (columns {'; '.join(missing)})"] if missing else []
    known = [t for t in _UNKNOWN if t in net and len(net[t]) and net[t].in_service.astype(bool).any()]
    if known:
        said.append(f"the three-phase power flow has no model of {', '.join(known)}")
    if "vector_group" in net.trafo and not missing:
        active = net.trafo[net.trafo.in_service.astype(bool)]
        odd = sorted({str(g) for g in active.vector_group if str(g).lower() not in _VECTOR_GROUPS})
        if odd:
            said.append(f"the three-phase power flow does not hold for vector group {', '.join(odd)}")
    return said


def phase_voltages(
    net: Any, site: tuple[int, tuple[float, float, float], tuple[float, float, float]] | None = None
) -> NDArray[np.complex128]:
    """Solve the three phases of a net.

    Parameters
    ----------
    net : pandapowerNet
        A net that :func:`lacks` nothing; it is not changed.
    site : tuple of (bus, p_mw, q_mvar), optional
        A load of its own at a bus, in phases a, b, c, from phase to earth. [MW, Mvar]

    Returns
    -------
    complex ndarray, shape (3, bus)
        Voltages to earth of phases a, b, c; NaN at a bus without supply. [pu]

    Raises
    ------
    RunError
        If it does not converge.
    """
    import pandapower as pp

    own = copy.deepcopy(net)
    if site is not None:
        bus, p_mw, q_mvar = site
        phases = {f"p_{x}_mw": p for x, p in zip("abc", p_mw, strict=True)}
        phases |= {f"q_{x}_mvar": q for x, q in zip("abc", q_mvar, strict=True)}
        pp.create_asymmetric_load(own, bus, name="site", type="wye", **phases)
    logging.getLogger("pandapower").setLevel(logging.ERROR)
    try:
        with np.errstate(all="ignore"):
            pp.runpp_3ph(own, tolerance_mva=1e-10, calculate_voltage_angles=True)
    except pp.LoadflowNotConverged as error:
        raise RunError("The three-phase power flow does not converge.") from error
    found = own.res_bus_3ph.loc[own.bus.index]
    size = np.stack([found[f"vm_{x}_pu"].to_numpy(float) for x in "abc"])
    angle = np.stack([found[f"va_{x}_degree"].to_numpy(float) for x in "abc"])
    return np.asarray(size * np.exp(1j * np.radians(angle)))
