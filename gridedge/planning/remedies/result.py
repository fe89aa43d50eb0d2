"""What an answer about remedies holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gridedge.planning.remedies.bench import Broken, Measure

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Single:
    """One measure, alone, against one broken limit.

    Parameters
    ----------
    limit : str
        The limit, ``loading at line:181``.
    measure : Measure
        What is done.
    lifts : bool
        Whether this limit then holds at every size up to the wished one.
    note : str
        What it breaks instead, or why it is not enough.
    """

    limit: str
    measure: Measure
    lifts: bool
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """Measures that together lift every limit, proven by exact power flows.

    Parameters
    ----------
    measures : tuple of Measure
        What is done.
    capacity_mw : float
        What the bus takes then; NaN where it was only proven up to the wished size. [MW]
    """

    measures: tuple[Measure, ...]
    capacity_mw: float = np.nan

    @property
    def priced(self) -> bool:
        """Whether every measure has a price."""
        return all(m.cost is not None for m in self.measures)

    @property
    def low(self) -> float:
        """Lower end of the price, of what has one."""
        return float(sum(m.cost.low for m in self.measures if m.cost))

    @property
    def high(self) -> float:
        """Upper end of the price, of what has one."""
        return float(sum(m.cost.high for m in self.measures if m.cost))

    @property
    def rank(self) -> tuple[bool, float, int]:
        """By what plans are ordered: those without a price last, then the middle of the price, then how few."""
        return not self.priced, 0.5 * (self.low + self.high), len(self.measures)


@dataclass(frozen=True)
class RemedyResult:
    """What lets a bus take a wished size.

    Parameters
    ----------
    bus : int
        Where.
    bus_name : str
        Its name.
    wanted_mw, capacity_mw : float
        What is wished, and what the net takes as it stands. [MW]
    broken : tuple of Broken
        Every limit that the wished size breaks: each branch by itself, of the buses the worst of each kind.
    singles : tuple of Single
        Each measure alone against each limit.
    plans : tuple of Plan
        Sets of measures that lift everything, the cheapest first; empty where none was found, or nothing is needed.
    reasons : tuple of str
        Why nothing lifts it, where there is no plan.
    remarks : tuple of str
        What a reader must know.
    currency : str
        Of every price.
    looks : int
        How many nets were solved.
    """

    bus: int
    bus_name: str
    wanted_mw: float
    capacity_mw: float
    broken: tuple[Broken, ...] = ()
    singles: tuple[Single, ...] = ()
    plans: tuple[Plan, ...] = ()
    reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    currency: str = ""
    looks: int = 0

    @property
    def fits(self) -> bool:
        """Whether the net takes the wished size as it stands."""
        return self.wanted_mw <= self.capacity_mw

    @property
    def chosen(self) -> Plan | None:
        """The cheapest plan."""
        return self.plans[0] if self.plans else None

    def table(self) -> pd.DataFrame:
        """Return one row per broken limit and measure: what it is, how large, whether it lifts the limit, its price."""
        import pandas as pd

        rows = [{"limit": s.limit, **_row(s.measure), "lifts": s.lifts, "note": s.note} for s in self.singles]
        return pd.DataFrame(rows, columns=["limit", *_COLUMNS, "lifts", "note"])

    def plan_table(self) -> pd.DataFrame:
        """Return one row per plan and measure."""
        import pandas as pd

        rows = [{"plan": n, **_row(m)} for n, plan in enumerate(self.plans) for m in plan.measures]
        return pd.DataFrame(rows, columns=["plan", *_COLUMNS])

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        whole: dict[str, Any] = {
            "bus": self.bus, "bus_name": self.bus_name, "wanted_mw": self.wanted_mw, "capacity_mw": self.capacity_mw,
            "fits": self.fits, "currency": self.currency, "looks": self.looks,
            "broken": [asdict(b) for b in self.broken],
            "singles": [{"limit": s.limit, **_row(s.measure), "lifts": s.lifts, "note": s.note} for s in self.singles],
            "plans": [
                {"measures": [_row(m) for m in p.measures], "cost_low": p.low, "cost_high": p.high,
                 "priced": p.priced, "capacity_mw": p.capacity_mw}
                for p in self.plans
            ],
            "reasons": list(self.reasons), "remarks": list(self.remarks),
        }  # fmt: skip
        plain: dict[str, Any] = _plain(whole)
        return plain

    def describe(self) -> str:
        """Return the answer in words, for a terminal."""
        head = f"Bus {self.bus} ({self.bus_name}): wished {self.wanted_mw:g} MW, fits {self.capacity_mw:.4g} MW."
        if self.fits:
            return f"{head} Nothing is needed."
        lines = [head, "", "What breaks:"]
        lines += [f"  {_told(b)}" for b in self.broken]
        if self.singles:
            shown = self.table()[["limit", "measure", "element", "what", "lifts", "cost_low", "cost_high", "note"]]
            text = shown.to_string(index=False, float_format=lambda x: f"{x:,.0f}", na_rep="-", justify="left")
            lines += ["", f"Each measure alone ({self.currency}):", text]
        for n, plan in enumerate(self.plans):
            cost = f"{plan.low:,.0f} to {plan.high:,.0f} {self.currency}" if plan.priced else "no price for all of it"
            after = "" if np.isnan(plan.capacity_mw) else f", then the bus takes {plan.capacity_mw:.4g} MW"
            lines += ["", f"{'Cheapest set' if n == 0 else 'Also'}: {cost}{after}"]
            for m in plan.measures:
                dated = f"; {m.cost.date}, {m.cost.known}" if m.cost else ""
                lines.append(f"  {m.kind} at {m.element}: {m.words}{dated}")
        if not self.plans:
            lines += ["", "Nothing lifts it:", *(f"  {r}" for r in self.reasons)]
        return "\n".join([*lines, *(f"* {r}" for r in self.remarks)])


_COLUMNS = (
    "measure", "element", "what", "size", "unit", "needed", "mva", "cost_low", "cost_high", "currency", "date", "known",
    "source",
)  # fmt: skip


def _row(m: Measure) -> dict[str, Any]:
    cost = m.cost
    return {
        "measure": m.kind, "element": m.element, "what": m.words, "size": m.size, "unit": m.unit, "needed": m.needed,
        "mva": m.mva, "cost_low": cost.low if cost else np.nan, "cost_high": cost.high if cost else np.nan,
        "currency": cost.currency if cost else "", "date": cost.date if cost else "",
        "known": cost.known if cost else "", "source": cost.source if cost else "",
    }  # fmt: skip


def _told(b: Broken) -> str:
    if b.kind == "no solution":
        return f"no solution of the power flow at {b.p_mw:.4g} MW"
    unit = {"loading": "%", "losses": "MW"}.get(b.kind, "pu")
    text = f"{b.name}: {b.value:.4g} {unit} where {b.limit:.4g} {unit} is allowed"
    if not np.isnan(b.needed_mva):
        amps = "" if np.isnan(b.needed_ka) else f"{b.needed_ka:.3f} kA, "
        text += f"; needs {amps}{b.needed_mva:.3g} MVA"
    return f"{text} (at {b.p_mw:.4g} MW, {b.time_s:g} s)"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value
