"""Factors for the inner loops: of the admittances, or of the Jacobian, once for many states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridedge.grid.engines.model import Complex, Model

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Triangles:
    """A sparse matrix as L times U, by columns, without their diagonals.

    Parameters
    ----------
    row_to, column_from : ndarray
        Where a row of the right-hand side goes, and where an unknown is found.
    lower, upper : tuple of (ptr, row)
        Patterns by column.
    lower_value, upper_value, inverse_diagonal : ndarray
        Values; L has ones on its diagonal, that of U is inverted.
    """

    row_to: Index
    column_from: Index
    lower: tuple[NDArray[np.int32], NDArray[np.int32]]
    upper: tuple[NDArray[np.int32], NDArray[np.int32]]
    lower_value: NDArray[Any]
    upper_value: NDArray[Any]
    inverse_diagonal: NDArray[Any]


def ordering(pattern: sp.csr_matrix) -> Index:
    """Return an order of rows and columns that keeps the factors of a symmetric pattern sparse."""
    n = pattern.shape[0]
    ones = sp.csc_matrix((np.full(pattern.nnz, -1.0), pattern.indices, pattern.indptr), shape=pattern.shape)
    ones = ones + ones.T + sp.diags(np.full(n, 4.0 * (np.diff(pattern.indptr).max(initial=1) + 1)))
    lu = splu(sp.csc_matrix(ones), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}, diag_pivot_thresh=0.0)
    return np.argsort(lu.perm_c).astype(np.int64)


def triangles(matrix: sp.csc_matrix, pivot: float = 0.01) -> Triangles:
    """Factorise a matrix whose rows and columns are ordered already.

    Parameters
    ----------
    matrix : csc_matrix
        With a symmetric pattern.
    pivot : float
        How much smaller than the largest of its column a pivot on the diagonal may be; 0 keeps to the diagonal.

    Raises
    ------
    RuntimeError
        If it is singular.
    """
    lu = splu(matrix, permc_spec="NATURAL", options={"SymmetricMode": True}, diag_pivot_thresh=pivot)
    lower, upper = sp.csc_matrix(sp.tril(lu.L, -1)), sp.csc_matrix(sp.triu(lu.U, 1))
    lower.sort_indices()
    upper.sort_indices()
    return Triangles(
        lu.perm_r.astype(np.int64), lu.perm_c.astype(np.int64),
        (lower.indptr, lower.indices), (upper.indptr, upper.indices),
        lower.data, upper.data, 1.0 / lu.U.diagonal(),
    )  # fmt: skip


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


def jacobian_of(model: Model) -> Callable[[Complex], sp.csc_matrix]:
    """Return :func:`jacobian` as a function of the voltages alone, its pattern laid out once for many calls."""
    own, entries = np.arange(model.v0.size), sp.coo_matrix(model.y)
    place = np.r_[entries.row, own], np.r_[entries.col, own]
    y = sp.coo_matrix((np.r_[entries.data, np.zeros(own.size)], place), shape=model.y.shape).tocsr()  # a whole diagonal
    row = np.repeat(np.arange(y.shape[0]), np.diff(y.indptr))
    column, diagonal = y.indices, row == y.indices
    angle_at, magnitude_at = np.full((2, y.shape[0]), -1)
    angles = np.r_[model.pv, model.pq]
    angle_at[angles], magnitude_at[model.pq] = np.arange(angles.size), angles.size + np.arange(model.pq.size)
    to, source = [], []
    for part, (r, c) in enumerate((a, b) for b in (angle_at, magnitude_at) for a in (angle_at, magnitude_at)):
        used = np.flatnonzero((r[row] >= 0) & (c[column] >= 0))
        to.append(np.stack([r[row[used]], c[column[used]]]))
        source.append(part * y.nnz + used)
    at_row, at_column = np.concatenate(to, axis=1)
    take = np.concatenate(source)
    order = np.lexsort((at_row, at_column))
    size = angles.size + model.pq.size
    ptr = np.searchsorted(at_column[order], np.arange(size + 1))
    index, take = at_row[order], take[order]

    def at(v: Complex) -> sp.csc_matrix:
        current = y @ v
        unit = v / np.abs(v)
        over = v[row] * y.data.conj()
        by_angle = -1j * over * v.conj()[column]
        by_angle[diagonal] += 1j * v * current.conj()
        by_magnitude = over * unit.conj()[column]
        by_magnitude[diagonal] += current.conj() * unit
        data = np.concatenate([by_angle.real, by_angle.imag, by_magnitude.real, by_magnitude.imag])[take]
        return sp.csc_matrix((data, index, ptr), shape=(size, size))

    return at
