"""N-1 of layouts in one hour: every branch and unit of the net, and every site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import bad, nearest
from gridedge.grid.contingency import contingencies
from gridedge.grid.emf import behind_impedance
from gridedge.grid.season import Season, as_season
from gridedge.grid.solve import solve
from gridedge.grid.year import layout_sites
from gridedge.grid.year_books import WORSE_PERCENT
from gridedge.grid.year_states import Year

_OVER_PERCENT = 100.0


def layout_contingencies(
    season: Season | str,
    layouts: Mapping[str, xr.Dataset] | None = None,
    *,
    hour: int | None = None,
    outages: str | Sequence[str | Sequence[str]] = "n-1",
    executor: Executor | None = None,
) -> xr.Dataset:
    """Solve every outage of one hour, without sites and with each layout of them.

    Parameters
    ----------
    season, layouts
        As for :func:`gridedge.grid.year.grid_year`.
    hour : int, optional
        Counted from 0; the heaviest without.
    outages, executor
        As for :func:`gridedge.contingencies`.

    Returns
    -------
    Dataset
        That of :func:`gridedge.contingencies`, with ``layout`` in place of ``time``, and by layout: ``overloaded``, the
        branches above 100 % in the worst outage; ``overloaded_new``, of these not so without sites;
        ``overloaded_worse``, so without sites too and heavier by more than 0.1 %; ``overloaded_n0``, those that are
        above 100 % with nothing out; ``unsupplied_cases``, how many outages leave load without supply, and
        ``unsupplied_mw_max``, the largest; apart from these ``blackouts``, outages that cut more than half of all
        load off, as where the one reference is lost;
        ``unsolved``, how many outages have no solution, ``unsolved_new`` those that have one without sites.  By layout
        and branch: ``breaks(layout, branch)``, 2 where new, 1 where worse, 0 otherwise.

    Raises
    ------
    InputError
        If an input cannot be used; also if a layout has no solution in this hour with nothing out.

    Notes
    -----
    Loads, shunts and generation are those of the hour, generation following the sites; after an outage the reference
    takes up the difference, and reactive limits are not enforced.  Ratings are normal ones: where a net has emergency
    ratings, an outage is judged too strictly.
    """
    season = as_season(season)
    when = season.heaviest if hour is None else hour
    names, sites = layout_sites(season, layouts or {})
    _check_hour(season, when)
    year = Year(season, sites)
    states = year.solve(np.array([when]), range(len(names)))
    lost = [name for name, good in zip(names, states.solved, strict=True) if not good]
    if lost:
        cure = "Leave the layout out, or take another hour: grid_year says in which it has a solution."
        raise bad(f"hour {when} has no solution even with nothing out", ", ".join(lost), cure)
    net = season.net_at(when, generation_mw=states.unit_mw[0])
    time = season.dt_s * np.arange(len(names))
    worst = contingencies(
        net, outages, injections=_injections(year, when, time), background=_following(year, states.unit_mw, time),
        executor=executor,
    )  # fmt: skip
    worst = worst.rename(time="layout").assign_coords(layout=names)
    over = (worst["loading_percent_max"] > _OVER_PERCENT) & worst["rating_known"]
    before = over.isel(layout=0, drop=True)
    heavier = worst["loading_percent_max"] > worst["loading_percent_max"].isel(layout=0, drop=True) + WORSE_PERCENT
    new, worse = over & ~before, over & before & heavier
    unsolved = ~worst["converged"]
    worst["breaks"] = (2 * new + 1 * worse).transpose("layout", "branch")
    worst["overloaded"], worst["overloaded_new"] = over.sum("branch"), new.sum("branch")
    worst["overloaded_worse"] = worse.sum("branch")
    worst["overloaded_n0"] = ((worst["loading_percent_base"] > _OVER_PERCENT) & worst["rating_known"]).sum("branch")
    dark = worst["unsupplied_mw"] > 0.5 * xr.DataArray(season.load_mw[when] + states.site_mw, dims="layout")
    worst["blackouts"] = dark.sum("case")
    worst["unsupplied_cases"] = ((worst["unsupplied_mw"] > 0) & ~dark).sum("case")
    worst["unsupplied_mw_max"] = worst["unsupplied_mw"].where(~dark).max("case")
    worst["unsolved"] = unsolved.sum("case")
    worst["unsolved_new"] = (unsolved & ~unsolved.isel(layout=0, drop=True)).sum("case")
    worst.attrs |= {"hour": when, "rule": season.rule, "start": season.start}
    return schema.describe(worst)


def _injections(year: Year, hour: int, time: NDArray[Any]) -> xr.Dataset | None:
    """Return what all sites of all layouts draw, one layout per step."""
    if not year.sites.bus.size:
        return None
    here = np.array([hour])
    values = [year.sites.values(case, here) for case in range(time.size)]
    p_mw, q_mvar = (np.concatenate([v[k] for v in values]) for k in (0, 1))
    coords = {"time": time, "site": [f"site {k}" for k in range(year.sites.bus.size)], "bus": ("site", year.sites.bus)}
    return xr.Dataset({"p_mw": (("time", "site"), p_mw), "q_mvar": (("time", "site"), q_mvar)}, coords=coords)


def _following(year: Year, unit_mw: NDArray[np.float64], time: NDArray[Any]) -> dict[str, xr.Dataset]:
    """Return what generators and static generators deliver, one layout per step."""
    units, found = year.season.units, {}
    for table in ("gen", "sgen"):
        mine = (units.table == table) & ~units.reference
        if not mine.any():
            continue
        frame = year.season.net[table]
        rows = units.position[mine]
        p_mw = unit_mw[:, mine] / frame["scaling"].to_numpy(float)[rows]
        ds = xr.Dataset({"p_mw": (("time", table), p_mw)}, coords={"time": time, table: units.index[mine]})
        if table == "sgen":
            ds["q_mvar"] = ds["p_mw"] * (frame["q_mvar"] / frame["p_mw"]).to_numpy(float)[rows]
        found[table] = ds
    return found


def site_outages(
    season: Season | str,
    sites: xr.Dataset,
    lands_mw: xr.DataArray | NDArray[np.float64] | None = None,
    *,
    hour: int | None = None,
    sources: Literal["emf", "held"] = "emf",
) -> xr.Dataset:
    """Lose each site in turn: the step that every bus sees, and what the net carries once the load has landed.

    Parameters
    ----------
    season : Season or str
        The net and its hours, as for :func:`gridedge.grid.year.grid_year`.
    sites : Dataset
        One layout, as for :func:`gridedge.grid.year.grid_year`.
    lands_mw : DataArray or ndarray, shape (case, site), optional
        What each site draws once the load of the case has landed, such as a routing of requests gives it; a DataArray
        may name its cases.  Without it every site is lost in turn, and its load lands nowhere. [MW]
    hour : int, optional
        Counted from 0; the heaviest without.
    sources : {"emf", "held"}
        What sources do within the first second: ``emf``, constant EMFs behind their impedance (see
        :func:`gridedge.grid.emf.behind_impedance`; x'd is assumed where the net says nothing, and stated), or
        ``held``, at their set-points: a lower bound of the step.

    Returns
    -------
    Dataset
        At once, the site gone and nothing landed yet: ``vm_step_pu(case, bus)``, voltage after less voltage before.
        Landed, generation following by headroom and set-points held: ``vm_pu(case, bus)``,
        ``loading_percent(case, branch)`` with ``overloaded_new(case)``, the branches above 100 % that were not so with
        all sites.  ``p_site_mw(case, site)``; ``lost_mw(case)``, what the lost site drew, ``landed_mw(case)`` what the
        others take up and ``dropped_mw(case)`` what nobody does.  ``converged(case)``, ``converged_step(case)``.

    Raises
    ------
    InputError
        If the table does not fit the sites, holds no numbers or negative ones.
    RunError
        If the hour has no solution with all sites.
    """
    if sources not in {"emf", "held"}:
        raise bad("unknown sources", str(sources), nearest(str(sources), ("emf", "held")))
    season = as_season(season)
    when = season.heaviest if hour is None else hour
    _check_hour(season, when)
    _, drawn = layout_sites(season, {"sites": sites})
    p_mw, q_mvar = (values[0] for values in drawn.values(1, np.array([when])))
    after_mw, cases, lost_mw = _table(lands_mw, p_mw, sites["site"].values)
    ratio = np.divide(q_mvar, p_mw, out=np.zeros_like(p_mw), where=p_mw != 0)
    at_once = np.where(after_mw < p_mw, after_mw, p_mw)  # the others have not taken anything up yet

    step = 0 if sites.sizes["time"] == 1 else when
    net = season.net_at(when, sites, at=step)
    before = net.res_bus["vm_pu"].to_numpy(float)
    index = net.sgen.index[-p_mw.size :]
    remarks = []
    quick = net
    if sources == "emf":
        import copy

        quick = copy.deepcopy(net)
        remarks = behind_impedance(quick).remarks
    first = solve(quick, background=_as_sgens(index, at_once, ratio), engine="batch")
    settled = solve(net, background=_as_sgens(index, np.vstack([p_mw, after_mw]), ratio), supply="headroom")
    vm = first["vm_pu"].sel(bus=net.bus.index.to_numpy()).values
    loading = settled["loading_percent"].values
    over = (loading > _OVER_PERCENT) & settled["rating_known"].values
    taken = np.maximum(after_mw - p_mw, 0.0).sum(axis=1)
    coords = {name: settled.coords[name] for name in ("bus", "bus_name", "branch", "element", "index", "rating_known")}
    ds = xr.Dataset(
        {
            "vm_step_pu": (("case", "bus"), vm - before),
            "vm_pu": (("case", "bus"), settled["vm_pu"].values[1:]),
            "loading_percent": (("case", "branch"), loading[1:]),
            "overloaded_new": ("case", (over[1:] & ~over[0]).sum(axis=1)),
            "p_site_mw": (("case", "site"), after_mw),
            "lost_mw": ("case", lost_mw),
            "landed_mw": ("case", taken),
            "dropped_mw": ("case", lost_mw - taken),
            "converged": ("case", settled["converged"].values[1:]),
            "converged_step": ("case", first["converged"].values),
        },
        coords=coords,
    ).assign_coords(case=cases, site=sites["site"].values)
    ds.attrs = {"hour": when, "start": season.start, "rule": season.rule, "remarks": remarks}
    ds.attrs["sources"] = "EMFs behind impedance" if sources == "emf" else "held at their set-point: a lower bound"
    ds.attrs["error_vm_pu"] = max(first.attrs["error_vm_pu"], settled.attrs["error_vm_pu"])
    return schema.describe(ds)


def _as_sgens(index: Any, p_mw: NDArray[np.float64], ratio: NDArray[np.float64]) -> dict[str, xr.Dataset]:
    """Return sites as what they are in the net, static generators of negative power; one case per step."""
    coords = {"time": np.arange(len(p_mw), dtype=float), "sgen": np.asarray(index)}
    values = {"p_mw": (("time", "sgen"), -p_mw), "q_mvar": (("time", "sgen"), -p_mw * ratio)}
    return {"sgen": xr.Dataset(values, coords=coords, attrs={"dt_s": 1.0})}


def _table(
    lands_mw: xr.DataArray | NDArray[np.float64] | None, p_mw: NDArray[np.float64], sites: NDArray[Any]
) -> tuple[NDArray[np.float64], list[str], NDArray[np.float64]]:
    """Return what every site draws in each case, the names of the cases, and what is lost in each."""
    if lands_mw is None:
        after = np.tile(p_mw, (p_mw.size, 1))
        np.fill_diagonal(after, 0.0)
        return after, [str(s) for s in sites], p_mw.copy()
    after = np.asarray(lands_mw, dtype=float)
    if after.ndim != 2 or after.shape[1] != p_mw.size:
        cure = f"Give one row per case and one column for each of the {p_mw.size} sites."
        raise bad("the table of what lands where does not fit the sites", str(after.shape), cure)
    if not (np.isfinite(after) & (after >= 0)).all():
        raise bad("the table of what lands where holds no power", "NaN or negative", "Give MW per site, 0 where lost.")
    lost = np.maximum(p_mw - after, 0.0).sum(axis=1)
    cases = [f"case {k}" for k in range(len(after))]
    if isinstance(lands_mw, xr.DataArray) and "case" in lands_mw.coords:
        cases = [str(c) for c in lands_mw["case"].values]
    return after, cases, lost


def _check_hour(season: Season, hour: int) -> None:
    if int(hour) != hour or not 0 <= hour < season.time_s.size:
        raise bad("the season has no such hour", hour, f"Give 0 to {season.time_s.size - 1}.")
