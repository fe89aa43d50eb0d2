"""Filters that rules measure through: from a series to the part of it within a frequency band."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import bad

Float = NDArray[np.float64]
Start = Literal["mean", "first sample"]


def band_pass(
    p_mw: Float,
    dt_s: float,
    *,
    band_hz: tuple[float, float],
    order: int = 2,
    causal: bool = True,
    start: Start = "mean",
) -> Float:
    r"""Return what a Butterworth band-pass leaves of a series.

    Parameters
    ----------
    p_mw : ndarray, shape (..., time)
        Power, evenly sampled; any other quantity is treated alike. [MW]
    dt_s : float
        Step length. [s]
    band_hz : (float, float)
        Lower and upper edge, where the gain is :math:`1/\sqrt 2`. [Hz]  An upper edge of infinity, or one that the
        samples cannot show (at or above half their rate), leaves a high-pass.
    order : int
        Order of the low-pass it is made from: a band-pass of order N has 2 N poles, and falls by 20 N dB per decade
        on either side.
    causal : bool
        Whether a sample depends on earlier ones only; else the filter runs forwards and backwards, which squares the
        gain and takes away the delay.
    start : {"mean", "first sample"}
        Value at which the series is taken to have stood before it begins.

    Returns
    -------
    ndarray, shape (..., time)
        The part within the band; a flat series gives 0. [MW]

    Raises
    ------
    InputError
        If an edge is not positive, the lower one is not below the upper one or not below half the sampling rate, or
        the order is no whole number from 1 to 8.

    Notes
    -----
    The gain at a frequency f, with :math:`\Omega(f) = \tan(\pi f \Delta t)` from the bilinear transform, is

    .. math:: |H(f)|^{-2} = 1 + \left(\frac{\Omega^2 - \Omega_1\Omega_2}{\Omega\,(\Omega_2 - \Omega_1)}\right)^{2N}

    It runs as a cascade of sections of second order, which stays exact to rounding where the lower edge is a
    ten-thousandth of the sampling rate; one polynomial of the same order would not.  The filter passes nothing at
    0 Hz, so a state settled at a level is the state zero after that level is taken off.

    References
    ----------
    .. [1] A. V. Oppenheim, R. W. Schafer, "Discrete-Time Signal Processing", 3rd ed., Pearson, 2010, sections 7.2.2
           (bilinear transform) and 6.5.2 (cascade form), and appendix B.1 (Butterworth).
    """
    from scipy.signal import butter, sosfilt  # late: it takes half a second

    low, high = band_hz
    rate_hz = 1.0 / dt_s
    if not (0 < low < high):
        raise bad("the band of a filter is empty", f"{band_hz} Hz", "Give 0 < lower edge < upper edge.")
    if low >= 0.5 * rate_hz:
        cure = f"Use a step below {0.5 / low:g} s."
        raise bad("the samples cannot show any of the band", f"{band_hz} Hz in steps of {dt_s:g} s", cure)
    if not (isinstance(order, int) and 1 <= order <= 8):
        raise bad("order of the filter", order, "Give a whole number from 1 to 8.")
    open_above = high >= 0.5 * rate_hz
    edges = low if open_above else (low, high)
    sos = butter(order, edges, btype="highpass" if open_above else "bandpass", fs=rate_hz, output="sos")
    p = np.asarray(p_mw, dtype=np.float64)
    if p.shape[-1] == 0:
        return p.copy()
    swing = p - (p.mean(axis=-1, keepdims=True) if start == "mean" else p[..., :1])
    passed = sosfilt(sos, swing, axis=-1)
    if not causal:
        passed = np.flip(sosfilt(sos, np.flip(passed, axis=-1), axis=-1), axis=-1)
    return np.asarray(passed)


def droop(f_hz: float, dt_s: float) -> float:
    r"""Return the share of a swing that means over a step leave, :math:`|\sin(\pi f \Delta t) / (\pi f \Delta t)|`."""
    return float(np.abs(np.sinc(f_hz * dt_s)))


def too_coarse(band_hz: tuple[float, float], dt_s: float) -> str:
    """Say what samples show of a band that reaches above half their rate, and which step would show it all."""
    return (
        f"steps of {dt_s:g} s show what lies below {0.5 / dt_s:.3g} Hz of {band_hz[0]:g} to {band_hz[1]:g} Hz: "
        f"use a step below {0.5 / band_hz[1]:.3g} s"
    )
