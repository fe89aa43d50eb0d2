"""The verb ``serve``: requests served one by one, with power, latencies and books."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gridedge import schema
from gridedge.errors import bad
from gridedge.profiles.inference.pools import Pools, serve_apart
from gridedge.profiles.inference.replica import Rates, Replica, rates
from gridedge.profiles.inference.run import Requests, Served, serve_exactly
from gridedge.profiles.inference.scaling import Scaling
from gridedge.profiles.traffic.replay import read_requests
from gridedge.spec import take
from gridedge.timebase import step_count

_SHARES = (50, 95, 99)


@dataclass(frozen=True)
class Saved:
    """What parking saved, against the same requests without it.

    Parameters
    ----------
    energy_mwh : float
        Energy without parking less energy with it. [MWh]
    energy_pu : float
        The same over the energy without parking.
    more_late, more_refused, more_in_system : int
        Requests that are late, refused, or not done at the end only because of it.
    """

    energy_mwh: float
    energy_pu: float
    more_late: int
    more_refused: int
    more_in_system: int


@dataclass(frozen=True)
class Serving:
    """What became of requests, and what it took: the answer of :func:`serve`.

    Parameters
    ----------
    load : Dataset
        ``p_mw(time)``: IT power [MW], mean of each step; ``batch(time)``: sequences in the batches; ``working(time)``:
        replicas that are not parked.  It goes into ``connect``, ``mitigate`` and ``solve`` as any other load.
    run : Served
        Every request's first and last token, its state, and the pools.
    books : dict of str to int
        Requests: offered = served + refused + in_system + after_end; ``late`` are those of the served that missed a
        latency.
    latency_s : dict of str to dict
        ``first_token`` (from arrival) and ``between_tokens`` (mean of each answer), by percentile 50, 95, 99. [s]
    energy_mwh : float
        Energy until the last request is done. [MWh]
    energy_error : float
        Its relative difference from the times in each state, times their power.
    little : float
        Time that all requests spent in the system over the integral of their number; 1 from empty to empty.
    saved : Saved or None
        What parking saved; None without a policy.
    notes : tuple of str
        A queue without bound, and what is assumed.
    """

    load: xr.Dataset
    run: Served
    books: dict[str, int]
    latency_s: dict[str, dict[int, float]]
    energy_mwh: float
    energy_error: float
    little: float
    saved: Saved | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the scalars as plain data."""
        return {
            "books": dict(self.books),
            "latency_s": {name: dict(found) for name, found in self.latency_s.items()},
            "energy_mwh": self.energy_mwh,
            "energy_error": self.energy_error,
            "little": self.little,
            "pools": {
                p.name: {"replicas": p.replicas, "mean_s": p.mean_s, "longest_queue": p.longest_queue}
                for p in self.run.pools
            },
            "saved": None if self.saved is None else asdict(self.saved),
            "notes": list(self.notes),
        }


