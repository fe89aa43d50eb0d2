"""When requests come, and how long they are: renewal processes on a clock that runs with the rate."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, signal, special

from gridedge.errors import bad

Float = NDArray[np.float64]


def arrivals(rate_per_s: Float, dt_s: float, *, cv: float, law: str, rng: np.random.Generator) -> Float:
    """Return the times of requests that come at a changing rate, in bursts.

    Parameters
    ----------
    rate_per_s : ndarray, shape (time,)
        Mean rate of each step. [1/s]
    dt_s : float
        Step. [s]
    cv : float
        Standard deviation over mean of the time between two, where the rate is steady; 1 is a Poisson process.
    law : {"gamma", "weibull"}
        Its law.
    rng : Generator
        Chance.

    Returns
    -------
    ndarray, shape (request,)
        Times from the start, rising. [s]

    Raises
    ------
    InputError
        If a rate is negative or NaN, or the law cannot have this spread.

    Notes
    -----
    Intervals of mean one are drawn on a clock that advances by the rate, and taken back to time: so the expected
    number in any stretch is the integral of the rate.  For that the first comes as after a long time: anywhere in an
    interval that is drawn by its length, since a moment rather falls into a long one [1]_.  Drawn as the others it
    would bring (cv^2 + 1) / 2 requests too many, 88 for a cv of 13.2.

    References
    ----------
    .. [1] D. R. Cox, "Renewal Theory", Methuen, 1962, equilibrium renewal processes (from memory).
    """
    if not np.isfinite(rate_per_s).all() or (rate_per_s < 0).any():
        raise bad("a rate of requests is negative or NaN", "rate_per_s", "Give 0 or more in every step.")
    clock = np.r_[0.0, np.cumsum(rate_per_s) * dt_s]
    end = clock[-1]
    count = int(end + 6 * cv * math.sqrt(end + 1) + 64)
    moments = np.empty(0)
    last = 0.0
    first = rng.random() * _interval_around(cv, law, rng)  # at first: so a longer series begins as a shorter one
    while last <= end:
        gaps = _intervals(count, cv, law, rng)
        if not moments.size:
            gaps[0] = first
        moments = np.r_[moments, last + np.cumsum(gaps)]
        last = float(moments[-1])
    return np.asarray(np.interp(moments[moments < end], clock, np.arange(clock.size) * dt_s))


def _intervals(count: int, cv: float, law: str, rng: np.random.Generator) -> Float:
    """Draw intervals of mean one."""
    if law == "gamma":
        shape = 1.0 / cv**2
        return np.asarray(rng.gamma(shape, 1.0 / shape, count))
    shape = weibull_shape(cv)
    return np.asarray(rng.weibull(shape, count) / special.gamma(1 + 1 / shape))


def _interval_around(cv: float, law: str, rng: np.random.Generator) -> float:
    """Draw the interval around a moment: each length as often as it is drawn, times the length."""
    if law == "gamma":
        shape = 1.0 / cv**2
        return float(rng.gamma(shape + 1.0, 1.0 / shape))
    shape = weibull_shape(cv)
    return float(rng.gamma(1.0 + 1.0 / shape) ** (1.0 / shape) / special.gamma(1 + 1 / shape))


def weibull_shape(cv: float) -> float:
    """Return the shape of the Weibull law with a given standard deviation over mean.

    Raises
    ------
    InputError
        If it is outside of 0.05 to 20.
    """
    if not 0.05 <= cv <= 20:
        raise bad("a Weibull law is asked for a spread it is not used for", f"cv {cv:g}", "Give 0.05 to 20, or gamma.")

    def apart(k: float) -> float:
        return float(special.gammaln(1 + 2 / k) - 2 * special.gammaln(1 + 1 / k) - math.log1p(cv**2))

    return float(optimize.brentq(apart, 0.1, 40.0, xtol=1e-12))


def lengths(count: int, law: tuple[float, float], rng: np.random.Generator, *, most: int) -> NDArray[np.int64]:
    """Return token counts of a log-normal law, rounded, from 1 to ``most``.

    Parameters
    ----------
    count : int
        How many.
    law : (float, float)
        Mean and standard deviation of ln(tokens).
    rng : Generator
        Chance.
    most : int
        Longest that a model takes; what is longer is cut to it, as serving engines do.
    """
    drawn = np.exp(rng.normal(law[0], law[1], count))
    return np.clip(np.round(drawn), 1, most).astype(np.int64)


def minute_noise(
    minutes: int, sites: int, *, std_pu: float, common_pu: float, memory_s: float, rng: np.random.Generator
) -> Float:
    """Return factors on the rate of each site, minute by minute, with mean one.

    Parameters
    ----------
    minutes, sites : int
        How many.
    std_pu : float
        Standard deviation of each factor's logarithm.
    common_pu : float
        Correlation between two sites, 0 to 1: events that a whole metro follows.
    memory_s : float
        Time after which a departure has faded to 1/e; 0 for none. [s]
    rng : Generator
        Chance; in each minute the common part is drawn first.

    Returns
    -------
    ndarray, shape (site, minute)
    """
    keep = math.exp(-60.0 / memory_s) if memory_s > 0 else 0.0
    white = rng.standard_normal((minutes, sites + 1)).T  # minute by minute: a longer series begins as a shorter one
    scale = math.sqrt(1 - keep**2)
    # The first minute is as any other: it starts at white itself, of variance one.
    z, _ = signal.lfilter([scale], [1.0, -keep], white, axis=1, zi=(1 - scale) * white[:, :1])
    mixed = math.sqrt(common_pu) * z[0] + math.sqrt(1 - common_pu) * z[1:]
    return np.asarray(np.exp(std_pu * mixed - std_pu**2 / 2))
