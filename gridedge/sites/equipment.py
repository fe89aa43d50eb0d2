"""What the equipment between the accelerators and the meter sees, against its ratings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from gridedge import schema
from gridedge.errors import bad
from gridedge.measure.finding import Finding
from gridedge.measure.ramp import Extreme, largest_change, largest_ramp
from gridedge.sites import ageing
from gridedge.spec import Spec, quantity, take

Float = NDArray[np.float64]
_SEEN_AT: dict[str, Literal["chip", "rack", "ups", "site"]] = {
    "rack": "chip",
    "ups": "rack",
    "transformer": "site",
}
"""A rack's supplies carry what the accelerators draw; a UPS what the racks draw; the transformer the whole site."""


class Rating(Spec):
    """What a piece of equipment may be asked; what is left out is reported without a verdict."""

    peak_mw: float | None = Field(None, gt=0)
    """Highest power. [MW]"""
    step_mw: float | None = Field(None, gt=0)
    """Largest change within ``window_s``. [MW]"""
    window_s: float = quantity(1.0, mark="assumed", source="longer than an edge, shorter than an iteration", gt=0)
    """Window in which a change is a step. [s]"""
    ramp_mw_per_s: float | None = Field(None, gt=0)
    """Largest |P(t + 1 s) - P(t)|. [MW/s]"""
    ramp_mw_per_min: float | None = Field(None, gt=0)
    """Largest |P(t + 60 s) - P(t)|. [MW/min]"""
    depth_mw: float | None = Field(None, gt=0)
    """Depth from which a swing counts as a cycle; a tenth of the highest power if left out (assumed). [MW]"""
    cycles_per_day: float | None = Field(None, gt=0)
    """Most cycles of that depth in a day. [1/d]"""


class BatteryRating(Spec):
    """What a battery may be asked."""

    depth_pu: float = quantity(0.01, mark="assumed", source="below it, cycle life is an extrapolation", gt=0, le=1)
    """Depth from which a swing of the state of charge counts as a cycle. [pu of its energy]"""
    cycles_per_day: float | None = Field(None, gt=0)
    """Most cycles of that depth in a day. [1/d]"""


class Ratings(Spec):
    """Ratings of the equipment inside a site, all of one kind together."""

    rack: Rating = Rating()
    """Power supplies and busbars of all racks."""
    ups: Rating = Rating()
    """All UPS."""
    transformer: Rating = Rating()
    """The site's own transformer, at the meter."""
    battery: BatteryRating = BatteryRating()
    """Every storage."""


@dataclass(frozen=True)
class _Seen:
    """One quantity of one series."""

    name: str
    words: str
    unit: str
    limit: float | None
    found: Extreme


def check_equipment(load: xr.Dataset, ratings: Ratings | Mapping[str, Any] | None = None) -> list[Finding]:
    """Say what racks, UPS, transformer and storage see, against stated ratings.

    Parameters
    ----------
    load : Dataset
        What :func:`gridedge.mitigate` gave: ``p_at_mw(place, ...)`` and, where energy is stored, ``soc_pu``.
        The transformer is judged where the load is connected.
    ratings : Ratings or dict, optional
        ``{"ups": {"step_mw": 2, "peak_mw": 12}}``.  What is not rated is measured and reads "not applicable".

    Returns
    -------
    list of Finding
        Per piece of equipment: highest power, largest step in a window, largest ramp per second and per minute,
        cycles of power per day; per storage: cycles of its charge per day.  With members, ``measured`` is the value
        that 95 % of them do not exceed, as for :func:`gridedge.check`.  None decides the verdict of a study.

    Raises
    ------
    InputError
        If the load was not mitigated, so that it does not say what it draws where, or a rating cannot be used.

    Notes
    -----
    Cycles are counted by rainflow (ASTM E1049), half cycles as halves, scaled from the length of the series to a day.
    """
    if not isinstance(load, xr.Dataset) or "p_at_mw" not in load:
        cure = "Pass it through gridedge.mitigate(load, [...]) first; an empty list will do."
        raise bad("the load does not say what it draws at each place", "no p_at_mw", cure)
    spec = take(Ratings, ratings if ratings is not None else {})
    if load.sizes.get("site", 1) > 1:
        cure = "Choose one with load.isel(site=[0])."
        raise bad("several sites have equipment of their own", f"{load.sizes['site']} sites", cure)
    dt_s, members = schema.clock(load), "member" in load["p_at_mw"].dims
    findings = []
    for item, place in _SEEN_AT.items():
        if place not in load["place"].values:
            continue
        rating: Rating = getattr(spec, item)
        rows = _rows(load["p_at_mw"].sel(place=place))
        findings += _judged(item, [_of_power(p, dt_s, rating) for p in rows], members=members)
    for name in load["storage"].values if "soc_pu" in load else ():
        rows = _rows(load["soc_pu"].sel(storage=name))
        findings += _judged(str(name), [_of_charge(soc, dt_s, spec.battery) for soc in rows], members=members)
    return findings


def count_cycles(values: Float, *, depth: float) -> float:
    """Count the cycles of a series that are at least so deep, by rainflow (ASTM E1049-85, 2017).

    Parameters
    ----------
    values : ndarray, shape (time,)
        The series.
    depth : float
        Least range of a cycle, in the unit of the series.

    Returns
    -------
    float
        Cycles; one that the series does not close counts one half.
    """
    found = ageing.count_cycles(_turning_points(np.asarray(values, dtype=float), depth))
    return float(found.count[found.depth_pu >= depth].sum())


