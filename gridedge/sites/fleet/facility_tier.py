"""The building by tier: PUE by size, by load and by the weather, and what a rack may draw."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from gridedge import yamlfile
from gridedge.errors import bad, nearest
from gridedge.sites.facility import Facility, Transformer
from gridedge.spec import Origin, Spec, build, quantity

Float = NDArray[np.float64]
_FILE = Path(__file__).resolve().parent / "facilities.yaml"
_WEATHER = "mechanical cooling above free cooling; no fit of measured PUE against temperature was at hand"


class FacilityTier(Spec):
    r"""A kind of building: :math:`PUE(u) = 1 + a + b/u` at a load u of its IT nameplate.

    ``pue`` is what it has at ``at_load_pu`` and ``at_outdoor_c``; ``fixed_share`` of the overhead there is b.
    """

    name: str = "own"
    """Key in the catalogue."""
    title: str = ""
    pue: float = Field(ge=1, le=4)
    """Power at the meter over IT power of the whole building, at the stated load and temperature."""
    at_load_pu: float = quantity(0.6, mark="assumed", source="the load of the quoted year is not stated", gt=0, le=1)
    """IT power over nameplate at which the PUE is stated. [pu]"""
    fixed_share: float = quantity(
        0.35, mark="assumed", source="no measured fit of PUE against load is published", low=0.2, high=0.6, ge=0, le=1
    )
    """Share of the overhead that is drawn whatever the load. [pu]"""
    conversion_efficiency: float = quantity(
        0.96, mark="quoted", source="rectifier stage of the ExaDigiT/RAPS model of Frontier", gt=0, le=1
    )
    """IT power over the power that the UPS and distribution draw for it."""
    cooling_lag_s: float = quantity(
        120.0, mark="assumed", source="liquid loop 30 to 120 s, air 2 to 10 min; none verified", gt=0
    )
    """Time constant with which cooling follows the IT power. [s]"""
    at_outdoor_c: float = quantity(20.0, mark="assumed", source=_WEATHER, ge=-50, le=60)
    """Outdoor temperature at which the PUE is stated. [degC]"""
    free_below_c: float = quantity(10.0, mark="assumed", source=_WEATHER, ge=-50, le=60)
    """Below it the compressors rest. [degC]"""
    free_pu: float = quantity(0.5, mark="assumed", source=_WEATHER, ge=0, le=1)
    """Cooling power with resting compressors over that at ``at_outdoor_c``; a straight line between the two, and above.
    [pu]"""
    power_factor: float = quantity(0.98, mark="assumed", source="planning default for electronic load, lagging")
    """At the meter; lagging, or leading where negative."""
    rack_kw: float = quantity(40.0, mark="assumed", source="air-cooled rack of AI servers", gt=0)
    """What a rack may draw, and its cooling can take. [kW]"""
    shared_cooling_pu: float = quantity(0.0, mark="chosen", source="the cooling is the site's own", ge=0, lt=1)
    """Share of the fixed overhead that other tenants of the building bear. [pu]"""
    smallest_mw: float | None = Field(None, ge=0)
    largest_mw: float | None = Field(None, gt=0)
    """Sizes at the meter that it is meant for. [MW]"""
    origins: dict[str, Origin] = {}
    """Where the figures come from, by key."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.free_below_c >= self.at_outdoor_c:
            value = f"free_below_c {self.free_below_c:g}, at_outdoor_c {self.at_outdoor_c:g}"
            raise bad("free cooling begins above the stated temperature", value, "Lower free_below_c.")
        if self._cooling_pu < -1e-12:
            value = f"PUE {self.pue:g}, conversion_efficiency {self.conversion_efficiency:g}"
            cure = "Raise conversion_efficiency or pue, or lower fixed_share."
            raise bad("the conversion losses alone are more than the PUE allows", value, cure)
        self.facility()
        return self

    @property
    def a(self) -> float:
        """Overhead that follows the load, per IT power."""
        return (1.0 - self.fixed_share) * (self.pue - 1.0)

    @property
    def b(self) -> float:
        """Fixed overhead that the site bears, per IT nameplate."""
        return self.fixed_share * (self.pue - 1.0) * self.at_load_pu * (1.0 - self.shared_cooling_pu)

    @property
    def _cooling_pu(self) -> float:
        return self.a - (1.0 / self.conversion_efficiency - 1.0)

    def cooling_factor(self, outdoor_c: ArrayLike) -> Float:
        """Return the cooling power at an outdoor temperature over that at ``at_outdoor_c``."""
        t = np.asarray(outdoor_c, dtype=float)
        if not np.isfinite(t).all():
            raise bad("a temperature is not a number", "NaN", "Fill the gap before the study.")
        slope = (1.0 - self.free_pu) / (self.at_outdoor_c - self.free_below_c)
        return np.asarray(np.maximum(self.free_pu, 1.0 + slope * (t - self.at_outdoor_c)))

    def pue_at(self, load_pu: ArrayLike, outdoor_c: ArrayLike | None = None) -> Float:
        """Return the PUE at a load and an outdoor temperature, settled.

        Raises
        ------
        InputError
            If a load is not above 0: a PUE without IT power is none.
        """
        u = np.asarray(load_pu, dtype=float)
        if not (u > 0).all():
            raise bad("a PUE without IT power is none", float(u.min()), "Give load_pu > 0.")
        more = 0.0 if outdoor_c is None else self._cooling_pu * (self.cooling_factor(outdoor_c) - 1.0)
        return np.asarray(1.0 + self.a + self.b / u + more)

    def facility(self, transformer: Transformer | None = None) -> Facility:
        """Return the facility that has this PUE, for :func:`gridedge.connect`."""
        return Facility(
            conversion_efficiency=self.conversion_efficiency,
            cooling_proportional_pu=max(self._cooling_pu, 0.0),
            cooling_fixed_pu=self.b,
            cooling_lag_s=self.cooling_lag_s,
            power_factor=self.power_factor,
            transformer=transformer,
        )

    def it_mw(self, meter_mw: float, outdoor_c: float | None = None) -> float:
        """Return the IT nameplate that a site can have whose meter shall show no more than ``meter_mw``. [MW]."""
        return float(meter_mw / self.pue_at(1.0, outdoor_c))

    def servers_per_rack(self, server_kw: float) -> int:
        """Return how many servers a rack takes.

        Raises
        ------
        InputError
            If not one fits.
        """
        count = int(np.floor(self.rack_kw / server_kw + 1e-9))
        if count < 1:
            value = f"{server_kw:g} kW in a rack of {self.rack_kw:g} kW"
            raise bad(
                f"{self.name}: no server fits a rack", value, "Give smaller servers, or racks of a higher density."
            )
        return count


