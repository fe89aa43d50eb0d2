"""What a strategy wastes, delays and costs, per year."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import xarray as xr

from gridedge.planning.prices import Prices
from gridedge.sites.facility import Facility

_CAPACITORS = ("psu_capacitor", "supercapacitor")


@dataclass(frozen=True)
class Account:
    """The account of one strategy; a year is the series, repeated for the hours that the prices state.

    Parameters
    ----------
    wasted_mwh_per_year : float
        Energy burned or lost to shape the load, at the meter, losses of storage included.
    wasted_percent : float
        The same, of the energy without any step.
    wasted_cost_per_year, co2_t_per_year : float
        What that energy costs and emits.
    delayed_percent : float
        Share of the work that comes later.
    delayed_cost_per_year : float
        The hours of accelerators that take its place.
    bought_mw, bought_mwh : float
        Power and energy of all storage.
    capital, capital_cost_per_year : float
        Its price, and the yearly payment for it over its life.
    life_years : float
        Life of the storage that wears fastest; NaN without any. [a]
    cost_per_year : float
        Wasted energy, delayed work and capital together.
    """

    wasted_mwh_per_year: float
    wasted_percent: float
    wasted_cost_per_year: float
    co2_t_per_year: float
    delayed_percent: float
    delayed_cost_per_year: float
    bought_mw: float
    bought_mwh: float
    capital: float
    life_years: float
    capital_cost_per_year: float
    cost_per_year: float

    def to_dict(self) -> dict[str, float]:
        """Return the fields as a plain dict."""
        return asdict(self)


def account(
    load: xr.Dataset,
    bare: xr.Dataset,
    metered: xr.Dataset,
    after: xr.Dataset,
    *,
    steps: Sequence[Any],
    facility: Facility | None,
    prices: Prices,
) -> Account:
    """Draw up the account of a strategy.

    Parameters
    ----------
    load, bare : Dataset
        The load as it was given, and the metered power without any step.
    metered, after : Dataset
        The metered power behind the steps inside the site, and behind all of them, with their books.
    steps : sequence of spec
        The steps.
    facility : Facility or None
        None where the load was metered already; else every megawatt burned inside the site draws
        ``1 / conversion_efficiency + cooling_proportional_pu`` at the
        meter.
    prices : Prices
        What things cost.
    """
    draw = 1.0 if facility is None else 1.0 / facility.conversion_efficiency + facility.cooling_proportional_pu
    wasted_mw = sum(_mean(metered, name) * draw + _mean(after, name) - _mean(metered, name) for name in _SPENT)
    before_mw = float(bare["p_mw"].mean())
    hours = prices.hours_per_year
    wasted_mwh = wasted_mw * hours
    delayed = _delayed_share(load, after)
    accelerators = float(load.attrs.get("accelerators", 0))
    bought = [_bought(step, label, after, load, prices) for step, label in zip(steps, _labels(steps), strict=True)]
    capital = sum(b["capital"] for b in bought)
    yearly = sum(b["yearly"] for b in bought)
    lives = [b["life"] for b in bought if b["capital"] > 0]
    energy_cost = wasted_mwh * prices.energy_per_mwh
    delay_cost = delayed * accelerators * hours * prices.accelerator_hour
    return Account(
        wasted_mwh,
        100.0 * wasted_mw / before_mw if before_mw else 0.0,
        energy_cost,
        wasted_mwh * prices.co2_t_per_mwh,
        100.0 * delayed,
        delay_cost,
        sum(b["mw"] for b in bought),
        sum(b["mwh"] for b in bought),
        capital,
        min(lives, default=float("nan")),
        yearly,
        energy_cost + delay_cost + yearly,
    )


_SPENT = ("wasted_mw", "lost_mw")


def _mean(ds: xr.Dataset, name: str) -> float:
    return float(ds[name].mean()) if name in ds else 0.0
