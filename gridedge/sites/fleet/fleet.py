"""The verb ``fleet``: what a fleet's sites serve, and what their meters show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema, sources
from gridedge.errors import bad
from gridedge.profiles.inference.fluid import LoadCurve
from gridedge.profiles.inference.models import model
from gridedge.profiles.traffic.traffic import request_rate
from gridedge.profiles.traffic.week import week_seconds, zone
from gridedge.sites.facility import high_side, metered_power, tan_phi
from gridedge.sites.fleet.capacity import Kind, accelerators_of, holds, kinds_of
from gridedge.sites.fleet.device import home_load
from gridedge.sites.fleet.holding import HoldBack, most_at_work
from gridedge.sites.fleet.model import Fleet, ServingSite
from gridedge.sites.fleet.privacy import fine_tuning_load
from gridedge.sites.fleet.routing import Flow, Outage, Parking, Points, Service, route
from gridedge.sites.fleet.smallest import mean_tokens, serves_s
from gridedge.spec import Assumption, take
from gridedge.timebase import step_count

Float = NDArray[np.float64]
_USUAL_LOAD = 0.6
"""Load at which the length of an answer's time is read. [pu]"""


@dataclass(frozen=True)
class FleetResult:
    """What a fleet did.

    Parameters
    ----------
    load : Dataset
        ``p_mw(time, site)`` and ``q_mvar(time, site)`` at the meters, consumption and lagging positive, and
        ``p_it_mw(time, site)``; coordinates ``bus(site)``, ``tier(site)``, ``accelerators(site)``,
        ``power_factor(site)``.  :func:`gridedge.solve` takes it as it is.
    homes : Dataset or None
        ``p_mw(time)`` that the phones' chargers add to the homes; see :func:`gridedge.sites.fleet.device.home_load`.
    flow : Flow
        What became of the requests, by stream: a class, or its part for a tier as in ``conversation@edge``.
    by_tier : Dataset
        By ``tier``: ``it_mwh``, ``meter_mwh``, ``pue``, ``requests``, ``tokens`` (of answers), ``j_per_token`` at the
        meter or the socket.
    slow : dict
        By stream: requests that miss their bounds inside a replica, by its load curve; beside those that the flow
        counts as late for the network and the queue.
    services : tuple of Service
        What each stream takes, in accelerator seconds.
    curves : dict of LoadCurve
        By class, as they were measured; ``fleet(..., curves=made.curves)`` does not measure them again.
    parked : Dataset or None
        Where the fleet has ``scaling``: ``awake_pu(time, site)`` and ``starting_pu(time, site)``, shares of a site's
        accelerators; ``start_s(site)``, what a start takes; ``saved_it_mwh(site)``, energy of the computers with the
        same work and all at work, less that with parking; ``more_slow(site)``, requests that miss their bounds inside a
        replica only because the others rest.
    assumptions : tuple of Assumption
        Every number of the fleet with its origin.
    """

    load: xr.Dataset
    homes: xr.Dataset | None
    flow: Flow
    by_tier: xr.Dataset
    slow: dict[str, float]
    services: tuple[Service, ...]
    curves: dict[str, LoadCurve] = field(repr=False)
    parked: xr.Dataset | None = None
    assumptions: tuple[Assumption, ...] = field(default=(), repr=False)


