"""Where people and sites are, and how long a request is on its way."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import bad

Float = NDArray[np.float64]
EARTH_KM = 6371.0
LIGHT_IN_FIBRE_KM_PER_S = 204_000.0
"""Speed of light over a refractive index of 1.47."""


def distance_km(lat_a: ArrayLike, lon_a: ArrayLike, lat_b: ArrayLike, lon_b: ArrayLike) -> Float:
    """Return the great-circle distance of points in degrees, by the haversine formula. [km].

    Raises
    ------
    InputError
        If a latitude or longitude is none.
    """
    a, b = (np.radians(np.asarray(v, dtype=float)) for v in (lat_a, lat_b))
    x, y = (np.radians(np.asarray(v, dtype=float)) for v in (lon_a, lon_b))
    for name, value, most in (("latitude", a, np.pi / 2), ("latitude", b, np.pi / 2), ("longitude", x, 2 * np.pi)):
        if not np.isfinite(value).all() or (np.abs(value) > most + 1e-12).any():
            raise bad(f"a place has no {name}", float(np.degrees(np.max(np.abs(value)))), "Give degrees.")
    half = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin((y - x) / 2) ** 2
    return np.asarray(2 * EARTH_KM * np.arcsin(np.sqrt(np.minimum(half, 1.0))))


def network_time_s(km: ArrayLike, *, access_s: float, detour: float) -> Float:
    """Return the time of a request there and back.

    Parameters
    ----------
    km : array-like
        Distance as the crow flies. [km]
    access_s : float
        Time in the access network, there and back. [s]
    detour : float
        Length of the fibre over the distance, 1 or more.
    """
    if not (access_s >= 0 and detour >= 1):
        raise bad("a network cannot be shorter than the distance", f"detour {detour:g}", "Give 1 or more.")
    return np.asarray(access_s + 2.0 * detour * np.asarray(km, dtype=float) / LIGHT_IN_FIBRE_KM_PER_S)
