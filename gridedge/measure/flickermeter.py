"""The flickermeter of IEC 61000-4-15 for an RMS voltage: lamp, eye and brain as filters, and the classifier."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import bad, nearest

Float = NDArray[np.float64]
Lamp = Literal["230V-50Hz", "120V-60Hz", "230V-60Hz", "120V-50Hz"]
BLOCK_S = 600.0
"""Observation time of a Pst. [s]"""
_HIGH_PASS_HZ = 0.05
_LOW_PASS_HZ = {50: 35.0, 60: 42.0}
_EYE_S = 0.3  # time constant of block 4
_LEVEL_S = 27.3  # time constant of block 1: 10 to 90 % of a step in one minute
_KERNEL_S = 0.25  # half the length of the kernel that undoes an RMS window

# (k, lambda, omega 1 to 4); all but k in Hz, times 2 pi in the transfer function
_LAMPS = {
    "230V": (1.74802, 4.05981, 9.15494, 2.27979, 1.22535, 21.9),
    "120V": (1.6357, 4.167375, 9.077169, 2.939902, 1.394468, 17.31512),
}
_UNIT_PERCENT = {"230V": 0.250, "120V": 0.321}  # sine of 8.8 Hz at which the highest Pinst is 1
_UNIT_HZ = 8.8

# Levels exceeded for so many per cent of the time, the weight of their mean in Pst².
_CLASSES = (
    (0.0314, (0.1,)),
    (0.0525, (0.7, 1.0, 1.5)),
    (0.0657, (2.2, 3.0, 4.0)),
    (0.28, (6.0, 8.0, 10.0, 13.0, 17.0)),
    (0.08, (30.0, 50.0, 80.0)),
)


@dataclass(frozen=True)
class Meter:
    r"""Blocks 3 and 4 as an analog filter in partial fractions, and the scale that makes its reading perceptibility.

    Parameters
    ----------
    lamp : str
        Lamp and frequency, ``230V-50Hz``.
    mains_hz : int
        Frequency of the system. [Hz]
    poles, residues : ndarray, shape (pole,)
        :math:`H(s) = \sum r_i / (s - p_i)`, one of each conjugate pair. [rad/s]
    scale : float
        What the squared and smoothed output is multiplied by. [1]
    """

    lamp: Lamp
    mains_hz: int
    poles: NDArray[np.complex128]
    residues: NDArray[np.complex128]
    scale: float

    @property
    def low_pass_hz(self) -> float:
        """Edge of the low-pass that takes the carrier away, in Hz."""
        return _LOW_PASS_HZ[self.mains_hz]

    def gain(self, f_hz: Float | float) -> NDArray[np.complex128]:
        """Return the frequency response of block 3 (high-pass, low-pass and weighting)."""
        s = 2j * np.pi * np.asarray(f_hz, dtype=float)[..., None]
        pair = np.where(np.abs(self.poles.imag) > 0, 1.0, 0.0)
        whole = self.residues / (s - self.poles) + pair * self.residues.conj() / (s - self.poles.conj())
        return np.asarray(whole.sum(axis=-1))


@functools.lru_cache(maxsize=8)
def meter(lamp: Lamp) -> Meter:
    r"""Return the flickermeter of a lamp and a frequency.

    Parameters
    ----------
    lamp : {"230V-50Hz", "120V-60Hz", "230V-60Hz", "120V-50Hz"}
        60 W incandescent lamp of that voltage, in a system of that frequency.

    Returns
    -------
    Meter

    Raises
    ------
    InputError
        If there is no such lamp.

    Notes
    -----
    Block 3 is a first-order high-pass at 0.05 Hz, a Butterworth low-pass of sixth order at 35 Hz (50 Hz systems) or
    42 Hz (60 Hz systems), and the weighting

    .. math:: F(s) = \frac{k \omega_1 s}{s^2 + 2\lambda s + \omega_1^2}
              \cdot \frac{1 + s/\omega_2}{(1 + s/\omega_3)(1 + s/\omega_4)}

    Its poles are distinct, so it is a sum of first-order terms.  The scale follows in closed form from the definition
    of the unit: a sine of 8.8 Hz and relative change d (peak to peak) swings the square of the voltage by an amplitude
    of d; squared and smoothed over 300 ms its highest value is
    :math:`\tfrac12 (d |H|)^2 (1 + 1/\sqrt{1 + (4\pi f \tau)^2}) = 1`, d = 0.250 % for 230 V and 0.321 % for 120 V.

    References
    ----------
    .. [1] IEC 61000-4-15:2010 (Edition 2), blocks 1 to 5; adopted as IEEE 1453.  The coefficients were read in the
           open implementation flicker_sim (qwtb, M. Šíra and S. Jourdan).
    """
    if lamp not in _KNOWN:
        raise bad("unknown lamp of a flickermeter", str(lamp), nearest(str(lamp), _KNOWN))
    volts, _, system = lamp.partition("-")
    mains_hz = int(system.removesuffix("Hz"))
    gain, damping, w1, w2, w3, w4 = _LAMPS[volts]
    w1, w2, w3, w4, damping = (2 * math.pi * f for f in (w1, w2, w3, w4, damping))
    corner = 2 * math.pi * _LOW_PASS_HZ[mains_hz]
    butterworth = [corner * np.exp(1j * math.pi * (2 * n + 7) / 12) for n in range(6)]
    eye = complex(-damping, math.sqrt(w1**2 - damping**2))
    high = 2 * math.pi * _HIGH_PASS_HZ
    poles = np.array([-high, -w3, -w4, eye, eye.conjugate(), *butterworth])
    zeros = np.array([0.0, 0.0, -w2])
    top = corner**6 * gain * w1 * w3 * w4 / w2
    residues = [top * np.prod(p - zeros) / np.prod(p - np.delete(poles, i)) for i, p in enumerate(poles)]
    upper = poles.imag > -1e-9
    found = Meter(lamp, mains_hz, poles[upper], np.asarray(residues)[upper], 1.0)
    swing = _UNIT_PERCENT[volts] / 100.0 * float(np.abs(found.gain(_UNIT_HZ)))
    ripple = 1.0 / math.hypot(1.0, 4 * math.pi * _UNIT_HZ * _EYE_S)
    return Meter(lamp, mains_hz, found.poles, found.residues, 2.0 / (swing**2 * (1.0 + ripple)))


_KNOWN = ("230V-50Hz", "120V-60Hz", "230V-60Hz", "120V-50Hz")


def perceptibility(
    vm_pu: Float, dt_s: float, lamp: Lamp, *, rms_window_s: float = 0.0, edges: NDArray[np.intp] | None = None
) -> Iterator[Float]:
    r"""Yield the instantaneous flicker sensation Pinst, stretch by stretch.

    Parameters
    ----------
    vm_pu : ndarray, shape (..., time)
        RMS voltage or envelope, positive; each sample holds over its step. [any unit; its mean level does not count]
    dt_s : float
        Step length. [s]
    lamp : str
        As for :func:`meter`.
    rms_window_s : float
        Length over which each value is an RMS already, a cycle at most; 0 for an envelope. [s]
    edges : ndarray of int, optional
        Where the stretches end; the first begins at 0.  Without, one stretch.

    Yields
    ------
    ndarray, shape (..., time of the stretch)
        Pinst, 1 at the threshold of perception. [1]

    Notes
    -----
    Block 1 divides by the level, the voltage through a low-pass of 27.3 s that starts at the mean of the first
    minute; block 2 squares; block 3 starts settled at the first sample.  Block 3 is discretised exactly for a square
    of the voltage that is constant over each step (step invariance): with :math:`q_i = e^{p_i \Delta t}`,

    .. math:: H(z) = \sum_i \frac{r_i (q_i - 1)}{p_i} \cdot \frac{1}{z - q_i}

    So rectangular changes are exact at any step that divides their spacing, and a sine is low by
    :math:`\operatorname{sinc}(f \Delta t)`: 0.1 % at 8.8 Hz and 400 Hz.  The bilinear transform would shift the
    weighting's frequencies.  Block 4 is the bilinear form of a low-pass of 300 ms: its input is smooth.
    """
    from scipy.signal import lfilter, oaconvolve  # late: it takes half a second

    v = np.asarray(vm_pu, dtype=np.float64)
    kind = meter(lamp)
    stops = np.array([v.shape[-1]]) if edges is None else edges
    sections = [_section(p, r, dt_s) for p, r in zip(kind.poles, kind.residues, strict=True)]
    lead = v.shape[:-1]
    states = [np.zeros((*lead, max(len(a), len(b)) - 1)) for b, a in sections]
    keep = math.exp(-dt_s / _LEVEL_S)
    level = v[..., : max(1, round(60.0 / dt_s))].mean(axis=-1, keepdims=True)
    level_state = keep * level
    blend = dt_s / (2 * _EYE_S + dt_s)
    eye = ([blend, blend], [1.0, 2 * blend - 1.0])
    eye_state = np.zeros((*lead, 1))
    kernel = _undo_window(rms_window_s, dt_s, kind.low_pass_hz) if rms_window_s else np.ones(1)
    half = kernel.size // 2
    origin: Float | None = None
    begin = 0
    for stop in stops:
        piece = v[..., begin:stop]
        if begin == stop:
            yield piece
            continue
        square = piece**2
        if half:
            around = v[..., max(0, begin - half) : stop + half] ** 2
            short = (half - min(begin, half), half - min(v.shape[-1] - stop, half))
            padded = np.pad(around, [(0, 0)] * len(lead) + [short], mode="edge")
            square = oaconvolve(padded, kernel.reshape((1,) * len(lead) + (-1,)), mode="valid", axes=-1)
        mean, level_state = lfilter([1.0 - keep], [1.0, -keep], piece, axis=-1, zi=level_state)
        x = square / mean**2
        if origin is None:
            origin = x[..., :1].copy()
        x -= origin  # a high-pass that has stood at a level is at rest once the level is taken off
        seen = np.zeros_like(x)
        for k, (b, a) in enumerate(sections):
            part, states[k] = lfilter(b, a, x, axis=-1, zi=states[k])
            seen += part
        pinst, eye_state = lfilter(*eye, seen**2, axis=-1, zi=eye_state)
        yield kind.scale * pinst
        begin = int(stop)


def _section(pole: complex, residue: complex, dt_s: float) -> tuple[list[float], list[float]]:
    """Return one term of the sum, with its conjugate where it has one, as a difference equation."""
    q = np.exp(pole * dt_s)
    gain = residue * (q - 1.0) / pole
    if abs(pole.imag) < 1e-9 * abs(pole):
        return [0.0, float(gain.real)], [1.0, -float(q.real)]
    b = [0.0, 2.0 * float(gain.real), -2.0 * float((gain * q.conjugate()).real)]
    return b, [1.0, -2.0 * float(q.real), float(abs(q) ** 2)]


def _undo_window(window_s: float, dt_s: float, edge_hz: float) -> Float:
    r"""Return a symmetric kernel with the gain 1 / sinc(f W) up to an edge, and what it has there beyond."""
    from scipy.signal import firwin2

    half = max(2, round(_KERNEL_S / dt_s))
    nyquist = 0.5 / dt_s
    f = np.linspace(0.0, nyquist, 4097)
    gain = 1.0 / np.sinc(np.minimum(f, edge_hz) * window_s)
    kernel = firwin2(2 * half + 1, f, gain, fs=2 * nyquist, nfreqs=1 + (1 << max(13, math.ceil(math.log2(4 * half)))))
    return np.asarray(kernel / kernel.sum())


def severity(pinst: Float) -> Float:
    r"""Return the short-term flicker severity Pst of stretches of ten minutes.

    Parameters
    ----------
    pinst : ndarray, shape (..., time)
        Instantaneous sensation over the ten minutes. [1]

    Returns
    -------
    ndarray, shape (...)
        Pst. [1]

    Notes
    -----
    .. math:: P_{st} = \sqrt{0.0314 P_{0.1} + 0.0525 P_{1s} + 0.0657 P_{3s} + 0.28 P_{10s} + 0.08 P_{50s}}

    with P_x the level exceeded for x % of the time and the smoothed ones means of neighbours: 1s of 0.7, 1, 1.5;
    3s of 2.2, 3, 4; 10s of 6, 8, 10, 13, 17; 50s of 30, 50, 80.  The levels come from all samples, not from classes.

    References
    ----------
    .. [1] IEC 61000-4-15:2010, block 5.
    """
    asked = np.array([x for _, levels in _CLASSES for x in levels])
    found = np.percentile(pinst, 100.0 - asked, axis=-1)
    total = np.zeros(pinst.shape[:-1])
    first = 0
    for weight, levels in _CLASSES:
        total += weight * found[first : first + len(levels)].mean(axis=0)
        first += len(levels)
    return np.asarray(np.sqrt(np.maximum(total, 0.0)))


def long_term(pst: Float) -> Float:
    r"""Return the long-term severity of each whole two hours, :math:`P_{lt} = \sqrt[3]{\sum_{12} P_{st}^3 / 12}`.

    Parameters
    ----------
    pst : ndarray, shape (..., block)
        Pst of consecutive ten minutes. [1]

    Returns
    -------
    ndarray, shape (..., block // 12)
        Plt; what is left after the last whole two hours is not used. [1]

    References
    ----------
    .. [1] IEC 61000-4-15:2010 (the formula from memory).
    """
    p = np.asarray(pst, dtype=np.float64)
    whole = p.shape[-1] // 12
    cubes = p[..., : 12 * whole].reshape(*p.shape[:-1], whole, 12) ** 3
    return np.asarray(np.cbrt(cubes.mean(axis=-1)))
