"""Rules on how much of the power swings at which frequency."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gridedge.measure.filters import band_pass, too_coarse
from gridedge.measure.ramp import Extreme
from gridedge.measure.rules import BandAmplitudeRule, BandEnergyRule
from gridedge.measure.spectrum import band_energy

Float = NDArray[np.float64]
Hold = Callable[[float], tuple[Float, Float, Float]]


def measure_band_amplitude(rule: BandAmplitudeRule, p_mw: Float, dt_s: float, hold: Hold) -> Extreme:
    """Measure the largest line within a band.

    Parameters
    ----------
    rule : BandAmplitudeRule
        The band and the length of a piece.
    p_mw : ndarray, shape (time,)
        Power. [MW]
    dt_s : float
        Step length. [s]
    hold : callable
        Gives :func:`gridedge.measure.spectrum.peak_hold` of the power for a length of pieces; several rules share it.
    """
    low, high = rule.band_hz
    nyquist_hz = 0.5 / dt_s
    if low >= nyquist_hz:
        return Extreme(np.nan, np.nan, False, too_coarse(rule.band_hz, dt_s))
    if p_mw.size * dt_s < rule.window_s * (1 - 1e-9):
        why = f"the series of {p_mw.size * dt_s:g} s is too short: give {rule.window_s:g} s or more"
        return Extreme(np.nan, np.nan, False, why)
    f_hz, amplitude_mw, start_s = hold(rule.window_s)
    inside = np.flatnonzero((f_hz >= low * (1 - 1e-9)) & (f_hz <= high * (1 + 1e-9)))
    k = int(inside[np.argmax(amplitude_mw[inside])])
    value = float(amplitude_mw[k])
    coarse = high >= nyquist_hz
    behind = band_pass(p_mw, dt_s, band_hz=rule.band_hz, start="first sample")
    half_mw = 0.5 * float(behind.max() - behind.min())
    figures = (("at_hz", float(f_hz[k])), ("half_peak_to_peak_mw", half_mw))
    note = ""
    if value > 1e-9 * max(1.0, float(np.abs(p_mw).max())):
        note = f"at {f_hz[k]:.3g} Hz; half of peak to peak of all that the band holds: {half_mw:.4g} MW"
        if k in (inside[0], inside[-1]) and not (coarse and k == inside[-1]):
            note += "; the largest line is the band's edge, where what lies beyond it still shows"
    why = too_coarse(rule.band_hz, dt_s) if coarse else ""
    return Extreme(value, float(start_s[k]), not coarse, why, note, figures)


def measure_band_energy(rule: BandEnergyRule, p_mw: Float, dt_s: float) -> Extreme:
    """Measure the share of a band in the energy of the swing, in per cent.

    Coarse samples hide energy both within the band and above it, so that they bound the share on neither side.
    """
    low, high = rule.band_hz
    if high >= 0.5 / dt_s:
        return Extreme(np.nan, np.nan, False, too_coarse(rule.band_hz, dt_s))
    if p_mw.size * dt_s < rule.needs_s * (1 - 1e-9):
        why = f"the series of {p_mw.size * dt_s:g} s is too short: give {rule.needs_s:g} s or more"
        return Extreme(np.nan, np.nan, False, why)
    variance, share = band_energy(p_mw, dt_s, (low, high))
    return Extreme(100.0 * float(share), np.nan, figures=(("rms_mw", float(variance) ** 0.5),))
