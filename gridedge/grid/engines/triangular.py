"""Solve with one sparse factorisation and many right-hand sides, side by side in SIMD lanes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridedge.grid.engines.compiled import compiled

Float = NDArray[np.float64]
_LANES = 32  # columns at a time: they stay in the cache


@dataclass(frozen=True)
class Factors:
    """A sparse LU factorisation, ``lower @ upper`` of the permuted matrix."""

    lower: sp.csc_matrix
    upper: sp.csc_matrix
    row_to: NDArray[np.int64]
    column_from: NDArray[np.int64]

    def solve(self, b: Float) -> Float:
        """Return the solutions (row, column) of right-hand sides of the same shape."""
        x = np.empty_like(b)
        lower, upper = self.lower, self.upper
        _solve(
            lower.indptr, lower.indices, lower.data, upper.indptr, upper.indices, upper.data,
            self.row_to, self.column_from, b, x,
        )  # fmt: skip
        return x


def factorise(matrix: sp.csc_matrix) -> Factors | None:
    """Factorise a square sparse matrix; None where it is singular."""
    try:
        lu = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    except RuntimeError:
        return None
    lower, upper = sp.csc_matrix(lu.L), sp.csc_matrix(lu.U)
    lower.sort_indices()
    upper.sort_indices()
    return Factors(lower, upper, lu.perm_r.astype(np.int64), lu.perm_c.astype(np.int64))


@compiled
def _solve(l_ptr, l_row, l_val, u_ptr, u_row, u_val, row_to, column_from, b, x):  # type: ignore[no-untyped-def]
    n, count = b.shape
    for block in range((count + _LANES - 1) // _LANES):
        first = block * _LANES
        live = min(_LANES, count - first)
        f = np.zeros((n, live))
        for i in range(n):
            for w in range(live):
                f[row_to[i], w] = b[i, first + w]
        for j in range(n):
            for e in range(l_ptr[j], l_ptr[j + 1]):
                r, value = l_row[e], l_val[e]
                if r != j:
                    for w in range(live):
                        f[r, w] -= value * f[j, w]
        for j in range(n - 1, -1, -1):
            d = 1.0 / u_val[u_ptr[j + 1] - 1]
            for w in range(live):
                f[j, w] *= d
            for e in range(u_ptr[j], u_ptr[j + 1] - 1):
                r, value = u_row[e], u_val[e]
                for w in range(live):
                    f[r, w] -= value * f[j, w]
        for i in range(n):
            for w in range(live):
                x[i, first + w] = f[column_from[i], w]


@compiled
def subtract(x, which, w, first, c):  # type: ignore[no-untyped-def]  # numba types it
    """Subtract ``w[:, first[k]:first[k + 1]] @ c[...]`` from each column ``a`` of ``x``, with ``k = which[a]``."""
    for i in range(x.shape[0]):
        for a in range(which.size):
            k = which[a]
            total = 0.0
            for t in range(first[k], first[k + 1]):
                total += w[i, t] * c[t]
            x[i, a] -= total
