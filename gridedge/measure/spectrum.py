"""How large the swings of a power series are, by frequency."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import bad, is_number
from gridedge.timebase import as_numbers, check_step

Float = NDArray[np.float64]

_SHORTEST = 4  # with fewer samples the window leaves nothing between the mean and the Nyquist line
_PADDING = 8  # a sine between two lines then reads at most 0.25 % low
_ROUNDING = 1e-12  # of the power: a swing below is what adding up leaves of none


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
    p = _checked(p_mw, dt_s)
    n = p.shape[-1]
    window = _hann(n)
    weight = window.sum()
    mean = (p * window).sum(axis=-1, keepdims=True) / weight
    amplitude: NDArray[np.float64] = np.abs(np.fft.rfft((p - mean) * window, axis=-1)) / weight
    # every line but the first and, for an even length, the Nyquist line stands for a pair of conjugate ones
    amplitude[..., 1 : (n + 1) // 2] *= 2
    f_hz: NDArray[np.float64] = np.arange(n // 2 + 1) / (n * dt_s)
    return f_hz, amplitude


def band_energy(p_mw: ArrayLike, dt_s: float, band_hz: tuple[float, float]) -> tuple[Float, Float]:
    r"""Energy of the swings within a frequency band, and its share of all swings.

    Parameters
    ----------
    p_mw : array_like, shape (..., time)
        Power, evenly sampled. [MW]
    dt_s : float
        Step length. [s]
    band_hz : (float, float)
        From the lower edge on, up to below the upper one, so that neighbouring bands add up. [Hz]

    Returns
    -------
    variance_mw2 : ndarray, shape (...)
        Mean square of the swing within the band. [MW^2]
    share : ndarray, shape (...)
        Its share of the mean square of the whole swing, 0 to 1; 0 for a flat series.

    Raises
    ------
    InputError
        As :func:`amplitude_spectrum`, and if the band is empty or holds no line of the spectrum.

    Notes
    -----
    .. math:: \sum_{k \ge 1} \frac{c_k}{N^2} |X_k|^2 = \frac1N \sum_n (p_n - \bar p)^2

    with :math:`c_k = 2`, save for the Nyquist line, where it is 1 (Parseval).  No window is laid over the series,
    since it would weigh its middle more; so a trend over the whole length appears as a swing of the lowest lines and
    spills upwards.
    """
    p = _checked(p_mw, dt_s)
    n = p.shape[-1]
    cure = "Give 0 <= lower edge < upper edge."
    try:
        low, high = map(float, band_hz)
    except (TypeError, ValueError) as error:
        raise bad("a band has two edges in Hz", repr(band_hz), cure) from error
    if not 0 <= low < high:
        raise bad("the band is empty", f"{band_hz} Hz", cure)
    f_hz = np.arange(n // 2 + 1) / (n * dt_s)
    # a line that rounding puts beside the edge lies on it
    near = 1e-9 / (n * dt_s)
    inside = (f_hz >= low - near) & (f_hz < high - near)
    inside[0] = False
    if not inside.any():
        cure = f"The lines are {1 / (n * dt_s):g} Hz apart, up to {f_hz[-1]:g} Hz: give a longer or a finer series."
        raise bad("the series shows nothing of the band", f"{band_hz} Hz", cure)
    mean = p.mean(axis=-1, keepdims=True)
    energy: Float = np.abs(np.fft.rfft(p - mean, axis=-1)) ** 2 / n**2
    energy[..., 1 : (n + 1) // 2] *= 2
    whole = energy[..., 1:].sum(axis=-1)
    flat = whole <= (_ROUNDING * np.abs(mean[..., 0])) ** 2
    variance = np.where(flat, 0.0, energy[..., inside].sum(axis=-1))
    share: Float = variance / np.where(flat, 1.0, whole)
    return variance, share


def spectrogram(
    p_mw: ArrayLike, dt_s: float, *, window_s: float = 60.0, overlap_pu: float = 0.5
) -> tuple[Float, Float, Float]:
    """Amplitude of the swings by time and frequency.

    Parameters
    ----------
    p_mw : array_like, shape (..., time)
        Power, evenly sampled. [MW]
    dt_s : float
        Step length. [s]
    window_s : float
        Length of each piece; lines are its inverse apart, and a swing that lasts less is read too small. [s]
    overlap_pu : float
        Share of a piece that the next one has in common with it, 0 to below 1.

    Returns
    -------
    time_s : ndarray, shape (piece,)
        Middle of each piece, from the start of the series; what is left at the end is one more piece that ends with
        the series. [s]
    f_hz : ndarray, shape (frequency,)
        Frequencies. [Hz]
    amplitude_mw : ndarray, shape (..., piece, frequency)
        As :func:`amplitude_spectrum` of each piece, with its window and normalisation. [MW]

    Raises
    ------
    InputError
        As :func:`amplitude_spectrum`, and if the window is longer than the series or the overlap is not possible.
    """
    p = _checked(p_mw, dt_s)
    starts, length = _pieces(p.shape[-1], dt_s, window_s, overlap_pu)
    pieces = np.stack([p[..., k : k + length] for k in starts], axis=-2)
    f_hz, amplitude_mw = amplitude_spectrum(pieces, dt_s)
    middle_s = np.asarray((starts + 0.5 * length) * dt_s, dtype=np.float64)
    return middle_s, f_hz, amplitude_mw


def peak_hold(p_mw: Float, dt_s: float, *, window_s: float = 60.0) -> tuple[Float, Float, Float]:
    r"""Largest amplitude that each frequency reaches in any piece of a series.

    Parameters
    ----------
    p_mw : ndarray, shape (time,)
        Power, evenly sampled. [MW]
    dt_s : float
        Step length. [s]
    window_s : float
        Length of each piece, half of which overlaps with the next. [s]

    Returns
    -------
    f_hz : ndarray, shape (frequency,)
        Frequencies, an eighth of the inverse of the window apart. [Hz]
    amplitude_mw : ndarray, shape (frequency,)
        As :func:`amplitude_spectrum` of a piece, but read between its lines too: a sine of 1 MW reads 0.9975 to
        1 MW, wherever its frequency lies. [MW]
    start_s : ndarray, shape (frequency,)
        Start of the piece with the largest one. [s]

    Raises
    ------
    InputError
        As :func:`spectrogram`.

    Notes
    -----
    Zeros behind each windowed piece make its lines eight times as dense.  Half-way between two of these the Hann
    window has fallen to :math:`\mathrm{sinc}(1/16) / (1 - 1/256) = 0.9975`.
    """
    p = _checked(p_mw, dt_s)
    starts, length = _pieces(p.shape[-1], dt_s, window_s, 0.5)
    padded = _PADDING * length
    window = _hann(length)
    scale = 2.0 / window.sum()
    largest = np.zeros(padded // 2 + 1)
    when = np.zeros(largest.size, dtype=np.int64)
    for k in starts:
        piece = p[k : k + length]
        swing = (piece - (piece @ window) / window.sum()) * window
        amplitude = np.abs(np.fft.rfft(swing, padded)) * scale
        higher = amplitude > largest
        largest[higher] = amplitude[higher]
        when[higher] = k
    f_hz: Float = np.arange(largest.size) / (padded * dt_s)
    start_s = np.asarray(when * dt_s, dtype=np.float64)
    return f_hz, largest, start_s


def _pieces(n: int, dt_s: float, window_s: float, overlap_pu: float) -> tuple[NDArray[np.int64], int]:
    """Return where the pieces of a series begin, and how many samples each has."""
    if not is_number(window_s):
        raise bad("window_s must be a number of seconds", repr(window_s), "Give the length of the window.")
    length = round(window_s / dt_s)
    if not 0 <= overlap_pu < 1:
        raise bad("overlap_pu", overlap_pu, "Give a share of 0 to below 1.")
    if not _SHORTEST <= length <= n:
        cure = f"Give {_SHORTEST * dt_s:g} to {n * dt_s:g} s."
        raise bad("the window of a spectrum does not fit the series", f"{window_s:g} s", cure)
    hop = max(1, round(length * (1 - overlap_pu)))
    return np.unique(np.append(np.arange(0, n - length + 1, hop), n - length)), length


def _hann(n: int) -> Float:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n))


def _checked(p_mw: ArrayLike, dt_s: float) -> Float:
    p = as_numbers(p_mw)
    check_step(dt_s)
    n = p.shape[-1] if p.ndim else 0
    if n < _SHORTEST:
        raise bad("too few samples for a spectrum", n, f"Give at least {_SHORTEST} along the last axis.")
    if not np.isfinite(p).all():
        gaps = int(p.size - np.isfinite(p).sum())
        raise bad("the power series has samples that are NaN or infinite", gaps, "Cut the series to a part without.")
    return p


def spectrogram_pieces(p_mw: Float, dt_s: float, *, window_s: float) -> tuple[Float, NDArray[np.complex128]]:
    """Return complex amplitudes of the pieces of a series, half overlapping, for averages over them.

    Parameters
    ----------
    p_mw : ndarray, shape (..., time)
        Power, evenly sampled. [MW]
    dt_s, window_s : float
        Step, and length of each piece; what is left at the end is not used, so that all pieces overlap alike. [s]

    Returns
    -------
    f_hz : ndarray, shape (frequency,)
        Frequencies above 0. [Hz]
    amplitude_mw : ndarray, shape (..., piece, frequency)
        Complex amplitude under the Hann window. [MW]
    """
    p = _checked(p_mw, dt_s)
    starts, length = _pieces(p.shape[-1], dt_s, window_s, 0.5)
    starts = starts[np.diff(starts, prepend=-length) >= length // 2]
    pieces = np.stack([p[..., k : k + length] for k in starts], axis=-2)
    window = _hann(length)
    lines = np.fft.rfft((pieces - pieces.mean(axis=-1, keepdims=True)) * window, axis=-1)[..., 1:]
    return np.arange(1, length // 2 + 1) / (length * dt_s), lines * (2.0 / window.sum())
