"""The report of a study of a fleet: answer, tables, map, week, lost sites, carbon, in one file without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from markupsafe import Markup

from gridedge.report import fleet_plots as plots
from gridedge.report import fleet_tables as tables
from gridedge.report.page import render, write_whole
from gridedge.report.result import Assuming
from gridedge.report.tables import assumption_rows, manifest_groups, marks

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from gridedge.grid.drawing import Drawing
    from gridedge.plot.fleet_map import Asking
    from gridedge.report.plots import Plot


class FleetStudy(Assuming, Protocol):
    """The parts of a fleet study's result that its report shows."""

    @property
    def title(self) -> str:
        """Title of the study."""

    @property
    def question(self) -> str:
        """What was asked, in plain sentences."""

    @property
    def answer(self) -> Sequence[str]:
        """What came out, in sentences."""

    @property
    def facts(self) -> Sequence[tuple[str, str]]:
        """What was compared: labels, and values with their units."""

    @property
    def notes(self) -> Sequence[str]:
        """What a reader must know before trusting a number."""

    @property
    def table(self) -> pd.DataFrame:
        """By layout, the numbers that are compared."""

    @property
    def columns(self) -> Mapping[str, tuple[str, str]]:
        """Unit and meaning of each column of the table."""

    @property
    def base(self) -> Mapping[str, Any]:
        """What the net does without any site."""

    @property
    def elements(self) -> pd.DataFrame:
        """Branches over their limit in some hour of some case; the case ``base`` is the net without sites."""

    @property
    def sites(self) -> pd.DataFrame:
        """Every site of every layout."""

    @property
    def year(self) -> xr.Dataset:
        """The net through its year; ``p_load_mw(time)`` is drawn."""

    @property
    def outages(self) -> xr.Dataset | None:
        """Every outage at the heaviest hour, without sites and with each layout."""

    @property
    def lost(self) -> Mapping[str, xr.Dataset]:
        """By layout, requests and power after the loss of each site."""

    @property
    def lost_grid(self) -> Mapping[str, xr.Dataset]:
        """By layout, what the net sees of that."""

    @property
    def week(self) -> Mapping[str, xr.Dataset]:
        """By layout, the power by tier in the week with the heaviest hour."""

    @property
    def latency(self) -> Mapping[str, xr.Dataset]:
        """By layout, quantiles of the time to the first token."""

    @property
    def swings(self) -> pd.DataFrame | None:
        """How the layouts, one campus and training fluctuate."""

    @property
    def traces(self) -> xr.Dataset | None:
        """Some minutes of these, to look at."""

    @property
    def footprint(self) -> pd.DataFrame:
        """By layout: energy, carbon, water."""

    @property
    def request(self) -> pd.DataFrame:
        """One request by layout and on a device."""

    @property
    def room(self) -> pd.DataFrame:
        """By bus, what it takes alone; column ``single`` where the one large site could have been."""

    @property
    def drawing(self) -> Drawing:
        """The net, for the map."""

    @property
    def places(self) -> Sequence[Asking]:
        """Where people ask."""

    @property
    def not_studied(self) -> Sequence[str]:
        """What the answer says nothing about."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Versions, hashes, engine, measured error; may be nested."""


_SWINGS = {
    "sites": ("", "Sites"), "mean_mw": ("MW", "Mean (IT)"), "sd_site_mw": ("MW", "One site deviates by"),
    "rho": ("", "Correlation of two sites"), "sd_mw": ("MW", "All together deviate by"),
    "sd_law_mw": ("MW", "s sqrt(N (1 + (N \u2212 1) rho))"), "change_5s_mw": ("MW", "Largest change in 5 s"),
    "change_60s_mw": ("MW", "Largest change in 60 s"), "change_600s_mw": ("MW", "Largest change in 600 s"),
}  # fmt: skip
_FOOTPRINT = {
    "energy_mwh": ("MWh", "Energy at the meters"), "it_mwh": ("MWh", "Energy of the computers"),
    "carbon_t": ("t", "Carbon of the electricity"), "embodied_t": ("t", "Carbon of the hardware"),
    "water_site_m3": ("m\u00b3", "Water on site"), "water_generation_m3": ("m\u00b3", "Water for generation"),
    "wh_per_request": ("Wh", "Energy of a request"), "g_per_request": ("g", "Carbon of a request"),
    "ml_per_request": ("ml", "Water of a request"),
}  # fmt: skip
_REQUEST = {
    "meter_wh": ("Wh", "Energy at the meter"), "carbon_g": ("g", "Carbon of the electricity"),
    "embodied_g": ("g", "Carbon of the hardware"), "total_g": ("g", "Carbon together"),
    "water_site_ml": ("ml", "Water on site"), "water_generation_ml": ("ml", "Water for generation"),
}  # fmt: skip


def write_fleet_report(result: FleetStudy, path: Path) -> None:
    """Write the report; a file that is there is replaced when the new one is complete.

    Parameters
    ----------
    result : FleetStudy
        What the study found.
    path : Path
        The HTML file; its folder is made if need be.
    """
    write_whole(fleet_page(result), path)


def fleet_page(result: FleetStudy) -> str:
    """Return the report as HTML; the same result gives the same text.

    A part that was not studied has no heading: the study says why under what it did not look at.
    """
    layouts = [str(label) for label in result.table.index]
    new, own = tables.overload_rows(result.elements, layouts)
    outages, outages_all = tables.outage_rows(result.outages, layouts, result.drawing)
    maps, map_words = plots.maps(result, layouts)
    return render(
        "fleet.html.jinja",
        result=result,
        layouts=layouts,
        groups=tables.layout_groups(result.table, result.columns, result.base),
        base=tables.base_words(result.base),
        binding=tables.binding_rows(result.sites, layouts),
        maps=_safe(maps),
        map_words=map_words,
        week=_safe(plots.week(result)),
        overloads=[("New with a layout", new), ("The net's own, without any site", own)],
        outages=outages,
        outages_all=outages_all,
        losses=_safe(plots.losses(result)),
        steps=_safe(plots.steps(result)),
        landing=tables.landing_rows(result.lost, result.lost_grid, result.sites),
        latency=_safe(plots.latencies(result)),
        traces=_safe(plots.traces(result)),
        swings=tables.frame_rows(result.swings, _SWINGS),
        footprint=tables.frame_rows(result.footprint, _FOOTPRINT),
        request=tables.frame_rows(result.request, _REQUEST),
        room=_safe(plots.room(result)),
        assumptions=assumption_rows(result),
        marks=marks(result),
        manifest=manifest_groups(result.manifest),
    )


def _safe(made: Sequence[Plot]) -> list[tuple[Plot, Markup]]:
    return [(plot, Markup(plot.data)) for plot in made]
