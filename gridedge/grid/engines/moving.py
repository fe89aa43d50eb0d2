"""What changes from one state of a net to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Float = NDArray[np.float64]
_TOGETHER = 1 << 16  # states that are read at once


@dataclass(frozen=True)
class Moving:
    """A column of the net that changes from state to state.

    Parameters
    ----------
    table, column : str
        As pandapower names them: ``load``, ``p_mw``.
    rows : ndarray
        Positions in the table.
    values : array-like, shape (step, row)
        What to write: an array, or what becomes one when it is sliced, such as an xarray Variable on a file.
    sign : float
        Factor on the values.
    held : ndarray, shape (state,), optional
        The step whose values hold in each state; without it, every state is a step.
    """

    table: str
    column: str
    rows: NDArray[np.intp]
    values: Any
    sign: float = 1.0
    held: NDArray[np.intp] | None = None

    @property
    def states(self) -> int:
        """Number of states."""
        return int(self.values.shape[0] if self.held is None else self.held.size)

    @property
    def in_memory(self) -> bool:
        """Whether the values are an array already."""
        return isinstance(self.values, np.ndarray)

    def at(self, states: NDArray[np.intp] | slice) -> Float:
        """Return the values of some states, shape (state, row)."""
        if self.held is not None:
            steps = self.held[states]
            first, last = (int(steps.min()), int(steps.max())) if steps.size else (0, -1)
            block = np.asarray(self.values[first : last + 1], dtype=float)
            found = block[steps - first]
        else:
            found = np.asarray(self.values[states], dtype=float)
        return found if self.sign == 1.0 else self.sign * found

    def mean(self) -> Float:
        """Return the mean over all states that are numbers, shape (row,); NaN where there is none."""
        total, count = np.zeros(self.rows.size), np.zeros(self.rows.size)
        for first in range(0, self.states, _TOGETHER):
            block = self.at(slice(first, min(first + _TOGETHER, self.states)))
            finite = np.isfinite(block)
            total += np.where(finite, block, 0.0).sum(axis=0)
            count += finite.sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def constant(self) -> bool:
        """Say whether every state has the same values."""
        first = self.at_each(np.array([0]))
        if self.held is not None:
            return all((self.values[k] == first / self.sign).all() for k in np.unique(self.held).tolist())
        pieces = range(0, self.states, _TOGETHER)
        return all((self.at(slice(k, min(k + _TOGETHER, self.states))) == first).all() for k in pieces)

    def pick(self, states: NDArray[np.intp]) -> Moving:
        """Return the same column for some states only."""
        return Moving(self.table, self.column, self.rows, self.at_each(states))

    def cut(self, states: slice) -> Moving:
        """Return the same column for consecutive states, in memory."""
        return Moving(self.table, self.column, self.rows, self.at(states))

    def window(self, states: slice) -> Moving:
        """Return the same column for consecutive states, reading nothing yet."""
        if self.held is not None:
            return Moving(self.table, self.column, self.rows, self.values, self.sign, self.held[states])
        return Moving(self.table, self.column, self.rows, self.values[states], self.sign)

    def at_each(self, states: NDArray[np.intp]) -> Float:
        """Return the values of a few scattered states, shape (state, row), reading no more than these."""
        if self.in_memory and self.held is None:
            return self.at(states)
        parts = [self.at(np.array([s])) if self.held is not None else self.at(slice(s, s + 1)) for s in states]
        return np.concatenate(parts) if parts else np.empty((0, self.rows.size))


def as_values(data: xr.DataArray) -> Any:
    """Return a series (step, element) as an array, or as what is read when it is sliced where it lies in a file."""
    # What xarray has not read yet must not be read as a whole.
    return data.values if getattr(data.variable, "_in_memory", False) else data.variable
