"""The verb ``hosting_capacity``: how many megawatts a bus can take, and what stops it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from gridedge.errors import bad, nearest
from gridedge.grid.buses import bus_names
from gridedge.grid.condition import condition
from gridedge.grid.inject import Background
from gridedge.grid.trial import Trial
from gridedge.measure.limit_sets import Given, LimitSet, load_limits
from gridedge.planning.hosting_bounds import KINDS, Base, Group, groups_of
from gridedge.planning.hosting_search import COLLAPSE, Break, Look, Scan, Search

if TYPE_CHECKING:
    import pandas as pd

_WORDS = {"low": "lowest voltage", "high": "highest voltage", "loading": "loading", "step": "voltage step"}
_HELD_OUT = 4  # buses whose answer is solved by runpp again
_BEFORE_NOSE = 0.99  # at the nose itself a voltage follows the square root of what a solver leaves over
NOT_BOUND = "not bound"


@dataclass(frozen=True)
class HostingResult:
    """How much each bus can take, and what stops it.

    Parameters
    ----------
    data : Dataset
        Per ``bus``: ``capacity_mw`` [MW]; what binds, ``limit``, ``kind``, ``element`` and ``time_s`` [s]; the next
        limit behind it, ``next_limit``, ``next_kind``, ``next_element``, ``next_mw`` and ``next_time_s``; ``at_slack``,
        whether the element stands at the reference bus; and ``range_low_mw``, ``range_high_mw`` (bus, range), the later
        sizes at which all limits hold again.  ``limit`` is "not bound" where nothing binds up to ``capacity_mw``.
        ``attrs`` hold ``thermal`` ("known", "partly known" or "not known"), ``supply``, ``taps``, ``existing``,
        ``remarks``, ``engine_detail`` and ``error_vm_pu``.
    limits : LimitSet
        What was held.
    """

    data: xr.Dataset
    limits: LimitSet

    @property
    def capacity_mw(self) -> xr.DataArray:
        """Capacity per bus, in MW."""
        return self.data["capacity_mw"]

    @property
    def remarks(self) -> list[str]:
        """What a reader must know."""
        return list(self.data.attrs["remarks"])

    def table(self) -> pd.DataFrame:
        """Return one row per bus, without the later ranges."""
        return self.data.drop_dims("range").to_dataframe()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: the buses as a list, the limits, and the attributes."""
        low, high = self.data["range_low_mw"].values, self.data["range_high_mw"].values
        buses = []
        for k, row in enumerate(self.table().reset_index().to_dict("records")):
            later = [[float(a), float(b)] for a, b in zip(low[k], high[k], strict=True) if np.isfinite(a)]
            buses.append({**{str(n): _plain(v) for n, v in row.items()}, "later_ranges_mw": later})
        return {"buses": buses, "limits": self.limits.to_dict(), **self.data.attrs}


def hosting_capacity(
    net: Any,
    *,
    buses: int | str | Sequence[int | str] | None = None,
    power_factor: float = 0.98,
    limits: Given = ("en50160", "ratings"),
    existing: Literal["absolute", "no_worse"] = "absolute",
    shape: Any = None,
    background: Background = None,
    n_minus_1: bool = False,
    supply: Literal["auto", "slack", "headroom"] = "auto",
    taps: Literal["held"] = "held",
    max_mw: float | None = None,
    tol_mw: float = 0.01,
) -> HostingResult:
    """Find how much load each bus can take, one site at a time, and what stops it.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    buses : int, str or sequence of these, optional
        Where the site is tried; without, at every bus that has a supply.
    power_factor : float
        Of the site at the meter: lagging (it draws reactive power), or leading where negative.
    limits : str, path, dict or sequence of these
        What must hold; see :func:`gridedge.measure.limit_sets.load_limits`.  None at all ends at the collapse.
    existing : {"absolute", "no_worse"}
        What holds where the net breaks a limit already: the limit itself, so that the capacity is 0, or no worse than
        without the site, each element by itself (within 0.0005 pu and 0.1 %).
    shape : array-like, shape (time,), optional
        Power of the site in each step, of its size. [pu]
    background : Dataset or dict of Datasets, optional
        How the net's own elements move, as for :func:`gridedge.solve`; without, one step: the net as it stands.
    n_minus_1 : bool
        Outages are not looked at yet; True is refused.
    supply : {"auto", "slack", "headroom"}
        Who delivers what the site draws: the slack in a radial net, else all units with limits in proportion to
        their headroom.
    taps : {"held"}
        Tap changers stay where they stand.
    max_mw : float, optional
        Highest size of interest; without, beyond the collapse where there is one. [MW]
    tol_mw : float
        A capacity holds all limits, and less than this above it one is broken. [MW]

    Returns
    -------
    HostingResult

    Raises
    ------
    InputError
        If an argument cannot be used, a bus is unknown or has no supply, or limits contradict each other.
    RunError
        If the net has no solution as it stands, or an answer differs from ``runpp``.

    Notes
    -----
    The first break counted from zero is searched in levels, closer together for small sites, and refined between the
    two that enclose it.  All steps are solved at each level and at the answer.  A break that heals between two levels
    is not seen.  Of a net whose ratings are placeholders the thermal limits are not known: ``attrs["thermal"]`` says
    so, and a capacity is then an upper bound.

    A voltage step is the difference between the solution with and without the site, sources held at their set-point:
    that hides what their own impedance adds, so the step is a lower bound, and the result says so.

    References
    ----------
    .. [1] Closed form of two buses: V1^2 = V2^2 + 2 (R P + X Q) + (R^2 + X^2) (P^2 + Q^2) / V2^2; see docs/hosting.md.
    """
    q_per_p = _tangent(power_factor)
    _check(existing, n_minus_1, supply, taps, max_mw, tol_mw)
    wanted = load_limits(limits)
    trial = Trial(net, buses, q_per_p, background, shape, supply)
    x = trial.states(0, np.zeros(trial.steps), np.arange(trial.steps))
    vm, loading, _ = trial.full(x)
    base = Base(vm, loading)
    groups, said = groups_of(trial, wanted, base, existing == "no_worse")
    search = Search(trial, groups, base, tol_mw, max_mw)
    zero = search.look(0, np.zeros(1), search.every, settle=True)
    answers = [_at(search, k, zero) for k in range(trial.rows.size)]
    apart = _judge(trial, answers)
    ds = _dataset(trial, groups, answers)
    ds.attrs = {
        "thermal": _thermal(trial, groups),
        "supply": trial.supply,
        "taps": taps,
        "existing": existing,
        "power_factor": power_factor,
        "tol_mw": tol_mw,
        "engine_detail": trial.method,
        "error_vm_pu": apart,
        "remarks": [*trial.remarks, *condition(trial.own), *said, *_remarks(trial, groups, ds)],
    }
    return HostingResult(ds, wanted)


