"""Serving without single requests: what the exact run says at each load, then carried over a year.

A load curve is measured on the exact run: mean power, how much its minutes fluctuate, and how long requests wait, by
the share of a replica's capacity that is asked of it. The fluid model reads it in every step, and keeps a backlog where
more is asked than can be served.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.profiles.inference.replica import Rates
from gridedge.profiles.inference.run import Requests, Served, machine, serve_exactly
from gridedge.profiles.inference.scaling import Scaling, follow

Float = NDArray[np.float64]
LOADS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.85, 0.92, 0.97)
"""Shares of the capacity at which the exact run is made."""
_SETTLE_S = 180.0
_LEAST = 20_000  # requests of a run: with fewer, chance in their lengths moves the capacity of agents by 4 %
QUANTILES = (0.5, 0.95, 0.99)
SHARES = np.r_[0.0, 0.005, 0.01, 0.025, np.linspace(0.05, 0.95, 19), 0.975, 0.99, 0.995, 1.0]
"""At which the distribution of the minutes is kept."""
Serve = Callable[[Requests, float, float, bool], Served]


@dataclass(frozen=True)
class LoadCurve:
    """What one replica does at each load.

    Parameters
    ----------
    load_pu : ndarray, shape (level,)
        Requests per second over what it can serve, from 0 to 1.
    power_w : ndarray, shape (level,)
        Mean power. [W]
    minute_std_w : ndarray, shape (level,)
        Standard deviation of its one-minute means. [W]
    first_token_s, token_s : ndarray, shape (quantile, level)
        Median, 95th and 99th percentile of the time to the first token, and of the mean time between tokens. [s]
    capacity_per_s : float
        Requests per second that it serves at most. [1/s]
    late_pu : ndarray, shape (level,)
        Share of requests that miss their latency.
    minute_w : ndarray, shape (share, level)
        Quantiles of the one-minute means of power, by the shares of ``SHARES``. [W]
    """

    load_pu: Float
    power_w: Float
    minute_std_w: Float
    first_token_s: Float
    token_s: Float
    capacity_per_s: float
    late_pu: Float
    minute_w: Float = field(default_factory=lambda: np.empty((0, 0)))

    def at(self, values: Float, load_pu: Float) -> Float:
        """Return a column of the curve at loads, linear between the levels, held above the last."""
        return np.asarray(np.interp(load_pu, self.load_pu, values))


def load_curve(
    rates: Rates,
    draw: Callable[[float, float, int], Requests],
    *,
    first_token_s: float = np.inf,
    token_s: float = np.inf,
    minutes: int = 30,
    most_requests: int = 400_000,
    replicas: int = 1,
    serve: Serve | None = None,
    idle_w: float | None = None,
) -> LoadCurve:
    """Measure a load curve on exact runs.

    Parameters
    ----------
    rates : Rates
        What the replica does.
    draw : callable
        ``draw(per_s, duration_s, stream)`` returns requests at a steady rate.
    first_token_s, token_s : float
        What is late. [s]
    minutes : int
        Length of each run after it has settled; longer where it would hold fewer than 20,000 requests.
    most_requests : int
        A run is shortened to this, but to no less than ten minutes.
    replicas : int
        How many share one queue; the curve is that of all of them.
    serve : callable, optional
        ``serve(requests, duration_s, dt_s, drain)`` makes an exact run; that of equal replicas if left out.
    idle_w : float, optional
        Power without any request; that of all replicas if left out. [W]

    Raises
    ------
    InputError
        If nothing is served, or power at work is not above the idle power.

    Notes
    -----
    The capacity is found first: the rate that is served while requests wait without end.
    """
    if serve is None:

        def serve(ask: Requests, duration_s: float, dt_s: float, drain: bool) -> Served:
            return serve_exactly(ask, rates, replicas=replicas, duration_s=duration_s, dt_s=dt_s, drain=drain)

    trial = draw(1.0, 4000.0, 0)
    mean_in, mean_out = float(trial.tokens_in.mean()), float(trial.tokens_out.mean())
    guess = replicas * rates.capacity_per_s(mean_in, mean_out)
    span = min(max(600.0, _LEAST / guess), most_requests / (2.0 * guess))
    flood = draw(2.0 * guess, span, 1)
    even = Requests(np.linspace(0.0, span, flood.at_s.size, endpoint=False), flood.tokens_in, flood.tokens_out)
    run = serve(even, span, span / 10, False)
    half = run.done_s[np.isfinite(run.done_s)]
    capacity = float(((half > span / 2) & (half <= span)).sum() / (span / 2))
    if not capacity > 0:
        raise bad("a replica serves nothing within ten minutes", f"{mean_out:.0f} tokens an answer", "Shorten it.")
    columns: list[tuple[float, ...]] = []
    spread: list[Float] = []
    for k, load in enumerate(LOADS):
        if load == 0:
            nothing = replicas * rates.idle_w if idle_w is None else idle_w
            columns.append((nothing, 0.0, *(0.0,) * 7))
            spread.append(np.full(SHARES.size, nothing))
            continue
        per_s = load * capacity
        wanted = max(60.0 * minutes, _LEAST / per_s)
        span = float(min(_SETTLE_S + wanted, max(_SETTLE_S + 600.0, most_requests / per_s)))
        span = 60.0 * round(span / 60.0)
        ask = draw(per_s, span, 2 + k)
        one = serve(ask, span, 60.0, True)
        skip = int(_SETTLE_S / 60.0)
        mine = ask.at_s >= _SETTLE_S
        first, gap = one.first_token_s[mine], one.between_tokens_s[mine]
        late = (first > first_token_s) | (np.nan_to_num(gap) > token_s)
        waits = [np.quantile(first, QUANTILES), np.nanquantile(gap, QUANTILES)] if first.size else [np.zeros(3)] * 2
        power = one.power_w[skip:]
        spread.append(np.asarray(np.quantile(power, SHARES)))
        columns.append((power.mean(), power.std(ddof=1), *waits[0], *waits[1], late.mean() if late.size else 0.0))
    table = np.array(columns).T
    table[2:8, 0] = table[2:8, 1]  # without load the wait is that of the first request
    # The last level is capacity itself: power of the flood, and requests that wait without end.
    full = float(run.power_w[5:].mean())
    last = np.r_[full, table[1, -1], table[2:8, -1], 1.0]
    table = np.c_[table, last]
    loads = np.r_[LOADS, 1.0]
    if not full > table[0, 0]:
        value = f"{full:.4g} W at work, {table[0, 0]:.4g} W idle"
        raise bad("power at work does not lie above the idle power", value, "Lower host_kw, or correct the curve.")
    minutes_w = np.stack([*spread, np.full(SHARES.size, full)], axis=1)
    return LoadCurve(loads, table[0], table[1], table[2:5], table[5:8], capacity, table[8], minutes_w)


@dataclass(frozen=True)
class FluidResult:
    """What sites serve and draw, step by step.

    Parameters
    ----------
    power_w : ndarray, shape (site, time)
        Mean of each step. [W]
    load_pu : ndarray, shape (site, time)
        Share of the capacity in use.
    served, late, waiting : ndarray, shape (site, time)
        Requests served in the step, how many of them late, and how many wait at its end.
    refused : ndarray, shape (site, time)
        Requests turned away in the step.
    """

    power_w: Float
    load_pu: Float
    served: Float
    late: Float
    waiting: Float
    refused: Float


def carry(
    rate_per_s: Float, dt_s: float, curve: LoadCurve, replicas: NDArray[np.float64], *, patience_s: float = np.inf
) -> FluidResult:
    """Carry rates through sites of equal replicas.

    Parameters
    ----------
    rate_per_s : ndarray, shape (site, time)
        What is asked. [1/s]
    dt_s : float
        Step. [s]
    curve : LoadCurve
        What a replica does.
    replicas : ndarray, shape (site,) or (site, time)
        How many work.
    patience_s : float
        A request that would wait longer is refused. [s]

    Raises
    ------
    InputError
        If a rate is negative or NaN.

    Notes
    -----
    Offered + waiting before = served + refused + waiting after, in every step. What is served after a wait counts as
    late where the backlog takes longer than a step to clear.
    """
    if not (rate_per_s >= 0).all() or not np.isfinite(rate_per_s).all():
        raise bad("a rate of requests is negative or NaN", "rate_per_s", "Give 0 or more in every step.")
    sites, steps = rate_per_s.shape
    count = np.broadcast_to(np.asarray(replicas, dtype=float).reshape(sites, -1), (sites, steps))
    most = count * curve.capacity_per_s * dt_s
    offered = rate_per_s * dt_s
    served, waiting, refused = offered.copy(), np.zeros((sites, steps)), np.zeros((sites, steps))
    if (offered > most).any():
        room = patience_s * most / dt_s if np.isfinite(patience_s) else np.full_like(most, np.inf)
        _compiled()(offered, most, room, served, waiting, refused)
    with np.errstate(invalid="ignore", divide="ignore"):
        load = np.where(most > 0, served / most, 0.0)
    power = count * curve.at(curve.power_w, load)
    before = np.c_[np.zeros(sites), waiting[:, :-1]]
    late = np.where(before > 0, served, served * curve.at(curve.late_pu, load))
    return FluidResult(power, load, served, late, waiting, refused)


def _wait(offered: Float, most: Float, room: Float, served: Float, waiting: Float, refused: Float) -> None:
    """Keep a backlog where more is asked than can be served; all of shape (site, time)."""
    for s in range(offered.shape[0]):
        backlog = 0.0
        for k in range(offered.shape[1]):
            total = backlog + offered[s, k]
            served[s, k] = min(total, most[s, k])
            left = total - served[s, k]
            refused[s, k] = max(left - room[s, k], 0.0)
            backlog = left - refused[s, k]
            waiting[s, k] = backlog


@cache
def _compiled() -> Any:
    return machine()(_wait)


@dataclass(frozen=True)
class Parked:
    """A fluid of requests on replicas that are parked with the load.

    Parameters
    ----------
    result : FluidResult
        As of :func:`carry`, the power of starting and parked replicas included.
    working, starting : ndarray, shape (site, time)
        Mean numbers of each step; the rest is parked.
    saved_j : ndarray, shape (site,)
        Energy without parking less energy with it. [J]
    more_late : ndarray, shape (site,)
        Requests that are late only because of it.
    """

    result: FluidResult
    working: Float
    starting: Float
    saved_j: Float
    more_late: Float


def carry_parked(
    rate_per_s: Float,
    dt_s: float,
    curve: LoadCurve,
    rates: Rates,
    scaling: Scaling,
    replicas: int,
    *,
    patience_s: float = np.inf,
) -> Parked:
    """Carry rates through sites whose replicas are parked with the load.

    Parameters
    ----------
    rate_per_s : ndarray, shape (site, time)
        What is asked. [1/s]
    dt_s : float
        Step. [s]
    curve : LoadCurve
        What one replica does.
    rates : Rates
        Its idle power, and the weights that a start loads.
    scaling : Scaling
        The policy, followed by :func:`gridedge.profiles.inference.scaling.follow`.
    replicas : int
        How many each site has.
    patience_s : float
        A request that would wait longer is refused. [s]

    Raises
    ------
    InputError
        If there are fewer replicas than are always to work.
    """
    working, starting = follow(rate_per_s, dt_s, scaling, rates, per_s=curve.capacity_per_s, replicas=replicas)
    found = carry(rate_per_s, dt_s, curve, working, patience_s=patience_s)
    full = carry(rate_per_s, dt_s, curve, np.full(rate_per_s.shape[0], float(replicas)), patience_s=patience_s)
    beside = starting + scaling.parked_pu * (replicas - working - starting)
    power = found.power_w + rates.idle_w * beside
    return Parked(
        replace(found, power_w=power),
        working,
        starting,
        (full.power_w - power).sum(axis=1) * dt_s,
        (found.late - full.late).sum(axis=1),
    )
