"""The shape of a week of requests: measured, or drawn by hour; read in a place's own time."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import bad, nearest

Float = NDArray[np.float64]
_WEEKS = Path(__file__).resolve().parent / "weeks"
WEEK_S = 604_800.0
_MONDAY = dt.datetime(2024, 1, 1)  # a Monday, 00:00


@dataclass(frozen=True)
class Week:
    """Requests over a week, relative to its mean, from Monday 00:00.

    Parameters
    ----------
    name : str
        What it is of.
    at_s : ndarray, shape (point,)
        Middle of each sample, from Monday 00:00 in the week's own time, rising below a week. [s]
    relative : ndarray, shape (point,)
        Rate over its mean.
    utc : bool
        Whether the week is written in UTC; otherwise in the local time of wherever it is used.
    source : str
        Where it comes from.
    """

    name: str
    at_s: Float
    relative: Float
    utc: bool
    source: str

    def at(self, week_s: ArrayLike) -> Float:
        """Return the relative rate at times of the week, linear between the samples and from week to week."""
        x = np.r_[self.at_s[-1] - WEEK_S, self.at_s, self.at_s[0] + WEEK_S]
        y = np.r_[self.relative[-1], self.relative, self.relative[0]]
        return np.asarray(np.interp(np.mod(week_s, WEEK_S), x, y))

    @property
    def peak_over_mean(self) -> float:
        """Highest sample over the mean of all."""
        return float(self.relative.max() / self.relative.mean())

    def by_hour(self, weekend: bool = False) -> Float:
        """Return the mean of each hour of the day over the mean of the weekdays, shape (24,).

        Parameters
        ----------
        weekend : bool
            Of Saturday and Sunday instead of Monday to Friday.
        """
        day, hour = self.at_s // 86_400, (self.at_s % 86_400) // 3600
        work = day < 5
        mine = ~work if weekend else work
        mean = float(np.mean([self.relative[work & (hour == h)].mean() for h in range(24)]))
        return np.array([float(self.relative[mine & (hour == h)].mean()) / mean for h in range(24)])


@cache
def measured_week(name: str) -> Week:
    """Return a measured week by its name.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    known = sorted(path.stem for path in _WEEKS.glob("*.csv"))
    if name not in known:
        raise bad("unknown week", name, nearest(name, known))
    with (_WEEKS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    moments = [dt.datetime.fromisoformat(row["timestamp_utc"]) for row in rows]
    at = np.mod(np.array([(m - _MONDAY).total_seconds() for m in moments]), WEEK_S)
    rate = np.array([float(row["rpm_mid"]) for row in rows])
    rate /= rate.mean()
    order = np.argsort(at)
    source = "Azure LLM inference 2024, digitised from plots (CC-BY 4.0; DynamoLLM, HPCA 2025), 7.2-minute means"
    return Week(name, np.asarray(at[order], dtype=float), rate[order], True, source)


def week_by_hour(name: str, weekday: Sequence[float], weekend: Sequence[float], source: str) -> Week:
    """Return a week from 24 values of a weekday and of a day of the weekend, in local time.

    Raises
    ------
    InputError
        If there are not 24, or one is negative, or all are 0.
    """
    days = [np.asarray(v, dtype=float) for v in (weekday, weekend)]
    if any(d.shape != (24,) for d in days):
        raise bad(f"{name}: a day has 24 hours", str([d.size for d in days]), "Give 24 values for each kind of day.")
    whole: Float = np.concatenate([days[0]] * 5 + [days[1]] * 2)
    if not np.isfinite(whole).all() or (whole < 0).any() or not (whole > 0).any():
        raise bad(f"{name}: a week holds what is no rate", "negative, NaN or all 0", "Give values of 0 or more.")
    hours = np.asarray((np.arange(168) + 0.5) * 3600.0, dtype=np.float64)
    return Week(name, hours, np.asarray(whole / float(whole.mean())), False, source)


def zone(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises
    ------
    InputError
        If it is unknown.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise bad("unknown time zone", name, "Write it as in America/Chicago or UTC.") from error


def week_seconds(start: dt.datetime, after_s: ArrayLike, place: ZoneInfo, utc: bool, holidays: Sequence[str]) -> Float:
    """Return the time of the week, from Monday 00:00, of moments after a start.

    Parameters
    ----------
    start : datetime
        Without a zone it is the place's own time.
    after_s : array-like
        Seconds that really pass after it.
    place : ZoneInfo
        Zone of the place.
    utc : bool
        Whether the time of the week is wanted in UTC, or in the place's own time, whose clocks change.
    holidays : sequence of str
        Dates (year-month-day) in the place's own time, that are taken for a Sunday.
    """
    begin = start if start.tzinfo is not None else start.replace(tzinfo=place)
    unix = begin.timestamp() + np.asarray(after_s, dtype=float)
    # The offset of the place changes at full hours only.
    hours = np.floor(unix / 3600.0)
    known, where = np.unique(hours, return_inverse=True)
    moments = [dt.datetime.fromtimestamp(h * 3600.0, tz=place) for h in known.tolist()]
    offset = np.array([m.utcoffset().total_seconds() for m in moments])  # type: ignore[union-attr]
    dates = np.array([m.date().isoformat() in set(holidays) for m in moments])
    days = np.array([m.weekday() for m in moments])
    local = unix + offset[where.reshape(unix.shape)]
    first = (_MONDAY - dt.datetime(1970, 1, 1)).total_seconds()
    wanted = (unix if utc else local) - first
    shift = np.where(dates, (6 - days) * 86_400.0, 0.0)[where.reshape(unix.shape)]
    return np.asarray(np.mod(wanted + shift, WEEK_S))
