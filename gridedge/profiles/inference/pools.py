"""Prefill and decode as pools of their own: prompts are read in one, answers written in the other.

A request waits for a prefill replica, which reads prompts together up to its budget and gives the first token.  Its
context then goes over the link of that replica, one context after another, and the request waits for the decode pool,
which is the exact run of continuous batching without prompts.  Nothing flows back: a full decode pool does not hold up
prefill, contexts wait in the hosts' memory.
"""

from __future__ import annotations

from dataclasses import replace as dataclass_replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gridedge.errors import bad
from gridedge.profiles.inference import exact, run
from gridedge.profiles.inference.replica import Rates, Replica
from gridedge.profiles.inference.run import DONE, RUNS, WAITS, Pool, Requests, Served, serve_exactly
from gridedge.profiles.inference.scaling import Scaling
from gridedge.spec import Spec, quantity

Float = NDArray[np.float64]
FAR = exact.FAR
_add: Any = exact._add


class Pools(Spec):
    """Prompts are read by replicas of their own."""

    prefill_replicas: int = Field(ge=1)
    """How many read prompts; the profile's replicas decode."""
    prefill: Replica | None = None
    """What reads prompts; a replica as those that decode if left out."""
    link_gb_per_s: float = quantity(
        50.0, mark="assumed", source="one network adapter of 400 Gbit/s, from memory", low=12.5, high=400.0, gt=0
    )
    """Speed of the link of one prefill replica. [GB/s]"""


def serve_apart(
    requests: Requests,
    prefill: Rates,
    decode: Rates,
    *,
    prefill_replicas: int,
    decode_replicas: int,
    link_gb_per_s: float,
    duration_s: float,
    dt_s: float = 1.0,
    queue_limit: int | None = None,
    drain: bool = True,
    scaling: Scaling | None = None,
) -> Served:
    """Serve requests with prefill and decode apart, request by request.

    Parameters
    ----------
    requests : Requests
        What is asked.
    prefill, decode : Rates
        What a replica of each pool does.
    prefill_replicas, decode_replicas : int
        How many.
    link_gb_per_s : float
        Speed of the link of one prefill replica. [GB/s]
    duration_s, dt_s : float
        Length and step of the power series. [s]
    queue_limit : int, optional
        A request that finds so many waiting for prefill is refused.
    drain : bool
        Go on until all is served; otherwise end at ``duration_s``.
    scaling : Scaling, optional
        When replicas of the decode pool are parked; those that read prompts always work.

    Returns
    -------
    Served
        Of both pools together; ``pools`` tells them and the link apart.

    Raises
    ------
    InputError
        If a context has no size, a link no speed, or a request does not fit into a decode replica.

    Notes
    -----
    An iteration of prefill takes the prompts' arithmetic, at least one reading of the weights.  A context of *n*
    tokens takes *n* times the model's bytes per token over the link, whose power is neglected.  So serve Splitwise
    (ISCA 2024) and DistServe (OSDI 2024), from memory.
    """
    if prefill_replicas < 1 or decode_replicas < 1:
        raise bad("a pool has no replicas", f"prefill {prefill_replicas}, decode {decode_replicas}", "Give 1 or more.")
    if not link_gb_per_s > 0:
        raise bad("a link needs a speed", f"{link_gb_per_s:g} GB/s", "Give link_gb_per_s above 0.")
    if not decode.context_bytes > 0:
        raise bad(
            "the size of a context is not known", "context_bytes 0", "Give the model's bytes per token of context."
        )
    count, end = requests.at_s.size, exact.FAR if drain else float(duration_s)
    bins = int(np.ceil(duration_s / dt_s - 1e-9))
    extra, state, out = np.zeros(bins), np.zeros(count, dtype=np.int8), np.zeros(5)
    read, there = np.full(count, np.nan), np.full(count, np.nan)
    link_s = requests.tokens_in * (decode.context_bytes / (1e9 * link_gb_per_s))
    _compiled()(
        requests.at_s, requests.tokens_in, requests.tokens_out > 1, prefill_replicas, prefill.prefill_s_per_token,
        float(prefill.token_s[1]), prefill.prompt_tokens, prefill.prefill_w - prefill.idle_w, link_s,
        np.iinfo(np.int64).max if queue_limit is None else queue_limit, end, dt_s, extra, read, there, state, out,
    )  # fmt: skip
    # The decode pool takes contexts as they come.
    goes = np.flatnonzero(np.isfinite(there))
    goes = goes[np.argsort(there[goes], kind="stable")]
    alone = dataclass_replace(decode, prefill_s_per_token=0.0)
    onward = Requests(there[goes], requests.tokens_in[goes], np.maximum(requests.tokens_out[goes] - 1, 1))
    second = serve_exactly(
        onward, alone, replicas=decode_replicas, duration_s=duration_s, dt_s=dt_s,
        drain=drain, scaling=scaling,
    )  # fmt: skip
    one_token = (state == DONE) & (requests.tokens_out == 1)
    state[(state == DONE) & ~one_token] = RUNS
    state[goes] = np.where(np.isin(second.state, (WAITS, 0)), RUNS, second.state)
    done = np.where(one_token, read, np.nan)
    done[goes] = second.done_s
    stop = max(float(out[1]), second.ended_s)
    capacity = np.inf
    if count:
        writes = float(alone.work_s(requests.tokens_in, np.maximum(requests.tokens_out - 1, 0)).mean())
        reads = float(requests.tokens_in.mean()) * prefill.prefill_s_per_token
        capacity = min(prefill_replicas / max(reads, 1e-12), decode_replicas / max(writes, 1e-12))
    return _whole(requests, prefill, prefill_replicas, second, extra, read, there, done, state, out, stop, capacity)


