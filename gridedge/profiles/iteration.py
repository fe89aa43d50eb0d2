r"""The shape of one iteration of a training job, as corners of a line.

::

    overshoot  /\__  __/\/\/\/\__          compute_pu, notched between micro-batches
              /    \/            ---___    taper to taper_pu
             /     dip                 |   steep edge to residual_pu
    ________/                           \__________   residual taper, communication_pu
            |<-- compute_share * period_s -->|
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridedge.profiles.job import TrainingProfile

Float = NDArray[np.float64]


def iteration_corners(profile: TrainingProfile) -> tuple[Float, Float]:
    """Return the corners of one iteration.

    Parameters
    ----------
    profile : TrainingProfile
        The job.

    Returns
    -------
    share, level_pu : ndarray, shape (corner,)
        Times as shares of the iteration, from 0 to 1, never falling; power there, straight lines
        between [pu of nameplate].  It begins and ends at the same level.

    Notes
    -----
    Overlap scales every departure from the compute level, and no length: a share of the machines computes on
    while the others communicate.

    .. math:: p = p_{compute} + (1 - o) (p_{full} - p_{compute})
    """
    high, low = profile.compute_pu, profile.communication_pu
    busy_s = profile.compute_share * profile.period_s
    top_s, top = profile.rise_s, high
    line: list[tuple[float, float]] = [(0.0, low)]
    if profile.overshoot_pu is not None:
        line.append((profile.rise_s, profile.overshoot_pu))
        top_s += profile.overshoot_s
    line.append((top_s, top))
    taper_at_s = busy_s - profile.taper_s
    dip: list[tuple[float, float]] = []
    if profile.dip_pu is not None:
        bottom_s = profile.dip_at_s + profile.dip_fall_s
        rises_s = bottom_s + profile.dip_hold_s
        dip = [
            (profile.dip_at_s, high),
            (bottom_s, profile.dip_pu),
            (rises_s, profile.dip_pu),
            (rises_s + profile.dip_recovery_s, high),
        ]
    line += _with_notches(profile, top_s, taper_at_s, dip)
    edge_s = busy_s + profile.fall_s
    line += [
        (taper_at_s, high),
        (busy_s, profile.taper_level_pu),
        (edge_s, profile.residual_level_pu),
        (edge_s + profile.residual_s, low),
        (profile.period_s, low),
    ]
    time_s, level = (np.array(column) for column in zip(*line, strict=True))
    share = np.minimum(time_s / profile.period_s, 1.0)
    return share, high + (1.0 - profile.overlap_pu) * (level - high)


def _with_notches(
    profile: TrainingProfile, from_s: float, to_s: float, dip: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Return the corners of the middle part; a notch that would touch the dip is left out."""
    found: list[tuple[float, float]] = []
    spacing_s = (to_s - from_s) / profile.micro_batches
    if profile.micro_batches > 1 and profile.notch_pu:
        half_s = 0.5 * (spacing_s if profile.notch_s is None else profile.notch_s)
        for k in range(1, profile.micro_batches):
            at_s = from_s + k * spacing_s
            if dip and at_s + half_s > dip[0][0] and at_s - half_s < dip[-1][0]:
                continue
            found += [
                (at_s - half_s, profile.compute_pu),
                (at_s, profile.compute_pu - profile.notch_pu),
                (at_s + half_s, profile.compute_pu),
            ]
    return sorted([*found, *dip])
