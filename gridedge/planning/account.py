"""What a strategy wastes, delays and costs, per year."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import xarray as xr

from gridedge import schema
from gridedge.planning.prices import Prices, annuity
from gridedge.sites.ageing import LIVES, ageing
from gridedge.sites.facility import Facility
from gridedge.sites.mitigate import around_of

_CAPACITORS = ("psu_capacitor", "supercapacitor")
_EXISTING = ("ups", "rack_battery")  # stand there for outages anyway
_SPENT = ("wasted_mw", "lost_mw")


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
        Power and energy of the storage that is bought; a UPS and rack batteries stand there for outages anyway.
    capital, capital_cost_per_year : float
        Its price, and the yearly payment for it over its life; and for a UPS and rack batteries that cycle, what it
        costs per year to replace their cells sooner.
    life_years : float
        Life of the storage that wears fastest, in the member that wears it most; NaN without any. [a]
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
    """Draw up the account of a strategy: what it adds to what the load came with.

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
    wasted_mw = 0.0
    for name in _SPENT:
        came = _mean(bare, name)  # by steps before these
        wasted_mw += (_mean(metered, name) - came) * draw + _mean(after, name) - _mean(metered, name)
    before_mw = float(bare["p_mw"].mean())
    hours = prices.hours_per_year
    wasted_mwh = wasted_mw * hours
    labels = after.attrs.get("steps", [])[-len(steps) :] if steps else []
    delayed = _delayed_share(bare, after, labels)
    accelerators = float(load.attrs.get("accelerators", 0))
    bought = [b for label, step in zip(labels, steps, strict=True) for b in _bought(label, step, load, after, prices)]
    capital = sum(b.capital for b in bought)
    yearly = sum(b.yearly for b in bought)
    lives = [b.life_years for b in bought]
    energy_cost = wasted_mwh * prices.energy_per_mwh
    delay_cost = delayed * accelerators * hours * prices.accelerator_hour
    return Account(
        wasted_mwh,
        100.0 * wasted_mw / before_mw if before_mw else 0.0,
        energy_cost,
        wasted_mwh * prices.co2_t_per_mwh,
        100.0 * delayed,
        delay_cost,
        sum(b.p_mw for b in bought),
        sum(b.e_mwh for b in bought),
        capital,
        min(lives, default=float("nan")),
        yearly,
        energy_cost + delay_cost + yearly,
    )


def _mean(ds: xr.Dataset, name: str) -> float:
    return float(ds[name].mean()) if name in ds else 0.0


def _delayed_share(bare: xr.Dataset, after: xr.Dataset, labels: Sequence[str]) -> float:
    """Return the share of the work that is not done in the same time.

    Where the job itself was made anew, its own figures say it: of the power that falls with the clock, only a part is
    work.  What the other steps put off is booked in megawatts.
    """
    figures: Mapping[str, Mapping[str, float]] = after.attrs.get("figures", {})
    own = [figures[label] for label in labels if label in figures]
    if any("delayed_pu" in found for found in own):
        done = 1.0
        for found in own:
            done *= (1.0 - found.get("delayed_pu", 0.0)) * (1.0 - found.get("put_off_pu", 0.0))
        return 1.0 - done
    before_mw = _mean(after, "p_it_before_mw") or _mean(after, "p_before_mw")
    return (_mean(after, "delayed_mw") - _mean(bare, "delayed_mw")) / before_mw if before_mw else 0.0


@dataclass(frozen=True)
class _Store:
    """One store that a strategy buys."""

    p_mw: float
    e_mwh: float
    capital: float
    yearly: float
    life_years: float


def _bought(label: str, step: Any, load: xr.Dataset, after: xr.Dataset, prices: Prices) -> list[_Store]:
    """Return the stores of a step: their size, price, and life as their cycles in this series leave it."""
    if not hasattr(step, "parts"):
        return []
    parts = step.parts(around_of(load))
    found = []
    for name, (_, p_mw, e_mwh) in parts.items():
        life = _life_years(f"{label}.{name}" if len(parts) > 1 else label, name, after, prices)
        capacitor = name in _CAPACITORS
        cells = e_mwh * (prices.capacitor_per_mwh if capacitor else prices.battery_per_mwh)
        inverter = p_mw * (prices.capacitor_per_mw if capacitor else prices.battery_per_mw)
        rate = prices.discount_per_year
        if name in _EXISTING:  # not bought; but cells that cycling ends sooner are bought again sooner
            wear = annuity(cells, life, rate) - annuity(cells, _longest_years(name, prices), rate)
            found.append(_Store(0.0, 0.0, 0.0, wear, life))
            continue
        if name == "psu_capacitor":  # the power supply is there: only what it stores is bought
            p_mw = inverter = 0.0
        yearly = annuity(cells, life, rate) + annuity(inverter, prices.inverter_life_years, rate)
        found.append(_Store(p_mw, e_mwh, cells + inverter, yearly, life))
    return found


def _longest_years(name: str, prices: Prices) -> float:
    """Return the life of a store that is not cycled."""
    years = LIVES[name].calendar_years
    return years if name in _CAPACITORS else min(prices.battery_life_years, years)


def _life_years(label: str, name: str, after: xr.Dataset, prices: Prices) -> float:
    """Return the life of a store, ended by its cycles or by its age, whichever comes first: the shortest of members."""
    if (
        name == "psu_capacitor"
    ):  # electrolytic: no curve of their cycles is known, and that of supercapacitors is not theirs
        return _longest_years(name, prices)
    soc = after["soc_pu"].sel(storage=label).transpose(..., "time").values
    rows = soc.reshape(-1, soc.shape[-1])
    dt_s = schema.clock(after)
    return min(_longest_years(name, prices), *(ageing(row, dt_s, LIVES[name]).life_years for row in rows))
