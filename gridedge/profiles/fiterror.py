"""How far a fitted profile is from the trace: the same figures of both, at the trace's step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridedge.measure.ramp import largest_change
from gridedge.measure.spectrum import amplitude_spectrum
from gridedge.profiles.job import TrainingProfile
from gridedge.profiles.shapefit import box_mean
from gridedge.profiles.training import training_power_mw

Float = NDArray[np.float64]
Figures = dict[str, tuple[float, float]]
_WINDOWS_S = (1.0, 2.0, 5.0, 10.0, 60.0)
_PEAKS = 3
_APART = 3  # lines of the spectrum: nearer ones belong to one peak


def compare(p_pu: Float, profile: TrainingProfile, dt_s: float) -> Figures:
    """Return figures of a trace and of its profile, made again with seed 0.

    Parameters
    ----------
    p_pu : ndarray, shape (time,)
        The trace where its job runs, from the start of an iteration on. [pu]
    profile : TrainingProfile
        What was fitted to it.
    dt_s : float
        Step. [s]

    Returns
    -------
    dict
        Mean, deviation and quantiles [pu]; the largest peaks of the trace's spectrum, each with its period [s]
        and amplitude [pu], and the profile's largest line within 5 % of it; largest change per window [pu].
    """
    made = training_power_mw(profile, dt_s, 0, p_pu.size) / profile.nameplate_mw
    found: Figures = {
        "mean_pu": (float(p_pu.mean()), float(made.mean())),
        "std_pu": (float(p_pu.std()), float(made.std())),
    }
    for q in (5, 50, 95):
        found[f"p{q:02d}_pu"] = (float(np.percentile(p_pu, q)), float(np.percentile(made, q)))
    f_hz, a = amplitude_spectrum(p_pu, dt_s)
    _, b = amplitude_spectrum(made, dt_s)
    for number, k in enumerate(_peaks(a), start=1):
        near = np.flatnonzero(np.abs(f_hz - f_hz[k]) <= max(0.05 * f_hz[k], 1.5 * f_hz[1]))
        j = int(near[np.argmax(b[near])])
        found[f"peak{number}_s"] = (float(1 / f_hz[k]), float(1 / f_hz[j]) if f_hz[j] else np.inf)
        found[f"peak{number}_pu"] = (float(a[k]), float(b[j]))
    for window_s in _WINDOWS_S:
        pair = [largest_change(x, dt_s, window_s=window_s).value for x in (p_pu, made)]
        if np.isfinite(pair).all():
            found[f"change_{window_s:g}s_pu"] = (float(pair[0]), float(pair[1]))
    return found


def _peaks(a: Float) -> list[int]:
    """Return the largest lines that are not neighbours of a larger one."""
    order = [int(k) for k in np.argsort(a)[::-1] if k >= 2]
    kept: list[int] = []
    for k in order[:200]:
        if all(abs(k - other) > _APART for other in kept):
            kept.append(k)
        if len(kept) == _PEAKS:
            break
    return kept


def cycle_rmse_pu(profile: TrainingProfile, at_s: Float, mean: Float, count: Float, dt_s: float) -> float:
    """Return the root mean square difference of the profile's iteration from the mean measured one.

    The profile's iteration is moved to where the difference is smallest.
    """
    from gridedge.profiles.iteration import iteration_corners

    share, level = iteration_corners(profile)
    corners = (share * profile.period_s, level)
    weight = count / count.sum()
    best = np.inf
    for shift_s in np.linspace(0, profile.period_s, 512, endpoint=False):
        best = min(best, float((weight * (box_mean(corners, at_s - shift_s, dt_s) - mean) ** 2).sum()))
    return float(np.sqrt(best))
