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
        cycles of power per day; per storage: cycles of its charge per day.  With members, the worst of them;
        ``note`` says which, and how many break the rating.  None decides the verdict of a study.

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
    dt_s = schema.clock(load)
    findings = []
    for item, place in _SEEN_AT.items():
        if place not in load["place"].values:
            continue
        rating: Rating = getattr(spec, item)
        rows = _rows(load["p_at_mw"].sel(place=place))
        findings += _worst(item, [_of_power(p, dt_s, rating) for p in rows])
    for name in load["storage"].values if "soc_pu" in load else ():
        rows = _rows(load["soc_pu"].sel(storage=name))
        findings += _worst(str(name), [_of_charge(soc, dt_s, spec.battery) for soc in rows])
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
    import rainflow  # not needed by what only smooths

    turns = _turning_points(values, depth)
    # The package finds no reversal in two samples; the first one twice changes nothing else.
    series = np.concatenate((turns[:1], turns))
    return float(sum(count for rng, _, count, _, _ in rainflow.extract_cycles(series) if rng >= depth))


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
    depth = rating.depth_mw if rating.depth_mw is not None else 0.1 * float(p_mw.max())
    per_s = largest_ramp(p_mw, dt_s, window_s=1.0)
    per_s = replace(per_s, value=per_s.value / 60.0)
    w = rating.window_s
    return [
        _Seen("peak", "highest power", "MW", rating.peak_mw, Extreme(float(p_mw[top]), top * dt_s)),
        _Seen("step", f"max - min within {w:g} s", "MW", rating.step_mw, largest_change(p_mw, dt_s, window_s=w)),
        _Seen("ramp in 1 s", "|P(t + 1 s) - P(t)|", "MW/s", rating.ramp_mw_per_s, per_s),
        _Seen("ramp in 60 s", "|P(t + 60 s) - P(t)|", "MW/min", rating.ramp_mw_per_min, largest_ramp(p_mw, dt_s)),
        _cycles(p_mw, dt_s, depth, f"{depth:.3g} MW", rating.cycles_per_day),
    ]


def _of_charge(soc_pu: Float, dt_s: float, rating: BatteryRating) -> list[_Seen]:
    depth = rating.depth_pu
    return [_cycles(soc_pu, dt_s, depth, f"{100 * depth:.3g} % of its energy", rating.cycles_per_day)]


def _cycles(values: Float, dt_s: float, depth: float, deep: str, limit: float | None) -> _Seen:
    days = values.size * dt_s / 86_400.0
    count = count_cycles(values, depth=depth) if depth > 0 else 0.0
    return _Seen("cycles", f"cycles of at least {deep} in a day", "1/d", limit, Extreme(count / days, 0.0))


def _worst(item: str, rows: list[list[_Seen]]) -> list[Finding]:
    """Return one finding per quantity: that of the member in which it is largest."""
    findings = []
    for same in zip(*rows, strict=True):
        values = np.array([seen.found.value for seen in same])
        k = int(np.nanargmax(values)) if np.isfinite(values).any() else 0
        seen = same[k]
        value, limit = seen.found.value, seen.limit
        verdict, note = _verdict(seen)
        if len(same) > 1:
            breaks = "" if limit is None else f"; {int((values > limit).sum())} of {len(same)} break the rating"
            note = "; ".join(n for n in (note, f"worst of {len(same)}: row {k}{breaks}") if n)
        findings.append(
            Finding(
                name=f"{item}: {seen.name}",
                requirement=seen.words if limit is None else f"{seen.words} at most {limit:g} {seen.unit}",
                verdict=verdict,
                measured=None if np.isnan(value) else value,
                limit=np.nan if limit is None else limit,
                unit=seen.unit,
                when_s=None if np.isnan(seen.found.when_s) else seen.found.when_s,
                where=item,
                note=note,
                authority="stated rating",
                status="chosen",
                decides=False,
            )
        )
    return findings


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