@dataclass(frozen=True)
class _Answer:
    """What is found at one row."""

    capacity_mw: float
    binding: Break | None
    next: Break | None
    ranges: list[tuple[float, float]]


def _at(search: Search, k: int, zero: Look) -> _Answer:
    scan = Scan(search, k, zero)
    first = scan.first(None)
    if first is None:
        return _Answer(float(scan.levels[-1]), None, None, [])
    good, bound = _break(search, scan, k, first, None, 0.0)
    behind = None
    if bound.group != COLLAPSE:
        after = scan.first(bound.lifted, first)
        behind = None if after is None else _break(search, scan, k, after, bound.lifted, good)[1]
    return _Answer(good, bound, behind, _ranges(search, scan, k, first))


def _break(search: Search, scan: Scan, k: int, i: int, lifted: Any, least_mw: float) -> tuple[float, Break]:
    """Return the size up to which limits hold below a broken level, and what breaks then."""
    look = scan.at(i)
    if i == 0:  # without a site already
        return 0.0, search.binding(0.0, 0.0, look, look, lifted)
    good = max(float(scan.levels[i - 1]), least_mw)
    if good > least_mw or not search.look(k, np.array([good]), search.every, True).broken(search.groups, lifted)[0]:
        good, over, sure, at = search.refine(k, good, float(scan.levels[i]), look, lifted)
        return good, search.binding(good, over, sure, at, lifted)
    at = search.look(k, np.array([good]), search.every, True)
    return good, search.binding(good, good, at, at, lifted)


def _ranges(search: Search, scan: Scan, k: int, first: int) -> list[tuple[float, float]]:
    """Return the later sizes at which all limits hold again, both ends refined."""
    found = []
    for start, stop in scan.later(first + 1):
        low = search.refine(k, float(scan.levels[start]), float(scan.levels[start - 1]), scan.at(start - 1), None)[0]
        high = float(scan.levels[stop])
        if stop + 1 < scan.levels.size and scan.broken(stop + 1, None):
            high = search.refine(k, high, float(scan.levels[stop + 1]), scan.at(stop + 1), None)[0]
        found.append((low, high))
    return found


def _judge(trial: Trial, answers: list[_Answer]) -> float:
    """Solve some of the answers by ``runpp``; return the largest difference in voltage, in pu."""
    chosen = np.unique(np.linspace(0, len(answers) - 1, _HELD_OUT).astype(int))
    worst = 0.0
    for k in chosen.tolist():
        found = answers[k].binding
        step, p_mw = (0, answers[k].capacity_mw) if found is None else (found.step, answers[k].capacity_mw)
        if found is not None and found.group == COLLAPSE:
            p_mw *= _BEFORE_NOSE
        worst = max(worst, trial.apart_from_runpp(k, p_mw, step))
    return worst


