"""The shape of an iteration from its folded samples: levels, edges, and only as much structure as they show.

The model is the line of ``iteration.py``, its exact mean over a sample, and the parameters that make the
squared difference smallest.  A taper, an inner dip and an overshoot are added one by one, and stay if the
Bayesian information criterion says that they pay for their parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
_PAYS = 0.85  # what is left of the squared difference, at the most, for a part to stay
_MODEL_ERROR = 1e-3  # of the swing: below this a difference is the model's, not the trace's


@dataclass(frozen=True)
class Shape:
    """One iteration; times in s from the start of the rise, powers in pu."""

    period_s: float
    compute: float
    communication: float
    busy_s: float
    rise_s: float
    fall_s: float
    taper_s: float = 0.0
    taper: float | None = None
    residual_s: float = 0.0
    residual: float | None = None
    dip: float | None = None
    dip_at_s: float = 0.0
    dip_fall_s: float = 0.0
    dip_recovery_s: float = 0.0
    overshoot: float | None = None
    overshoot_s: float = 0.0

    def corners(self) -> tuple[Float, Float]:
        """Return times and levels of the line's corners, from 0 to the period."""
        high, low = self.compute, self.communication
        line = [(0.0, low), (self.rise_s, high if self.overshoot is None else self.overshoot)]
        if self.overshoot is not None:
            line.append((self.rise_s + self.overshoot_s, high))
        if self.dip is not None:
            bottom_s = self.dip_at_s + self.dip_fall_s
            line += [(self.dip_at_s, high), (bottom_s, self.dip), (bottom_s + self.dip_recovery_s, high)]
        edge_s = self.busy_s + self.fall_s
        line += [
            (self.busy_s - self.taper_s, high),
            (self.busy_s, high if self.taper is None else self.taper),
            (edge_s, low if self.residual is None else self.residual),
            (edge_s + self.residual_s, low),
            (self.period_s, low),
        ]
        time, level = (np.array(column, dtype=float) for column in zip(*line, strict=True))
        return np.maximum.accumulate(np.minimum(time, self.period_s)), level


def box_mean(corners: tuple[Float, Float], at_s: Float, width_s: float) -> Float:
    """Return the mean of a periodic line over boxes.

    Parameters
    ----------
    corners : tuple of ndarray
        Times from 0 to the period, never falling, and levels. [s], pu
    at_s : ndarray
        Centres of the boxes. [s]
    width_s : float
        Their width. [s]
    """
    time, level = corners
    area = np.concatenate(([0.0], np.cumsum(0.5 * (level[1:] + level[:-1]) * np.diff(time))))
    period_s, whole = time[-1], area[-1]

    def integral(at: Float) -> Float:
        turns = np.floor(at / period_s)
        rest = at - turns * period_s
        k = np.clip(np.searchsorted(time, rest, side="right") - 1, 0, time.size - 2)
        width = np.maximum(time[k + 1] - time[k], 1e-300)
        into = rest - time[k]
        return np.asarray(turns * whole + area[k] + into * (level[k] + 0.5 * (level[k + 1] - level[k]) / width * into))

    return np.asarray((integral(at_s + width_s / 2) - integral(at_s - width_s / 2)) / width_s)


def fit_shape(at_s: Float, mean: Float, weight: Float, *, period_s: float, dt_s: float) -> tuple[Shape, float, Float]:
    """Fit the shape of an iteration.

    Parameters
    ----------
    at_s, mean, weight : ndarray, shape (bin,)
        Folded samples: centre [s], power [pu], and weight.
    period_s : float
        The period. [s]
    dt_s : float
        What a sample is a mean over. [s]

    Returns
    -------
    shape : Shape
        The parameters.
    shift_s : float
        From the fold's zero to the start of the rise. [s]
    fitted : ndarray, shape (bin,)
        The shape's samples at ``at_s``. [pu]
    """
    weight = weight / weight.mean()
    base, begin_s = _first_guess(at_s, mean, period_s, dt_s)
    swing = base.compute - base.communication
    best = _Fit.of(base, begin_s, at_s, mean, weight, dt_s)
    best = _turned(best, at_s, mean, weight, dt_s)
    # Fewer than twelve samples in an iteration do not tell structure from the shape of an edge.
    parts = () if dt_s > period_s / 12 else (_with_dip, _with_taper, _with_overshoot, _with_taper, _with_dip)
    for part in parts:
        trials = [
            _Fit.of(guess, best.shift_s, at_s, mean, weight, dt_s)
            for guess in part(best.shape, best.left(mean), at_s - best.shift_s, dt_s)
        ]
        if not trials:
            continue
        trial = min(trials, key=lambda fit: fit.cost)
        floor = at_s.size * (_MODEL_ERROR * swing) ** 2
        pays = (trial.cost + floor) < _PAYS * (best.cost + floor)
        more = trial.parameters - best.parameters
        information = at_s.size * np.log((best.cost + floor) / (trial.cost + floor)) > more * np.log(at_s.size)
        if pays and information:
            best = trial
    return best.shape, best.shift_s, best.fitted


