"""How large the swings of a power series are, by frequency."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import bad

_SHORTEST = 4  # with fewer samples the window leaves nothing between the mean and the Nyquist line


def amplitude_spectrum(p_mw: ArrayLike, dt_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Amplitude of the swings of a power series, by frequency.

    Parameters
    ----------
    p_mw : array_like, shape (..., time)
        Power, evenly sampled. [MW]
    dt_s : float
        Step length. [s]

    Returns
    -------
    f_hz : ndarray, shape (frequency,)
        Frequencies from 0 to half the sampling rate, ``1 / (n dt_s)`` apart. [Hz]
    amplitude_mw : ndarray, shape (..., frequency)
        Amplitude, half of peak to peak, of the sine at each frequency. [MW]

    Raises
    ------
    InputError
        If the step is not positive, the series is shorter than 4 samples, or it holds NaN or infinity.

    Notes
    -----
    .. math:: A_k = \frac{c_k}{\sum_n w_n} \left| \sum_n w_n (p_n - \bar p)\, e^{-2\pi i k n / N} \right|,
              \qquad \bar p = \frac{\sum_n w_n p_n}{\sum_n w_n}

    with the periodic Hann window :math:`w_n` and :math:`c_k = 2`, save for the first and the Nyquist line, where it
    is 1.  The window's sum in the denominator makes a sine of 1 MW read 1 MW where its frequency falls on a line;
    half-way between two lines it reads 0.849 MW (scalloping of the Hann window, -1.42 dB), and a sine fills about
    four neighbouring lines, so that amplitudes of neighbours may not be added.  Taking off the *weighted* mean makes
    the first line exactly zero; the plain mean would leave a remainder there that spills into the next line.

    A sample that is a mean over its step damps a swing by :math:`\mathrm{sinc}(f\,\Delta t)`; this is not undone.

    References
    ----------
    .. [1] F. J. Harris, "On the use of windows for harmonic analysis with the discrete Fourier transform",
           Proceedings of the IEEE 66 (1978) 51-83, section IV and table 1. :doi:`10.1109/PROC.1978.10837`
    """
    p = np.asarray(p_mw, dtype=np.float64)
    if not (math.isfinite(dt_s) and dt_s > 0):
        raise bad("dt_s, the step length in seconds, must be positive", dt_s, "Give the step of the series.")
    n = p.shape[-1] if p.ndim else 0
    if n < _SHORTEST:
        raise bad("too few samples for a spectrum", n, f"Give at least {_SHORTEST} along the last axis.")
    if not np.isfinite(p).all():
        gaps = int(p.size - np.isfinite(p).sum())
        raise bad("the power series has samples that are NaN or infinite", gaps, "Cut the series to a part without.")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    weight = window.sum()
    mean = (p * window).sum(axis=-1, keepdims=True) / weight
    amplitude: NDArray[np.float64] = np.abs(np.fft.rfft((p - mean) * window, axis=-1)) / weight
    # every line but the first and, for an even length, the Nyquist line stands for a pair of conjugate ones
    amplitude[..., 1 : (n + 1) // 2] *= 2
    f_hz: NDArray[np.float64] = np.arange(n // 2 + 1) / (n * dt_s)
    return f_hz, amplitude
