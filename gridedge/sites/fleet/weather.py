"""Outdoor temperature over a year, where no measured series is given."""

from __future__ import annotations

import datetime as dt
from typing import Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import model_validator

from gridedge.errors import bad
from gridedge.spec import Spec, quantity
from gridedge.timebase import step_count

Float = NDArray[np.float64]
_NORMALS = "Dallas/Fort Worth, NOAA normals 1991 to 2020 (from memory)"
_YEAR_S = 365.25 * 86_400.0


class Climate(Spec):
    """A place's usual temperatures."""

    month_c: tuple[float, ...] = quantity(
        (8.4, 10.6, 15.0, 19.1, 23.7, 28.2, 30.4, 30.4, 26.2, 20.3, 13.9, 9.2), mark="assumed", source=_NORMALS
    )
    """Mean of each month, January first. [degC]"""
    daily_swing_c: float = quantity(11.0, mark="assumed", source="usual inland (from memory)", ge=0, le=30)
    """Warmest less coolest moment of a usual day. [K]"""
    warmest_h: float = quantity(16.0, mark="assumed", source="afternoon, local time", ge=0, lt=24)
    """When it is warmest, local time. [h]"""

    @model_validator(mode="after")
    def _twelve(self) -> Self:
        if len(self.month_c) != 12 or not all(-60 < t < 60 for t in self.month_c):
            raise bad("a year has twelve months", str(self.month_c), "Give 12 temperatures in degC.")
        return self


def usual_temperature(climate: Climate, *, start: str, duration_s: float, dt_s: float) -> xr.DataArray:
    """Return the usual outdoor temperature: no heat wave, no cold spell.

    Parameters
    ----------
    climate : Climate
        Means of months, and the swing of a day.
    start : str
        First moment, local time, as ``2025-01-06``.
    duration_s, dt_s : float
        Length and step. [s]

    Returns
    -------
    DataArray, dims (time,)
        ``outdoor_c`` in the middle of each step: a periodic cubic spline through the middles of the months, and a
        cosine over the day. [degC]
    """
    from scipy.interpolate import CubicSpline

    steps = step_count(duration_s, dt_s)
    begin = dt.datetime.fromisoformat(start).replace(tzinfo=None)
    into = (begin - dt.datetime(begin.year, 1, 1)).total_seconds()
    middle = into + (np.arange(steps) + 0.5) * dt_s
    months = (np.arange(13) + 0.5) / 12.0 * _YEAR_S
    mean = CubicSpline(months, [*climate.month_c, climate.month_c[0]], bc_type="periodic")(
        (middle - months[0]) % _YEAR_S + months[0]
    )
    hour = middle / 3600.0
    values = mean + climate.daily_swing_c / 2.0 * np.cos(2 * np.pi * (hour - climate.warmest_h) / 24.0)
    time = ("time", np.arange(steps) * dt_s, {"units": "s"})
    return xr.DataArray(values, dims="time", coords={"time": time}, name="outdoor_c", attrs={"units": "degC"})