@dataclass(frozen=True)
class _Fit:
    shape: Shape
    shift_s: float
    cost: float
    fitted: Float
    parameters: int

    @classmethod
    def of(cls, guess: Shape, shift_s: float, at_s: Float, mean: Float, weight: Float, dt_s: float) -> _Fit:
        """Improve a guess by least squares."""
        from scipy.optimize import least_squares

        names = [n for n in _FITTED if getattr(guess, n) is not None and (n in _ALWAYS or getattr(guess, n) > 0)]
        period_s = guess.period_s
        low = [0.0 if n in _LEVELS else 1e-3 * period_s if n in _LENGTHS else 0.0 for n in names]
        high = [1.5 if n in _LEVELS else period_s for n in names]
        first = np.clip([getattr(guess, n) for n in names], low, high)
        root = np.sqrt(weight)

        def make(x: Float) -> Shape:
            return _legal(replace(guess, **dict(zip(names, map(float, x[:-1]), strict=True))))

        def left(x: Float) -> Float:
            return np.asarray(root * (box_mean(make(x).corners(), at_s - x[-1], dt_s) - mean))

        swing = max(guess.compute - guess.communication, 1e-6)
        scale = [swing if n in _LEVELS else max(0.02 * period_s, dt_s / 2) for n in names]
        found = least_squares(
            left,
            np.append(first, shift_s),
            bounds=([*low, shift_s - period_s], [*high, shift_s + period_s]),
            x_scale=[*scale, max(0.02 * period_s, dt_s / 2)],
            diff_step=1e-4,
            max_nfev=120,
        )
        shape = make(found.x)
        fitted = box_mean(shape.corners(), at_s - found.x[-1], dt_s)
        return cls(shape, float(found.x[-1]), float(2 * found.cost), fitted, len(names) + 1)

    def left(self, mean: Float) -> Float:
        """Return what the fit does not explain."""
        return np.asarray(mean - self.fitted)


_LEVELS = {"compute", "communication", "taper", "residual", "dip", "overshoot"}
_ALWAYS = {"compute", "communication", "busy_s", "rise_s", "fall_s", "taper", "residual", "dip", "overshoot"}
_LENGTHS = {"rise_s", "fall_s", "busy_s", "dip_fall_s", "dip_recovery_s", "overshoot_s", "taper_s", "residual_s"}
_FITTED = (
    "compute", "communication", "busy_s", "rise_s", "fall_s", "taper_s", "taper", "residual_s", "residual",
    "dip", "dip_at_s", "dip_fall_s", "dip_recovery_s", "overshoot", "overshoot_s",
)  # fmt: skip


def _legal(shape: Shape) -> Shape:
    """Return the nearest shape whose parts follow each other and whose levels are in order."""
    period_s = shape.period_s
    low = min(shape.communication, 0.999 * shape.compute)
    least_s = 1e-3 * period_s
    rise_s = min(shape.rise_s, 0.9 * period_s)
    head_s = rise_s + (0.0 if shape.overshoot is None else shape.overshoot_s)
    busy_s = float(np.clip(shape.busy_s, min(head_s + least_s, 0.95 * period_s), 0.99 * period_s))
    head_s = min(head_s, busy_s)
    taper_s = float(np.clip(shape.taper_s, 0.0, busy_s - head_s))
    fall_s = min(shape.fall_s, period_s - busy_s)
    residual_s = float(np.clip(shape.residual_s, 0.0, period_s - busy_s - fall_s))
    taper = None if shape.taper is None else float(np.clip(shape.taper, low, shape.compute))
    top = shape.compute if taper is None else taper
    residual = None if shape.residual is None else float(np.clip(shape.residual, low, top))
    legal = replace(
        shape, communication=low, rise_s=min(rise_s, busy_s), busy_s=busy_s, taper_s=taper_s, fall_s=fall_s,
        residual_s=residual_s, taper=taper, residual=residual,
    )  # fmt: skip
    if legal.overshoot is not None:
        over_s = float(np.clip(legal.overshoot_s, 0.0, busy_s - taper_s - legal.rise_s))
        legal = replace(legal, overshoot=max(legal.overshoot, legal.compute), overshoot_s=over_s)
        head_s = legal.rise_s + over_s
    if legal.dip is not None:
        room_s = max(busy_s - taper_s - head_s, 0.0)
        fall, rise = legal.dip_fall_s, legal.dip_recovery_s
        shrink = min(1.0, room_s / max(fall + rise, 1e-300))
        fall, rise = fall * shrink, rise * shrink
        at_s = float(np.clip(legal.dip_at_s, head_s, max(head_s, busy_s - taper_s - fall - rise)))
        legal = replace(legal, dip=min(legal.dip, legal.compute), dip_at_s=at_s, dip_fall_s=fall, dip_recovery_s=rise)
    return legal


