"""Find every iteration of a trace, what lies between them, and lay them over each other.

Iterations are found one by one with their own mean shape as the filter, so that jitter and pauses do not
smear it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Flags = NDArray[np.bool_]
POINTS = 64  # of the mean shape; an iteration is looked at in so many places
_NORMAL = 0.25  # of the period: an iteration that is longer holds a pause


@dataclass(frozen=True)
class Cycles:
    """The iterations of a trace.

    Parameters
    ----------
    start_s : ndarray, shape (n,)
        Where each begins, by the phase of the mean shape. [s]
    length_s : ndarray, shape (n,)
        To where the next one begins, or would without a pause. [s]
    pause_s : ndarray, shape (n,)
        Pause after it; 0 for none. [s]
    shape : ndarray, shape (POINTS,)
        Mean power over the iteration.
    period_s : float
        Median length. [s]
    jitter_pu : float
        Standard deviation of the lengths over the period, less what the reading of the starts adds.
    """

    start_s: Float
    length_s: Float
    pause_s: Float
    shape: Float
    period_s: float
    jitter_pu: float


def follow(p: Float, known: Flags, dt_s: float, period_s: float) -> Cycles | None:
    """Find every iteration of a series.

    Parameters
    ----------
    p : ndarray, shape (time,)
        Power, any unit.
    known : ndarray of bool, shape (time,)
        Samples outside of pauses.
    dt_s : float
        Step. [s]
    period_s : float
        First estimate of the period. [s]

    Returns
    -------
    Cycles, or None where fewer than three follow each other.
    """
    from scipy.signal import find_peaks

    step_s = period_s / POINTS
    centre: Float = (np.arange(p.size, dtype=float) + 0.5) * dt_s
    grid: Float = np.arange(centre[0], centre[-1], step_s)
    if dt_s < step_s:  # a mean over each place, not a sample from it
        total = np.concatenate(([0.0], np.cumsum(p * dt_s)))
        edges = np.append(grid - step_s / 2, grid[-1] + step_s / 2)
        q = np.diff(np.interp(edges, np.arange(p.size + 1) * dt_s, total)) / step_s
        q[0], q[-1] = p[0], p[-1]
    else:
        q = np.interp(grid, centre, p)
    seen = np.interp(grid, centre, known.astype(float)) > 0.5
    # A pause deeper than the communication would draw iterations towards it.
    q = np.where(seen, q, np.percentile(q[seen], 5)) if seen.any() else q
    shape = _first_shape(q, seen)
    if shape is None:
        return None
    starts: Float = np.zeros(0)
    for turn in range(4):
        if turn < 2:
            shape = np.roll(shape, -_rise(shape))  # a pause lies between two iterations, never within
        # The busy part must lie outside of the pauses; the wait before one may run into it.
        busy = (shape > 0.5 * (shape.max() + shape.min())).astype(float)
        inside = np.correlate(seen.astype(float), busy / busy.sum(), mode="valid") > 0.6
        score = np.where(inside, _likeness(q, shape), -1.0)
        usual = float(np.percentile(score, 98))
        peaks, _ = find_peaks(score, height=0.45 * usual, distance=int(0.6 * POINTS))
        if peaks.size < 3:
            return None
        starts = peaks + _vertex(score, peaks)
        gaps = np.diff(starts)
        middle = float(np.median(gaps))
        normal = np.flatnonzero(np.abs(gaps - middle) < _NORMAL * middle)
        if normal.size < 2:
            return None
        rows = starts[normal, None] + np.arange(POINTS)
        shape = np.interp(rows.ravel(), np.arange(q.size), q).reshape(rows.shape).mean(axis=0)
    if dt_s < period_s / 20:
        starts = _at_the_rise(q, shape, starts)
    gaps = np.diff(starts)
    near = gaps[np.abs(gaps - np.median(gaps)) < _NORMAL * np.median(gaps)]
    middle = float(np.median(near))
    sigma = 1.4826 * float(np.median(np.abs(near - middle)))
    # Longer by more than jitter makes it is a pause, shorter is an iteration that was misread.
    usual_gap = float(np.clip(6 * sigma, max(0.04 * middle, 0.5 * dt_s / step_s), _NORMAL * middle))
    regular = np.abs(gaps - middle) < usual_gap
    # A gap of whole periods in which the shape goes on, only less clearly, is no pause.
    length, pause = gaps.copy(), np.zeros(gaps.size)
    for k in np.flatnonzero(~regular & (gaps > middle)):
        whole = round(gaps[k] / middle)
        if whole >= 2 and abs(gaps[k] - whole * middle) < 0.15 * middle:
            inner = starts[k] + middle * np.arange(1, whole)
            if np.interp(inner, np.arange(score.size), score).min() > 0.3 * usual:
                continue
        length[k], pause[k] = middle, gaps[k] - middle
    good = gaps[regular]
    jitter = _jitter(starts, regular) / middle
    return Cycles(
        grid[0] + starts[:-1] * step_s,
        length * step_s,
        pause * step_s,
        shape,
        float(np.mean(good)) * step_s,
        float(jitter),
    )


def _at_the_rise(q: Float, shape: Float, starts: Float) -> Float:
    """Return the starts read from the rise alone: of an iteration that jitter stretches, the rest comes late."""
    around = np.arange(-6, 18)
    wanted = shape[around % POINTS]
    trial = np.linspace(-4.0, 4.0, 65)
    where = starts[:, None, None] + trial[None, :, None] + around
    there = np.interp(where.ravel(), np.arange(q.size), q).reshape(where.shape)
    cost = ((there - wanted) ** 2).sum(axis=2)
    best = np.argmin(cost, axis=1)
    row = np.arange(starts.size)
    inner = np.clip(best, 1, trial.size - 2)
    left, mid, right = cost[row, inner - 1], cost[row, inner], cost[row, inner + 1]
    bend = left - 2 * mid + right
    part = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1.0), 0.0).clip(-1.0, 1.0)
    moved = starts + trial[inner] + part * (trial[1] - trial[0])
    # A rise that is not found within the range is left where the whole shape had it.
    return np.asarray(np.where((best == 0) | (best == trial.size - 1), starts, moved))


def _jitter(starts: Float, regular: Flags) -> float:
    """Return the standard deviation of the lengths.

    Lengths that are independent, read with an error e of each start, give
    ``Var(t[k+m] - t[k]) = m s^2 + const``: the slope is the jitter's, the rest the reading's.
    """
    many, var = [], []
    for m in range(1, 7):
        whole = np.convolve(regular, np.ones(m), mode="valid") == m
        if whole.sum() >= 8:
            many.append(float(m))
            var.append(float(np.var((starts[m:] - starts[:-m])[whole])))
    if len(many) < 2:
        return float(np.std(np.diff(starts)[regular]))
    weight = 1.0 / np.asarray(many)  # variances of longer spans are less sure
    slope = np.polyfit(many, var, 1, w=weight)[0]
    return float(np.sqrt(max(slope, 0.0)))


def _first_shape(q: Float, seen: Flags) -> Float | None:
    """Return the mean of some iterations that follow each other, where they repeat best."""
    together = 5 * POINTS
    if q.size < 3 * POINTS:
        return None
    together = min(together, q.size // POINTS * POINTS)
    best, found = -np.inf, None
    for begin in range(0, q.size - together + 1, POINTS):
        part = slice(begin, begin + together)
        if not seen[part].all():
            continue
        rows = q[part].reshape(-1, POINTS)
        mean = rows.mean(axis=0)
        spread = float(np.mean((rows - mean) ** 2))
        quality = float(np.var(mean)) / max(spread, 1e-12)
        if quality > best:
            best, found = quality, mean
    return found


def _rise(shape: Float) -> int:
    """Return the point at which the longest low stretch of a periodic shape ends."""
    low = shape < 0.5 * (shape.max() + np.percentile(shape, 4))
    turn = int(np.argmax(~low))
    change = np.diff(np.roll(low, -turn).astype(np.int8), prepend=0, append=0)
    begins, ends = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    if not begins.size:
        return 0
    # Half an edge earlier: the middle of the rise is inside, its foot should be.
    return (int(ends[np.argmax(ends - begins)]) + turn - POINTS // 32) % shape.size


def _likeness(q: Float, shape: Float) -> Float:
    """Return the covariance of every stretch with the shape, over the shape's variance."""
    from scipy.signal import correlate

    centred = shape - shape.mean()
    scale = float((centred**2).sum())
    return np.asarray(correlate(q - q.mean(), centred, mode="valid", method="auto")) / max(scale, 1e-300)


