"""Many states at once in which all units share in proportion to their headroom, side by side in lanes.

Each unit takes the part of a change of generation that its headroom has in the headroom of all, so all reach their
limits together and nobody has to be switched: what the units deliver is linear in one number per state, the change.
It is one more unknown of the chord Newton method, and the active power of the reference bus is its equation; so a state
costs hardly more than one in which the slack delivers everything.  The equations are those of
:mod:`gridedge.grid.engines.supply` without reactive limits.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridedge.grid.engines.batch import Batch, Drawn
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.dispatch import P_MW
from gridedge.grid.engines.model import Complex, Float, Model
from gridedge.grid.engines.newton import determinant_sign
from gridedge.grid.engines.reference import FAR_PU
from gridedge.grid.engines.units import Units

Mask = NDArray[np.bool_]


class Sharing:
    """A net whose units share a change of load, ready to solve blocks of states.

    Parameters
    ----------
    model : Model
        The net, with one reference bus.
    units : Units
        Its units, with the schedule that stands in the net.
    still, p, q
        As in :class:`gridedge.grid.engines.inputs.Inputs`; no column moves a unit.
    centre : ndarray, shape (row,)
        Injections near which the states lie. [pu]
    """

    def __init__(self, model: Model, units: Units, still: Complex, p: sp.csr_matrix, q: sp.csr_matrix, centre: Complex):
        base, rows = model.base_mva, model.v0.size
        self.model = model
        scheduled = np.bincount(units.row, units.p_mw, minlength=rows) / base - (model.s0 - units.other).real
        load = float((model.s0 - centre).real.sum())
        self._batch, self._room = [], []
        for room_mw in (units.max_p_mw - units.p_mw, units.p_mw - units.min_p_mw):
            room = np.fmax(room_mw / base, 0.0)
            room[np.isnan(room)] = 0.0
            total = float(room.sum())
            part = room / total if total > 0 else units.weight  # else the reference unit, as in dispatch.shares
            share: Float = np.bincount(units.row, part, minlength=rows).astype(float)
            near = centre + scheduled + share * load
            self._batch.append(Batch(model, still + scheduled, p, q, near, share))
            self._room.append(total + P_MW / base)

    def of_steps(self, p: sp.csr_matrix, q: sp.csr_matrix) -> Sharing:
        """Return the same for other columns of what moves."""
        other = object.__new__(Sharing)
        other.model, other._room = self.model, self._room
        other._batch = [b.of_steps(p, q) for b in self._batch]
        return other

    def solve(self, x: Float, v: Lanes, drawn: Drawn | None, most: int, far: bool = False) -> tuple[Mask, Mask, Float]:
        """Solve a block of states by the inner loops; the arguments are those of :meth:`Batch.contracting`.

        Returns
        -------
        solved : ndarray of bool, shape (state,)
            Which states contract, and lie within the headroom of the units.
        short : ndarray of bool, shape (state,)
            Which contract, but beyond it: these have no solution.
        change : ndarray, shape (state,)
            Change of generation. [pu]
        """
        none = P_MW / self.model.base_mva
        good, change = self._batch[0].shared(x, v, drawn, most, far)
        short = good & (change > self._room[0])
        turned = np.flatnonzero(good & (change < -none))
        if turned.size:  # generation falls: it is shared by what the units can reduce
            states = Lanes(v.rows, turned.size)
            some = (x[turned], None) if drawn is None else (x, drawn.some(turned))
            fell, least = self._batch[1].shared(some[0], states, some[1], most, far)
            v.put(turned, states.take(np.arange(turned.size)))
            change[turned] = least
            short[turned] = fell & (-least > self._room[1])
            good[turned] = fell & (least <= none)
        good &= ~short
        if far:
            self._upright(v, good)
        return good, short, change

    def _upright(self, v: Lanes, good: Mask) -> None:
        """Strike out roots beyond the nose of the PV curve among those far from the base state, in place."""
        states = np.flatnonzero(good)
        found = v.take(states)
        away = (np.abs(np.abs(found) - np.abs(self.model.v0)[:, None]) > FAR_PU).any(axis=0)
        for k in np.flatnonzero(away):
            good[states[k]] = determinant_sign(self.model, found[:, k]) == determinant_sign(self.model, self.model.v0)
