"""Where Newton starts: a guess from states that are solved already.

When everything moves along one line (a site's power, or a feeder's common shape), the
voltages are a smooth function of the total power.  A few states spread over its range are
solved first; a polynomial through them starts every other one so near that ``runpp`` finds
it solved, or one iteration away.  A guess only ever starts an iteration; whether a state
is solved is judged by its own mismatch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_NODES = 10
_LEAST = 40  # fewer states do not repay the nodes
_BAD = 1.0  # mean iterations from which a guess is no better than the neighbour


class Start:
    """Order of solution, and first guesses.

    Parameters
    ----------
    total_mw : ndarray, shape (state,)
        Total power of each state. [MW]
    """

    def __init__(self, total_mw: NDArray[np.float64]):
        self._at = total_mw
        rising = np.argsort(total_mw, kind="stable").astype(np.intp)
        nodes = self._choose(rising)
        self.order: NDArray[np.intp] = np.concatenate((nodes, rising[~np.isin(rising, nodes)]))
        self._left = {int(k) for k in nodes}
        self._x: list[float] = []
        self._v: list[NDArray[np.complex128]] = []
        self._weights = np.empty(0)
        self._tried = self._iterations = 0

    def _choose(self, rising: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the states nearest to the Chebyshev points of the range, each power once."""
        low, high = self._at[rising[0]], self._at[rising[-1]]
        if rising.size < _LEAST or not high - low > 1e-6 * max(abs(high), abs(low), 1.0):
            return np.empty(0, dtype=np.intp)
        points = 0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)
        near = np.clip(np.searchsorted(self._at[rising], points), 0, rising.size - 1)
        _, first = np.unique(self._at[rising[near]], return_index=True)
        return np.asarray(rising[near[first]])

    def learn(self, state: int, v: NDArray[np.complex128], iterations: int, guessed: bool) -> None:
        """Take in a solved state, and how many iterations its guess left to do."""
        if state in self._left:
            self._left.remove(state)
            self._x.append(float(self._at[state]))
            self._v.append(v.copy())
            if not self._left:
                x = np.asarray(self._x)
                gaps = (x[:, None] - x[None, :]) / np.ptp(x)
                np.fill_diagonal(gaps, 1.0)
                self._weights = 1.0 / gaps.prod(axis=1)
        elif guessed:
            self._tried += 1
            self._iterations += iterations

    def guess(self, state: int) -> NDArray[np.complex128] | None:
        """Return voltages to start from, or None where the neighbour is the better start."""
        if not self._weights.size or (self._tried >= _NODES and self._iterations > _BAD * self._tried):
            return None
        away = self._at[state] - np.asarray(self._x)
        if (away == 0).any():
            return self._v[int(np.argmax(away == 0))]
        share = self._weights / away
        return np.asarray(np.tensordot(share / share.sum(), np.stack(self._v), axes=1))