def _turning_points(values: Float, depth: float) -> Float:
    """Return the turning points of a series without the swings that are shallower than a depth.

    Leaving them out changes no deeper cycle, and there are few turning points left to count.
    """
    flat = np.flatnonzero(np.diff(values) != 0.0)
    if flat.size == 0:
        return values[:1]
    moved = values[np.concatenate((flat, [values.size - 1]))]
    slope = np.diff(moved) > 0
    ends = moved[np.concatenate(([True], slope[1:] != slope[:-1], [True]))]
    low = high = 0  # until the series has spanned the depth once, its first swing is that between its extremes
    for first in range(ends.size):
        low, high = (first if ends[first] < ends[low] else low), (first if ends[first] > ends[high] else high)
        if ends[high] - ends[low] >= depth:
            break
    else:
        return ends[:1]
    kept = [float(ends[min(low, high)]), float(ends[max(low, high)])]
    for value in ends[first + 1 :].tolist():
        if (value - kept[-1]) * (kept[-1] - kept[-2]) >= 0:
            kept[-1] = value
        elif abs(value - kept[-1]) >= depth:
            kept.append(value)
    return np.array(kept)


def _rows(values: xr.DataArray) -> list[Float]:
    return list(values.transpose(..., "time").values.reshape(-1, values.sizes["time"]).astype(float))


def _of_power(p_mw: Float, dt_s: float, rating: Rating) -> list[_Seen]:
    top = int(np.argmax(p_mw))
    depth, deep = 0.1 * float(p_mw.max()), "10 % of the highest power"
    if rating.depth_mw is not None:
        depth, deep = rating.depth_mw, f"{rating.depth_mw:.3g} MW"
    per_s = largest_ramp(p_mw, dt_s, window_s=1.0)
    per_s = replace(per_s, value=per_s.value / 60.0)
    w = rating.window_s
    return [
        _Seen("peak", "highest power", "MW", rating.peak_mw, Extreme(float(p_mw[top]), top * dt_s)),
        _Seen("step", f"max - min within {w:g} s", "MW", rating.step_mw, largest_change(p_mw, dt_s, window_s=w)),
        _Seen("ramp in 1 s", "|P(t + 1 s) - P(t)|", "MW/s", rating.ramp_mw_per_s, per_s),
        _Seen("ramp in 60 s", "|P(t + 60 s) - P(t)|", "MW/min", rating.ramp_mw_per_min, largest_ramp(p_mw, dt_s)),
        _cycles(p_mw, dt_s, depth, deep, rating.cycles_per_day),
    ]


def _of_charge(soc_pu: Float, dt_s: float, rating: BatteryRating) -> list[_Seen]:
    depth = rating.depth_pu
    return [_cycles(soc_pu, dt_s, depth, f"{100 * depth:.3g} % of its energy", rating.cycles_per_day)]


def _cycles(values: Float, dt_s: float, depth: float, deep: str, limit: float | None) -> _Seen:
    days = values.size * dt_s / 86_400.0
    count = count_cycles(values, depth=depth) if depth > 0 else 0.0
    return _Seen("cycles", f"cycles of at least {deep} in a day", "1/d", limit, Extreme(count / days, 0.0))


def _judged(item: str, rows: list[list[_Seen]], *, members: bool) -> list[Finding]:
    """Return one finding per quantity, over all members."""
    findings = []
    for same in zip(*rows, strict=True):
        values = np.array([seen.found.value for seen in same])
        seen = same[_ranked(values, 0.95)]
        value, limit = seen.found.value, seen.limit
        verdict, note = _verdict(seen)
        over: dict[str, Any] = {}
        if members:
            over = {f"p{q}": _or_none(values[_ranked(values, q / 100)]) for q in (50, 95, 99)}
            over |= {"members": values.size, "share_failing": None if limit is None else float((values > limit).mean())}
        findings.append(
            Finding(
                name=f"{item}: {seen.name}",
                requirement=seen.words if limit is None else f"{seen.words} at most {limit:g} {seen.unit}",
                verdict=verdict,
                measured=_or_none(value),
                limit=limit,
                unit=seen.unit,
                when_s=_or_none(seen.found.when_s),
                where=item,
                note=note,
                authority="stated rating",
                status="chosen",
                decides=False,
                known="chosen" if limit is not None else "",
                **over,
            )
        )
    return findings


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _ranked(values: Float, share: float) -> int:
    """Return the member whose value at least a share of all members do not exceed; unknown ones count as lowest."""
    order = np.argsort(np.where(np.isnan(values), -np.inf, values), kind="stable")
    return int(order[max(0, int(np.ceil(share * values.size - 1e-9)) - 1)])


def _verdict(seen: _Seen) -> tuple[Literal["pass", "fail", "cannot tell", "not applicable"], str]:
    value, limit = seen.found.value, seen.limit
    if limit is None:
        why = "no rating is stated" if seen.found.exact else "no rating is stated; the sampling gives a lower bound"
        return "not applicable", seen.found.why or why
    if np.isnan(value):
        return "cannot tell", seen.found.why
    if value > limit:
        return "fail", ""
    return ("pass", "") if seen.found.exact else ("cannot tell", "the sampling gives a lower bound only")
