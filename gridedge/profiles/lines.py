"""Lines of straight pieces: their exact mean over even steps, the same bits whatever is asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Line = tuple[Float, Float]
TILE = 1 << 16  # samples; integrals begin anew at each, so that nothing depends on what was read before


def step_means(line: Callable[[float, float], Line], dt_s: float, start: int, stop: int, shift_s: float = 0.0) -> Float:
    """Return the mean of a line over each of the steps ``start`` to ``stop - 1``.

    Parameters
    ----------
    line : callable
        ``line(from_s, to_s)`` gives the corners (time, value) of a stretch: the first at or before ``from_s``, the
        last at or after ``to_s``, times never falling; two at one time are a step.  A longer stretch with the same
        ``from_s`` must begin with the same corners.
    dt_s : float
        Step length. [s]
    start, stop : int
        Steps wanted; step ``k`` is ``[k dt_s, (k+1) dt_s)``.
    shift_s : float
        Read the line so much later. [s]

    Returns
    -------
    ndarray, shape (stop - start,)
        Exact means, independent of ``start`` and ``stop``.
    """
    out = np.empty(max(0, stop - start))
    for first in range(start // TILE * TILE, stop, TILE):
        last = min(stop, first + TILE)
        edges: Float = np.arange(first, last + 1, dtype=float) * dt_s + shift_s
        time, value = line(float(edges[0]), float(edges[-1]))
        means = np.diff(_integral(time, value, edges))
        means /= dt_s
        skip = max(start - first, 0)
        out[first + skip - start : last - start] = means[skip:]
    return out


def _integral(time: Float, value: Float, at: Float) -> Float:
    """Return the integral of a line from its first corner to given rising times."""
    # A pause may end a rounding error after the iteration that follows it begins.
    time = np.maximum.accumulate(time)
    width = np.diff(time)
    area = np.concatenate(([0.0], np.cumsum(0.5 * (value[1:] + value[:-1]) * width)))
    bend = 0.5 * np.divide(np.diff(value), width, out=np.zeros_like(width), where=width > 0)
    # The corner at or before each time: times and corners both rise, so that counting is enough.
    count = np.diff(np.append(np.searchsorted(at, time), at.size))
    into = at - np.repeat(time, count)
    found = np.repeat(np.append(bend, 0.0), count)
    found *= into
    found += np.repeat(value, count)
    found *= into
    found += np.repeat(area, count)
    return np.asarray(found)


def value_at(line: Line, at_s: float) -> float:
    """Return a line's value at a time, the later one at a step."""
    time, value = line
    k = int(np.clip(np.searchsorted(time, at_s, side="right") - 1, 0, time.size - 1))
    if k == time.size - 1 or time[k + 1] <= time[k]:
        return float(value[k])
    part = (at_s - time[k]) / (time[k + 1] - time[k])
    return float(value[k] + part * (value[k + 1] - value[k]))
