"""Exact Newton for the states that the batch engine does not settle, on the same arrays."""

from __future__ import annotations

import importlib.util

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import SuperLU, splu

from gridedge.grid.engines.factors import jacobian, jacobian_of
from gridedge.grid.engines.model import Complex, Model
from gridedge.grid.engines.reference import FAR_PU

_MOST = 20
_TOLERANCE_PU = 1e-10
HAS_KLU = importlib.util.find_spec("p3s") is not None


def newton(model: Model, s: Complex, start: Complex | None = None) -> Complex | None:
    """Solve one state by Newton's method; None where it does not converge.

    Parameters
    ----------
    model : Model
        The net.
    s : ndarray, shape (row,)
        Injections, generation positive. [pu]
    start : ndarray, shape (row,), optional
        Voltages to start from; the base state's without. [pu]
    """
    angles, magnitudes = np.r_[model.pv, model.pq], model.pq
    v = (model.v0 if start is None else start).copy()
    filled = jacobian_of(model)
    for _ in range(_MOST):
        mismatch = v * np.conj(model.y @ v) - s
        f = np.r_[mismatch[angles].real, mismatch[magnitudes].imag]
        if not np.isfinite(f).all():
            return None
        if np.abs(f).max(initial=0.0) < _TOLERANCE_PU * max(1.0, float(np.abs(s).max())):
            return v
        try:
            step = splu(filled(v)).solve(f)
        except RuntimeError:  # exactly singular
            return None
        va, vm = np.angle(v), np.abs(v)
        va[angles] -= step[: angles.size]
        vm[magnitudes] -= step[angles.size :]
        v = vm * np.exp(1j * va)
    return None


def exact(model: Model, s: Complex) -> tuple[Complex, NDArray[np.bool_]]:
    """Solve states one by one, from the base state.

    A root far from the base state counts only where the determinant of the Jacobian has kept its sign: it changes
    at the nose of the PV curve, and the roots beyond are not the operating point.

    Parameters
    ----------
    model : Model
        The net.
    s : ndarray, shape (row, state)
        Injections, generation positive. [pu]

    Returns
    -------
    v : ndarray, shape (row, state)
        Voltages; NaN where there is no solution. [pu]
    solved : ndarray of bool, shape (state,)
    """
    v = np.full(s.shape, np.nan + 1j * np.nan)
    if HAS_KLU:
        _by_klu(model, s, v)
    upright = None
    for k in np.flatnonzero(np.isfinite(s).all(axis=0)):
        found = v[:, k] if np.isfinite(v[:, k]).all() else newton(model, s[:, k])
        if found is not None and (np.abs(np.abs(found) - np.abs(model.v0)) > FAR_PU).any():
            upright = determinant_sign(model, model.v0) if upright is None else upright
            if determinant_sign(model, found) != upright:
                found = None
        v[:, k] = np.nan if found is None else found
    return v, np.asarray(np.isfinite(v).all(axis=0))


def _by_klu(model: Model, s: Complex, v: Complex) -> None:
    """Solve what can be solved by the KLU Newton of p3s-cpp, in place."""
    from p3s import nr_klu

    good = np.flatnonzero(np.isfinite(s).all(axis=0))
    if not good.size:
        return
    y, pv, pq = model.y, model.pv.astype(np.int32), model.pq.astype(np.int32)
    solver = nr_klu.Solver(y.indptr.astype(np.int32), y.indices.astype(np.int32), y.data, pv, pq)
    tolerance_pu = _TOLERANCE_PU * max(1.0, float(np.abs(s[:, good]).max()))
    found = solver.solve_batch(
        np.ascontiguousarray(s[:, good]), model.v0, max_iter=_MOST, tol=tolerance_pu, n_threads=1
    )
    solved = np.asarray(found["converged"], dtype=bool)
    v[:, good[solved]] = np.asarray(found["V"])[:, solved]


def determinant_sign(model: Model, v: Complex) -> int:
    """Return the sign of the determinant of the Jacobian."""
    try:
        lu = splu(jacobian(model, v))
    except RuntimeError:
        return 0
    return int(np.prod(np.sign(lu.U.diagonal()))) * _parity(lu, "perm_r") * _parity(lu, "perm_c")


def _parity(lu: SuperLU, name: str) -> int:
    order = np.asarray(getattr(lu, name))
    seen, cycles = np.zeros(order.size, dtype=bool), 0
    for first in range(order.size):
        k = first
        cycles += not seen[k]
        while not seen[k]:
            seen[k] = True
            k = int(order[k])
    return -1 if (order.size - cycles) % 2 else 1
