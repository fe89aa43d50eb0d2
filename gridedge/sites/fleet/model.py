"""What a fleet is: who asks where, what serves it, and which sites there are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import Field, model_validator

from gridedge.errors import bad, nearest
from gridedge.profiles.inference.models import model
from gridedge.profiles.inference.replica import Replica
from gridedge.profiles.inference.scaling import Scaling
from gridedge.profiles.traffic.traffic import TrafficProfile
from gridedge.sites.facility import Transformer
from gridedge.sites.fleet.device import Device
from gridedge.sites.fleet.facility_tier import FacilityTier, facility_tier, tier_of_size
from gridedge.sites.fleet.privacy import FineTuning
from gridedge.sites.fleet.routing import Network
from gridedge.sites.fleet.tiers import Tiers
from gridedge.spec import Assumption, Origin, Spec, build, quantity

CLOUD_MW = 100.0
"""A site of this size at the meter or more is of the cloud, unless it says otherwise."""


class Place(Spec):
    """Where people ask."""

    name: str
    """What it is called."""
    lat: float = Field(ge=-90, le=90)
    """Degrees north."""
    lon: float = Field(ge=-180, le=360)
    """Degrees east."""
    weight: float = Field(1.0, ge=0)
    """Share of the people, in any unit."""


class ServingSite(Spec):
    """A site that serves."""

    name: str
    """What it is called."""
    lat: float = Field(ge=-90, le=90)
    """Degrees north."""
    lon: float = Field(ge=-180, le=360)
    """Degrees east."""
    p_mw: float | None = Field(None, gt=0)
    """What its meter shows at most, with every accelerator at its peak. [MW]"""
    accelerators: int | None = Field(None, ge=1)
    """How many it has, instead of ``p_mw``."""
    tier: Literal["cloud", "edge"] | None = None
    """By its size if left out: the cloud from 100 MW on."""
    facility: Annotated[str | FacilityTier | None, Field(union_mode="left_to_right")] = None
    """The building; by its size if left out."""
    bus: int | str | None = None
    """Where it connects: the bus's index, or its name."""
    models: tuple[str, ...] | None = None
    """Models that it holds; all, if left out."""
    transformer: Transformer | None = None
    """Its own transformer."""
    fine_tuning: FineTuning | None = None
    """Training on data that stays there."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.p_mw is None) == (self.accelerators is None):
            raise bad(f"{self.name}: the size is given twice or not at all", "", "Give p_mw, or accelerators.")
        if self.accelerators is not None and (self.tier is None or self.facility is None):
            cure = "Give tier and facility beside accelerators."
            raise bad(f"{self.name}: tier and building follow from p_mw", "accelerators", cure)
        for name in self.models or ():
            model(name)
        self.building()
        return self

    def building(self) -> FacilityTier:
        """Return its building."""
        if self.facility is not None:
            return facility_tier(self.facility)
        assert self.p_mw is not None
        return tier_of_size(self.p_mw)

    def of_tier(self) -> str:
        """Return its tier."""
        if self.tier is not None:
            return self.tier
        return "cloud" if (self.p_mw or 0.0) >= CLOUD_MW else "edge"


class Placed(Protocol):
    """A site that has been given a bus, as the records of a placement are."""

    @property
    def site(self) -> str:
        """Its name."""

    @property
    def bus(self) -> int:
        """Index of its bus."""

    @property
    def lat(self) -> float:
        """Degrees north."""

    @property
    def lon(self) -> float:
        """Degrees east."""

    @property
    def p_mw(self) -> float:
        """What its meter shows at most, in MW."""


def serving_sites(placed: Iterable[Placed], **more: Any) -> tuple[ServingSite, ...]:
    """Return sites of a fleet from sites that have been placed on a grid.

    Parameters
    ----------
    placed : iterable
        Records with ``site``, ``bus``, ``lat``, ``lon`` and ``p_mw``.
    **more
        What all have in common, as ``facility`` or ``tier``.

    Raises
    ------
    InputError
        If a site's coordinates are not known.
    """
    found = []
    for one in placed:
        if not (math.isfinite(one.lat) and math.isfinite(one.lon)):
            cure = "Place it on a bus whose coordinates are known, or give them."
            raise bad(f"{one.site}: where it stands is not known", f"bus {one.bus}", cure)
        where = {"name": one.site, "lat": float(one.lat), "lon": float(one.lon)}
        found.append(build(ServingSite, {**where, "p_mw": float(one.p_mw), "bus": int(one.bus), **more}))
    return tuple(found)


class Serve(Spec):
    """How a class of requests is served."""

    replica: Replica = Replica()
    """Model and accelerators."""
    private_pu: float = quantity(0.0, mark="chosen", source="none, unless stated", ge=0, le=1)
    """Share of the requests that must stay near its owner. [pu]"""
    private_at: Literal["edge", "device"] = quantity(
        "edge", mark="chosen", source="the model of the class fits no phone; a phone answers with a smaller one"
    )
    """Where they are served: at the nearest edge site that holds the model and nowhere else, or in the hand."""
    patience_s: float = quantity(60.0, mark="assumed", source="then people give up", gt=0)
    """A request that would wait longer is refused. [s]"""
    loads: bool = quantity(True, mark="chosen", source="any site may load the weights when another fails")
    """Whether a site without the model loads it when a site fails."""


class Fleet(Spec):
    """Sites that serve the places of a metro."""

    kind: Literal["fleet"] = "fleet"
    title: str = ""
    source: str = ""
    licence: str = ""
    traffic: TrafficProfile
    """What is asked."""
    serve: dict[str, Serve] = {}
    """By class of the traffic; with the defaults where a class is left out."""
    places: tuple[Place, ...] = Field(min_length=1)
    """Where people ask."""
    sites: tuple[ServingSite, ...] = Field(min_length=1)
    """Where it is served."""
    tiers: Tiers | None = None
    """How the compute splits over cloud, edge and device; any site serves any request if left out."""
    device: Device = Device()
    """The phone of the device tier."""
    homes: int | None = Field(None, ge=1)
    """Homes over which the phones' charging spreads."""
    agents_at: Literal["sites", "places"] = quantity(
        "sites", mark="assumed", source="agents sit in data centers and ask from there"
    )
    """Where agents ask from: the sites by their size, or where people live."""
    design_c: float = quantity(
        42.0, mark="assumed", source="hotter than Dallas in most years (from memory)", ge=-20, le=60
    )
    """Outdoor temperature at which a site with every accelerator at its peak draws its ``p_mw``. [degC]"""
    fill_pu: float = quantity(
        0.8, mark="assumed", source="fuller replicas miss their latency: late requests by load on exact runs", low=0.7,
        high=0.9, gt=0, le=1,
    )  # fmt: skip
    """Load above which a site takes on no more, and the next one is asked. [pu]"""
    scaling: Scaling | None = None
    """When replicas that are not needed are parked, at every site; all work if left out."""
    access_s: float = quantity(0.010, mark="assumed", source="access network there and back, 5 to 20 ms", ge=0)
    """Time in the access network, there and back. [s]"""
    detour: float = quantity(1.5, mark="assumed", source="fibre follows roads, 1.3 to 2", ge=1)
    """Length of the fibre over the distance."""
    detect_s: float = quantity(10.0, mark="assumed", source="a few missed health checks", ge=0)
    """From a failure to the first request that is sent elsewhere. [s]"""
    weights_gb_per_s: float = quantity(5.0, mark="assumed", source="one fast disk to the accelerators", gt=0)
    """How fast a site loads the weights of a model. [GB/s]"""
    origins: dict[str, Origin] = {}
    """Where the figures of a shipped fleet come from, by key, or by the beginning of one, as traffic.classes."""
    expected: dict[str, tuple[float, float]] = {}
    """Statistics that this fleet must show over a week at 15 minutes, each with its tolerance; checked by the tests."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        wrong = sorted(key for key in self.origins if key.split(".")[0] not in type(self).model_fields)
        if wrong:
            raise bad("origins names a key that does not exist", ", ".join(wrong), "Use the fleet's own keys.")
        if self.scaling is not None and self.scaling.target_load_pu > self.fill_pu:
            value = f"target_load_pu {self.scaling.target_load_pu:g}, fill_pu {self.fill_pu:g}"
            cure = "Lower scaling.target_load_pu, or raise fill_pu."
            raise bad("the policy aims at a load above that at which a site takes on no more", value, cure)
        for what, items in (("site", self.sites), ("place", self.places)):
            names = [item.name for item in items]
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise bad(f"a {what} is there twice", str(twice), "Give each a name of its own.")
        if not any(place.weight > 0 for place in self.places):
            raise bad("nobody lives at any of the places", "every weight is 0", "Give one place a weight above 0.")
        for key in self.serve:
            if key not in self.traffic.classes:
                raise bad("serve names a class that nobody asks for", key, nearest(key, self.traffic.classes))
        kinds = {self.how(key).replica.accelerator for key in self.traffic.classes}
        if len(kinds) > 1:
            cure = "Choose one kind of accelerator for all classes."
            raise bad("classes that share a site's hardware need one kind of accelerator", str(sorted(kinds)), cure)
        have = {site.of_tier() for site in self.sites}
        shares = self.tiers.shares() if self.tiers else {}
        for tier in ("cloud", "edge"):
            if shares.get(tier, 0.0) > 0 and tier not in have:
                value = f"{tier}_pu {shares[tier]:g}, sites of {', '.join(sorted(have))}"
                raise bad(f"no site of the {tier}", value, f"Add one, or set {tier}_pu to 0.")
        for key in self.traffic.classes:
            private = self.how(key).private_pu
            if private > 0 and self.how(key).private_at == "edge" and "edge" not in have:
                raise bad(f"{key}: no edge site for private requests", private, "Add one with tier: edge.")
            if self.tiers and private > shares["edge"] + 1e-12:
                value = f"private_pu {private:g}, edge_pu {shares['edge']:g}"
                raise bad(f"{key}: more is private than the edge serves", value, "Lower private_pu, or raise edge_pu.")
        return self

    def unused(self) -> set[str]:
        """Return the phone's keys where no tier is the device's."""
        return set() if any(self.device_share(k) > 0 for k in self.traffic.classes) else {"device", "homes"}

    def device_share(self, key: str) -> float:
        """Return the share of a class that phones answer: of their tier, and what may not leave the hand."""
        how = self.how(key)
        private = how.private_pu if how.private_at == "device" else 0.0
        return private + (self.tiers.device_pu if self.tiers else 0.0)

    def assumptions(self, path: str = "") -> Iterator[Assumption]:
        """Yield every value with its origin, those of the named buildings, classes and replicas among them."""
        start = f"{path}." if path else ""
        for one in super().assumptions(path):
            parts = one.name.removeprefix(start).split(".")
            if parts[0] == "expected":
                continue
            known = [".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in self.origins]
            if known and one.mark == "chosen":
                origin = self.origins[known[0]]
                yield Assumption(one.name, one.value, origin.mark, origin.source)
            else:
                yield one
        for key in self.traffic.classes:
            if key not in self.serve:
                yield from self.how(key).assumptions(f"{start}serve.{key}")
            if isinstance(self.traffic.classes[key].kind, str | None):
                yield from self.traffic.of(key).assumptions(f"{start}classes.{key}")
        named = {
            site.building().name: site.building() for site in self.sites if not isinstance(site.facility, FacilityTier)
        }
        for name, building in named.items():
            yield from building.assumptions(f"{start}facility.{name}")

    def how(self, key: str) -> Serve:
        """Return how a class is served."""
        return self.serve.get(key, Serve())

    def network(self) -> Network:
        """Return how requests travel."""
        return Network(self.access_s, self.detour, self.detect_s)