def _vertex(score: Float, peaks: NDArray[np.intp]) -> Float:
    """Return how far from each peak the parabola through three points has its vertex."""
    inner = np.clip(peaks, 1, score.size - 2)
    left, mid, right = score[inner - 1], score[inner], score[inner + 1]
    bend = left - 2 * mid + right
    return np.asarray(np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, 1.0), 0.0).clip(-0.5, 0.5))


def fold(p: Float, dt_s: float, cycles: Cycles, *, bins: int) -> tuple[Float, Float, Float, Float]:
    """Lay all undisturbed iterations over each other.

    Returns
    -------
    at_s : ndarray, shape (bin,)
        Centre of the samples from the iteration's start, within the period. [s]
    mean : ndarray, shape (bin,)
        Mean of the samples there.
    scatter : ndarray, shape (bin,)
        Their standard deviation.
    count : ndarray, shape (bin,)
        How many there are; bins without a sample are left out.
    """
    k, into = _place(p.size, dt_s, cycles)
    inside = k >= 0
    share = into[inside] / cycles.length_s[k[inside]]
    where = np.minimum((share * bins).astype(np.intp), bins - 1)
    count = np.bincount(where, minlength=bins).astype(float)
    kept = count > 0
    at = np.bincount(where, weights=share, minlength=bins)[kept] / count[kept] * cycles.period_s
    mean = np.bincount(where, weights=p[inside], minlength=bins)[kept] / count[kept]
    square = np.bincount(where, weights=p[inside] ** 2, minlength=bins)[kept] / count[kept]
    return at, mean, np.sqrt(np.maximum(square - mean**2, 0.0)), count[kept]


