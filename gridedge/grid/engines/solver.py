"""What an engine is to those who use it, and in which blocks it works."""

from __future__ import annotations

from collections import Counter
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.moving import Moving

_BLOCK_BYTES = 8 << 20  # voltages of a block: they should stay in the processor's cache


class Solver(Protocol):
    """An engine with its net, ready to solve blocks of states."""

    rows: int

    def solve(self, moving: list[Moving], x: NDArray[np.float64], v: Lanes) -> NDArray[np.bool_]:
        """Solve the states of values ``x`` (state, element) into ``v``; return which are solved."""


@runtime_checkable
class Saying(Protocol):
    """An engine that tells more of the block that it solved last."""

    said: Counter[str]
    """Why states are not solved, and how many."""
    extra: dict[str, NDArray[np.float64]]
    """What else was found, (state, ...)."""


def side_by_side(moving: list[Moving], states: slice) -> NDArray[np.float64]:
    """Return the values of consecutive states, columns side by side, shape (state, element)."""
    if not moving:
        return np.zeros((states.stop - states.start, 0))
    parts = [m.at(states) for m in moving]
    return np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))


def block_states(rows: int) -> int:
    """Return how many states make a block: it depends on the net alone, never on the machine."""
    tile = 128
    return max(4 * tile, min(8192, _BLOCK_BYTES // (rows * 16) // tile * tile))
