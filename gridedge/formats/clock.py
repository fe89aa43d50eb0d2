"""The wall clock of a file: where it begins, which offset from UTC holds when, how long a year is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import bad

DEFAULT_START = datetime(2027, 1, 1, tzinfo=UTC)
"""Where a file begins when nobody says: chosen, a year without a leap day; every file then says that it was assumed."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS = range(1970, 2200)  # offsets of zones before 1970 hold seconds, and nanoseconds end in 2262
_LAST_YEAR = 2262
_LAST_S = (datetime(_LAST_YEAR, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()
_QUARTER_S = 900  # since 1970 every zone has changed its offset on a quarter of an hour
_WHOLE_NS = 1e-4  # a step is a whole number of nanoseconds to within this part of one


def beginning(start: str | datetime | None, tz: str | None) -> datetime:
    """Return the moment that a file begins at, with its time zone.

    Parameters
    ----------
    start : str, datetime or None
        ISO 8601.  With an offset (``2027-01-01T00:00-06:00``), or without one where ``tz`` says the zone.
    tz : str or None
        IANA name such as ``America/Chicago``; the file's times are then that zone's, daylight saving included.

    Raises
    ------
    InputError
        If it is no time, has no zone, does not exist, or comes twice in the zone.
    """
    zone = _zone(tz)
    if start is None:
        return DEFAULT_START if zone is None else DEFAULT_START.replace(tzinfo=zone)
    moment = _parsed(start)
    if moment.year not in _YEARS:
        raise bad("start is out of range", moment.isoformat(), "Give a year from 1970 to 2199.")
    if moment.tzinfo is None and zone is None:
        cure = f"Write {moment.isoformat()}+00:00, or name the zone: tz='America/Chicago'."
        raise bad("start has no time zone", moment.isoformat(), cure)
    if moment.tzinfo is not None:
        return moment if zone is None else moment.astimezone(zone)
    assert zone is not None
    local = moment.replace(tzinfo=zone)
    earlier, later = (local.replace(fold=k).utcoffset() for k in (0, 1))
    if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
        raise bad(
            "start does not exist in its time zone", f"{moment} in {tz}", "The clocks go forward there; add an hour."
        )
    if earlier != later:
        raise bad("start comes twice in its time zone", f"{moment} in {tz}", "Add the offset, as in -05:00.")
    return local


def _parsed(start: str | datetime) -> datetime:
    if isinstance(start, datetime):
        return start
    try:
        return datetime.fromisoformat(start)
    except (TypeError, ValueError) as error:
        raise bad("start is no time", start, "Write ISO 8601, such as 2027-01-01T00:00:00-06:00.") from error


def _zone(tz: str | None) -> ZoneInfo | None:
    if tz is None:
        return None
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise bad("unknown time zone", tz, "Give an IANA name such as America/Chicago or Europe/Dublin.") from error


def year_s(start: datetime) -> int:
    """Return the seconds from a moment to the same local time a year later: of 365 or 366 days."""
    if (start.month, start.day) == (2, 29):
        raise bad("a year cannot begin on a leap day", start.isoformat(), "Begin on 1 January.")
    end = start.replace(year=start.year + 1)
    return round((end.astimezone(UTC) - start.astimezone(UTC)).total_seconds())


def zone_name(zone: tzinfo | None) -> str:
    """Return a zone's IANA name, ``UTC``, or its fixed offset as ``+02:00``."""
    key = getattr(zone, "key", None)
    if isinstance(key, str):
        return key
    offset = _offset_text(round((zone.utcoffset(None) or timedelta()).total_seconds())) if zone is not None else "UTC"
    return "UTC" if offset == "+00:00" else offset


@dataclass(frozen=True)
class Clock:
    """An even clock on the wall.

    Parameters
    ----------
    start : datetime
        The moment at which ``time`` is 0, with its zone.
    t0_s, dt_s : float
        Time of the first sample after ``start``, and the step. [s]
    """

    start: datetime
    t0_s: float
    dt_s: float

    def check(self, steps: int) -> None:
        """Refuse a series that leaves the years in which nanoseconds can be counted."""
        span_s = self._start_ns / 1e9 + self.t0_s + np.array([0.0, steps * self.dt_s])
        if np.abs(span_s).max() >= _LAST_S:
            cure = f"Move start, or cut the load; files end before {_LAST_YEAR}."
            raise bad("the load goes beyond the calendar", f"{steps} steps of {self.dt_s:g} s", cure)

    @property
    def first(self) -> datetime:
        """Moment of the first sample, in the clock's zone, to a microsecond."""
        late = timedelta(microseconds=round(self.t0_s * 1e6))
        return (self.start.astimezone(UTC) + late).astimezone(self.start.tzinfo)

    def instants(self, first: int, stop: int) -> NDArray[np.datetime64]:
        """Return the starts of samples ``first`` to ``stop - 1`` in UTC, to a nanosecond."""
        return self._epoch_ns(first, stop).view("datetime64[ns]")

    def labels(self, first: int, stop: int) -> NDArray[np.str_]:
        """Return the starts of samples as ISO 8601 with the offset that holds then.

        The number of digits behind the second is what the step needs, up to nine.
        """
        utc_ns = self._epoch_ns(first, stop)
        quarters, place = np.unique(utc_ns // (_QUARTER_S * 10**9), return_inverse=True)
        offset_s = np.array([self._offset_s(int(q) * _QUARTER_S) for q in quarters], dtype=np.int64)
        suffix = np.array([_offset_text(int(s)) for s in offset_s])
        local = (utc_ns + offset_s[place] * 10**9).view("datetime64[ns]")
        return np.char.add(np.datetime_as_string(local, unit=self.resolution), suffix[place])

    @property
    def resolution(self) -> Literal["s", "ms", "us", "ns"]:
        """The coarsest of ``s``, ``ms``, ``us`` and ``ns`` in which every sample starts on a whole number."""
        whole = self._whole_step_ns
        if whole is None:
            return "us"
        parts = (whole, self._t0_ns, self._start_ns)
        units: tuple[tuple[Literal["s", "ms", "us"], int], ...] = (("s", 10**9), ("ms", 10**6), ("us", 10**3))
        for unit, ns in units:
            if all(part % ns == 0 for part in parts):
                return unit
        return "ns"

    @property
    def _whole_step_ns(self) -> int | None:
        ns = self.dt_s * 1e9
        return round(ns) if abs(ns - round(ns)) <= _WHOLE_NS else None

    @property
    def _t0_ns(self) -> int:
        return round(self.t0_s * 1e9)

    @property
    def _start_ns(self) -> int:
        since = self.start.astimezone(UTC) - _EPOCH
        return ((since.days * 86400 + since.seconds) * 10**6 + since.microseconds) * 1000

    def _epoch_ns(self, first: int, stop: int) -> NDArray[np.int64]:
        steps = np.arange(first, stop, dtype=np.int64)
        whole = self._whole_step_ns
        if whole is not None:
            late = self._t0_ns + steps * whole
        else:  # such as 1/60 s: to the microsecond
            late = np.rint((self.t0_s + steps * self.dt_s) * 1e6).astype(np.int64) * 1000
        return np.asarray(self._start_ns + late, dtype=np.int64)

    def _offset_s(self, epoch_s: int) -> int:
        moment = (_EPOCH + timedelta(seconds=epoch_s)).astimezone(self.start.tzinfo)
        return round((moment.utcoffset() or timedelta()).total_seconds())


def _offset_text(offset_s: int) -> str:
    sign, rest = ("-" if offset_s < 0 else "+"), abs(offset_s)
    return f"{sign}{rest // 3600:02d}:{rest % 3600 // 60:02d}"
