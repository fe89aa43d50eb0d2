"""Where towns lie: a small table of city centres, so that a site in a town has a distance."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from gridedge.errors import bad, nearest
from gridedge.sites.fleet.routing import Points

_FILE = Path(__file__).resolve().parent / "towns.csv"
SOURCE = "city centres as GeoNames lists them, from memory, to 0.01 degree"


@dataclass(frozen=True)
class Town:
    """A town's centre.

    Parameters
    ----------
    name : str
        In capitals.
    lat, lon : float
        Degrees, north and east.
    metro : str
        The area that it belongs to, such as ``dfw`` (Dallas and Fort Worth); empty where it belongs to none.
    """

    name: str
    lat: float
    lon: float
    metro: str


@cache
def known_towns() -> dict[str, Town]:
    """Return every town whose place is known, by name in capitals, other spellings included."""
    lines = [line for line in _FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    found = {}
    for row in csv.DictReader(lines):
        town = Town(row["town"], float(row["lat"]), float(row["lon"]), row["metro"])
        for name in filter(None, (row["town"], row["also"])):
            found[name] = town
    return found


def town_place(name: str) -> Town:
    """Return where a town lies.

    Raises
    ------
    InputError
        If its place is not known; the message suggests the nearest name.
    """
    key = " ".join(name.upper().split())
    if key not in known_towns():
        raise bad("the place of this town is not known", name, nearest(key, known_towns()))
    return known_towns()[key]


def metro_towns(metro: str) -> list[str]:
    """Return the towns of an area, in the order of the table: the largest first.

    Raises
    ------
    InputError
        If there is no such area.
    """
    areas = {t.metro for t in known_towns().values() if t.metro}
    if metro not in areas:
        raise bad("unknown area of towns", metro, nearest(metro, areas))
    return [name for name, t in known_towns().items() if t.metro == metro]


def town_points(names: Sequence[str], weight: ArrayLike | None = None) -> Points:
    """Return towns as places of people or of sites.

    Parameters
    ----------
    names : sequence of str
        Towns.
    weight : array_like, shape (town,), optional
        Share of each; all alike if left out.
    """
    found = [town_place(name) for name in names]
    share = np.ones(len(found)) if weight is None else np.asarray(weight, dtype=float)
    lat, lon = (np.array([getattr(t, key) for t in found], dtype=float) for key in ("lat", "lon"))
    return Points([t.name for t in found], lat, lon, share)
