"""What it takes to draw a net: where buses lie, which branches join them, and how long each is electrically."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.buses import line_coordinates
from gridedge.grid.places import Places, places

_ENDS = {
    "line": (("from_bus", "to_bus"),),
    "trafo": (("hv_bus", "lv_bus"),),
    "trafo3w": (("hv_bus", "mv_bus"), ("hv_bus", "lv_bus")),
    "impedance": (("from_bus", "to_bus"),),
}

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Drawing:
    """A net as points and courses.

    Parameters
    ----------
    bus : ndarray of int, shape (bus,)
        Indices of the buses, in the order of the net.
    places : Places
        Where they lie, if anywhere.
    label : list of str, length branch
        Labels of the branches in service, ``line:12``; a transformer of three windings is there twice.
    ends : ndarray of int, shape (branch, 2)
        Positions of their two buses in ``bus``.
    course : list of ndarray, length branch, each of shape (point, 2)
        Their way, as far as it is known; of shape (0, 2) else.
    z_ohm : ndarray, shape (branch,)
        Magnitude of the series impedance of lines; 0 for what changes the voltage, and for closed switches. [ohm]
    """

    bus: NDArray[np.int64]
    places: Places
    label: list[str]
    ends: NDArray[np.intp]
    course: list[Float]
    z_ohm: Float


def drawing(net: Any) -> Drawing:
    """Return what it takes to draw a net; branches out of service are left out."""
    at = {bus: k for k, bus in enumerate(net.bus.index.tolist())}
    lines = line_coordinates(net)
    label: list[str] = []
    ends: list[tuple[int, int]] = []
    course: list[Float] = []
    z_ohm: list[float] = []
    for table, pairs in _ENDS.items():
        frame = net[table]
        on = frame["in_service"].to_numpy(bool)
        for first, second in pairs:
            for k in np.flatnonzero(on).tolist():
                label.append(f"{table}:{frame.index[k]}")
                ends.append((at[frame[first].iat[k]], at[frame[second].iat[k]]))
                course.append(lines[k] if table == "line" and lines is not None else np.empty((0, 2)))
                z_ohm.append(0.0)
        if table == "line" and len(frame):
            per_km = np.hypot(frame["r_ohm_per_km"], frame["x_ohm_per_km"])
            z_ohm = (per_km * frame["length_km"] / frame["parallel"]).to_numpy(float)[on].tolist()
    closed = net.switch[(net.switch["et"] == "b") & net.switch["closed"].astype(bool)]
    for k, a, b in zip(closed.index, closed["bus"], closed["element"], strict=True):
        label.append(f"switch:{k}")
        ends.append((at[a], at[b]))
        course.append(np.empty((0, 2)))
        z_ohm.append(0.0)
    return Drawing(
        net.bus.index.to_numpy(np.int64), places(net), label, np.array(ends, dtype=np.intp).reshape(-1, 2), course,
        np.array(z_ohm),
    )  # fmt: skip