def serve(
    requests: Requests | str | Path,
    replica: Replica | Mapping[str, Any] | str = "Llama-3.1-70B-Instruct",
    *,
    replicas: int = 1,
    duration_s: float | None = None,
    dt_s: float = 1.0,
    pools: Pools | Mapping[str, Any] | None = None,
    scaling: Scaling | Mapping[str, Any] | None = None,
    queue_limit: int | None = None,
    pack: bool = False,
    drain: bool = True,
    first_token_s: float = np.inf,
    token_s: float = np.inf,
) -> Serving:
    """Serve requests one by one with continuous batching.

    Parameters
    ----------
    requests : Requests or path
        What is asked: ``gridedge.profiles.inference.run.requests_of(at_s, tokens_in, tokens_out)``, or a trace (CSV of
        Azure or Mooncake).
    replica : Replica, mapping or str
        One copy of a model and what it runs on; or a model's name, on four H100.
    replicas : int
        How many share the queue; with ``pools``, how many decode.
    duration_s : float, optional
        Length of the series; until after the last arrival, in whole minutes, if left out. [s]
    dt_s : float
        Step of the series. [s]
    pools : Pools or mapping, optional
        Prompts are read by replicas of their own, and contexts pass a link.
    scaling : Scaling or mapping, optional
        When replicas are parked.  Then the requests are served without it too, to say what it saves.
    queue_limit : int, optional
        A request that finds so many waiting is refused; without, all wait.
    pack : bool
        Fill a replica that works before one that idles is woken; not with ``pools``.
    drain : bool
        Go on until all is served; otherwise end at ``duration_s``.
    first_token_s, token_s : float
        A request is late if its first token takes longer, or its mean time between tokens is longer. [s]

    Returns
    -------
    Serving
        Power, latencies and books.

    Raises
    ------
    InputError
        If the model does not fit its accelerators, a request does not fit a replica, times run backwards, the clock
        or a latency cannot be used, or nothing can be served.

    Notes
    -----
    Iterations as in Orca (Yu et al., OSDI 2022) and vLLM (Kwon et al., SOSP 2023), from memory: each gives every
    sequence of the batch one token, and reads the prompts of those that were just admitted.  Power and length of an
    iteration by batch size are measured (ML.ENERGY Benchmark v3, arXiv 2601.22076).

    Examples
    --------
    >>> from gridedge.profiles.inference.run import requests_of
    >>> asked = requests_of([0.0, 1.0, 2.0], 80, 150)  # three requests: when, prompt, answer
    >>> serve(asked, replicas=1).books["served"]
    3
    """
    ask = requests if isinstance(requests, Requests) else read_requests(requests)
    spec = replica_of(replica)
    apart = None if pools is None else take(Pools, pools)
    policy = None if scaling is None else take(Scaling, scaling)
    if apart is not None and pack:
        raise bad("replicas are not packed where prefill is apart", "pack=True", "Leave pack out.")
    for name, bound in (("first_token_s", first_token_s), ("token_s", token_s)):
        if not bound > 0:
            raise bad(f"{name} is no latency", f"{bound:g} s", "Give seconds above 0, or leave it out.")
    if not ask.at_s.size:
        raise bad("nothing is asked", "0 requests", "Give one at least.")
    last_s = float(ask.at_s[-1])
    length_s = 60.0 * (np.floor(last_s / 60.0) + 1.0) if duration_s is None else float(duration_s)
    step_count(length_s, dt_s)
    decode = rates(spec)
    prefill = decode if apart is None or apart.prefill is None else rates(apart.prefill)

    def made(how: Scaling | None) -> Served:
        if apart is None:
            return serve_exactly(
                ask, decode, replicas=replicas, duration_s=length_s, dt_s=dt_s, queue_limit=queue_limit, pack=pack,
                drain=drain, scaling=how,
            )  # fmt: skip
        return serve_apart(
            ask, prefill, decode, prefill_replicas=apart.prefill_replicas, decode_replicas=replicas,
            link_gb_per_s=apart.link_gb_per_s, duration_s=length_s, dt_s=dt_s, queue_limit=queue_limit, drain=drain,
            scaling=how,
        )  # fmt: skip

    run = made(policy)
    late = run.late(first_token_s, token_s)
    saved = None
    if policy is not None:
        full = made(None)
        saved = Saved(
            (full.energy_j - run.energy_j) / 3.6e9,
            1.0 - run.energy_j / full.energy_j,
            late - full.late(first_token_s, token_s),
            run.books["refused"] - full.books["refused"],
            run.books["in_system"] - full.books["in_system"],
        )
    notes = [note for note in (_assumed(decode), "" if prefill is decode else _assumed(prefill), run.unbounded) if note]
    return Serving(
        _load(run, spec, apart, replicas, notes),
        run,
        {**run.books, "late": late},
        {"first_token": _percentiles(run.first_token_s), "between_tokens": _percentiles(run.between_tokens_s)},
        run.energy_j / 3.6e9,
        abs(sum(p.energy_j for p in run.pools) / run.energy_j - 1.0),
        run.little,
        saved,
        tuple(notes),
    )


def replica_of(replica: Replica | Mapping[str, Any] | str) -> Replica:
    """Return a replica from itself, its keys, or the name of a model."""
    return take(Replica, {"model": replica} if isinstance(replica, str) else replica)


def _assumed(made: Rates) -> str:
    return f"power and times: {made.source}" if made.source.startswith("assumed") else ""


def _percentiles(values: np.ndarray) -> dict[int, float]:
    there = values[np.isfinite(values)]
    if not there.size:
        return dict.fromkeys(_SHARES, float("nan"))
    return {share: float(np.percentile(there, share)) for share in _SHARES}


def _load(run: Served, spec: Replica, apart: Pools | None, replicas: int, notes: list[str]) -> xr.Dataset:
    nameplate_kw = replicas * spec.rated_kw
    if apart is not None:
        nameplate_kw += apart.prefill_replicas * (apart.prefill or spec).rated_kw
    attrs = {"nameplate_mw": nameplate_kw / 1e3, "profile": "requests served one by one", "notes": notes}
    ds = schema.power_dataset(run.power_w / 1e6, run.dt_s, power="IT", attrs=attrs)
    ds["batch"] = ("time", run.batch, {"long_name": "sequences in the batches", "cell_methods": "time: mean"})
    ds["working"] = ("time", run.working, {"long_name": "replicas that are not parked", "cell_methods": "time: mean"})
    return ds
