"""The batch engine: all states at once, by a chord Newton method recentred on the batch.

One Jacobian, taken at the mean of the states and factorised once, serves them all; the states
lie side by side in SIMD lanes (:mod:`gridedge.grid.engines.lanes`).  A state that does not contract is
given to ``runpp``; what that cannot solve either is marked and yields no number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridedge.grid.engines import reference
from gridedge.grid.engines.model import Complex, Model, injection
from gridedge.grid.engines.moving import Moving

_BLOCK = 2048
_STEP_PU = 1e-11  # a last step of this size leaves an error far below 1e-8 pu, at any rate of contraction up to 0.99
_MOST = 40
_NEWTON_MOST = 20


def solve_states(
    net: Any, model: Model, moving: list[Moving], on_block: Callable[[int], None] | None = None
) -> Iterator[tuple[NDArray[np.intp], Complex, NDArray[np.bool_]]]:
    """Solve states in blocks; see :func:`gridedge.grid.engines.reference.solve_states` for what is yielded.

    Parameters
    ----------
    net : pandapowerNet
        A private copy, for the states that do not contract.
    model : Model
        Its extraction.
    moving : list of Moving
        What changes.
    on_block : callable, optional
        Told how many states are done.
    """
    from gridedge.grid.engines.lanes import chord

    count = moving[0].values.shape[0] if moving else 1
    parts = injection(net, model, moving)
    still = model.s0 - sum((m @ base for m, _, base in parts), np.zeros(model.v0.size, dtype=complex))
    mean = still + sum((m @ values.mean(axis=0) for m, values, _ in parts), np.zeros(model.v0.size, dtype=complex))
    centre = newton(model, mean)
    if centre is None:
        centre = model.v0
    factors = _factorise(model, centre)
    y = model.y
    for first in range(0, count, _BLOCK):
        states = np.arange(first, min(first + _BLOCK, count), dtype=np.intp)
        s = np.repeat(still[:, None], states.size, axis=1)
        for matrix, values, _ in parts:
            s += matrix @ values[states].T
        vr, vi = np.full((2, model.v0.size, states.size), np.nan)
        iterations = np.zeros(states.size, dtype=np.int64)
        chord(
            y.indptr, y.indices, y.data.real.copy(), y.data.imag.copy(), *factors,
            np.abs(centre), np.angle(centre), s.real.copy(), s.imag.copy(), _STEP_PU, _MOST, vr, vi, iterations,
        )  # fmt: skip
        v = vr + 1j * vi
        converged = (iterations > 0) & np.isfinite(v).all(axis=0)
        # Far from the base state it may be the lower root: runpp decides from scratch.
        converged &= ~(np.abs(np.abs(v) - np.abs(model.v0)[:, None]) > reference.FAR_PU).any(axis=0)
        _rescue(net, moving, states, v, converged, np.asarray(np.isfinite(s).all(axis=0)))
        v[:, ~converged] = np.nan
        if on_block is not None:
            on_block(int(states[-1]) + 1)
        yield states, v, converged


def _rescue(
    net: Any,
    moving: list[Moving],
    states: NDArray[np.intp],
    v: Complex,
    converged: NDArray[np.bool_],
    finite: NDArray[np.bool_],
) -> None:
    """Give what did not contract to ``runpp``, in place; what is no number stays unsolved."""
    lost = np.flatnonzero(~converged & finite)
    if not lost.size:
        return
    part = [Moving(m.table, m.column, m.rows, m.values[states[lost]]) for m in moving]
    for which, solution, solved in reference.solve_states(net, part, np.arange(lost.size)):
        v[:, lost[which]] = solution
        converged[lost[which]] = solved


def jacobian(model: Model, v: Complex) -> sp.csc_matrix:
    """Return the Jacobian of the mismatch in polar coordinates at given voltages.

    Rows: active mismatch of the buses with unknown angle, then reactive mismatch of those with unknown
    magnitude; columns: their angles [rad], then magnitudes [pu].
    """
    angles, magnitudes = np.r_[model.pv, model.pq], model.pq
    current = sp.diags(model.y @ v)
    diagonal, unit = sp.diags(v), sp.diags(v / np.abs(v))
    by_angle = sp.csr_matrix(1j * diagonal @ (current - model.y @ diagonal).conj())
    by_magnitude = sp.csr_matrix(diagonal @ (model.y @ unit).conj() + current.conj() @ unit)
    blocks = [
        [by_angle[angles][:, angles].real, by_magnitude[angles][:, magnitudes].real],
        [by_angle[magnitudes][:, angles].imag, by_magnitude[magnitudes][:, magnitudes].imag],
    ]
    return sp.csc_matrix(sp.bmat(blocks))


def newton(model: Model, s: Complex, tolerance_pu: float = 1e-10) -> Complex | None:
    """Solve one state by Newton's method from the base state; None where it does not converge."""
    angles, magnitudes = np.r_[model.pv, model.pq], model.pq
    v = model.v0.copy()
    for _ in range(_NEWTON_MOST):
        mismatch = v * np.conj(model.y @ v) - s
        f = np.r_[mismatch[angles].real, mismatch[magnitudes].imag]
        if not np.isfinite(f).all():
            return None
        if np.abs(f).max(initial=0.0) < tolerance_pu * max(1.0, float(np.abs(s).max())):
            return v
        try:
            step = splu(jacobian(model, v)).solve(f)
        except RuntimeError:  # exactly singular
            return None
        va, vm = np.angle(v), np.abs(v)
        va[angles] -= step[: angles.size]
        vm[magnitudes] -= step[angles.size :]
        v = vm * np.exp(1j * va)
    return None


def _factorise(model: Model, v: Complex) -> tuple[NDArray[Any], ...]:
    """Return the factors of the Jacobian and the unknowns, as the inner loops take them."""
    lu = splu(jacobian(model, v), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    lower, upper = sp.csc_matrix(lu.L), sp.csc_matrix(lu.U)
    lower.sort_indices()
    upper.sort_indices()
    angles = np.r_[model.pv, model.pq].astype(np.int64)
    return (
        lower.indptr, lower.indices, lower.data, upper.indptr, upper.indices, upper.data,
        lu.perm_r.astype(np.int64), lu.perm_c.astype(np.int64), angles, model.pq.astype(np.int64),
    )  # fmt: skip
