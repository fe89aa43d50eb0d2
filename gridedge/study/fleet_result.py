"""What a study of a fleet found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from gridedge.spec import Assumption

if TYPE_CHECKING:
    import pandas as pd

    from gridedge.grid.drawing import Drawing
    from gridedge.planning.placement import Placement
    from gridedge.sites.fleet.model import Place


@dataclass(frozen=True, eq=False)
class FleetStudyResult:
    """The results of a study of a fleet.

    Parameters
    ----------
    title, question : str
        As the study says them.
    answer : list of str
        Three sentences: what the net feels, what serving costs, what it depends on.
    facts : list of (str, str)
        What was compared: label, and value with its unit.
    notes : list of str
        What must be known before a number is trusted.
    table : DataFrame
        By layout, the numbers that are compared; see ``gridedge.study.fleet_table.COLUMNS`` for names, units and words.
    base : dict
        What the net does without any site: hours, branches, voltages, losses.
    elements : DataFrame
        Branches that a layout overloads in some hour: layout, branch, what it is, hours new, worse and without sites,
        highest loading [%].
    sites : DataFrame
        Every site of every layout: where, size, mean and highest power, requests, what binds there.
    year : Dataset
        As :func:`gridedge.grid_year` gives it.
    outages : Dataset or None
        As :func:`gridedge.layout_contingencies` gives it.
    lost : dict
        By layout: requests after the loss of each site, and the stretch in which the largest is lost.
    lost_grid : dict
        By layout: what the net sees of that, as :func:`gridedge.site_outages` gives it.
    week : dict
        By layout: ``p_mw(time, tier)`` of the week with the net's heaviest hour, and ``it_mw(time, tier)``. [MW]
    latency : dict
        By layout: quantiles of the time to the first token.
    swings : DataFrame or None
        By layout, and for the same inference in one campus and for synchronous training: how the power fluctuates.
    traces : Dataset or None
        Ten minutes of the largest layout, one campus and training side by side: ``p_mw(time, load)``. [MW]
    footprint : DataFrame
        By layout: energy, carbon, water.
    request : DataFrame
        One request by layout and on a device: energy, carbon, water.
    room : DataFrame
        By bus of a site, and of those where the one large site could have been (column ``single``), what it takes alone
        at the heaviest hour, with the fields of published maps.
    placements : dict
        By layout.
    drawing : Drawing
        The net, for the map.
    assumptions : list of Assumption
        Every number that the result stands on.
    not_studied : list of str
        What the answer says nothing about.
    manifest : dict
        Versions, hashes, engine, time taken.
    out : Path or None
        Folder the result was written to.
    places : tuple of Place
        Where people ask.
    """

    title: str
    question: str
    answer: list[str]
    facts: list[tuple[str, str]]
    notes: list[str]
    table: pd.DataFrame
    base: dict[str, Any]
    elements: pd.DataFrame
    sites: pd.DataFrame
    year: xr.Dataset
    outages: xr.Dataset | None
    lost: dict[str, xr.Dataset]
    lost_grid: dict[str, xr.Dataset]
    week: dict[str, xr.Dataset]
    latency: dict[str, xr.Dataset]
    swings: pd.DataFrame | None
    traces: xr.Dataset | None
    footprint: pd.DataFrame
    request: pd.DataFrame
    room: pd.DataFrame
    placements: dict[str, Placement]
    drawing: Drawing
    assumptions: list[Assumption]
    not_studied: list[str]
    manifest: dict[str, Any]
    out: Path | None = field(default=None)
    places: tuple[Place, ...] = ()

    @property
    def columns(self) -> Mapping[str, tuple[str, str]]:
        """Unit and meaning of each column of the table."""
        from gridedge.study.fleet_table import COLUMNS

        return COLUMNS
