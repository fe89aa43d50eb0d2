"""Fewer points for the eye: long series thinned so that their extremes survive."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import bad

_FEWEST = 100
_GAPS = 0.1  # share of the points that may mark gaps
_ENVELOPE = 0.4  # share of the points that hold the extremes of every slice of the time axis


def thin(
    time: ArrayLike, values: ArrayLike, max_points: int = 10_000
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pick at most ``max_points`` samples of a series, extremes first.

    Parameters
    ----------
    time : array_like, shape (n,)
        Position of the samples, rising; any unit, evenly spaced or not.
    values : array_like, shape (n,)
        Samples; NaN is a gap.
    max_points : int
        Largest number of points to return, at least 100.

    Returns
    -------
    time, values : ndarray, shape (m,)
        Samples of the series itself, in order; nothing is averaged or interpolated.  A series of ``max_points`` or
        fewer comes back whole.

    Raises
    ------
    InputError
        If the shapes differ, ``max_points`` is below 100, or ``time`` does not rise.

    Notes
    -----
    Part of the points are the smallest and the largest value of each of many equal slices of the time axis, so that
    the envelope on a screen is the envelope of the whole series; the rest are picked by MinMaxLTTB [1]_ for the
    shape in between.  The first NaN of a gap is kept, so that a drawn line stays broken; of more gaps than a tenth
    of the points an even choice is kept.

    References
    ----------
    .. [1] J. Van Der Donckt et al., "MinMaxLTTB: leveraging MinMax-preselection to scale LTTB", IEEE VIS 2023.
           :doi:`10.1109/VIS54172.2023.00013`
    """
    t = np.ascontiguousarray(time, dtype=np.float64)
    v = np.ascontiguousarray(values, dtype=np.float64)
    if t.shape != v.shape or t.ndim != 1:
        raise bad(
            "time and values must be series of one length", f"{t.shape} and {v.shape}", "Give one series at a time."
        )
    if max_points < _FEWEST:
        raise bad("max_points is too small to keep the extremes", max_points, f"Allow at least {_FEWEST} points.")
    if t.size <= max_points:
        return t, v
    if not (np.diff(t) > 0).all():
        raise bad("time must rise from sample to sample", f"{t.size} samples", "Sort the series by time.")
    gap = ~np.isfinite(v)
    marks = _spread(np.flatnonzero(gap & ~np.r_[False, gap[:-1]]), int(max_points * _GAPS))
    full = np.flatnonzero(~gap)
    picked = full if full.size + marks.size <= max_points else full[_pick(t[full], v[full], max_points - marks.size)]
    index = np.union1d(picked, marks)
    return t[index], v[index]


def _pick(t: NDArray[np.float64], v: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    from tsdownsample import MinMaxDownsampler, MinMaxLTTBDownsampler

    ends = np.array([0, v.size - 1])
    envelope_count = int(count * _ENVELOPE) // 2 * 2
    envelope = MinMaxDownsampler().downsample(t, v, n_out=envelope_count)
    shape_count = count - envelope_count - ends.size
    shape = MinMaxLTTBDownsampler().downsample(t, v, n_out=shape_count)
    picked: NDArray[np.intp] = np.unique(np.concatenate([ends, envelope, shape])).astype(np.intp)
    return picked


def _spread(index: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    if index.size <= count:
        return index
    return index[np.linspace(0, index.size - 1, count).astype(np.intp)]
