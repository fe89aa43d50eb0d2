"""The outages of a net near one state of it, flat for the inner loop: many states of every outage at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridedge.errors import RunError
from gridedge.grid.engines import reference
from gridedge.grid.engines.buffers import LANES, Lanes
from gridedge.grid.engines.factors import ordering, triangles
from gridedge.grid.engines.lowrank import Linear, jacobian_of, linearise, prepare, reference_row
from gridedge.grid.engines.model import Complex, Float, Model
from gridedge.grid.engines.outage_shares import Rooms
from gridedge.grid.engines.outages import Change
from gridedge.grid.engines.threads import on_threads

Index = NDArray[np.int64]
_BLOCK = 64  # outages prepared at once
EXACT_PU = 1e-10
"""What may be left when a state counts as solved, as in the batch engine. [pu]"""
_MOST = 60
_RANK = LANES  # of gridedge.grid.engines.outage_lanes, which is compiled when it is imported


@dataclass(frozen=True)
class Held:
    """What every element is held to after an outage.

    Parameters
    ----------
    low, high : ndarray, shape (bus,)
        Lowest and highest voltage; infinite where there is no limit. [pu]
    full : ndarray, shape (branch,)
        Highest loading; infinite where there is no limit. [%]
    loosen : bool
        Whether what breaks a limit in an outage without the site is held to its own worst value there.
    worse_pu, worse_percent, noise : float
        What it may pass that value by, and what is no break. [pu and %]
    """

    low: Float
    high: Float
    full: Float
    loosen: bool
    worse_pu: float
    worse_percent: float
    noise: float


@dataclass(frozen=True)
class States:
    """States without outage, blocks of lanes; those without a site come first, padded to whole blocks.

    Parameters
    ----------
    v, s : Lanes
        Voltages and injections; where units share, those of the schedule. [pu]
    unit : ndarray, shape (unit, state)
        What every unit that may be lost delivers; where units share, by its schedule. [pu]
    change : ndarray, shape (state,)
        What all units deliver beyond their schedule; 0 where they do not share. [pu]
    zero : int
        Blocks of states without a site.
    """

    v: Lanes
    s: Lanes
    unit: Complex
    change: Float
    zero: int


class Secured:
    """Outages prepared at one state of a net.

    Parameters
    ----------
    model : Model
        The net without outage.
    v : ndarray, shape (row,)
        Voltages near which the states lie. [pu]
    changes : sequence of Change
        What the outages change.
    units : dict of (str, int) to int
        Number of every unit that may be lost, by table and position.
    out : sequence of list of int
        Branches that are out, per outage.
    terminals : ndarray, shape (branch, 3)
        Rows of the ends of every branch; -1 where it has no such end.
    rooms : Rooms, optional
        What units can deliver more and less, where they share what an outage changes; without, it is for the reference.

    Raises
    ------
    RunError
        If the Jacobian there is singular.
    """

    def __init__(
        self,
        model: Model,
        v: Complex,
        changes: Sequence[Change],
        units: dict[tuple[str, int], int],
        out: Sequence[Sequence[int]],
        terminals: NDArray[np.intp],
        rooms: Rooms | None = None,
    ):
        linear = linearise(model, v)
        if linear is None:
            raise RunError("The Jacobian of the net is singular at its operating point: no outage can be solved there.")
        self.rows = model.v0.size
        branches = model.readout.flat()
        # Angle and magnitude of a bus stand next to each other.
        free = linear.free
        place = np.empty(free.size)
        place[ordering(model.y[free][:, free])] = np.arange(free.size)
        sequence = np.argsort(np.r_[place, place + 0.5], kind="stable")
        t = triangles(sp.csc_matrix(jacobian_of(linear)[sequence][:, sequence]))
        back = np.empty(sequence.size, dtype=np.int64)
        back[sequence] = np.arange(sequence.size)
        to, source = t.row_to[back].astype(np.int64), t.column_from[back].astype(np.int64)
        angle_to, magnitude_to, angle_from, magnitude_from = np.full((4, self.rows), -1, dtype=np.int64)
        angle_to[free], magnitude_to[free] = to[: free.size], to[free.size :]
        angle_from[free], magnitude_from[free] = source[: free.size], source[free.size :]
        held = np.zeros(self.rows, dtype=bool)
        held[free] = linear.held
        y = model.y
        flat, self.slow = _flat(linear, changes, units, out, to, source)
        self._before = (
            held, t.lower, t.upper, t.lower_value.astype(np.float32), t.upper_value.astype(np.float32),
            t.inverse_diagonal.astype(np.float32), y.indptr, y.indices, y.data.real.copy(), y.data.imag.copy(),
            angle_to, magnitude_to, angle_from, magnitude_from, *flat[:-2],
        )  # fmt: skip
        self._after = (*flat[-2:], terminals.astype(np.int64), branches[0][0], branches[1])
        self._rooms = _shared(linear, changes, source, rooms, len(units))

    def margins(
        self, which: NDArray[np.intp], states: States, held: Held, error_pu: float = EXACT_PU
    ) -> tuple[Float, NDArray[np.int32], NDArray[np.bool_]]:
        """Return margins and whose they are, both (outage, 4, state), and which (outage, state) are solved.

        See :func:`gridedge.grid.engines.outage_lanes.outages_of_states`.
        """
        from gridedge.grid.engines.outage_lanes import outages_of_states

        blocks = states.v.re.shape[0] // self.rows
        margin = np.empty((which.size, 4, blocks * LANES))
        where = np.empty(margin.shape, dtype=np.int32)
        solved = np.zeros((which.size, blocks * LANES), dtype=bool)
        unit_re, unit_im = np.ascontiguousarray(states.unit.real), np.ascontiguousarray(states.unit.imag)
        on_threads(
            outages_of_states, which.size, which.astype(np.int64), states.zero, blocks, self.rows, states.s.re,
            states.s.im, states.v.re, states.v.im, *self._before, unit_re, unit_im, *self._after,
            held.low, held.high, held.full, held.loosen, held.worse_pu, held.worse_percent, held.noise,
            *self._rooms, states.change, error_pu, _MOST, reference.FAR_PU, margin, where, solved,
        )  # fmt: skip
        return margin, where, solved


def _flat(
    linear: Linear,
    changes: Sequence[Change],
    units: dict[tuple[str, int], int],
    out: Sequence[Sequence[int]],
    to: Index,
    source: Index,
) -> tuple[tuple[Any, ...], NDArray[np.bool_]]:
    """Return the outages as flat arrays, and which of them the inner loop cannot do."""
    equations: list[Index] = []
    reads: list[Index] = []
    gains: list[Float] = []
    slow = np.zeros(len(changes), dtype=bool)
    for first in range(0, len(changes), _BLOCK):
        prepared = prepare(linear, changes[first : first + _BLOCK])
        for k, change in enumerate(prepared.changes):
            size = prepared.equations[k].size
            usable = size <= _RANK and np.isfinite(prepared.gain[k]).all() and not change.reason
            slow[first + k] = not usable
            equations.append(to[prepared.equations[k]] if usable else np.zeros(0, dtype=np.int64))
            reads.append(source[prepared.reads[k]] if usable else np.zeros(0, dtype=np.int64))
            gains.append(prepared.gain[k].ravel() if usable else np.zeros(0))
    freed = [np.setdiff1d(c.freed, c.dark) for c in changes]
    lost_row = [np.array([row for _, _, row in c.lost], dtype=np.int64) for c in changes]
    lost_unit = [np.array([units[table, position] for table, position, _ in c.lost], dtype=np.int64) for c in changes]
    dy = np.concatenate([c.dy.ravel() for c in changes])
    return (
        *_joined(equations), *_joined(reads), *_joined(gains), *_joined([c.rows for c in changes]),
        _joined([c.dy.real.ravel() for c in changes])[0], dy.real.copy(), dy.imag.copy(), *_joined(freed),
        *_joined([c.dark for c in changes]), *_joined(lost_row), _joined(lost_unit)[1],
        *_joined([np.array(o, dtype=np.int64) for o in out]),
    ), slow  # fmt: skip


def _shared(
    linear: Linear, changes: Sequence[Change], source: Index, rooms: Rooms | None, units: int
) -> tuple[Any, ...]:
    """Return what the inner loop needs where units share: their room, and how the reference's power depends on all."""
    ptr = np.zeros((2, len(changes)), dtype=np.int64)
    if rooms is None:
        rows = np.zeros((2, linear.model.v0.size))
        return -1, *rows, *np.zeros((2, units)), 0.0, *ptr, np.zeros(0, dtype=np.int64), np.zeros(0)
    whole = reference_row(linear, rooms.ref, None)
    at = np.flatnonzero(whole)
    places, values = [source[at]], [whole[at]]
    ptr[1] = size = at.size
    for k, change in enumerate(changes):
        if rooms.ref in change.rows:
            own = reference_row(linear, rooms.ref, change)
            at = np.flatnonzero(own)
            places.append(source[at])
            values.append(own[at])
            ptr[:, k] = size, size + at.size
            size += at.size
    row, lost = np.ascontiguousarray(rooms.row), np.ascontiguousarray(rooms.lost)
    return rooms.ref, *row, *lost, rooms.none, *ptr, np.concatenate(places), np.concatenate(values)


def _joined(parts: Sequence[NDArray[Any]]) -> tuple[Index, NDArray[Any]]:
    """Return where each part begins, and all parts one behind the other."""
    ptr = np.concatenate(([0], np.cumsum([part.size for part in parts]))).astype(np.int64)
    whole = np.concatenate(parts) if parts else np.zeros(0)
    return ptr, whole if whole.dtype == np.float64 else whole.astype(np.int64)
