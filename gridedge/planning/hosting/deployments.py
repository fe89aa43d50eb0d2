"""The verb ``hosting_deployments``: how much random sets of sites may draw together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from gridedge.errors import bad, is_number
from gridedge.grid.buses import find_bus
from gridedge.grid.inject import Background
from gridedge.grid.trial import Float, Index
from gridedge.measure.limit_sets import Given, LimitSet
from gridedge.planning.hosting.climb import Case
from gridedge.planning.hosting.result import NOT_BOUND
from gridedge.planning.hosting.several import Ready, ready

if TYPE_CHECKING:
    import pandas as pd

_SURE = 0.95  # confidence of the interval of a percentile (chosen)


@dataclass(frozen=True)
class DeploymentsResult:
    """How much random sets of sites may draw together.

    Parameters
    ----------
    data : Dataset
        Per ``draw``: ``total_mw`` [MW] of all sites at their first break; what binds, ``limit``, ``kind``, ``element``
        and ``time_s`` [s]; and per ``draw`` and ``site``: ``bus`` and ``p_mw`` [MW].  ``limit`` is "not bound" where
        nothing binds up to ``total_mw``.  ``attrs`` are those of ``HostingResult`` with ``seed``.
    limits : LimitSet
        What was held.
    """

    data: xr.Dataset
    limits: LimitSet

    @property
    def total_mw(self) -> xr.DataArray:
        """Total of every draw at its first break, in MW."""
        return self.data["total_mw"]

    @property
    def remarks(self) -> list[str]:
        """What a reader must know."""
        return list(self.data.attrs["remarks"])

    def percentiles(self, percent: Sequence[float] = (5, 50, 95)) -> pd.DataFrame:
        """Return percentiles of the total, and how sure they are with so few draws.

        Parameters
        ----------
        percent : sequence of float
            Which; of 5, 5 % of the deployments break a limit at or below that total.

        Returns
        -------
        DataFrame
            Per percentile ``total_mw`` and the interval ``low_mw``, ``high_mw`` that holds the true one with 95 %
            probability; NaN where the draws are too few to tell.

        Raises
        ------
        InputError
            If a percentile does not lie between 0 and 100.

        Notes
        -----
        The interval is between order statistics whose ranks are quantiles of the binomial distribution; it assumes
        nothing about the distribution of the total [1]_.

        References
        ----------
        .. [1] H. A. David, H. N. Nagaraja, "Order Statistics", 3rd ed., Wiley, 2003, section 7.1 (from memory).
        """
        import pandas as pd
        from scipy.stats import binom

        wrong = [p for p in percent if not is_number(p) or not 0 < p < 100]
        if wrong:
            raise bad("a percentile lies between 0 and 100", str(wrong[0]), "Give (5, 50, 95).")
        total = np.sort(self.total_mw.values)
        edges = np.r_[np.nan, total, np.nan]  # beyond the draws nothing is known
        share = np.asarray(percent, dtype=float) / 100.0
        # P(low <= B < high) >= 95 % for the number B of draws below the true percentile.
        low = binom.ppf((1 - _SURE) / 2, total.size, share).astype(int)
        high = binom.ppf((1 + _SURE) / 2, total.size, share).astype(int) + 1
        frame = {"total_mw": np.quantile(total, share), "low_mw": edges[low], "high_mw": edges[high]}
        return pd.DataFrame(frame, index=pd.Index(list(percent), name="percent"))

    def binding(self) -> pd.DataFrame:
        """Return how often each limit and element binds: ``share`` of the draws, and their ``median_mw``."""
        frame = self.data[["limit", "kind", "element", "total_mw"]].to_dataframe()
        found = frame.groupby(["limit", "kind", "element"])["total_mw"].agg(["size", "median"])
        found = found.rename(columns={"size": "draws", "median": "median_mw"})
        found.insert(1, "share", found["draws"] / len(frame))
        return found.sort_values(["draws", "median_mw"], ascending=[False, True])

    def curve(self) -> pd.DataFrame:
        """Return the share of deployments with a violation against their total.

        Returns
        -------
        DataFrame
            ``total_mw``, rising, and ``share``: of the draws, how many have broken a limit once all sites together
            draw more than that.  Below the first no draw breaks a limit, above the last all do, but for those that
            nothing binds, which are left out.
        """
        import pandas as pd

        bound = self.data["limit"].values != NOT_BOUND
        total = np.sort(self.total_mw.values[bound])
        return pd.DataFrame({"total_mw": total, "share": np.arange(1, total.size + 1) / max(1, bound.size)})

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: every draw, percentiles, what binds, limits, and the attributes."""
        rows = self.data.drop_dims("site").to_dataframe().reset_index()
        rows = rows.astype(object).where(rows.notna(), None)
        draws = [
            {**{str(k): v for k, v in row.items()}, "bus": [int(b) for b in bus], "p_mw": [float(p) for p in p_mw]}
            for row, bus, p_mw in zip(
                rows.to_dict("records"), self.data["bus"].values, self.data["p_mw"].values, strict=True
            )
        ]
        percentiles = self.percentiles().reset_index()
        return {
            "draws": draws,
            "percentiles": percentiles.astype(object).where(percentiles.notna(), None).to_dict("records"),
            "binding": self.binding().reset_index().to_dict("records"),
            "limits": self.limits.to_dict(),
            **self.data.attrs,
        }


