"""From complex bus voltages to what a study reads: voltages, loadings and losses.

The branches, their admittances and their ratings are those of pandapower's internal
bus-branch model, so switches, taps and three-winding transformers mean here exactly
what they mean to ``runpp``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Float = NDArray[np.float64]
_SQRT3 = np.sqrt(3.0)


@dataclass(frozen=True)
class Side:
    """One end of some branches: which rows feed which element, and what loads it fully."""

    element: NDArray[np.intp]
    admittance: sp.csr_matrix
    bus: NDArray[np.intp]
    full_current_ka: Float
    base_ka: Float


@dataclass(frozen=True)
class Readout:
    """How the voltages of a solved net become results.

    Parameters
    ----------
    bus_index : ndarray, shape (bus,)
        Index of every bus in ``net.bus``.
    bus_row : ndarray, shape (bus,)
        Row of the bus in the solver's voltage vector, -1 where it has none.
    labels, element, index : list
        Branches as ``line:12``, their table and their index there.
    sides : tuple of Side
        Ends that carry current, with their ratings.
    dead : ndarray
        Branches at a bus without voltage: their loading is NaN, as in ``runpp``.
    base_mva : float
        Base power of the per-unit system. [MVA]
    base_v : ndarray, shape (row,)
        Voltages of the solved base state. [pu]
    """

    bus_index: NDArray[np.intp]
    bus_row: NDArray[np.intp]
    labels: list[str]
    element: list[str]
    index: NDArray[np.intp]
    sides: tuple[Side, ...]
    dead: NDArray[np.intp]
    base_mva: float
    base_v: NDArray[np.complex128]

    def voltages(self, v: NDArray[np.complex128]) -> tuple[Float, Float]:
        """Return ``vm_pu`` and ``va_degree``, both (time, bus), of voltages (row, time)."""
        vm = np.full((v.shape[1], self.bus_index.size), np.nan)
        va = vm.copy()
        here = self.bus_row >= 0
        at_bus = v[self.bus_row[here]].T
        vm[:, here] = np.abs(at_bus)
        va[:, here] = np.degrees(np.angle(at_bus))
        return vm, va

    def branches(self, v: NDArray[np.complex128]) -> tuple[Float, Float]:
        """Return ``loading_percent`` and ``pl_mw``, both (time, branch)."""
        steps = v.shape[1]
        loading = np.zeros((steps, len(self.labels)))
        losses = np.zeros_like(loading)
        for side in self.sides:
            current = side.admittance @ v
            flow = (v[side.bus] * current.conj()).real * self.base_mva
            losses[:, side.element] += flow.T  # an element stands once in a side
            with np.errstate(divide="ignore", invalid="ignore"):
                percent = 100.0 * np.abs(current) * (side.base_ka / side.full_current_ka)[:, None]
            loading[:, side.element] = np.maximum(loading[:, side.element], percent.T)
        loading[:, self.dead] = np.nan
        return loading, losses

    def flat(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Return what the inner loops of :mod:`gridedge.grid.engines.outputs` need of buses, and of branches."""
        turn = np.zeros(self.bus_index.size, dtype=complex)
        here = self.bus_row >= 0
        turn[here] = self.base_v[self.bus_row[here]]
        turn[here] /= np.abs(turn[here])
        element = np.concatenate([s.element for s in self.sides] or [np.empty(0, dtype=np.intp)])
        order = np.argsort(element, kind="stable")
        ptr = np.searchsorted(element[order], np.arange(len(self.labels) + 1)).astype(np.int64)
        y = sp.csr_matrix((0, self.base_v.size), dtype=complex)
        bus, full2 = np.empty(0, dtype=np.int64), np.empty(0)
        if element.size:
            y = sp.csr_matrix(sp.vstack([s.admittance for s in self.sides]))[order]
            bus = np.concatenate([s.bus for s in self.sides])[order].astype(np.int64)
            with np.errstate(divide="ignore"):
                full2 = np.concatenate([(s.base_ka / s.full_current_ka) ** 2 for s in self.sides])[order]
        buses = (self.bus_row.astype(np.int64), turn.real.copy(), turn.imag.copy(), np.degrees(np.angle(turn)))
        pattern = (y.indptr.astype(np.int32), y.indices.astype(np.int32))
        return buses, (ptr, bus, full2, *pattern, y.data.real.copy(), y.data.imag.copy(), self.base_mva)


