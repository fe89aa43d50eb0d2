"""gridedge: what AI computing does to the grid, and what the grid lets it do.

The public verbs are loaded when they are first used, so that importing the package
costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridedge.errors import GridedgeError, InputError, RunError
    from gridedge.formats.sheet import request_sheet
    from gridedge.formats.write import export
    from gridedge.grid.contingency import contingencies
    from gridedge.grid.flicker_map import flicker_map
    from gridedge.grid.inject import to_pandapower
    from gridedge.grid.season import area_season
    from gridedge.grid.solve import solve
    from gridedge.grid.tapchanger import settle_taps
    from gridedge.grid.texas import texas_season
    from gridedge.grid.year import grid_year
    from gridedge.grid.year_outages import layout_contingencies, site_outages
    from gridedge.measure.adding import fluctuation
    from gridedge.measure.flicker import flicker
    from gridedge.measure.rulebook import check
    from gridedge.measure.voltage_report import voltage_report
    from gridedge.planning.compare import compare
    from gridedge.planning.droop import close_loop
    from gridedge.planning.harmonics import harmonic_screen
    from gridedge.planning.hosting.capacity import hosting_capacity
    from gridedge.planning.hosting.deployments import hosting_deployments
    from gridedge.planning.hosting.pairs import hosting_pairs
    from gridedge.planning.hosting.together import hosting_together
    from gridedge.planning.placement import place_sites
    from gridedge.planning.remedies.find import remedies
    from gridedge.planning.sizing import size_battery
    from gridedge.planning.unbalance import unbalance
    from gridedge.profiles.fit import fit_training
    from gridedge.profiles.generate import generate
    from gridedge.profiles.inference.fluid import load_curve
    from gridedge.profiles.inference.serving import serve
    from gridedge.sites.equipment import check_equipment
    from gridedge.sites.facility import connect
    from gridedge.sites.fleet.fleet import fleet
    from gridedge.sites.fleet.footprint import footprint
    from gridedge.sites.mitigate import mitigate
    from gridedge.study.fleet_run import run_fleet
    from gridedge.study.hosting_run import run_hosting
    from gridedge.study.run import run

__version__ = "0.1.0"

_HOMES = {
    "generate": "gridedge.profiles.generate",
    "fit_training": "gridedge.profiles.fit",
    "serve": "gridedge.profiles.inference.serving",
    "load_curve": "gridedge.profiles.inference.fluid",
    "mitigate": "gridedge.sites.mitigate",
    "connect": "gridedge.sites.facility",
    "fleet": "gridedge.sites.fleet.fleet",
    "solve": "gridedge.grid.solve",
    "settle_taps": "gridedge.grid.tapchanger",
    "contingencies": "gridedge.grid.contingency",
    "area_season": "gridedge.grid.season",
    "texas_season": "gridedge.grid.texas",
    "grid_year": "gridedge.grid.year",
    "layout_contingencies": "gridedge.grid.year_outages",
    "site_outages": "gridedge.grid.year_outages",
    "to_pandapower": "gridedge.grid.inject",
    "check": "gridedge.measure.rulebook",
    "flicker": "gridedge.measure.flicker",
    "voltage_report": "gridedge.measure.voltage_report",
    "flicker_map": "gridedge.grid.flicker_map",
    "fluctuation": "gridedge.measure.adding",
    "export": "gridedge.formats.write",
    "request_sheet": "gridedge.formats.sheet",
    "size_battery": "gridedge.planning.sizing",
    "compare": "gridedge.planning.compare",
    "close_loop": "gridedge.planning.droop",
    "harmonic_screen": "gridedge.planning.harmonics",
    "unbalance": "gridedge.planning.unbalance",
    "hosting_capacity": "gridedge.planning.hosting.capacity",
    "hosting_pairs": "gridedge.planning.hosting.pairs",
    "hosting_together": "gridedge.planning.hosting.together",
    "hosting_deployments": "gridedge.planning.hosting.deployments",
    "remedies": "gridedge.planning.remedies.find",
    "place_sites": "gridedge.planning.placement",
    "footprint": "gridedge.sites.fleet.footprint",
    "check_equipment": "gridedge.sites.equipment",
    "run": "gridedge.study.run",
    "run_fleet": "gridedge.study.fleet_run",
    "run_hosting": "gridedge.study.hosting_run",
    "GridedgeError": "gridedge.errors",
    "InputError": "gridedge.errors",
    "RunError": "gridedge.errors",
}

__all__ = [
    "GridedgeError",
    "InputError",
    "RunError",
    "area_season",
    "check",
    "check_equipment",
    "close_loop",
    "compare",
    "connect",
    "contingencies",
    "export",
    "fit_training",
    "fleet",
    "flicker",
    "flicker_map",
    "fluctuation",
    "footprint",
    "generate",
    "grid_year",
    "harmonic_screen",
    "hosting_capacity",
    "hosting_deployments",
    "hosting_pairs",
    "hosting_together",
    "layout_contingencies",
    "load_curve",
    "mitigate",
    "place_sites",
    "remedies",
    "request_sheet",
    "run",
    "run_fleet",
    "run_hosting",
    "serve",
    "settle_taps",
    "site_outages",
    "size_battery",
    "solve",
    "texas_season",
    "to_pandapower",
    "unbalance",
    "voltage_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gridedge' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
