"""Voltages of a block of states, side by side in lanes; the buffer is used again for every block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LANES = 16  # states side by side: two AVX-512 vectors of double precision, four of AVX2


class Lanes:
    """Complex voltages as (block * row, lane), real and imaginary part apart.

    Parameters
    ----------
    rows : int
        Rows of the solver's voltage vector.
    states : int
        How many states there is room for.
    """

    def __init__(self, rows: int, states: int):
        self.rows = rows
        blocks = -(-states // LANES)
        self.re, self.im = _aligned(blocks * rows), _aligned(blocks * rows)

    def take(self, states: NDArray[np.intp], rows: NDArray[np.intp] | None = None) -> NDArray[np.complex128]:
        """Return the voltages of some states of the block, shape (row, state), of all rows or of some."""
        re, im = (part.reshape(-1, self.rows, LANES) for part in (self.re, self.im))
        block, lane = states // LANES, states % LANES
        if rows is None:
            return np.asarray(re[block, :, lane] + 1j * im[block, :, lane]).T
        at = (block[:, None], rows[None, :], lane[:, None])
        return np.asarray(re[at] + 1j * im[at]).T

    def put(self, states: NDArray[np.intp], v: NDArray[np.complex128]) -> None:
        """Write the voltages (row, state) of some states of the block."""
        block, lane = states // LANES, states % LANES
        self.re.reshape(-1, self.rows, LANES)[block, :, lane] = v.real.T
        self.im.reshape(-1, self.rows, LANES)[block, :, lane] = v.imag.T

    def blank(self, solved: NDArray[np.bool_]) -> None:
        """Leave no number where a state is not solved, and in the lanes of the last block beyond the states."""
        room = -(-solved.size // LANES) * LANES
        void = np.flatnonzero(~np.r_[solved, np.zeros(room - solved.size, dtype=bool)])
        if void.size:
            self.put(void, np.full((self.rows, void.size), np.nan + 1j * np.nan))


def _aligned(rows: int) -> NDArray[np.float64]:
    room = np.empty(rows * LANES + 8)
    first = (-(room.ctypes.data // 8)) % 8
    return room[first : first + rows * LANES].reshape(rows, LANES)
