"""Limits of harmonic currents and voltages as data, and the findings that follow."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gridedge import yamlfile
from gridedge.errors import bad, is_number, nearest
from gridedge.measure.finding import Finding, Verdict
from gridedge.measure.flicker_limits import LEVELS, Published
from gridedge.spec import Spec, build

ORDERS: NDArray[np.intp] = np.arange(2, 51)
"""Orders that the tables of IEEE 519 cover."""
_BELOW_ORDER = (11, 17, 23, 35, 51)  # where the columns of Tables 2 to 4 end


class RatioRow(Spec):
    """Limits of the currents for a range of the short-circuit ratio."""

    below_ratio: float | None = Field(None, gt=0)
    """Isc/IL below which it holds; left out, at any."""
    percent: tuple[float, float, float, float, float]
    """Highest current of an odd order below 11, 17, 23, 35, and up to 50. [% of IL]"""
    tdd_percent: float = Field(gt=0)
    """Highest total demand distortion. [% of IL]"""


class CurrentTable(Spec):
    """Limits of the currents for a class of voltage."""

    table: str
    """Number in the document."""
    from_kv: float = Field(ge=0)
    """Lowest nominal voltage; what lies on a bound of two classes belongs to the lower. [kV]"""
    up_to_kv: float | None = Field(None, gt=0)
    """Highest nominal voltage; left out, any. [kV]"""
    rows: tuple[RatioRow, ...]
    """From weak to strong; the last one has no bound."""


class EvenShare(Spec):
    """What even orders have of the limit of odd ones."""

    up_to_order: int | None = None
    """Highest order that it is for; left out, any."""
    share: float = Field(gt=0, le=1)
    """Share of the limit. [1]"""


class VoltageRow(Spec):
    """Limits of the voltages for a class of voltage."""

    up_to_kv: float | None = Field(None, gt=0)
    """Highest nominal voltage; left out, any. [kV]"""
    percent: float = Field(gt=0)
    """Highest voltage of one order. [% of nominal]"""
    thd_percent: float = Field(gt=0)
    """Highest total distortion. [% of nominal]"""


class HarmonicStandard(Published):
    """What an edition asks of currents and voltages."""

    currents: tuple[CurrentTable, ...]
    """By class of voltage, from low to high."""
    voltages: tuple[VoltageRow, ...]
    """By class of voltage, from low to high."""
    even: tuple[EvenShare, ...]
    """From low to high orders; the last one has no bound."""

    @model_validator(mode="after")
    def _fits(self) -> HarmonicStandard:
        ends: dict[str, list[float | int | None]] = {
            "voltages": [row.up_to_kv for row in self.voltages],
            "currents": [table.up_to_kv for table in self.currents],
            "even": [e.up_to_order for e in self.even],
            **{f"Table {t.table}": [row.below_ratio for row in t.rows] for t in self.currents},
        }
        for key, values in ends.items():
            bounds = [math.inf if v is None else v for v in values]
            if not bounds or bounds[-1] != math.inf or bounds != sorted(set(bounds)):
                raise bad(f"{key} of {self.name!r}", str(values), "Order them, the last one without a bound.")
        return self


class _Standards(Spec):
    standards: tuple[HarmonicStandard, ...]


@dataclass(frozen=True)
class CurrentLimits:
    """Limits of one site's currents.

    Parameters
    ----------
    percent : ndarray, shape (49,)
        Of the orders 2 to 50. [% of IL]
    tdd_percent : float
        Of all of them together. [% of IL]
    words : str
        Which table and row it is.
    """

    percent: NDArray[np.float64]
    tdd_percent: float
    words: str


@functools.lru_cache(maxsize=1)
def harmonic_standards() -> dict[str, HarmonicStandard]:
    """Return the shipped standards by name."""
    return {x.name: x for x in build(_Standards, yamlfile.read(LEVELS / "ieee519.yaml")).standards}


def harmonic_standard(standard: str | HarmonicStandard) -> HarmonicStandard:
    """Return a shipped standard by its name, or one of your own as it is.

    Raises
    ------
    InputError
        If there is no such standard.
    """
    if isinstance(standard, HarmonicStandard):
        return standard
    if standard not in harmonic_standards():
        raise bad("unknown standard of harmonics", str(standard), nearest(str(standard), harmonic_standards()))
    return harmonic_standards()[standard]


def distortion_percent(percent: NDArray[np.float64]) -> float:
    """Return the total of several orders, as TDD and THD take it: the root of the sum of their squares."""
    return float(np.sqrt(np.sum(np.square(percent))))


def current_rows(standard: HarmonicStandard, vn_kv: float) -> list[CurrentLimits]:
    """Return the limits for a voltage, from the weakest grid to the strongest; none where the standard has none."""
    table = _table(standard, vn_kv)
    return [] if table is None else [_limits(standard, table, row) for row in table.rows]


def current_limits(standard: HarmonicStandard, vn_kv: float, ratio: float) -> CurrentLimits | None:
    """Return the limits of the currents of one site.

    Parameters
    ----------
    standard : HarmonicStandard
        Which edition.
    vn_kv : float
        Nominal voltage at the point of common coupling. [kV]
    ratio : float
        Short-circuit current there over the maximum demand current of the site, Isc/IL. [1]

    Returns
    -------
    CurrentLimits or None
        None where the standard has no table for the voltage.  A ratio on a bound has the row of stronger grids.
    """
    table = _table(standard, vn_kv)
    if table is None:
        return None
    return _limits(standard, table, next(r for r in table.rows if r.below_ratio is None or ratio < r.below_ratio))


def _table(standard: HarmonicStandard, vn_kv: float) -> CurrentTable | None:
    if vn_kv < standard.currents[0].from_kv:
        return None
    return next(t for t in standard.currents if t.up_to_kv is None or vn_kv <= t.up_to_kv)


def _limits(standard: HarmonicStandard, table: CurrentTable, row: RatioRow) -> CurrentLimits:
    k = table.rows.index(row)
    start = table.rows[k - 1].below_ratio if k else None
    if row.below_ratio is None:
        span = f"from {start:g}" if start else "any"
    else:
        span = f"{start:g} to {row.below_ratio:g}" if start else f"below {row.below_ratio:g}"
    odd = np.asarray(row.percent)[np.searchsorted(_BELOW_ORDER, ORDERS, side="right")]
    shares = np.array([_share(standard, int(order)) for order in ORDERS])
    percent = np.where(ORDERS % 2, odd, odd * shares)
    return CurrentLimits(percent, row.tdd_percent, f"Table {table.table}, Isc/IL {span}")


def voltage_limits(standard: HarmonicStandard, vn_kv: float) -> VoltageRow:
    """Return the limits of the voltages for a nominal voltage in kV."""
    return next(row for row in standard.voltages if row.up_to_kv is None or vn_kv <= row.up_to_kv)


def _share(standard: HarmonicStandard, order: int) -> float:
    return next(e.share for e in standard.even if e.up_to_order is None or order <= e.up_to_order)


def as_orders(percent: Mapping[int, float]) -> NDArray[np.float64]:
    """Return a spectrum {order: per cent} as an array over the orders 2 to 50.

    Raises
    ------
    InputError
        If an order is no whole number from 2 to 50 (1, the fundamental, may stand at 100), or a value is negative.
    """
    values = np.zeros(ORDERS.size)
    for order, value in percent.items():
        whole = isinstance(order, int | np.integer) and not isinstance(order, bool)
        if whole and order == 1 and value == 100:
            continue
        if not whole or not 2 <= order <= 50:
            cure = "Give whole orders from 2 to 50, in per cent of the fundamental; interharmonics have no limit here."
            raise bad("this is no order of a harmonic spectrum", repr(order), cure)
        if not (is_number(value) and value >= 0):
            raise bad(f"current of order {order}", value, "Give per cent of the fundamental, zero or more.")
        values[order - 2] = value
    return values


def judge_currents(
    percent: NDArray[np.float64],
    standard: HarmonicStandard,
    vn_kv: float,
    ratio: float,
    *,
    ratio_known: bool = True,
    where: str = "",
    note: str = "",
) -> list[Finding]:
    """Hold the currents of a site against a standard.

    Parameters
    ----------
    percent : ndarray, shape (49,)
        Currents of the orders 2 to 50. [% of IL]
    standard : HarmonicStandard
        Which edition.
    vn_kv : float
        Nominal voltage at the point of common coupling. [kV]
    ratio : float
        Isc/IL. [1]
    ratio_known : bool
        Whether the short-circuit power behind it is data; if it is assumed, a verdict is one that every row of the
        table agrees on, else "cannot tell".
    where, note : str
        Bus, and what else a reader must know.

    Returns
    -------
    list of Finding
        The total demand distortion, then the order that is worst against its limit.

    References
    ----------
    .. [1] IEEE Std 519, Tables 2 to 4: TDD = sqrt(sum of Ih², h = 2 to 50) / IL.
    """
    limits = current_limits(standard, vn_kv, ratio)
    names = ("total demand distortion of the current", "harmonic current")
    if limits is None:
        why = f"{standard.name} has no limits of currents at {vn_kv:g} kV"
        return [_finding(n, "none", "not applicable", None, None, standard, where, why) for n in names]
    every = [limits] if ratio_known else current_rows(standard, vn_kv)
    tdd = distortion_percent(percent)
    worst = int(np.argmax(percent / limits.percent))
    beyond = [int(h) for h in ORDERS[percent > limits.percent * (1 + 1e-9)]]
    told = _agreed([tdd <= x.tdd_percent * (1 + 1e-9) for x in every])
    single = _agreed([not (percent > x.percent * (1 + 1e-9)).any() for x in every])
    notes = [f"{limits.words}, here {ratio:.4g}", note]
    unknown = "the short-circuit power is assumed, and the rows of the table disagree: set s_sc_mva"
    orders = f"beyond the limit: orders {', '.join(map(str, beyond))}" if beyond else ""
    return [
        _finding(
            f"{names[0]}, {standard.name}", f"at most {limits.tdd_percent:g} % of IL", told, tdd, limits.tdd_percent,
            standard, where, *notes, unknown if told == "cannot tell" else "", figures=(("isc_over_il", ratio),),
        ),
        _finding(
            f"{names[1]} of order {ORDERS[worst]}, {standard.name}", f"at most {limits.percent[worst]:g} % of IL",
            single, float(percent[worst]), float(limits.percent[worst]), standard, where, *notes, orders,
            unknown if single == "cannot tell" else "",
        ),
    ]  # fmt: skip


def judge_voltages(
    percent: NDArray[np.float64],
    standard: HarmonicStandard,
    vn_kv: float,
    *,
    shifted: NDArray[np.float64] | None = None,
    known: bool = True,
    where: str = "",
    note: str = "",
) -> list[Finding]:
    """Hold the harmonic voltages that a site alone makes against a standard, for each model of the other loads.

    Parameters
    ----------
    percent : ndarray, shape (model, 49)
        Voltages of the orders 2 to 50, one row per model that could be true. [% of nominal]
    standard : HarmonicStandard
        Which edition.
    vn_kv : float
        Nominal voltage of the bus. [kV]
    shifted : ndarray, shape (model, 49), optional
        The same if resonances lie where they do the most harm; what passes must pass with them too. [% of nominal]
    known : bool
        Whether the impedances are data; what stands on an assumption reads "cannot tell".
    where, note : str
        Bus, and what else a reader must know.

    Returns
    -------
    list of Finding
        The total distortion, then the order that is worst; each of the worst model.  Where the models disagree:
        "cannot tell".

    References
    ----------
    .. [1] IEEE Std 519, Table 1.
    """
    limits = voltage_limits(standard, vn_kv)
    every = percent if shifted is None else np.vstack([percent, shifted])
    order = ORDERS[int(np.argmax(percent.max(axis=0)))]
    findings = []
    for name, limit, values in (
        ("total distortion of the voltage", limits.thd_percent, np.sqrt(np.square(every).sum(axis=1))),
        (f"harmonic voltage of order {order}", limits.percent, every.max(axis=1)),
    ):
        verdict = _agreed((values <= limit * (1 + 1e-9)).tolist())
        own, beyond = values[: len(percent)], values[len(percent) :]
        notes = [
            f"{own.min():.3g} to {own.max():.3g} % over the models of the loads" if own.size > 1 else "",
            f"up to {beyond.max():.3g} % if a resonance lies where it does the most harm" if beyond.size else "",
            "what the impedance of the grid stands on is assumed" if not known else "",
            note,
        ]
        findings.append(
            _finding(
                f"{name}, {standard.name}", f"at most {limit:g} % of nominal", verdict if known else "cannot tell",
                float(own.max()), limit, standard, where, *notes,
            )
        )  # fmt: skip
    return findings


def _agreed(kept: Sequence[bool]) -> Verdict:
    if all(kept):
        return "pass"
    return "cannot tell" if any(kept) else "fail"


def _finding(
    name: str,
    requirement: str,
    verdict: Verdict,
    measured: float | None,
    limit: float | None,
    standard: HarmonicStandard,
    where: str,
    *notes: str,
    figures: tuple[tuple[str, float], ...] = (),
) -> Finding:
    return Finding(
        name, requirement, verdict, measured, limit, "%", where=where, note="; ".join(n for n in notes if n),
        authority=standard.authority, status=standard.kind, source=standard.origin, known=standard.known,
        figures=figures,
    )  # fmt: skip
