"""The verb ``grid_year``: a net through every hour of its year, with many sites at once, layout by layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import RunError, bad
from gridedge.grid.engines.reference import run_once
from gridedge.grid.engines.threads import limited, threads
from gridedge.grid.feeders import find_bus
from gridedge.grid.inject import check_sites
from gridedge.grid.ratings import known_ratings
from gridedge.grid.season import Season, as_season, write_loads, write_units
from gridedge.grid.year_books import BEYOND_MVAR, Books, Piece, Watch, piece
from gridedge.grid.year_states import PROBES, REST_MW, Sites, Year
from gridedge.measure.limits import Limits

BASE = "base"  # the case without sites
_LIMITS: dict[str, Any] = {"vm_pu": (0.95, 1.05), "loading_percent": 100}  # ANSI C84.1 range A; every rating
_AGREE_PU = 1e-8
_STATES = 1024  # states that are solved and read at once
_AHEAD = 4  # pieces per thread that may wait to be taken in


def grid_year(
    season: Season | str,
    layouts: Mapping[str, xr.Dataset] | None = None,
    *,
    limits: Limits | Mapping[str, Any] | None = None,
    hours: NDArray[np.intp] | slice | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> xr.Dataset:
    """Solve the AC power flow of every hour of a season, without sites and with each layout of them.

    Parameters
    ----------
    season : Season or str
        ``"texas2000"``, :func:`gridedge.grid.texas.texas_season`, or :func:`gridedge.grid.season.area_season` of any
        net.
    layouts : mapping of str to Dataset, optional
        What the sites of each layout draw, all at once: ``p_mw(time, site)``, ``q_mvar(time, site)`` and ``bus(site)``,
        consumption positive, as :func:`gridedge.connect` makes it; ``time`` is the season's, or a single step that
        holds all year.
    limits : Limits or dict, optional
        ``vm_pu`` (low, high) [pu] and ``loading_percent`` [%]; without, 0.95 to 1.05 pu (ANSI C84.1 range A) and 100 %.
    hours : ndarray or slice, optional
        Solve only these, counted from 0: nothing is then known of the others, and ``attrs`` say so.
    on_progress : callable, optional
        Told how many states are done.

    Returns
    -------
    Dataset
        The dimension ``case`` is ``base``, without sites, then the layouts.

        *By hour*, (case, time): ``converged``; ``generation_mw``, ``p_site_mw``, ``pl_mw`` of branches and shunts and,
        without ``case``, ``p_load_mw``; ``rest_mw``, what the reference delivers beyond its share [MW];
        ``vm_pu_min``, ``vm_pu_max`` [pu] with ``bus_of_vm_min``, ``bus_of_vm_max``; ``loading_percent_max`` [%] with
        ``branch_of_loading``; how many branches are over their limit (``overloaded``), of these not so in the base
        (``overloaded_new``), or so in the base and heavier by more than 0.1 % (``overloaded_worse``); buses outside
        the voltage limits (``buses_off``), of these further out than in the base by more than 0.0005 pu
        (``buses_off_new``); buses whose units are beyond their reactive limits by more than 1 Mvar (``units_beyond``)
        and the largest excess (``beyond_mvar_max``).  ``generation_by_fuel_mw(fuel, case, time)``.

        *By element*: hours ``overload_h``, ``overload_new_h``, ``overload_worse_h`` (case, branch) and
        ``branch_loading_percent_max`` with ``hour_of_loading``; ``vm_low_h``, ``vm_high_h``, ``vm_new_h``,
        ``bus_vm_pu_min``, ``bus_vm_pu_max`` (case, bus); ``q_beyond_h``, ``q_beyond_max_mvar`` (case, unit_bus);
        ``generation_mwh`` and, against the base, ``marginal_mwh`` (case, unit).

    Raises
    ------
    InputError
        If a layout cannot be connected, or its clock is another.
    RunError
        If no hour converges even without sites, or a state differs from ``runpp`` by more than 1e-8 pu.

    Notes
    -----
    An hour without solution is NaN and not ``converged``: that is an answer, and its hours count in nothing else.
    Generation follows the load, the sites and the losses of each state, until the reference is left with less than
    1 MW; beyond all limits of the units ``rest_mw`` holds what is missing (or too much).  Reactive limits are
    watched, not enforced; taps and set-points are held.  Each layout's lightest and heaviest hour, and the base's, are
    held against ``runpp``.
    """
    wanted = (
        limits if isinstance(limits, Limits) else Limits(**(limits or {"vm_pu": (0.95, 1.05), "loading_percent": 100}))
    )
    season = as_season(season)
    steps = season.time_s.size
    chosen = _chosen(steps, hours)
    if not chosen.size:
        raise bad("no hour is asked for", "hours is empty", "Leave it out for the whole year.")
    names, sites = layout_sites(season, layouts or {})
    year = Year(season, sites)
    year.probe(chosen)
    watch = _watch(year, wanted)
    judged = _judged(year, chosen, len(names))
    books, done = Books(steps), 0

    def work(part: NDArray[np.intp]) -> Piece:
        with limited(1):  # whole pieces side by side: they are too small to share
            states = year.solve(part, range(len(names)))
            return piece(states, part, len(names), year.model.readout, watch, judged)

    parts = [
        part
        for pattern in year.patterns(chosen)
        for part in np.array_split(pattern, -(-pattern.size * len(names) // _STATES))
    ]
    first, *others = parts
    books.add(work(first))  # compiles
    with ThreadPoolExecutor(threads(), thread_name_prefix="gridedge-year") as pool:
        done = first.size * len(names)
        for k in range(0, len(others), _AHEAD * threads()):
            for found in pool.map(work, others[k : k + _AHEAD * threads()]):
                books.add(found)
                done += found.hours.size * len(names)
                if on_progress is not None:
                    on_progress(done)
    if not books.hourly["converged"][0].any():
        raise RunError("The power flow converges in no hour even without sites: look at the net.")
    ds = _dataset(year, books, names, chosen, wanted)
    ds.attrs["error_vm_pu"] = _judge(year, books)
    return ds


def _chosen(steps: int, hours: NDArray[np.intp] | slice | None) -> NDArray[np.intp]:
    """Return the hours that are asked for."""
    if hours is None or isinstance(hours, slice):
        return np.arange(steps, dtype=np.intp)[slice(None) if hours is None else hours]
    asked = np.atleast_1d(hours)
    if not asked.size:
        return np.empty(0, dtype=np.intp)
    fits = asked.size == steps if asked.dtype == bool else np.issubdtype(asked.dtype, np.integer)
    if not fits or (asked.dtype != bool and (asked.min() < 0 or asked.max() >= steps)):
        value = str(asked[[0, -1]].tolist()) if asked.size > 1 else str(asked[0])
        raise bad("the season has no such hours", value, f"Give whole numbers from 0 to {steps - 1}.")
    return np.arange(steps, dtype=np.intp)[asked]


def layout_sites(season: Season, layouts: Mapping[str, xr.Dataset]) -> tuple[list[str], Sites]:
    """Return the names of all cases, and what their sites draw."""
    names, buses, of_case = [BASE], list[int](), [np.empty(0, dtype=np.intp)]
    p_mw, q_mvar = [np.zeros((1, 0))], [np.zeros((1, 0))]
    for name, load in layouts.items():
        if str(name) == BASE:
            raise bad("a layout has the name of the case without sites", BASE, "Name it otherwise.")
        check_sites(load)
        schema.require(load, ["p_mw", "q_mvar"], thing=f"the layout {name!r}")
        count, steps = load.sizes["time"], season.time_s.size
        same = count == steps and np.allclose(load["time"].values, season.time_s)
        if count != 1 and not same:
            thing = f"the layout {name!r} has another clock than the season"
            raise bad(thing, f"{count} steps against {steps}", "Give the season's hours, or a single step.")
        given = [bus.item() if hasattr(bus, "item") else bus for bus in load["bus"].values]
        of_case.append(np.arange(len(buses), len(buses) + len(given), dtype=np.intp))
        buses += [find_bus(season.net, bus)[0] for bus in given]
        names.append(str(name))
        p_mw.append(load["p_mw"].transpose("time", "site").values.astype(float))
        q_mvar.append(load["q_mvar"].transpose("time", "site").values.astype(float))
    return names, Sites(np.array(buses, dtype=np.intp), tuple(of_case), tuple(p_mw), tuple(q_mvar))


def _watch(year: Year, limits: Limits) -> Watch:
    low, high = limits.vm_pu or (-np.inf, np.inf)
    most = np.inf if limits.loading_percent is None else limits.loading_percent
    rated = np.asarray(known_ratings(year.season.net, year.model.readout.element))
    fuel = year.season.units.fuel
    kinds = np.array([fuel == name for name in sorted(set(fuel.tolist()))], dtype=float).reshape(-1, fuel.size)
    return Watch(low, high, most, rated, year.low_mvar, year.high_mvar, kinds)


def _judged(year: Year, chosen: NDArray[np.intp], cases: int) -> set[tuple[int, int]]:
    """Return which states are held against ``runpp``: lightest and heaviest hour of every case."""
    load = year.load_mw[chosen]
    ends = int(chosen[load.argmin()]), int(chosen[load.argmax()])
    return {(case, hour) for case in range(cases) for hour in ends}


def _judge(year: Year, books: Books) -> float:
    """Solve the sampled states by ``runpp`` on the net as they stand; return the largest difference in pu."""
    import copy

    import pandapower as pp

    worst = 0.0
    for (case, hour), (v, unit_mw) in sorted(books.sample.items()):
        own = copy.deepcopy(year.season.net)
        write_loads(own, year.season, hour)
        write_units(own, year.season.units, unit_mw)
        p_mw, q_mvar = year.sites.values(case, np.array([hour]))
        for k in year.sites.of_case[case].tolist():
            pp.create_sgen(own, int(year.sites.bus[k]), -p_mw[0, k], -q_mvar[0, k], scaling=1.0)
        if not run_once(own):
            raise RunError(f"runpp finds no solution in hour {hour}, where the batch engine has one.")
        worst = max(worst, float(np.abs(np.abs(own._ppc["internal"]["V"]) - np.abs(v)).max()))
        if not worst <= _AGREE_PU:
            raise RunError(f"Hour {hour} differs from runpp by {worst:.1e} pu.")
    return worst


def _dataset(year: Year, books: Books, names: list[str], chosen: NDArray[np.intp], limits: Limits) -> xr.Dataset:
    season, out = year.season, year.model.readout
    solved, per_h = books.hourly["converged"], season.dt_s / 3600.0
    asked = np.zeros(season.time_s.size, dtype=bool)
    asked[chosen] = True
    fuels = sorted(set(season.units.fuel.tolist()))
    branch, bus = np.array([*out.labels, ""]), np.append(out.bus_index, -1)

    def hourly(name: str) -> tuple[tuple[str, str], NDArray[np.float64]]:
        return ("case", "time"), np.where(solved, books.hourly[name], np.nan)

    def labelled(name: str, labels: NDArray[Any]) -> tuple[tuple[str, str], NDArray[Any]]:
        return ("case", "time"), labels[np.where(solved, books.hourly[f"{name}_at"], -1)]

    by_fuel = np.where(solved, books.hourly["fuel"], np.nan)
    site_mw = np.where(asked, books.hourly["site_mw"], np.nan)
    generation_mw = by_fuel.sum(axis=0) + books.hourly["rest_mw"] + year.other_mw
    ds = xr.Dataset(
        {
            "converged": (("case", "time"), solved),
            "p_load_mw": ("time", np.where(asked, season.load_mw, np.nan)),
            "p_site_mw": (("case", "time"), site_mw),
            "pl_mw": hourly("pl_mw"),
            "generation_mw": (("case", "time"), generation_mw),
            "generation_by_fuel_mw": (("fuel", "case", "time"), by_fuel),
            "rest_mw": hourly("rest_mw"),
            "vm_pu_min": hourly("vm_min"),
            "bus_of_vm_min": labelled("vm_min", bus),
            "vm_pu_max": hourly("vm_max"),
            "bus_of_vm_max": labelled("vm_max", bus),
            "loading_percent_max": hourly("loading"),
            "branch_of_loading": labelled("loading", branch),
        }
    )
    for name in ("overloaded", "overloaded_new", "overloaded_worse", "buses_off", "buses_off_new", "units_beyond"):
        ds[name] = hourly(name)
    ds["beyond_mvar_max"] = hourly("beyond_mvar_max")
    elements = {
        "branch": ("overload", "overload_new", "overload_worse"), "bus": ("vm_low", "vm_high", "vm_new"),
        "unit_bus": ("q_beyond",),
    }  # fmt: skip
    for dim, keys in elements.items():
        for key in keys:
            ds[f"{key}_h"] = (("case", dim), books.counts[key] * per_h)
    peaks = books.peaks
    ds["branch_loading_percent_max"] = (("case", "branch"), peaks["loading_max"][0])
    ds["hour_of_loading"] = (("case", "branch"), peaks["loading_max"][1])
    ds["bus_vm_pu_min"], ds["bus_vm_pu_max"] = ((("case", "bus"), peaks[f"vm_{end}"][0]) for end in ("min", "max"))
    ds["q_beyond_max_mvar"] = (("case", "unit_bus"), peaks["q_beyond_max"][0])
    energy = books.counts["generation"] * per_h
    ds["generation_mwh"] = (("case", "unit"), energy)
    ds["marginal_mwh"] = (("case", "unit"), energy - energy[:1])
    ds = ds.assign_coords(
        case=names, time=season.time_s, fuel=fuels, branch=branch[:-1], element=("branch", out.element),
        index=("branch", out.index), rating_known=("branch", known_ratings(season.net, out.element)),
        bus=out.bus_index, bus_name=("bus", [str(n) for n in season.net.bus["name"]]),
        unit_bus=year.q_bus, unit=season.units.labels, fuel_of=("unit", season.units.fuel),
    )  # fmt: skip
    ds.attrs = {
        "rule": season.rule,
        "start": season.start,
        "dt_s": season.dt_s,
        "hours_solved": int(chosen.size),
        "patterns": len(year.patterns(chosen)),
        "not_converged": int((~solved[:, asked]).sum()),
        "limits": f"{limits.vm_pu} pu, {limits.loading_percent} %",
        "sources": "held at their set-point",
        "engine": "batch",
        "remarks": _remarks(year, books, names, asked),
    }
    return schema.describe(ds)


def _remarks(year: Year, books: Books, names: list[str], asked: NDArray[np.bool_]) -> list[str]:
    """Say what a reader of the numbers must know."""
    said = list(year.season.remarks)
    if not asked.all():
        said.append(f"Only {int(asked.sum())} of {asked.size} hours are solved.")
    for case, name in enumerate(names):
        solved = books.hourly["converged"][case][asked]
        lost = int((~solved).sum())
        if lost and (year.hopeful[case] or solved.size <= PROBES):
            said.append(f"{name}: {lost} of {solved.size} hours have no solution: the net cannot carry this load.")
        elif lost:
            said.append(
                f"{name}: {lost} of {solved.size} hours do not contract; none of those that Newton's method was tried "
                "on, spread over all loads, has a solution, so it was not tried on the others."
            )
        rest = np.nanmax(np.abs(books.hourly["rest_mw"][case][asked]), initial=0.0)
        if rest > REST_MW * (1 + 1e-6):
            said.append(
                f"{name}: the reference delivers up to {rest:.0f} MW beyond its share; all units are at limits."
            )
    beyond = books.hourly["units_beyond"][0][asked]
    if beyond.any():
        said.append(
            f"Reactive limits are watched, not enforced: up to {int(beyond.max())} of {year.q_row.size} buses with "
            f"units are beyond them by more than {BEYOND_MVAR:g} Mvar in an hour without sites."
        )
    return said
