"""Serve a list of requests exactly, and close the books."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import bad
from gridedge.profiles.inference import exact
from gridedge.profiles.inference.replica import Rates
from gridedge.profiles.inference.scaling import Scaling

Float = NDArray[np.float64]
WAITS, RUNS, DONE, REFUSED = 1, 2, 3, 4


@dataclass(frozen=True)
class Requests:
    """Requests in the order of their arrival.

    Parameters
    ----------
    at_s : ndarray, shape (request,)
        Arrival from the start, not falling. [s]
    tokens_in, tokens_out : ndarray of int, shape (request,)
        Length of the prompt, and of the answer.
    """

    at_s: Float
    tokens_in: NDArray[np.int64]
    tokens_out: NDArray[np.int64]

    def __post_init__(self) -> None:
        sizes = {self.at_s.size, self.tokens_in.size, self.tokens_out.size}
        if len(sizes) != 1:
            raise bad(
                "requests need a time and two lengths each", str(sorted(sizes)), "Give three arrays of one length."
            )
        if not np.isfinite(self.at_s).all() or (self.at_s < 0).any():
            raise bad("a request comes at no time", "negative or NaN", "Count seconds from the start.")
        back = np.flatnonzero(np.diff(self.at_s) < 0)
        if back.size:
            k = int(back[0])
            value = f"request {k + 1} at {self.at_s[k + 1]:g} s after {self.at_s[k]:g} s"
            raise bad("the times of requests run backwards", value, "Sort them by their arrival.")
        if self.tokens_in.size and (self.tokens_in.min() < 0 or self.tokens_out.min() < 1):
            raise bad("a request has no length", "tokens_in < 0 or tokens_out < 1", "Leave such requests out.")


@dataclass(frozen=True)
class Pool:
    """Equal replicas with one queue, over a run.

    Parameters
    ----------
    name : str
        ``together`` where prompts are read beside decoding; ``prefill``, ``link`` and ``decode`` where they are apart.
    replicas : int
        How many.
    power_w : ndarray, shape (time,)
        Power of all of them, mean of each step. [W]
    entered, left : int
        Requests that came into the pool, and that went on or were done.
    in_system_s : float
        Integral over time of the requests in the pool, queue included. [request s]
    longest_queue : int
        Most requests that waited.
    spent_s : ndarray, shape (state,)
        Time of all replicas: idle, at each batch size, reading prompts, parked, starting. [s]
    powers_w : ndarray, shape (state,)
        Power of one replica in each of these. [W]
    """

    name: str
    replicas: int
    power_w: Float
    entered: int
    left: int
    in_system_s: float
    longest_queue: int
    spent_s: Float
    powers_w: Float

    @property
    def mean_s(self) -> float:
        """Mean time that a request is in the pool, by Little's law, in s."""
        return self.in_system_s / self.entered if self.entered else 0.0

    @property
    def energy_j(self) -> float:
        """Energy of the pool from the times of its states, in J; equals that of the series and what lies behind it."""
        return float(self.spent_s @ self.powers_w)


