"""What a kilowatt-hour, a litre and an accelerator stand for: figures of carbon and water, each with its origin."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from pydantic import Field

from gridedge.errors import bad, is_number, nearest
from gridedge.spec import Spec, quantity

_HOUR_S = 3600.0
_LB_PER_MWH = 0.45359237  # g/kWh

WATER_OF_FUEL_L_PER_KWH = {"gas": 0.75, "coal": 2.60, "nuclear": 2.54, "wind": 0.0, "solar": 0.10}
"""Water that power plants evaporate: medians with cooling towers, Macknick et al. 2012, from memory. [l/kWh]"""
ERCOT_MIX_2023 = {"gas": 0.45, "coal": 0.14, "nuclear": 0.09, "wind": 0.25, "solar": 0.07}
"""Shares of the energy generated in ERCOT in 2023, rounded, from memory."""
COOLING_L_PER_KWH: dict[str, tuple[float, str, str]] = {
    "tower": (1.8, "assumed", "evaporative towers all year; an average often given, from memory"),
    "evaporative": (0.74, "quoted", "Google's fleet in 2023, as knowyourcompute.com quotes it"),
    "mixed": (0.4, "quoted", "US data centers in 2023, about 0.4, as probsee.com quotes it"),
    "adiabatic": (0.18, "quoted", "AWS, as arXiv:2505.09598 has it (read at second hand)"),
    "dry": (0.0, "assumed", "closed loop and dry coolers; what buildings drink besides is left out"),
}
"""Water used on site by way of cooling: litres per kWh of IT energy, mark, source."""


class FootprintFactors(Spec):
    """What a kilowatt-hour, a litre and an accelerator stand for."""

    carbon_g_per_kwh: float = quantity(
        round(733.862 * _LB_PER_MWH, 1), mark="quoted", ge=0,
        source="EPA eGRID2023 (year 2023), subregion ERCT, total output: 733.862 lb CO2/MWh, as public code quotes it; "
        "an average of the year, not marginal, CO2 alone (CO2e: 736.629)",
    )  # fmt: skip
    """Mean carbon intensity of the grid. [g/kWh]"""
    carbon_swing_pu: float = quantity(
        0.15, mark="assumed", ge=0, le=1, source="a cosine over the day, lowest when the sun is highest; no source"
    )
    """Amplitude of the daily shape of the carbon intensity, of its mean. [pu]"""
    carbon_lowest_hour: float = quantity(
        13.0, mark="assumed", ge=0, lt=24, source="about solar noon in Texas, daylight saving time"
    )
    """Hour of the day, local, at which it is lowest."""
    water_generation_l_per_kwh: float = quantity(
        0.95, mark="assumed", ge=0,
        source="ERCOT's mix of 2023 times medians with towers (Macknick et al. 2012), both from memory; the US average "
        "with reservoirs of hydropower is given as 4 to 5",
    )  # fmt: skip
    """Water that generation evaporates. [l/kWh at the meter]"""
    accelerator_kg: float = quantity(
        318.0, mark="quoted", ge=0,
        source="A100 with its eighth of the server, kg CO2: Chien et al., HotCarbon 2023, as methodology.scope3.com "
        "quotes it; other accelerators are taken alike, buildings are left out",
    )  # fmt: skip
    """Carbon embodied in an accelerator and its share of the server. [kg]"""
    accelerator_life_years: float = quantity(5.0, mark="assumed", gt=0, source="usual depreciation, 4 to 6 years")
    """Years over which that is shared out evenly."""
    device_kg: float = quantity(
        52.0, mark="quoted", ge=0, source="a phone: 64 kg CO2e over its life, 81 % of it production (Apple's report "
        "of the iPhone 13, as greenly.earth and askio.io quote it)"
    )  # fmt: skip
    """Carbon embodied in a device. [kg]"""
    device_life_years: float = quantity(
        3.5, mark="quoted", gt=0, source="3 to 4 years, Apple as greenly.earth quotes it"
    )
    """Years over which that is shared out evenly."""
    charger_pu: float = quantity(
        0.75, mark="assumed", gt=0, le=1, source="wall to battery and back: charger 0.85, battery 0.9"
    )
    """Energy that a device gets out of its battery over what its charger draws."""
    cooling_l_per_kwh: dict[str, float] = Field(default_factory=dict)
    """Water on site by way of cooling, beside or instead of the shipped ones. [l/kWh of IT energy]"""

    def water_site(self, cooling: str) -> float:
        """Return the water used on site by a way of cooling, in l/kWh of IT energy."""
        known = {name: value[0] for name, value in COOLING_L_PER_KWH.items()} | self.cooling_l_per_kwh
        if cooling not in known:
            raise bad("unknown way of cooling", str(cooling), nearest(str(cooling), known))
        if not known[cooling] >= 0:
            raise bad(f"water of {cooling} cooling is negative", known[cooling], "Give 0 or more.")
        return known[cooling]


def water_of_mix(mix: Mapping[str, float]) -> float:
    """Return the water that a mix of generation evaporates.

    Parameters
    ----------
    mix : mapping
        Share of the energy by fuel: gas, coal, nuclear, wind, solar.

    Returns
    -------
    float
        [l/kWh]

    Raises
    ------
    InputError
        If a fuel is unknown, or the shares do not add to one.
    """
    for fuel, share in mix.items():
        if fuel not in WATER_OF_FUEL_L_PER_KWH:
            raise bad("unknown fuel", fuel, nearest(fuel, WATER_OF_FUEL_L_PER_KWH))
        if not (is_number(share) and share >= 0):
            raise bad(f"the share of {fuel} is negative", share, "Give 0 to 1.")
    total = sum(mix.values())
    if abs(total - 1) > 1e-6:
        raise bad("the shares of a mix do not add to one", f"{total:g}", "Make them add to 1.")
    return float(sum(share * WATER_OF_FUEL_L_PER_KWH[fuel] for fuel, share in mix.items()))


def carbon_intensity(hours: int, factors: FootprintFactors | None = None, *, start_hour: float = 0.0) -> xr.DataArray:
    """Return the carbon intensity that is taken where no series is given: a mean with a plain daily shape.

    Parameters
    ----------
    hours : int
        How many hours.
    factors : FootprintFactors, optional
        Mean, amplitude and the hour at which it is lowest.
    start_hour : float
        Hour of the day, local, at which the series begins.

    Returns
    -------
    DataArray
        ``carbon_g_per_kwh(time)``; each value the mean of its hour, the mean of 24 of them that of the year.
    """
    f = FootprintFactors() if factors is None else factors
    middle = start_hour + np.arange(hours) + 0.5
    # Mean of a cosine over an hour, so that a day adds up exactly.
    wave = np.cos(2 * np.pi * (middle - f.carbon_lowest_hour) / 24) * np.sinc(1 / 24)
    values = f.carbon_g_per_kwh * (1 - f.carbon_swing_pu * wave)
    time = ("time", _HOUR_S * np.arange(hours), {"units": "s"})
    return xr.DataArray(values, dims="time", coords={"time": time}, name="carbon_g_per_kwh", attrs={"units": "g/kWh"})
