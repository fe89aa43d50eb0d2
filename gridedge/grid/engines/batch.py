"""The batch engine: many states at once, side by side in SIMD lanes, with one factorisation for all.

Nets whose buses all have given powers are solved by the fixed point V = V_idle + Z conj(S / V); nets with
voltage-controlled buses by a chord Newton method, its Jacobian taken at the mean of the states.  A state that does
not contract is given to an exact Newton; what that cannot solve either is marked and yields no number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridedge.grid.engines import reference
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.factors import Triangles, jacobian, ordering, triangles
from gridedge.grid.engines.inputs import Inputs
from gridedge.grid.engines.model import Complex, Float, Model
from gridedge.grid.engines.moving import Moving
from gridedge.grid.engines.newton import exact, newton
from gridedge.grid.engines.threads import spread

_ERROR_PU = 1e-10  # what may be left when a state counts as solved
_MOST = 40
_SAMPLE = 64  # states whose mean the Jacobian is taken at


class Batch:
    """A net and its factors, ready to solve blocks of states.

    Parameters
    ----------
    model : Model
        The net.
    still, p, q
        As in :class:`Inputs`.
    centre : ndarray, shape (row,)
        Injections near which the states lie. [pu]
    """

    def __init__(self, model: Model, still: Complex, p: sp.csr_matrix, q: sp.csr_matrix, centre: Complex):
        solved = newton(model, centre)
        self.model = model
        self.start = model.v0 if solved is None else solved
        self.still, self.p, self.q = still, p, q
        self.rows = model.v0.size
        self._fixed = not model.pv.size
        if self._fixed:
            self._prepare_fixed_point()
        else:
            self._prepare_chord()

    @property
    def method(self) -> str:
        """What solves the states, in words."""
        return "fixed point" if self._fixed else "chord Newton"

    def _prepare_fixed_point(self) -> None:
        m = self.model
        unknown = m.pq
        t = _NOTHING
        if unknown.size:
            unknown = unknown[ordering(m.y[unknown][:, unknown])]
            t = triangles(sp.csc_matrix(m.y[unknown][:, unknown]), pivot=0.0)
            unknown = unknown[np.argsort(t.column_from)]  # the factors have an order of their own
        drive = -(m.y[unknown][:, m.ref] @ m.v0[m.ref])
        idle = splu(sp.csc_matrix(m.y[unknown][:, unknown])).solve(drive) if unknown.size else drive
        self._effort = 8 * (4 * (t.lower_value.size + t.upper_value.size) + 20 * unknown.size)
        base = np.abs(m.v0[unknown])
        self._arguments: tuple[Any, ...] = (
            *_split(self.still[unknown]), *_rows(self.p, unknown), *_rows(self.q, unknown), t.lower, t.upper,
            *_split(t.lower_value), *_split(t.upper_value), *_split(t.inverse_diagonal), *_split(idle),
            *_split(self.start[unknown]), unknown.astype(np.int64),
            np.maximum(base - reference.FAR_PU, 0.0) ** 2, (base + reference.FAR_PU) ** 2,
            m.ref.astype(np.int64), *_split(m.v0[m.ref]),
        )  # fmt: skip

    def _prepare_chord(self) -> None:
        m = self.model
        angles = np.r_[m.pv, m.pq]
        free = np.sort(angles)
        order = free[ordering(m.y[free][:, free])]
        # Angle and magnitude of a bus stand next to each other.
        place = np.empty(self.rows)
        place[order] = np.arange(order.size)
        sequence = np.argsort(np.r_[place[angles], place[m.pq] + 0.5], kind="stable")
        t = triangles(sp.csc_matrix(jacobian(m, self.start)[sequence][:, sequence]))
        back = np.empty(sequence.size, dtype=np.int64)
        back[sequence] = np.arange(sequence.size)
        angle_to, magnitude_to, angle_from, magnitude_from = np.full((4, self.rows), -1, dtype=np.int64)
        angle_to[angles], angle_from[angles] = t.row_to[back[: angles.size]], t.column_from[back[: angles.size]]
        magnitude_to[m.pq], magnitude_from[m.pq] = t.row_to[back[angles.size :]], t.column_from[back[angles.size :]]
        self._effort = 8 * ((t.lower_value.size + t.upper_value.size) // 2 + 4 * m.y.nnz + 30 * self.rows)
        base = np.abs(m.v0)
        every = np.arange(self.rows)
        self._arguments = (
            *_split(self.still), *_rows(self.p, every), *_rows(self.q, every), t.lower, t.upper,
            t.lower_value.astype(np.float32), t.upper_value.astype(np.float32),
            t.inverse_diagonal.astype(np.float32), m.y.indptr, m.y.indices, *_split(m.y.data),
            angle_to, magnitude_to, angle_from, magnitude_from, np.abs(self.start), *_split(self.start),
            base - reference.FAR_PU, base + reference.FAR_PU,
        )  # fmt: skip

    @property
    def effort(self) -> int:
        """Multiplications that one state costs, roughly."""
        return self._effort

    def solve(self, moving: list[Moving], x: Float, v: Lanes) -> NDArray[np.bool_]:  # noqa: ARG002 (as all engines)
        """Solve a block of states.

        Parameters
        ----------
        moving : list of Moving
            Not used here.
        x : ndarray, shape (state, element)
            What moves. [MW, Mvar]
        v : Lanes
            Where the voltages go.

        Returns
        -------
        ndarray of bool, shape (state,)
            Which states are solved.
        """
        solved = self.contracting(x, v)
        if not solved.all():
            lost = np.flatnonzero(~solved)
            s = self.still[:, None] + self.p @ x[lost].T + 1j * (self.q @ x[lost].T)
            found, solved[lost] = exact(self.model, s)
            v.put(lost, found)
        return solved

    def contracting(self, x: Float, v: Lanes) -> NDArray[np.bool_]:
        """Solve a block of states by the inner loops alone; return which of them contract."""
        from gridedge.grid.engines.lanes import TILE, chord, fixed_point

        passes = np.zeros(x.shape[0], dtype=np.int64)
        loop = fixed_point if self._fixed else chord
        spread(
            loop,
            -(-x.shape[0] // TILE),
            x,
            x.shape[0],
            self.rows,
            *self._arguments,
            v.re,
            v.im,
            _ERROR_PU,
            _MOST,
            passes,
        )
        return np.asarray(passes > 0)


def prepare(model: Model, what: Inputs, states: int) -> Batch:
    """Prepare a net for its states: the Jacobian is taken at the mean of a sample of them, evenly spread."""
    sample = np.unique(np.linspace(0, states - 1, min(states, _SAMPLE)).astype(np.intp))
    injected = what.injections(what.few(sample))
    usable = np.isfinite(injected).all(axis=0)
    centre = injected[:, usable].mean(axis=1) if usable.any() else model.s0
    return Batch(model, what.still, what.p, what.q, centre)


def _split(z: NDArray[Any]) -> tuple[Float, Float]:
    """Return real and imaginary part, each contiguous."""
    return np.ascontiguousarray(z.real, dtype=float), np.ascontiguousarray(z.imag, dtype=float)


def _rows(matrix: sp.csr_matrix, rows: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any], Float]:
    """Return some rows of a matrix as the inner loops take them."""
    part = sp.csr_matrix(matrix[rows])
    return part.indptr.astype(np.int32), part.indices.astype(np.int32), part.data.astype(float)


_EMPTY = np.zeros(0, dtype=np.int64)
_NO_PATTERN = (np.zeros(1, dtype=np.int32), np.zeros(0, dtype=np.int32))
_NOTHING = Triangles(
    _EMPTY, _EMPTY, _NO_PATTERN, _NO_PATTERN, np.zeros(0, complex), np.zeros(0, complex), np.zeros(0, complex)
)
