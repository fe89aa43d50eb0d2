"""IT power of a site that serves, over time: request by request, or minute by minute with the exact run's spread."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.profiles.inference.fluid import SHARES, LoadCurve, carry, load_curve
from gridedge.profiles.inference.pools import serve_apart
from gridedge.profiles.inference.profile import InferenceProfile
from gridedge.profiles.inference.run import DONE, REFUSED, Requests, Served, serve_exactly
from gridedge.profiles.traffic.arrivals import arrivals, lengths, minute_noise
from gridedge.profiles.traffic.traffic import draw_requests, request_rate
from gridedge.spec import build

Float = NDArray[np.float64]
_EXACT_S = 2 * 86_400.0
_EXACT_REQUESTS = 2_000_000
_MOST_REQUESTS = 50_000_000
_RUN_IN_S = 300.0  # the site has been serving for so long
_BEFORE, _NOISE, _MINUTES, _CURVE = 1 << 16, 1 << 20, 1 << 21, 1 << 22  # streams of chance beside those of requests
_DRAWN_GROUPS = 8  # above, the sum of the groups' departures is taken for normal


@dataclass(frozen=True)
class Produced:
    """Power of one realisation, and what became of its requests.

    Parameters
    ----------
    p_mw : ndarray, shape (time,)
        IT power, mean of each step. [MW]
    method : str
        ``exact`` or ``fluid``.
    offered, served, late, refused, in_system : float
        Requests; late are those of the served that missed the latency of their class.  Offered are those that come, and
        those that are there when the series begins: served + refused + in_system.
    saturated : str
        Says, with figures, that the queue grows without bound, or for a time; empty where it does not.
    """

    p_mw: Float
    method: str
    offered: float
    served: float
    late: float
    refused: float
    in_system: float
    saturated: str


def method_of(spec: InferenceProfile, duration_s: float, dt_s: float) -> str:
    """Return how a series is made.

    Raises
    ------
    InputError
        If it is too fine for the fluid and too long for the exact run.
    """
    mean = sum(one.requests_per_s for one in spec.traffic.classes.values())
    whole = dt_s >= 60.0 and abs(dt_s / 60.0 - round(dt_s / 60.0)) < 1e-9
    asked = mean * duration_s
    small = duration_s <= _EXACT_S and asked <= _EXACT_REQUESTS
    method = spec.method if spec.method != "auto" else ("exact" if small or not whole else "fluid")
    if method == "fluid" and not whole:
        raise bad("a fluid of requests has steps of whole minutes", f"dt_s {dt_s:g}", "Use dt_s=60 or a multiple.")
    if method == "exact" and asked > _MOST_REQUESTS:
        cure = "Use dt_s=60 or a multiple (then it is a fluid), or a shorter series."
        raise bad("too many requests to be served one by one", f"about {asked:.3g}", cure)
    return method


def produce(spec: InferenceProfile, steps: int, dt_s: float, *, seed: int = 0, member: int = 0) -> Produced:
    """Return the power of a site that serves.

    Parameters
    ----------
    spec : InferenceProfile
        The site.
    steps : int
        Number of samples.
    dt_s : float
        Step. [s]
    seed, member : int
        Chance; the same give the same requests, whatever the step, and a longer series begins as a shorter one.

    Raises
    ------
    InputError
        If the series is too fine for the fluid and too long for the exact run.
    """
    method = method_of(spec, steps * dt_s, dt_s)
    return _exact(spec, steps, dt_s, seed, member) if method == "exact" else _fluid(spec, steps, dt_s, seed, member)


def minutes_of(spec: InferenceProfile, minutes: int, seed: int, member: int) -> dict[str, Float]:
    """Return the factors on the rate of each class, minute by minute, common to all groups."""
    found = {}
    for number, key in enumerate(spec.traffic.classes):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(member, _NOISE, number)))
        one = spec.traffic.of(key)
        made = minute_noise(minutes, 1, std_pu=one.noise_pu, common_pu=1.0, memory_s=spec.noise_memory_s, rng=rng)
        found[key] = made[0]
    return found


def group_requests(
    spec: InferenceProfile, group: int, duration_s: float, *, seed: int, member: int, before: bool = False
) -> tuple[Requests, NDArray[np.int64]]:
    """Return the requests of a group in the order of their arrival, and the number of each one's class.

    With ``before`` they are others of the same kind.
    """
    stream = group + _BEFORE if before else group
    minutes = int(np.ceil(duration_s / 60.0 - 1e-9))
    factors = minutes_of(spec, minutes, seed, member)
    parts = [
        draw_requests(
            spec.traffic, key, duration_s=duration_s, seed=seed, member=member, stream=stream, share=1.0 / spec.groups,
            factor=factors[key], most_tokens=spec.most_tokens,
        )
        for key in spec.traffic.classes
    ]  # fmt: skip
    return _merged(parts)


def serve_group(spec: InferenceProfile, ask: Requests, duration_s: float, dt_s: float, drain: bool) -> Served:
    """Serve requests on one of the profile's groups."""
    each = spec.replicas // spec.groups
    if spec.pools is None:
        return serve_exactly(
            ask, spec.rates, replicas=each, duration_s=duration_s, dt_s=dt_s, drain=drain, scaling=spec.scaling,
            queue_limit=spec.queue_limit,
        )  # fmt: skip
    return serve_apart(
        ask, spec.prefill_rates, spec.rates, prefill_replicas=spec.pools.prefill_replicas // spec.groups,
        decode_replicas=each, link_gb_per_s=spec.pools.link_gb_per_s, duration_s=duration_s, dt_s=dt_s, drain=drain,
        scaling=spec.scaling, queue_limit=spec.queue_limit,
    )  # fmt: skip


