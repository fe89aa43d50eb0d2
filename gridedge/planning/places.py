"""Which buses may carry a site, and in which order they are tried."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from gridedge.errors import InputError, bad, nearest
from gridedge.grid.buses import bus_names, find_bus
from gridedge.grid.distance import Distances, distances
from gridedge.grid.towns import towns
from gridedge.planning.fitting import Together
from gridedge.planning.hosting.result import HostingResult
from gridedge.sites.fleet.towns import known_towns, metro_towns

Float = NDArray[np.float64]
Where = int | str


def pool_of(
    net: Any, far: Distances, how: str, entries: Sequence[Where], vn_kv: tuple[float, float] | None
) -> tuple[list[int], list[str]]:
    """Return the buses that may carry a site, and what was left out.

    Parameters
    ----------
    net : pandapowerNet
        The net.
    far : Distances
        Its graph.
    how : str
        Named buses are taken as they are.
    entries : sequence of int or str
        Buses and towns.
    vn_kv : (float, float), optional
        Lowest and highest nominal voltage. [kV]
    """
    if how in ("named", "town", "near", "corridor") and not entries:
        cure = "Name buses or towns in where, or take the best of all buses with how: best."
        raise bad(f'how="{how}" needs places', "where is left out", cure)
    if how == "named":
        buses = [find_bus(net, b)[0] for b in entries]
        return list(dict.fromkeys(buses)), []
    if how == "near" and len(entries) != 1:
        raise bad('how="near" starts at one place', str(list(entries)[:5]), "Name one bus or town.")
    if how == "corridor":
        if len(entries) < 2:
            raise bad("a corridor joins two places or more", str(list(entries)), 'Give where=["DALLAS", "AUSTIN"].')
        wanted = _along(net, far, entries)
    elif how == "near" or not entries:
        wanted = [int(b) for b in net.bus.index]
    else:
        wanted = [b for one in entries for b in buses_of(net, one)]
    return _usable(net, far, list(dict.fromkeys(wanted)), vn_kv)


def candidates(
    net: Any, *, where: Where | Sequence[Where] | None = None, vn_kv: tuple[float, float] | None = None
) -> list[int]:
    """Return every bus that could carry a site: of places, or of the whole net.

    Parameters
    ----------
    net : pandapowerNet
        The net.
    where : int, str or sequence of these, optional
        Buses, towns, or an area of towns.
    vn_kv : (float, float), optional
        Lowest and highest nominal voltage. [kV]

    Raises
    ------
    InputError
        If a place is unknown, or no bus is left.
    """
    entries: list[Where] = [where] if isinstance(where, int | str) else list(where or [])
    return pool_of(net, distances(net), "best", entries, vn_kv)[0]


def _usable(
    net: Any, far: Distances, wanted: list[int], vn_kv: tuple[float, float] | None
) -> tuple[list[int], list[str]]:
    own = set()
    for table in ("gen", "ext_grid"):  # static generators stand among loads
        own |= set(net[table].loc[net[table]["in_service"].astype(bool), "bus"].astype(int))
    label = connected_components(far.graph, directed=False)[1]
    sources = [*net.ext_grid.loc[net.ext_grid["in_service"].astype(bool), "bus"]]
    slack = net.gen["in_service"].astype(bool) & net.gen["slack"].fillna(False).astype(bool)
    sources += [*net.gen.loc[slack, "bus"]]
    fed = set(label[far.rows(sources)].tolist())
    live = {int(b) for b, part in zip(far.bus, label, strict=True) if int(part) in fed}
    live &= {int(b) for b in net.bus.index[net.bus["in_service"].astype(bool)]}
    low, high = vn_kv if vn_kv is not None else (0.0, np.inf)
    kv = net.bus["vn_kv"]
    kept = [b for b in wanted if b in live and b not in own and low <= kv[b] <= high]
    notes = []
    for count, why in (
        (sum(b not in live for b in wanted), "without supply"),
        (sum(b in live and b in own for b in wanted), "at which a generator or the grid stands"),
        (sum(b in live and b not in own and not low <= kv[b] <= high for b in wanted), "of other voltages"),
    ):
        notes += [f"Left out: {count} buses {why}."] if count else []
    if not kept:
        raise bad("no bus is left that could carry a site", " ".join(notes), "Name other places, or other voltages.")
    return kept, notes


def buses_of(net: Any, place: Where) -> list[int]:
    """Return the buses that a place means: an index, a name, a town, or an area of towns.

    Raises
    ------
    InputError
        If it is none of these; the message suggests the nearest.
    """
    if not isinstance(place, str):
        return [find_bus(net, place)[0]]
    if (bus_names(net) == place).any():
        return [find_bus(net, place)[0]]
    try:
        known = towns(net)
    except InputError:
        return [find_bus(net, place)[0]]  # the names carry no towns: it can only be a bus, and is none
    if any(t.metro == place.lower() for t in known_towns().values() if t.metro):
        return [b for town in metro_towns(place.lower()) for b in known.get(town, [])]
    key = " ".join(place.upper().split())
    if key in known:
        return known[key]
    raise bad("no bus, town or area has this name", place, nearest(key, known))


def _heaviest(net: Any, buses: Sequence[int]) -> list[int]:
    """Return buses in the order of the load that they carry, the largest first."""
    load = net.load[net.load["in_service"].astype(bool)]
    drawn = (load["p_mw"] * load["scaling"]).groupby(load["bus"].astype(int)).sum()
    return sorted(buses, key=lambda b: -float(drawn.get(b, 0.0)))


def _along(net: Any, far: Distances, entries: Sequence[Where]) -> list[int]:
    """Return the buses on the shortest way through the net that joins places."""
    stops = [_heaviest(net, buses_of(net, place))[0] for place in entries]
    way = [stops[0]]
    for a, b in pairwise(stops):
        way += far.path(a, b)[1:]
    return way


def ordered(
    net: Any,
    far: Distances,
    all_on: Together,
    pool: list[int],
    *,
    how: str,
    entries: Sequence[Where],
    count: int,
    most_mw: float,
    seed: int,
    hosting: HostingResult | None,
    most_buses: int,
) -> dict[int, str]:
    """Return the buses in the order in which they are tried, each with the reason why."""
    if how == "named":
        return dict.fromkeys(pool, "named")
    if how == "random":
        drawn = np.random.default_rng(seed).permutation(len(pool))
        return {pool[k]: f"drawn with seed {seed}" for k in drawn.tolist()}
    if how == "best":
        return _best(all_on, pool, most_mw, hosting, most_buses)
    if how == "near":
        start = _heaviest(net, buses_of(net, entries[0]))[0]
        km = far.km(start, pool)
        name = bus_names(net)[start]
        order = np.argsort(km, kind="stable").tolist()
        return {pool[k]: f"{km[k]:.1f} km from {name}" for k in order if np.isfinite(km[k])}
    if how == "town":
        return _in_turn(net, pool, entries)
    return _evenly(net, far, _along(net, far, entries), set(pool), count)


def _best(
    all_on: Together, pool: list[int], most_mw: float, hosting: HostingResult | None, most_buses: int
) -> dict[int, str]:
    if hosting is not None:
        capacity = hosting.capacity_mw
        known = {int(b): float(v) for b, v in zip(capacity["bus"].values, capacity.values, strict=True)}
        mine = [b for b in pool if b in known]
        if not mine:
            raise bad("the hosting result holds none of these buses", f"{len(known)} others", "Find it for these.")
        mine.sort(key=lambda b: -known[b])
        return {b: f"takes {known[b]:.1f} MW alone" for b in mine}
    few = pool
    if len(pool) > most_buses:
        reach = all_on.trial.reach_mw()
        few = sorted(pool, key=lambda b: -float(reach[all_on.column[b]]))[:most_buses]
    takes = all_on.single(few, most_mw)
    order = np.argsort(-takes, kind="stable").tolist()
    more = ["", " or more"]
    return {few[k]: f"takes {takes[k]:.1f} MW{more[int(takes[k] >= most_mw)]} alone" for k in order}


def _in_turn(net: Any, pool: list[int], entries: Sequence[Where]) -> dict[int, str]:
    usable, groups = set(pool), {}
    by_town = towns(net)
    for place in entries:
        buses = set(buses_of(net, place)) & usable
        for town, members in by_town.items():
            mine = [b for b in members if b in buses]
            if mine and town not in groups:
                groups[town] = _heaviest(net, mine)
    wanted = [t for place in entries for t in _names(place) if t in groups]
    line = list(dict.fromkeys([*wanted, *groups]))
    turns = max(len(g) for g in groups.values())
    return {groups[t][k]: f"in {t}" for k in range(turns) for t in line if k < len(groups[t])}


def _names(place: Where) -> list[str]:
    key = " ".join(str(place).upper().split())
    return metro_towns(key.lower()) if any(t.metro == key.lower() for t in known_towns().values()) else [key]


def _evenly(net: Any, far: Distances, way: list[int], usable: set[int], count: int) -> dict[int, str]:
    """Return the buses of a way so that the first ``count`` lie evenly along it, then the others."""
    step = [float(far.km(a, [b])[0]) for a, b in pairwise(way)]
    at = dict(zip(way[::-1], np.r_[0.0, np.cumsum(step)][::-1].tolist(), strict=True))  # the first time it is passed
    length, free, chosen = sum(step), [b for b in dict.fromkeys(way) if b in usable], {}
    names = bus_names(net)
    for k in range(count):
        if not free:
            break
        target = (k + 0.5) / count * length
        bus = min(free, key=lambda b: abs(at[b] - target))
        free.remove(bus)
        chosen[bus] = f"{at[bus]:.1f} of {length:.1f} km from {names[way[0]]} to {names[way[-1]]}"
    return chosen | {b: f"{at[b]:.1f} of {length:.1f} km along the way, in reserve" for b in free}
