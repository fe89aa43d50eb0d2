"""Which of many choices no other one beats."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pareto_front(costs: ArrayLike) -> NDArray[np.bool_]:
    """Say which rows no other row beats.

    Parameters
    ----------
    costs : array_like, shape (choice, objective)
        Less is better in every column; NaN counts as worse than any number.

    Returns
    -------
    ndarray of bool, shape (choice,)
        True where no other row is at least as good in every column and better in one.  Of equal rows all stay.
    """
    values = np.asarray(costs, dtype=float)
    values = np.where(np.isnan(values), np.inf, values)
    no_worse = (values[:, None, :] <= values[None, :, :]).all(axis=2)
    better = (values[:, None, :] < values[None, :, :]).any(axis=2)
    return np.asarray(~(no_worse & better).any(axis=0))
