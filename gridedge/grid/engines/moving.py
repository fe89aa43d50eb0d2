"""What changes from one state of a net to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Moving:
    """A column of the net that changes from state to state.

    Parameters
    ----------
    table, column : str
        As pandapower names them: ``load``, ``p_mw``.
    rows : ndarray
        Positions in the table.
    values : ndarray, shape (state, row)
        What to write.
    """

    table: str
    column: str
    rows: NDArray[np.intp]
    values: NDArray[np.float64]
