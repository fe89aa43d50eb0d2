"""What the layouts of a fleet study do to the net: its year, outages at the heaviest hour, and lost sites."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from gridedge import schema
from gridedge.study.fleet_below import through
from gridedge.study.fleet_model import OWN_YEAR, FleetStudySpec

if TYPE_CHECKING:
    import pandas as pd

    from gridedge.grid.season import Season
    from gridedge.study.fleet_layout import Served


def season_of(spec: FleetStudySpec, net: Any) -> Season:
    """Return every step of the net's year: its own, or its loads times a shape."""
    from gridedge.grid.season import area_season
    from gridedge.grid.texas import texas_season

    if spec.feeder == OWN_YEAR:
        return texas_season(net)
    assert spec.background is not None
    shape = spec.background.shape
    steps = len(shape.values) * spec.background.days
    loads = net.load["p_mw"].to_numpy(float)[None] * shape.factor(steps)[:, None]
    ds = xr.Dataset(
        {"p_mw": (("time", "load"), loads)},
        coords={"time": shape.step_s * np.arange(steps), "load": net.load.index.to_numpy()},
        attrs={"dt_s": shape.step_s},
    )
    return area_season(net, ds, start=spec.start or _MONDAY)


_MONDAY = "2025-01-06 00:00:00"


def year_of(spec: FleetStudySpec, season: Season, served: Mapping[str, Served]) -> xr.Dataset:
    """Return the net through its year, without sites and with each layout."""
    from gridedge.grid.year import grid_year

    layouts = {label: one.steps[["p_mw", "q_mvar"]] for label, one in served.items()}
    return grid_year(season, layouts, limits=spec.limits)


def outages_of(season: Season, served: Mapping[str, Served], executor: Executor | None) -> xr.Dataset:
    """Return every outage of a branch or a unit at the heaviest hour, without sites and with each layout."""
    from gridedge.grid.year_outages import layout_contingencies

    hour = season.heaviest
    layouts = {label: held(one.steps, hour) for label, one in served.items()}
    return layout_contingencies(season, layouts, executor=executor)


def held(steps: xr.Dataset, hour: int) -> xr.Dataset:
    """Return what sites draw in one step, as a single step that holds."""
    return steps[["p_mw", "q_mvar"]].isel(time=[hour]).assign_coords(time=[0.0])


def lost_sites(season: Season, one: Served, lost: xr.Dataset) -> xr.Dataset:
    """Return what the net sees when each site is lost at the heaviest hour, and after its load has landed."""
    from gridedge.grid.year_outages import site_outages

    hour, drawn = season.heaviest, one.made.load
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.nan_to_num(drawn["q_mvar"].values.sum(axis=0) / drawn["p_mw"].values.sum(axis=0))
    before = lost["before_mw"].values[None]
    now = xr.Dataset(
        {"p_mw": (("time", "site"), before), "q_mvar": (("time", "site"), before * ratio)},
        coords={"time": [0.0], "site": lost["site"].values, "bus": ("site", one.steps["bus"].values)},
    )
    lands = lost["lands_mw"]
    if one.below is not None:
        lands = lands.copy(data=one.below.above(lands.values)[0])
    return site_outages(season, schema.describe(through(now, one.below)), lands, hour=hour)


def room_of(spec: FleetStudySpec, season: Season, served: Mapping[str, Served]) -> tuple[pd.DataFrame, list[int]]:
    """Return what every bus with a site takes alone at the heaviest hour, and those where the one large site could be.

    Returns
    -------
    DataFrame
        By bus, as :func:`gridedge.planning.hosting.published.published` gives it.
    list of int
        Buses among which the place of a single site was chosen; empty where no layout has just one.
    """
    from gridedge.planning.hosting.capacity import hosting_capacity
    from gridedge.planning.hosting.published import published
    from gridedge.planning.places import candidates

    net = season.net_at(season.heaviest)
    pool: list[int] = []
    for one in (layout for layout in spec.layouts.values() if layout.sites == 1):
        where: Any = one.where if one.where is not None else spec.places if isinstance(spec.places, str) else None
        pool += candidates(net, where=where, vn_kv=one.vn_kv)
    taken = [site.bus for one in served.values() for site in one.placement.sites]
    largest = max(layout.mw_each for layout in spec.layouts.values())
    found = hosting_capacity(
        net, buses=sorted({*pool, *taken}), limits=spec.kept_limits(), existing="no_worse", max_mw=2.0 * largest,
        tol_mw=largest / 500.0,
    )  # fmt: skip
    return published(found, net, season.start[:10]), sorted(set(pool))
