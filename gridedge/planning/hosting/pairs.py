"""The verb ``hosting_pairs``: how much two sites may draw when both are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from gridedge.errors import bad, is_number
from gridedge.grid.buses import find_bus
from gridedge.grid.inject import Background
from gridedge.grid.trial import Float
from gridedge.measure.limit_sets import Given, LimitSet
from gridedge.planning.hosting.climb import Case, Climbed
from gridedge.planning.hosting.result import NOT_BOUND
from gridedge.planning.hosting.several import Ready, ready

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PairsResult:
    """How much two sites may draw when both are there.

    Parameters
    ----------
    data : Dataset
        Per ``bus_a`` and ``bus_b``: ``capacity_mw`` [MW], what binds (``limit``, ``kind``, ``element``) and when
        (``time_s`` [s]); per ``bus_a``: ``single_mw``, what it takes alone, and ``given_mw``, what stands there (NaN
        where both grow).  ``attrs["entry"]`` says in words what an entry is; the others are as in ``HostingResult``.
    limits : LimitSet
        What was held.
    """

    data: xr.Dataset
    limits: LimitSet

    @property
    def capacity_mw(self) -> xr.DataArray:
        """The matrix (bus_a, bus_b), in MW."""
        return self.data["capacity_mw"]

    @property
    def remarks(self) -> list[str]:
        """What a reader must know."""
        return list(self.data.attrs["remarks"])

    def matrix(self) -> pd.DataFrame:
        """Return the capacities with a row for every ``bus_a`` and a column for every ``bus_b``, in MW."""
        import pandas as pd

        index, columns = (self.capacity_mw.indexes[d] for d in self.capacity_mw.dims)
        return pd.DataFrame(self.capacity_mw.values, index=index, columns=columns)

    def table(self) -> pd.DataFrame:
        """Return one row per pair, with what binds."""
        names = ["capacity_mw", "limit", "kind", "element", "time_s"]
        return self.data[names].to_dataframe()[names]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: buses, what each takes alone, pairs, limits, and the attributes."""
        pairs = self.table().reset_index()
        pairs = pairs.astype(object).where(pairs.notna(), None)
        single = [float(v) for v in self.data["single_mw"].values]
        buses = [int(b) for b in self.data["bus_a"].values]
        return {
            "buses": buses, "single_mw": single, "pairs": pairs.to_dict("records"), "limits": self.limits.to_dict(),
            **self.data.attrs,
        }  # fmt: skip