def hosting_deployments(
    net: Any,
    k: int,
    *,
    draws: int = 100,
    seed: int = 0,
    buses: Sequence[int | str] | None = None,
    weights: Sequence[float] | Mapping[int | str, float] | None = None,
    sizes: Literal["equal"] | Sequence[float] = "equal",
    power_factor: float = 0.98,
    limits: Given = ("en50160", "ratings"),
    existing: Literal["absolute", "no_worse"] = "absolute",
    shape: Any = None,
    background: Background = None,
    supply: Literal["auto", "slack", "headroom"] = "auto",
    coincidence: float = 1.0,
    max_mw: float | None = None,
    tol_mw: float = 0.01,
    executor: Executor | None = None,
) -> DeploymentsResult:
    """Draw sets of sites at random buses, let each grow to its first break, and tell how that is distributed.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    k : int
        Sites of a deployment, each at a bus of its own.
    draws : int
        Deployments; 100 (chosen) tell the median well and the 5 % point roughly, see ``percentiles``.
    seed : int
        Draw ``n`` depends on the seed and ``n`` alone.
    buses : sequence of int or str, optional
        Where sites may be; without, every bus that has a supply and is no reference.
    weights : sequence of float or mapping of bus to float, optional
        How likely each bus is drawn, in any unit; without, all alike.
    sizes : "equal" or sequence of float
        Of a site, relative to the others: all equal, or for each one of these, drawn at random (a list of real sites
        in MW, say).  Their ratios stay while the deployment grows.
    power_factor, limits, existing, background, supply
        As for :func:`gridedge.hosting_capacity`.
    shape : array-like, shape (time,) or (bus, time), optional
        Power of a site in each step, of its size: of all sites, or a row for each of ``buses``. [pu]
    coincidence : float
        What the other sites draw of their own power while one is at its peak, in turn; 1 (chosen): all peak together.
    max_mw : float, optional
        Highest size of interest of any one site. [MW]
    tol_mw : float
        At a total all limits hold, and less than this above it one is broken. [MW]
    executor : concurrent.futures.Executor, optional
        Who works on the draws; changes no bit.

    Returns
    -------
    DeploymentsResult

    Raises
    ------
    InputError
        If an argument cannot be used, a bus is unknown or has no supply, or ``k`` is more than the buses.
    RunError
        If the net has no solution as it stands, or an answer differs from ``runpp``.

    Notes
    -----
    The method is that of stochastic hosting capacity [1]_ [2]_: there, PV systems are added to random customers until
    limits break, and the smallest and largest such total divide the feeder's penetrations into those that break no
    limit wherever the systems are, those for which the place decides, and those that always break one.  Here each
    deployment keeps its sites and grows as a whole, so its first break is exact instead of lying between two
    penetrations.

    References
    ----------
    .. [1] F. Ding, B. Mather, P. Gotseff, "Technologies to Increase PV Hosting Capacity in Distribution Feeders",
       IEEE PES General Meeting, 2016, NREL/CP-5D00-65995.
    .. [2] F. Ding, B. Mather, "On Distributed PV Hosting Capacity Estimation, Sensitivity Study, and Improvement",
       IEEE Trans. Sustainable Energy 8(3), 2017 (from memory).
    """
    for name, value, least in (("k", k, 1), ("draws", draws, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise bad(f"{name} must be an integer from {least} up", value, f"Give {name}={max(least, 5)}.")
    known = ready(
        net, buses, power_factor=power_factor, limits=limits, existing=existing, shape=shape, background=background,
        supply=supply, coincidence=coincidence, max_mw=max_mw, tol_mw=tol_mw,
    )  # fmt: skip
    chance = _chance(known, weights, buses is None)
    open_ = np.flatnonzero(chance > 0)
    if k > open_.size:
        raise bad("k is more than the buses that can be drawn", f"k={k}, {open_.size} buses", "Draw fewer sites.")
    relative = _relative(sizes)
    cases = [_drawn(seed, n, int(k), open_, chance[open_], relative, max_mw) for n in range(draws)]
    found = known.climb.all_of(cases, executor, known.remarks)
    apart = known.climb.judge(cases, found)
    unbound = sum(one.stop is None for one in found)
    if unbound:
        known.remarks.append(f"{unbound} of {draws} deployments are not bound: their totals are lower bounds.")
    ds = xr.Dataset(coords={"draw": np.arange(draws), "site": np.arange(k)})
    ds["total_mw"] = ("draw", [one.size_mw for one in found], {"units": "MW"})
    for name, other in (("limit", NOT_BOUND), ("kind", ""), ("element", "")):
        ds[name] = ("draw", [getattr(one.stop, name) if one.stop else other for one in found])
    ds["time_s"] = ("draw", [one.stop.time_s if one.stop else np.nan for one in found], {"units": "s"})
    ds["bus"] = (("draw", "site"), np.array(known.trial.buses)[np.array([case.bus for case in cases])])
    p_mw = [one.size_mw * case.share for one, case in zip(found, cases, strict=True)]
    ds["p_mw"] = (("draw", "site"), np.array(p_mw), {"units": "MW"})
    ds.attrs = known.attrs(apart, seed=int(seed))
    return DeploymentsResult(ds, known.limits)


def _drawn(seed: int, n: int, k: int, buses: Index, chance: Float, sizes: Float | None, max_mw: float | None) -> Case:
    """Return draw ``n``: it depends on the seed and ``n`` alone."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(n,)))
    bus = np.sort(rng.choice(buses, size=k, replace=False, p=chance / chance.sum()))
    share = np.ones(k) if sizes is None else rng.choice(sizes, size=k)
    share = share / share.sum()
    return Case(bus, np.zeros(k), share, np.inf if max_mw is None else float(max_mw / share.max()))


def _chance(known: Ready, weights: Any, every: bool) -> Float:
    """Return how likely each bus is drawn, in any unit."""
    trial = known.trial
    if weights is None:
        chance = np.ones(len(trial.buses))
        if every:  # at a reference bus nothing could bind but its own surroundings
            chance[np.isin(trial.row, trial.model.ref)] = 0.0
        return chance
    if isinstance(weights, Mapping):
        of = {int(find_bus(trial.own, b)[0]): v for b, v in weights.items()}
        odd = sorted(set(of) - set(trial.buses))
        if odd:
            raise bad("weights name buses that are not asked for", str(odd[:5]), "Name buses of buses= only.")
        values = [of.get(b, 0.0) for b in trial.buses]
    else:
        values = list(weights)
    if len(values) != len(trial.buses) or not all(is_number(v) and v >= 0 for v in values) or not any(values):
        cure = "Give one number from 0 up for every bus, some above 0, or a mapping of bus to number."
        raise bad("weights do not fit the buses", f"{len(values)} for {len(trial.buses)} buses", cure)
    return np.array(values, dtype=float)


def _relative(sizes: Any) -> Float | None:
    if isinstance(sizes, str):
        if sizes != "equal":
            raise bad("unknown sizes", sizes, "Give 'equal', or a list of sizes to draw from.")
        return None
    values = list(sizes)
    if not values or not all(is_number(v) and v > 0 for v in values):
        raise bad("sizes are positive numbers", str(values[:5]), "Give 'equal', or sizes to draw from: [1, 5, 20].")
    return np.array(values, dtype=float)
