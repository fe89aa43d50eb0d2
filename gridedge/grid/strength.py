"""How strong a net is at every bus, and whether a fluctuating site is accepted by that alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import xarray as xr
from scipy.sparse.linalg import splu

from gridedge.errors import RunError, bad
from gridedge.grid.buses import bus_names, find_bus
from gridedge.grid.emf import behind_impedance
from gridedge.grid.engines import reference
from gridedge.grid.engines.model import extract
from gridedge.grid.inject import private_copy
from gridedge.measure.finding import Finding
from gridedge.measure.flicker_limits import Acceptance, accept_by_strength

_TOGETHER = 256  # buses whose impedance is solved for at once


def strength_mva(
    net: Any,
    buses: int | str | Sequence[int | str] | None = None,
    *,
    sources: Literal["emf"] | Mapping[str, Any] = "emf",
) -> xr.Dataset:
    r"""Return the short-circuit power of buses, behind the same impedances that a swing sees.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    buses : int, str or sequence of these, optional
        Which; without, all.
    sources : "emf" or dict
        The impedances of grids and machines: ``s_sc_mva``, ``rx``, ``xd_transient_pu`` as for
        :func:`gridedge.grid.emf.behind_impedance`; what is not given, and the net does not say, is assumed and stated.

    Returns
    -------
    Dataset
        ``s_sc_mva(bus)`` [MVA], ``psi_degree(bus)``, the angle of the impedance [degree]; NaN without supply.
        ``attrs["remarks"]`` say what it stands on.

    Raises
    ------
    InputError
        If a bus is not there, or a device is no EMF behind an impedance.
    RunError
        If the net has no solution.

    Notes
    -----
    .. math:: S''_k = U_n^2 / |Z_{kk}|

    with Z the inverse of the net's admittances, sources included, loads left out; line charging and shunts stay.  It is
    the transient power that a swing of a second meets (x'd of machines), at 1 pu and without voltage factor: for nets
    fed by grids alone the smallest of IEC 60909-0 where c is 1.0 and lines are at 20 degree Celsius.

    References
    ----------
    .. [1] IEC 60909-0:2016, "Short-circuit currents in three-phase a.c. systems", 4.2 and 6.2.
    """
    own, remarks = private_copy(net)
    reference.base_state(own)
    all_buses = own.bus.index.tolist()
    if buses is None:
        wanted = [int(b) for b in all_buses]
    else:
        given: list[Any] = [buses] if isinstance(buses, int | str | np.integer) else list(buses)
        wanted = [int(find_bus(own, b)[0]) for b in given]
    names = bus_names(own)
    behind = behind_impedance(own, **({} if isinstance(sources, str) else dict(sources)))
    model = extract(own)
    if model is None:
        raise RunError("The net's own arrays do not reproduce its solution. Report the net.")
    row_of = dict(zip(model.readout.bus_index.tolist(), model.readout.bus_row.tolist(), strict=True))
    free = np.r_[model.pq, model.pv]
    place = np.full(model.v0.size, -1)
    place[free] = np.arange(free.size)
    lu = splu(sp.csc_matrix(model.y[free][:, free]))
    rows = np.array([row_of[b] for b in wanted], dtype=np.intp)
    z = np.full(rows.size, np.nan + 1j * np.nan)
    live = np.flatnonzero((rows >= 0) & (place[rows] >= 0))
    for first in range(0, live.size, _TOGETHER):
        here = live[first : first + _TOGETHER]
        unit = np.zeros((free.size, here.size), dtype=complex)
        unit[place[rows[here]], np.arange(here.size)] = 1.0
        z[here] = lu.solve(unit)[place[rows[here]], np.arange(here.size)]
    ds = xr.Dataset(
        {
            "s_sc_mva": ("bus", model.base_mva / np.abs(z), {"units": "MVA"}),
            "psi_degree": ("bus", np.degrees(np.angle(z)), {"units": "degree"}),
        },
        coords={"bus": wanted, "bus_name": ("bus", [names[b] for b in wanted])},
    )
    ds.attrs["remarks"] = remarks + behind.remarks
    return ds


def accept_site(
    net: Any,
    bus: int | str,
    swing_mva: float,
    changes_per_min: float,
    *,
    sources: Literal["emf"] | Mapping[str, Any] = "emf",
    criterion: str | Acceptance = "iec-stage-1-mv",
) -> Finding:
    """Judge by the strength of a bus alone whether a fluctuating site needs a flicker study: the first check.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    bus : int or str
        Where the site connects.
    swing_mva : float
        Change of its apparent power. [MVA]
    changes_per_min : float
        Changes per minute, up and down counted singly. [1/min]
    sources : "emf" or dict
        As for :func:`strength_mva`.
    criterion : str or Acceptance
        As for :func:`gridedge.measure.flicker_limits.accept_by_strength`.

    Returns
    -------
    Finding
        "pass": accepted at this stage; "cannot tell": beyond it, which is no failure.  ``figures`` hold
        ``s_sc_mva``, and the note what it stands on.

    Raises
    ------
    InputError
        If the bus has no supply, or a figure cannot be used.
    """
    found = strength_mva(net, [bus], sources=sources)
    s_mva = float(found["s_sc_mva"][0])
    if not np.isfinite(s_mva):
        raise bad("a bus has no supply", str(bus), "Close the switches towards it, or choose another bus.")
    where = f"bus {int(found['bus'][0])} ({found['bus_name'].values[0]})"
    finding = accept_by_strength(swing_mva, s_mva, changes_per_min, criterion=criterion, where=where)
    stands = [s for s in found.attrs["remarks"] if "assumed" in s]
    note = "; ".join(part for part in (finding.note, *stands) if part)
    return replace(finding, note=note, figures=(*finding.figures, ("s_sc_mva", s_mva)))
