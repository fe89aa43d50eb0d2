"""The smallest site that makes sense for a set of models and a latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.profiles.inference.models import model
from gridedge.profiles.inference.replica import Rates, Replica, rates
from gridedge.profiles.traffic.classes import RequestClass, request_class
from gridedge.sites.fleet.facility_tier import FacilityTier, facility_tier
from gridedge.sites.fleet.places import EARTH_KM, LIGHT_IN_FIBRE_KM_PER_S
from gridedge.sites.fleet.routing import Network

Float = NDArray[np.float64]
SERVER = 8
"""Accelerators of a server at most; a replica on more of them spans several."""


@dataclass(frozen=True)
class SmallestSite:
    """One replica of each model, and spares.

    Parameters
    ----------
    held : tuple of str
        Models.
    accelerators, racks : int
        With the spares.
    it_mw, meter_mw : float
        Highest power of the computers, and at the meter at that load. [MW]
    idle_mw : float
        At the meter without a request. [MW]
    requests_pu, compute_pu : float
        Share of the metro's requests, and of their compute, that ask for what it holds. [pu]
    first_token_s : float
        Time to the first token at the site, of the slowest model it holds, without a queue. [s]
    reach_km : float
        How far away askers may be, as the crow flies; 20,015 is anywhere. [km]
    worth_requests_per_s : float
        Requests for what it holds at which the accelerators of the replicas are as busy as asked. [1/s]
    """

    held: tuple[str, ...]
    accelerators: int
    racks: int
    it_mw: float
    meter_mw: float
    idle_mw: float
    requests_pu: float
    compute_pu: float
    first_token_s: float
    reach_km: float
    worth_requests_per_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dict."""
        return asdict(self)


def mean_tokens(kind: RequestClass) -> tuple[float, float]:
    """Return the mean length of prompts and of answers of a class, those of its log-normal laws."""
    return kind.mean_tokens()


def serves_s(table: Rates, kind: RequestClass) -> float:
    """Return the time to the first token of a mean request at an idle replica, in s."""
    return mean_tokens(kind)[0] * table.prefill_s_per_token + float(table.token_s[1])


def requests_of_compute(
    compute_pu: Sequence[float] | Float, replicas: Sequence[Replica], *, kind: str | RequestClass = "conversation"
) -> Float:
    """Return the share of the requests that ask for each model, from its share of the compute, shape (model,).

    A request of a large model takes more accelerator seconds, so that it is asked for less than its compute says.

    Parameters
    ----------
    compute_pu : sequence of float, shape (model,)
        Share of the compute, as :meth:`gridedge.sites.fleet.popularity.Popularity.of_models` gives it. [pu]
    replicas : sequence of Replica
        One for each model.
    kind : str or RequestClass
        Whose requests.
    """
    share = np.asarray(compute_pu, dtype=float)
    if share.shape != (len(replicas),) or not (share >= 0).all() or not share.sum() > 0:
        raise bad("compute_pu is no share of each model", str(share.tolist()), "Give one of 0 or more for each.")
    length = mean_tokens(request_class(kind))
    asked = share * np.array([rates(r).capacity_per_s(*length) / r.accelerators for r in replicas])
    return np.asarray(asked / asked.sum())


def reach_km(slack_s: float, network: Network) -> float:
    """Return how far a site may be from its askers, in km; half the way around the earth is anywhere.

    Parameters
    ----------
    slack_s : float
        What the network may take, there and back. [s]
    network : Network
        Access and detour.

    Raises
    ------
    InputError
        If the access network alone takes longer.
    """
    left = slack_s - network.access_s
    if left < 0:
        value = f"{slack_s * 1e3:.3g} ms left, the access network takes {network.access_s * 1e3:.3g} ms"
        raise bad("no site can meet the latency", value, "Relax the latency, or take a smaller or faster model.")
    return min(left * LIGHT_IN_FIBRE_KM_PER_S / (2.0 * network.detour), np.pi * EARTH_KM)