@dataclass(frozen=True)
class Served:
    """What became of every request, and what it took.

    Parameters
    ----------
    requests : Requests
        What was asked.
    power_w : ndarray, shape (time,)
        Power of all replicas, mean of each step. [W]
    batch : ndarray, shape (time,)
        Sequences in the batches of all replicas, mean of each step.
    dt_s : float
        Step. [s]
    first_s, done_s : ndarray, shape (request,)
        When the first and the last token came; NaN where they did not. [s]
    state : ndarray, shape (request,)
        1 waits, 2 runs, 3 done, 4 refused; 0 came after the end.
    in_system_s : float
        Integral over time of the number of requests in the system. [request s]
    longest_queue : int
        Most requests that waited.
    ended_s : float
        When the run ended. [s]
    energy_after_j : float
        Energy behind the last step, while what was left was served. [J]
    pools : tuple of Pool
        Who served: one pool, or those for prefill and decode with the link between them.
    working : ndarray, shape (time,)
        Replicas that are not parked, mean of each step.
    capacity_per_s : float
        Requests of this mean length that all replicas serve per second at most. [1/s]
    """

    requests: Requests
    power_w: Float
    batch: Float
    dt_s: float
    first_s: Float
    done_s: Float
    state: NDArray[np.int8]
    in_system_s: float
    longest_queue: int
    ended_s: float
    energy_after_j: float
    pools: tuple[Pool, ...]
    working: Float
    capacity_per_s: float

    @property
    def duration_s(self) -> float:
        """Length of the series, in s."""
        return self.power_w.size * self.dt_s

    @property
    def energy_j(self) -> float:
        """Energy of the series and of what was served behind it, in J."""
        return float(self.power_w.sum() * self.dt_s) + self.energy_after_j

    @property
    def asked_per_s(self) -> float:
        """Requests that came, over the length of the series, in 1/s."""
        return float((self.requests.at_s < self.duration_s).sum()) / self.duration_s

    def inside_at(self, t_s: ArrayLike) -> NDArray[np.int64]:
        """Return how many requests are in the system at times: come, not refused, not done."""
        came = np.searchsorted(self.requests.at_s[self.state != REFUSED], t_s, side="right")
        return np.asarray(came - np.searchsorted(np.sort(self.done_s[self.state == DONE]), t_s, side="right"))

    @property
    def unbounded(self) -> str:
        """Say that the queue grows without bound, with figures; empty where it does not.

        So it is where more is asked than can be served, or where more are in the system than all batches hold and
        their number grows in both quarters of the second half.
        """
        end = self.duration_s
        half, late, last = (int(n) for n in self.inside_at([0.5 * end, 0.75 * end, end]))
        slots = sum(p.replicas * (p.spent_s.size - 4) for p in self.pools if p.name != "link")
        grows = half < late < last and last > slots and last - half > 0.02 * self.asked_per_s * end / 2
        if not grows and self.asked_per_s <= self.capacity_per_s:
            return ""
        done = float((self.done_s[np.isfinite(self.done_s)] <= end).sum()) / end
        return (
            f"a queue without bound: {self.asked_per_s:.4g} requests/s are asked, {done:.4g} are done, at most "
            f"about {self.capacity_per_s:.4g} can be; {last} are in the system at the end, "
            f"{(last - half) / end * 120:+.3g} a minute"
        )

    def late(self, first_token_s: float, token_s: float) -> int:
        """Return how many of the requests that were served missed a latency. [s]."""
        slow = np.nan_to_num(self.first_token_s, nan=0.0) > first_token_s
        return int((slow | (np.nan_to_num(self.between_tokens_s, nan=0.0) > token_s))[self.state == DONE].sum())

    @property
    def books(self) -> dict[str, int]:
        """Requests: offered, served, refused, still in the system, and after the end."""
        n = np.bincount(self.state, minlength=5)
        return {
            "offered": int(self.state.size),
            "served": int(n[DONE]),
            "refused": int(n[REFUSED]),
            "in_system": int(n[WAITS] + n[RUNS]),
            "after_end": int(n[0]),
        }

    @property
    def first_token_s(self) -> Float:
        """From arrival to the first token, of every request, in s."""
        return self.first_s - self.requests.at_s

    @property
    def between_tokens_s(self) -> Float:
        """Mean time between the tokens of every answer; NaN for answers of one token; in s."""
        gaps = self.requests.tokens_out - 1
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(gaps > 0, (self.done_s - self.first_s) / gaps, np.nan)

    @property
    def little(self) -> float:
        """Time in the system of all that are done, over the integral of their number; 1 from empty to empty."""
        spent = float(np.nansum(self.done_s - self.requests.at_s))
        return spent / self.in_system_s if self.in_system_s else 1.0


