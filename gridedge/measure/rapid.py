"""Rapid voltage changes: when the voltage leaves a steady state for another, by how much, and how often."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import bad

Float = NDArray[np.float64]
STEADY_S = 1.0
"""How long the voltage must have been steady. [s]"""
HOUR_S, DAY_S = 3600.0, 86400.0
_ROUNDING = 1e-9  # pu: what separates a value at the threshold from one beyond it


@dataclass(frozen=True)
class VoltageEvent:
    """One departure from a steady voltage.

    Parameters
    ----------
    start_s : float
        Start of the cycle whose RMS leaves the steady state first. [s from the start of the series]
    duration_s : float
        Until the voltage is steady again, the steady second not counted. [s]
    du_max_percent : float
        Largest distance from the mean of the second before, of any half-cycle value. [% of nominal]
    du_ss_percent : float
        Distance between the steady means before and after; NaN where the series ends first. [% of nominal]
    lowest_pu, highest_pu : float
        Extremes of the RMS during it. [pu of nominal]
    kind : {"rapid change", "dip", "swell"}
        A departure beyond the thresholds of dip or swell is one of these and no rapid change.
    complete : bool
        Whether the voltage is steady again before the series ends; else the figures are lower bounds.
    """

    start_s: float
    duration_s: float
    du_max_percent: float
    du_ss_percent: float
    lowest_pu: float
    highest_pu: float
    kind: Literal["rapid change", "dip", "swell"]
    complete: bool = True


@dataclass(frozen=True)
class RapidChanges:
    """The rapid voltage changes of a series.

    Parameters
    ----------
    events : tuple of VoltageEvent
        In order of time, dips and swells among them.
    count : int
        How many of them are rapid changes.
    most_in_hour, most_in_day : int
        Most rapid changes that begin within any hour and any day; a lower bound where the series is shorter.
    du_max_percent, du_ss_percent : float or None
        Largest of all rapid changes; None where there is none. [% of nominal]
    threshold_percent, hysteresis_percent : float
        As used. [% of nominal]
    mains_hz : int
        Frequency of the system. [Hz]
    duration_s : float
        Length of the series. [s]
    unsteady_start_s : float
        How long it takes until the voltage has been steady for a second; 0 where its first second is. [s]
    notes : tuple of str
        For the reader.
    """

    events: tuple[VoltageEvent, ...]
    count: int
    most_in_hour: int
    most_in_day: int
    du_max_percent: float | None
    du_ss_percent: float | None
    threshold_percent: float
    hysteresis_percent: float
    mains_hz: int
    duration_s: float
    unsteady_start_s: float = 0.0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return asdict(self)


def rapid_changes(
    vm_pu: ArrayLike,
    dt_s: float,
    *,
    mains_hz: Literal[50, 60] = 50,
    threshold_percent: float = 3.0,
    hysteresis_percent: float | None = None,
    dip_pu: float = 0.9,
    swell_pu: float = 1.1,
    rms_window_s: float = 0.0,
) -> RapidChanges:
    r"""Find rapid voltage changes as IEC 61000-4-30 defines them.

    Parameters
    ----------
    vm_pu : array_like, shape (time,)
        RMS voltage of one phase, the envelope of the wave, or of a balanced system; each sample the mean over its
        step. [pu of nominal]
    dt_s : float
        Step length, half a cycle at most. [s]
    mains_hz : {50, 60}
        Frequency of the system; a cycle, and the 100 or 120 half cycles of a second, follow from it. [Hz]
    threshold_percent : float
        Distance from the mean beyond which a voltage is not steady; 3 % quoted in utilities' rules, settable from
        1 to 6 % in the standard (from memory). [% of nominal]
    hysteresis_percent : float, optional
        By how much less it must be to be steady again; half the threshold if not given. [% of nominal]
    dip_pu, swell_pu : float
        Thresholds of dip and swell, 0.9 and 1.1 in the standard's examples (from memory). [pu]
    rms_window_s : float
        0 for an envelope; one cycle where the values are one-cycle RMS already, refreshed every half cycle. [s]

    Returns
    -------
    RapidChanges

    Raises
    ------
    InputError
        If the step is longer than half a cycle (by more than 1 %): on a coarser clock neither the size nor the number
        of changes can be told, not even as a lower bound, because two changes may merge into one or cancel; if the
        series is shorter than the steady second, has a gap, or a negative value; if a threshold makes no sense.

    Notes
    -----
    :math:`U_{rms(1/2)}` is the RMS over one cycle, begun anew each half cycle.  The voltage is steady when all values
    of the last second lie within the threshold of their mean, and, once it has left, within threshold less
    hysteresis.  :math:`\Delta U_{max}` is the largest distance of a value of the event from the mean just before it,
    :math:`\Delta U_{ss}` that of the first steady mean after it.  A ramp slow enough that no value leaves the mean
    of its last second by the threshold is no rapid change.

    A voltage makes no event until it has been steady, within the narrower band, for a second.  One that swings all the
    time is never steady and has no rapid changes at all: it is a matter of flicker.

    References
    ----------
    .. [1] IEC 61000-4-30:2015 (Edition 3), 5.11 "Rapid voltage changes" (its steps from memory).
    """
    v = np.asarray(vm_pu, dtype=np.float64)
    hysteresis = 0.5 * threshold_percent if hysteresis_percent is None else hysteresis_percent
    _check(v, dt_s, mains_hz, threshold_percent, hysteresis, (dip_pu, swell_pu), rms_window_s)
    half_s = dt_s if rms_window_s else 0.5 / mains_hz
    rms = v if rms_window_s else half_cycle_rms(v, dt_s, mains_hz=mains_hz)
    size = round(STEADY_S * 2 * mains_hz)
    if rms.size < size:
        raise bad("too short for a steady second", f"{v.size * dt_s:g} s", "Give a series of more than a second.")
    thresholds = (threshold_percent / 100.0, (threshold_percent - hysteresis) / 100.0)
    found, unsteady = _events(rms, half_s, size, thresholds, (dip_pu, swell_pu))
    rapid = [e for e in found if e.kind == "rapid change"]
    starts = np.array([e.start_s for e in rapid])
    return RapidChanges(
        events=tuple(found),
        count=len(rapid),
        most_in_hour=_most_within(starts, HOUR_S),
        most_in_day=_most_within(starts, DAY_S),
        du_max_percent=max((e.du_max_percent for e in rapid), default=None),
        du_ss_percent=max((e.du_ss_percent for e in rapid if e.complete), default=None),
        threshold_percent=threshold_percent,
        hysteresis_percent=hysteresis,
        mains_hz=mains_hz,
        duration_s=v.size * dt_s,
        unsteady_start_s=unsteady * half_s,
        notes=tuple(_notes(found, unsteady * half_s, v.size * dt_s)),
    )


def half_cycle_rms(vm_pu: Float, dt_s: float, *, mains_hz: int) -> Float:
    """Return the RMS over each cycle, begun anew every half cycle, of an envelope.

    Parameters
    ----------
    vm_pu : ndarray, shape (time,)
        Envelope, constant over each step. [pu]
    dt_s : float
        Step length, half a cycle at most (and 1 %). [s]
    mains_hz : int
        Frequency of the system. [Hz]

    Returns
    -------
    ndarray, shape (half cycle,)
        Value k is over the cycle that begins at k half cycles; a cycle that the series does not fill is left out. [pu]
    """
    square = np.asarray(vm_pu, dtype=np.float64) ** 2
    level = float(square.mean())
    area = np.concatenate(([0.0], np.cumsum(square - level))) * dt_s  # level apart: nothing is lost over a day
    count = int(np.floor((square.size * dt_s * mains_hz - 1.0) * 2 * (1 + 1e-12) + 1e-9)) + 1
    at = np.interp(np.arange(max(0, count) + 2) * 0.5 / mains_hz, np.arange(area.size) * dt_s, area)
    return np.asarray(np.sqrt(np.maximum(level + (at[2:] - at[:-2]) * mains_hz, 0.0)))


def _events(
    rms: Float, half_s: float, size: int, thresholds: tuple[float, float], bounds: tuple[float, float]
) -> tuple[list[VoltageEvent], int]:
    """Return the events, and how many values at the start come before the first steady second ends."""
    mean, spread = _seconds(rms, size)
    leaves = np.flatnonzero(spread > thresholds[0] + _ROUNDING)
    settles = np.flatnonzero(spread <= thresholds[1] + _ROUNDING)
    at = int(settles[0]) if settles.size else rms.size  # what was before the series is not known
    unsteady = min(at + size, rms.size) if at else 0
    events: list[VoltageEvent] = []
    # Window k holds the values k to k + size - 1, so that value k + size - 1 is the one that makes it unsteady.
    while (k := int(np.searchsorted(leaves, at))) < leaves.size:
        window = int(leaves[k])
        begin = window + size - 1
        m = int(np.searchsorted(settles, window))
        complete = m < settles.size
        at = int(settles[m]) if complete else rms.size
        before = float(mean[window - 1])
        after = float(mean[at]) if complete else float("nan")
        # A step is over before its first value is: what it led to counts as well as what lay between.
        largest = np.fmax(np.abs(rms[begin : max(at, begin + 1)] - before).max(), abs(after - before))
        seen = rms[begin : at + size]
        events.append(
            VoltageEvent(
                start_s=begin * half_s,
                duration_s=max(0, at - begin) * half_s,
                du_max_percent=100.0 * float(largest),
                du_ss_percent=100.0 * abs(after - before),
                lowest_pu=float(seen.min()),
                highest_pu=float(seen.max()),
                kind="dip" if seen.min() < bounds[0] else "swell" if seen.max() > bounds[1] else "rapid change",
                complete=complete,
            )
        )
    return events, unsteady


def _seconds(rms: Float, size: int) -> tuple[Float, Float]:
    """Return the mean of every ``size`` neighbours, and how far the furthest of them lies from it."""
    from scipy.ndimage import maximum_filter1d, minimum_filter1d  # late: it takes a quarter of a second

    whole = slice(size // 2, size // 2 + rms.size - size + 1)
    total = np.concatenate(([0.0], np.cumsum(rms - rms[0])))
    mean = rms[0] + (total[size:] - total[:-size]) / size
    high = maximum_filter1d(rms, size)[whole]
    low = minimum_filter1d(rms, size)[whole]
    return mean, np.maximum(high - mean, mean - low)


def _notes(events: list[VoltageEvent], unsteady_s: float, duration_s: float) -> list[str]:
    notes = []
    if unsteady_s:
        notes.append(f"no steady second before {unsteady_s:g} s: nothing earlier is an event; flicker tells of it")
    if events and not events[-1].complete:
        notes.append(f"the event at {events[-1].start_s:g} s is not over at the end: its figures are lower bounds")
    others = [e.kind for e in events if e.kind != "rapid change"]
    if others:
        notes.append(f"{others.count('dip')} dips and {others.count('swell')} swells are no rapid changes")
    if duration_s < DAY_S * (1 - 1e-9):
        what = "an hour and a day" if duration_s < HOUR_S * (1 - 1e-9) else "a day"
        notes.append(f"{duration_s:g} s are seen: the number in {what} is a lower bound")
    return notes


def _most_within(starts_s: Float, span_s: float) -> int:
    """Return the largest number of times that lie within any span, its end left out."""
    if not starts_s.size:
        return 0
    return int((np.searchsorted(starts_s, starts_s + span_s) - np.arange(starts_s.size)).max())


def _check(
    v: Float,
    dt_s: float,
    mains_hz: int,
    threshold_percent: float,
    hysteresis_percent: float,
    bounds: tuple[float, float],
    rms_window_s: float,
) -> None:
    if mains_hz not in (50, 60):
        raise bad("mains_hz", mains_hz, "Use 50 or 60.")
    half_s = 0.5 / mains_hz
    if not (np.isfinite(dt_s) and dt_s > 0):
        raise bad("dt_s must be a positive number of seconds", dt_s, "Give dt_s > 0.")
    if dt_s > 1.01 * half_s:
        cure = (
            f"Use a step of {half_s:.4g} s or less; a coarser clock merges changes and hides others, "
            "so that it bounds neither their size nor their number."
        )
        raise bad("the clock is too coarse for rapid voltage changes", f"dt_s {dt_s:g}", cure)
    if rms_window_s and not (abs(rms_window_s - 2 * half_s) <= 0.02 * half_s and abs(dt_s - half_s) <= 0.01 * half_s):
        cure = f"Give an envelope (0), or one-cycle values ({2 * half_s:.4g} s) every half cycle ({half_s:.4g} s)."
        raise bad("values of another RMS window or cadence", f"rms_window_s {rms_window_s:g}, dt_s {dt_s:g}", cure)
    if not (0 < threshold_percent < 100 and 0 <= hysteresis_percent < threshold_percent):
        raise bad(
            "threshold and hysteresis",
            f"{threshold_percent:g} % and {hysteresis_percent:g} %",
            "Give 0 <= hysteresis < threshold < 100; half the threshold is usual.",
        )
    if not 0 <= bounds[0] < 1 < bounds[1]:
        raise bad("thresholds of dip and swell", f"{bounds}", "Give dip_pu below 1 and swell_pu above 1.")
    if v.ndim != 1 or not v.size:
        raise bad("rapid voltage changes are of one voltage", f"shape {v.shape}", "Give the voltage of one bus.")
    if not np.isfinite(v).all():
        lost = ~np.isfinite(v)
        cure = "Cut the series there, or measure each part: what happens in a gap is not known."
        shown = f"{int(lost.sum())} of {v.size} samples, from {int(np.argmax(lost)) * dt_s:g} s on"
        raise bad("the voltage has a gap", shown, cure)
    if v.min() < 0:
        raise bad("the voltage is negative", f"{v.min():g} pu", "Give an RMS voltage, not a wave.")
    if v.max() > 5:
        raise bad("the voltage is not in per unit", f"{v.max():g}", "Divide it by the nominal voltage.")
