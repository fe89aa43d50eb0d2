"""One layout of a fleet study: its sites on the net, its year of serving, and what losing a site does to requests."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import bad
from gridedge.profiles.inference.replica import rates
from gridedge.profiles.traffic.week import zone
from gridedge.sites.fleet.capacity import accelerators_of, at_load, first_tokens, kinds_of
from gridedge.sites.fleet.fleet import FleetResult, fleet
from gridedge.sites.fleet.model import Fleet, Place, ServingSite, serving_sites
from gridedge.sites.fleet.routing import Outage
from gridedge.sites.fleet.towns import metro_towns, town_place
from gridedge.sites.fleet.weather import usual_temperature
from gridedge.spec import build
from gridedge.study.fleet_below import Below, through
from gridedge.study.fleet_model import FleetStudySpec, Layout

if TYPE_CHECKING:
    from gridedge.grid.season import Season
    from gridedge.planning.placement import Placement
    from gridedge.profiles.inference.fluid import LoadCurve

Float = NDArray[np.float64]
SHARES = np.r_[np.linspace(0.0, 0.98, 50), 0.99, 0.995, 0.999]
"""At which the distribution of the time to the first token is kept."""
_DRAWN = 40_000  # pairs of a network time and a time inside, for their sum's distribution
_EXACT_S = 1800.0
_SETTLED_S = 300.0  # the end of a stretch, over which powers are averaged


@dataclass(frozen=True, eq=False)
class Served:
    """One layout over the year, without the grid.

    Parameters
    ----------
    label : str
        Of the layout.
    layout : Layout
        As the study says it.
    placement : Placement
        Which buses it took.
    plan : Fleet
        What was carried: traffic, places and sites.
    made : FleetResult
        The year in the steps of the fleet.
    steps : Dataset
        ``p_mw(time, site)``, ``q_mvar(time, site)`` that the net sees, feeders below among it, and
        ``p_it_mw(time, site)``: means over the net's steps. [MW]
    outdoor_c : DataArray
        Temperatures of the fleet's steps. [degC]
    curves : dict
        Load curve by class.
    below : Below or None
        Feeder between each site and its bus.
    """

    label: str
    layout: Layout
    placement: Placement
    plan: Fleet
    made: FleetResult
    steps: xr.Dataset
    outdoor_c: xr.DataArray
    curves: Mapping[str, LoadCurve]
    below: Below | None = None


def places_of(spec: FleetStudySpec, net: Any) -> tuple[Place, ...]:
    """Return where people ask: as the study lists them, or the towns of an area, weighed by their own load in the net.

    Raises
    ------
    InputError
        If no town of the area has a load in the net.
    """
    if not isinstance(spec.places, str):
        return spec.places
    from gridedge.grid.towns import towns

    mw = net.load["p_mw"] * net.load["scaling"] * net.load["in_service"]
    by_bus = mw.groupby(net.load["bus"]).sum()
    here = towns(net)
    asks: dict[str, float] = {}
    for name in metro_towns(spec.places):  # a town may be there twice, spelt otherwise
        load_mw = float(sum(by_bus.get(bus, 0.0) for bus in here.get(name, ())))
        asks[town_place(name).name] = asks.get(town_place(name).name, 0.0) + load_mw
    found = [
        Place(name=name, lat=town_place(name).lat, lon=town_place(name).lon, weight=load_mw)
        for name, load_mw in asks.items()
        if load_mw > 0
    ]
    if not found:
        raise bad("no town of this area has a load in the net", spec.places, "List the places with their coordinates.")
    return tuple(found)


def place_layouts(spec: FleetStudySpec, net: Any) -> dict[str, Placement]:
    """Return where the sites of every layout stand."""
    from gridedge.planning.placement import place_sites

    found = {}
    for label, one in spec.layouts.items():
        where: Any = one.where if one.where is not None else spec.places if isinstance(spec.places, str) else None
        found[label] = place_sites(
            net, one.sites, one.mw_each, how=one.how, where=where, vn_kv=one.vn_kv, spacing_km=one.spacing_km,
            per_bus=one.per_bus, seed=one.seed, if_full="note" if one.how == "named" else "next",
            limits=spec.kept_limits(),
            existing="no_worse",
        )  # fmt: skip
    return found


def plans_of(
    spec: FleetStudySpec, placements: Mapping[str, Placement], places: tuple[Place, ...], start: str
) -> dict[str, Fleet]:
    """Return each layout as a fleet, all with the same requests: what the layout with the least computers can carry."""
    traffic = {
        "zone": spec.zone, "start": start, "holidays": spec.holidays,
        "classes": {key: share.model_dump(exclude_unset=True) for key, share in spec.traffic.items()},
    }  # fmt: skip
    found: dict[str, Fleet] = {}
    count: dict[str, int] = {}
    for label, placement in placements.items():
        one = spec.layouts[label]
        more = {name: value for name, value in (("facility", one.facility), ("tier", one.tier)) if value is not None}
        sites = serving_sites(placement.sites, **more)
        data = {"traffic": traffic, "places": places, "sites": sites, "serve": spec.serve, **spec.fleet}
        plan = found[label] = build(Fleet, data)
        tables = {key: rates(plan.how(key).replica) for key in plan.traffic.classes}
        count[label] = accelerators_of(plan, plan.sites[0], tables)
    if spec.computers == "same":
        most = min(count[label] * spec.layouts[label].sites for label in found)
        for label, plan in found.items():
            each = most // spec.layouts[label].sites
            found[label] = plan.model_copy(update={"sites": tuple(_with(site, each) for site in plan.sites)})
    scaled = {label: at_load(plan, spec.peak_pu) for label, plan in found.items()}
    first = next(iter(spec.traffic))
    least = min(scaled.values(), key=lambda plan: plan.traffic.classes[first].requests_per_s)
    return {label: plan.model_copy(update={"traffic": least.traffic}) for label, plan in found.items()}


def _with(site: ServingSite, accelerators: int) -> ServingSite:
    """Return a site with so many accelerators in the building that its size asks for."""
    kept = {"tier": site.of_tier(), "facility": site.building(), "p_mw": None, "accelerators": accelerators}
    return site.model_copy(update=kept)


def serve_year(
    spec: FleetStudySpec, label: str, placement: Placement, plan: Fleet, season: Season, below: Below | None = None
) -> Served:
    """Carry a year of requests through one layout.

    Raises
    ------
    InputError
        If the fleet's step does not divide the net's.
    """
    whole = season.dt_s / spec.step_s
    if abs(whole - round(whole)) > 1e-9 or whole < 1:
        value = f"step_s {spec.step_s:g} s, the net's {season.dt_s:g} s"
        raise bad("the fleet's step does not divide the net's", value, "Take 900 s, or a divisor of the net's step.")
    duration_s = season.dt_s * season.time_s.size
    outdoor_c = usual_temperature(spec.climate, start=plan.traffic.start, duration_s=duration_s, dt_s=spec.step_s)
    curves = {key: kind.curve for key, kind in kinds_of(plan, {}).items()}
    made = fleet(plan, duration_s=duration_s, dt_s=spec.step_s, outdoor_c=outdoor_c, curves=curves)
    each = round(whole)
    count = made.load.sizes["site"]
    data = {
        name: (("time", "site"), made.load[name].values.reshape(-1, each, count).mean(axis=1))
        for name in ("p_mw", "q_mvar", "p_it_mw")
    }
    coords = {"time": season.time_s, "site": made.load["site"].values, "bus": ("site", made.load["bus"].values)}
    steps = xr.Dataset(data, coords=coords)
    steps.attrs = {"dt_s": season.dt_s, "reduction": f"time: mean over {each} steps of {spec.step_s:g} s"}
    seen = schema.describe(through(steps, below))
    return Served(label, spec.layouts[label], placement, plan, made, seen, outdoor_c, curves, below)


def lose_sites(spec: FleetStudySpec, one: Served, hour: int, season: Season) -> xr.Dataset:
    """Lose every site once in a stretch that begins at an hour, and reroute.

    Returns
    -------
    Dataset
        By ``case``, the site that is lost: ``lands_mw(case, site)``, mean of the stretch's last five minutes, beside
        ``before_mw(site)``, the same five minutes without a loss [MW]; ``late(case, class)`` and
        ``refused(case, class)`` beyond those of the same stretch without a loss, ``rerouted(case)``, requests that the
        others took on more; ``books_gap`` of the worst case.  For the case that loses most, ``p_mw(time, site)``,
        ``refused_per_s(time)`` and ``late_per_s(time)``.
    """
    loss = spec.losing()
    assert loss is not None
    plan = _from(one.plan, float(season.time_s[hour]))
    steps = round(loss.window_s / loss.dt_s)
    now_c = float(one.outdoor_c.values[round(float(season.time_s[hour]) / spec.step_s)])
    outdoor_c = xr.DataArray(np.full(steps, now_c), dims="time")

    def run(outages: tuple[Outage, ...]) -> FleetResult:
        return fleet(
            plan,
            duration_s=steps * loss.dt_s,
            dt_s=loss.dt_s,
            outdoor_c=outdoor_c,
            outages=outages,
            curves=one.curves,
        )

    whole = run(())
    time = whole.load["time"].values
    end = time >= time[-1] + loss.dt_s - _SETTLED_S
    before_mw = whole.load["p_mw"].values[end].mean(axis=0)
    names = [str(s) for s in whole.load["site"].values]
    classes = list(whole.flow.books)
    worst = int(before_mw.argmax())
    offered = sum(b["offered"] for b in whole.flow.books.values())
    lands, late, refused, rerouted, gap = [], [], [], [], 0.0
    kept: FleetResult = whole
    for k, name in enumerate(names):
        found = run((Outage(name, loss.at_s),))
        lands.append(found.load["p_mw"].values[end].mean(axis=0))
        extra = {w: [found.flow.books[c][w] - whole.flow.books[c][w] for c in classes] for w in ("late", "refused")}
        late.append(extra["late"])
        refused.append(extra["refused"])
        took = (found.flow.by_site["taken_on"] - whole.flow.by_site["taken_on"]).sum("class").values
        rerouted.append(float(np.delete(took, k).clip(0.0).sum()))
        gap = max(gap, *(books_gap(b) for b in found.flow.books.values()))
        kept = found if k == worst else kept
    coords = {"case": names, "site": names, "class": classes, "time": time}
    ds = xr.Dataset(
        {
            "lands_mw": (("case", "site"), np.array(lands)),
            "before_mw": ("site", before_mw),
            "late": (("case", "class"), np.array(late)),
            "refused": (("case", "class"), np.array(refused)),
            "rerouted": ("case", np.array(rerouted)),
            "p_mw": (("time", "site"), kept.load["p_mw"].values),
            "refused_per_s": ("time", kept.flow.data["refused"].sum("class").values / loss.dt_s),
            "late_per_s": ("time", kept.flow.data["late"].sum("class").values / loss.dt_s),
            "offered_per_s": ("time", np.full(time.size, offered / loss.window_s)),
        },
        coords=coords,
    )  # fmt: skip
    ds.attrs = {
        "dt_s": loss.dt_s,
        "at_s": loss.at_s,
        "lost": names[worst],
        "books_gap": gap,
        "start": plan.traffic.start,
    }
    return schema.describe(ds)


def _from(plan: Fleet, after_s: float) -> Fleet:
    """Return a fleet as it is some seconds later: the clock of its people, and what they ask by then."""
    traffic, place = plan.traffic, zone(plan.traffic.zone)
    begin = datetime.datetime.fromisoformat(traffic.start)
    begin = begin if begin.tzinfo is not None else begin.replace(tzinfo=place)
    start = datetime.datetime.fromtimestamp(begin.timestamp() + after_s, tz=place)
    years = after_s / (365.25 * 86_400.0)
    classes = {
        key: share.model_copy(
            update={"requests_per_s": share.requests_per_s * (1.0 + share.growth_pu_per_year) ** years}
        )
        for key, share in traffic.classes.items()
    }
    later = traffic.model_copy(update={"start": start.isoformat(sep=" "), "classes": classes})
    return plan.model_copy(update={"traffic": later})


def books_gap(books: Mapping[str, float]) -> float:
    """Return by how much a class's books do not close, over what was offered."""
    ends = sum(books[name] for name in ("in_time", "late", "refused", "in_system"))
    return abs(books["offered"] - ends) / max(books["offered"], 1.0)


