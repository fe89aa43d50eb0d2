"""Loops that need the sample before: Python while a series is short, machine code from then on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SHORT = 4_000
"""Samples; below, Python is done before the compiler is loaded. [1]"""
_MACHINE: dict[Callable[..., Any], Any] = {}


def loop(steps: Callable[..., Any], samples: int) -> Any:
    """Return a loop over samples in the form that is done first; both give the same bits.

    Parameters
    ----------
    steps : callable
        A function of arrays and numbers that writes into its last arguments.
    samples : int
        Length of the series that it will go through.
    """
    if steps in _MACHINE:
        return _MACHINE[steps]
    if samples < SHORT:
        return steps
    import numba  # it takes a second

    # No fastmath: a fused multiply-add would round elsewhere.
    try:
        _MACHINE[steps] = numba.njit(cache=True, nogil=True)(steps)
    except RuntimeError:  # nowhere to keep it: compile in every process
        _MACHINE[steps] = numba.njit(nogil=True)(steps)
    return _MACHINE[steps]
