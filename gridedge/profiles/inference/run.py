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

    Raises
    ------
    InputError
        If a request is larger than what a replica remembers.
    """
    largest = int((requests.tokens_in + requests.tokens_out).max(initial=0))
    if largest > rates.context_tokens:
        value = f"{largest} tokens, a replica holds {rates.context_tokens}"
        raise bad("a request does not fit into the memory of a replica", value, "Give it more accelerators.")
    bins = int(np.ceil(duration_s / dt_s - 1e-9))
    energy, busy = np.zeros(bins), np.zeros(bins)
    count = requests.at_s.size
    first, done = np.full(count, np.nan), np.full(count, np.nan)
    state, totals = np.zeros(count, dtype=np.int8), np.zeros(4)
    _compiled()(
        requests.at_s, requests.tokens_in, requests.tokens_out, replicas, rates.token_s, rates.power_w, rates.idle_w,
        rates.prefill_s_per_token, rates.prefill_w, rates.context_tokens, rates.prompt_tokens,
        np.iinfo(np.int64).max if queue_limit is None else queue_limit, pack,
        exact.FAR if drain else float(duration_s), dt_s, energy, busy, first, done, state, totals,
    )  # fmt: skip
    return Served(
        requests, energy / dt_s, busy / dt_s, dt_s, first, done, state, float(totals[0]), int(totals[2]),
        float(totals[1]), float(totals[3]),
    )  # fmt: skip


@cache
def _compiled() -> Any:
    import numba  # it takes a second

    def machine(function: Any) -> Any:
        try:
            return numba.njit(cache=True, nogil=True)(function)
        except RuntimeError:  # nowhere to keep it: compile in every process
            return numba.njit(nogil=True)(function)

    for name in ("_add", "_rise", "_sink"):
        setattr(exact, name, machine(getattr(exact, name)))
    return machine(exact.serve)


def requests_of(at_s: ArrayLike, tokens_in: ArrayLike, tokens_out: ArrayLike) -> Requests:
    """Return requests from anything array-like; scalars of length hold for all."""
    at = np.asarray(at_s, dtype=float)
    whole = [np.broadcast_to(np.asarray(n, dtype=np.int64), at.shape).copy() for n in (tokens_in, tokens_out)]
    return Requests(at, whole[0], whole[1])