def smallest_site(
    replicas: Sequence[Replica],
    requests_pu: Sequence[float] | Float,
    *,
    kind: str | RequestClass = "conversation",
    facility: str | FacilityTier = "edge",
    spare: int = 1,
    busy_pu: float = 0.3,
    network: Network | None = None,
    held: int | None = None,
) -> SmallestSite:
    """Return the smallest site that answers for these models within a latency.

    Parameters
    ----------
    replicas : sequence of Replica
        One for each model, the most popular first.
    requests_pu : sequence of float, shape (model,)
        Share of the metro's requests that ask for each. [pu]
    kind : str or RequestClass
        Whose requests: their lengths and bounds.
    facility : str or FacilityTier
        The building.
    spare : int
        Further replicas of the largest model that is held, so that so many may fail; 1 is chosen.
    busy_pu : float
        How busy the accelerators should be on average for the site to be worth it; 0.3 is assumed. [pu]
    network : Network, optional
        Access and detour; its defaults if left out.
    held : int, optional
        How many of the models it holds, from the first; all.

    Raises
    ------
    InputError
        If a model cannot meet the bounds, or its servers do not fit the building's racks.
    """
    one, building = request_class(kind), facility_tier(facility)
    share = np.asarray(requests_pu, dtype=float)
    count = len(replicas) if held is None else held
    if share.shape != (len(replicas),) or not (share >= 0).all() or share.sum() > 1 + 1e-9 or not share.sum() > 0:
        raise bad("requests_pu is no share of each model", str(share.tolist()), "Give one for each, 1 in sum at most.")
    if not 1 <= count <= len(replicas) or spare < 0:
        value = f"held {count}, spare {spare}"
        raise bad("a site holds models and spares", value, f"Give held from 1 to {len(replicas)} and spare >= 0.")
    mine = list(replicas[:count])
    tables = [rates(r) for r in mine]
    tokens_in, tokens_out = mean_tokens(one)
    first = [serves_s(t, one) for t in tables]
    for replica, table, at in zip(mine, tables, first, strict=True):
        name = model(replica.model).name
        if float(table.token_s[1]) > one.token_s:
            value = f"{table.token_s[1] * 1e3:.3g} ms between tokens, {one.token_s * 1e3:.3g} ms asked"
            raise bad(f"{name}: no site can meet the latency", value, "Take a smaller model, or more accelerators.")
        if at > one.first_token_s:
            value = f"{at:.3g} s to the first token, {one.first_token_s:g} s asked"
            raise bad(f"{name}: no site can meet the latency", value, "Take a smaller model, or more accelerators.")
    largest = max(range(count), key=lambda k: (mine[k].accelerators, tables[k].peak_w))
    copies = np.ones(count, dtype=int)
    copies[largest] += spare
    peak = np.array([t.peak_w for t in tables])
    racks = sum(_racks(r, float(w), int(n), building) for r, w, n in zip(mine, peak, copies, strict=True))
    it_mw = float(copies @ peak) / 1e6
    idle = float(copies @ np.array([t.idle_w for t in tables])) / 1e6
    work = np.array([1.0 / t.capacity_per_s(tokens_in, tokens_out) for t in tables])
    every = np.array([1.0 / rates(r).capacity_per_s(tokens_in, tokens_out) for r in replicas])
    size = np.array([r.accelerators for r in replicas], dtype=float)
    compute = share * every * size
    # Mean busy accelerators of one request for what is held.
    per_request = float((share[:count] * work * size[:count]).sum() / share[:count].sum())
    accelerators = int(copies @ size[:count])
    return SmallestSite(
        held=tuple(model(r.model).name for r in mine),
        accelerators=accelerators,
        racks=racks,
        it_mw=it_mw,
        meter_mw=it_mw * float(building.pue_at(1.0)),
        idle_mw=idle * (1.0 + building.a) + building.b * it_mw,
        requests_pu=float(share[:count].sum()),
        compute_pu=float(compute[:count].sum() / compute.sum() * share.sum()),
        first_token_s=max(first),
        reach_km=reach_km(one.first_token_s - max(first), network or Network()),
        worth_requests_per_s=busy_pu * accelerators / per_request,
    )


def smallest_sites(replicas: Sequence[Replica], requests_pu: Sequence[float] | Float, **more: Any) -> xr.Dataset:
    """Return :func:`smallest_site` for the first, the first two, and so on to all models, by ``held``.

    Returns
    -------
    Dataset
        Every number of :class:`SmallestSite` over ``held`` (1, 2, ...), with ``model(held)``, the one added.
    """
    found = [smallest_site(replicas, requests_pu, held=k + 1, **more) for k in range(len(replicas))]
    units = {"it_mw": "MW", "meter_mw": "MW", "idle_mw": "MW", "first_token_s": "s", "reach_km": "km"}
    data = {
        name: ("held", np.array([getattr(f, name) for f in found]), {"units": units.get(name, "1")})
        for name in found[0].to_dict()
        if name not in {"held", "worth_requests_per_s"}
    }
    data["worth_requests_per_s"] = ("held", np.array([f.worth_requests_per_s for f in found]), {"units": "1/s"})
    coords = {"held": np.arange(1, len(found) + 1), "model": ("held", [f.held[-1] for f in found])}
    return xr.Dataset(data, coords=coords)


def _racks(replica: Replica, peak_w: float, copies: int, building: FacilityTier) -> int:
    """Return the racks of so many copies of a replica, whose servers have eight accelerators at most."""
    servers = int(np.ceil(replica.accelerators / SERVER))
    per_rack = building.servers_per_rack(peak_w / 1e3 / servers)
    return int(np.ceil(servers * copies / per_rack))
