"""Many outages of one net side by side: one Jacobian, each outage a correction of low rank.

The unknowns are the angles, then the magnitudes of all rows but the references, in polar coordinates.  Where a unit
controls the voltage, the equation of the magnitude reads "stays": so that the outage of that unit changes one row.

References
----------
.. [1] O. Alsac, B. Stott, W. F. Tinney, "Sparsity-oriented compensation methods for modified network solutions", IEEE
   Transactions on Power Apparatus and Systems PAS-102(5), 1983, pp. 1050-1060. :doi:`10.1109/TPAS.1983.317819`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridedge.grid.engines.model import Complex, Model
from gridedge.grid.engines.outages import Change, Rows
from gridedge.grid.engines.triangular import Factors, Float, factorise, subtract

_STEP_PU = 1e-11  # as in the batch engine: what is left is far below 1e-8 pu, at any rate of contraction up to 0.99
_MOST = 40
_NEWTON_MOST = 20
_NEWTON_STEP_PU = 1e-8  # Newton squares it: the next step would be far below 1e-11
_LOST = 1e3


@dataclass(frozen=True)
class Linear:
    """The net without outage, linearised at one state.

    Parameters
    ----------
    model : Model
        The net.
    v : ndarray, shape (row,)
        Voltages there. [pu]
    free : ndarray
        Rows with unknowns, all but the references.
    angle, magnitude : ndarray, shape (row,)
        Number of the equation and unknown of each row, -1 for a reference.
    held : ndarray of bool, shape (free,)
        Whether the magnitude is controlled.
    factors : Factors
        Of the Jacobian.
    """

    model: Model
    v: Complex
    free: Rows
    angle: Rows
    magnitude: Rows
    held: NDArray[np.bool_]
    factors: Factors


@dataclass(frozen=True)
class Prepared:
    """Some outages, ready to be solved for any state near the linearised one.

    ``w[:, first[k]:first[k + 1]]`` and ``gain[k]`` correct a solution of outage ``k``, which reads the entries
    ``reads[k]`` and changes the equations ``equations[k]``; ``darkness[k]`` lists the equations of rows
    without a reference.
    """

    changes: Sequence[Change]
    w: Float
    first: NDArray[np.int64]
    gain: list[Float]
    reads: list[Rows]
    equations: list[Rows]
    darkness: list[Rows]
    freed: list[Rows]


def linearise(model: Model, v: Complex) -> Linear | None:
    """Factorise the Jacobian of the net without outage; None where it is singular."""
    free = np.sort(np.concatenate((model.pv, model.pq)))
    angle = np.full(model.v0.size, -1, dtype=np.intp)
    angle[free] = np.arange(free.size)
    magnitude = np.where(angle >= 0, angle + free.size, -1)
    held = np.isin(free, model.pv)
    linear = Linear(model, v, free, angle, magnitude, held, None)  # type: ignore[arg-type]  # follows
    factors = factorise(jacobian_of(linear))
    return None if factors is None else replace(linear, factors=factors)


def jacobian_of(linear: Linear) -> sp.csc_matrix:
    """Return the Jacobian of the net without outage, rows and columns as :class:`Linear` numbers them."""
    free = linear.free
    by_angle, by_magnitude = (part[free][:, free] for part in _derivatives(linear.model.y, linear.v))
    keep = sp.diags((~linear.held).astype(float))
    blocks = [
        [by_angle.real, by_magnitude.real],
        [keep @ by_angle.imag, keep @ by_magnitude.imag + sp.diags(linear.held.astype(float))],
    ]
    return sp.csc_matrix(sp.bmat(blocks))


def reference_row(linear: Linear, ref: int, change: Change | None) -> Float:
    """Return how the active power of a reference bus depends on all unknowns, after an outage where one is given."""
    model, v = linear.model, linear.v
    whole = np.zeros(2 * linear.free.size)
    parts = [(part[ref].toarray().ravel().real, np.arange(v.size)) for part in _derivatives(model.y, v)]
    if change is not None:
        place = int(np.searchsorted(change.rows, ref))
        more = _dense_derivatives(change.dy, v[change.rows])[place].real
        parts += [(half, change.rows) for half in np.split(more, 2)]
    for k, (values, rows) in enumerate(parts):
        unknown = (linear.angle if k % 2 == 0 else linear.magnitude)[rows]
        whole[unknown[unknown >= 0]] += values[unknown >= 0]
    return whole


def prepare(linear: Linear, changes: Sequence[Change]) -> Prepared:
    """Work out how each outage corrects a solution of the net without it.

    Notes
    -----
    With the Jacobian ``J`` and an outage that changes its rows ``E`` by ``N``, the identity of Woodbury gives
    ``(J + E N)^-1 f = y - W (I + N W)^-1 N y`` with ``y = J^-1 f`` and ``W = J^-1 E``.
    """
    parts = [_row_changes(linear, change) for change in changes]
    first = np.concatenate(([0], np.cumsum([equations.size for equations, _, _ in parts]))).astype(np.int64)
    unit = np.zeros((2 * linear.free.size, int(first[-1])))
    for k, (equations, _, _) in enumerate(parts):
        unit[equations, np.arange(first[k], first[k + 1])] = 1.0
    w = linear.factors.solve(unit)
    gain: list[Float] = []
    for k, (equations, reads, rows) in enumerate(parts):
        inner = np.eye(equations.size) + rows @ w[reads, first[k] : first[k + 1]]
        try:
            gain.append(np.asarray(np.linalg.solve(inner, rows), dtype=float))
        except np.linalg.LinAlgError:  # another way must be found for this one
            gain.append(np.full_like(rows, np.nan))
    darkness = [np.concatenate((linear.angle[c.dark], linear.magnitude[c.dark])) for c in changes]
    darkness = [dark[dark >= 0] for dark in darkness]
    freed = [np.setdiff1d(c.freed, c.dark) for c in changes]
    read, changed = [reads for _, reads, _ in parts], [equations for equations, _, _ in parts]
    return Prepared(changes, w, first, gain, read, changed, darkness, freed)


def chord(linear: Linear, prepared: Prepared, v: Complex, s: Complex) -> tuple[Complex, NDArray[np.bool_]]:
    """Solve outages of one state by a chord iteration.

    Parameters
    ----------
    linear, prepared
        Where it stands and what changes.
    v : ndarray, shape (row,)
        Voltages of this state without outage. [pu]
    s : ndarray, shape (row, outage)
        Injections of each outage, generation positive. [pu]

    Returns
    -------
    v : ndarray, shape (row, outage)
        Voltages; those of rows without a reference mean nothing. [pu]
    converged : ndarray of bool
    """
    free, held = linear.free, linear.held
    y = linear.model.y
    count = len(prepared.changes)
    solution = np.full((v.size, count), np.nan, dtype=complex)
    converged = np.zeros(count, dtype=bool)
    at = np.arange(count, dtype=np.int64)
    vm, va = np.repeat(np.abs(v)[:, None], count, axis=1), np.repeat(np.angle(v)[:, None], count, axis=1)
    c = np.zeros(int(prepared.first[-1]))
    for _ in range(_MOST):
        now = vm * np.exp(1j * va)
        current = y @ now
        for a, k in enumerate(at.tolist()):
            change = prepared.changes[k]
            current[change.rows, a] += change.dy @ now[change.rows, a]
        off = now * current.conj() - s[:, at]
        f = np.concatenate((off.real[free], np.where(held[:, None], 0.0, off.imag[free])))
        for a, k in enumerate(at.tolist()):
            f[linear.magnitude[prepared.freed[k]], a] = off.imag[prepared.freed[k], a]
            f[prepared.darkness[k], a] = 0.0
        x = linear.factors.solve(f)
        for a, k in enumerate(at.tolist()):
            c[prepared.first[k] : prepared.first[k + 1]] = prepared.gain[k] @ x[prepared.reads[k], a]
        subtract(x, at, prepared.w, prepared.first, c)
        for a, k in enumerate(at.tolist()):
            x[prepared.darkness[k], a] = 0.0
        va[free] -= x[: free.size]
        vm[free] -= x[free.size :]
        step = np.abs(x).max(axis=0, initial=0.0)  # a NaN stays one
        done = step < _STEP_PU
        solution[:, at[done]] = vm[:, done] * np.exp(1j * va[:, done])
        converged[at[done]] = True
        go_on = ~done & (step < _LOST)
        at, vm, va = at[go_on], vm[:, go_on], va[:, go_on]
        if not at.size:
            break
    return solution, converged


def newton(model: Model, v: Complex, s: Complex, change: Change | None = None) -> Complex | None:
    """Solve one state, with an outage or without, by Newton's method; None where it does not converge.

    Parameters
    ----------
    model : Model
        The net without outage.
    v : ndarray, shape (row,)
        Where to start; it keeps what is not solved for: references, and rows without one. [pu]
    s : ndarray, shape (row,)
        Injections. [pu]
    change : Change, optional
        The outage.
    """
    y, angles, magnitudes = model.y, np.concatenate((model.pv, model.pq)), model.pq
    if change is not None:
        at = np.ix_(change.rows, change.rows)
        more = sp.lil_matrix(y.shape, dtype=complex)
        more[at] = change.dy
        y = sp.csr_matrix(y + more.tocsr())
        angles = np.setdiff1d(angles, change.dark)
        magnitudes = np.setdiff1d(np.concatenate((magnitudes, change.freed)), change.dark)
    v = v.copy()
    for _ in range(_NEWTON_MOST):
        off = v * np.conj(y @ v) - s
        f = np.concatenate((off[angles].real, off[magnitudes].imag))
        if not np.isfinite(f).all():
            return None
        by_angle, by_magnitude = _derivatives(y, v)
        blocks = [
            [by_angle[angles][:, angles].real, by_magnitude[angles][:, magnitudes].real],
            [by_angle[magnitudes][:, angles].imag, by_magnitude[magnitudes][:, magnitudes].imag],
        ]
        try:
            step = splu(sp.csc_matrix(sp.bmat(blocks))).solve(f)
        except RuntimeError:  # exactly singular
            return None
        va, vm = np.angle(v), np.abs(v)
        va[angles] -= step[: angles.size]
        vm[magnitudes] -= step[angles.size :]
        v = vm * np.exp(1j * va)
        if np.abs(step).max(initial=0.0) < _NEWTON_STEP_PU:
            return v
    return None


def _derivatives(y: sp.csr_matrix, v: Complex) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Return the derivatives of the injections by the angles [rad] and by the magnitudes [pu]."""
    current, diagonal, unit = sp.diags(y @ v), sp.diags(v), sp.diags(v / np.abs(v))
    by_angle = sp.csr_matrix(1j * diagonal @ (current - y @ diagonal).conj())
    by_magnitude = sp.csr_matrix(diagonal @ (y @ unit).conj() + current.conj() @ unit)
    return by_angle, by_magnitude


