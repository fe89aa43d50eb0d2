"""What a remedy costs: dated ranges with their sources."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from gridedge import yamlfile
from gridedge.errors import bad
from gridedge.measure.rules import Known
from gridedge.spec import DateText, Spec, build

_FILE = Path(__file__).resolve().parent / "prices.yaml"
What = Literal["larger line", "parallel line", "transformer", "capacitor", "var support", "tap"]


class UnitPrice(Spec):
    """Price of one kind of equipment."""

    item: str
    """What is bought."""
    measure: What
    """Which measure it prices."""
    per: Literal["km", "MVA", "Mvar", "piece", "bank"]
    """What one price is for; of transformers the MVA that are installed."""
    low: float = Field(ge=0)
    """Lowest. [currency]"""
    high: float = Field(ge=0)
    """Highest. [currency]"""
    currency: str
    """Its currency."""
    date: DateText
    """Of when it is, year first."""
    source: str
    """Whose figure."""
    known: Known
    """How well it is known."""
    overhead: bool | None = None
    """Of overhead lines, or of cables; left out, of both."""
    vn_kv: tuple[float, float] | None = None
    """Of voltages above the first, up to the second. [kV]"""
    mva: tuple[float, float] | None = None
    """Of ratings above the first, up to the second. [MVA]"""
    bank_mvar: float | None = Field(None, gt=0)
    """Largest size of one bank. [Mvar]"""

    @model_validator(mode="after")
    def _ordered(self) -> UnitPrice:
        if self.low > self.high:
            raise bad(f"the price of {self.item!r} is upside down", f"{self.low:g} > {self.high:g}", "Swap them.")
        if (self.per == "bank") != (self.bank_mvar is not None):
            raise bad(f"the price of {self.item!r} is per bank or not", self.per, "Give per: bank with bank_mvar.")
        return self


class PriceList(Spec):
    """All prices; the first that fits a measure counts."""

    title: str = ""
    """What they are."""
    prices: tuple[UnitPrice, ...]
    """The list."""


@dataclass(frozen=True)
class Cost:
    """What a measure costs.

    Parameters
    ----------
    low, high : float
        Range. [currency]
    currency, date, source, known : str
        Of the unit price that it is made of.
    """

    low: float
    high: float
    currency: str
    date: str
    source: str
    known: str

    @property
    def middle(self) -> float:
        """The mean of both ends, by which measures are compared (chosen)."""
        return 0.5 * (self.low + self.high)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def load_prices(prices: str | Path | dict[str, Any] | PriceList | None = None) -> PriceList:
    """Return a price list: the shipped one, a YAML file, a dict, or the list itself.

    Raises
    ------
    InputError
        If it cannot be read, or mixes currencies.
    """
    if prices is None:
        return _shipped()
    if prices is not None and not isinstance(prices, PriceList | dict | str | Path):
        raise bad("this is no price list", type(prices).__name__, "Give a YAML file or its content.")
    if isinstance(prices, PriceList):
        found = prices
    else:
        found = build(PriceList, prices if isinstance(prices, dict) else yamlfile.read(prices))
    currencies = sorted({p.currency for p in found.prices})
    if len(currencies) > 1:
        raise bad("a price list mixes currencies", ", ".join(currencies), "Bring all prices to one.")
    return found


@functools.lru_cache(maxsize=1)
def _shipped() -> PriceList:
    return build(PriceList, yamlfile.read(_FILE))


def cost_of(
    prices: PriceList, measure: What, *, count: float = 1, length_km: float = np.nan, mva: float = np.nan,
    mvar: float = np.nan, vn_kv: float = np.nan, overhead: bool = False,
) -> Cost | None:  # fmt: skip
    """Return what a measure costs; None where the list has no price for it.

    Parameters
    ----------
    prices : PriceList
        The list.
    measure : str
        What is done.
    count : float
        How many.
    length_km, mva, mvar, vn_kv, overhead
        Size of each: length [km], rated power [MVA], reactive power [Mvar], voltage [kV], kind of line.
    """
    for p in prices.prices:
        fits = p.measure == measure and (p.overhead is None or p.overhead == overhead)
        fits = fits and _within(vn_kv, p.vn_kv) and _within(mva, p.mva)
        if not fits:
            continue
        amount = {"km": length_km, "MVA": mva, "Mvar": mvar, "piece": 1.0, "bank": np.nan}[p.per]
        if p.bank_mvar is not None:
            amount = np.ceil(mvar / p.bank_mvar - 1e-9)
        if np.isfinite(amount):
            total = float(count * amount)
            return Cost(p.low * total, p.high * total, p.currency, p.date, p.source, p.known)
    return None


def _within(value: float, band: tuple[float, float] | None) -> bool:
    return band is None or band[0] < value <= band[1]
