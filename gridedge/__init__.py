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
    from gridedge.grid.inject import to_pandapower
    from gridedge.grid.solve import solve
    from gridedge.measure.adding import fluctuation
    from gridedge.measure.flicker import flicker
    from gridedge.measure.rulebook import check
    from gridedge.planning.compare import compare
    from gridedge.planning.droop import close_loop
    from gridedge.planning.hosting.capacity import hosting_capacity
    from gridedge.planning.placement import place_sites
    from gridedge.planning.sizing import size_battery
    from gridedge.profiles.fit import fit_training
    from gridedge.profiles.generate import generate
    from gridedge.sites.equipment import check_equipment
    from gridedge.sites.facility import connect
    from gridedge.sites.fleet.footprint import footprint
    from gridedge.sites.mitigate import mitigate
    from gridedge.study.run import run

__version__ = "0.1.0"

_HOMES = {
    "generate": "gridedge.profiles.generate",
    "fit_training": "gridedge.profiles.fit",
    "mitigate": "gridedge.sites.mitigate",
    "connect": "gridedge.sites.facility",
    "solve": "gridedge.grid.solve",
    "contingencies": "gridedge.grid.contingency",
    "to_pandapower": "gridedge.grid.inject",
    "check": "gridedge.measure.rulebook",
    "flicker": "gridedge.measure.flicker",
    "fluctuation": "gridedge.measure.adding",
    "export": "gridedge.formats.write",
    "request_sheet": "gridedge.formats.sheet",
    "size_battery": "gridedge.planning.sizing",
    "compare": "gridedge.planning.compare",
    "close_loop": "gridedge.planning.droop",
    "hosting_capacity": "gridedge.planning.hosting.capacity",
    "place_sites": "gridedge.planning.placement",
    "footprint": "gridedge.sites.fleet.footprint",
    "check_equipment": "gridedge.sites.equipment",
    "run": "gridedge.study.run",
    "GridedgeError": "gridedge.errors",
    "InputError": "gridedge.errors",
    "RunError": "gridedge.errors",
}

__all__ = [
    "GridedgeError",
    "InputError",
    "RunError",
    "check",
    "check_equipment",
    "close_loop",
    "compare",
    "connect",
    "contingencies",
    "export",
    "fit_training",
    "flicker",
    "fluctuation",
    "footprint",
    "generate",
    "hosting_capacity",
    "mitigate",
    "place_sites",
    "request_sheet",
    "run",
    "size_battery",
    "solve",
    "to_pandapower",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gridedge' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