def _whole(
    requests: Requests, prefill: Rates, replicas: int, second: Served, extra: Float, read: Float, there: Float,
    done: Float, state: NDArray[np.int8], out: Float, stop: float, capacity_per_s: float,
) -> Served:  # fmt: skip
    """Put the stages together, each as a pool."""
    bins, dt_s = extra.size, second.dt_s
    until = max(float(out[1]), bins * dt_s)
    spent = np.zeros(prefill.max_batch + 4)
    spent[-3], spent[0] = out[3], replicas * until - out[3]
    powers = np.r_[prefill.power_w, prefill.prefill_w, 0.0, 0.0]
    p_read = extra / dt_s + replicas * prefill.idle_w
    behind = float(out[4]) + replicas * prefill.idle_w * (until - bins * dt_s)
    # What is on the link at the end has been for so long.
    came = np.isfinite(read) & (requests.tokens_out > 1)
    link = float((np.where(np.isfinite(there), there, out[1]) - read)[came].sum())
    entered, left = int(np.isin(state, (WAITS, RUNS, DONE)).sum()), int(np.isfinite(read).sum())
    first = Pool("prefill", replicas, p_read, entered, left, float(out[0]), int(out[2]), spent, powers)
    none, over = np.zeros(1), int(np.isfinite(there).sum())
    between = Pool("link", replicas, np.zeros(bins), int(came.sum()), over, link, 0, none, none)
    last = dataclass_replace(second.pools[0], name="decode")
    return Served(
        requests, p_read + second.power_w, second.batch, dt_s, read, done, state,
        first.in_system_s + link + last.in_system_s, max(first.longest_queue, last.longest_queue), stop,
        behind + second.energy_after_j, (first, between, last), second.working + replicas, capacity_per_s,
    )  # fmt: skip


def _read(
    at_s: Float, tokens_in: NDArray[np.int64], goes_on: NDArray[np.bool_], replicas: int, s_per_token: float,
    least_s: float, prompt_tokens: int, more_w: float, link_s: Float, queue_limit: int, end_s: float, bin_s: float,
    energy_j: Float, read_s: Float, there_s: Float, state: NDArray[np.int8], totals: Float,
) -> None:  # fmt: skip
    """Read prompts in one queue and send contexts on; energy is that over idle.

    ``totals``: integral of the number in the pool [request s], last event [s], longest queue, time spent reading [s],
    energy behind the bins [J].
    """
    count = at_s.size
    queue = np.empty(count, dtype=np.int64)
    head, tail, coming, inside, longest = 0, 0, 0, 0, 0
    until = np.full(replicas, FAR)
    begun = np.zeros(replicas)
    low, high = np.zeros(replicas, dtype=np.int64), np.zeros(replicas, dtype=np.int64)
    link = np.zeros(replicas)  # when the link is free
    area, last, reading, behind = 0.0, 0.0, 0.0, 0.0
    while True:
        r = 0
        for i in range(1, replicas):
            if until[i] < until[r]:
                r = i
        arrival = at_s[coming] if coming < count else FAR
        now = min(arrival, until[r])
        if now >= end_s or now >= FAR:
            break
        area += inside * (now - last)
        last = now
        if arrival < until[r]:
            if tail - head >= queue_limit:
                state[coming] = 4
                coming += 1
                continue
            queue[tail] = coming
            tail += 1
            state[coming] = 1
            inside += 1
            coming += 1
            longest = max(longest, tail - head)
            r = -1
            for i in range(replicas):
                if until[i] >= FAR:
                    r = i
                    break
            if r < 0:
                continue
        else:
            behind += _add(energy_j, bin_s, begun[r], now, more_w)
            reading += now - begun[r]
            for j in range(low[r], high[r]):
                one = queue[j]
                read_s[one] = now
                state[one] = 3
                inside -= 1
                if goes_on[one]:
                    link[r] = max(link[r], now) + link_s[one]
                    if link[r] < end_s:
                        there_s[one] = link[r]
            until[r] = FAR
        tokens = 0
        low[r] = head
        while head < tail:
            one = queue[head]
            if head > low[r] and tokens + tokens_in[one] > prompt_tokens:
                break
            tokens += tokens_in[one]
            state[one] = 2
            head += 1
        high[r] = head
        if head > low[r]:
            begun[r] = now
            until[r] = now + max(tokens * s_per_token, least_s)
    stop = end_s if end_s < FAR else last
    area += inside * (stop - last)
    for i in range(replicas):
        if until[i] < FAR:
            behind += _add(energy_j, bin_s, begun[i], stop, more_w)
            reading += stop - begun[i]
    totals[0], totals[1], totals[2], totals[3], totals[4] = area, stop, longest, reading, behind


@cache
def _compiled() -> Any:
    machine = run.machine()
    globals()["_add"] = exact._add  # compiled with the loop of the exact run
    return machine(_read)
