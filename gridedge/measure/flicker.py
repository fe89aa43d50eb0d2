"""How much a voltage makes lamps flicker: Pst per ten minutes, Plt per two hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import bad, is_number
from gridedge.measure import flickermeter
from gridedge.measure.flickermeter import BLOCK_S, Lamp

Float = NDArray[np.float64]
LOWEST_RATE_HZ = 100.0
"""Samples per second from which Pst holds up to 110 changes per minute, the fifth row of Table 5. [Hz]"""
FULL_RATE_HZ = 400.0
"""Samples per second from which it holds for every row of Table 5. [Hz]"""
_DIP_PU, _SWELL_PU = 0.9, 1.1
_TOGETHER = 1 << 21  # samples of ten minutes of several voltages that are filtered side by side


@dataclass(frozen=True, eq=False)
class FlickerResult:
    """What a flickermeter reads.

    Parameters
    ----------
    pst : ndarray, shape (block,)
        Short-term severity of each whole ten minutes after settling; empty where there is none. [1]
    plt : ndarray, shape (two hours,)
        Long-term severity of each whole two hours, twelve Pst; empty where there is none. [1]
    pinst_max : float
        Highest instantaneous sensation after settling, 1 at the threshold of perception. [1]
    pinst_max_when_s : float
        When it is reached. [s from the start of the series]
    pst_verdict, plt_verdict : str
        ``told``, ``told for up to 110 changes per minute`` (see ``full_range``), or ``cannot tell:`` and why.
    full_range : bool
        Whether the sampling shows every fluctuation of the standard's Table 5, or only up to 110 changes per minute.
    flagged : tuple of int
        Blocks of ``pst`` with a dip below 0.9 pu or a swell above 1.1 pu, whose values IEC 61000-4-30 flags.
    lamp : str
        Lamp and frequency.
    dt_s, settle_s, rms_window_s : float
        As given. [s]
    notes : tuple of str
        For the reader.
    """

    pst: Float
    plt: Float
    pinst_max: float
    pinst_max_when_s: float
    pst_verdict: str
    plt_verdict: str
    full_range: bool
    flagged: tuple[int, ...]
    lamp: Lamp
    dt_s: float
    settle_s: float
    rms_window_s: float
    notes: tuple[str, ...] = ()

    @property
    def pst_max(self) -> float | None:
        """Highest Pst, or None where none can be told."""
        return float(self.pst.max()) if self.pst.size else None

    @property
    def plt_max(self) -> float | None:
        """Highest Plt, or None where none can be told."""
        return float(self.plt.max()) if self.plt.size else None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        plain = dict(vars(self))
        plain |= {"pst": self.pst.tolist(), "plt": self.plt.tolist()}
        plain |= {"flagged": list(self.flagged), "notes": list(self.notes)}
        return plain


@dataclass(frozen=True, eq=False)
class Blocks:
    """Readings of many voltages: ``pst`` (..., block), ``pinst_max`` (...) and ``pinst_max_when_s`` (...)."""

    pst: Float
    pinst_max: Float
    pinst_max_when_s: Float


def flicker(
    vm_pu: ArrayLike, dt_s: float, *, lamp: Lamp = "230V-50Hz", settle_s: float = 60.0, rms_window_s: float = 0.0
) -> FlickerResult:
    """Measure the flicker of a voltage as IEC 61000-4-15 and IEEE 1453 do.

    Parameters
    ----------
    vm_pu : array_like, shape (time,)
        RMS voltage of one phase, the envelope of the wave, or of a balanced system; evenly sampled. [pu of nominal]
    dt_s : float
        Step length, at most 0.01 s; 0.0025 s or less shows every fluctuation that the standard tests. [s]
    lamp : {"230V-50Hz", "120V-60Hz", "230V-60Hz", "120V-50Hz"}
        Which lamp, in which system.
    settle_s : float
        Time that the meter settles before it counts; chosen: 60 s is 20 times its slowest weighting filter. [s]
    rms_window_s : float
        Length over which each value is an RMS already, up to one cycle; it is undone. 0 for an envelope. [s]

    Returns
    -------
    FlickerResult
        ``pst`` per whole ten minutes after settling, ``plt`` per twelve of them, ``pinst_max``.  A series too short
        for one has ``pinst_max`` and reads "cannot tell".

    Raises
    ------
    InputError
        If the series has a gap, a value that is not positive, or a level that is not per unit; if its step is too
        long for the meter; if it ends before the meter has settled; if ``rms_window_s`` is longer than a cycle.

    Notes
    -----
    The voltage counts as constant over each step; see :func:`gridedge.measure.flickermeter.perceptibility`.  A sample
    that is the mean of a smooth swing over its own step has lost :func:`gridedge.measure.filters.droop` of it:
    ``rms_window_s=dt_s`` gives that back.  Doubling a fluctuation doubles Pst.

    Held against the standard: at 2 kHz the rows of Table 5 read 0.993 to 1.000 (Pst), and those of Table 1 0.997 to
    1.003 (Pinst); at 400 Hz Table 5 reads 0.993 to 1.001, at 100 Hz its first five rows 0.990 to 0.999.

    References
    ----------
    .. [1] IEC 61000-4-15:2010, "Flickermeter - Functional and design specifications", Edition 2.
    .. [2] IEEE 1453-2015, "Recommended Practice for the Analysis of Fluctuating Installations on Power Systems".
    """
    v = _one_series(vm_pu)
    read = measure_blocks(v, dt_s, lamp=lamp, settle_s=settle_s, rms_window_s=rms_window_s)
    plt = flickermeter.long_term(read.pst)
    full = 1.0 / dt_s >= FULL_RATE_HZ * (1 - 1e-9)
    notes = []
    if not full:
        notes.append(
            f"samples of {dt_s:g} s hold for up to 110 changes per minute; "
            f"faster fluctuation needs a step of {1 / FULL_RATE_HZ:g} s or less"
        )
    flagged = _flagged(v, _edges(v.size, dt_s, settle_s), read.pst.size)
    if flagged:
        notes.append(
            f"a dip below {_DIP_PU:g} pu or a swell above {_SWELL_PU:g} pu lies in {len(flagged)} of {read.pst.size} "
            "blocks: IEC 61000-4-30 flags their Pst"
        )
    held_s = v.size * dt_s - settle_s
    told = "told" if full else "told for up to 110 changes per minute"
    short = f"cannot tell: {held_s:g} s after settling; a Pst takes {BLOCK_S:g} s"
    few = f"cannot tell: {read.pst.size} of the 12 blocks of ten minutes that a Plt takes"
    return FlickerResult(
        pst=read.pst,
        plt=plt,
        pinst_max=float(read.pinst_max),
        pinst_max_when_s=float(read.pinst_max_when_s),
        pst_verdict=told if read.pst.size else short,
        plt_verdict=told if plt.size else few,
        full_range=full,
        flagged=flagged,
        lamp=lamp,
        dt_s=dt_s,
        settle_s=settle_s,
        rms_window_s=rms_window_s,
        notes=tuple(notes),
    )


def measure_blocks(
    vm_pu: Float, dt_s: float, *, lamp: Lamp = "230V-50Hz", settle_s: float = 60.0, rms_window_s: float = 0.0
) -> Blocks:
    """Measure many voltages at once, such as those of all buses of a feeder.

    Parameters
    ----------
    vm_pu : ndarray, shape (..., time)
        RMS voltages. [pu]
    dt_s, lamp, settle_s, rms_window_s
        As for :func:`flicker`.

    Returns
    -------
    Blocks
        ``pst``, shape (..., block); ``pinst_max`` and its time, shape (...).

    Raises
    ------
    InputError
        As :func:`flicker`.
    """
    v = np.asarray(vm_pu, dtype=np.float64)
    _check_clock(dt_s, settle_s, rms_window_s, lamp)
    _check_values(v, dt_s)
    edges = _edges(v.shape[-1], dt_s, settle_s)
    if v.shape[-1] <= edges[0]:
        cure = f"Give a series longer than settle_s ({settle_s:g} s); ten minutes more for a Pst."
        raise bad("the voltage ends before the flickermeter has settled", f"{v.shape[-1] * dt_s:g} s", cure)
    rows = v.reshape(-1, v.shape[-1])
    together = max(1, _TOGETHER // (round(BLOCK_S / dt_s) + 1))
    parts = [
        _read(rows[k : k + together], dt_s, lamp, settle_s, rms_window_s, edges) for k in range(0, len(rows), together)
    ]
    lead = v.shape[:-1]
    pst, pinst_max, when = (np.concatenate([getattr(part, name) for part in parts]) for name in _READ)
    return Blocks(
        pst.reshape(*lead, -1) if pst.size else np.empty((*lead, 0)), pinst_max.reshape(lead), when.reshape(lead)
    )


_READ = ("pst", "pinst_max", "pinst_max_when_s")


def _read(v: Float, dt_s: float, lamp: Lamp, settle_s: float, rms_window_s: float, edges: NDArray[np.intp]) -> Blocks:
    """Read some voltages, shape (series, time), side by side."""
    best = np.full(v.shape[:-1], -1.0)
    when = np.zeros(v.shape[:-1])
    pst: list[Float] = []
    begin = 0
    whole = _whole(v.shape[-1], dt_s, settle_s)
    for k, pinst in enumerate(flickermeter.perceptibility(v, dt_s, lamp, rms_window_s=rms_window_s, edges=edges)):
        if k:
            top = pinst.argmax(axis=-1)
            high = np.take_along_axis(pinst, np.expand_dims(top, -1), -1)[..., 0]
            when = np.where(high > best, (begin + top) * dt_s, when)
            best = np.maximum(best, high)
            if k <= whole:  # what is left over after the last one has no Pst
                pst.append(flickermeter.severity(pinst))
        begin = int(edges[k])
    return Blocks(np.stack(pst, axis=-1) if pst else np.empty((*v.shape[:-1], 0)), best, when)


def _whole(size: int, dt_s: float, settle_s: float) -> int:
    """Return how many whole blocks follow the settling."""
    return int((size - round(settle_s / dt_s)) * dt_s / BLOCK_S * (1 + 1e-9))


def _edges(size: int, dt_s: float, settle_s: float) -> NDArray[np.intp]:
    """Return where the settling, every block and what is left over end, in samples."""
    first = round(settle_s / dt_s)
    ends = [first + round(k * BLOCK_S / dt_s) for k in range(max(0, _whole(size, dt_s, settle_s)) + 1)]
    return np.array([*ends, *([size] if ends[-1] < size else [])], dtype=np.intp)


def _flagged(v: Float, edges: NDArray[np.intp], blocks: int) -> tuple[int, ...]:
    outside = np.flatnonzero((v < _DIP_PU) | (v > _SWELL_PU))
    block = np.searchsorted(edges, outside, side="right") - 1
    return tuple(np.unique(block[(block >= 0) & (block < blocks)]).tolist())


def _one_series(vm_pu: ArrayLike) -> Float:
    try:
        v = np.asarray(vm_pu, dtype=np.float64)
    except (TypeError, ValueError):
        raise bad("the voltage holds what is no number", str(vm_pu)[:40], "Give RMS voltages in per unit.") from None
    if v.ndim != 1:
        cure = "Give the voltage of one bus; gridedge.measure.flicker.measure_blocks takes many."
        raise bad("a flickermeter reads one voltage", f"shape {v.shape}", cure)
    return v


def _check_clock(dt_s: float, settle_s: float, rms_window_s: float, lamp: Lamp) -> None:
    cycle_s = 1.0 / flickermeter.meter(lamp).mains_hz
    if not is_number(dt_s) or not dt_s > 0:
        raise bad("dt_s must be a positive number of seconds", dt_s, "Give dt_s > 0.")
    if dt_s * LOWEST_RATE_HZ > 1 + 1e-9:
        cure = (
            f"Use a step of {1 / LOWEST_RATE_HZ:g} s for up to 110 changes per minute, {1 / FULL_RATE_HZ:g} s for all."
        )
        raise bad("the voltage is sampled too slowly for a flickermeter", f"dt_s {dt_s:g}", cure)
    if not is_number(settle_s) or not settle_s >= 0:
        raise bad("settle_s must be a number of seconds, 0 or more", settle_s, "Give settle_s=60.")
    if not is_number(rms_window_s) or not rms_window_s >= 0:
        raise bad("rms_window_s must be a number of seconds, 0 or more", rms_window_s, f"Give 0 or {cycle_s:g}.")
    if rms_window_s > 1.01 * cycle_s:
        cure = f"Give an envelope, or an RMS over a cycle ({cycle_s:.4g} s) at most: a longer one has lost the flicker."
        raise bad("the RMS window is longer than a cycle", f"rms_window_s {rms_window_s:g}", cure)


def _check_values(v: Float, dt_s: float) -> None:
    if not v.size:
        raise bad("the voltage has no sample", f"shape {v.shape}", "Give a longer series.")
    wrong = ~np.isfinite(v)
    if wrong.any():
        first = int(np.argmax(wrong.reshape(-1, v.shape[-1]).any(axis=0)))
        cure = "Cut the series there, or measure each part: a meter cannot bridge a gap."
        raise bad("the voltage has a gap", f"{int(wrong.sum())} of {v.size} samples, from {first * dt_s:g} s on", cure)
    lowest = float(v.min())
    if lowest <= 0:
        first = int(np.argmax((v.reshape(-1, v.shape[-1]) <= 0).any(axis=0)))
        cure = "Give an RMS voltage, not a wave; leave interruptions out."
        raise bad("the voltage is not positive", f"{lowest:g} pu at {first * dt_s:g} s", cure)
    level = float(v.mean())
    if not 0.2 < level < 2.0:
        raise bad("the voltage is not in per unit", f"mean {level:g}", "Divide it by the nominal voltage.")
