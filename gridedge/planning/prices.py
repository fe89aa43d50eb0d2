"""What energy, delay and equipment cost: inputs, with dated defaults."""

from __future__ import annotations

from pydantic import Field

from gridedge.spec import Spec, quantity

_DATA = "PyPSA technology-data, EUR of 2020, figures for 2025"


class Prices(Spec):
    """Prices of a comparison, all in one currency."""

    currency: str = "EUR"
    """Currency of every price."""
    energy_per_mwh: float = quantity(80.0, mark="assumed", source="industrial tariff, 2025; set your own", ge=0)
    """Electricity at the meter. [currency/MWh]"""
    co2_t_per_mwh: float = quantity(
        0.37, mark="assumed", source="mean of the United States, eGRID 2022 (822.6 lb/MWh), from memory", ge=0
    )
    """Carbon dioxide of the electricity. [t/MWh]"""
    accelerator_hour: float = quantity(
        2.0, mark="assumed", source="rental of one accelerator for an hour, 2025; set your own", ge=0
    )
    """What an hour of one accelerator is worth: the price of work that comes later. [currency/h]"""
    battery_per_mwh: float = quantity(250_000.0, mark="quoted", source=f"{_DATA}: battery storage 250 EUR/kWh", ge=0)
    """Battery cells and their housing. [currency/MWh]"""
    battery_per_mw: float = quantity(287_000.0, mark="quoted", source=f"{_DATA}: battery inverter 287 EUR/kW", ge=0)
    """Battery inverter. [currency/MW]"""
    capacitor_per_mwh: float = quantity(
        10_000_000.0, mark="quoted", source="supercapacitors about 10,000 per kWh, a maker's page; weakly known", ge=0
    )
    """Supercapacitors and the capacitors of power supplies. [currency/MWh]"""
    capacitor_per_mw: float = quantity(
        287_000.0, mark="assumed", source="as the inverter of a battery; nothing where a power supply holds it", ge=0
    )
    """Inverter of a supercapacitor. [currency/MW]"""
    battery_life_years: float = quantity(20.0, mark="assumed", source="22.5 to 25 years quoted, less for cycling", gt=0)
    """Longest life of battery cells, if cycling does not end it sooner. [a]"""
    inverter_life_years: float = quantity(10.0, mark="quoted", source=f"{_DATA}: inverter 10 years", gt=0)
    """Life of an inverter. [a]"""
    discount_per_year: float = quantity(0.07, mark="assumed", source="usual in studies of energy systems", ge=0, le=0.5)
    """Rate at which the future is discounted. [1/a]"""
    hours_per_year: float = Field(8760.0, gt=0, le=8784)
    """Hours a year in which the load runs as in the series. [h/a]"""


def annuity(price: float, life_years: float, discount_per_year: float) -> float:
    r"""Return the yearly payment for something bought at a price.

    Parameters
    ----------
    price : float
        Paid at the start. [currency]
    life_years : float
        How long it lasts. [a]
    discount_per_year : float
        Discount rate; zero spreads the price evenly. [1/a]

    Returns
    -------
    float
        :math:`C\,r / (1 - (1 + r)^{-n})`. [currency/a]
    """
    if discount_per_year == 0:
        return price / life_years
    return float(price * discount_per_year / (1.0 - (1.0 + discount_per_year) ** -life_years))
