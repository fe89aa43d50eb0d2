"""Polynomials of the voltages over a part of the range: interpolated, or fitted, and held against states not seen."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.engines.batch import Batch
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.model import Complex, Float

_MOST_NODES = 4096  # exact solutions that a surface may cost
_MOST_DEGREE = 24
_RANDOM = 48  # held-out states beside the corners
_MOST_CORNERS = 64


@dataclass(frozen=True)
class Axes:
    """The coordinates of the data.

    Parameters
    ----------
    columns : ndarray
        The columns that move freely.
    middle : ndarray, shape (column,)
        Origin. [MW, Mvar]
    direction : ndarray, shape (column, axis)
        Orthonormal.
    low, high : ndarray, shape (axis,)
        The range that the data span.
    """

    columns: NDArray[np.intp]
    middle: Float
    direction: Float
    low: Float
    high: Float

    def coordinates(self, x: Float) -> Float:
        """Return the coordinates (state, axis) of values (state, column)."""
        z = np.zeros((x.shape[0], self.direction.shape[1]))
        for column, middle in enumerate(self.middle):  # the bits of a BLAS product depend on its threads
            z += (x[:, column] - middle)[:, None] * self.direction[column]
        return z

    def values(self, z: Float) -> Float:
        """Return the values (state, column) at coordinates."""
        return np.asarray(self.middle + z @ self.direction.T)


@dataclass(frozen=True)
class Leaf:
    """A part of the range, and the polynomial that holds there.

    Parameters
    ----------
    low, high : ndarray, shape (axis,)
        The part.
    degree : ndarray of int, shape (term, axis)
        Chebyshev degree of each term along each axis; no term where the batch engine solves this part.
    weight : ndarray, shape (row, term)
        Coefficients of the complex voltages. [pu]
    error_pu : float
        Largest error at the held-out states.
    """

    low: Float
    high: Float
    degree: NDArray[np.int64]
    weight: Complex
    error_pu: float = 0.0


def solve_at(batch: Batch, axes: Axes, still: Float, z: Float) -> Complex | None:
    """Return the voltages (row, point) at coordinates (point, axis); None where one has no solution."""
    x = np.repeat(still[None, :], z.shape[0], axis=0)
    x[:, axes.columns] = axes.values(z)
    v = Lanes(batch.rows, z.shape[0])
    if not batch.contracting(x, v).all():
        return None
    return v.take(np.arange(z.shape[0]))


def fit(batch: Batch, axes: Axes, still: Float, low: Float, high: Float, tolerance: float) -> Leaf | str:
    """Return the polynomial of a part of the range, or why there is none."""
    dims = low.size
    middle, half = (low + high) / 2, (high - low) / 2
    rng = np.random.default_rng(dims)
    corners = np.array(list(itertools.islice(itertools.product((-1.0, 1.0), repeat=dims), _MOST_CORNERS)))
    unseen = np.concatenate((corners, rng.uniform(-1.0, 1.0, (_RANDOM, dims))))
    truth = solve_at(batch, axes, still, middle + half * unseen)
    if truth is None:
        return "a state has no solution"
    # One number for what is asked of the tail: it must not spend the whole tolerance.
    found = _tensor(batch, axes, still, middle, half, tolerance / 4)
    if isinstance(found, str):
        found = _least_squares(batch, axes, still, middle, half, tolerance / 4)
    if isinstance(found, str):
        return found
    degree, weight = found
    error = float(np.abs(basis(unseen, degree) @ weight.T - truth.T).max())
    if not error <= tolerance:
        return f"error {error:.1e} pu at held-out states"
    return Leaf(low, high, degree, weight, error)


def basis(z: Float, degree: NDArray[np.int64]) -> Float:
    """Return products of Chebyshev polynomials, shape (point, term), at points (point, axis) within -1 and 1."""
    angle = np.arccos(np.clip(z, -1.0, 1.0))
    return np.asarray(np.prod(np.cos(angle[:, None, :] * degree[None, :, :]), axis=2))


def _tensor(
    batch: Batch, axes: Axes, still: Float, middle: Float, half: Float, tolerance: float
) -> tuple[NDArray[np.int64], Complex] | str:
    """Interpolate on a tensor grid, each axis with as many nodes as its coefficients ask for."""
    dims = middle.size
    count = np.full(dims, 4 if dims <= 3 else 3)
    weight: Complex
    while True:
        if int(np.prod(count)) > _MOST_NODES:
            return "a tensor grid has too many nodes"
        nodes = [np.cos((np.arange(n) + 0.5) * np.pi / n) for n in count]
        grid = np.stack([g.ravel() for g in np.meshgrid(*nodes, indexing="ij")], axis=1)
        v = solve_at(batch, axes, still, middle + half * grid)
        if v is None:
            return "a state has no solution"
        weight = v.reshape(batch.rows, *count)
        for axis, n in enumerate(count):
            k = np.arange(n)
            transform = np.cos(k[:, None] * (k[None, :] + 0.5) * np.pi / n) * 2.0 / n
            transform[0] /= 2.0
            weight = np.asarray(np.moveaxis(np.tensordot(transform, weight, axes=(1, axis + 1)), 0, axis + 1))
        size = np.abs(weight).max(axis=0)
        short = [a for a in range(dims) if np.take(size, range(count[a] - 2, count[a]), axis=a).sum() > tolerance]
        if not short:
            break
        if any(count[a] >= _MOST_DEGREE for a in short):
            return "the degree grows too far"
        for a in short:
            count[a] = min(_MOST_DEGREE, count[a] + max(2, count[a] // 2))
    degree = np.stack([g.ravel() for g in np.meshgrid(*[np.arange(n) for n in count], indexing="ij")], axis=1)
    size, weight = size.ravel(), weight.reshape(batch.rows, -1)
    # The smallest terms, as many as together stay within what may be left out.
    order = np.argsort(size)
    kept = np.sort(order[np.cumsum(size[order]) > tolerance])
    kept = kept if kept.size else order[-1:]
    return np.asarray(degree[kept], dtype=np.int64), np.asarray(weight[:, kept], dtype=np.complex128)


def _least_squares(
    batch: Batch, axes: Axes, still: Float, middle: Float, half: Float, tolerance: float
) -> tuple[NDArray[np.int64], Complex] | str:
    """Fit a basis of bounded total degree, which grows until points apart from the fit are met."""
    dims = middle.size
    rng = np.random.default_rng(dims + 1000)
    for most in range(1, 7):
        degree = _total_degree(dims, most)
        points = 2 * degree.shape[0] + 2 * dims
        if points > _MOST_NODES:
            return "a fit would need too many solutions"
        # Drawn with the density of Chebyshev nodes, which keeps the fit well posed.
        z = np.cos(np.pi * rng.uniform(0.0, 1.0, (points + _RANDOM, dims)))
        v = solve_at(batch, axes, still, middle + half * z)
        if v is None:
            return "a state has no solution"
        phi = basis(z, degree)
        weight = np.asarray(np.linalg.lstsq(phi[:points], v.T[:points], rcond=None)[0].T, dtype=np.complex128)
        if np.abs(phi[points:] @ weight.T - v.T[points:]).max() <= tolerance:
            return degree, weight
    return "the degree grows too far"


def _total_degree(dims: int, most: int) -> NDArray[np.int64]:
    """Return the degrees of all terms whose degrees add up to no more than ``most``."""
    found: list[tuple[int, ...]] = [()]
    for _ in range(dims):
        found = [(*t, k) for t in found for k in range(most - sum(t) + 1)]
    return np.array(found, dtype=np.int64).reshape(-1, dims)