def hosting_pairs(
    net: Any,
    buses: Sequence[int | str],
    *,
    given_mw: float | Literal["single"] | Mapping[int | str, float] | None = None,
    power_factor: float = 0.98,
    limits: Given = ("en50160", "ratings"),
    existing: Literal["absolute", "no_worse"] = "absolute",
    shape: Any = None,
    background: Background = None,
    supply: Literal["auto", "slack", "headroom"] = "auto",
    coincidence: float = 1.0,
    max_mw: float | None = None,
    tol_mw: float = 0.01,
) -> PairsResult:
    """Find how much two sites may draw when both are there, for every pair of buses.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    buses : sequence of int or str
        Buses that are paired, each with each and with itself.
    given_mw : float, "single" or mapping of bus to float, optional
        Left out, both sites grow equally and an entry is the MW of *each*: the matrix is symmetric, and its diagonal,
        two sites at one bus, is half of what that bus takes alone.  Given, an entry is what ``bus_b`` takes while
        ``bus_a`` stands at so many MW: the same everywhere, what it takes alone ("single"), or one for each bus.
    power_factor, limits, existing, background, supply
        As for :func:`gridedge.hosting_capacity`.
    shape : array-like, shape (time,) or (bus, time), optional
        Power of a site in each step, of its size: of all sites, or a row for each of ``buses``. [pu]
    coincidence : float
        What the other site draws of its own power while one is at its peak, in turn; 1 (chosen): both peak together.
    max_mw : float, optional
        Highest size of interest of a site. [MW]
    tol_mw : float
        At an entry all limits hold, and less than this above it one is broken. [MW]

    Returns
    -------
    PairsResult

    Raises
    ------
    InputError
        If an argument cannot be used, or a bus is unknown or has no supply.
    RunError
        If the net has no solution as it stands, or an answer differs from ``runpp``.

    Notes
    -----
    The first break counted from zero, in levels that are then refined, all steps solved exactly, as for one site
    (docs/hosting.md).  A size larger than it at which limits hold again is not looked for.
    """
    known = ready(
        net, buses, power_factor=power_factor, limits=limits, existing=existing, shape=shape, background=background,
        supply=supply, coincidence=coincidence, max_mw=max_mw, tol_mw=tol_mw,
    )  # fmt: skip
    count, most = len(known.trial.buses), np.inf if max_mw is None else max_mw
    climb = known.climb
    alone = [Case(np.array([k]), np.zeros(1), np.ones(1), most) for k in range(count)]
    singles = [climb.climb(case) for case in alone]
    single_mw = np.array([one.size_mw for one in singles])
    given = np.full(count, np.nan) if given_mw is None else _given(known, given_mw, single_mw)
    cases, place = [], []
    for a in range(count):
        for b in range(a if given_mw is None else 0, count):
            fixed, share = ([0.0, 0.0], [1.0, 1.0]) if given_mw is None else ([given[a], 0.0], [0.0, 1.0])
            cases.append(Case(np.array([a, b]), np.array(fixed), np.array(share), most))
            place.append((a, b))
    found = [climb.climb(case) for case in cases]
    apart = max(climb.judge(alone, singles), climb.judge(cases, found))
    grid: list[list[Climbed]] = [[found[0]] * count for _ in range(count)]
    for (a, b), one in zip(place, found, strict=True):
        grid[a][b] = one
        if given_mw is None:
            grid[b][a] = one
    entry = "MW of each of two sites that grow equally" if given_mw is None else "MW of bus_b beside what bus_a draws"
    ds = _dataset(known, grid)
    ds["single_mw"] = ("bus_a", single_mw, {"units": "MW"})
    ds["given_mw"] = ("bus_a", given, {"units": "MW"})
    ds.attrs = known.attrs(apart, entry=entry)
    return PairsResult(ds, known.limits)


def _dataset(known: Ready, grid: list[list[Climbed]]) -> xr.Dataset:
    buses, names = known.trial.buses, known.names()
    coords = {"bus_a": buses, "bus_b": buses, "bus_a_name": ("bus_a", names), "bus_b_name": ("bus_b", names)}
    ds, dims = xr.Dataset(coords=coords), ("bus_a", "bus_b")
    ds["capacity_mw"] = (dims, [[one.size_mw for one in row] for row in grid], {"units": "MW"})
    for name, other in (("limit", NOT_BOUND), ("kind", ""), ("element", "")):
        ds[name] = (dims, [[getattr(one.stop, name) if one.stop else other for one in row] for row in grid])
    when = [[one.stop.time_s if one.stop else np.nan for one in row] for row in grid]
    ds["time_s"] = (dims, when, {"units": "s"})
    return ds


def _given(known: Ready, given_mw: Any, single_mw: Float) -> Float:
    """Return what stands at every bus, in MW."""
    buses = known.trial.buses
    if isinstance(given_mw, str):
        if given_mw != "single":
            raise bad("given_mw is no size", given_mw, "Give megawatts, a mapping of bus to megawatts, or 'single'.")
        return single_mw
    if isinstance(given_mw, Mapping):
        of = {int(find_bus(known.trial.own, b)[0]): v for b, v in given_mw.items()}
        if set(of) != set(buses):
            odd = sorted(set(of) ^ set(buses))
            raise bad("given_mw and buses do not name the same buses", str(odd[:5]), "Give a size for each of buses.")
        values = [of[b] for b in buses]
    else:
        values = [given_mw] * len(buses)
    wrong = [v for v in values if not is_number(v) or v < 0]
    if wrong:
        raise bad("given_mw is no size", str(wrong[0]), "Give megawatts from 0 up.")
    return np.array(values, dtype=float)
