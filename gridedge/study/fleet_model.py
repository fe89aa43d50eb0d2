"""What a study file about a fleet says: the same inference at few or many sites of one net."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from gridedge.errors import InputError, Problem, bad, nearest
from gridedge.measure.limits import Limits
from gridedge.planning.placement import How
from gridedge.profiles.preset import merge_preset
from gridedge.profiles.traffic.traffic import Share
from gridedge.profiles.traffic.week import zone
from gridedge.sites.fleet.device import Device
from gridedge.sites.fleet.factors import COOLING_L_PER_KWH, FootprintFactors
from gridedge.sites.fleet.model import Fleet, Place, Serve
from gridedge.sites.fleet.towns import metro_towns
from gridedge.sites.fleet.weather import Climate
from gridedge.spec import Spec, build, quantity
from gridedge.study.kinds import document_of, kind_of
from gridedge.study.model import Background, Placed, file_name

OWN_YEAR = "texas2000"
"""The feeder that has a year of its own."""


class Layout(Spec):
    """Sites of one size, and how their places are chosen."""

    sites: int = Field(ge=1, le=1000)
    """How many."""
    mw_each: float = Field(gt=0)
    """What the meter of each shows at most, with every accelerator at its peak. [MW]"""
    how: How = quantity("town", mark="chosen", source="one town after the other, as a fleet around a city grows")
    """How buses are chosen; see :func:`gridedge.place_sites`."""
    where: int | str | tuple[int | str, ...] | None = None
    """Buses, towns, or an area of towns such as dfw; the places of the study if left out."""
    vn_kv: tuple[float, float] | None = None
    """Lowest and highest nominal voltage of a bus. [kV]"""
    spacing_km: float = quantity(0.0, mark="chosen", source="sites may stand side by side", ge=0)
    """Least distance of any two. [km]"""
    per_bus: int = quantity(1, mark="chosen", source="one site at a bus", ge=1)
    """Most sites at a bus."""
    seed: int = Field(0, ge=0)
    """For random places."""
    under: str | None = None
    """Feeder that stands between each site and its bus, one for each: a shipped feeder's name or a file; none if left
    out."""
    facility: str | None = None
    """The building by name; by its size if left out."""
    tier: Literal["cloud", "edge"] | None = None
    """By its size if left out: the cloud from 100 MW on."""


class Loss(Spec):
    """How the loss of one site is looked at."""

    window_s: float = quantity(2400.0, mark="chosen", source="until cooling has followed, several time constants", gt=0)
    """Stretch at the heaviest hour in which each site is lost once. [s]"""
    at_s: float = quantity(600.0, mark="chosen", source="after queues have settled", gt=0)
    """When it is lost, from the start of the stretch. [s]"""
    dt_s: float = quantity(20.0, mark="chosen", source="twice the time of detection", gt=0)
    """Step. [s]"""

    @model_validator(mode="after")
    def _fits(self) -> Loss:
        if self.window_s - self.at_s < 600.0:
            value = f"at_s {self.at_s:g}, window_s {self.window_s:g}"
            raise bad("too little of the stretch is left after the loss", value, "Leave 600 s or more.")
        return self


class Fluctuating(Spec):
    """How the fluctuation about the common shape is made; see :func:`gridedge.planning.swings.three_ways`."""

    asks: str | None = None
    """Class of the requests; the first one of the traffic if left out."""
    common_pu: float = quantity(
        0.3, mark="assumed", source="no published figure is known", ge=0, le=1, low=0.0, high=1.0
    )
    """Correlation of the rates of two sites from minute to minute."""
    duration_s: float = quantity(
        43_200.0, mark="chosen", source="about a constant rate; an hour alone leaves rho to chance", ge=600
    )
    """Length. [s]"""
    training: str = quantity("h100-at-scale", mark="chosen", source="a shipped profile of synchronous training")
    """Training job beside it, by the name of a profile."""


class FleetStudySpec(Spec):
    """A study of the same inference at few or many sites, over a net's year."""

    study: Literal["fleet"]
    """Says that this is a study of a fleet."""
    title: str
    question: str = ""
    seed: int = Field(0, ge=0)
    """Seed of the random numbers."""
    feeder: str
    """A shipped feeder's name, `simbench:CODE`, or a file that pandapower reads; texas2000 has its own year."""
    reference_bus: int | str | None = None
    """Reference bus for a file that has none."""
    background: Background | None = None
    """How the net's own loads move; left out where the net has its own year."""
    start: str | None = None
    """First moment, local time; that of the net's own year if left out."""
    zone: str = "UTC"
    """Time zone of the people."""
    traffic: dict[str, Share] = Field(min_length=1)
    """What is asked, by class; `peak_pu` scales all alike."""
    holidays: tuple[str, ...] = ()
    """Dates (year-month-day) on which people ask as on a Sunday."""
    peak_pu: float = quantity(
        0.6, mark="chosen", source="leaves one site of ten as a reserve below fill_pu", gt=0, le=1
    )
    """Work of the busiest step over what the accelerators of the weakest layout can do. [pu]"""
    computers: Literal["same", "filled"] = quantity(
        "same", mark="chosen", source="the same inference is compared: more computers would idle in a better building"
    )
    """Whether every layout has as many accelerators as the weakest, or each site as many as its size carries."""
    serve: dict[str, Serve] = {}
    """How each class is served."""
    places: str | tuple[Place, ...]
    """Where people ask: an area of towns such as dfw, each weighed by its own load in the net, or places."""
    layouts: dict[str, Layout] = Field(min_length=1)
    """What is compared, by label; the first is what the others are held against."""
    fleet: dict[str, Any] = {}
    """Further keys of a fleet, such as fill_pu, access_s, detect_s or design_c."""
    climate: Climate = Climate()
    """Usual outdoor temperatures, which the cooling follows."""
    step_s: float = quantity(900.0, mark="chosen", source="quarter hours, averaged to the net's steps", gt=0)
    """Step of the fleet's year. [s]"""
    limits: Limits = quantity(
        Limits(vm_pu=(0.95, 1.05), loading_percent=100.0), mark="quoted",
        source="ANSI C84.1 range A, from memory; every normal rating",
    )  # fmt: skip
    """What every hour is held against; what the net breaks without the sites is told apart."""
    n_minus_1: bool = quantity(True, mark="chosen", source="as planners are asked to")
    """Whether every outage of a branch or unit is solved at the heaviest hour."""
    loss: Loss | bool = Loss()
    """How the loss of one site is looked at; false leaves it out."""
    fluctuation: Fluctuating | bool = Fluctuating()
    """How fluctuations are made; false leaves them out."""
    factors: FootprintFactors = FootprintFactors()
    """Carbon and water of a kilowatt-hour, carbon embodied in hardware."""
    cooling: dict[str, str] = quantity(
        {"cloud": "evaporative", "edge": "dry"},
        mark="assumed",
        source="large campuses evaporate water, small sites do not",
    )
    """Way of cooling by tier, for the water."""
    carbon: str | None = None
    """CSV file with the column carbon_g_per_kwh, a row for each hour from the start on; the mean of `factors` with its
    daily shape if left out."""
    device: Device = Device()
    """The phone that a request is compared with."""

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        zone(value)
        return value

    @field_validator("places", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if isinstance(value, str):
            metro_towns(value)
        elif not isinstance(value, list | tuple):
            raise bad("places are no places", str(value), "Write an area of towns such as dfw, or a list of places.")
        return value

    # Checks of a single key stand with the key, so that a message names the line of it.
    @field_validator("cooling")
    @classmethod
    def _known_cooling(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        given = info.data.get("factors")
        ways = set(COOLING_L_PER_KWH) | (set(given.cooling_l_per_kwh) if given is not None else set())
        for tier, way in value.items():
            if tier not in ("cloud", "edge"):
                raise bad("names a tier that has none", tier, nearest(tier, ("cloud", "edge")))
            if way not in ways:
                raise bad("unknown way of cooling", way, nearest(way, ways))
        return value

    @field_validator("fleet")
    @classmethod
    def _known_keys(cls, value: dict[str, Any]) -> dict[str, Any]:
        own = {"traffic", "serve", "places", "sites", "kind", "title", "device"}
        for key in value:
            if key in own or key not in Fleet.model_fields:
                raise bad("holds a key that it cannot have", key, nearest(key, set(Fleet.model_fields) - own))
        return value

    @model_validator(mode="after")
    def _fits(self) -> FleetStudySpec:
        files: dict[str, str] = {}
        for label in self.layouts:
            if file_name(label) in files:
                cure = f"Its file would be that of {files[file_name(label)]!r}; choose another name."
                raise bad("two layouts need the same file", repr(label), cure)
            files[file_name(label)] = label
        if self.feeder != OWN_YEAR and self.background is None:
            cure = f"Give background.shape, or take {OWN_YEAR}, which has a year."
            raise bad("the net has no year of its own", self.feeder, cure)
        if self.feeder == OWN_YEAR and self.background is not None:
            raise bad("the net has a year of its own", self.feeder, "Leave background out.")
        swings = self.swings()
        if swings is not None and swings.asks not in (None, *self.traffic):
            asks = str(swings.asks)
            raise bad("fluctuation.asks names a class that nobody asks for", asks, nearest(asks, self.traffic))
        return self

    def losing(self) -> Loss | None:
        """Return how the loss of one site is looked at; None where it is not."""
        return self.loss if isinstance(self.loss, Loss) else Loss() if self.loss else None

    def swings(self) -> Fluctuating | None:
        """Return how fluctuations are made; None where they are not."""
        known = self.fluctuation
        return known if isinstance(known, Fluctuating) else Fluctuating() if known else None

    def kept_limits(self) -> dict[str, Any]:
        """Return the limits that there are, as the verbs take them."""
        given = {"vm_pu": self.limits.vm_pu, "loading_percent": self.limits.loading_percent}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class FleetStudy(Placed):
    """A study of a fleet, the folder that its relative paths start from, and where its values were written."""

    spec: FleetStudySpec


def load_fleet_study(
    study: str | Path | Mapping[str, Any] | FleetStudySpec, settings: Iterable[str] = ()
) -> FleetStudy:
    """Read a study of a fleet.

    Parameters
    ----------
    study : str, path, dict or FleetStudySpec
        A shipped study's name, a YAML file, its content, or the spec itself.
    settings : iterable of str
        ``KEY.SUBKEY=VALUE`` put over the file.

    Raises
    ------
    InputError
        With every problem found, each with its line.
    """
    settings = [settings] if isinstance(settings, str) else list(settings)
    if isinstance(study, FleetStudySpec):
        if settings:
            raise bad("settings need a study file or a dict", "FleetStudySpec", "Use study.model_copy(update=...).")
        return FleetStudy(Path.cwd(), lambda _: "", study)
    if kind_of(study, settings) != "fleet":
        what = study if isinstance(study, str | Path) else "a dict"
        raise bad("this is no study of a fleet", str(what), "Write `study: fleet`, or use the verb of its kind.")
    document, base = document_of(study, settings)
    problems: list[Problem] = []
    try:
        document = merge_preset(document, ("background", "shape"))
    except InputError as error:
        problems += error.problems
    try:
        spec = build(FleetStudySpec, document)
    except InputError as error:
        problems += [p for p in error.problems if not (problems and p.thing.startswith("background.shape"))]
        raise InputError(problems) from error
    if problems:
        raise InputError(problems)
    return FleetStudy(base, document.where, spec)
