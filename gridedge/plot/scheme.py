"""A scheme of a net that has no coordinates: buses that are electrically near lie near each other."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components, dijkstra

from gridedge.errors import bad

Float = NDArray[np.float64]
_PIVOTS = 80
_ROUNDS = 30
_SHORT = 0.15  # length of a transformer or switch, of the median line: chosen, so that a station is a small knot


def scheme(buses: int, ends: NDArray[np.intp], z_ohm: Float) -> Float:
    """Place the buses of a net so that distances follow the impedance between them.

    Parameters
    ----------
    buses : int
        How many there are.
    ends : ndarray of int, shape (branch, 2)
        Positions of the two buses of each branch.
    z_ohm : ndarray, shape (branch,)
        Series impedance of each line, about in proportion to its length; 0 for transformers and switches. [ohm]

    Returns
    -------
    ndarray, shape (bus, 2)
        Within a square of 1 by 1; NaN for buses outside the largest part that hangs together.  The same net always
        gets the same scheme.

    Raises
    ------
    InputError
        If no two buses hang together.

    Notes
    -----
    Pivot multidimensional scaling [1]_ of the shortest ways to 80 buses that lie far apart, then the positions are
    moved so that the distances to these and along the branches fit better (stress with weights 1/d^2 [2]_).

    References
    ----------
    .. [1] U. Brandes, C. Pich, Eigensolver Methods for Progressive Multidimensional Scaling of Large Data, Graph
       Drawing 2006, LNCS 4372, pp. 42-53.
    .. [2] J. X. Zheng, S. Pawar, D. F. M. Goodman, Graph Drawing by Stochastic Gradient Descent, IEEE Transactions on
       Visualization and Computer Graphics 25(9), 2019, pp. 2738-2748.
    """
    known = z_ohm[z_ohm > 0]
    unit = float(np.median(known)) if known.size else 1.0
    # Square root: a few lines of a hundred times the median would press all others into a point.
    length = np.where(z_ohm > 0, np.sqrt(z_ohm / unit), _SHORT)
    graph = _shortest(buses, ends, length)
    _, part = connected_components(graph, directed=False)
    largest = np.flatnonzero(part == np.bincount(part).argmax())
    if largest.size < 2:
        raise bad("this net has no coordinates, and nothing joins its buses", f"{buses} buses", "Give coordinates.")
    inside = graph[largest][:, largest]
    pivots, away = _far_apart(inside)
    xy = _refined(_pivot_mds(away), pivots, away, inside)
    placed = np.full((buses, 2), np.nan)
    xy = xy - xy.min(axis=0)
    placed[largest] = xy / max(float(xy.max()), 1e-12)
    return placed


def _shortest(buses: int, ends: NDArray[np.intp], length: Float) -> sp.csr_matrix:
    """Return the graph with the shortest of parallel branches."""
    pairs = np.sort(ends, axis=1)
    order = np.lexsort((length, pairs[:, 1], pairs[:, 0]))
    pairs, length = pairs[order], length[order]
    first = np.ones(length.size, dtype=bool)
    first[1:] = (np.diff(pairs, axis=0) != 0).any(axis=1)
    first &= pairs[:, 0] != pairs[:, 1]
    return sp.csr_matrix((length[first], (pairs[first, 0], pairs[first, 1])), shape=(buses, buses))


def _far_apart(graph: sp.csr_matrix) -> tuple[NDArray[np.intp], Float]:
    """Return pivots, each as far as can be from those before, and the distances (pivot, bus) from them."""
    count = min(_PIVOTS, graph.shape[0])
    pivots = [0]
    away = [dijkstra(graph, directed=False, indices=0)]
    pivots[0] = int(np.argmax(away[0]))  # from the edge of the net
    away[0] = dijkstra(graph, directed=False, indices=pivots[0])
    nearest = away[0].copy()
    while len(pivots) < count:
        pivots.append(int(np.argmax(nearest)))
        away.append(dijkstra(graph, directed=False, indices=pivots[-1]))
        nearest = np.minimum(nearest, away[-1])
    return np.array(pivots), np.array(away)


def _pivot_mds(away: Float) -> Float:
    squared = away.T**2
    centred = squared - squared.mean(axis=0) - squared.mean(axis=1)[:, None] + squared.mean()
    left, value, right = np.linalg.svd(-0.5 * centred, full_matrices=False)
    wide = min(2, value.size)
    # the sign of a singular vector is anybody's: the largest entry is made positive
    sign = np.sign(right[:wide][np.arange(wide), np.abs(right[:wide]).argmax(axis=1)])
    xy = np.zeros((away.shape[1], 2))
    xy[:, :wide] = left[:, :wide] * sign * np.sqrt(value[:wide])
    spread = np.linalg.norm(xy[:, None] - xy[None, :1], axis=2).ravel()
    return xy * float(away[0].max() / max(spread.max(), 1e-12))


def _refined(xy: Float, pivots: NDArray[np.intp], away: Float, graph: sp.csr_matrix) -> Float:
    """Move the buses so that their distances to the pivots and along the branches fit."""
    near = graph.tocoo()
    weight = 1.0 / np.maximum(away, 1e-3) ** 2
    weight[:, pivots][np.diag_indices(pivots.size)] = 0.0
    tie = 1.0 / near.data**2
    # a deterministic jitter: buses of one place would never part
    golden = np.arange(xy.shape[0]) * np.pi * (3 - np.sqrt(5))
    xy = xy + 1e-3 * float(away.max()) * np.column_stack([np.cos(golden), np.sin(golden)])
    for _ in range(_ROUNDS):
        # majorisation: each bus goes to the weighted mean of where its neighbours would have it
        total, pulled = np.zeros(xy.shape[0]), np.zeros_like(xy)
        for k, pivot in enumerate(pivots.tolist()):
            way = xy - xy[pivot]
            far = np.maximum(np.linalg.norm(way, axis=1), 1e-9)
            wanted = xy[pivot] + way * (away[k] / far)[:, None]
            total += weight[k]
            pulled += weight[k][:, None] * wanted
        for a, b in ((near.row, near.col), (near.col, near.row)):
            way = xy[a] - xy[b]
            far = np.maximum(np.linalg.norm(way, axis=1), 1e-9)
            wanted = xy[b] + way * (near.data / far)[:, None]
            np.add.at(total, a, tie)
            np.add.at(pulled, a, tie[:, None] * wanted)
        xy = np.where(total[:, None] > 0, pulled / np.maximum(total, 1e-300)[:, None], xy)
    return xy
