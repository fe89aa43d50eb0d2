"""Generation that follows the load: every unit in proportion, within its limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import InputError, Problem

Float = NDArray[np.float64]
WEATHER = ("wind", "solar", "hydro")
"""Fuels whose units have no lower limit here: their case holds them at what weather gave in its one hour."""

UNBOUNDED_MW = 1e9  # in place of no limit: the sums stay finite


@dataclass(frozen=True)
class Plants:
    """The units of a net that follow its load.

    Parameters
    ----------
    table : ndarray of str, shape (unit,)
        ``gen``, ``ext_grid`` or ``sgen``.
    position : ndarray, shape (unit,)
        Row in that table, counted from 0.
    index : ndarray, shape (unit,)
        Index in that table.
    bus : ndarray, shape (unit,)
        Index of its bus.
    fuel : ndarray of str, shape (unit,)
        What the net's column ``fuel`` says; empty where it says nothing.
    p_mw : ndarray, shape (unit,)
        Power in the net as it stands, generation positive: the shares. [MW]
    min_p_mw, max_p_mw : ndarray, shape (unit,)
        Limits that are kept. [MW]
    reference : ndarray of bool, shape (unit,)
        Whether it also takes what the others leave.
    """

    table: NDArray[np.str_]
    position: NDArray[np.intp]
    index: NDArray[np.intp]
    bus: NDArray[np.intp]
    fuel: NDArray[np.str_]
    p_mw: Float
    min_p_mw: Float
    max_p_mw: Float
    reference: NDArray[np.bool_]

    @property
    def labels(self) -> list[str]:
        """The units as ``gen:12``."""
        return [f"{t}:{i}" for t, i in zip(self.table, self.index, strict=True)]


def follow(total_mw: Float, p_mw: Float, min_p_mw: Float, max_p_mw: Float) -> tuple[Float, Float]:
    """Share a total among units in proportion to their power in a base case, within their limits.

    Parameters
    ----------
    total_mw : ndarray, shape (time,)
        What all units deliver together. [MW]
    p_mw : ndarray, shape (unit,)
        Power in the base case, positive. [MW]
    min_p_mw, max_p_mw : ndarray, shape (unit,)
        Limits, 0 <= min <= max. [MW]

    Returns
    -------
    share_mw : ndarray, shape (time, unit)
        ``clip(k p, min, max)`` with the one factor k(time) that makes the sum the total. [MW]
    rest_mw : ndarray, shape (time,)
        What no unit can deliver: positive above the sum of the upper limits, negative below that of the
        lower; 0 between. [MW]

    Notes
    -----
    The sum over the units is piecewise linear and rises with k, with a corner wherever a unit meets a limit, at
    ``k = min/p`` or ``k = max/p``.  So k is found exactly, by interpolation between corners.
    """
    total_mw = np.asarray(total_mw, dtype=float)
    if not p_mw.size:
        return np.zeros((total_mw.size, 0)), total_mw.copy()
    corner = np.unique(np.r_[0.0, min_p_mw / p_mw, max_p_mw / p_mw])
    sums = np.clip(corner[:, None] * p_mw, min_p_mw, max_p_mw).sum(axis=1)
    k = np.interp(total_mw, sums, corner)
    share = np.clip(k[:, None] * p_mw, min_p_mw, max_p_mw)
    rest = total_mw - np.clip(total_mw, sums[0], sums[-1])
    return share, np.where(np.isfinite(total_mw), rest, np.nan)


def plants(net: Any) -> Plants:
    """Return the units that follow: in service, with power in the net as it stands and an upper limit.

    Parameters
    ----------
    net : pandapowerNet
        That ``runpp`` has just solved; the power of an ``ext_grid`` is its solution's.

    Raises
    ------
    InputError
        If limits contradict each other; with every unit.

    Notes
    -----
    A static generator or a generator follows only where it has ``max_p_mw``, the others keep their power.  A reference
    (an ext_grid, or a gen with ``slack``) without limits follows too, without bounds.  A unit at zero stays there:
    nobody knows whether it could start.  Units of wind, sun and water have no lower limit (:data:`WEATHER`, known
    only where the net has a column ``fuel``).  A unit outside its limits has them widened to its power, as published
    nets hold such units; :func:`outside` names them.
    """
    parts = []
    for table in ("gen", "ext_grid", "sgen"):
        frame = net[table]
        slack = np.full(len(frame), table == "ext_grid")
        if table == "gen" and "slack" in frame:
            slack = frame["slack"].fillna(False).to_numpy(bool)
        scaling = frame["scaling"].to_numpy(float) if "scaling" in frame else np.ones(len(frame))
        given = np.zeros(len(frame)) if table == "ext_grid" else frame["p_mw"].to_numpy(float) * scaling
        p_mw = np.where(slack, net[f"res_{table}"]["p_mw"].to_numpy(float), given)
        high, low = _column(frame, "max_p_mw"), _column(frame, "min_p_mw")
        high = np.where(slack & ~np.isfinite(high), UNBOUNDED_MW, high)
        fuel = frame["fuel"].fillna("").astype(str).to_numpy() if "fuel" in frame else np.full(len(frame), "")
        low = np.where(np.isin(fuel, WEATHER) | ~np.isfinite(low), 0.0, low)
        keep = frame["in_service"].to_numpy(bool) & np.isfinite(high) & (p_mw > 0)
        parts.append(
            (
                np.full(keep.sum(), table), np.flatnonzero(keep), frame.index.to_numpy(np.intp)[keep],
                frame["bus"].to_numpy(np.intp)[keep], fuel[keep].astype(str), p_mw[keep],
                np.fmax(low, 0.0)[keep], high[keep], slack[keep],
            )
        )  # fmt: skip
    units = Plants(*(np.concatenate([part[k] for part in parts]) for k in range(9)))
    _check(units)
    low, high = np.minimum(units.min_p_mw, units.p_mw), np.maximum(units.max_p_mw, units.p_mw)
    return replace(units, min_p_mw=low, max_p_mw=high)


def _column(frame: Any, name: str) -> Float:
    return np.asarray(frame[name], dtype=float) if name in frame else np.full(len(frame), np.nan)


def outside(net: Any, units: Plants) -> list[str]:
    """Say which units stand outside their own limits in the net; :func:`plants` has widened these to their power."""
    names = []
    for k in range(units.p_mw.size):
        frame = net[str(units.table[k])].loc[units.index[k]]
        low, high = (float(frame[name]) if name in frame else np.nan for name in ("min_p_mw", "max_p_mw"))
        # A case file rounds power and limits apart from each other.
        close = 1e-3 * max(1.0, abs(high) if np.isfinite(high) else 1.0)
        if units.p_mw[k] > high + close or (units.fuel[k] not in WEATHER and units.p_mw[k] < low - close):
            names.append(f"{units.labels[k]} at {units.p_mw[k]:.4g} MW of {low:.4g} to {high:.4g}")
    if not names:
        return []
    return [
        f"{len(names)} units stand outside their own limits in the net, which are widened to it: {', '.join(names)}."
    ]


def _check(units: Plants) -> None:
    """Raise InputError for limits that contradict each other."""
    problems = [
        Problem(
            f"unit {units.labels[k]} has min_p_mw above max_p_mw",
            f"{units.min_p_mw[k]:g} > {units.max_p_mw[k]:g} MW",
            "Swap them in the net.",
        )
        for k in np.flatnonzero(units.min_p_mw > units.max_p_mw)
    ]
    if problems:
        raise InputError(problems)