def _merged(parts: list[Requests]) -> tuple[Requests, NDArray[np.int64]]:
    at = np.concatenate([p.at_s for p in parts])
    order = np.argsort(at, kind="stable")
    kind = np.repeat(np.arange(len(parts)), [p.at_s.size for p in parts])[order]
    read = np.concatenate([p.tokens_in for p in parts])[order]
    return Requests(at[order], read, np.concatenate([p.tokens_out for p in parts])[order]), kind


def _joined(one: Requests, other: Requests, after_s: float) -> Requests:
    """Return requests, and others after a time."""
    at = np.r_[one.at_s, other.at_s + after_s]
    return Requests(at, np.r_[one.tokens_in, other.tokens_in], np.r_[one.tokens_out, other.tokens_out])


def _exact(spec: InferenceProfile, steps: int, dt_s: float, seed: int, member: int) -> Produced:
    p_w = np.zeros(steps)
    sums = np.zeros(5)
    worst = ""
    classes = [spec.traffic.of(key) for key in spec.traffic.classes]
    before = int(np.ceil(_RUN_IN_S / dt_s - 1e-9))
    start_s = before * dt_s
    for group in range(spec.groups):
        ask, kind = group_requests(spec, group, steps * dt_s, seed=seed, member=member)
        # The site has been serving: requests as those of the first minutes have come before.
        early, its = group_requests(spec, group, _RUN_IN_S, seed=seed, member=member, before=True)
        lead = Requests(early.at_s + (start_s - _RUN_IN_S), early.tokens_in, early.tokens_out)
        ask, kind = _joined(lead, ask, start_s), np.r_[its, kind]
        run = serve_group(spec, ask, start_s + steps * dt_s, dt_s, False)
        p_w += run.power_w[before:]
        first = np.array([one.first_token_s for one in classes])[kind]
        between = np.array([one.token_s for one in classes])[kind]
        # Counted are those that come within the series, and those that are still there when it begins.
        there = (ask.at_s >= start_s) | ~((run.done_s < start_s) | (run.state == REFUSED))
        done, refused = (run.state == DONE) & there, (run.state == REFUSED) & there
        slow = (np.nan_to_num(run.first_token_s) > first) | (np.nan_to_num(run.between_tokens_s) > between)
        late = int((slow & done).sum())
        left = there.sum() - done.sum() - refused.sum()
        sums += [there.sum(), done.sum(), late, refused.sum(), left]
        worst = worst or run.unbounded
    if worst and spec.groups > 1:
        worst = f"in a group, {worst}"
    offered, served, tardy, away, inside = (float(n) for n in sums)
    return Produced(p_w / 1e6, "exact", offered, served, tardy, away, inside, worst)


