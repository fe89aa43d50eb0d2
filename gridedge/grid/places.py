"""Where buses lie: on the earth, or only on somebody's drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.buses import bus_coordinates

_EARTH_KM = 6371.0088  # mean radius (IUGG)
_SHORTEST_KM = 0.05  # below, rounding of the coordinates says nothing
# A line is as long as the straight way between its ends, or longer; sag, rounding and routes leave this much room.
_STRAIGHT = (0.2, 1.2)

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Places:
    """Where the buses of a net lie.

    Parameters
    ----------
    xy : ndarray, shape (bus, 2), or None
        Coordinates in the order of ``net.bus``, NaN where a bus has none; None where no bus has any.  Longitude and
        latitude (WGS 84) where ``geographic``. [degree, or whatever the drawing uses]
    geographic : bool
        Whether they are places on the earth.
    why_not : str
        A sentence that says why they are not; empty where they are.
    """

    xy: Float | None
    geographic: bool
    why_not: str


def places(net: Any) -> Places:
    """Return where the buses of a net lie, and whether that is on the earth.

    Parameters
    ----------
    net : pandapowerNet
        Its ``bus.geo`` holds GeoJSON points.

    Returns
    -------
    Places

    Notes
    -----
    A net does not say what its coordinates mean: ``cigre_mv`` stands at "longitude 7, latitude 15" because somebody
    drew it so.  They are taken for longitude and latitude where all could be, and where the lines agree: the great
    circle between the ends of a line, over the line's own length, has a median of 0.2 to 1.2 (chosen; 1 for a straight
    line).  Where all lines have the same length, a converter put it there, and nothing can be told.
    """
    xy = bus_coordinates(net)
    if xy is None:
        return Places(None, False, "The net has no coordinates.")
    known = xy[np.isfinite(xy).all(axis=1)]
    if (np.abs(known[:, 0]) > 180).any() or (np.abs(known[:, 1]) > 90).any():
        return Places(xy, False, "The coordinates are not longitude and latitude: some lie beyond 180 or 90 degrees.")
    at = dict(zip(net.bus.index.tolist(), xy, strict=True))
    ends = [(at[a], at[b]) for a, b in zip(net.line["from_bus"], net.line["to_bus"], strict=True)]
    length_km = net.line["length_km"].to_numpy(float)
    if not length_km.size or np.ptp(length_km) == 0:
        return Places(xy, False, "Nothing says that the coordinates are places: no line has a length of its own.")
    apart_km = great_circle_km(np.array([a for a, _ in ends]), np.array([b for _, b in ends]))
    told = np.isfinite(apart_km) & (apart_km > _SHORTEST_KM) & (length_km > _SHORTEST_KM)
    if not told.any():
        return Places(xy, False, "Nothing says that the coordinates are places: no line is long enough to compare.")
    straight = float(np.median(apart_km[told] / length_km[told]))
    if not _STRAIGHT[0] <= straight <= _STRAIGHT[1]:
        return Places(
            xy, False,
            "The coordinates are those of a drawing: read as degrees, the ends of a line would lie "
            f"{straight:.3g} times its length apart.",
        )  # fmt: skip
    return Places(xy, True, "")


def great_circle_km(a: Float, b: Float) -> Float:
    """Return the distance of points on the earth, by the haversine formula [1]_.

    Parameters
    ----------
    a, b : ndarray, shape (..., 2)
        Longitude and latitude. [degree]

    Returns
    -------
    ndarray, shape (...)
        On a sphere of 6371.0088 km. [km]

    References
    ----------
    .. [1] R. W. Sinnott, Virtues of the Haversine, Sky and Telescope 68(2), 1984, p. 159.
    """
    lon_a, lat_a = np.moveaxis(np.radians(a), -1, 0)
    lon_b, lat_b = np.moveaxis(np.radians(b), -1, 0)
    half = np.sin((lat_b - lat_a) / 2) ** 2 + np.cos(lat_a) * np.cos(lat_b) * np.sin((lon_b - lon_a) / 2) ** 2
    return np.asarray(2 * _EARTH_KM * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0))))
