"""The verb ``hosting_together``: a batch of sites sized together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from gridedge.errors import bad, is_number
from gridedge.grid.buses import find_bus
from gridedge.grid.inject import Background
from gridedge.grid.trial import Float, Index
from gridedge.measure.limit_sets import Given, LimitSet
from gridedge.planning.hosting.climb import Case, Climb, Climbed
from gridedge.planning.hosting.largest import Largest, binding, grown, largest, linear
from gridedge.planning.hosting.result import NOT_BOUND
from gridedge.planning.hosting.several import Ready, ready

if TYPE_CHECKING:
    import pandas as pd

PLANS = ("proportional", "fair", "largest")
_HELD = 10.0  # times tol_mw: a site that cannot grow by it alone is held


@dataclass(frozen=True)
class TogetherResult:
    """How much the sites of a batch may draw together, by three plans.

    Parameters
    ----------
    data : Dataset
        Per ``plan`` ("proportional", "fair", "largest") and ``bus``: ``p_mw`` [MW]; per ``plan``: ``total_mw`` [MW],
        the limit that was met first (``limit``, ``kind``, ``element``, ``time_s`` [s]), and ``binding``, all that has
        no room left: a site that grew by twice ``tol_mw`` would break it; per ``bus``: ``single_mw``, what it takes
        alone, and ``weight``.  ``attrs`` are those of ``HostingResult`` with ``optimality``, what is known of the
        largest total, and ``left_mw``, what the linearised limits still allow within a move of a tenth of it.
    limits : LimitSet
        What was held.
    """

    data: xr.Dataset
    limits: LimitSet

    @property
    def total_mw(self) -> xr.DataArray:
        """Total per plan, in MW."""
        return self.data["total_mw"]

    @property
    def remarks(self) -> list[str]:
        """What a reader must know."""
        return list(self.data.attrs["remarks"])

    def table(self) -> pd.DataFrame:
        """Return one row per bus: what it takes alone, and what it gets by each plan, in MW."""
        import pandas as pd

        columns = {"bus_name": self.data["bus_name"].values, "single_mw": self.data["single_mw"].values}
        columns |= {f"{plan}_mw": self.data["p_mw"].sel(plan=plan).values for plan in PLANS}
        return pd.DataFrame(columns, index=self.data.indexes["bus"])

    def plans(self) -> pd.DataFrame:
        """Return one row per plan: its total in MW, what binds first, and all that has no room left."""
        names = ["total_mw", "limit", "element", "time_s", "binding"]
        return self.data[names].to_dataframe()[names]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: buses, plans, limits, and the attributes."""
        plans = self.plans().reset_index()
        return {
            "buses": self.table().reset_index().to_dict("records"),
            "plans": plans.astype(object).where(plans.notna(), None).to_dict("records"),
            "limits": self.limits.to_dict(),
            **self.data.attrs,
        }