def _first_guess(at_s: Float, mean: Float, period_s: float, dt_s: float) -> tuple[Shape, float]:
    """Return two levels, and the longest stretch below their middle as the communication."""
    order = np.argsort(at_s)
    at, level = at_s[order], mean[order]
    high, low = float(np.percentile(level, 80)), float(np.percentile(level, 4))
    grid = np.linspace(0, period_s, 256, endpoint=False)
    below = np.interp(grid, at, level, period=period_s) < 0.5 * (high + low)
    edge_s = max(0.5 * dt_s, 0.01 * period_s)
    if below.all() or not below.any():
        return Shape(period_s, high, low, 0.75 * period_s, edge_s, edge_s), 0.0
    turn = int(np.argmax(~below))  # begin in the compute phase, so that no stretch is cut
    rolled = np.roll(below, -turn)
    change = np.diff(rolled.astype(int), prepend=0, append=0)
    begins, ends = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    k = int(np.argmax(ends - begins))
    start_s = float((ends[k] + turn) / 256 * period_s) % period_s
    busy_s = period_s - (ends[k] - begins[k]) / 256 * period_s
    middle_s = start_s - 0.5 * (period_s - busy_s)
    inside = below & (np.abs((grid - middle_s + period_s / 2) % period_s - period_s / 2) < 0.5 * (period_s - busy_s))
    if inside.any():
        low = float(np.percentile(np.interp(grid[inside], at, level, period=period_s), 25))
    return Shape(period_s, high, low, busy_s, edge_s, edge_s), start_s - edge_s / 2


def _turned(fit: _Fit, at_s: Float, mean: Float, weight: Float, dt_s: float) -> _Fit:
    """Return the best of the fit and of those with wider edges: a coarse trace has several minima."""
    shape = fit.shape
    trials = [fit]
    for rise, fall in ((0.15, 0.02), (0.02, 0.15), (0.15, 0.15)):
        guess = replace(shape, rise_s=rise * shape.period_s, fall_s=fall * shape.period_s)
        trials.append(_Fit.of(_legal(guess), fit.shift_s, at_s, mean, weight, dt_s))
    return min(trials, key=lambda f: f.cost)


def _with_taper(shape: Shape, _left: Float, _into_s: Float, dt_s: float) -> list[Shape]:
    """Return the shape with a slow fall before and after its steep edge."""
    if shape.taper is not None:
        return []
    swing = shape.compute - shape.communication
    found = []
    for before, after in ((0.1, 0.05), (0.03, 0.1), (0.15, 0.02)):
        taper_s, residual_s = before * shape.period_s, after * shape.period_s
        found.append(
            _legal(
                replace(
                    shape,
                    taper_s=taper_s,
                    taper=shape.compute - 0.15 * swing,
                    residual_s=residual_s,
                    residual=shape.communication + 0.15 * swing,
                    busy_s=max(shape.busy_s - residual_s / 2, dt_s),
                    fall_s=max(0.3 * shape.fall_s, 2e-3 * shape.period_s),
                )
            )
        )
    return found


def _with_dip(shape: Shape, left: Float, into_s: Float, dt_s: float) -> list[Shape]:
    """Return the shape with a dip where the compute phase lies lowest below it."""
    if shape.dip is not None:
        return []
    into = into_s % shape.period_s
    inside = (into > shape.rise_s + shape.overshoot_s) & (into < shape.busy_s - shape.taper_s)
    if not inside.any():
        return []
    worst = int(np.flatnonzero(inside)[np.argmin(left[inside])])
    depth = -float(left[worst])
    if depth <= 0.05 * (shape.compute - shape.communication):
        return []
    width = max(dt_s, 0.03 * shape.period_s)
    high = max(float(np.percentile(left[inside], 75)) + shape.compute, shape.compute)
    return [
        _legal(
            replace(
                shape,
                compute=min(high, 1.5),
                dip=max(0.0, high - k * depth),
                dip_at_s=float(into[worst]) - width,
                dip_fall_s=width,
                dip_recovery_s=width,
            )
        )
        for k in (1.0, 2.0)
    ]


def _with_overshoot(shape: Shape, left: Float, into_s: Float, dt_s: float) -> list[Shape]:
    """Return the shape with a peak right after the rise."""
    into = into_s % shape.period_s
    head = (into > 0) & (into < shape.rise_s + max(2 * dt_s, 0.06 * shape.period_s))
    if not head.any() or left[head].max() <= 0.02 * (shape.compute - shape.communication):
        return []
    peak = shape.compute + 1.5 * float(left[head].max())
    return [_legal(replace(shape, overshoot=min(peak, 1.5), overshoot_s=s)) for s in (0.4, max(dt_s, 0.4))]
