"""How fast a power changes: the largest change in a window, for one window or for all, and the ramp."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from gridedge.errors import bad
from gridedge.timebase import as_numbers, check_step

Float = NDArray[np.float64]
Direction = Literal["both", "up", "down"]
_PER_DECADE = 16  # windows of a curve of changes: neighbours are 15 % apart


@dataclass(frozen=True)
class Extreme:
    """A largest value and when its window begins.

    ``value`` is NaN where the series is too coarse or too short to tell; ``why`` then says so.
    ``exact`` is false where the sampling makes the value a lower bound.  ``note`` is for the reader, and ``figures``
    are further scalars, each with its unit in its name.
    """

    value: float
    when_s: float
    exact: bool = True
    why: str = ""
    note: str = ""
    figures: tuple[tuple[str, float], ...] = ()


def largest_change(p_mw: Float, dt_s: float, *, window_s: float) -> Extreme:
    """Return the largest max - min in any closed window.

    Parameters
    ----------
    p_mw : ndarray, shape (time,)
        Power; each sample the mean over its step. [MW]
    dt_s : float
        Step length. [s]
    window_s : float
        Length of the window. [s]

    Returns
    -------
    Extreme
        Change [MW] and the start of its window [s].  A series whose step is longer than the window
        cannot tell.  Where the step is no divisor of the window, the samples within it span less
        than the window, and the value is a lower bound.
    """
    span, exact = _steps_in(window_s, dt_s)
    if span < 1:
        return Extreme(
            np.nan, np.nan, False, f"steps of {dt_s:g} s cannot show a change within {window_s:g} s: use shorter ones"
        )
    if p_mw.size < span + 1:
        return Extreme(
            np.nan, np.nan, False, f"the series of {p_mw.size * dt_s:g} s is too short: give more than {window_s:g} s"
        )
    size = span + 1
    shift = size // 2  # scipy centres its windows; keep those that lie inside the series
    inside = slice(shift, p_mw.size - (size - 1 - shift))
    highest = maximum_filter1d(p_mw, size)[inside]
    lowest = minimum_filter1d(p_mw, size)[inside]
    change = highest - lowest
    k = int(np.argmax(change))
    return Extreme(float(change[k]), k * dt_s, exact)


def _steps_in(window_s: float, dt_s: float) -> tuple[int, bool]:
    """Return how many whole steps a window holds, and whether it holds no more than these."""
    steps = round(window_s / dt_s)
    # A step read off a clock is known to about 1e-9 of itself, and that adds up over the window.
    exact = abs(steps * dt_s - window_s) <= 1e-6 * dt_s * max(1, steps)
    return (steps, True) if exact else (int(np.floor(window_s / dt_s)), False)


def largest_ramp(p_mw: Float, dt_s: float, *, window_s: float = 60.0, direction: Direction = "both") -> Extreme:
    """Return the largest ``|P(t + w) - P(t)|`` per minute.

    Parameters
    ----------
    p_mw : ndarray, shape (time,)
        Power. [MW]
    dt_s : float
        Step length. [s]
    window_s : float
        The window w; a minute unless a rule says otherwise. [s]
    direction : {"both", "up", "down"}
        Which ramps count: up is a rise of consumption.

    Returns
    -------
    Extreme
        Ramp [MW/min] and the time t [s].  A window that is no whole number of steps cannot be judged.  It is also
        the largest mean slope over a window of w, because the mean of a slope is the difference of its ends.
    """
    ramp, why = _ramps(p_mw, dt_s, window_s, direction)
    if why:
        return Extreme(np.nan, np.nan, False, why)
    k = int(np.argmax(ramp))
    return Extreme(max(float(ramp[k]), 0.0), k * dt_s)


def ramp_percentile(
    p_mw: Float, dt_s: float, *, percentile: float, window_s: float = 60.0, direction: Direction = "both"
) -> Extreme:
    """Return the ramp that a share of all ramps does not exceed.

    Parameters
    ----------
    p_mw : ndarray, shape (time,)
        Power. [MW]
    dt_s : float
        Step length. [s]
    percentile : float
        Share of all times t, 0 to 100. [%]
    window_s, direction
        As for :func:`largest_ramp`; with a direction, ramps the other way count as 0.

    Returns
    -------
    Extreme
        Ramp [MW/min], and the time of the steepest one [s].  It is the value of one of the ramps (the inverse of
        the distribution function), nothing between two.
    """
    ramp, why = _ramps(p_mw, dt_s, window_s, direction)
    if why:
        return Extreme(np.nan, np.nan, False, why)
    k = int(np.argmax(ramp))
    value = float(np.percentile(ramp, percentile, method="inverted_cdf"))
    largest = max(float(ramp[k]), 0.0)
    return Extreme(max(value, 0.0), k * dt_s, figures=(("largest_mw_per_min", largest),))


def ramp_distribution(
    p_mw: ArrayLike,
    dt_s: float,
    *,
    window_s: float = 60.0,
    percentiles: Sequence[float] = (50.0, 75.0, 90.0, 95.0, 99.0, 100.0),
    direction: Direction = "both",
) -> Float:
    """Return percentiles of ``|P(t + w) - P(t)|`` per minute over all times t.

    Parameters
    ----------
    p_mw : array_like, shape (..., time)
        Power. [MW]
    dt_s : float
        Step length. [s]
    window_s : float
        The window w: 1 s shows what a generator's shaft feels, 60 s what a ramp limit asks. [s]
    percentiles : sequence of float
        Each 0 to 100. [%]
    direction : {"both", "up", "down"}
        Which ramps count; the others are 0.

    Returns
    -------
    ndarray, shape (..., percentile)
        Ramps. [MW/min]

    Raises
    ------
    InputError
        If the window is no whole number of steps or not shorter than the series, or a sample is not finite.
    """
    p = _finite(p_mw)
    ramp, why = _ramps(p, dt_s, window_s, direction)
    if why:
        cure = f"Use a window of whole steps of {dt_s:g} s, shorter than the series."
        raise bad(f"ramps cannot be told: {why}", f"window_s {window_s:g}", cure)
    found = np.percentile(ramp, np.asarray(percentiles, dtype=float), axis=-1, method="inverted_cdf")
    return np.asarray(np.moveaxis(np.maximum(found, 0.0), 0, -1))


def largest_fast_change(p_mw: Float, dt_s: float, *, rate_mw_per_s: float) -> Extreme:
    r"""Return the largest change between any two times whose mean rate is a given one or more.

    Parameters
    ----------
    p_mw : ndarray, shape (time,)
        Power. [MW]
    dt_s : float
        Step length. [s]
    rate_mw_per_s : float
        The rate from which a change counts as fast, in either direction. [MW/s]

    Returns
    -------
    Extreme
        Change [MW] and the time of its first sample [s]; 0 where nothing is fast.

    Notes
    -----
    .. math:: \max \{\, |P_j - P_i| : j > i,\ |P_j - P_i| \ge r\,(t_j - t_i) \,\}

    A rise is fast where :math:`Q = P - r t` does not fall from i to j.  Only a sample below all earlier ones in Q
    can be the best beginning, and only one above all later ones the best end, because any other can be replaced
    by one that is further out in time and in P.  Both lists are monotone in Q, so that the ends that go with a
    beginning are neighbours, and a table of maxima over powers of two answers all of them: O(n log n).
    """
    best = Extreme(0.0, 0.0)
    if p_mw.size < 2:
        return Extreme(np.nan, np.nan, False, "one sample shows no change")
    drift = rate_mw_per_s * dt_s * np.arange(p_mw.size)
    for p in (p_mw, -p_mw):
        q = p - drift
        starts = np.flatnonzero(q < np.concatenate(([np.inf], np.minimum.accumulate(q)[:-1])))
        ends = np.flatnonzero(q > np.concatenate((np.maximum.accumulate(q[::-1])[::-1][1:], [-np.inf])))
        first = np.searchsorted(ends, starts)
        stop = np.searchsorted(-q[ends], -q[starts], side="right")
        change = _largest_between(p[ends], first, stop) - p[starts]
        k = int(np.argmax(change))
        if change[k] > best.value:
            best = Extreme(float(change[k]), float(starts[k] * dt_s))
    return best


def _largest_between(values: Float, first: NDArray[np.intp], stop: NDArray[np.intp]) -> Float:
    """Return the largest of ``values[first:stop]`` for each pair; every stretch holds one value at least."""
    found = np.empty(first.size)
    level = np.frexp(stop - first)[1] - 1  # the power of two that fits in
    table = values
    for k in range(int(level.max()) + 1):
        here = np.flatnonzero(level == k)
        found[here] = np.maximum(table[first[here]], table[stop[here] - (1 << k)])
        if table.size > 1 << k:
            table = np.maximum(table[: -(1 << k)], table[1 << k :])
    return found


def change_curve(p_mw: ArrayLike, dt_s: float, windows_s: Sequence[float] | Float | None = None) -> tuple[Float, Float]:
    """Return the largest change in any closed window of w seconds, for all w.

    Parameters
    ----------
    p_mw : array_like, shape (..., time)
        Power, evenly sampled. [MW]
    dt_s : float
        Step length. [s]
    windows_s : sequence of float, optional
        The windows w; without, from one step to the length of the series, 16 to a decade. [s]

    Returns
    -------
    windows_s : ndarray, shape (window,)
        The windows that were measured, rising: whole numbers of steps, a given one rounded down. [s]
    change_mw : ndarray, shape (..., window)
        Largest max - min; it never falls with w. [MW]

    Raises
    ------
    InputError
        If a sample is not finite, there are fewer than two, or a window is shorter than a step or longer than the
        series.

    Notes
    -----
    The extremes over windows of 2, 4, 8, ... samples follow from each other, and any other window is the union of
    two of these: O(n) a window, O(n log n) in all.
    """
    p = _finite(p_mw)
    n = p.shape[-1] if p.ndim else 0
    if n < 2:
        raise bad("too few samples for a change", n, "Give at least 2 along the last axis.")
    check_step(dt_s)
    steps = _steps_of(windows_s, dt_s, n)
    change = np.empty((*p.shape[:-1], steps.size))
    whole = p.max(axis=-1) - p.min(axis=-1)
    highest = lowest = p
    width = 1
    for k, size in enumerate(steps + 1):
        if k and np.array_equal(change[..., k - 1], whole):  # it cannot grow any more
            change[..., k:] = whole[..., None]
            break
        while 2 * width <= size:
            highest = np.maximum(highest[..., :-width], highest[..., width:])
            lowest = np.minimum(lowest[..., :-width], lowest[..., width:])
            width *= 2
        rest = int(size) - width
        top, bottom = highest, lowest
        if rest:
            top = np.maximum(highest[..., :-rest], highest[..., rest:])
            bottom = np.minimum(lowest[..., :-rest], lowest[..., rest:])
        change[..., k] = (top - bottom).max(axis=-1)
    measured_s = np.asarray(steps * dt_s, dtype=np.float64)
    return measured_s, change


def _steps_of(windows_s: Sequence[float] | Float | None, dt_s: float, n: int) -> NDArray[np.int64]:
    if windows_s is None:
        count = max(2, math.ceil(_PER_DECADE * math.log10(max(n - 1, 2))))
        return np.unique(np.round(np.geomspace(1, n - 1, count)).astype(np.int64))
    steps = [_steps_in(float(w), dt_s)[0] for w in windows_s]
    for w, count in zip(windows_s, steps, strict=True):
        if not 1 <= count <= n - 1:
            cure = f"Give windows from {dt_s:g} to {(n - 1) * dt_s:g} s."
            raise bad("a window that the series cannot show", f"{w:g} s", cure)
    return np.unique(np.asarray(steps, dtype=np.int64))


def _ramps(p_mw: Float, dt_s: float, window_s: float, direction: Direction) -> tuple[Float, str]:
    """Return the ramps that count at every time, in MW/min, or why there is none."""
    steps, exact = _steps_in(window_s, dt_s)
    if steps < 1 or not exact:
        return p_mw[..., :0], f"{window_s:g} s is no whole number of steps of {dt_s:g} s: use a step that divides it"
    if p_mw.shape[-1] <= steps:
        return p_mw[..., :0], f"the series of {p_mw.shape[-1] * dt_s:g} s is too short: give more than {window_s:g} s"
    ramp = (p_mw[..., steps:] - p_mw[..., :-steps]) * (60.0 / window_s)
    if direction == "both":
        return np.abs(ramp), ""
    return np.maximum(ramp if direction == "up" else -ramp, 0.0), ""


def _finite(p_mw: ArrayLike) -> Float:
    p = as_numbers(p_mw)
    if not np.isfinite(p).all():
        gaps = int(p.size - np.isfinite(p).sum())
        raise bad("the power series has samples that are NaN or infinite", gaps, "Cut the series to a part without.")
    return p