def hosting_together(
    net: Any,
    buses: Sequence[int | str],
    *,
    weights: Sequence[float] | Mapping[int | str, float] | None = None,
    power_factor: float = 0.98,
    limits: Given = ("en50160", "ratings"),
    existing: Literal["absolute", "no_worse"] = "absolute",
    shape: Any = None,
    background: Background = None,
    supply: Literal["auto", "slack", "headroom"] = "auto",
    coincidence: float = 1.0,
    max_mw: float | None = None,
    tol_mw: float = 0.01,
) -> TogetherResult:
    """Size a batch of sites together: in proportion, fairly, and for the largest total.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    buses : sequence of int or str
        Where the sites are, one at each.
    weights : sequence of float or mapping of bus to float, optional
        What each site asks for, relative to the others; without, all alike.
    power_factor, limits, existing, background, supply
        As for :func:`gridedge.hosting_capacity`.
    shape : array-like, shape (time,) or (bus, time), optional
        Power of a site in each step, of its size: of all sites, or a row for each of ``buses``. [pu]
    coincidence : float
        What the other sites draw of their own power while one is at its peak, in turn; 1 (chosen): all peak together.
    max_mw : float, optional
        Highest size of interest of any one site. [MW]
    tol_mw : float
        At each plan all limits hold, and less than this of the total above "proportional" and "largest" one is broken.
        [MW]

    Returns
    -------
    TogetherResult

    Raises
    ------
    InputError
        If an argument cannot be used, or a bus is unknown or has no supply.
    RunError
        If the net has no solution as it stands, or an answer differs from ``runpp``.

    Notes
    -----
    *proportional*: all sites grow from zero in proportion to ``weights`` to the first break.

    *fair* (max-min, by progressive filling [1]_): from there the sites that can still grow go on, in proportion,
    until none can by more than 10 ``tol_mw``.

    *largest*: the total is made as large as the limits allow, whoever gets it, by linear programs on sensitivities
    (:func:`gridedge.planning.hosting.largest.largest`).  It starts from both other plans and from the bus that takes
    the most alone, so its total is never below theirs.  It is the best found, not proven to be the best of all.

    Every plan is confirmed by exact power flows in all steps, and by ``runpp`` in the one that binds.

    References
    ----------
    .. [1] D. Bertsekas, R. Gallager, "Data Networks", 2nd ed., Prentice Hall, 1992, section 6.5.2 (from memory).
    """
    known = ready(
        net, buses, power_factor=power_factor, limits=limits, existing=existing, shape=shape, background=background,
        supply=supply, coincidence=coincidence, max_mw=max_mw, tol_mw=tol_mw,
    )  # fmt: skip
    climb, most = known.climb, np.inf if max_mw is None else float(max_mw)
    bus = np.arange(len(known.trial.buses), dtype=np.intp)
    weight = _weights(known, weights)
    alone = [climb.climb(Case(bus[k : k + 1], np.zeros(1), np.ones(1), most)) for k in bus]
    single_mw = np.array([one.size_mw for one in alone])
    proportional = grown(climb, bus, weight, most)
    fair = _fair(climb, bus, weight, proportional, most)
    best = _best(climb, bus, single_mw, proportional, fair, most)
    plans = dict(zip(PLANS, (proportional, fair, (best.p_mw, best.found)), strict=True))
    apart = max(_confirmed(climb, bus, p_mw, found) for p_mw, found in plans.values())
    ds = _dataset(known, plans, bus)
    ds["single_mw"] = ("bus", single_mw, {"units": "MW"})
    ds["weight"] = ("bus", weight)
    total = float(best.p_mw.sum())
    words = f"best found; within a tenth of it the linearised limits allow {best.left_mw:.3g} MW more"
    if best.left_mw <= max(tol_mw, 1e-3 * total):
        words = "best found, and no better nearby: the linearised limits allow no more"
    ds.attrs = known.attrs(apart, optimality=words, left_mw=best.left_mw)
    return TogetherResult(ds, known.limits)


def _fair(
    climb: Climb, bus: Index, weight: Float, proportional: tuple[Float, Climbed], max_mw: float
) -> tuple[Float, Climbed]:
    """Fill progressively: those that can still grow go on together until none can."""
    p_mw, found = proportional
    grows = np.ones(bus.size, dtype=bool)
    for _ in range(bus.size):
        can = [
            k
            for k in np.flatnonzero(grows).tolist()
            if p_mw[k] + _HELD * climb.tol_mw <= max_mw and not _breaks(climb, bus, p_mw, k, _HELD * climb.tol_mw)
        ]
        held = grows.copy()
        held[can] = False
        grows &= ~held
        if not grows.any():
            break
        share = np.where(grows, weight, 0.0) / weight[grows].sum()
        room = np.min((max_mw - p_mw[grows]) / share[grows]) if np.isfinite(max_mw) else np.inf
        step = climb.climb(Case(bus, p_mw, share, float(room)))
        p_mw = p_mw + step.size_mw * share
        found = found if found.stop is not None else step
        if not held.any() and step.size_mw < climb.tol_mw * bus.size:
            break
    return p_mw, found


