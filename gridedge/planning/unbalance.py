"""The verb ``unbalance``: how far the three phases of a net are apart, with and without a site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from gridedge.errors import bad
from gridedge.grid.buses import bus_names, find_bus
from gridedge.grid.inject import private_copy
from gridedge.grid.three_phase import lacks, phase_voltages
from gridedge.measure.finding import Finding, Verdict, overall
from gridedge.measure.unbalance import (
    UnbalanceLimit,
    judge_unbalance,
    power_unbalance_percent,
    unbalance_limit,
    voltage_unbalance_percent,
)

_SNAPSHOT = "one state of the net"


@dataclass(frozen=True)
class UnbalanceResult:
    """How far the phases are apart.

    Parameters
    ----------
    data : Dataset
        Per ``bus``: ``negative_percent`` and ``zero_percent``, sequences over the positive one [%], and ``vm_pu`` and
        ``va_degree`` of each ``phase``.  NaN where a bus has no supply, and everywhere where nothing is studied.
        ``attrs["not_studied"]`` says what is not, and why.
    findings : tuple of Finding
        One per limit.
    """

    data: xr.Dataset
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """What the findings come to."""
        return overall(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the findings and attributes as plain data."""
        return {**self.data.attrs, "findings": [f.to_dict() for f in self.findings]}


def unbalance(
    net: Any,
    bus: int | str | None = None,
    p_mw: Sequence[float] | None = None,
    *,
    power_factor: float = 0.98,
    limits: Sequence[str | UnbalanceLimit] = ("en50160", "pge-rule-2"),
) -> UnbalanceResult:
    """Hold the unbalance of every bus against limits.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.  It needs the zero-sequence data of its lines, transformers
        and external grids; without them the findings read "cannot tell", and say which columns are missing.
    bus : int or str, optional
        Where a site connects, by index or name.
    p_mw : sequence of three floats, optional
        What it draws in phases a, b and c. [MW]
    power_factor : float
        Of each phase: lagging, or leading where negative.
    limits : sequence of str or UnbalanceLimit
        Names of :func:`gridedge.measure.unbalance.unbalance_limits`, or one's own.

    Returns
    -------
    UnbalanceResult
        A limit of voltages is judged at the worst bus; a limit of powers reads "not applicable" without a site.

    Raises
    ------
    InputError
        If an argument cannot be used.
    RunError
        If the three-phase power flow does not converge.

    Notes
    -----
    Solved by ``pandapower.runpp_3ph`` (sequence frame, earth return, loads from phase to earth), in the net's present
    state; voltages are to earth.  The unbalance is the ratio of negative to positive sequence.

    References
    ----------
    .. [1] IEC 61000-4-30, 5.7: unbalance by symmetrical components.
    """
    wanted = [unbalance_limit(limit) for limit in limits]
    site = _site(bus, p_mw)
    if not 0 < abs(power_factor) <= 1:
        raise bad("a power factor must be above 0 and at most 1 in size", power_factor, "Give 0.98.")
    own, remarks = private_copy(net)
    names, buses = bus_names(own), own.bus.index.to_numpy()
    index = None if site is None else find_bus(own, site[0])[0]
    why = lacks(own)
    v = np.full((3, buses.size), np.nan, dtype=complex)
    before: float | None = None
    if not why:
        if site is None or index is None:
            v = phase_voltages(own)
        else:
            tangent = float(np.copysign(np.tan(np.arccos(abs(power_factor))), power_factor))
            p = site[1]
            v = phase_voltages(own, (index, p, (p[0] * tangent, p[1] * tangent, p[2] * tangent)))
            if not np.isfinite(v[:, buses == index]).all():
                raise bad(f"bus {index} has no supply", index, "Close the switches towards it, or choose another bus.")
            before = float(np.nanmax(voltage_unbalance_percent(phase_voltages(own))[0]))
    negative, zero = voltage_unbalance_percent(v)
    ds = xr.Dataset(coords={"phase": list("abc"), "bus": buses, "bus_name": ("bus", names.tolist())})
    ds["negative_percent"] = "bus", negative, {"units": "%"}
    ds["zero_percent"] = "bus", zero, {"units": "%"}
    ds["vm_pu"] = ("phase", "bus"), np.abs(v), {"units": "pu"}
    ds["va_degree"] = ("phase", "bus"), np.degrees(np.angle(v)), {"units": "degree"}
    ds.attrs = {"not_studied": [f"not studied: {reason}" for reason in why], "remarks": remarks}
    findings = []
    for limit in wanted:
        if limit.of == "power":
            findings.append(_of_power(limit, site))
        elif why:
            findings.append(judge_unbalance(None, limit, note=f"not studied: {'; '.join(why)}"))
        else:
            k = int(np.nanargmax(negative))
            where = f"bus {buses[k]} ({names[buses[k]]})"
            findings.append(
                judge_unbalance(float(negative[k]), limit, where=where, note=_SNAPSHOT, without=before)
            )  # fmt: skip
    return UnbalanceResult(ds, tuple(findings))


def _of_power(limit: UnbalanceLimit, site: tuple[int | str, tuple[float, float, float]] | None) -> Finding:
    if site is not None:
        return judge_unbalance(power_unbalance_percent(site[1]), limit, where=f"site at bus {site[0]}")
    return Finding(
        f"unbalance of the {limit.of}, {limit.name}", f"difference between phases at most {limit.percent:g} %",
        "not applicable", None, limit.percent, "%", note="no site is given", authority=limit.authority,
        status=limit.kind, source=limit.origin, known=limit.known,
    )  # fmt: skip


def _site(bus: int | str | None, p_mw: Sequence[float] | None) -> tuple[int | str, tuple[float, float, float]] | None:
    if bus is None and p_mw is None:
        return None
    if bus is None or p_mw is None:
        raise bad("a site needs a bus and its power", f"bus {bus}, p_mw {p_mw}", "Give both, or none of them.")
    values = tuple(float(x) for x in np.atleast_1d(np.asarray(p_mw, dtype=float)))
    if len(values) != 3 or not all(np.isfinite(x) and x >= 0 for x in values) or not any(values):
        raise bad("p_mw must be three powers, one per phase", str(p_mw), "Give p_mw=(1.0, 1.0, 1.0).")
    return bus, (values[0], values[1], values[2])
