"""Buses by index or name, and where the elements of a net lie."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import bad, nearest

if TYPE_CHECKING:
    import pandas as pd


def find_bus(net: Any, bus: int | str) -> tuple[int, str]:
    """Find a bus that is in service.

    Parameters
    ----------
    net : pandapowerNet
        The net; it is not changed.
    bus : int or str
        An integer is an index of ``net.bus``, a string a name.

    Returns
    -------
    tuple of (int, str)
        Index and name.

    Raises
    ------
    InputError
        If there is no such bus, if several have the name, or if it is out of service.
    """
    if isinstance(bus, bool) or not isinstance(bus, int | np.integer | str):
        raise bad("a bus is an index or a name", bus, "Give an integer (index) or a string (name).")
    names = bus_names(net)
    if isinstance(bus, str):
        matches = [int(index) for index in names.index[names == bus]]
        if not matches:
            raise bad("no bus has this name", bus, _hint(bus, names))
        if len(matches) > 1:
            shown = ", ".join(map(str, matches[:10])) + (", ..." if len(matches) > 10 else "")
            raise bad(f"{len(matches)} buses have this name", bus, f"Give one of their indices: {shown}.")
        index = matches[0]
    else:
        index = int(bus)
        if index not in net.bus.index:
            raise bad("no bus has this index", index, _index_hint(net, index, names))
    if not bool(net.bus.at[index, "in_service"]):
        raise bad(f"bus {index} ({names[index]}) is out of service", index, "Choose a bus that is in service.")
    return index, str(names[index])


def bus_names(net: Any) -> pd.Series:
    """Return the name of every bus as text; a bus without one is called ``bus 7``."""
    import pandas as pd

    names = net.bus["name"]
    missing = names.isna() | (names.astype(str) == "")
    fallback = pd.Series([f"bus {index}" for index in names.index], index=names.index)
    named: pd.Series = names.astype(str).where(~missing, fallback)
    return named


def bus_coordinates(net: Any) -> NDArray[np.float64] | None:
    """Return where the buses lie.

    Parameters
    ----------
    net : pandapowerNet
        Its ``bus.geo`` holds GeoJSON points.

    Returns
    -------
    ndarray, shape (bus, 2), or None
        x and y in the order of ``net.bus``, in whatever projection the net uses; NaN for a
        bus without a place.  None if no bus has one.
    """
    if "geo" not in net.bus.columns:
        return None
    xy = np.full((len(net.bus), 2), np.nan)
    for k, geo in enumerate(net.bus["geo"]):
        points = _points(geo)
        if len(points):
            xy[k] = points[0]
    return None if np.isnan(xy).all() else xy


def line_coordinates(net: Any) -> list[NDArray[np.float64]] | None:
    """Return the course of every line.

    Parameters
    ----------
    net : pandapowerNet
        ``line.geo`` holds GeoJSON line strings.  A line without one is drawn straight
        between its buses.

    Returns
    -------
    list of ndarray, shape (point, 2), or None
        In the order of ``net.line``; of shape (0, 2) where nothing is known.  None if no
        line can be placed.
    """
    places = bus_coordinates(net)
    at = {} if places is None else dict(zip(net.bus.index, places, strict=True))
    nowhere = np.full(2, np.nan)
    geos = net.line["geo"] if "geo" in net.line.columns else [None] * len(net.line)
    courses = []
    for geo, start, stop in zip(geos, net.line["from_bus"], net.line["to_bus"], strict=True):
        course = _points(geo)
        if len(course) < 2:
            course = np.array([at.get(start, nowhere), at.get(stop, nowhere)])
            if np.isnan(course).any():
                course = np.empty((0, 2))
        courses.append(course)
    return courses if any(len(course) for course in courses) else None


def _points(geo: Any) -> NDArray[np.float64]:
    """Return the points of a GeoJSON geometry, text or dict; none where it is missing or unreadable."""
    if isinstance(geo, str):
        try:
            geo = json.loads(geo)
        except json.JSONDecodeError:
            return np.empty((0, 2))
    if not isinstance(geo, dict):
        return np.empty((0, 2))
    try:
        points = np.asarray(geo.get("coordinates", []), dtype=float)
    except (TypeError, ValueError):
        return np.empty((0, 2))
    points = points.reshape(1, -1) if points.ndim == 1 and points.size else points
    return points[:, :2] if points.ndim == 2 and points.shape[1] >= 2 else np.empty((0, 2))


def branch_words(net: Any, branch: str) -> str:
    """Return which buses a branch joins: ``line from A to B, 230 kV``; the label alone where it is of no known kind."""
    table, _, index = branch.partition(":")
    ends = {"line": ("from_bus", "to_bus"), "impedance": ("from_bus", "to_bus"), "trafo": ("hv_bus", "lv_bus"),
            "trafo3w": ("hv_bus", "mv_bus")}.get(table)  # fmt: skip
    if ends is None or int(index) not in net[table].index:
        return branch
    buses = [int(net[table].at[int(index), end]) for end in ends]
    names, kv = bus_names(net), [float(net.bus.at[b, "vn_kv"]) for b in buses]
    level = f"{kv[0]:g} kV" if kv[0] == kv[1] else f"{kv[0]:g}/{kv[1]:g} kV"
    what = "transformer" if kv[0] != kv[1] else "line" if table == "line" else table
    return f"{what} from {names[buses[0]]} to {names[buses[1]]}, {level}"


def _hint(name: str, names: pd.Series) -> str:
    hint = nearest(name, names.tolist())
    if name.strip().lstrip("-").isdigit():
        hint += f" A string is a name; for the index write {int(name)} without quotes."
    return hint


def _index_hint(net: Any, index: int, names: pd.Series) -> str:
    if not len(net.bus):
        return "The net has no bus."
    hint = f"Indices run from {net.bus.index.min()} to {net.bus.index.max()}."
    if str(index) in set(names):
        hint += f' A bus has the name "{index}": write it in quotes.'
    return hint
