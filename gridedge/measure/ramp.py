"""How fast a power changes: the largest change in a window, and the ramp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, minimum_filter1d

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Extreme:
    """A largest value and when its window begins.

    ``value`` is NaN where the series is too coarse or too short to tell; ``why`` then says so.
    ``exact`` is false where the sampling makes the value a lower bound.
    """

    value: float
    when_s: float
    exact: bool = True
    why: str = ""


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
        return Extreme(np.nan, np.nan, False, f"steps of {dt_s:g} s cannot show a change within {window_s:g} s")
    if p_mw.size < span + 1:
        return Extreme(np.nan, np.nan, False, f"the series of {p_mw.size * dt_s:g} s is shorter than the window")
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


def largest_ramp(p_mw: Float, dt_s: float, *, window_s: float = 60.0) -> Extreme:
    """Return the largest ``|P(t + w) - P(t)|`` per minute.

    Parameters
    ----------
    p_mw : ndarray, shape (time,)
        Power. [MW]
    dt_s : float
        Step length. [s]
    window_s : float
        The window w; a minute unless a rule says otherwise. [s]

    Returns
    -------
    Extreme
        Ramp [MW/min] and the time t [s].  A window that is no whole number of steps cannot be judged.
    """
    steps, exact = _steps_in(window_s, dt_s)
    if steps < 1 or not exact:
        return Extreme(np.nan, np.nan, False, f"{window_s:g} s is no whole number of steps of {dt_s:g} s")
    if p_mw.size <= steps:
        return Extreme(np.nan, np.nan, False, f"the series of {p_mw.size * dt_s:g} s is shorter than the window")
    ramp = np.abs(p_mw[steps:] - p_mw[:-steps]) * (60.0 / window_s)
    k = int(np.argmax(ramp))
    return Extreme(float(ramp[k]), k * dt_s)