@cache
def facility_tiers() -> dict[str, FacilityTier]:
    """Return every kind of building of the catalogue, by name."""
    document = yamlfile.read(_FILE)
    return {name: build(FacilityTier, {"name": name, **figures}) for name, figures in document.data.items()}


def facility_tier(name: str | Mapping[str, Any] | FacilityTier) -> FacilityTier:
    """Return a kind of building by its name, or the one that is described.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if isinstance(name, FacilityTier):
        return name
    if isinstance(name, Mapping):
        return build(FacilityTier, name)
    if name not in facility_tiers():
        raise bad("unknown kind of building", name, nearest(name, facility_tiers()))
    return facility_tiers()[name]


def tier_of_size(meter_mw: float) -> FacilityTier:
    """Return the kind of building that is meant for a new site of this size.

    Raises
    ------
    InputError
        If the size is none.
    """
    if not (np.isfinite(meter_mw) and meter_mw > 0):
        raise bad("a site has no size", meter_mw, "Give megawatts above 0.")
    for one in facility_tiers().values():
        if one.largest_mw is not None and (one.smallest_mw or 0.0) <= meter_mw < one.largest_mw:
            return one
    raise bad("no kind of building has this size", f"{meter_mw:g} MW", f"Name one: {', '.join(facility_tiers())}.")