def _place(samples: int, dt_s: float, cycles: Cycles) -> tuple[NDArray[np.intp], Float]:
    """Return the iteration of every sample, -1 outside of undisturbed ones, and how far in its centre lies."""
    centre: Float = (np.arange(samples, dtype=float) + 0.5) * dt_s
    k = np.searchsorted(cycles.start_s, centre, side="right") - 1
    into = centre - cycles.start_s[np.maximum(k, 0)]
    good = np.abs(cycles.length_s - cycles.period_s) < _NORMAL * cycles.period_s
    inside = (k >= 0) & (into < cycles.length_s[np.maximum(k, 0)]) & good[np.maximum(k, 0)]
    return np.where(inside, k, -1), into


def residual(p: Float, dt_s: float, cycles: Cycles, at_s: Float, mean: Float, steep: Float) -> Float:
    """Return the samples less the mean shape, NaN outside of undisturbed iterations and on steep parts.

    Parameters
    ----------
    at_s, mean : ndarray, shape (bin,)
        The shape. [s], unit of ``p``
    steep : ndarray, shape (bin,)
        Where 1, a small error of the start would look like noise.
    """
    k, into = _place(p.size, dt_s, cycles)
    when = np.where(k >= 0, into / cycles.length_s[np.maximum(k, 0)], 0.0) * cycles.period_s
    left = p - np.interp(when, at_s, mean, period=cycles.period_s)
    return np.asarray(np.where((k >= 0) & (np.interp(when, at_s, steep, period=cycles.period_s) < 0.5), left, np.nan))