def fleet(
    spec: Fleet | Mapping[str, Any] | str | Path,
    *,
    duration_s: float,
    dt_s: float,
    outdoor_c: xr.DataArray | None = None,
    outages: Sequence[Outage] = (),
    holding: Sequence[HoldBack] = (),
    curves: Mapping[str, LoadCurve] | None = None,
) -> FleetResult:
    """Carry the traffic of a metro through a fleet of sites, to their meters.

    Parameters
    ----------
    spec : Fleet, dict, name or path
        Traffic, places, sites, tiers; a shipped fleet answers to its name, such as ``metro-2035``.
    duration_s, dt_s : float
        Length and step. [s]
    outdoor_c : DataArray, dims (time,), optional
        Outdoor temperature of each step, which the cooling follows. [degC]
    outages : sequence of Outage
        Sites that fail; they draw nothing while they are out.
    holding : sequence of HoldBack
        Sites that let a share of their accelerators rest for a while, idle, or parked where the fleet has ``scaling``;
        the others of the site take on work up to ``fill_pu``, and what finds no room goes to the next site.
    curves : mapping, optional
        Load curve by class; measured on exact runs where one is left out.

    Returns
    -------
    FleetResult

    Raises
    ------
    InputError
        If a model fits no server of a site, a site is smaller than its idle load, no site meets a latency, or the
        clock is none.

    Notes
    -----
    The hardware of a site is shared by the classes: at every step each has as many of its accelerators as its part of
    the site's work, in whole or broken replicas, and all replicas work at the site's load.  Where the fleet has
    ``scaling``, that is the load of those that are awake: a site parks and starts its accelerators in pieces of its
    largest replica, at the beginnings of steps, has room for what is awake, and has all at work in its first step.
    """
    plan = take(Fleet, spec, find=partial(sources.resolve, "fleets"))
    steps = step_count(duration_s, dt_s)
    if outdoor_c is not None and not isinstance(outdoor_c, xr.DataArray):
        cure = 'Write outdoor_c=xr.DataArray(values, dims="time").'
        raise bad("outdoor_c is no series over time", type(outdoor_c).__name__, cure)
    if outdoor_c is not None and outdoor_c.sizes != {"time": steps}:
        value = f"{outdoor_c.sizes.get('time', 0)} temperatures for {steps} steps"
        raise bad("the temperatures do not fit the clock", value, "Give one for each step.")
    if outdoor_c is not None and not bool(np.isfinite(outdoor_c).all()):
        gaps = int((~np.isfinite(outdoor_c)).sum())
        raise bad("temperatures are missing", f"{gaps} of {steps} steps", "Fill them, in degC.")
    if outdoor_c is not None and float(outdoor_c.max()) > plan.design_c:
        value = f"{float(outdoor_c.max()):g} degC, design_c {plan.design_c:g}"
        raise bad("it is hotter than the sites are built for", value, "Raise design_c.")
    kinds = kinds_of(plan, curves or {})
    sizes = np.array([accelerators_of(plan, site, {k: v.table for k, v in kinds.items()}) for site in plan.sites])
    rate = request_rate(plan.traffic, duration_s=duration_s, dt_s=dt_s)["rate_per_s"].transpose("class", "time")
    streams = _streams(plan)
    if not streams:
        cure = "Lower private_pu or device_pu."
        raise bad("no request is left for the sites", "phones answer all", cure)
    services, asked, held, asks = [], [], {}, {}
    people = np.array([p.weight for p in plan.places])
    for name, (key, share, tier) in streams.items():
        services.append(_service(plan, name, key, kinds[key], tier == "private"))
        asked.append(share * rate.sel({"class": key}).values)
        held[name] = [s.name for s in plan.sites if _serves(plan, s, key, tier)]
        if not held[name]:
            value = model(plan.how(key).replica.model).name
            raise bad(f"{name}: no site of its tier holds the model", value, "Add it to the models of a site.")
        from_sites = kinds[key].one.asker == "agents" and plan.agents_at == "sites"
        asks[name] = np.r_[0.0 * people, sizes] if from_sites else np.r_[people, 0.0 * sizes]
    most = most_at_work(holding, [site.name for site in plan.sites], steps, dt_s)
    flow = route(
        xr.DataArray(np.array(asked), dims=("class", "time"), coords={"class": list(streams), "time": rate["time"]}),
        _points([*plan.places, *plan.sites], np.r_[people, sizes]),
        _points(plan.sites, plan.fill_pu * sizes),
        services,
        dt_s=dt_s,
        holds=held,
        asks=asks,
        network=plan.network(),
        outages=outages,
        parking=_parking(plan, kinds, sizes),
        most_pu=most,
    )
    flow.data["load_pu"].values *= plan.fill_pu  # of all its accelerators
    load, slow, parked = _meters(plan, kinds, streams, services, sizes, flow, outdoor_c, outages, most, dt_s)
    homes, used = _homes(plan, kinds, rate, dt_s)
    by_tier = _by_tier(plan, kinds, streams, flow, load, homes, used, dt_s)
    measured = {key: kind.curve for key, kind in kinds.items()}
    return FleetResult(load, homes, flow, by_tier, slow, tuple(services), measured, parked, tuple(plan.assumptions()))


