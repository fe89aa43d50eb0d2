"""A chord Newton method in which every state has its own buses that hold the voltage, and its own dispatch.

One Jacobian, of the net in which all generators hold their voltage, is factorised once.  A bus that is held at
a reactive limit instead adds one unknown (its voltage) and one equation (its reactive power); the dispatch of an
island adds one unknown (the change of generation) and one equation (the active power of its reference bus).
So the Jacobian of a state is the common one with a border,

    [J  B] [x]   [f]          x = J^-1 f - W z,          W = J^-1 B
    [C  D] [z] = [g]          (D - C W) z = g - C J^-1 f

and only the small Schur complement ``D - C W`` differs from state to state [1]_.  A thousand different sets of
limited buses cost one factorisation.

References
----------
.. [1] G. H. Golub, C. F. Van Loan, "Matrix Computations", 4th ed., Johns Hopkins, 2013, section 2.1.4 (low-rank
   changes of a matrix, Sherman-Morrison-Woodbury).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridedge.grid.engines.compiled import compiled
from gridedge.grid.engines.model import Complex, Float, Model


@dataclass(frozen=True)
class Border:
    """The common Jacobian in factors, and what borders it.

    Parameters
    ----------
    factors : tuple of ndarray
        L, U and permutations, as the inner loop takes them.
    angle_row, magnitude_row : ndarray
        Rows whose angle, and whose magnitude, the common Jacobian knows as unknown.
    held_row : ndarray
        Rows that hold their voltage in it; any of them may be limited in a state.
    ref_row : ndarray, one per dispatched island
        Its reference bus.
    island : ndarray, shape (row,)
        Position in ``ref_row`` of the island of each row, -1 where no dispatch is asked for.
    c : csr_matrix, shape (held + ref, unknown)
        Reactive power of the held buses, then active power of the reference buses, by the common unknowns.
    w : ndarray, shape (held, unknown)
        What one pu of voltage at a held bus does to the common unknowns, with opposite sign.
    schur : ndarray, shape (held + ref, held)
        Their reaction to the voltages of the held buses.
    """

    factors: tuple[NDArray[Any], ...]
    angle_row: NDArray[np.int64]
    magnitude_row: NDArray[np.int64]
    held_row: NDArray[np.int64]
    ref_row: NDArray[np.int64]
    island: NDArray[np.int64]
    c: sp.csr_matrix
    w: Float
    schur: Float


def border(
    model: Model, v: Complex, ref_row: NDArray[np.intp], island: NDArray[np.intp], held: NDArray[np.intp]
) -> Border:
    """Factorise the Jacobian at voltages ``v`` (row,) and prepare its border; see :class:`Border`.

    ``held`` are the rows of ``model.pv`` that a state may want to limit.
    """
    angles, magnitudes = np.r_[model.pv, model.pq], model.pq
    current = sp.diags(model.y @ v)
    diagonal, unit = sp.diags(v), sp.diags(v / np.abs(v))
    by_angle = sp.csr_matrix(1j * diagonal @ (current - model.y @ diagonal).conj())
    by_magnitude = sp.csr_matrix(diagonal @ (model.y @ unit).conj() + current.conj() @ unit)

    common = sp.hstack([by_angle[:, angles], by_magnitude[:, magnitudes]], format="csr")
    own = by_magnitude[:, held]
    jacobian = sp.vstack([common[angles].real, common[magnitudes].imag], format="csc")
    lu = splu(jacobian, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    lower, upper = sp.csc_matrix(lu.L), sp.csc_matrix(lu.U)
    lower.sort_indices()
    upper.sort_indices()
    c = sp.vstack([common[held].imag, common[ref_row].real], format="csr")
    schur = np.vstack([own[held].imag.toarray(), own[ref_row].real.toarray()])
    w = np.zeros((held.size, jacobian.shape[0]))
    if held.size:
        w[:] = lu.solve(np.vstack([own[angles].real.toarray(), own[magnitudes].imag.toarray()])).T
        schur -= c @ w.T
    factors = (
        lower.indptr, lower.indices, lower.data, upper.indptr, upper.indices, upper.data,
        lu.perm_r.astype(np.int64), lu.perm_c.astype(np.int64),
    )  # fmt: skip
    angle_row, magnitude_row, held_row, at, of = (
        x.astype(np.int64) for x in (angles, magnitudes, held, ref_row, island)
    )
    return Border(factors, angle_row, magnitude_row, held_row, at, of, c, w, schur)


@compiled
def _substitute(f, x, factors):  # type: ignore[no-untyped-def]  # numba types it
    """Solve with the factors: ``f`` is overwritten, ``x`` holds the result."""
    l_ptr, l_row, l_val, u_ptr, u_row, u_val, row_to, col_from = factors
    m = f.size
    for k in range(m):
        x[row_to[k]] = f[k]
    for j in range(m):
        t = x[j]
        if t != 0.0:
            for e in range(l_ptr[j], l_ptr[j + 1]):
                if l_row[e] != j:
                    x[l_row[e]] -= l_val[e] * t
    for j in range(m - 1, -1, -1):
        x[j] /= u_val[u_ptr[j + 1] - 1]
        t = x[j]
        for e in range(u_ptr[j], u_ptr[j + 1] - 1):
            x[u_row[e]] -= u_val[e] * t
    for k in range(m):
        f[k] = x[col_from[k]]
    for k in range(m):
        x[k] = f[k]


@compiled
def _invert(a):  # type: ignore[no-untyped-def]  # numba types it
    """Return the inverse by Gauss-Jordan elimination with row pivoting; no number where it is singular."""
    n = a.shape[0]
    inverse = np.eye(n)
    for j in range(n):
        pivot = j
        for i in range(j + 1, n):
            if abs(a[i, j]) > abs(a[pivot, j]):
                pivot = i
        for k in range(n):
            a[j, k], a[pivot, k] = a[pivot, k], a[j, k]
            inverse[j, k], inverse[pivot, k] = inverse[pivot, k], inverse[j, k]
        t = 1.0 / a[j, j]
        for k in range(n):
            a[j, k] *= t
            inverse[j, k] *= t
        for i in range(n):
            t = a[i, j]
            if i != j and t != 0.0:
                for k in range(n):
                    a[i, k] -= t * a[j, k]
                    inverse[i, k] -= t * inverse[j, k]
    return inverse


@compiled
def solve_bordered(  # type: ignore[no-untyped-def]  # numba types it
    stretch, y_ptr, y_col, y_re, y_im, factors, angle_row, magnitude_row, held_row, ref_row, island, c_ptr, c_col,
    c_val, w, schur, p, q, share, limited, tolerance, change_tolerance, most, vm, va, change, iterations,
):  # fmt: skip
    """Solve states, each with its own limited buses and dispatch, from where they stand.

    Parameters
    ----------
    y_ptr, ..., schur
        Admittances, and the fields of :class:`Border`.
    p, q : ndarray, shape (state, row)
        Injections; ``q`` at limited buses is their limit plus what else stands there. [pu]
    share : ndarray, shape (state, row)
        Share of each bus in its island's change of generation.
    limited : ndarray of bool, shape (state, held)
        Which buses keep their ``q`` instead of their voltage.
    tolerance, change_tolerance : float
        Largest last step, of voltages [rad, pu] and of changes of generation [pu]: these are sums of many terms, and
        their rounding is larger.
    most : int
        Iterations.
    vm, va : ndarray, shape (state, row)
        Start and result; buses that hold their voltage start with it. [pu, rad]
    change : ndarray, shape (state, island)
        Start and result: change of generation of each dispatched island. [pu]
    iterations : ndarray, shape (state,)
        0 where it did not converge.
    """
    n = p.shape[1]
    na, nm, nh, ni = angle_row.size, magnitude_row.size, held_row.size, ref_row.size
    m = na + nm
    for s in range(*stretch):
        active = np.flatnonzero(limited[s])
        k = active.size
        nb = k + ni
        f, x, z, g = np.empty(m), np.empty(m), np.empty(nb), np.empty(nb)
        # What one pu of dispatch does to the common unknowns, with opposite sign.
        wd = np.zeros((ni, m))
        for j in range(ni):
            for i in range(na):
                wd[j, i] = -share[s, angle_row[i]] if island[angle_row[i]] == j else 0.0
            _substitute(wd[j], x, factors)
        small = np.empty((nb, nb))
        for a in range(nb):
            r = active[a] if a < k else nh + a - k
            for b in range(k):
                small[a, b] = schur[r, active[b]]
            for j in range(ni):
                t = -share[s, ref_row[j]] if a == k + j else 0.0
                for e in range(c_ptr[r], c_ptr[r + 1]):
                    t -= c_val[e] * wd[j, c_col[e]]
                small[a, k + j] = t
        inverse = _invert(small)
        vr, vi = np.empty(n), np.empty(n)
        for i in range(n):
            vr[i], vi[i] = vm[s, i] * np.cos(va[s, i]), vm[s, i] * np.sin(va[s, i])
        iterations[s] = 0
        for iteration in range(1, most + 1):
            for t in range(m + nb):
                if t < na:
                    i = angle_row[t]
                elif t < m:
                    i = magnitude_row[t - na]
                elif t < m + k:
                    i = held_row[active[t - m]]
                else:
                    i = ref_row[t - m - k]
                cr, ci = 0.0, 0.0
                for e in range(y_ptr[i], y_ptr[i + 1]):
                    j = y_col[e]
                    cr += y_re[e] * vr[j] - y_im[e] * vi[j]
                    ci += y_re[e] * vi[j] + y_im[e] * vr[j]
                if t < na or t >= m + k:
                    value = vr[i] * cr + vi[i] * ci - p[s, i]
                    if island[i] >= 0:
                        value -= share[s, i] * change[s, island[i]]
                else:
                    value = vi[i] * cr - vr[i] * ci - q[s, i]
                if t < m:
                    f[t] = value
                else:
                    g[t - m] = value
            _substitute(f, x, factors)
            for a in range(nb):
                r = active[a] if a < k else nh + a - k
                for e in range(c_ptr[r], c_ptr[r + 1]):
                    g[a] -= c_val[e] * x[c_col[e]]
            for a in range(nb):
                t_z = 0.0
                for b in range(nb):
                    t_z += inverse[a, b] * g[b]
                z[a] = t_z
            for b in range(k):
                t_z = z[b]
                r = active[b]
                for e in range(m):
                    x[e] -= w[r, e] * t_z
            for j in range(ni):
                for e in range(m):
                    x[e] -= wd[j, e] * z[k + j]
            step = 0.0
            for e in range(m + nb):
                size = abs(x[e]) if e < m else abs(z[e - m])
                size = size if e < m + k else size * tolerance / change_tolerance
                # Written so that a NaN is kept: a comparison with it is false.
                step = size if not size <= step else step
            for t in range(na):
                va[s, angle_row[t]] -= x[t]
            for t in range(nm):
                vm[s, magnitude_row[t]] -= x[na + t]
            for b in range(k):
                vm[s, held_row[active[b]]] -= z[b]
            for j in range(ni):
                change[s, j] -= z[k + j]
            for i in range(n):
                vr[i], vi[i] = vm[s, i] * np.cos(va[s, i]), vm[s, i] * np.sin(va[s, i])
            if step < tolerance:
                iterations[s] = iteration
                break
            if not step < 1e3:
                break
