"""A fleet of sites that serves the places of a metro: the nearest with the model and room, and failover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge.errors import bad, nearest
from gridedge.profiles.inference.scaling import Scaling, compiled_policy
from gridedge.sites.fleet import flow as loops
from gridedge.sites.fleet.places import distance_km, network_time_s

Float = NDArray[np.float64]
_BOOKS = ("offered", "in_time", "late", "refused", "in_system")


@dataclass(frozen=True)
class Points:
    """Places with coordinates.

    Parameters
    ----------
    name : sequence of str
        What they are called.
    lat, lon : ndarray, shape (point,)
        Degrees, north and east.
    weight : ndarray, shape (point,)
        Share of the people, or replicas of a site.
    """

    name: Sequence[str]
    lat: Float
    lon: Float
    weight: Float

    def __post_init__(self) -> None:
        sizes = {len(self.name), self.lat.size, self.lon.size, self.weight.size}
        if len(sizes) != 1:
            raise bad("places need a name, two coordinates and a weight each", str(sorted(sizes)), "Give all of them.")
        if not (self.weight >= 0).all() or not self.weight.sum() > 0:
            raise bad("places have no weight", "negative, NaN or all 0", "Give shares, or replicas.")


@dataclass(frozen=True)
class Service:
    """What a class of requests takes and may take.

    Parameters
    ----------
    name : str
        The class.
    work_s : float
        Work of a request: one over the requests per second that a replica serves. [replica s]
    first_token_s : float
        Bound on the time to the first token. [s]
    serves_s : float
        Time to the first token at the site itself, without a queue. [s]
    stay_s : float
        From the first to the last token. [s]
    again_s : float
        Work of reading the context again where a request moves. [replica s]
    patience_s : float
        A request that would wait longer is refused. [s]
    load_s : float
        Time in which a site without the model has loaded its weights; infinite where it may not. [s]
    local : bool
        Whether a request may be served nowhere but at the nearest site that holds the model; it is refused when that
        site fails.
    """

    name: str
    work_s: float
    first_token_s: float
    serves_s: float
    stay_s: float
    again_s: float = 0.0
    patience_s: float = 60.0
    load_s: float = np.inf
    local: bool = False

    @property
    def slack_s(self) -> float:
        """Time that is left for the network and a queue, in s."""
        return self.first_token_s - self.serves_s


@dataclass(frozen=True)
class Outage:
    """A site that is not there for a while.

    Parameters
    ----------
    site : str
        Which.
    from_s, to_s : float
        When: from the first step that begins at ``from_s`` or later, until one begins at ``to_s`` or later. [s]
    """

    site: str
    from_s: float
    to_s: float = np.inf


@dataclass(frozen=True)
class Network:
    """How requests travel.

    Parameters
    ----------
    access_s : float
        Time in the access network, there and back; 10 ms is assumed. [s]
    detour : float
        Length of fibre over distance; 1.5 is assumed.
    detect_s : float
        From a failure to the first request that is sent elsewhere; 10 s is assumed. [s]
    """

    access_s: float = 0.010
    detour: float = 1.5
    detect_s: float = 10.0


@dataclass(frozen=True)
class Parking:
    """How the sites of a fleet park and start what they do not need.

    Parameters
    ----------
    policy : Scaling
        When; its ``minimum`` counts pieces.
    pieces : ndarray, shape (site,)
        In how many pieces a site is parked and started: the replicas of its largest model.
    start_s : ndarray, shape (site,)
        Length of a start. [s]
    aimed_pu : float
        ``target_load_pu`` over the load at which a site takes on no more; 1 at most. [pu]
    """

    policy: Scaling
    pieces: Float
    start_s: Float
    aimed_pu: float

    def __post_init__(self) -> None:
        if not 0 < self.aimed_pu <= 1:
            value = f"target_load_pu is {self.aimed_pu:.3g} of it"
            cure = "Lower scaling.target_load_pu, or raise fill_pu."
            raise bad("the policy aims at a load above that at which a site takes on no more", value, cure)
        for count in self.pieces.tolist():
            self.policy.check(int(count))


@dataclass(frozen=True)
class Flow:
    """What became of the requests of a fleet.

    Parameters
    ----------
    data : Dataset
        ``load_pu(site, time)``, share of a site's replicas at work; ``waiting(site, time)``, requests that wait at the
        end of the step; ``taken_per_s(class, site, time)``; ``late(class, time)`` and ``refused(class, time)``,
        requests of the step.  Where replicas are parked, ``awake_pu`` and ``starting_pu`` (site, time): shares of a
        site's replicas that work and that start.
    books : dict
        By class: requests offered, in time, late, refused and in the system.
    by_site : Dataset
        ``taken_on``, ``served``, ``handed_over``, ``still_there`` (class, site), in requests.
    network_s : dict
        By class: mean time on the network of what was taken on. [s]
    ways : Dataset
        By ``way``, a class from one place to one site: ``requests`` that went there without waiting, and ``network_s``,
        there and back [s]; coordinates ``class``, ``place``, ``site``.  Ways that nobody took are left out.
    """

    data: xr.Dataset
    books: dict[str, dict[str, float]]
    by_site: xr.Dataset
    network_s: dict[str, float] = field(default_factory=dict)
    ways: xr.Dataset = field(default_factory=xr.Dataset, repr=False)


def route(
    rate_per_s: xr.DataArray,
    places: Points,
    sites: Points,
    services: Sequence[Service],
    *,
    dt_s: float,
    holds: Mapping[str, Sequence[str]] | None = None,
    asks: Mapping[str, Sequence[float] | Float] | None = None,
    network: Network = Network(),  # frozen
    outages: Sequence[Outage] = (),
    parking: Parking | None = None,
    most_pu: Float | None = None,
) -> Flow:
    """Send every request to the nearest site that has the model and room.

    Parameters
    ----------
    rate_per_s : DataArray, dims (class, time)
        What the metro asks; places ask in proportion to their weight. [1/s]
    places : Points
        Where it is asked.
    sites : Points
        Where it is served; their weight is the number of replicas.
    services : sequence of Service
        What each class takes; the first is given room first.
    dt_s : float
        Step. [s]
    holds : mapping, optional
        Sites that hold the model of a class; all, where a class is left out.
    asks : mapping, optional
        By class, what each place asks of it, in any unit; by the places' weights, where a class is left out.
    network : Network
        How requests travel.
    outages : sequence of Outage
        Sites that fail; one each at most.
    parking : Parking, optional
        When replicas are parked; all work if left out.  A site has room for what works, decides at the beginnings of
        steps, and has all at work in its first step.
    most_pu : ndarray, shape (site, time), optional
        Share of each site's replicas that may work in a step.  What waits at a site when it is cut stays there, and
        counts as in time or late as it did. [pu]

    Returns
    -------
    Flow

    Raises
    ------
    InputError
        If a name is unknown, a rate is negative or NaN, an outage falls on no step, or no site can serve a class within
        its latency.

    Notes
    -----
    A request counts as in time when the network, the queue that it finds and the service take no longer than its bound.
    One that was under way at a site that fails has waited for the detection, and begins again; it is not followed
    to its place, so that of those that one site takes over, as many are late as there are askers beyond its reach.
    """
    names = [s.name for s in services]
    missing = [n for n in rate_per_s["class"].values.tolist() if n not in names]
    if missing:
        raise bad("no service for a class", str(missing), f"Give a Service for each. Known: {', '.join(names)}.")
    rate = rate_per_s.sel({"class": names}).transpose("class", "time").values
    if not np.isfinite(rate).all() or (rate < 0).any():
        raise bad("a rate of requests is negative or NaN", "rate_per_s", "Give 0 or more in every step.")
    share = np.tile(places.weight / places.weight.sum(), (len(names), 1))
    for name, weights in (asks or {}).items():
        if name not in names:
            raise bad("unknown class", name, nearest(name, names))
        one_share = np.asarray(weights, dtype=float)
        if one_share.shape != places.weight.shape or not (one_share >= 0).all() or not one_share.sum() > 0:
            raise bad(f"{name}: what places ask is no share", str(weights), "Give one of 0 or more for each place.")
        share[names.index(name)] = one_share / one_share.sum()
    km = distance_km(places.lat[:, None], places.lon[:, None], sites.lat[None], sites.lon[None])
    there = network_time_s(km, access_s=network.access_s, detour=network.detour)
    order = np.argsort(there.ravel(), kind="stable")
    place, site_at = np.divmod(order, len(sites.name))
    has = np.ones((len(names), len(sites.name)), dtype=bool)
    site_of = {str(n): k for k, n in enumerate(sites.name)}
    for name, held in (holds or {}).items():
        if name not in names:
            raise bad("unknown class", name, nearest(name, names))
        has[names.index(name)] = False
        for site in held:
            has[names.index(name), _site(site_of, site)] = True
    fails, back = np.full(len(sites.name), np.inf), np.full(len(sites.name), np.inf)
    for out in outages:
        k = _site(site_of, out.site)
        if np.isfinite(fails[k]):
            raise bad("a site fails twice", out.site, "Name it once.")
        begins = np.ceil(max(out.from_s, 0.0) / dt_s) * dt_s
        if not (out.from_s >= 0 and begins < min(out.to_s, rate.shape[1] * dt_s)):
            value = f"{out.site}: {out.from_s:g} to {out.to_s:g} s in {rate.shape[1]} steps of {dt_s:g} s"
            raise bad("an outage in which no step begins", value, "Lengthen it, or take shorter steps.")
        fails[k], back[k] = out.from_s, out.to_s
    slack = np.array([s.slack_s for s in services])
    for c, one in enumerate(services):
        asking = there[share[c] > 0]  # a site that nobody asks from is near to nobody
        best = asking[:, has[c]].min() if has[c].any() else np.inf
        if not best <= slack[c]:
            value = f"{best + one.serves_s:.3g} s at best, {one.first_token_s:.3g} s asked"
            raise bad(
                f"{one.name}: no site can meet the latency", value, "Place a site nearer, or relax first_token_s."
            )
    first = min((o.from_s for o in outages), default=np.inf)
    ready = np.full(has.shape, first + network.detect_s) + np.array([s.load_s for s in services])[:, None]
    mine = []
    for c in range(len(names)):
        may = (share[c, place] > 0) & (has[c, site_at] | np.isfinite(ready[c, site_at]))
        if services[c].local:
            home = np.flatnonzero(has[c])[np.argmin(there[:, has[c]], axis=1)]
            may &= site_at == home[place]
        mine.append(np.flatnonzero(may))
    pairs = np.concatenate(mine)
    begin = np.r_[0, np.cumsum([m.size for m in mine])]
    steps, classes, count = rate.shape[1], len(names), len(sites.name)
    load, queue = np.zeros((count, steps)), np.zeros((count, steps))
    taken = np.zeros((classes, count, steps))
    late, refused = np.zeros((classes, steps)), np.zeros((classes, steps))
    books, by_site = np.zeros((classes, 6)), np.zeros((classes, count, 4))
    by_pair = np.zeros(pairs.size)
    steps_of = 1 if parking is None else steps
    awake, starting = np.zeros((count, steps_of)), np.zeros((count, steps_of))
    pieces = np.ones(count) if parking is None else np.asarray(parking.pieces, dtype=float)
    start_s = np.zeros(count) if parking is None else np.maximum(parking.start_s, 1e-9)
    policy = np.zeros(5)
    if parking is not None:
        one_policy = parking.policy
        whole_steps = max(1, round(one_policy.look_back_s / dt_s)), max(0, round(one_policy.keep_s / dt_s))
        policy = np.array([1.0, *whole_steps, parking.aimed_pu, one_policy.minimum], dtype=float)
    allowed = np.empty((count, 0)) if most_pu is None else np.ascontiguousarray(most_pu, dtype=float)
    if most_pu is not None and (allowed.shape != (count, steps) or not ((allowed >= 0) & (allowed <= 1)).all()):
        raise bad(
            "most_pu is no share for every site and step", f"shape {allowed.shape}", f"Give ({count}, {steps}), 0 to 1."
        )
    _compiled()(
        np.ascontiguousarray(rate, dtype=float), share, float(dt_s), *_columns(services, "work_s"),
        sites.weight.astype(float), has, begin, place[pairs], site_at[pairs],
        np.array([s.local for s in services]), there.ravel()[order][pairs], slack,
        *_columns(services, "patience_s", "stay_s", "again_s"), fails, back,
        float(network.detect_s), ready, allowed, policy, pieces, start_s, load, queue, taken, late, refused, books,
        by_site, by_pair, awake, starting,
    )  # fmt: skip
    time = rate_per_s["time"].values if "time" in rate_per_s.coords else np.arange(steps) * dt_s
    data = xr.Dataset(
        {
            "load_pu": (("site", "time"), load, {"units": "1"}),
            "waiting": (("site", "time"), queue, {"units": "1"}),
            "taken_per_s": (("class", "site", "time"), taken, {"units": "1/s"}),
            "late": (("class", "time"), late, {"units": "1"}),
            "refused": (("class", "time"), refused, {"units": "1"}),
        },
        coords={"class": names, "site": list(sites.name), "time": ("time", time, {"units": "s"})},
        attrs={"dt_s": dt_s},
    )
    if parking is not None:
        for name, found in (("awake_pu", awake), ("starting_pu", starting)):
            data[name] = ("site", "time"), found / pieces[:, None], {"units": "1"}
    columns = ("taken_on", "served", "handed_over", "still_there")
    by = {name: (("class", "site"), by_site[:, :, k]) for k, name in enumerate(columns)}
    whole = {n: dict(zip(_BOOKS, books[c, :5].tolist(), strict=True)) for c, n in enumerate(names)}
    on = by_site[:, :, 0].sum(axis=1)
    mean = {n: float(books[c, 5] / on[c]) if on[c] > 0 else 0.0 for c, n in enumerate(names)}
    went = np.flatnonzero(by_pair > 0)
    of_class = np.repeat(np.arange(classes), np.diff(begin))[went]
    labels = (
        ("class", names, of_class),
        ("place", places.name, place[pairs][went]),
        ("site", sites.name, site_at[pairs][went]),
    )
    ways = xr.Dataset(
        {
            "requests": ("way", by_pair[went], {"units": "1"}),
            "network_s": ("way", there.ravel()[order][pairs][went], {"units": "s"}),
        },
        coords={n: ("way", np.array([str(x) for x in known], dtype=object)[rows]) for n, known, rows in labels},
    )
    return Flow(data, whole, xr.Dataset(by, coords={"class": names, "site": list(sites.name)}), mean, ways)


def _columns(services: Sequence[Service], *names: str) -> list[Float]:
    return [np.array([float(getattr(s, name)) for s in services]) for name in names]


def _site(known: Mapping[str, int], name: str) -> int:
    if str(name) not in known:
        raise bad("unknown site", str(name), nearest(str(name), known))
    return known[str(name)]


@cache
def _compiled() -> Any:
    import numba  # it takes a second

    def machine(function: Any) -> Any:
        try:
            return numba.njit(cache=True, nogil=True)(function)
        except RuntimeError:  # nowhere to keep it: compile in every process
            return numba.njit(nogil=True)(function)

    loops._far = machine(loops._far)
    loops._join = machine(loops._join)
    loops.advance = compiled_policy()  # type: ignore[attr-defined]
    return machine(loops.flow)
