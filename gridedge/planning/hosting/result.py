"""What an answer about hosting capacity holds, and how several judges' answers become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from gridedge.measure.limit_sets import LimitSet

if TYPE_CHECKING:
    import pandas as pd

NOT_BOUND = "not bound"
ENDS = ("collapse", "supply")  # kinds behind which there is nothing


@dataclass(frozen=True)
class Stop:
    """What stops a site from being larger.

    Parameters
    ----------
    p_mw : float
        Largest size found to keep the limit. [MW]
    limit, kind, element : str
        The limit in words, its kind ("low", "loading", "flicker", ...), and the bus or branch that breaks it.
    time_s : float
        When; NaN where the limit has no time. [s]
    outage : str
        What is out then; empty for the whole net.
    at_slack : bool
        Whether the element stands at the reference bus.
    """

    p_mw: float
    limit: str
    kind: str
    element: str
    time_s: float = np.nan
    outage: str = ""
    at_slack: bool = False

    @property
    def same(self) -> tuple[str, str]:
        """What two stops share that are the same limit at the same element."""
        return self.limit, self.element


@dataclass(frozen=True)
class Answer:
    """What is found at one bus.

    Parameters
    ----------
    capacity_mw : float
        Largest size counted from zero at which all limits hold. [MW]
    stops : tuple of Stop
        What stops it, then what would stop it next; empty where nothing does.
    ranges_mw : tuple of (float, float)
        Later sizes at which all limits hold again. [MW]
    """

    capacity_mw: float
    stops: tuple[Stop, ...] = ()
    ranges_mw: tuple[tuple[float, float], ...] = ()

    def narrowed(self, stops: Sequence[Stop]) -> Answer:
        """Return the answer with what other judges found at the same bus; a stop at an infinite size is none."""
        new = [s for s in stops if np.isfinite(s.p_mw)]
        if not new:
            return self
        ordered = sorted([*self.stops, *new], key=lambda s: s.p_mw)
        kept = [ordered[0], *[s for s in ordered[1:] if s.same != ordered[0].same][:1]]
        least = min(s.p_mw for s in new)
        ranges = tuple((low, min(high, least)) for low, high in self.ranges_mw if low < least)
        return replace(self, capacity_mw=min(self.capacity_mw, least), stops=tuple(kept), ranges_mw=ranges)


@dataclass(frozen=True)
class CutOff:
    """Buses that an outage leaves without supply; that is lost supply, no broken limit.

    Parameters
    ----------
    outage : str
        What is out.
    buses : tuple of int
        The buses, by index.
    lost_mw : float
        What the net's own loads draw there, in the step in which that is most. [MW]
    """

    outage: str
    buses: tuple[int, ...]
    lost_mw: float


@dataclass(frozen=True)
class HostingResult:
    """How much each bus can take, and what stops it.

    Parameters
    ----------
    data : Dataset
        Per ``bus``: ``capacity_mw`` [MW]; what binds, ``limit``, ``kind``, ``element``, ``outage`` and ``time_s`` [s];
        the next limit behind it, ``next_mw`` and the same words with ``next_`` before them; ``at_slack``,
        whether the element stands at the reference bus; and ``range_low_mw``, ``range_high_mw`` (bus, range), the later
        sizes at which all limits hold again.  With outages, ``cut_off_by`` names those that leave the bus itself
        without supply.  ``limit`` is "not bound" where nothing binds up to ``capacity_mw``.
        ``attrs`` hold ``thermal`` ("known", "partly known" or "not known"), ``supply``, ``taps``, ``existing``,
        ``remarks``, ``not_studied``, ``engine_detail`` and ``error_vm_pu``.
    limits : LimitSet
        What was held.
    cut_off : tuple of CutOff
        Outages that leave buses without supply, where outages were looked at.
    """

    data: xr.Dataset
    limits: LimitSet
    cut_off: tuple[CutOff, ...] = ()

    @property
    def capacity_mw(self) -> xr.DataArray:
        """Capacity per bus, in MW."""
        return self.data["capacity_mw"]

    @property
    def remarks(self) -> list[str]:
        """What a reader must know."""
        return list(self.data.attrs["remarks"])

    @property
    def lost_supply(self) -> pd.DataFrame:
        """Outages that cut buses off: ``outage``, ``buses``, how many, and ``lost_mw`` in the base case."""
        import pandas as pd

        rows = [(c.outage, c.buses, len(c.buses), c.lost_mw) for c in self.cut_off]
        return pd.DataFrame(rows, columns=["outage", "buses", "bus_count", "lost_mw"])

    def table(self) -> pd.DataFrame:
        """Return one row per bus, without what has more than one value there."""
        return self.data.drop_dims([d for d in self.data.dims if d != "bus"]).to_dataframe()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: the buses as a list, the limits, and the attributes."""
        low, high = self.data["range_low_mw"].values, self.data["range_high_mw"].values
        buses = []
        for k, row in enumerate(self.table().reset_index().to_dict("records")):
            later = [[float(a), float(b)] for a, b in zip(low[k], high[k], strict=True) if np.isfinite(a)]
            buses.append({**{str(n): _plain(v) for n, v in row.items()}, "later_ranges_mw": later})
        lost = [{"outage": c.outage, "buses": list(c.buses), "lost_mw": c.lost_mw} for c in self.cut_off]
        return {"buses": buses, "limits": self.limits.to_dict(), "lost_supply": lost, **self.data.attrs}


def dataset(answers: Sequence[Answer], buses: Sequence[int], bus_name: Sequence[str]) -> xr.Dataset:
    """Return the table of answers, one per bus, as :class:`HostingResult` describes it."""
    wide = max((len(a.ranges_mw) for a in answers), default=0)
    ranges = np.full((len(answers), wide, 2), np.nan)
    for k, a in enumerate(answers):
        ranges[k, : len(a.ranges_mw)] = np.array(a.ranges_mw).reshape(-1, 2)
    ds = xr.Dataset(coords={"bus": list(buses), "bus_name": ("bus", list(bus_name))})
    ds["capacity_mw"] = ("bus", [a.capacity_mw for a in answers], {"units": "MW"})
    first = [a.stops[0] if a.stops else Stop(np.nan, NOT_BOUND, "", "") for a in answers]
    collapsed = Stop(np.nan, "", "", "")  # nothing is looked for behind the collapse
    unbound = Stop(np.nan, NOT_BOUND, "", "")
    behind = [
        a.stops[1] if len(a.stops) > 1 else collapsed if a.stops and a.stops[0].kind in ENDS else unbound
        for a in answers
    ]
    for prefix, stops in (("", first), ("next_", behind)):
        for name in ("limit", "kind", "element", "outage"):
            ds[prefix + name] = ("bus", [getattr(s, name) for s in stops])
        ds[prefix + "time_s"] = ("bus", [s.time_s for s in stops], {"units": "s"})
    ds["next_mw"] = ("bus", [s.p_mw for s in behind], {"units": "MW"})
    ds["at_slack"] = ("bus", [s.at_slack for s in first])
    ds["range_low_mw"] = (("bus", "range"), ranges[..., 0], {"units": "MW"})
    ds["range_high_mw"] = (("bus", "range"), ranges[..., 1], {"units": "MW"})
    return ds


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value