def serve_exactly(
    requests: Requests,
    rates: Rates,
    *,
    replicas: int = 1,
    duration_s: float,
    dt_s: float = 1.0,
    queue_limit: int | None = None,
    pack: bool = False,
    drain: bool = True,
    scaling: Scaling | None = None,
) -> Served:
    """Serve requests on equal replicas with one queue, request by request.

    Parameters
    ----------
    requests : Requests
        What is asked.
    rates : Rates
        What a replica does.
    replicas : int
        How many share the queue.
    duration_s, dt_s : float
        Length and step of the power series. [s]
    queue_limit : int, optional
        A request that finds so many waiting is refused; without, all wait.
    pack : bool
        Fill a replica that works before one that idles is woken.
    drain : bool
        Go on until all is served; otherwise end at ``duration_s``.
    scaling : Scaling, optional
        When replicas are parked; without, all work.  At the start as many work as the first look-back asks for.

    Raises
    ------
    InputError
        If a request is larger than what a replica remembers, there are no replicas, or fewer than are always to work.
    """
    if replicas < 1:
        raise bad("nobody serves", f"{replicas} replicas", "Give 1 or more.")
    if queue_limit is not None and queue_limit < 0:
        raise bad("a queue cannot be shorter than empty", queue_limit, "Give 0 or more, or leave it out.")
    largest = int((requests.tokens_in + requests.tokens_out).max(initial=0))
    if largest > rates.context_tokens:
        value = f"{largest} tokens, a replica holds {rates.context_tokens}"
        raise bad("a request does not fit into the memory of a replica", value, "Give it more accelerators.")
    if not (duration_s > 0 and dt_s > 0):
        raise bad("a run has no length", f"duration_s {duration_s:g}, dt_s {dt_s:g}", "Give both above 0.")
    bins = int(np.ceil(duration_s / dt_s - 1e-9))
    energy, busy, up = np.zeros(bins), np.zeros(bins), np.zeros(bins)
    count = requests.at_s.size
    first, done = np.full(count, np.nan), np.full(count, np.nan)
    state, totals, spent = np.zeros(count, dtype=np.int8), np.zeros(4), np.zeros(rates.max_batch + 4)
    work = rates.work_s(requests.tokens_in, requests.tokens_out)
    before = np.r_[0.0, np.cumsum(work)]
    scale = np.zeros(9)
    if scaling is not None:
        scaling.check(replicas)
        span = min(scaling.look_back_s, duration_s)
        start = scaling.wanted(float(before[np.searchsorted(requests.at_s, span)]), span, replicas)
        scale = scaling.table(rates, start)
    _compiled()(
        requests.at_s, requests.tokens_in, requests.tokens_out, replicas, rates.token_s, rates.power_w, rates.idle_w,
        rates.prefill_s_per_token, rates.prefill_w, rates.context_tokens, rates.prompt_tokens,
        np.iinfo(np.int64).max if queue_limit is None else queue_limit, pack,
        exact.FAR if drain else float(duration_s), before, scale, dt_s, energy, busy, up, spent, first, done, state,
        totals,
    )  # fmt: skip
    powers = np.r_[rates.power_w, rates.prefill_w, scale[8], scale[7]]
    came, gone = int((state == DONE).sum() + np.isin(state, (WAITS, RUNS)).sum()), int((state == DONE).sum())
    pool = Pool("together", replicas, energy / dt_s, came, gone, float(totals[0]), int(totals[2]), spent, powers)
    mean = float(work.mean()) if count else np.inf
    return Served(
        requests, energy / dt_s, busy / dt_s, dt_s, first, done, state, float(totals[0]), int(totals[2]),
        float(totals[1]), float(totals[3]), (pool,),
        np.full(bins, float(replicas)) if scaling is None else up / dt_s, replicas / mean,
    )  # fmt: skip


@cache
def _compiled() -> Any:
    return machine()(exact.serve)


@cache
def machine() -> Any:
    """Return what compiles a loop; the helpers of the loops are compiled then."""
    import numba  # it takes a second

    def compiled(function: Any) -> Any:
        try:
            return numba.njit(cache=True, nogil=True)(function)
        except RuntimeError:  # nowhere to keep it: compile in every process
            return numba.njit(nogil=True)(function)

    for name in ("_add", "_rise", "_sink"):
        setattr(exact, name, compiled(getattr(exact, name)))
    return compiled


def requests_of(at_s: ArrayLike, tokens_in: ArrayLike, tokens_out: ArrayLike) -> Requests:
    """Return requests from anything array-like; scalars of length hold for all."""
    at = np.asarray(at_s, dtype=float)
    whole = [np.broadcast_to(np.asarray(n, dtype=np.int64), at.shape).copy() for n in (tokens_in, tokens_out)]
    return Requests(at, whole[0], whole[1])