def _breaks(climb: Climb, bus: Index, p_mw: Float, k: int, more_mw: float) -> bool:
    share = np.zeros(bus.size)
    share[k] = 1.0
    return climb.first(Case(bus, p_mw, share), np.array([more_mw]), climb.every)[0] is not None


def _best(
    climb: Climb,
    bus: Index,
    single_mw: Float,
    proportional: tuple[Float, Climbed],
    fair: tuple[Float, Climbed],
    max_mw: float,
) -> Largest:
    """Return the largest total that is found from several starts."""
    if not single_mw.any():
        return Largest(np.zeros(bus.size), proportional[1], 0.0)
    starts = [proportional]
    for share in (fair[0], np.where(np.arange(bus.size) == single_mw.argmax(), 1.0, 1e-6)):
        starts += [grown(climb, bus, share, max_mw)] if share.sum() > 0 else []
    done = [largest(climb, bus, *start, max_mw) for start in starts if start[0].sum() > 0]
    if not done:
        return Largest(np.zeros(bus.size), proportional[1], 0.0)
    best = max(done, key=lambda one: float(one.p_mw.sum()))
    if fair[0].sum() > best.p_mw.sum():  # it may stand a little beyond the line through it, within the tolerance
        return Largest(fair[0], fair[1], best.left_mw)
    return best


def _confirmed(climb: Climb, bus: Index, p_mw: Float, found: Climbed) -> float:
    """Solve a plan by ``runpp`` in the step that binds; return the difference, in pu.

    What ends at the collapse is solved 1 % below it.
    """
    near = found.stop is not None and found.stop.kind == "collapse"
    case = Case(bus, np.zeros(bus.size), p_mw)
    return climb.judge([case], [Climbed(1.0, found.stop if near else None, found.step, found.moment)])


def _dataset(known: Ready, plans: dict[str, tuple[Float, Climbed]], bus: Index) -> xr.Dataset:
    climb, trial = known.climb, known.trial
    found = [one for _, one in plans.values()]
    ds = xr.Dataset(coords={"plan": list(plans), "bus": trial.buses, "bus_name": ("bus", known.names())})
    ds["p_mw"] = (("plan", "bus"), np.array([p_mw for p_mw, _ in plans.values()]), {"units": "MW"})
    ds["total_mw"] = ("plan", [float(p_mw.sum()) for p_mw, _ in plans.values()], {"units": "MW"})
    for name, other in (("limit", NOT_BOUND), ("kind", ""), ("element", "")):
        ds[name] = ("plan", [getattr(one.stop, name) if one.stop else other for one in found])
    ds["time_s"] = ("plan", [one.stop.time_s if one.stop else np.nan for one in found], {"units": "s"})
    said = []
    for p_mw, one in plans.values():
        steps = climb.every
        if climb.plain:
            case = Case(bus, p_mw, np.zeros(bus.size))
            seen = climb.look(case, np.zeros(1), climb.every, settle=False)
            steps = np.union1d(climb.worst(case, seen), [one.step]).astype(np.intp)
        said.append(", ".join(binding(climb, linear(climb, bus, p_mw, steps))))
    ds["binding"] = ("plan", said)
    return ds


def _weights(known: Ready, weights: Any) -> Float:
    buses = known.trial.buses
    if weights is None:
        return np.ones(len(buses))
    if isinstance(weights, Mapping):
        of = {int(find_bus(known.trial.own, b)[0]): v for b, v in weights.items()}
        if set(of) != set(buses):
            odd = sorted(set(of) ^ set(buses))
            raise bad("weights and buses do not name the same buses", str(odd[:5]), "Give a weight for each of buses.")
        values = [of[b] for b in buses]
    else:
        values = list(weights) if isinstance(weights, Iterable) else [weights]
    if len(values) != len(buses) or not all(is_number(v) and v > 0 for v in values):
        cure = "Give one number above 0 for every bus."
        got = f"{len(values)} for {len(buses)} buses" if len(values) != len(buses) else str(values)
        raise bad("weights do not fit the buses", got, cure)
    return np.array(values, dtype=float)