def _dataset(trial: Trial, groups: list[Group], answers: list[_Answer]) -> xr.Dataset:
    names = bus_names(trial.own)
    mine = [answers[k] for k in trial.which]
    bound = [_told(trial, groups, a.binding, b) for a, b in zip(mine, trial.buses, strict=True)]
    behind = [
        ("", "", "", np.nan)  # nothing is looked for behind the collapse
        if a.next is None and a.binding is not None and a.binding.group == COLLAPSE
        else _told(trial, groups, a.next, b)
        for a, b in zip(mine, trial.buses, strict=True)
    ]
    wide = max((len(a.ranges) for a in mine), default=0)
    ranges = np.full((len(mine), wide, 2), np.nan)
    for k, a in enumerate(mine):
        ranges[k, : len(a.ranges)] = np.array(a.ranges).reshape(-1, 2)
    at_slack = trial.at_slack()
    slack = [bool(a.binding is not None and a.binding.kind == 2 and at_slack[a.binding.element]) for a in mine]
    next_mw = [np.nan if a.next is None else a.next.p_mw for a in mine]
    ds = xr.Dataset(coords={"bus": trial.buses, "bus_name": ("bus", [names[b] for b in trial.buses])})
    ds["capacity_mw"] = ("bus", [a.capacity_mw for a in mine], {"units": "MW"})
    for prefix, told in (("", bound), ("next_", behind)):
        for j, name in enumerate(("limit", "kind", "element")):
            ds[prefix + name] = ("bus", [t[j] for t in told])
        ds[prefix + "time_s"] = ("bus", [t[3] for t in told], {"units": "s"})
    ds["next_mw"] = ("bus", next_mw, {"units": "MW"})
    ds["at_slack"] = ("bus", slack)
    ds["range_low_mw"] = (("bus", "range"), ranges[..., 0], {"units": "MW"})
    ds["range_high_mw"] = (("bus", "range"), ranges[..., 1], {"units": "MW"})
    return ds


def _told(trial: Trial, groups: list[Group], found: Break | None, bus: int) -> tuple[str, str, str, float]:
    """Return the limit, its kind, the element and the time of a break, in words."""
    if found is None:
        return NOT_BOUND, "", "", np.nan
    time_s = float(trial.time_s[found.step])
    if found.group == COLLAPSE:
        if trial.within is not None:
            return "supply: the headroom of the units, or the collapse", "supply", "", time_s
        return "collapse of the voltage", "collapse", f"bus {bus}", time_s
    out, kind = trial.model.readout, KINDS[found.kind]
    if kind == "loading":
        source = groups[found.group].source(kind, out.element[found.element])
        return f"{source.limit.name}: {_WORDS[kind]}", kind, out.labels[found.element], time_s
    source = groups[found.group].source(kind, "")
    return f"{source.limit.name}: {_WORDS[kind]}", kind, f"bus {out.bus_index[found.element]}", time_s


def _thermal(trial: Trial, groups: list[Group]) -> str:
    if not any(s.kind == "loading" for g in groups for s in g.limits):
        return "not asked for"
    if not trial.real_ratings:
        return "not known"
    return "known" if trial.rating_known.all() else "partly known"


def _remarks(trial: Trial, groups: list[Group], ds: xr.Dataset) -> list[str]:
    said = []
    thermal = _thermal(trial, groups)
    if thermal == "not known":
        said.append("Thermal limits are not known (placeholder ratings): every capacity is an upper bound.")
    if any(s.kind == "step" for g in groups for s in g.limits):
        said.append("Voltage steps are lower bounds: sources hold their set-point, their own impedance is left out.")
    if int(ds["at_slack"].sum()):
        buses = int(ds["at_slack"].sum())
        said.append(
            f"{buses} of {ds.sizes['bus']} capacities are bound by the slack's own branch, at the reference bus."
        )
    return said


def _tangent(power_factor: float) -> float:
    if isinstance(power_factor, bool) or not 0 < abs(power_factor) <= 1:
        cure = "Give 0.98 for lagging, -0.98 for leading, 1 for none of both."
        raise bad("a power factor must be above 0 and at most 1 in size", power_factor, cure)
    return float(np.copysign(np.tan(np.arccos(abs(power_factor))), power_factor))


def _check(existing: str, n_minus_1: bool, supply: str, taps: str, max_mw: float | None, tol_mw: float) -> None:
    for name, value, known in (
        ("existing", existing, ("absolute", "no_worse")),
        ("supply", supply, ("auto", "slack", "headroom")),
        ("taps", taps, ("held",)),
    ):
        if value not in known:
            raise bad(f"unknown {name}", str(value), nearest(str(value), known))
    if n_minus_1:
        raise bad("hosting_capacity does not look at outages yet", "n_minus_1=True", "Use gridedge.contingencies.")
    if not tol_mw > 0:
        raise bad("tol_mw must be positive", tol_mw, "Give tol_mw=0.01.")
    if max_mw is not None and not 0 < max_mw < np.inf:
        raise bad("max_mw must be positive", max_mw, "Give the highest size of interest, or leave it out.")


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value
