"""The noise of a job from what its mean iteration leaves: level, corner and slope."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
_FEWEST = 12  # blocks, below which a variance says little
_SLOPES = np.geomspace(0.5, 2.0, 17)


@dataclass(frozen=True)
class Noise:
    """Octaves of linearly interpolated knots; see ``noise.py``.

    Parameters
    ----------
    noise_pu : float
        Standard deviation at the knots. [pu]
    step_s : float
        Distance of the finest knots. [s]
    octaves : int
        Number of octaves.
    slope : float
        Deviation of an octave over that of the next finer one.
    """

    noise_pu: float
    step_s: float
    octaves: int
    slope: float


def fit_noise(left_pu: Float, dt_s: float, *, finest_s: float = 0.25) -> Noise:
    r"""Fit octaves of noise to the variance of block means.

    Parameters
    ----------
    left_pu : ndarray, shape (time,)
        What the mean iteration leaves, NaN where it is not known. [pu]
    dt_s : float
        Step. [s]
    finest_s : float
        Finest knots that are assumed where the trace's step is finer or equal. [s]

    Notes
    -----
    White knots h apart with straight lines between have, over all phases, the autocovariance of the cubic B-spline
    (variance 2/3); so a mean over D has the variance

    .. math:: v(h, D) = \frac{2}{D} \int_0^D (1 - \tau/D)\, B_3(\tau/h)\, d\tau .

    Octaves with weights :math:`w_j^2 \sim slope^{2j}` are fitted to the variances of block means of 1, 2, 4, ...
    steps, in logarithms.  Knots finer than the step cannot be told from white noise of the recorder.
    """
    blocks: list[float] = []
    spans: list[float] = []
    many: list[int] = []
    width = 1
    while left_pu.size // width >= _FEWEST:
        rows = left_pu[: left_pu.size // width * width].reshape(-1, width)
        known = np.isfinite(rows)
        full = known.mean(axis=1) > 0.7
        if full.sum() < _FEWEST:
            break
        means = np.nansum(rows[full], axis=1) / known[full].sum(axis=1)
        spans.append(width * dt_s)
        blocks.append(float(np.var(means)))
        many.append(int(full.sum()))
        width *= 2
    if not blocks or blocks[0] <= 1e-16:
        return Noise(0.0, max(dt_s, finest_s), 1, 1.0)
    target = np.log(np.maximum(blocks, 1e-18))
    weight = np.sqrt(np.minimum(many, 200))
    weight = weight / weight.sum()
    best = (np.inf, Noise(0.0, dt_s, 1, 1.0))
    # The finest knots lie at the trace's step or above: candidates, not a continuum, so that the result is round.
    for step_s in sorted({max(dt_s, finest_s), *(dt_s * k for k in (1, 2, 4, 8) if dt_s * k <= 4 * finest_s)}):
        table = np.array([[_variance(step_s * 2**j, span) for span in spans] for j in range(len(spans) + 2)])
        for octaves in range(1, len(table) + 1):
            for slope in _SLOPES if octaves > 1 else (1.0,):
                square = slope ** (2.0 * np.arange(octaves))
                model = np.log(square @ table[:octaves] / square.sum())
                offset = float((weight * (target - model)).sum())
                # One octave less is preferred unless it costs: noise of short traces has no more to say.
                cost = float((weight * (target - model - offset) ** 2).sum()) + 1e-3 * octaves
                if cost < best[0]:
                    best = (cost, Noise(float(np.exp(offset / 2)), step_s, octaves, float(slope)))
    return best[1]


def _variance(h_s: float, span_s: float) -> float:
    tau = (np.arange(64) + 0.5) / 64 * min(span_s, 2 * h_s)
    x = tau / h_s
    spline = np.where(x < 1, 2 / 3 - x**2 + x**3 / 2, (2 - x) ** 3 / 6)
    return float(2 / span_s * np.mean((1 - tau / span_s) * spline) * min(span_s, 2 * h_s))
