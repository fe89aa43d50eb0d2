"""Who delivers after an outage: the units that remain, each in proportion to the headroom that it has.

Before the outage each unit delivers its schedule and its part of one change, in proportion to its headroom.  So what a
unit has left is in proportion to what it had, and it does not matter whether the remaining units share only what the
outage adds, or all that is not scheduled: the second is done here.  Where generation must fall below the schedule, as
when an outage cuts load off, it is shared in proportion to the footroom (``p_mw`` less ``min_p_mw``), and beyond it
where that does not suffice: units can be switched off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.engines.dispatch import P_MW
from gridedge.grid.engines.model import Float, Model
from gridedge.grid.engines.outages import Change
from gridedge.grid.engines.units import Units

_MOST = 20
LEFT_MW = 1e-8
"""What the reference may deliver beside its part when a state is solved by itself. [MW]"""


@dataclass(frozen=True)
class Rooms:
    """What every unit can still deliver, and can deliver less, from its schedule on.

    Parameters
    ----------
    ref : int
        Row of the reference bus.
    scheduled : ndarray, shape (row,)
        What the schedule adds to the injections of the model: that of the reference units. [pu]
    unit : ndarray, shape (2, unit)
        Headroom and footroom of each unit; 0 where none is known. [pu]
    row : ndarray, shape (2, row)
        The same of all units at a row. [pu]
    lost : ndarray, shape (2, lost unit)
        The same of the units that may be lost. [pu]
    none : float
        A change of generation by less is none. [pu]
    """

    ref: int
    scheduled: Float
    unit: Float
    row: Float
    lost: Float
    none: float

    def left(self, change: Change, lost: list[int]) -> tuple[Float, float]:
        """Return the parts (2, row) of rising and of falling generation, and the headroom that remains [pu]."""
        room = self.row.copy()
        for (_, _, row), k in zip(change.lost, lost, strict=True):
            room[:, row] -= self.lost[:, k]
        room[:, change.dark] = 0.0
        total = room.sum(axis=1)
        alone = np.zeros(room.shape[1])
        alone[self.ref] = 1.0
        parts = [room[k] / total[k] if total[k] > self.none else alone for k in (0, 1)]
        return np.array(parts), float(max(total[0], 0.0))


def rooms_of(
    model: Model, units: Units, p_mw: Float, lost: Mapping[tuple[str, int], int], index: NDArray[np.intp]
) -> Rooms:
    """Return what units can do.

    Parameters
    ----------
    model : Model
        The net, with one reference bus.
    units : Units
        Its units.
    p_mw : ndarray, shape (unit,)
        Their schedule. [MW]
    lost : mapping of (str, int) to int
        Number of every unit that may be lost, by table and position.
    index : ndarray, shape (lost unit,)
        Its index in that table.
    """
    rows, base = model.v0.size, model.base_mva
    room = np.fmax(np.array([units.max_p_mw - p_mw, p_mw - units.min_p_mw]) / base, 0.0)
    room[np.isnan(room)] = 0.0
    of_row = np.array([np.bincount(units.row, r, minlength=rows) for r in room])
    place = {unit: k for k, unit in enumerate(zip(units.table, units.index.tolist(), strict=True))}
    of_lost = np.zeros((2, len(lost)))
    for (table, _), k in lost.items():
        here = place.get((table, int(index[k])))
        if here is not None:
            of_lost[:, k] = room[:, here]
    scheduled = np.zeros(rows)
    ref = int(model.ref[0])
    stands = float(units.p_mw[units.row == ref].sum()) / base
    scheduled[ref] = stands - float((model.s0 - units.other).real[ref])
    return Rooms(ref, scheduled, room, of_row, of_lost, P_MW / base)


def balanced(surplus: Callable[[float], float | None], begin: float, left: float) -> float | None:
    """Return the change of generation at which the reference delivers its part and nothing beside it.

    Parameters
    ----------
    surplus : callable
        What the reference delivers beside its part at a change, in pu; None without a solution.
    begin : float
        Where to start. [pu]
    left : float
        What it may deliver beside its part. [pu]

    Notes
    -----
    The secant method.  A change that rises by one takes one from the reference, but for the losses: so the first step
    is nearly right.
    """
    change = begin
    before: tuple[float, float] | None = None
    for _ in range(_MOST):
        off = surplus(change)
        if off is None or not np.isfinite(off):
            return None
        if abs(off) < left:
            return change
        slope = -1.0
        if before is not None and change != before[0]:
            slope = (off - before[1]) / (change - before[0])
            if not -2.0 < slope < -0.2:  # of rounding, or across the change from head- to footroom
                slope = -1.0
        before = change, off
        change -= off / slope
    return None
