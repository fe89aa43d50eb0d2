"""How far buses are from each other: by their coordinates, by line lengths, or by what the lines' reactance tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra

from gridedge.errors import bad, nearest
from gridedge.grid.buses import bus_coordinates
from gridedge.sites.fleet.places import distance_km

Float = NDArray[np.float64]
By = Literal["auto", "coordinates", "length", "reactance"]
X_OHM_PER_KM = 0.4
"""Reactance of an overhead line, by which a length is guessed where a net states none; assumed (0.3 to 0.5)."""
_NEAR_KM = 1e-6  # scipy takes a stored 0 for no edge
_WORDS = {
    "coordinates": "as the crow flies, by the coordinates of the buses",
    "length": "along the lines, by their lengths",
    "reactance": f"along the lines, by their reactance at {X_OHM_PER_KM:g} ohm/km (assumed): the net states no lengths",
}


@dataclass(frozen=True)
class Distances:
    """How far the buses of a net are from each other.

    Parameters
    ----------
    by : {"coordinates", "length", "reactance"}
        What a distance is measured by.
    bus : ndarray of int, shape (bus,)
        Index of each bus.
    place : ndarray, shape (bus, 2), or None
        Degrees east and north.
    graph : sparse matrix, shape (bus, bus)
        Lengths of lines; transformers and closed switches have none. [km]
    """

    by: str
    bus: NDArray[np.int64]
    place: Float | None
    graph: sp.csr_matrix

    @property
    def words(self) -> str:
        """What a distance is measured by, in words."""
        return _WORDS[self.by]

    def rows(self, buses: Sequence[int]) -> NDArray[np.intp]:
        """Return the positions of buses."""
        at = {int(b): k for k, b in enumerate(self.bus)}
        lost = [b for b in buses if int(b) not in at]
        if lost:
            raise bad("no bus has this index", str(lost[:5]), "Give indices of net.bus.")
        return np.array([at[int(b)] for b in buses], dtype=np.intp)

    def km(self, start: int, buses: Sequence[int]) -> Float:
        """Return how far buses are from one of them, infinite where nothing leads there, in km."""
        rows, first = self.rows(buses), int(self.rows([start])[0])
        if self.by == "coordinates":
            assert self.place is not None
            x, y = self.place[rows].T
            return distance_km(self.place[first, 1], self.place[first, 0], y, x)
        far: Float = dijkstra(self.graph, directed=False, indices=first)[rows]
        return far

    def path(self, start: int, end: int) -> list[int]:
        """Return the buses on the shortest way between two.

        Raises
        ------
        InputError
            If nothing leads from one to the other.
        """
        first, last = self.rows([start, end])
        far, before = dijkstra(self.graph, directed=False, indices=first, return_predecessors=True)
        if not np.isfinite(far[last]):
            raise bad(
                "nothing leads from one bus to the other", f"{start} to {end}", "Close a switch, or choose others."
            )
        way = [int(last)]
        while way[-1] != first:
            way.append(int(before[way[-1]]))
        return [int(self.bus[k]) for k in way[::-1]]


def distances(net: Any, by: By = "auto") -> Distances:
    """Return how far the buses of a net are from each other.

    Parameters
    ----------
    net : pandapowerNet
        The net.
    by : {"auto", "coordinates", "length", "reactance"}
        ``auto`` takes what the net has, in this order: coordinates in degrees at every bus (those of a drawing are
        told by lines that would be much longer than stated); line lengths that are not all the same; the lines'
        reactance.

    Raises
    ------
    InputError
        If the net has not what is asked for.
    """
    if by not in ("auto", *_WORDS):
        raise bad("unknown measure of distance", by, nearest(by, ["auto", *_WORDS]))
    place = bus_coordinates(net)
    if place is not None and (np.isnan(place).any() or (np.abs(place) > [180.0, 90.0]).any()):
        place = None  # some buses lie nowhere, or in a projection that is not known
    length = net.line["length_km"].to_numpy(float)
    real = length.size > 0 and np.ptp(length) > 0
    if place is not None and real and not _are_degrees(net, place, length):
        place = None
    if by == "auto":
        by = "coordinates" if place is not None else "length" if real else "reactance"
    if by == "coordinates" and place is None:
        raise bad("not every bus has coordinates in degrees", "bus.geo", 'Use by="length" or by="reactance".')
    if by == "length" and not real:
        raise bad("the net states no real line lengths", f"all {length[:1]} km", 'Use by="reactance".')
    bus = net.bus.index.to_numpy(np.int64)
    if by == "reactance":
        parallel = net.line["parallel"].to_numpy(float)
        length = length * net.line["x_ohm_per_km"].to_numpy(float) / parallel / X_OHM_PER_KM
    return Distances(str(by), bus, place, _graph(net, bus, length))


def _are_degrees(net: Any, place: Float, length_km: Float) -> bool:
    """Say whether coordinates can be degrees: a line is seldom shorter than the distance of its ends."""
    at = dict(zip(net.bus.index, place, strict=True))
    (x, y), (u, v) = (np.array([at[b] for b in net.line[f"{side}_bus"]]).T for side in ("from", "to"))
    return bool(np.median(distance_km(y, x, v, u) / np.maximum(length_km, _NEAR_KM)) <= 1.5)


def _graph(net: Any, bus: NDArray[np.int64], length_km: Float) -> sp.csr_matrix:
    at = {int(b): k for k, b in enumerate(bus)}
    open_at = {
        kind: set(
            net.switch.loc[(net.switch["et"] == kind) & ~net.switch["closed"].astype(bool), "element"].astype(int)
        )
        for kind in ("l", "t")
    }
    edges: list[tuple[int, int, float]] = []
    for index, a, b, on, km in zip(
        net.line.index, net.line["from_bus"], net.line["to_bus"], net.line["in_service"], length_km, strict=True
    ):
        if on and int(index) not in open_at["l"]:
            edges.append((a, b, abs(km)))
    for table, ends in (("trafo", ("hv_bus", "lv_bus")), ("impedance", ("from_bus", "to_bus"))):
        frame = net[table][net[table]["in_service"].astype(bool)]
        if table == "trafo":
            frame = frame[~frame.index.isin(open_at["t"])]
        edges += [(a, b, 0.0) for a, b in zip(frame[ends[0]], frame[ends[1]], strict=True)]
    three = net.trafo3w[net.trafo3w["in_service"].astype(bool)]
    edges += [(a, b, 0.0) for side in ("mv_bus", "lv_bus") for a, b in zip(three["hv_bus"], three[side], strict=True)]
    tied = net.switch[(net.switch["et"] == "b") & net.switch["closed"].astype(bool)]
    edges += [(a, b, 0.0) for a, b in zip(tied["bus"], tied["element"], strict=True)]
    shortest: dict[tuple[int, int], float] = {}  # a sparse matrix would add parallel lines up
    for a, b, km in edges:
        pair = (min(at[int(a)], at[int(b)]), max(at[int(a)], at[int(b)]))
        if pair[0] != pair[1]:
            shortest[pair] = min(max(km, _NEAR_KM), shortest.get(pair, np.inf))
    pairs = np.array(list(shortest), dtype=int).reshape(-1, 2)
    return sp.csr_matrix((list(shortest.values()), (pairs[:, 0], pairs[:, 1])), shape=(bus.size, bus.size))
