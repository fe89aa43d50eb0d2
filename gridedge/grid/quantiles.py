"""Quantiles of a stream: counts in bins that widen as the range grows, with a bound on the error.

Bins have a width of a power of two and start at its multiples, as narrow as the range seen allows: the bins in the
end depend on the values alone, never on their order or on who counted them.
"""

# numba types the loops below; mypy cannot.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.engines.compiled import compiled
from gridedge.grid.engines.threads import spread

BINS = 2048
_GROUP = 64  # quantities that one thread counts together: they lie side by side
_FINEST = -40  # exponent of the narrowest bin: 1e-12


@dataclass
class Bins:
    """Counts of values by quantity.

    Parameters
    ----------
    exponent : ndarray of int, shape (quantity,)
        Bins are 2**exponent wide.
    first : ndarray of int, shape (quantity,)
        The first bin starts at first * 2**exponent.
    count : ndarray of int, shape (quantity, bin)
    """

    exponent: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]

    @classmethod
    def of(cls, parts: list[NDArray[np.float64]]) -> Bins:
        """Count values, given as arrays (state, quantity) side by side; what is no number is left out."""
        size = sum(values.shape[1] for values in parts)
        bins = cls(np.full(size, _FINEST), np.zeros(size, dtype=np.int64), np.zeros((size, BINS), dtype=np.int64))
        first = 0
        for values in parts:
            here = slice(first, first + values.shape[1])
            spread(
                _count, -(-values.shape[1] // _GROUP), values, bins.exponent[here], bins.first[here], bins.count[here]
            )
            first = here.stop
        return bins

    def merge(self, other: Bins) -> None:
        """Take in other counts."""
        spread(
            _merge, self.exponent.size, self.exponent, self.first, self.count, other.exponent, other.first, other.count
        )

    def quantile(self, q: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the quantile of every quantity, and the largest error it may have: half a bin.

        It is the value below or at which the fraction ``q`` of the values lies (the inverse of their distribution).
        NaN where nothing was counted.
        """
        total = self.count.sum(axis=1)
        rank = np.clip(np.ceil(q * total), 1, None)
        where = (np.cumsum(self.count, axis=1) >= rank[:, None]).argmax(axis=1)
        width = np.ldexp(1.0, self.exponent.astype(int))
        value = np.where(total > 0, (self.first + where + 0.5) * width, np.nan)
        return value, np.where(total > 0, width / 2, np.nan)


@compiled
def _fit(exponent, low, high):
    """Return the smallest exponent, not below the given one, at which a range fits the bins."""
    while np.floor(np.ldexp(high, -exponent)) - np.floor(np.ldexp(low, -exponent)) >= BINS:
        exponent += 1
    return exponent


@compiled
def _move(count, first, old, new_first, new):
    """Re-sort the counts of one quantity into wider bins, or bins that start elsewhere, in place."""
    moved = np.zeros(BINS, np.int64)
    for i in range(BINS):
        if count[i]:
            moved[((first + i) >> (new - old)) - new_first] += count[i]
    count[:] = moved


@compiled
def _count(groups, values, exponent, first, count):
    states, size = values.shape
    for group in range(*groups):
        begin, end = group * _GROUP, min(size, (group + 1) * _GROUP)
        low, high, scale = np.full(_GROUP, np.inf), np.full(_GROUP, -np.inf), np.zeros(_GROUP)
        for t in range(states):
            for k in range(begin, end):
                x = values[t, k]
                if abs(x) < np.inf:
                    low[k - begin], high[k - begin] = min(low[k - begin], x), max(high[k - begin], x)
        for k in range(begin, end):
            if low[k - begin] <= high[k - begin]:
                exponent[k] = _fit(exponent[k], low[k - begin], high[k - begin])
                scale[k - begin] = np.ldexp(1.0, -exponent[k])
                first[k] = np.int64(np.floor(low[k - begin] * scale[k - begin]))
        for t in range(states):
            for k in range(begin, end):
                x = values[t, k]
                if abs(x) < np.inf:
                    count[k, np.int64(np.floor(x * scale[k - begin])) - first[k]] += 1


@compiled
def _merge(span, exponent, first, count, other_exponent, other_first, other_count):
    for k in range(*span):
        if not other_count[k].any():
            continue
        if not count[k].any():
            exponent[k], first[k], count[k, :] = other_exponent[k], other_first[k], other_count[k]
            continue
        # The range that is occupied, in the finer of the two bins' units.
        new = max(exponent[k], other_exponent[k])
        while True:
            low, high = np.int64(2**62), np.int64(-(2**62))
            for i in range(BINS):
                if count[k, i]:
                    j = (first[k] + i) >> (new - exponent[k])
                    low, high = min(low, j), max(high, j)
                if other_count[k, i]:
                    j = (other_first[k] + i) >> (new - other_exponent[k])
                    low, high = min(low, j), max(high, j)
            if high - low < BINS:
                break
            new += 1
        moved = other_count[k].copy()
        _move(moved, other_first[k], other_exponent[k], low, new)
        _move(count[k], first[k], exponent[k], low, new)
        exponent[k], first[k] = new, low
        count[k] += moved
