"""The verb ``compare``: strategies and their parameters side by side, and which of them no other beats."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import InputError, bad
from gridedge.measure.finding import Finding
from gridedge.measure.rulebook import check, load_rulebook
from gridedge.planning.account import Account, account
from gridedge.planning.pareto import pareto_front
from gridedge.planning.prices import Prices
from gridedge.planning.strategies import Variant, variants
from gridedge.planning.verdict import Verdict, judge
from gridedge.sites.facility import Facility, connect
from gridedge.sites.mitigate import AnyStep, mitigate, read_step
from gridedge.sites.step import PLACES
from gridedge.spec import take
from gridedge.timebase import skipped

if TYPE_CHECKING:
    import pandas as pd

_OBJECTIVES = ("wasted_mwh_per_year", "delayed_percent", "capital")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Strategies side by side.

    Parameters
    ----------
    table : DataFrame
        A row per variant, by its label: ``strategy``, the parameters varied, ``verdict``, ``excess_percent`` (worst
        measured value over its limit; negative where all hold), what is wasted, delayed and bought per year with the
        unit in each name, ``cost_per_year``, and ``pareto``: whether no other variant beats it.
    findings : dict
        By label, the target's findings.
    remarks : dict
        By label, what its steps could not hold, in sentences.
    before : list of Finding
        The target's findings without any step.
    notes : list of str
        What to know of the result.
    currency : str
        Currency of every price and cost.
    """

    table: pd.DataFrame
    findings: dict[str, list[Finding]]
    remarks: dict[str, list[str]]
    before: list[Finding]
    notes: list[str]
    currency: str

    @property
    def front(self) -> pd.DataFrame:
        """The rows that no other beats, the cheapest first."""
        return self.table[self.table["pareto"]].sort_values("cost_per_year")

    @property
    def cheapest(self) -> str | None:
        """Label of the variant that meets the target at the lowest yearly cost; None where none meets it."""
        met = self.table[self.table["verdict"] == "pass"]
        return str(met["cost_per_year"].idxmin()) if len(met) else None

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        return {
            "table": json.loads(self.table.to_json(orient="index")),
            "findings": {label: [f.to_dict() for f in found] for label, found in self.findings.items()},
            "remarks": self.remarks,
            "before": [f.to_dict() for f in self.before],
            "notes": self.notes,
            "currency": self.currency,
        }