def _row_changes(linear: Linear, change: Change) -> tuple[Rows, Rows, Float]:
    """Return which equations an outage changes, which unknowns they read, and by how much they change.

    The rows of a part without reference stay: what they say is not used.
    """
    model, v = linear.model, linear.v
    angle, magnitude = linear.angle, linear.magnitude
    freed = np.setdiff1d(change.freed, change.dark)
    near = [change.rows]
    near += [model.y.indices[model.y.indptr[row] : model.y.indptr[row + 1]] for row in freed]
    rows = np.unique(np.concatenate(near))
    dy = np.zeros((rows.size, rows.size), dtype=complex)
    touched = np.searchsorted(rows, change.rows)
    dy[np.ix_(touched, touched)] = change.dy
    whole = dy.copy()  # of a freed row all derivatives are new
    for row in freed:
        span = slice(model.y.indptr[row], model.y.indptr[row + 1])
        whole[np.searchsorted(rows, row), np.searchsorted(rows, model.y.indices[span])] += model.y.data[span]
    by_p = _dense_derivatives(dy, v[rows]).real
    by_q = np.where(np.isin(rows, freed)[:, None], _dense_derivatives(whole, v[rows]).imag, 0.0)
    held = np.isin(rows, model.pv)
    by_q = np.where((~held & ~np.isin(rows, freed))[:, None], _dense_derivatives(dy, v[rows]).imag, by_q)
    for row in freed:
        i = np.searchsorted(rows, row)
        by_q[i, rows.size + i] -= 1.0

    lives = (angle[rows] >= 0) & ~np.isin(rows, change.dark)
    p_rows = lives & np.isin(rows, change.rows)
    q_rows = (p_rows & ~held) | np.isin(rows, freed)
    equations = np.concatenate((angle[rows[p_rows]], magnitude[rows[q_rows]]))
    reads = np.concatenate((angle[rows], magnitude[rows]))
    known = reads >= 0
    return equations, reads[known], np.vstack((by_p[p_rows], by_q[q_rows]))[:, known]


def _dense_derivatives(y: Complex, v: Complex) -> Complex:
    """Return the derivatives of a few injections by angles, then magnitudes."""
    current, size = y @ v, np.abs(v)
    through = v[:, None] * np.conj(y * v)
    by_angle = -1j * through + np.diag(1j * v * np.conj(current))
    by_magnitude = through / size + np.diag(np.conj(current) * v / size)
    return np.hstack((by_angle, by_magnitude))
