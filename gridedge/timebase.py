"""Clocks: how many steps a duration has, even spacing, and going from fine to coarse.

A sample is the mean over ``[t, t + dt)`` and carries the time of its start.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import bad, is_number

Reduction = Literal["mean", "max", "min"]
_TOGETHER = 1 << 20  # samples of a clock that are checked at once
_CLOCK_RTOL = 1e-6  # of one step: above what double precision loses in a year of milliseconds


def step_count(duration_s: float, dt_s: float, name: str = "duration_s") -> int:
    """Return how many steps of ``dt_s`` fill ``duration_s``.

    Raises
    ------
    InputError
        If a length is not positive, the step is longer than the duration, or the
        duration is no whole number of steps.
    """
    for what, value in ((name, duration_s), ("dt_s", dt_s)):
        if not (is_number(value) and value > 0):
            raise bad(f"{what} must be a positive number of seconds", repr(value), f"Give {what} > 0.")
    if dt_s > duration_s:
        raise bad(f"dt_s is longer than {name}", f"{dt_s} s > {duration_s} s", f"Shorten dt_s or lengthen {name}.")
    count = round(duration_s / dt_s)
    if abs(count * dt_s - duration_s) > _CLOCK_RTOL * dt_s:
        cure = f"Use {name}={count * dt_s:g}, or another step."
        raise bad(f"{name} is no whole number of steps", f"{duration_s} s / {dt_s} s", cure)
    return count


def check_step(dt_s: float) -> None:
    """Check that a step is a positive number of seconds."""
    if not (is_number(dt_s) and dt_s > 0):
        cure = "Give the step of the series as a number."
        raise bad("dt_s, the step length in seconds, must be positive", repr(dt_s), cure)


def as_numbers(p_mw: ArrayLike) -> NDArray[np.float64]:
    """Return a power series as an array of double precision."""
    try:
        return np.asarray(p_mw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise bad("the power series holds no numbers", type(p_mw).__name__, "Give megawatts.") from error


def skipped(settle_s: float, dt_s: float, count: int) -> int:
    """Return how many of ``count`` samples lie in the start of a series, of which some must be left.

    Raises
    ------
    InputError
        If ``settle_s`` is no length of time, or takes the whole series.
    """
    if not (is_number(settle_s) and settle_s >= 0):
        raise bad("settle_s must be a number of seconds, 0 or more", repr(settle_s), "Give settle_s >= 0.")
    first = round(settle_s / dt_s)
    if first >= count:
        cure = f"The series is {count * dt_s:g} s long; leave some of it to be judged."
        raise bad("settle_s leaves nothing to judge", f"{settle_s:g} s", cure)
    return first


def step_of(time_s: NDArray[np.float64]) -> float:
    """Return the step length of an even clock in seconds.

    Raises
    ------
    InputError
        If there are fewer than two samples, or the clock jumps or runs backwards.
    """
    if time_s.size < 2:
        raise bad("a clock needs two samples to have a step", time_s.size, "Give a longer series.")
    dt_s = float(np.median(np.diff(time_s[:_TOGETHER])))
    for first in range(0, time_s.size - 1, _TOGETHER):
        part = time_s[first : first + _TOGETHER + 1]
        steps = np.diff(part)
        wrong = ~(np.abs(steps - dt_s) <= _CLOCK_RTOL * abs(dt_s) + 8 * np.spacing(np.abs(part[1:])))
        if dt_s <= 0 or wrong.any():
            k = int(np.argmax(wrong)) if wrong.any() else 0
            raise bad(
                "the clock is not even",
                f"{part[k]:g} s is followed by {part[k + 1]:g} s",
                "Give evenly spaced samples.",
            )
    return float((time_s[-1] - time_s[0]) / (time_s.size - 1))


def coarsen(values: NDArray[np.float64], factor: int, how: Reduction) -> NDArray[np.float64]:
    """Reduce every ``factor`` samples along the last axis to one.

    Parameters
    ----------
    values : ndarray, shape (..., time)
        The fine series.
    factor : int
        Samples per coarse step; must divide the number of samples.
    how : {"mean", "max", "min"}
        The reduction.  Taking the last sample is not one: it aliases.

    Returns
    -------
    ndarray, shape (..., time / factor)
    """
    length = values.shape[-1]
    if factor < 1 or length % factor:
        raise bad(
            "the coarse step is no whole number of samples", f"{length} samples / {factor}", "Cut the series first."
        )
    blocks = values.reshape(*values.shape[:-1], length // factor, factor)
    if how == "mean":
        return np.asarray(blocks.mean(axis=-1))
    if how == "max":
        return np.asarray(blocks.max(axis=-1))
    if how == "min":
        return np.asarray(blocks.min(axis=-1))
    raise bad("unknown reduction", how, "Use mean, max or min.")


def hold(time_s: NDArray[np.float64], coarse_time_s: NDArray[np.float64], coarse_dt_s: float) -> NDArray[np.intp]:
    """Return, for each time, the index of the coarse sample that holds then.

    A coarse sample holds from its label to the next one.

    Raises
    ------
    InputError
        If a time lies before the first label or after the end of the last step.
    """
    tol = _CLOCK_RTOL * coarse_dt_s
    index = np.searchsorted(coarse_time_s, time_s + tol, side="right") - 1
    end = coarse_time_s[-1] + coarse_dt_s
    outside = (index < 0) | (time_s >= end - tol)
    if outside.any():
        t = float(time_s[int(np.argmax(outside))])
        cure = "Lengthen the background, or shorten the load."
        raise bad("a time outside the background", f"{t:g} s is not in [{coarse_time_s[0]:g}, {end:g}) s", cure)
    return np.asarray(index, dtype=np.intp)