def readout(net: Any) -> Readout:
    """Build the readout of a net that has just been solved by ``runpp``."""
    ppc, lookups = net._ppc, net._pd2ppc_lookups
    internal = ppc["internal"]
    rows = internal["Ybus"].shape[0]
    bus_index = net.bus.index.to_numpy(dtype=np.intp)
    bus_row = np.asarray(lookups["bus"], dtype=np.intp)[bus_index]
    bus_row = np.where((bus_row >= 0) & (bus_row < rows) & net.bus.in_service.to_numpy(bool), bus_row, -1)

    labels: list[str] = []
    element: list[str] = []
    index: list[int] = []
    ends: list[tuple[slice, int, NDArray[np.intp], Float]] = []
    for table, (first, stop) in sorted(lookups["branch"].items(), key=lambda item: item[1][0]):
        if table not in {"line", "trafo", "trafo3w", "impedance"}:
            continue
        frame = net[table]
        position = np.arange(len(labels), len(labels) + len(frame), dtype=np.intp)
        labels += [f"{table}:{i}" for i in frame.index]
        element += [table] * len(frame)
        index += [int(i) for i in frame.index]
        for rows_of_end, end, rating in _ends(table, frame, first, stop, net):
            ends.append((rows_of_end, end, position, rating))

    in_service = np.asarray(internal["branch_is"], dtype=bool)
    row_of = np.cumsum(in_service) - 1
    branch = internal["branch"]
    base_kv = internal["bus"][:, 9].real
    base_mva = float(internal["baseMVA"])
    sides, dead = [], [np.empty(0, dtype=np.intp)]
    for rows_of_end, end, position, rating in ends:
        ppc_rows = np.arange(rows_of_end.start, rows_of_end.stop)
        alive = in_service[ppc_rows]
        if not np.isinf(rating).all():  # the star point of three windings is nobody's bus
            outside = ppc["branch"][ppc_rows, end].real >= rows
            dead.append(position[outside])
        here = row_of[ppc_rows[alive]]
        matrix = sp.csr_matrix(internal["Yf"] if end == 0 else internal["Yt"])[here]
        bus = branch[here, end].real.astype(np.intp)
        base_ka = base_mva / (_SQRT3 * base_kv[bus])
        sides.append(Side(position[alive], matrix, bus, rating[alive], base_ka))
    numbers = np.asarray(index, dtype=np.intp)
    base_v = np.asarray(internal["V"]).copy()
    none = np.unique(np.concatenate(dead))
    return Readout(bus_index, bus_row, labels, element, numbers, tuple(sides), none, base_mva, base_v)


def _ends(table: str, frame: Any, first: int, stop: int, net: Any) -> list[tuple[slice, int, Float]]:
    """Return, per end that carries a rating, its rows, which end it is, and its full current [kA]."""
    whole = slice(first, stop)

    def column(name: str) -> Float:
        return np.asarray(frame[name], dtype=float)

    if table == "line":
        full = column("max_i_ka") * column("df") * column("parallel")
        return [(whole, 0, full), (whole, 1, full)]
    if table == "trafo":
        units = column("sn_mva") * column("parallel") * column("df")
        return [
            (whole, 0, units / (_SQRT3 * column("vn_hv_kv"))),
            (whole, 1, units / (_SQRT3 * column("vn_lv_kv"))),
        ]
    if table == "impedance":
        # pandapower prints no loading here; the rating is sn_mva at the nominal voltage of each end.
        rated = column("sn_mva")
        vn_kv = net.bus.vn_kv
        return [
            (whole, 0, rated / (_SQRT3 * vn_kv.loc[frame.from_bus].to_numpy(float))),
            (whole, 1, rated / (_SQRT3 * vn_kv.loc[frame.to_bus].to_numpy(float))),
        ]
    # Three windings are three branches to a common star point; only the outer ends are rated.
    count = len(frame)
    never = np.full(count, np.inf)
    ends = []
    for k, (side, outer) in enumerate((("hv", 0), ("mv", 1), ("lv", 1))):
        rows = slice(first + k * count, first + (k + 1) * count)
        full = column(f"sn_{side}_mva") / (_SQRT3 * column(f"vn_{side}_kv"))
        ends += [(rows, outer, full), (rows, 1 - outer, never)]
    return ends