def _parking(plan: Fleet, kinds: Mapping[str, Kind], sizes: NDArray[np.int64]) -> Parking | None:
    """Return how sites park: in pieces of the largest replica that each holds, with the longest start."""
    if plan.scaling is None:
        return None
    here = [[kind for key, kind in kinds.items() if holds(plan, site, key)] for site in plan.sites]
    largest = np.array([max(kind.size for kind in mine) for mine in here])
    start_s = np.array([max(plan.scaling.start_s(kind.table) for kind in mine) for mine in here])
    return Parking(plan.scaling, np.maximum(sizes // largest, 1.0), start_s, plan.scaling.target_load_pu / plan.fill_pu)


def _streams(plan: Fleet) -> dict[str, tuple[str, float, str]]:
    """Return class, share and tier of every stream, by its name; what must stay at home first."""
    out: dict[str, tuple[str, float, str]] = {}
    for key in plan.traffic.classes:
        private = plan.how(key).private_pu
        if private > 0 and plan.how(key).private_at == "edge":
            out[f"{key}@home"] = (key, private, "private")
    for key in plan.traffic.classes:
        private = plan.how(key).private_pu
        if plan.tiers is None:
            if private < 1:
                out[key] = (key, 1.0 - private, "any")
            continue
        edge = plan.tiers.edge_pu - private
        if edge > 1e-12:
            out[f"{key}@edge"] = (key, edge, "edge")
        if plan.tiers.cloud_pu > 0:
            out[f"{key}@cloud"] = (key, plan.tiers.cloud_pu, "cloud")
    return out


def _service(plan: Fleet, name: str, key: str, kind: Kind, private: bool) -> Service:
    tokens_in, tokens_out = mean_tokens(kind.one)
    curve, table, size = kind.curve, kind.table, kind.size
    # What moves reads its prompt and, on average, half of its answer again.
    again = (tokens_in + tokens_out / 2.0) * table.prefill_s_per_token * size
    return Service(
        name,
        work_s=size / curve.capacity_per_s,
        first_token_s=kind.one.first_token_s,
        serves_s=serves_s(table, kind.one),
        stay_s=tokens_out * float(curve.at(curve.token_s[0], np.array([_USUAL_LOAD]))[0]),
        again_s=again,
        patience_s=plan.how(key).patience_s,
        load_s=kind.weights_gb / plan.weights_gb_per_s if plan.how(key).loads and not private else np.inf,
        local=private,
    )


def _serves(plan: Fleet, site: ServingSite, key: str, tier: str) -> bool:
    wanted = {"any": ("cloud", "edge"), "private": ("edge",)}.get(tier, (tier,))
    return holds(plan, site, key) and site.of_tier() in wanted


def _points(items: Sequence[Any], weight: Float) -> Points:
    lat, lon = (np.array([getattr(item, name) for item in items]) for name in ("lat", "lon"))
    return Points([item.name for item in items], lat, lon, weight)


def _meters(
    plan: Fleet, kinds: Mapping[str, Kind], streams: Mapping[str, tuple[str, float, str]],
    services: Sequence[Service], sizes: NDArray[np.int64], flow: Flow, outdoor_c: xr.DataArray | None,
    outages: Sequence[Outage], most_pu: Float | None, dt_s: float,
) -> tuple[xr.Dataset, dict[str, float], xr.Dataset | None]:  # fmt: skip
    """Return power at every meter, the requests of each stream that are slow inside a replica, and what is parked."""
    steps, time = flow.data.sizes["time"], flow.data["time"].values
    p_it, p, q = (np.zeros((steps, len(plan.sites))) for _ in range(3))
    slow = dict.fromkeys(streams, 0.0)
    saved_mwh, more_slow = np.zeros(len(plan.sites)), np.zeros(len(plan.sites))
    out = {o.site: o for o in outages}
    taken, busy = flow.data["taken_per_s"].values, flow.data["load_pu"].values
    start_h = float(_local_h(plan))
    for s, site in enumerate(plan.sites):
        size = float(sizes[s])
        mine = {c: kinds[key] for c, (key, _, tier) in enumerate(streams.values()) if _serves(plan, site, key, tier)}
        # Accelerators at work for each stream.
        work = {c: taken[c, s] * services[c].work_s for c in mine}
        share = np.ones(steps) if most_pu is None else most_pu[s]
        with np.errstate(invalid="ignore", divide="ignore"):
            kept = np.where(share > 0, busy[s] / share, 0.0)
        each, late = _working(kept, mine, work, kinds)
        if most_pu is not None:
            each = share * each + (1.0 - share) * _idle_w(mine, kinds)
        draws = each
        if plan.scaling is not None:
            awake, starting = flow.data["awake_pu"].values[s], flow.data["starting_pu"].values[s]
            with np.errstate(invalid="ignore", divide="ignore"):
                fuller = np.where(awake > 0, busy[s] / awake, 0.0)
            all_late = late
            working, late = _working(fuller, mine, work, kinds)
            idle = _idle_w(mine, kinds)
            draws = awake * working + idle * (starting + plan.scaling.parked_pu * (1.0 - awake - starting))
            more_slow[s] = sum(float((taken[c, s] * (late[c] - all_late[c])).sum()) for c in mine) * dt_s
        names = list(streams)
        for c in mine:
            slow[names[c]] += float((taken[c, s] * late[c]).sum()) * dt_s
        building = site.building()
        nameplate = size * max(k.table.peak_w / k.size for k in kinds.values()) / 1e6
        if site.p_mw is not None:
            nameplate = building.it_mw(site.p_mw, plan.design_c)
        it = size * draws / 1e6
        if site.fine_tuning is not None:
            tuning = fine_tuning_load(site.fine_tuning, duration_s=steps * dt_s, dt_s=dt_s, start_h=start_h)
            it = it + tuning["p_mw"].values
        there = np.ones(steps)
        if site.name in out:
            dead = (time >= out[site.name].from_s) & (time < out[site.name].to_s)
            there[dead] = 0.0
        it = it * there
        saved_mwh[s] = float((size * (each - draws) / 1e6 * there).sum()) * dt_s / 3600.0
        facility = building.facility(site.transformer)
        factor = 1.0 if outdoor_c is None else building.cooling_factor(outdoor_c.values)
        here = metered_power(it, dt_s, facility, nameplate_mw=nameplate, cooling_factor=factor) * there
        if facility.transformer is not None:
            here = high_side(here, facility.transformer, power_factor=facility.power_factor) * there
        p_it[:, s], p[:, s], q[:, s] = it, here, here * tan_phi(facility.power_factor)
    names = [site.name for site in plan.sites]
    data = xr.Dataset(
        {n: (("time", "site"), v) for n, v in (("p_mw", p), ("q_mvar", q), ("p_it_mw", p_it))},
        coords={
            "time": time,
            "site": names,
            "tier": ("site", [site.of_tier() for site in plan.sites]),
            "accelerators": ("site", sizes),
            "power_factor": ("site", [site.building().power_factor for site in plan.sites]),
        },
        attrs={"power": "at the meter", "dt_s": dt_s, "start": plan.traffic.start, "zone": plan.traffic.zone},
    )
    buses = [site.bus for site in plan.sites]
    if all(b is not None for b in buses):
        whole = all(isinstance(b, int) for b in buses)
        data = data.assign_coords(bus=("site", np.asarray(buses, dtype=int if whole else object)))
    data["p_mw"].attrs["cell_methods"] = "time: mean"
    parked = None
    if plan.scaling is not None:
        start_s = _parking(plan, kinds, sizes).start_s  # type: ignore[union-attr]
        parked = flow.data[["awake_pu", "starting_pu"]].transpose("time", "site").assign(
            start_s=("site", start_s, {"units": "s"}),
            saved_it_mwh=("site", saved_mwh, {"units": "MWh"}),
            more_slow=("site", more_slow, {"units": "1"}),
        )  # fmt: skip
    return schema.describe(data), slow, parked


def _working(
    load: Float, mine: Mapping[int, Kind], work: Mapping[int, Float], kinds: Mapping[str, Kind]
) -> tuple[Float, dict[int, Float]]:
    """Return power of an accelerator that works at a load, in W, and the share of each stream that is slow there."""
    drawn, total = np.zeros(load.size), np.zeros(load.size)
    alike = np.zeros(load.size)  # where nothing new is taken on: idle, or contexts that are read again
    late = {}
    for c, kind in mine.items():
        power = kind.curve.at(kind.curve.power_w, load) / kind.size
        total += work[c]
        drawn += work[c] * power
        alike += power / len(mine)
        late[c] = kind.curve.at(kind.curve.late_pu, load)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, drawn / total, alike if mine else _idle_w(mine, kinds)), late


def _idle_w(mine: Mapping[int, Kind], kinds: Mapping[str, Kind]) -> float:
    """Return what an accelerator without work draws, in W: as its streams would on average."""
    idle = [kind.table.idle_w / kind.size for kind in mine.values()]
    return float(np.mean(idle)) if idle else max(k.table.idle_w / k.size for k in kinds.values())


def _local_h(plan: Fleet) -> float:
    """Return the local hour of the first sample."""
    import datetime as dt

    start = dt.datetime.fromisoformat(plan.traffic.start)
    week = week_seconds(start, np.zeros(1), zone(plan.traffic.zone), False, ())
    return float(week[0] % 86_400.0) / 3600.0


def _homes(
    plan: Fleet, kinds: Mapping[str, Kind], rate: xr.DataArray, dt_s: float
) -> tuple[xr.Dataset | None, tuple[float, float]]:
    """Return what devices add to the homes, with the requests and tokens that they answer."""
    parts = []
    for key, kind in kinds.items():
        share = plan.device_share(key)
        if share == 0:
            continue
        tokens_in, tokens_out = mean_tokens(kind.one)
        asked = share * rate.sel({"class": key}).values
        one = home_load(
            asked, dt_s, tokens_out, plan.device, tokens_in=tokens_in, start_h=_local_h(plan), homes=plan.homes
        )
        parts.append((one, asked.sum() * dt_s, tokens_out))
    if not parts:
        return None, (0.0, 0.0)
    made = parts[0][0].copy(deep=True)
    for one, _, _ in parts[1:]:
        for name in made.data_vars:
            made[name].values += one[name].values
        for name in ("energy_used_mwh", "energy_drawn_mwh", "energy_owed_mwh", "busy_devices"):
            made.attrs[name] += one.attrs[name]
    requests = float(sum(n for _, n, _ in parts))
    tokens = float(sum(n * out for _, n, out in parts))
    return made.assign_coords(time=rate["time"].values), (requests, tokens)


def _by_tier(
    plan: Fleet, kinds: Mapping[str, Kind], streams: Mapping[str, tuple[str, float, str]], flow: Flow,
    load: xr.Dataset, homes: xr.Dataset | None, used: tuple[float, float], dt_s: float,
) -> xr.Dataset:  # fmt: skip
    of = np.array([site.of_tier() for site in plan.sites])
    served = flow.by_site["served"].values
    answer = np.array([mean_tokens(kinds[key].one)[1] for key, _, _ in streams.values()])
    rows: dict[str, list[float]] = {n: [] for n in ("it_mwh", "meter_mwh", "requests", "tokens")}
    mwh = {name: load[name].values.sum(axis=0) * dt_s / 3600.0 for name in ("p_it_mw", "p_mw")}
    tiers = [t for t in ("cloud", "edge") if (of == t).any()]
    for tier in tiers:
        mine = of == tier
        rows["it_mwh"].append(float(mwh["p_it_mw"][mine].sum()))
        rows["meter_mwh"].append(float(mwh["p_mw"][mine].sum()))
        rows["requests"].append(float(served[:, mine].sum()))
        rows["tokens"].append(float((served[:, mine].sum(axis=1) * answer).sum()))
    if homes is not None:
        tiers.append("device")
        rows["it_mwh"].append(homes.attrs["energy_used_mwh"])
        rows["meter_mwh"].append(homes.attrs["energy_drawn_mwh"] + homes.attrs["energy_owed_mwh"])
        rows["requests"].append(used[0])
        rows["tokens"].append(used[1])
    table = {name: np.array(values) for name, values in rows.items()}
    with np.errstate(invalid="ignore", divide="ignore"):
        table["pue"] = np.where(table["it_mwh"] > 0, table["meter_mwh"] / table["it_mwh"], np.nan)
        table["j_per_token"] = np.where(table["tokens"] > 0, table["meter_mwh"] * 3.6e9 / table["tokens"], np.nan)
    units = {"it_mwh": "MWh", "meter_mwh": "MWh", "j_per_token": "J"}
    data = {name: ("tier", values, {"units": units.get(name, "1")}) for name, values in table.items()}
    return xr.Dataset(data, coords={"tier": tiers})
