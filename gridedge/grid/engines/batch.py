"""The batch engine: many states at once, side by side in SIMD lanes, with one factorisation for all.

Nets whose buses all have given powers are solved by the fixed point V = V_idle + Z conj(S / V); nets with
voltage-controlled buses by a chord Newton method, its Jacobian taken at the mean of the states.  A state that does
not contract is given to an exact Newton; what that cannot solve either is marked and yields no number.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
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
from gridedge.grid.engines.threads import on_threads

_ERROR_PU = 1e-10  # what may be left when a state counts as solved
_MOST = 40
_BEGIN = 6  # passes of the fixed point for the mean of the states, where they all start
_SAMPLE = 64  # states whose mean the Jacobian is taken at


@dataclass(frozen=True)
class Drawn:
    """States that are rows of what moves, each with one more load.

    Parameters
    ----------
    when : ndarray of int64, shape (state,)
        Row of what moves.
    row : ndarray, shape (state,)
        Row of the net at which the load is drawn.
    s : ndarray, shape (state,)
        What it draws, consumption positive. [pu]
    """

    when: NDArray[np.int64]
    row: NDArray[np.intp]
    s: Complex

    def some(self, states: Any) -> Drawn:
        """Return some of the states."""
        return Drawn(self.when[states], self.row[states], self.s[states])


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
    share : ndarray, shape (row,), optional
        Part of every bus in the one change of generation that balances the active power, which is then an unknown;
        they add up to 1.  ``still`` holds the schedule of the reference bus, of which there is one.  Without, the
        reference bus takes the change.
    """

    def __init__(
        self, model: Model, still: Complex, p: sp.csr_matrix, q: sp.csr_matrix, centre: Complex,
        share: Float | None = None,
    ):  # fmt: skip
        self.model = model
        self.still, self.p, self.q = still, p, q
        self.rows = model.v0.size
        self.place = np.full(self.rows, -1, dtype=np.int64)  # where the inner loop has a row, -1 where it is fixed
        self._fixed = not model.pv.size and share is None
        if self._fixed:
            self._prepare_fixed_point(centre)
        else:
            solved = newton(model, centre)
            self.start = model.v0 if solved is None else solved
            self._prepare_chord(share)

    @property
    def method(self) -> str:
        """What solves the states, in words."""
        return "fixed point" if self._fixed else "chord Newton"

    def _prepare_fixed_point(self, centre: Complex) -> None:
        m = self.model
        unknown = m.pq
        t = _NOTHING
        if unknown.size:
            unknown = unknown[ordering(m.y[unknown][:, unknown])]
            t = triangles(sp.csc_matrix(m.y[unknown][:, unknown]), pivot=0.0)
            unknown = unknown[np.argsort(t.column_from)]  # the factors have an order of their own
        drive = -(m.y[unknown][:, m.ref] @ m.v0[m.ref])
        idle, start = drive, m.v0[unknown]
        if unknown.size:
            lu = splu(sp.csc_matrix(m.y[unknown][:, unknown]))
            idle = lu.solve(drive)
            for _ in range(_BEGIN):
                start = idle + lu.solve(np.conj(centre[unknown] / start))
            start = start if np.isfinite(start).all() else m.v0[unknown]
        self._effort = 8 * (4 * (t.lower_value.size + t.upper_value.size) + 20 * unknown.size)
        base = np.abs(m.v0[unknown])
        self._arguments: tuple[Any, ...] = (
            *_split(self.still[unknown]), *_rows(self.p, unknown), *_rows(self.q, unknown), t.lower, t.upper,
            *_split(t.lower_value), *_split(t.upper_value), *_split(t.inverse_diagonal), *_split(idle),
            *_split(start), unknown.astype(np.int64), m.ref.astype(np.int64), *_split(m.v0[m.ref]),
        )  # fmt: skip
        self._band = np.maximum(base - reference.FAR_PU, 0.0) ** 2, (base + reference.FAR_PU) ** 2
        self.place[unknown] = np.arange(unknown.size)

    def _prepare_chord(self, share: Float | None) -> None:
        m = self.model
        angles = np.r_[m.pv, m.pq]
        free = np.sort(angles)
        order = free[ordering(m.y[free][:, free])]
        # Angle and magnitude of a bus stand next to each other.
        place = np.empty(self.rows)
        place[order] = np.arange(order.size)
        after = np.r_[place[angles], place[m.pq] + 0.5]
        matrix = jacobian(m, self.start)
        if share is not None:  # last: its column is full
            after = np.r_[after, np.inf]
            matrix = sp.csc_matrix(sp.bmat(_sharing(m, self.start, matrix, share)))
        sequence = np.argsort(after, kind="stable")
        t = triangles(sp.csc_matrix(matrix[sequence][:, sequence]))
        back = np.empty(sequence.size, dtype=np.int64)
        back[sequence] = np.arange(sequence.size)
        angle_to, magnitude_to, angle_from, magnitude_from = np.full((4, self.rows), -1, dtype=np.int64)
        angle_to[angles], angle_from[angles] = t.row_to[back[: angles.size]], t.column_from[back[: angles.size]]
        last = angles.size + m.pq.size
        magnitude_to[m.pq] = t.row_to[back[angles.size : last]]
        magnitude_from[m.pq] = t.column_from[back[angles.size : last]]
        takes, part, change_from = _EMPTY, np.zeros(0), -1
        if share is not None:
            angle_to[m.ref], change_from = t.row_to[back[last]], int(t.column_from[back[last]])
            takes = np.flatnonzero(share).astype(np.int64)
            part = share[takes]
        self._effort = 8 * ((t.lower_value.size + t.upper_value.size) // 2 + 4 * m.y.nnz + 30 * self.rows)
        base = np.abs(m.v0)
        every = np.arange(self.rows)
        self._arguments = (
            *_split(self.still), *_rows(self.p, every), *_rows(self.q, every), t.lower, t.upper,
            t.lower_value.astype(np.float32), t.upper_value.astype(np.float32),
            t.inverse_diagonal.astype(np.float32), m.y.indptr, m.y.indices, *_split(m.y.data),
            angle_to, magnitude_to, angle_from, magnitude_from, np.abs(self.start), *_split(self.start),
            takes, part, change_from,
        )  # fmt: skip
        self._band = base - reference.FAR_PU, base + reference.FAR_PU
        self.place[:] = np.arange(self.rows)

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

    def contracting(
        self, x: Float, v: Lanes, drawn: Drawn | None = None, most: int = _MOST, far: bool = False
    ) -> NDArray[np.bool_]:
        """Solve a block of states by the inner loops alone; return which of them contract.

        Parameters
        ----------
        x : ndarray, shape (state, element)
            What moves; with ``drawn``, shape (step, element). [MW, Mvar]
        v : Lanes
            Where the voltages go.
        drawn : Drawn, optional
            The states, where each is a row of ``x`` with one more load.
        most : int
            Passes after which a state is given up.
        far : bool
            Whether voltages far from the base state count.

        Notes
        -----
        Both iterations end at roots that attract them: the matrix M by which an error shrinks has all eigenvalues
        within the unit circle.  The Jacobian there is (I - M) times matrices whose determinant keeps its sign (of the
        admittances and the voltages for the fixed point, of the one Jacobian for the chord), and det(I - M) > 0.  So it
        has the sign that it has at the base state, and no root found here lies beyond the nose of the PV curve.
        """
        return self.shared(x, v, drawn, most, far)[0]

    def shared(
        self, x: Float, v: Lanes, drawn: Drawn | None = None, most: int = _MOST, far: bool = False
    ) -> tuple[NDArray[np.bool_], Float]:
        """Do the same as :meth:`contracting`; return also the change of generation (state,) that units share [pu]."""
        from gridedge.grid.engines.lanes import TILE, chord, fixed_point

        states = x.shape[0] if drawn is None else drawn.when.size
        passes, change = np.zeros(states, dtype=np.int64), np.zeros(states)
        moved: tuple[Any, ...] = (_EMPTY, _EMPTY, np.zeros(0), np.zeros(0))
        if drawn is not None:
            moved = drawn.when, self.place[drawn.row], *_split(drawn.s)
        band = (np.zeros(self._band[0].size), np.full(self._band[0].size, np.inf)) if far else self._band
        loop, extra = (fixed_point, ()) if self._fixed else (chord, (change,))
        on_threads(
            loop, -(-states // TILE), x, *moved, states, self.rows, *self._arguments, *extra, *band,
            v.re, v.im, _ERROR_PU, most, passes,
        )  # fmt: skip
        return np.asarray(passes > 0), change

    def of_steps(self, p: sp.csr_matrix, q: sp.csr_matrix) -> Batch:
        """Return the same net, factors and start for other columns ``p`` and ``q`` of what moves."""
        other = copy.copy(self)
        other.p, other.q = p, q
        rows = self._arguments[_ROWS] if self._fixed else np.arange(self.rows)
        other._arguments = (*self._arguments[:2], *_rows(p, rows), *_rows(q, rows), *self._arguments[8:])
        return other


def _sharing(model: Model, v: Complex, matrix: sp.csc_matrix, share: Float) -> list[list[sp.csc_matrix]]:
    """Border a Jacobian by the change of generation, and by the active power of the reference bus."""
    angles, magnitudes, ref = np.r_[model.pv, model.pq], model.pq, model.ref
    # dP at the reference bus; its own voltage is known.
    over = model.y[ref].conj().multiply(v[ref][:, None])
    by_angle = sp.csr_matrix(over.multiply((-1j * v.conj())[None, :])).real
    by_magnitude = sp.csr_matrix(over.multiply((v / np.abs(v)).conj()[None, :])).real
    row = sp.hstack([by_angle[:, angles], by_magnitude[:, magnitudes]])
    column = -np.r_[share[angles], np.zeros(magnitudes.size)]
    return [[matrix, sp.csc_matrix(column[:, None])], [row, sp.csc_matrix([[-float(share[ref].sum())]])]]


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


_ROWS = 20  # where the arguments of the fixed point hold its rows
_EMPTY = np.zeros(0, dtype=np.int64)
_NO_PATTERN = (np.zeros(1, dtype=np.int32), np.zeros(0, dtype=np.int32))
_NOTHING = Triangles(
    _EMPTY, _EMPTY, _NO_PATTERN, _NO_PATTERN, np.zeros(0, complex), np.zeros(0, complex), np.zeros(0, complex)
)
