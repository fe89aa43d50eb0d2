"""The period of what repeats in a trace.

It is the lag at which a trace resembles itself most, looked for at the multiples of its strongest line, because
the strongest line may be a harmonic.  Pauses are left out of the comparison, once they are known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Flags = NDArray[np.bool_]
_MULTIPLES = 24  # the strongest line may be up to this harmonic
_ALIKE = 0.85  # the shortest multiple that is so much as similar as the best one is the period
_STANDS_OUT = 5.0  # a line over the median around it: little, because jitter widens lines
_PLAIN = 0.6  # so much likeness is a period, though several and a pause may be more alike
_CONTRAST = 0.3  # likeness over the least likeness at a shorter lag: a drift has none
_CLEAR = 0.5  # likeness of a period that stands for itself
_LEAST = 0.4  # likeness, below which nothing repeats
_RARE = 0.15  # of the time: low stretches that take more are iterations
_COARSEST = 4.0  # samples in an iteration, below which it is not told from its alias


@dataclass(frozen=True)
class Period:
    """A period and how well a trace shows it.

    Parameters
    ----------
    period_s : float
        The period. [s]
    likeness : float
        Autocorrelation at that lag, 1 for a perfect repetition.
    """

    period_s: float
    likeness: float


def find_period(p: Float, known: Flags, dt_s: float, *, longest_s: float, near_s: float | None = None) -> Period | None:
    r"""Return the period of a series, or None where nothing repeats.

    Parameters
    ----------
    p : ndarray, shape (time,)
        Power, any unit.
    known : ndarray of bool, shape (time,)
        Samples to look at; pauses are left out.
    dt_s : float
        Step. [s]
    longest_s : float
        Longest period that is looked for. [s]
    near_s : float, optional
        Where it is known to be, to 20 %. [s]

    Notes
    -----
    The autocorrelation counts pairs of known samples only,

    .. math:: r(l) = \frac{\sum_t m_t m_{t+l} x_t x_{t+l} / \sum_t m_t m_{t+l}}{\sum_t m_t x_t^2 / \sum_t m_t}

    and a line of the spectrum counts if its power is 5 times the median of its neighbourhood.
    """
    n = p.size
    if n < 8 or known.sum() < 8:
        return None
    at: Float = np.arange(n, dtype=float)
    slope, level = np.polyfit(at[known], p[known], 1)
    x = np.where(known, p - level - slope * at, 0.0)
    if np.sqrt(np.mean(x[known] ** 2)) <= 1e-9 * abs(level):
        return None
    window = np.hanning(n + 2)[1:-1]
    padded = 1 << int(np.ceil(np.log2(4 * n)))
    power = np.abs(np.fft.rfft(x * window, padded)) ** 2
    f_hz = np.fft.rfftfreq(padded, dt_s)
    looked = (f_hz >= 1.0 / longest_s) & (f_hz <= 0.5 / dt_s)
    if not looked.any():
        return None
    k = int(np.flatnonzero(looked)[np.argmax(power[looked])])
    around = power[(f_hz > f_hz[k] / 2) & (f_hz < f_hz[k] * 2)]
    if power[k] < _STANDS_OUT * np.median(around):
        return None
    lag_s, like = _autocorrelation(x, known, dt_s, longest_s)
    if near_s is not None:
        near = (lag_s >= 0.8 * near_s) & (lag_s <= 1.2 * near_s)
        j = int(np.flatnonzero(near)[np.argmax(like[near])])
        return Period(float(lag_s[j]), float(like[j])) if like[j] > 0.5 * _LEAST else None
    best: list[tuple[float, float]] = []
    for multiple in range(1, _MULTIPLES + 1):
        near_s = multiple / f_hz[k]
        width_s = min(0.12 * near_s, 0.4 / f_hz[k])
        near = (lag_s >= near_s - width_s) & (lag_s <= near_s + width_s) & (lag_s >= _COARSEST * dt_s)
        if near_s <= longest_s and near.any():
            j = int(np.flatnonzero(near)[np.argmax(like[near])])
            best.append((float(lag_s[j]), float(like[j])))
    if not best:
        return None
    top = max(r for _, r in best)
    for period_s, r in best:
        contrast = r - float(like[lag_s <= period_s].min())
        if r > max(min(_ALIKE * top, _PLAIN), _LEAST) and contrast > _CONTRAST:
            return Period(period_s, r)
    return None


def _autocorrelation(x: Float, known: Flags, dt_s: float, longest_s: float) -> tuple[Float, Float]:
    """Return lags and autocorrelation, drawn through the samples by a cubic spline."""
    from scipy.interpolate import CubicSpline

    padded = 1 << int(np.ceil(np.log2(2 * x.size)))
    mask = known.astype(float)
    sums = np.fft.irfft(np.abs(np.fft.rfft(x, padded)) ** 2, padded)
    pairs = np.fft.irfft(np.abs(np.fft.rfft(mask, padded)) ** 2, padded)
    count = min(x.size - 1, int(longest_s * 1.15 / dt_s) + 2)
    r = sums[:count] / np.maximum(pairs[:count], 0.5)
    r /= r[0]
    lag: Float = np.arange(count, dtype=float)
    fine = np.linspace(0, count - 1, min(8 * count, 200_000))
    return fine * dt_s, np.asarray(CubicSpline(lag, r)(fine))


def find_pauses(
    p: Float, dt_s: float, *, longest_s: float, near_s: float | None = None
) -> tuple[Period | None, Flags, str]:
    """Return the period of the iterations, what is no pause, and how the two were told apart.

    Parameters
    ----------
    p : ndarray, shape (time,)
        Power, any unit.
    dt_s : float
        Step. [s]
    longest_s : float
        Longest period that is looked for. [s]
    near_s : float, optional
        Where the period is known to be, to 20 %. [s]

    Notes
    -----
    Three readings of the low stretches are tried: all belong to iterations; those beyond 2.5 times the
    median length are pauses; all are pauses, rare and far apart, of a job whose iterations hardly show.  A
    later reading is taken where what it leaves repeats clearly, and not later than what was found before.
    """
    everything: Flags = np.ones(p.size, dtype=bool)
    best, known, how = find_period(p, everything, dt_s, longest_s=longest_s, near_s=near_s), everything, ""
    high, low = np.percentile(p, 75), np.percentile(p, 0.5)
    below = p < 0.5 * (high + low)
    change = np.diff(below.astype(np.int8), prepend=0, append=0)
    begins, ends = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    if begins.size < 2:
        return best, known, how
    lasts = ends - begins
    long = lasts > max(2.5 * float(np.median(lasts)), 2.0)
    readings = [(long, "")]
    spacing_s = float(np.median(np.diff(begins))) * dt_s
    if below.mean() < _RARE and spacing_s > 60.0:
        text = f"Low stretches about {spacing_s:.3g} s apart are read as pauses, not as the iterations' own."
        readings.append((np.ones(lasts.size, dtype=bool), text))
    for pauses, text in readings:
        if not pauses.any():
            continue
        rest = everything.copy()
        for k in np.flatnonzero(pauses):
            rest[max(begins[k] - 1, 0) : ends[k] + 1] = False
        found = find_period(p, rest, dt_s, longest_s=longest_s, near_s=near_s)
        # What interrupts every second iteration, or more, belongs to the iterations.
        if found is None or np.count_nonzero(pauses) * found.period_s > 0.5 * p.size * dt_s:
            continue
        if best is None or near_s is not None or (found.period_s < 1.05 * best.period_s and found.likeness > _CLEAR):
            best, known, how = found, rest, text
    return best, known, how