def latency(spec: FleetStudySpec, one: Served) -> xr.Dataset:
    """Return how long the first token takes, network included, in the busiest step of the year.

    Returns
    -------
    Dataset
        ``first_token_s(class, share)``, quantiles over requests [s]; by class ``bound_s``, ``late_pu`` beyond it,
        ``network_ms`` (mean) and ``load_pu``, the load at which the replica is run exactly: that of the sites, weighed
        by their requests.

    Notes
    -----
    A replica of the class serves half an hour of single requests at that load, and each is given the network time of a
    way drawn in proportion to the year's requests on it; the two are taken as independent.
    """
    flow, rng = one.made.flow, np.random.default_rng(np.random.SeedSequence(spec.seed))
    at_work = one.made.load["accelerators"].values @ flow.data["load_pu"].values
    busiest = int(at_work.argmax())
    rows: dict[str, list[Any]] = {n: [] for n in ("first_token_s", "bound_s", "late_pu", "network_ms", "load_pu")}
    classes = []
    for key, curve in one.curves.items():
        streams = [c for c in flow.books if c.split("@")[0] == key]
        taken = flow.data["taken_per_s"].sel({"class": streams}).sum("class").values[:, busiest]
        ways = flow.ways.isel(way=np.isin(flow.ways["class"].values, streams))
        if not taken.sum() > 0 or not ways.sizes["way"]:
            continue
        load_pu = float((flow.data["load_pu"].values[:, busiest] * taken).sum() / taken.sum())
        replica, kind = one.plan.how(key).replica, one.plan.traffic.of(key)
        inside = first_tokens(
            kind, rates(replica), replicas=float(one.made.load["accelerators"].sum()) / replica.accelerators,
            per_s=max(load_pu, 0.01) * curve.capacity_per_s, duration_s=_EXACT_S,
        )  # fmt: skip
        weight = ways["requests"].values / ways["requests"].values.sum()
        network = rng.choice(ways["network_s"].values, _DRAWN, p=weight)
        total = rng.choice(inside, _DRAWN) + network
        classes.append(key)
        rows["first_token_s"].append(np.quantile(total, SHARES))
        rows["bound_s"].append(kind.first_token_s)
        rows["late_pu"].append(float((total > kind.first_token_s).mean()))
        rows["network_ms"].append(1e3 * float((ways["network_s"].values * weight).sum()))
        rows["load_pu"].append(load_pu)
    data = {name: (("class", "share") if name == "first_token_s" else "class", np.array(v)) for name, v in rows.items()}
    found = xr.Dataset(data, coords={"class": classes, "share": SHARES})
    found.attrs = {"busiest_s": float(one.made.load["time"].values[busiest]), "requests": _DRAWN}
    return schema.describe(found)
