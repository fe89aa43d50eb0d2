"""What several sources of flicker come to at one bus, and how that depends on whether they swing together."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import bad, is_number

Float = NDArray[np.float64]
SYNCHRONOUS = 1.0
"""Exponent of sources that swing in step: their voltages add. [1]"""
INDEPENDENT = 2.0
"""Exponent of independent continuous fluctuations: their variances add, and Pst is a measure of power. [1]"""
RARE_STEPS = 3.0
"""Exponent of rare steps that do not meet: their number adds, and Pst goes with its cube root. [1]"""


def combine(pst_each: ArrayLike, *, exponent: float = INDEPENDENT) -> Float:
    r"""Return the severity that several sources come to together.

    Parameters
    ----------
    pst_each : array_like, shape (..., source)
        Pst, or Plt, of each source alone at the bus. [1]
    exponent : float
        1 for sources in step, 2 for independent continuous fluctuation (the default), 3 only for rare steps that
        are not synchronised. [1]

    Returns
    -------
    ndarray, shape (...)
        Severity of all. [1]

    Raises
    ------
    InputError
        If the exponent is below 1, or a severity is negative or not finite.

    Notes
    -----
    .. math:: P_{st} = \Big(\sum_i P_{st,i}^{\alpha}\Big)^{1/\alpha}

    IEC 61000-3-7 gives 3 for general use; it holds where steps seldom meet.  Continuous fluctuation, such as that of
    independent training jobs, adds by its mean square, so that 3 would understate it: of 16 equal sources, 2 gives
    four times one of them and 3 only 2.5 times.  :func:`exponent_of` measures it on joint waveforms.

    References
    ----------
    .. [1] IEC TR 61000-3-7:2008 and IEEE 1453.1-2012 (the law and its exponents from memory).
    """
    try:
        p = np.asarray(pst_each, dtype=np.float64)
    except (TypeError, ValueError):
        raise bad("the severities of the sources", str(pst_each), "Give one number >= 0 per source.") from None
    if not is_number(exponent) or not exponent >= 1:
        cure = "Use 1 for sources in step, 2 for independent ones, 3 for rare steps."
        raise bad("exponent of the summation law", exponent, cure)
    if p.ndim == 0 or not p.size or not np.isfinite(p).all() or (p < 0).any():
        raise bad("the severities of the sources", np.array2string(p, threshold=6), "Give one number >= 0 per source.")
    top = p.max(axis=-1, keepdims=True, initial=0.0)  # taken out, so that no power over- or underflows
    share = np.divide(p, top, out=np.zeros_like(p), where=top > 0)
    return np.asarray(top[..., 0] * (share**exponent).sum(axis=-1) ** (1.0 / exponent))


def exponent_of(pst_each: ArrayLike, pst_joint: float) -> float:
    r"""Return the exponent with which single severities come to that of the joint waveform.

    Parameters
    ----------
    pst_each : array_like, shape (source,)
        Pst of each source alone, two or more above 0. [1]
    pst_joint : float
        Pst of all together, measured on the sum of their changes (:func:`joint_voltage`). [1]

    Returns
    -------
    float
        :math:`\alpha` of :func:`combine`; infinity where the joint one is the largest alone, below 1 where the sum of
        all is exceeded.

    Raises
    ------
    InputError
        If fewer than two sources flicker, or together they flicker less than the strongest alone: no exponent does
        that, they work against each other.
    """
    p = np.asarray(pst_each, dtype=np.float64)
    active = p[p > 0]
    if p.ndim != 1 or not np.isfinite(p).all() or active.size < 2:
        raise bad("an exponent needs two sources that flicker", np.array2string(p, threshold=6), "Give more of them.")
    top = float(active.max())
    if not math.isfinite(pst_joint) or pst_joint < top * (1 - 1e-12):
        cure = "These sources work against each other; no summation law holds. Use the joint waveform itself."
        raise bad("together less than the strongest alone", f"{pst_joint:g} < {top:g}", cure)
    if pst_joint <= top * (1 + 1e-12):
        return math.inf
    logs = np.log(active / top)
    want = math.log(pst_joint / top)

    def excess(alpha: float) -> float:
        return math.log(float(np.exp(alpha * logs).sum())) / alpha - want

    low, high = 0.01, 1.0
    while excess(high) > 0 and high < 1e6:
        high *= 2.0
    if excess(low) < 0:
        return low
    from scipy.optimize import brentq

    return float(brentq(excess, low, high, xtol=1e-10))


def joint_voltage(vm_each_pu: ArrayLike) -> Float:
    r"""Return the voltage with all sources at work, from the voltages with each alone.

    Parameters
    ----------
    vm_each_pu : array_like, shape (source, ..., time)
        Voltage of the bus with one source at work. [pu]

    Returns
    -------
    ndarray, shape (..., time)
        :math:`\bar v + \sum_i (v_i - \bar v_i)`, with the mean of all means as the level. [pu]

    Notes
    -----
    Small changes add; a power flow of all sources at once is exact and needs no such sum.
    """
    v = np.asarray(vm_each_pu, dtype=np.float64)
    if v.ndim < 2:
        raise bad("voltages of several sources", f"shape {v.shape}", "Give shape (source, time).")
    means = v.mean(axis=-1, keepdims=True)
    return np.asarray(means.mean(axis=0) + (v - means).sum(axis=0))
