"""Replicas that are started and parked with the load: the policy, and how a fluid of requests follows it."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gridedge.errors import bad
from gridedge.profiles.inference.replica import Rates
from gridedge.spec import Spec, quantity

Float = NDArray[np.float64]


class Scaling(Spec):
    """When idle replicas are parked, and when they come back.

    How many are wanted is decided again and again: the work that came in the look-back and the work that waits, over
    the look-back and the load that is aimed at, rounded up.  More are started at once; fewer work only after they
    have been too many for a while.  One that is to be parked finishes what it has.
    """

    minimum: int = Field(1, ge=1)
    """Replicas that always work."""
    target_load_pu: float = quantity(
        0.6, mark="assumed", source="leaves room for the bursts of a start's length", low=0.5, high=0.75, gt=0, le=1
    )
    """Load that is aimed at. [pu of what a replica can serve]"""
    look_back_s: float = quantity(60.0, mark="assumed", source="a minute's requests tell the load", gt=0)
    """Over how long the load is measured. [s]"""
    decide_s: float = quantity(
        15.0, mark="quoted", source="Kubernetes: its autoscaler decides every 15 s, from memory", gt=0
    )
    """From one decision to the next. [s]"""
    keep_s: float = quantity(
        300.0, mark="quoted", source="Kubernetes: its autoscaler scales down after 300 s, from memory", ge=0
    )
    """How long replicas must have been too many before some are parked. [s]"""
    load_gb_per_s: float = quantity(
        5.0, mark="assumed", source="weights read from local flash storage", low=1.0, high=14.0, gt=0
    )
    """How fast weights are loaded. [GB/s]"""
    boot_s: float = quantity(30.0, mark="assumed", source="waking, and starting the serving engine", ge=0)
    """What a start takes beside the weights. [s]"""
    parked_pu: float = quantity(
        0.1,
        mark="assumed",
        source="servers asleep, their controllers awake; no figure found",
        low=0.02,
        high=0.5,
        ge=0,
        le=1,
    )
    """Power of a parked replica. [pu of its idle power]"""

    def start_s(self, rates: Rates) -> float:
        """Return how long a start takes, in s: the weights over how fast they load, and the rest."""
        return self.boot_s + rates.weights_gb / self.load_gb_per_s

    def wanted(self, work_s: float, span_s: float, replicas: int) -> int:
        """Return how many replicas work that came in a span asks for."""
        least = int(np.ceil(work_s / (span_s * self.target_load_pu) - 1e-9))
        return min(max(least, self.minimum), replicas)

    def check(self, replicas: int) -> None:
        """Check that the minimum can be held.

        Raises
        ------
        InputError
            If there are fewer replicas than the minimum.
        """
        if self.minimum > replicas:
            value = f"minimum {self.minimum}, {replicas} replicas"
            raise bad("more replicas are always to work than there are", value, "Lower minimum, or add replicas.")

    def table(self, rates: Rates, start: int) -> Float:
        """Return the figures that the exact loop reads."""
        start_s = max(self.start_s(rates), 1e-9)
        powers = rates.idle_w, self.parked_pu * rates.idle_w
        last = (self.minimum, start, start_s, *powers)
        return np.array([self.decide_s, self.look_back_s, self.keep_s, self.target_load_pu, *last], dtype=float)


def follow(
    rate_per_s: Float, dt_s: float, scaling: Scaling, rates: Rates, *, per_s: float, replicas: int
) -> tuple[Float, Float]:
    """Return how many replicas work and start, where requests are a fluid.

    Parameters
    ----------
    rate_per_s : ndarray, shape (site, time)
        What is asked. [1/s]
    dt_s : float
        Step. [s]
    scaling : Scaling
        The policy.
    rates : Rates
        What a replica does, for the length of its start.
    per_s : float
        What a replica serves at most. [1/s]
    replicas : int
        How many each site has.

    Returns
    -------
    working, starting : ndarray, shape (site, time)
        Mean numbers of each step; the rest is parked.

    Notes
    -----
    Decisions fall on the beginnings of steps and know only what lies before: look-back, waiting time and start are
    whole steps, at least one of look-back; a start shorter than a step takes its share of it.
    """
    scaling.check(replicas)
    rate = np.atleast_2d(np.asarray(rate_per_s, dtype=float))
    working, starting = np.empty_like(rate), np.zeros_like(rate)
    back = max(1, round(scaling.look_back_s / dt_s))
    keep = max(0, round(scaling.keep_s / dt_s))
    _compiled()(
        rate / per_s, dt_s, back, keep, scaling.target_load_pu, scaling.minimum, replicas, scaling.start_s(rates),
        working, starting,
    )  # fmt: skip
    return working, starting


def _follow(
    work: Float, dt_s: float, back: int, keep: int, target: float, least: int, most: int, start_s: float,
    working: Float, starting: Float,
) -> None:  # fmt: skip
    """Follow the load of each site; ``work`` in replicas."""
    sites, steps = work.shape
    for s in range(sites):
        total, backlog = 0.0, 0.0
        state = np.array([float(least), float(least), -1.0, 0.0])
        coming = np.zeros(steps + int(start_s / dt_s) + 2)
        for k in range(steps):
            if k > 0:
                total += work[s, k - 1]
                if k > back:
                    total -= work[s, k - 1 - back]
                seen = total / min(k, back)
            else:
                seen = work[s, 0]
            demand = (seen + backlog / (back * dt_s)) / target
            working[s, k] = advance(k, demand, dt_s, keep, least, most, start_s, state, coming, starting[s])
            left = backlog + (work[s, k] - working[s, k]) * dt_s
            backlog = max(left, 0.0)


def advance(
    k: int, demand: float, dt_s: float, keep: int, least: float, most: float, start_s: float, state: Float,
    coming: Float, starting: Float,
) -> float:  # fmt: skip
    """Decide at the beginning of a step, and return how many work in it on average.

    Parameters
    ----------
    k : int
        The step.
    demand : float
        Replicas that the load asks for.
    dt_s : float
        Step. [s]
    keep : int
        Steps for which replicas must have been too many before some are parked.
    least, most : float
        Replicas that always work, and all there are.
    start_s : float
        Length of a start. [s]
    state : ndarray, shape (4,)
        In and out: replicas that work or start, those that work, since which step there are too many (-1: there are
        not), and how many were needed since.
    coming : ndarray, shape (step,)
        In and out: replicas whose start ends before a step; as many entries as steps, those of a start and two more.
    starting : ndarray, shape (step,)
        Out: mean number that starts in each step is added.
    """
    steps = starting.size
    wanted = min(max(np.ceil(demand - 1e-9), least), most)
    state[1] += coming[k]
    whole = int(start_s / dt_s)
    part = start_s / dt_s - whole
    if k == 0:
        state[0] = state[1] = wanted
    if wanted > state[0]:
        # They work from the moment their start is over, within a step.
        fresh = wanted - state[0]
        coming[k + whole + 1] += fresh
        for j in range(k, min(k + whole, steps)):
            starting[j] += fresh
        if k + whole < steps:
            starting[k + whole] += fresh * part
        state[0] = wanted
        state[2] = -1.0
    elif wanted == state[0]:
        state[2] = -1.0
    elif state[2] < 0.0:
        state[2], state[3] = k, wanted
    else:
        state[3] = max(state[3], wanted)
    if state[2] >= 0.0 and k - state[2] >= keep and state[3] < state[0]:
        fewer = min(state[0] - state[3], state[1])
        state[0] -= fewer
        state[1] -= fewer
        state[2] = -1.0
    # Those whose start ends within this step work for the rest of it.
    return float(state[1] + coming[k + 1] * (1.0 - part))


@cache
def compiled_policy() -> Any:
    """Return :func:`advance` compiled, for the loops that call it; here it stands in its own place from then on."""
    from gridedge.profiles.inference.run import machine  # which knows the policy too

    sys.modules[__name__].advance = machine()(advance)  # type: ignore[attr-defined]
    return advance


@cache
def _compiled() -> Any:
    from gridedge.profiles.inference.run import machine

    compiled_policy()
    return machine()(_follow)
