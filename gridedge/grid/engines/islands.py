"""Which rows of a bus-branch model lose their reference when branches go out."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse import csgraph

Rows = NDArray[np.intp]
_HASH_SEED = 0  # the hashes only preselect; what they select is checked


def unreached(rows: int, ends: Rows, references: Rows) -> NDArray[np.bool_]:
    """Say which rows no reference reaches, as pandapower's own check does.

    Parameters
    ----------
    rows : int
        How many rows there are.
    ends : ndarray, shape (branch, 2)
        Rows that each branch in service joins.
    references : ndarray
        Rows that hold a reference.

    Returns
    -------
    ndarray of bool, shape (row,)
    """
    graph, _ = _joined(rows, ends, references)
    dark = np.ones(rows + 1, dtype=bool)
    dark[csgraph.breadth_first_order(graph, rows, directed=False, return_predecessors=False)] = False
    return dark[:rows]


def bridges(rows: int, ends: Rows, references: Rows) -> NDArray[np.bool_]:
    """Say which branches may split the net when one of them goes out alone; all others surely do not.

    Parameters
    ----------
    rows, ends, references
        As for :func:`unreached`.

    Returns
    -------
    ndarray of bool, shape (branch,)

    Notes
    -----
    A branch of a spanning tree is a bridge if no other branch closes a loop over it.  Each other branch gets
    a random number; the exclusive or of those that close a loop over a tree branch is zero where there
    is none.  It is also zero by chance once in 2**64, so a hit has to be looked at.
    """
    graph, joined = _joined(rows, ends, references)
    order, above = csgraph.breadth_first_order(graph, rows, directed=False)
    a, b = joined[:, 0], joined[:, 1]
    child = np.where(above[b] == a, b, np.where(above[a] == b, a, -1))
    tree = np.full(rows + 1, -1, dtype=np.intp)
    numbers = np.arange(len(joined))
    known = child >= 0
    tree[child[known][::-1]] = numbers[known][::-1]  # of parallel branches the first one is the tree's
    loose = np.ones(len(joined), dtype=bool)
    loose[tree[tree >= 0]] = False
    hashes = np.random.default_rng(_HASH_SEED).integers(1, 2**63, size=len(joined), dtype=np.uint64)
    over = np.zeros(rows + 1, dtype=np.uint64)
    np.bitwise_xor.at(over, a[loose], hashes[loose])
    np.bitwise_xor.at(over, b[loose], hashes[loose])
    for row in order[:0:-1]:
        over[above[row]] ^= over[row]
    found = np.zeros(len(joined), dtype=bool)
    below = order[1:]
    found[tree[below[over[below] == 0]]] = True
    return found[: len(ends)]


def _joined(rows: int, ends: Rows, references: Rows) -> tuple[sp.csr_matrix, Rows]:
    """Return the graph and its branches, with all references tied to one more node behind them."""
    ties = np.column_stack((references, np.full(references.size, rows))).astype(np.intp)
    joined = np.vstack((ends, ties))
    shape = (rows + 1, rows + 1)
    return sp.csr_matrix((np.ones(len(joined)), (joined[:, 0], joined[:, 1])), shape=shape), joined
