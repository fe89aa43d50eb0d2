"""What moves, gathered into one set of columns, and how it becomes injections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridedge.grid.engines.model import Complex, Float, Model, injection
from gridedge.grid.engines.moving import Moving


@dataclass(frozen=True)
class Inputs:
    """What the injections of every state are made of.

    Parameters
    ----------
    moving : list of Moving
        What changes; its columns side by side are the elements.
    still : ndarray, shape (row,)
        Injections that do not change. [pu]
    p, q : csr_matrix, shape (row, element)
        From the values of the elements [MW, Mvar] to injections. [pu]
    """

    moving: list[Moving]
    still: Complex
    p: sp.csr_matrix
    q: sp.csr_matrix

    def values(self, states: NDArray[np.intp] | slice) -> Float:
        """Return the values of consecutive states, shape (state, element)."""
        parts = [m.at(states) for m in self.moving]
        return np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))

    def few(self, states: NDArray[np.intp]) -> Float:
        """Return the values of scattered states, shape (state, element)."""
        if not self.moving:
            return np.zeros((states.size, 0))
        return np.concatenate([m.at_each(states) for m in self.moving], axis=1)

    def injections(self, x: Float) -> Complex:
        """Return the injections [pu] of values (state, element), shape (row, state)."""
        return np.asarray(self.still[:, None] + self.p @ x.T + 1j * (self.q @ x.T))


def inputs(net: Any, model: Model, moving: list[Moving]) -> Inputs:
    """Gather what moves into one set of columns."""
    parts = injection(net, model, moving)
    zero = np.zeros(model.v0.size, dtype=complex)
    still = model.s0 - sum((matrix @ base for matrix, base in parts), zero)
    matrix = sp.csr_matrix(sp.hstack([m for m, _ in parts])) if parts else sp.csr_matrix((zero.size, 0), dtype=complex)
    p, q = sp.csr_matrix(matrix.real.copy()), sp.csr_matrix(matrix.imag.copy())
    p.eliminate_zeros()
    q.eliminate_zeros()
    return Inputs(moving, np.asarray(still), p, q)
