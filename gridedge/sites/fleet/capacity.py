"""What a fleet can do: accelerators of each site, load curves of its classes, and traffic scaled to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.profiles.inference.fluid import LoadCurve, load_curve
from gridedge.profiles.inference.models import model
from gridedge.profiles.inference.replica import Rates, rates
from gridedge.profiles.inference.run import Requests, serve_exactly
from gridedge.profiles.traffic.arrivals import arrivals, lengths
from gridedge.profiles.traffic.classes import RequestClass
from gridedge.profiles.traffic.traffic import TrafficProfile, request_rate
from gridedge.sites.fleet.facility_tier import tier_of_size
from gridedge.sites.fleet.model import Fleet, ServingSite
from gridedge.sites.fleet.sharing import installed_over_served, thinned_cv
from gridedge.sites.fleet.smallest import SERVER, mean_tokens
from gridedge.spec import build

Float = NDArray[np.float64]
_LONGEST = 32_768
"""Tokens of a prompt or an answer at most, in the runs that measure a load curve."""
_STREAM = 101  # of the random numbers; load curves have the first ones
_SETTLE_S = 180.0


@dataclass(frozen=True)
class Kind:
    """A class with its replica: tables, load curve, size."""

    one: RequestClass
    table: Rates
    curve: LoadCurve
    size: int
    weights_gb: float


def kinds_of(plan: Fleet, curves: Mapping[str, LoadCurve]) -> dict[str, Kind]:
    """Return every class with its replica, its load curve measured where none is given."""
    tables = {k: rates(plan.how(k).replica) for k in plan.traffic.classes}
    total = float(sum(accelerators_of(plan, site, tables) for site in plan.sites))
    found = {}
    for key, table in tables.items():
        replica, one = plan.how(key).replica, plan.traffic.of(key)
        curve = curves.get(key) or class_curve(one, table, replicas=total / replica.accelerators)
        found[key] = Kind(one, table, curve, replica.accelerators, model(replica.model).weights_gb)
    return found


def class_curve(one: RequestClass, table: Rates, *, replicas: float, minutes: int = 30) -> LoadCurve:
    """Measure the load curve of one of many replicas that share the requests of a class.

    Parameters
    ----------
    one : RequestClass
        Lengths, bounds and bursts.
    table : Rates
        The replica.
    replicas : float
        How many share the class: what comes to one of them is nearer to Poisson than what comes to all.
    minutes : int
        Length of each run.
    """
    draw = _draws(one, table, replicas)
    return load_curve(table, draw, first_token_s=one.first_token_s, token_s=one.token_s, minutes=minutes)


def first_tokens(one: RequestClass, table: Rates, *, replicas: float, per_s: float, duration_s: float) -> Float:
    """Return the time to the first token of single requests at one of many replicas.

    Parameters
    ----------
    one, table, replicas
        As for :func:`class_curve`.
    per_s : float
        Requests that come to the one replica. [1/s]
    duration_s : float
        Length of the exact run; its first three minutes are left out. [s]

    Returns
    -------
    ndarray, shape (request,)
        Without any network. [s]
    """
    ask = _draws(one, table, replicas)(per_s, duration_s, _STREAM)
    run = serve_exactly(ask, table, duration_s=duration_s, dt_s=60.0)
    took = run.first_s - ask.at_s
    return np.asarray(took[np.isfinite(took) & (ask.at_s >= _SETTLE_S)])


def _draws(one: RequestClass, table: Rates, replicas: float) -> Callable[[float, float, int], Requests]:
    cv = thinned_cv(one.cv, 1.0 / max(replicas, 1.0))
    most = min(_LONGEST, table.context_tokens // 2)

    def draw(per_s: float, duration_s: float, stream: int) -> Requests:
        rng = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(stream,)))
        at = arrivals(np.array([per_s]), duration_s, cv=cv, law=one.law, rng=rng)
        sizes = [lengths(at.size, law, rng, most=most) for law in (one.tokens_in, one.tokens_out)]
        return Requests(at, *sizes)

    return draw


def accelerators_of(plan: Fleet, site: ServingSite, tables: Mapping[str, Rates]) -> int:
    """Return how many accelerators a site has: as many as its megawatts carry at their peak.

    Parameters
    ----------
    plan : Fleet
        What is served.
    site : ServingSite
        Its size and building.
    tables : mapping
        Replica by class.

    Raises
    ------
    InputError
        If the site carries not one replica, or its servers do not fit its racks.
    """
    building = site.building()
    here = [k for k in plan.traffic.classes if holds(plan, site, k)]
    if not here:
        raise bad(f"{site.name}: it holds no model that is asked for", str(site.models), "Name one that serves.")
    per_chip = {k: tables[k].peak_w / plan.how(k).replica.accelerators for k in here}
    for k in here:
        building.servers_per_rack(per_chip[k] * min(plan.how(k).replica.accelerators, SERVER) / 1e3)
    if site.accelerators is not None:
        count = site.accelerators
    else:
        assert site.p_mw is not None
        count = int(1e6 * (building.it_mw(site.p_mw, plan.design_c) - _tuning_mw(site)) / max(per_chip.values()) + 1e-9)
    for k in here:
        need = plan.how(k).replica.accelerators
        if count < need:
            name = model(plan.how(k).replica.model).name
            idle = tables[k].idle_w / 1e6 * (1.0 + building.a) + building.b * tables[k].peak_w / 1e6
            if site.p_mw is not None and site.p_mw < idle:
                value = f"{site.p_mw:g} MW, one idle replica of {name} draws {idle:.3g} MW at the meter"
                raise bad(f"{site.name}: capacity under the idle load", value, "Give the site more power.")
            value = f"{name} needs {need} accelerators, the site has {max(count, 0)}"
            raise bad(
                f"{site.name}: the model fits no server of the site", value, "Enlarge the site, or name its models."
            )
    return count


def at_load(spec: Fleet, peak_pu: float, *, duration_s: float = 604_800.0, dt_s: float = 900.0) -> Fleet:
    """Return the fleet with its traffic scaled so that its busiest step takes a share of all accelerators.

    Parameters
    ----------
    spec : Fleet
        Traffic in any scale: the mix of its classes is kept.
    peak_pu : float
        Work of the busiest step over what all sites can do. [pu]
    duration_s, dt_s : float
        Where the busiest step is looked for. [s]

    Raises
    ------
    InputError
        If the share is none, or nobody asks.
    """
    if not 0 < peak_pu <= 10:
        raise bad("peak_pu is no share of the capacity", peak_pu, "Give 0 < peak_pu, below 1 for a fleet that copes.")
    kinds = kinds_of(spec, {})
    tables = {k: v.table for k, v in kinds.items()}
    total = float(sum(accelerators_of(spec, site, tables) for site in spec.sites))
    rate = request_rate(spec.traffic, duration_s=duration_s, dt_s=dt_s)["rate_per_s"]
    work = sum(
        rate.sel({"class": k}).values * (1.0 - spec.device_share(k)) * v.size / v.curve.capacity_per_s
        for k, v in kinds.items()
    )
    most = float(np.max(work))
    if not most > 0:
        raise bad("nobody asks for anything", most, "Give requests_per_s above 0 for a class.")
    factor = peak_pu * total / most
    # Built anew, so that the bound on how fast people ask holds for the new rates too.
    data = spec.traffic.model_dump(exclude_unset=True)
    for key, share in spec.traffic.classes.items():
        data["classes"][key] = {**data["classes"][key], "requests_per_s": share.requests_per_s * factor}
    return spec.model_copy(update={"traffic": build(TrafficProfile, data)})


def sharing(
    plan: Fleet, sites: Sequence[int], *, wait_pu: float = 0.01, lost: int = 1, shared: bool = True
) -> xr.Dataset:
    """Return what has to be installed for the traffic of a fleet, by the number of equal sites that share it.

    Parameters
    ----------
    plan : Fleet
        Its traffic and replicas; its own sites give the load curves, and nothing else.
    sites : sequence of int
        Numbers of sites to compare.
    wait_pu : float
        Share of the requests that may wait for a place in a batch; 1 % is chosen. [pu]
    lost : int
        Sites that may be lost.
    shared : bool
        Whether all classes share a site's hardware, or each has its own.

    Returns
    -------
    Dataset
        As :func:`gridedge.sites.fleet.sharing.installed_over_served`, in units of the largest replica, over a week at
        quarter hours; with ``served_mw``, IT power of the work at the peak with every batch full, and by ``sites``:
        ``installed_mw`` at the meters by the normal law, ``site_mw`` of each, its ``building``, and
        ``installed_mw_per_served_mw``.
    """
    kinds = kinds_of(plan, {})
    rate = request_rate(plan.traffic, duration_s=604_800.0, dt_s=900.0)["rate_per_s"]
    size = max(k.size for k in kinds.values())
    load = np.array([rate.sel({"class": n}).values / k.curve.capacity_per_s * k.size / size for n, k in kinds.items()])
    # By Little's law a full replica holds its capacity times the time of an answer; the fewest of the classes.
    slots = int(
        min(
            k.curve.capacity_per_s * mean_tokens(k.one)[1] * float(k.curve.token_s[0, -1]) * size / k.size
            for k in kinds.values()
        )
    )
    out = installed_over_served(
        load, sites, wait_pu=wait_pu, lost=lost, shared=shared, slots=max(slots, 1),
        cv=[k.one.cv for k in kinds.values()], spread_pu=[k.one.noise_pu for k in kinds.values()],
    )  # fmt: skip
    unit_mw = size * max(k.table.peak_w / k.size for k in kinds.values()) / 1e6
    served = out.attrs["served_replicas"] * unit_mw
    site_mw, building = [], []
    for n, ratio in zip(out["sites"].values.tolist(), out["normal_pu"].values.tolist(), strict=True):
        it = ratio * served / n
        if not np.isfinite(it):
            site_mw.append(np.nan)
            building.append("")
            continue
        kind = tier_of_size(it)
        site_mw.append(it * float(kind.pue_at(1.0, plan.design_c)))
        building.append(kind.name)
    each = np.array(site_mw)
    whole = each * out["sites"].values
    out = out.assign(
        site_mw=("sites", each, {"units": "MW"}),
        installed_mw=("sites", whole, {"units": "MW"}),
        installed_mw_per_served_mw=("sites", whole / served, {"units": "1"}),
        building=("sites", building),
    )
    out.attrs["served_mw"] = served
    out.attrs["slots"] = max(slots, 1)
    return out


def holds(plan: Fleet, site: ServingSite, key: str) -> bool:
    """Say whether a site holds the model of a class."""
    return site.models is None or model(plan.how(key).replica.model).name in site.models


def _tuning_mw(site: ServingSite) -> float:
    return 0.0 if site.fine_tuning is None else site.fine_tuning.job().nameplate_mw