def compare(
    load: xr.Dataset,
    strategies: Mapping[str, Any],
    *,
    target: Any,
    facility: Facility | Mapping[str, Any] | None = None,
    prices: Prices | Mapping[str, Any] | None = None,
    settle_s: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Run strategies and a grid of their parameters on one load, and weigh what each wastes, delays and costs.

    Parameters
    ----------
    load : Dataset
        IT power of :func:`gridedge.generate`, or metered power of :func:`gridedge.connect` (then only steps at the
        ``site`` can act); with members, every figure is the mean over them.
    strategies : mapping
        By name a list of steps, or ``{"steps": [...], "vary": {"battery.p_rated_mw": [10, 20]}}``.
    target : str, path, dict, list or Rulebook
        What must hold at the meter.
    facility : Facility or dict, optional
        From IT power to the meter; the default facility if left out.
    prices : Prices or dict, optional
        Prices of energy, work and equipment.
    settle_s : float
        Start of the series in which cooling and control settle; left out of findings and accounts, and
        times in findings count from its end. [s]
    progress : callable, optional
        Called with the variants done and their total.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If a strategy, a parameter, the target or the load cannot be used.

    Notes
    -----
    The front holds the variants that meet the target and that no other one beats in wasted energy (storage losses
    included), delayed work and capital at once; a thousandth of the largest cost makes no difference.  Where none
    meets it, the excess over the limit counts as a fourth objective among all.
    """
    import pandas as pd

    schema.require(load, ["p_mw"], thing="the load")
    book = load_rulebook(target)
    cost = take(Prices, prices if prices is not None else {})
    chosen = variants(strategies)
    runner = _Runner(load, facility, settle_s)
    before = judge(check(runner.settled(runner.bare), book))
    rows: dict[str, dict[str, Any]] = {}
    findings: dict[str, list[Finding]] = {}
    remarks: dict[str, list[str]] = {}
    known = set(load.attrs.get("notes", []))
    for number, variant in enumerate(chosen):
        label = variant.label
        if label in rows:
            raise bad("two variants have the same name", label, "Vary a value once, and name each strategy once.")
        after, books = runner.run(variant, cost)
        verdict = judge(check(after, book))
        findings[label] = verdict.findings
        remarks[label] = [note for note in after.attrs.get("notes", []) if note not in known]
        rows[label] = _row(variant, verdict, books)
        if progress is not None:
            progress(number + 1, len(chosen))
    table = pd.DataFrame.from_dict(rows, orient="index")
    notes = [*_mark_front(table, findings), *_late(chosen, schema.clock(load))]
    if (table["delayed_percent"] > 0).any() and not load.attrs.get("accelerators"):
        notes.append('Delayed work has no price here: the load does not say how many attrs["accelerators"] it has.')
    return Comparison(table, findings, remarks, before.findings, notes, cost.currency)


def _row(variant: Variant, verdict: Verdict, books: Account) -> dict[str, Any]:
    return {
        "strategy": variant.strategy,
        **variant.parameters,
        "verdict": verdict.overall,
        "excess_percent": 100.0 * verdict.excess,
        "missed": verdict.missed(),
        **books.to_dict(),
    }


def _mark_front(table: pd.DataFrame, findings: Mapping[str, list[Finding]]) -> list[str]:
    """Add the column ``pareto`` to the table, and say what it rests on where no variant meets the target."""
    met = table["verdict"] == "pass"
    table["pareto"] = False
    if met.any():
        table.loc[met, "pareto"] = pareto_front(_told_apart(table.loc[met, list(_OBJECTIVES)].to_numpy(dtype=float)))
        return []
    applies = any(f.verdict != "not applicable" for found in findings.values() for f in found)
    table["pareto"] = pareto_front(_told_apart(table[[*_OBJECTIVES, "excess_percent"]].to_numpy(dtype=float)))
    if not applies:
        return ["No requirement of the target applies to this site."]
    nearest = str(table["excess_percent"].idxmin())
    row = table.loc[nearest]
    missed = row["missed"] or row["verdict"]
    if row["verdict"] == "cannot tell":
        return [f"No variant is known to meet the target. Nearest is {nearest}; {missed}."]
    return [f"No variant meets the target. Nearest is {nearest}; it misses by: {missed}."]


def _late(chosen: list[Variant], dt_s: float) -> list[str]:
    """Say where the steps of the series are too coarse to show what a late converter lets through."""
    delays = [getattr(read_step(step), "delay_s", 0.0) for variant in chosen for step in variant.steps]
    least = min((delay for delay in delays if delay > 0), default=dt_s)
    if least >= dt_s:
        return []
    return [
        f"A converter's delay of {least:g} s is shorter than the step of {dt_s:g} s: edges that pass it look smaller."
    ]


def _told_apart(costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round costs to a thousandth of the largest: what differs by less does not put a variant on the front."""
    finite = np.where(np.isfinite(costs), np.abs(costs), 0.0)
    grain = np.maximum(finite.max(axis=0, initial=0.0) * 1e-3, 1e-12)
    return np.asarray(np.round(costs / grain))


class _Runner:
    """Runs variants on one load; what several of them share inside the site is done once."""

    def __init__(self, load: xr.Dataset, facility: Facility | Mapping[str, Any] | None, settle_s: float):
        self.load = load
        self.first = skipped(settle_s, schema.clock(load), load.sizes["time"])
        self.metered = "site" in load["p_mw"].dims
        if self.metered and load.sizes["site"] != 1:
            value, cure = f"{load.sizes['site']} sites", "Compare each by itself: load.isel(site=[0])."
            raise bad("strategies are compared on one site", value, cure)
        if self.metered and facility is not None:
            raise bad("the load is metered already", "facility", "Leave facility out, or give the IT power.")
        self.facility = take(Facility, facility if facility is not None else {})
        self.bare = load.copy() if self.metered else connect(load, self.facility)
        self.bare.attrs.setdefault("size_mw", float(self.settled(self.bare)["p_mw"].max()))
        self._inside: dict[str, xr.Dataset] = {}

    def settled(self, ds: xr.Dataset) -> xr.Dataset:
        """Return what is judged: the series without its start."""
        return ds.isel(time=slice(self.first, None)) if self.first else ds

    def run(self, variant: Variant, prices: Prices) -> tuple[xr.Dataset, Account]:
        try:
            return self._run([read_step(step) for step in variant.steps], prices)
        except InputError as error:
            where = f"strategy {variant.label!r}"
            raise InputError([replace(p, where=p.where or where) for p in error.problems]) from error

    def _run(self, steps: list[AnyStep], prices: Prices) -> tuple[xr.Dataset, Account]:
        inner = [step for step in steps if step.place != "site"]
        if self.metered and inner:
            cure = "Give the IT power; steps inside the site act before it is metered."
            raise bad(f"{inner[0].step} cannot act on metered power", f"place: {inner[0].place}", cure)
        for one, following in itertools.pairwise(steps):
            if PLACES.index(one.place) > PLACES.index(following.place):
                value = f"{one.step} at {one.place}, then {following.step} at {following.place}"
                raise bad(
                    "the steps are out of order", value, "List them from the chip outwards: chip, rack, ups, site."
                )
        metered = self.bare if self.metered else self._behind(inner)
        after = mitigate(metered, [step for step in steps if step.place == "site"])
        after = after.assign_attrs(size_mw=self.bare.attrs["size_mw"])
        parts = [self.settled(ds) for ds in (self.load, self.bare, metered, after)]
        facility = None if self.metered else self.facility
        return parts[-1], account(*parts, steps=steps, facility=facility, prices=prices)

    def _behind(self, inner: list[Any]) -> xr.Dataset:
        key = json.dumps([step.to_dict() for step in inner], sort_keys=True)
        if key not in self._inside:
            self._inside = {key: connect(mitigate(self.load, inner), self.facility)}  # one at a time: it is large
        return self._inside[key]
