"""Where the report draws the buses and branches of a study's feeder."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr


def picture(net: Any, result: xr.Dataset, bus: int) -> Any:
    """Return the :class:`~gridedge.plot.network.NetworkPicture` of a net, in the branch order of a result."""
    from gridedge.grid.feeders import bus_coordinates, line_coordinates
    from gridedge.plot.network import NetworkPicture

    labels = [str(b) for b in result["branch"].values]
    courses = line_coordinates(net)
    return NetworkPicture(
        bus_index=result["bus"].values,
        bus_xy=bus_coordinates(net),
        bus_name=[str(n) for n in result["bus_name"].values],
        branch=labels,
        branch_xy=None if courses is None else _courses(net, labels, courses),
        site_bus=bus,
        branch_bus=_ends(net, result),
    )


_END_COLUMNS = {
    "line": ("from_bus", "to_bus"),
    "trafo": ("hv_bus", "lv_bus"),
    "trafo3w": ("hv_bus", "mv_bus"),
    "impedance": ("from_bus", "to_bus"),
}


def _ends(net: Any, result: xr.Dataset) -> np.ndarray:
    """Return the buses between which each branch is drawn, shape (branch, 2)."""
    pairs = zip(result["element"].values, result["index"].values, strict=True)
    return np.array([[net[e].at[i, column] for column in _END_COLUMNS[e]] for e, i in pairs], dtype=np.int64)


def _courses(net: Any, labels: list[str], lines: list[np.ndarray]) -> list[np.ndarray]:
    by_label = {f"line:{i}": xy for i, xy in zip(net.line.index, lines, strict=True)}
    return [by_label.get(label, np.empty((0, 2))) for label in labels]
