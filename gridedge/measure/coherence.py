"""How far several sites swing together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import bad
from gridedge.measure.spectrum import spectrogram_pieces

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Together:
    """How the swing of a sum compares with those of its parts.

    Parameters
    ----------
    sd_mw : float
        Standard deviation of the sum. [MW]
    sd_independent_mw : float
        What it would be if no two parts had anything in common: the root of the sum of squares. [MW]
    sd_in_step_mw : float
        What it would be if all swung in step: the sum of their deviations. [MW]
    over_independent : float
        ``sd_mw / sd_independent_mw``: 1 for independent parts, the root of N for N equal ones in step; below 1 where
        they make up for each other.
    correlation : float
        Correlation between any two parts, weighed by their deviations: 0 independent, 1 in step.
    """

    sd_mw: float
    sd_independent_mw: float
    sd_in_step_mw: float
    over_independent: float
    correlation: float


def together(p_mw: ArrayLike) -> Together:
    r"""Tell how far the sum of several powers swings as one.

    Parameters
    ----------
    p_mw : array_like, shape (site, time)
        Power of each. [MW]

    Returns
    -------
    Together

    Raises
    ------
    InputError
        If there are fewer than two, a sample is not finite, or fewer than two of them swing at all.

    Notes
    -----
    .. math:: \sigma_\Sigma^2 = \sum_i \sigma_i^2 + \bar\rho \Bigl[\bigl(\sum_i \sigma_i\bigr)^2
              - \sum_i \sigma_i^2\Bigr]

    For N equal parts this is :math:`N \sigma^2 [1 + (N - 1) \bar\rho]`: with any correlation the deviation grows with
    N, and no longer with its root.
    """
    p = _sites(p_mw)
    sd = p.std(axis=-1)
    moving = sd > 1e-12 * np.abs(p).max(axis=-1)
    if int(moving.sum()) < 2:
        raise bad("sites that swing", int(moving.sum()), "Give two at least; a flat one has nothing in common.")
    sd = np.where(moving, sd, 0.0)
    whole, squares, linear = float(p.sum(axis=0).std()), float((sd**2).sum()), float(sd.sum())
    correlation = (whole**2 - squares) / (linear**2 - squares)
    return Together(whole, squares**0.5, linear, whole / squares**0.5, correlation)


def coherence(p_mw: ArrayLike, dt_s: float, *, window_s: float) -> tuple[Float, Float]:
    r"""Magnitude-squared coherence between any two sites, by frequency.

    Parameters
    ----------
    p_mw : array_like, shape (site, time)
        Power of each, evenly sampled. [MW]
    dt_s : float
        Step length. [s]
    window_s : float
        Length of each piece, half of which overlaps with the next. [s]  Shorter pieces give more of them and less
        noise, and a coarser frequency.

    Returns
    -------
    f_hz : ndarray, shape (frequency,)
        Frequencies above 0. [Hz]
    coherence : ndarray, shape (site, site, frequency)
        0 (nothing in common) to 1 (one follows from the other); NaN where one of the two does not swing at all.

    Raises
    ------
    InputError
        If there are fewer than two sites, or the series holds fewer than 8 pieces: K pieces of independent noise
        read about 1/K, and a single one always reads 1.

    Notes
    -----
    .. math:: C_{xy} = \frac{|\overline{X^* Y}|^2}{\overline{|X|^2}\;\overline{|Y|^2}}

    averaged over pieces under the Hann window, the mean of each taken off.

    References
    ----------
    .. [1] P. D. Welch, "The use of fast Fourier transform for the estimation of power spectra", IEEE Transactions on
           Audio and Electroacoustics 15 (1967) 70-73. :doi:`10.1109/TAU.1967.1161901`
    """
    p = _sites(p_mw)
    f_hz, lines = spectrogram_pieces(p, dt_s, window_s=window_s)
    pieces = lines.shape[-2]
    if pieces < _FEWEST:
        cure = f"Use a window of {p.shape[-1] * dt_s * 2 / (_FEWEST + 1):.3g} s or less, or a longer series."
        raise bad(f"the coherence needs {_FEWEST} pieces", f"{pieces} of {window_s:g} s", cure)
    cross = np.einsum("ikf,jkf->ijf", lines.conj(), lines) / pieces
    own = np.einsum("iif->if", cross).real
    floor = (1e-12 * np.abs(p).max(axis=-1)) ** 2
    own = np.where(own > floor[:, None], own, np.nan)
    found = np.abs(cross) ** 2 / (own[:, None, :] * own[None, :, :])
    return f_hz, np.minimum(found, 1.0)


_FEWEST = 8


def _sites(p_mw: ArrayLike) -> Float:
    p = np.asarray(p_mw, dtype=np.float64)
    if p.ndim != 2 or p.shape[0] < 2 or p.shape[1] < 2:
        raise bad("power of several sites", f"shape {p.shape}", "Give (site, time), two sites at least.")
    if not np.isfinite(p).all():
        gaps = int(p.size - np.isfinite(p).sum())
        raise bad("samples that are NaN or infinite", gaps, "Cut the series to a part without.")
    return p