def _fluid(spec: InferenceProfile, steps: int, dt_s: float, seed: int, member: int) -> Produced:
    minutes = round(steps * dt_s / 60.0)
    curve = curve_of(spec)
    factors = minutes_of(spec, minutes, seed, member)
    rate = request_rate(spec.traffic, duration_s=minutes * 60.0, dt_s=60.0)["rate_per_s"].values
    per_s = np.stack([rate[:, n] * factors[key] for n, key in enumerate(spec.traffic.classes)])
    # Classes weigh by their work: the curve was measured with the mean mix.
    weight = _weights(spec)
    offered = per_s.sum(axis=0)
    patience_s = np.inf if spec.queue_limit is None else spec.queue_limit / curve.capacity_per_s
    asked_each = (weight @ per_s)[None, :] / spec.groups
    found = carry(asked_each, 60.0, curve, np.ones(1), patience_s=patience_s)
    load = found.load_pu[0]
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(member, _MINUTES)))
    mean = np.interp(load, curve.load_pu, curve.power_w)
    if spec.groups <= _DRAWN_GROUPS:
        share = rng.random((minutes, spec.groups))
        power = _drawn(curve, load, share).sum(axis=1)
    else:
        spread = np.interp(load, curve.load_pu, curve.minute_std_w) * np.sqrt(spec.groups)
        lowest, highest = (spec.groups * float(edge) for edge in (curve.minute_w.min(), curve.minute_w.max()))
        power = np.clip(spec.groups * mean + spread * rng.standard_normal(minutes), lowest, highest)
    factor = round(dt_s / 60.0)
    share_late = float(found.late.sum() / max(found.served.sum(), 1e-300))
    total = float(offered.sum() * 60.0)
    # Of what is asked, in requests of the mean mix, so much waits at the end or was refused.
    counted = float(asked_each.sum()) * 60.0
    waits, refused = (total * float(n) / max(counted, 1e-300) for n in (found.waiting[0, -1], found.refused.sum()))
    served = total - waits - refused
    saturated = ""
    asked, most = float((weight @ per_s).mean()), curve.capacity_per_s * spec.groups
    if asked > most:
        grows = waits / max(minutes, 1)
        saturated = (
            f"a queue without bound: {asked:.4g} requests/s are asked, at most about {most:.4g} can be served; "
            f"{refused:.4g} are refused, {waits:.4g} are in the system at the end, {grows:+.3g} a minute"
        )
    elif (more := int((found.waiting[0] > 0).sum())) > 0:
        longest = float(found.waiting[0].max()) / curve.capacity_per_s
        saturated = (
            f"for {more} of {minutes} minutes more is asked than the {most:.4g} requests/s that can be served; "
            f"a request waits up to {longest:.3g} s"
        )
    p_mw = power.reshape(-1, factor).mean(axis=1) / 1e6
    return Produced(p_mw, "fluid", total, served, share_late * served, refused, waits, saturated)


def _drawn(curve: LoadCurve, load: Float, share: Float) -> Float:
    """Return minutes drawn from the distributions that were measured at each load, shape (minute, group)."""
    upper = np.clip(np.searchsorted(curve.load_pu, load, side="right"), 1, curve.load_pu.size - 1)
    part = (load - curve.load_pu[upper - 1]) / (curve.load_pu[upper] - curve.load_pu[upper - 1])
    out = np.empty_like(share)
    for level in np.unique(upper):
        here = upper == level
        low = np.interp(share[here], SHARES, curve.minute_w[:, level - 1])
        high = np.interp(share[here], SHARES, curve.minute_w[:, level])
        out[here] = low + (high - low) * part[here, None]
    return out


def _weights(spec: InferenceProfile) -> Float:
    """Return the work of a request of each class over that of the mean mix."""
    each = spec.rates
    tokens = spec.mean_tokens()
    work = np.array([1.0 / each.capacity_per_s(*tokens[key]) for key in spec.traffic.classes])
    asked = np.array([one.requests_per_s for one in spec.traffic.classes.values()])
    if not asked.sum() > 0:
        return np.ones(work.size)
    return np.asarray(work / (work @ asked / asked.sum()))


def curve_of(spec: InferenceProfile, *, minutes: int = 240) -> LoadCurve:
    """Return the load curve of one of the profile's groups, measured on exact runs.

    Parameters
    ----------
    spec : InferenceProfile
        The site.
    minutes : int
        Length of the run at each load.
    """
    bare = spec.model_copy(update={"title": "", "source": "", "licence": "", "origins": {}, "expected": {}})
    return _curve(json.dumps(bare.model_dump(mode="json", exclude_unset=True)), minutes)


@lru_cache(maxsize=32)
def _curve(text: str, minutes: int) -> LoadCurve:
    spec = build(InferenceProfile, json.loads(text))
    keys = list(spec.traffic.classes)
    asked = np.array([spec.traffic.classes[key].requests_per_s for key in keys])
    part = asked / asked.sum() if asked.sum() > 0 else np.full(len(keys), 1.0 / len(keys))

    def draw(per_s: float, duration_s: float, stream: int) -> Requests:
        parts = []
        for number, key in enumerate(keys):
            rng = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(_CURVE, stream, number)))
            one = spec.traffic.of(key)
            at = arrivals(np.full(1, per_s * part[number]), duration_s, cv=one.cv, law=one.law, rng=rng)
            tokens = [lengths(at.size, law, rng, most=spec.most_tokens) for law in (one.tokens_in, one.tokens_out)]
            parts.append(Requests(at, tokens[0], tokens[1]))
        return _merged(parts)[0]

    strict = spec.traffic.of(keys[int(np.argmax(part))])

    def serve(ask: Requests, duration_s: float, dt_s: float, drain: bool) -> Served:
        return serve_group(spec, ask, duration_s, dt_s, drain)

    each, idle = spec.replicas // spec.groups, 1e6 * spec.idle_mw / spec.groups
    return load_curve(
        spec.rates, draw, first_token_s=strict.first_token_s, token_s=strict.token_s, minutes=minutes,
        most_requests=200_000, replicas=each, serve=serve, idle_w=idle,
    )  # fmt: skip
